"""Curves drawn over time that edit motion: what the text of the motion editor holds, and its value at any time.

    {"version": 1, "lanes": {"brows": {"muted": false, "curves": [
        {"mode": "add", "shape": "smooth", "fade": 0.2, "points": [[0.5, 3.0], [1.2, 0.0]]}]}}}

A curve acts from its first point to its last, and fades in and out over `fade` seconds outside them. Times are seconds of the
audio, whatever the frame rate; the values' unit is the lane's. docs/editor.md#the-format is for users; web/js/editor/curves.js
is the same in the page.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from .errors import TalkingHeadsError
from .json_files import json_object, parse_json
from .schema import Unfit, flag, many, real, record, text, whole

VERSION = 1
LONGEST_TEXT = 1 << 20  # characters
LONGEST_TIME = 36_000.0  # s
LONGEST_FADE = 5.0  # s
FADE = 0.2  # s, unless a curve says otherwise
MOST_CURVES, MOST_POINTS = 500, 5000  # in a lane, in a curve
NAME = "the motion editor's edits"
_DO = "Press Clear on the node's editor, or mend the text"

Mode: TypeAlias = Literal["add", "replace"]
Shape: TypeAlias = Literal["smooth", "linear", "hold"]
MODES: tuple[Mode, ...] = ("add", "replace")
SHAPES: tuple[Shape, ...] = ("smooth", "linear", "hold")

_CURVE = record({"points": many(many(real(-1e6, 1e6), count=2), most=MOST_POINTS)},
                {"mode": text(choices=MODES), "shape": text(choices=SHAPES), "fade": real(0, LONGEST_FADE)})
_LANE = record({"curves": many(_CURVE, most=MOST_CURVES)}, {"muted": flag()})


@dataclass(frozen=True)
class Lane:
    """What can be edited: one number for each frame.

    Attributes:
        name: in the text, forever. least, most: of the edited value; one that is beyond them already stays where it is.
    """

    name: str
    least: float
    most: float
    unit: str  # "mm", "degrees", "" for a share or an intensity


@dataclass(frozen=True)
class Curve:
    """A piece of a lane: control points and what is between them."""

    times: np.ndarray  # float64 [N], s, increasing
    values: np.ndarray  # float64 [N], the lane's unit; added to the motion's own value, or in its place
    mode: Mode = "add"
    shape: Shape = "smooth"
    fade: float = FADE  # s on either side

    def value(self, time: np.ndarray) -> np.ndarray:  # float64 [T] s -> [T]
        """Between the points as `shape` says; before the first and after the last theirs."""
        at = np.clip(time, self.times[0], self.times[-1])
        if len(self.times) == 1:
            return np.full(len(at), self.values[0])
        left = np.clip(np.searchsorted(self.times, at, "right") - 1, 0, len(self.times) - 2)
        if self.shape == "hold":
            return np.where(at >= self.times[-1], self.values[-1], self.values[left])
        width = self.times[left + 1] - self.times[left]
        x, a, b = (at - self.times[left]) / width, self.values[left], self.values[left + 1]
        if self.shape == "linear":
            return a * (1 - x) + b * x
        slopes = _slopes(self.times, self.values)
        m, n = slopes[left] * width, slopes[left + 1] * width
        return (((2 * x - 3) * x * x + 1) * a + ((x - 2) * x + 1) * x * m + (3 - 2 * x) * x * x * b + (x - 1) * x * x * n)

    def weight(self, time: np.ndarray) -> np.ndarray:  # float64 [T] s -> [T] 0..1
        """How far it acts: 1 between its ends, a smooth step down to 0 over `fade` outside them."""
        away = np.maximum(np.maximum(self.times[0] - time, time - self.times[-1]), 0)
        x = np.clip(1 - away / self.fade, 0, 1) if self.fade else (away == 0).astype(float)
        return x * x * (3 - 2 * x)


@dataclass(frozen=True)
class Edits:
    """The curves of every lane that acts; muted and empty lanes are left out."""

    lanes: Mapping[str, tuple[Curve, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.lanes)

    def edited(self, lane: Lane, own: np.ndarray, fps: float) -> np.ndarray:  # float64 [T] -> [T]
        """A lane's values with its curves applied, one after the other; NaN (unknown) stays so except in "replace". Values that
        no curve reaches keep their bits."""
        return self.edited_at(lane, own, (np.arange(len(own)) + 0.5) / fps)

    def edited_at(self, lane: Lane, own: np.ndarray, time: np.ndarray) -> np.ndarray:  # float64 [T], [T] s -> [T]
        """The same, of values at any times."""
        out = own
        for curve in self.lanes.get(lane.name, ()):
            weight, value = curve.weight(time), curve.value(time)
            if curve.mode == "add":
                new = out + weight * value
            else:
                known = np.where(np.isnan(out), value, out)
                new = np.where(weight == 1, value, known + weight * (value - known))
            out = np.where(weight > 0, new, out)
        if out is own:
            return own
        within = np.clip(out, np.fmin(lane.least, own), np.fmax(lane.most, own))
        return np.where((out == own) | np.isnan(out), own, within)


def parsed_edits(edits: str, lanes: Sequence[Lane]) -> Edits:
    """The curves in the motion editor's text; none in an empty one.

    Args:
        lanes: that there are; their names may stand in the text.
    Raises:
        TalkingHeadsError: no such text; it names the lane that is wrong.
    """
    if not edits.strip():
        return Edits()
    value = json_object(parse_json(edits, NAME, longest=LONGEST_TEXT, do=_DO), NAME, _DO)
    known = {lane.name: lane for lane in lanes}
    _check(value, record({"version": whole(1, 10**6), "lanes": lambda lanes, where: lanes}), "The edits")
    if value["version"] > VERSION:
        raise TalkingHeadsError(f"The edits must be of version {VERSION}", f"version {value['version']}", "Update Talking Heads")
    if not isinstance(value["lanes"], Mapping):
        raise TalkingHeadsError("The edits' lanes must be an object", type(value["lanes"]).__name__, _DO)
    found = {}
    for name, entry in value["lanes"].items():
        if name not in known:
            raise TalkingHeadsError(f"The edits' lanes must be among {', '.join(known)}", f"'{name}'",
                                    "Copy edits between nodes of the same kind only")
        _check(entry, _LANE, f"Lane '{name}' of the edits")
        curves = tuple(_curve(known[name], one) for one in entry["curves"] if one["points"])
        if curves and not entry.get("muted", False):
            found[name] = curves
    return Edits(found)


def _check(value: Any, check: Any, what: str) -> None:
    try:
        check(value, "")
    except Unfit as error:
        where = f"{what}: {error.where}" if error.where else what
        raise TalkingHeadsError(f"{where} must be {error.must}", str(error).rpartition(", not ")[2], _DO) from error


def _curve(lane: Lane, entry: Mapping[str, Any]) -> Curve:
    """Raises:
        TalkingHeadsError: times that do not increase, or values that the lane does not have.
    """
    mode = entry.get("mode", "add")
    times, values = np.array(entry["points"], float).T
    if not ((times >= 0) & (times <= LONGEST_TIME)).all() or not (np.diff(times) > 0).all():
        raise TalkingHeadsError(f"Lane '{lane.name}' of the edits: times must increase within 0..{LONGEST_TIME:g} s",
                                f"{[round(float(t), 3) for t in times[:6]]}", _DO)
    reach = lane.most - lane.least
    least, most = (-reach, reach) if mode == "add" else (lane.least, lane.most)
    if not ((values >= least) & (values <= most)).all():
        wrong = values[(values < least) | (values > most)][0]
        raise TalkingHeadsError(f"Lane '{lane.name}' of the edits: values must be in {least:g}..{most:g} {lane.unit}".rstrip(),
                                f"{wrong:g}", _DO)
    return Curve(times, values, mode, entry.get("shape", "smooth"), float(entry.get("fade", FADE)))


def _slopes(times: np.ndarray, values: np.ndarray) -> np.ndarray:  # [N], [N] -> [N] per s
    """Of the monotone cubic through the points (Fritsch and Butland): it overshoots nowhere, and is level at both ends."""
    width, slopes = np.diff(times), np.zeros(len(times))
    rise = np.diff(values) / width
    a, b, same = rise[:-1], rise[1:], rise[:-1] * rise[1:] > 0
    p, q = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    slopes[1:-1][same] = ((p + q)[same] / (p[same] / a[same] + q[same] / b[same]))
    return slopes
