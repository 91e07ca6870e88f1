"""Windows that AToM learns from: sample `index` of step `step` is a function of (seed, step, index) and of nothing else.

So batches do not depend on how they are cut into pieces, on the number of processes, or on where a training was resumed. A
window holds T neighbouring frames of one clip with 2T audio tokens; in clips shorter than T the last face stays, the tokens
are those of silence, and the mask keeps those frames out of the loss (docs/moditalker.md#padding).
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.face.geometry import MIRROR
from ...media_core.mouth import resting_face
from ...media_core.speech import mel
from ..data.dataset import MotionDataset
from .config import TOKENS_PER_FRAME, SpeechInput
from .diffusion import STEPS
from .train_config import TrainConfig

if TYPE_CHECKING:
    from .mix import Mix

NOISY = 600  # diffusion step from which on the noise hides the motion, and only the speech says what the mouth does
FEW = 25  # frames: silences shorter than this say little of a face at rest
KEPT = 2 << 30  # bytes of clips kept in memory
GAIN, TILT, NOISE = 0.3, 0.3, 0.15  # at `voice` 1, standard deviations in units of the mel features (-4..4)


@dataclass(frozen=True)
class Batch:
    """B windows of T frames."""

    x0: Tensor  # float32 [B, T, 204] cm, target less reference
    face: Tensor  # float32 [B, T, 204] cm, the reference repeated
    audio: Tensor  # float32 [B, 2T, D]
    mask: Tensor  # bool [B, T], False where there is padding
    times: Tensor  # int64 [B], diffusion steps
    noise: Tensor  # float32 [B, T, 204]
    keep: Tensor  # bool [B], False: learns without speech and face

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        return Batch(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Piece:
    """A clip ready to be cut."""

    motion: Tensor  # float32 [F, 204] cm
    tokens: Tensor  # float32 [2 max(F, T), D]
    silent: Tensor  # bool [F], nobody speaks


class Clips:
    """The clips of a split with their audio tokens, made once and kept while there is room.

    Args:
        dataset: the dataset.
        split: "train" or "val".
        speech: what the network listens to.
        frames: T of the network.
        mean: float32 [68, 3] dm.
    Raises:
        TalkingHeadsError: the split is empty.
    """

    def __init__(self, dataset: MotionDataset, split: str, speech: SpeechInput, frames: int, mean: Tensor):
        self.dataset, self.speech, self.frames, self.mean = dataset, speech, frames, mean
        self.numbers = tuple(i for i in dataset.indices(split) if not dataset.clips[i].facts.get("mute"))
        if not self.numbers:
            raise TalkingHeadsError(f"A motion dataset must hold clips to {'train' if split == 'train' else 'test'} on",
                                    f"none with speech in its split '{split}'", "Build it from more videos")
        self.lengths = np.array([dataset.clips[i].frames for i in self.numbers])
        self._ends = np.cumsum(self.lengths)
        self._kept: OrderedDict[int, Piece] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Piece:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        piece = self._read(self.numbers[index])
        self._kept[index] = piece
        self._bytes += _size(piece)
        while self._bytes > KEPT and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return piece

    def draw(self, random: np.random.Generator) -> int:
        """A clip; every frame is as likely as any other to choose it."""
        return int(np.searchsorted(self._ends, random.integers(self._ends[-1]), side="right"))

    def _read(self, number: int) -> Piece:
        speech = self.dataset.speech(number)
        self.speech.check(speech)
        motion = 10 * (self.dataset.landmarks(number).points - self.mean)
        tokens = self.speech.tokens(speech, self.dataset.fps, 0, max(len(motion), self.frames))
        return Piece(motion.flatten(1).contiguous(), tokens, speech.silent_frames(self.dataset.fps)[:len(motion)])


def _size(piece: Piece) -> int:
    return 4 * (piece.motion.numel() + piece.tokens.numel())


@dataclass(frozen=True)
class Sample:
    """The random choices for one window."""

    clip: int
    start: int  # frame
    reference: int  # frame of the clip that is the face
    time: int  # diffusion step
    keep: bool
    mirrored: bool
    neutral: bool  # shown the mean face; its motion is measured from the person's own face at rest
    generator: np.random.Generator  # draws the noise next


class Windows:
    """Random windows of `clips`, as `config` wants them.

    Args:
        clips: of the split "train", of one dataset or of several.
        config: reference, cond_drop, mirror, voice, noisy, neutral, batch.
        seed: of the run.
    """

    def __init__(self, clips: Clips | Mix, config: TrainConfig, seed: int):
        self.clips, self.config, self.seed = clips, config, seed
        self._rest: dict[int, Tensor] = {}
        self._shift = mirrored(10 * clips.mean[None])[0] - 10 * clips.mean  # 0 for a symmetric mean face
        self.voice = config.voice if clips.speech.encoder == mel.ENCODER.facts.id else 0.0

    def sample(self, step: int, index: int) -> Sample:
        """Draws window `index` of `step`."""
        random = np.random.default_rng([self.seed, step, index])
        clip = self.clips.draw(random)
        length = int(self.clips.lengths[clip])
        start = int(random.integers(max(length - self.clips.frames, 0) + 1))
        reference = int(random.integers(length))
        time, keep, turn = int(random.integers(STEPS)), random.random() >= self.config.cond_drop, random.random()
        if self.config.noisy and random.random() < self.config.noisy:
            time = int(random.integers(NOISY, STEPS))
        neutral = self.config.neutral > 0 and random.random() < self.config.neutral
        return Sample(clip=clip, start=start, reference=start if self.config.reference == "first" else reference, time=time,
                      keep=keep, mirrored=turn < self.config.mirror, neutral=neutral, generator=random)

    def counts(self, step: int) -> tuple[int, int]:
        """Frames and pairs of neighbouring frames of the whole batch that count in the loss."""
        lengths = [min(int(self.clips.lengths[self.sample(step, i).clip]), self.clips.frames) for i in range(self.config.batch)]
        return sum(lengths), sum(lengths) - len(lengths)

    def points(self, batch: Batch) -> Tensor:  # [B, T, 204] cm
        """The true motion of a batch."""
        return batch.x0 + batch.face + 10 * self.clips.mean.flatten().to(batch.x0)

    def batch(self, step: int, indices: Sequence[int]) -> Batch:
        """The windows `indices` of `step`, on the CPU."""
        return collated([self._window(self.sample(step, index)) for index in indices])

    def _window(self, sample: Sample) -> tuple:
        piece, frames = self.clips[sample.clip], self.clips.frames
        motion, audio, mask = cut(piece, sample.start, frames)
        face = self._resting(sample.clip) if sample.neutral else piece.motion[sample.reference]
        if sample.mirrored:
            turn = lambda points: (mirrored(points.unflatten(-1, (68, 3))) + self._shift).flatten(-2)
            motion, face = turn(motion), turn(face)
        noise = torch.from_numpy(sample.generator.standard_normal((frames, motion.shape[1]), np.float32))
        if self.voice:
            audio = other_voice(audio, self.voice, sample.generator)
        shown = torch.zeros_like(face) if sample.neutral else face
        return motion - face, shown.expand(frames, -1), audio, mask, sample.time, noise, sample.keep

    def _resting(self, clip: int) -> Tensor:  # [204] cm
        if clip not in self._rest:
            self._rest[clip] = at_rest(self.clips[clip], self.clips.mean)
        return self._rest[clip]


def at_rest(piece: Piece, mean: Tensor) -> Tensor:  # [204] cm
    """The face of a clip with its mouth at rest, off the mean face [68, 3] dm: that of its silences, if it has any."""
    points = piece.motion.unflatten(-1, (68, 3)) / 10 + mean
    quiet = points[piece.silent]
    return (10 * (resting_face(quiet if len(quiet) >= FEW else points) - mean)).flatten()


def cut(piece: Piece, start: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Frames [start, start + frames): motion [frames, 204], tokens [2 frames, D], mask bool [frames]."""
    rows = torch.arange(start, start + frames)
    inside = rows < len(piece.motion)
    tokens = piece.tokens[TOKENS_PER_FRAME * start:TOKENS_PER_FRAME * (start + frames)]
    return piece.motion[rows.clamp_max(len(piece.motion) - 1)], tokens, inside


