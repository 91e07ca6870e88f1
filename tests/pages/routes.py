"""Links around the nodes that they would run behind: through the gaps of the columns between, held by reroutes."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from math import dist

from .layout import Box
from .sizes import TITLE

Point = tuple[float, float]
CLEAR, LANE = 14, 7  # px from a column to a bend beside it; between the lanes of two outputs in one gap


def curve(start: Point, end: Point, steps: int = 48) -> Iterator[Point]:
    """Points of a link as the page draws it: out to the right, in from the left."""
    pull = 0.25 * dist(start, end)
    xs, ys = (start[0], start[0] + pull, end[0] - pull, end[0]), (start[1], start[1], end[1], end[1])
    for i in range(steps + 1):
        t = i / steps
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3
        yield sum(w * x for w, x in zip(weights, xs)), sum(w * y for w, y in zip(weights, ys))


def behind(path: Sequence[Point], boxes: Mapping[str, Box], own: Sequence[str]) -> set[str]:
    """The nodes, other than its `own`, that a link through `path` runs behind."""
    points = [point for start, end in pairwise(path) for point in curve(start, end)]
    return {name for name, box in boxes.items() if name not in own
            if any(box.x < x < box.right and box.y - TITLE < y < box.bottom for x, y in points)}


def route(start: Point, end: Point, columns: Sequence[Sequence[Box]], lane: int) -> list[Point]:
    """Bends from start to end through the gaps of the columns between: the way with the least up and down.

    Args:
        columns: boxes of the columns that are crossed, each from the top.
        lane: which of the lanes in a gap is this link's.
    """
    ways = product(*[_gaps(column) for column in columns])
    best = min(ways, key=lambda way: sum(abs(b - a) for a, b in pairwise([start[1], *way, end[1]])))
    bends: list[Point] = []
    for column, middle in zip(columns, best):
        y = round(middle + LANE * (lane % 3 - 1))
        bends += [(column[0].x - CLEAR, y), (column[0].right + CLEAR, y)]
    return bends


def _gaps(column: Sequence[Box]) -> list[float]:
    inner = [(above.bottom + below.y - TITLE) / 2 for above, below in pairwise(column)]
    return [column[0].y - TITLE - 2 * CLEAR, *inner, column[-1].bottom + CLEAR + LANE]
