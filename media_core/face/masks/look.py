"""What colours a person's hair, skin and clothes have: learnt from frames of one video, asked for every frame of it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .look_kernels import across, gathered, hair_odds, hair_prior
from .person import View, cut_out, soft_person
from .regions import HeadAxes, above_jaw, polygon

_BINS, _SHIFT = 32, 3          # of each of Lab's three axes; bits of a level that a bin ignores
_BLURS = ((1.0, .85), (3.0, .15))  # bins that a colour may be off by, and how often
_FLOOR = 2e-6                  # density of colours that were never seen: about a fifteenth of the mean
_LIGHTS = (1.0, 1.18, .85)     # of the light on the cheeks: other skin of the face
_SHADES = (1.0, .8, .62, .45)  # skin of the neck, down to the chin's shadow
_CHEEKS = [1, 3, 48, 33, 54, 13, 15, 28]  # outline of skin that is rarely covered
_LOWER = 0.45                  # units below the chin: clothes, bare shoulders or long hair
_RARE = 0.04                   # of the most frequent colour of skin: rarer is not skin
_LEAST = 0.12                  # of what surrounds the face and is not skin, less than this is no hair
_OFTENER, _FAIR = 3.0, 0.45    # or so much of what is along the head's outline must be so much likelier there than on the cheeks
_ROUNDS = 3                    # of telling clothes from the long hair before them
_FEW = 40                      # pixels that say nothing about a colour
_EARS = 2                      # points of the jaw, counted from its ends: above is head
_OFTEN, _SELDOM = 0.6, 0.05    # how likely hair is below hair; elsewhere below the jaw
_USUAL = 0.7                   # of the frames: where the torso is so often, hair is seldom
_BESIDE_NECK = (.4, .6, .1)    # units beside the neck: so much of hair up to the first, all of it from the second on
_NECK = 0.6                    # units beside its middle: what looks like skin in shadow is the neck's
_BREAST = (.45, .8)            # units beside it and below the chin: hardly hair
_JAW_ENDS, _ENOUGH = 4, 2.0    # point of the jaw beside the mouth; half of a column there is enough
_SIDEWAYS, _NONE = 0.15, 0.05  # units that hair spreads while it falls; fraction of a column that is none


@dataclass(frozen=True)
class PersonLook:
    """Densities of colours, float32 [32768] each; zero where the person has no such part."""
    hair: np.ndarray
    skin: np.ndarray
    shaded: np.ndarray   # skin in any light, down to the chin's shadow
    clothes: np.ndarray
    torso: np.ndarray | None = None  # float32 [h, w] in how many of the video's reduced frames the torso is there, 0..1

    @cached_property
    def bald(self) -> bool:
        return not self.hair.any()

    @cached_property
    def densities(self) -> np.ndarray:  # float32 [32768, 4]
        """Hair, skin, shaded, clothes of a colour side by side."""
        return np.stack([self.hair, self.skin, self.shaded, self.clothes], axis=1)


@dataclass(frozen=True)
class Likelihoods:
    """How well a frame's reduced pixels fit the person's parts, float32 [h, w] each."""
    hair: np.ndarray
    skin: np.ndarray
    shaded: np.ndarray
    clothes: np.ndarray

    def hanging(self, prior: np.ndarray, neck: np.ndarray) -> np.ndarray:  # [h, w] float32, bool -> float32 [h, w]
        """Probability of hair, against clothes and skin (`neck`: skin that may lie in shadow), where it is `prior` likely."""
        return hair_odds(self.hair, self.skin, self.shaded, self.clothes, prior, neck.view(np.uint8))


@dataclass(frozen=True)
class Hanging:
    """Where hair may hang below or beside the jaw, before its colour is looked at: below what is hair beside the face."""
    prior: np.ndarray   # float32 [h, w]
    neck: np.ndarray    # bool [h, w]: not beside the neck, but before it
    far: np.ndarray     # bool [h, w]: hardly hair

    @classmethod
    def of(cls, view: View, person: np.ndarray, found: Likelihoods, torso: np.ndarray | None = None) -> Hanging:
        """By the person, bool [h, w], and where the torso usually is, float32 [h, w]."""
        axes, rows = view.small_axes, np.arange(view.small_size[0])[:, None]
        aside = across(view.small_size, (axes.centre + view.at[8]) / 2, axes.right, axes.unit)
        falling = cls._falling(view, person & (found.hair > found.skin), axes)
        prior = hair_prior(aside, falling[0], _BESIDE_NECK, _SELDOM, _OFTEN)
        if torso is not None and torso.shape == prior.shape:
            prior = np.where(torso > _USUAL, np.minimum(prior, np.float32(_SELDOM)), prior)
        breast = (aside < _BREAST[0]) & (rows > view.at[8, 1] + _BREAST[1] * axes.unit)
        return cls(prior, aside < _NECK, (falling < _NONE) & (aside > _NECK) | breast)

    @staticmethod
    def _falling(view: View, hairy: np.ndarray, axes: HeadAxes) -> np.ndarray:  # -> float32 [1, w], 0..1
        """How much of each column is hair between the eyes and the mouth, a little to either side too."""
        import cv2
        top, stop = axes.centre[1], max(view.at[_JAW_ENDS, 1], view.at[16 - _JAW_ENDS, 1])
        band = hairy[int(np.clip(top, 0, len(hairy) - 1)):max(int(stop), int(top) + 1)]
        if not len(band):
            return np.zeros((1, hairy.shape[1]), np.float32)
        share = np.minimum(band.mean(0, keepdims=True, dtype=np.float32) * _ENOUGH, 1)
        width = 2 * max(1, round(_SIDEWAYS * axes.unit)) + 1
        return cv2.blur(cv2.dilate(share, np.ones((1, width), np.uint8)), (width, 1))


def bins(lab: np.ndarray) -> np.ndarray:  # uint8 [..., 3] -> int64 [...]
    light, a, b = ((lab[..., axis] >> _SHIFT).astype(np.intp) for axis in range(3))
    return (light * _BINS + a) * _BINS + b


def likelihoods(view: View, look: PersonLook) -> Likelihoods:
    return Likelihoods(*gathered(view.lab, look.densities, _SHIFT, _BINS, _FLOOR))


def learn_look(samples: Sequence[tuple[np.ndarray, np.ndarray]], persons: Sequence[np.ndarray] | None = None) -> PersonLook:
    """The person's colours from some frames of one video, each (uint8 [H, W, 3], points [68, 2]).

    Args:
        persons: bool [H, W] of each sample, where the person is; None: found.
    """
    views = [View.of(frame, points) for frame, points in samples]
    if persons is None:
        persons = [cut_out(view, soft_person(view)) for view in views]
    zones = [_Zones.of(view, view.reduced(person) > .5) for view, person in zip(views, persons)]
    cheeks = [view.small[zone.cheeks] for view, zone in zip(views, zones)]
    skin, shaded = (_density([_lit(pixels, light) for pixels in cheeks for light in lights]) for lights in (_LIGHTS, _SHADES))
    around = [view.lab[zone.around] for view, zone in zip(views, zones)]
    cheek = _density([_lit(pixels, 1) for pixels in cheeks], _BLURS[:1])
    rare = cheek < _RARE * cheek.max()
    hair = [pixels[rare[bins(pixels)]] for pixels in around]
    ring = [view.lab[zone.ring] for view, zone in zip(views, zones)]
    enough = sum(map(len, hair)) > max(_FEW, _LEAST * sum(map(len, around))) or _differ(ring, skin)
    look = PersonLook(_density([*hair, *ring]) if enough else np.zeros_like(skin), skin, shaded, np.zeros_like(skin))
    hanging = [Hanging.of(view, zone.person, likelihoods(view, look)) for view, zone in zip(views, zones)]
    look = replace(look, clothes=_density([view.lab[zone.lower & own.far] for view, zone, own in zip(views, zones, hanging)]))
    for _ in range(_ROUNDS):
        look = replace(look, clothes=_density([_clothes(*each, look) for each in zip(views, zones, hanging)]))
    return look


@dataclass(frozen=True)
class _Zones:
    """Where colours are learnt, bool [h, w] each."""
    cheeks: np.ndarray
    around: np.ndarray  # beside and above the face: mostly hair
    ring: np.ndarray    # the same along the outline
    lower: np.ndarray   # below the neck: mostly clothes
    person: np.ndarray

    @classmethod
    def of(cls, view: View, person: np.ndarray) -> _Zones:  # bool [h, w]
        import cv2
        size, axes = view.small_size, view.small_axes
        inside = cv2.erode(person.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        face = view.small_face
        rows = np.arange(size[0])[:, None]
        around = inside & above_jaw(view.at, size, _EARS) & ~face
        deep = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        return cls(cheeks=polygon(view.at[_CHEEKS], size), around=around, ring=around & (deep > 2) & (deep < .22 * axes.unit),
                   lower=inside & (rows > view.at[8, 1] + _LOWER * axes.unit), person=person)


def _clothes(view: View, zone: _Zones, hanging: Hanging, look: PersonLook) -> np.ndarray:  # -> uint8 [N, 3] Lab
    """Colours of a frame's lower part that are neither long hair's nor skin's."""
    found = likelihoods(view, look)
    other = view.guide(found.hanging(hanging.prior, hanging.neck)) > .5
    at, neck = bins(view.lab), hanging.neck
    bare = np.where(neck, look.shaded[at] > _RARE * look.shaded.max(), look.skin[at] > _RARE * look.skin.max())
    return view.lab[zone.lower & ~other & ~bare]


