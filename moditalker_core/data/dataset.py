"""What AToM and MToV learn from: a folder of clips, each speech features, canonical landmarks and poses of one face talking, and
images of it where they were asked for.

    index.json                  kind "motion_dataset": rate, speech encoder, clips, what was left out and why, checksums
    request.json                what the folder was ordered to hold; without index.json beside it the folder is unfinished
    shards/<source>.safetensors one for each source (a video, a performance), whole or absent; per clip
        <clip>.speech float16 | float32 [Ts, D], <clip>.silence bool [Ts], perhaps <clip>.silence_features float32 [D],
        <clip>.landmarks float32 [T, 68, 3] (canonical, dm), <clip>.poses float32 [T, 4, 4] (camera to head, metres),
        perhaps images (images.py); the clip's facts["pictures"] then holds their size

Shards are memory-mapped and read where they are wanted: memory does not grow with the folder. Written by dataset_writer.py.
The contents are those of docs/moditalker.md#training-data (GeneFace's .npy is pickled and is not read).
"""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from ...media_core.dataset_folder import read_json
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.face.trackers import manifest_tracker
from ...media_core.files import UNREADABLE
from ...media_core.motion import LandmarkTrack, PoseTrack
from ...media_core.progress import Report, silent
from ...media_core.speech import Speech
from .dataset_checks import SPLITS, check_ends, check_index, check_part
from .images import decoded

KIND, VERSION = "motion_dataset", 1
INDEX, REQUEST, SHARDS = "index.json", "request.json", "shards"
_ROWS = {"landmarks": 0, "poses": 0, "pixels": 0, "frame_offsets": 1, "mask_offsets": 1}  # rows beyond the clip's frames


@dataclass(frozen=True)
class SpeechFormat:
    """Which speech features all clips of a folder hold."""

    encoder: str  # id
    layer: str    # of the encoder
    rate: float   # Hz, rows per second
    dim: int      # numbers per row

    def __str__(self) -> str:
        return f"{self.encoder} (layer {self.layer}, {self.rate:g} Hz, {self.dim} numbers per row)"

    @classmethod
    def of(cls, speech: Speech) -> SpeechFormat:
        return cls(speech.encoder, speech.layer, float(speech.rate), int(speech.features.shape[1]))


