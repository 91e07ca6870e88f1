"""`--encoder`, `--layer`, `--feature-rate` and `--feature-name`, for every command that hears audio."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..host.workflow import WorkflowError
from ..media_core.encoder_registry import ENCODERS
from .loaded import Models

if TYPE_CHECKING:
    from ..media_core.speech import SpeechEncoder  # imports torch

JOIN = "+"


class Listens(Protocol):
    """What a model's file says of the speech that it understands."""

    @property
    def encoder(self) -> str:
        """Id of the encoder."""
        ...

    @property
    def layer(self) -> str:
        """Which of its layers."""
        ...

    def check_encoder(self, encoder: SpeechEncoder) -> None:
        """Raises:
            TalkingHeadsError: another encoder, layer, rate or width; both are named.
        """
        ...


def add_encoder(parser: argparse.ArgumentParser, default: str | None = "mel") -> None:
    """The options. `default` None: the encoder of the model that listens."""
    stands = default or "the one the weights were trained with, if it needs no model"
    parser.add_argument("--encoder", default=default, metavar="NAME|PATH",
                        help=f"how the audio is encoded: one of {', '.join(ENCODERS)}; for those with weights give the path "
                             "instead: a HuBERT or wav2vec 2.0 model folder, or AVE's .safetensors; features that exist already: "
                             "a .npy file, or a folder of them, one for each video; several side by side: mel+PATH (default: "
                             f"{stands})")
    parser.add_argument("--layer", default=None, metavar="N|last", help="which layer of a model folder's encoder; of several "
                        "encoders 9+last (default: " + ("last)" if default else "the one the weights were trained with)"))
    parser.add_argument("--feature-rate", type=float, metavar="HZ", help="of .npy features: rows per second (default: the "
                        "encoder's, where its name is known)")
    parser.add_argument("--feature-name", metavar="NAME", help="of .npy features: the encoder that made them, such as deepspeech "
                        "(default: by the file's name, of aud_ds, aud_hu, aud_ave, aud_eo)")


def chosen_encoder(options: argparse.Namespace, layer: str | None = None) -> SpeechEncoder | None:
    """The encoder of the options, open; None where none is named.

    Args:
        layer: of a model, where --layer is not given.
    Raises:
        WorkflowError: --layer or --feature-... without what they belong to.
        TalkingHeadsError: no such encoder, folder, file or layer.
    """
    with_weights, named = _has_weights(options.encoder), options.encoder
    features = _feature_options(options)
    if options.layer is not None and not with_weights:
        given = "no --encoder" if named is None else f"--encoder {named}"
        raise WorkflowError(f"--layer needs a model folder as --encoder. Got: {given}. Leave --layer out.")
    if features and not with_weights:
        raise WorkflowError("--feature-rate and --feature-name need .npy features as --encoder. Got: "
                            f"{'no --encoder' if named is None else f'--encoder {named}'}. Leave them out.")
    if named is None:
        return None
    from ..media_core.speech import LAST, LayerError, StoredFeatures, open_encoder
    from .devices import chosen_device

    if not with_weights:
        return open_encoder(named)
    device = chosen_device(getattr(options, "device", None))
    name = Path(named) if Path(named).exists() else named
    try:
        found = open_encoder(name, device=device, layer=options.layer or layer or LAST, **features)
    except LayerError:
        if options.layer is not None:
            raise
    else:
        if options.layer is not None or not isinstance(found, StoredFeatures):
            return found
    return open_encoder(name, device=device, **features)  # another encoder than the weights', or stored features


def listener(options: argparse.Namespace, listens: Listens, model: str) -> SpeechEncoder:
    """The encoder of --encoder, at the model's layer unless --layer names another; else the model's own.

    Args:
        listens: what the model understands. model: what it is called, "avatar" for instance.
    Raises:
        TalkingHeadsError: the model's own encoder has weights and none is given; the model understands another.
    """
    from ..media_core.speech import open_encoder, opens_by_name

    named = chosen_encoder(options, listens.layer)
    if named is not None:
        listens.check_encoder(named)
        return named
    if not opens_by_name(listens.encoder):
        from ..media_core.errors import TalkingHeadsError

        raise TalkingHeadsError(f"This {model} understands speech encoded by {listens}", "no --encoder",
                                "Give the folder or file of that model: --encoder DIR")
    return open_encoder(listens.encoder)


def kept_listener(options: argparse.Namespace, listens: Listens, model: str, models: Models) -> SpeechEncoder:
    """`listener`, open since the video before where it can be."""
    asked = tuple(getattr(options, name, None) for name in ("encoder", "layer", "feature_rate", "feature_name", "device"))
    encoder = models.get("encoder", (*asked, listens.encoder, listens.layer), lambda: listener(options, listens, model))
    if options.encoder is not None:
        listens.check_encoder(encoder)
    return encoder


def _feature_options(options: argparse.Namespace) -> dict:
    """What was said of stored features, as `open_encoder` takes it."""
    given = {"rate": getattr(options, "feature_rate", None), "called": getattr(options, "feature_name", None)}
    return {name: value for name, value in given.items() if value is not None}


def _has_weights(name: str | None) -> bool:
    """Whether a path is named, alone or among several; the name of an encoder without weights is never one, whatever lies in this
    folder."""
    if name is None or not any(Path(part).exists() for part in (name, *name.split(JOIN))):
        return False
    from ..media_core.speech import opens_by_name

    return not opens_by_name(name)
