"""Landmarks changed by the motion editor's curves: lips, jaw, brows, lids, and where the head looks.

Every lane has a measure, one number for each frame, and a way to change the 68 points by so much of it; the measure of what
comes out is the edited curve. The lanes do not disturb each other, except that opening lips take the jaw along
(docs/editor.md#lanes).
Everything is done in the frame of the face, which the mean face gives when it is laid over the rigid points: canonical
landmarks and pixels, a still head and one that turns, are the same. web/js/editor/face.js does the same in the page, from
the tables of `tables`; a test compares the two.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from .edit_curves import Edits, Lane
from .face.landmarks.mean_face import MeanFace
from .head_pose import NECK
from .motion import LandmarkTrack
from .mouth import (
    CHIN,
    JAW_AND_MOUTH,
    LOWER_PAIR,
    LOWER_RIM,
    NOSE_BASE,
    RIGID_POINTS,
    UPPER_PAIR,
    UPPER_RIM,
    UPPER_SHARE,
    closing_field,
)

LIPS, JAW, BROWS = Lane("lips", 0, 40, "mm"), Lane("jaw", -10, 25, "mm"), Lane("brows", -12, 15, "mm")
BLINK = Lane("blink", -0.5, 1, "")  # 0: as open as usual, 1: shut
YAW, PITCH = Lane("yaw", -45, 45, "degrees"), Lane("pitch", -35, 35, "degrees")  # to the image's right; upwards
LANES = (LIPS, JAW, BROWS, BLINK, YAW, PITCH)
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)  # pairs, upper over lower
LID_SHARE = 0.9  # of closing lids' way that the upper one goes
FLAT = 1e-3  # of the width, a depth below which there is none
_BROW_SHARES = (0.7, 0.95, 1.0, 1.0, 0.85, 0.85, 1.0, 1.0, 0.95, 0.7)  # of points 17 to 26
_MM = 1000.0  # of a metre, the mean face's unit

Values = dict[str, np.ndarray]  # lane -> float64 [T]


@dataclass(frozen=True)
class Frames:
    """The faces' own axes. Coordinates are the viewer's: x right, y up, z to the viewer, in the track's unit."""

    points: np.ndarray  # float64 [T, 68, 3]
    axes: np.ndarray  # float64 [T, 3, 3]: where the mean face's x, y and z (metres) point
    turned: np.ndarray  # float64 [T, 3, 3] rotation whose columns are these axes, made square and of length 1
    flip: np.ndarray  # float64 [3] from the track's coordinates to the viewer's, and back
    flat: bool  # no depth is known

    @property
    def up(self) -> np.ndarray:  # [T, 3]
        return self.axes[:, 1]


@lru_cache(maxsize=1)
def tables() -> Mapping[str, np.ndarray]:
    """What an edit needs to know of faces: float64, metres of the mean face (docs/editor.md#the-view)."""
    mean, closing = MeanFace.load().points, closing_field().numpy()
    rigid = mean[RIGID_POINTS]
    opened = closing[LOWER_PAIR.numpy(), 1] - closing[UPPER_PAIR.numpy(), 1]
    jaw, brows = np.zeros((68, 3)), np.zeros((68, 3))
    jaw[:17] = -closing[:17] / closing[CHIN, 1]
    brows[17:27, 1] = np.array(_BROW_SHARES) / np.mean(_BROW_SHARES)
    return {"mean": mean, "fit": np.linalg.pinv(rigid - rigid.mean(0)), "middle": rigid.mean(0), "closing": closing,
            "lips": -closing / opened.mean(), "jaw": jaw, "brows": brows, "neck": np.array(NECK)}


def measured(track: LandmarkTrack) -> Values:
    """Every lane's own values: mm, degrees, or 0..1; jaw and brows are from where they usually are in this track."""
    return _measured(frames_of(track))


