"""Published MoDiTalker checkpoints to our files (docs/moditalker.md#checkpoints): AToM's, and how any of them is read; MToV's are
in `published_mtov`.

AToM's `atom.pt` is a dict of `model_state_dict`, `ema_state_dict` and `optimizer_state_dict`; a bare state dict is taken as well.
It is a pickle, read with torch's restricted reader, which builds tensors, numbers, texts and containers and nothing else.
"""
from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...media_core.claims import claimed
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.face.pose.canonical import mean_face
from .checkpoints import check_state, save_atom_tensors, told, unfilled
from .config import AToMConfig, DenoiserConfig, SpeechInput
from .model import AToM, checked_mean_shape

WEIGHTS = {"raw": "model_state_dict", "ema": "ema_state_dict"}  # published inference takes the raw ones
NAMES = {  # published -> ours; a name stands for itself and for everything below it
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
        "non_attn_pos_projection.")  # never used by the published network: left behind
_DEAD_LAYER = re.compile(r"seqTransDecoder\.stack\.\d+\.linear[12]\.")
_LAYER = re.compile(r"(seqTransDecoder\.stack\.\d+)\.(.+)")
_SAFE_TORCH = (2, 6)
_WRAPPER = "module."  # what parallel training puts before names
_FILE = "atom.pt"
_AGAIN = f"Give MoDiTalker's {_FILE}, whole, or copy it again"
MEAN_NOTE = ("published weights were trained on offsets from BFM's mean face; this file uses the built-in one: import again with "
             "BFM's")


def our_name(published: str) -> str | None:
    """Our name of a published tensor; None for dead tensors and rotary buffers.

    Raises:
        KeyError: the published network has no such tensor.
    """
    if is_dead(published):
        return None
    layer = _LAYER.fullmatch(published)
    if layer:
        return f"{NAMES['seqTransDecoder.stack']}.{layer[1].rpartition('.')[2]}.{_renamed(layer[2], LAYER_NAMES) or layer[2]}"
    name = _renamed(published, NAMES)
    if name is None:
        raise KeyError(published)
    return name


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    for theirs, ours in table.items():
        if name == theirs or name.startswith(theirs + "."):
            return ours + name[len(theirs):]
    return None


def is_dead(published: str) -> bool:
    """Whether the published network carries this tensor without ever computing with it, or computes it anew."""
    return published.startswith(DEAD) or bool(_DEAD_LAYER.match(published)) or published.endswith("rotary.freqs")


def published_name(ours: str) -> str:
    """The inverse of `our_name`."""
    head, _, number = ours.partition(".")
    if head == NAMES["seqTransDecoder.stack"]:
        number, _, rest = number.partition(".")
        return f"seqTransDecoder.stack.{number}.{_renamed(rest, {o: t for t, o in LAYER_NAMES.items()}) or rest}"
    return _renamed(ours, {o: t for t, o in NAMES.items()}) or ours


def published_state_dict(atom: AToM) -> dict[str, Tensor]:
    """An AToM's network under the published names, without the dead tensors."""
    return {published_name(name): value for name, value in atom.denoiser.state_dict().items()}


