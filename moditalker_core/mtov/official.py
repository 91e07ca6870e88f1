"""MToV's published checkpoints to our files (docs/moditalker.md): `autoencoder_rgb.pth`, `autoencoder_motion.pth` and
`diffusion_model.pth`, each a bare state dict.

Sizes are read off the tensors. The denoiser's dead `output_bg_*` and the `zeros` of the long-video setting are left behind; the
1 x 1 convolutions around the planes become linear layers. Nothing in the files distinguishes the two autoencoders: given in the
wrong order they load, and the video is wrong.
"""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...media_core.claims import claimed
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.pickles import give_again
from ..official import check_target, check_telling, counted, read_official, renamed
from ..weight_files import check_state
from . import names
from .checkpoints import AutoencoderNote, save_autoencoder_tensors, save_mtov_tensors, unfilled_autoencoder, unfilled_denoiser
from .config import PLANES, AutoencoderConfig, DenoiserConfig, Grid
from .model import MToVConfig, RasterSettings

FILES = {"rgb": "autoencoder_rgb.pth", "landmarks": "autoencoder_motion.pth", "denoiser": "diffusion_model.pth"}
HEADS, POOL_HEADS = 8, 4  # of the official networks; no weight shows them
UNTOLD = ("nothing in the official files distinguishes the two autoencoders: if the video shows discs instead of a face, they "
          "were given in the wrong order")
_INVERSE_FREQUENCIES = "encoder.frame_rot_emb.inv_freqs"  # a buffer, half as long as a head is wide


