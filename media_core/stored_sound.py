"""A video's audio in a file of plain samples: a long one's is never in memory."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from .audio import Sound
from .blocks import blocks
from .downmix import Mix, mix_of
from .errors import FileFormatError, TalkingHeadsError
from .video_reading import film_sound_pieces

PIECE = 1 << 18  # samples that are in memory together


class Audible(Protocol):
    """Audio, in memory (`Sound`) or in a file."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def samples(self) -> int: ...

    def part(self, start: int, stop: int) -> np.ndarray: ...  # float32 [C, stop - start]


def mix(sound: Audible) -> Mix:
    """How its channels become one."""
    return mix_of((sound.part(piece.start, piece.stop) for piece in blocks(sound.samples, PIECE)), sound.sample_rate)


@dataclass(frozen=True)
class StoredSound:
    """Some of the samples in a file, and silence behind its end."""

    path: Path         # float32, the channels of a sample side by side
    channels: int
    sample_rate: int   # Hz
    held: int          # samples a channel in the file
    first: int         # the one that this audio begins with
    samples: int       # how long it is

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    def lasting(self, first: int, samples: int) -> StoredSound:
        """The audio from sample `first` on, so long."""
        return StoredSound(self.path, self.channels, self.sample_rate, self.held, self.first + first, samples)

    def part(self, start: int, stop: int) -> np.ndarray:  # float32 [C, stop - start]
        """Samples `start` to `stop` (exclusive)."""
        begin, end = (min(self.first + each, self.held) for each in (start, stop))
        size = 4 * self.channels
        read = np.fromfile(self.path, np.float32, (end - begin) * self.channels, offset=begin * size)
        out = np.zeros((self.channels, stop - start), np.float32)
        out[:, :end - begin] = read.reshape(-1, self.channels).T
        return out

    @cached_property
    def mix(self) -> Mix:
        """How its channels become one."""
        return mix(self)

    def mono(self, rate: int) -> np.ndarray:  # float32 [ceil(N * rate / sample_rate)]
        """As `Sound.mono`, to the bit."""
        import soxr

        out, at = np.zeros(-(-self.samples * rate // self.sample_rate), np.float32), 0
        resampler = None if rate == self.sample_rate else \
            soxr.ResampleStream(self.sample_rate, rate, 1, dtype="float32", quality="HQ")
        for piece in blocks(self.samples, PIECE):
            own = self.mix.of(self.part(piece.start, piece.stop))
            if resampler is not None:
                own = resampler.resample_chunk(np.ascontiguousarray(own), last=piece.stop == self.samples)
            own = own[:len(out) - at]
            out[at:at + len(own)] = own
            at += len(own)
        return out


@contextmanager
def stored_film_sound(film: str | os.PathLike, path: Path) -> Iterator[StoredSound]:
    """The video's audio from its first frame on, as `load_film_sound` gives it, in the file `path` during the block.

    Raises:
        FileFormatError: as `load_film_sound`.
    """
    try:
        yield _written(Path(film), path)
    finally:
        path.unlink(missing_ok=True)


def _written(film: Path, path: Path) -> StoredSound:
    with path.open("wb") as file:
        def take(block: np.ndarray) -> None:  # float32 [n, C]
            Sound(np.ascontiguousarray(block.T), 1)  # checks it
            file.write(np.ascontiguousarray(block).tobytes())

        try:
            channels, rate, early = film_sound_pieces(film, take)
        except FileFormatError:
            raise
        except TalkingHeadsError as error:  # NaN samples, say: here the file is to blame
            raise FileFormatError(error.must, f"{film.name}: {error.came}", "Export it again, or choose another file") from error
    held = path.stat().st_size // (4 * channels)
    if not held:
        raise FileFormatError("The audio track must hold samples", f"the one in {film.name} is empty", "Choose a file with audio")
    begin = max(round(early * rate), 0)
    if begin and early >= held / rate:
        raise FileFormatError("The video's audio must last until the first frame",
                              f"in {film.name} it ends {early - held / rate:.1f} s before it", "Export the video again")
    return StoredSound(path, channels, rate, held, begin, held - begin)
