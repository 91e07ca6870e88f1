"""Videos say that they are made: tags in every file, and a label in the frames where one is wanted (docs/consent.md).

The tags follow the IPTC's property `digitalSourceType`, which C2PA uses too.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from .asked import whole
from .caption_image import label_font
from .choices import LABEL
from .errors import TalkingHeadsError

Source: TypeAlias = Literal["generated", "composite", "recorded"]  # all of it made by networks; a recording or an image with
# such parts; a plain copy of what a camera saw, which gets no tags
LONGEST = 60  # characters
_TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_TYPES: Mapping[Source, str] = {"generated": "trainedAlgorithmicMedia", "composite": "compositeWithTrainedAlgorithmicMedia"}
_COMMENT = "Synthetic media: the person in this video was animated by software (Talking Heads)."
_SIZE, _LEAST = 0.032, 8  # of the frame's shorter side, px: the font
_WIDEST = 0.9  # of the frame: longer words are drawn smaller
_PLATE, _INK = 0.55, 235  # how dark the ground behind the words is, their grey


def tags(source: Source) -> dict[str, str]:
    """What a video's metadata say of its origin."""
    if source == "recorded":
        return {}
    return {"comment": _COMMENT, "synthetic_media": "true", "digitalSourceType": _TERMS + _TYPES[source]}


def checked_label(text: str) -> str:
    """The words of a label without blanks around them; empty: no label.

    Raises:
        TalkingHeadsError: too long, of several lines, or with letters that Pillow's own font lacks.
    """
    text = text.strip()
    if len(text) > LONGEST or not text.isprintable() or not text.isascii():
        raise TalkingHeadsError(f"A label must be one line of at most {LONGEST} letters, without accents",
                                repr(text[:2 * LONGEST]), f"Write it otherwise, for example {LABEL}")
    return text


def labeller(text: str, size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """A function that puts a label into the lower left corner of a frame uint8 [H, W, 3 or 4]; the frame itself stays as it is.

    Args:
        text: see `checked_label`; empty: frames pass unchanged.
        size: (H, W) px of the frames.
    """
    text = checked_label(text)
    if not text:
        return lambda frame: frame
    plate, ink = _stamp(text, size)
    top, left = size[0] - plate.shape[0], 0

    def labelled(frame: np.ndarray) -> np.ndarray:
        frame = frame.copy()
        part = frame[top:, left:plate.shape[1]]
        dark = part[..., :3] * (1 - plate)
        part[..., :3] = np.rint(dark * (1 - ink) + _INK * ink)
        if frame.shape[2] == 4:
            part[..., 3] = np.maximum(part[..., 3], np.rint(255 * np.maximum(plate, ink)[..., 0]))
        return frame

    return labelled


@lru_cache(maxsize=8)
def _stamp(text: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:  # float32 [h, w, 1] each, 0..1
    """(how dark the ground is, how far the letters cover it)."""
    from PIL import Image, ImageDraw

    height, width = (whole("A side of the frames, px,", side, 2) for side in size)
    letters = max(_LEAST, round(_SIZE * min(height, width)))
    font, rows, _ = label_font(letters)
    long = font.getlength(text)
    if long > _WIDEST * width and letters > _LEAST:
        font, rows, _ = label_font(max(_LEAST, int(letters * _WIDEST * width / long)))
    edge = max(2, letters // 3)
    place = min(width, round(font.getlength(text)) + 2 * edge), min(height, rows + edge)
    image = Image.new("L", place)
    ImageDraw.Draw(image).text((edge, edge // 2), text, 255, font)
    ink = np.asarray(image, np.float32)[..., None] / 255
    return np.full_like(ink, _PLATE), ink