@claimed("path")
def import_mtov(rgb: str | os.PathLike, motion: str | os.PathLike, diffusion: str | os.PathLike, path: str | os.PathLike, *,
                heads: int = HEADS, autoencoder_heads: int | None = None, licence: str = "", half: bool = False,
                whole: bool = False) -> Path:
    """The three official checkpoints to an MToV file, written whole or not at all.

    Args:
        rgb, motion, diffusion: `autoencoder_rgb.pth`, `autoencoder_motion.pth`, `diffusion_model.pth`.
        path: the file to write, .safetensors.
        heads: of the denoiser's attention. autoencoder_heads: see `autoencoder_of_state`.
        licence: what may be done with the weights, kept in the file.
        half: store float16.
        whole: keep the landmark autoencoder's decoder, which only training uses.
    Raises:
        FileFormatError: see `read_official`, `autoencoder_of_state` and `denoiser_of_state`.
        TalkingHeadsError: the three do not belong together; one autoencoder was given twice; `path` is one of the sources; the
            disk is full.
    """
    path, sources = Path(path), {name: Path(source) for name, source in zip(FILES, (rgb, motion, diffusion))}
    check_target(path, *sources.values())
    published = {name: read_official(source, FILES[name]) for name, source in sources.items()}
    configs, states = {}, {}
    for role in ("rgb", "landmarks"):
        configs[role], states[role] = autoencoder_of_state(published[role], autoencoder_heads, sources[role].name, FILES[role])
    denoiser = denoiser_config(published["denoiser"], heads, sources["denoiser"].name)
    told = ", ".join(source.name for source in sources.values())
    if _equal(states["rgb"], states["landmarks"]):
        raise TalkingHeadsError("MToV needs two autoencoders, one of images and one of landmarks", f"{sources['rgb']} and "
                                f"{sources['landmarks']} hold the same weights", f"Give {FILES['rgb']} and {FILES['landmarks']}")
    try:
        config = MToVConfig(rgb=configs["rgb"], landmarks=configs["landmarks"], denoiser=denoiser,
                            overlap=min(4, configs["rgb"].frames // 2), raster=RasterSettings(configs["rgb"].height),
                            licence=licence, training={"imported_from": told})
    except TalkingHeadsError as error:
        raise TalkingHeadsError("The three checkpoints must belong together", f"{told}: {error.must}; {error.came}",
                                "Give the three files of one training") from error
    states["denoiser"] = denoiser_of_state(published["denoiser"], denoiser, config.grid, sources["denoiser"].name)
    return save_mtov_tensors(states, config, path, half=half, whole=whole)


@claimed("path")
def import_autoencoder(source: str | os.PathLike, path: str | os.PathLike, *, role: str, heads: int | None = None,
                       licence: str = "", half: bool = False) -> Path:
    """One official autoencoder to a file of its own, with which a training of the denoiser can begin: people who have the
    autoencoders often lack `diffusion_model.pth`.

    Args:
        source: `autoencoder_rgb.pth` or `autoencoder_motion.pth`. path: the file to write, .safetensors.
        role: "rgb" or "landmarks": which of them it is; no tensor shows it.
        heads, licence, half: as in `import_mtov`.
    Raises:
        FileFormatError: see `read_official` and `autoencoder_of_state`.
        TalkingHeadsError: another role; `path` is the source; the disk is full.
    """
    source, path = Path(source), Path(path)
    check_target(path, source)
    made = AutoencoderNote(role, licence=licence, training={"imported_from": source.name})
    config, state = autoencoder_of_state(read_official(source, FILES[role]), heads, source.name, FILES[role])
    return save_autoencoder_tensors(state, AutoencoderNote(role, config, made.licence, made.training), path, half=half)


def autoencoder_of_state(published: Mapping[str, Tensor], heads: int | None = None, name: str = "the checkpoint",
                         called: str = FILES["rgb"]) -> tuple[AutoencoderConfig, dict[str, Tensor]]:
    """An official state dict as (sizes, state dict under our names), every tensor accounted for.

    Args:
        published: official names.
        heads: of the trunk's attention; None: as the buffers show, or 8 where they are missing.
        name: of the file, and called: the official name; for messages.
    Raises:
        FileFormatError: no autoencoder's; tensors are missing, unknown, of another shape, or not finite; they are named as in the
            checkpoint.
    """
    config = autoencoder_config(published, heads, name, called)
    theirs = names.official_autoencoder_name
    state = renamed(published, names.autoencoder_name, theirs, "MToV's autoencoder", name, give_again(called))
    linear = [key for key in state if re.fullmatch(r"(to|from)_plane\.\w+\.weight", key) and state[key].shape[2:] == (1, 1)]
    state |= {key: state[key][..., 0, 0] for key in linear}
    check_state(state, unfilled_autoencoder(config), name, give_again(called), theirs)
    return config, state


def autoencoder_config(state: Mapping[str, Tensor], heads: int | None = None, name: str = "the checkpoint",
                       called: str = FILES["rgb"]) -> AutoencoderConfig:
    """Sizes of an official autoencoder, read off its tensors; see `autoencoder_of_state`.

    Raises:
        FileFormatError: a tensor that shows a size is missing or has another number of dimensions, a layer is missing, or no such
            network can be.
    """
    first, pooling = "encoder.layers.0.", "xy_quant_attn.layers.0."
    check_telling(state, {"to_pixel.1.weight": 4, "pre_xy.weight": 4, **{f"{plane}_pos_embedding": 3 for plane in PLANES},
                          **{f"{first}{part}.weight": 2 for part in ("0.fn.to_qkv", "2.fn.net.0")},
                          **{f"{pooling}{part}.weight": 2 for part in ("0.fn.to_qkv", "1.fn.net.0")}},
                  "an autoencoder of MToV", name, give_again(called))
    channels, _, _, patch = state["to_pixel.1.weight"].shape
    frames, rows, columns = (state[f"{plane}_pos_embedding"].shape[1] - 1 for plane in PLANES)
    inner, pooled = (state[f"{part}0.fn.to_qkv.weight"].shape[0] // 3 for part in (first, pooling))
    told = state.get(_INVERSE_FREQUENCIES)
    if told is not None and told.dim() == 1 and len(told):
        said = inner // (2 * len(told))
        if heads not in (None, said):
            raise FileFormatError("The heads must be the autoencoder's", f"{heads}, but {name} has {said}", "Leave them out")
        heads = said
    heads = HEADS if heads is None else heads
    if heads < 1 or inner % heads or pooled % POOL_HEADS:
        raise FileFormatError(f"The attention's widths must be multiples of their heads, {heads} and {POOL_HEADS}",
                              f"{inner} and {pooled} in {name}", "Give the number of heads, or another file")
    try:
        return AutoencoderConfig(
            embed_dim=state["pre_xy.weight"].shape[0], channels=channels, frames=frames, height=rows * patch,
            width=columns * patch, patch=patch, depth=counted(state, "encoder.layers.", name, give_again(called)), heads=heads,
            dim_head=inner // heads, ff_mult=state[f"{first}2.fn.net.0.weight"].shape[0] // (2 * max(channels, 1)),
            pool_depth=counted(state, "xy_quant_attn.layers.", name, give_again(called)), pool_heads=POOL_HEADS,
            pool_dim_head=pooled // POOL_HEADS, pool_hidden=state[f"{pooling}1.fn.net.0.weight"].shape[0])
    except FileFormatError:
        raise
    except TalkingHeadsError as error:
        raise FileFormatError(error.must, f"{error.came}, in {name}", give_again(called)) from error


def denoiser_of_state(published: Mapping[str, Tensor], config: DenoiserConfig, grid: Grid,
                      name: str = "the checkpoint") -> dict[str, Tensor]:
    """An official state dict under our names, every tensor accounted for.

    Args:
        published: official names, with their prefix `diffusion_model.` or without.
        config: of `denoiser_config`. grid: of the autoencoders.
    Raises:
        FileFormatError: tensors are missing, unknown, of another shape, or not finite; they are named as in the checkpoint.
        TalkingHeadsError: a grid that cannot be halved often enough.
    """
    prefix, again = _prefix(published), give_again(FILES["denoiser"])
    known = lambda ours: prefix + names.official_denoiser_name(ours).removeprefix(names.PREFIX)
    state = renamed(published, lambda key: names.denoiser_name(key, config), known, "MToV's denoiser", name, again)
    check_state(state, unfilled_denoiser(config, grid), name, again, known)
    return state


def denoiser_config(published: Mapping[str, Tensor], heads: int = HEADS, name: str = "the checkpoint") -> DenoiserConfig:
    """Sizes of the official denoiser, read off its tensors.

    Args:
        published: official names, with their prefix or without. heads: the one size that no tensor shows.
    Raises:
        FileFormatError: a tensor that shows a size is missing or has another number of dimensions, a layer is missing, or no such
            network can be.
    """
    prefix, again = _prefix(published), give_again(FILES["denoiser"])
    first, last = f"{prefix}input_blocks.0.0.weight", f"{prefix}out.2.weight"
    check_telling(published, {first: 4, last: 4}, "a denoiser of MToV", name, again)
    width, blocks = published[first].shape[0], counted(published, f"{prefix}input_blocks.", name, again)
    # an output block that ends a level, the last level's excepted, holds a second residual block, which doubles the size
    doubling = re.compile(re.escape(prefix) + r"output_blocks\.(\d+)\.[1-9]\d*\.in_layers\.2\.weight")
    levels = 1 + len({found[1] for found in map(doubling.fullmatch, published) if found})
    if blocks % levels or blocks == levels or counted(published, f"{prefix}output_blocks.", name, again) != blocks:
        raise FileFormatError("The checkpoint must hold as many blocks on the way down as on the way up, shared among its levels",
                              f"{name} holds {blocks} on the way down, for {levels} levels", again)
    begins = [f"{prefix}input_blocks.{1 + level * (blocks // levels)}." for level in range(levels)]
    check_telling(published, {f"{begin}0.in_layers.2.weight": 4 for begin in begins}, "a denoiser of MToV", name, again)
    widths = [published[f"{begin}0.in_layers.2.weight"].shape[0] for begin in begins]
    if not width or any(at % width for at in widths):
        raise FileFormatError("The denoiser's widths must be multiples of the first", f"{widths} of {width} in {name}", again)
    attends = tuple(2 ** level for level, begin in enumerate(begins) if f"{begin}1.qkv.weight" in published)
    try:
        return DenoiserConfig(channels=published[last].shape[0], model_channels=width,
                              channel_mult=tuple(at // width for at in widths), num_res_blocks=blocks // levels - 1,
                              attention_resolutions=attends[::-1], num_heads=heads)
    except TalkingHeadsError as error:
        raise FileFormatError(error.must, f"{error.came}, in {name}", "Give the number of heads, or another file") from error


def _prefix(published: Mapping[str, Tensor]) -> str:
    return names.PREFIX if any(key.startswith(names.PREFIX) for key in published) else ""


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())
