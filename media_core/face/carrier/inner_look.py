"""How the inside of a mouth looks in an image that may never show it: tones, softness and grain, measured on the face.

Teeth take their brightness from the image's own teeth where it shows them, else from the cheeks, helped by the whites of the eyes
(never from those alone: small, shaded and blue). Stone and grey pictures keep their tone.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...subject.layout import EYES, INNER_LIPS, LIPS, skin_sample
from .place import Place, smooth

_NOSE_BASE = 2
_OWN_TEETH = 2.5        # units of gap from which the image may show its own teeth
_OWN_INSIDE = 1.2       # units of gap from which the image's own inside of the mouth is kept
_WIDE, _HIDDEN = (3.0, 5.0), .85  # units of gap beyond which drawn teeth no longer join the image's own; how far they are hidden
_SOFT_INSIDE = 1.6      # units inside the lips over which it begins
_NARROW = 4.0, 3.0      # units of own gap up to which its few teeth make no row, over how much they do
_BEYOND = .8, 3.0       # units by which lips go further apart than in the image before a slit's inside goes, over how much
_SKIN_CAST = np.array([1.22, .95, .83])  # of skin in white light
_IVORY = np.array([1.06, .985, .90])
_PINK = np.array([1.20, .50, .50])       # a tongue, for 1 of the teeth's brightness
_DARK = np.array([.32, .115, .115])      # the cavity, likewise
_OF_CHEEK, _OF_WHITE, _MOST = .92, 1.05, 1.7  # brightness of teeth: of the cheeks', of the eyes' whites; most, of the cheeks'
_SHADED, _ABOVE = (.45, .85, .62), 1.0  # teeth by what lies about the upper lip: constant, slope, least; heights above
_YELLOW, _DARKENS = (.84, .25), .22  # blue of the light below which, over how much, an image is painted; its teeth are darker
_MOUSTACHE = .65, .3    # skin under the nose darker than that, of the cheeks': hair, more of it over so much
_STONE = .7             # brightness inside of what is not flesh
_FLESH = 1.02, .06      # red over green of the lips, over the cheeks': none below, flesh when higher by that much
_UNLIKE = .15, .08      # difference of their hues (of mean 1), likewise
_SHARPNESS = (.30, .50, .80), (1.5, .8, .35)  # finest over next details of the face -> px of blur


@dataclass(frozen=True)
class OwnInside:
    """The inside of the mouth that an image shows itself, fixed to the skull."""

    weight: np.ndarray  # float32 [h, w] 0..1
    left: int           # px of the image
    top: int
    picture: np.ndarray | None = None  # uint8 [h, w, 3], what is seen there; None: the image's own pixels
    gap: float = np.inf  # units, how far the lips are apart there

    def kept(self, gap: float) -> float:
        """How far it is still shown, 0..1, by lips `gap` units apart: a slit's rim and few teeth would float in a wide mouth."""
        slit = 1 - smooth((self.gap - _NARROW[0]) / _NARROW[1])
        return float(1 - slit * smooth((gap - self.gap - _BEYOND[0]) / _BEYOND[1]))


@dataclass(frozen=True)
class Mouth:
    """What the inside of a face's mouth looks like. Colours are float [3], 0..255."""

    tone: np.ndarray                 # of the teeth
    tongue: np.ndarray | None = None  # None: pink, as bright as the teeth allow
    dark: np.ndarray | None = None   # behind everything; None: likewise
    hue: np.ndarray | None = None    # of a picture without flesh colours, mean 1; None: colours as they are
    stone: float = 0.0               # 0..1, how far everything inside takes that hue
    light: float = 1.0               # 0..1, of everything inside
    softness: float = .4             # px of blur
    grain: float = 0.0               # deviation of the image's grain, 255ths
    row: float = 1.0                 # 0..1, how far drawn teeth show; less beside an own inside that is wide open
    covered: float = 0.0             # 0..1, how far a moustache hides the upper teeth
    own: OwnInside | None = field(default=None, repr=False)

    @classmethod
    def of(cls, picture: np.ndarray, mesh: np.ndarray, *, own: bool = True) -> Mouth:  # uint8 [H, W, 3], [>= 468, 3] px
        """As the image allows.

        Args:
            own: keep what the image shows inside an open mouth.
        """
        cheek, lips = cheek_colour(picture, mesh), _lip_colour(picture, mesh)
        bright = float(cheek.mean())
        shown = shown_teeth(picture, mesh, bright)
        guessed = guessed_teeth(cheek, _eye_white(picture, mesh)) * _shaded(picture, mesh, bright)
        tone = guessed if shown is None else shown
        stone = 1 - _flesh(cheek, lips)
        hue = None if stone < .02 else cheek / max(bright, 1.0)
        softness, grain = _texture(picture, mesh)
        inside = _own_inside(picture.shape[:2], mesh) if own else None
        light, place = float(tone.mean()), Place.of(mesh)
        gap = float(np.linalg.norm((place.own[13] - place.own[14])[:2]))
        row = 1.0 if inside is None else float(1 - _HIDDEN * smooth((gap - _WIDE[0]) / _WIDE[1]))
        tongue = light * (.5 * _PINK + .5 * _PINK.mean() * lips / max(float(lips.mean()), 1.0))
        return cls(tone=tone, tongue=tongue, dark=_DARK * light, hue=hue, stone=stone,
                   light=1 - (1 - _STONE) * stone, softness=softness, grain=grain, row=row,
                   covered=_moustache(picture, mesh, bright), own=inside)


