"""Audio as one immutable waveform (`Sound`): read from ComfyUI and files, written to ComfyUI and WAV, resampled; its silences.

Nothing here changes a sample unasked: no loudness correction, no clipping. Only `mono()` resamples, and only into a copy.
"""
from __future__ import annotations

import math
import os
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import downmix
from .asked import frame_rate, real, whole
from .audio_reading import decoded, sound_track
from .av_files import open_media, unreadable
from .errors import FileFormatError, TalkingHeadsError
from .files import atomic_path

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

FPS = 25.0  # both papers' video rate, frames per second
_GATE_ROWS = 400  # rows of the silence gate computed at once; changes memory, not the gate
_HIGHEST_PEAK = 64.0  # floats beyond this are integers that nobody scaled

# What is loud enough to be speech: levels are RMS over 40 ms in dB re full scale.
GATE_WINDOW = 0.040  # s
GATE_FLOOR_DB = -60.0  # below this everything is silence, however quiet the loudest part
GATE_BELOW_LOUD_DB = 30.0  # speech is what comes within this of the loud level (95th percentile)
GATE_ABOVE_NOISE_DB = 6.0  # with audible background noise (5th percentile), speech must rise this far above it ...
GATE_NOISE_CAP_DB = 20.0  # ... but the threshold never comes nearer than this to the loud level
GATE_ATTACK = 0.060  # s the gate opens ahead of speech: lips part before they sound
GATE_RELEASE = 0.160  # s it stays open after speech


def frame_count(duration: float, fps: float = FPS) -> int:
    """Video frames for `duration` seconds of audio: floor(duration * fps + 1/2), at least 1.

    Raises:
        TalkingHeadsError: a length below 0 or a rate that is none.
    """
    real("The audio's length, in seconds,", duration, 0)
    frame_rate(fps)
    return max(1, math.floor(duration * fps + 0.5 + 1e-9))


@dataclass(frozen=True)
class Sound:
    """A piece of audio, checked once when it is made: at least one channel and one sample, every sample finite."""

    waveform: np.ndarray  # float32 [C, N], full scale -1..1 (a little beyond is kept as it is)
    sample_rate: int  # Hz

    def __post_init__(self) -> None:
        _check(self.waveform, self.sample_rate)

    @property
    def channels(self) -> int:
        return self.waveform.shape[0]

    @property
    def samples(self) -> int:
        return self.waveform.shape[1]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    @classmethod
    def from_comfy(cls, audio: Mapping[str, Any]) -> Sound:
        """ComfyUI's AUDIO, {"waveform": float [B, C, N], "sample_rate": Hz}; the first item of a batch.

        Raises:
            TalkingHeadsError: not such a dictionary, empty, not finite, or not floating point.
        """
        if not isinstance(audio, Mapping) or "waveform" not in audio or "sample_rate" not in audio:
            came = f"keys {sorted(map(str, audio))}" if isinstance(audio, Mapping) else type(audio).__name__
            raise TalkingHeadsError("The audio must be an AUDIO with 'waveform' and 'sample_rate'", came,
                                    "Connect an AUDIO output, such as Load Audio's")
        waveform = torch.as_tensor(audio["waveform"])
        if waveform.ndim != 3 or waveform.shape[0] == 0 or not waveform.is_floating_point():
            raise TalkingHeadsError("The audio's waveform must be floats [batch, channels, samples] with at least one item",
                                    f"{waveform.dtype} {list(waveform.shape)}", "Connect an AUDIO output, such as Load Audio's")
        first = waveform[0].detach().to("cpu", torch.float32).numpy()
        return cls(np.ascontiguousarray(first), _whole_rate(audio["sample_rate"]))

    def to_comfy(self) -> dict[str, Any]:
        """ComfyUI's AUDIO with a batch of one; the samples are copied, so that a later node cannot change this audio."""
        return {"waveform": torch.from_numpy(self.waveform.copy())[None], "sample_rate": self.sample_rate}

    def mono(self, rate: int) -> np.ndarray:  # float32 [ceil(N * rate / sample_rate)]
        """One channel (`downmix.mono`: the mean of the audible ones) at `rate` Hz: soxr HQ by the exact ratio, the length librosa
        gives. Sample k stands at k / rate s.

        Raises:
            TalkingHeadsError: no such rate.
        """
        whole("A sample rate, in Hz,", rate, 1, 1_000_000)
        mean = downmix.mono(self.waveform, self.sample_rate)
        if rate == self.sample_rate:
            return np.ascontiguousarray(mean)
        import soxr

        wanted = -(-self.samples * rate // self.sample_rate)
        resampled = soxr.resample(mean, self.sample_rate, rate, quality="HQ")
        return fitted(resampled.astype(np.float32, copy=False), wanted)

    def within(self, rates: Collection[int], channels: Collection[int]) -> Sound:
        """What a format can carry that has only these rates (Hz) and numbers of channels, 1 among them: the audio itself where it
        can; else the next higher rate, or the highest, and one channel (`downmix.mono`)."""
        waveform, rate = self.waveform, self.sample_rate
        if self.channels not in channels:
            waveform = downmix.mono(waveform, rate)[None]
        if rate not in rates:
            import soxr

            rate = min((r for r in rates if r >= rate), default=max(rates))
            resampled = soxr.resample(waveform.T, self.sample_rate, rate, quality="HQ").T
            waveform = np.ascontiguousarray(resampled if resampled.size else np.zeros((len(waveform), 1), np.float32))
        return self if waveform is self.waveform else Sound(waveform, rate)

    def part(self, start: int, stop: int) -> np.ndarray:  # float32 [C, stop - start]
        """Samples `start` to `stop` (exclusive); a view."""
        return self.waveform[:, start:stop]

    def cut(self, start: float, stop: float) -> Sound:
        """The part from `start` to `stop` seconds (clamped to the audio, at least one sample).

        Raises:
            TalkingHeadsError: no finite times.
        """
        real("The first second", start)
        real("The last second", stop)
        first = min(max(0, round(start * self.sample_rate)), self.samples - 1)
        last = min(max(first + 1, round(stop * self.sample_rate)), self.samples)
        return Sound(self.waveform[:, first:last], self.sample_rate)

    def lasting(self, samples: int) -> Sound:
        """The same audio, cut or padded with silence to exactly `samples` samples.

        Raises:
            TalkingHeadsError: no whole number of them, or none.
        """
        whole("The number of samples", samples, 1)
        return Sound(fitted(self.waveform, samples), self.sample_rate)


def fitted(x: np.ndarray, length: int) -> np.ndarray:  # [..., N] -> [..., length]
    """`x` cut, or padded with zeros at the end, to `length` along its last axis; `x` itself when it fits."""
    if x.shape[-1] >= length:
        return x[..., :length]
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, length - x.shape[-1])])


