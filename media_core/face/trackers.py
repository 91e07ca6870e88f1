"""Which networks find faces, chosen in one place: "people" (the mesh, which learnt from real people) or "rendered" (the pack's
own, which learnt from renders of invented people and are the better ones on those).

What one kind of tracker measured must not be mixed with what the other did: they place some points differently.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

from ..choices import TRACKERS
from ..errors import TalkingHeadsError

if TYPE_CHECKING:
    import numpy as np

    from .landmarks.landmarks import FaceFrame
    from .presence import Tracker


def make_tracker(kind: str, *, face_index: int = 0, order: str = "largest") -> Tracker:
    """A tracker that finds one face and follows it.

    Args:
        kind: one of `TRACKERS`.
        face_index: which of several faces, counted in `order`: "largest" or "left" first.
    Raises:
        TalkingHeadsError: an unknown kind or order, or a negative index.
    """
    if _checked(kind) == "people":
        from .mesh.tracker import MeshTracker

        return MeshTracker(face_index=face_index, order=order)
    from .landmarks.landmarks import FaceTracker

    return FaceTracker(face_index=face_index, order=order)


def still_landmarks(kind: str, image: np.ndarray, *, face_index: int = 0, order: str = "largest",
                    mask: np.ndarray | None = None) -> FaceFrame:
    """The face of a still image (uint8 [H, W, 3] RGB), looked at carefully.

    Raises:
        TalkingHeadsError: an unknown kind or order, a negative index, no such face, or no RGB image.
    """
    if _checked(kind) == "people":
        from .mesh.tracker import mesh_portrait

        return mesh_portrait(image, face_index=face_index, order=order, mask=mask)
    from .landmarks.landmarks import portrait_landmarks

    return portrait_landmarks(image, face_index=face_index, order=order, mask=mask)


def _checked(kind: str) -> str:
    if kind not in TRACKERS:
        raise TalkingHeadsError(f"The tracker must be one of {', '.join(TRACKERS)}", f"'{kind}'", "Choose one of those")
    return kind
