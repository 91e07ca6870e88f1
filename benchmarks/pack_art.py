"""The pack's icon and banner for the registry, from the demo portrait and speech: docs/img/icon.png (400 x 400), banner.png
(1260 x 540).

Usage: python benchmarks/pack_art.py
"""
from __future__ import annotations

import numpy as np
from common import ROOT, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from PIL import Image, ImageDraw
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.face.draw import draw_landmarks
from talking_heads.media_core.face.trackers import still_landmarks
from talking_heads.media_core.image_reading import read_picture

PAPER, WAVE, INK = (18, 22, 30), (96, 196, 255), (236, 240, 244)
FACE = 300        # px, from the chin to the brows with a margin, in the icon
NAME, WHAT = "Talking Heads", "speech in, talking head out: HM-Talker and MoDiTalker for ComfyUI"


def main() -> None:
    photo = read_picture(ROOT / "demo" / "demo_portrait.jpg", "The portrait")
    points = still_landmarks("people", photo).points
    wave = loudness(64)
    for name, image in (("icon", icon(points, wave)), ("banner", banner(photo, points, wave))):
        path = ROOT / "docs" / "img" / f"{name}.png"
        image.save(path, optimize=True)
        print(path, image.size)


def loudness(bars: int) -> np.ndarray:  # [bars], 0 to 1
    """Of the demo speech, in equal parts."""
    samples = np.asarray(load_sound(ROOT / "demo" / "demo_speech_short.wav").waveform).mean(axis=0)
    parts = np.array([np.sqrt(np.mean(part ** 2)) for part in np.array_split(samples, bars)])
    return parts / parts.max()


def drawn(points: np.ndarray, size: int, face: int) -> Image.Image:
    """The 68 points, [68, 2] px, in the middle of a dark square; `face`: px of their larger side."""
    low, high = points.min(axis=0), points.max(axis=0)
    place = (points - (low + high) / 2) * (face / (high - low).max()) + size / 2
    return Image.fromarray(draw_landmarks(np.full((size, size, 3), PAPER, np.uint8), place, dots=False))


def add_wave(image: Image.Image, wave: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Bars of loudness in a box (left, top, right, bottom; px)."""
    left, top, right, bottom = box
    pen, step = ImageDraw.Draw(image), (right - left) / len(wave)
    for i, height in enumerate(wave):
        half = max(2.0, height * (bottom - top) / 2)
        x, y = left + (i + 0.5) * step, (top + bottom) / 2
        pen.rounded_rectangle((x - 0.3 * step, y - half, x + 0.3 * step, y + half), radius=0.3 * step, fill=WAVE)


def icon(points: np.ndarray, wave: np.ndarray) -> Image.Image:
    image = drawn(points, 800, 2 * FACE - 80).resize((400, 400), Image.Resampling.LANCZOS)
    image = Image.fromarray(np.roll(np.asarray(image), -28, axis=0))
    add_wave(image, wave[::3], (60, 318, 340, 382))
    return image


def banner(photo: np.ndarray, points: np.ndarray, wave: np.ndarray) -> Image.Image:
    image = Image.new("RGB", (1260, 540), PAPER)
    side = 360
    image.paste(Image.fromarray(photo).resize((side, side), Image.Resampling.LANCZOS), (850, 40))
    image.paste(drawn(points, 2 * side, 560).resize((side, side), Image.Resampling.LANCZOS), (470, 40))
    add_wave(image, wave[::2], (50, 120, 430, 320))
    pen = ImageDraw.Draw(image)
    pen.text((50, 440), NAME, fill=INK, font_size=52, anchor="lm")
    pen.text((50, 492), WHAT, fill=WAVE, font_size=23, anchor="lm")
    return image


if __name__ == "__main__":
    main()
