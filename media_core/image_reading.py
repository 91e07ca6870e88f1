"""Images that are read from files: upright, 8-bit RGB, whatever their format; or one clear error.

Pillow alone would clip 16-bit grey to white and show the hidden colours of transparent places.
"""
from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import FileFormatError, TalkingHeadsError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

LARGEST = 100_000_000  # pixels; a larger image is refused before it is decoded
_REMEDY = "Give a PNG or JPEG"
# What Pillow's readers raise for broken files; of RuntimeError those of its AVIF and WebP libraries.
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError,
           struct.error, zlib.error)
_SCALES = (1.0, 255.0, 65535.0, 2147483647.0)  # what numbers without a stated range may reach


def read_picture(path: str | os.PathLike, what: str = "The portrait", do: str = _REMEDY) -> np.ndarray:  # uint8 [H, W, 3]
    """An image file, upright; transparent places over black.

    Args:
        what, do: the error's subject, and its advice.
    Raises:
        FileFormatError: absent, no image, broken, or larger than `LARGEST`.
    """
    return over_black(read_clear_picture(path, what, do))


def read_clear_picture(path: str | os.PathLike, what: str = "The portrait",
                       do: str = _REMEDY) -> np.ndarray:  # uint8 [H, W, 3], or [H, W, 4] where something is transparent
    """An image file, upright, with its alpha channel (straight) if that hides anything.

    Raises:
        FileFormatError: as for `read_picture`.
    """
    import numpy as np

    with opened_picture(path, what, do) as picture:
        colours, alpha = colours_of(picture)
    colours = colours if colours.dtype == np.uint8 else np.rint(colours * 255).astype(np.uint8)
    return colours if alpha is None or alpha.min() == 255 else np.dstack([colours, alpha])


def over_black(picture: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3 or 4] -> uint8 [H, W, 3]
    """The image without its alpha channel, transparent places over black."""
    import numpy as np

    if picture.shape[2] == 3:
        return picture
    return np.rint(picture[..., :3] * (picture[..., 3:] / np.float32(255))).astype(np.uint8)


@contextmanager
def opened_picture(path: str | os.PathLike, what: str = "The image", do: str = _REMEDY) -> Iterator[Image]:
    """An image opened by Pillow, turned as its camera was held; what goes wrong with it in the block becomes one error.

    Raises:
        FileFormatError: as for `read_picture`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > LARGEST:
                raise _too_large(path, what, f"{picture.width} x {picture.height} px")
            yield ImageOps.exif_transpose(picture)
    except TalkingHeadsError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit lies higher
        raise _too_large(path, what, "more") from error
    except _BROKEN as error:
        raise FileFormatError(f"{what} must be an image that can be read", f"{path}: {error}", do) from error


def colours_of(picture: Image) -> tuple[np.ndarray, np.ndarray | None]:  # [H, W, 3], uint8 [H, W] or None
    """An opened image's RGB, uint8 or (grey of more than 8 bits) float32 0..1; and the opacity of one with transparency.

    Numbers without a stated range (whole ones of 32 bits, floating-point ones) are of 0..1, 0..255, 0..65535 or 0..2147483647, by
    their largest.

    Raises:
        ValueError: numbers that are negative, not finite or too large.
    """
    import numpy as np

    if picture.mode == "F" or picture.mode.startswith("I"):
        grey = np.asarray(picture).astype(np.float32)
        if not (grey.size and grey.min() >= 0 and grey.max() <= _SCALES[-1]):  # also NaN
            raise ValueError(f"its numbers run from {grey.min():g} to {grey.max():g}")
        scales = _SCALES[2:3] if picture.mode.startswith("I;16") else _SCALES if picture.mode == "F" else _SCALES[1:]
        scale = next(scale for scale in scales if grey.max() <= scale)
        return np.repeat((grey / scale)[..., None], 3, axis=2), None
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        whole = np.array(picture.convert("RGBA"))
        return np.ascontiguousarray(whole[..., :3]), whole[..., 3]
    return np.array(picture.convert("RGB")), None


def check_size(data: bytes, name: str) -> None:
    """Refuses an image by its header, before another library decodes it.

    Raises:
        FileFormatError: more pixels than `LARGEST`.
    """
    from io import BytesIO

    from PIL import Image

    try:
        with Image.open(BytesIO(data)) as picture:
            size = picture.size
    except Image.DecompressionBombError as error:
        raise _too_large(name, "An image", "more") from error
    except _BROKEN:  # the other library tells what is wrong with it
        return
    if size[0] * size[1] > LARGEST:
        raise _too_large(name, "An image", f"{size[0]} x {size[1]} px")


def is_picture(path: str | os.PathLike, what: str = "The face") -> bool:
    """Whether the file's beginning is that of an image.

    Raises:
        FileFormatError: no such file, one that may not be read, or an image that is broken or huge.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path):
            return True
    except UnidentifiedImageError:
        return False
    except Image.DecompressionBombError as error:
        raise _too_large(path, what, "more") from error
    except _BROKEN as error:
        raise FileFormatError(f"{what} must be an image or a video that can be read", f"{path}: {error}",
                              "Check the name") from error


def _too_large(path: str | os.PathLike, what: str, size: str) -> FileFormatError:
    return FileFormatError(f"{what} must have at most {LARGEST // 1_000_000} megapixels", f"{Path(path).name} has {size}",
                           "Scale it down first")
