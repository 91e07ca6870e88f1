"""Where a video takes place: one portrait, or a video whose head movement is kept; cut out as MToV's weights expect faces.

A scene carries generated motion to the pixels of its crop (`placed`) and finished crops back into whole images (`pasted`).
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch

from ...media_core.errors import TalkingHeadsError
from ...media_core.face.crop import FEATHER, FaceCrop, following_crop, still_crop
from ...media_core.face.track import FaceTrack
from ...media_core.motion import LandmarkTrack
from ...media_core.mouth import resting_face
from ...media_core.progress import Report, silent
from ..alignment import onto_portrait, onto_pose, pose_frames
from ..landmarks import pixel_size
from .conditions import Picture, pose_walk, rgb_picture
from .lower_face import lower_face
from .model import MToVConfig

LARGEST = 1280  # px, longer side of a portrait; larger ones are made smaller first: the face in them is smaller still
_SLACK = 0.5    # s that a video may seem longer than its track
AS_FILMED = "skip"  # the policy that leaves frames without a face alone; the other ones are those of a capture
Opened = Callable[[int], Iterator[np.ndarray]]  # (start) -> a video's frames uint8 [H, W, 3] from that number on


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """A head to be driven. Made by `portrait_scene` or `film_scene`."""

    picture: np.ndarray       # uint8 [H, W, 3], the whole image of who is seen; of a video: its first frame with a face
    identity: np.ndarray      # uint8 [S, S, 3], the face of it
    crop: FaceCrop            # the way from whole images to crops and back
    source: LandmarkTrack     # in pixels of the whole images; a row for each frame of the video, or one
    canonical: LandmarkTrack  # the person's face at rest, from the front: AToM's portrait; one row
    track: FaceTrack | None = None   # of the video
    opened: Opened | None = None     # the video's whole frames; None: a portrait
    faceless: np.ndarray | None = None  # bool, one per frame of the video: nobody is seen, they stay as recorded; None: none

    @property
    def landmarks(self) -> LandmarkTrack:
        """`source` in pixels of the crops."""
        return self._cropped(self.source)

    def placed(self, motion: LandmarkTrack) -> LandmarkTrack:
        """Motion in pixels of the crops, frame by frame.

        Args:
            motion: canonical (of the scene's person, or of anybody); or in pixels of the whole images, or of the crops.
        Raises:
            TalkingHeadsError: pixels of other images, or another rate than the video's.
        """
        if motion.space == "pixels":
            size = pixel_size(motion)
            if size == (self.crop.size, self.crop.size):
                return motion
            if size != tuple(self.crop.source_size):
                height, width = self.crop.source_size
                came = f"{size[1]} x {size[0]}"
                raise TalkingHeadsError(f"Motion in pixels must be of the whole image, {width} x {height} px, or of the crop, "
                                        f"{self.crop.size} x {self.crop.size}", came, "Align the motion to this image")
            return self._cropped(motion)
        if self.track is None:
            return self._cropped(onto_portrait(motion, self.source, canonical=self.canonical))
        return self._cropped(onto_pose(motion, self.track, fps=motion.fps))

    def pose_crops(self, count: int) -> Iterator[np.ndarray] | None:
        """The video's frames, ping-pong, `count` of them, cut out, uint8 [S, S, 3]; None: a portrait. Holds few at a time."""
        return None if self.opened is None else self._film_crops(self.opened, count)

    def _film_crops(self, opened: Opened, count: int) -> Iterator[np.ndarray]:
        order = pose_frames(len(self.source), count).tolist()
        return (self.crop.crop(frame, row) for row, frame in zip(order, pose_walk(opened, len(self.source), count)))

    def pose_landmarks(self, count: int) -> LandmarkTrack:
        """`landmarks` of those frames; of a portrait its one row."""
        landmarks = self.landmarks
        return landmarks if self.opened is None else landmarks.with_data(landmarks.points[pose_frames(len(landmarks), count)])

    def pasted(self, crops: Iterator[np.ndarray], stop: int, feather: float = FEATHER, start: int = 0) -> Iterator[np.ndarray]:
        """Crops back into the whole images, uint8 [H, W, 3]: of a video only the lower face, which the networks were not shown.
        What lies outside stays to the bit, and so do frames of the video in which nobody is seen.

        Args:
            stop: the frame before which the crops end.
            start: the frame of the first one.
        """
        if self.opened is None:
            for edited in crops:
                yield self.crop.paste_back(self.picture, edited, feather=feather)
            return
        order, points = pose_frames(len(self.source), stop).tolist()[start:], self.landmarks.points.numpy()
        for number, whole, edited in zip(order, islice(pose_walk(self.opened, len(self.source), stop), start, None), crops):
            mask = lower_face(points[number], self.crop.size)
            yield whole if self._alone(number) else self.crop.paste_back(whole, edited, number, feather=feather, mask=mask)

    def squares(self, crops: Iterator[np.ndarray], start: int, stop: int) -> Iterator[np.ndarray]:
        """Crops `start` to `stop` (exclusive) as they are, uint8 [S, S, 3]; of frames in which nobody is seen the video's own."""
        if self.opened is None or self.faceless is None or not self.faceless.any():
            yield from crops
            return
        order = pose_frames(len(self.source), stop).tolist()[start:]
        for number, filmed, edited in zip(order, islice(self._film_crops(self.opened, stop), start, None), crops):
            yield filmed if self._alone(number) else edited

    def faceless_frames(self, count: int | None = None) -> list[int]:
        """Numbers of the video's frames that stay as recorded, of those that a video of `count` frames shows (None: of all)."""
        if self.faceless is None:
            return []
        shown = np.arange(len(self.source)) if count is None else np.unique(pose_frames(len(self.source), count))
        return shown[self.faceless[shown]].tolist()

    def _alone(self, number: int) -> bool:
        return self.faceless is not None and bool(self.faceless[number])

    def _cropped(self, motion: LandmarkTrack) -> LandmarkTrack:
        rows = pose_frames(len(self.crop), len(motion)).tolist() if self.crop.moves else [0] * len(motion)
        points = motion.points.clone()
        flat = [self.crop.to_crop(one, row) for one, row in zip(motion.points[..., :2].double().numpy(), rows)]
        points[..., :2] = torch.from_numpy(np.stack(flat)).float()
        points[..., 2] *= self.crop.size / self.crop.side()
        return replace(motion, points=points, image_size=(self.crop.size, self.crop.size))


def portrait_scene(image: Picture, config: MToVConfig, *, points: np.ndarray | None = None, face_index: int = 0,
                   order: str = "largest", tracker: str = "people") -> Scene:
    """A scene in which the head does not move.

    Args:
        image: what `conditions.rgb_picture` takes: uint8 or float 0..1, grey, RGB, or RGBA (over black), of any size.
        config: of the weights: size and margin of the crop.
        points: [68, 2] px of the image; None: found by the tracker.
        face_index, order: for images with several faces, see `still_landmarks`.
        tracker: of the face: for real "people", or for "rendered" ones.
    Raises:
        TalkingHeadsError: no such face, no image, or points that are no face.
    """
    from ...media_core.face.pose.canonical import canonical_portrait
    from ...media_core.face.trackers import still_landmarks

    whole = rgb_picture(image)
    picture = _no_larger(whole)
    if points is None:
        place = still_landmarks(tracker, picture, face_index=face_index, order=order).points
    else:
        _check_points(points)
        place = (np.asarray(points, np.float64)[..., :2] + 0.5) * (picture.shape[0] / whole.shape[0]) - 0.5
    height, width = picture.shape[:2]
    crop = still_crop(place, (height, width), config.size, margin=config.margin)
    flat = torch.zeros(1, 68, 3)
    flat[0, :, :2] = torch.from_numpy(np.asarray(place, np.float32))
    source = LandmarkTrack(flat, config.fps, "pixels", (height, width))
    return Scene(picture=picture, identity=crop.crop(picture), crop=crop, source=source,
                 canonical=canonical_portrait(place, (height, width)))


def _check_points(points: object) -> None:
    try:
        given: np.ndarray = np.asarray(points, np.float64)
    except (TypeError, ValueError):  # ragged, or no numbers
        given = np.zeros(0)
    if given.ndim != 2 or len(given) != 68 or given.shape[1] < 2 or not np.isfinite(given[:, :2]).all():
        raise TalkingHeadsError("A portrait's landmarks must be 68 finite points, [68, 2] px",
                                f"{list(given.shape)}, or something else than finite numbers",
                                "Give the points of one face, or none to have them found")


def film_scene(opened: Opened, config: MToVConfig, *, track: FaceTrack | None = None, portrait: Picture | None = None,
               follow: bool = False, policy: str = AS_FILMED, total: int | None = None, tracker: str = "people",
               report: Report = silent) -> Scene:
    """A scene with the head movement of a video, whose mouth is generated.

    Args:
        opened: (start) -> the video's frames uint8 [H, W, 3] from that number on, at the weights' rate (config.fps); called again
            for each pass over the video (`lambda start: read_frames(path, config.fps, start)`).
        track: of the video at that rate; None: its face is followed by the tracker.
        portrait: another image of the person, for the identity; None: the video's first frame with a face.
        follow: the crop follows the head, for videos in which it moves far; else one square serves all frames.
        policy: frames without a face: they stay as recorded ("skip"), are refused ("error"), or get a mouth all the same, where
            the face was last ("hold") or on the way to where it is next ("interpolate"); a given `track`
            has them already.
        total: how many frames the video has, for the report.
        tracker: of the faces: for real "people", or for "rendered" ones.
        report: while the video is tracked.
    Raises:
        TalkingHeadsError: no face, a track of another rate, an unknown policy, or frames without a face under "error".
    """
    from ...media_core.face.landmarks.raw_track import POLICIES
    from ...media_core.face.pose.canonical import canonical_landmarks

    if policy not in POLICIES:
        raise TalkingHeadsError(f"Frames without a face need one of {', '.join(POLICIES)}", f"'{policy}'", "Choose one of those")
    track = _tracked(opened, config.fps, policy, total, tracker, report) if track is None else track
    if track.fps != config.fps:
        raise TalkingHeadsError(f"The pose video's track must have the weights' rate, {config.fps:g} frames per second",
                                f"{track.fps:g}", "Track the video at that rate")
    if total is not None and len(track) < total - _SLACK * config.fps:
        log.warning("the face track has %d frames, the video about %d: where a track left frames out (policy skip), later ones "
                    "come too early; track with interpolate", len(track), total)
    source, first = track.landmarks, int(torch.argmax((track.confidence > 0).int()))
    points, size = source.points[..., :2].numpy(), track.image_size
    crop = (following_crop(points, size, config.size, config.fps, margin=config.margin) if follow
            else still_crop(points, size, config.size, margin=config.margin))
    picture = next(opened(first))
    identity = crop.crop(picture, first) if portrait is None else portrait_scene(portrait, config, tracker=tracker).identity
    canonical = LandmarkTrack(resting_face(canonical_landmarks(track).points)[None], config.fps)
    return Scene(picture=picture, identity=identity, crop=crop, source=source, canonical=canonical, track=track, opened=opened,
                 faceless=_as_filmed(track, policy))


def _tracked(opened: Opened, fps: float, policy: str, total: int | None, tracker: str, report: Report) -> FaceTrack:
    from ...media_core.face.landmarks.landmarks import fill_missing, track_frames
    from ...media_core.face.track import measure
    from ...media_core.face.trackers import make_tracker

    raw = track_frames(opened(0), fps, tracker=make_tracker(tracker), total=total, again=opened, report=report, dense=False)
    return measure(fill_missing(raw, "interpolate" if policy == AS_FILMED else policy)[0])


def _as_filmed(track: FaceTrack, policy: str) -> np.ndarray | None:  # bool [T]
    """Which frames stay as recorded; they are named in the log.

    Raises:
        TalkingHeadsError: frames without a face under "error".
    """
    from ...media_core.face.landmarks.raw_track import listed

    faceless = track.confidence.numpy() == 0
    if policy not in (AS_FILMED, "error") or not faceless.any():
        return None
    numbers = f"no face in {faceless.sum()} of {len(track)} frames: {listed(np.flatnonzero(faceless))}"
    if policy == "error":
        raise TalkingHeadsError("Every frame of the video must show the face", numbers,
                                "Cut these parts, or choose what becomes of them: hold, interpolate or skip")
    log.warning("%s; they stay as recorded", numbers)
    return faceless


def _no_larger(picture: np.ndarray) -> np.ndarray:
    """An image of at most `LARGEST` px, averaged where it shrinks."""
    largest = max(picture.shape[:2])
    if largest <= LARGEST:
        return picture
    import cv2

    height, width = (max(1, round(side * LARGEST / largest)) for side in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
