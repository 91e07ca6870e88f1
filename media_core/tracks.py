"""What all tracks share: rows at a frame rate, and how they are cut, resampled, smoothed and saved (see motion.py).

Frame i stands for the time (i + 1/2) / fps. Tracks are immutable; every edit makes a new one.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from .asked import frame_rate, whole
from .audio import frame_count
from .errors import TalkingHeadsError
from .files import load_tensors, save_tensors
from .schema import RATES, SIDE, Check, described, record
from .tensor_schema import Numbers, fitting

AnyTrack = TypeVar("AnyTrack", bound="Track")


class Track:
    """What the three tracks share. Subclasses are frozen dataclasses; `DATA` names their tensor field (the first one), `KIND`
    their kind of file."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    fps: float  # frames per second

    DATA: ClassVar[str] = ""
    KIND: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    ROW: ClassVar[tuple[int, ...]] = ()     # shape of one frame's numbers
    EXTRA: ClassVar[dict[str, tuple[int, ...]]] = {}  # optional fields with a row per frame: their shapes
    SETTINGS: ClassVar[Check] = record({})  # what a file says beside the rows

    @property
    def data(self) -> torch.Tensor:  # [T, ...]
        return getattr(self, self.DATA)

    @property
    def version(self) -> int:
        return self.VERSION

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self) / self.fps

    def __len__(self) -> int:
        return self.data.shape[0]

    def with_data(self: AnyTrack, data: torch.Tensor, **changes: Any) -> AnyTrack:
        """The same track around other rows (checked again)."""
        return replace(self, **{self.DATA: data}, **changes)

    def slice(self: AnyTrack, start: int, stop: int) -> AnyTrack:
        """Frames `start` to `stop` (exclusive).

        Raises:
            TalkingHeadsError: no such frames.
        """
        if not 0 <= start < stop <= len(self):
            raise TalkingHeadsError(f"The cut must lie within the track's {len(self)} frames", f"frames {start} to {stop}",
                                    "Choose 0 <= start < stop <= length")
        part = slice(whole("The first frame", start), whole("The end", stop))
        return self.with_data(self.data[part].clone(), **self._extra(lambda rows: rows[part].clone()))

    def selected(self: AnyTrack, indices: torch.Tensor | Sequence[int]) -> AnyTrack:
        """The frames named by `indices`, in that order (see `ping_pong`).

        Raises:
            TalkingHeadsError: frames that the track does not have.
        """
        wanted = torch.as_tensor(indices, dtype=torch.long)
        if wanted.numel() and not -len(self) <= int(wanted.min()) <= int(wanted.max()) < len(self):
            raise TalkingHeadsError(f"The frames must be among the track's {len(self)}",
                                    f"{int(wanted.min())} to {int(wanted.max())}", "Choose others")
        return self.with_data(self.data[wanted], **self._extra(lambda rows: rows[wanted]))

    def resampled(self: AnyTrack, fps: float) -> AnyTrack:
        """The same motion at another rate: frame_count(duration, fps) frames, interpolated between frame middles, ends held.

        Raises:
            TalkingHeadsError: a rate out of range.
        """
        frame_rate(fps)
        if fps == self.fps:
            return self
        count = frame_count(self.duration, fps)
        position = ((torch.arange(count, dtype=torch.float64) + 0.5) * (self.fps / fps) - 0.5).clamp(0, len(self) - 1)
        return self.with_data(self._at(position), fps=fps, **self._extra(lambda rows: between(rows, position)))

    def smoothed(self: AnyTrack, cutoff: float) -> AnyTrack:
        """Zero-phase low-pass (see `low_pass`), `cutoff` Hz the -3 dB point; 0 and below change nothing."""
        return self.with_data(self._low_passed(cutoff)) if cutoff > 0 else self

    def described(self) -> dict[str, Any]:
        """What is known besides the rows: what a file says in words."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != self.DATA and f.name not in self.EXTRA}

    def _extra(self, change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
        """The optional rows that are there, changed."""
        there = {name: getattr(self, name) for name in self.EXTRA}
        return {name: change(rows) for name, rows in there.items() if rows is not None}

    def _at(self, position: torch.Tensor) -> torch.Tensor:  # float64 [n] -> [n, ...]
        return linear(self.data, position)

    def _low_passed(self, cutoff: float) -> torch.Tensor:
        return low_pass(self.data, self.fps, cutoff)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes one safetensors file of kind `KIND`."""
        return save_tensors(path, {self.DATA: self.data, **self._extra(lambda rows: rows)}, kind=self.KIND, version=self.VERSION,
                            config=self.described())

    @classmethod
    def load(cls: type[AnyTrack], path: str | os.PathLike) -> AnyTrack:
        """Reads a file of `save`.

        Raises:
            FileFormatError: absent, truncated, of another kind, newer, or with a description that no such track has.
            TalkingHeadsError: rows that no such track has.
        """
        tensors, config = load_tensors(path, kind=cls.KIND, version=cls.VERSION)
        name, again = Path(path).name, "Copy the file, or make the track, again"
        described(config, cls.SETTINGS, name, again)
        fitting(tensors, cls.tensors(cls.DATA), name, again)
        extra = {field: tensors[field] for field in cls.EXTRA if field in tensors}
        return cls(**{cls.DATA: tensors[cls.DATA], **extra, **settings(config)})

    @classmethod
    def tensors(cls, data: str) -> dict[str, Numbers]:
        """What a file that holds such a track must have, its rows under the name `data`."""
        extra = {name: Numbers(("T", *row), (torch.float32,), nan=True, absent=True) for name, row in cls.EXTRA.items()}
        return {data: Numbers(("T", *cls.ROW), (torch.float32,), nan=True), **extra}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A file's description as a track keeps it: lists become tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def ping_pong(n_source: int, n_wanted: int, start: int = 0) -> torch.Tensor:  # int64 [n_wanted]
    """Indices that run over a source in ping-pong, ends not repeated: 0 1 2 1 0 1 ... for three. `start` may exceed the source.

    Raises:
        TalkingHeadsError: an empty source, or numbers that are not whole or below 0.
    """
    whole("The number of frames", n_wanted)
    whole("The frame to begin with", start)
    if n_source < 1:
        raise TalkingHeadsError("A loop needs at least one source frame", f"{n_source}", "Give a track with frames")
    step = torch.arange(start, start + n_wanted, dtype=torch.long) % max(2 * (n_source - 1), 1)
    return torch.minimum(step, (2 * (n_source - 1) - step).abs())


