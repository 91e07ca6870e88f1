"""What benchmarks/mtov.py made, to be looked at: truth, result and landmarks of several people, and mouths that were closed."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mtov_films import Film
from talking_heads.moditalker_core.mtov.conditions import raster_clip
from talking_heads.moditalker_core.mtov.generation import to_uint8
from talking_heads.moditalker_core.mtov.model import MToVConfig

COLUMNS, COLOURS = 4, 256  # moments of a film; colours of the picture file, which is a quarter as large so
Shown = tuple[str, Film, np.ndarray]  # how it was driven, truth, result


def contact_sheet(rows: Sequence[Sequence[Shown]], config: MToVConfig):
    """For each person truth, result and landmarks at moments from shut to wide open; side by side the ways to drive."""
    from PIL import Image

    return compact(Image.fromarray(np.vstack([np.hstack([_block(one, config) for one in row]) for row in rows])),
                   [[f"{film.name}: {mode}" for mode, film, _ in row] for row in rows], 3 * config.size, COLUMNS * config.size)


def _block(shown: Shown, config: MToVConfig) -> np.ndarray:
    from talking_heads.media_core.metrics import lip_aperture

    _, film, made = shown
    order = torch.argsort(lip_aperture(film.motion.points[..., :2]))
    chosen = order[torch.linspace(0, len(order) - 1, COLUMNS).long()].sort().values
    clip = raster_clip(film.motion.points[chosen], film.motion.image_size, config.raster)
    discs = to_uint8(clip.transpose(0, 1))
    return np.vstack([np.hstack(list(part)) for part in (film.frames[chosen], made[chosen], discs)])


def closing_sheet(people: Sequence[tuple[str, Sequence[np.ndarray]]], words: Sequence[str]):
    """A row of single pictures for each person, named by `words`."""
    from PIL import Image

    size = people[0][1][0].shape[0]
    picture = Image.fromarray(np.vstack([np.hstack(list(row)) for _, row in people]))
    names = [[f"{name}: {word}" if not i else word for i, word in enumerate(words)] for name, _ in people]
    return compact(picture, names, size, size)


def compact(picture, names: Sequence[Sequence[str]], height: int, width: int):
    """With names written at the tiles' corners, in few colours."""
    from PIL import Image, ImageDraw

    draw = ImageDraw.Draw(picture)
    for row, words in enumerate(names):
        for column, word in enumerate(words):
            at = (column * width + 3, row * height + 1)
            draw.text((at[0] + 1, at[1] + 1), word, fill=(0, 0, 0))
            draw.text(at, word, fill=(255, 255, 160))
    return picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
