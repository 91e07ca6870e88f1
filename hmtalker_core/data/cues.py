"""What an explicit code can be made of instead of action units: numbers per frame (docs/hmtalker.md#options)."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from ...media_core.errors import FileFormatError
from ...media_core.face.action_units.blendshapes import BLENDSHAPES
from ...media_core.face.action_units.mesh_shapes import LOWER_FACE, shapes_of_mesh
from ...media_core.files import UNREADABLE, stored_rows
from ...media_core.npy_files import load_npy
from ..model.fusion import WIDEST_CUE

BLENDSHAPE_FILES = ("blendshapes.npy", "bs.npy")  # ours, and SyncTalk's name for the same
VECTOR_FILES = ("vector.npy", "vector.safetensors")
TRACK = "track.safetensors"  # of a capture, with the mesh
FULL = 5.0  # what a shape of 1 becomes: the range of action units
DO = "Put the file there, or choose cue 'au'"


def read_cue(folder: Path, cue: str, poses: np.ndarray, train: np.ndarray) -> np.ndarray | None:  # -> float32 [F, D]
    """The numbers of a cue for each frame of a dataset; None for action units, which the dataset has.

    Args:
        folder: of the dataset. poses: [F, 4, 4] camera to head. train: frames that a vector's mean and deviation come from.
    Returns:
        "blendshapes": those of the lower face, times 5, 0 or above; "vector": any numbers, standardised. Gaps are interpolated.
    Raises:
        FileFormatError: the dataset has none, or one of another length.
    """
    if cue == "au":
        return None
    if cue == "blendshapes":
        shapes = np.maximum(filled(_blendshapes(folder, poses)), 0)
        return (FULL * shapes[:, list(LOWER_FACE)]).astype(np.float32)
    vector = filled(_vector(folder, len(poses)))
    spread = vector[train].std(0)
    return ((vector - vector[train].mean(0)) / np.where(spread > 1e-6, spread, 1)).astype(np.float32)


def _blendshapes(folder: Path, poses: np.ndarray) -> np.ndarray:  # -> [F, 52]
    for name in BLENDSHAPE_FILES:
        if (folder / name).is_file():
            rows = load_npy(folder / name, f"{name} must be a readable .npy file", DO)
            return _checked(rows, len(poses), len(BLENDSHAPES), folder / name)
    mesh = stored_rows(folder / TRACK, "mesh", slice(None)) if (folder / TRACK).is_file() else None
    if mesh is None or len(mesh) != len(poses):
        raise FileFormatError("A dataset for cue 'blendshapes' must have blendshapes.npy [frames, 52], or a face mesh in "
                              f"{TRACK}", f"{folder} has neither" if mesh is None else f"{len(mesh)} frames with a mesh, "
                              f"{len(poses)} in {folder}", "Capture the video with tracker 'people', add the file, or choose "
                              "cue 'au'")
    return shapes_of_mesh(mesh.numpy(), poses)


def _vector(folder: Path, frames: int) -> np.ndarray:  # -> [F, D]
    path = next((folder / name for name in VECTOR_FILES if (folder / name).is_file()), None)
    if path is None:
        raise FileFormatError(f"A dataset for cue 'vector' must have {' or '.join(VECTOR_FILES)} with one row per frame",
                              f"{folder} has neither", DO)
    if path.suffix == ".npy":
        return _checked(load_npy(path, f"{path.name} must be a readable .npy file", DO), frames, None, path)
    return _checked(_lone_tensor(path), frames, None, path)


def _lone_tensor(path: Path) -> np.ndarray:
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except UNREADABLE as error:
        raise FileFormatError(f"{path.name} must be a whole safetensors file", f"{path} cannot be read ({error})", DO) from error
    if len(tensors) != 1:
        raise FileFormatError(f"{path.name} must hold one tensor", f"{len(tensors)}", DO)
    return next(iter(tensors.values())).float().numpy()


def _checked(rows: np.ndarray, frames: int, width: int | None, path: Path) -> np.ndarray:  # -> float64 [F, D]
    """Raises:
        FileFormatError: not one row of numbers per frame.
    """
    wide = width or f"1 to {WIDEST_CUE}"
    fits = rows.ndim == 2 and rows.dtype.kind in "fiu" and len(rows) == frames
    if not fits or not (rows.shape[1] == width if width else 1 <= rows.shape[1] <= WIDEST_CUE):
        raise FileFormatError(f"{path.name} must hold one row of {wide} numbers for each of the {frames} frames",
                              f"{rows.dtype} {list(rows.shape)} in {path}", "Measure this very video again, or choose cue 'au'")
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all(1).any():
        raise FileFormatError(f"{path.name} must know at least one frame", "no row of finite numbers",
                              "Measure this very video again, or choose cue 'au'")
    return rows


def filled(rows: np.ndarray) -> np.ndarray:  # [F, D] -> [F, D]
    """Rows that are not finite, interpolated in time."""
    known, time = np.isfinite(rows).all(1), np.arange(len(rows))
    return np.stack([np.interp(time, time[known], column[known]) for column in rows.T], axis=1)
