"""Image losses: known values, empty masks, other implementations."""
from __future__ import annotations

import torch
from talking_heads.hmtalker_core.training import losses


def test_equal_images_cost_nothing():
    a = torch.rand(3, 20, 24)
    assert losses.l1(a, a) == 0
    torch.testing.assert_close(losses.photometric(a, a), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_patches_lie_row_by_row_and_drop_the_rest():
    image = torch.arange(7 * 9).float().view(1, 7, 9)
    patches = losses.patchify(image, 3)
    assert patches.shape == (6, 1, 3, 3)
    assert torch.equal(patches[4, 0], image[0, 3:6, 3:6])
    assert losses.patchify(torch.rand(2, 3, 8, 8), 4).shape == (8, 3, 4, 4)
    assert losses.patchify(torch.rand(3, 4, 4), 5).shape == (0, 3, 5, 5)


def test_an_empty_mask_is_no_nan():
    values = torch.rand(1, 4, 4, requires_grad=True)
    loss = losses.masked_mean(values, torch.zeros(4, 4, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and not values.grad.any()


def test_masked_mean_counts_only_the_mask():
    mask = torch.tensor([[True, False], [True, False]])
    assert losses.masked_mean(torch.tensor([[[1.0, 9], [3, 9]]] * 2), mask) == 2


def test_alpha_loss():
    mask = torch.tensor([[True, False]])
    assert losses.alpha_loss(mask.float(), mask) == 0
    assert losses.alpha_loss(1 - mask.float(), mask) == 1


def test_regulariser_adds_means():
    assert losses.motion_regulariser(torch.tensor([1.0, -3]), torch.tensor([-1.0])) == 3
