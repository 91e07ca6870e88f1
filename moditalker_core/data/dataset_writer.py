"""Writes the folder that dataset.py reads: one shard a source, each whole or absent, and the index last.

What a shard was made from stands in its header. A build that was stopped, or is asked for more, keeps every shard that was made
from the same thing; a folder written in two goes equals one written in one, bit for bit.
"""
from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...media_core.audio import frame_count
from ...media_core.dataset_folder import occupied, read_json, write_json
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.face.geometry import OUTER_CORNERS
from ...media_core.face.trackers import check_alike, manifest_tracker
from ...media_core.files import load_tensors, save_tensors
from ...media_core.motion import LandmarkTrack, PoseTrack
from ...media_core.paths import is_temporary
from ...media_core.schema import described, is_plain_name
from ...media_core.speech import EncoderChoice, Speech, opened
from ...media_core.temporary import remove_leftovers
from .dataset import INDEX, KIND, REQUEST, SHARDS, VERSION, Clip, SpeechFormat, file_checksum
from .dataset_checks import SHARD
from .images import Pictures

SHARD_KIND, SHARD_VERSION = "motion_shard", 1
_WIDE = 256        # numbers per row from which features are stored as float16
_NARROWEST = 0.1   # dm between the outer corners of the eyes; less is no face


@dataclass(frozen=True)
class Recorded:
    """One clip as it was made, before it is written."""

    name: str                 # unique in the folder
    speech: Speech            # of exactly these frames
    landmarks: LandmarkTrack  # canonical
    poses: PoseTrack          # equally long
    source: str               # the video, or "subject"
    identity: str             # who it shows
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else is known; JSON
    pictures: Pictures | None = None  # equally many, coded into files


