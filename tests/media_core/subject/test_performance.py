"""Words, voices and curves: what is said, when the lips close, and that the same arguments give the same bits."""
from __future__ import annotations

import sys

import numpy as np
import pytest
from talking_heads.media_core.audio import frame_count
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import AU_NAMES, PARAMS, articulation, espeak, letters, perform

needs_espeak = pytest.mark.skipif(espeak.find_library() is None, reason="espeak-ng is not installed")
ENGINES = [pytest.param("espeak", marks=needs_espeak), "formant"]
LA = PARAMS.index("la")


def equal(a, b) -> bool:
    arrays = ("params", "au", "euler", "translation", "sway")
    return (a.text == b.text and a.phonemes == b.phonemes and np.array_equal(a.sound.waveform, b.sound.waveform)
            and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays))


@pytest.mark.parametrize("engine", ENGINES)
def test_same_arguments_give_the_same_bits_and_another_seed_does_not(engine):
    first, other = perform(3.0, 5, engine=engine), perform(3.0, 6, engine=engine)
    assert equal(first, perform(3.0, 5, engine=engine))
    assert not equal(first, other)
    assert first.engine == engine


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seconds, fps", [(0.5, 25.0), (2.013, 25.0), (1.99, 30.0)])
def test_length_follows_the_seconds(engine, seconds, fps):
    p = perform(seconds, 1, fps=fps, engine=engine)
    assert abs(p.sound.duration - seconds) <= 1 / p.sound.sample_rate
    assert len(p) == frame_count(p.sound.duration, fps) == int(seconds * fps + 0.5)
    assert p.params.shape == (len(p), 22) and p.au.shape == (len(p), 17) and p.euler.shape == (len(p), 3)
    assert p.translation.shape == (len(p), 3) and p.sway.shape == (len(p), 2)
    assert max(end for _, _, end in p.phonemes) <= p.sound.duration + 1e-9


@pytest.mark.parametrize("engine", ENGINES)
def test_given_text_is_spoken_and_sets_the_length(engine):
    short = perform(None, 0, engine=engine, text="Maybe.")
    long = perform(None, 0, engine=engine, text=["Maybe.", "Bob popped the bubble, and Maya laughed out loud."])
    assert long.text == ("Maybe.", "Bob popped the bubble, and Maya laughed out loud.")
    assert 0.8 < short.sound.duration < long.sound.duration
    names = [articulation.bare(name) for name, _, _ in long.phonemes]
    assert names.count("b") >= 4 and names.count("p") >= 1 and names.count("l") >= 2
    padded = perform(9.0, 0, engine=engine, text="Maybe.")
    assert len(padded) == 225 and np.abs(padded.sound.waveform[0, -3 * padded.sound.sample_rate:]).max() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_lips_close_on_p_b_m_and_open_on_vowels(engine):
    p = perform(None, 3, engine=engine, text="Bob popped the bubble. My mother made a map of Alabama. Papa bought a boat.")
    middle = {key: [] for key in ("lips", "open")}
    for name, start, end in p.phonemes:
        key = articulation.bare(name)
        frame = min(len(p) - 1, max(0, int(((start + end) / 2 - articulation.LEAD) * p.fps)))
        if key in ("p", "b", "m"):
            middle["lips"].append(p.params[frame, LA])
        elif key in ("0", "A:", "aI", "a", "aa", "O:", "V"):
            middle["open"].append(p.params[frame, LA])
    assert len(middle["lips"]) >= 10 and len(middle["open"]) >= 5
    assert np.median(middle["lips"]) < 0.3 and np.mean(np.array(middle["lips"]) < 2.0) > 0.8
    assert np.median(middle["open"]) > 3.0 and max(middle["open"]) > 6.0


def test_action_units_stay_in_range_and_move():
    p = perform(20.0, 2)
    assert p.au.min() >= 0 and p.au.max() <= 5
    assert p.au[:, AU_NAMES.index("AU45")].max() > 4, "no blink in 20 s"
    assert p.au[:, AU_NAMES.index("AU25")].max() > 2 and (p.au.std(0) > 0.01).all()
    assert np.abs(p.euler).max() < 0.6 and np.abs(p.euler[:, 0]).max() > 0.03


def test_blinks_know_nothing_of_the_words():
    a, b = perform(6.0, 2, text="One two three."), perform(6.0, 2, text="Nobody ever saw the yellow moon.")
    assert not np.array_equal(a.params[:, LA], b.params[:, LA])
    loud = np.array([np.abs(x).max() for x in np.array_split(a.sound.waveform[0], len(a))]) > 0.02
    blink = a.params[:, PARAMS.index("blink")]
    assert abs(np.corrcoef(loud, blink)[0, 1]) < 0.35


