"""Published weights of metrics to the files that `media_core.metrics.weights` reads. It stands here because this core has the
reader of official checkpoints."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..media_core.claims import claimed
from ..media_core.errors import TalkingHeadsError
from ..media_core.metrics.weights import SOURCES, save_weights
from .official import check_target, read_official


@claimed("out")
def import_metric(kind: str, files: Sequence[str | os.PathLike], out: str | os.PathLike, licence: str = "") -> Path:
    """Writes the weights as safetensors and returns that file.

    Args:
        kind: of `SOURCES`. files: as many published files as it names. out: .safetensors. licence: kept in the file.
    Raises:
        FileFormatError: no such file, or another network's.
        TalkingHeadsError: an unknown kind, another number of files, or `out` cannot be written.
    """
    if kind not in SOURCES:
        raise TalkingHeadsError(f"The kind of metric weights must be one of {', '.join(SOURCES)}", f"'{kind}'",
                                "Choose one of those")
    source = SOURCES[kind]
    if len(files) != len(source.official):
        raise TalkingHeadsError(f"{kind} is made of {' and '.join(source.official)}", f"{len(files)} file(s)",
                                "Give these, in any order, and then the file to write")
    for file in files:
        check_target(Path(out), Path(file))
    states = [read_official(file, " and ".join(source.official), of=source.of) for file in files]
    return save_weights(kind, states, out, licence)
