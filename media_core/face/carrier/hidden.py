"""Something before the mouth, told by the colour of where the lips should be: a dark microphone, a hand. A warning, no proof:
objects as red as lips, gloves and light microphones are not seen (docs/moditalker.md#carrier)."""
from __future__ import annotations

import numpy as np

from ...subject.layout import LIPS
from .inner_look import cheek_colour, colour_of

_DARK, _DARK_CHIN, _NOT_RED = .4, .5, 1.15  # brightness of lip and chin over the cheek's, redness over its: below all, an object
_AS_SKIN, _AS_BRIGHT = .04, (.7, 1.15)      # lips whose redness and brightness are that near to the cheek's are covered by skin
_COLOURED = 1.1                             # red over green of the cheek: less is grey or stone, whose lips have no colour
_CHIN = [83, 18, 313, 406, 199, 182]


def before_mouth(picture: np.ndarray, mesh: np.ndarray) -> str | None:  # uint8 [H, W, 3 or 4], [478, 3] px
    """What may hide it; None: nothing is seen."""
    cheek, chin = cheek_colour(picture, mesh), colour_of(picture, mesh[_CHIN])
    lips = [colour_of(picture, np.concatenate([mesh[LIPS[0, part]], mesh[LIPS[2, part]][::-1]]))
            for part in (slice(1, 10), slice(11, 20))]
    redness = [_red(lip) / _red(cheek) for lip in lips]
    light = [float(lip.mean()) / max(float(cheek.mean()), 1.0) for lip in lips]
    if light[0] < _DARK and chin.mean() < _DARK_CHIN * cheek.mean() and redness[0] < _NOT_RED:
        return "a dark object, perhaps a microphone"
    as_skin = all(abs(red - 1) < _AS_SKIN for red in redness) and all(_AS_BRIGHT[0] < one < _AS_BRIGHT[1] for one in light)
    return "something of the skin's colour, perhaps a hand" if as_skin and _red(cheek) > _COLOURED else None


def _red(colour: np.ndarray) -> float:
    return float(colour[0] + 4) / float(colour[1] + 4)
