"""The samplers' steps: finite for any number of them on either schedule, however its last bit is rounded; the published times."""
from __future__ import annotations

import functools
from fractions import Fraction

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core import walk
from talking_heads.moditalker_core.atom import diffusion as atom
from talking_heads.moditalker_core.mtov import diffusion as mtov

COUNTS = range(1, 1001)
FEW = [*range(1, 61), *(n for n in COUNTS if 1000 % n == 0 and n > 60), 333, 999]  # of calls in the real loop, for DDIM
FEWER = [1, 2, 3, 7, 25, 61]  # for the solvers of diffusers, whose every step takes a millisecond
X, FRESH = torch.tensor([[[1.3, -0.7]]]), torch.tensor([[[0.2, -1.1]]])
MODULES = pytest.mark.parametrize("module", [atom, mtov], ids=["atom", "mtov"])


@pytest.fixture(params=[0, -1, 1], ids=["as it is", "one bit down", "one bit up"])
def last_bit(request, monkeypatch):
    """Both schedules with every level moved to the next number of single precision: another processor's rounding."""
    for module in (atom, mtov) if request.param else ():
        levels = module.alphas_cumprod().numpy()
        moved = torch.from_numpy(np.nextafter(levels, np.float32(2 * (request.param > 0))))
        assert not torch.equal(moved, module.alphas_cumprod())
        monkeypatch.setattr(module, "alphas_cumprod", lambda moved=moved: moved)
    return request.param


@functools.cache
def every_list(module, name: str) -> torch.Tensor:  # int64 [n, 1000]
    """The times of a sampler at every number of steps, and in MToV from two starts; what is shorter repeats its first."""
    if module is atom:
        made = [atom.make_scheduler(name, n) for n in COUNTS]
    else:
        made = [mtov.make_scheduler(name, n, ratio) for ratio in (1.0, 0.25) for n in range(1, round(1000 * ratio) + 1)]
    return torch.stack([torch.cat([each.timesteps[:1].expand(1000 - len(each.timesteps)), each.timesteps]) for each in made])


@MODULES
@pytest.mark.parametrize("name", walk.SAMPLERS)
def test_every_number_of_steps_falls_and_never_below_the_last(module, name):
    times = every_list(module, name)
    first = times[:, :1]
    assert bool(((times.diff() < 0) | (times[:, 1:] == first)).all()) and int(times.min()) >= 0 and int(times.max()) <= 999
    counts = (times != first).sum(1) + 1
    if name != "dpm++" or module is mtov:
        assert counts[:1000].tolist() == list(COUNTS)  # as many as were asked for, and no time twice
    else:
        assert counts[:222].tolist() == list(COUNTS)[:222] and int(counts.max()) == 996


@MODULES
def test_ddims_factors_are_finite_and_keep_the_level_for_every_number_of_steps(module, last_bit):
    """Signal and both noises of eq. 12 add up to the level that a step goes to: none is ever the root of less than nothing."""
    levels = module.alphas_cumprod().double()[every_list(module, "ddim")]
    there = torch.cat([levels[:, 1:], torch.ones_like(levels[:, :1])], 1)
    for eta in (0.0, 0.3, 1.0):
        clean, noise, fresh = walk.ddim_factors(levels, eta).unbind(-1)
        total = clean ** 2 + noise ** 2 + fresh ** 2
        assert float((total - 1).abs().max()) < 1e-12 and torch.equal(clean, there.sqrt())  # NaN is in no range
        assert bool((clean[:, -1] == 1).all()) and not noise[:, -1].any() and not fresh[:, -1].any()
        assert bool((fresh == 0).all()) == (eta == 0)


@MODULES
@pytest.mark.parametrize("name", ["dpm++", "unipc"])
def test_the_solvers_steps_are_above_nothing_for_every_number_of_steps(module, name, last_bit):
    """Their factors are quotients and exponents of steps of half the log of signal over noise, in single precision."""
    times = every_list(module, name)
    levels = module.alphas_cumprod().double()
    sigma = ((1 - levels) / levels).sqrt().float()
    signal = 1 / (sigma ** 2 + 1).sqrt()
    place = (torch.log(signal) - torch.log(sigma * signal))[times]
    assert bool(torch.isfinite(place).all())
    assert float(place.diff()[times.diff() < 0].min()) > 1e-4


def drawn(module, name, steps, ratio=1.0, eta=1.0):
    """A real sampling of two numbers, of a network that is not right."""
    if module is atom:
        return atom.sample(lambda x, t: 0.5 * x, lambda k: X if k == 0 else FRESH, atom.make_scheduler(name, steps), eta=eta)
    return mtov.sample(lambda x, t: 0.9 * x, X, lambda k: FRESH, mtov.make_scheduler(name, steps, ratio, eta=eta))


