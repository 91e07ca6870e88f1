"""SyncTalk's audio-visual encoder to a file that this pack reads (`media_core.speech.ave`). It stands here because this core has
the reader of official checkpoints."""
from __future__ import annotations

import os
from pathlib import Path

from ..media_core.claims import claimed
from ..media_core.speech.ave import OFFICIAL, save_ave
from .official import check_target, read_official


@claimed("out")
def import_ave(path: str | os.PathLike, out: str | os.PathLike, licence: str = "") -> Path:
    """Writes the weights as safetensors and returns that file.

    Args:
        path: audio_visual_encoder.pth, a bare state dict. out: .safetensors. licence: kept in the file.
    Raises:
        FileFormatError: no such file, or another network's.
        TalkingHeadsError: the file cannot be written.
    """
    check_target(Path(out), Path(path))
    return save_ave(read_official(path, OFFICIAL, of="SyncTalk"), out, licence, Path(path).name)
