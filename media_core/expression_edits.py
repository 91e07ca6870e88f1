"""Action units and head poses changed by the motion editor's curves (see edit_curves.py), and a face to show them on."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .edit_curves import Edits, Lane
from .head_pose import NECK
from .motion import AU_MAX, AU_NAMES, ExpressionTrack, PoseTrack
from .motion_edits import LOWER_LIDS, PITCH, UPPER_LIDS, YAW, looking, tables

UNITS = tuple(Lane(name, 0, AU_MAX, "") for name in AU_NAMES)
LANES = (*UNITS, YAW, PITCH)
_MM = 1e-3  # m

# How a face shows a unit at intensity 5, for the page's sketch only: points of the right half -> outwards, up, forwards in mm.
_SKETCH = {
    "AU01": {20: (0, 5, 0), 21: (0, 8, 0)}, "AU02": {17: (0, 5, 0), 18: (0, 8, 0), 19: (0, 5, 0)},
    "AU04": {19: (-1, -3, 0), 20: (-2, -5, 0), 21: (-3, -6, 0)}, "AU05": {37: (0, 3, 0), 38: (0, 3, 0)},
    "AU06": {40: (0, 2, 0), 41: (0, 2.5, 0)}, "AU07": {37: (0, -1.5, 0), 38: (0, -1.5, 0), 40: (0, 1.5, 0), 41: (0, 1.5, 0)},
    "AU09": {31: (0, 3, 0), 32: (0, 2, 0), 50: (0, 3, 0), 49: (0, 2, 0)},
    "AU10": {49: (0, 2, 0), 50: (0, 4, 0), 51: (0, 3, 0), 61: (0, 4, 0), 62: (0, 3, 0)},
    "AU12": {48: (7, 7, 0), 60: (6, 6, 0), 49: (3, 3, 0), 59: (3, 2, 0)}, "AU14": {48: (4, 0, -2), 60: (4, 0, -2)},
    "AU15": {48: (1, -7, 0), 60: (1, -6, 0), 59: (1, -3, 0)}, "AU17": {7: (0, 3, 0), 8: (0, 4, 0), 57: (0, 4, 1), 58: (0, 3, 1)},
    "AU20": {48: (7, -1, 0), 60: (6, -1, 0), 49: (3, 0, 0), 59: (3, 0, 0)},
    "AU23": {48: (-4, 0, 1), 60: (-3, 0, 1), 51: (0, -1, 0), 57: (0, 1, 0)},
}
_OPENED = {"AU25": 8.0, "AU26": 16.0}  # mm between the lips
_SHUT = 2.0  # intensity of AU45 at which lids are shut


def edited_units(track: ExpressionTrack, edits: Edits) -> ExpressionTrack:
    """The action units with their curves applied, within 0..5. What no curve reaches keeps its bits."""
    names = [lane for lane in UNITS if lane.name in edits.lanes]
    if not names:
        return track
    au = track.au.clone()
    for lane in names:
        column = AU_NAMES.index(lane.name)
        own = track.au[:, column].double().numpy()
        new = edits.edited(lane, own, track.fps)
        same = torch.from_numpy((new == own) | (np.isnan(new) & np.isnan(own)))
        au[:, column] = torch.where(same, au[:, column], torch.from_numpy(new).float())
    return track.with_data(au)


def head_angles(pose: PoseTrack) -> dict[str, np.ndarray]:  # -> degrees [T]
    """Where the head looks, seen by the camera: "yaw" to the image's right, "pitch" upwards."""
    forward = pose.camera_to_head[:, 2, :3].double().numpy()  # the head's z in the camera
    return {"yaw": np.degrees(np.arctan2(forward[:, 0], forward[:, 2])),
            "pitch": np.degrees(np.arcsin(np.clip(forward[:, 1], -1, 1)))}


def edited_pose(pose: PoseTrack, edits: Edits) -> PoseTrack:
    """The head turned about its neck as the curves of "yaw" and "pitch" say; poses that none reaches keep their bits."""
    own = head_angles(pose)
    new = {lane.name: edits.edited(lane, own[lane.name], pose.fps) for lane in (YAW, PITCH)}
    moves = (new["yaw"] != own["yaw"]) | (new["pitch"] != own["pitch"])
    if not moves.any():
        return pose
    turn = looking(new["yaw"], new["pitch"]) @ looking(own["yaw"], own["pitch"]).transpose(0, 2, 1)  # in the camera
    given = pose.camera_to_head.double().numpy()
    pivot = np.einsum("tji,tj->ti", given[:, :3, :3], np.array(NECK) - given[:, :3, 3])
    out = given.copy()
    out[:, :3, :3] = given[:, :3, :3] @ turn.transpose(0, 2, 1)
    out[:, :3, 3] += np.einsum("tij,tj->ti", out[:, :3, :3], np.einsum("tij,tj->ti", turn, pivot) - pivot)
    return pose.with_data(torch.where(torch.from_numpy(moves)[:, None, None], torch.from_numpy(out).float(), pose.camera_to_head))


@lru_cache(maxsize=1)
def sketch() -> np.ndarray:  # float64 [17, 68, 3] metres for an intensity of 1
    """How the mean face shows each unit in the page: a sketch to edit by, not a measurement."""
    from .face.geometry import MIRROR

    mean, out = tables()["mean"], np.zeros((len(AU_NAMES), 68, 3))
    for name, moves in _SKETCH.items():
        for point, (outwards, up, forwards) in moves.items():
            for one, side in ((point, -1.0), (int(MIRROR[point]), 1.0)):
                out[AU_NAMES.index(name), one] = np.array([side * outwards if point != MIRROR[point] else 0, up, forwards]) * _MM
    for name, opened in _OPENED.items():
        out[AU_NAMES.index(name)] = tables()["lips"] * opened * _MM
    lids = mean[list(LOWER_LIDS)] - mean[list(UPPER_LIDS)]
    blink = out[AU_NAMES.index("AU45")]
    blink[list(UPPER_LIDS)] = lids * AU_MAX / _SHUT
    return out / AU_MAX
