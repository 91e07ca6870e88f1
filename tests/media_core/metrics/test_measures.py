"""Measures against scikit-image, numpy and values worked out by hand."""
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.metrics import (
    SPLITS,
    aue,
    correlation,
    eye_aperture,
    f_lmd,
    jitter,
    lip_aperture,
    lmd,
    lve,
    psnr,
    ssim,
)
from talking_heads.media_core.motion import AU_NAMES

random = np.random.default_rng(0)


def images(count: int = 2, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:40, :33] / 40
    a = np.stack([np.stack([x, y, np.sin(9 * x + k)], -1) for k in range(count)]).clip(0, 1)
    return a, (a + random.normal(0, noise, a.shape)).clip(0, 1)


def face(gap: float = 0.0, lids: float = 0.3) -> np.ndarray:  # [68, 2]
    points = random.normal(0, 1, (68, 2))
    points[36], points[45], points[39], points[42] = (-5, 0), (5, 0), (-3, 0), (3, 0)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[upper], points[lower] = (upper - 62, -5), (upper - 62, -5 - gap)
    for upper, lower, x in ((37, 41, -4.3), (38, 40, -3.7), (43, 47, 3.7), (44, 46, 4.3)):
        points[upper], points[lower] = (x, lids), (x, -lids)
    return points


def test_psnr_is_scikit_images():
    a, b = images()
    expected = np.mean([peak_signal_noise_ratio(x, y, data_range=1) for x, y in zip(a, b, strict=True)])
    assert abs(psnr(a, b) - expected) < 1e-9 and abs(psnr(torch.from_numpy(a), torch.from_numpy(b)) - expected) < 1e-9
    assert abs(psnr(np.zeros((4, 4, 3)), np.full((4, 4, 3), 0.1)) - 20) < 1e-9
    assert psnr(a, a) == math.inf
    eight = [(x * 255).round().astype(np.uint8) for x in (a, b)]
    assert abs(psnr(*eight) - psnr(*(x / 255 for x in eight))) < 1e-9


def test_psnr_with_a_mask():
    a, b = images()
    mask = np.zeros(a.shape[:3], bool)
    mask[:, 5:20, 5:20] = True
    assert abs(psnr(a, b, mask) - psnr(a[:, 5:20, 5:20], b[:, 5:20, 5:20])) < 1e-9
    mask[1] = False  # frames without a pixel are left out
    assert abs(psnr(a, b, mask) - psnr(a[0, 5:20, 5:20], b[0, 5:20, 5:20])) < 1e-9
    assert abs(psnr(a, b, mask[0]) - psnr(a[:, 5:20, 5:20], b[:, 5:20, 5:20])) < 1e-9  # one mask for all frames
    assert math.isnan(psnr(a, b, mask & False))


def test_ssim_is_scikit_images():
    a, b = images()
    expected = np.mean([structural_similarity(x, y, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                                              data_range=1) for x, y in zip(a, b, strict=True)])
    assert abs(ssim(a, b) - expected) < 1e-6 and ssim(a, b) < 0.99 and abs(ssim(a, a) - 1) < 1e-9
    assert abs(ssim(a[0], b[0]) - ssim(a[:1], b[:1])) < 1e-12
    with pytest.raises(TalkingHeadsError, match="11 x 11"):
        ssim(a[0, :10], b[0, :10])


def test_lmd_ignores_where_the_mouth_is_and_the_rest_of_the_face():
    a = np.stack([face() for _ in range(6)])
    b = a + np.array([30.0, -4.0])
    b[:, :48] += random.normal(0, 5, (6, 48, 2))
    assert lmd(a, b) < 1e-9
    c = a.copy()
    c[:, 48:58, 0] += 2.0  # half the points by 2: after centring every one is 1 off
    assert abs(lmd(a, c) - 1.0) < 1e-9


def test_f_lmd_counts_every_point_and_not_where_the_face_is():
    a = np.stack([face() for _ in range(3)])
    assert f_lmd(a, a + [5.0, 2.0]) < 1e-9
    b = a.copy()
    b[:, :34, 1] += 4.0  # half the points by 4: after centring every one is 2 off
    assert abs(f_lmd(a, b) - 2.0) < 1e-9


def test_lve_is_the_worst_lip_point_squared():
    a = np.stack([face() for _ in range(2)])
    b = a.copy()
    b[0, 50] += [3.0, 4.0]   # 25
    b[0, 60] += [1.0, 0.0]   # less than the worst
    b[1, 67] += [0.0, -1.0]  # 1
    b[:, :48] += 9.0         # no lips
    assert abs(lve(a, b) - 13.0) < 1e-9


def test_aue_of_both_splits():
    a, b = np.zeros((5, 17)), np.zeros((5, 17))
    b[:, AU_NAMES.index("AU09")], b[:, AU_NAMES.index("AU45")], b[:, AU_NAMES.index("AU26")] = 2.0, 1.0, 3.0
    assert aue(a, b) == (4.0 + 9.0, 1.0) and aue(a, b, "talkinggaussian") == (9.0, 1.0 + 4.0)
    b[0] = np.nan  # one unknown frame does not count, an unknown unit makes its group unknown
    assert aue(a, b) == (13.0, 1.0)
    b[:, AU_NAMES.index("AU01")] = np.nan
    assert aue(a, b).lower == 13.0 and math.isnan(aue(a, b).upper)
    assert all(len(lower) + len(upper) == 17 for lower, upper in SPLITS.values())


def test_apertures_by_hand():
    closed, half, wide = face(0.0), face(1.0), face(2.0)
    assert np.allclose(lip_aperture(np.stack([closed, half, wide])), [0, 0.1, 0.2])
    assert np.allclose(lip_aperture(7 * wide[None] + 3), 0.2)
    assert np.allclose(eye_aperture(np.stack([face(lids=0.0), face(lids=0.3), face(lids=0.5)])), [0, 0.3, 0.5])
    deep = np.concatenate([wide, np.zeros((68, 1))], axis=1)
    assert np.allclose(lip_aperture(deep), 0.2)
    with pytest.raises(TalkingHeadsError, match="68"):
        lip_aperture(np.zeros((3, 67, 2)))


def test_jitter():
    t = np.arange(10.0)
    even = np.stack([np.stack([t, 3 * t], -1)] * 4, axis=1)
    assert jitter(even) < 1e-12 and abs(jitter(t * t) - 2.0) < 1e-12 and math.isnan(jitter(even[:2]))
    assert jitter(even + random.normal(0, 1, even.shape)) > 1
    gap = np.array([0.0, 1.0, 4.0, np.nan, 7.0, 7.0, 9.0])  # second differences 2 and 2; what touches the gap does not count
    assert jitter(gap) == 2.0 and math.isnan(jitter(np.array([1.0, np.nan, 2.0])))


def test_correlation():
    x, y = random.random(50), random.random(50)
    assert abs(correlation(x, y) - np.corrcoef(x, y)[0, 1]) < 1e-12
    assert abs(correlation(x, -2 * x + 1) + 1) < 1e-12
    for a, b in ((x, np.full(50, 0.1)), (np.zeros(50), x), ([1.0], [2.0])):
        assert math.isnan(correlation(a, b))
    with pytest.raises(TalkingHeadsError, match="equal shape"):
        correlation(x, y[:40])
