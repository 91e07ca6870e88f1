"""The README's moving image: the demo speech said by a portrait, its 68 points, and the demo avatar.

Usage: python benchmarks/teaser.py [--out docs/img/talking.webp] [--seconds 4] [--size 220]
"""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from talking_heads.cli.main import main as talking_heads
from talking_heads.media_core.video_reading import read_frames

ROOT = Path(__file__).resolve().parents[1]
SPEECH, PORTRAIT = ROOT / "demo" / "demo_speech.wav", ROOT / "demo" / "demo_portrait.jpg"
AVATAR = ROOT / "weights" / "demo_avatar.safetensors"
EVERY = 2       # of the frames at 25 per second
MARGIN = 6      # px
TITLES = ("one image speaks", "its motion, to edit", "an avatar speaks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "img" / "talking.webp")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--size", type=int, default=220, help="pixels of each of the three")
    parser.add_argument("--quality", type=int, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        videos = made(Path(folder))
        frames = list(islice(together(videos, args.size), 0, int(args.seconds * 25), EVERY))
    frames[0].save(args.out, save_all=True, append_images=frames[1:], duration=40 * EVERY, loop=0, quality=args.quality, method=6)
    print(f"{args.out}: {len(frames)} frames, {args.out.stat().st_size / 1000:.0f} kB")


def made(folder: Path) -> list[Path]:
    """The three videos."""
    portrait, points, avatar = (folder / f"{name}.mp4" for name in ("portrait", "points", "avatar"))
    for command in (["video", SPEECH, PORTRAIT, portrait], ["motion", SPEECH, PORTRAIT, points],
                    ["avatar", AVATAR, SPEECH, avatar]):
        if talking_heads([str(part) for part in command]):
            raise SystemExit(f"talking-heads {command[0]} did not finish")
    return [portrait, points, avatar]


def together(videos: list[Path], size: int) -> Iterator[Image.Image]:
    """Frames of all, side by side, with their titles."""
    for row in zip(*(read_frames(path) for path in videos)):
        image = Image.new("RGB", (3 * size + 2 * MARGIN, size + 18), "white")
        pen = ImageDraw.Draw(image)
        for i, (frame, title) in enumerate(zip(row, TITLES)):
            x = i * (size + MARGIN)
            image.paste(square(frame, size), (x, 0))
            pen.text((x + size / 2, size + 9), title, fill=(60, 60, 60), anchor="mm", font_size=12)
        yield image


def square(frame: np.ndarray, size: int) -> Image.Image:
    """uint8 [H, W, 3] -> its middle, size x size."""
    image = Image.fromarray(frame)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
