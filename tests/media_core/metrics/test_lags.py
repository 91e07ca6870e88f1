"""Curves with known lags."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.metrics.lags import consensus_lag, lag_scores, lagged, loudness, speech_offset


def bump(at: float) -> np.ndarray:
    return np.exp(-((np.arange(80) - at) / 4) ** 2)


def test_a_late_curve_agrees_at_its_lag():
    truth, late = np.array([0.0, 1, 2, 0, 0]), np.array([0.0, 0, 1, 2, 0])
    assert lagged(late, truth, 1) == pytest.approx(1)
    assert lagged(truth, late, -1) == pytest.approx(1)
    # By hand: deviations (-.6, -.6, .4, 1.4, -.6) and (-.6, .4, 1.4, -.6, -.6); products' sum .2, squares' sum 3.2 each.
    assert lagged(late, truth, 0) == pytest.approx(0.2 / 3.2)


def test_frames_without_a_face_do_not_count():
    truth, made = np.array([0.0, 1, 2, 3, 9]), np.array([0.0, 2, 4, 6, np.nan])
    assert lagged(made, truth, 0) == pytest.approx(1)
    assert np.isnan(lagged(np.full(5, np.nan), truth, 0))


def test_curves_of_different_length_are_compared_where_both_are():
    assert lagged(np.array([0.0, 1, 2, 3, 100]), np.array([0.0, 2, 4, 6]), 0) == pytest.approx(1)


def test_curves_shorter_than_the_lag_say_nothing():
    short = np.array([0.0, 1, 3])
    assert np.isnan(lagged(short, short, 3)) and np.isnan(lagged(short, short, -4))
    assert len(lag_scores(short, short, 4)) == 9
    assert speech_offset(short, short).frames == pytest.approx(0)
    assert np.isnan(speech_offset(short[:2], short[:2]).frames)


def test_the_consensus_is_where_all_models_together_agree_best():
    truth = bump(40)
    assert consensus_lag([bump(42), bump(42)], truth) == 2
    assert consensus_lag([bump(41), bump(43)], truth) == 2
    assert consensus_lag([np.zeros(80)], truth) == 0
    assert lag_scores(bump(43), truth).argmax() - 4 == 3


def test_an_offset_is_found_to_a_fraction_of_a_frame():
    assert speech_offset(bump(32.0), bump(30)).frames == pytest.approx(2, abs=0.02)
    assert speech_offset(bump(28.5), bump(30)).frames == pytest.approx(-1.5, abs=0.1)
    assert speech_offset(bump(32.0), bump(30)).r == pytest.approx(1, abs=0.01)
    assert np.isnan(speech_offset(np.ones(80), bump(30)).frames)


def test_loudness_is_relative_to_the_loud_part():
    wave = np.sin(2 * np.pi * 500 * np.arange(32000) / 16000)
    wave[16000:24000] *= 0.1
    wave[24000:] = 0
    level = loudness(Sound(wave[None].astype(np.float32), 16000), 50, 25.0)
    assert level[10] == pytest.approx(0, abs=0.01)
    assert level[30] == pytest.approx(-20, abs=0.01)
    assert level[45] == -50
