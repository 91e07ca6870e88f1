"""CPBD against plain loops over the published definition and a ramp worked out by hand; the Laplacian against SciPy; colours."""
from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace
from skimage.data import astronaut
from talking_heads.media_core.metrics.colour import colour_drift, mean_lab
from talking_heads.media_core.metrics.sharpness import cpbd, edge_widths, luma, sharpness, upright_edges


def slow_width(row: np.ndarray, x: int, sign: int) -> int:
    """Pixels from where brightness begins to rise (sign 1) or fall to where it ends, by walking."""
    left, right = x - 1, x + 1
    while left - 1 >= 0 and sign * (row[left] - row[left - 1]) > 0:
        left -= 1
    while right + 1 < len(row) and sign * (row[right + 1] - row[right]) > 0:
        right += 1
    return right - left


def slow_cpbd(grey: np.ndarray) -> float:
    edges, (down, across) = upright_edges(grey), np.gradient(grey)
    noticed = []
    for top in range(0, grey.shape[0] - 63, 64):
        for left in range(0, grey.shape[1] - 63, 64):
            block = grey[top:top + 64, left:left + 64]
            if edges[top:top + 64, left:left + 64].sum() <= 0.002 * 4096:
                continue
            just = 5 if int(block.max() - block.min()) <= 50 else 3
            for y in range(max(top, 1), min(top + 64, grey.shape[0] - 1)):
                for x in range(max(left, 1), min(left + 64, grey.shape[1] - 1)):
                    angle = math.degrees(math.atan2(down[y, x], across[y, x])) if across[y, x] else 0.0
                    sign = 1 if abs(angle) <= 22.5 else -1 if abs(angle) >= 157.5 else 0
                    if edges[y, x] and sign:
                        noticed.append(round(100 * (1 - math.exp(-(slow_width(grey[y], x, sign) / just) ** 3.6))))
    return sum(p <= 63 for p in noticed) / len(noticed)


def test_cpbd_is_the_plain_loop():
    grey = luma(astronaut())[100:300, 150:390]
    assert cpbd(grey) == pytest.approx(slow_cpbd(grey), abs=1e-12)


def test_cpbd_of_what_the_published_package_has_measured():
    """`cpbd` 1.0 of PyPI on scikit-image's astronaut, brightness rounded to whole grey levels."""
    assert cpbd(luma(astronaut())) == pytest.approx(0.3836820691659401, abs=1e-12)


def test_cpbd_falls_with_blur():
    values = [cpbd(gaussian_filter(luma(astronaut()), sigma)) for sigma in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True) and values[0] > 0.35 and values[-1] < 0.05


def test_a_ramp_is_as_wide_as_it_is():
    row = np.concatenate([np.full(30, 10.0), np.linspace(10, 90, 5), np.full(29, 90.0)])  # 4 steps up from column 30 to 34
    grey = np.tile(row, (64, 1))
    edges = np.zeros(grey.shape, bool)
    edges[:, 32] = True
    widths = edge_widths(grey, edges)
    assert set(widths[1:-1, 32]) == {4.0} and not widths[:, 31].any() and not widths[0].any()
    assert np.array_equal(edge_widths(100 - grey, edges), widths), "falling edges as well"


def test_images_without_edges_have_no_cpbd():
    assert math.isnan(cpbd(np.full((128, 128), 7.0))) and math.isnan(cpbd(luma(astronaut())[:60]))


def test_sharpness_is_the_variance_of_the_laplacian():
    grey = luma(astronaut()[::4, ::4])
    assert sharpness(grey) == pytest.approx(float(laplace(grey, mode="nearest").var()), rel=1e-9)
    one = np.zeros((5, 5))
    one[2, 2] = 1  # the Laplacian: -4 once, 1 four times of 25
    assert sharpness(one) == pytest.approx(20 / 25)
    assert luma(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [[76, 150, 29]]


def test_mean_colours_of_cielab():
    """White, black, and half a frame of red: (53.24, 80.09, 67.20) in every table."""
    assert np.allclose(mean_lab(np.full((4, 4, 3), 255, np.uint8)), [100, 0, 0], atol=0.02)
    half = np.zeros((4, 4, 3), np.uint8)
    half[:2, :, 0] = 255
    assert np.allclose(mean_lab(half), np.array([53.24, 80.09, 67.20]) / 2, atol=0.02)


def test_drift_compares_the_first_and_the_last_second():
    lab = np.zeros((100, 3))
    lab[:25] = [50, 0, 0]
    lab[75:] = [53, 4, 0]
    lab[25:75] = 99  # between: does not count
    assert colour_drift(lab, 25) == 5.0
    assert colour_drift(lab[[0, 30, 99]], 25) == 5.0 and math.isnan(colour_drift(lab[:2], 25)), "at most a third"
