"""Parity cases of the mel spectrogram and of the audio-visual encoder; run by tests/parity.py."""
from __future__ import annotations

from typing import Any

import torch
from detfill import ave_tensor
from parity_case import EXACT, Case
from talking_heads.media_core.speech import ave
from talking_heads.media_core.speech.mel import mel_basis, mel_spectrogram
from torch import Tensor

Computed = dict[str, Tensor]
AVE = 1e-4


def _ave_pipeline(f: Any) -> Computed:
    """A sound by way of mel, windows and network to the features of its frames; weights by a recipe."""
    net = ave.AudioVisualEncoder()
    net = ave.encoder_of_state({name: torch.from_numpy(ave_tensor(name, tuple(value.shape), f.meta["detfill_seed"]))
                                for name, value in net.state_dict().items()})
    mono, made = f.inputs["wav"].numpy(), {}
    mel = torch.as_tensor(mel_spectrogram(mono))
    windows = ave.mel_windows(mel)
    hooks = [block.register_forward_hook(lambda block, given, out, i=i: made.update({
        f"block{i:02d}_head": out.flatten()[:32].clone(), f"block{i:02d}_absmean": out.abs().mean()}))
        for i, block in enumerate(net.audio_encoder)]
    with torch.inference_mode():
        enc = net(windows)
    for hook in hooks:
        hook.remove()
    return {"mel": mel, "windows": windows[f.meta["window_rows_saved"]], "enc": enc, "feats": ave.ave_features(net, mono), **made}


def _mel_basis(f: Any) -> Computed:
    return {"basis": torch.as_tensor(mel_basis())}


CASES = {"ave_pipeline": Case(_ave_pipeline, AVE), "mel_basis": Case(_mel_basis, EXACT)}
