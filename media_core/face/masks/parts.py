"""A person divided into head and torso, and these into hair and the rest, neck and the rest."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layer_kernels import assembled
from .look import Hanging, Likelihoods, PersonLook, likelihoods
from .look_kernels import across, with_known
from .person import View, disc
from .pieces import crumbs, touching, worn
from .regions import HeadAxes, above_jaw, jaw_middle, polygon

_EARS, _JAW_ENDS = 2, 4   # points of the jaw, counted from its ends: above is head; beside it usually is
_WIDE, _WIDE_BALD = 1.2, 1.6   # units beside the middle: farther, skin is a hand's
_JAW = 0.95               # the same, below the ears
_ASIDE = 0.8              # how likely hair is there
_DRESSED = 0.6            # how likely clothes are beside the jaw
_COLLAR = 0.7             # units below the chin: skin that is higher is neck
_STRIP, _FALLING = 0.09, 0.3  # units: half the width of a strip; how likely hair must be for it to be hair's outline
_MEETING = 3              # reduced pixels by which sharpening moves an edge
_CLEARLY = 1.5            # times likelier clothes than hair: no outline of hair
_CRUMB = 0.02             # square units: smaller pieces belong to what surrounds them
_LOCK, _TIPS = 0.15, 0.15  # units: half the width of hair that hangs; thinner tips are so long
_CHIN = 8                 # point of the jaw
_SPREAD, _SHOULDERS = 0.25, 0.15  # units that hair spreads below the jaw beyond its width above; square units beyond: a coat's
_COVERED = 0.6            # of the shoulders: hair does not cover more
_ENDS = 0.3               # units below the chin: hair that a coat of its colour cannot be told from ends there
_INWARD, _LOW = 0.8, 0.5   # units beside the chin and below it: what ends there is no lock of hair
_SHRED, _FRAYED = 0.06, 0.12  # units: half the width of what is the body's; its thinner edge is so wide


@dataclass(frozen=True)
class Parts:
    """Of a person, bool [H, W] each."""
    head: np.ndarray
    hair: np.ndarray   # part of the head
    neck: np.ndarray   # no part of the head


def divided(view: View, person: np.ndarray, look: PersonLook) -> Parts:  # person: bool [H, W]
    import cv2
    found, small, axes = likelihoods(view, look), view.reduced(person) > .5, view.small_axes
    head = _head(view, small, found, Hanging.of(view, small, found, look.torso), _Zones.of(view, axes, look.bald))
    hairy = view.guide(found.hair / (found.hair + found.skin)) > .5
    hairy = small & hairy & (not look.bald) & ~view.small_face
    hairy = _without_crumbs(hairy, head, _CRUMB * axes.unit ** 2)
    hairy = _hair_outside(hairy, head, view.small_face)
    meeting = cv2.dilate((small & ~head).view(np.uint8), disc(_MEETING))  # only there can head and torso meet
    sharp, neck = view.sharpened(head.astype(np.float32), meeting), polygon(jaw_middle(view.points, view.axes), view.size)
    layers = person, view.face, sharp, meeting, view.enlarged(hairy), view.enlarged(found.shaded > found.clothes), neck
    collar = view.points[_CHIN, 1] + _COLLAR * view.axes.unit
    return Parts(*assembled(*(np.ascontiguousarray(layer).view(np.uint8) for layer in layers), collar).view(bool))


def _head(view: View, person: np.ndarray, found: Likelihoods, hanging: Hanging, zones: _Zones) -> np.ndarray:
    """The head, bool [h, w], in one piece, with all of the person that does not hang together with what is below the jaw."""
    head = person & (zones.sure | (view.guide(_head_probability(view, person, found, hanging, zones)) > .5))
    head = _without_crumbs(touching(head, zones.sure), person, _CRUMB * view.small_axes.unit ** 2)
    head = head & ~_worn(view, head, found, zones)
    head = head & ~_coat(view, person, head, zones)
    return person & ~_body(touching(person & ~head, ~zones.above), view.small_axes.unit)


def _worn(view: View, head: np.ndarray, found: Likelihoods, zones: _Zones) -> np.ndarray:
    """Of what counts as hair below the ears, bool [h, w], that which does not hang from the hair above: a collar of its colour
    that tips of hair touch, say. Such pieces are no wider than a lock, and lie across or run in under the neck."""
    import cv2
    unit, above = view.small_axes.unit, zones.sure & ~zones.face | zones.aside
    hair = head & ~zones.sure & (~zones.beside | (found.hair > found.skin) & (found.hair > found.shaded))
    every = (hair | head & above).astype(np.uint8)
    wide = cv2.morphologyEx(every, cv2.MORPH_OPEN, disc(_LOCK * unit), borderType=cv2.BORDER_REPLICATE) > 0
    locks = touching(wide, above)
    loose = hair & (cv2.dilate(locks.astype(np.uint8), disc(_TIPS * unit)) == 0)
    return worn(loose.view(np.uint8), view.at[_CHIN], _LOW * unit, _INWARD * unit).view(bool)


def _coat(view: View, person: np.ndarray, head: np.ndarray, zones: _Zones) -> np.ndarray:
    """What counts as hair below the jaw, bool [h, w], but covers the shoulders and lies as wide: a coat of its colour. Where the
    two cannot be told apart, hair ends a little below the chin."""
    axes, rows, none = view.small_axes, np.arange(len(head))[:, None], np.zeros_like(head)
    above, hair = head & zones.sure, head & ~zones.sure & ~zones.above
    deep = rows > view.at[_CHIN, 1] + _ENDS * axes.unit
    shoulders = person & deep & ~polygon(jaw_middle(view.at, axes), view.small_size)
    if not above.any() or np.count_nonzero(hair & shoulders) <= _COVERED * np.count_nonzero(shoulders):
        return none
    beside = (np.arange(head.shape[1])[None] - axes.centre[0]) * axes.right[0] + (rows - axes.centre[1]) * axes.right[1]
    low, high = np.percentile(beside[above], (1, 99))
    aside = np.maximum(low - beside, beside - high)
    wide = (hair & (aside > _SPREAD * axes.unit)).sum() > _SHOULDERS * axes.unit ** 2
    return hair & (deep | (aside > 0)) if wide else none


def _body(torso: np.ndarray, unit: float) -> np.ndarray:  # bool [h, w]
    """A torso in one piece: without shreds that hang on by little, or float beside the neck."""
    import cv2
    solid = cv2.morphologyEx(torso.astype(np.uint8), cv2.MORPH_OPEN, disc(_SHRED * unit), borderType=cv2.BORDER_REPLICATE)
    lowest = np.zeros_like(torso)
    lowest[-1] = True
    body = touching(solid > 0, lowest)
    if not body.any():
        return torso
    return torso & (cv2.dilate(body.astype(np.uint8), disc(_FRAYED * unit)) > 0)


def _hair_outside(hair: np.ndarray, head: np.ndarray, face: np.ndarray) -> np.ndarray:  # bool [h, w] each
    """Hair reaches the head's outline, or it is a shadow on the skin; skin hangs together with the face, or it is hair."""
    import cv2
    outside = cv2.dilate(np.pad(~head, 1, constant_values=True).astype(np.uint8), disc(1))[1:-1, 1:-1] > 0
    hair = touching(hair, outside)
    if not hair.any():
        return hair
    return hair | head & ~face & ~touching(head & ~hair, face)


