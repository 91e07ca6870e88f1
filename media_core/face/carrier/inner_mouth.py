"""What is seen between the moving lips, in the image's own tone: teeth fixed to the skull, tongue, and the dark behind them."""
from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...subject.layout import INNER_LIPS, SKIN_SAMPLE
from ...subject.mouth import draw_mouth
from ...subject.parameters import INDEX, PARAMS
from .handles import Handles
from .place import Place, Turn

_LEAST_GAP = .35        # units; lips nearer than this show nothing
_LINE_GAP = .4, 1.2     # units: from a dark line between the lips to teeth
_LINE = .6              # brightness of that line, of the lips'
_TONGUE = .2
_OWN_TEETH = 4.0        # units of gap from which the image may show its own teeth
_SKIN_CAST = np.array([1.22, .95, .83])  # of skin in white light
_IVORY = np.array([1.05, 1.0, .93])


@dataclass(frozen=True)
class Mouth:
    """What the inside of a face's mouth looks like."""

    tone: np.ndarray    # float [3] 0..255, of the teeth
    light: float = 1.0  # 0..1, of everything inside

    @classmethod
    def of(cls, picture: np.ndarray, mesh: np.ndarray) -> Mouth:  # uint8 [H, W, 3], [>= 468, 3] px
        """As the image allows: its own teeth where it shows them, else from the cheeks' light."""
        cheek = cheek_colour(picture, mesh)
        own = shown_teeth(picture, mesh, float(cheek.mean()))
        return cls(guessed_teeth(cheek) if own is None else own)


def cheek_colour(picture: np.ndarray, mesh: np.ndarray) -> np.ndarray:  # -> [3]
    """Median of the cheeks' pixels."""
    import cv2

    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(mesh[SKIN_SAMPLE, :2]).astype(np.int32)], 1)
    pixels = picture[mask > 0][:, :3]
    if len(pixels) == 0:
        pixels = picture[..., :3].reshape(-1, 3)
    return np.median(pixels, axis=0).astype(np.float64)


def shown_teeth(picture: np.ndarray, mesh: np.ndarray, cheek: float) -> np.ndarray | None:  # -> [3]
    """The tone of the teeth that the image shows; None: it shows none."""
    import cv2

    place = Place.of(mesh)
    if np.linalg.norm(place.own[13] - place.own[14]) < _OWN_TEETH:
        return None
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(mesh[INNER_LIPS, :2]).astype(np.int32)], 1)
    pixels = picture[cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0][:, :3].astype(np.float64)
    if len(pixels) < 20:
        return None
    bright = pixels[pixels.mean(1) >= np.percentile(pixels.mean(1), 70)]
    tone = np.median(bright, axis=0)
    if tone.mean() < .75 * cheek or tone[0] > 1.4 * tone[1]:
        return None
    return tone * .92


def guessed_teeth(cheek: np.ndarray) -> np.ndarray:  # [3] -> [3]
    """Teeth as bright as the cheek, a little warmer than white in the cheek's light."""
    cast = cheek / max(float(cheek.mean()), 1.0) / _SKIN_CAST
    tone = .95 * cheek.mean() * _IVORY * (.5 + .5 * cast)
    tone[1] = min(tone[1], tone[0])
    tone[2] = min(tone[2], tone[1])
    return np.clip(tone, 0, 235)


@lru_cache(maxsize=1)
def _patch() -> np.ndarray:
    """A row of upper teeth, uint8 [h, w, 3]."""
    from ...subject.assets import _teeth
    from ...subject.portrait import enlarge, load

    portrait = load()
    return _teeth(portrait, enlarge(portrait.image))


def draw_inside(image: np.ndarray, amount: float, to: np.ndarray, handles: Handles, place: Place, turned: Turn | None,
                mouth: Mouth, jaw: float) -> None:
    """Draws it into the opening of the lips, in place.

    Args:
        image: uint8 [H, W, 3 or 4].
        amount: 0..1, how far it covers what is there.
        to: [468, 3] px, the moved mesh.
        jaw: units by which the jaw has gone down.
    """
    import cv2

    unit = place.pixel
    ring = to[INNER_LIPS, :2]
    gap = float(np.linalg.norm(ring[[3, 5, 7]] - ring[[17, 15, 13]], axis=1).max())
    times = 3 if unit < 4 else 2
    pad = int(np.ceil(3 * unit)) + 2
    low = np.maximum(np.floor(ring.min(0)).astype(int) - pad, 0)
    high = np.minimum(np.ceil(ring.max(0)).astype(int) + pad, [image.shape[1], image.shape[0]])
    width, height = (high - low).tolist()
    if gap < _LEAST_GAP * unit or width < 3 or height < 3:
        return
    side = max(width, height) * times
    big = np.zeros((side, side, 3), np.float32)
    flat = (ring - low + .5) * times - .5
    seam = handles.seam

    def project(x: float, y: float, z: float) -> np.ndarray:
        return (place.pixels((seam + [x, y, z])[None], turned)[0, :2] - low + .5) * times - .5

    params = np.zeros(len(PARAMS))
    params[INDEX["jaw"]], params[INDEX["tongue"]] = jaw, _TONGUE
    where, tooth = draw_mouth(big, flat, params, _patch(), times * unit, project)
    _tone_teeth(big, tooth, where.slices, flat, mouth.tone, times * unit)
    opening = np.zeros((side, side), np.uint8)
    cv2.fillPoly(opening, [np.round(flat * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    size = (side // times, side // times)
    inside = cv2.resize(big, size, interpolation=cv2.INTER_AREA)[:height, :width] * mouth.light
    soft = cv2.GaussianBlur(cv2.resize(opening, size, interpolation=cv2.INTER_AREA), (0, 0), max(.45, .22 * unit))
    alpha = soft[:height, :width].astype(np.float32)[..., None] / 255 * amount
    part = image[low[1]:high[1], low[0]:high[0], :3]
    at = np.clip(np.round(ring).astype(int), 0, [image.shape[1] - 1, image.shape[0] - 1])
    line = np.median(image[at[:, 1], at[:, 0], :3], axis=0) * _LINE
    inside = line + (inside - line) * np.clip((gap / unit - _LINE_GAP[0]) / _LINE_GAP[1], 0, 1)
    part[:] = np.clip(part + (inside - part) * alpha + .5, 0, 255).astype(np.uint8)


def _tone_teeth(big: np.ndarray, tooth: np.ndarray, where: tuple[slice, slice], lips: np.ndarray, tone: np.ndarray,
                unit: float) -> None:
    """What is drawn of the teeth gets the tone, whatever the patch was; in place."""
    import cv2

    mask = np.zeros(big.shape[:2], np.float32)
    mask[where] = tooth
    hole = np.zeros(big.shape[:2], np.uint8)
    cv2.fillPoly(hole, [np.round(lips).astype(np.int32)], 1)
    seen = big[(mask > 0) & (hole > 0)]
    if len(seen) > 20:
        gain = tone.astype(np.float32) / np.maximum(np.percentile(seen, 75, axis=0), 1)
        big *= 1 + cv2.GaussianBlur(mask, (0, 0), .3 * unit)[..., None] * (gain - 1)
