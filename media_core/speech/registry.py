"""Every speech encoder, and the one door through which they are opened. The list itself is `media_core/encoder_registry.py`."""
from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import torch

from ..encoder_registry import ENCODERS
from ..errors import TalkingHeadsError
from ..json_files import read_json_object
from .encoder import FolderEncoder, PlainEncoder, SpeechEncoder
from .facts import LAST, EncoderFacts, known_encoders, known_facts, register

EncoderChoice = str | os.PathLike[str] | SpeechEncoder  # a name, a model folder, or an open encoder
_CORE = "from ComfyUI's Audio Encoder Encode"
# What ComfyUI's own audio encoders give: features only, see audio_encoder_output.py.
CORE_ENCODERS = tuple(
    EncoderFacts(id=id, dim=dim, rate=50.0, window=2, silence=None, description=f"{name}, {dim} numbers at 50 Hz, {_CORE}")
    for id, dim, name in (("wav2vec2-base", 768, "wav2vec 2.0 base"), ("wav2vec2-large", 1024, "wav2vec 2.0 large"),
                          ("whisper-large-v3", 1280, "Whisper large v3")))


def _listed(name: str) -> PlainEncoder | FolderEncoder:
    """The ENCODER of a module of this folder."""
    return import_module(f".{name}", __package__).ENCODER


KINDS = {name: _listed(name) for name in ENCODERS}
register(*(kind.facts for kind in KINDS.values()), *CORE_ENCODERS)


def encoders() -> dict[str, EncoderFacts]:
    """Every known encoder by id, in menu order; facts only, nothing is opened."""
    return known_encoders()


def get_encoder(id: str) -> EncoderFacts:
    """The facts of the encoder called `id`.

    Raises:
        TalkingHeadsError: no encoder has that id.
    """
    known = encoders()
    if id not in known:
        raise TalkingHeadsError(f"The speech encoder must be one of {', '.join(known)}, or a model folder", f"'{id}'",
                                "Choose one of those, or update Talking Heads")
    return known[id]


def needs_folder(name: str) -> bool:
    """Whether the encoder that menus call `name` needs a model folder."""
    return isinstance(KINDS.get(name), FolderEncoder)


def opens_by_name(id: str) -> bool:
    """Whether the encoder of that name or id needs no weights."""
    return _plain(id) is not None


def open_encoder(name: str | os.PathLike[str], *, device: str | torch.device = "cpu", layer: str | int = LAST,
                 dtype: torch.dtype = torch.float32) -> SpeechEncoder:
    """An encoder ready to encode.

    Args:
        name: of an encoder without weights ("mel"), or the folder of a model.
        device: where a model runs.
        layer: of a model: "last", or 0 (what enters the first layer) .. the number of layers; negative from the end.
        dtype: of a model's weights and computation; features are float32 always.
    Raises:
        TalkingHeadsError: no such encoder, one that needs a model folder, or a layer where there are none.
        FileFormatError: the folder holds no model that can be read.
    """
    plain = _plain(name) if isinstance(name, str) else None
    if plain is None:
        folder = _folder(name)
        return _kind_of(folder).load(folder, device, layer, dtype)
    if str(layer) not in (LAST, "-1"):
        raise TalkingHeadsError(f"A layer can be chosen of a model only; '{plain.facts.id}' has none", f"layer {layer}",
                                "Leave the layer out, or give a model folder")
    return plain


def opened(encoder: EncoderChoice) -> SpeechEncoder:
    """`open_encoder` for what may be open already."""
    return open_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder


def _plain(name: str) -> PlainEncoder | None:
    """The encoder without weights of that name or id."""
    for known, kind in KINDS.items():
        if isinstance(kind, PlainEncoder) and name in (known, kind.facts.id):
            return kind
    return None


def _folder(name: str | os.PathLike[str]) -> Path:
    """The model folder called `name`.

    Raises:
        TalkingHeadsError: there is none; an encoder of that name needs one, or there is no such encoder.
    """
    folder = Path(name)
    if folder.is_dir() or not isinstance(name, str) or len(folder.parts) > 1:
        return folder  # where it is no folder, loading says so
    facts = KINDS[name].facts if name in KINDS else known_facts(name)
    if facts is None:
        raise TalkingHeadsError(f"The speech encoder must be one of {', '.join(KINDS)}, or a model folder",
                                f"{name!r}, and there is no such folder", "Correct the name, or give the path of the folder")
    plain = ", ".join(kind.facts.id for kind in KINDS.values() if isinstance(kind, PlainEncoder))
    raise TalkingHeadsError(f"An encoder chosen by its name alone must need no weights: {plain}",
                            f"'{name}' ({facts.description})", "Give the model's folder instead of the name")


def _kind_of(folder: Path) -> FolderEncoder:
    """The encoder that opens a folder; where none does, the first one says what is wrong with it."""
    kinds = [kind for kind in KINDS.values() if isinstance(kind, FolderEncoder)]
    path, do = folder / "config.json", "Copy the file again"
    stated = read_json_object(path, absent={}, do=do).get("model_type")
    return next((kind for kind in kinds if kind.model_type == stated), kinds[0])
