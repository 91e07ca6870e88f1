"""The masks' kernels against their slow twins."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import slow_masks as slow
from skimage import data
from talking_heads.media_core.capture.detail import spreads
from talking_heads.media_core.face.masks import guided_kernels, layer_kernels, look_kernels, mouth_kernels
from talking_heads.media_core.face.masks.look import PersonLook, _density, bins
from talking_heads.media_core.face.masks.pieces import pieces


@pytest.fixture(scope="module")
def colours():
    """A portrait's planes, float32 [3, 60, 80], 0..1."""
    small = cv2.resize(data.astronaut(), (80, 60), interpolation=cv2.INTER_AREA)
    return np.stack(cv2.split(small)).astype(np.float32) / 255


def blobs(rng, shape, share=.4):
    return cv2.GaussianBlur(rng.random(shape), (0, 0), 3) > np.quantile(cv2.GaussianBlur(rng.random(shape), (0, 0), 3), 1 - share)


@pytest.mark.parametrize("window", [1, 5, 9])
def test_the_guided_filter(colours, window):
    rng = np.random.default_rng(window)
    mask = blobs(rng, colours.shape[1:]).astype(np.float32)
    known = guided_kernels.colour_statistics(colours, window, slow.SMOOTH)
    expected = slow.statistics(colours, window)
    np.testing.assert_allclose(known[:3], expected[:3], atol=1e-6)
    np.testing.assert_allclose(known[3:], expected[3:], rtol=2e-3, atol=.3)  # of 1000 at most: inverses of float32
    found = guided_kernels.linear_functions(mask, colours, known, window)
    image = (rng.random((3, 100, 170))).astype(np.float32)
    value = guided_kernels.applied(found, image)
    wide = slow.enlarged(slow.functions(mask, colours, window), image.shape[1:])
    np.testing.assert_allclose(value, (wide[:3] * image).sum(0) + wide[3], atol=2e-3)


def test_an_outline_is_looked_at_where_that_is_wanted(colours):
    rng = np.random.default_rng(0)
    functions = rng.normal(0, .5, (4, 30, 40)).astype(np.float32)
    image = rng.integers(0, 256, (120, 160, 3), np.uint8)
    rough, near = (blobs(rng, (60, 80)).astype(np.uint8) for _ in range(2))
    wide = slow.enlarged(functions, image.shape[:2])
    value = (wide[:3] * (np.moveaxis(image, -1, 0) * np.float32(1 / 255))).sum(0) + wide[3]
    large_rough, large_near = (cv2.resize(each, (160, 120), interpolation=cv2.INTER_NEAREST) for each in (rough, near))
    expected = np.where(large_near > 0, value > .5, large_rough > 0)
    clear = np.abs(value - .5) > 1e-5
    assert (guided_kernels.outlined(functions, image, rough, near) == expected)[clear].all() and clear.mean() > .999


@pytest.mark.parametrize("size", [(60, 80), (100, 170), (33, 41)])
def test_masks_enlarged_and_unclear_places(size):
    plane = cv2.GaussianBlur(np.random.default_rng(1).random((40, 50), np.float32), (0, 0), 1.)
    wide = slow.enlarged([plane], size)[0]
    clear = np.abs(wide - .5) > 1e-6
    assert (guided_kernels.over_half(plane, *size) == (wide > .5))[clear].all()
    rough, unsure = guided_kernels.unclear(plane, .45)
    assert np.array_equal(rough, plane > .5) and np.array_equal(unsure, (plane > np.float32(.45)) & (plane < np.float32(.55)))


def test_what_colours_and_places_say():
    rng = np.random.default_rng(2)
    lab = cv2.cvtColor(cv2.resize(data.astronaut(), (50, 40)), cv2.COLOR_RGB2Lab)
    densities = [_density([rng.integers(0, 256, (500, 3), np.uint8), lab[k::4].reshape(-1, 3)]) for k in range(4)]
    found = look_kernels.gathered(lab, PersonLook(*densities).densities, 3, 32, 2e-6)
    for own, density in zip(found, densities):
        np.testing.assert_array_equal(own, density[bins(lab)] + np.float32(2e-6))
    rows, columns = np.mgrid[:40, :50]
    right = np.array([.8, .6])
    aside = look_kernels.across((40, 50), np.array([20., 15.]), right, 7.)
    np.testing.assert_allclose(aside, np.abs((columns - 20) * right[0] + (rows - 15) * right[1]) / 7, atol=1e-12)
    falling = rng.random(50, np.float32)
    prior = look_kernels.hair_prior(aside, falling, (.4, .6, .1), .05, .6)
    np.testing.assert_allclose(prior, .05 + .55 * np.interp(aside, (0, .4, .6), (.1, .1, 1)) * falling, atol=1e-6)
    hair, skin, shaded, clothes = found
    neck = rng.random((40, 50)) < .5
    odds = look_kernels.hair_odds(hair, skin, shaded, clothes, prior, neck.view(np.uint8))
    other = np.maximum(np.where(neck, shaded, skin), clothes)
    np.testing.assert_allclose(odds, prior * hair / (prior * hair + (1 - prior) * other), rtol=1e-5)
    strips, beside, sure = (rng.random((40, 50)) < .3 for _ in range(3))
    expected = odds.copy()
    expected[strips & (prior > .3) & (clothes < hair * np.float32(1.5))] = 1
    covered = .6 * clothes / (.6 * clothes + .4 * np.maximum(hair, skin))
    expected[beside] = (1 - covered)[beside]
    expected[sure] = 1
    masks = (mask.view(np.uint8) for mask in (beside, sure))
    look_kernels.with_known(odds, strips.view(np.uint8), prior, (hair, skin, clothes), *masks, (.3, 1.5, .6))
    np.testing.assert_allclose(odds, expected, rtol=1e-4, atol=1e-6)


