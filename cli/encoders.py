"""`--encoder` and `--layer`, for every command that hears audio."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..host.workflow import WorkflowError
from ..media_core.encoder_registry import ENCODERS

if TYPE_CHECKING:
    from ..media_core.speech import SpeechEncoder  # imports torch


def add_encoder(parser: argparse.ArgumentParser, default: str | None = "mel") -> None:
    """The two options. `default` None: the encoder of the model that listens."""
    stands = default or "the one the weights were trained with, if it needs no model folder"
    parser.add_argument("--encoder", default=default, metavar="NAME|DIR",
                        help=f"how the audio is encoded: one of {', '.join(ENCODERS)}; for one with weights, such as hubert, "
                             f"give its model folder (default: {stands})")
    parser.add_argument("--layer", default=None, metavar="N|last", help="which layer of a model folder's encoder (default: "
                        + ("last)" if default else "the one the weights were trained with)"))


def chosen_encoder(options: argparse.Namespace, layer: str | None = None) -> SpeechEncoder | None:
    """The encoder of the options, open; None where none is named.

    Args:
        layer: of a model, where --layer is not given.
    Raises:
        WorkflowError: --layer without a model folder.
        TalkingHeadsError: no such encoder, folder or layer.
    """
    folder = _is_folder(options.encoder)
    if options.layer is not None and not folder:
        given = "no --encoder" if options.encoder is None else f"--encoder {options.encoder}"
        raise WorkflowError(f"--layer needs a model folder as --encoder. Got: {given}. Leave --layer out.")
    if options.encoder is None:
        return None
    from ..media_core.speech import LAST, open_encoder
    from .devices import chosen_device

    if not folder:
        return open_encoder(options.encoder)
    device = chosen_device(getattr(options, "device", None))
    return open_encoder(Path(options.encoder), device=device, layer=options.layer or layer or LAST)


def _is_folder(name: str | None) -> bool:
    """Whether a model folder is named; the name of an encoder without weights is never one, whatever lies in this folder."""
    if name is None or not Path(name).is_dir():
        return False
    from ..media_core.speech import opens_by_name

    return not opens_by_name(name)
