"""Voices of several speech engines under one kind of name.

    en-us+f3          espeak-ng's, at the subject's usual tempo and pitch
    espeak:de+m3      the same engine, tempo and pitch varied from line to line
    flite:slt@1.1     flite's slt with all frequencies 1.1 times higher, tempo unchanged: another speaker

Shipped code starts no processes, so it holds the engine espeak-ng alone (a library). Programs are added with `register` by
whoever may start them: `host/speech_programs.py` has flite and festival.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from ..errors import TalkingHeadsError
from . import espeak
from .articulation import Phoneme
from .espeak import Spoken

Speaker = Callable[[str, str, float], Spoken]  # (line, voice of the engine, times its usual length) -> as spoken

RATE = 22050                 # Hz of every voice, espeak-ng's own
SHIFTS = 0.7, 1.5            # least and most factor on frequencies
TEMPO, SHIFT = 0.12, 0.025   # standard deviations from line to line, as fractions
_USUAL = 158, 58             # words a minute and pitch of a plain espeak voice
_STRETCH = 0.75, 1.35
_PEAK = 0.5
_FULL = 0.08                 # s from which a full vowel counts as stressed where the engine does not say

ARPA = {"aa": "A:", "ae": "a", "ah": "V", "ao": "O:", "aw": "aU", "ax": "@", "axr": "3:", "ay": "aI", "ch": "tS", "dh": "D",
        "dx": "d", "eh": "E", "el": "l", "em": "m", "en": "n", "er": "3:", "ey": "eI", "hh": "h", "hv": "h", "ih": "I",
        "iy": "i:", "jh": "dZ", "ng": "N", "nx": "n", "ow": "oU", "oy": "OI", "sh": "S", "th": "T", "uh": "U", "uw": "u:",
        "y": "j", "zh": "Z",
        **{same: same for same in "b d f g h k l m n p r s t v w z".split()}}
"""Phones of CMU's dictionary, as flite, festival's US voices and pocketsphinx name them, in espeak-ng's mnemonics."""
_VOWELS = frozenset("aa ae ah ao aw ay eh er ey ih iy ow oy uh uw".split())

_engines: dict[str, Speaker] = {}


@dataclass(frozen=True)
class Voice:
    """A voice by name."""
    engine: str         # "espeak", or one that was registered
    name: str           # the engine's own
    shift: float = 1.0  # factor on all frequencies: pitch and vocal tract
    varied: bool = True  # tempo and pitch change from line to line

    @property
    def language(self) -> str:
        """Two letters. flite's and festival's voices speak English."""
        return re.split("[-+]", self.name)[0] if self.engine == "espeak" else "en"


def register(engine: str, speaker: Speaker) -> None:
    """Adds an engine, or replaces it."""
    _engines[engine] = speaker


def read_name(name: str) -> Voice:
    """
    Raises:
        TalkingHeadsError: no such form of name, an engine that is not here, or a shift out of range.
    """
    found = re.fullmatch(r"(?:([a-z]+):)?([^:@\s]+)(?:@([0-9.]+))?", name)
    shift = _number(found[3]) if found and found[3] else 1.0
    if found is None or not SHIFTS[0] <= shift <= SHIFTS[1]:
        raise TalkingHeadsError("A voice is called NAME, ENGINE:NAME or ENGINE:NAME@SHIFT with a shift of "
                                f"{SHIFTS[0]:g} to {SHIFTS[1]:g}", f"'{name}'", "Write for instance en-us+f3 or flite:slt@1.1")
    engine, varied = found[1] or "espeak", bool(found[1] or found[3])
    if engine != "espeak" and engine not in _engines:
        here = ", ".join(["espeak", *sorted(_engines)])
        raise TalkingHeadsError(f"The engine of a voice must be one of {here}", f"'{engine}' in '{name}'",
                                "Use the command line, which has flite and festival, or choose an espeak-ng voice")
    return Voice(engine, found[2], shift, varied)


def _number(digits: str) -> float:
    return float(digits) if re.fullmatch(r"\d+(\.\d+)?|\.\d+", digits) else 0.0


def read_names(voice: str | Sequence[str]) -> list[Voice]:
    """One voice, or several that take turns; errors as for `read_name`."""
    return [read_name(name) for name in ([voice] if isinstance(voice, str) else voice)]


def without_espeak(voices: Iterable[Voice]) -> bool:
    """Whether none of them needs espeak-ng."""
    return all(voice.engine != "espeak" for voice in voices)


