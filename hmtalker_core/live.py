"""An avatar that listens: audio in as it comes, frames out as soon as they are known.

    stream = AvatarStream(load_avatar("me.safetensors"))
    while talking:
        show(stream.feed(samples))      uint8 [n, H, W, 3]; n may be 0
    show(stream.flush())

Feed silence, and the avatar blinks and moves its head, its lips at rest. Frames depend on the audio alone: not on the size of the
pieces, nor on other streams of the same avatar. They are, to the bit, those of `AvatarStream.recorded` (docs/live.md).
"""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..media_core.audio import FPS
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import ping_pong
from ..media_core.speech.facts import SAMPLE_RATE, frame_window
from ..media_core.speech.live import check_streams
from ..media_core.speech.mel import HOP
from .avatar import Avatar
from .avatar_motion import AvatarMotion, blur_reach, check_rendering
from .backdrop import Background, is_clear
from .live_driving import LiveDriver, LiveSettings, recorded_motion
from .live_timing import LiveTiming

CHUNK = 4  # frames that are rendered at once, at most


class AvatarStream:
    """One person's audio, and the avatar that speaks it. Several streams may share an avatar.

    Args:
        avatar: with the "mel" encoder.
        settings: what `Avatar.drive` is asked for.
        size, background, torso, backend: see `Avatar.render`; a transparent background gives frames [n, H, W, 4].
    Raises:
        TalkingHeadsError: an encoder that needs whole recordings, or a setting out of range.
    """

    def __init__(self, avatar: Avatar, settings: LiveSettings | None = None, *, size: tuple[int, int] | None = None,
                 background: Background = "plate", torso: bool = True, backend: str = "auto"):
        check_streams(avatar.encoder, avatar.hears.layer)
        check_rendering(0, None, CHUNK, size, background)
        self.settings = (settings or LiveSettings()).checked(avatar)
        self.avatar = avatar.where_drawn(backend)
        self.avatar.prepare()
        self.timing = LiveTiming(avatar.fps, frame_window(avatar.encoder, SAMPLE_RATE / HOP, FPS),
                                 avatar.config.get("window", "centred"))
        self._look: dict[str, Any] = {"size": size, "torso": torso, "backend": backend}
        self._background: Background = background
        self._shape = (*(size or avatar.size), 4 if is_clear(background) else 3)
        self._driver, self._ended = LiveDriver(self.avatar, self.settings, self.timing), False

    @property
    def wait(self) -> int:
        """Samples of audio after a frame's first one until it comes out, at most: 4120 (258 ms) at 25 frames per second, 2200
        (138 ms) where the avatar is causal; with smoothing, that of three times as many frames more."""
        return self.timing.wait + round(blur_reach(self.settings.smoothing) * SAMPLE_RATE / self.avatar.fps)

    @property
    def frames(self) -> int:
        """Frames that came out."""
        return self._driver.made

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) px of the frames."""
        return self._shape[0], self._shape[1]

    def feed(self, pcm: np.ndarray, sample_rate: int = SAMPLE_RATE, show: bool = True) -> np.ndarray:  # -> uint8 [n, H, W, 3]
        """The frames that are known now.

        Args:
            pcm: float [N], the next samples of one channel, -1..1; any number of them.
            sample_rate: must be 16000 Hz; said to be checked.
            show: False: listen, but draw nothing, where there is no time for it. Later frames are as they would have been.
        Raises:
            TalkingHeadsError: other audio, or a stream that was flushed.
        """
        if self._ended:
            raise TalkingHeadsError("Audio can be fed until the stream is flushed", "more of it",
                                    "Open another stream; to stop a sentence and go on, interrupt instead")
        motion = self._driver.feed(checked_samples(pcm, sample_rate))
        return self._rendered(motion if show else None)

    def flush(self) -> np.ndarray:  # -> uint8 [n, H, W, 3]
        """The last frames, up to the end of the audio; the stream has then ended. A second time: none."""
        motion = None if self._ended else self._driver.finish()
        self._ended = True
        return self._rendered(motion)

    def interrupt(self) -> np.ndarray:  # -> uint8 [n, H, W, 3]
        """Forgets the audio that no frame has shown yet. The frames that it would have filled show how the mouth goes to rest, in
        0.2 s; what is fed next is a new sentence."""
        return self._rendered(None if self._ended else self._driver.interrupt())

    def recorded(self, pcm: np.ndarray) -> AvatarMotion:  # float [N]
        """The motion of a finished recording with the same settings, by `Avatar.drive`: `Avatar.render` makes of it the frames
        that a stream makes of the same samples, to the bit."""
        return recorded_motion(self.avatar, checked_samples(pcm, SAMPLE_RATE), self.settings, self.timing)

    def prepare(self) -> np.ndarray:  # -> uint8 [H, W, 3]
        """Draws the resting avatar, beside the stream: after it the first frame waits for no compiler."""
        motion = recorded_motion(self.avatar, np.zeros(HOP, np.float32), self.settings, self.timing)
        return self._drawn(motion, 0, 0, 1)[0]

    def _rendered(self, motion: AvatarMotion | None) -> np.ndarray:
        if motion is None:
            return np.zeros((0, *self._shape), np.uint8)
        first, count = self._driver.made - len(motion), len(motion)
        return np.concatenate([self._drawn(motion, first, begin, min(begin + CHUNK, count)) for begin in range(0, count, CHUNK)])

    def _drawn(self, motion: AvatarMotion, first: int, begin: int, end: int) -> np.ndarray:  # -> uint8 [n, H, W, 3]
        """Frames begin..end of a motion that starts with frame `first`."""
        picture = self.avatar.picture(**self._look, background=self._behind(first, begin, end))
        return self.avatar.render_bytes(motion, begin, end, picture)

    def _behind(self, first: int, begin: int, end: int) -> Background:
        """The background for frames begin..end of a motion that starts with frame `first`: images go on where they were."""
        images = self._background
        if not isinstance(images, Tensor) or len(images) == 1:
            return images
        chosen = images[ping_pong(len(images), end - begin, first + begin)]
        return torch.cat([chosen[:1].expand(begin, *chosen.shape[1:]), chosen]) if begin else chosen


def checked_samples(pcm: np.ndarray, sample_rate: int) -> np.ndarray:  # [N] -> float32 [N]
    """One channel of audio at 16 kHz.

    Raises:
        TalkingHeadsError: anything else.
    """
    must = f"Live audio must be one channel of finite floats in -1..1 at {SAMPLE_RATE} Hz, [samples]"
    if sample_rate != SAMPLE_RATE:
        raise TalkingHeadsError(must, f"{sample_rate!r} Hz", "Resample it first, as a stream: soxr.ResampleStream does")
    if not isinstance(pcm, np.ndarray):
        raise TalkingHeadsError(must, type(pcm).__name__, "Give a NumPy array")
    if pcm.dtype.kind in "iu":
        raise TalkingHeadsError(must, f"whole numbers ({pcm.dtype})", "Divide 16-bit samples by 32768")
    if pcm.ndim != 1 or pcm.dtype.kind != "f":
        raise TalkingHeadsError(must, f"{pcm.dtype} {list(pcm.shape)}", "Average the channels, or choose one")
    if not bool(np.isfinite(pcm).all()):
        raise TalkingHeadsError(must, "NaN or infinity among them", "Look at what recorded or made it")
    return pcm.astype(np.float32, copy=False)
