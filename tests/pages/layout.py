"""Where the nodes stand: columns from left to right, groups in them, growing previews and players with the free height."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .sizes import BADGE, GROWS, PLAYER, TITLE, note_height

WINDOW, ZOOM = (1600, 1000), 0.7  # the window that every template must fit, and the zoom that it must reach there
FIT = 0.75  # of the window: what the page leaves for the graph when it opens a template
PADDING = 10  # that the page adds around the nodes
WIDTH = WINDOW[0] * FIT / ZOOM - 2 * PADDING  # px of the graph: as wide ...
HEIGHT = WINDOW[1] * FIT / ZOOM - 2 * PADDING - TITLE  # ... and as high, from the first node's place
GAP = TITLE + BADGE  # between a node and the place of the next in its group
BAND, EDGE = 34, 12  # a group's title, and its frame beyond its nodes
GROUP_GAP = EDGE + 6 + BAND + TITLE  # between the last node of a group and the first of the next
COLOURS = {"Input": "#5b9bd5", "Recording": "#5b9bd5", "Face": "#c77dbb", "Dataset": "#c77dbb", "Landmarks": "#9a86e0",
           "Speech": "#d9b44a", "New speech": "#d9b44a", "Motion": "#6fbf73", "Training": "#e0954a", "Video": "#e07a6a",
           "Report": "#c77dbb"}
NOTE = "note"


@dataclass
class Box:
    """A node's place and size; its title stands above `y`."""

    x: float
    y: float
    width: float
    height: float

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def right(self) -> float:
        return self.x + self.width

    def meets(self, other: Box) -> bool:
        """Whether two nodes, titles included, lie on each other."""
        return self.x < other.right and other.x < self.right and self.y - TITLE < other.bottom and other.y - TITLE < self.bottom


@dataclass(frozen=True)
class Plan:
    """Columns of node ids, from the left, and the group of each; the note is in none."""

    columns: Sequence[Sequence[str]]
    groups: Mapping[str, Sequence[str]]  # title -> ids
    widths: Sequence[float] = ()  # of the columns, relative; all equal by default
    gutter: int = 60
    width: float = WIDTH

    def group_of(self, node: str) -> str | None:
        return next((title for title, members in self.groups.items() if node in members), None)


def place(plan: Plan, kinds: Mapping[str, str], least: Mapping[str, int], note: str) -> dict[str, Box]:
    """Boxes of all nodes; the first column begins at (0, 0).

    Args:
        kinds: node type by id.
        least: height that each needs at any width; a player and the note need more in a wide or narrow column.
        note: Markdown.
    """
    shares = list(plan.widths) or [1.0] * len(plan.columns)
    unit = (plan.width - plan.gutter * (len(plan.columns) - 1)) / sum(shares)
    boxes, x = {}, 0.0
    for column, share in zip(plan.columns, shares):
        for node in column:
            wide = round(unit * share)
            boxes[node] = Box(round(x), 0, wide, note_height(note, wide) if node == NOTE else
                              least[node] + (wide if kinds[node] in PLAYER else 0))
        x += unit * share + plan.gutter
    _stack(plan, boxes)
    foot = max(box.bottom for box in boxes.values())
    for column in reversed(plan.columns):
        _grow(plan, column, boxes, kinds, foot)
    return boxes


def _stack(plan: Plan, boxes: Mapping[str, Box]) -> None:
    """Downwards in each column; a group begins below all that stands above it in any of its columns."""
    moved = True
    while moved:
        moved = False
        for column in plan.columns:
            for above, node in zip(column, column[1:]):
                if boxes[node].y < boxes[above].bottom + _gap(plan, above, node):
                    boxes[node].y, moved = boxes[above].bottom + _gap(plan, above, node), True
        for members in plan.groups.values():
            tops = {node: boxes[node].y for column in plan.columns for node in [n for n in column if n in members][:1]}
            for node, top in tops.items():
                if top < max(tops.values()):
                    boxes[node].y, moved = max(tops.values()), True


def _gap(plan: Plan, above: str, node: str) -> float:
    one, other = plan.group_of(above), plan.group_of(node)
    return GAP if one == other and one is not None else GROUP_GAP


def _grow(plan: Plan, column: Sequence[str], boxes: Mapping[str, Box], kinds: Mapping[str, str], foot: float) -> None:
    """Shares a column's free height out, from one fixed place to the next: a group of several columns stays where it is."""
    fixed = {node for node in column if not set(plan.groups.get(plan.group_of(node) or "", ())) <= set(column)}
    runs: list[list[str]] = []
    for node in column:
        begins = not runs or plan.group_of(node) != plan.group_of(runs[-1][-1]) and node in fixed
        runs.append([node]) if begins else runs[-1].append(node)
    for i, run in enumerate(runs):
        end = boxes[runs[i + 1][0]].y - GROUP_GAP if i + 1 < len(runs) else foot
        free = end - boxes[run[-1]].bottom
        shares = {node: GROWS.get(kinds[node], 0.0) for node in run}
        if free <= 0 or not any(shares.values()):
            continue
        shift = 0.0
        for node in run:
            more = round(free * shares[node] / sum(shares.values()))
            boxes[node].y += shift
            boxes[node].height += more
            shift += more


def frames(plan: Plan, boxes: Mapping[str, Box]) -> list[dict]:
    """The groups as the page saves them."""
    found = []
    for number, (title, members) in enumerate(plan.groups.items(), 1):
        inside = [boxes[node] for node in members]
        left, top = min(box.x for box in inside) - EDGE, min(box.y for box in inside) - TITLE - BAND
        right, bottom = max(box.right for box in inside) + EDGE, max(box.bottom for box in inside) + EDGE
        found.append({"id": number, "title": title, "bounding": [left, top, right - left, bottom - top],
                      "color": COLOURS[title], "font_size": 22, "flags": {}})
    return found


def zoom_to_fit(boxes: Sequence[Box]) -> float:
    """The zoom at which the page opens a template in WINDOW."""
    width = max(box.right for box in boxes) - min(box.x for box in boxes) + 2 * PADDING
    height = max(box.bottom for box in boxes) - min(box.y for box in boxes) + TITLE + 2 * PADDING
    return min(FIT * WINDOW[0] / max(width, 300), FIT * WINDOW[1] / max(height, 300))
