"""Rough letter-to-sound rules for English, used only where espeak-ng is absent: good enough to close the lips on a "b"."""
from __future__ import annotations

import re

import numpy as np

from .articulation import DIPHTHONGS, VOWELS, Phoneme

_RULES = {  # longest spelling first; the values are espeak mnemonics
    "tion": "S @ n", "ough": "O:", "augh": "O:", "eigh": "eI", "tch": "tS", "dge": "dZ", "sch": "S", "igh": "aI",
    "ear": "I@", "air": "e@", "are": "e@", "oor": "O:", "our": "aU@", "ture": "tS @", "sure": "Z @", "sh": "S", "ch": "tS",
    "th": "T", "ph": "f", "wh": "w", "ck": "k", "ng": "N", "qu": "k w", "kn": "n", "wr": "r", "gh": "", "ee": "i:",
    "ea": "i:", "oo": "u:", "ou": "aU", "ow": "oU", "oi": "OI", "oy": "OI", "ai": "eI", "ay": "eI", "ey": "I", "oa": "oU",
    "au": "O:", "aw": "O:", "ew": "u:", "ie": "i:", "ei": "eI", "ue": "u:", "ar": "A:", "er": "@", "ir": "3:", "or": "O:",
    "ur": "3:", "bb": "b", "cc": "k", "dd": "d", "ff": "f", "gg": "g", "ll": "l", "mm": "m", "nn": "n", "pp": "p",
    "rr": "r", "ss": "s", "tt": "t", "zz": "z", "ce": "s", "ci": "s I", "cy": "s I", "a": "a", "b": "b", "c": "k", "d": "d",
    "e": "E", "f": "f", "g": "g", "h": "h", "i": "I", "j": "dZ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "0", "p": "p",
    "q": "k", "r": "r", "s": "s", "t": "t", "u": "V", "v": "v", "w": "w", "x": "k s", "y": "I", "z": "z"}
_MAGIC_E = {"a": "eI", "e": "i:", "i": "aI", "o": "oU", "u": "u:", "y": "aI"}  # the vowel of "name", with a silent e at the end
_WORDS = {
    "the": "D @", "a": "@", "of": "V v", "to": "t u:", "i": "aI", "you": "j u:", "my": "m aI", "by": "b aI", "why": "w aI",
    "are": "A:", "was": "w 0 z", "one": "w V n", "two": "t u:", "who": "h u:", "they": "D eI", "their": "D e@",
    "he": "h i:", "she": "S i:", "we": "w i:", "me": "m i:", "no": "n oU", "so": "s oU", "do": "d u:", "some": "s V m",
    "people": "p i: p @ l"}
_PAUSE = {",": 0.16, ";": 0.2, ":": 0.2, "-": 0.1, ".": 0.34, "!": 0.34, "?": 0.34}  # s


def spell(word: str) -> list[str]:
    """The phonemes of one lower-case word of letters a-z."""
    if word in _WORDS:
        return _WORDS[word].split()
    magic = re.fullmatch(r"(.*?)([aeiouy])([bcdfgklmnprstvz])e(s|d)?", word)
    if magic:
        head, vowel, consonant, tail = magic.groups()
        return spell(head) + [_MAGIC_E[vowel]] + spell("s" if consonant == "c" else consonant) + spell(tail or "")
    if len(word) > 2 and word.endswith("e"):
        word = word[:-1]
    sounds: list[str] = []
    while word:
        size = next((n for n in (4, 3, 2, 1) if word[:n] in _RULES and len(word) >= n), 0)
        sounds += _RULES[word[:size]].split() if size else []
        word = word[max(size, 1):]
    return sounds


def is_vowel(sound: str) -> bool:
    """True for vowels and diphthongs."""
    return sound in VOWELS or sound in DIPHTHONGS


def read_aloud(text: str, rng: np.random.Generator) -> list[Phoneme]:
    """Phonemes with times from 0 s; the first vowel of every longer word is stressed, punctuation pauses."""
    now, out = 0.0, []
    for token in re.findall(r"[a-z']+|[,;:.!?-]", text.lower()):
        if token in _PAUSE:
            now += _PAUSE[token]
            continue
        sounds = spell(token.replace("'", ""))
        stress = next((i for i, s in enumerate(sounds) if is_vowel(s)), -1) if len(sounds) > 2 else -1
        for i, sound in enumerate(sounds):
            length = rng.uniform(.10, .15) if is_vowel(sound) else rng.uniform(.06, .10)
            length *= (1.3 if i == stress else 1.0) * (1.3 if sound in DIPHTHONGS else 1.0)
            out.append((("'" if i == stress else "") + sound, now, now + length))
            now += length
    return out
