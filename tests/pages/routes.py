"""Links around the nodes that they would run behind: through the gaps of the columns between, held by reroutes."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from math import atan2, copysign, cos, dist, pi, sin

from .layout import Box
from .sizes import TITLE

Point = tuple[float, float]
CLEAR, LANE = 16, 6  # px from a column to a bend beside it; between the lanes of two outputs
ABOVE = TITLE + 46 + CLEAR  # from a column's first node up to the lane over its group's title
TRIES = 6  # ways through the gaps that are looked at
GRAZE = 14  # px behind a node that a link may run: it is seen to turn, not to end there
STEEP = (150, 60)  # px up or down beyond which a link between two columns bulges behind them; tried in this order
BULGE = 80  # px: the page bends a link at most so far beside a reroute


def behind(path: Sequence[Point], boxes: Mapping[str, Box], own: Sequence[str]) -> set[str]:
    """The nodes, other than its `own`, that a link through `path` runs behind."""
    points = list(line(path))
    return {name for name, box in boxes.items() if name not in own
            if any(box.x + GRAZE < x < box.right - GRAZE and box.y - TITLE + GRAZE < y < box.bottom - GRAZE for x, y in points)}


def line(path: Sequence[Point]) -> Iterator[Point]:
    """Points of a link as the page draws it: out to the right, through the bends, in from the left."""
    angles = [0.0, *[_turn(before, at, after) for before, at, after in zip(path, path[1:], path[2:])], 0.0]
    for i, (start, end) in enumerate(pairwise(path)):
        reach = dist(start, end) / 4
        pulls = [reach if j in (0, len(path) - 1) else min(BULGE, reach) for j in (i, i + 1)]
        out = (start[0] + pulls[0] * cos(angles[i]), start[1] + pulls[0] * sin(angles[i]))
        into = (end[0] - pulls[1] * cos(angles[i + 1]), end[1] - pulls[1] * sin(angles[i + 1]))
        yield from _bezier(start, out, into, end)


def _turn(before: Point, at: Point, after: Point) -> float:
    """The direction in which a link passes a bend: halfway between where it comes from and where it goes."""
    into, out = atan2(at[1] - before[1], at[0] - before[0]), atan2(after[1] - at[1], after[0] - at[0])
    half = (into - out) / 2
    return into - (half + pi if abs(half) > pi / 2 else half)


def _bezier(start: Point, out: Point, into: Point, end: Point, steps: int = 40) -> Iterator[Point]:
    for i in range(steps + 1):
        t = i / steps
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3
        x, y = (sum(w * point[axis] for w, point in zip(weights, (start, out, into, end))) for axis in (0, 1))
        yield x, y


def routes(start: Point, end: Point, columns: Sequence[Sequence[Box]], lane: int) -> Iterator[list[Point]]:
    """Bends from start to end, through the gaps of the columns between; the ways with the least up and down come first.

    Args:
        columns: boxes of the columns from the source's to the target's, each from the top; within one column, that one.
        lane: tells the links of different outputs apart.
    """
    aside = LANE * (lane % 3 - 1)
    if len(columns) == 1:
        yield _around(start, end, columns[0], aside)
        return
    ways = product(*[_gaps(column) for column in columns[1:-1]])
    best = sorted(ways, key=lambda way: sum(abs(b - a) for a, b in pairwise([start[1], *way, end[1]])))
    for way, steep in product(best[:TRIES], STEEP):
        yield _bends(start, end, columns, way, steep, aside)


def _bends(start: Point, end: Point, columns: Sequence[Sequence[Box]], way: Sequence[float], steep: float,
           aside: float) -> list[Point]:
    bends: list[Point] = []
    for column, middle in zip(columns[1:-1], way):
        bends += [(column[0].x - CLEAR, round(middle + aside)), (column[0].right + CLEAR, round(middle + aside))]
    first, last = bends[0][1] if bends else end[1], bends[-1][1] if bends else start[1]
    near = _beside(start, first, (columns[0][0].right + columns[1][0].x) / 2 + aside, steep)
    far = _beside(end, last, (columns[-2][0].right + columns[-1][0].x) / 2 + aside, steep)
    return [*near, *bends, *far]


def _around(start: Point, end: Point, column: Sequence[Box], aside: float) -> list[Point]:
    """Down the gap to the right of a column, and back to the left above the target."""
    level = max(box.bottom for box in column if box.bottom < end[1]) + 10
    return [(column[0].right + CLEAR + aside, round(start[1] + 20)), (column[0].right + CLEAR + aside, level),
            (column[0].x - CLEAR, level)]


def _beside(socket: Point, level: float, x: float, steep: float) -> list[Point]:
    """A bend close to a socket, where the link turns up or down into the gap between two columns."""
    return [(round(x), round(socket[1] + copysign(20, level - socket[1])))] if abs(level - socket[1]) > steep else []


def _gaps(column: Sequence[Box]) -> list[float]:
    """Heights at which a link may pass a column: above it, closely below each node."""
    return [column[0].y - ABOVE, *[box.bottom + 10 for box in column[:-1]], column[-1].bottom + 2 * CLEAR]
