"""The voices that the shipped weights have heard: 37 speakers of six languages, from three speech synthesisers (README.md names
each with its licence). Needs espeak-ng, flite and festival (Debian: espeak-ng flite festival festvox-kallpc16k
festvox-kdlpc16k festvox-us-slt-hts festlex-cmu festlex-poslex).
"""
from __future__ import annotations

ESPEAK = ("espeak:en-us+m1", "espeak:en-us+f1", "espeak:en-us+m3", "espeak:en-us+f2", "espeak:en-us+m5", "espeak:en-us+f4",
          "espeak:en-us+m7", "espeak:en-us+f5", "espeak:en-gb-x-rp+m4@0.94", "espeak:en-gb-scotland+f3@1.08",
          "espeak:de+m3", "espeak:de+f2", "espeak:fr+f4", "espeak:fr+m2", "espeak:es+m6", "espeak:es+f1", "espeak:it+f3",
          "espeak:it+m1", "espeak:nl+m4", "espeak:nl+f5")
"""Formant synthesis by rules."""

RECORDED = ("flite:slt", "flite:rms", "flite:awb", "flite:kal16", "festival:kal", "festival:ked", "festival:slt")
"""Made from recordings of one person each."""

SHIFTED = ("flite:slt@0.88", "flite:rms@1.22", "flite:awb@1.12", "flite:kal16@1.3", "festival:kal@0.92", "festival:ked@1.18",
           "festival:slt@1.1", "flite:slt@1.1", "flite:rms@0.92", "flite:awb@0.9")
"""The same, as other speakers."""


def mixed() -> tuple[str, ...]:
    """All of them, the kinds in turn, so that the first and the last of a list are not of one kind."""
    rest, out = [list(ESPEAK), [*RECORDED, *SHIFTED]], []
    while any(rest):
        out += [kind.pop(0) for kind in rest if kind]
    return tuple(out)
