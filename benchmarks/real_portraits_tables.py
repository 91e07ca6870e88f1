"""The lines and the report of `real_portraits.py`."""
from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import real_portraits_figures as figures
import torch

if TYPE_CHECKING:
    from real_portraits import Row

Check = Callable[[float, "Row"], bool]
AMPLITUDE = (0.9, 1.15)
CAUSES = Path(__file__).with_name("real_portraits_causes.txt")
NAMES = {"r": "r to what was fed", "amplitude": "amplitude", "shut": "read where shut", "first": "frame 0 off",
         "above": "above nose off", "sharpness": "sharpness", "old": "r to the old lips", "old fed": "(of fed)",
         "untouched": "untouched", "unseen": "no face",
         "ms": "ms", "prepare": "prepare s"}
WANTED: dict[str, dict[str, tuple[str, Check]]] = {
    "image": {"r": (">= .95", lambda v, row: v >= 0.95),
              "amplitude": (".9 to 1.15", lambda v, row: AMPLITUDE[0] <= v <= AMPLITUDE[1]),
              "shut": ("<= .02", lambda v, row: v <= 0.02), "first": ("0", lambda v, row: v == 0),
              "above": ("0", lambda v, row: v == 0), "sharpness": (">= .95", lambda v, row: v >= 0.95),
              "ms": ("<= 40", lambda v, row: v <= 40), "prepare": ("", lambda v, row: True)},
    "video": {"r": (">= .9", lambda v, row: v >= 0.9),
              "amplitude": (".9 to 1.15", lambda v, row: AMPLITUDE[0] <= v <= AMPLITUDE[1]),
              "old": ("<= (of fed) + .1", lambda v, row: no_shine(v, row)), "old fed": ("", lambda v, row: True),
              "above": ("0", lambda v, row: v == 0), "sharpness": ("", lambda v, row: True),
              "untouched": ("", lambda v, row: True), "unseen": ("", lambda v, row: True),
              "ms": ("<= 40", lambda v, row: max(row.size) > 512 or v <= 40), "prepare": ("", lambda v, row: True)}}


def no_shine(old: float, row: Row) -> bool:
    """Whether the result follows the old lips no more than what was fed does by accident, or the old lips hardly moved."""
    return old <= row.values["old fed"] + 0.1 or row.values["old moves"] < figures.SPEAKS


def failed(row: Row) -> list[str]:
    """The figures that miss what is wanted; those that cannot be measured (NaN) are not counted."""
    if row.refused:
        return ["refused"]
    return [name for name, (_, good) in WANTED[row.kind].items() if np.isfinite(row.values[name])
            and not good(row.values[name], row)]


def cell(name: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    if name in ("first", "above", "unseen", "ms"):
        return f"{value:.0f}"
    return f"{value:.1f}" if name == "prepare" else f"{value:.3f}" if name in ("r", "shut") else f"{value:.2f}"


def line(row: Row) -> str:
    if row.refused:
        return f"{row.name}: REFUSED {row.refused}"
    values = ", ".join(f"{NAMES[name]} {cell(name, row.values[name])}" for name in WANTED[row.kind])
    return f"{row.name} {row.size[1]}x{row.size[0]}: {values}" + (f"  MISSES {', '.join(failed(row))}" if failed(row) else "")


def report(rows: Sequence[Row], args: argparse.Namespace) -> str:
    only = f" --only '{args.only}'" if args.only else ""
    lines = ["# Real photographs and videos speak", "",
             f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores (load {os.getloadavg()[0]:.1f}), torch "
             f"{torch.__version__}, one thread; `python benchmarks/real_portraits.py FOLDER{only} --seconds {args.seconds:g}`; "
             f"images made smaller to {args.largest} px at most.", "",
             "Audio -> AToM's demo weights -> motion -> carrier; what is made is tracked again by the tracker \"people\". "
             "Openings in distances of the outer eye corners, in the face's axes. *r*, *amplitude*: opening seen against that "
             "asked for, correlation and ratio of deviations. *Read where shut*: mean opening seen in frames asked to be shut "
             "(< .01). *Frame 0 off*, *above nose off*: largest difference from the source, 0 to 255. *Sharpness*: mean "
             "Laplacian of the lower face over the source's, median. *r to the old lips*: of the result to the video's own; "
             "(of fed): of the motion to them, which is accident. *Untouched*: part of the pixels equal to the source's. *ms*: "
             "processor time to draw a frame, median; *prepare*: of the first frame (videos: their track is given).", ""]
    for kind in ("image", "video"):
        chosen = [row for row in rows if row.kind == kind]
        if chosen:
            lines += [f"## {kind.capitalize()}s", "", *totals(kind, chosen), "", *each(kind, chosen), ""]
    causes = read_causes()
    told = [f"- {row.name}: {why}" for row in rows for name, why in causes if flat(row.name).endswith(flat(name))]
    if told:
        lines += ["## Seen by eye, and why figures are missed", "", *told, ""]
    return "\n".join(lines)


def read_causes() -> list[tuple[str, str]]:
    """Lines "path: words" of CAUSES."""
    lines = [line.partition("#")[0].strip() for line in CAUSES.read_text(encoding="utf-8").splitlines()]
    return [(name.strip(), words.strip()) for name, _, words in (line.partition(":") for line in lines if line)]


def flat(name: str) -> str:
    return name.replace("/", "_").lower()


def totals(kind: str, rows: Sequence[Row]) -> list[str]:
    done = [row for row in rows if not row.refused]
    lines = ["| figure | wanted | median | worst | fail |", "|---|---|---|---|---|"]
    for name, (wanted, good) in WANTED[kind].items():
        values = np.array([row.values[name] for row in done])
        known = values[np.isfinite(values)]
        if not len(known):
            continue
        missed = sum(np.isfinite(row.values[name]) and not good(row.values[name], row) for row in done)
        lines.append(f"| {NAMES[name]} | {wanted} | {cell(name, float(np.median(known)))} | {cell(name, worst(name, known))} | "
                     + (f"{missed} of {len(known)} |" if wanted else "|"))
    sound = sum(not failed(row) for row in rows)
    return [*lines, "", f"All wanted figures met: {sound} of {len(rows)}; refused: {len(rows) - len(done)}."]


def worst(name: str, values: np.ndarray) -> float:
    if name == "amplitude":
        return float(values[np.argmax(np.abs(values - 1))])
    return float(values.min() if name in ("r", "sharpness", "untouched", "old fed") else values.max())


def each(kind: str, rows: Sequence[Row]) -> list[str]:
    names = list(WANTED[kind])
    lines = ["| file | px | " + " | ".join(NAMES[name] for name in names) + " | misses |", "|---" * (len(names) + 3) + "|"]
    for row in rows:
        if row.refused:
            lines.append(f"| {row.name} | | " + " | " * len(names) + f"refused: {row.refused} |")
            continue
        cells = " | ".join(cell(name, row.values[name]) for name in names)
        lines.append(f"| {row.name} | {row.size[1]} x {row.size[0]} | {cells} | {', '.join(failed(row))} |")
    return lines
