"""A portrait speaks with its own pixels: motion moves the face's mesh, the mesh carries the image; no network draws anything.

    for frame in carried_portrait(image, motion):   # uint8 [H, W, 3], the image's size; the first frame is the image
        writer.write(frame)
"""
from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..media_core import asked
from ..media_core.errors import TalkingHeadsError
from ..media_core.face.geometry import STILLEST
from ..media_core.motion import LandmarkTrack
from ..media_core.motion_edits import measured
from ..media_core.mouth import lip_aperture
from ..media_core.progress import Report, silent
from .alignment import onto_portrait
from .landmarks import pixel_size
from .mtov.conditions import Picture, rgb_picture

if TYPE_CHECKING:
    from ..media_core.face.carrier.carrier import Carrier
    from ..media_core.face.carrier.life import Life
    from ..media_core.face.carrier.place import Turn
    from ..media_core.face.carrier.residual import Residual

SEEDS = 1 << 63
ASIDE, PROFILE = .8, 1.0       # of `place.sideways`: warned of, refused
YAW = 25.0                     # degrees from which a face is warned of
_TURNED = .4                   # of `place.sideways`: from here on the head turns less
_SEAM = [13, 14]               # of the mesh, the middle of the inner lips
_LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))  # upper and lower lid of the 68 points
_PREVIEW_EVERY = 10            # frames
_LEAST_TURN = 1.5              # degrees from the usual look that are a turn of the head
_SAME_SHAPE = .015             # of a face's size: rigid points of one person agree by that

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CarrierSettings:
    """How a portrait is carried."""

    life: float = 1.0           # 0..1: head sway, blinks and brows of a still image, 0: only the mouth moves; videos ignore it
    seed: int = 0               # draws that life
    upper: float | None = None  # 0..1: how far brows and lids follow the motion; None: as far as `life`

    def __post_init__(self) -> None:
        asked.real("The life of a portrait", self.life, 0, 1)
        asked.whole("The seed", self.seed, 0, SEEDS - 1)
        if self.upper is not None:
            asked.real("How far brows and lids follow the motion", self.upper, 0, 1)


def carried_portrait(picture: Picture, motion: LandmarkTrack, *, settings: CarrierSettings = CarrierSettings(),
                     landmarks: LandmarkTrack | np.ndarray | None = None, tracker: str = "people", face_index: int = 0,
                     start: int = 0, stop: int | None = None, report: Report = silent) -> Iterator[np.ndarray]:
    """The portrait with the motion: uint8 [H, W, 3], or [H, W, 4] where the image has alpha, of the image's size.

    Args:
        picture: uint8 or float 0..1, grey, RGB or RGBA, of any size.
        motion: canonical (of this face, or of another), or in px of the image, head movement included.
        landmarks: of the image: a track in its px (its first frame, with a mesh or without), 68 points or a mesh; None: found.
        tracker: of the face: for real "people", or for "rendered" ones.
        face_index: which of several faces, the largest first.
        start, stop: the frames of the motion that are made; any part is the same as in the whole.
        report: called once per frame.
    Raises:
        TalkingHeadsError: no such face, one seen from the side, motion in px of another image, no such frames.
    """
    whole = _with_alpha(picture)
    stop = len(motion) if stop is None else stop
    if not 0 <= asked.whole("The first frame", start) < asked.whole("The last frame", stop) <= len(motion):
        raise TalkingHeadsError(f"The frames must lie within the motion's {len(motion)}", f"{start} to {stop}", "Choose others")
    carrier = portrait_carrier(whole, landmarks=landmarks, tracker=tracker, face_index=face_index)
    return _frames(carrier, motion, settings, range(start, stop), report, read=tracker == "people" and _with_mesh(landmarks))


