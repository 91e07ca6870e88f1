"""flite and festival as voices: what they say and when, and what is wrong where they are absent."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
from talking_heads.host import speech_programs
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import articulation, perform, voices

LINE = "Bob popped the bubble, and my mother made a map."
PROGRAMS = [pytest.param(name, marks=pytest.mark.skipif(shutil.which(name.split(":")[0]) is None, reason="not installed"))
            for name in ("flite:slt", "festival:kal")]


@pytest.fixture(autouse=True)
def engines(monkeypatch):
    monkeypatch.setattr(voices, "_engines", {})
    speech_programs.add_speech_programs()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_line_is_spoken_with_its_phonemes(name):
    spoken = perform(None, 1, voice=name, text=LINE)
    names = [articulation.bare(phoneme) for phoneme, _, _ in spoken.phonemes]
    assert names.count("b") == 4 and names.count("p") == 3 and names.count("m") == 4
    assert 2 < spoken.sound.duration < 7 and any(articulation.is_stressed(phoneme) for phoneme, _, _ in spoken.phonemes)
    again = perform(None, 1, voice=name, text=LINE)
    assert np.array_equal(spoken.sound.waveform, again.sound.waveform) and spoken.phonemes == again.phonemes


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_loud_is_where_the_phonemes_are(name):
    spoken = perform(None, 2, voice=name, text=LINE)
    wave, rate = spoken.sound.waveform[0], spoken.sound.sample_rate
    loud = lambda start, end: damage_level(wave[int(start * rate):int(end * rate)])
    vowels = [loud(a, b) for n, a, b in spoken.phonemes if articulation.bare(n) in ("V", "A:", "a", "eI") and b - a > .05]
    pauses = [loud(a, b) for n, a, b in spoken.phonemes if n == "_" and b - a > .1]
    assert min(vowels) > 3 * max(pauses)


def damage_level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples ** 2)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_quotes_and_umlauts_do_no_harm(name):
    spoken = perform(None, 1, voice=name, text='He said "no\\ (quit)" to Müller.')
    assert spoken.sound.duration > 1


def test_an_absent_program_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(TalkingHeadsError, match="flite.*not installed.*Debian"):
        perform(1.0, 0, voice="flite:slt")


def test_an_unknown_voice_names_those_there_are():
    with pytest.raises(TalkingHeadsError, match="slt, rms.*'nobody'"):
        speech_programs.flite("Hello.", "nobody", 1.0)
    with pytest.raises(TalkingHeadsError, match="kal, ked, slt"):
        speech_programs.festival("Hello.", "rms", 1.0)
