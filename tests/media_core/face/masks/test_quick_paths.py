"""Quick ways of the masks against the plain ones."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data
from talking_heads.media_core.face.masks.guided import Guide, between, planes
from talking_heads.media_core.face.masks.masks import PALETTE, FrameMasks, parsing_png
from talking_heads.media_core.face.masks.mouth_kernels import natural_spline
from talking_heads.media_core.face.masks.person import View, crumbs, soft_person, soft_persons, touching
from talking_heads.media_core.face.masks.regions import jaw_line


@pytest.mark.parametrize("side", [300, 512])
def test_a_mask_is_enlarged_as_if_every_pixel_were_looked_at(side):
    image = cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_AREA)
    small = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)
    mask, guide = (cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) > 120).astype(np.float32), Guide(planes(small))
    functions = cv2.resize(cv2.merge(guide._functions(mask)), (side, side), interpolation=cv2.INTER_LINEAR)
    value = (functions[..., :3] * (image / np.float32(255))).sum(-1) + functions[..., 3]
    near = cv2.morphologyEx((mask > .5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((11, 11), np.uint8))
    near = cv2.resize(near, (side, side), interpolation=cv2.INTER_NEAREST) > 0
    assert ((value > .5) == guide.enlarged(mask, image))[near].mean() > .9995


def test_values_between_pixels():
    plane = np.random.default_rng(0).random((20, 30, 4), np.float32)
    at = np.array([[3, 4], [29.5, 19.5], [3.5, 4], [3, 4.25]])
    expected = [plane[4, 3], plane[19, 29], (plane[4, 3] + plane[4, 4]) / 2, plane[4, 3] * .75 + plane[5, 3] * .25]
    np.testing.assert_allclose(between(plane, at), expected, atol=1e-6)


@pytest.mark.parametrize("share", [0, .01, .4, .99, 1])
def test_parts_by_the_statistics_of_each(share):
    rng = np.random.default_rng(1)
    mask, other = rng.random((60, 80)) < share, rng.random((60, 80)) < .02
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    own = [parts == k for k in range(1, count)]
    assert (crumbs(mask, 6) == sum((part for part in own if part.sum() < 6), np.zeros_like(mask))).all()
    assert (touching(mask, other) == sum((part for part in own if (part & other).any()), np.zeros_like(mask))).all()


def test_a_parsing_has_the_last_part_on_top():
    draws = np.random.default_rng(2).random((6, 16, 16)) < .4
    masks = FrameMasks(**dict(zip(("head", "hair", "mouth", "teeth", "torso", "neck"), draws)))
    expected = np.full((16, 16, 3), PALETTE["background"], np.uint8)
    for name, part in (("clothes", masks.torso), ("neck", masks.neck), ("face", masks.head), ("hair", masks.hair),
                       ("mouth", masks.mouth)):
        expected[part] = PALETTE[name]
    assert (parsing_png(masks) == expected).all()


def test_the_jaw_is_a_least_squares_polynomial():
    from numpy.polynomial import chebyshev

    points = np.random.default_rng(3).random((68, 2)) * 100
    fitted = chebyshev.chebfit(np.linspace(-1, 1, 17), points[:17], 8)
    np.testing.assert_allclose(jaw_line(points), chebyshev.chebval(np.linspace(-1, 1, 81), fitted).T, atol=1e-9)


def test_the_persons_mask_at_the_working_size_is_the_large_one_reduced():
    points = np.random.default_rng(0).uniform(100, 200, (68, 2))
    for side in (256, 512):
        view = View.of(cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_AREA), points)
        np.testing.assert_allclose(soft_person(view), view.reduced(soft_persons([view.frame])[0]), atol=2e-5)
    wide = View.of(np.ascontiguousarray(data.astronaut()[:300]), points)
    assert soft_person(wide).shape == wide.small_size


def test_the_lips_spline_is_the_natural_one():
    from scipy.interpolate import CubicSpline

    at = np.array([0, .2, .45, .8, 1])
    points, where = np.random.default_rng(0).normal(size=(5, 2)), np.linspace(0, 1, 49)
    np.testing.assert_allclose(natural_spline(at, points, where), CubicSpline(at, points, bc_type="natural")(where), atol=1e-12)
