"""Thumbnails of the shipped workflows, shown in ComfyUI's template browser: one frame of a film each workflow made.

    python benchmarks/make_thumbnails.py avatar_speech_to_video output/demo.mp4 --at 1.5
"""
from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from common import ROOT
from talking_heads.media_core.files import atomic_path
from talking_heads.media_core.video import probe, read_frames

SIDE = 384  # px, at most
QUALITY = 88


def thumbnail(film: Path, seconds: float, target: Path) -> None:
    """Writes the frame at `seconds` of `film` as a JPEG."""
    from PIL import Image

    info = probe(film)
    index = min(int(seconds * float(info.fps)), info.frames - 1)
    picture = Image.fromarray(next(islice(read_frames(film), index, None)))
    picture.thumbnail((SIDE, SIDE))
    with atomic_path(target) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workflow", choices=sorted(path.stem for path in (ROOT / "workflows").glob("*.json")))
    parser.add_argument("film", type=Path)
    parser.add_argument("--at", type=float, default=1.0, metavar="SECONDS")
    options = parser.parse_args()
    target = ROOT / "workflows" / f"{options.workflow}.jpg"
    thumbnail(options.film, options.at, target)
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