class ShardWriter:
    """Starts or continues a folder.

    Args:
        folder: new, empty, or a motion dataset; made when absent.
        request: what it is to hold, JSON; a finished folder of the same request is left as it is (`finished`).
        tracker: what measures the clips, of `MEASURED_BY`.
    Raises:
        TalkingHeadsError: the folder holds something else or clips that another tracker measured, or cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, request: Mapping[str, Any], tracker: str = "rendered"):
        self.folder, self.request = Path(folder), dict(request)
        self._shards: dict[str, dict[str, Any]] = {}  # file name -> its header's description, in order
        index = read_json(self.folder / INDEX)
        sums = index.get("checksums", {})
        names = [name for name in sums if is_plain_name(name)] if isinstance(sums, dict) else []
        self.finished = index.get("request") == self.request and all((self.path(name)).is_file() for name in names)
        if self.finished:
            return
        if self.folder.exists() and not self.folder.is_dir():
            raise TalkingHeadsError("A motion dataset is a folder", f"{self.folder} is a file", "Choose another name")
        if not (index.get("kind") == KIND or (self.folder / REQUEST).is_file()) and occupied(self.folder, own=(SHARDS,)):
            raise TalkingHeadsError("The folder for a motion dataset must be new, empty or a motion dataset",
                                    f"{self.folder} holds other files", "Choose another folder")
        begun = any(not is_temporary(path.name) for path in (self.folder / SHARDS).glob("*.safetensors"))  # else nothing binds it
        kind = read_json(self.folder / REQUEST).get("kind", self.request["kind"])
        if begun and kind != self.request["kind"]:
            raise TalkingHeadsError(f"The folder must be new, or hold a motion dataset made from {self.request['kind']} too",
                                    f"{self.folder} holds one made from {kind}", "Choose another folder")
        if begun:
            check_alike(f"The motion dataset in {self.folder}", tracker, self._measured_by(),
                        "Choose another folder, or the tracker of the clips that are there")
        with writing(self.folder):
            remove_leftovers(self.folder, below=True)
            # first: from here on the folder is known for what it is
            write_json(self.folder / REQUEST, {**self.request, "tracker": tracker})
            (self.folder / SHARDS).mkdir(exist_ok=True)
            (self.folder / INDEX).unlink(missing_ok=True)

    def _measured_by(self) -> str:
        """What measured the clips that the folder holds."""
        request = read_json(self.folder / REQUEST)
        return manifest_tracker(request if request else read_json(self.folder / INDEX))

    @property
    def unfinished(self) -> Path:
        """For what a shard in the making leaves between two goes; removed in the end."""
        return self.folder / "unfinished"

    def path(self, shard: str) -> Path:
        """Where a shard stands."""
        return self.folder / SHARDS / shard

    def keeps(self, shard: str, made_from: Mapping[str, Any]) -> bool:
        """True when that shard is there, whole, and made from the same thing: nothing is left to do."""
        config = standing(self.path(shard), made_from)
        if config is None:
            return False
        self._shards[shard] = config
        return True

    def write(self, shard: str, made_from: Mapping[str, Any], clips: Sequence[Recorded],
              skipped: Sequence[Mapping[str, Any]] = ()) -> None:
        """One source's clips (none is allowed: then `skipped` says why), whole or not at all.

        Raises:
            TalkingHeadsError: a clip whose parts do not fit together, are no face, or another encoder's; the disk is full.
        """
        self._agree({SpeechFormat.of(clip.speech) for clip in clips}, {clip.landmarks.fps for clip in clips})
        self._shards[shard] = write_shard(self.path(shard), made_from, clips, skipped)

    def _agree(self, formats: set[SpeechFormat], rates: set[float]) -> None:
        formats = formats | {SpeechFormat(**f) for config in self._shards.values() for f in config["speech"]}
        rates = rates | {float(rate) for config in self._shards.values() for rate in config["fps"]}
        if len(formats) > 1:
            raise TalkingHeadsError("All clips of a motion dataset must have the same speech features",
                                    " and ".join(sorted(map(str, formats))), "Use one encoder for all")
        if len(rates) > 1:
            raise TalkingHeadsError("All clips of a motion dataset must have one rate",
                                    f"{sorted(rates)} frames per second", "Use one rate for all")

    def finish(self, val: Callable[[Sequence[Mapping[str, Any]]], Collection[int]],
               info: Mapping[str, Any] | None = None, skipped: Sequence[Mapping[str, Any]] = ()) -> Path:
        """Writes the index over all shards kept or written since the beginning; others are removed. Returns the folder.

        Args:
            val: from the clips' entries, in order, the numbers of those to validate on.
            info: what else the index says.
            skipped: what was left out before there was a clip: {"source", "reason"}.
        Raises:
            TalkingHeadsError: no clip at all (the reasons are named), or mixed encoders.
        """
        clips = [clip for config in self._shards.values() for clip in config["clips"]]
        skipped = [*skipped, *(reason for config in self._shards.values() for reason in config["skipped"])]
        if not clips:
            reasons = "; ".join(f"{reason['source']}: {reason['reason']}" for reason in skipped[:5])
            raise TalkingHeadsError("A motion dataset needs at least one clip", f"none could be made ({reasons or 'no source'})",
                                    "Give videos with one face and audio")
        self._agree(set(), set())
        held_out = set(val(clips))
        clips = [{**clip, "split": "val" if i in held_out else "train"} for i, clip in enumerate(clips)]
        with_clips = next(config for config in self._shards.values() if config["clips"])
        with writing(self.folder):
            shutil.rmtree(self.unfinished, ignore_errors=True)
            for path in (self.folder / SHARDS).glob("*.safetensors"):
                if path.name not in self._shards:
                    path.unlink()
            checksums = {name: file_checksum(self.path(name)) for name in self._shards}
            write_json(self.folder / INDEX, {
                "kind": KIND, "version": VERSION, "fps": with_clips["fps"][0], "speech": with_clips["speech"][0], **(info or {}),
                "frames": sum(clip["frames"] for clip in clips), "seconds": sum(clip["seconds"] for clip in clips),
                "clips": clips, "skipped": skipped, "checksums": checksums, "request": self.request})
        return self.folder


def standing(path: Path, made_from: Mapping[str, Any]) -> dict[str, Any] | None:
    """The description of the shard at `path`, where it is whole and made from the same thing; else None."""
    if not path.is_file():
        return None
    try:
        _, config = load_tensors(path, kind=SHARD_KIND, version=SHARD_VERSION)
        described(config, SHARD, path.name, "Build it again")
    except FileFormatError:  # truncated, garbled or foreign: made again
        return None
    return config if config.get("made_from") == dict(made_from) else None


def write_shard(path: Path, made_from: Mapping[str, Any], clips: Sequence[Recorded],
                skipped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One source's clips, whole or not at all; returns their description. Errors as for `ShardWriter.write`."""
    tensors: dict[str, torch.Tensor | Path] = {}
    for clip in clips:
        _check(clip)
        features = clip.speech.features
        tensors |= {f"{clip.name}.speech": features.half() if features.shape[1] > _WIDE else features,
                    f"{clip.name}.silence": clip.speech.silence, f"{clip.name}.landmarks": clip.landmarks.points,
                    f"{clip.name}.poses": clip.poses.camera_to_head}
        if clip.speech.silence_features is not None:
            tensors[f"{clip.name}.silence_features"] = clip.speech.silence_features
        tensors |= clip.pictures.parts(clip.name) if clip.pictures else {}
    config = {"made_from": dict(made_from), "clips": [_entry(clip, path.name).to_dict() for clip in clips],
              "speech": [vars(SpeechFormat.of(clip.speech)) for clip in clips[:1]],
              "fps": [clip.landmarks.fps for clip in clips[:1]], "skipped": [dict(reason) for reason in skipped]}
    save_tensors(path, tensors, kind=SHARD_KIND, version=SHARD_VERSION, config=config)
    return config


