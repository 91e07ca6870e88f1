"""How weights move: Adan as published, the climb and fall of the rate, averaged weights."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.training_core.optim import FLOOR, Adan, Ema, lr_factor, make_optimizer
from talking_heads.training_core.state import optimizer_tensors, restore_optimizer

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "moditalker" / "moditalker_atom.safetensors"


def test_adan_is_the_published_one():
    fixture = load_file(FIXTURE)
    p = torch.nn.Parameter(fixture["in.adan_p0"].clone())
    optimizer = Adan([p])
    for grad, wanted in zip(fixture["in.adan_grads"], fixture["out.adan_params"]):
        p.grad = grad.clone()
        optimizer.step()
        assert float((p.detach() - wanted).abs().max()) < 1e-7


def test_the_first_step_of_adan_only_decays():
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    p.grad = torch.tensor([5.0, 5.0])
    Adan([p], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(p.detach(), torch.tensor([1.0, -2.0]) / 1.05)


def _steps(optimizer, params, first, count):
    for k in range(first, first + count):
        for i, p in enumerate(params):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * k + i))
        optimizer.step()


@pytest.mark.parametrize("name", ["adan", "adamw"])
def test_an_optimizer_goes_on_from_its_tensors(name):
    params = [torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.zeros(5))]
    optimizer = make_optimizer(name, params, 1e-2, 0.1)
    _steps(optimizer, params, 0, 3)
    others = copy.deepcopy(params)
    again = make_optimizer(name, others, 1e-2, 0.1)
    restore_optimizer(again, {k: v.clone() for k, v in optimizer_tensors(optimizer).items()})
    _steps(optimizer, params, 3, 2), _steps(again, others, 3, 2)
    assert all(torch.equal(a, b) for a, b in zip(params, others)) and not torch.equal(params[1], torch.zeros(5))


def test_a_parameter_that_joins_later_has_its_own_first_step():
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = Adan([a, b], weight_decay=0.0)
    for step in range(3):
        a.grad, b.grad = torch.ones(2), torch.ones(2) if step else None
        optimizer.step()
    assert float(optimizer.state[a]["step"]) == 3 and float(optimizer.state[b]["step"]) == 2
    assert a[0] < b[0] < 1


def test_another_optimizer_is_refused():
    with pytest.raises(TalkingHeadsError, match="'adan' or 'adamw'"):
        make_optimizer("sgd", [torch.nn.Parameter(torch.ones(1))], 1e-3, 0.0)


def test_the_rate_climbs_and_falls():
    factors = [lr_factor(step, 100, 10, "cosine") for step in range(100)]
    assert factors[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert all(a > b for a, b in zip(factors[10:], factors[11:])) and FLOOR < factors[-1] < 2 * FLOOR
    assert lr_factor(55, 100, 10, "cosine") == pytest.approx((1 + FLOOR) / 2)
    assert {lr_factor(step, 100, 10, "constant") for step in range(10, 100)} == {1.0}


def test_averaged_weights_forget_their_beginning_when_warmed_up():
    ema, plain, p = (make({"w": torch.zeros(1)}) for make in (lambda p: Ema(p, 0.9999, True), lambda p: Ema(p, 0.9999, False),
                                                              lambda p: p))
    p["w"] = torch.ones(1)
    ema.update(p, 1), plain.update(p, 1)
    assert float(ema.average["w"]) == pytest.approx(1 - 2 / 11) and float(plain.average["w"]) == pytest.approx(1e-4, rel=1e-3)
    ema.update(p, 10 ** 6)
    assert float(ema.average["w"]) == pytest.approx(1 - 2 / 11 * 0.9999, abs=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rates_are_those_of_torchs_scheduler(schedule):
    """To the bit, at every step; ours needs no state of its own."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, 50, 7, schedule, 0.02))
    for step in range(50):
        assert optimizer.param_groups[0]["lr"] == 3e-4 * lr_factor(step, 50, 7, schedule, 0.02)
        optimizer.step()
        theirs.step()
