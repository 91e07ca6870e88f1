"""Contact sheets of `real_faces.py`: the points on every image and on several frames of each video, and the person's parts."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import real_faces_figures as figures
from talking_heads.media_core.capture.still import still_masks
from talking_heads.media_core.face.mesh.nets import MeshNets
from talking_heads.media_core.face.mesh.person import person_mask
from talking_heads.media_core.video import read_frames

if TYPE_CHECKING:
    from PIL.Image import Image
    from real_faces import Case
    from real_faces_trackers import Seen

TILE, ACROSS, DOWN, WORDS = 256, 6, 4, 14  # px, tiles, tiles, px
LINES = ((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False), (36, 41, True), (42, 47, True),
         (48, 59, True), (60, 67, True))  # first and last point of each line, and whether it is closed
COLOURS = {"people": (60, 255, 60), "rendered": (255, 90, 220)}
TINTS = {"torso": (70, 90, 255), "neck": (40, 220, 255), "head": (60, 255, 60), "hair": (255, 220, 40)}  # each over those before
_FRAMES = 3  # of each video, evenly spread; one more where the tracker is farthest from the reference


def draw(stills: Sequence[Case], films: Sequence[Case], kinds: Sequence[str], nets: MeshNets, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        sheets((still_tile(case, kind) for case in stills), folder, f"images_{kind}")
        sheets((tile for case in films for tile in film_tiles(case, kind)), folder, f"videos_{kind}")
    sheets((mask_tile(*one, nets) for one in whole_images(stills, films, kinds[0])), folder, "person_masks")


def sheets(tiles: Iterator[Image], folder: Path, name: str) -> None:
    from PIL import Image

    number = 0
    while part := list(islice(tiles, ACROSS * DOWN)):
        sheet = Image.new("RGB", (ACROSS * TILE, DOWN * (TILE + WORDS)))
        for k, tile in enumerate(part):
            sheet.paste(tile, (k % ACROSS * TILE, k // ACROSS * (TILE + WORDS)))
        sheet.save(folder / f"{name}_{number:02}.png")
        number += 1


def still_tile(case: Case, kind: str) -> Image:
    from real_faces import still_image

    seen = case.seen[kind]
    told = "none" if not seen.there[0] else f"trust {seen.confidence[0]:.2f} gap {100 * figures.opening(seen.points[0]):.1f}"
    return tile_of(still_image(case.path), seen.points[0], f"{short(case.name)} {told}", COLOURS[kind])


def film_tiles(case: Case, kind: str) -> Iterator[Image]:
    seen = case.seen[kind]
    wanted = shown_frames(case, seen)
    for number, frame in enumerate(read_frames(case.path)):
        if number > max(wanted):
            return
        if number in wanted:
            what = "worst " if number == wanted[-1] else ""
            told = f"{short(case.name)} {what}{number} trust {seen.confidence[number]:.2f}"
            yield tile_of(frame, seen.points[number], told, COLOURS[kind])


def shown_frames(case: Case, seen: Seen) -> list[int]:
    """Some frames, and last the one farthest from the reference (without one: the least trusted)."""
    count = len(seen.points)
    doubt = 1 - seen.confidence
    if case.reference is not None:
        shared = min(count, len(case.reference))
        doubt[:shared] = np.nan_to_num(figures.off(seen.points[:shared], case.reference[:shared]), nan=2.0)
        doubt[shared:] = 0
    return [round((k + 0.5) * count / _FRAMES) for k in range(_FRAMES) if count > _FRAMES] + [int(np.argmax(doubt))]


def tile_of(image: np.ndarray, points: np.ndarray, words: str, colour: tuple[int, int, int]) -> Image:
    """The face with its points, about as large as the tile; the whole image where there is none."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    tile = Image.new("RGB", (TILE, TILE + WORDS))
    pen = ImageDraw.Draw(tile)
    if np.isfinite(points).all():
        low, high = points.min(0), points.max(0)
        half = 0.72 * float((high - low).max())
        x, y = (low + high) / 2 - np.array([0, 0.1 * half])
        box = (int(x - half), int(y - half), int(x + half) + 1, int(y + half) + 1)
        scale = TILE / (box[2] - box[0])
        tile.paste(picture.crop(box).resize((TILE, TILE), Image.Resampling.LANCZOS))
        at = [tuple((p + 0.5 - np.array(box[:2])) * scale) for p in points]
        for first, last, closed in LINES:
            pen.line(at[first:last + 1] + at[first:first + closed], fill=colour)
    else:
        picture.thumbnail((TILE, TILE))
        tile.paste(picture)
    pen.text((1, TILE + 1), words, fill="white")
    return tile


def whole_images(stills: Sequence[Case], films: Sequence[Case], kind: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, image, points [68, 2]) of every image, and of each video's first frame."""
    from real_faces import still_image

    for case in stills:
        yield short(case.name), still_image(case.path), case.seen[kind].points[0]
    for case in films:
        yield short(case.name), next(read_frames(case.path)), case.seen[kind].points[0]


def mask_tile(name: str, image: np.ndarray, points: np.ndarray, nets: MeshNets) -> Image:
    """The parts that a capture would find, each in its colour; without a face, what the person mask keeps. Magenta: the rest."""
    from PIL import Image, ImageDraw

    if np.isfinite(points).all():
        found = still_masks(image, points)
        image, person = found.square, found.masks.person[..., None]
        tint = image.astype(float)
        for part, colour in TINTS.items():
            tint[getattr(found.masks, part)] = colour
        drawn = 0.75 * image + 0.25 * tint
    else:
        drawn, person = image, person_mask(nets, image)[..., None]
    drawn = drawn * person + (np.array([255, 0, 255]) * 0.8 + image * 0.2) * (1 - person)
    picture = Image.fromarray(drawn.clip(0, 255).astype(np.uint8))
    picture.thumbnail((TILE, TILE))
    tile = Image.new("RGB", (TILE, TILE + WORDS))
    tile.paste(picture)
    ImageDraw.Draw(tile).text((1, TILE + 1), name, fill="white")
    return tile


def short(name: str) -> str:
    for common in ("assets_examples_", "examples_source_image_", "test_samples_", "examples_reference_images_", "assets_"):
        name = name.replace(common, "")
    return name[-30:]
