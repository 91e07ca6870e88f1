"""Phonemes -> nine mouth curves: coarticulation by dominance blending.

Every phoneme is one or two anchors (time, reach, dominance, target). A curve is the mean of the targets, weighted by
dominance and by distance in time; a strong anchor (p b m) wins over its neighbours, a weak one (k h) takes their shape. Lips lead
the sound by 12 ms. The scheme is Cohen and Massaro's (1993); the numbers are ours.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CURVES = ("jaw", "la", "prot", "stretch", "press", "chin", "upraise", "fv", "tongue")
Phoneme = tuple[str, float, float]  # (espeak mnemonic, start s, end s)

LEAD = 0.012        # s by which the lips lead the sound
_STEPS = 4          # inner samples a frame
_REACH = 1.5        # s beyond which an anchor weighs nothing
_BLOCK = 100        # frames blended at a time: bounds the memory of long videos
_FLOOR = 1e-5       # weight of far anchors, so that a gap is never 0/0


@dataclass(frozen=True)
class Anchor:
    """One target of the mouth."""
    time: float          # s
    reach: float         # s; the weight falls to 1/e there
    dominance: float     # about 0.4 (weak) to 9 (lips must touch)
    target: np.ndarray   # [9] in the order of CURVES


def _table(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {key: values for keys, values in rows.items() for key in keys.split()}


VOWELS = _table({  # as wide as real people's lips are on average: a third wider than the first version's, the widest less
    "i: i iː": {"jaw": 3.2, "la": 5.4, "stretch": .80},
    "I I2 I#": {"jaw": 4.3, "la": 6.4, "stretch": .45},
    "E E2 e E~": {"jaw": 7.2, "la": 9.3, "stretch": .42, "upraise": .1},
    "a aa a: æ": {"jaw": 9.8, "la": 11.6, "stretch": .36, "upraise": .15},
    "A: A 0 A@ A# A~": {"jaw": 11.8, "la": 13.6},
    "O: O O@ o@ o O~": {"jaw": 8.8, "la": 10.0, "prot": .62},
    "U": {"jaw": 4.2, "la": 4.8, "prot": .68},
    "u: u": {"jaw": 2.9, "la": 3.4, "prot": 1.0},
    "V a-": {"jaw": 8.7, "la": 10.4},
    "3: 3 @r": {"jaw": 5.0, "la": 6.1, "prot": .38},
    "@ @2 a# @L @5 e# @- e-": {"jaw": 4.5, "la": 5.8},
    "e:": {"jaw": 4.6, "la": 6.8, "stretch": .6},                # from here on: other languages than English
    "o:": {"jaw": 5.0, "la": 5.8, "prot": .85},
    "y y: y-": {"jaw": 2.9, "la": 3.8, "prot": .95},
    "Y Y: W W: W~ 8": {"jaw": 5.0, "la": 6.0, "prot": .75},
})
DIPHTHONGS = {"eI": ("E", "i:"), "aI": ("A:", "I"), "aU": ("A:", "U"), "oU": ("O:", "u:"), "OI": ("O:", "I"), "I@": ("I", "@"),
              "e@": ("E", "@"), "i@": ("i:", "@"), "U@": ("U", "@"), "aI@": ("A:", "@"), "aU@": ("A:", "@"), "i@3": ("I", "3:"),
              "aI3": ("A:", "3:"), "aU3": ("A:", "3:"), "U@r": ("U", "3:"), "oU#": ("O:", "u:"), "OY": ("O:", "I"),
              "EI": ("E", "i:"), "Wy": ("W", "y:"), "VU": ("V", "U"), "aI2": ("A:", "I"), "yU": ("y", "U")}
CONSONANTS = _table({  # with their dominance
    "p b m pF": {"dominance": 9.0, "jaw": 1.6, "la": -1.2, "press": .75, "chin": .28},
    "B": {"dominance": 4.0, "jaw": 1.8, "la": 1.2, "press": .2},
    "f v v#": {"dominance": 6.0, "jaw": 1.8, "la": 2.0, "fv": 1.0, "upraise": .30},
    "T D": {"dominance": 1.8, "jaw": 2.8, "la": 3.8, "tongue": 1.0},
    "t d n t# n- t2 ? n^": {"dominance": .9, "jaw": 2.2, "la": 3.6, "tongue": .8},
    "l l# l^": {"dominance": 1.0, "jaw": 3.6, "la": 4.8, "tongue": 1.0},
    "s z ss ts ts2 dz z2": {"dominance": 2.2, "jaw": 1.0, "la": 2.6, "stretch": .42, "upraise": .15},
    "S Z tS dZ": {"dominance": 2.6, "jaw": 1.8, "la": 4.2, "prot": .78, "upraise": .25},
    "r r- r2": {"dominance": 1.6, "jaw": 2.6, "la": 3.6, "prot": .55},
    "w w# w2": {"dominance": 4.0, "jaw": 2.0, "la": 2.0, "prot": 1.0},
    "j C": {"dominance": 1.2, "jaw": 2.2, "la": 3.8, "stretch": .5},
    "k g N h x Q R R2": {"dominance": .45, "jaw": 3.8, "la": 4.8},
})
_REST = {"jaw": .4, "la": .2}
_UNKNOWN = {"jaw": 3, "la": 4}
_STRESS_GAIN = np.array([1, 1] + [0] * 7)  # stress opens jaw and lips, and changes nothing else


def bare(name: str) -> str:
    """The mnemonic without stress and length marks in front."""
    return re.sub(r"^[',%=|;\"!_^*-]+", "", name)


def is_stressed(name: str) -> bool:
    """True for a phoneme that carries the primary stress."""
    return "'" in name


def with_silences(phonemes: Iterable[Phoneme], seconds: float) -> list[Phoneme]:
    """The phonemes with a "_" in every gap longer than 30 ms, from 0 to `seconds`."""
    filled: list[Phoneme] = []
    now = 0.0
    for name, start, end in phonemes:
        if start - now > 0.03:
            filled.append(("_", now, start))
        filled.append((name, start, end))
        now = max(now, end)
    if seconds - now > 0.03:
        filled.append(("_", now, seconds))
    return filled


def anchors(phonemes: Iterable[Phoneme]) -> list[Anchor]:
    """The targets of a phoneme sequence, in time order."""
    return [anchor for name, start, end in phonemes for anchor in _anchors_of(name, start, max(end - start, 0.02))]


def _anchors_of(name: str, start: float, length: float) -> list[Anchor]:
    key = bare(name)
    if name.startswith("_") or key == "":
        count = max(1, int(length / 0.12))
        return [Anchor(start + length * (i + .5) / count, .07 + .3 * length / count, .8, _target(_REST)) for i in range(count)]
    if key in DIPHTHONGS:
        first, second = DIPHTHONGS[key]
        return [Anchor(start + .30 * length, .03 + .34 * length, 1.25, _target(VOWELS[first])),
                Anchor(start + .85 * length, .03 + .26 * length, 1.0, _target(VOWELS[second]))]
    if key in CONSONANTS:
        shape = CONSONANTS[key]
        reach = .034 if shape["dominance"] >= 4 else .03
        return [Anchor(start + .5 * length, reach + .40 * length, shape["dominance"], _target(shape))]
    shape = VOWELS.get(key) or VOWELS.get(key.rstrip(":#2345"))
    if shape is not None:
        gain = 1 + _STRESS_GAIN * (.1 if is_stressed(name) else -.05)
        return [Anchor(start + .5 * length, .035 + .50 * length, 1.1, _target(shape) * gain)]
    return [Anchor(start + .5 * length, .05, .4, _target(_UNKNOWN))]


def _target(shape: Mapping[str, float]) -> np.ndarray:  # -> [9]
    return np.array([shape.get(curve, 0.0) for curve in CURVES])


def resting(frames: int) -> np.ndarray:  # -> [frames, 9]
    """The mouth curves of somebody who says nothing."""
    return np.tile(_target(_REST), (frames, 1))


def coarticulate(points: Sequence[Anchor], frames: int, fps: float) -> np.ndarray:  # -> [frames, 9]
    """The mouth curves at the centre of every frame, low-passed at 10 Hz."""
    from .curves import low_pass
    time = np.array([a.time for a in points])
    reach = np.array([a.reach for a in points])
    dominance = np.array([a.dominance for a in points])
    target = np.stack([a.target for a in points])
    fine = (np.arange(frames * _STEPS) + .5) / (fps * _STEPS) + LEAD
    out = np.zeros((len(fine), len(CURVES)))
    for begin in range(0, len(fine), _BLOCK * _STEPS):
        now = fine[begin:begin + _BLOCK * _STEPS]
        near = (time > now[0] - _REACH) & (time < now[-1] + _REACH)
        near[np.argmin(np.abs(time - now.mean()))] = True
        weight = dominance[near] * (np.exp(-(np.abs(now[:, None] - time[near]) / reach[near]) ** 1.7) + _FLOOR)
        out[begin:begin + len(now)] = np.einsum("ta,ac->tc", weight / weight.sum(1, keepdims=True), target[near])
    return low_pass(out, fps * _STEPS, 10.0).reshape(frames, _STEPS, -1).mean(1)
