"""Contact sheets of `real_portraits.py`, one per file: the face and the mouth, as they were and as they were made, lips shut,
half and wide open; of images also with the head's own motion."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from real_portraits import Row

TILE = 256  # px
FACE, MOUTH = 1.9, 0.62  # half sides of what is shown, in distances of the eye corners


def draw(row: Row, number: int, folder: Path) -> None:
    from PIL import Image

    if not row.pictures:
        return
    folder.mkdir(parents=True, exist_ok=True)
    image = row.kind == "image"
    shown = [(made, mesh) for _, mesh, made in row.pictures]
    sources = [(source, mesh) for source, mesh, _ in row.pictures]
    lively = [(frame, row.pictures[0][1]) for frame in row.lively]
    parts = [sources[:1] + shown + lively] if image else [sources, shown]
    rows = [[face(*one) for one in part] for part in parts] + [[mouth(*one) for one in part] for part in parts]
    sheet = np.concatenate([np.concatenate(tiles, 1) for tiles in rows], 0)
    name = row.name.replace("/", "_").rpartition(".")[0]
    Image.fromarray(sheet).save(folder / f"{number:03}_{row.kind}_{name}.png")


def face(frame: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    return cut(frame, mesh[1, :2], FACE * reach(mesh))


def mouth(frame: np.ndarray, mesh: np.ndarray) -> np.ndarray:
    return cut(frame, mesh[[2, 13, 13, 152], :2].mean(0), MOUTH * reach(mesh))


def reach(mesh: np.ndarray) -> float:
    return float(np.linalg.norm(mesh[33] - mesh[263]))


def cut(frame: np.ndarray, middle: np.ndarray, half: float) -> np.ndarray:
    """A square about a place, `TILE` px wide; black beyond the frame."""
    import cv2

    scale = TILE / (2 * half)
    way = np.array([[scale, 0, TILE / 2 - scale * middle[0]], [0, scale, TILE / 2 - scale * middle[1]]])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.warpAffine(np.ascontiguousarray(frame[..., :3]), way, (TILE, TILE), flags=how)
