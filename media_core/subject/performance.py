"""Words -> a performance: the sound, and for every frame the face parameters, the head's turn and the shoulders' sway.

Lips, jaw and tongue follow the audio. Blinks, smiles, frowns, gaze and head sway are sampled from the seed, independent of it;
nods and brow raises follow the stressed vowels. A model that has learnt the subject should find exactly that.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..asked import frame_rate, whole
from ..audio import Sound, frame_count
from ..choices import VOICE_ENGINES
from ..errors import TalkingHeadsError
from ..progress import Report, silent
from . import articulation, espeak, formant, letters, phrases, voices
from . import text as script_text
from .articulation import Phoneme
from .curves import bump, low_pass, unit, wander
from .parameters import INDEX, PARAMS, action_units

_LEAD_IN, _LEAD_OUT = 0.4, 0.4       # s of silence around given text
_MIN_SECONDS = 0.2
VARIED = tuple(f"en-us+{name}" for name in ("f3", "m1", "f1", "m5", "f4", "m3", "m7", "f2", "m2", "f5", "m4", "m8", "m6"))
"""Voices to hear many of, for a photo: nobody knows which voice its avatar will speak with."""


@dataclass(frozen=True)
class Performance:
    """What the subject does and says. T frames at `fps`; frame i stands for the time (i + 0.5) / fps."""
    sound: Sound                       # mono
    phonemes: tuple[Phoneme, ...]      # (espeak mnemonic, start s, end s); "_" is silence
    text: tuple[str, ...]              # the lines, in order
    params: np.ndarray                 # float64 [T, 22], order of PARAMS
    au: np.ndarray                     # float64 [T, 17] 0..5, order of AU_NAMES
    euler: np.ndarray                  # float64 [T, 3] yaw, pitch, roll in radians, relative to the portrait's own
    translation: np.ndarray            # float64 [T, 3] photo pixels (1 px is 1.48 mm): right, down, away
    sway: np.ndarray                   # float64 [T, 2] photo pixels: right, down, of the shoulders
    fps: float
    engine: str                        # "espeak" or "formant"

    def __len__(self) -> int:
        return len(self.params)

    def phoneme_at(self, frame: int) -> str:
        """The phoneme sounding at the middle of a frame."""
        now = (frame + .5) / self.fps
        return next((name for name, start, end in self.phonemes if start <= now < end), "_")


@dataclass(frozen=True)
class Heard:
    """Audio with the mouth that goes with it, for a person who says something of the user's."""
    sound: Sound
    mouth: np.ndarray                  # float64 [T, 9] at `fps`, in the order of `articulation.CURVES`
    fps: float
    sha256: str                        # of the audio and the mouth


def perform(seconds: float | None, seed: int, *, fps: float = 25.0, voice: str | Sequence[str] = "en-us+f3",
            engine: str = "auto", text: str | Sequence[str] | None = None, script: str = "grammar", heard: Heard | None = None,
            report: Report = silent) -> Performance:
    """Makes a performance; the same arguments give the same bits.

    Args:
        seconds: length; None (with `text`) means as long as the text needs. Longer text is cut, shorter is followed by silence.
        seed: draws the script, the expressions and the head's motion.
        voice: a name as `voices` reads it, or several that take turns line by line; the formant voice has one only. An invented
            script is in the voice's language where there are words for it (`phrases`), else in English.
        engine: "espeak", "formant", or "auto" (espeak where its library is found and can be loaded).
        text: what to say, one line or several; None draws a script.
        heard: audio with its mouth; then there are no words, `seconds` cuts it, and the engine is "audio".
        script: "grammar" (endless) or "lines" (twelve fixed lines, shuffled and repeated).
        report: called with 0 of 1 before each line of the formant voice, the slow one; may raise to cancel.
    Raises:
        TalkingHeadsError: a length, engine or script that cannot be; the engine "espeak" without its library.
    """
    whole("The seed", seed)
    if heard is not None:
        return _to_audio(heard, seconds, seed, text)
    _check(seconds, fps, text, script)
    speakers = voices.read_names(voice)
    engine = _choose(engine, speakers)
    wave, rate, phonemes, lines = _speak(seconds, seed, speakers, engine, _given(text), script, report)
    length = len(wave) / rate
    frames = frame_count(length, fps)
    phonemes = articulation.with_silences(phonemes, length)
    mouth = articulation.coarticulate(articulation.anchors(phonemes), frames, fps)
    return _acted(Sound(wave[None], rate), mouth, phonemes, lines, seed, fps, engine)


