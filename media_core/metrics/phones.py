"""The phones of spoken English with their times, by `pocketsphinx` (BSD; its models are inside the wheel; extra `metrics`).

With a transcript they are aligned by force: which phones are spoken is known, only their times are found, to about 10 ms. Without
one they are recognised freely, which is weaker: of 29 bilabials of a human reader 25 were found. Names are CMU's (ARPAbet) in
capitals without stress; "SIL" is silence.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np

from ..audio import Sound
from ..errors import TalkingHeadsError
from ..subject.voices import ARPA

RATE = 16000  # Hz
BILABIALS = ("P", "B", "M")
OPEN_VOWELS = ("AA", "AE", "AO", "AW", "AY")
SILENT = ("SIL", "+SPN+", "+NSN+")
MNEMONICS = {phone.upper(): mnemonic for phone, mnemonic in ARPA.items()}  # as the rules of `subject.articulation` know them
_PEAK = 0.7  # of full scale, the level that is shown to the recogniser
_STEP = 0.01  # s, the recogniser's frames
_SOUNDLESS = 1e-4  # of full scale: quieter peaks are nobody's


class Phone(NamedTuple):
    """One phone and when it is heard."""

    name: str
    start: float  # s
    end: float  # s


@dataclass(frozen=True)
class Phones:
    """The phones of one recording, in time order."""

    phones: tuple[Phone, ...]
    aligned: bool  # True: the words were known; False: recognised freely, which is weaker

    @property
    def spoken(self) -> tuple[Phone, ...]:
        """Without silences and noises."""
        return tuple(p for p in self.phones if p.name not in SILENT)

    def named(self, names: tuple[str, ...]) -> tuple[Phone, ...]:
        """Those with one of these names."""
        return tuple(p for p in self.phones if p.name in names)


class _Decoder(Protocol):
    """What is used of `pocketsphinx.Decoder`."""

    def start_utt(self) -> None: ...

    def process_raw(self, data: bytes, no_search: bool = False, full_utt: bool = False) -> int: ...

    def end_utt(self) -> None: ...


def find_phones(sound: Sound, transcript: str | None = None) -> Phones:
    """The phones of a recording of English.

    Args:
        sound: any rate and number of channels.
        transcript: what is said, words only; digits and other signs are left out. None: recognise freely.
    Raises:
        TalkingHeadsError: pocketsphinx is absent, a word is not in its dictionary, or the words do not fit the audio.
    """
    module, mono = _pocketsphinx(), sound.mono(RATE)
    peak = float(np.abs(mono).max())
    if peak < _SOUNDLESS:
        return Phones((), aligned=transcript is not None)
    pcm = (mono * (_PEAK / peak) * 32767).astype("<i2").tobytes()
    if transcript is None:
        return Phones(_recognised(module, pcm), aligned=False)
    return Phones(_aligned(module, pcm, words(transcript)), aligned=True)


def words(transcript: str) -> list[str]:
    """A transcript's words as the dictionary writes them: small letters and apostrophes."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", transcript.lower().replace("\u2019", "'"))


def _pocketsphinx() -> ModuleType:
    try:
        import pocketsphinx
    except ImportError as error:
        raise TalkingHeadsError("Phones of real speech need the package pocketsphinx", "it is not installed",
                                "Install it: pip install pocketsphinx, or the pack's extra 'metrics'") from error
    return pocketsphinx


@lru_cache(maxsize=1)
def _dictionary(folder: Path) -> frozenset[str]:
    """Words that pocketsphinx can pronounce."""
    with open(folder / "cmudict-en-us.dict", encoding="utf8") as file:
        return frozenset(line.split(maxsplit=1)[0] for line in file if line.strip())


def _aligned(module: ModuleType, pcm: bytes, said: list[str]) -> tuple[Phone, ...]:
    unknown = [word for word in said if word not in _dictionary(_models(module))]
    if unknown or not said:
        raise TalkingHeadsError("A transcript must have words of the English dictionary of pocketsphinx",
                                f"'{unknown[0]}'" if unknown else "no words", "Spell that word as it is spoken, numbers as words")
    decoder = module.Decoder(lm=None, loglevel="FATAL")
    try:
        decoder.set_align_text(" ".join(said))
        _heard(decoder, pcm)
        decoder.set_alignment()  # a second pass, of phones
        _heard(decoder, pcm)
        rows = [(p.name, p.start, p.duration) for word in decoder.get_alignment() for p in word]
    except (RuntimeError, TypeError) as error:  # TypeError: no alignment to iterate over
        raise TalkingHeadsError("A transcript must be what is said in the audio", f"it cannot be aligned ({error})",
                                "Correct the transcript, or leave it out") from error
    return tuple(_phone(name, start * _STEP, (start + length) * _STEP) for name, start, length in rows)


def _recognised(module: ModuleType, pcm: bytes) -> tuple[Phone, ...]:
    language = str(_models(module) / "en-us-phone.lm.bin")
    decoder = module.Decoder(allphone=language, lm=None, lw=2.0, beam=1e-20, pbeam=1e-20, loglevel="FATAL")
    _heard(decoder, pcm)
    return tuple(_phone(s.word, s.start_frame * _STEP, (s.end_frame + 1) * _STEP) for s in decoder.seg())


def _heard(decoder: _Decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _phone(name: str, start: float, end: float) -> Phone:
    return Phone(re.sub(r"\d", "", name.upper()), start, end)


def _models(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__).parent / "model" / "en-us"