def low_pass(x: torch.Tensor, fps: float, cutoff: float) -> torch.Tensor:  # [T, ...] -> [T, ...]
    """Gaussian low-pass along time, -3 dB at `cutoff` Hz, zero phase; weights renormalised at the ends and around NaN."""
    sigma = np.sqrt(np.log(2)) / (2 * np.pi * cutoff) * fps  # frames
    reach = min(max(1, int(np.ceil(4 * sigma))), max(len(x), 1))  # beyond the ends nothing counts
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)[None, None]
    flat = x.reshape(x.shape[0], -1).T[:, None].double()  # [K, 1, T]
    smooth = torch.empty(flat.shape, dtype=x.dtype, device=x.device)
    for column, out in zip(flat.split(1), smooth.split(1)):  # torch unfolds whatever it is given at once: much memory
        known = ~torch.isnan(column)
        total = torch.nn.functional.conv1d(column.nan_to_num(0.0), kernel, padding=reach)
        weight = torch.nn.functional.conv1d(known.double(), kernel, padding=reach)
        out.copy_(torch.where(known, total / weight, torch.nan))
    return smooth[:, 0].T.reshape(x.shape)


def linear(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:  # [T, ...], float64 [n] -> [n, ...]
    """Linear interpolation between frames; next to a NaN the known neighbour."""
    low = position.floor().long()
    high = (low + 1).clamp(max=len(x) - 1)
    weight = (position - low).reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    a, b = x[low], x[high]
    mixed = torch.where(torch.isnan(b) | (weight == 0), a, a + (b - a) * weight)
    return torch.where(torch.isnan(a) & (weight > 0), b, mixed)


def between(x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:  # [T, ...], float64 [n] -> [n, ...]
    """Linear interpolation between frames; beside an unknown frame nothing is known."""
    low = position.floor().long()
    weight = (position - low).reshape(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    a, b = x[low], x[(low + 1).clamp(max=len(x) - 1)]
    return torch.where(weight == 0, a, a + (b - a) * weight)


def check_rows(track: Track) -> None:
    data, shape = track.data, track.ROW
    if not isinstance(data, torch.Tensor) or data.dtype != torch.float32 or tuple(data.shape[1:]) != shape or data.numel() == 0:
        came = f"{data.dtype} {list(data.shape)}" if isinstance(data, torch.Tensor) else type(data).__name__
        wanted = f"float32 tensor [T, {', '.join(map(str, shape))}]"
        raise TalkingHeadsError(f"{type(track).__name__} needs a {wanted} with T >= 1", came, "Give one row per video frame")
    frame_rate(track.fps, *RATES)


def check_size(size: tuple[int, int]) -> None:
    """Raises:
        TalkingHeadsError: no height and width of an image.
    """
    if len(size) != 2 or not 1 <= min(size) <= max(size) <= SIDE:
        raise TalkingHeadsError(f"An image's size must be a height and a width in 1..{SIDE} px", f"{size}",
                                "Give the video's own")


def check_finite(track: Track) -> None:
    bad = torch.nonzero(~torch.isfinite(track.data).flatten(1).all(dim=1)).flatten().tolist()
    if bad:
        raise TalkingHeadsError(f"Every number of a {track.KIND} track must be finite", f"NaN or inf in frames {listed(bad)}",
                                "Measure these frames again, or interpolate them first")


def listed(frames: Sequence[int]) -> str:
    """The first frames by number, and how many more."""
    return ", ".join(map(str, frames[:8])) + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")
