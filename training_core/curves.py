"""The curves of a training, thinned out so that an hour or a week of them can be sent and drawn at once."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST = 240  # points of a curve
LOSS, QUALITY, LIPS, RATE = "loss", "image quality (dB)", "lip correlation", "learning rate"
SHOWN: Mapping[str, tuple[str, str]] = {  # of a report's figures: the chart it is drawn in, what it is called there
    "loss": (LOSS, "loss"),
    "reconstruction": (LOSS, "reconstruction"),
    "velocity": (LOSS, "velocity"),
    "discriminators": (LOSS, "discriminators"),
    "val_loss": (LOSS, "held-out loss"),
    "psnr": (QUALITY, "PSNR"),
    "val_psnr": (QUALITY, "held-out PSNR"),
    "mouth": (QUALITY, "mouth PSNR"),
    "lip_correlation": (LIPS, "lip correlation"),
    "lr": (RATE, "learning rate"),
}


@dataclass
class Curve:
    """Values over steps. When there are more than MOST points, neighbours are averaged: each stands for twice as many steps."""

    steps: list[int] = field(default_factory=list)  # the last step of each point
    values: list[float] = field(default_factory=list)  # means
    stride: int = 1  # values a point
    _sum: float = 0.0  # of the values since the last point
    _count: int = 0
    _last: int = 0  # step of the newest value

    def add(self, step: int, value: float) -> None:
        """The next value; what is not finite, and what is still as it was, is left out (the line goes on level)."""
        if not math.isfinite(value) or (self.values and self.stride == 1 and value == self.values[-1]):
            return
        self._sum, self._count, self._last = self._sum + value, self._count + 1, step
        if self._count >= self.stride:
            self.steps.append(step)
            self.values.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self.steps) > MOST:
            self._thin()

    def points(self) -> tuple[list[int], list[float]]:
        """Steps and values, with a last point of what has come since."""
        if not self._count:
            return self.steps, self.values
        return [*self.steps, self._last], [*self.values, self._sum / self._count]

    def _thin(self) -> None:
        half = len(self.steps) // 2 * 2
        pairs = zip(self.values[:half:2], self.values[1:half:2])
        self.values = [(first + second) / 2 for first, second in pairs] + self.values[half:]
        self.steps = self.steps[1:half:2] + self.steps[half:]
        self.stride *= 2


class Curves:
    """All curves of a training, and where its phases begin."""

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.phases: list[tuple[int, str]] = []  # first step, what is said of it

    def add(self, step: int, info: Mapping[str, Any], phase: str = "") -> None:
        """Takes in the figures of a report."""
        found = {name: float(value) for name in SHOWN if isinstance(value := info.get(name), (int, float))}
        if found and phase and (not self.phases or self.phases[-1][1] != phase):
            self.phases.append((step, phase))
        for name, value in found.items():
            self.curves.setdefault(name, Curve()).add(step, value)

    def to_json(self) -> dict[str, Any]:
        """{"curves": [{"name", "label", "chart", "steps", "values"}], "phases": [[step, words]]}, all of it copies: another
        thread may send it when more has come."""
        rows = []
        for name, (chart, label) in SHOWN.items():
            steps, values = self.curves[name].points() if name in self.curves else ([], [])
            if steps:
                rows.append({"name": name, "label": label, "chart": chart, "stride": self.curves[name].stride,
                             "steps": list(steps),
                             "values": [float(f"{value:.5g}") for value in values]})
        return {"curves": rows, "phases": [list(phase) for phase in self.phases]}

    @classmethod
    def until(cls, record: Mapping[str, Any], done: int) -> Curves:
        """Those of an earlier record (`to_json`) up to step `done`; what is not as it should be is left out."""
        found = cls()
        for row in _lists(record, "curves"):
            if isinstance(row, dict) and row.get("name") in SHOWN:
                pairs = [(step, value) for step, value in zip(_lists(row, "steps"), _lists(row, "values"))
                         if type(step) is int and isinstance(value, (int, float)) and math.isfinite(value) and step <= done]
                stride = row.get("stride")
                found.curves[row["name"]] = Curve([step for step, _ in pairs], [float(value) for _, value in pairs],
                                                  stride if type(stride) is int and 1 <= stride < 2 ** 31 else 1)
        found.phases = [(phase[0], phase[1]) for phase in _lists(record, "phases")
                        if isinstance(phase, list) and len(phase) == 2 and type(phase[0]) is int and isinstance(phase[1], str)
                        and phase[0] <= done]
        return found


def _lists(record: Mapping[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []
