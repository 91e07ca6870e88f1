"""AToM's official checkpoint to our file (docs/moditalker.md#checkpoints).

`atom.pt` is a dict of `model_state_dict`, `ema_state_dict` and `optimizer_state_dict`; a bare state dict is taken as well.
"""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from ...media_core.claims import claimed
from ...media_core.face.pose.canonical import mean_face
from ...media_core.pickles import give_again
from ..official import check_target, check_telling, counted, read_official, renamed
from ..weight_files import check_state
from .checkpoints import save_atom_tensors, unfilled
from .config import AToMConfig, DenoiserConfig, SpeechInput
from .model import checked_mean_shape

NAMES = {  # official -> ours; a name stands for itself and for everything below it
    "time_mlp.1": "time_in", "to_time_cond.0": "time_summary", "to_time_tokens.0": "time_tokens",
    "input_projection_lip": "lip_in", "input_projection_wo_lip": "upper_in",
    "cond_projection": "audio_in", "face_projection": "face_in",
    "cond_encoder": "audio_encoder", "face_encoder": "face_encoder",
    "non_attn_cond_projection": "audio_summary", "non_attn_face_projection": "face_summary",
    "norm_cond": "memory_norm",
    "null_cond_embed": "null_audio", "null_cond_hidden": "null_audio_summary", "face_null_cond_embed": "null_face",
    "seqTransDecoder.stack": "layers", "final_layer": "out",
}
LAYER_NAMES = {"multihead_attn": "cross_attn", "film1.block.1": "film1", "film2.block.1": "film2", "film3.block.1": "film3"}
DEAD = ("input_projection.", "face_mlp.", "to_face_cond.", "to_face_tokens.", "pos_encoder.", "pos_projection.",
        "non_attn_pos_projection.")  # never used by the official network: left behind
_DEAD_LAYER = re.compile(r"seqTransDecoder\.stack\.\d+\.linear[12]\.")
_LAYER = re.compile(r"(seqTransDecoder\.stack\.\d+)\.(.+)")
_FILE = "atom.pt"
_AGAIN = give_again(_FILE)
MEAN_NOTE = ("official weights were trained on offsets from BFM's mean face; this file uses the built-in one: import again with "
             "BFM's")


def our_name(official: str) -> str | None:
    """Our name of an official tensor; None for dead tensors and rotary buffers.

    Raises:
        KeyError: the official network has no such tensor.
    """
    if is_dead(official):
        return None
    layer = _LAYER.fullmatch(official)
    if layer:
        return f"{NAMES['seqTransDecoder.stack']}.{layer[1].rpartition('.')[2]}.{_renamed(layer[2], LAYER_NAMES) or layer[2]}"
    name = _renamed(official, NAMES)
    if name is None:
        raise KeyError(official)
    return name


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    for theirs, ours in table.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name[len(theirs):]
    return None


def is_dead(official: str) -> bool:
    """Whether the official network carries this tensor without ever computing with it, or computes it again."""
    return official.startswith(DEAD) or bool(_DEAD_LAYER.match(official)) or official.endswith("rotary.freqs")


def official_name(ours: str) -> str:
    """The inverse of `our_name`."""
    head, _, number = ours.partition(".")
    if head == NAMES["seqTransDecoder.stack"]:
        number, _, rest = number.partition(".")
        return f"seqTransDecoder.stack.{number}.{_renamed(rest, {o: t for t, o in LAYER_NAMES.items()}) or rest}"
    return _renamed(ours, {o: t for t, o in NAMES.items()}) or ours


def config_of_state(state: Mapping[str, Tensor], heads: int = 8, name: str = "the checkpoint") -> DenoiserConfig:
    """Sizes of the official network, read off its tensors.

    Args:
        state: official names. heads: the one size that no tensor shows.
    Raises:
        FileFormatError: a tensor that shows a size is missing or has another number of dimensions, or a layer is missing.
        TalkingHeadsError: no such network can be, `heads` does not divide its width for instance.
    """
    check_telling(state, {"null_cond_hidden": 2, "face_null_cond_embed": 3, "cond_encoder.0.linear1.weight": 2,
                          "cond_projection.weight": 2, "final_layer.weight": 2}, "an AToM", name, _AGAIN)
    layers = counted(state, "seqTransDecoder.stack.", name, _AGAIN)
    return DenoiserConfig(nfeats=state["final_layer.weight"].shape[0], seq_len=state["face_null_cond_embed"].shape[1],
                          latent_dim=state["null_cond_hidden"].shape[1], ff_size=state["cond_encoder.0.linear1.weight"].shape[0],
                          num_layers=layers, num_heads=heads, cond_feature_dim=state["cond_projection.weight"].shape[1])


def network_of_state(official: Mapping[str, Tensor], heads: int = 8,
                     name: str = "the checkpoint") -> tuple[DenoiserConfig, dict[str, Tensor]]:
    """An official state dict as (sizes, state dict under our names), every tensor accounted for.

    Raises:
        FileFormatError: tensors are missing, unknown, of another shape, or not finite; they are named as in the checkpoint.
    """
    config = config_of_state(official, heads, name)
    state = renamed(official, our_name, official_name, "AToM", name, _AGAIN)
    check_state(state, unfilled(config), name, _AGAIN, official_name)
    return config, state


@claimed("path")
def import_atom(source: str | os.PathLike, path: str | os.PathLike, *, weights: str = "raw",
                key_mean_shape: Tensor | np.ndarray | None = None, heads: int = 8, speech: SpeechInput | None = None,
                licence: str = "", half: bool = False) -> Path:
    """An official `atom.pt` to an AToM file, written whole or not at all.

    Args:
        source: the checkpoint. path: the file to write, .safetensors.
        weights: "raw" or "ema".
        key_mean_shape: [68, 3] dm, the mean face the weights were trained with (BFM's); None: the built-in one, and the file
            says so.
        heads: of the attention.
        speech: what the weights listen to; None: HuBERT-large's last layer, as published.
        licence: what may be done with the weights, kept in the file.
        half: store float16.
    Raises:
        FileFormatError: see `read_official` and `network_of_state`.
        TalkingHeadsError: the speech has another width than the weights; `path` is the source; the disk is full.
    """
    source, path = Path(source), Path(path)
    check_target(path, source)
    mean = checked_mean_shape(mean_face() if key_mean_shape is None else key_mean_shape)
    denoiser, state = network_of_state(read_official(source, _FILE, weights), heads, source.name)
    made = {"imported_from": source.name, "weights": weights, "mean_face": "given" if key_mean_shape is not None else "built-in"}
    if key_mean_shape is None:
        made["note"] = MEAN_NOTE
    config = AToMConfig(denoiser=denoiser, speech=SpeechInput() if speech is None else speech, licence=licence, training=made)
    return save_atom_tensors(state, config, mean, path, half=half)
