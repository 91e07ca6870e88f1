"""The face that moves: parameters -> mesh. Lips, jaw, lids, brows and nose are set, the skin between follows smoothly.

Frame of the mesh ("canonical"): photo pixels, origin between the ears, x to the subject's left, y down, z away from the viewer.
About 280 of the 468 points are handles; the rest minimise a bi-Laplacian energy, solved once per person.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .assets import FaceLayers
from .layout import (
    BROWS,
    CHEEKS,
    CHIN,
    CHIN_EDGE,
    EYE_CORNERS,
    FIXED,
    INNER_LIPS,
    JAW_WEIGHTS,
    LIDS,
    LIPS,
    MIRRORED,
    NOSE_BASE,
    NOSE_WINGS,
    OVAL,
    SKIN,
    SMILE_LINES,
)
from .lips import Lips
from .parameters import INDEX
from .portrait import RestFace
from .triangulate import delaunay, face_triangles, force_edges, inside, wound

DISTANCE = 520.0                      # from the camera to the image plane, photo pixels; also the focal length
WINDOW_X, WINDOW_Y, WINDOW = 111.0, 2.0, 232.0   # the square of the photo that is rendered
CENTRE = np.array([WINDOW_X + WINDOW / 2, WINDOW_Y + WINDOW / 2])
_NECK_JOINT = np.array([0, 34.0, 6.0])
_JAW_SINK = .32                       # the jaw also moves back as it opens
_STRIP = 4.0                          # photo px, height of the strip under the chin
_ASTRONAUT = RestFace()
_CREASE = .72                         # how far the lid's crease follows its edge
_BROW, _FREE_BY, _HELD = 3.0, 8.0, .15  # photo px from the brow at which a hooded crease is held, and is free; the least it moves


def to_camera(points: np.ndarray) -> np.ndarray:  # [N, 3] photo x, y, depth -> [N, 3] camera
    """Photo pixels and depth -> camera coordinates in photo pixels (x right, y down, z away)."""
    z = DISTANCE + points[:, 2]
    return np.column_stack([(points[:, :2] - CENTRE) * (z / DISTANCE)[:, None], z])


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:  # -> [3, 3]
    """Roll after yaw after pitch; radians, camera axes."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return product(product(about_z, about_y), about_x)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Matrix product in a fixed order of summation: the same bits whatever linear-algebra library and thread count."""
    return np.einsum("ij,jk->ik", a, b, optimize=False)


class Outlines(NamedTuple):
    """What a rig needs of `Layers`."""
    points: np.ndarray        # float64 [478, 3] photo pixels
    plain_points: np.ndarray  # the same before the identity's warp
    hair_outline: np.ndarray | None  # float64 [P, 2] photo pixels; None: no hair in the mesh


