"""The curves of an evaluation as an image: lip opening of the made video and of the truth over the waveform, with the phones."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TalkingHeadsError
from ..files import atomic_path
from .evaluation import Curves
from .phones import BILABIALS, Phone

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_LEFT, _RIGHT, _TITLE, _AXIS = 8, 8, 22, 20  # px beside the curves, and of the lines of text
_LIPS, _WAVE, _PHONES = 150, 70, 22  # px of a strip's parts
_MADE, _TRUTH, _WAVES, _GRID, _PAPER = (30, 70, 140), (220, 120, 30), (185, 190, 200), (228, 228, 232), (255, 255, 255)
_BILABIAL, _SPOKEN, _INK = (200, 40, 60), (90, 90, 96), (20, 20, 24)
_BARS = ((120, 120, 128), (175, 175, 182))  # phones in turn
_SECONDS = 6.0  # of a strip, at 1024 px: phones can then be read
_MOST = 20  # strips; longer videos get narrower seconds
_NARROWEST = 7  # px of a phone whose name is written


def draw_evaluation(curves: Curves, width: int = 1200, title: str = "") -> np.ndarray:  # uint8 [H, width, 3]
    """One strip under another for every six seconds; of videos over two minutes as many seconds as fit into twenty strips.

    In each strip: lip opening (blue: made, orange: truth) before the waveform, and below it the phones,
    P, B and M in red.

    Args:
        width: px, 320 at least.
    """
    from PIL import Image, ImageDraw

    if width < 320:
        raise TalkingHeadsError("The plot must be at least 320 px wide", f"{width} px", "Choose a wider plot")
    total = len(curves.lips) / curves.fps
    seconds = max(_SECONDS * width / 1024, total / _MOST)
    strips, height = max(1, int(np.ceil(total / seconds - 1e-6))), _LIPS + _PHONES + _AXIS
    picture = Image.new("RGB", (width, _TITLE + strips * height), _PAPER)
    draw = ImageDraw.Draw(picture)
    _legend(draw, curves, title)
    seconds = min(seconds, total) if strips == 1 else seconds
    top = _highest(curves)
    for number in range(strips):
        place = _Strip(draw, curves, number * seconds, seconds, _TITLE + number * height, width)
        place.draw(top)
    return np.asarray(picture)


def save_plot(curves: Curves, path: str | os.PathLike, title: str = "") -> Path:
    """Writes the plot as PNG, atomically.

    Raises:
        TalkingHeadsError: it cannot be written there.
    """
    from PIL import Image

    try:
        with atomic_path(path) as temporary:
            Image.fromarray(draw_evaluation(curves, title=title)).save(temporary, "PNG")
    except OSError as error:
        raise TalkingHeadsError("The plot must fit where it is written", f"writing {path} failed ({error})",
                                "Free some space or choose another folder") from error
    return Path(path)


def _highest(curves: Curves) -> float:
    """The opening at the upper edge."""
    known = [curve[np.isfinite(curve)] for curve in (curves.lips, curves.truth) if curve is not None]
    return max([0.1, *(1.05 * float(values.max()) for values in known if len(values))])


def _legend(draw: ImageDraw, curves: Curves, title: str) -> None:
    x = _LEFT
    parts = [(title, _INK), ("lip opening, made", _MADE), *([("truth", _TRUTH)] if curves.truth is not None else []),
             *([("P, B, M", _BILABIAL)] if curves.heard is not None and curves.heard.phones is not None else [])]
    for text, ink in parts:
        if text:
            draw.text((x, 5), text, fill=ink)
            x += int(draw.textlength(text)) + 18


class _Strip:
    """Some seconds of the curves."""

    def __init__(self, draw: ImageDraw, curves: Curves, start: float, seconds: float, top: int, width: int):
        self.pen, self.curves, self.start, self.seconds = draw, curves, start, seconds
        self.top, self.width = top, width

    def x(self, time: float) -> float:
        """px of a time in seconds."""
        return _LEFT + (time - self.start) / self.seconds * (self.width - _LEFT - _RIGHT)

    def draw(self, highest: float) -> None:
        """Everything; `highest`: the opening at the upper edge."""
        bottom = self.top + _LIPS
        if self.curves.heard is not None:
            self._wave(self.curves.heard.sound.mono(16000), bottom)
        self._axis(bottom)
        for values, ink in ((self.curves.truth, _TRUTH), (self.curves.lips, _MADE)):
            if values is not None:
                self._curve(values, highest, bottom, ink)
        if self.curves.heard is not None and self.curves.heard.phones is not None:
            self._phones(self.curves.heard.phones.spoken, bottom)

    def _wave(self, mono: np.ndarray, bottom: int) -> None:
        """Peaks of every column around the middle of the lower half."""
        peak, middle = max(float(np.abs(mono).max()), 1e-6), bottom - _WAVE / 2
        columns = np.arange(_LEFT, self.width - _RIGHT)
        times = self.start + (np.append(columns, columns[-1] + 1) - _LEFT) / (self.width - _LEFT - _RIGHT) * self.seconds
        edges = np.clip(np.rint(times * 16000).astype(int), 0, len(mono))
        for x, first, last in zip(columns.tolist(), edges[:-1].tolist(), edges[1:].tolist()):
            if last > first:
                low, high = float(mono[first:last].min()) / peak, float(mono[first:last].max()) / peak
                self.pen.line([(x, middle - high * _WAVE / 2), (x, middle - low * _WAVE / 2)], fill=_WAVES)

    def _axis(self, bottom: int) -> None:
        step = next((s for s in (0.5, 1, 2, 5, 10, 30, 60) if self.seconds / s <= 16), 300)
        first = int(np.ceil(self.start / step - 1e-6))
        for number in range(first, int((self.start + self.seconds) / step + 1e-6) + 1):
            x = self.x(number * step)
            self.pen.line([(x, self.top), (x, bottom)], fill=_GRID)
            self.pen.text((x + 2, bottom + _PHONES + 3), f"{number * step:g} s", fill=_SPOKEN)
        self.pen.line([(_LEFT, bottom), (self.width - _RIGHT, bottom)], fill=_SPOKEN)

    def _curve(self, values: np.ndarray, highest: float, bottom: int, ink: tuple[int, int, int]) -> None:
        """A line wherever the face was seen."""
        times = (np.arange(len(values)) + 0.5) / self.curves.fps
        frame = 1 / self.curves.fps
        near = (times >= self.start - frame) & (times <= self.start + self.seconds + frame)
        inside = np.flatnonzero(near & np.isfinite(values))
        for part in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1):
            line = [(self.x(float(times[i])), bottom - float(np.clip(values[i] / highest, 0, 1)) * (_LIPS - 8)) for i in part]
            if len(line) > 1:
                self.pen.line(line, fill=ink, width=2)

    def _phones(self, phones: Sequence[Phone], bottom: int) -> None:
        """Their names below, where they fit, and upright marks at bilabials."""
        for number, phone in enumerate(phones):
            if phone.end <= self.start or phone.start >= self.start + self.seconds:
                continue
            left, right = self.x(max(phone.start, self.start)), self.x(min(phone.end, self.start + self.seconds))
            ink = _BILABIAL if phone.name in BILABIALS else _SPOKEN
            bar = ink if phone.name in BILABIALS else _BARS[number % 2]
            self.pen.rectangle([left, bottom + 2, max(right - 1, left), bottom + 5], fill=bar)
            if phone.name in BILABIALS:
                self.pen.line([((left + right) / 2, self.top + 6), ((left + right) / 2, bottom)], fill=_BILABIAL)
            if right - left >= _NARROWEST:
                self.pen.text((left, bottom + 7), phone.name, fill=ink)
