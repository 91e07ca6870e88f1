"""Motion, a face and poses -> video of any length. All of it on one screen: `talk`.

The networks make clips of T frames. Every clip follows the one identity image, begins with the same noise, and shares a
few frames with the clip before, over which it fades in; what those frames still differ by is corrected gradually. So
neither colour nor place wanders or jumps, however long the video is. What does not change is encoded once. Frames leave as they
are made.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.motion import LandmarkTrack
from ...media_core.progress import Report, silent
from ..blending import blended_windows
from ..landmarks import pixel_size
from ..noise import frame_noise
from .clips import Clip, Rolling, boundary_corrected, clip_plan
from .conditions import (
    Picture,
    check_on_picture,
    clip_of,
    hidden_row,
    portrait_picture,
    pose_picture,
    pose_pictures,
    raster_clip,
    rgb_picture,
)
from .detail_residual import trust
from .diffusion import make_scheduler, noised_start, sample
from .model import MToV, MToVConfig
from .video_settings import ResolvedVideo, VideoSettings

_SAME_RATE = 1e-3   # frames per second that rates may differ by
_USUAL = VideoSettings()


def talk(mtov: MToV, motion: LandmarkTrack, portrait: Picture, settings: VideoSettings = _USUAL, *,
         pose_frames: Iterable[np.ndarray] | None = None, pose_landmarks: LandmarkTrack | None = None,
         report: Report = silent) -> Iterator[np.ndarray]:
    """The video of a motion, a frame at a time, as frames are made; its memory does not grow with the length.

    Three ways: a portrait alone (it is pose and identity, and the head does not move); a pose video (`pose_frames` with its
    `pose_landmarks` gives the head's movement, its lower face is hidden); and either of them with the motion of somebody else,
    aligned to this head (alignment.onto_portrait, onto_pose). A pose video shorter than the motion is played ping-pong, as
    `onto_pose` does with its poses.

    Args:
        mtov: the networks.
        motion: space "pixels", of the portrait's image, or of the pose frames where there are any; at the weights' rate.
        portrait: the identity, uint8 [H, W, 3] (or what `conditions.rgb_picture` takes), cut out as the weights know it
            (config.margin); resized to their size.
        settings: see `VideoSettings`.
        pose_frames: uint8 [H, W, 3], one after another; all frames from the motion's first on.
        pose_landmarks: space "pixels", of the pose frames, or of the portrait (its first frame): from the nose's base downwards
            they are hidden. None: the motion's own.
        report: called once a sampling step, and before and after a clip is encoded and decoded, with an image now and then;
            may raise to cancel.
    Returns:
        an iterator of uint8 [S, S, 3], one for each frame from settings.start to settings.stop. The same frames come out
        whichever part is asked for, bit for bit at one batch, and to a rounding at another.
    Raises:
        TalkingHeadsError: at once, canonical landmarks, landmarks of another image or outside of it, another rate, settings out
            of range, no image; later, pose frames that do not fit, or networks that give NaN.
    """
    chosen = settings.resolved(mtov.config, len(motion))
    picture = rgb_picture(portrait)
    _check_motion(motion, mtov.config)
    if pose_frames is None:
        height, width = picture.shape[:2]
        _check_picture(motion, (height, width), "portrait")
        if pose_landmarks is not None:
            _check_picture(pose_landmarks, (height, width), "portrait")
        elif settings.anchored:
            raise TalkingHeadsError("The detail residual (`anchored`) needs the portrait's own landmarks", "none",
                                    "Give them as pose_landmarks, or leave the detail residual out")
        poses = None
    else:
        track = motion if pose_landmarks is None else pose_landmarks
        poses = _pose_film(pose_frames, motion, track, mtov.config.size, chosen.resize)
    points = motion.points if pose_landmarks is None else pose_landmarks.points[:1]
    row = int(hidden_row(points).median())
    groups = _groups(len(motion), mtov.config, chosen)
    own = points[:1] if chosen.anchored and poses is None and pose_landmarks is not None else None
    return _Job(mtov, motion, picture, row, poses, chosen, groups, report, own).frames()


def _pose_film(frames: Iterable[np.ndarray], motion: LandmarkTrack, track: LandmarkTrack, size: int,
               resize: str) -> Iterator[Tensor]:
    if track.space != "pixels":
        raise TalkingHeadsError("The pose video's landmarks must be in pixels", f"space '{track.space}'", "Track the pose video")
    if track.fps != motion.fps:
        raise TalkingHeadsError("Motion and pose video must have one rate", f"{motion.fps:g} and {track.fps:g} frames per second",
                                "Read the video at the motion's rate")
    frame_size = pixel_size(track)
    _check_picture(motion, frame_size, "pose video")
    return pose_pictures(frames, hidden_row(track.points), len(motion), size, frame_size, resize)


def _check_motion(motion: LandmarkTrack, config: MToVConfig) -> None:
    if abs(motion.fps - config.fps) > _SAME_RATE:
        raise TalkingHeadsError(f"The motion must have the weights' rate, {config.fps:g} frames per second", f"{motion.fps:g}",
                                "Resample the motion, or load weights of its rate")
    check_on_picture(motion)


def _check_picture(track: LandmarkTrack, size: tuple[int, int], what: str) -> None:
    if track.space != "pixels" or pixel_size(track) != size:
        came = f"space '{track.space}'"
        if track.space == "pixels":
            height, width = pixel_size(track)
            came = f"{width} x {height} px"
        raise TalkingHeadsError(f"The landmarks must be in pixels of the {what}, {size[1]} x {size[0]} px", came,
                                f"Align the motion to this {what}")


def _groups(frames: int, config: MToVConfig, chosen: ResolvedVideo) -> list[list[tuple[int, Clip]]]:
    """Numbered clips that are computed together; the same ones whatever part of the motion is wanted."""
    plan = list(enumerate(clip_plan(frames, config.frames, chosen.overlap)))
    used = [number for number, clip in plan if _wanted(clip, chosen)]
    first = used[0] - (chosen.settle > 0 and chosen.overlap > 0 and used[0] > 0)  # a clip is corrected towards the one before it
    groups = [plan[at:at + chosen.batch] for at in range(0, len(plan), chosen.batch)]
    return [group for group in groups if any(first <= number <= used[-1] for number, _ in group)]


def _wanted(clip: Clip, chosen: ResolvedVideo) -> bool:
    return clip.start < chosen.stop and clip.stop > chosen.start


class _Job:
    """A video in the making.

    Args:
        picture: the portrait, uint8 [H, W, 3].
        row: the portrait's first hidden row, px.
        poses: 0..255 [3, S, S] for each frame of the motion, None: the portrait itself.
        groups: of clips, in order.
        own: [1, 68, 2+] px, the portrait's landmarks, for the detail residual; None: without it.
    """

    def __init__(self, mtov: MToV, motion: LandmarkTrack, picture: np.ndarray, row: int, poses: Iterator[Tensor] | None,
                 settings: ResolvedVideo, groups: list[list[tuple[int, Clip]]], report: Report, own: Tensor | None = None):
        self.mtov, self.motion, self.settings, self.groups, self.report = mtov, motion, settings, groups, report
        self.picture, self.row = picture, row
        self.poses = None if poses is None else Rolling(poses, len(motion))
        self.clips, self.done = sum(map(len, groups)), 0  # all of them, and those that are finished
        self.still: tuple[Tensor, Tensor | None] | None = None  # latents that never change, once they are computed
        self.own = own
        self.missed: Tensor | None = None  # what may be added to a clip, [T, 3, S, S], once it is known

    def frames(self) -> Iterator[np.ndarray]:
        """uint8 [S, S, 3], one after another."""
        size, chosen = self.mtov.config.size, self.settings
        clips = [clip for group in self.groups for _, clip in group if _wanted(clip, chosen)]
        for rows in blended_windows(clips, self._rows(), chosen.start, chosen.stop):  # [n, 3 S S]
            yield from to_uint8(rows.view(-1, 3, size, size))

    def _rows(self) -> Iterator[Tensor]:
        """The frames [T, 3 S S] of every wanted clip, -1..1."""
        chosen, before = self.settings, None
        for group in self.groups:
            for video, (_, clip) in zip(self._made(group), group):
                rows = video.flatten(1)
                shared, before = before, rows[len(rows) - chosen.overlap:].clone() if chosen.overlap and chosen.settle else None
                if _wanted(clip, chosen):
                    yield rows if shared is None else boundary_corrected(rows, shared, chosen.settle)

    @torch.inference_mode()
    def _made(self, group: list[tuple[int, Clip]]) -> Tensor:  # -> float32 [B, T, 3, S, S] -1..1, on the CPU
        self._tell(0, "encode")
        drawn = self._drawn(self.motion.points, [clip for _, clip in group])
        landmarks, pose, identity = self._conditions(drawn, [clip for _, clip in group])
        if self.own is not None and self.missed is None:
            self.missed = self._missing(self.own, pose[:1], identity)
        latents = self._sampled(group, landmarks, pose, identity)
        self._check(latents, f"latents of frames {group[0][1].start} to {group[-1][1].stop - 1}")
        self._tell(len(group), "decode")
        videos = self.mtov.rgb.decode(latents.to(self.mtov.dtype)).float().transpose(1, 2).cpu()
        if self.own is not None and self.missed is not None:
            videos = (videos + self.missed * self._trust(self.own, [clip for _, clip in group])).clamp(-1, 1)
        self._check(videos, f"images of frames {group[0][1].start} to {group[-1][1].stop - 1}")
        self.done += len(group)
        self._tell(0, "done", to_uint8(videos[-1, -1:])[0])
        return videos

    def _drawn(self, points: Tensor, clips: list[Clip]) -> Tensor:  # [n, 68, 2+] px -> [B, 3, T, S, S]
        """The clips' landmarks; the last stay."""
        size = pixel_size(self.motion)
        return torch.stack([raster_clip(held(points, clip), size, self.mtov.config.raster) for clip in clips])

    def _trust(self, own: Tensor, clips: list[Clip]) -> Tensor:  # -> float32 [B, T, 1, S, S]
        """How much of what is missed is added to each frame."""
        size = pixel_size(self.motion)
        return torch.stack([trust(held(self.motion.points, clip), own, size, self.mtov.config.size) for clip in clips])

    def _conditions(self, drawn: Tensor, clips: list[Clip]) -> tuple[Tensor, Tensor, Tensor]:  # [B, 4, L] twice, [1, 4, L]
        mtov, config = self.mtov, self.mtov.config
        put = lambda clip: clip.to(mtov.device, mtov.dtype)
        if self.still is None:
            resize = self.settings.resize
            shown = [portrait_picture(self.picture, config.size, resize)]
            shown += [pose_picture(self.picture, self.row, config.size, resize)] if self.poses is None else []
            encoded = [mtov.rgb.encode_still(put(clip_of([each])[:, 0][None])) for each in shown]
            self.still = encoded[0], (encoded[1] if self.poses is None else None)
            self._check(encoded[0], "latent of the portrait")
        identity, pose = self.still
        landmarks = mtov.landmarks.encode(put(drawn))
        if self.poses is not None:
            films = torch.stack([clip_of(self.poses.between(clip.start, clip.stop)) for clip in clips])
            pose = mtov.rgb.encode(put(films))
        assert pose is not None  # without a pose video, that of the portrait is kept
        return landmarks, pose.expand(len(clips), -1, -1), identity

    def _missing(self, own: Tensor, pose: Tensor, identity: Tensor) -> Tensor:  # -> float32 [T, 3, S, S], on the CPU
        """What the portrait has and the networks do not draw when they are shown its own landmarks."""
        mtov, clip = self.mtov, Clip(0, self.mtov.config.frames, 0, 0)
        landmarks = mtov.landmarks.encode(self._drawn(own, [clip]).to(mtov.device, mtov.dtype))
        latents = self._sampled([(0, clip)], landmarks, pose, identity, reported=False)
        drawn = mtov.rgb.decode(latents.to(mtov.dtype)).float()[0].transpose(0, 1).cpu()
        return clip_of([portrait_picture(self.picture, mtov.config.size, self.settings.resize)]).transpose(0, 1) - drawn

    def _sampled(self, group: list[tuple[int, Clip]], landmarks: Tensor, pose: Tensor, identity: Tensor,
                 reported: bool = True) -> Tensor:
        mtov, chosen, config = self.mtov, self.settings, self.mtov.config
        scheduler = make_scheduler(chosen.sampler, chosen.calls, chosen.ratio, config.prediction, config.clip, chosen.eta,
                                   chosen.schedule)

        def draw(k: int) -> Tensor:
            rows = [latent_noise(chosen, k, number, config) for number, _ in group]
            return torch.stack(rows).to(mtov.device)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            times = t.to(mtov.device).expand(len(x))
            return mtov.denoiser(x.to(mtov.dtype), times, landmarks, pose, identity).float()

        def watch(k: int, x0: Tensor) -> None:
            if reported:
                self._tell((k + 1) * len(group) / chosen.calls, "sample", self._preview(k, x0))
            else:
                self._tell(0, "anchor")

        start = noised_start(identity.float(), chosen.begins, draw(0))
        return sample(predict, start, draw, scheduler, watch=watch)

    def _preview(self, k: int, x0: Tensor) -> np.ndarray | None:  # -> uint8 [S, S, 3], of the first clip's middle
        """An image of the x0 estimate, `previews` times per clip, when there is a report."""
        calls, often = self.settings.calls, self.settings.previews
        if self.report is silent or (k + 1) * often // calls == k * often // calls:
            return None
        picture = self.mtov.rgb.decode_frame(x0[:1].to(self.mtov.dtype), self.mtov.config.frames // 2)
        return to_uint8(picture.float().cpu())[0]

    def _tell(self, clips: float, phase: str, preview: np.ndarray | None = None) -> None:
        """`clips`: how many of those in work have been sampled."""
        calls = self.settings.calls
        figures = {"clip": min(math.ceil(self.done + max(clips, 1e-6)), self.clips), "clips": self.clips, "phase": phase}
        self.report(round((self.done + clips) * calls), self.clips * calls, figures, preview)

    def _check(self, values: Tensor, what: str) -> None:
        if not bool(torch.isfinite(values).all()):
            raise TalkingHeadsError(f"MToV's {what} must be finite", f"NaN or infinity, in {self.mtov.dtype}",
                                    "Choose fp32 or bf16; else make or import the weights again")


def latent_noise(chosen: VideoSettings, draw: int, clip: int, config: MToVConfig) -> Tensor:  # -> float32 [4, L]
    """Gaussian noise of one draw: 0 the start's, k the sampler's k-th. A function of the seed, not of earlier draws."""
    channels, number = config.rgb.embed_dim, clip if chosen.noise == "own" else 0
    return frame_noise(chosen.seed, draw, number * channels, (number + 1) * channels, config.grid.length)


def held(points: Tensor, clip: Clip) -> Tensor:  # [n, 68, 2+] -> [T, 68, 2+]
    """A clip's landmarks; beyond the end the last ones stay."""
    return points[torch.arange(clip.start, clip.stop).clamp(max=len(points) - 1)]


def to_uint8(pictures: Tensor) -> np.ndarray:  # float [..., 3, H, W] -1..1 -> uint8 [..., H, W, 3]
    """Rounded, where the published code cuts off (docs/moditalker.md#rounding)."""
    return pictures.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).movedim(-3, -1).contiguous().numpy()
