"""A tiny AToM with random weights: whole in form, worthless in motion."""
from __future__ import annotations

from pathlib import Path

import torch
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom.checkpoints import save_atom
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.atom.official import official_name

MEL = SpeechInput("mel", "last", 80.0, 80, 4)


def tiny_atom(speech: SpeechInput = MEL, heads: int = 2) -> AToM:
    """Windows of 20 frames, a layer of 32 channels, 5 steps of DDIM."""
    torch.manual_seed(0)
    sizes = DenoiserConfig(latent_dim=32, ff_size=32, num_layers=1, num_heads=heads, seq_len=20,
                           cond_feature_dim=speech.token_dim)
    record = {"preset": "random", "note": "knows nothing"}
    config = AToMConfig(sizes, speech, steps=5, licence="for tests", training=record)
    return AToM(AToMDenoiser(sizes), config, mean_face())


def official_state_dict(atom: AToM) -> dict[str, torch.Tensor]:
    """An AToM's network under the official names, without the dead tensors."""
    return {official_name(name): value for name, value in atom.denoiser.state_dict().items()}


def save_tiny_atom(path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_atom(tiny_atom(**options), path)


def save_tiny_checkpoint(path: Path) -> Path:
    """The same as MoDiTalker publishes its own: raw and averaged weights that differ, names of parallel training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = official_state_dict(tiny_atom(SpeechInput(), heads=8))
    raw = {f"module.{name}": value for name, value in state.items()}
    torch.save({"model_state_dict": raw, "ema_state_dict": {name: value * 0.5 for name, value in state.items()},
                "optimizer_state_dict": {"state": {}}}, path)
    return path