def portrait_carrier(picture: np.ndarray, *, landmarks: LandmarkTrack | np.ndarray | None = None, tracker: str = "people",
                     face_index: int = 0) -> Carrier:
    """The carrier of an image uint8 [H, W, 3 or 4].

    Raises:
        TalkingHeadsError: see `carried_portrait`.
    """
    from ..media_core.face.carrier.carrier import Carrier
    from ..media_core.face.carrier.hidden import before_mouth
    from ..media_core.face.carrier.lip_edge import goes_along, without_teeth
    from ..media_core.face.carrier.measuring import still_mesh
    from ..media_core.face.carrier.place import sideways, yaw_of

    size = picture.shape[:2]
    points = _points(landmarks, size) if isinstance(landmarks, LandmarkTrack) else landmarks
    mesh = still_mesh(rgb_picture(picture), landmarks=points, tracker=tracker, face_index=face_index)
    _check_mouth(mesh, size)
    aside = sideways(mesh)
    if aside > PROFILE:
        raise TalkingHeadsError("The face must look forward: one side of it is hidden, and would break when the mouth moves",
                                "a face in profile", "Choose another image, or the carrier 'redraw'")
    hidden = before_mouth(picture, mesh)
    if hidden is not None:
        log.warning("%s seems to lie before the mouth: it would be stretched like lips; use an image that shows the mouth",
                    hidden)
    shown = without_teeth(picture, mesh) if tracker == "people" and _with_mesh(landmarks) else mesh
    carrier = Carrier(picture, shown, along=None if shown is mesh else goes_along(mesh, shown))
    yaw = float(np.degrees(yaw_of(carrier.place)))
    if aside > ASIDE or yaw > YAW:
        log.warning("the face looks %.0f degrees to the side; the far corner of the mouth may break: an image from the front is "
                    "better", yaw)
    return carrier


def _check_mouth(mesh: np.ndarray, size: tuple[int, ...]) -> None:  # [478, 3] px, (H, W)
    """Raises TalkingHeadsError where the mouth lies outside the image: nothing would move."""
    x, y = mesh[_SEAM, :2].mean(0)
    if not (0 <= x < size[1] and 0 <= y < size[0]):
        raise TalkingHeadsError("The mouth must lie within the image", f"it would be at ({x:.0f}, {y:.0f}) in "
                                f"{size[1]} x {size[0]} px", "Use an image that shows the whole face")


def _frames(carrier: Carrier, motion: LandmarkTrack, settings: CarrierSettings, frames: range, report: Report, *,
            read: bool) -> Iterator[np.ndarray]:
    moved, life = _prepared(carrier, motion, settings, read)
    upper = settings.life if settings.upper is None else settings.upper
    points = moved.points.copy()
    points[:, 17:48] *= upper
    recorded = motion.space == "pixels" and moved.turns is not None  # all of the head's movement
    for done, i in enumerate(frames):
        turned = _turned(None if recorded else life.turns[i], None if moved.turns is None else moved.turns[i])
        sway = (0.0, 0.0) if recorded else (float(life.sway[i, 0]), float(life.sway[i, 1]))
        frame = carrier.draw(points[i], blink=float(life.blink[i]), brows=float(life.brows[i]), turned=turned, sway=sway,
                             upper=upper > 0, hold=upper == settings.life == 0 and moved.turns is None)
        preview = frame[..., :3] if i % _PREVIEW_EVERY == 0 else None
        report(done + 1, len(frames), {"frame": done + 1, "frames": len(frames)}, preview)
        yield frame


def _prepared(carrier: Carrier, motion: LandmarkTrack, settings: CarrierSettings, read: bool) -> tuple[Residual, Life]:
    """All of the motion as displacement, and the life of all of it: no part depends on where it begins."""
    from ..media_core.face.carrier.life import lively
    from ..media_core.face.carrier.residual import begun
    from ..media_core.face.carrier.response import corrected, shutting

    moved = residual_of(motion, carrier)
    moved = replace(moved, points=moved.points + carrier.along)
    if read:
        shut = shutting(carrier.own68)
        moved = replace(moved, points=corrected(carrier, moved.points, shut))
    moved = replace(moved, points=begun(moved.points, motion.fps))
    opening = lip_aperture(torch.from_numpy((carrier.own68 + moved.points)[..., :2])).numpy()
    turning = float(np.clip((ASIDE - carrier.aside) / (ASIDE - _TURNED), .2, 1))
    upper = settings.life if settings.upper is None else settings.upper
    shut = upper * _lids_shut(moved.points, carrier.own68)
    return moved, lively(opening, motion.fps, settings.seed, settings.life, turning, shut)


def _turned(life: Turn | None, motion: Turn | None) -> Turn | None:
    """Both movements of the head."""
    if life is None or motion is None:
        return motion if life is None else life
    return replace(motion, rotation=life.rotation @ motion.rotation, shift=life.shift + motion.shift)