def shard_name(source: str, number: int) -> str:
    """A file name for the shard of a source: its number, and what of its name every file system allows."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", source).strip("_")[:60]
    return f"{number:05d}_{plain or 'clip'}.safetensors"


def listening(encoder: EncoderChoice) -> dict[str, Any]:
    """What of an encoder its features depend on, for `made_from`.

    Raises:
        TalkingHeadsError: no such encoder, or one that must be loaded first.
    """
    chosen = opened(encoder)
    return {"encoder": chosen.facts.id, "layer": chosen.layer}


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tells what to do when the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise TalkingHeadsError("The motion dataset's folder must have room and be writable",
                                f"writing {error.filename or folder} failed ({error.strerror})",
                                "Free some space, or choose another folder, and run it again: it continues") from error


def _entry(clip: Recorded, shard: str) -> Clip:
    camera = {"focal": float(clip.poses.focal), "size": list(clip.poses.image_size)}
    pictured = {"pictures": dict(clip.pictures.facts)} if clip.pictures else {}
    return Clip(name=clip.name, shard=shard, frames=len(clip.landmarks), seconds=float(clip.speech.duration), source=clip.source,
                identity=clip.identity, split="train", camera=camera, facts={**clip.facts, **pictured})


def _check(clip: Recorded) -> None:
    """The clip's parts belong together. (That every number is finite is checked by the tracks themselves.)"""
    track, wanted = clip.landmarks, frame_count(clip.speech.duration, clip.landmarks.fps)
    pictures = len(track) if clip.pictures is None else len(clip.pictures)
    if len(clip.poses) != len(track) or wanted != len(track) or clip.poses.fps != track.fps or pictures != len(track):
        raise TalkingHeadsError("A clip's speech, landmarks, poses and images must be equally long",
                                f"{clip.name}: speech for {wanted} frames, {len(track)} of landmarks, {len(clip.poses)} of "
                                f"poses, {pictures} images",
                                "Cut them to the same part of the video")
    if not clip.name or "." in clip.name:
        raise TalkingHeadsError("A clip needs a name without points", f"'{clip.name}'", "Name it otherwise")
    if track.space != "canonical":
        raise TalkingHeadsError("A motion dataset's landmarks must be canonical", f"{clip.name} is in space '{track.space}'",
                                "Take the pose off first (canonical_landmarks)")
    span = (track.points[:, OUTER_CORNERS[1]] - track.points[:, OUTER_CORNERS[0]]).norm(dim=-1)
    if not bool(torch.isfinite(span).all()) or float(span.min()) < _NARROWEST:
        raise TalkingHeadsError(f"A face must be at least {_NARROWEST:g} dm wide between the eyes' outer corners",
                                f"{clip.name}: {float(span.min()):.3g} dm in frame {int(span.argmin())}", "Track the face again")
    if not bool(torch.isfinite(clip.speech.features).all()):
        raise TalkingHeadsError("Every number of the speech features must be finite", f"NaN or inf in {clip.name}",
                                "Encode the audio again")
