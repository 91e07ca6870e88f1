"""One frame of a video with its mouth elsewhere."""
from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..media_core.face.carrier.carrier import Carrier
from ..media_core.face.carrier.place import Place
from ..media_core.subject.layout import INNER_LIPS, LIPS, OVAL
from ..media_core.subject.raster import Box
from .film_shots import Shot

_OFF_TEETH, _CLOSING = .8, 4.0  # part of the way to the next ring of the lips; units that lips close for all of it
_REACH, _MARGIN = 48.0, 8.0  # units around the face that may change; more around those, so that an edge cuts nothing


def with_mouth(frame: np.ndarray, mesh: np.ndarray, shot: Shot, number: int, wanted: np.ndarray, *, expression: float,
               amount: float, cheek: float) -> np.ndarray:
    """A frame whose mouth is where the motion wants it: uint8 [H, W, 3].

    Args:
        frame: uint8 [H, W, 3], frame `number` of the video or a part of it, of any size.
        mesh: [478, 3] px of `frame`.
        wanted: [68, 3] units from rest.
        expression: how much of the video's slow expression is added.
        amount: 0..1, how far the face is carried.
        cheek: brightness of the cheek; NaN: not known.
    """
    out, mesh = frame.copy(), np.array(mesh, np.float64)
    place = Place.of(mesh)
    target = place.own + shot.move(number, place.own, wanted, expression)
    mesh = off_teeth(mesh, target)
    box = lower_face(place, mesh, (frame.shape[0], frame.shape[1]))
    if box.empty:
        return out
    mesh[:, :2] -= [box.left, box.top]
    part = np.ascontiguousarray(frame[box.slices])
    mouth = shot.mouth
    if shot.teeth is not None:
        own = shot.teeth.seen_in(Place.of(mesh), mesh, cheek, (part.shape[0], part.shape[1]))
        mouth = replace(mouth, own=own)
    carrier = Carrier(part, mesh, handles=shot.handles, mouth=mouth)
    out[box.slices] = carrier.draw(wanted, move=(target - carrier.place.own) * amount, hold=True)
    return out


def off_teeth(mesh: np.ndarray, target: np.ndarray) -> np.ndarray:  # [478, 3] px, [468, 3] units -> [478, 3] px
    """The mesh with the inner edge of its lips a little further out, where the mouth is to be shut more than it is: what is seen
    between the lips as filmed, teeth and the dark about them, must not be carried along with their edge."""
    place = Place.of(mesh)
    own, wanted = (np.linalg.norm(points[13] - points[14]) for points in (place.own, target))
    share = _OFF_TEETH * float(np.clip((own - wanted) / _CLOSING, 0, 1))
    if share:
        mesh[INNER_LIPS] += (mesh[LIPS[2]] - mesh[INNER_LIPS]) * share
    return mesh


def lower_face(place: Place, mesh: np.ndarray, size: tuple[int, int]) -> Box:
    """The pixels of an image of (H, W) px that a carried mouth may change, and a margin: around the face, not above its nose."""
    outline = mesh[list(OVAL), :2]
    (left, top), (right, bottom) = outline.min(0) - _REACH * place.pixel, outline.max(0) + _REACH * place.pixel
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    far = place.below_nose(corners) + _MARGIN
    kept = [corners[far >= 0]]
    for i in range(4):  # where the box's edges cross the line above which nothing changes
        a, b = far[i - 1], far[i]
        if a * b < 0:
            kept.append((corners[i - 1] + (corners[i] - corners[i - 1]) * a / (a - b))[None])
    points = np.concatenate(kept)
    height, width = size
    low = np.clip(np.floor(points.min(0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 1, 0, [width, height]).astype(int)
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
