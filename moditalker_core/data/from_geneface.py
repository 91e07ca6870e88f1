"""A motion dataset from GeneFace's binaries of LRS3, on which its authors trained AToM (docs/moditalker.md#training-data).

    <folder>/train.data, <folder>/val.data   32 bytes: length of the index, little-endian; the index, a pickle of {offsets, meta};
                                             from 16 MiB on one pickle a clip (gzip where meta says so). Or an index beside it:
                                             <name>.idx, a pickled .npy

A clip holds HuBERT rows (50 Hz), landmarks as offsets from a mean face and 3DMM coefficients, whose pose is kept. The pickles
are read without being run (`media_core.plain_pickles`).
"""
from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...media_core.claims import claimed
from ...media_core.errors import FileFormatError
from ...media_core.motion import LandmarkTrack, PoseTrack
from ...media_core.plain_pickles import plain_pickle
from ...media_core.progress import Report, silent
from ...media_core.speech import Speech
from ..bfm import read_key_mean_shape
from .dataset_writer import Recorded, ShardWriter, shard_name

VERSION = 1
ENCODER, RATE, DIM, FPS = "hubert-large-ls960-ft", 50.0, 1024, 25.0
START = 16 << 20        # bytes before the first clip
SPLITS = ("train", "val")
_LARGEST = 256 << 20    # bytes of a clip, unpacked
_TOGETHER = 256         # clips in a shard
_POINTS = 68 * 3
_ANGLES, _SHIFT = slice(224, 227), slice(254, 257)  # of the coefficients
_CAMERA, _FOCAL, _SIDE = 10.0, 1015.0, 224  # dm from the face's middle to the camera; px of its images
_COPY = "Copy the file again, or leave it out"


@claimed("folder")
def build_from_geneface(binaries: str | os.PathLike, folder: str | os.PathLike, *,
                        key_mean_shape: str | os.PathLike | None = None, report: Report = silent) -> Path:
    """Writes the dataset and returns its folder.

    Args:
        binaries: folder with train.data and perhaps val.data.
        folder: new, empty, or a motion dataset that was begun from the same files.
        key_mean_shape: file of the mean face to put the offsets on (`bfm.read_key_mean_shape`); None: our own. A training must
            use the same one.
        report: called once a clip.
    Raises:
        FileFormatError: no such files, or not in that layout.
        TalkingHeadsError: not one clip can be used, or the folder holds something else or is full.
    """
    files = [path for split in SPLITS if (path := Path(binaries) / f"{split}.data").is_file()]
    if not files:
        raise FileFormatError("The folder must hold GeneFace's train.data", f"none in {binaries}", "Check the folder")
    mean = _own_mean() if key_mean_shape is None else read_key_mean_shape(key_mean_shape).numpy()
    facts = {"kind": "geneface", "version": VERSION, "mean": zlib.crc32(np.ascontiguousarray(mean, np.float32).tobytes()),
             "files": {path.name: path.stat().st_size for path in files}}
    writer = ShardWriter(folder, facts, "people")
    if writer.finished:
        return writer.folder
    sources = [Items.open(path) for path in files]
    total, done = sum(map(len, sources)), 0
    for items in sources:
        for first in range(0, len(items), _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, len(items)))
            shard, made_from = shard_name(f"{items.split}_{first}", done), {**facts, "split": items.split, "first": first}
            if not writer.keeps(shard, made_from):
                step = _told(report, done, total)
                writer.write(shard, made_from, *_clips(items, numbers, mean, step))
            done += len(numbers)
            report(done, total, {"stage": "clip", "clip": done, "clips": total}, None)
    held = lambda clips: [i for i, clip in enumerate(clips) if clip["facts"].get("split") == "val"]
    return writer.finish(held, {"source": "GeneFace", "tracker": "people"})


@dataclass(frozen=True)
class Items:
    """The clips of one file."""

    path: Path
    offsets: Sequence[int]  # where each begins, and the last one ends
    packed: bool

    @classmethod
    def open(cls, path: Path) -> Items:
        """Reads the index.

        Raises:
            FileFormatError: truncated, garbled, or its clips stand in further files.
        """
        size, beside = path.stat().st_size, path.with_suffix(".idx")
        index = _index_beside(beside) if beside.is_file() else _index_inside(path, size)
        offsets = [int(value) for value in np.asarray(index.get("offsets", ()), dtype=np.int64).tolist()]
        told = index.get("meta")
        meta = told if isinstance(told, Mapping) else {}
        if len(meta.get("chunk_begin", ())) > 1:
            raise FileFormatError("A GeneFace binary must stand in one file", f"{path.name} goes on in others (above 64 GiB)",
                                  "Split the data into smaller binaries")
        if offsets and offsets[0] == 0 and not beside.is_file():
            offsets = [START + value for value in offsets]
        if len(offsets) < 2 or offsets[0] < 0 or offsets[-1] > size or (np.diff(offsets) < 0).any():
            raise FileFormatError("The index of a GeneFace binary must say where its clips stand", f"other places in {path.name}",
                                  _COPY)
        return cls(path, offsets, bool(meta.get("gzip")))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def split(self) -> str:
        return self.path.stem

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        """
        Raises:
            FileFormatError: garbled.
        """
        name = f"clip {number} of {self.path.name}"
        with self.path.open("rb") as file:
            file.seek(self.offsets[number])
            blob = file.read(self.offsets[number + 1] - self.offsets[number])
        item = plain_pickle(_unpacked(blob, name) if self.packed else blob, name)
        if not isinstance(item, Mapping):
            raise FileFormatError("A clip must be named values", f"{type(item).__name__} in {name}", _COPY)
        return item


