"""What the diffusion learns from: windows as latents, made for every step, or once for a pool of windows and kept in a file.

The file is a safetensors file whose tensors are mapped into memory, filled as windows are first sampled and marked row by row: a
training that was stopped finds there what it had made. It holds float16.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ...media_core.files import UNREADABLE, atomic_path
from ...media_core.json_files import parse_json_object
from .autoencoder import VideoAutoencoder
from .reading import Reader
from .video_batch import VideoBatch

POOL = 1 << 40  # the "step" at which the windows of a pool are sampled
PARTS = ("frames", "landmarks", "pose", "identity")
_IDENTITY = "talking_heads.latents"  # name of the header's entry
_BLOCK = 1 << 22  # bytes


@dataclass(frozen=True)
class Encoded:
    """B windows as latents, float32."""

    frames: Tensor     # [B, 4, L]
    landmarks: Tensor  # [B, 4, L]
    pose: Tensor       # [B, 4, L]
    identity: Tensor   # [B, 4, L]
    weights: Tensor    # [B, 1, L], what each number counts in a loss


class Encoder:
    """Windows to latents.

    Args:
        rgb, landmarks: frozen, in evaluation mode, on one device.
        lips: what tokens of the mouth count; 1: as all others.
        computing: a context in which to encode.
    """

    def __init__(self, rgb: VideoAutoencoder, landmarks: VideoAutoencoder, lips: float,
                 computing: Callable[[], AbstractContextManager[object]]):
        self.rgb, self.landmarks, self.lips, self.computing = rgb, landmarks, lips, computing

    @property
    def device(self) -> torch.device:
        return self.rgb.device

    @torch.no_grad()
    def encoded(self, windows: VideoBatch, still: Sequence[bool]) -> Encoded:
        """`still` says which windows have one image as their pose."""
        batch = windows.to(self.device)
        assert batch.frames is not None and batch.landmarks is not None and batch.pose is not None and batch.identity is not None
        with self.computing():
            frames, landmarks = self.rgb.encode(batch.frames), self.landmarks.encode(batch.landmarks)
            identity, pose = self.rgb.encode_still(batch.identity), torch.empty_like(frames)
            calm = torch.tensor(list(still), device=self.device)
            if any(still):
                pose[calm] = self.rgb.encode_still(batch.pose[calm, :, 0])
            if not all(still):
                pose[~calm] = self.rgb.encode(batch.pose[~calm])
        weights = self.weights(batch.weights) if self.lips != 1 else frames.new_ones(len(frames), 1, frames.shape[2])
        return Encoded(frames=frames.float(), landmarks=landmarks.float(), pose=pose.float(), identity=identity.float(),
                       weights=weights.float())

    def weights(self, pixels: Tensor) -> Tensor:  # [B, 1, T, S, S], above 1 at the mouth -> [B, 1, L]
        """`lips` at the tokens of each plane behind which there is a mouth."""
        patch = self.rgb.config.patch
        mouth = torch.nn.functional.max_pool2d((pixels[:, 0] > 1).float(), patch)  # [B, T, h, w]
        planes = [mouth.amax(axis).flatten(1) for axis in (1, 2, 3)]  # xy over time, yt over rows, xt over columns
        return 1 + (self.lips - 1) * torch.cat(planes, 1)[:, None]


class Latents:
    """Latents of the windows of a training.

    Args:
        reader: of the windows. encoder: of them.
        seed: of the run.
        pool: windows sampled for the whole training; 0: each step samples its own.
        store: where those of the pool are kept.
    """

    def __init__(self, reader: Reader, encoder: Encoder, seed: int, pool: int = 0, store: Store | None = None):
        self.reader, self.encoder, self.seed, self.pool, self.store = reader, encoder, seed, pool, store

    def batch(self, step: int, indices: Sequence[int]) -> Encoded:
        """The windows `indices` of `step`, on the encoder's device."""
        if self.store is None:
            return self._made(self._keys(step, indices), self._keys(step + 1, indices))
        rows = [row for _, row in self._keys(step, indices)]
        self._fill(self.store, rows, [row for _, row in self._keys(step + 1, indices)])
        return Encoded(*(value.to(self.encoder.device) for value in self.store.read(rows)))

    def _keys(self, step: int, indices: Sequence[int]) -> list[tuple[int, int]]:
        if not self.pool:
            return [(step, int(i)) for i in indices]
        drawn = (np.random.default_rng([self.seed, POOL, step, int(i)]) for i in indices)
        return [(POOL, int(random.integers(self.pool))) for random in drawn]

    def _fill(self, store: Store, rows: Sequence[int], soon: Sequence[int]) -> None:
        """Encodes the rows that are not there yet; on the CPU one by one, so that a row does not depend on the others."""
        missing = [row for row in dict.fromkeys(rows) if not store.has(row)]
        soon = [row for row in dict.fromkeys(soon) if row not in missing and not store.has(row)]
        together = 1 if self.encoder.device.type == "cpu" else max(len(missing), 1)
        for start in range(0, len(missing), together):
            part = missing[start:start + together]
            later = [(POOL, row) for row in (*missing[start + together:], *soon)]
            store.write(part, self._made([(POOL, row) for row in part], later))

    def _made(self, keys: list[tuple[int, int]], soon: Sequence[tuple[int, int]]) -> Encoded:
        still = [self.reader.source.sample(*key).still for key in keys]
        return self.encoder.encoded(self.reader.windows(keys, soon).on(self.encoder.device), still)


