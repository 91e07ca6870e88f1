"""Every speech encoder, and the one door through which they are opened. The list itself is `media_core/encoder_registry.py`."""
from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from ..encoder_registry import ENCODERS
from ..errors import TalkingHeadsError
from ..file_headers import stored_kind
from ..json_files import read_json_object
from . import stored
from .encoder import FolderEncoder, LayerError, PlainEncoder, SpeechEncoder
from .facts import JOIN, LAST, EncoderFacts, known_encoders, known_facts, parts_of, register
from .joined import joined

EncoderChoice = str | os.PathLike[str] | SpeechEncoder  # a name, a model folder or file, features, several, or an open encoder
_CORE = "from ComfyUI's Audio Encoder Encode"
# What ComfyUI's own audio encoders give: features only, see audio_encoder_output.py.
CORE_ENCODERS = tuple(
    EncoderFacts(id=id, dim=dim, rate=50.0, window=2, silence=None, delay=0.0125,
                 description=f"{name}, {dim} numbers at 50 Hz, {_CORE}")
    for id, dim, name in (("wav2vec2-base", 768, "wav2vec 2.0 base"), ("wav2vec2-large", 1024, "wav2vec 2.0 large"),
                          ("whisper-large-v3", 1280, "Whisper large v3")))


def _listed(name: str) -> PlainEncoder | FolderEncoder:
    """The ENCODER of a module of this folder."""
    return import_module(f".{name}", __package__).ENCODER


KINDS = {name: _listed(name) for name in ENCODERS}
register(*(kind.facts for kind in KINDS.values()), *CORE_ENCODERS, *stored.FACTS)


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


def get_kind(name: str) -> FolderEncoder:
    """The encoder with weights that menus call `name`.

    Raises:
        TalkingHeadsError: none of that name has weights.
    """
    kind = KINDS.get(name)
    if not isinstance(kind, FolderEncoder):
        names = ", ".join(known for known, kind in KINDS.items() if isinstance(kind, FolderEncoder))
        raise TalkingHeadsError(f"An encoder with weights must be one of {names}", f"'{name}'", "Choose one of those")
    return kind


def needs_folder(name: str) -> bool:
    """Whether the encoder that menus call `name` needs a model folder."""
    return isinstance(KINDS.get(name), FolderEncoder)


def opens_by_name(id: str) -> bool:
    """Whether the encoder of that name or id needs no weights; of joined ones, whether none does."""
    return all(_plain(part) is not None for part in parts_of(id))


def open_encoder(name: str | os.PathLike[str], *, device: str | torch.device = "cpu", layer: str | int = LAST,
                 dtype: torch.dtype = torch.float32, rate: float | None = None, called: str | None = None) -> SpeechEncoder:
    """An encoder ready to encode.

    Args:
        name: of an encoder without weights ("mel"), the folder or file of a model, stored features (.npy, a folder of them, or
            .safetensors of `Speech.save`), or several of these with "+" between ("mel+models/ave.safetensors").
        device: where a model runs.
        layer: of a model: "last", or 0 (what enters the first layer) .. the number of layers; negative from the end. Of several
            encoders one each, "9+last", or one for all that have layers.
        dtype: of a model's weights and computation; features are float32 always.
        rate, called: of features in .npy files, see `stored.open_stored`.
    Raises:
        LayerError: no such layer, or a layer where there are none.
        TalkingHeadsError: no such encoder, or one that needs a model folder.
        FileFormatError: the folder or file holds no model that can be read.
    """
    parts = split_names(name)
    layers = _layers(str(layer), len(parts))
    one = len(parts) == 1
    return joined([_open(part, device, chosen if one or _layered(part) or JOIN in str(layer) else LAST, dtype, rate, called)
                   for part, chosen in zip(parts, layers)])


def _open(name: str | os.PathLike[str], device: str | torch.device, layer: str, dtype: torch.dtype, rate: float | None,
          called: str | None) -> SpeechEncoder:
    """One encoder."""
    plain = _plain(name) if isinstance(name, str) else None
    if plain is not None:
        if layer not in (LAST, "-1"):
            raise LayerError(f"A layer can be chosen of a model only; '{plain.facts.id}' has none", f"layer {layer}",
                             "Leave the layer out, or give a model folder")
        return plain
    place = _place(name)
    if stored.is_stored(place) or stored_kind(place) == "speech":
        return stored.open_stored(place, rate=rate, called=called, layer=layer)
    return _kind_of(place).load(place, device, layer, dtype)


def split_names(name: str | os.PathLike[str]) -> Sequence[str | os.PathLike[str]]:
    """The encoders that a name names: one where it is a path that exists, else those between its "+"."""
    if not isinstance(name, str) or JOIN not in name or Path(name).exists():
        return [name]
    return name.split(JOIN)


def _layers(layer: str, count: int) -> Sequence[str]:
    """A layer for each of `count` encoders."""
    layers = layer.split(JOIN)
    if len(layers) not in (1, count):
        raise LayerError(f"{count} encoders must have {count} layers, or one for all", f"'{layer}'",
                         "Name as many layers as encoders: 9+last, for instance")
    return layers if len(layers) == count else layers * count


def _layered(name: str | os.PathLike[str]) -> bool:
    """Whether there are layers to choose from: in the folder of a transformer."""
    return (isinstance(name, os.PathLike) or _plain(name) is None) and (Path(name) / "config.json").is_file()


def opened(encoder: EncoderChoice) -> SpeechEncoder:
    """`open_encoder` for what may be open already."""
    return open_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder


def _plain(name: str) -> PlainEncoder | None:
    """The encoder without weights of that name or id."""
    for known, kind in KINDS.items():
        if isinstance(kind, PlainEncoder) and name in (known, kind.facts.id):
            return kind
    return None


def _place(name: str | os.PathLike[str]) -> Path:
    """The folder or file called `name`.

    Raises:
        TalkingHeadsError: there is none; an encoder of that name needs one, or there is no such encoder.
    """
    place = Path(name)
    if place.exists() or not isinstance(name, str) or len(place.parts) > 1:
        return place  # where there is nothing, loading says so
    facts = KINDS[name].facts if name in KINDS else known_facts(name)
    if facts is None:
        raise TalkingHeadsError(f"The speech encoder must be one of {', '.join(KINDS)}, or a model folder or file",
                                f"{name!r}, and there is no such folder or file", "Correct the name, or give its path")
    plain = ", ".join(kind.facts.id for kind in KINDS.values() if isinstance(kind, PlainEncoder))
    raise TalkingHeadsError(f"An encoder chosen by its name alone must need no weights: {plain}",
                            f"'{name}' ({facts.description})", "Give the path of the model's folder or file instead of the name")


def folder_kind(place: Path) -> FolderEncoder | None:
    """The encoder that opens a folder or file; None where none says that it does."""
    kinds = [kind for kind in KINDS.values() if isinstance(kind, FolderEncoder)]
    own = next((kind for kind in kinds if kind.has_file and kind.has_file(place)), None)
    if own is not None or not place.is_dir():
        return own
    stated = read_json_object(place / "config.json", absent={}, do="Copy the file again").get("model_type")
    return next((kind for kind in kinds if kind.model_type == stated), None)


def _kind_of(place: Path) -> FolderEncoder:
    """The encoder that opens a folder or file; where none does, the first one that reads such says what is wrong with it."""
    kinds = [kind for kind in KINDS.values() if isinstance(kind, FolderEncoder)]
    found = folder_kind(place)
    return found or next(kind for kind in kinds if (kind.has_file is not None) == place.is_file())
