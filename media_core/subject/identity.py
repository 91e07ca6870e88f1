"""Invented people: a seed bends the portrait into other proportions and gives it other colours."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .layout import EYES, OVAL
from .portrait import LEFT, SCALE, TOP, Portrait, shrink

Displacement = Callable[[np.ndarray], np.ndarray]  # photo pixels [..., 2] -> shift [..., 2]
_RANGES = dict(jaw=4.5, chin=5.5, cheeks=3.5, nose_width=2.0, nose_length=2.6, eye_distance=2.2, brows=2.0, mouth_height=2.2,
               mouth_width=2.2, hair_height=7, hair_width=6, eye_size=1.0)  # photo pixels, both ways; drawn in this order

_FACE = np.array([224.62, 123.58])  # photo px: middle of the astronaut's face


@dataclass(frozen=True)
class Look:
    """Colours of one person. Hue is in OpenCV's 0..180."""
    hair: tuple[float, float, float]        # hue shift, saturation factor, value factor
    skin: np.ndarray                        # [3] RGB factor
    suit: tuple[float, float, float]
    backdrop: tuple[float, float, float]


def invent(portrait: Portrait, seed: int) -> tuple[Portrait, Look]:
    """Another person: the bent portrait, and the colours to give it."""
    rng = np.random.default_rng([seed, 77])
    moved = np.zeros(2) if portrait.big is None else portrait.points[list(OVAL), :2].mean(0) - _FACE
    shift = _displacement(portrait.points, {name: rng.uniform(-limit, limit) for name, limit in _RANGES.items()}, moved)
    points = portrait.points.copy()
    points[:, :2] += shift(portrait.points[:, :2])
    points[:, 2] *= rng.uniform(.92, 1.1)
    bend = _bend if portrait.big is None else _bend_photo
    bent = replace(bend(portrait, shift), points=points, hair=portrait.hair + shift(portrait.hair),
                   neck=portrait.neck + shift(portrait.neck), torso=portrait.torso + shift(portrait.torso))
    return bent, _draw_look(rng)


def _displacement(points: np.ndarray, by: dict[str, float], moved: np.ndarray) -> Displacement:
    """A sum of Gaussian pushes at landmarks of the face, and at the hair, `moved` [2] from where the astronaut's is."""
    flat = points[:, :2]
    pushes = [(flat[172], (-by["jaw"], 0), 15), (flat[397], (by["jaw"], 0), 15), (flat[136], (-by["jaw"], 0), 13),
              (flat[365], (by["jaw"], 0), 13), (flat[152], (0, by["chin"]), 20), (flat[234], (-by["cheeks"], 0), 17),
              (flat[454], (by["cheeks"], 0), 17), (flat[98], (-by["nose_width"], 0), 7), (flat[327], (by["nose_width"], 0), 7),
              (flat[4], (0, by["nose_length"]), 9), (flat[2], (0, by["nose_length"]), 9),
              (flat[EYES[0]].mean(0), (-by["eye_distance"], 0), 11), (flat[EYES[1]].mean(0), (by["eye_distance"], 0), 11),
              (flat[105], (0, by["brows"]), 9), (flat[334], (0, by["brows"]), 9),
              (flat[61], (-by["mouth_width"], by["mouth_height"]), 9),
              (flat[291], (by["mouth_width"], by["mouth_height"]), 9), (flat[13], (0, by["mouth_height"]), 10),
              (np.array([225., 22.]) + moved, (0, -by["hair_height"]), 26),
              (np.array([158., 80.]) + moved, (-by["hair_width"], 0), 24),
              (np.array([298., 85.]) + moved, (by["hair_width"], 0), 24)]
    for eye in EYES:
        centre = flat[eye].mean(0)
        pushes += [(centre + [0, -4], (0, -by["eye_size"]), 6), (centre + [0, 4], (0, by["eye_size"]), 6)]

    def shift(where: np.ndarray) -> np.ndarray:
        x, y = np.asarray(where, np.float64)[..., 0], np.asarray(where, np.float64)[..., 1]
        right, down = np.zeros(x.shape), np.zeros(x.shape)
        for centre, push, width in pushes:
            weight = np.exp(((x - centre[0]) ** 2 + (y - centre[1]) ** 2) * (-.5 / (width * width)))
            right += weight * push[0]
            down += weight * push[1]
        return np.stack([right, down], -1)
    return shift