def _differ(ring: Sequence[np.ndarray], skin: np.ndarray) -> bool:  # uint8 [N, 3] Lab each, [32768]
    """Whether what lies along the head's outline is hair, however near its colour is to the skin's."""
    own, at = _density(ring), bins(np.concatenate(ring))
    return len(at) > _FEW and float((own[at] > _OFTENER * skin[at]).mean()) > _FAIR


def _lit(pixels: np.ndarray, light: float) -> np.ndarray:  # uint8 [N, 3] RGB -> uint8 [N, 3] Lab
    import cv2
    changed = np.clip(pixels * light, 0, 255).astype(np.uint8)
    return cv2.cvtColor(changed[None], cv2.COLOR_RGB2Lab)[0] if len(pixels) else changed


def _density(examples: Sequence[np.ndarray], blurs: Sequence[tuple[float, float]] = _BLURS) -> np.ndarray:
    """Of colours, float32 [32768], from examples uint8 [N, 3] Lab; zero from too few."""
    from scipy.ndimage import gaussian_filter
    counts = np.zeros(_BINS ** 3, np.float32)
    for pixels in examples:
        counts += np.bincount(bins(pixels), minlength=len(counts))
    if counts.sum() < _FEW:
        return np.zeros_like(counts)
    cube, out = counts.reshape(_BINS, _BINS, _BINS), np.zeros_like(counts)
    for sigma, share in blurs:
        smooth = gaussian_filter(cube, sigma, mode="constant").ravel()
        out += share * smooth / smooth.sum()
    return out