def test_what_is_said_much_later_does_not_pull_the_mouth():
    """Far anchors weigh nothing: in a long video, blending over all of them would drift towards the mean mouth."""
    words = [("A:", 1.0, 1.2), ("b", 1.2, 1.3), ("A:", 1.3, 1.5)]
    later = [("A:", 20 + i / 5, 20.2 + i / 5) for i in range(2000)]
    short, long = (articulation.coarticulate(articulation.anchors(articulation.with_silences(said, seconds)), 50, 25.0)
                   for said, seconds in ((words, 20.0), (words + later, 420.0)))
    assert np.array_equal(short, long) and short[:, 1].max() > 5


def test_sound_and_lips_agree_in_time():
    """Loud frames are open frames, best at no lag: the check that caught a resampling by the wrong ratio."""
    p = perform(30.0, 4)
    sixteen = p.sound.mono(16000)
    assert abs(len(sixteen) - round(p.sound.duration * 16000)) <= 1
    loud = np.array([np.sqrt((x ** 2).mean()) for x in np.array_split(sixteen, len(p))])
    aperture = p.params[:, LA]
    at = {lag: np.corrcoef(loud[10 + lag:len(loud) - 10 + lag], aperture[10:-10])[0, 1] for lag in range(-10, 11)}
    assert abs(max(at, key=at.get)) <= 2 and max(at.values()) > 0.3


@needs_espeak
def test_the_voice_does_not_depend_on_what_was_said_before():
    lines = [espeak.Utterance("Good morning.", "en-us+f3", 158, 58), espeak.Utterance("Bob popped it.", "en-us+f3", 150, 60)]
    first = espeak.speak(lines)
    espeak.speak(lines[::-1] * 2)
    again = espeak.speak(lines)
    for a, b in zip(first, again):
        assert np.array_equal(a.samples, b.samples) and a.phonemes == b.phonemes
    assert len(first[0].samples) > first[0].rate // 4


@needs_espeak
def test_an_unknown_voice_is_named():
    with pytest.raises(TalkingHeadsError, match="no-such-voice"):
        perform(1.0, 0, voice="no-such-voice", engine="espeak")


def test_without_espeak_auto_takes_the_formant_voice_and_espeak_explains_itself(monkeypatch):
    monkeypatch.setattr(espeak, "find_library", lambda: None)
    assert perform(1.0, 0).engine == "formant"
    with pytest.raises(TalkingHeadsError) as caught:
        perform(1.0, 0, engine="espeak")
    assert "espeak" in caught.value.must and caught.value.came and "formant" in caught.value.do


@pytest.mark.parametrize("arguments", [
    {"seconds": None}, {"seconds": 0.0}, {"seconds": float("nan")}, {"seconds": 1.0, "engine": "tts"},
    {"seconds": 1.0, "text": " .! "}, {"seconds": 1.0, "script": "poem"}, {"seconds": 1.0, "fps": 0}])
def test_impossible_requests_are_explained(arguments):
    with pytest.raises(TalkingHeadsError):
        perform(**{"seed": 0, **arguments})


def test_letters_know_the_lips():
    assert letters.spell("bob")[0] == letters.spell("bob")[-1] == "b"
    assert "aI" in letters.spell("time") and letters.spell("phone")[0] == "f" and letters.spell("") == []
    rng = np.random.default_rng(0)
    spoken = letters.read_aloud("The quick brown fox, which we saw, jumps over a lazy dog's tail!", rng)
    assert all(end > start for _, start, end in spoken)
    assert all(b[1] >= a[2] - 1e-9 for a, b in zip(spoken, spoken[1:]))


def test_importing_the_subject_is_light():
    import subprocess
    code = ("import sys; import talking_heads.media_core.subject as s; "
            "heavy = {'cv2', 'scipy', 'skimage', 'torch'} & set(sys.modules); print(sorted(heavy)); assert s.CREDIT")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_that_cannot_be_loaded_is_as_none_to_auto(monkeypatch, tmp_path, caplog):
    """As where the temporary folder is mounted noexec: the loader refuses the copy."""
    from talking_heads.moditalker_core.data.from_subject import SubjectPlan, _resolved

    (tmp_path / "libespeak-ng.so").write_bytes(b"not for loading")
    monkeypatch.setattr(espeak, "find_library", lambda: (tmp_path / "libespeak-ng.so", None))
    assert perform(0.5, 0).engine == "formant" and "cannot speak here" in caplog.text
    assert _resolved(SubjectPlan()).engine == "formant"
    with pytest.raises(TalkingHeadsError, match="temporary folder.*private-libespeak.*noexec.*'formant'"):
        perform(0.5, 0, engine="espeak")
