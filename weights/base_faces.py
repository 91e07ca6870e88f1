"""Collects the images named in weights/base_faces.json: faces that shipped weights may learn from.

    pip download --no-deps matplotlib==3.11.2          (a wheel is a zip file: unpack it)
    git clone https://github.com/faker-js/assets-person-portrait
    python -m talking_heads.weights.base_faces FACES SOURCES [SOURCES ...]

Looks through the folders SOURCES for files with exactly the listed checksums, whatever their names, and copies them into the
folder FACES as `<name>.<ending>`; `--held-out` copies those that no weights learn from. scikit-image is found by itself.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("base_faces.json")
_ENDINGS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class BaseFace:
    """An image of a face, and why it may be used."""

    name: str
    source: str      # a key of `sources` in the list
    file: str        # path inside the source
    sha256: str
    shows: str       # who, or the words it was made from
    held_out: bool = False  # to measure on: no weights learn from it


def base_faces(path: Path = LIST) -> tuple[BaseFace, ...]:
    """All of the list."""
    return tuple(BaseFace(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["faces"])


def found(faces: Iterable[BaseFace], folders: Iterable[Path]) -> Iterator[tuple[BaseFace, Path]]:
    """The faces that files in `folders` or below are, and those files; every face once."""
    wanted = {face.sha256: face for face in faces}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _ENDINGS and path.is_file():
                face = wanted.pop(hashlib.sha256(path.read_bytes()).hexdigest(), None)
                if face is not None:
                    yield face, path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="folder to make")
    parser.add_argument("sources", type=Path, nargs="*", help="folders to look through")
    parser.add_argument("--held-out", action="store_true", help="the faces that no weights learn from")
    args = parser.parse_args()
    import skimage

    args.faces.mkdir(parents=True, exist_ok=True)
    wanted = [face for face in base_faces() if face.held_out == args.held_out]
    copied = set()
    for face, path in found(wanted, [*args.sources, Path(skimage.__file__).parent / "data"]):
        shutil.copyfile(path, args.faces / f"{face.name}{path.suffix.lower()}")
        copied.add(face.name)
    missing = [face.name for face in wanted if face.name not in copied]
    print(f"{args.faces}: {len(copied)} of {len(wanted)} faces")
    if missing:
        sys.exit(f"Not found in the folders given: {', '.join(missing)}")


if __name__ == "__main__":
    main()
