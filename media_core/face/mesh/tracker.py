"""The mesh in the place of the pack's other face networks: 68 points, one face, frame by frame.

`MeshTracker` is a `Tracker` as `FaceTracker` is, so `track_frames(frames, fps, tracker=MeshTracker())` and capture take it.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from ..following import Upcoming, begin
from ..landmarks.landmarks import FaceFrame
from . import layout
from .finder import FaceFinder, MeshFace
from .follower import MeshFollower
from .nets import MeshNets, shipped_nets
from .squares import Square

_FACE = 1.75  # side of a mesh's square over the longer side of the 68 points' box
_RAISED = 0.1  # of that box, by which the square's middle lies above the box's: the mesh has a forehead


class MeshTracker:
    """Finds one face and follows it; call it with each frame in order, or `follow` them.

    Args:
        nets: of `load_mesh_nets`; None: the pack's own, on `device`.
        face_index: which of several faces, counted in `order` where it is found.
        order: "largest" or "left" first.
    Raises:
        TalkingHeadsError: a negative index.
    """

    kind = "people"

    def __init__(self, nets: MeshNets | None = None, *, face_index: int = 0, order: str = "largest",
                 device: torch.device | str = "cpu"):
        self.follower = MeshFollower(shipped_nets(device) if nets is None else nets, (face_index,), order)
        self.state: np.ndarray | None = None  # [68, 2] px, where the face was in the frame before; may be set
        self.face: MeshFace | None = None  # of the last frame, with all 478 points
        self._left: np.ndarray | None = None  # what the last call left in `state`

    def reset(self) -> None:
        """Forgets the face, as after a cut."""
        self.state = self._left = self.face = None
        self.follower.reset()

    def __call__(self, frame: np.ndarray, mask: np.ndarray | None = None) -> FaceFrame | None:
        """The face in the next frame (uint8 [H, W, 3] RGB), None when there is none.

        Raises:
            TalkingHeadsError: no RGB image, an unknown order, or a mask of another size.
        """
        self._told()
        return self._seen(*self.follower(frame, mask))

    def follow(self, items: Iterable[Upcoming]) -> Iterator[tuple[Upcoming, FaceFrame | None]]:
        """The same for many frames, several at a time while the face keeps its place; see `following.follow`."""
        self._told()
        for item, (face,) in self.follower.steps(items, self._begin):
            yield item, self._seen(face)
            self._told()

    def _begin(self, item: Upcoming) -> None:
        begin(self, item)
        self._told()

    def _told(self) -> None:
        """Somebody may have set `state`: the face is found about there, whatever came before."""
        if self.state is not self._left:
            self._left = self.state
            self.follower.place([None if self.state is None else _square_of_68(self.state)])

    def _seen(self, face: MeshFace | None) -> FaceFrame | None:
        self.face = face
        found = None if face is None else as_frame(face)
        self.state = self._left = None if found is None else found.points
        return found


def mesh_portrait(image: np.ndarray, *, face_index: int = 0, order: str = "largest", mask: np.ndarray | None = None,
                  nets: MeshNets | None = None) -> FaceFrame:
    """The face of a still image, as `portrait_landmarks` gives it.

    Raises:
        TalkingHeadsError: no such face, a negative index or unknown order, or no RGB image.
    """
    finder = FaceFinder(shipped_nets("cpu") if nets is None else nets)
    return as_frame(finder.face(image, face_index=face_index, order=order, mask=mask))


def as_frame(face: MeshFace) -> FaceFrame:
    return FaceFrame(layout.points_68(face.points), face.trust, mesh=face.points, doubtful=face.doubtful)


def _square_of_68(points: np.ndarray) -> Square:  # [68, 2] px
    """About where the mesh looks at a face with these points; the second look at the face sets it right."""
    low, high = points.min(0), points.max(0)
    (x, y), size = (low + high) / 2, float((high - low).max())
    way = points[45] - points[36]
    angle = float(np.arctan2(way[1], way[0]))
    up = _RAISED * size
    return Square(float(x + up * np.sin(angle)), float(y - up * np.cos(angle)), max(_FACE * size, 1.0), angle)
