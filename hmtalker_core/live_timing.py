"""When a live frame is due, and how far its mouth rests: both counted in samples of the audio, never in time that passes.

Frame i belongs to the samples from i / fps to (i + 1) / fps seconds. It is made as soon as the last sample has come that its
window of speech reads, `due(i)`; a voice decides over it that was found by then.
"""
from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..media_core.mouth import smooth_step
from ..media_core.speech.facts import SAMPLE_RATE
from ..media_core.speech.live import REACH
from ..media_core.speech.mel import HOP
from ..media_core.speech.voice_activity import CHUNK
from .model.audio_net import FRAMES, HALF, Window, window_shift

SILENT = 0.4  # s without a voice, of those that are known, from which the mouth closes
CLOSING = 0.3  # s in which it does


@dataclass(frozen=True)
class LiveTiming:
    """The clock of a live avatar.

    Args:
        fps: frames per second. rows: W, rows of features in a frame's own window. window: of speech.
    """

    fps: float
    rows: int
    window: Window

    def first_row(self, frame: int) -> int:
        """The first of the feature rows of a frame (`Speech.frame_windows`)."""
        return math.floor((frame + 0.5) / self.fps * (SAMPLE_RATE / HOP) - self.rows / 2 + 0.5 + 1e-9)

    def last_frame(self, frame: int) -> int:
        """The last frame of speech in the window of `frame`."""
        return frame + FRAMES - HALF - 1 + window_shift(self.window)

    def due(self, frame: int) -> int:
        """Samples after which the frame can be made."""
        return (self.first_row(self.last_frame(frame)) + self.rows - 1) * HOP + REACH

    def begins(self, frame: int) -> float:
        """The frame's first sample."""
        return frame * SAMPLE_RATE / self.fps

    @property
    def wait(self) -> int:
        """Samples from a frame's first one until it is due, at most; a frame's position among the rows varies."""
        return max(math.ceil(self.due(frame) - self.begins(frame)) for frame in range(200))

    def frames_in(self, samples: int) -> int:
        """Frames that so much audio fills: `audio.frame_count`, but 0 for none."""
        return math.floor(samples / SAMPLE_RATE * self.fps + 0.5)


class LiveGate:
    """How far the mouth rests in each frame, as `mouth_gate.speech_gate` says it of finished speech: free when a voice begins,
    and closed softly once nobody has spoken for 0.4 s. It opens as early as the window allows: over 0.2 s, over 0.08 s if that is
    causal."""

    def __init__(self, timing: LiveTiming):
        least = timing.wait - SAMPLE_RATE / timing.fps - 2 * CHUNK  # samples between the frame's middle and a voice, at least
        self._opening = max(1, math.floor(least / SAMPLE_RATE * timing.fps + 0.5) + 1)  # frames
        self._timing, self._frame, self._rest = timing, 0, 1.0

    def next(self, voiced: Sequence[int]) -> float:
        """The next frame's weight of the resting mouth, 0..1.

        Args:
            voiced: numbers of the chunks in which somebody speaks, ascending; those that are not known at its time do not count.
        """
        due, frame = self._timing.due(self._frame), self._frame
        known = bisect_right(voiced, due // CHUNK - 1)
        speaks = known > 0 and due - (voiced[known - 1] + 1) * CHUNK < SILENT * SAMPLE_RATE
        if frame == 0:
            self._rest = 0.0 if speaks else 1.0
        step = -1 / self._opening if speaks else 1 / (CLOSING * self._timing.fps)
        self._rest = min(max(self._rest + step, 0.0), 1.0)
        self._frame += 1
        return float(smooth_step(torch.tensor(self._rest, dtype=torch.float64)))


def live_gate(timing: LiveTiming, voiced: Sequence[int], frames: int) -> Tensor:  # -> float64 [frames]
    """The same for a whole recording: what `Avatar.drive` takes as `silence_gate`."""
    gate = LiveGate(timing)
    return torch.tensor([gate.next(voiced) for _ in range(frames)], dtype=torch.float64)


class RowWindows:
    """What a motion net reads for one frame after another, from feature rows as they come (`Speech.frame_windows`).

    Args:
        timing: of the avatar. silence: [C], what stands before the audio and after it.
    """

    def __init__(self, timing: LiveTiming, silence: Tensor):
        self._timing, self._silence = timing, silence
        self._rows, self._first = silence.new_zeros(0, len(silence)), 0  # rows that are held, and the number of the first
        self._ended = False
        self._frames: deque[Tensor] = deque(maxlen=FRAMES)  # [C, W] of the last frames

    def add(self, rows: np.ndarray) -> None:  # float32 [n, C]
        """More rows."""
        if len(rows):
            self._rows = torch.cat([self._rows, torch.from_numpy(rows)])

    def end(self) -> None:
        """No more rows will come."""
        self._ended = True

    def has(self, frame: int) -> bool:
        """Whether all that the frame's window reads is there."""
        last = self._timing.first_row(self._timing.last_frame(frame)) + self._timing.rows - 1
        return self._ended or last < self._first + len(self._rows)

    def windows(self, frame: int) -> Tensor:  # -> [1, 8, C, W]
        """What the frame reads; to be asked for once each, in order."""
        last = self._timing.last_frame(frame)
        for one in range(last - FRAMES + 1 + len(self._frames) - (len(self._frames) == FRAMES), last + 1):
            self._frames.append(self._window(self._timing.first_row(one)))
        done = max(0, min(self._timing.first_row(last + 1) - self._first, len(self._rows)))
        self._rows, self._first = self._rows[done:].clone(), self._first + done
        return torch.stack(list(self._frames))[None]

    def _window(self, first: int) -> Tensor:  # -> [C, W]
        """Rows `first` to `first` + W; silence where there are none."""
        begin, stop, rows = self._first, self._first + len(self._rows), range(first, first + self._timing.rows)
        return torch.stack([self._rows[row - begin] if begin <= row < stop else self._silence for row in rows], dim=1)
