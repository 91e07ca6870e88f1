"""Motion as what it asks of a video's face, frame by frame: displacement of the 68 points from where the mouth rests."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..media_core.errors import TalkingHeadsError
from ..media_core.face.carrier.place import Place
from ..media_core.face.carrier.residual import offset_of
from ..media_core.face.geometry import STILLEST
from ..media_core.face.track import FaceTrack
from ..media_core.motion import LandmarkTrack
from ..media_core.mouth import resting_face
from ..media_core.subject.layout import to_68
from .alignment import onto_pose, pose_frames
from .film_shots import Shot
from .landmarks import pixel_size

_RIGID = list(STILLEST)
_OTHER = .015  # of the eyes' distance: points that speech leaves alone, further from the face's own, belong to another face
_OWN = .002    # the same in px: nearer than this the motion is of these very frames


@dataclass(frozen=True)
class Asked:
    """A row for each frame of the motion, of one of three kinds."""

    rows: np.ndarray          # float64 [T, 68, 3]: decimetres canonical; px of the video, from rest; or px, absolute
    kind: str                 # "canonical", "from rest" or "absolute"

    @property
    def expression(self) -> float:
        """How much of the video's slow expression is added: motion of these very frames has it."""
        return 0.0 if self.kind == "absolute" else 1.0

    def at(self, row: int, place: Place, shot: Shot) -> np.ndarray:  # -> float64 [68, 3] units from rest
        rows = self.rows[row]
        if self.kind == "canonical":
            return rows @ shot.ways
        if self.kind == "from rest":
            return place.units(rows[:, :2])
        own = to_68(place.own)
        return own + place.units(rows[:, :2] - place.pixels(own)[:, :2]) - to_68(shot.rest)


def asked_of_face(motion: LandmarkTrack, portrait: np.ndarray, track: FaceTrack) -> Asked:
    """What a motion asks of a video's face.

    Args:
        motion: at the video's rate; canonical, of this face or of another, or in px of the video.
        portrait: [68, 3] decimetres, canonical: the face at rest.
        track: of the video.
    Raises:
        TalkingHeadsError: motion in px of another image.
    """
    points = motion.points.double().numpy()
    if motion.space == "canonical":
        return Asked(_from_rest(points, portrait), "canonical")
    if pixel_size(motion) != track.image_size:
        (height, width), (wide, high) = pixel_size(motion), track.image_size[::-1]
        raise TalkingHeadsError(f"Motion in pixels must be of this video, {wide} x {high} px", f"{width} x {height}",
                                "Align the motion to this video")
    filmed = track.landmarks.points[pose_frames(len(track), len(motion))].double().numpy()
    eyes = np.linalg.norm(filmed[:, 45, :2] - filmed[:, 36, :2], axis=-1).mean()
    off = np.linalg.norm((points - filmed)[:, _RIGID, :2], axis=-1).mean()
    if off < _OWN * eyes:
        return Asked(points, "absolute")
    still = torch.from_numpy(portrait.astype(np.float32)).expand(len(motion), -1, -1).contiguous()
    return Asked(points - onto_pose(LandmarkTrack(still, motion.fps), track).points.double().numpy(), "from rest")


def _from_rest(points: np.ndarray, portrait: np.ndarray) -> np.ndarray:  # [T, 68, 3], [68, 3] -> [T, 68, 3] decimetres
    """Another face's motion counts from its own rest: it must not pull this face towards that one's shape."""
    points = points - offset_of(points - portrait)
    move = points - portrait
    off = np.linalg.norm(np.median(move[:, _RIGID], axis=0), axis=-1).mean()
    if off <= _OTHER * np.linalg.norm(portrait[45] - portrait[36]):
        return move
    return points - np.asarray(resting_face(points), np.float64)