def lip_gap(ring: np.ndarray) -> float:  # [20, 2] px
    """How far lips are apart at most, px, by the inner ring."""
    return float(np.linalg.norm(ring[[3, 5, 7]] - ring[[17, 15, 13]], axis=1).max())


def colour_of(picture: np.ndarray, outline: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3 or 4], [P, 2+] px -> [3]
    """Median colour inside an outline; of the whole image when nothing lies there."""
    pixels = _pixels(picture, outline)
    return np.median(pixels if len(pixels) else picture[..., :3].reshape(-1, 3), axis=0).astype(np.float64)


def cheek_colour(picture: np.ndarray, mesh: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3 or 4], [>= 468, 2+] px -> [3]
    """Of skin in the light: of the right cheek, unless something covers that."""
    return colour_of(picture, mesh[skin_sample(lambda outline: float(colour_of(picture, mesh[outline]).mean()))])


def shown_teeth(picture: np.ndarray, mesh: np.ndarray, cheek: float) -> np.ndarray | None:  # -> [3]
    """The tone of the teeth that the image shows; None: it shows none."""
    place = Place.of(mesh)
    if np.linalg.norm(place.own[13] - place.own[14]) < _OWN_TEETH:
        return None
    pixels = _pixels(picture, mesh[INNER_LIPS], shrink=1).astype(np.float64)
    if len(pixels) < 20:
        return None
    bright = pixels[pixels.mean(1) >= np.percentile(pixels.mean(1), 70)]
    tone = np.median(bright, axis=0)
    if tone.mean() < .75 * cheek or tone[0] > 1.3 * tone[1]:
        return None
    return ordered(tone * .95)


def guessed_teeth(cheek: np.ndarray, white: float | None = None) -> np.ndarray:  # [3] -> [3]
    """Teeth as bright as the cheek, a little warmer than white in its light; with the whites of the eyes brighter on dark skin.

    Args:
        white: brightness of the whites, None: not seen.
    """
    bright = float(cheek.mean())
    cast = np.clip(cheek / max(bright, 1.0) / _SKIN_CAST, [.98, .6, .4], [1.3, 1.02, 1.0])  # rosy skin is no blue light
    light = _OF_CHEEK * bright if white is None else float(np.clip(_OF_WHITE * white, _OF_CHEEK * bright, _MOST * bright))
    yellow = float(smooth((_YELLOW[0] - cast[2]) / _YELLOW[1]))
    own = .5 + .45 * yellow
    return ordered(light * (1 - _DARKENS * yellow) * _IVORY * (1 - own + own * cast))


def ordered(tone: np.ndarray) -> np.ndarray:
    """Never blue or green: R >= G >= B."""
    red = float(tone[0]) if tone[0] >= tone[1] else float(tone.mean()) * 1.02
    green = min(float(tone[1]), red)
    return np.clip(np.array([red, green, min(float(tone[2]), green)]), 0, 238)


def _eye_white(picture: np.ndarray, mesh: np.ndarray) -> float | None:
    """Brightness of the brightest fifth of the eyes, without the very glints."""
    pixels = np.concatenate([_pixels(picture, mesh[ring]) for ring in EYES])
    return float(np.percentile(pixels.mean(1), 88)) if len(pixels) >= 24 else None


