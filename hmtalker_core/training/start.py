"""What a new person's avatar can start from: motion nets that know how faces move, another avatar's or an *avatar prior*'s.

Heads share one frame of reference, so that where lips, jaw, lids and brows are, and how they answer speech and action units, is
much the same for everybody. A prior is trained on several people at once: each has Gaussians of their own, all share both motion
nets (after InsTaG, arXiv 2502.20387; docs/hmtalker.md#starting-from-another-person). Gaussians are never taken over: they are the
person.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from torch import Tensor

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import load_tensors, save_tensors
from ...media_core.progress import Report, silent
from ...media_core.schema import COUNT, described, many, record, text, whole
from ...media_core.tensor_schema import all_finite
from ...training_core.state import strip
from ..avatar import Avatar
from ..avatar_checks import AUDIO, MOTION
from ..checkpoints import load_avatar
from ..model.fusion import MotionKind
from ..model.motion import FaceMotionNet, MouthMotionNet
from .batches import Clip
from .branches import Branch, audio_arguments, motion_kind
from .config import TrainConfig
from .steps import AvatarTraining

KIND, VERSION = "avatar prior", 1
SHIPPED = Path(__file__).resolve().parents[2] / "weights" / "avatar_prior.safetensors"
AUTO = "auto"  # instead of a file: the shipped avatar prior, where a training can start from it
_SETTINGS = record({"encoder": text(200), "audio": AUDIO}, {"motion": MOTION, "people": many(text(200), most=10_000),
                                                            "steps": whole(0, COUNT)})
_AGAIN = "Choose an avatar or an avatar prior"


@dataclass(frozen=True)
class StartNets:
    """Both motion nets of somebody else."""

    face: Mapping[str, Tensor]
    mouth: Mapping[str, Tensor]
    encoder: str  # whose speech they understand
    audio: Mapping[str, Any]  # how the nets read it
    kind: MotionKind
    name: str  # of the file, for messages

    @classmethod
    def of(cls, avatar: Avatar, name: str = "the avatar") -> StartNets:
        """Those of an avatar."""
        return cls({k: v.clone() for k, v in avatar.face_net.state_dict().items()},
                   {k: v.clone() for k, v in avatar.mouth_net.state_dict().items()}, avatar.encoder, avatar.config["audio"],
                   MotionKind.from_config(avatar.config), name)

    @property
    def checksum(self) -> int:
        """What tells them from others."""
        return crc32(b"".join(value.cpu().numpy().tobytes() for part in (self.face, self.mouth) for value in part.values()))

    def check(self, clip: Clip, config: TrainConfig) -> None:
        """Raises:
            TalkingHeadsError: a training of these settings has other nets.
        """
        for what, ours, theirs in self._misfits(clip, config):
            raise TalkingHeadsError(f"A training can start only from motion nets of its own {what}, {ours}",
                                    f"{theirs} in {self.name}", "Choose the same settings, or start from nothing")

    def fits(self, clip: Clip, config: TrainConfig) -> bool:
        """Whether a training of these settings has such nets."""
        return not self._misfits(clip, config)

    def _misfits(self, clip: Clip, config: TrainConfig) -> list[tuple[str, Any, Any]]:
        """(what, in the training, here) of everything that differs."""
        dim, window, kind = audio_arguments(clip)
        wanted = (clip.hears.encoder, {"audio_dim": dim, "audio_window": window, "audio_kind": kind}, motion_kind(clip, config))
        came = (self.encoder, dict(self.audio), self.kind)
        return [found for found in zip(("encoder", "speech features", "fusion and cue"), wanted, came) if found[1] != found[2]]


def load_start(path: str | os.PathLike) -> StartNets:
    """The nets in the file of an avatar or of an avatar prior.

    Raises:
        FileFormatError: absent, damaged, or neither.
    """
    path = Path(path)
    try:
        tensors, config = load_tensors(path, kind=KIND, version=VERSION)
    except FileFormatError:
        return StartNets.of(load_avatar(path), path.name)
    described(config, _SETTINGS, path.name, _AGAIN)
    all_finite(tensors, path.name, _AGAIN)
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    found = StartNets(strip(tensors, "face_net."), strip(tensors, "mouth_net."), config["encoder"], config["audio"],
                      MotionKind.from_config(config), path.name)
    try:
        FaceMotionNet(**config["audio"], kind=found.kind).load_state_dict(dict(found.face))
        MouthMotionNet(**config["audio"]).load_state_dict(dict(found.mouth))
    except RuntimeError as error:
        raise FileFormatError("An avatar prior must hold both motion nets", f"{path.name} lacks or garbles one ({error})",
                              _AGAIN) from error
    return found


def named(prior: str) -> str | Path | None:
    """What `train_avatar` is given as `start_from` for one of `choices.PRIORS`."""
    return {AUTO: AUTO, "speech": None, "avatar": SHIPPED}[prior]


def shipped_start(clip: Clip, config: TrainConfig) -> StartNets | None:
    """The shipped avatar prior where a training can start from it: it knows one encoder's speech, centred, and the default fusion
    and cue; presets that start from nothing do."""
    if not config.speech_prior or config.window != "centred":
        return None
    found = load_start(SHIPPED)
    return found if found.fits(clip, config) else None


def train_prior(clips: Mapping[str, Clip], path: str | os.PathLike, config: TrainConfig, *, seed: int = 0,
                speech_prior: tuple[Any, str] | None = None, report: Report = silent) -> Path:
    """Trains both motion nets on several people and saves them.

    Args:
        clips: of each person, by name; one encoder.
        path: file to write.
        config: of each person's training, whose steps are taken in turn; nothing is fused.
        seed: of all randomness.
        speech_prior: (file, encoder id) that the audio nets start from.
        report: called once per round.
    Returns:
        `path`; the file keeps half precision.
    Raises:
        TalkingHeadsError: no people, or what a training raises.
    """
    if not clips:
        raise TalkingHeadsError("An avatar prior needs at least one person", "none", "Give datasets of several people")
    runs = [AvatarTraining.fresh(clip, config, seed + number, speech_prior) for number, clip in enumerate(clips.values())]
    for run in runs:
        run.warmup_optimizer = runs[0].warmup_optimizer
        share(run.face, runs[0].face)
    for done in range(runs[0].steps):
        told = {}
        for run in runs:
            told = run.train_step()
            if run.mouth is not None and runs[0].mouth is not None:
                share(run.mouth, runs[0].mouth)
        report(done + 1, runs[0].steps, {"phase": "avatar prior", "loss": told["loss"]}, None)
    first, mouth = runs[0].clip, runs[0].mouth
    assert mouth is not None  # the training is finished
    dim, window, kind = audio_arguments(first)
    nets = {"face_net": runs[0].face.net.state_dict(), "mouth_net": mouth.net.state_dict()}
    tensors = {f"{name}.{key}": value.half() if value.is_floating_point() else value.clone()
               for name, state in nets.items() for key, value in state.items()}
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config={
        "encoder": first.hears.encoder, "audio": {"audio_dim": dim, "audio_window": window, "audio_kind": kind},
        "motion": motion_kind(first, config).to_config(), "people": list(clips), "steps": config.steps})


def share(branch: Branch, with_branch: Branch) -> None:
    """Both branches learn in one motion net."""
    branch.net, branch.net_optimizer = with_branch.net, with_branch.net_optimizer