def read_published(path: str | os.PathLike, weights: str = "raw", called: str = _FILE) -> dict[str, Tensor]:
    """The state dict in a published checkpoint, on the CPU, memory-mapped where the file allows it; names without `module.`.

    Args:
        path: `atom.pt`, or a bare state dict.
        weights: "raw" (`model_state_dict`, as published inference uses) or "ema"; a bare state dict is "raw".
        called: the published file's name, for messages.
    Raises:
        FileFormatError: absent, truncated, no pickle of plain tensors, no state dict, or without the weights asked for.
    """
    if weights not in WEIGHTS:
        raise TalkingHeadsError(f"The weights must be {' or '.join(WEIGHTS)}", f"'{weights}'", "Choose one of those")
    path, again = Path(path), f"Give MoDiTalker's {called}, whole, or copy it again"
    held = _unpickled(path, called)
    if not isinstance(held, Mapping) or not held:
        empty = ", empty" if isinstance(held, Mapping) else ""
        raise FileFormatError("The checkpoint must hold a state dict", f"{path.name} holds a {type(held).__name__}{empty}",
                              again)
    if not set(WEIGHTS.values()) & set(held):
        if weights == "ema":
            raise FileFormatError("For EMA weights the checkpoint must hold an 'ema_state_dict'",
                                  f"{path.name} holds {_names(held)}", "Choose the raw weights")
        state: Any = held
    elif WEIGHTS[weights] not in held:
        raise FileFormatError(f"For {weights} weights the checkpoint must hold a '{WEIGHTS[weights]}'",
                              f"{path.name} holds {_names(held)}", "Choose the other weights")
    else:
        state = held[WEIGHTS[weights]]
    if not isinstance(state, Mapping) or not state or not all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise FileFormatError("A state dict must be tensors by name", f"that of {path.name} holds "
                              f"{_names(state) if isinstance(state, Mapping) else type(state).__name__}", again)
    return {_unwrapped(name): value for name, value in state.items()}


def _unwrapped(name: str) -> str:
    while name.startswith(_WRAPPER):
        name = name[len(_WRAPPER):]
    return name


def _names(held: Mapping[Any, Any]) -> str:
    return told([str(name) for name in held]) or "nothing"


