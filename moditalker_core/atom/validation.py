"""Validation of AToM: the mouth that it gives held-out clips, beside the true one."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...media_core.mouth import lip_aperture
from ...training_core.trainer import EvalResult
from .diffusion import losses, make_scheduler, noised, sample
from .generation import guided
from .model import AToM
from .train_config import TrainConfig
from .windows import Clips, at_rest, cut

SAMPLER, STEPS = "ddim0", 8
MOST = 8  # windows validated on
LEVELS = (100, 300, 500, 700, 900)  # diffusion steps at which the loss is measured
SEED = 20240917  # of the noise, the same every time


@dataclass(frozen=True)
class HeldOut:
    """Windows of held-out clips, on the network's device."""

    x0: Tensor  # [N, T, 204] cm
    face: Tensor  # [N, T, 204] cm, what the motion is added to
    shown: Tensor  # [N, T, 204] cm, the face that the network is given
    audio: Tensor  # [N, 2T, D]
    mask: Tensor  # bool [N, T]
    mean: Tensor  # [68, 3] dm

    def mouths(self, residual: Tensor) -> np.ndarray:  # [N, T, 204] cm -> float64 [N, T] cm
        """Distance of the inner lips."""
        points = (residual + self.face).float().unflatten(-1, (68, 3)) + 10 * self.mean
        return lip_aperture(points.cpu()).double().numpy()


def held_out_windows(clips: Clips, config: TrainConfig, device: torch.device) -> HeldOut:
    """Up to MOST windows, spread over the clips; the face is the first frame of the window or of the clip, or the person's at
    rest while the mean face is shown (config.neutral)."""
    chosen = np.unique(np.linspace(0, len(clips) - 1, MOST).round().astype(int))
    each = -(-MOST // len(chosen))
    rows = []
    for index in chosen:
        piece = clips[int(index)]
        last = max(len(piece.motion) - clips.frames, 0)
        for start in np.unique(np.linspace(0, last, each + 2)[1:-1].astype(int)).tolist():
            motion, audio, mask = cut(piece, start, clips.frames)
            face = piece.motion[start if config.reference == "first" else 0]
            face = at_rest(piece, clips.mean) if config.neutral == 1 else face
            shown = torch.zeros_like(face) if config.neutral == 1 else face
            rows.append((motion - face, face.expand(clips.frames, -1), shown.expand(clips.frames, -1), audio, mask))
    rows = rows[:MOST]
    x0, face, shown, audio, mask = (torch.stack(part).to(device) for part in zip(*rows, strict=True))
    return HeldOut(x0, face, shown, audio, mask, clips.mean.to(device))


@torch.no_grad()
def evaluate(atom: AToM, held_out: HeldOut, watch: Callable[[], None]) -> EvalResult:
    """Samples the held-out windows: the correlation of the lips' distance with the truth, mean over windows; the loss at LEVELS;
    and curves.

    Args:
        watch: called after each step of the sampler; may raise to cancel.
    """
    config, network = atom.config, atom.denoiser
    start = torch.randn(held_out.x0.shape, generator=torch.Generator().manual_seed(SEED)).to(held_out.x0)
    scheduler = make_scheduler(SAMPLER, STEPS)
    predict = guided(atom, held_out.shown, held_out.audio, config.guidance, scheduler.timesteps)
    found = sample(predict, lambda k: start, scheduler, eta=0.0, clip=config.clip, watch=lambda k, x0: watch())
    truth, mouths, mask = held_out.mouths(held_out.x0), held_out.mouths(found), held_out.mask.cpu().numpy()
    each = [_correlation(a[m], b[m]) for a, b, m in zip(truth, mouths, mask)]
    moving = [value for value in each if value is not None]
    condition, levels = network.condition(held_out.shown, held_out.audio), []
    for level in LEVELS:
        times = torch.full((len(start),), level, device=start.device)
        predicted = network.denoise(noised(held_out.x0, times, start), times, condition)
        levels.append(losses(predicted, held_out.x0, held_out.mask).total)
        watch()
    metrics = {"lip_correlation": float(np.mean(moving)) if moving else 0.0, "val_loss": float(torch.stack(levels).mean())}
    return EvalResult(metrics, ("lip_correlation",), curves(truth, mouths, mask), name="lips",
                      caption="opening of the lips: truth grey, AToM red")


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """None where the truth does not move."""
    if len(a) < 2 or a.std() < 1e-6:
        return None
    return 0.0 if b.std() < 1e-9 else float(np.corrcoef(a, b)[0, 1])


def curves(truth: np.ndarray, found: np.ndarray, mask: np.ndarray, width: int = 480, row: int = 60) -> np.ndarray:
    """Lip curves one under another: truth grey and broad, found red.

    Args:
        truth, found: [N, T] cm.
        mask: bool [N, T].
    Returns:
        uint8 [N * row, width, 3].
    """
    import cv2

    image = np.full((row * len(truth), width, 3), 250, np.uint8)
    top = max(float(truth[mask].max(initial=0)), float(found[mask].max(initial=0)), 0.1)
    x = np.linspace(4, width - 5, truth.shape[1])
    for i, (a, b, m) in enumerate(zip(truth, found, mask)):
        base = (i + 1) * row - 4
        for values, colour, thick in ((a, (150, 150, 150), 3), (b, (200, 40, 40), 1)):
            line = np.stack([x, base - np.nan_to_num(values) / top * (row - 8)], -1)[m]
            cv2.polylines(image, [line.round().astype(np.int32)], False, colour, thick, cv2.LINE_AA)
        image[(i + 1) * row - 1] = 220
    return image