class Rig:
    """One person's mesh. V = 468 skin points, then hair (where it is outlined), then a strip under the chin."""

    def __init__(self, layers: FaceLayers | Outlines, resting: RestFace = _ASTRONAUT):
        self.photo = layers.points
        camera = to_camera(self.photo)
        self.axes, self.origin = _frame(camera)                        # canonical -> camera in the photo
        self.neck = self.origin + self.axes @ _NECK_JOINT              # the point the head turns about, camera frame
        self.rest = product(camera - self.origin, self.axes)           # [478, 3] canonical
        shell, flat, hair_triangles, self._hair_count = _shell(layers)
        skin_triangles = face_triangles(layers.plain_points[:SKIN])
        everything = np.vstack([self.photo[:SKIN, :2], flat])
        self.triangles = wound(everything, np.vstack([skin_triangles, hair_triangles]))       # [F, 3]
        self.shell = product(to_camera(shell) - self.origin, self.axes)                        # [V - 468, 3]
        self.texture = everything                                                              # [V, 2] photo pixels
        self.lips = Lips(self.rest, resting.smile)
        self._smile, self._creases = resting.smile, _creases(self.rest, resting.hooded)
        self._pull_texture_off_teeth(1 - .7 * resting.shut)
        self._handles = np.unique(np.concatenate([np.ravel(group).astype(int) for group in (
            LIPS, list(JAW_WEIGHTS), FIXED, BROWS, EYE_CORNERS, LIDS, CHEEKS, SMILE_LINES, NOSE_WINGS, NOSE_BASE)]))
        self._free = np.setdiff1d(np.unique(skin_triangles), self._handles)
        self._weights = _follow(self.rest[:SKIN], skin_triangles, self._handles, self._free)  # [free, handles]

    def pose(self, euler, translation=(0.0, 0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
        """Head turn (yaw, pitch, roll in rad, about the neck) and shift (px) -> R [3, 3], t [3]: canonical -> camera."""
        head = turn(*map(float, euler))
        shift = product(head, (self.origin - self.neck)[:, None])[:, 0] + self.neck + np.asarray(translation, float)
        return product(head, self.axes), shift

    def mesh(self, params: np.ndarray) -> np.ndarray:  # [22] -> [V, 3]
        """The whole mesh, canonical."""
        move = self._displacement(np.asarray(params, float))
        shell = self.shell.copy()
        shell[self._hair_count:] += move[CHIN_EDGE]
        return np.vstack([self.rest[:SKIN] + move, shell])

    def handles(self, params: np.ndarray) -> np.ndarray:  # [22] -> [468, 3]
        """The face with only those points moved that are set (lips, jaw, lids, brows, cheeks): much quicker than `mesh`."""
        return self.rest[:SKIN] + self._set(np.asarray(params, float))

    def _displacement(self, params: np.ndarray) -> np.ndarray:  # -> [468, 3]
        move = self._set(params)
        move[self._free] = product(self._weights, move[self._handles])
        return move

    def _set(self, params: np.ndarray) -> np.ndarray:  # -> [468, 3]
        move = np.zeros((SKIN, 3))
        v = {name: float(params[i]) for name, i in INDEX.items()}
        move[LIPS] = self.lips.shape(params) - self.rest[LIPS]
        _move_jaw(move, v)
        _move_brows(move, v)
        self._move_lids(move, v)
        _move_cheeks_and_nose(move, v, self._smile)
        return move

    def _move_lids(self, move: np.ndarray, v: dict[str, float]) -> None:
        shut = min(max(v["blink"], 0.0), 1.0)
        open_ = 1 - shut
        for (upper, lower, crease), follows in zip(LIDS, self._creases):
            gap = self.rest[lower] - self.rest[upper]
            down = gap * (.93 * shut + .10 * v["lidtight"] * open_) * np.array([1, 1, .4])
            down[:, 1] -= 1.5 * v["lidraise"] * open_
            move[upper] = down + np.array([0, 0, -shut])
            move[lower] = -gap * (.05 * shut + (.22 * v["lidtight"] + .14 * v["cheek"]) * open_)
            move[crease] = down * follows

    def _pull_texture_off_teeth(self, amount: float) -> None:
        """In the photo the inner lip edge touches the teeth: takes its texture from a little further out on the lip.

        Args:
            amount: less than 1 for lips that are closed in the photo.
        """
        inner, middle, outer = INNER_LIPS, LIPS[2], LIPS[1]
        x = self.photo[inner, 0]
        side = np.abs((x - x.mean()) / (np.ptp(x) / 2))
        share = (.45 + .45 * np.clip((side - .55) / .35, 0, 1))[:, None] * amount
        flat = self.photo[:, :2]
        self.texture[inner] = flat[inner] * (1 - share) + flat[middle] * share
        self.texture[middle] += (flat[outer] - flat[middle]) * (share - .45 * amount)


# ------------------------------------------------------------------------------------------------------ moving the handles

def _creases(rest: np.ndarray, hooded: bool) -> list[float | np.ndarray]:  # [>=468, 3] -> for each eye 1 or [7, 1]
    """How far the creases of both eyes' lids follow them: under a low brow hardly, or blinks would drag the brow down."""
    if not hooded:
        return [_CREASE] * len(LIDS)
    out: list[float | np.ndarray] = []
    for (_, _, crease), (_, brow) in zip(LIDS, BROWS):
        away = np.sqrt(((rest[crease][:, None, :2] - rest[brow][None, :, :2]) ** 2).sum(-1)).min(1)
        out.append(_CREASE * np.clip((away - _BROW) / _FREE_BY, _HELD, 1)[:, None])
    return out


def _move_jaw(move: np.ndarray, v: dict[str, float]) -> None:
    points = np.array(list(JAW_WEIGHTS))
    weight = np.array(list(JAW_WEIGHTS.values()), float)[:, None]
    bunched = np.where(np.isin(points, CHIN), 1, .3)[:, None]
    move[points] = weight * np.array([0, v["jaw"], _JAW_SINK * v["jaw"]])
    move[points] += weight * bunched * v["chin"] * np.array([0, -2.4, -1.0])


def _move_brows(move: np.ndarray, v: dict[str, float]) -> None:
    along = np.arange(5) / 4.0                                        # 0 outer .. 1 inner
    lift = 4.6 * v["browin"] * along ** 1.3 + 4.6 * v["browout"] * (1 - along) ** 1.2 * np.where(along < .8, 1, .2)
    drop = 3.0 * v["browlow"] * (.35 + .65 * along)
    for edges, side in zip(BROWS, (1, -1)):
        for edge in edges:
            move[edge] = np.stack([side * 1.6 * v["browlow"] * along, drop - lift, np.zeros(5)], 1)


def _move_cheeks_and_nose(move: np.ndarray, v: dict[str, float], smiled: float) -> None:
    """`smiled`: the photo's own smile, 0..1, that is taken out."""
    smile, nose = v["smile"], v["nose"]
    for k, side in enumerate((-1, 1)):
        move[CHEEKS[k]] = (side * .6 * smile, -2.2 * v["cheek"] - 1.4 * smile, -.8 * smile)
        move[SMILE_LINES[k]] = (side * 1.2 * (smile - .55 * smiled - v["prot"]),
                                -1.6 * (smile - .45 * smiled) + .15 * v["jaw"] - nose, -.6 * smile)
        move[NOSE_WINGS[k]] = (side * (.5 * nose + .25 * (smile - .5 * smiled)), -2.0 * nose - .7 * v["upraise"], 0)
    move[NOSE_BASE] = (0, -1.2 * nose - .35 * v["upraise"], 0)


# ------------------------------------------------------------------------------------------------------------- construction

def _frame(camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [478, 3] -> [3, 3], [3]
    """The face's axes (columns) and origin in the photo's camera frame."""
    pairs = np.array(MIRRORED)
    x = (camera[pairs[:, 1]] - camera[pairs[:, 0]]).sum(0)
    x /= np.sqrt((x ** 2).sum())
    y = camera[152] - camera[10]
    y -= x * (x * y).sum()
    y /= np.sqrt((y ** 2).sum())
    return np.stack([x, y, np.cross(x, y)], 1), (camera[234] + camera[454]) / 2


def _follow(rest: np.ndarray, triangles: np.ndarray, handles: np.ndarray, free: np.ndarray) -> np.ndarray:
    """How the free points follow the handles: minimal bi-Laplacian energy with cotangent weights. -> [free, handles]"""
    laplacian = np.zeros((len(rest), len(rest)))
    for a, b, c in (np.roll(triangles, -i, axis=1).T for i in range(3)):
        u, w = rest[a] - rest[c], rest[b] - rest[c]
        cotangent = (u * w).sum(1) / (np.sqrt((np.cross(u, w) ** 2).sum(1)) + 1e-9)
        weight = .5 * np.maximum(1e-3, cotangent)
        for row, column, sign in ((a, b, -1), (b, a, -1), (a, a, 1), (b, b, 1)):
            np.add.at(laplacian, (row, column), sign * weight)
    scaled = laplacian / np.maximum(np.diag(laplacian), 1e-6)[:, None]
    energy = product(laplacian[free], scaled) + 1e-3 * laplacian[free]
    return -solved(energy[:, free], energy[:, handles])


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:  # [n, n] positive definite, [n, m] -> [n, m]
    """Gauss elimination without pivoting, in element-wise steps: the same bits on every machine and thread count."""
    size = len(matrix)
    work = np.hstack([matrix, right]).astype(np.float64)
    for i in range(size):
        work[i] /= work[i, i]
        work[i + 1:] -= work[i + 1:, i:i + 1] * work[i]
    for i in range(size - 1, 0, -1):
        work[:i] -= work[:i, i:i + 1] * work[i]
    return work[:, size:]


def _shell(layers: FaceLayers | Outlines) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Hair and ears as a shell around the face, and a strip under the chin that keeps its edge soft.

    Returns:
        points [E, 3] (photo x, y, depth), the same flat [E, 2], triangles over (468 skin + E) points, and how many are hair.
    """
    points = layers.points
    oval = points[list(OVAL)]
    edge = points[CHIN_EDGE]
    middle = edge[:, :2].mean(0) - [0, 30]
    away = edge[:, :2] - middle
    strip = edge[:, :2] + away / np.sqrt((away ** 2).sum(1, keepdims=True)) * _STRIP
    if layers.hair_outline is None:
        return np.column_stack([strip, edge[:, 2] + 2.0]), strip, _strip_triangles(), 0
    rim = _rim(layers.hair_outline)
    hair = _hair_points(rim, oval)
    flat = np.vstack([hair[:, :2], strip])
    numbers = np.concatenate([OVAL, SKIN + np.arange(len(flat))]).astype(int)
    every = np.vstack([oval[:, :2], flat])
    around = np.arange(len(oval))
    triangles = force_edges(every, delaunay(every), zip(around.tolist(), np.roll(around, -1).tolist()))
    centre = every[triangles].mean(1)
    keep = ~inside(oval[:, :2], centre) & inside(np.vstack([rim, strip[::-1]]), centre)
    depth = np.concatenate([hair[:, 2], edge[:, 2] + 2.0])
    return np.column_stack([flat, depth]), flat, numbers[triangles[keep]], len(hair)


def _strip_triangles() -> np.ndarray:  # -> [F, 3] over the face's points and the strip's alone
    edge, strip = np.array(CHIN_EDGE), SKIN + np.arange(len(CHIN_EDGE))
    return np.concatenate([np.stack([edge[:-1], edge[1:], strip[:-1]], 1), np.stack([edge[1:], strip[1:], strip[:-1]], 1)])


def _rim(outline: np.ndarray) -> np.ndarray:  # [P, 2] -> [72, 2]
    """The hair's outline in even steps, 5 px further out."""
    closed = np.vstack([outline, outline[:1]])
    way = np.concatenate([[0], np.cumsum(np.sqrt((np.diff(closed, axis=0) ** 2).sum(1)))])
    at = np.linspace(0, way[-2], 72)
    rim = np.stack([np.interp(at, way, closed[:, 0]), np.interp(at, way, closed[:, 1])], 1)
    away = rim - [225.0, 95.0]
    return rim + away / np.sqrt((away ** 2).sum(1, keepdims=True)) * 5.0


def _hair_points(rim: np.ndarray, oval: np.ndarray) -> np.ndarray:  # -> [n, 3]
    """Points between the face's outline and the rim: four steps out from the nearest face point, thinned, bulging forwards."""
    out = []
    for place in rim:
        near = oval[np.argmin(((oval[:, :2] - place) ** 2).sum(1))]
        for step in (.25, .5, .75, 1.0):
            bulge = 10.0 * np.sin(np.pi * step) * np.clip((150 - place[1]) / 100, 0, 1)
            out.append([*(near[:2] * (1 - step) + place * step), near[2] * (1 - step) + 46.0 * step - bulge])
    points = np.array(out)
    apart = ((points[:, None, :2] - points[None, :, :2]) ** 2).sum(-1) > 2.2 ** 2
    kept = [0]
    for i in range(1, len(points)):
        if apart[i, kept].all():
            kept.append(i)
    points = points[kept]
    return points[_outside_by(oval[:, :2], points[:, :2], 1.2)]


def _outside_by(polygon: np.ndarray, points: np.ndarray, margin: float) -> np.ndarray:  # -> bool [N]
    """True for points outside the polygon and further than `margin` from its edge."""
    a, b = polygon[None], np.roll(polygon, -1, 0)[None]
    along = np.clip(((points[:, None] - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
    distance = np.sqrt(((points[:, None] - a - along[..., None] * (b - a)) ** 2).sum(-1)).min(1)
    return ~inside(polygon, points) & (distance > margin)