@dataclass(frozen=True)
class Clip:
    """One unbroken piece: the same face in every frame, and what it says."""

    name: str      # of its tensors in the shard
    shard: str     # file name in shards/
    frames: int    # T
    seconds: float  # of the speech
    source: str    # the video, or "subject"
    identity: str  # who it shows
    split: str     # "train" or "val"
    camera: Mapping[str, Any] = field(default_factory=dict)  # "focal" px and "size" [H, W] px of the poses
    facts: Mapping[str, Any] = field(default_factory=dict)   # what else is known: voice, seed, crop, images ...

    @property
    def picture_size(self) -> int:
        """Sides of its images, px; 0: it has none."""
        return int(self.facts.get("pictures", {}).get("size", 0))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class MotionDataset:
    """A finished folder; see `open`.

    Attributes:
        folder: where it lies.
        fps: frames per second, of every clip.
        format: the speech features.
        clips: all clips, in order.
        skipped: what was left out: {"source", "reason", ...}.
        index: index.json as it stands.
    """

    def __init__(self, folder: Path, index: Mapping[str, Any]):
        self.folder, self.index = folder, index
        self.fps = float(index["fps"])
        self.format = SpeechFormat(**index["speech"])
        self.clips = tuple(Clip(**clip) for clip in index["clips"])
        self.skipped: tuple[Mapping[str, Any], ...] = tuple(index.get("skipped", ()))

    @classmethod
    def open(cls, folder: str | os.PathLike) -> MotionDataset:
        """Reads the index and looks whether every shard is there; nothing else is read before it is wanted.

        Raises:
            FileFormatError: no motion dataset, an unfinished or newer one, a garbled index, no clip, or a missing shard.
        """
        folder = Path(folder)
        index = _checked_index(folder)
        dataset = cls(folder, index)
        if not dataset.clips:
            raise FileFormatError("A motion dataset must hold at least one clip", f"{folder} holds none{_why(dataset.skipped)}",
                                  "Build it from videos with a face and audio")
        missing = [clip.shard for clip in dataset.clips if not (folder / SHARDS / clip.shard).is_file()]
        if missing:
            raise FileFormatError("Every shard of a motion dataset must be there",
                                  f"{folder / SHARDS} lacks {', '.join(sorted(set(missing))[:8])}",
                                  "Copy it whole, or delete index.json and build it again: what is there is kept")
        return dataset

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def tracker(self) -> str:
        """What measured the clips, of `MEASURED_BY`; a dataset that does not say is older than the choice."""
        return manifest_tracker(self.index)

    @property
    def frames(self) -> int:
        return sum(clip.frames for clip in self.clips)

    @property
    def seconds(self) -> float:
        return sum(clip.seconds for clip in self.clips)

    def indices(self, split: str) -> tuple[int, ...]:
        """Numbers of the clips of a split.

        Raises:
            TalkingHeadsError: no such split.
        """
        if split not in SPLITS:
            raise TalkingHeadsError(f"The split must be one of {', '.join(SPLITS)}", f"'{split}'", "Choose one of those")
        return tuple(i for i, clip in enumerate(self.clips) if clip.split == split)

    def expect(self, encoder: str, layer: str = "last", rate: float | None = None) -> None:
        """Makes sure that a model that listens to this encoder can learn from the folder.

        Raises:
            TalkingHeadsError: the features are another encoder's; both are named.
        """
        f = self.format
        if (encoder, layer) != (f.encoder, f.layer) or (rate is not None and abs(rate - f.rate) > 1e-6):
            wanted = f"'{encoder}' (layer {layer}{'' if rate is None else f', {rate:g} Hz'})"
            raise TalkingHeadsError(f"The motion dataset must hold the speech features that the model listens to, {wanted}",
                                    f"{self.folder} holds those of {f}",
                                    "Build the dataset with that encoder, or train for this one")

    # a clip's parts: index number -> rows [start, stop) -------------------------------------------------------------------------

    def speech(self, index: int) -> Speech:
        """All speech features of a clip, float32, with their silence."""
        clip = self.clips[index]
        features, silence = self._read(clip, "speech").float(), self._read(clip, "silence")
        quiet = self._read_if_there(clip, "silence_features")
        return Speech(features=features, rate=self.format.rate, encoder=self.format.encoder, duration=clip.seconds,
                      silence=silence, layer=self.format.layer, silence_features=quiet)

    def landmarks(self, index: int, start: int = 0, stop: int | None = None) -> LandmarkTrack:
        """Canonical landmarks of frames [start, stop), dm.

        Raises:
            FileFormatError: the shard is truncated or lacks the clip.
            TalkingHeadsError: points that are not finite.
        """
        return LandmarkTrack(self._read(self.clips[index], "landmarks", start, stop), self.fps)

    def poses(self, index: int, start: int = 0, stop: int | None = None) -> PoseTrack:
        """The camera in the head's frame, for frames [start, stop).

        Raises:
            FileFormatError: the shard is truncated or lacks them, or the index lacks the camera.
        """
        clip = self.clips[index]
        if not clip.camera:
            raise FileFormatError("A clip with poses must say their camera", f"{clip.name} in {self.folder} does not",
                                  "Delete index.json and that shard, and build the dataset again")
        camera_to_head = self._read(clip, "poses", start, stop)
        height, width = clip.camera["size"]
        return PoseTrack(camera_to_head, float(clip.camera["focal"]), (height, width), self.fps)

    def pixels(self, index: int, start: int = 0, stop: int | None = None) -> torch.Tensor:  # float32 [n, 68, 2]
        """Landmarks of frames [start, stop) in px of the images.

        Raises:
            TalkingHeadsError: the clip has no images.
            FileFormatError: the shard is truncated or lacks them.
        """
        return self._read(self._pictured(index), "pixels", start, stop)

    def frames_of(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:  # uint8 [n, S, S, 3] RGB
        """Images of frames [start, stop); only their bytes are read.

        Raises:
            TalkingHeadsError: the clip has no images.
            FileFormatError: the shard is truncated, lacks them, or holds something else in their place.
        """
        return self._decoded(index, "frame", start, stop)

    def masks(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:  # uint8 [n, S, S]
        """The parts of those images, as places in `images.CLASSES`. Errors as for `frames_of`.

        Raises:
            TalkingHeadsError: they were not asked for when the dataset was built.
        """
        if not self.has_masks(index):
            raise TalkingHeadsError("The images of this dataset must have masks", f"none in {self.folder}",
                                    "Build it again with --masks")
        return self._decoded(index, "mask", start, stop)

    def has_masks(self, index: int) -> bool:
        """Whether the parts of a clip's images are known."""
        return self._length(self._pictured(index), "masks") > 0

    def _decoded(self, index: int, kind: str, start: int, stop: int | None) -> np.ndarray:
        clip = self._pictured(index)
        stop = clip.frames if stop is None else min(stop, clip.frames)
        ends = self._read(clip, f"{kind}_offsets", start, stop + 1).numpy()
        check_ends(ends, self._length(clip, f"{kind}s"), f"{clip.name}.{kind}s")
        blobs = self._read(clip, f"{kind}s", int(ends[0]), int(ends[-1])).numpy()
        with reading(self.folder / SHARDS / clip.shard):
            return decoded(blobs, ends - ends[0], kind == "frame")

    def _pictured(self, index: int) -> Clip:
        clip = self.clips[index]
        if not clip.picture_size:
            raise without_pictures(self.folder)
        return clip

    def _length(self, clip: Clip, part: str) -> int:
        """Rows of a part of a clip."""
        path, name = self.folder / SHARDS / clip.shard, f"{clip.name}.{part}"
        with reading(path), safe_open(path, framework="pt", device="cpu") as file:
            shape = file.get_slice(name).get_shape() if name in file.keys() else []
            return shape[0] if shape else 0

    def _read(self, clip: Clip, part: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        found = self._read_if_there(clip, part, start, stop)
        if found is None:
            raise FileFormatError("A shard must hold every clip that the index names", f"{clip.shard} lacks {clip.name}.{part}",
                                  "Delete index.json and that shard, and build the dataset again")
        return found

    def _read_if_there(self, clip: Clip, part: str, start: int = 0, stop: int | None = None) -> torch.Tensor | None:
        path, name = self.folder / SHARDS / clip.shard, f"{clip.name}.{part}"
        with reading(path), safe_open(path, framework="pt", device="cpu") as file:
            if name not in file.keys():
                return None
            rows = file.get_slice(name)
            check_part(rows.get_dtype(), rows.get_shape(), part, self.format.dim, name)
            length = rows.get_shape()[0]
            if part in _ROWS and length != clip.frames + _ROWS[part]:
                raise FileFormatError(f"Clip {clip.name} must have {clip.frames} frames, as the index says",
                                      f"{path.name} holds {length - _ROWS[part]}",
                                      "Delete index.json and that shard, and build it again")
            return rows[start:length if stop is None else min(stop, length)]

    def verify(self, report: Report = silent) -> None:
        """Reads every shard whole, compares checksums, and looks whether every number of the motion is finite.

        Raises:
            FileFormatError: a shard was altered or is truncated.
            TalkingHeadsError: landmarks or poses that are none.
        """
        checksums = self.index["checksums"]
        for done, (name, wanted) in enumerate(checksums.items()):
            if file_checksum(self.folder / SHARDS / name) != wanted:
                raise FileFormatError("A motion dataset's shards must be as they were written",
                                      f"{name} in {self.folder} differs",
                                      "Copy it again, or delete index.json and that shard and build it again")
            report(done + 1, len(checksums), {"stage": "checksums"}, None)
        for index in range(len(self)):
            for read in (self.landmarks, self.poses, self.speech):
                read(index)
            for frame in range(self.clips[index].frames if self.clips[index].picture_size else 0):
                self.frames_of(index, frame, frame + 1)
                if self.has_masks(index):
                    self.masks(index, frame, frame + 1)


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises:
        FileFormatError: it cannot be read.
    """
    digest = hashlib.sha256()
    with reading(path), path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tells what is wrong with a shard."""
    try:
        yield
    except TalkingHeadsError:  # a ValueError too, and says what is wrong already
        raise
    except UNREADABLE as error:
        raise FileFormatError("A motion dataset's shard must be a whole safetensors file", f"{path} cannot be read ({error})",
                              "It may be truncated: copy it again, or delete index.json and it and build it again") from error


def _checked_index(folder: Path) -> dict[str, Any]:
    index = read_json(folder / INDEX)
    if not index:
        if (folder / REQUEST).is_file():
            raise FileFormatError("The motion dataset must be finished", f"{folder} has no {INDEX} yet",
                                  "Run the command that builds it again: it continues")
        came = f"no {INDEX} in {folder}" if folder.is_dir() else f"no folder at {folder}"
        raise FileFormatError("The folder must hold a motion dataset", came, "Build one: talking-heads dataset motion")
    if index.get("kind") != KIND:
        raise FileFormatError("The folder must hold a motion dataset", f"{folder / INDEX} is of kind {index.get('kind')!r}",
                              "Choose another folder")
    version = index.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise FileFormatError(f"The motion dataset's version must be {VERSION} or older", f"{version!r}", "Update Talking Heads")
    try:
        check_index(index, folder / INDEX)
    except FileFormatError as error:
        came = f"{folder / INDEX} lacks or garbles {error.must}; {error.came}"
        raise FileFormatError("The index of a motion dataset must be as it was written", came,
                              "Delete it and build the dataset again") from error
    return index


def without_pictures(folder: Path) -> TalkingHeadsError:
    """What to do when images are wanted of clips that have none."""
    return TalkingHeadsError("MToV learns from a motion dataset with images", f"{folder} holds none",
                             "Build it with them: talking-heads dataset motion OUT ... --frames 128 (or 256)")


def _why(skipped: Sequence[Mapping[str, Any]]) -> str:
    return "" if not skipped else f"; left out: {skipped[0].get('source')}: {skipped[0].get('reason')}"