def _bend(portrait: Portrait, shift: Displacement) -> Portrait:
    """The photo and its cut-outs, resampled through the inverse of `where + shift(where)`."""
    import cv2
    source, fine = _sources(portrait, shift)
    image = cv2.remap(portrait.image, source[..., 0].copy(), source[..., 1].copy(), cv2.INTER_LANCZOS4,
                      borderMode=cv2.BORDER_REFLECT)

    def bend_cut(cut: np.ndarray) -> np.ndarray:
        warped = cv2.remap(cut, fine[..., 0].copy(), fine[..., 1].copy(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.where(warped > 127, 255, 0).astype(np.uint8)
    return replace(portrait, image=image, head_cut=bend_cut(portrait.head_cut), torso_cut=bend_cut(portrait.torso_cut))


def _bend_photo(portrait: Portrait, shift: Displacement) -> Portrait:
    """The same for a photo that is known at texture size."""
    import cv2
    assert portrait.big is not None
    _, fine = _sources(portrait, shift)
    big = cv2.remap(portrait.big, fine[..., 0].copy(), fine[..., 1].copy(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return replace(portrait, image=shrink(big), big=big)


def _sources(portrait: Portrait, shift: Displacement) -> tuple[np.ndarray, np.ndarray]:  # float32 [h, w, 2], [h S, w S, 2]
    """Where every pixel of the photo and of its textures comes from."""
    import cv2
    height, width = portrait.image.shape[:2]
    y, x = np.mgrid[TOP:TOP + height, LEFT:LEFT + width].astype(np.float64)
    here = np.stack([x, y], -1)
    source = here - shift(here)
    for _ in range(3):                                                  # fixed-point inversion
        source = here - shift(source)
    source = (source - [LEFT, TOP]).astype(np.float32)
    fine = cv2.resize(source, (width * SCALE, height * SCALE), interpolation=cv2.INTER_LINEAR)
    return source, (fine + np.float32(.5)) * np.float32(SCALE) - np.float32(.5)


def _draw_look(rng: np.random.Generator) -> Look:
    hair = (rng.uniform(-14, 8), rng.uniform(.2, 1.5), rng.uniform(.30, 1.15))
    tone = rng.uniform(.55, 1.06)                                       # darker skin is also less blue
    skin = np.array([tone, tone * (1 - .14 * (1 - tone)), tone * (1 - .26 * (1 - tone))])
    suit = (rng.uniform(0, 180), rng.uniform(.4, 1.0), rng.uniform(.6, 1.1))
    backdrop = (rng.uniform(0, 180), rng.uniform(.5, 3.0), rng.uniform(.55, 1.05))
    return Look(hair, skin, suit, backdrop)


def dye(image: np.ndarray, change: tuple[float, float, float], where: np.ndarray | None = None) -> np.ndarray:
    """Shifts hue and scales saturation and value of an RGB image; `where` is float [H, W, 1] 0..1."""
    import cv2
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + change[0]) % 180
    hsv[..., 1:] = np.clip(hsv[..., 1:] * np.array(change[1:], np.float32), 0, 255)
    dyed = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return dyed if where is None else mix(image, dyed, where)


def tan(image: np.ndarray, factor: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Multiplies an RGB image by `factor` [3]; `where` is float [H, W, 1] 0..1."""
    tanned = np.clip(image * factor.astype(np.float32), 0, 255)
    return tanned.astype(np.uint8) if where is None else mix(image, tanned, where)


def mix(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """uint8 blend of two images by a float mask 0..1."""
    return np.clip(under * (1 - amount) + over * amount, 0, 255).astype(np.uint8)
