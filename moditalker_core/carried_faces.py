"""Whose face speaks when the picture's own pixels are carried: that of an image, or of a video, which keeps its movement.

A face gives AToM its portrait (`canonical`) and draws the motion that comes back (`frames`); no network of MToV takes part.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ..media_core import asked
from ..media_core.choices import POLICIES
from ..media_core.errors import TalkingHeadsError
from ..media_core.face.track import FaceTrack
from ..media_core.motion import LandmarkTrack
from ..media_core.mouth import resting_face
from ..media_core.progress import Report, silent
from .alignment import pose_frames
from .choices import LIFE
from .mtov.conditions import Picture, rgb_picture

Opened = Callable[[int], Iterator[np.ndarray]]  # (start) -> a video's frames uint8 [H, W, 3] from that number on
log = logging.getLogger(__name__)


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
    canonical: LandmarkTrack  # from the front, its mouth shut; one frame

    def frames(self, motion: LandmarkTrack, drawing: Drawing = Drawing(), report: Report = silent) -> Iterator[np.ndarray]:
        """The image moving, uint8 [H, W, 3 or 4], one frame at a time.

        Args:
            motion: canonical, or in pixels of the image.
        Raises:
            TalkingHeadsError: what `carried_portrait` refuses.
        """
        from .carrier_video import SEEDS, CarrierSettings, carried_portrait

        return carried_portrait(self.picture, motion, settings=CarrierSettings(life=drawing.life, seed=drawing.seed % SEEDS),
                                landmarks=self.landmarks, start=drawing.start, stop=drawing.stop, report=report)

    def faceless_frames(self, count: int) -> list[int]:
        """None: the image shows a face."""
        return []


@dataclass(frozen=True)
class FilmedFace:
    """A face in a video."""

    opened: Opened            # the frames, at the motion's rate
    track: FaceTrack          # of exactly these frames
    canonical: LandmarkTrack  # at rest, from the front; one frame
    policy: str = "skip"      # frames without a face, see `filmed_face`
    tracker: str = "people"
    total: int | None = None  # frames, about

    def frames(self, motion: LandmarkTrack, drawing: Drawing = Drawing(), report: Report = silent) -> Iterator[np.ndarray]:
        """The video's frames with new lips, uint8 [H, W, 3], one at a time; ping-pong where it is shorter than the motion.

        Raises:
            TalkingHeadsError: a motion of another rate, or what `carried_film` refuses.
        """
        from .carrier_films import carried_film

        frames = carried_film(self.opened, motion, fps=self.track.fps, total=self.total, track=self.track, policy=self.policy,
                              tracker=self.tracker, report=report)
        return islice(frames, drawing.start, drawing.stop)

    def faceless_frames(self, count: int) -> list[int]:
        """Numbers of the video's frames that stay as recorded, of those that a result of `count` frames shows."""
        if self.policy != "skip":
            return []
        shown = np.unique(pose_frames(len(self.track), count))
        return shown[self.track.confidence.numpy()[shown] == 0].tolist()


CarriedFace = StillFace | FilmedFace


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

    seen = rgb_picture(picture)
    found = still_landmarks(tracker, seen, face_index=face_index)
    canonical = canonical_portrait(found.points, (seen.shape[0], seen.shape[1]))
    shut = canonical.with_data(resting_face(canonical.points)[None])
    return StillFace(picture, found.points if found.mesh is None else found.mesh, shut)


def filmed_face(opened: Opened, fps: float, *, track: FaceTrack | None = None, policy: str = "skip", total: int | None = None,
                tracker: str = "people", report: Report = silent) -> FilmedFace:
    """The face in a video.

    Args:
        opened: (start) -> its frames from that number on, at `fps`; called again for each pass over the video.
        track: of the video at that rate, with its mesh; None: the face is tracked.
        policy: frames without a face: left as recorded ("skip"), refused ("error"), or given the lips of where the face was last
            ("hold") or of the way to where it is next ("interpolate").
        total: how many frames the video has, for the report.
        report: while the video is tracked.
    Raises:
        TalkingHeadsError: no face, a track of another rate, or frames without a face under "error".
    """
    from ..media_core.face.pose.canonical import canonical_landmarks

    if policy not in POLICIES:
        raise TalkingHeadsError(f"Frames without a face need one of {', '.join(POLICIES)}", f"'{policy}'", "Choose one of those")
    if track is not None and abs(track.fps - fps) > 1e-3:
        raise TalkingHeadsError(f"The video's track must have the motion's rate, {fps:g} frames per second", f"{track.fps:g}",
                                "Track the video at that rate, or leave the track out")
    found = _tracked(opened, fps, policy, total, tracker, report) if track is None else track
    _check_seen(found, policy)
    canonical = LandmarkTrack(resting_face(canonical_landmarks(found).points)[None], fps)
    return FilmedFace(opened, found, canonical, policy, tracker, total)


def _tracked(opened: Opened, fps: float, policy: str, total: int | None, tracker: str, report: Report) -> FaceTrack:
    from ..media_core.face.landmarks.landmarks import fill_missing, track_frames
    from ..media_core.face.track import measure
    from ..media_core.face.trackers import make_tracker

    raw = track_frames(opened(0), fps, tracker=make_tracker(tracker), total=total, again=opened, report=report)
    return measure(fill_missing(raw, "interpolate" if policy == "skip" else policy)[0])


def _check_seen(track: FaceTrack, policy: str) -> None:
    """Names the frames without a face.

    Raises:
        TalkingHeadsError: some, under "error".
    """
    from ..media_core.face.landmarks.raw_track import listed

    faceless = np.flatnonzero(track.confidence.numpy() == 0)
    if not len(faceless) or policy not in ("skip", "error"):
        return
    numbers = f"no face in {len(faceless)} of {len(track)} frames: {listed(faceless)}"
    if policy == "error":
        raise TalkingHeadsError("Every frame of the video must show the face", numbers,
                                "Cut these parts, or choose what becomes of them: hold, interpolate or skip")
    log.warning("%s; they stay as recorded", numbers)
