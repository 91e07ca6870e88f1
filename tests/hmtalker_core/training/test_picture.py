"""The image losses' kernels against their twins in torch: values and gradients, every region, odd sizes, both precisions."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.training import losses, objectives, picture
from talking_heads.hmtalker_core.training.batches import EYES, LIPS
from talking_heads.hmtalker_core.training.picture_kernels import SHOWN, similarity, taps

WEIGHTS = picture.Weights(0.2, 0.3, 1e-3)


def images(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, 4, 4, generator=generator)
    image = torch.nn.functional.interpolate(rough, (height, width), mode="bilinear")[0].movedim(0, -1)
    return image.contiguous(), (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("size", [(40, 33), (7, 60), (1, 1), (64, 5)])
@pytest.mark.parametrize("weight", [0.2, 1.0])
def test_photometric_equals_kornia(size, weight):
    image, target = images(*size)
    found = []
    for loss in (lambda x: picture.photometric(x, target, weight),
                 lambda x: losses.photometric(x.movedim(-1, 0), target.movedim(-1, 0), weight)):
        x = image.clone().requires_grad_()
        value = loss(x)
        found.append((value.detach(), torch.autograd.grad(3 * value, x)[0]))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[0][1], found[1][1], atol=1e-6, rtol=1e-3)


def test_double_precision_to_the_last_digits():
    image, target = (x.double() for x in images(30, 26))
    x = image.clone().requires_grad_()
    losses.ssim(x.movedim(-1, 0), target.movedim(-1, 0)).backward()
    flat = [y.numpy().reshape(30, -1) for y in (image, target)]
    gradient = np.zeros_like(flat[0])
    total = similarity(*flat, 3, taps(gradient.dtype), 1 / gradient.size, gradient)
    assert total / gradient.size == pytest.approx(float(losses.ssim(x.detach().movedim(-1, 0), target.movedim(-1, 0))), abs=1e-12)
    np.testing.assert_allclose(gradient, x.grad.numpy().reshape(30, -1), atol=1e-14)


@pytest.mark.parametrize("weights", [WEIGHTS, picture.Weights(0.2), picture.Weights(0.0, 0.5, 0.1)])
@pytest.mark.parametrize("regions", [slice(None), 0])
def test_a_composed_image_equals_its_twin(weights, regions):
    generator = torch.Generator().manual_seed(1)
    rgb, _ = images(37, 29)
    alpha, clear = torch.rand(37, 29, 1, generator=generator), torch.rand(3, generator=generator)
    pixels = (images(37, 29, 2)[0] * 255).byte().numpy()
    labels = np.random.default_rng(3).integers(0, 32, (37, 29)).astype(np.uint8)
    labels = np.zeros_like(labels) if regions == 0 else labels
    view = type("View", (), {"pixels": pixels, "image": torch.from_numpy(pixels).float() / 255})
    for code in (picture.face_code(labels, True), picture.face_code(labels, False), picture.mouth_code(labels)):
        found = []
        for differentiable in (False, True):
            a, b = rgb.clone().requires_grad_(), alpha.clone().requires_grad_()
            shot = objectives.Shot(a, b, {})
            loss, *pair = objectives.compared(shot, view, code, clear, weights, differentiable=differentiable)
            found.append((loss.detach(), *(x.detach() for x in pair), *torch.autograd.grad(loss, [a, b])))
        for ours, theirs in zip(*found, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-3)


def test_regions_and_their_codes():
    labels = np.array([[0, picture.FACE, picture.HAIR, picture.MOUTH, picture.FACE | LIPS, LIPS, EYES | picture.FACE]], np.uint8)
    with_hair, without = picture.face_code(labels, True)[0], picture.face_code(labels, False)[0]
    assert (with_hair & SHOWN).tolist() == [0, 1, 1, 0, 1, 0, 1]
    assert (without & picture.HIDDEN > 0).tolist() == [False, False, True, False, False, False, False]
    assert (with_hair & picture.DETAIL > 0).tolist() == [False] * 4 + [True] * 3
    mouth = picture.mouth_code(labels)[0]
    assert (mouth & SHOWN > 0).tolist() == [False] * 3 + [True] + [False] * 3
    assert (mouth & picture.HIDDEN > 0).tolist() == [False] * 4 + [True, True, False]
    assert (mouth & picture.OPAQUE > 0).tolist() == [False] * 3 + [True] * 3 + [False]


def test_what_spills_over_hidden_hair_costs_nothing():
    """Around hair, but not over the face, a fringe is hidden in the steps in which hair is."""
    labels = np.zeros((50, 9), np.uint8)
    labels[:, 4], labels[:, 5] = picture.HAIR, picture.FACE
    hidden = picture.face_code(labels, False, 0.04)[25] & picture.HIDDEN > 0
    assert hidden.tolist() == [False, False, True, True, True, False, True, False, False]
    for code in (picture.face_code(labels, True, 0.04), picture.face_code(labels, True)):
        assert not (code & picture.HIDDEN).any()
    assert np.array_equal(picture.face_code(labels, False, 0.0) & picture.HIDDEN > 0, labels == picture.HAIR)
