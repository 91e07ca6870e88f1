"""A long video's rows in blocks, so that what is computed on the way does not grow with the video."""
from __future__ import annotations

BLOCK = 400  # rows


def blocks(count: int, size: int = BLOCK) -> list[slice]:
    """Slices that cover `count` rows, each of at most `size`."""
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]
