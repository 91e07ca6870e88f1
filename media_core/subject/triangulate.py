"""Triangles over the face's points: Delaunay, with given edges forced in, and explicit strips between the rings of the lips."""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .layout import EYES, LIPS, OVAL, SKIN

_BEHIND = 120.0  # photo pixels from the middle of the face's outline to the point it is unwrapped about


def face_triangles(mesh: np.ndarray) -> np.ndarray:  # [468, 3] photo pixels and depth -> [F, 3]
    """Triangles over the skin, with holes for the mouth and the eyes; all wound the same way.

    The four rings of the lips must stay strips when the lips move, so they are joined by hand. Everything around them is a
    Delaunay triangulation of the unwrapped face that keeps the outline of lips, eyes and face.
    """
    points = unwrapped(mesh)
    outer = np.setdiff1d(np.arange(SKIN), LIPS[1:])
    triangles = outer[delaunay(points[outer])]
    for ring in (LIPS[0], OVAL, *EYES):
        triangles = force_edges(points, triangles, zip(ring, np.roll(ring, -1)))
    centre = points[triangles].mean(1)
    keep = inside(points[list(OVAL)], centre)
    for ring in (LIPS[0], *EYES):
        keep &= ~inside(points[ring], centre)
    return wound(points, np.concatenate([triangles[keep], _strips(LIPS)]))


def unwrapped(mesh: np.ndarray) -> np.ndarray:  # [N, 3] -> [N, 2]
    """The face as a flat map: directions seen from a point behind it, equal angles equally far from the middle.

    Seen from the front, the points at the temples lie almost on one line, and triangles made there would be folded when the head
    turns; on the map they are spread out.
    """
    centre = mesh[[234, 454, 10, 152]].mean(0) + [0, 0, _BEHIND]
    ray = mesh - centre
    sideways = np.sqrt((ray[:, :2] ** 2).sum(1))
    return ray[:, :2] * (np.arctan2(sideways, -ray[:, 2]) / np.maximum(sideways, 1e-9))[:, None]


def delaunay(points: np.ndarray) -> np.ndarray:  # [N, 2] -> [F, 3], in a fixed order
    """The Delaunay triangulation of points in the plane."""
    from scipy.spatial import Delaunay
    triangles = np.sort(Delaunay(points).simplices, 1).astype(np.int64)
    return triangles[np.lexsort(triangles.T[::-1])]


def force_edges(points: np.ndarray, triangles: np.ndarray, edges: Iterable[tuple[int, int]]) -> np.ndarray:
    """Flips diagonals until every wanted edge is there. Edges must not cross each other or pass through a point."""
    cells = {tuple(int(v) for v in t) for t in np.sort(triangles, 1)}
    for a, b in edges:
        for _ in range(200):
            if any(a in t and b in t for t in cells):
                break
            if not _flip_one(points, cells, int(a), int(b)):
                raise RuntimeError(f"edge {a}-{b} cannot be forced into the mesh")
    return np.array(sorted(cells), np.int64)


def _flip_one(points: np.ndarray, cells: set, a: int, b: int) -> bool:
    """Flips the first flippable diagonal that crosses a-b, preferring flips that remove a crossing."""
    crossing = []
    for first, second, diagonal, tips in _diagonals(cells):
        if _cross(points, a, b, *diagonal) and _cross(points, *tips, *diagonal):
            crossing.append((_cross(points, a, b, *tips), diagonal, tips, first, second))
    if not crossing:
        return False
    _, diagonal, tips, first, second = min(crossing)
    cells -= {first, second}
    cells |= {tuple(sorted((*tips, v))) for v in diagonal}
    return True


def _diagonals(cells: set):
    owner: dict[tuple[int, int], tuple] = {}
    for t in sorted(cells):
        for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            edge = (t[i], t[j])
            if edge in owner:
                other, tip = owner[edge]
                yield other, t, edge, (tip, t[k])
            else:
                owner[edge] = (t, t[k])


def _cross(points: np.ndarray, a: int, b: int, c: int, d: int) -> bool:
    """True when the open segments a-b and c-d cross; segments that share an end do not."""
    if len({a, b, c, d}) < 4:
        return False
    return _side(points, a, b, c) * _side(points, a, b, d) < 0 and _side(points, c, d, a) * _side(points, c, d, b) < 0


def _side(points: np.ndarray, a: int, b: int, c: int) -> float:
    (ax, ay), (bx, by), (cx, cy) = points[a], points[b], points[c]
    return float((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))


def _strips(rings: np.ndarray) -> np.ndarray:  # [R, N] -> [2 N, 3]
    """Two triangles for each quadrangle between neighbouring rings."""
    a, b = rings[:-1], rings[1:]
    a1, b1 = np.roll(a, -1, 1), np.roll(b, -1, 1)
    return np.concatenate([np.stack([a, a1, b], -1).reshape(-1, 3), np.stack([a1, b1, b], -1).reshape(-1, 3)])


def inside(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:  # [P, 2], [N, 2] -> bool [N]
    """Which points lie inside a simple polygon (even-odd rule)."""
    a, b = polygon[None], np.roll(polygon, -1, 0)[None]
    x, y = points[:, None, 0], points[:, None, 1]
    spans = (a[..., 1] > y) != (b[..., 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[..., 0] + (y - a[..., 1]) * (b[..., 0] - a[..., 0]) / (b[..., 1] - a[..., 1])
    return (spans & (x < at)).sum(1) % 2 == 1


def wound(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles, turned so that all have positive area."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    out = triangles.copy()
    out[area < 0] = out[area < 0][:, [0, 2, 1]]
    return out
