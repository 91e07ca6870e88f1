"""Fine-tuning: a training of AToM that begins with the weights of another."""
from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from ..choices import FINE_TUNING
from ..data.dataset import MotionDataset
from .config import AToMConfig, SpeechInput
from .lips import LipNetwork
from .train_config import TrainConfig, gentler, preset


def chosen(name: str, start_from: str | os.PathLike | None) -> tuple[TrainConfig, str | os.PathLike | None]:
    """The preset called `name` and the weights to begin with. The preset finetune begins with the demo weights where none are
    named; the others take a fifth of their learning rate where some are.

    Raises:
        TalkingHeadsError: no such preset.
    """
    from .checkpoints import SHIPPED_ATOM

    config = preset(name)
    if name == FINE_TUNING:
        return config, SHIPPED_ATOM if start_from is None else start_from
    return config if start_from is None else gentler(config), start_from


@dataclass(frozen=True)
class Initial:
    """The AToM that a training begins with."""

    config: AToMConfig
    weights: Mapping[str, Tensor]  # of its network, float32
    mean: Tensor  # [68, 3] dm, the face its motion is measured from
    lips: LipNetwork | None = None

    @classmethod
    def read(cls, file: str | os.PathLike, out: str | os.PathLike, key_mean_shape: object) -> Initial:
        """
        Args:
            file: of an AToM. out: what the training is to write. key_mean_shape: a mean face that was asked for, or None.
        Raises:
            TalkingHeadsError: no AToM there, the training would replace it, or another mean face is asked for.
        """
        from .checkpoints import load_atom

        if Path(file).resolve() == Path(out).resolve():
            raise TalkingHeadsError("A training must not replace what it continues from", f"{out} as both", "Choose another name")
        if key_mean_shape is not None:
            raise TalkingHeadsError("A training that starts from weights measures motion from their own mean face",
                                    "another mean face beside them", "Leave it out, or train new weights")
        atom = load_atom(file)
        weights = {name: value.detach().to("cpu", torch.float32) for name, value in atom.denoiser.state_dict().items()}
        return cls(atom.config, weights, atom.key_mean_shape.cpu(), atom.lips)

    @property
    def checksum(self) -> int:
        """Names the weights."""
        code = 0
        lips = {} if self.lips is None else {f"lips.{name}": value for name, value in self.lips.state_dict().items()}
        for _, value in sorted({**self.weights, **lips}.items()):
            code = zlib.crc32(value.contiguous().numpy().tobytes(), code)
        return code

    @property
    def training(self) -> Mapping[str, Any]:
        return self.config.training

    @property
    def licence(self) -> str:
        return self.config.licence

    @property
    def shown(self) -> str:
        return self.config.shown

    @property
    def mouth_noise(self) -> float:
        return self.config.mouth_noise

    def resolved(self, config: TrainConfig, data: MotionDataset) -> tuple[TrainConfig, SpeechInput]:
        """The settings with the sizes of these weights and with how they are sampled, and what they listen to.

        Raises:
            TalkingHeadsError: the dataset holds another encoder's features, or frames at another rate.
        """
        mine, speech = self.config, self.config.speech
        data.expect(speech.encoder, speech.layer, speech.rate)
        if abs(data.fps - mine.fps) > 1e-6:
            raise TalkingHeadsError(f"These weights make {mine.fps:g} frames per second, and so must the dataset",
                                    f"{data.fps:g} in {data.folder}", f"Build the dataset with --fps {mine.fps:g}")
        kept = {name: getattr(mine, name) for name in ("clip", "guidance", "sampler", "eta", "reference")}
        neutral = config.neutral if mine.shown == "mean" else 0.0
        lips = 0.0 if config.keep_start and mine.lips is None else config.lips  # what is not there cannot be kept
        return replace(config, denoiser=replace(mine.denoiser, dropout=config.denoiser.dropout), encoder=speech.encoder,
                       layer=speech.layer, stack=speech.stack, sampler_steps=mine.steps, neutral=neutral,
                       lips=lips, **kept), speech
