"""Names of voices, engines beside espeak-ng, other speakers by shifting, and sentences in other languages."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import articulation, espeak, perform, phrases, voices
from talking_heads.media_core.subject.espeak import Spoken

needs_espeak = pytest.mark.skipif(espeak.find_library() is None, reason="espeak-ng is not installed")


def tone(line: str, name: str, stretch: float) -> Spoken:
    """An engine that hums 200 Hz for a second times `stretch` at 16 kHz."""
    count = round(16000 * stretch)
    return Spoken((.2 * np.sin(2 * np.pi * 200 * np.arange(count) / 16000)).astype(np.float32), 16000,
                  voices.from_arpa([("b", .5 * stretch, None), ("aa", stretch, None)], stretch))


@pytest.fixture
def humming(monkeypatch):
    monkeypatch.setattr(voices, "_engines", {})
    voices.register("hum", tone)


def test_names_are_read(humming):
    assert voices.read_name("en-us+f3") == voices.Voice("espeak", "en-us+f3", 1.0, varied=False)
    assert voices.read_name("espeak:de+m1@0.9") == voices.Voice("espeak", "de+m1", 0.9)
    assert voices.read_name("hum:low@1.25") == voices.Voice("hum", "low", 1.25)
    assert [voices.read_name(name).language for name in ("en-us+f3", "espeak:fr+f1", "hum:low")] == ["en", "fr", "en"]


@pytest.mark.parametrize("name", ["", "flite:slt", "hum:", "hum:low@2", "hum:low@0.1", "hum:low@x", "hum:low@1.1.1", "a b"])
def test_other_names_are_explained(humming, name):
    with pytest.raises(TalkingHeadsError):
        voices.read_name(name)


def test_an_engine_that_is_not_here_names_those_that_are(humming):
    with pytest.raises(TalkingHeadsError, match="espeak, hum.*'flite' in 'flite:slt'"):
        perform(1.0, 0, voice="flite:slt")


def test_a_shifted_voice_is_higher_and_keeps_its_tempo(humming):
    low, high = (voices.speak(["x"] * 8, voices.read_names(name), np.random.default_rng(3)) for name in ("hum:a", "hum:a@1.25"))
    pitch = [np.argmax(np.abs(np.fft.rfft(s.samples))) * s.rate / len(s.samples) for s in (*low, *high)]
    assert np.mean(pitch[8:]) / np.mean(pitch[:8]) == pytest.approx(1.25, abs=.02)
    seconds = [len(s.samples) / s.rate for s in (*low, *high)]
    assert np.mean(seconds[8:]) == pytest.approx(np.mean(seconds[:8]), rel=.02) and np.std(seconds[:8]) > .05
    for spoken in (*low, *high):
        assert spoken.rate == voices.RATE and np.abs(spoken.samples).max() == pytest.approx(.5, abs=1e-3)
        assert spoken.phonemes[-1][2] == pytest.approx(len(spoken.samples) / spoken.rate, abs=2e-3)
        assert spoken.phonemes[0][2] == pytest.approx(spoken.phonemes[-1][2] / 2, rel=1e-6)


def test_a_voice_without_espeak_needs_no_espeak(humming, monkeypatch):
    monkeypatch.setattr(espeak, "find_library", lambda: None)
    first, again = perform(3.0, 5, voice="hum:a"), perform(3.0, 5, voice="hum:a")
    assert first.engine == "espeak" and first.phonemes == again.phonemes
    assert np.array_equal(first.sound.waveform, again.sound.waveform) and np.array_equal(first.params, again.params)


def test_phones_become_phonemes():
    rows = [("pau", .1, None), ("hh", .15, None), ("AH0", .2, None), ("l", .25, None), ("ow", .4, None), ("zz", 9.0, True)]
    assert voices.from_arpa(rows, .5) == (("_", 0.0, .1), ("h", .1, .15), ("V", .15, .2), ("l", .2, .25), ("'oU", .25, .4),
                                          ("_", .4, .5))
    assert voices.from_arpa([("ih", .2, False)], 1.0) == (("I", 0.0, .2),)
    assert voices.from_arpa([("ih", .02, True), ("p", .02, True)], 1.0) == (("'I", 0.0, .02),), "without length: left out"
    for mnemonic in voices.ARPA.values():
        assert known(mnemonic), mnemonic


def known(name: str) -> bool:
    key = articulation.bare(name)
    return (key in articulation.DIPHTHONGS or key in articulation.CONSONANTS
            or bool(articulation.VOWELS.get(key) or articulation.VOWELS.get(key.rstrip(":#2345"))))


@needs_espeak
@pytest.mark.parametrize("language", sorted(phrases.LANGUAGES))
def test_the_lips_know_the_sounds_of_every_language(language):
    spoken = perform(20.0, 4, voice=f"espeak:{language}+f2", engine="espeak")
    names = [(name, end - start) for name, start, end in spoken.phonemes if name[0] != "_" and articulation.bare(name)]
    strange = sum(length for name, length in names if not known(name))
    assert strange < .02 * sum(length for _, length in names)
    assert set(spoken.text) <= {line for line in spoken.text if line[0].isupper()}
    closed = [name for name, _ in names if articulation.bare(name) in ("p", "b", "m")]
    assert len(closed) >= 8


@needs_espeak
def test_voices_that_take_turns_speak_their_own_languages():
    spoken = perform(12.0, 0, voice=("en-us+m1", "de+f2"), engine="espeak")
    german = {word for part in vars(phrases.LANGUAGES["de"]).values() for phrase in part for word in phrase.split()}
    known_words = [sum(word.strip(",.!?").lower() in {w.lower().strip(",:") for w in german} for word in line.split()) /
                   len(line.split()) for line in spoken.text]
    assert max(known_words[::2]) < .4 and min(known_words[1::2]) > .9


def test_sentences_are_many():
    for language in phrases.LANGUAGES:
        lines = {phrases.sentence(language, np.random.default_rng(i)) for i in range(200)}
        assert len(lines) > 190 and all("  " not in line and "\n" not in line and line[-1] in ".!?" for line in lines)
