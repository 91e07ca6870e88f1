"""Random weights of the audio-visual encoder, in the official layout: whole in form, worthless in what they hear."""
from __future__ import annotations

from pathlib import Path

import torch
from detfill import ave_tensor
from safetensors.torch import save_file
from talking_heads.media_core.speech.ave import PREFIX, AudioVisualEncoder


def ave_state(seed: int = 1) -> dict[str, torch.Tensor]:
    """Tensors under the names of the official file."""
    net = AudioVisualEncoder()
    return {name.removeprefix(PREFIX): torch.from_numpy(ave_tensor(name, tuple(value.shape), seed))
            for name, value in net.state_dict().items()}


def save_ave_file(path: Path, seed: int = 1) -> Path:
    """As a user may have converted them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(ave_state(seed), path)
    return path


def save_official_ave(path: Path, seed: int = 1) -> Path:
    """As SyncTalk has them: a bare state dict of torch.save."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(ave_state(seed), path)
    return path
