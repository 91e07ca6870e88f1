"""MCMC densification: relocation by hand, growth to the cap, noise on the transparent, and the image stays."""
from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.rasterizer import rasterization
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.mcmc import DEAD, MarkovControl, density_control, relocated

PLAN = replace(preset("demo").face, densify_from=0, densify_every=10, steps=100, densify_until=1.0)


def field_of(opacities, sizes=0.01):
    torch.manual_seed(3)
    field = GaussianField.create(torch.rand(len(opacities), 3) * 0.2, torch.rand(len(opacities), 3))
    with torch.no_grad():
        field.opacity.copy_(torch.tensor(opacities).logit()[:, None])
        field.scaling.fill_(math.log(math.expm1(sizes)))
        field.rotation.normal_()
    return field


def control_of(opacities, cap=None):
    field = field_of(opacities)
    optimizer = torch.optim.Adam(field.adam_groups(0.1), lr=0.0, eps=1e-15)
    (sum((p * p).sum() for p in field.parameters()) + field.xyz.sum()).backward()
    optimizer.step()
    return MarkovControl(field, optimizer, max_points=cap), optimizer


def test_two_and_three_copies_by_hand():
    """N = 2: sum = o' + (o' - o'^2 / sqrt 2); N = 3 has o' - 2 o'^2 / sqrt 2 + o'^3 / sqrt 3 more."""
    opacity, scales = torch.tensor([0.6, 0.6, 0.6]), torch.tensor([[0.01, 0.02, 0.03]]).expand(3, 3)
    shared, sizes = relocated(opacity, scales, torch.tensor([1, 2, 3]))
    two, three = 1 - 0.4 ** (1 / 2), 1 - 0.4 ** (1 / 3)
    sums = (0.6, 2 * two - two ** 2 / math.sqrt(2),
            3 * three - 3 * three ** 2 / math.sqrt(2) + three ** 3 / math.sqrt(3))
    assert torch.allclose(shared, torch.tensor([0.6, two, three]), atol=1e-6)
    for row, total in enumerate(sums):
        assert torch.allclose(sizes[row], scales[row] * 0.6 / total, rtol=1e-5)


def test_many_copies_of_a_solid_one_stay_finite():
    shared, sizes = relocated(torch.tensor([1.0, 0.01]), torch.full((2, 3), 0.01), torch.tensor([400, 51]))
    assert torch.isfinite(shared).all() and torch.isfinite(sizes).all() and (shared > 0).all() and (sizes > 0).all()


def test_the_dead_move_onto_living_ones_and_share():
    control, optimizer = control_of([0.001, 0.5, 0.002, 0.003])
    field, was = control.field, control.field.scales[1].detach().clone()
    opacity = float(field.opacities[1].detach())
    assert control.relocate(torch.Generator().manual_seed(1)) == 3 and len(field) == 4
    for values in (field.xyz, field.rotation, field.features_dc):
        assert torch.equal(values, values[1:2].expand_as(values)), "all four are where the living one is"
    shared, sizes = relocated(torch.tensor([opacity]), was[None], torch.tensor([4]))
    assert torch.allclose(field.opacities, shared.expand(4), atol=1e-5)
    assert torch.allclose(field.scales, sizes.expand(4, 3), rtol=1e-4)
    assert not any(state["exp_avg"].any() for state in optimizer.state.values()), "their moments start again"
    assert control.relocate(torch.Generator()) == 0, "nothing is dead any more"


def test_copies_together_look_like_the_one():
    """Seen face on, three stacked copies leave the image nearly as it was; without the scale it would change more."""
    field = field_of([0.8], sizes=0.02)
    with torch.no_grad():
        field.xyz.zero_()
    shared, sizes = relocated(field.opacities.detach(), field.scales.detach(), torch.tensor([3]))
    view = torch.eye(4)
    view[2, 3] = 0.7

    def drawn(count, opacity, scales):
        d = field.deformed()
        return rasterization(d["means"].expand(count, 3), d["quats"].expand(count, 4), scales.expand(count, 3),
                             opacity.expand(count), torch.ones(count, 3), viewmats=view[None],
                             Ks=torch.tensor([[[140.0, 0, 32], [0, 140, 32], [0, 0, 1]]]), width=64, height=64)[0]

    with torch.no_grad():
        one, three = drawn(1, field.opacities, field.scales), drawn(3, shared, sizes)
        plain = drawn(3, shared, field.scales)
    assert (one - three).abs().mean() < 0.5 * (one - plain).abs().mean()


def test_growth_is_five_percent_to_the_cap():
    control, optimizer = control_of([0.5] * 40, cap=43)
    generator = torch.Generator().manual_seed(1)
    assert control.grow(generator) == 2 and control.grow(generator) == 1 and control.grow(generator) == 0
    assert len(control.field) == 43
    state = optimizer.state[control.field.xyz]
    assert state["exp_avg"].shape == (43, 3) and not state["exp_avg"][40:].any() and state["exp_avg"].any()


def test_noise_moves_the_transparent_along_their_own_axes():
    control, _ = control_of([0.002, 0.9])
    field, before = control.field, control.field.xyz.detach().clone()
    with torch.no_grad():
        field.scaling[:] = torch.tensor([0.02, 1e-4, 1e-4]).expm1().log()
        field.rotation[:] = torch.tensor([1.0, 0, 0, 0])
    control.disturb(1.6e-5, torch.Generator().manual_seed(2))
    shift = field.xyz.detach() - before
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    gate = 1 / (1 + math.exp(100 * (float(field.opacities[0].detach()) - DEAD)))
    assert float(shift[0, 0]) == pytest.approx(0.02 ** 2 * float(noise[0, 0]) * gate * 5e5 * 1.6e-5, rel=1e-2)
    assert shift[0, 1:].abs().max() < 1e-6 and shift[1].abs().max() < 1e-6, "thin axes and solid ones stay"


def test_a_control_comes_every_so_many_steps_and_noise_always():
    control, _ = control_of([0.5] * 40, cap=100)
    generator = torch.Generator().manual_seed(1)
    assert control.control(PLAN, 5, 1.6e-5, generator) is None and len(control.field) == 40
    report = control.control(PLAN, 10, 1.6e-5, generator)
    assert report is not None and (report.cloned, report.split, report.total) == (2, 0, 42)
    assert control.control(PLAN, 100, 1.6e-5, generator) is None
    assert density_control(replace(preset("demo"), densify="mcmc")) is MarkovControl
