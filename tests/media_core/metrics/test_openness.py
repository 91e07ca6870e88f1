"""Phones of which the rules' opening is known, and a curve whose shifted correlation is."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.metrics.openness import follows, phone_jaw, phone_openness
from talking_heads.media_core.metrics.phones import MNEMONICS, Phone, Phones
from talking_heads.media_core.subject.articulation import CONSONANTS, DIPHTHONGS, VOWELS


def test_a_lone_vowel_has_its_own_opening():
    phones = Phones((Phone("AA", 0.0, 4.0),), aligned=True)
    shape = VOWELS[MNEMONICS["AA"]]
    assert phone_openness(phones, 100, 25)[50] == pytest.approx(0.95 * shape["la"], rel=1e-6)  # 0.95: unstressed
    assert phone_jaw(phones, 100, 25)[50] == pytest.approx(0.95 * shape["jaw"], rel=1e-6)


def test_lips_meet_at_a_bilabial_and_rest_in_silence():
    phones = Phones((Phone("AA", 1.0, 1.2), Phone("M", 1.2, 1.3), Phone("AA", 1.3, 1.5), Phone("SIL", 1.5, 4.0)), aligned=True)
    opening = phone_openness(phones, 100, 25)
    assert opening[29:33].min() < 0.2 * opening.max()
    assert opening[60:].max() < 0.05 * opening.max()


def test_every_phone_has_a_rule():
    assert all(name in VOWELS or name in DIPHTHONGS or name in CONSONANTS for name in MNEMONICS.values())


def test_the_null_is_the_mean_over_shifts():
    wave = np.cos(np.arange(2000) / 25 * np.pi / 2)  # period 4 s: shifted by s seconds it correlates with cos(s pi / 2)
    found = follows(wave, wave, 25)
    shifts = np.array([25, 31, 38, 44, 50]) / 25
    assert found.r == pytest.approx(1)
    assert found.shifted == pytest.approx(np.cos(shifts * np.pi / 2).mean(), abs=0.01)