@dataclass(frozen=True)
class _Zones:
    """Of the reduced frame, bool [h, w] each."""
    sure: np.ndarray    # the face, and what is above the ears' lower ends and not far to the side, where a hand may be
    beside: np.ndarray  # beside the jaw: ears, jaw, hair, a collar
    aside: np.ndarray   # above the ears' lower ends, but far to the side
    face: np.ndarray    # surely skin
    above: np.ndarray   # above the jaw's line

    @classmethod
    def of(cls, view: View, axes: HeadAxes, bald: bool) -> _Zones:
        size = view.small_size
        aside = across(size, axes.centre, axes.right, axes.unit)
        near, at_jaw = aside < (_WIDE_BALD if bald else _WIDE), aside < _JAW
        above, usually = above_jaw(view.at, size, _EARS), above_jaw(view.at, size, _JAW_ENDS)
        face = view.small_face
        sure = above & near | face
        return cls(sure, usually & ~above & at_jaw & ~sure, above & ~near, face, usually)


def _head_probability(view: View, person: np.ndarray, found: Likelihoods, hanging: Hanging, zones: _Zones) -> np.ndarray:
    """float32 [h, w]: 1 where it is sure; beside the jaw all but clothes; elsewhere what looks like hair."""
    out = found.hanging(np.where(zones.aside, np.float32(_ASIDE), hanging.prior), hanging.neck & ~zones.aside)
    strips = _strips(person & (out < .5), _STRIP * view.small_axes.unit)
    masks = (mask.view(np.uint8) for mask in (zones.beside, zones.sure))
    with_known(out, strips.view(np.uint8), hanging.prior, (found.hair, found.skin, found.clothes), *masks,
               (_FALLING, _CLEARLY, _DRESSED))
    return out


def _strips(mask: np.ndarray, radius: float) -> np.ndarray:  # bool [h, w]
    """Narrow parts of a mask: the outline of hair, which has the background's colour mixed in."""
    import cv2
    return mask & (cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc(radius), borderType=cv2.BORDER_REPLICATE) == 0)


def _without_crumbs(head: np.ndarray, person: np.ndarray, least: float) -> np.ndarray:
    """A part of a person with small pieces of the rest that it encloses, without small pieces of its own."""
    head = head | crumbs(person & ~head, least)
    return head & ~crumbs(head, least)
