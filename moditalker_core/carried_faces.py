"""Whose face speaks when the picture's own pixels are carried: that of an image, or of a video, which keeps its movement.

A face gives AToM its portrait (`canonical`) and draws the motion that comes back (`frames`); no network of MToV takes part.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..media_core import asked
from ..media_core.face.track import FaceTrack
from ..media_core.motion import LandmarkTrack
from ..media_core.progress import Report, silent
from .alignment import pose_frames
from .choices import LIFE
from .mtov.conditions import Picture, rgb_picture

if TYPE_CHECKING:
    from .carrier_films import CarriedFilm
    from .film_faces import Frames


@dataclass(frozen=True)
class Drawing:
    """How a motion is drawn."""

    life: float = LIFE       # 0..1, head sway and blinks of a still image; videos have their own
    seed: int = 0            # of those
    start: int = 0           # first frame of the motion that is drawn
    stop: int | None = None  # frame before which it ends; None: the motion's end

    def __post_init__(self) -> None:
        asked.real("The life of a portrait", self.life, 0, 1)
        asked.whole("The seed", self.seed, 0)


@dataclass(frozen=True)
class StillFace:
    """A face in one image."""

    picture: Picture          # as `conditions.rgb_picture` takes it; one with alpha stays transparent
    landmarks: np.ndarray     # [478, 3] px, the face's mesh; or its 68 points, [68, 2], where the tracker has no mesh
    canonical: LandmarkTrack  # from the front, an open mouth shut as AToM shuts it; one frame

    def frames(self, motion: LandmarkTrack, drawing: Drawing = Drawing(), report: Report = silent) -> Iterator[np.ndarray]:
        """The image moving, uint8 [H, W, 3 or 4], one frame at a time.

        Args:
            motion: canonical, or in pixels of the image.
        Raises:
            TalkingHeadsError: what `carried_portrait` refuses.
        """
        return drawn_still(self.picture, self.landmarks, motion, drawing, report)

    def faceless_frames(self, count: int) -> list[int]:
        """None: the image shows a face."""
        return []


@dataclass(frozen=True)
class VideoFace:
    """A face in a video."""

    opened: Frames            # its frames, at the plan's rate
    plan: CarriedFilm         # what was measured of it
    canonical: LandmarkTrack  # from the front, its mouth shut; one frame
    policy: str = "skip"      # frames without a face, see `video_face`

    def frames(self, motion: LandmarkTrack, drawing: Drawing = Drawing(), report: Report = silent) -> Iterator[np.ndarray]:
        """The video's frames with new lips, uint8 [H, W, 3], one at a time; ping-pong where it is shorter than the motion.

        Raises:
            TalkingHeadsError: motion in pixels of another image.
        """
        from .carrier_films import drawn_film

        return drawn_film(self.plan, self.opened, motion, report, start=drawing.start, stop=drawing.stop)

    def faceless_frames(self, count: int) -> list[int]:
        """Numbers of the video's frames that stay as recorded, of those that a result of `count` frames shows."""
        if self.policy != "skip":
            return []
        shown = np.unique(pose_frames(len(self.plan.face), count))
        return shown[~self.plan.face.seen[shown]].tolist()


def drawn_still(picture: Picture, landmarks: LandmarkTrack | np.ndarray | None, motion: LandmarkTrack,
                drawing: Drawing = Drawing(), report: Report = silent) -> Iterator[np.ndarray]:
    """An image moving, uint8 [H, W, 3 or 4], see `carried_portrait`; without the landmarks its largest face is found."""
    from .carrier_video import SEEDS, CarrierSettings, carried_portrait

    return carried_portrait(picture, motion, settings=CarrierSettings(life=drawing.life, seed=drawing.seed % SEEDS),
                            landmarks=landmarks, start=drawing.start, stop=drawing.stop, report=report)


CarriedFace = StillFace | VideoFace


def still_face(picture: Picture, *, tracker: str = "people", face_index: int = 0) -> StillFace:
    """The face in an image.

    Args:
        picture: as `conditions.rgb_picture` takes it; one with alpha stays transparent.
        tracker: for real "people", or for "rendered" ones.
    Raises:
        TalkingHeadsError: no such face.
    """
    from ..media_core.face.pose.canonical import canonical_portrait
    from ..media_core.face.trackers import still_landmarks
    from .atom.generation import shut_if_open

    seen = rgb_picture(picture)
    found = still_landmarks(tracker, seen, face_index=face_index)
    canonical = canonical_portrait(found.points, (seen.shape[0], seen.shape[1]))
    shut = canonical.with_data(shut_if_open(canonical.points[0])[None])
    return StillFace(picture, found.points if found.mesh is None else found.mesh, shut)


def video_face(opened: Frames, fps: float, *, track: FaceTrack | None = None, policy: str = "skip", total: int | None = None,
               tracker: str = "people", face_index: int = 0, near: np.ndarray | None = None,
               report: Report = silent) -> VideoFace:
    """The face in a video.

    Args:
        opened: (start) -> its frames uint8 [H, W, 3] from that number on, at `fps`; called again for each pass over the video.
        fps: frames per second, of the motion to come.
        track, policy, total, tracker: see `carrier_films.carried_film`.
        face_index: which of several faces, the largest first; a `track` has chosen already.
        near: [68, 2] px, instead of a number: about where that face is in the first frame.
        report: while the video is measured.
    Raises:
        TalkingHeadsError: what `film_plan` refuses.
    """
    from .carrier_films import film_plan, film_portrait

    plan = film_plan(opened, fps=fps, total=total, track=track, policy=policy, tracker=tracker, face_index=face_index, near=near,
                     report=report)
    return VideoFace(opened, plan, film_portrait(plan.face.track), policy)


def followed_face(opened: Frames, fps: float, *, face_index: int, total: int | None = None, tracker: str = "people",
                  report: Report = silent) -> FaceTrack:
    """One of several faces of a video, the largest first, followed through it.

    Raises:
        TalkingHeadsError: no such face.
    """
    from ..media_core.face.landmarks.landmarks import fill_missing, track_frames
    from ..media_core.face.track import measure
    from ..media_core.face.trackers import make_tracker

    following = make_tracker(tracker, face_index=face_index)
    raw = track_frames(opened(0), fps, tracker=following, total=total, again=opened, report=report)
    return measure(fill_missing(raw, "interpolate")[0])