def _to_audio(heard: Heard, seconds: float | None, seed: int, text: str | Sequence[str] | None) -> Performance:
    """The performance for a user's audio.

    Raises:
        TalkingHeadsError: a text as well, or too short.
    """
    if text is not None:
        raise TalkingHeadsError("A person says a text or an audio file", "both", "Leave one of them out")
    sound = heard.sound if seconds is None else heard.sound.cut(0, min(seconds, heard.sound.duration))
    if sound.duration < _MIN_SECONDS:
        raise TalkingHeadsError(f"The audio must last {_MIN_SECONDS} s or more", f"{sound.duration:.2f} s",
                                "Use a longer recording")
    frames = min(frame_count(sound.duration, heard.fps), len(heard.mouth))
    return _acted(sound, heard.mouth[:frames], [], (), seed, heard.fps, "audio")


def _acted(sound: Sound, mouth: np.ndarray, phonemes: Sequence[Phoneme], lines: tuple[str, ...], seed: int, fps: float,
           engine: str) -> Performance:
    """The mouth with all that the seed adds to it."""
    frames, length = len(mouth), sound.duration
    rng = np.random.default_rng([seed, 1])
    params = np.zeros((frames, len(PARAMS)))
    for i, curve in enumerate(articulation.CURVES):
        params[:, INDEX[curve]] = mouth[:, i]
    nods, brows = _prosody(phonemes, frames, fps, rng)
    _express(params, brows, fps, rng)
    _blink(params, length, fps, rng)
    euler, translation, sway = head_movement(nods, frames, fps, rng)
    _gaze(params, euler, fps, rng)
    return Performance(sound=sound, phonemes=tuple(phonemes), text=lines, params=params,
                       au=action_units(params), euler=euler, translation=translation, sway=sway, fps=float(fps), engine=engine)


# ---------------------------------------------------------------------------------------------------------------- speech

def _check(seconds, fps, text, script) -> None:
    if seconds is None and text is None:
        raise TalkingHeadsError("A performance needs a length or a text", "neither", "Give seconds, or text, or both")
    if seconds is not None and not _MIN_SECONDS <= seconds <= 4 * 3600:
        raise TalkingHeadsError(f"A performance must last between {_MIN_SECONDS} s and 4 h", f"{seconds} s",
                                "Choose another length")
    frame_rate(fps, 5, 240)
    if script not in ("grammar", "lines"):
        raise TalkingHeadsError("The script must be 'grammar' or 'lines'", f"'{script}'", "Choose one of the two, or give a text")


def _choose(engine: str, speakers: Sequence[voices.Voice]) -> str:
    if engine not in VOICE_ENGINES:
        raise TalkingHeadsError("The engine must be 'auto', 'espeak' or 'formant'", f"'{engine}'", "Choose one of the three")
    if engine == "auto":
        return "espeak" if voices.without_espeak(speakers) or espeak.usable() else "formant"
    return engine


