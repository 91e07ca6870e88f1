"""The image as one elastic sheet with the face's mesh in it: where every pixel of a new frame comes from.

Outside the face the sheet follows the face's outline and fades out; with a turned head it follows the head down to the neck and
out to its surroundings, up to the image's edge. Displacements are interpolated, never places: what does not move stays to the
bit. Prepared once per image; a frame costs its box.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...subject.layout import INNER_LIPS, LIPS, OVAL
from ...subject.raster import Box, paint
from .handles import Handles
from .place import DISTANCE, JOINT, Place, Turn, smooth

_STEP = 3.0              # units between the sheet's nodes
_FADE = 2.2, 12.0, 34.0  # units outside the outline over which its own movement fades out: of that movement, least, most
_REACH = 62.0, 200.0     # units around the outline that may change: head still, head moving
_EDGE = 16.0             # units over which movement fades out towards the image's edge
_BEHIND, _ROUNDING = 40.0, 45.0   # units by which the sheet recedes, and how far from the face
_CALM = 40.0             # units outside the head over which its movement fades out
_HAIR = 45.0             # units outside the face that still move as far as the head does
_NECK = 34.0, 50.0       # units below the chin where nothing moves any more; over which it fades
_BLEND = 3.0             # units inside the outline over which the mesh takes over
_ROUNDS = 4              # of the fixed point that inverts the sheet
_MOVED = .02             # px; pixels that come from nearer than this are the image's own
_OUTLINE, _CHIN = list(OVAL), 152
_PULL = .45, .9          # of the way to the next ring from which a moved lip's inner edge comes, in the middle, at the corners
_PULL_AT = .55, .35      # parts of the mouth's half width at which the second begins, over which it grows
_CHANGED = 1.5           # units by which lips part or meet until that is whole


@dataclass(frozen=True)
class Field:
    """Where the pixels of a box come from."""

    box: Box
    x: np.ndarray  # float32 [h, w] px, column in the image
    y: np.ndarray  # float32 [h, w]
    moved: np.ndarray  # bool [h, w]: the others are the image's own pixels


class Sheet:
    """The sheet of one image (H x W px) with a face in `place`."""

    def __init__(self, size: tuple[int, int], place: Place, handles: Handles):
        self.size, self.place, self.handles = size, place, handles
        self._own = place.pixels(place.own)
        self._pulled = _edges_pulled(place.own)
        self._grids: dict[bool, _Grid] = {}

    def field(self, move: np.ndarray, turned: Turn | None = None, sway: tuple[float, float] = (0.0, 0.0)) -> Field:
        """Where a frame's pixels come from.

        Args:
            move: [468, 3] displacement of the mesh, units.
            turned: of the head.
            sway: right, down, of the shoulders, units.
        """
        place = self.place
        moving = turned is not None
        grid = self._grid(moving)
        still = place.pixels(place.own + move)
        to = place.pixels(place.own + move, turned) if moving else still
        forward = grid.followed((still - self._own)[_OUTLINE, :2], place.pixel)
        if turned is not None:
            forward = forward + grid.turned(place, turned, sway)
        back = _inverted(forward.reshape(*grid.shape, 2).astype(np.float32), grid)
        box = grid.box
        self._with_face(back, box, to, turned)
        moved = (np.abs(back[..., 0]) >= _MOVED) | (np.abs(back[..., 1]) >= _MOVED)
        x, y = np.arange(box.left, box.right, dtype=np.float32), np.arange(box.top, box.bottom, dtype=np.float32)
        return Field(box, x[None] + back[..., 0], y[:, None] + back[..., 1], moved)

    def _sources(self, to: np.ndarray) -> np.ndarray:  # [468, 3] px -> [468, 2] px
        """Where the mesh's points come from.

        Between an image's lips there is a dark line, or what an open mouth shows, which must not go along with them when they
        part or meet: their edges come from further out on the lips then. In pressed lips that line keeps its width: the lips'
        outer part gives way.
        """
        own, changed = self._own[:, :2], smooth(np.abs(_gaps(to) - _gaps(self._own)) * self.place.k / _CHANGED)
        around = np.concatenate([changed[:1], changed, changed[-1:], changed[::-1]])  # [20]
        out, inwards = own.copy(), own[LIPS[3]] - own[LIPS[2]]
        thin = np.linalg.norm(to[LIPS[3], :2] - to[LIPS[2], :2], axis=1) / np.maximum(np.linalg.norm(inwards, axis=1), 1e-6)
        gives = inwards * (1 - np.minimum(thin, 1))[:, None]
        out[LIPS[2]] += gives
        out[LIPS[1]] += gives / 2
        for ring, share in zip((3, 2), self._pulled):
            out[LIPS[ring]] += (own[LIPS[ring - 1]] - own[LIPS[ring]]) * (share * around)[:, None]
        return out

    def _grid(self, moving: bool) -> _Grid:
        if moving not in self._grids:
            self._grids[moving] = _Grid(self.size, self.place, self._own[_OUTLINE], moving)
        return self._grids[moving]

    def _with_face(self, back: np.ndarray, box: Box, to: np.ndarray, turned: Turn | None) -> None:
        """Lays the mesh's own displacement into `back` [h, w, 2]."""
        import cv2

        place, handles = self.place, self.handles
        part = _box_of(to[:, :2], 2, self.size)
        part = Box(max(part.left, box.left), max(part.top, box.top), min(part.right, box.right), min(part.bottom, box.bottom))
        if part.empty:
            return
        away = self._sources(to) - to[:, :2]
        field, drawn = paint(to[:, :2], to[:, 2], handles.triangles, away, part, 0)
        _under(field, drawn, part, to, handles.mouth, away)
        rigid = place.pixels(place.own, turned) if turned is not None else self._own
        for strip in handles.eyes:  # the eyes move with the head, not with the lids
            _under(field, drawn, part, rigid, strip, (self._own - rigid)[:, :2])
        outline = np.zeros(part.shape, np.uint8)
        flat = np.round((to[_OUTLINE, :2] - [part.left, part.top]) * 16).astype(np.int32)
        cv2.fillPoly(outline, [flat], 1, cv2.LINE_8, 4)
        amount = np.clip(cv2.distanceTransform(outline, cv2.DIST_L2, 3) / np.float32(_BLEND * place.pixel), 0, 1) * drawn
        rows, columns = slice(part.top - box.top, part.bottom - box.top), slice(part.left - box.left, part.right - box.left)
        inside = back[rows, columns]
        inside += (field - inside) * amount[..., None]