def _lids_shut(move: np.ndarray, own: np.ndarray) -> np.ndarray:  # [T, 68, 3], [68, 3] units -> [T]
    """How far the motion shuts the lids, in parts of their own gap."""
    upper, lower = (np.array(side) for side in zip(*_LIDS))
    gap = np.maximum(own[lower, 1] - own[upper, 1], 1e-3)
    return np.clip(((move[:, upper, 1] - move[:, lower, 1]) / gap).mean(1), 0, 1)


def residual_of(motion: LandmarkTrack, carrier: Carrier) -> Residual:
    """The motion as displacement of the carrier's face.

    Raises:
        TalkingHeadsError: motion in px of another image.
    """
    from ..media_core.face.carrier.residual import canonical_residual, pixel_residual
    from ..media_core.face.pose.canonical import canonical_portrait

    size = (carrier.picture.shape[0], carrier.picture.shape[1])
    points = motion.points.double().numpy()
    if motion.space == "pixels":
        if pixel_size(motion) != size:
            height, width = pixel_size(motion)
            raise TalkingHeadsError(f"Motion in pixels must be of this image, {size[1]} x {size[0]} px", f"{width} x {height}",
                                    "Align the motion to this image")
        return pixel_residual(points[..., :2], carrier.place, carrier.own68)
    own = carrier.place.pixels(carrier.own68)
    portrait = canonical_portrait(own[:, :2], size)
    if head_moves(motion, portrait):
        seen = LandmarkTrack(torch.from_numpy(own[None].astype(np.float32)), motion.fps, "pixels", size)
        placed = onto_portrait(motion, seen, canonical=portrait).points[..., :2].double().numpy()
        return pixel_residual(placed, carrier.place, carrier.own68)
    return canonical_residual(points, portrait.points[0].double().numpy(), carrier.own68)


def head_moves(motion: LandmarkTrack, portrait: LandmarkTrack) -> bool:
    """Whether canonical motion, which has a still head as it is made, was turned (Edit Motion): away from the portrait, or, of
    another person, away from its usual look.

    Args:
        portrait: canonical; the first frame counts.
    """
    look, rest = measured(motion), measured(portrait.slice(0, 1))
    rigid = [torch.pdist(points[list(STILLEST)].double()) for points in (motion.points.median(0).values, portrait.points[0])]
    same = bool((rigid[0] - rigid[1]).abs().max() < _SAME_SHAPE * rigid[1].max())
    usual = {name: float(rest[name][0]) if same else float(np.median(look[name])) for name in ("yaw", "pitch")}
    return any(float(np.abs(look[name] - usual[name]).max()) > _LEAST_TURN for name in usual)


def _with_mesh(landmarks: LandmarkTrack | np.ndarray | None) -> bool:
    """Whether the face is as the tracker for people reads it: 68 points alone may be known exactly, or by another tracker."""
    return landmarks is None or (landmarks.mesh is not None if isinstance(landmarks, LandmarkTrack) else len(landmarks) > 68)


def _points(landmarks: LandmarkTrack, size: tuple[int, int]) -> np.ndarray:
    """The first frame of a track in px: its mesh, or its 68 points.

    Raises:
        TalkingHeadsError: canonical, or of another image.
    """
    if landmarks.space != "pixels" or pixel_size(landmarks) != size:
        came = landmarks.space if landmarks.space != "pixels" else "of {1} x {0} px".format(*pixel_size(landmarks))
        raise TalkingHeadsError(f"The portrait's landmarks must be in px of the image, {size[1]} x {size[0]}", came,
                                "Connect the pixel landmarks of this image, or none")
    if landmarks.mesh is not None and bool(torch.isfinite(landmarks.mesh[0]).all()):
        return landmarks.mesh[0].double().numpy()
    return landmarks.points[0, :, :2].double().numpy()


def _with_alpha(picture: Picture) -> np.ndarray:
    """uint8 [H, W, 3], or [H, W, 4] where the image has alpha that hides something."""
    image = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else picture
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 4:
        return rgb_picture(picture)
    colour, alpha = rgb_picture(image[..., :3]), rgb_picture(image[..., 3:])[..., :1]
    return colour if alpha.min() == 255 else np.concatenate([colour, alpha], axis=2)