class Store:
    """Rows of latents in a file.

    Args:
        path: made, or taken over when it was made for the same `identity`, `rows` and `shape`.
        identity: what the latents depend on, JSON-serialisable.
        rows: how many. shape: (4, L) of one latent.
        make: False only opens it: another process has made it.
    Raises:
        TalkingHeadsError: no room, a folder that cannot be written, or a file there that holds something else.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], rows: int, shape: tuple[int, int], make: bool = True):
        self.path, told = path, json.dumps(identity, sort_keys=True)
        shapes = dict.fromkeys(PARTS, (rows, *shape)) | {"weights": (rows, 1, shape[1]), "filled": (rows,)}
        try:
            if make and not _is(path, told, shapes):
                _check_replaced(path)
                _written(path, told, shapes)
            self._parts = _mapped(path, shapes)
        except OSError as error:
            raise TalkingHeadsError("The latents of a training must fit where they are kept",
                                    f"{path}: {error.strerror or error}",
                                    "Free some space, choose another folder, or a smaller cache") from error

    def has(self, row: int) -> bool:
        return bool(self._parts["filled"][row])

    def read(self, rows: Sequence[int]) -> list[Tensor]:
        """float32, in the order of `Encoded`."""
        return [torch.from_numpy(self._parts[name][list(rows)].astype(np.float32)) for name in (*PARTS, "weights")]

    def write(self, rows: Sequence[int], latents: Encoded) -> None:
        for name in (*PARTS, "weights"):
            self._parts[name][list(rows)] = getattr(latents, name).cpu().numpy().astype(np.float16)
        self._parts["filled"][list(rows)] = 1  # last: a row is there when it is marked

    def remove(self) -> None:
        """Deletes the file."""
        self._parts = {}
        self.path.unlink(missing_ok=True)


def _kind(name: str) -> tuple[str, type[np.generic]]:
    return ("U8", np.uint8) if name == "filled" else ("F16", np.float16)


def _layout(told: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[bytes, dict[str, int], int]:
    """The file's head, where each tensor begins behind it, and the whole length."""
    entries: dict[str, Mapping[str, str | list[int]]] = {"__metadata__": {_IDENTITY: told}}
    starts, at = {}, 0
    for name, shape in sorted(shapes.items(), key=lambda item: item[0] == "filled"):  # even numbers first: they stay aligned
        kind, number = _kind(name)
        size = int(np.prod(shape)) * np.dtype(number).itemsize
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        starts[name], at = at, at + size
    head = json.dumps(entries, separators=(",", ":")).encode()
    head = head.ljust(-(-len(head) // 8) * 8)
    head = len(head).to_bytes(8, "little") + head
    return head, {name: len(head) + start for name, start in starts.items()}, len(head) + at


def _is(path: Path, told: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the file is there and is that one."""
    try:
        with safe_open(path, framework="np") as file:
            return (file.metadata() or {}).get(_IDENTITY) == told and all(
                name in file.keys() and file.get_slice(name).get_dtype() == _kind(name)[0]
                and tuple(file.get_slice(name).get_shape()) == shape for name, shape in shapes.items())
    except UNREADABLE:
        return False


def _check_replaced(path: Path) -> None:
    """Raises:
        TalkingHeadsError: what stands there are no latents: it is not replaced.
    """
    if not path.exists():
        return
    try:
        with safe_open(path, framework="np") as file:
            latents = _IDENTITY in (file.metadata() or {})
    except UNREADABLE:
        latents = False
    if not latents:
        raise TalkingHeadsError("The latents of a training need a file of their own", f"{path}, which holds something else",
                                "Choose another name, or delete that file")


def _written(path: Path, told: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """A file of zeros, whole or absent."""
    head, _, length = _layout(told, shapes)
    with atomic_path(path) as part, part.open("wb") as file:
        file.write(head)
        for at in range(len(head), length, _BLOCK):  # really written, so that a full disk shows now
            file.write(bytes(min(_BLOCK, length - at)))


def _mapped(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.memmap]:
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        entries = parse_json_object(file.read(start - 8), path)
    return {name: np.memmap(path, _kind(name)[1], "r+", start + entries[name]["data_offsets"][0], shape)
            for name, shape in shapes.items()}
