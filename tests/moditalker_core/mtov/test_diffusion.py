"""MToV's schedule, noised start, training targets and samplers: against formulas, and on toys whose answer is known."""
from __future__ import annotations

import pytest
import torch
from mtov_nets import near
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.moditalker_core.mtov import diffusion

SHAPE = (2, 4, 6)
MEAN, SPREAD = 0.3, 0.4
PUBLISHED = list(range(249, 0, -10))


def drawn(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    noises = [torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(40)]
    return lambda k: noises[k]


def levels() -> torch.Tensor:  # float64 [1000]
    return torch.cumprod(1 - diffusion.betas(), 0)


def run(sampler, calls, predict, start, ratio=0.25, prediction="sample", clip=None, eta=1.0, draw=None, **more):
    scheduler = diffusion.make_scheduler(sampler, calls, ratio, prediction, clip, eta)
    return diffusion.sample(predict, start, draw or drawn(1), scheduler, **more)


def test_the_schedule_is_the_published_one():
    level = diffusion.alphas_cumprod()
    assert level.dtype == torch.float32 and len(level) == 1000
    for t, want in ((0, 0.9985), (249, 0.51051), (250, 0.50842), (499, 0.11584), (999, 1.423e-4)):
        assert float(level[t]) == pytest.approx(want, rel=1e-4)
    assert torch.equal(level, levels().float())  # cumulated in float64, then rounded


def test_published_times():
    scheduler = diffusion.make_scheduler("ddim", 25, 0.25)
    assert scheduler.timesteps.tolist() == PUBLISHED and scheduler.draws == 24
    assert diffusion.sampler_times(100, 1.0) == list(range(999, 0, -10)) and diffusion.sampler_times(100, 1.0)[75:] == PUBLISHED
    assert diffusion.sampler_times(5, 0.25) == [249, 199, 149, 99, 49]
    for bend in (1, 3):
        assert diffusion.sampler_times(250, 0.25, bend) == list(range(249, -1, -1))
    assert diffusion.sampler_times(4, 0.25, 3) == [249, 104, 30, 2]


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
@pytest.mark.parametrize("calls, ratio", [(1, 0.25), (3, 0.3), (7, 0.25), (100, 0.25), (10, 1.0)])
def test_any_number_of_calls_starts_at_the_ratio_and_falls(sampler, calls, ratio):
    scheduler = diffusion.make_scheduler(sampler, calls, ratio)
    assert len(scheduler.timesteps) == calls and (scheduler.timesteps.diff() < 0).all()
    assert int(scheduler.timesteps[0]) == round(1000 * ratio) - 1 and scheduler.timesteps[-1] >= 0


def test_the_noised_start_is_one_step_above_the_first_call():
    reference, noise = drawn()(0).tanh(), drawn()(1)
    level = levels()[250]
    assert near(diffusion.noised_start(reference, 0.25, noise), level.sqrt() * reference + (1 - level).sqrt() * noise, 1e-6)
    assert torch.equal(diffusion.noised_start(reference, 1.0, noise), noise)
    each = torch.cat([diffusion.noised_start(reference[:1], 0.25, part[None]) for part in noise])
    assert near(diffusion.noised_start(reference[:1], 0.25, noise), each)  # one identity for all clips


@pytest.mark.parametrize("prediction", diffusion.PREDICTIONS)
def test_what_is_trained_for_leads_back_to_the_clean_latent(prediction):
    x0, noise, times = drawn()(0).tanh(), drawn()(1), torch.tensor([3, 700])
    x, told = diffusion.noised(x0, times, noise), diffusion.training_target(prediction, x0, noise, times)
    for i, t in enumerate(times):
        assert near(diffusion.clean(prediction, told[i:i + 1], x[i:i + 1], t), x0[i:i + 1], 1e-5)


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
@pytest.mark.parametrize("prediction", diffusion.PREDICTIONS)
@pytest.mark.parametrize("calls", [1, 4, 6, 25])
def test_a_network_that_knows_the_answer_is_believed_from_any_start(sampler, prediction, calls):
    answer, level = drawn(5)(0).tanh(), diffusion.alphas_cumprod().double()

    def knows(x, t):
        noise = (x - level[t].sqrt() * answer) / (1 - level[t]).sqrt()
        return diffusion.training_target(prediction, answer, noise, t.expand(len(x)))

    start = diffusion.noised_start(drawn(6)(0).tanh(), 0.25, drawn(7)(0))
    assert near(run(sampler, calls, knows, start, prediction=prediction, clip=1.0), answer, 2e-5)


def gaussian(x, t):
    """E[x0 | x_t] where x0 is N(MEAN, SPREAD^2)."""
    level = levels()[int(t)]
    gain = level.sqrt() * SPREAD ** 2 / (level * SPREAD ** 2 + 1 - level)
    return MEAN + gain * (x - level.sqrt() * MEAN)


def flow(start, first=249):
    """Where the probability flow of that Gaussian ends, from x at t = `first`."""
    level = levels()[first]
    return MEAN + (start - level.sqrt() * MEAN) * SPREAD / (level * SPREAD ** 2 + 1 - level).sqrt()


def test_samplers_from_the_noised_start_converge_to_the_exact_flow():
    start = diffusion.noised_start(drawn()(0).tanh(), 0.25, drawn()(1))
    want = flow(start)
    apart = lambda sampler, calls: float((run(sampler, calls, gaussian, start, eta=0.0) - want).abs().max())
    many = apart("ddim0", 250)
    assert many < 0.02 and apart("ddim", 250) == many  # eta 0 is ddim0
    for sampler in ("dpm++", "unipc"):
        few, more, most = (apart(sampler, calls) for calls in (4, 10, 40))
        assert few < 0.06 and more < 0.02 and most < 0.01, (few, more, most)
        assert few < apart("ddim0", 4) / 5 and more < apart("ddim0", 10) / 5
    assert apart("ddim0", 100) < apart("ddim0", 25) < apart("ddim0", 10)


def test_fresh_noise_keeps_the_spread():
    """eta 1 draws from the distribution itself: the last x0 estimates are its members, less what one step cannot tell."""
    torch.manual_seed(0)
    x0 = MEAN + SPREAD * torch.randn(1, 4, 5000, dtype=torch.float64)
    start = diffusion.noised(x0, torch.tensor([249]), torch.randn_like(x0))
    scheduler = diffusion.make_scheduler("ddim", 125, 0.25, "sample", None, 1.0)
    end = diffusion.sample(gaussian, start, lambda k: torch.randn_like(x0), scheduler)
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.01) and float(end.std()) == pytest.approx(SPREAD, abs=0.025)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("calls", [5, 7, 25])
def test_ddim_is_its_formula_with_the_noise_as_it_was_told(eta, calls):
    """x0 is clamped, the noise is not computed anew (docs/moditalker.md); and any number of calls steps by its own times."""
    level, draw = levels(), drawn(2)
    told = lambda x, t: 1.7 * x + 0.1  # so large that x0 is clamped
    x = diffusion.noised_start(drawn()(0).tanh(), 0.25, drawn()(1))
    got = run("ddim", calls, told, x, prediction="epsilon", clip=0.5, eta=eta, draw=draw)
    times = [*diffusion.sampler_times(calls, 0.25), -1]
    for k, (t, then) in enumerate(zip(times, times[1:])):
        noise = told(x, t)
        x0 = ((1 / level[t]).sqrt() * x - (1 / level[t] - 1).sqrt() * noise).clamp(-0.5, 0.5)
        after = level[then] if then >= 0 else torch.tensor(1.0)
        sigma = eta * ((1 - level[t] / after) * (1 - after) / (1 - level[t])).sqrt()
        x = after.sqrt() * x0 + (1 - after - sigma ** 2).clamp_min(0).sqrt() * noise + sigma * draw(k + 1)
    assert near(got, x0, 1e-6) and near(got, x, 1e-6)