class _Grid:
    """The sheet's nodes over the box that may change."""

    def __init__(self, size: tuple[int, int], place: Place, outline: np.ndarray, moving: bool):
        import cv2

        unit = place.pixel
        self.box = _box_of(outline[:, :2], _REACH[moving] * unit, size)
        step = max(1.0, _STEP * unit)
        height, width = self.box.shape
        self.shape = int(np.ceil(height / step)) + 1, int(np.ceil(width / step)) + 1
        across = np.linspace(self.box.left, self.box.right - 1, self.shape[1])
        down = np.linspace(self.box.top, self.box.bottom - 1, self.shape[0])
        nodes = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
        to_nearest = np.linalg.norm(nodes[:, None] - outline[None, :, :2], axis=-1)
        mask = np.zeros(self.box.shape, np.uint8)
        cv2.fillPoly(mask, [np.round((outline[:, :2] - [self.box.left, self.box.top]) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        columns = np.clip(np.round(nodes[:, 0]).astype(int) - self.box.left, 0, width - 1)
        rows = np.clip(np.round(nodes[:, 1]).astype(int) - self.box.top, 0, height - 1)
        away = np.where(mask[rows, columns] > 0, 0, to_nearest.min(1)) / unit
        weight = np.exp(-(to_nearest / (5 * unit)) ** 2 / 2) + 1e-12 * np.exp(-(to_nearest / (30 * unit)) ** 2 / 2) + 1e-30
        weight /= weight.sum(1, keepdims=True)
        edge = _to_edge(nodes, size) / unit
        calm = smooth(edge / _EDGE)[:, None]
        self._follow, self._away = weight * (calm if moving else _kept_edge(edge)), away
        self.nodes = nodes
        if moving:
            down = (nodes - place.origin[:2]) @ place.axes[:2, 1] * place.k - place.own[_CHIN, 1]  # units below the chin
            self._depth = weight @ outline[:, 2] + _BEHIND * unit * smooth(away / _ROUNDING)
            self._neck = smooth((_NECK[0] - down) / _NECK[1])[:, None]
            self._calm = smooth(1 - np.maximum(away - _HAIR, 0) / _CALM)[:, None] * calm

    def followed(self, outline: np.ndarray, unit: float) -> np.ndarray:  # [36, 2] px -> [nodes, 2] px
        """The face's own movement outside of it. It fades out over as short a way as it can without folding."""
        far = float(np.linalg.norm(outline, axis=1).max()) / unit
        times, least, most = _FADE
        return self._follow @ outline * smooth(1 - self._away / np.clip(times * far, least, most))[:, None]

    def turned(self, place: Place, turned: Turn, sway: tuple[float, float]) -> np.ndarray:  # -> [nodes, 2] px
        """The head's movement, falling off down the neck and away from the head."""
        seen = (np.column_stack([self.nodes, self._depth]) - place.origin) * place.k
        joint = JOINT @ place.axes.T
        moved = (seen - joint) @ turned.rotation.T + joint + turned.shift
        nearer = DISTANCE / (DISTANCE + moved[:, 2:]) * (DISTANCE + seen[:, 2:]) / DISTANCE
        rigid = moved[:, :2] * nearer * place.pixel + place.origin[:2] - self.nodes
        return (rigid * self._neck + np.asarray(sway) * place.pixel * (1 - self._neck)) * self._calm


def _gaps(points: np.ndarray) -> np.ndarray:  # [468, 3] px -> [9] px
    """Between the inner edges of lower and upper lip, from corner to corner."""
    return np.linalg.norm((points[INNER_LIPS[1:10]] - points[INNER_LIPS[:10:-1]])[:, :2], axis=1)


def _edges_pulled(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [468, 3] units -> [20], [20]
    """How far the edge of moved lips, and the ring next to it, come from further out, of the way to the ring after."""
    x = own[INNER_LIPS, 0]
    aside = np.abs(2 * x - x[0] - x[10]) / max(abs(float(x[10] - x[0])), 1e-6)
    share = _PULL[0] + (_PULL[1] - _PULL[0]) * np.clip((aside - _PULL_AT[0]) / _PULL_AT[1], 0, 1)
    return share, share - _PULL[0]


def _kept_edge(edge: np.ndarray) -> np.ndarray:  # [nodes] units -> [nodes, 1]
    """A face that the image cuts keeps moving; only the very edge stays."""
    return smooth(edge / 4.0)[:, None]


def _inverted(forward: np.ndarray, grid: _Grid) -> np.ndarray:  # float32 [ny, nx, 2] px -> float32 [h, w, 2] px
    """What must be added to a pixel's place to find where it comes from: m(x) = x - forward(m(x))."""
    import cv2

    height, width = grid.box.shape
    ny, nx = grid.shape
    if not forward.any():
        return np.zeros((height, width, 2), np.float32)
    per_x, per_y = np.float32((width - 1) / max(nx - 1, 1)) or 1, np.float32((height - 1) / max(ny - 1, 1)) or 1
    x, y = np.meshgrid(np.arange(nx, dtype=np.float32), np.arange(ny, dtype=np.float32))
    back = forward.copy()
    for _ in range(_ROUNDS):
        back = cv2.remap(forward, x - back[..., 0] / per_x, y - back[..., 1] / per_y, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REPLICATE)
    columns = np.arange(width, dtype=np.float32) / per_x
    rows = np.arange(height, dtype=np.float32) / per_y
    full = cv2.remap(back, *np.meshgrid(columns, rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return -full


def _under(field: np.ndarray, drawn: np.ndarray, part: Box, points: np.ndarray, triangles: np.ndarray,
           values: np.ndarray) -> None:
    """Paints more triangles where nothing was drawn before; in place.

    Args:
        field: float32 [h, w, 2], drawn: bool [h, w], of the box `part`.
        points: [V, 3] px and depth.  triangles: [F, 3].  values: [V, 2].
    """
    flat = points[np.unique(triangles), :2]
    low = np.clip(np.floor(flat.min(0)) - 1, [part.left, part.top], [part.right, part.bottom]).astype(int)
    high = np.clip(np.ceil(flat.max(0)) + 2, [part.left, part.top], [part.right, part.bottom]).astype(int)
    box = Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    if box.empty:
        return
    painted, on = paint(points[:, :2], points[:, 2], triangles, values, box, 0)
    where = np.s_[box.top - part.top:box.bottom - part.top, box.left - part.left:box.right - part.left]
    free = on & ~drawn[where]
    field[where][free] = painted[free]
    drawn[where] |= free


def _to_edge(nodes: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [N, 2] px -> [N] px
    height, width = size
    return np.minimum.reduce([nodes[:, 0], nodes[:, 1], width - 1 - nodes[:, 0], height - 1 - nodes[:, 1]])


def _box_of(points: np.ndarray, margin: float, size: tuple[int, int]) -> Box:
    """The pixels around some points, inside an image of (H, W) px."""
    height, width = size
    low, high = np.floor(points.min(0) - margin), np.ceil(points.max(0) + margin) + 1
    left, top = np.clip(low, 0, [width, height]).astype(int).tolist()
    right, bottom = np.clip(high, 0, [width, height]).astype(int).tolist()
    return Box(left, top, right, bottom)