def apply_edits(track: LandmarkTrack, edits: Edits) -> LandmarkTrack:
    """The track with the curves applied. Frames that no curve reaches keep their bits, and so does a track without edits."""
    if not edits:
        return track
    faces = frames_of(track)
    own = _measured(faces)
    new = {lane.name: edits.edited(lane, own[lane.name], track.fps) for lane in LANES}
    changed = np.any([new[name] != own[name] for name in new], axis=0)  # [T]
    if not changed.any():
        return track
    points = edited_points(faces, own, new).astype(np.float32)
    return track.with_data(torch.where(torch.from_numpy(changed)[:, None, None], torch.from_numpy(points), track.points))


def edited_points(faces: Frames, own: Values, new: Values) -> np.ndarray:  # -> float64 [T, 68, 3] in the track's coordinates
    """The points at other values of the lanes.

    Args:
        own: what `measured` gives for them; new: what they shall be.
    """
    t, p = tables(), faces.points.copy()
    _move_lips(p, faces, own["lips"], new["lips"])
    for name in ("jaw", "brows"):
        by = new[name] - own[name]
        p += by[:, None, None] / _MM * (t[name] @ faces.axes)
    _move_lids(p, faces, own["blink"], new["blink"])
    return _turned(p, faces, own, new) * faces.flip


def frames_of(track: LandmarkTrack) -> Frames:
    """Lays the mean face over the rigid points of every frame."""
    flip = np.array([1.0, -1.0, -1.0] if track.space == "pixels" else [1.0, 1.0, 1.0])
    points = track.points.double().numpy() * flip
    rigid = points[:, RIGID_POINTS]
    axes = tables()["fit"] @ (rigid - rigid.mean(1, keepdims=True))
    across = axes[:, 0] / _length(axes[:, 0])
    up = axes[:, 1] - (axes[:, 1] * across).sum(1, keepdims=True) * across
    up /= _length(up)
    turned = np.stack([across, up, np.cross(across, up)], 2)
    flat = bool((_length(axes[:, 2]) < FLAT * _length(axes[:, 0])).all())
    if flat:
        axes[:, 2] = turned[:, :, 2] * _length(axes[:, 0])
    return Frames(points, axes, turned, flip, flat)


def _measured(faces: Frames) -> Values:
    p, mean = faces.points, tables()["mean"]
    drop = -_along(p[:, CHIN] - p[:, NOSE_BASE], faces) * _MM
    brows = _along(p[:, 17:27].mean(1) - p[:, RIGID_POINTS].mean(1), faces) * _MM
    gap = _along((p[:, UPPER_LIDS] - p[:, LOWER_LIDS]).mean(1), faces)
    usual = float(np.quantile(gap, 0.9))  # of open eyes
    forward = faces.turned[:, :, 2]
    return {"lips": _opening(p, faces, mean), "jaw": drop - np.quantile(drop, 0.1), "brows": brows - np.median(brows),
            "blink": 1 - gap / usual if usual > 1e-6 else np.zeros(len(p)),
            "yaw": np.degrees(np.arctan2(forward[:, 0], forward[:, 2])),
            "pitch": np.degrees(np.arcsin(np.clip(forward[:, 1], -1, 1)))}


def _opening(p: np.ndarray, faces: Frames, mean: np.ndarray) -> np.ndarray:  # -> [T] mm
    excess = p[:, UPPER_PAIR] - p[:, LOWER_PAIR] - (mean[UPPER_PAIR] - mean[LOWER_PAIR]) @ faces.axes
    return _along(excess.mean(1), faces) * _MM


def _move_lips(p: np.ndarray, faces: Frames, own: np.ndarray, new: np.ndarray) -> None:
    """Opens by the rig's field; closes towards lips at rest, so that none cross."""
    t = tables()
    p += np.maximum(new - own, 0)[:, None, None] / _MM * (t["lips"] @ faces.axes)
    closing = new < own
    if closing.any():
        share = np.divide(own - new, own, out=np.zeros(len(own)), where=closing & (own > 0)).clip(0, 1)
        p += share[:, None, None] * (_shut(faces, own) - faces.points)