def speak(lines: Sequence[str], voices: Sequence[Voice], rng: np.random.Generator) -> list[Spoken]:
    """Line i with voice i, and again from the first. Equal arguments give equal samples.

    Raises:
        TalkingHeadsError: an engine that is not installed or lacks the voice.
    """
    turns = [voices[i % len(voices)] for i in range(len(lines))]
    jobs = [_drawn(line, voice, rng) for line, voice in zip(lines, turns, strict=True)]
    ours = iter(espeak.speak([job.utterance for job in jobs if job.voice.engine == "espeak"])
                if any(voice.engine == "espeak" for voice in turns) else ())
    return [job.finished(next(ours) if job.voice.engine == "espeak" else job.spoken_elsewhere()) for job in jobs]


@dataclass(frozen=True)
class _Job:
    line: str
    voice: Voice
    stretch: float = 1.0   # length over the engine's usual one
    words: int = _USUAL[0]  # a minute
    pitch: int = _USUAL[1]

    @property
    def utterance(self) -> espeak.Utterance:
        return espeak.Utterance(self.line, self.voice.name, self.words, self.pitch)

    def spoken_elsewhere(self) -> Spoken:
        return _engines[self.voice.engine](self.line, self.voice.name, self.stretch)

    def finished(self, spoken: Spoken) -> Spoken:
        """Shifted and at the common rate; a plain espeak voice as it is."""
        return at_peak(at_rate(shifted(spoken, self.voice.shift))) if self.voice.varied else spoken


def _drawn(line: str, voice: Voice, rng: np.random.Generator) -> _Job:
    """A line with the tempo and pitch that it is spoken with."""
    if not voice.varied:
        return _Job(line, voice, words=_USUAL[0] + int(rng.integers(-8, 9)), pitch=_USUAL[1] + int(rng.integers(-4, 5)))
    tempo, turn, pitch = rng.standard_normal(), rng.standard_normal(), int(rng.integers(25, 75))
    shift = round(voice.shift * (1 + SHIFT * float(np.clip(turn, -2, 2))), 2)
    stretch = float(np.clip(1 + TEMPO * tempo, *_STRETCH)) * shift  # it is played `shift` times faster afterwards
    return _Job(line, replace(voice, shift=shift), stretch, int(np.clip(_USUAL[0] / stretch, 80, 450)), pitch)


def shifted(spoken: Spoken, shift: float) -> Spoken:
    """Played `shift` times faster: higher and shorter. To 1 %."""
    hundredths = round(100 * shift)
    if hundredths == 100:
        return spoken
    factor = hundredths / 100
    samples = _resampled(spoken.samples, 100, hundredths)
    return Spoken(samples, spoken.rate, tuple((name, start / factor, end / factor) for name, start, end in spoken.phonemes))


def at_rate(spoken: Spoken) -> Spoken:
    """The same at `RATE`."""
    if spoken.rate == RATE:
        return spoken
    common = gcd(RATE, spoken.rate)
    return Spoken(_resampled(spoken.samples, RATE // common, spoken.rate // common), RATE, spoken.phonemes)


def at_peak(spoken: Spoken) -> Spoken:
    """As loud as every other line; silence stays silence."""
    peak = float(np.abs(spoken.samples).max(initial=0))
    return spoken if peak < 1e-4 else replace(spoken, samples=(spoken.samples * (_PEAK / peak)).astype(np.float32))


def _resampled(samples: np.ndarray, up: int, down: int) -> np.ndarray:
    from scipy.signal import resample_poly

    return resample_poly(samples, up, down).astype(np.float32)


def from_arpa(rows: Iterable[tuple[str, float, bool | None]], seconds: float) -> tuple[Phoneme, ...]:
    """Phones with the times at which they end, and whether they are stressed, as phonemes of the subject.

    Args:
        rows: (phone, end s, stressed, or None where the engine does not say).
        seconds: of the audio; phones beyond it are cut.
    """
    out: list[Phoneme] = []
    now = 0.0
    for name, end, said in rows:
        phone, end = re.sub(r"\d", "", name.lower()), min(end, seconds)
        stressed = phone in _VOWELS and (end - now >= _FULL if said is None else said)
        if end > now:
            out.append((("'" if stressed else "") + ARPA.get(phone, "_"), now, end))
            now = end
    return tuple(out)
