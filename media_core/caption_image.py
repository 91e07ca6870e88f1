"""A preview's image with its caption: words below it, large enough to be read when it is as wide as a node."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .captions import PARTS

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

SIDE = 512  # px, the longer side of a preview's image
_LETTERS = 0.065  # of the image's width: the font's size, of which a capital takes about 7 tenths
_SMALLEST_FONT, _EDGE = 8, 3  # px
_LONGEST = 600  # characters of a sentence: ComfyUI's server ends when it cannot encode an image, as one of 65,536 px
_TEXT, _LABEL = (230, 230, 230), (255, 214, 102)


def enlarged(image: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] -> uint8 [h, w, 3]
    """A preview's image with its longer side at `SIDE` px: text beside it then has a size of its own."""
    from PIL import Image

    scale = SIDE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def captioned(image: np.ndarray, text: str, shows: str = "", least: int = 0) -> Image:
    """An image with words below it, in a size that can be read when the image is as wide as a node.

    Args:
        image: uint8 [H, W, 3].
        text: wrapped into as many lines as it needs.
        shows: names of the image's parts from left to right, "truth | avatar": each stands below its part.
        least: px to leave for them at least.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    font, height, written = label_font(max(_SMALLEST_FONT, round(_LETTERS * picture.width)))
    text, shows = written(text), written(shows)
    lines = wrapped_lines(text, font, picture.width - 2 * _EDGE)
    labels = [label.strip() for label in shows.split("|")] if shows else []
    if len(labels) == 1:
        lines, labels = [*wrapped_lines(shows, font, picture.width - 2 * _EDGE), *lines], []
    sheet = Image.new("RGB", (picture.width, picture.height + max(least, height * (len(lines) + bool(labels)))))
    sheet.paste(picture)
    draw, part = ImageDraw.Draw(sheet), picture.width / max(1, len(labels))
    for number, label in enumerate(labels):
        draw.text(((number + 0.5) * part - font.getlength(label) / 2, picture.height), label, _LABEL, font)
    for row, line in enumerate(lines, start=bool(labels)):
        draw.text((_EDGE, picture.height + height * row), line, _TEXT, font)
    return sheet


def sentence(text: str) -> Image:
    """Words alone, as an image that can be read when it is as wide as a node; only the beginning of a very long text."""
    from PIL import Image, ImageDraw

    font, height, written = label_font(round(0.8 * _LETTERS * SIDE))
    text = " ".join(text[:_LONGEST].split()) + " ..." * (len(text) > _LONGEST)
    width = SIDE - 4 * _EDGE
    lines = wrapped_lines(" ".join(_pieces(word, font, width) for word in written(text).split()), font, width)
    sheet = Image.new("RGB", (SIDE, height * len(lines) + 4 * _EDGE))
    for row, line in enumerate(lines):
        ImageDraw.Draw(sheet).text((2 * _EDGE, 2 * _EDGE + height * row), line, _TEXT, font)
    return sheet


def _pieces(word: str, font: FreeTypeFont | ImageFont, width: int) -> str:
    """A word, such as a path, with blanks where it has to be broken to fit."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return " ".join(pieces)


def label_font(size: int) -> tuple[FreeTypeFont | ImageFont, int, Callable[[str], str]]:
    """A font of so many px, the height of its lines, and how it takes a text. Pillow before 10.1, or without FreeType, has one
    font of one size, which has only the characters of Latin-1."""
    from PIL import ImageFont

    try:
        font = ImageFont.load_default(size)
        if isinstance(font, ImageFont.FreeTypeFont):
            return font, sum(font.getmetrics()) + 1, str
    except (TypeError, ImportError, OSError):
        font = ImageFont.load_default()
    return font, int(font.getbbox("Ag")[3]) + 1, lambda text: text.encode("latin-1", "replace").decode("latin-1")


def wrapped_lines(text: str, font: FreeTypeFont | ImageFont, width: int) -> list[str]:
    """`text` in lines of at most `width` px, broken between its parts, else between words; a longer word has its own line."""
    lines: list[str] = []
    for part in text.split(PARTS) if text else []:
        whole = font.getlength(part) <= width
        for number, word in enumerate([part] if whole else part.split()):
            longer = f"{lines[-1]}{' ' if number else PARTS}{word}" if lines else word
            if lines and font.getlength(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
    return lines


def nothing() -> np.ndarray:  # uint8 [H, W, 3]
    """What stands above a caption before there is an image."""
    return np.zeros((SIDE // 2, SIDE, 3), np.uint8)
