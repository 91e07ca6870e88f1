"""What earlier stages have made: read, checked against each other, and named by checksums."""
from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ...media_core.errors import TalkingHeadsError
from ...media_core.metrics.lpips import LPIPS, load_lpips
from .autoencoder import VideoAutoencoder
from .model import MToV, RasterSettings
from .train_config import TrainConfig

_NEEDED = {"rgb": (), "gan": ("rgb",), "landmarks": ("rgb",), "diffusion": ("rgb", "landmarks")}


@dataclass(frozen=True)
class StageInputs:
    """Networks that a stage starts from."""

    rgb: VideoAutoencoder | None
    landmarks: VideoAutoencoder | None
    raster: RasterSettings | None  # how the landmarks' autoencoder has them drawn
    lpips: LPIPS | None
    initial: MToV | None = None  # what the diffusion continues from

    @classmethod
    def read(cls, stage: str, files: dict[str, Any], lpips: Any, mtov: Any, device: torch.device) -> StageInputs:
        """Reads what the stage uses.

        Args:
            files: of the autoencoders "rgb" and "landmarks", or None.
            lpips: file of weights, or None. mtov: file of a whole MToV that "diffusion" continues from, or None.
        Raises:
            TalkingHeadsError: a file that the stage needs is not named, or none of its kind.
        """
        from .checkpoints import load_autoencoder, load_mtov

        if mtov is not None and stage != "diffusion":
            raise TalkingHeadsError("Only the stage 'diffusion' continues from a whole MToV", f"the stage '{stage}'",
                                    "Leave it out, or name an autoencoder's file instead")
        whole = None if mtov is None else load_mtov(mtov)
        used: tuple[str, ...] = ("rgb",) if stage == "rgb" and files["rgb"] is not None else _NEEDED[stage]
        missing = [role for role in used if files[role] is None and whole is None]
        if missing:
            raise TalkingHeadsError(f"Training the stage '{stage}' must start from autoencoders that were trained before it",
                                    f"no file for {' and '.join(missing)}", "Name the files of the stages before"
                                    + (", or a whole MToV to continue from" if stage == "diffusion" else ""))
        read = {role: load_autoencoder(files[role], device, role=role) for role in used if files[role] is not None}
        found = {} if whole is None else {"rgb": whole.rgb, "landmarks": whole.landmarks}
        found |= {role: network for role, (network, _) in read.items()}
        found = {role: network.to(device) for role, network in found.items()}
        note = read["landmarks"][1].training if "landmarks" in read else {}
        raster = whole.config.raster if whole is not None and "landmarks" not in read else None
        raster = RasterSettings(**note["raster"]) if "raster" in note else raster
        weights = None if lpips is None or stage == "diffusion" else load_lpips(lpips).to(device)
        return cls(rgb=found.get("rgb"), landmarks=found.get("landmarks"), raster=raster, lpips=weights, initial=whole)

    @property
    def autoencoders(self) -> tuple[VideoAutoencoder, VideoAutoencoder]:
        """Of images and of landmarks, both of which the diffusion has."""
        assert self.rgb is not None and self.landmarks is not None  # `read` refuses a diffusion without them
        return self.rgb, self.landmarks

    def resolved(self, config: TrainConfig) -> TrainConfig:
        """The settings with the sizes of the given networks, and rasters of their size.

        Raises:
            TalkingHeadsError: images that are not square, latents that the given denoiser does not know, or a decoder that is
                to learn without its encoder.
        """
        if config.decoder_only and self.rgb is None:
            raise TalkingHeadsError("A decoder alone learns from the latents of a trained encoder", "none",
                                    "Name the file of an autoencoder of images")
        sizes = config.autoencoder if self.rgb is None else self.rgb.config
        if sizes.height != sizes.width:
            raise TalkingHeadsError("The images of a training must be square, as those of the datasets are",
                                    f"{sizes.height} x {sizes.width} px", "Give the autoencoder one size")
        raster = replace(self.raster or config.raster, size=sizes.height)
        if self.initial is None:
            return replace(config, autoencoder=sizes, raster=raster)
        initial = self.initial.config
        if initial.grid != sizes.grid or initial.denoiser.channels != sizes.embed_dim:
            raise TalkingHeadsError("The autoencoders must have latents of the size that the MToV's denoiser knows",
                                    f"{sizes.embed_dim} x {sizes.grid.length} for {initial.denoiser.channels} x "
                                    f"{initial.grid.length}", "Use the MToV's own, or start without it")
        return replace(config, autoencoder=sizes, raster=raster, denoiser=initial.denoiser, prediction=initial.prediction)

    def checksums(self) -> dict[str, int | bool | None]:
        """What names the given weights."""
        denoiser = None if self.initial is None else self.initial.denoiser
        networks = {"rgb": self.rgb, "landmarks": self.landmarks, "denoiser": denoiser}
        return {role: _checksum(network) for role, network in networks.items()} | {"lpips": self.lpips is not None}

    def encoding(self) -> dict[str, int | None]:
        """What names the weights that make latents; how they are drawn does not matter."""
        from .checkpoints import DECODING

        return {role: _checksum(network, DECODING) for role, network in (("rgb", self.rgb), ("landmarks", self.landmarks))}


def _checksum(network: nn.Module | None, without: tuple[str, ...] = ()) -> int | None:
    if network is None:
        return None
    code = 0
    for name, value in network.state_dict().items():
        if not (without and name.startswith(without)):
            code = zlib.crc32(value.cpu().contiguous().numpy().tobytes(), code)
    return code
