"""Phones of real and synthetic speech; without pocketsphinx only what it is not needed for."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.metrics.phones import Phone, Phones, find_phones, words
from talking_heads.media_core.metrics.silence import speaking_frames

SHORT = Path(__file__).parents[3] / "demo" / "demo_speech_short.wav"
SAID = "Bob popped the bubble, and Maya laughed out loud."
SILENCE = Sound(np.zeros((1, 16000), np.float32), 16000)


@pytest.fixture
def demo() -> Sound:
    pytest.importorskip("pocketsphinx")
    return load_sound(SHORT)


def test_words_are_letters_and_apostrophes():
    assert words("It\u2019s five o'clock, Mr. ill-disposed!") == ["it's", "five", "o'clock", "mr", "ill", "disposed"]


def test_phones_by_name_and_without_silence():
    phones = Phones((Phone("SIL", 0, 1), Phone("B", 1, 1.1), Phone("AA", 1.1, 1.3)), aligned=False)
    assert [p.name for p in phones.spoken] == ["B", "AA"]
    assert phones.named(("B", "P")) == (Phone("B", 1, 1.1),)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(TalkingHeadsError, match="extra 'metrics'"):
        find_phones(SILENCE)


def test_silence_has_no_phones():
    pytest.importorskip("pocketsphinx")
    assert find_phones(SILENCE).phones == find_phones(SILENCE, "a word").phones == ()


def test_known_words_are_aligned(demo):
    found = find_phones(demo, SAID)
    assert found.aligned
    names = [p.name for p in found.spoken]
    assert names[:7] == ["B", "AA", "B", "P", "AA", "P", "T"]
    assert names[-3:] == ["L", "AW", "D"]
    assert len(found.named(("P", "B", "M"))) == 7
    assert all(a.end <= b.start + 1e-9 for a, b in zip(found.phones, found.phones[1:]))
    assert found.phones[-1].end <= demo.duration + 0.02


def test_without_words_phones_are_recognised_and_so_marked(demo):
    found, known = find_phones(demo), find_phones(demo, SAID)
    assert not found.aligned
    assert len(found.spoken) > 15
    spoken, heard = (speaking_frames(phones, round(25 * demo.duration), 25) for phones in (known, found))
    assert (spoken == heard).mean() > 0.85  # which phones they are is less sure: this is a formant synthesiser


@pytest.mark.parametrize("text, wrong", [("he was a heffalump", "heffalump"), ("12 ...", "no words")])
def test_words_that_nobody_can_pronounce_are_named(demo, text, wrong):
    with pytest.raises(TalkingHeadsError, match=wrong):
        find_phones(demo, text)
