"""The audio of a video's chunks, joined without a seam (docs/scale.md#chunks).

A codec is wrong at both ends of what it is given: it does not know what comes before and after. So the file of a chunk also
holds, as text in its metadata, the samples that its encoder was given there; in the join they stand where the codec is wrong, and
what was decoded takes over softly.
"""
from __future__ import annotations

import base64
import json
from binascii import Error as NoBase64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .audio import Sound, fitted
from .errors import FileFormatError
from .json_files import parse_json
from .schema import Unfit, real, record, text, whole
from .video import film_samples

EDGES = "talking_heads_chunk_audio"
KEPT = 4096  # samples of each end: codecs are wrong in 2048 at most
FADE = 1024  # of them, over which the decoded audio takes over
_FULL = 32767
_LONGEST = 1 << 20  # characters of an end: 12 channels and more
_CHECK = record({"rate": whole(1, 1_000_000), "channels": whole(1, 64), "peak": real(0, 1e3), "head": text(_LONGEST),
                 "tail": text(_LONGEST)})


@dataclass(frozen=True)
class Piece:
    """Audio that is known as it was before encoding."""

    start: int           # its first sample in the whole audio
    samples: np.ndarray  # float32 [C, n]
    rate: int            # Hz

    @property
    def stop(self) -> int:
        return self.start + self.samples.shape[1]


def edges(sound: Sound, first: bool, last: bool) -> str:
    """What a chunk's file says of the ends of its audio, 16 bits a sample.

    Args:
        sound: of the chunk, as the encoder is given it.
        first, last: whether the chunk is: the video's own ends need nothing.
    """
    count = sound.samples
    head, tail = (0 if first else KEPT), (0 if last else KEPT)
    if head + tail >= count:
        head, tail = count, 0
    peak = max(1.0, float(np.abs(sound.waveform).max()))
    coded = [base64.b64encode(np.rint(part.T * (_FULL / peak)).astype("<i2").tobytes()).decode("ascii")
             for part in (sound.waveform[:, :head], sound.waveform[:, count - tail:])]
    return json.dumps({"rate": sound.sample_rate, "channels": sound.channels, "peak": peak, "head": coded[0], "tail": coded[1]})


def pieces(said: str, name: str, frames: tuple[int, int], fps: Fraction) -> list[Piece]:
    """What `edges` has said.

    Args:
        name: of the file, for errors.
        frames: of the chunk, the first one and the one after the last.
    Raises:
        FileFormatError: it is damaged.
    """
    try:
        note = _CHECK(parse_json(said, name), "")
        parts = [np.frombuffer(base64.b64decode(note[end], validate=True), "<i2") for end in ("head", "tail")]
        samples = [part.reshape(-1, note["channels"]).T.astype(np.float32) * np.float32(note["peak"] / _FULL) for part in parts]
    except (Unfit, NoBase64, ValueError) as error:
        raise FileFormatError("The audio at the ends of a chunk must be as it was written", f"{name}: {error}",
                              "Make that chunk again") from error
    start, stop = (film_samples(frame, fps, note["rate"]) for frame in frames)
    if sum(part.shape[1] for part in samples) > stop - start + 1:  # 1: a file may state its rate less exactly
        raise FileFormatError("The audio at the ends of a chunk must be no longer than the chunk", name, "Make that chunk again")
    starts = start, max(start, stop - samples[1].shape[1])
    return [Piece(at, part, note["rate"]) for at, part in zip(starts, samples) if part.size]


def joined(parts: Sequence[Sound], ends: Sequence[int], known: Sequence[Piece]) -> Sound:
    """The audio of chunks behind each other.

    Args:
        parts: of each chunk, decoded.
        ends: the sample of the whole audio after each of them.
        known: what `pieces` found, in order.
    """
    rate, channels = parts[0].sample_rate, parts[0].channels
    lengths = np.diff([0, *ends])
    waveform = np.concatenate([fitted(part.waveform, int(length)) for part, length in zip(parts, lengths)], axis=1)
    for run in _runs(known):
        if rate % run.rate or len(run.samples) != channels:
            continue  # encoded again since, at a rate of its own: the place of a sample is no longer certain
        _put(waveform, _at(run, rate))
    return Sound(waveform, rate)


def _runs(known: Sequence[Piece]) -> Iterator[Piece]:
    """Pieces that touch, as one."""
    run: Piece | None = None
    for piece in known:
        if run is not None and run.stop == piece.start and (run.rate, len(run.samples)) == (piece.rate, len(piece.samples)):
            run = Piece(run.start, np.concatenate([run.samples, piece.samples], 1), run.rate)
            continue
        if run is not None:
            yield run
        run = piece
    if run is not None:
        yield run


def _at(run: Piece, rate: int) -> Piece:
    """The same at a rate that is a multiple of its own: Opus is decoded at 48 kHz whatever it was given."""
    if run.rate == rate:
        return run
    import soxr

    times = rate // run.rate
    samples = soxr.resample(run.samples.T, run.rate, rate, quality="HQ").T.astype(np.float32)
    return Piece(run.start * times, fitted(samples, run.samples.shape[1] * times), rate)


def _put(waveform: np.ndarray, run: Piece) -> None:  # float32 [C, N], changed
    """Puts what is known in the place of what was decoded, with a fade where that goes on."""
    stop = min(run.stop, waveform.shape[1])
    weight = np.ones(stop - run.start, np.float32)
    fade = np.linspace(0, 1, min(FADE, len(weight) // 2) + 2, dtype=np.float32)[1:-1]
    if run.start > 0:
        weight[:len(fade)] = fade
    if stop < waveform.shape[1]:
        weight[len(weight) - len(fade):] = fade[::-1]
    place = waveform[:, run.start:stop]
    place += weight * (run.samples[:, :stop - run.start] - place)
