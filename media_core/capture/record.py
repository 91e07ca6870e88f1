"""Which stages of a capture are done, and for what: kept in the folder's request.json, so that a run can resume.

Each stage has a key out of its own settings and the keys of the stages it builds on. Another key removes what the stage wrote
before; the same key keeps what is there and makes the rest.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..dataset_folder import MANIFEST, REQUEST, occupied, read_json, write_json
from ..errors import TalkingHeadsError
from ..schema import described, each, flag, record, text
from ..temporary import remove_leftovers

VERSION = 1
KIND = "capture"
OUTPUTS = {  # stage -> what it writes; "{}" stands for a frame's number
    "segment": (),
    "track": ("raw_track.safetensors", "raw_track.partial.safetensors", "raw_track.partial.mesh"),
    "frames": ("ori_imgs/{}.jpg",),
    "shots": (),
    "measure": ("track.safetensors", "landmarks_canonical.safetensors", "anchors.safetensors", "track.partial.mesh"),
    "masks": ("parsing/{}.png", "teeth_mask/{}.npy", "looks.partial.safetensors"),
    "background": ("bc.jpg",),
    "layers": ("gt_imgs/{}.jpg", "torso_imgs/{}.png"),
    "sound": ("aud.wav", "speech_*.safetensors", "sound.partial.raw"),
    "tables": ("ori_imgs/{}.lms", "au.csv", "transforms_train.json", "transforms_val.json"),
    "report": ("report.png", "report.txt"),
}
OPTIONAL = (*OUTPUTS["track"][1:], *OUTPUTS["measure"][2:], *OUTPUTS["masks"][2:],
            *OUTPUTS["sound"][2:])  # what a finished stage need not have left


_STAGES = each(record({"key": text(100), "done": flag()}, {"result": lambda value, where: value}))
_REQUEST = record({}, {"name": text(1000), "stages": _STAGES}, others=True)


class Record:
    """The stages of one folder. `open` it, ask `pending` for each stage in turn, and `finish` what was made."""

    def __init__(self, folder: Path, film: str, name: str, stages: dict[str, dict[str, Any]]):
        self.folder, self.film, self.name, self.stages = folder, film, name, stages

    @classmethod
    def open(cls, folder: Path, film: str, name: str) -> Record:
        """The record of `folder`, which is made when absent.

        Args:
            film: the video's fingerprint.
            name: what to call the video in an error.
        Raises:
            TalkingHeadsError: the folder holds something else, or another video.
        """
        if folder.is_file():
            raise TalkingHeadsError("The folder for a captured dataset must be new, empty or one of this video",
                                    f"{folder} is a file", "Choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        old = read_json(folder / REQUEST)
        if old.get("kind") != KIND and occupied(folder):
            raise TalkingHeadsError("The folder for a captured dataset must be new, empty or one of this video",
                                    f"{folder} holds other files", "Choose another folder")
        if old and (old.get("film"), old.get("version")) != (film, VERSION):
            came = f"{folder} holds one of another video" if old.get("film") != film else \
                f"{folder} was started by version {old.get('version')}"
            raise TalkingHeadsError("The folder for a captured dataset must be new, empty or one of this video",
                                    f"{came} ({old.get('name', '?')}, not {name})", "Choose another folder, or delete that one")
        described(old, _REQUEST, str(folder / REQUEST), "Delete it: the capture then starts over")
        remove_leftovers(folder, below=True)
        return cls(folder, film, old.get("name", name), dict(old.get("stages", {})))

    def pending(self, stage: str, own: Mapping[str, Any], *after: str, frames: int = 0) -> bool:
        """Whether `stage` has something to do: also when its output was deleted. With another key than before, its
        older files are removed.

        Args:
            own: the stage's own settings, as JSON can hold them.
            after: stages it builds on.
            frames: how many of each file there must be that is written once a frame.
        """
        parts = [stage, own, [self.stages[name]["key"] for name in after]]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
        entry = self.stages.get(stage, {})
        if entry.get("key") != key:
            self.drop(stage)
            entry = self.stages[stage] = {"key": key, "done": False}
        entry["done"] = entry["done"] and self._whole(stage, frames)
        if not entry["done"]:
            (self.folder / MANIFEST).unlink(missing_ok=True)
            self._write()
        return not entry["done"]

    def _whole(self, stage: str, frames: int) -> bool:
        """Whether all is there that the finished stage left."""
        patterns = [pattern for pattern in OUTPUTS[stage] if pattern not in OPTIONAL]
        names = [pattern.format(i) for pattern in patterns for i in (range(frames) if "{}" in pattern else range(1))]
        return all(any(self.folder.glob(name)) if "*" in name else (self.folder / name).is_file() for name in names)

    def finish(self, stage: str, result: Any = None) -> None:
        """Marks `stage` as done; `result` is a small JSON value that later runs ask for."""
        self.stages[stage] |= {"done": True, "result": result}
        self._write()

    def result(self, stage: str) -> Any:
        return self.stages[stage].get("result")

    def drop(self, stage: str) -> None:
        """Removes what `stage` wrote and forgets it."""
        for pattern in OUTPUTS[stage]:
            parent, kind = (self.folder / pattern).parent, Path(pattern).suffix
            if "{}" in pattern:
                for path in parent.glob(f"*{kind}") if parent.is_dir() else ():
                    path.unlink()
            else:
                for path in self.folder.glob(pattern):
                    path.unlink()
        if self.stages.pop(stage, None) is not None:
            (self.folder / MANIFEST).unlink(missing_ok=True)
            self._write()

    def remove_bare(self) -> None:
        """Removes a folder that holds nothing but this record: a video that is refused leaves nothing behind."""
        if [path.name for path in self.folder.iterdir()] == [REQUEST]:
            (self.folder / REQUEST).unlink()
            self.folder.rmdir()

    def _write(self) -> None:
        write_json(self.folder / REQUEST, {"kind": KIND, "version": VERSION, "film": self.film, "name": self.name,
                                           "stages": self.stages})
