"""What is seen between the lips: cavity, tongue, drawn lower teeth, and the portrait's own upper teeth.

The upper teeth are fixed to the skull, the lower ones and the tongue move with the jaw; all are seen in perspective.
Lengths are photo pixels; colours are RGB 0..255.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .parameters import INDEX
from .portrait import SCALE
from .raster import Box, box_around

_CAVITY = np.array([52, 18, 18], np.float32)
_LOWER_TOOTH = np.array([214, 203, 188], np.float32)
_ENAMEL = np.array([1.03, 1.0, .94], np.float32)

Projection = Callable[[float, float, float], np.ndarray]  # photo px from the middle of the closed mouth -> image pixel [2]


@dataclass(frozen=True)
class _View:
    """The patch of the image around the mouth."""
    box: Box
    x: np.ndarray          # float32 [h, w] image column of each pixel
    y: np.ndarray          # float32 [h, w] image row
    scale: float           # image pixels per photo pixel
    project: Projection


def draw_mouth(image: np.ndarray, lips: np.ndarray, params: np.ndarray, teeth_texture: np.ndarray, scale: float,
               project: Projection, light: float = 1.0) -> tuple[Box, np.ndarray]:
    """Paints the inside of the mouth over a rectangle of `image`; the lips are to be drawn over it.

    Args:
        image: float32 [H, W, 3], changed in place.  lips: [20, 2] inner lip ring in pixels, upper lip from 10 to 20.
        params: [22].  teeth_texture: uint8 [h, w, 3], see `assets.FaceLayers.teeth`.
        light: how bright all but the upper teeth is.
    Returns:
        the rectangle and bool [h, w]: where teeth are.
    """
    box = box_around(lips, 4, image.shape[0])
    if min(box.shape) < 2:
        return Box(0, 0, 0, 0), np.zeros((0, 0), bool)
    y, x = np.mgrid[box.top:box.bottom, box.left:box.right].astype(np.float32)
    view = _View(box=box, x=x, y=y, scale=scale, project=project)
    jaw, tongue = float(params[INDEX["jaw"]]), float(params[INDEX["tongue"]])
    patch = _cavity(view, lips)
    _draw_tongue(patch, view, jaw, tongue)
    lower = _draw_lower_teeth(patch, view, jaw)
    patch *= np.float32(light)
    upper = _draw_upper_teeth(patch, view, teeth_texture)
    patch *= _shadow_of_upper_lip(view, lips)[..., None]
    image[box.slices] = patch
    return box, (upper > .5) | (lower > .5)


def _cavity(view: _View, lips: np.ndarray) -> np.ndarray:
    centre = lips.mean(0)
    height, width = view.box.shape
    radius = np.hypot((view.x - centre[0]) / max(width * .5, 1), (view.y - centre[1]) / max(height * .55, 1))
    return _CAVITY * np.clip(1.15 - .55 * radius, .25, 1).astype(np.float32)[..., None]


def _draw_tongue(patch: np.ndarray, view: _View, jaw: float, tongue: float) -> None:
    """Behind the lower teeth; rises and comes forward with its parameter."""
    centre = view.project(0, .66 * jaw + 5.5 - 5.5 * tongue, 9 - 5 * tongue)
    across, along = (view.x - centre[0]) / (12.5 * view.scale), (view.y - centre[1]) / ((5.0 + 1.8 * tongue) * view.scale)
    reach = across ** 2 + along ** 2
    colour = np.stack([np.full_like(reach, 176), 86 - 10 * reach, 88 - 10 * reach], -1)
    _blend(patch, colour * np.clip(1.05 - .38 * reach, .3, 1)[..., None], np.clip((1 - reach) * 3, 0, 1) * .95)


def _arch(view: _View, edge: float, half: float, depth: float, curve: float, upwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """A row of teeth: (place along the row -1..1, distance from the biting edge into the tooth in photo px), each [h, w]."""
    left, right = view.project(-half, edge + curve, depth + 9), view.project(half, edge + curve, depth + 9)
    middle = view.project(0, edge, depth)
    place = np.clip((view.x - (left[0] + right[0]) / 2) / max((right[0] - left[0]) / 2, 1), -1.4, 1.4)
    line = left[1] * (1 - place) / 2 + right[1] * (1 + place) / 2 + (middle[1] - (left[1] + right[1]) / 2) * (1 - place ** 2)
    return place, ((line - view.y) if upwards else (view.y - line)) / view.scale


def _draw_lower_teeth(patch: np.ndarray, view: _View, jaw: float) -> np.ndarray:
    place, into = _arch(view, .92 * jaw + 2.6, 15.0, 5.0, .4, False)
    count = place * 5.6
    gap = np.clip(np.abs(count - np.round(count)) * 2.0 + .60, .72, 1)
    light = gap * np.clip(1 - .10 * into, .45, 1) * np.clip(1.05 - .55 * place ** 2, .2, 1)
    shape = np.clip(into * 1.6, 0, 1) * np.clip((1.02 - np.abs(place)) * 8, 0, 1) * np.clip(1 - (into - 6) / 2, 0, 1)
    _blend(patch, _LOWER_TOOTH * (light * .80)[..., None], shape)
    return shape


def _draw_upper_teeth(patch: np.ndarray, view: _View, texture: np.ndarray) -> np.ndarray:
    import cv2
    place, into = _arch(view, 2.9, 18.5, 3.5, -1.2, True)
    column = (place * (.5 / 1.08) + .5) * (texture.shape[1] - 1)
    row = (14.6 - np.clip(into, -1, 13) * .98) * SCALE                  # the edge lies 14.6 px below the patch's top
    photo = cv2.remap(texture, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)
    photo = photo.astype(np.float32)
    colour = (photo * .55 + photo.mean(-1, keepdims=True) * _ENAMEL * .45) * 1.10
    count = place * 5.0 + .5
    gap = np.abs(count - np.round(count))
    light = np.clip(1.03 - .42 * place ** 2, .2, 1) * np.clip(.74 + .07 * (8 - into), .6, 1)
    light = light * (1 - .10 * np.clip(1 - gap * 7, 0, 1))
    shape = np.clip((into - .35 * (1 - np.clip(gap * 5, 0, 1))) * 1.8, 0, 1) * np.clip((1 - np.abs(place)) * 7, 0, 1)
    _blend(patch, colour * light[..., None], shape)
    return shape


def _shadow_of_upper_lip(view: _View, lips: np.ndarray) -> np.ndarray:  # -> [h, w]
    edge = np.concatenate([lips[10:], lips[:1]])
    edge = edge[np.argsort(edge[:, 0], kind="stable")]
    top = np.interp(view.x[0], edge[:, 0], edge[:, 1])
    return np.clip(.68 + (view.y - top[None]) / (5.0 * view.scale), .68, 1).astype(np.float32)


def _blend(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> None:
    under += (over - under) * amount[..., None]