def load_sound(path: str | os.PathLike) -> Sound:
    """The audio of any file FFmpeg reads, at its own rate and channels: the track that the file marks as default, else its first.

    A track that starts after the file does (a video whose audio comes late) gets that much silence in front; damaged parts become
    silence, and what follows keeps its time; what an mp4 holds behind the track's stated length (the rest of AAC's last block)
    is cut.

    Raises:
        FileFormatError: no such file, not a media file, no audio in it, most of it damaged, or samples that are not finite.
    """
    with media_of(path) as container:
        return track_sound(container, Path(path).name)


@contextmanager
def media_of(path: str | os.PathLike) -> Iterator[InputContainer]:
    """A file that is read for its audio; whatever FFmpeg reports inside the block becomes a FileFormatError.

    Raises:
        FileFormatError: no such file, or not a media file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError("The audio file must exist", f"no file at {path}", "Check the name and the folder")
    try:
        with open_media(path) as container:
            yield container
    except TalkingHeadsError:
        raise
    except unreadable() as error:
        raise FileFormatError("The audio file must be one FFmpeg can read", f"{path.name} cannot be decoded ({error})",
                              "Export it again as WAV, FLAC or MP3") from error


def track_sound(container: InputContainer, name: str) -> Sound:
    """The audio of an open container, as `load_sound` has it.

    Raises:
        FileFormatError: no audio in it, or samples that are not finite; `name` says where.
        one of `av_files.unreadable()`: most of it is damaged.
    """
    waveform, rate = decoded(container, track_of(container, name))
    if not waveform.size:
        raise FileFormatError("The audio track must hold samples", f"the one in {name} is empty", "Choose a file with audio")
    try:
        return Sound(waveform, rate)
    except TalkingHeadsError as error:  # NaN samples, say: here the file is to blame
        raise FileFormatError(error.must, f"{name}: {error.came}", "Export it again, or choose another file") from error


def track_of(container: InputContainer, name: str) -> av.AudioStream:
    """The track to use of an open container.

    Raises:
        FileFormatError: no audio in it; `name` says where.
    """
    stream = sound_track(container)
    if stream is None:
        raise FileFormatError("The file must hold an audio track", f"{name} has none", "Choose a file with audio")
    return stream


def save_wav(path: str | os.PathLike, sound: Sound) -> Path:
    """Writes 32-bit float WAV, atomically: every sample as it is, equal audio gives equal bytes.

    Raises:
        TalkingHeadsError: the data exceed what WAV can hold (4 GB).
    """
    frame = 4 * sound.channels
    size = frame * sound.samples
    if size > 2**32 - 64:
        raise TalkingHeadsError("A WAV file holds less than 4 GB", f"{size / 2**30:.1f} GB of samples", "Save the audio in parts")
    head = struct.pack("<4sI4s", b"RIFF", 50 + size, b"WAVE")
    rate = sound.sample_rate
    head += struct.pack("<4sIHHIIHHH", b"fmt ", 18, 3, sound.channels, rate, rate * frame, frame, 32, 0)  # 3: IEEE float
    head += struct.pack("<4sII", b"fact", 4, sound.samples) + struct.pack("<4sI", b"data", size)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(head)
        for start in range(0, sound.samples, 1 << 20):
            file.write(sound.waveform[:, start:start + (1 << 20)].T.astype("<f4").tobytes())
    return Path(path)


def silence_gate(mono: np.ndarray, sample_rate: int, rate: float, rows: int, *, floor_db: float = GATE_FLOOR_DB,
                 attack: float = GATE_ATTACK, release: float = GATE_RELEASE) -> np.ndarray:  # [N] -> bool [rows]
    """True where nothing is loud enough to be speech, for feature rows at times k / rate seconds. Noise and music are
    (`speech/silence.py` asks for a voice too).

    The gate opens `attack` seconds (60 ms) ahead of what is `loud_enough` and closes `release` seconds (160 ms) after it. Silent
    audio is True throughout.
    """
    passed = np.concatenate([[0], np.cumsum(loud_enough(mono, sample_rate, rate, rows, floor_db=floor_db))])
    row = np.arange(rows)
    before = np.maximum(row - round(release * rate), 0)
    after = np.minimum(row + round(attack * rate) + 1, rows)
    return passed[after] == passed[before]  # passed[b] - passed[a] = rows of [a, b) that are loud enough


def loud_enough(mono: np.ndarray, sample_rate: int, rate: float, rows: int, *,
                floor_db: float = GATE_FLOOR_DB) -> np.ndarray:  # [N] -> bool [rows]
    """Whether the RMS level of the 40 ms around k / rate seconds passes a threshold: the highest of `floor_db` (-60 dB re full
    scale), 30 dB below the loud level (95th percentile), and 6 above the background noise (5th percentile; never nearer than 20
    to the loud level)."""
    level = levels(mono, sample_rate, rate, rows)
    quiet, loud = np.percentile(level, (5, 95))
    return level > max(floor_db, loud - GATE_BELOW_LOUD_DB, min(quiet + GATE_ABOVE_NOISE_DB, loud - GATE_NOISE_CAP_DB))


def levels(mono: np.ndarray, sample_rate: int, rate: float, rows: int) -> np.ndarray:  # dB [rows]
    """RMS level in dB re full scale over GATE_WINDOW around each row's time; -120 where there is nothing. A slice of rows at a
    time: ten minutes need no more memory than one."""
    level, half = np.empty(rows), 0.5 * GATE_WINDOW * sample_rate
    for start in range(0, rows, _GATE_ROWS):
        centre = np.arange(start, min(start + _GATE_ROWS, rows)) * (sample_rate / rate)
        first = np.clip(np.floor(centre - half), 0, mono.size).astype(np.int64)
        last = np.clip(np.floor(centre + half) + 1, 0, mono.size).astype(np.int64)
        begin = first[0]
        energy = np.concatenate([[0.0], np.cumsum(np.square(mono[begin:last[-1]], dtype=np.float64))])
        mean = (energy[last - begin] - energy[first - begin]) / np.maximum(last - first, 1)
        level[start:start + len(centre)] = 10.0 * np.log10(np.maximum(mean, 1e-12))
    return level


def _whole_rate(rate: object) -> int:
    """The rate as int; what is no whole number becomes 0, which `_check` refuses with a proper message."""
    return int(rate) if isinstance(rate, (int, float, np.integer, np.floating)) and float(rate).is_integer() else 0


def _check(waveform: np.ndarray, sample_rate: int) -> None:
    if not isinstance(sample_rate, int) or not 1 <= sample_rate <= 1_000_000:
        raise TalkingHeadsError("The audio's sample rate must be a whole number of Hz, 1 to 1000000", f"{sample_rate!r}",
                                "Load the audio again, or resample it")
    if not isinstance(waveform, np.ndarray) or waveform.dtype != np.float32 or waveform.ndim != 2:
        came = f"{waveform.dtype} {list(waveform.shape)}" if isinstance(waveform, np.ndarray) else type(waveform).__name__
        raise TalkingHeadsError("Audio must be a float32 array [channels, samples]", came, "Use Sound.from_comfy or load_sound")
    if waveform.size == 0:
        raise TalkingHeadsError("The audio must hold at least one sample",
                                f"{waveform.shape[0]} channel(s) of {waveform.shape[1]} samples",
                                "Check the file that was loaded, and any trimming before this node")
    peak = float(np.maximum(waveform.max(), -waveform.min()))  # NaN stays NaN
    if not math.isfinite(peak):
        bad = int(np.size(waveform) - np.count_nonzero(np.isfinite(waveform)))
        raise TalkingHeadsError("Every sample of the audio must be finite", f"{bad} of {waveform.size} are NaN or infinite",
                                "Look for an earlier node that divides by zero (normalising silence, say)")
    if peak > _HIGHEST_PEAK:
        raise TalkingHeadsError("The audio's samples must be floats of full scale -1..1", f"a peak of {peak:g}",
                                "Divide integer samples by their full scale first (16 bit: 32768)")
