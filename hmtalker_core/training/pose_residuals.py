"""Small corrections of the training frames' camera poses, learnt with the face (docs/hmtalker.md#options).

A tracker's pose is off by a fraction of a degree, which blurs the face and lets the head jitter. Each training frame has six
numbers, a rotation vector and a shift of the head in its own frame; held-out frames have none.
"""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from .batches import View

LR = 1e-5  # rad and metres; falls with the positions' learning rate
BETAS = (0.0, 0.999)  # no momentum: a frame's correction moves only in the steps that show it
LIMIT = (0.05, 0.01)  # largest part of a rotation vector, rad, and of a shift, m


class PoseResiduals:
    """One correction per frame.

    Args:
        frames: F, of the dataset. train: frames that are corrected.
    Attributes:
        xi: [F, 6] rotation vector (rad), shift (m); their mean over the training frames stays 0.
        optimizer: Adam over `xi`.
    """

    def __init__(self, frames: int, train: np.ndarray, device: torch.device):
        self.train = torch.as_tensor(np.asarray(train)).to(device)
        self.xi = torch.zeros(frames, 6, device=device, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.xi], lr=LR, betas=BETAS, eps=1e-15)
        for group in self.optimizer.param_groups:
            group["base_lr"] = group["lr"]

    def applied(self, view: View, learning: bool) -> View:
        """The view from its corrected pose: the head is moved first. Not `learning`: the correction has no gradient."""
        xi = self.xi[view.index] if learning else self.xi[view.index].detach()
        return replace(view, viewmat=view.viewmat @ motions(xi[None])[0])

    @torch.no_grad()
    def poses(self, camera_to_head: Tensor, index: Tensor) -> Tensor:  # [n, 4, 4], int64 [n] -> [n, 4, 4]
        """Corrected camera poses of some frames."""
        moved = motions(self.xi[index.to(self.xi.device)]).to(camera_to_head)
        return torch.linalg.inv(moved) @ camera_to_head

    @torch.no_grad()
    def move(self, factor: float) -> None:
        """A step of the optimiser, at `factor` times the learning rate; then small and without a mean again."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.optimizer.step()
        self.xi[self.train] -= self.xi[self.train].mean(0)
        for part, limit in zip((slice(0, 3), slice(3, 6)), LIMIT, strict=True):
            self.xi[:, part].clamp_(-limit, limit)


def motions(xi: Tensor) -> Tensor:  # [n, 6] -> [n, 4, 4]
    """Rigid motions: rotation exp([w]x), then the shift."""
    w, shift = xi[:, :3], xi[:, 3:]
    zero = torch.zeros_like(w[:, 0])
    cross = torch.stack([zero, -w[:, 2], w[:, 1], w[:, 2], zero, -w[:, 0], -w[:, 1], w[:, 0], zero], -1).unflatten(-1, (3, 3))
    top = torch.cat([torch.linalg.matrix_exp(cross), shift[..., None]], -1)
    bottom = xi.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(xi), 1, 4)
    return torch.cat([top, bottom], 1)
