"""Blending: layouts agree, what is opaque hides, clear colours vanish, dilation hides the seam."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.compose import compose, coverage, dilate, dilation_at


@pytest.fixture
def parts():
    torch.manual_seed(0)
    alpha = torch.rand(2, 2, 9, 11, 1)
    return (torch.rand(2, 9, 11, 3) * alpha[0], alpha[0], torch.rand(2, 9, 11, 3) * alpha[1], alpha[1], torch.rand(2, 9, 11, 3))


@pytest.mark.parametrize("settings", [{}, {"dilation": 5}, {"clear": torch.tensor([0.2, 0.9, 0.1])}])
def test_layouts_agree(parts, settings):
    first = [part.movedim(-1, -3) for part in parts]
    torch.testing.assert_close(compose(*first, layout="CHW", **settings).movedim(-3, -1), compose(*parts, **settings))


def test_the_clear_colour_vanishes(parts):
    face, face_alpha, mouth, mouth_alpha, background = parts
    clear = torch.tensor([0.3, 0.6, 0.9])
    face, mouth = face + clear * (1 - face_alpha), mouth + clear * (1 - mouth_alpha)
    over = compose(face, face_alpha, mouth, mouth_alpha, background, clear=clear)
    torch.testing.assert_close(over, compose(*parts))


def test_order(parts):
    face, _, mouth, _, background = parts
    one, none = torch.ones(2, 9, 11, 1), torch.zeros(2, 9, 11, 1)
    torch.testing.assert_close(compose(face, one, mouth, one, background), face)
    torch.testing.assert_close(compose(face * 0, none, mouth, one, background), mouth)
    torch.testing.assert_close(compose(face * 0, none, mouth * 0, none, background), background)
    assert torch.equal(coverage(one, none), one) and not coverage(none, none).any()


def test_dilation_keeps_the_background_out_of_the_seam():
    alpha = torch.zeros(1, 9, 9, 1)
    alpha[0, 4, 4] = 1
    wide = dilate(alpha, 5)
    assert wide.shape == alpha.shape and wide[0, 2:7, 2:7].all() and wide.sum() == 25


@pytest.mark.parametrize("size", [1, 3, 7, 13])
def test_dilation_is_a_maximum_over_a_square(size):
    alpha = torch.rand(2, 17, 23, 1, generator=torch.Generator().manual_seed(0))
    planes = torch.nn.functional.max_pool2d(alpha.movedim(-1, 1), size, stride=1, padding=size // 2)
    assert torch.equal(dilate(alpha, size), planes.movedim(1, -1)) and torch.equal(dilate(planes, size, "CHW"), dilate(
        planes.movedim(1, -1), size).movedim(-1, 1))


def test_dilation_grows_with_the_picture():
    assert [dilation_at(height) for height in (16, 64, 128, 256, 512, 1024)] == [1, 1, 3, 7, 13, 25]
