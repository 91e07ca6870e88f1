"""Speech as it is spoken: what an encoder makes of audio that has yet to come, in pieces of any length.

    hearing = LiveHearing()
    hearing.feed(samples)    rows of features that are whole now
    hearing.finish()         the last rows
    hearing.voiced           chunks of 512 samples in which somebody speaks

Where a recording is heard as a whole (`hearing.heard`), here only the past decides, so that the rows are the same for any pieces:

- level: speech much softer or louder than normal is brought to the normal level as soon as 0.2 s of it are known, at 1 dB in
  32 ms; speech of normal level stays as it is, to the bit. `gain_db` sets the level instead.
- an offset (DC) is taken off for the voice activity and the level; the mel bands do not see one.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from ..asked import real
from ..errors import TalkingHeadsError
from .facts import SAMPLE_RATE
from .features import Speech
from .hearing import LOUDEST_DB, MOST_GAIN_DB, QUIET_DB, RAISED_DB, SOFTEST_DB, normal_gain
from .mel import ENCODER, N_FFT, MelStream
from .silence import AUDIBLE_DB
from .voice_activity import CHUNK, THRESHOLD, VoiceStream, shipped_voice_net

STREAMS = ("mel",)  # encoders whose rows need no more than a fixed stretch of audio
REACH = N_FFT // 2  # samples after a row's time that it hears
_MEMORY = 5.0  # s of speech after which the level has forgotten two thirds
_ENOUGH = 6  # chunks of speech (0.2 s) from which the level is known
_STEP_DB = 1.0  # by which the gain changes in a chunk, at most
_INSIDE_DB = 2.0  # a corrected level must be so far inside the normal range to be left alone again
_BELOW_LOUD_DB = 30.0  # what is softer than speech by this is not speech
_FALLING_DB = 0.2  # per chunk, of the loudest level
_KEPT = 64  # chunks, 2 s, in which a voice is remembered
_FLOOR = 1e-12  # of power
_OFFSET, _OFFSET_FLOOR = 0.5, 3e-4  # of a chunk's RMS, and in all: a larger mean is an offset


def check_streams(encoder: str, layer: str) -> None:
    """Raises:
        TalkingHeadsError: the encoder needs the whole recording.
    """
    if encoder not in STREAMS:
        raise TalkingHeadsError(f"A live avatar must understand {' or '.join(STREAMS)}, whose rows wait for little audio",
                                f"'{encoder}', layer {layer}, which hears the whole recording at once",
                                "Train an avatar with --encoder mel, or make a video from the finished recording")


class LiveLevel:
    """The gain of each chunk of 512 samples, from the chunks before it.

    Args:
        gain_db: the gain; None: from what is heard.
    """

    def __init__(self, gain_db: float | None = None):
        self.gain = 1.0 if gain_db is None else 10 ** (real("The gain of the audio, in dB,", gain_db, -60, 60) / 20)
        self.adapts = gain_db is None
        self._power, self._weight, self._corrected = 0.0, 0.0, False
        self._loudest = -math.inf  # dB; nothing was heard yet

    @property
    def raised(self) -> float:
        """The factor with which very quiet audio is searched for voices."""
        quiet = -math.inf < self._loudest < QUIET_DB
        return 10 ** (min(RAISED_DB - self._loudest, MOST_GAIN_DB) / 20) if quiet else 1.0

    def audible(self, level: float) -> bool:
        """Whether a chunk of this level (dB, as it was recorded) can be speech."""
        known = 10 * math.log10(self._power / self._weight) if self._weight else -math.inf
        return level > max(AUDIBLE_DB - 20 * math.log10(self.raised), known - _BELOW_LOUD_DB)

    def learn(self, level: float, speaks: bool) -> None:
        """Takes in a chunk of this level; `gain` then is that of the chunk after it."""
        self._loudest = max(level, self._loudest - _FALLING_DB)
        if speaks:
            keep = math.exp(-CHUNK / SAMPLE_RATE / _MEMORY)
            self._power, self._weight = self._power * keep + 10 ** (level / 10), self._weight * keep + 1
        if self.adapts and self._weight >= _ENOUGH:
            self._approach(10 * math.log10(self._power / self._weight))

    def _approach(self, level: float) -> None:
        inside = _INSIDE_DB if self._corrected else 0.0
        self._corrected = not SOFTEST_DB + inside <= level <= LOUDEST_DB - inside
        wanted = 1.0
        if self._corrected:  # inside the range but not far enough: the same factor as outside
            wanted = normal_gain(level) if not SOFTEST_DB <= level <= LOUDEST_DB else normal_gain(
                SOFTEST_DB - 1e-9 if level < (SOFTEST_DB + LOUDEST_DB) / 2 else LOUDEST_DB + 1e-9)
        step = 10 ** (_STEP_DB / 20)
        self.gain = min(max(wanted, self.gain / step), self.gain * step)


class LiveHearing:
    """See above; rows of the mel encoder at 80 Hz.

    Args:
        gain_db: fixed gain of the audio; None: by the level of the speech so far.
    Attributes:
        voiced: numbers of the chunks of 512 samples in which somebody speaks.
        samples: that were fed.
    """

    def __init__(self, gain_db: float | None = None):
        self.level, self.samples, self.chunks = LiveLevel(gain_db), 0, 0
        self.voiced: list[int] = []
        self._gain = self.level.gain
        self.begin()

    def begin(self) -> None:
        """Begins a new recording; the level stays."""
        net = shipped_voice_net()
        self._mel, self._voice = MelStream(), None if net is None else VoiceStream(net)
        self._chunk, self._filled = np.zeros(CHUNK, np.float32), 0
        self.samples, self.chunks, self.voiced = 0, 0, []
        self._ramp = self._next_ramp()

    def feed(self, samples: np.ndarray) -> np.ndarray:  # float32 [N] at 16 kHz -> float32 [n, 80]
        """The rows that `samples` complete."""
        made = []
        while len(samples):
            count = min(CHUNK - self._filled, len(samples))
            piece, samples = samples[:count], samples[count:]
            self._chunk[self._filled:self._filled + count] = piece
            made.append(self._mel.feed(piece * self._ramp[self._filled:self._filled + count]))
            self._filled += count
            self.samples += count
            if self._filled == CHUNK:
                self._listen()
        return np.concatenate([np.zeros((0, self._mel.width), np.float32), *made])

    def finish(self) -> np.ndarray:  # float32 [n, 80]
        """The rows that the end of the audio completes."""
        if self._filled:
            self._chunk[self._filled:] = 0
            self._listen()
        return self._mel.finish()

    @property
    def silence(self) -> float:
        """The value of rows outside the audio."""
        silence = ENCODER.facts.silence
        assert silence is not None  # a constant of the mel encoder
        return silence

    def forget(self, samples: int) -> None:
        """Voices that ended long before so many samples are not asked for any more."""
        del self.voiced[:bisect_right(self.voiced, samples // CHUNK - _KEPT)]

    def _listen(self) -> None:
        """A whole chunk: does somebody speak, and how loud?"""
        own = self._chunk.astype(np.float64)
        mean, power = float(own.mean()), float(own.var())
        level = 10 * math.log10(max(power, _FLOOR))
        speaks = self.level.audible(level)
        if self._voice is not None:
            offset = mean if abs(mean) > max(_OFFSET_FLOOR, _OFFSET * math.sqrt(power)) else 0.0
            heard = (self._chunk - np.float32(offset)) * np.float32(self.level.raised)
            speaks &= bool(self._voice.feed(heard)[0] >= THRESHOLD)
        if speaks:
            self.voiced.append(self.chunks)
        self.level.learn(level, speaks)
        self.chunks, self._filled = self.chunks + 1, 0
        self._ramp = self._next_ramp()

    def _next_ramp(self) -> np.ndarray:  # float32 [512]
        """The gain of the next chunk's samples: from the last one's to its own."""
        before, self._gain = self._gain, self.level.gain
        part = np.arange(1, CHUNK + 1) / CHUNK
        return (before + (self._gain - before) * part).astype(np.float32)


def live_speech(mono: np.ndarray, gain_db: float | None = None) -> tuple[Speech, Sequence[int]]:  # float32 [N] at 16 kHz
    """A finished recording as it would have been heard live: (features, chunks of 512 samples in which somebody speaks)."""
    import torch

    hearing = LiveHearing(gain_db)
    rows = np.concatenate([hearing.feed(mono), hearing.finish()])
    facts = ENCODER.facts
    speech = Speech(torch.from_numpy(rows), rate=facts.rate, encoder=facts.id, duration=len(mono) / SAMPLE_RATE,
                    silence=torch.zeros(len(rows), dtype=torch.bool))
    return speech, hearing.voiced
