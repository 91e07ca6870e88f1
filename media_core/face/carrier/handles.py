"""How a face's mesh follows its 68 points: jaw, lips, lids and brows are set, the skin between follows smoothly.

What is solved once per person (`Handles`) serves every image of that person. Lengths are units (see `place.py`).
"""
from __future__ import annotations

import numpy as np

from ...subject.layout import (
    BROWS,
    EYE_CORNERS,
    EYES,
    FIXED,
    INNER_LIPS,
    JAW_LINE,
    LIDS,
    LIPS,
    POINTS_17_TO_67,
    SKIN,
)
from ...subject.rig import _follow as follow
from ...subject.triangulate import face_triangles
from .place import Place

_NOSE = [168, 197, 5, 4, 98, 97, 2, 326, 327, 64, 294]
_CHIN = JAW_LINE.index(152)
_SHUT = np.array([.93, .93, .40])  # of the gap between the lids that a closing upper lid goes
_UPPER_WAY = .25  # of the gap between open lips that the upper lip has gone
_FOLLOWS, _NEAR_BROW = .72, (3.0, 8.0)  # a lid's crease follows it, less the nearer it lies to the brow
_BROW_POINTS = ((17, 18, 19, 20, 21), (26, 25, 24, 23, 22))  # of the 68, outer to inner, the subject's right and left
_LID_POINTS = (((36, 37, 38, 39), (36, 41, 40, 39)), ((45, 44, 43, 42), (45, 46, 47, 42)))  # upper, lower lid, outer to inner
_ARCH = 3.6, 2.5  # powers of the arches in which the outer and the inner edge of lips open; as real mouths do
_OPEN = .8  # units; lips nearer than this are shut
_LID_AT = (-1, 2, 4, 7)  # where those four lie among a lid's seven points


class Handles:
    """Triangles and follow weights of one person.

    Args:
        mesh: float [>= 468, 3] px, z smaller = nearer; of a video a frame with shut lips.
    """

    def __init__(self, mesh: np.ndarray):
        place = Place.of(mesh)
        self.rest = place.own  # [468, 3]
        self.triangles = face_triangles(np.asarray(mesh, np.float64)[:SKIN] * place.k)  # [F, 3]
        self.handles, self.free = _handles(self.triangles)
        self.weights = follow(self.rest, self.triangles, self.handles, self.free)  # [free, handles]
        self.lip_rings = [_ring(self.rest, LIPS[ring], POINTS_17_TO_67[points], power)
                          for ring, points, power in ((0, slice(31, 43), _ARCH[0]), (3, slice(43, 51), _ARCH[1]))]
        self.eyes = [_strip(ring) for ring in EYES]  # triangles between upper and lower lid
        self.mouth = _strip(INNER_LIPS)  # triangles over the mouth
        self.seam = self._seam()  # the middle of the shut mouth
        self._brow_reach = [_reach(self.rest, crease, brow) for (_, _, crease), (_, brow) in zip(LIDS, BROWS)]

    def moved(self, points: np.ndarray, own: np.ndarray | None = None, *, blink: float = 0.0, brows: float = 0.0,
              upper: bool = False, evenly: bool = False) -> np.ndarray:
        """Displacement of the mesh, [468, 3] units.

        Args:
            points: [68, 3] displacement of the 68 points, units; of these the jaw (0-16) and the mouth (48-67) are used.
            own: [468, 3] the face as it is now; None: as at rest.
            blink: 0 lids as they are, 1 shut.
            brows: 0 as they are, 1 raised as far as speech raises them.
            upper: use brows, lids and nose (17-47) of `points` too.
            evenly: open lips that close do so up to their corners, where the 68 points tell too little.
        """
        own = self.rest if own is None else own
        move = np.zeros((SKIN, 3))
        _move_jaw(move, own, points)
        self._move_lips(move, points, own if evenly else None)
        if upper:
            _move_upper(move, points)
        if brows:
            _raise_brows(move, brows)
        if blink > 0:
            _shut_lids(move, own, blink)
        for side, (up, _, crease) in enumerate(LIDS):
            lid = move[up] * (_FOLLOWS * self._brow_reach[side])[:, None]
            move[crease] = lid + move[BROWS[side][1]].mean(0) * (1 - self._brow_reach[side])[:, None]
        move[self.free] = self.weights @ move[self.handles]
        return move

    def _seam(self) -> np.ndarray:  # [3]
        """Of open lips the lower one has gone most of the way."""
        middle = self.rest[13] + _UPPER_WAY * (self.rest[14] - self.rest[13])
        return np.array([self.rest[[78, 308], 0].mean(), middle[1], middle[2]])

    def _move_lips(self, move: np.ndarray, points: np.ndarray, closing: np.ndarray | None) -> None:
        """The 12 and 8 lip points round the outer and the inner ring; the two rings between take their parts."""
        outer, inner = (ring @ part for ring, part in zip(self.lip_rings, (points[48:60], points[60:68])))
        if closing is not None:
            inner = _kept_apart(_evenly_closed(inner, closing[INNER_LIPS]), closing[INNER_LIPS])
        for ring, part in enumerate((0, 1 / 3, 2 / 3, 1)):
            move[LIPS[ring]] = outer * (1 - part) + inner * part


def _move_jaw(move: np.ndarray, own: np.ndarray, points: np.ndarray) -> None:
    """The 17 points of the jaw along either side of the face's edge."""
    line = np.array(JAW_LINE)
    for part, known in ((slice(0, _CHIN + 1), points[:9]), (slice(_CHIN, None), points[8:17])):
        way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(own[line[part]], axis=0), axis=1))])
        at = way / max(way[-1], 1e-9) * 8
        move[line[part]] = np.stack([np.interp(at, np.arange(9), axis) for axis in known.T], 1)