def _given(text: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    lines = tuple(line.strip() for line in ([text] if isinstance(text, str) else text))
    lines = tuple(line for line in lines if line)
    if not any(letter.isalnum() for line in lines for letter in line):
        raise TalkingHeadsError("The text must have words in it", f"{text!r}", "Write something to say, or leave the text out")
    return lines


def _speak(seconds, seed, speakers, engine, given, script, report):
    """-> (float32 [N], Hz, phonemes, lines), exactly `seconds` long, or as long as the given text needs."""
    rng = np.random.default_rng(seed)
    languages = [speaker.language for speaker in speakers] if engine == "espeak" else ["en"]
    lines, gaps = _script(seconds, rng, given, script, languages)
    spoken = voices.speak(lines, speakers, rng) if engine == "espeak" else _with_formants(lines, seed, report)
    rate = spoken[0].rate
    wanted = None if seconds is None else int(round(seconds * rate))
    pieces, phonemes, said, at = [], [], [], 0
    for line, words, gap in zip(lines, spoken, gaps):
        if wanted is not None and at >= wanted:
            break
        at += int(rate * gap)
        pieces += [np.zeros(int(rate * gap), np.float32), words.samples]
        phonemes += [(name, start + at / rate, end + at / rate) for name, start, end in words.phonemes]
        at += len(words.samples)
        said.append(line)
    total = at + int(rate * _LEAD_OUT) if wanted is None else wanted
    wave = np.concatenate(pieces + [np.zeros(max(0, total - at), np.float32)])[:total]
    end = total / rate
    return wave, rate, [(name, a, min(b, end)) for name, a, b in phonemes if a < end], tuple(said)


def _script(seconds, rng, given, script, languages) -> tuple[list[str], list[float]]:
    if given is not None:
        return list(given), [_LEAD_IN] + [.18 + .3 * rng.random() for _ in given[1:]]
    lines, gaps, guess = [], [], 0.0
    order = rng.permutation(len(script_text.LINES))
    while guess < seconds + 2:                                        # a line lasts about 52 ms a letter
        language = languages[len(lines) % len(languages)]
        if language in phrases.LANGUAGES:
            line = phrases.sentence(language, rng)
        else:
            line = script_text.sentence(rng) if script == "grammar" else script_text.LINES[order[len(lines) % len(order)]]
        lines.append(line)
        gaps.append(_LEAD_IN if len(lines) == 1 else .18 + .3 * rng.random())
        guess += .35 + len(line) * .045
    return lines, gaps


def _with_formants(lines, seed, report) -> list[espeak.Spoken]:
    out = []
    for i, line in enumerate(lines):
        report(0, 1, {"stage": "voice"}, None)
        rng = np.random.default_rng([seed, 5, i])
        phonemes = letters.read_aloud(line, rng)
        seconds = phonemes[-1][2] + .1 if phonemes else .3
        out.append(espeak.Spoken(formant.sing(phonemes, seconds, rng), formant.RATE, tuple(phonemes)))
    return out


# ------------------------------------------------------------------------------------------------------------ face, head

def _prosody(phonemes, frames, fps, rng) -> tuple[np.ndarray, np.ndarray]:
    """Nods and brow raises on some of the stressed vowels: two curves [T]."""
    time = (np.arange(frames) + .5) / fps
    nods, brows = np.zeros(frames), np.zeros(frames)
    for name, start, _ in phonemes:
        if not articulation.is_stressed(name):
            continue
        near = np.abs(time - start) < 1.5
        if rng.random() < .5:
            nods[near] += rng.uniform(.4, 1.0) * bump(time[near], start + .08, .11)
        if rng.random() < .22:
            brows[near] += rng.uniform(.3, .9) * bump(time[near], start + .10, .20)
    return nods, brows


def _express(params, brows, fps, rng) -> None:
    """Smile, frown, dimple, brows, nose, lids and cheeks, written into `params`."""
    frames = len(params)

    def noise(memory, spread):
        return wander(frames, fps, memory, spread, rng)

    smile = unit(.18 + noise(2.2, .26))
    low = unit(noise(1.6, .30) - .22)
    brow = unit(brows) * (1 - low)
    nose = unit(.55 * low + noise(.8, .10) - .06)
    layer = {"smile": smile * .8, "cheek": unit(.65 * smile + noise(1.5, .08)),
             "frown": unit(noise(1.8, .22) - .12) * (1 - smile), "dimple": unit(noise(1.0, .22) - .1),
             "browlow": low, "nose": nose,
             "lidtight": unit(.3 * low + .25 * smile + noise(1.2, .10)),
             "upraise": unit(params[:, INDEX["upraise"]] + .35 * nose),
             "browin": unit(brow * .9 + noise(1.5, .06)), "browout": unit(brow * .75 + noise(1.5, .06)),
             "lidraise": unit(.5 * brow)}
    for name, curve in layer.items():
        params[:, INDEX[name]] = curve


def _blink(params, length, fps, rng) -> None:
    """Blinks of about 0.3 s, one every 3.4 s on average."""
    time = (np.arange(len(params)) + .5) / fps
    blink = np.zeros(len(params))
    start = .4 + rng.exponential(1.6)
    while start < length:
        slowness = rng.uniform(.9, 1.25)
        blink = np.maximum(blink, np.interp((time - start) / slowness, [-.08, 0, .05, .22], [0, 1, 1, 0], left=0, right=0))
        start += .6 + rng.exponential(2.8)
    params[:, INDEX["blink"]] = blink


def head_movement(nods: np.ndarray, frames: int, fps: float,
                  rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a head that speaks: euler [T, 3] rad (yaw, pitch, roll), translation [T, 3], sway of the shoulders [T, 2] in photo px.

    Args:
        nods: [T] 0..1, with the stresses of the speech.
    """
    yaw = wander(frames, fps, 1.6, .105, rng, .9)
    pitch = wander(frames, fps, 1.4, .05, rng, .9) + .035 * nods
    roll = wander(frames, fps, 1.8, .045, rng, .8)
    move = np.stack([wander(frames, fps, 2.0, 1.8, rng, .7), wander(frames, fps, 2.0, 1.2, rng, .7),
                     wander(frames, fps, 2.5, 6.0, rng, .6)], 1)
    breath = .35 * np.sin(2 * np.pi * (np.arange(frames) + .5) / fps * .27)
    sway = np.stack([.35 * move[:, 0] + 2 * yaw, .30 * move[:, 1] + breath], 1)
    return np.stack([yaw, pitch, roll], 1), move, sway


def _gaze(params, euler, fps, rng) -> None:
    """The eyes hold still while the head turns, with small jumps between."""
    frames = len(params)
    hold = int(fps / 1.2) + 1
    jumps = np.repeat(rng.normal(0, .28, frames // hold + 1), hold)[:frames]
    params[:, INDEX["gazex"]] = np.clip(-2 * euler[:, 0] + low_pass(jumps, fps, min(6, fps / 3)), -1, 1)
    params[:, INDEX["gazey"]] = np.clip(-2 * euler[:, 1], -1, 1)
