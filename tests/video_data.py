"""A motion data set with invented pictures: a face whose mouth opens and shuts; and trainings of seconds."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from motion_data import _clip
from talking_heads.media_core.errors import Cancelled
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.data.dataset_writer import ShardWriter
from talking_heads.moditalker_core.data.images import PictureSettings, spool
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig
from talking_heads.moditalker_core.mtov.model import RasterSettings
from talking_heads.moditalker_core.mtov.train_config import TrainConfig

SIZE, FRAMES = 32, 4
NET = AutoencoderConfig(channels=16, frames=FRAMES, height=SIZE, width=SIZE, patch=8, depth=1, heads=2, dim_head=8, ff_mult=1,
                        pool_depth=1, pool_heads=1, pool_dim_head=8, pool_hidden=16)
RGB = TrainConfig(stage="rgb", autoencoder=NET, raster=RasterSettings(SIZE, 1, 2), steps=5, batch=2, lr=3e-3, warm_up=2,
                  start=0.05, gradient_clip=1.0, l1=1.0, edges=0.5, coarse=1.0, mouth=3.0, penalty=0.01, reference="any",
                  mirror=0.5, colour=0.1, save_every=3, val_every=5, log_every=2)
LANDMARKS = replace(RGB, stage="landmarks", jitter=0.05)
GAN = replace(RGB, stage="gan", judges=4)
DIFFUSION = replace(RGB, stage="diffusion", ema=0.9, still=0.5, pull=1.0, times=(0, 250), first_share=0.3, lips=2.0, batch=4,
                    prediction="sample", sampler="ddim0", calls=2, eta=0.0, overlap=1,
                    denoiser=DenoiserConfig(model_channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(1,),
                                            num_heads=2, groups=8))


class StopAt:
    """A report that cancels at one step and keeps what it was told."""

    def __init__(self, step=None):
        self.step, self.infos, self.pictures, self.shows = step, [], [], []

    def __call__(self, done, total, info, preview):
        if "loss" in info:
            self.infos.append({"done": done, **info})
        if preview is not None:
            self.pictures.append(preview)
            self.shows.append(info.get("shows", ""))
        if done == self.step:
            raise Cancelled


def make_video_dataset(folder: Path, lengths: Sequence[int] = (20, 12), seed: int = 0, val: int = 0) -> Path:
    """Clips of so many frames, one person each, the last `val` of them to validate on."""
    writer = ShardWriter(folder, {"kind": "test", "lengths": list(lengths), "seed": seed})
    settings = PictureSettings(SIZE)
    for number, frames in enumerate(lengths):
        clip = _clip(number, frames, seed)
        points = np.asarray(clip.landmarks.points[..., :2], np.float64)
        pixels = (points - mean_face()[None, :, :2].mean(1, keepdims=True)) * [16, -16] + 32
        crop = settings.square(pixels, (64, 64), 25.0)
        inside = np.stack([crop.to_crop(row, i) for i, row in enumerate(pixels)])
        pictures = spool(writer.unfinished, clip.name, {"seed": seed}, settings, crop, pixels, _faces(inside, number))
        writer.write(f"s{number}.safetensors", {"seed": seed, "number": number}, [replace(clip, pictures=pictures)])
    return writer.finish(lambda clips: range(len(lengths) - val, len(lengths)), {})


def _faces(pixels: np.ndarray, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Skin, eyes' row and a mouth where the landmarks are."""
    y, x = np.mgrid[:SIZE, :SIZE]
    for points in pixels:
        picture, parts = np.full((SIZE, SIZE, 3), (60, 90, 120), np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        middle, reach = points.mean(0), np.ptp(points, 0).max() * 0.55
        face = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < reach ** 2
        picture[face], parts[face] = (200 - 20 * number, 160, 130), 1
        low, high = points[48:68].min(0), points[48:68].max(0)
        mouth = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1])
        picture[mouth], parts[mouth] = (90, 20, 30), 4
        yield picture, parts
