"""The subject as others see it."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import TalkingHeadsError
from .rig import Rig, to68

METRES = 0.09 / 60.64     # of one photo pixel: the outer corners of the eyes are 9 cm apart
AXES = np.diag([1.0, -1.0, -1.0])  # image axes (y down, z away) <-> OpenGL axes (y up, z towards the viewer)
CLASSES = ("background", "face", "neck", "torso", "mouth", "hair")


@dataclass(frozen=True)
class SubjectFrame:
    """One rendered frame with its truth."""
    rgb: np.ndarray           # uint8 [H, W, 3]
    classes: np.ndarray       # uint8 [H, W], index into CLASSES
    teeth: np.ndarray         # bool [H, W]
    landmarks2d: np.ndarray   # float64 [68, 2] pixels x, y; a pixel's centre is an integer
    landmarks3d: np.ndarray   # float64 [68, 3] metres in the head's frame (x right, y up, z to the viewer)
    torso: np.ndarray         # uint8 [H, W, 4] RGBA: neck and shoulders as they are, also behind the head
    background: np.ndarray    # uint8 [H, W, 3] without the person


class Subject:
    """A person at one image size."""

    def __init__(self, size: int = 256, identity: int | None = 3):
        if not 64 <= size <= 1024:
            raise TalkingHeadsError("The subject's size must lie between 64 and 1024 pixels", f"{size}", "Take 256 or 512")
        self.size, self.identity = size, identity
        self._rig = Rig(size, identity)
        self.intrinsics = self._rig.K

    def pose(self, euler, translation=(0, 0, 0)):
        return self._rig.pose(*euler, t=translation)

    def world_to_camera(self, pose):  # -> R [3, 3], t [3]
        return pose[0] @ AXES, np.asarray(pose[1]) * METRES

    def landmarks(self, params, pose):
        V, _ = self._rig.deform(params)
        lm3 = to68(V[:468])
        return self._rig.project(lm3 @ pose[0].T + pose[1]), lm3 @ AXES * METRES

    def render(self, params, pose, sway=(0.0, 0.0)) -> SubjectFrame:
        o = self._rig.render(params, pose, sway)
        to, ta = o["torso"]
        nk, na = o["neck"]
        al = ta + na - ta * na
        tr = (to * ta * (1 - na) + nk * na) / np.maximum(al, 1e-4)
        torso = np.dstack([tr, al * 255]).clip(0, 255).astype(np.uint8)
        return SubjectFrame(o["rgb"], o["cls"], o["teeth"], o["lm68"], o["lm68_c"] @ AXES * METRES, torso,
                            o["bg"].clip(0, 255).astype(np.uint8))
