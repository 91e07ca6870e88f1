"""The Fréchet distance of two sets of features, gathered one batch at a time (FID: Heusel et al. 2017, arXiv 1706.08500)."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import TalkingHeadsError


class Gathered:
    """Mean and covariance of feature rows that come in batches; memory does not grow with their number."""

    def __init__(self, dim: int):
        self.count = 0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)
        self._origin: Tensor | None = None  # the first row: differences from it lose no digits

    def add(self, rows: Tensor) -> None:  # [B, D]
        """Takes in a batch."""
        x = rows.detach().cpu().double()
        self._origin = x[0].clone() if self._origin is None else self._origin
        x = x - self._origin
        self.count += len(x)
        self._sum += x.sum(0)
        self._products.addmm_(x.T, x)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean [D] and unbiased covariance [D, D], float64.

        Raises:
            TalkingHeadsError: fewer than two rows.
        """
        if self.count < 2 or self._origin is None:
            raise TalkingHeadsError("A Fréchet distance needs two samples at least", f"{self.count}", "Give a longer video")
        mean = self._sum / self.count
        covariance = (self._products - self.count * torch.outer(mean, mean)) / (self.count - 1)
        return mean + self._origin, covariance


def frechet_distance(a: Gathered, b: Gathered) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)) with covariances A and B; 0 for equal sets.

    The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: so it is real.
    """
    (mean_a, cov_a), (mean_b, cov_b) = a.moments(), b.moments()
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    both = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * both
    return max(0.0, float(distance))
