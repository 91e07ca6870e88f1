"""Frames counted by hand."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.metrics.phones import Phone, Phones
from talking_heads.media_core.metrics.silence import (
    missed_fraction,
    missed_vowels,
    quiet_frames,
    shut,
    shut_fraction,
    speaking_frames,
)

SPOKEN = Phones((Phone("SIL", 0.0, 1.0), Phone("AA", 1.0, 1.2), Phone("T", 1.2, 1.3), Phone("SIL", 1.3, 4.0)), aligned=True)


def test_frames_with_speech_and_those_away_from_it():
    assert np.flatnonzero(speaking_frames(SPOKEN, 100, 25)).tolist() == list(range(25, 33))
    quiet = quiet_frames(SPOKEN, 100, 25)  # speech from 0.76 to 1.74 s: frames 19 to 43
    assert np.flatnonzero(~quiet).tolist() == list(range(19, 44))


def test_shut_is_two_percent_of_the_eyes_distance_above_rest():
    opening = np.array([0.01, 0.029, 0.031, 0.2, np.nan])
    assert shut(opening, rest=0.01).tolist() == [True, True, False, False, False]
    assert shut_fraction(opening, np.array([True, True, True, False, True]), rest=0.01) == pytest.approx(2 / 3)
    assert np.isnan(shut_fraction(opening, np.zeros(5, bool), rest=0.01))


def test_rest_is_the_fifth_percentile_where_it_is_not_known():
    opening = np.arange(21) / 100  # 5th percentile .01: shut up to .03
    assert shut(opening).sum() == 4


def test_a_gate_that_closes_early_misses_speech():
    silent = np.zeros(100, bool)
    silent[31:] = True
    assert missed_fraction(silent, SPOKEN, 25) == pytest.approx(2 / 8)
    assert np.isnan(missed_fraction(silent, Phones((), True), 25))


def test_vowels_that_stay_shut_are_missed():
    opening = np.full(100, 0.01)
    assert missed_vowels(opening, SPOKEN, 25, rest=0.0) == 1
    opening[27] = 0.05
    assert missed_vowels(opening, SPOKEN, 25, rest=0.0) == 0