def _shaded(picture: np.ndarray, mesh: np.ndarray, cheek: float) -> float:
    """1, or less where what lies about the upper lip is far darker than the cheek: a moustache shades the teeth."""
    upper = mesh[LIPS[0, 10:], :2]
    above = upper + (upper.mean(0) - mesh[LIPS[3, 10:], :2].mean(0)) * _ABOVE
    strip = np.concatenate([above, mesh[LIPS[3, 10:], :2][::-1]])
    ratio = float(colour_of(picture, strip).mean()) / max(cheek, 1.0)
    return float(np.clip(_SHADED[0] + _SHADED[1] * ratio, _SHADED[2], 1))


def _moustache(picture: np.ndarray, mesh: np.ndarray, cheek: float) -> float:
    """How far hair hangs over the upper lip, 0..1, by the brightness between it and the nose."""
    lip = mesh[LIPS[0, 10:], :2]
    strip = np.concatenate([lip + (mesh[_NOSE_BASE, :2] - lip.mean(0)) * .75, lip[::-1]])
    ratio = float(colour_of(picture, strip).mean()) / max(cheek, 1.0)
    return float(smooth((_MOUSTACHE[0] - ratio) / _MOUSTACHE[1]))


def _lip_colour(picture: np.ndarray, mesh: np.ndarray) -> np.ndarray:  # -> [3]
    """Median colour of the lower lip's red."""
    lower = np.concatenate([mesh[LIPS[1, 3:8]], mesh[LIPS[2, 3:8]][::-1]])
    return colour_of(picture, lower)


def _flesh(cheek: np.ndarray, lips: np.ndarray) -> float:
    """1 where lips are of another colour than cheeks, 0 for stone and grey."""
    if np.ptp(cheek) < 4:
        return 0.0
    redness = [float(colour[0] + 4) / float(colour[1] + 4) for colour in (lips, cheek)]
    hues = [colour / max(float(colour.mean()), 1.0) for colour in (lips, cheek)]
    signs = ((redness[0] / redness[1], _FLESH), (float(np.linalg.norm(hues[0] - hues[1])), _UNLIKE))
    return float(np.clip(max((value - least) / span for value, (least, span) in signs), 0, 1))


def _pixels(picture: np.ndarray, outline: np.ndarray, shrink: int = 0) -> np.ndarray:  # -> uint8 [N, 3]
    import cv2

    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(outline)[:, :2] * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    if shrink:
        mask = cv2.erode(mask, np.ones((2 * shrink + 1,) * 2, np.uint8))
    return picture[mask > 0][:, :3]


def _texture(picture: np.ndarray, mesh: np.ndarray) -> tuple[float, float]:
    """How soft the face is (px) and its grain (deviation), from its details at three scales."""
    import cv2

    low = np.maximum(np.floor(mesh[:, :2].min(0)), 0).astype(int)
    high = np.ceil(mesh[:, :2].max(0)).astype(int)
    face = cv2.cvtColor(np.ascontiguousarray(picture[low[1]:high[1], low[0]:high[0], :3]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    if min(face.shape) < 8:
        return .4, 0.0
    once, twice = cv2.GaussianBlur(face, (0, 0), .8), cv2.GaussianBlur(face, (0, 0), 1.6)
    fine, next_ = face - once, once - twice
    ratio = float(np.sqrt((fine ** 2).mean()) / max(float(np.sqrt((next_ ** 2).mean())), 1e-3))
    return float(np.interp(ratio, *_SHARPNESS)), float(min(1.4826 * np.median(np.abs(fine)) * 1.6, 8))


def _own_inside(size: tuple[int, int], mesh: np.ndarray) -> OwnInside | None:
    """Where the image shows the inside of its own mouth."""
    import cv2

    place = Place.of(mesh)
    if np.linalg.norm((place.own[13] - place.own[14])[:2]) < _OWN_INSIDE:
        return None
    ring = mesh[INNER_LIPS, :2]
    low = np.maximum(np.floor(ring.min(0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(ring.max(0)).astype(int) + 3, [size[1], size[0]])
    if (high - low).min() < 3:
        return None
    mask = np.zeros((high - low)[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round((ring - low) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 3) / place.pixel
    return OwnInside(smooth(inwards / _SOFT_INSIDE).astype(np.float32), int(low[0]), int(low[1]), gap=lip_gap(ring) / place.pixel)
