"""PNG files of images that are for the most part empty or flat: masks, and what was cut out. In half of OpenCV's time."""
from __future__ import annotations

import struct
import zlib

import numpy as np

_MAGIC, _COLOURS = b"\x89PNG\r\n\x1a\n", {3: 2, 4: 6}  # channels -> kind of colours


def png(image: np.ndarray) -> bytes:
    """An image file's bytes.

    Args:
        image: uint8 [H, W, 3] RGB or [H, W, 4] RGBA, straight alpha; colours of places that cannot be seen are kept.
    """
    from .png_kernels import deflated, filtered

    height, width, channels = image.shape
    rows = filtered(np.ascontiguousarray(image))
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    stream = b"\x78\x01" + deflated(rows.reshape(-1)).tobytes() + struct.pack(">I", zlib.adler32(rows))
    return _MAGIC + _chunk(b"IHDR", header) + _chunk(b"IDAT", stream) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
