"""A ramp, whose percentiles are known."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.metrics.closures import Closures, closures
from talking_heads.media_core.metrics.phones import Phone, Phones

RAMP = np.arange(21.0)  # 5th percentile 1, 90th 18: closed below 1 + 17/4 = 5.25, open above 1 + .4 * 17 = 7.8


def spoken(*phones: tuple[str, float, float]) -> Phones:
    return Phones(tuple(Phone(name, start / 25, end / 25) for name, start, end in phones), aligned=True)


def test_the_lowest_quarter_is_closed_one_frame_to_either_side():
    assert closures(RAMP, spoken(("P", 5.5, 6.5)), 25).closed == 1   # frames 4..7: least 4
    assert closures(RAMP, spoken(("M", 7.5, 8.5)), 25).closed == 0   # frames 6..9: least 6
    assert closures(RAMP, spoken(("K", 0.5, 1.5)), 25).bilabials == 0


def test_open_vowels_must_open():
    assert closures(RAMP, spoken(("AA", 6.5, 7.5)), 25) == Closures(0, 0, 1, 1)  # frames 6..8: most 8
    assert closures(RAMP, spoken(("AE", 5.5, 6.5)), 25) == Closures(0, 0, 0, 1)


def test_phones_behind_the_video_and_unseen_ones_are_not_counted():
    hidden = RAMP.copy()
    hidden[4:8] = np.nan
    assert closures(RAMP, spoken(("B", 22.0, 23.0)), 25).bilabials == 0
    assert closures(hidden, spoken(("B", 5.5, 6.5)), 25).bilabials == 0
    assert np.isnan(closures(np.full(5, np.nan), spoken(("B", 1.0, 2.0)), 25).closed_fraction)


def test_recordings_add_up():
    both = Closures(1, 2, 3, 4).plus(Closures(2, 2, 0, 1))
    assert both == Closures(3, 4, 3, 5)
    assert both.closed_fraction == pytest.approx(0.75)
    assert both.open_fraction == pytest.approx(0.6)
