"""The Fréchet distance against SciPy's matrix root, and in one dimension by hand."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.metrics.frechet import Gathered, frechet_distance


def gathered(rows: np.ndarray, batch: int = 7) -> Gathered:
    out = Gathered(rows.shape[1])
    for at in range(0, len(rows), batch):
        out.add(torch.from_numpy(rows[at:at + batch]))
    return out


def test_it_is_scipys():
    random = np.random.default_rng(0)
    a, b = random.normal(3, 1, (40, 6)) @ random.normal(0, 1, (6, 6)), random.normal(0, 2, (55, 6))
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(covariances[0] @ covariances[1]).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(gathered(a), gathered(b)) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(gathered(b), gathered(a)) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(gathered(a), gathered(a, batch=3)) == pytest.approx(0, abs=1e-6)


def test_moments_are_numpys_however_they_come():
    rows = 1e6 + np.random.default_rng(1).normal(0, 1, (31, 4))  # far from zero: sums of squares would lose every digit
    for batch in (1, 8, 31):
        mean, covariance = gathered(rows, batch).moments()
        assert np.allclose(mean, rows.mean(0), rtol=1e-12) and np.allclose(covariance, np.cov(rows, rowvar=False), rtol=1e-6)


def test_by_hand():
    a, b = np.array([[0.0], [2.0]]), np.array([[10.0], [18.0]])  # means 1 and 14, variances 2 and 32
    assert frechet_distance(gathered(a), gathered(b)) == pytest.approx(13 ** 2 + (32 ** 0.5 - 2 ** 0.5) ** 2)


def test_fewer_samples_than_dimensions_and_too_few():
    a, b = np.random.default_rng(2).normal(0, 1, (2, 3, 20))
    assert frechet_distance(gathered(a), gathered(b)) > 0
    with pytest.raises(TalkingHeadsError, match="two samples"):
        gathered(a[:1]).moments()
