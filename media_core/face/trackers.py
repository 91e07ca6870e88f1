"""Which networks find faces, chosen in one place: "people" (the mesh, which learnt from real people) or "rendered" (the pack's
own, which learnt from renders of invented people and are the better ones on those).

What one kind of tracker measured must not be mixed with what the other did: they place some points differently. Every track and
manifest therefore says in `tracker` what measured it, one of `MEASURED_BY`.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..choices import MEASURED_BY, TRACKERS
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


def measured_alike(one: str, other: str) -> bool:
    """Whether points of these origins (of `MEASURED_BY`) mean the same: a mesh that learnt from real people, or the subject's own
    truth and the networks that learnt from it."""
    return _of_people(one) == _of_people(other)


def check_alike(name: str, one: str, other: str, do: str) -> None:
    """Raises:
        TalkingHeadsError: `name`, which was measured by `other`, must not be mixed with what is measured by `one`.
    """
    if not measured_alike(one, other):
        raise TalkingHeadsError(f"{name} must be measured by the tracker '{one}', as what is measured now: trackers place points "
                                "differently", f"measured by '{other}'", do)


def manifest_tracker(manifest: Mapping[str, object]) -> str:
    """What measured a dataset, of `MEASURED_BY`, by its manifest or index; those that do not say are older than the choice."""
    stated, request = manifest.get("tracker"), manifest.get("request")
    if isinstance(stated, str) and stated in MEASURED_BY:
        return stated
    return "landmarks" if isinstance(request, Mapping) and request.get("landmarks") is not None else "rendered"


def _of_people(origin: str) -> bool:
    return origin in ("people", "landmarks")


def _checked(kind: str) -> str:
    if kind not in TRACKERS:
        raise TalkingHeadsError(f"The tracker must be one of {', '.join(TRACKERS)}", f"'{kind}'", "Choose one of those")
    return kind