def check(found, *what):
    assert bool(torch.isfinite(found).all()) and float(found.abs().max()) <= 1.001, (*what, found)


@torch.inference_mode()
@MODULES
def test_what_is_sampled_is_finite(module, last_bit):
    for n in FEW if not last_bit else FEW[:12]:
        check(drawn(module, "ddim", n), n)
    for name, n in ((name, n) for name in ("ddim0", "dpm++", "unipc") for n in (FEWER if not last_bit else FEWER[:4])):
        check(drawn(module, name, n), name, n)
    for ratio, eta in ((0.4, 1.0), (0.25, 0.5), (0.01, 1.0)) if module is mtov else ():
        for n in (1, 2, 3, 5, 9, 10):
            check(drawn(module, "ddim", n, ratio, eta), ratio, n)


# -------------------------------------------------------------------------------------------------------- published times

def test_published_times_are_even_and_cut_off():
    assert walk.official_times(50) == list(range(999, 0, -20)) and walk.official_times(1000) == list(range(999, -1, -1))
    assert walk.official_times(12) == [999, 915, 832, 749, 665, 582, 499, 415, 332, 249, 165, 82]
    for n in COUNTS:
        exact = [1000 * left // n - 1 for left in range(n, 0, -1)]
        apart = [a - b for a, b in zip(exact, walk.official_times(n), strict=True)]
        assert set(apart) <= {0, 1} and (1000 % n or not any(apart))  # single precision cuts a whole number to the one below


def test_atom_runs_the_published_times_and_steps_to_the_next_of_them():
    """Steps of 12 that do not divide 1000: a network that is right about a point finds the noise it was given at every call."""
    seen, answer = [], torch.tensor([[[0.4, -0.2]]])

    def right(x, t):
        level = atom.alphas_cumprod().double()[t]
        seen.append((int(t), ((x - level.sqrt() * answer) / (1 - level).sqrt())))
        return answer

    atom.sample(right, lambda k: X, atom.make_scheduler("ddim", 12), eta=0.0)
    assert [t for t, _ in seen] == walk.official_times(12)
    assert all(torch.allclose(noise.float(), X, atol=1e-3) for _, noise in seen)


def test_a_published_noised_start_that_does_not_come_out_even():
    assert mtov.scheduled_times(12, 0.4) == [415, 332, 249, 165, 82]  # 12 steps, of which int(12 * 0.6) = 7 are dropped
    assert mtov.scheduled_times(100, 0.25) == list(range(249, 0, -10)) and mtov.scheduled_times(7, 1.0) == walk.official_times(7)
    assert mtov.make_scheduler("ddim", 3, 0.4, schedule=12).timesteps.tolist() == [415, 332, 249, 165, 82]


def test_where_it_comes_out_even_the_calls_mean_the_same():
    """All pairs of a schedule that divides 1000 and a ratio in thousandths that leaves whole steps: nothing saved changes."""
    compared = 0
    for schedule in (n for n in COUNTS if 1000 % n == 0):
        for thousandth in range(1, 1001):
            ratio, left = thousandth / 1000, Fraction(schedule * thousandth, 1000)
            if left.denominator == 1 and int(schedule * (1 - ratio)) == schedule - left:
                assert mtov.scheduled_times(schedule, ratio) == mtov.sampler_times(int(left), ratio), (schedule, ratio)
                compared += 1
    assert compared > 1500


@pytest.mark.parametrize("schedule, ratio", [(0, 0.25), (-1, 0.25), (1001, 0.25), (12.0, 0.25), (12, 0.0), (12, 1.1), (12, -0.1),
                                             (12, float("nan")), (10, 1e-17)])
def test_no_such_schedule(schedule, ratio):
    with pytest.raises(TalkingHeadsError, match="schedule"):
        mtov.scheduled_times(schedule, ratio)


@pytest.mark.parametrize("values", [("ddim", 0), ("ddim", -3), ("unipc", 1001), ("dpm++", 5.0)])
def test_no_such_atom_sampler(values):
    with pytest.raises(TalkingHeadsError, match="steps"):
        atom.make_scheduler(*values)


@pytest.mark.parametrize("clip", [-1.0, 0.0, float("nan")])
def test_no_such_clip(clip):
    with pytest.raises(TalkingHeadsError, match="clip"):
        atom.sample(lambda x, t: x, lambda k: X, atom.make_scheduler("ddim", 2), clip=clip)


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan")])
def test_no_such_fraction_of_fresh_noise(eta):
    with pytest.raises(TalkingHeadsError, match="Eta, the fraction"):
        atom.sample(lambda x, t: x, lambda k: X, atom.make_scheduler("ddim", 2), eta=eta)