def _unpickled(path: Path, called: str) -> Any:
    """What torch's restricted reader finds in a file."""
    if not path.is_file():
        raise FileFormatError("The checkpoint must exist", f"no file at {path}", "Check the name and the folder")
    _check_reader(torch.__version__)
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if zipped and not zipfile.is_zipfile(path):
        raise FileFormatError("The checkpoint must be whole", f"{path.name} breaks off", "Copy or download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # whatever an unpickler meets in foreign bytes: there is no narrower class for it
        first = str(error).strip().partition("\n")[0][:200]
        raise FileFormatError("The checkpoint must be a file of torch.save that holds tensors and plain values only",
                              f"{path.name} cannot be read so ({type(error).__name__}: {first})",
                              f"Give MoDiTalker's {called} itself: not a saved module, and not another format") from error


def _check_reader(version: str) -> None:
    """Before torch 2.6 even the restricted reader could be made to run code that a file holds (CVE-2025-32434).

    Raises:
        TalkingHeadsError: such a torch.
    """
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _SAFE_TORCH:
        raise TalkingHeadsError("Published checkpoints are read with torch 2.6 or newer: an older one may run code that a file "
                                "holds (CVE-2025-32434)", f"torch {version}",
                                "Update torch, or import on another machine: the imported file is safe anywhere")


def config_of_state(state: Mapping[str, Tensor], heads: int = 8, name: str = "the checkpoint") -> DenoiserConfig:
    """Sizes of the published network, read off its tensors.

    Args:
        state: published names. heads: the one size that no tensor tells.
    Raises:
        FileFormatError: a tensor that tells a size is missing or has another number of dimensions, or a layer is missing.
        TalkingHeadsError: no such network can be, `heads` does not divide its width for instance.
    """
    check_telling(state, {"null_cond_hidden": 2, "face_null_cond_embed": 3, "cond_encoder.0.linear1.weight": 2,
                          "cond_projection.weight": 2, "final_layer.weight": 2}, "an AToM", name, _AGAIN)
    layers = counted(state, "seqTransDecoder.stack.", name, _AGAIN)
    return DenoiserConfig(nfeats=state["final_layer.weight"].shape[0], seq_len=state["face_null_cond_embed"].shape[1],
                          latent_dim=state["null_cond_hidden"].shape[1], ff_size=state["cond_encoder.0.linear1.weight"].shape[0],
                          num_layers=layers, num_heads=heads, cond_feature_dim=state["cond_projection.weight"].shape[1])


def check_telling(state: Mapping[str, Tensor], telling: Mapping[str, int], what: str, name: str, do: str) -> None:
    """Looks for the tensors that tell a network's sizes.

    Args:
        telling: published name -> number of dimensions. what: the network; name: of the file; do: the way out; for messages.
    Raises:
        FileFormatError: one is missing or has another number of dimensions.
    """
    lacking = [key for key, dims in telling.items() if key not in state or state[key].dim() != dims]
    if lacking:
        raise FileFormatError(f"The checkpoint must be {what}'s", f"{name} lacks {told(lacking)}; it holds {_names(state)}", do)


def counted(state: Mapping[str, Tensor], before: str, name: str, do: str) -> int:
    """How many parts there are whose tensors' names begin with `before` and a number.

    Raises:
        FileFormatError: none, or numbers are left out.
    """
    numbers = {int(found[1]) for found in (re.match(re.escape(before) + r"(\d+)\.", key) for key in state) if found}
    if not numbers or numbers != set(range(len(numbers))):
        raise FileFormatError("The checkpoint's layers must be numbered from 0 without a gap",
                              f"of '{before}*' {name} holds {told([str(n) for n in sorted(numbers)]) or 'none'}", do)
    return len(numbers)


def renamed(published: Mapping[str, Tensor], ours_of: Callable[[str], str | None], theirs_of: Callable[[str], str], what: str,
            name: str, do: str) -> dict[str, Tensor]:
    """A published state dict under our names, without what is left behind.

    Args:
        ours_of: published name -> ours, None for what is left behind, KeyError for what is unknown.
        theirs_of: its inverse.
        what: the network; name: of the file; do: the way out; for messages.
    Raises:
        FileFormatError: it holds unknown tensors.
    """
    unknown, state = [], {}
    for key, value in published.items():
        try:
            ours = ours_of(key)
            strange = ours is not None and theirs_of(ours) != key
        except KeyError:
            strange = True
        if strange:
            unknown.append(key)
        elif ours is not None:
            state[ours] = value
    if unknown:
        raise FileFormatError(f"The checkpoint may hold {what}'s tensors only", f"{name} also holds {told(unknown)}", do)
    return state


def network_of_state(published: Mapping[str, Tensor], heads: int = 8,
                     name: str = "the checkpoint") -> tuple[DenoiserConfig, dict[str, Tensor]]:
    """A published state dict as (sizes, state dict under our names), every tensor accounted for.

    Raises:
        FileFormatError: tensors are missing, unknown, of another shape, or not finite; they are named as in the checkpoint.
    """
    config = config_of_state(published, heads, name)
    state = renamed(published, our_name, published_name, "AToM", name, _AGAIN)
    check_state(state, unfilled(config), name, _AGAIN, published_name)
    return config, state


def check_target(path: Path, *sources: Path) -> None:
    """Raises:
        TalkingHeadsError: the file to write is one of those to read.
    """
    if path.exists() and any(source.exists() and path.samefile(source) for source in sources):
        raise TalkingHeadsError("The import must go to another file", f"{path} is the checkpoint itself", "Choose another name")


@claimed("path")
def import_atom(source: str | os.PathLike, path: str | os.PathLike, *, weights: str = "raw", key_mean_shape: Any = None,
                heads: int = 8, speech: SpeechInput | None = None, licence: str = "", half: bool = False) -> Path:
    """A published `atom.pt` to an AToM file, written whole or not at all.

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
        FileFormatError: see `read_published` and `network_of_state`.
        TalkingHeadsError: the speech has another width than the weights; `path` is the source; the disk is full.
    """
    source, path = Path(source), Path(path)
    check_target(path, source)
    mean = checked_mean_shape(mean_face() if key_mean_shape is None else key_mean_shape)
    denoiser, state = network_of_state(read_published(source, weights), heads, source.name)
    made = {"imported_from": source.name, "weights": weights, "mean_face": "given" if key_mean_shape is not None else "built-in"}
    if key_mean_shape is None:
        made["note"] = MEAN_NOTE
    config = AToMConfig(denoiser=denoiser, speech=SpeechInput() if speech is None else speech, licence=licence, training=made)
    return save_atom_tensors(state, config, mean, path, half=half)
