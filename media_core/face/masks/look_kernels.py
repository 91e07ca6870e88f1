"""What a frame's colours and places say about a person's parts, in numba: one pass over the reduced frame each."""
from __future__ import annotations

import numpy as np

from ...jit import compiled


@compiled
def gathered(lab, tables, shift, width, floor):
    """float32 [K, h, w]: for each pixel the densities of its colour and a little.

    Args:
        lab: uint8 [h, w, 3]. tables: float32 [width ** 3, K]. shift: bits of a level that a bin ignores.
    """
    height, length, kinds = lab.shape[0], lab.shape[1], tables.shape[1]
    out, floor = np.empty((kinds, height, length), np.float32), np.float32(floor)
    for y in range(height):
        for x in range(length):
            own = tables[((lab[y, x, 0] >> shift) * width + (lab[y, x, 1] >> shift)) * width + (lab[y, x, 2] >> shift)]
            for k in range(kinds):
                out[k, y, x] = own[k] + floor
    return out


@compiled
def across(shape, middle, right, unit):
    """float64 [h, w]: how far each pixel is from a line down through `middle`, to both sides; `right` points across it."""
    out = np.empty(shape, np.float64)
    for y in range(shape[0]):
        down = (y - middle[1]) * right[1]
        for x in range(shape[1]):
            out[y, x] = abs((x - middle[0]) * right[0] + down) / unit
    return out


@compiled
def hair_prior(aside, falling, steps, seldom, often):
    """float32 [h, w]: how likely hair hangs below the jaw.

    Args:
        aside: float64 [h, w], units beside the neck's middle. falling: float32 [w], 0..1.
        steps: near, far, share: up to `near` units of the middle only that `share` of hair, all of it from `far` on.
    """
    near, far, least = steps
    out = np.empty(aside.shape, np.float32)
    for y in range(aside.shape[0]):
        for x in range(aside.shape[1]):
            share = least + (1 - least) * min(max((aside[y, x] - near) / (far - near), 0.0), 1.0)
            out[y, x] = seldom + (often - seldom) * share * falling[x]
    return out


@compiled
def hair_odds(hair, skin, shaded, clothes, prior, neck):
    """float32 [h, w]: probability of hair, against clothes and skin, where it is `prior` likely.

    Args:
        hair, skin, shaded, clothes, prior: float32 [h, w]. neck: uint8 [h, w]: skin may lie in shadow.
    """
    out, one = np.empty(hair.shape, np.float32), np.float32(1)
    for y in range(hair.shape[0]):
        for x in range(hair.shape[1]):
            other = max(shaded[y, x] if neck[y, x] else skin[y, x], clothes[y, x])
            own = prior[y, x] * hair[y, x]
            out[y, x] = own / (own + (one - prior[y, x]) * other)
    return out


@compiled
def with_known(odds, strips, prior, colours, beside, sure, limits):
    """Changes the probability of the head, float32 [h, w], where more is known than its colour.

    Args:
        strips: uint8 [h, w], narrow parts of what is not the head: the outline of hair, where that is likely and no clothes are.
        prior: float32 [h, w], how likely hair is. colours: hair, skin and clothes of `gathered`.
        beside, sure: uint8 [h, w]: all but clothes is the head; it is the head.
        limits: of `prior`, and how much likelier clothes must be than hair; how likely clothes are beside the jaw.
    """
    hair, skin, clothes = colours
    falling, clearly, dressed = np.float32(limits[0]), np.float32(limits[1]), np.float32(limits[2])
    one, bare = np.float32(1), np.float32(1 - limits[2])
    for y in range(odds.shape[0]):
        for x in range(odds.shape[1]):
            if strips[y, x] and prior[y, x] > falling and clothes[y, x] < hair[y, x] * clearly:
                odds[y, x] = one
            if beside[y, x]:
                own = dressed * clothes[y, x]
                odds[y, x] = one - own / (own + bare * max(hair[y, x], skin[y, x]))
            if sure[y, x]:
                odds[y, x] = one
