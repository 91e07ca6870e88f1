"""A motion data set of invented numbers: a mouth that opens and shuts, and mel features that say how far."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack, PoseTrack
from talking_heads.media_core.speech import Speech
from talking_heads.moditalker_core.atom.config import DenoiserConfig
from talking_heads.moditalker_core.atom.train_config import TrainConfig
from talking_heads.moditalker_core.data.dataset_writer import Recorded, ShardWriter

LOWER = [*range(4, 13), 55, 56, 57, 58, 59, 65, 66, 67]  # jaw and lower lip
TINY = TrainConfig(denoiser=DenoiserConfig(latent_dim=16, ff_size=32, num_layers=1, num_heads=2, seq_len=8, dropout=0.1), stack=2,
                   steps=6, batch=4, lr=3e-3, warm_up=2, ema=0.9, guidance=1.0, clip=3.0, reference="any", mirror=0.5, voice=1.0,
                   save_every=3, val_every=4, log_every=2)


def make_motion_dataset(folder: Path, lengths: Sequence[int] = (40, 25, 5, 30), seed: int = 0, val: int = 1) -> Path:
    """Clips of so many frames, one person each, the last `val` of them to validate on."""
    writer = ShardWriter(folder, {"kind": "test", "lengths": list(lengths), "seed": seed})
    for number, frames in enumerate(lengths):
        writer.write(f"s{number}.safetensors", {"seed": seed, "number": number}, [_clip(number, frames, seed)])
    return writer.finish(lambda clips: range(len(lengths) - val, len(lengths)), {})


def _clip(number: int, frames: int, seed: int) -> Recorded:
    random = np.random.default_rng([seed, number])
    time, rate = (np.arange(frames) + 0.5) / 25, random.uniform(1, 2)
    opening = lambda t: 0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + number / 3))
    points = np.repeat(mean_face()[None] * random.uniform(0.97, 1.03), frames, 0).astype(np.float64)
    points[:, LOWER, 1] -= 0.1 * opening(time)[:, None]  # 1 cm
    rows = int(frames / 25 * 80) + 1
    features = -2 + 3 * opening(np.arange(rows) / 80)[:, None] + 0.1 * random.standard_normal((rows, 80))
    speech = Speech(torch.from_numpy(features.astype(np.float32)), 80.0, "mel", frames / 25, torch.zeros(rows, dtype=torch.bool))
    return Recorded(f"c{number}", speech, LandmarkTrack(torch.from_numpy(points.astype(np.float32))),
                    PoseTrack(torch.eye(4).repeat(frames, 1, 1), 500.0, (256, 256)), "test", f"p{number}")