def _move_upper(move: np.ndarray, points: np.ndarray) -> None:
    """Brows, nose and lids as the 68 points have them."""
    for (upper, lower), names in zip(BROWS, _BROW_POINTS):
        move[upper] = move[lower] = points[list(names)]
    move[list(POINTS_17_TO_67[10:19])] = points[27:36]
    for (up, low, _), (over, under) in zip(LIDS, _LID_POINTS):
        for row, names in ((up, over), (low, under)):
            move[row] = np.stack([np.interp(np.arange(7), _LID_AT, axis) for axis in points[list(names)].T], 1)
    move[EYE_CORNERS] = points[[36, 39, 45, 42]]


def _raise_brows(move: np.ndarray, amount: float) -> None:
    along = np.arange(5) / 4  # outer to inner, as the subject's rig raises them
    lift = amount * (1.6 * along ** 1.3 + 1.5 * (1 - along) ** 1.2 * np.where(along < .8, 1, .2) + .6)
    for edges in BROWS:
        for edge in edges:
            move[edge] += np.stack([np.zeros(5), -lift, np.zeros(5)], 1)


def _shut_lids(move: np.ndarray, own: np.ndarray, blink: float) -> None:
    for up, low, _ in LIDS:
        gap = own[low] + move[low] - own[up] - move[up]
        move[up] += gap * _SHUT * blink + np.array([0, 0, -blink])
        move[low] -= gap * .05 * blink


def _handles(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points that are set, and those that follow."""
    lids, brows = ([i for side in sides for row in side for i in row] for sides in (LIDS, BROWS))
    handles = np.unique([*FIXED, *EYE_CORNERS, *brows, *lids, *_NOSE, *JAW_LINE, *LIPS.ravel().tolist()])
    return handles, np.setdiff1d(np.unique(triangles), handles)


def _ring(rest: np.ndarray, ring: np.ndarray, points: list[int], power: float) -> np.ndarray:  # -> [20, n]
    """What each point of a ring of lips takes of the movement of the 68's n points that lie on it. Towards the corners, where
    none lie, lips open like an arch, 1 - |x|^power: a straight way there would make the mouth a rhombus."""
    at = [int(np.flatnonzero(ring == i)[0]) for i in points]
    across = rest[ring, 0]
    arch = 1 - np.clip(np.abs(2 * across - across[0] - across[10]) / max(abs(float(across[10] - across[0])), 1e-6), 0, 1) ** power
    out, order = np.zeros((len(ring), len(at))), np.argsort(at)
    for before, after in zip(order, np.roll(order, -1)):
        steps = (at[after] - at[before]) % len(ring)
        low, high = arch[at[before]], arch[at[after]]
        for step in range(steps):
            i = (at[before] + step) % len(ring)
            part = step / steps
            if {at[before], at[after]} & {0, 10} and abs(high - low) > 1e-6:
                part = float(np.clip((arch[i] - low) / (high - low), 0, 1))
            out[i, before] += 1 - part
            out[i, after] += part
    return out


def _evenly_closed(move: np.ndarray, own: np.ndarray) -> np.ndarray:  # [20, 3], [20, 3] -> [20, 3]
    """Open lips that close do so up to their corners, as far as in their middle: what the 68 points tell leaves slits there."""
    low, high = np.arange(1, 10), 20 - np.arange(1, 10)  # lower and upper lip, facing one another
    before = own[low, 1] - own[high, 1]
    after = before + move[low, 1] - move[high, 1]
    known = [3, 4, 5]  # of those nine pairs, with points of the 68
    if before[known].min() < _OPEN:
        return move
    part = np.interp(np.arange(9), known, after[known] / before[known])  # what is left of each gap
    excess = np.where((part < 1) & (before > 0), np.maximum(after - np.maximum(part, 0) * before, 0), 0)
    out = move.copy()
    out[low, 1] -= excess / 2
    out[high, 1] += excess / 2
    return out


def _kept_apart(move: np.ndarray, own: np.ndarray) -> np.ndarray:  # [20, 3], [20, 3] -> [20, 3]
    """Lips meet and cross no further than they do in the image: where two edges overlap, their dark line breaks into dots."""
    low, high = np.arange(1, 10), 20 - np.arange(1, 10)
    before = own[low, 1] - own[high, 1]
    over = np.maximum(np.minimum(before, 0) - (before + move[low, 1] - move[high, 1]), 0)
    out = move.copy()
    out[low, 1] += over / 2
    out[high, 1] -= over / 2
    return out


def _strip(ring: np.ndarray) -> np.ndarray:  # closed, its ends at 0 and n / 2 -> [F, 3]
    """Triangles between the two edges of a ring."""
    n = len(ring)
    out = []
    for i in range(n // 2):
        a, b, c, d = ring[i], ring[i + 1], ring[(n - i) % n], ring[n - i - 1]
        out += [(a, b, c), (b, d, c)]
    return np.array([t for t in out if len(set(t)) == 3])


def _reach(rest: np.ndarray, crease: list[int], brow: list[int]) -> np.ndarray:  # [7]
    """How far each point of a lid's crease may follow the lid; else deep-set eyes would drag the brow down."""
    far = np.linalg.norm(rest[crease][:, None, :2] - rest[brow][None, :, :2], axis=-1).min(1)
    low, span = _NEAR_BROW
    return np.clip((far - low) / span, .15, 1)
