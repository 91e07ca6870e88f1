"""A whole AToM: the network, what it says about itself, and the mean face its motion is measured from."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...media_core.errors import TalkingHeadsError
from .config import AToMConfig
from .denoiser import AToMDenoiser
from .lips import LipNetwork

KEY_POINTS = (68, 3)


class AToM:
    """Speech and a face in, motion out; see `generation.generate_motion`.

    Args:
        denoiser: the network; put into evaluation mode.
        config: its description; `config.denoiser` must be the network's own.
        key_mean_shape: [68, 3] decimetres, the mean face from which `idexp` is measured; kept as float32 beside the network.
        lips: the lip network that `config.lips` describes; always float32. None: there is none.
    Raises:
        TalkingHeadsError: the two descriptions differ, or the mean face is not [68, 3] finite numbers.
    """

    def __init__(self, denoiser: AToMDenoiser, config: AToMConfig, key_mean_shape: Tensor | np.ndarray,
                 lips: LipNetwork | None = None):
        if denoiser.config != config.denoiser:
            raise TalkingHeadsError("An AToM's description must be that of its network", f"{config.denoiser} for a network of "
                                    f"{denoiser.config}", "Build the network from the description")
        if config.lips != (None if lips is None else lips.config):
            raise TalkingHeadsError("An AToM's description must be that of its lip network", f"{config.lips} for "
                                    f"{'none' if lips is None else lips.config}", "Build the network from the description")
        self.denoiser, self.config = denoiser.eval(), config
        self.lips = None if lips is None else lips.eval().to(self.device, torch.float32)
        self.key_mean_shape = checked_mean_shape(key_mean_shape).to(self.device)  # float32 [68, 3] dm

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The network's number format; the mean face is always float32."""
        return next(self.denoiser.parameters()).dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> AToM:
        """Moves the network in place, as torch modules do; None leaves as it is."""
        self.denoiser.to(device=device, dtype=dtype)
        if self.lips is not None:
            self.lips.to(self.device)
        self.key_mean_shape = self.key_mean_shape.to(self.device)
        return self

    def with_lips(self, lips: LipNetwork | None) -> AToM:
        """The same denoiser with another lip network, or none."""
        return AToM(self.denoiser, replace(self.config, lips=None if lips is None else lips.config), self.key_mean_shape, lips)

    def __repr__(self) -> str:
        config = self.config
        size = sum(p.numel() for p in self.denoiser.parameters())
        return f"AToM({size} parameters, {config.denoiser.seq_len} frames at {config.fps:g}, hears {config.speech.encoder})"


def checked_mean_shape(points: Tensor | np.ndarray) -> Tensor:  # -> float32 [68, 3]
    """A mean face as a tensor of its own.

    Args:
        points: [68, 3] decimetres, tensor or array.
    Raises:
        TalkingHeadsError: another shape, or NaN.
    """
    shape = torch.as_tensor(points).detach().to(torch.float32).clone()
    if tuple(shape.shape) != KEY_POINTS or not torch.isfinite(shape).all():
        raise TalkingHeadsError("The mean face must be 68 points of x, y, z in decimetres, all finite",
                                f"{list(shape.shape)}" + ("" if torch.isfinite(shape).all() else ", with NaN or inf"),
                                "Give the mean face that the weights were trained with")
    return shape
