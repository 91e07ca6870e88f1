"""Schedule, loss and samplers: against formulas, and against a Gaussian whose true denoiser is known."""
from __future__ import annotations

import math

import pytest
import torch
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.moditalker_core.atom import diffusion

SHAPE = (1, 4, 6)


def test_the_schedule_is_the_published_one():
    level = diffusion.alphas_cumprod()
    assert level.dtype == torch.float32 and len(level) == 1000
    for t, want in ((19, 0.99825), (499, 0.49384), (979, 9.712e-4), (999, 2.43e-9)):
        assert float(level[t]) == pytest.approx(want, rel=1e-3)
    assert float(diffusion.betas()[0]) == pytest.approx(4.1284e-5, rel=1e-4)
    assert float(diffusion.betas().max()) == pytest.approx(0.999)


def test_published_times_and_the_first_and_last_of_every_sampler():
    assert diffusion.make_scheduler("ddim", 50).timesteps.tolist() == list(range(999, 0, -20))
    for sampler in diffusion.SAMPLERS:
        for steps in (1, 10, 20):
            times = diffusion.make_scheduler(sampler, steps).timesteps
            assert len(times) == steps and (times.diff() < 0).all() and 900 < times[0] <= 999


@pytest.mark.parametrize("sampler, steps", [("euler", 50), ("ddim", 0), ("ddim", 1001), ("", 5)])
def test_no_such_sampler(sampler, steps):
    with pytest.raises(TalkingHeadsError, match="dpm"):
        diffusion.make_scheduler(sampler, steps)


def drawn(seed: int = 0, shape: tuple[int, ...] = SHAPE):
    generator = torch.Generator().manual_seed(seed)
    noises = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(60)]
    return lambda k: noises[k]


def run(sampler, steps, predict, draw=None, eta=0.0, clip=None, **more):
    scheduler = diffusion.make_scheduler(sampler, steps)
    return diffusion.sample(predict, draw or drawn(), scheduler, eta=eta, clip=clip, **more)


MEAN, SPREAD = 0.3, 0.4


def gaussian(x, t):
    """E[x0 | x_t] where x0 is N(MEAN, SPREAD^2)."""
    level = diffusion.alphas_cumprod().double()[int(t)]
    gain = level.sqrt() * SPREAD ** 2 / (level * SPREAD ** 2 + 1 - level)
    return MEAN + gain * (x - level.sqrt() * MEAN)


@pytest.mark.parametrize("sampler, steps, within", [("ddim0", 50, 0.05), ("ddim", 50, 0.05), ("dpm++", 20, 0.02),
                                                    ("unipc", 20, 0.02)])
def test_samplers_without_fresh_noise_follow_the_same_flow(sampler, steps, within):
    """The flow of a Gaussian's exact denoiser takes x_T to MEAN + SPREAD x_T."""
    got = run(sampler, steps, gaussian)
    assert float((got - (MEAN + SPREAD * drawn()(0))).abs().max()) < within


def test_fresh_noise_gives_the_distribution_too():
    ends = run("ddim", 50, gaussian, drawn(shape=(100, 4, 6)), eta=1.0)
    assert float(ends.mean()) == pytest.approx(MEAN, abs=0.05) and float(ends.std()) == pytest.approx(SPREAD, abs=0.05)
    one, other = (run("ddim", 50, gaussian, lambda k, s=s: drawn(0 if k == 0 else s)(k), eta=1.0) for s in (1, 2))
    assert float((one - other).abs().max()) > 0.1


def test_published_ddim_step_by_hand():
    """One step of docs/moditalker.md#atom-diffusion, the noise's direction taken from the clamped prediction."""
    draw, seen = drawn(), []
    run("ddim", 50, lambda x, t: seen.append(x) or 3 * torch.ones(SHAPE, dtype=torch.float64), draw, eta=1.0, clip=1.0)
    level = diffusion.alphas_cumprod().double()
    now, then, x0 = level[999], level[979], 1.0
    direction = ((1 / now).sqrt() * draw(0) - x0) / (1 / now - 1).sqrt()
    sigma = ((1 - now / then) * (1 - then) / (1 - now)).sqrt()
    want = then.sqrt() * x0 + (1 - then - sigma ** 2).sqrt() * direction + sigma * draw(1)
    assert torch.equal(seen[0], draw(0)) and torch.allclose(seen[1], want, atol=1e-4)


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
@pytest.mark.parametrize("steps", [7, 15, 20, 60])  # 7, 15 and 60 do not divide 1000
def test_the_end_is_the_last_prediction_with_any_number_of_steps(sampler, steps):
    draw, clean = drawn(3), drawn(4)(0).clamp(-1, 1)
    noises = [draw(k % 60) for k in range(steps + 1)]
    found = diffusion.sample(lambda x, t: clean, lambda k: noises[k], diffusion.make_scheduler(sampler, steps))
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-6)


def test_how_many_draws_each_sampler_takes():
    for sampler, eta, wanted in (("ddim", 1.0, list(range(50))), ("ddim0", 0.0, [0]), ("dpm++", 1.0, [0]), ("unipc", 1.0, [0])):
        taken = []
        run(sampler, 50, gaussian, lambda k: taken.append(k) or drawn()(k), eta=eta)
        assert taken == wanted, sampler


@pytest.mark.parametrize("sampler", diffusion.SAMPLERS)
def test_the_clip_holds_and_can_be_left_out(sampler):
    far = lambda x, t: torch.full(SHAPE, 3.0, dtype=torch.float64)
    seen = []
    clipped = run(sampler, 10, far, clip=0.5, watch=lambda k, x0: seen.append((k, float(x0.abs().max()))))
    assert seen == [(k, 0.5) for k in range(10)] and torch.allclose(clipped, torch.tensor(0.5, dtype=torch.float64), atol=1e-3)
    assert torch.allclose(run(sampler, 10, far), torch.tensor(3.0, dtype=torch.float64), atol=1e-3)


def test_what_watches_may_stop():
    done = []

    def watch(k, x0):
        done.append(k)
        if k == 3:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        run("ddim", 50, gaussian, watch=watch)
    assert done == [0, 1, 2, 3]


def test_noising_is_the_schedules():
    x0, noise, times = torch.randn(2, 4, 6), torch.randn(2, 4, 6), torch.tensor([0, 700])
    level = diffusion.alphas_cumprod()
    got = diffusion.noised(x0, times, noise)
    for i, t in enumerate(times):
        assert torch.allclose(got[i], math.sqrt(level[t]) * x0[i] + math.sqrt(1 - level[t]) * noise[i], atol=1e-6)


def test_the_loss_counts_position_and_velocity():
    wrong = torch.zeros(1, 3, 2)
    wrong[0, 1] = 2.0  # one of three frames; both its velocities
    got = diffusion.losses(wrong, torch.zeros_like(wrong))
    assert float(got.reconstruction) == pytest.approx(7.5 * 4 / 3) and float(got.velocity) == pytest.approx(1.5 * 4)
    assert float(got.total) == pytest.approx(float(got.reconstruction + got.velocity))


def test_padding_does_not_count():
    torch.manual_seed(0)
    predicted, x0 = torch.randn(2, 6, 5), torch.randn(2, 6, 5)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[:, 4:] = False
    want, spoilt = diffusion.losses(predicted[:, :4], x0[:, :4]), predicted.clone()
    spoilt[:, 4:] = 1e3
    assert diffusion.losses(spoilt, x0, mask).total == pytest.approx(float(want.total), rel=1e-5)
    nothing = diffusion.losses(predicted, x0, torch.zeros_like(mask))
    assert float(nothing.total) == 0.0