def collated(windows: list[tuple]) -> Batch:
    """Windows as `Windows._window` gives them, stacked."""
    x0, face, audio, mask, times, noise, keep = zip(*windows)
    return Batch(x0=torch.stack(x0), face=torch.stack(face), audio=torch.stack(audio), mask=torch.stack(mask),
                 times=torch.tensor(times), noise=torch.stack(noise), keep=torch.tensor(keep))


def mirrored(points: Tensor) -> Tensor:  # [..., 68, 3] -> same
    """Left and right exchanged; x points to the right."""
    return points[..., MIRROR.tolist(), :] * points.new_tensor([-1, 1, 1])


def other_voice(audio: Tensor, strength: float, random: np.random.Generator) -> Tensor:  # [2T, stack * 80] -> same
    """Mel tokens louder or softer, coloured, and noisy; silence stays silent.

    Args:
        audio: features in -4..4, channel fastest within each row.
        strength: 1 means GAIN, TILT and NOISE.
        random: the only source of randomness.
    """
    band = np.linspace(-1, 1, mel.BANDS, dtype=np.float32)
    level = GAIN * random.standard_normal() + TILT * random.standard_normal() * band
    rows = audio.unflatten(-1, (-1, mel.BANDS))
    noise = NOISE * abs(random.standard_normal()) * random.standard_normal(tuple(rows.shape), np.float32)
    changed = (rows + strength * torch.from_numpy((level + noise).astype(np.float32))).clamp(-mel.LIMIT, mel.LIMIT)
    return torch.where(rows <= -mel.LIMIT, rows, changed).flatten(-2)
