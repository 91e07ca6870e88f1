"""The mesh on its way from the raw track to the dataset's, a block of frames at a time: a long video's is never in memory."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..blocks import blocks
from ..dense_mesh import ROW, fitting_mesh, moved_mesh, placed_mesh
from ..face.crop import FaceCrop
from ..files import Stored, stored_rows

PARTIAL = "track.partial.mesh"


@dataclass(frozen=True)
class MeshRows:
    """The mesh of T written frames."""

    raw: Path            # raw_track.safetensors, whose mesh is in the video's px
    kept: np.ndarray     # int64 [T] ascending, its row of each written frame
    crop: FaceCrop       # what the frames show
    tracked: np.ndarray  # float32 [T, 68, 2] px of the frames, as tracked
    placed: np.ndarray   # float32 [T, 68, 2] the same smoothed, where the mesh's points are to be

    @contextmanager
    def stored(self, folder: Path, points: np.ndarray) -> Iterator[Stored | None]:  # [T, 68, 2 or 3] px
        """The mesh in a file of `folder` during the block; None where there is none, or where it does not have these points."""
        path = folder / PARTIAL
        try:
            yield Stored(path, torch.float32, (len(self.kept), *ROW)) if self._written(path, points) else None
        finally:
            path.unlink(missing_ok=True)

    def _written(self, path: Path, points: np.ndarray) -> bool:
        with path.open("wb") as file:
            for rows in blocks(len(self.kept)):
                mesh = self._block(rows)
                if mesh is None or not fitting_mesh(mesh, points[rows]):
                    return False
                file.write(mesh.tobytes())
        return True

    def _block(self, rows: slice) -> np.ndarray | None:  # -> float32 [n, 478, 3] px of the frames
        kept = self.kept[rows]
        own = stored_rows(self.raw, "mesh", slice(int(kept[0]), int(kept[-1]) + 1))
        if own is None:
            return None
        mesh = placed_mesh(own.numpy()[kept - kept[0]], self.crop.to_crop, self.crop.size / self.crop.side())
        if not fitting_mesh(mesh, self.tracked[rows]):
            return None
        return moved_mesh(mesh, self.tracked[rows], self.placed[rows])