def _shut(faces: Frames, own: np.ndarray) -> np.ndarray:  # -> [T, 68, 3]
    """`mouth.closed_mouth` of each frame."""
    t, out = tables(), faces.points.copy()
    out += own[:, None, None] / _MM * (t["closing"] @ faces.axes)
    rest = (t["mean"][UPPER_PAIR] - t["mean"][LOWER_PAIR]) @ faces.axes
    left = out[:, UPPER_PAIR] - out[:, LOWER_PAIR] - rest
    for upper, lower in ((UPPER_PAIR, LOWER_PAIR), (UPPER_RIM, LOWER_RIM)):
        out[:, upper] -= UPPER_SHARE * left
        out[:, lower] += (1 - UPPER_SHARE) * left
    stays = [i for i in range(68) if i not in JAW_AND_MOUTH]
    out[:, stays] = faces.points[:, stays]
    return out


def _move_lids(p: np.ndarray, faces: Frames, own: np.ndarray, new: np.ndarray) -> None:
    """Closes each pair of lids by the share that is left; opens all by the same height."""
    gap = faces.points[:, UPPER_LIDS] - faces.points[:, LOWER_LIDS]  # [T, 4, 3]
    share = np.divide(new - own, 1 - own, out=np.zeros(len(own)), where=(new > own) & (own < 1))
    lift = np.maximum(own - new, 0) * open_eyes(faces, own)
    move = lift[:, None, None] * faces.up[:, None] - share[:, None, None] * gap
    p[:, UPPER_LIDS] += LID_SHARE * move
    p[:, LOWER_LIDS] -= (1 - LID_SHARE) * move


def open_eyes(faces: Frames, own: np.ndarray) -> float:  # [T] of "blink"
    """Height between lids that are as open as usual, in metres of the mean face."""
    share = 1 - own
    gap = _along((faces.points[:, UPPER_LIDS] - faces.points[:, LOWER_LIDS]).mean(1), faces)
    usual = gap[np.abs(share) > 1e-9] / share[np.abs(share) > 1e-9]
    return float(np.median(usual[usual > 0])) if (usual > 0).any() else 0.0


def _turned(p: np.ndarray, faces: Frames, own: Values, new: Values) -> np.ndarray:  # -> [T, 68, 3]
    """The heads turned about the neck; frames whose head stays keep their numbers."""
    t = tables()
    moves = (new["yaw"] != own["yaw"]) | (new["pitch"] != own["pitch"])
    if not moves.any():
        return p
    turn = looking(new["yaw"], new["pitch"]) @ looking(own["yaw"], own["pitch"]).transpose(0, 2, 1)
    middle = faces.points[:, RIGID_POINTS].mean(1, keepdims=True)
    pivot = middle + ((t["neck"] - t["middle"]) @ faces.axes)[:, None]
    depth = np.zeros_like(p)
    if faces.flat:
        depth[..., 2] = ((t["mean"] - t["middle"]) @ faces.axes)[..., 2]
    out = (p + depth - pivot) @ turn.transpose(0, 2, 1) + pivot
    if faces.flat:
        out[..., 2] = p[..., 2]
    return np.where(moves[:, None, None], out, p)


def looking(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:  # degrees [T], [T] -> float64 [T, 3, 3]
    """Rotations of a face that looks so far to the image's right, then so far up (x right, y up, z to the viewer)."""
    a, b = np.radians(yaw), np.radians(pitch)
    c, s, d, u, zero = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.zeros_like(a)
    return np.stack([np.stack([c, -s * u, s * d], -1), np.stack([zero, d, u], -1), np.stack([-s, -c * u, c * d], -1)], -2)


def _along(move: np.ndarray, faces: Frames) -> np.ndarray:  # [T, 3] -> [T] metres of the mean face, upwards
    return (move * faces.up).sum(-1) / np.maximum(np.square(faces.up).sum(-1), 1e-24)


def _length(x: np.ndarray) -> np.ndarray:  # [T, 3] -> [T, 1]
    return np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