def test_the_lips_curve_and_colours():
    rng = np.random.default_rng(3)
    for _ in range(20):
        points = np.cumsum(rng.uniform(.5, 3, (5, 2)), 0) * (1, -1)
        np.testing.assert_allclose(mouth_kernels.lip_curve(points, 48), slow.lip_curve(points, 48), atol=1e-9)
    image = rng.integers(0, 256, (30, 40, 3), np.uint8)
    for count in (1, 2, 7, 600, 1200):
        part = np.zeros(1200, bool)
        part[rng.permutation(1200)[:count]] = True
        part = part.reshape(30, 40)
        np.testing.assert_array_equal(mouth_kernels.medians(image, part.view(np.uint8)), np.median(image[part], axis=0))
    assert np.isnan(mouth_kernels.medians(image, np.zeros((30, 40), np.uint8))).all()


@pytest.mark.parametrize("coloured", [True, False])
def test_mouth_and_teeth_by_their_colours(coloured):
    rng = np.random.default_rng(4)
    lab, (light, red) = rng.integers(60, 200, (30, 40, 3), np.uint8), (120., 20.)
    inner = blobs(rng, (30, 40), .6)
    core = cv2.erode(inner.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    bright, redness = lab[..., 0] / light, (lab[..., 1] - 128.) / red
    own = core | inner & ((lab[..., 0] < .55 * light) | (redness < .5) & (bright > .8))
    pale = (redness < .6) & (bright > .8) | (redness < .4) & (bright > .62)
    found = mouth_kernels.between_lips(lab, inner.view(np.uint8), core.view(np.uint8), (light, red), (.55, .5, .8, .6, .4, .62),
                                       coloured)
    assert np.array_equal(found[0], own) and np.array_equal(found[1], (own if coloured else core) & pale)
    assert 50 < found[1].sum() < found[0].sum() < inner.sum()


def test_what_the_head_hides_and_how_it_is_painted():
    rng = np.random.default_rng(5)
    head, torso = np.zeros((90, 80), bool), np.zeros((90, 80), bool)
    cv2.ellipse(head.view(np.uint8), (40, 35), (25, 33), 0, 0, 360, 1, -1)
    cv2.ellipse(torso.view(np.uint8), (42, 95), (38, 35), 0, 0, 360, 1, -1)
    torso[70, 40] = False
    torso &= ~head
    lines = layer_kernels.ends(torso.view(np.uint8))
    assert lines[0][42] == np.flatnonzero(torso[:, 42])[0] and lines[1][42] == 89 and lines[0][0] == 90 and lines[1][0] == -1
    assert lines[2][80] == np.flatnonzero(torso[80])[0] and lines[3][80] == np.flatnonzero(torso[80])[-1] and lines[3][0] == -1
    face = (40.5, 44., 55.)
    found = layer_kernels.hidden(head.view(np.uint8), lines, face, .33, 9., (.1, .3))
    neck, shoulders = slow.hidden(head, torso, face, .33, 9., (.1, .3))
    assert np.array_equal(found == layer_kernels.NECK, neck) and np.array_equal(found == layer_kernels.SHOULDERS, shoulders)
    assert neck.sum() > 50 and shoulders.sum() > 50
    frame, colours = rng.integers(0, 256, (90, 80, 3), np.uint8), rng.uniform(0, 255, (15, 20, 3)).astype(np.float32)
    fade = (.9 ** np.arange(91)).astype(np.float32)
    painted = (found[30:] > 0) | blobs(rng, (60, 80)) & torso[30:]
    layer = layer_kernels.laid(frame, torso.view(np.uint8), found, painted.view(np.uint8), lines[0], colours, fade)
    expected = slow.laid(frame, torso, neck, found > 0, painted, colours, fade)
    assert np.array_equal(layer[..., 3], expected[..., 3])
    off = np.abs(layer.astype(int) - expected)[painted.any(1).argmax():]
    assert off.max() <= 1 and (off > 0).mean() < .01  # rounding of what is between two levels


def test_a_persons_parts_put_together():
    rng = np.random.default_rng(6)
    person, face, sharp, hairy, shaded, neck = (blobs(rng, (60, 80), .6) for _ in range(6))
    meeting = blobs(rng, (30, 40))
    below = cv2.resize(meeting.astype(np.uint8), (80, 60), interpolation=cv2.INTER_NEAREST) > 0
    head = person & (face | ~below | sharp)
    own = person & ~head & neck & shaded & (np.arange(60)[:, None] < 41.5)
    layers = (layer.view(np.uint8) for layer in (person, face, sharp, meeting, hairy, shaded, neck))
    found = layer_kernels.assembled(*layers, 41.5)
    assert np.array_equal(found.view(bool), np.stack([head, head & ~face & hairy, own])) and own.any()


def test_runs_know_their_pieces():
    """A spiral and a comb: pieces that become one only far below."""
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1], [1, 1, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], np.uint8)
    runs = pieces(mask)
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    for x, stop, y, first in runs.T:
        assert (labels[y, x:stop] == labels[runs[2, first], runs[0, first]]).all()
    assert len(np.unique(runs[3])) == labels.max() == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (40, 30)])
def test_spreads_of_an_image_and_its_edges(shape):
    grey = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    detail, contrast = spreads(grey)
    if min(shape) > 1:
        np.testing.assert_allclose(detail, cv2.Laplacian(grey, cv2.CV_32F).std(dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(contrast, grey.std(), rtol=1e-9, atol=1e-9)