def _index_inside(path: Path, size: int) -> Mapping[str, Any]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(32), "little")
        if not 0 < length <= min(size, START) - 32:
            raise FileFormatError("A GeneFace binary must begin with the length of its index", f"{length} in {path.name}", _COPY)
        index = plain_pickle(file.read(length), f"the index of {path.name}")
    return index if isinstance(index, Mapping) else {}


def _index_beside(path: Path) -> Mapping[str, Any]:
    blob = path.read_bytes()
    if blob[:6] != b"\x93NUMPY":
        raise FileFormatError("An index beside a GeneFace binary is a .npy file", f"{path.name} is none", _COPY)
    head = 10 + int.from_bytes(blob[8:10], "little") if blob[6:7] == b"\x01" else 12 + int.from_bytes(blob[8:12], "little")
    index = plain_pickle(blob[head:], path.name)
    return index if isinstance(index, Mapping) else {}


def _unpacked(blob: bytes, name: str) -> bytes:
    machine = zlib.decompressobj(wbits=31)  # gzip
    try:
        found = machine.decompress(blob, _LARGEST)
    except zlib.error as error:
        raise FileFormatError("A clip must be whole", f"{name} cannot be unpacked ({error})", _COPY) from error
    if machine.unconsumed_tail:
        raise FileFormatError(f"A clip must have {_LARGEST} bytes or fewer", f"more in {name}", _COPY)
    return found


def _clips(items: Items, numbers: Sequence[int], mean: np.ndarray,
           report: Callable[[int], object]) -> tuple[list[Recorded], list[dict[str, Any]]]:
    """A shard's clips, and what was left out."""
    clips, skipped = [], []
    for at, number in enumerate(numbers):
        source = f"{items.path.name}:{number}"
        try:
            clips.append(recorded(items[number], f"{items.split}{number:06d}", source, items.split, mean))
        except FileFormatError as error:
            skipped.append({"source": source, "reason": f"{error}"})
        report(at)
    return clips, skipped


def recorded(item: Mapping[str, Any], name: str, source: str, split: str, mean: np.ndarray) -> Recorded:
    """A clip of ours.

    Args:
        item: hubert [Tx, 1024], idexp_lm3d [Ty, 68, 3] and coeff [Ty, 257], Ty about Tx / 2. mean: [68, 3] dm.
    Raises:
        FileFormatError: one of them is missing, of another shape, or not finite.
    """
    rows, offsets, coefficients = (_numbers(item, part, source) for part in ("hubert", "idexp_lm3d", "coeff"))
    frames = min(len(offsets), len(coefficients), len(rows) // 2)
    if rows.shape[1:] != (DIM,) or offsets.reshape(len(offsets), -1).shape[1:] != (_POINTS,) or coefficients.shape[1:] != (257,) \
            or frames < 1:
        raise FileFormatError(f"A clip must hold hubert [2 T, {DIM}], idexp_lm3d [T, 68, 3] and coeff [T, 257]",
                              f"{list(rows.shape)}, {list(offsets.shape)}, {list(coefficients.shape)} in {source}", _COPY)
    features = torch.from_numpy(rows[:2 * frames])
    speech = Speech(features, RATE, ENCODER, frames / FPS, torch.zeros(len(features), dtype=torch.bool))
    points = mean + offsets[:frames].reshape(-1, 68, 3) / 10
    poses = poses_of(coefficients[:frames, _ANGLES], coefficients[:frames, _SHIFT])
    identity = str(item.get("spk_id", item.get("item_id", source)))
    return Recorded(name, speech, LandmarkTrack(torch.from_numpy(points.astype(np.float32)), FPS), poses, source, identity,
                    {"split": split, "item": str(item.get("item_id", ""))})


def poses_of(angles: np.ndarray, shifts: np.ndarray) -> PoseTrack:  # [T, 3] rad, [T, 3] dm
    """A 3DMM's pose: points, as rows v, go to v R + t, ten units in front of the camera."""
    x, y, z = (angles[:, axis].astype(np.float64) for axis in range(3))
    turns = (_about(2, z) @ _about(1, y) @ _about(0, x)).transpose(0, 2, 1)
    return camera_poses(turns, shifts, FPS)


def camera_poses(turns: np.ndarray, shifts: np.ndarray, fps: float) -> PoseTrack:  # [T, 3, 3], [T, 3] dm
    """The camera in the head's frame, metres, of points that go to v R + t."""
    out = np.tile(np.eye(4), (len(turns), 1, 1))
    out[:, :3, :3] = turns
    out[:, :3, 3] = -np.einsum("tij,tj->ti", turns, shifts - [0.0, 0.0, _CAMERA]) / 10
    return PoseTrack(torch.from_numpy(out.astype(np.float32)), _FOCAL, (_SIDE, _SIDE), fps)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:  # [T] rad -> [T, 3, 3]
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    out = np.tile(np.eye(3), (len(angle), 1, 1))
    out[:, first, first] = out[:, second, second] = np.cos(angle)
    out[:, second, first] = np.sin(angle)
    out[:, first, second] = -np.sin(angle)
    return out


def _numbers(item: Mapping[str, Any], part: str, source: str) -> np.ndarray:
    value = item.get(part)
    if not isinstance(value, np.ndarray) or value.ndim < 2 or value.dtype.kind != "f" or not np.isfinite(value).all():
        raise FileFormatError("A clip must hold finite arrays hubert, idexp_lm3d and coeff", f"another '{part}' in {source}",
                              _COPY)
    return value.astype(np.float32)


def _told(report: Report, before: int, total: int) -> Callable[[int], None]:
    return lambda at: report(before + at, total, {"stage": "clip", "clip": before + at + 1, "clips": total}, None)


def _own_mean() -> np.ndarray:
    from ...media_core.face.pose.canonical import mean_face

    return mean_face()
