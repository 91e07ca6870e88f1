"""Live audio to motion: `Avatar.drive`, a frame at a time and with memory.

    driver = LiveDriver(avatar, LiveSettings(), timing)
    driver.feed(samples); driver.finish()     motion of the frames that can be made now
    driver.interrupt()                        motion of the frames whose audio was dropped: the mouth goes to rest

`recorded_motion` gives the same for a recording that is finished; tests compare the two to the bit.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import LOWER_INDEX, BlinkStream, ExpressionTrack, PoseTrack, ping_pong
from ..media_core.mouth import smooth_step
from ..media_core.speech.live import LiveHearing, live_speech
from .avatar import Avatar
from .avatar_motion import (
    AvatarMotion,
    blur_reach,
    check_driving,
    nearest_poses,
    opened,
    rested,
    smooth_in_time,
    stretched,
    wanted_units,
)
from .live_timing import LiveGate, LiveTiming, RowWindows, live_gate

EASING = 0.2  # s in which an interrupted mouth goes over to what follows
MOST_BLUR = 10.0  # frames of smoothing; more would wait longer than a conversation can
_LOWER = list(LOWER_INDEX)


class Codes(NamedTuple):
    """What moves the lower face and the mouth in one frame."""

    face: Tensor  # [1, 32]
    mouth: Tensor  # [1, 32]
    units: Tensor  # [1, 10] lower action units


class Driven(NamedTuple):
    """A frame before smoothing and gate."""

    wanted: Tensor  # [1, 17] action units, NaN: predicted
    speaking: Codes
    resting: Codes


@dataclass(frozen=True)
class LiveSettings:
    """What `Avatar.drive` is asked for, and the gain of the audio; see there."""

    gain_db: float | None = None  # fixed gain of the audio; None: by the level of the speech so far (`speech.live`)
    expression: ExpressionTrack | None = None
    pose: PoseTrack | None = None
    blinks: Literal["track", "generated", "none"] = "track"
    smoothing: float = 0.0  # frames, 0..10; three times as many are waited for
    lip_gain: float = 1.0
    start: int = 0
    seed: int = 0
    silence_gate: bool = True

    def checked(self, avatar: Avatar) -> LiveSettings:
        """Raises:
            TalkingHeadsError: one that `Avatar.drive` refuses, or more smoothing than can be waited for.
        """
        check_driving(self.smoothing, self.lip_gain, self.start, self.seed)
        if self.smoothing > MOST_BLUR:
            raise TalkingHeadsError(f"Live smoothing must be at most {MOST_BLUR:g} frames", f"{self.smoothing:g}",
                                    "Choose less: a frame waits for three times as many frames of audio")
        if self.blinks not in ("track", "generated", "none"):
            raise TalkingHeadsError("`blinks` must be track, generated or none", repr(self.blinks), "Choose one of them")
        avatar.check_rates(self.expression, self.pose)
        return self


def recorded_motion(avatar: Avatar, mono: np.ndarray, settings: LiveSettings, timing: LiveTiming) -> AvatarMotion:
    """The motion of a finished recording, float32 [N] at 16 kHz, by `Avatar.drive`, with all that differs in live use: the level
    (`live_speech`), the gate (`live_gate`) and frames driven one at a time."""
    speech, voiced = live_speech(mono, settings.gain_db)
    gate = live_gate(timing, voiced, speech.frame_count(avatar.fps)) if settings.silence_gate else False
    s = settings
    return avatar.drive(speech, expression=s.expression, pose=s.pose, blinks=s.blinks, smoothing=s.smoothing, lip_gain=s.lip_gain,
                        start=s.start, seed=s.seed, silence_gate=gate, chunk=1)


class LiveDriver:
    """See above.

    Args:
        avatar: shared with other drivers; nothing in it is changed.
    Attributes:
        made: frames since the beginning.
    """

    def __init__(self, avatar: Avatar, settings: LiveSettings, timing: LiveTiming):
        self.avatar, self.settings, self.timing, self.made = avatar, settings, timing, 0
        self._hearing, self._blinks, self._heard = LiveHearing(settings.gain_db), BlinkStream(avatar.fps, settings.seed), 0
        self._reach = blur_reach(settings.smoothing)
        self._torso = None if settings.pose is None else nearest_poses(settings.pose, avatar.poses)
        self._silence = torch.full((avatar.hears.dim,), self._hearing.silence)
        with torch.inference_mode():
            self._calm = Codes(*avatar.calm(self._silence))
        self._shown = self._from = self._calm  # codes of the last frame, and those that an interruption began with
        self._easing = self._ease = round(EASING * avatar.fps)  # frames that easing takes, and how many it has had
        self._begin()

    def _begin(self) -> None:
        """A new sentence: nothing has been heard of it."""
        self._gate, self._speech = LiveGate(self.timing), RowWindows(self.timing, self._silence)
        self._first = self.made  # its first frame
        self._driven: list[Driven] = []  # frames of it from `_base` on, counted from its first
        self._base = 0

    @torch.inference_mode()
    def feed(self, samples: np.ndarray) -> AvatarMotion | None:  # float32 [N] at 16 kHz
        """The motion of the frames that are due now; None: of none."""
        self._heard += len(samples)
        self._speech.add(self._hearing.feed(samples))
        while self._speech.has(self._base + len(self._driven)):
            self._drive()
        return self._made(self._base + len(self._driven) - self._reach)

    @torch.inference_mode()
    def finish(self) -> AvatarMotion | None:
        """The motion of the last frames: of all that the audio fills, at least one."""
        self._speech.add(self._hearing.finish())
        self._speech.end()
        total = max(self.timing.frames_in(self._heard), 1) - self._first
        while self._base + len(self._driven) < total:
            self._drive()
        return self._made(total)

    @torch.inference_mode()
    def interrupt(self) -> AvatarMotion | None:
        """Drops the audio whose frames are not made yet: they show how the mouth goes to rest. What is fed next is a new sentence
        that begins with the frame after them; head, eyes and level go on."""
        self._from, self._ease = self._shown, 0
        waiting = [frame.wanted for frame in self._driven[self.made - self._first - self._base:]]
        count = max(self.timing.frames_in(self._heard) - self.made, len(waiting))
        wanted = waiting + [self._wanted(self.made + ahead) for ahead in range(len(waiting), count)]
        motion = self._motion([(au, self._eased(self._at_rest(au))) for au in wanted])
        self._hearing.begin()
        self._begin()
        return motion

    # frames of speech to codes ----------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        """The codes of the next frame, as `Avatar.drive` makes them."""
        frame = self._base + len(self._driven)
        au, gain = self._wanted(self._first + frame), self.settings.lip_gain
        device = self.avatar.device
        wanted = au[:, _LOWER].to(device)
        spoken = self.avatar.understood(self._speech.windows(frame).to(device), wanted)
        codes = opened(spoken, self._calm, self.avatar.lip_gain, wanted)
        face, mouth = (stretched(code, gain, rest) for code, rest in zip(codes[:2], self._calm))
        self._driven.append(Driven(au, Codes(face, mouth, codes[2].clamp(0, 5)), self._at_rest(au)))

    def _wanted(self, frame: int) -> Tensor:  # -> [1, 17]
        """The action units that a frame shall show, counted since the beginning; asked for once each."""
        s, avatar = self.settings, self.avatar
        curve = self._blinks.take(1)
        blink = {"track": None, "none": torch.zeros(1), "generated": curve}[s.blinks]
        given = None if s.expression is None else s.expression.au[ping_pong(len(s.expression), 1, frame)]
        own = avatar.upper_au[ping_pong(len(avatar.poses), 1, s.start + frame)]
        return wanted_units(own, blink, given, avatar.config["blink_ceiling"], avatar.au_known)

    def _at_rest(self, au: Tensor) -> Codes:
        """The codes of silence with the lower units of au [1, 17] that are not NaN."""
        predicted = bool(au[:, _LOWER].isnan().all())
        return self._calm if predicted else Codes(*self.avatar.at_rest(self._silence, au, 1))

    # codes to motion --------------------------------------------------------------------------------------------------------

    def _made(self, stop: int) -> AvatarMotion | None:
        """The motion of the frames of this sentence before `stop` that were not made yet."""
        rows = [(self._driven[frame - self._base].wanted, self._eased(self._smooth(frame)))
                for frame in range(self.made - self._first, stop)]
        motion = self._motion(rows)
        done = max(0, self.made - self._first - self._reach - self._base)
        self._driven, self._base = self._driven[done:], self._base + done
        self._hearing.forget(self.timing.due(self.made - self._first))
        return motion

    def _smooth(self, frame: int) -> Codes:
        """A frame's codes, smoothed and at rest as far as nobody speaks."""
        at = frame - self._base
        last = len(self._driven) - 1
        near = [self._driven[min(max(k, 0), last)] for k in range(at - self._reach, at + self._reach + 1)]
        gate = torch.tensor([self._gate.next(self._hearing.voiced) if self.settings.silence_gate else 0.0], dtype=torch.float64)
        own = self._driven[at]
        face, mouth = (rested(self._blurred([n.speaking[k] for n in near]), self._blurred([n.resting[k] for n in near]), gate)
                       for k in (0, 1))
        return Codes(face, mouth, rested(own.speaking.units, own.resting.units, gate))

    def _blurred(self, rows: list[Tensor]) -> Tensor:  # 2 reach + 1 of [1, D] -> [1, D], the middle one smoothed
        return smooth_in_time(torch.cat(rows), self.settings.smoothing)[self._reach:self._reach + 1] if self._reach else rows[0]

    def _eased(self, codes: Codes) -> Codes:
        """The codes that are shown: those of an interruption go over to what follows."""
        if self._ease < self._easing:
            self._ease += 1
            left = 1 - smooth_step(torch.tensor([self._ease / self._easing], dtype=torch.float64))
            codes = Codes(*(rested(code, old, left) for code, old in zip(codes, self._from)))
        self._shown = codes
        return codes

    def _motion(self, rows: list[tuple[Tensor, Codes]]) -> AvatarMotion | None:
        """Frames [(action units, codes)] as a motion; counts them."""
        if not rows:
            return None
        au = torch.cat([wanted for wanted, _ in rows])
        au[:, _LOWER] = torch.cat([codes.units for _, codes in rows]).cpu()
        avatar, pose, count = self.avatar, self.settings.pose, len(rows)
        index = ping_pong(len(avatar.poses), count, self.settings.start + self.made)
        given = index if pose is None else ping_pong(len(pose), count, self.made)
        self.made += count
        face, mouth = (torch.cat(parts).cpu() for parts in zip(*(codes[:2] for _, codes in rows)))
        return AvatarMotion(face, mouth, au, (avatar.poses if pose is None else pose).selected(given),
                            index if self._torso is None else self._torso[given], avatar.encoder, avatar=avatar.fingerprint,
                            reliability=avatar.au_reliability)
