"""Structural similarity against a plain loop and scikit-image's."""
from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity
from talking_heads.media_core.ssim import ssim


def test_equal_images_score_one():
    a = torch.rand(3, 20, 24)
    torch.testing.assert_close(ssim(a, a), torch.tensor(1.0))


def test_ssim_equals_a_plain_loop():
    torch.manual_seed(0)
    a, b = torch.rand(1, 7, 6, dtype=torch.float64), torch.rand(1, 7, 6, dtype=torch.float64)
    line = torch.exp(-torch.arange(-5, 6, dtype=torch.float64).square() / (2 * 1.5 ** 2))
    window = torch.outer(line, line) / line.sum() ** 2
    padded = [torch.nn.functional.pad(image[0], (5, 5, 5, 5)) for image in (a, b)]
    total = 0.0
    for row in range(7):
        for column in range(6):
            x, y = (image[row:row + 11, column:column + 11] for image in padded)
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy, c = (window * x * x).sum() - mx ** 2, (window * y * y).sum() - my ** 2, (window * x * y).sum() - mx * my
            total += float((2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx ** 2 + my ** 2 + 1e-4) * (vx + vy + 9e-4)))
    assert float(ssim(a, b)) == pytest.approx(total / 42, abs=1e-9)


def test_ssim_of_a_batch_is_the_mean_and_has_gradients():
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16, requires_grad=True)
    torch.testing.assert_close(ssim(a, b), (ssim(a[0], b[0]) + ssim(a[1], b[1])) / 2)
    ssim(a, b).backward()
    assert torch.isfinite(b.grad).all() and b.grad.any()


def test_without_the_border_it_is_scikit_images():
    torch.manual_seed(1)
    a, b = torch.rand(3, 20, 31, dtype=torch.float64), torch.rand(3, 20, 31, dtype=torch.float64)
    expected = structural_similarity(a.numpy(), b.numpy(), channel_axis=0, gaussian_weights=True, sigma=1.5, data_range=1.0,
                                     use_sample_covariance=False)
    assert float(ssim(a, b, "drop")) == pytest.approx(float(expected), abs=1e-10)
