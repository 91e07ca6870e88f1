"""Density control: statistics, clones and splits, moments, the cap, a scene that trains on."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.training.densify import DensityControl, inverse_softplus, rotation_matrices
from talking_heads.media_core.errors import TalkingHeadsError

EXTENT = 1.0  # with percent_dense 0.005: cloned up to 5 mm, split above


def control(scales, opacity=0.5, **settings):
    """One Gaussian for each scale; the optimiser has made a step, its moments are the row numbers + 1."""
    torch.manual_seed(0)
    n = len(scales)
    field = GaussianField.create(torch.rand(n, 3), torch.rand(n, 3))
    field.scaling.data[:] = inverse_softplus(torch.tensor(scales))[:, None]
    field.opacity.data.fill_(opacity).logit_()
    optimizer = torch.optim.Adam(field.adam_groups(EXTENT), eps=1e-15)
    for p in field.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for p in field.parameters():
        optimizer.state[p]["exp_avg"] += torch.arange(1.0, n + 1).view(-1, *[1] * (p.ndim - 1))
    return DensityControl(field, optimizer, **settings)


def grow(c, gradients):
    """Lets each Gaussian be seen twice with this mean gradient in half-image units."""
    pixels = torch.zeros(len(gradients), 2)
    pixels[:, 0] = torch.tensor(gradients) / 50
    for _ in range(2):
        c.accumulate(pixels[None], torch.ones(1, len(gradients), 2, dtype=torch.int32), width=100, height=60)


def test_clone_split_order_and_moments():
    c = control([0.004, 0.02, 0.004, 0.02])
    before = {name: p.detach().clone() for name, p in c.field.named_parameters()}
    grow(c, [1e-3, 1e-3, 0.0, 0.0])
    report = c.densify_and_prune(5e-4, 0.1, EXTENT, noise=torch.zeros(2, 3))
    assert (report.cloned, report.split, report.pruned, report.total) == (1, 1, 0, 6)
    rows = [0, 2, 3, 0, 1, 1]  # survivors without the split one, its clone, the two halves
    for name, p in c.field.named_parameters():
        if name != "scaling":
            torch.testing.assert_close(p.data, before[name][rows])
        assert c.optimizer.state[p]["exp_avg"].flatten(1)[:, 0].tolist() == [1, 3, 4, 0, 0, 0] if p[0].numel() else True
    torch.testing.assert_close(c.field.scales[:, 0], torch.tensor([0.004, 0.004, 0.02, 0.004, 0.0125, 0.0125]))
    assert not c.seen.any() and len(c.seen) == 6
    assert len(c.optimizer.state) == len(list(c.field.parameters()))  # nothing of the old parameters is kept


def test_split_noise_is_turned_and_scaled():
    c = control([0.02])
    c.field.rotation.data[:] = torch.tensor([[0.5 ** 0.5, 0, 0, 0.5 ** 0.5]])  # a quarter turn about z: x to y
    start = c.field.xyz.detach().clone()
    grow(c, [1.0])
    c.densify_and_prune(5e-4, 0.1, EXTENT, noise=torch.tensor([[1.0, 0, 0], [-2.0, 0, 0]]))
    torch.testing.assert_close(c.field.xyz.data - start, torch.tensor([[0, 0.02, 0], [0, -0.04, 0]]), atol=1e-6, rtol=0)


def test_the_gradient_is_a_mean_over_sightings():
    c = control([0.004, 0.004])
    once = torch.tensor([[0.02, 0.0], [0.02, 0.0]])
    seen, unseen = torch.tensor([[3, 3], [3, 3]]), torch.tensor([[3, 3], [0, 3]])
    c.accumulate(once, seen, 100, 60)
    c.accumulate(torch.tensor([[0.0, 0.01], [9.0, 9.0]]), unseen, 100, 60)
    torch.testing.assert_close(c.gradient, torch.tensor([1.0 + 0.3, 1.0]))
    assert c.seen.tolist() == [2, 1]


def test_accumulate_takes_batches_of_frames_and_plain_radii():
    a, b = control([0.004] * 3), control([0.004] * 3)
    grads, radii = torch.randn(4, 1, 3, 2), torch.randint(0, 2, (4, 1, 3, 1)).expand(4, 1, 3, 2)
    a.accumulate(grads, radii, 64, 64)
    for i in range(4):
        b.accumulate(grads[i, 0], radii[i, 0, :, 0], 64, 64)
    torch.testing.assert_close(a.gradient, b.gradient)
    assert torch.equal(a.seen, b.seen)


def test_pruning_by_opacity_and_by_size():
    c = control([0.004, 0.2, 0.004])
    c.field.opacity.data[2] = torch.logit(torch.tensor(0.01))
    assert c.densify_and_prune(1.0, 0.05, EXTENT).total == 2          # young: size does not count
    assert c.densify_and_prune(1.0, 0.05, EXTENT, max_screen=20).total == 1


def test_the_cap_keeps_the_largest_gradients():
    c = control([0.004] * 4, max_points=6)
    grow(c, [1.0, 3.0, 2.0, 4.0])
    c.field.features_dc.data[:, 0, 0] = torch.arange(4.0)
    assert c.densify_and_prune(0.5, 0.1, EXTENT).cloned == 2
    assert sorted(c.field.features_dc[4:, 0, 0].tolist()) == [1.0, 3.0]
    grow(c, [1.0] * 6)
    assert c.densify_and_prune(0.5, 0.1, EXTENT).total == 6


def test_same_generator_same_result():
    results = []
    for _ in range(2):
        c = control([0.02, 0.02])
        grow(c, [1.0, 1.0])
        c.densify_and_prune(0.5, 0.1, EXTENT, generator=torch.Generator().manual_seed(4))
        results.append(c.field.xyz.data)
    assert torch.equal(*results) and results[0].std() > 0


def test_prune_keeps_statistics_and_training_goes_on():
    c = control([0.004] * 3)
    grow(c, [1.0, 2.0, 3.0])
    c.prune(torch.tensor([True, False, False]))
    torch.testing.assert_close(c.gradient, torch.tensor([4.0, 6.0]))
    state = c.state_dict()
    c.reset()
    c.load_state_dict(state)
    assert c.seen.tolist() == [2, 2]
    before = c.field.xyz.detach().clone()
    c.field.xyz.grad = torch.ones_like(c.field.xyz)
    c.optimizer.step()
    assert not torch.equal(before, c.field.xyz)


def test_nothing_left_is_an_error_that_changes_nothing():
    c = control([0.004] * 3)
    with pytest.raises(TalkingHeadsError, match="At least one"):
        c.densify_and_prune(1.0, 0.9, EXTENT)
    assert len(c.field) == 3


def test_rotation_matrices_are_rotations():
    quats = torch.nn.functional.normalize(torch.randn(10, 4), dim=-1)
    R = rotation_matrices(quats)
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(10, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(10))
