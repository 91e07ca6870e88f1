"""Sounds without a voice, and damaged recordings: bounded, repeatable, and of the length they should be."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.subject import damage


def decibels(samples: np.ndarray) -> float:
    return 20 * np.log10(damage.rms(samples))


def voice(seconds: float) -> np.ndarray:
    """A buzz that comes and goes, with pauses of silence."""
    time = np.arange(round(seconds * damage.RATE)) / damage.RATE
    return (.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * (np.sin(2 * np.pi * .7 * time) > 0)).astype(np.float32)


def test_nobody_is_repeatable_finite_and_of_many_levels():
    one, again, other = (damage.nobody(60.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.dtype == np.float32 and one.shape == (60 * damage.RATE,) and np.array_equal(one, again)
    assert not np.array_equal(one, other) and np.isfinite(one).all() and np.abs(one).max() <= 1
    levels = [decibels(part) for part in np.array_split(one, 30)]
    assert min(levels) < -40 and max(levels) > -25


@pytest.mark.parametrize("sound", damage.SOUNDS)
@pytest.mark.parametrize("count", [1, 700, 50_000])
def test_every_sound_has_the_length_asked_for(sound, count):
    made = sound(count, np.random.default_rng(0))
    assert made.shape == (count,) and np.isfinite(made).all()


def test_hum_is_one_of_the_mains():
    spectrum = np.abs(np.fft.rfft(damage.hum(damage.RATE, np.random.default_rng(4))))
    assert any(abs(int(np.argmax(spectrum)) - k * base) <= .03 * k * base for base in (50, 60, 100, 120) for k in range(1, 9))


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_piece_is_finite_as_long_and_at_a_level_of_its_own(seed):
    whole = voice(5.0)
    made = damage.damaged(whole, np.random.default_rng(seed))
    assert made.dtype == np.float32 and made.shape == whole.shape and np.abs(made).max() <= 1 and np.isfinite(made).all()
    low, high = damage.LEVELS
    assert low - 1 <= 20 * np.log10(damage.loudness(made)) <= high + 1


def test_silence_stays_quiet_unless_there_is_a_sound_under_it():
    made = [decibels(damage.damaged(np.zeros(48_000, np.float32), np.random.default_rng(seed))) for seed in range(20)]
    assert np.mean(np.array(made) < -60) > .7


def test_the_fraction_says_how_much_is_damaged():
    whole = voice(600.0)
    rng = np.random.default_rng
    assert np.array_equal(damage.damaged_in_parts(whole, 0.0, rng(0)), whole)
    made = damage.damaged_in_parts(whole, .25, rng(0))
    assert made.shape == whole.shape and np.array_equal(made, damage.damaged_in_parts(whole, .25, rng(0)))
    loud = np.abs(whole) > 0
    assert .1 < np.mean(made[loud] != whole[loud]) < .4


def test_an_empty_piece_is_no_error():
    assert len(damage.damaged_in_parts(np.zeros(0, np.float32), 1.0, np.random.default_rng(0))) == 0