@pytest.mark.parametrize("sampler, asked", [("ddim", [1, 2, 3]), ("ddim0", []), ("dpm++", []), ("unipc", [])])
def test_noise_is_asked_for_once_a_step_by_number(sampler, asked):
    draws, seen = [], []
    draw = lambda k: draws.append(k) or drawn()(k)
    scheduler = diffusion.make_scheduler(sampler, 4, 0.25, "sample", 0.2)
    end = diffusion.sample(gaussian, drawn()(0), draw, scheduler, watch=lambda k, x0: seen.append((k, x0)))
    assert draws == asked and scheduler.draws == len(asked)
    assert [k for k, _ in seen] == [0, 1, 2, 3] and all(float(x0.abs().max()) <= 0.2 for _, x0 in seen)
    assert near(end, seen[-1][1], 1e-9)


def test_watching_may_cancel():
    def stop(k, x0):
        if k == 1:
            raise Cancelled()

    with pytest.raises(Cancelled):
        run("unipc", 5, gaussian, drawn()(0), watch=stop)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_pulled_noise_is_what_the_sampler_meets(eta):
    """From the identity's start a network that is right about x0 leaves just this share of the identity at every step."""
    answer, reference, level = drawn(5)(0).tanh(), drawn(6)(0).tanh(), levels()
    met = []

    def knows(x, t):
        met.append((int(t), (x - level[t].sqrt() * answer) / (1 - level[t]).sqrt()))
        return answer

    nothing = torch.zeros(SHAPE, dtype=torch.float64)
    run("ddim", 25, knows, diffusion.noised_start(reference, 0.25, nothing), eta=eta, draw=lambda k: nothing)
    for t, noise in met:
        pulled = diffusion.pulled_noise(answer, reference, torch.full((2,), t), nothing, 1.0, 0.25, eta)
        assert near(pulled, noise, 0.01)
    assert float(met[0][1].abs().max()) > 0.5


def test_pull_0_is_published_and_the_targets_stay_those_of_the_clean_latent():
    x0, reference, noise = (drawn(k)(0).tanh() for k in range(3))
    times = torch.tensor([0, 600])
    assert torch.equal(diffusion.pulled_noise(x0, reference, times, noise, 0.0), noise)
    moved = diffusion.pulled_noise(x0, reference, times, noise, 1.0)
    x = diffusion.noised(x0, times, moved)
    assert near(x[1:], diffusion.noised(reference, times, noise)[1:], 1e-5)  # above the start: around the reference
    assert near(x[:1], diffusion.noised(x0, times, noise)[:1], 0.02)  # at the end: around the answer
    for prediction in diffusion.PREDICTIONS:
        told = diffusion.training_target(prediction, x0, moved, times)
        assert near(diffusion.clean(prediction, told[1:], x[1:], times[1]), x0[1:], 1e-4)


@pytest.mark.parametrize("values", [("euler", 25, 0.25), ("ddim", 0, 0.25), ("ddim", 251, 0.25), ("ddim", 5, 0.0),
                                    ("ddim", 5, 1.1), ("ddim", 5.0, 0.25), ("ddim", 5, 0.25, "noise"),
                                    ("ddim", 5, 0.25, "epsilon", 0.0), ("ddim", 5, 0.25, "epsilon", 1.0, 1.5),
                                    ("ddim", 5, float("nan")), ("ddim", 5, 0.25, "epsilon", float("nan"))])
def test_impossible_sampling(values):
    with pytest.raises(TalkingHeadsError, match="dpm"):
        diffusion.make_scheduler(*values)
