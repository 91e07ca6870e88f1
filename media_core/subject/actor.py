"""A person of a photo as a `Subject`: the same face, over one sheet for the head and one for the body, for training videos.

The sheets lie behind the face on a grid of points, which above the chin turns with the head and at the collar goes with the
shoulders.
"""
from __future__ import annotations

import numpy as np

from ..asked import whole
from .actor_layers import ActorLayers, actor_layers
from .assets import FaceLayers
from .identity import invent
from .layout import OVAL
from .portrait import BOTTOM, LEFT, RIGHT, TOP, Portrait, to_texture
from .raster import Box, paint
from .render import Canvas, Pose, Subject
from .rig import Rig, product, to_camera
from .triangulate import inside

_GRID = 60                       # points of the sheet's mesh, each way
_ABOVE, _BELOW = -4.0, 40.0      # photo px below the chin: the sheet goes with the head above, with the shoulders below
_NEAR = 8.0                      # photo px: how far the depth of the face's outline spreads
_COARSE = 4                      # canvas px between two places where the sheet is looked up
_DEEP, _OUT = 40.0, 45.0         # photo px: as much deeper than the outline, at as far from it


class Actor(Subject):
    """The person of a photo at one image size.

    Args:
        size: pixels, height and width, 64..1024.
        portrait: of `Portrait.of_picture`.
        identity: None: the person as photographed; a number: another person invented from them.
        oversampling: as for `Subject`.
    """

    def __init__(self, size: int, portrait: Portrait, identity: int | None = None, *, oversampling: int | None = None):
        self.portrait = portrait
        self._mouth_light = 1.0 if portrait.mouth is None else portrait.mouth.light
        super().__init__(size, identity, oversampling=oversampling)

    def _person(self) -> tuple[FaceLayers, Rig]:
        plain = self.portrait
        bent, look = (plain, None) if self.identity is None else invent(plain, whole("The identity", self.identity))
        self._parts: ActorLayers = actor_layers(bent, plain.points, look)
        return self._parts, Rig(self._parts, plain.rest)

    def _prepare_behind(self) -> None:
        x, y = np.meshgrid(np.linspace(LEFT - .5, RIGHT - .5, _GRID), np.linspace(TOP - .5, BOTTOM - .5, _GRID))
        flat = np.stack([x.ravel(), y.ravel()], 1)
        points = self._parts.points
        outline = points[list(OVAL)]
        away = np.sqrt(((flat[:, None] - outline[None, :, :2]) ** 2).sum(-1))
        weight = np.exp(-(away - away.min(1, keepdims=True)) / _NEAR)
        depth = (weight * outline[:, 2]).sum(1) / weight.sum(1)
        far = np.where(inside(outline[:, :2], flat), 0, away.min(1))
        self._sheet_texture = to_texture(flat)
        self._sheet_rest = to_camera(np.column_stack([flat, depth + _DEEP * _smooth(far / _OUT)]))
        self._with_head = _smooth((points[152, 1] + _BELOW - flat[:, 1]) / (_BELOW - _ABOVE))[:, None]
        at = np.arange(_GRID * _GRID).reshape(_GRID, _GRID)
        corner, right, below, across = at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]
        self._sheet_triangles = np.concatenate([np.stack([corner, right, below], -1).reshape(-1, 3),
                                                np.stack([right, across, below], -1).reshape(-1, 3)])

    def _behind(self, pose: Pose, sway, head_alpha: np.ndarray, head_box: Box) -> Canvas:
        import cv2
        x, y, drawn = self._sources(pose, sway)
        canvas = Canvas(self._plate.astype(np.float32), np.zeros(drawn.shape, np.uint8), np.empty((0, 0, 4), np.uint8))
        parts = self._parts
        for sheet, classes in ((parts.body_sheet, parts.body_classes), (parts.head_sheet, parts.head_classes)):
            layer = cv2.remap(sheet, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
            layer[~drawn] = 0
            shown = _rows(layer[..., 3])
            alpha, image = layer[shown, :, 3].astype(np.float32) * np.float32(1 / 255), canvas.image[shown]
            image += (layer[shown, :, :3] - image) * alpha[..., None]
            solid = layer[shown, :, 3] > 127
            canvas.classes[shown][solid] = cv2.remap(classes, x[shown], y[shown], cv2.INTER_NEAREST)[solid]
            if not canvas.torso.size:
                layer[layer[..., 3] == 0] = 0
                canvas.torso = layer
        return canvas

    def _sources(self, pose: Pose, sway) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # float32 [H, W] twice, bool [H, W]
        """Which texture pixel of the sheets each pixel of the canvas shows: looked up at one in 4 x 4, linear between."""
        import cv2
        rig = self._rig
        moved = product(self._sheet_rest - rig.origin, product(pose[0], rig.axes.T).T) + pose[1]
        still = self._sheet_rest + np.array([sway[0], sway[1], 0])
        flat = self._project(still + (moved - still) * self._with_head)
        cells = -(-self._canvas_size // _COARSE)
        around = Box(-1, -1, cells + 1, cells + 1)
        flat = (flat - (_COARSE - 1) / 2) / _COARSE
        field, drawn = paint(flat, still[:, 2], self._sheet_triangles, self._sheet_texture, around)
        part = slice(_COARSE, _COARSE + self._canvas_size)
        full = ((cells + 2) * _COARSE,) * 2
        x, y, seen = (np.ascontiguousarray(cv2.resize(plane, full, interpolation=cv2.INTER_LINEAR)[part, part])
                      for plane in (field[..., 0], field[..., 1], drawn.astype(np.float32)))
        return x, y, seen > .999


def _rows(alpha: np.ndarray) -> slice:  # uint8 [H, W]
    """The rows in which something shows."""
    some = np.flatnonzero(alpha.any(1))
    return slice(int(some[0]), int(some[-1]) + 1) if len(some) else slice(0, 0)


def _smooth(x: np.ndarray) -> np.ndarray:
    """0 up to 0, 1 from 1 on, smooth between."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
