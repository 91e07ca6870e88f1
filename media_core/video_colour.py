"""A video's colours to 8-bit RGB of BT.709, as a screen of ordinary brightness shows them: high dynamic range is brought down.

HLG and PQ (ITU-R BT.2100) become light, in multiples of HDR's reference white of 203 cd/m2 (BT.2408), which is the white of an
ordinary video. Primaries become BT.709's. What is brighter than `_KNEE` is bent so that the brightest still has detail; all below
keeps its light, and is written with a screen's gamma of 2.4 (BT.1886). HLG's system gamma of 1.2 is applied to each colour, not
to the luminance: so do ordinary cameras, whose saturation an ordinary video has (the "traditional look" of BT.2390).
"""
from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import av

TRANSFERS = {16: "PQ", 18: "HLG"}  # numbers of ITU-T H.273
WHITE = 203.0    # cd/m2 of HDR's reference white
PEAK = 1000.0    # cd/m2 of the brightest that is kept apart; HLG is meant for such a screen
_KNEE = 0.8      # of the reference white
_GAMMA = 2.4
_STEPS = 65535   # of the tables
_AT_ONCE = 1 << 16  # pixels: what a core's cache holds
_EXACT = 0x2 | 0x40000 | 0x2000  # FFmpeg's bilinear, accurate_rnd, full_chroma_int: else 1.3 of 255 too dark (wrong for rgb48)
_HD = (1280, 576)  # px: untagged videos wider or higher than this are of BT.709, smaller ones of BT.601 (as players guess)
_TO_709 = {  # linear RGB to linear RGB of BT.709, by the primaries' number; 9: BT.2020, 12: Display P3
    9: np.array([[1.66049, -0.58764, -0.07285], [-0.12455, 1.13290, -0.00835], [-0.01815, -0.10058, 1.11873]], np.float32),
    12: np.array([[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09827]], np.float32)}


class Colour(NamedTuple):
    """How a video's colours have to be converted."""

    transfer: str = ""   # "PQ" or "HLG"; empty: an ordinary video
    primaries: int = 1   # number of ITU-T H.273; BT.709's, or one of `_TO_709`
    matrix: str | None = None  # of YUV videos that do not name theirs; None: as the video says

    @property
    def plain(self) -> bool:
        """Whether 8-bit RGB needs nothing more."""
        return not self.transfer and self.primaries not in _TO_709


def colour_of(stream: av.VideoStream, frame: av.VideoFrame) -> Colour:
    """The colours of a video, from its stream and a decoded frame."""
    context = stream.codec_context
    transfer = TRANSFERS.get(int(context.color_trc or 0), "")
    primaries = int(context.color_primaries or 0)
    if transfer and primaries not in (1, *_TO_709):
        primaries = 9  # both are made for BT.2020
    tagged = int(frame.colorspace) not in (0, 2) or frame.format.is_rgb
    large = frame.width >= _HD[0] or frame.height > _HD[1]
    return Colour(transfer, primaries, "ITU709" if large and not tagged else None)


def shown_picture(frame: av.VideoFrame, width: int, colour: Colour) -> np.ndarray:  # uint8 [H, width, 3]
    """A decoded frame as RGB of BT.709, `width` px wide."""
    # RGB has no colour matrix to convert to, but without one named PyAV 14 takes BT.709 videos for BT.601.
    kind = "rgb24" if colour.plain else "rgb48le"
    picture = frame.reformat(format=kind, src_colorspace=colour.matrix, dst_colorspace="ITU601", width=width,
                             interpolation=_EXACT if colour.plain else None).to_ndarray()
    return picture if colour.plain else as_shown(picture, colour)


def as_shown(picture: np.ndarray, colour: Colour) -> np.ndarray:  # uint16 [H, W, 3] -> uint8 [H, W, 3]
    """Coded RGB of a video with other light or primaries as 8-bit RGB of BT.709."""
    import cv2

    coded, out = picture.reshape(-1, 3), np.empty((picture.shape[0] * picture.shape[1], 3), np.uint8)
    light, shades = _light(colour.transfer), _shades(bool(colour.transfer))
    top = PEAK / WHITE if colour.transfer else 1.0
    for start in range(0, len(coded), _AT_ONCE):
        linear = np.take(light, coded[start:start + _AT_ONCE], mode="clip")
        if colour.primaries in _TO_709:
            linear = cv2.transform(linear[None], _TO_709[colour.primaries])[0]
        np.clip(linear, 0, top, out=linear)
        np.sqrt(linear, out=linear)  # dark shades lie close together
        linear *= np.float32(_STEPS / np.sqrt(top))
        out[start:start + _AT_ONCE] = np.take(shades, linear.astype(np.uint16), mode="clip")
    return out.reshape(picture.shape)


@lru_cache(maxsize=3)
def _light(transfer: str) -> np.ndarray:  # float32 [65536]
    """Light of every code, in reference whites."""
    code = np.arange(_STEPS + 1) / _STEPS
    if transfer == "HLG":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        return (PEAK / WHITE * scene**1.2).astype(np.float32)
    if transfer == "PQ":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        return (10000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)).astype(np.float32)
    return (code**_GAMMA).astype(np.float32)


@lru_cache(maxsize=2)
def _shades(bent: bool) -> np.ndarray:  # uint8 [65536]
    """The 8-bit shade of every light, by its square root; `bent`: from `_KNEE` on less and less, up to white at the peak."""
    top = PEAK / WHITE if bent else 1.0
    light = top * (np.arange(_STEPS + 1) / _STEPS) ** 2
    if bent:
        over, most = (np.maximum(light - _KNEE, 0) / (1 - _KNEE) for light in (light, top))
        light = np.where(light > _KNEE, _KNEE + (1 - _KNEE) * over * (1 + over / most**2) / (1 + over), light)
    return np.rint(255 * light ** (1 / _GAMMA)).astype(np.uint8)
