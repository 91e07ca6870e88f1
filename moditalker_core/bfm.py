"""The user's own BFM for published weights: its mean face and, for 3DMM coefficients, its bases at the 68 points.

The pack ships no BFM and needs none: its own weights are made around `media_core.face.canonical.mean_face()`.
"""
from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors import safe_open
from torch import Tensor

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.files import UNREADABLE as SAFETENSORS_UNREADABLE
from ..media_core.npy_files import UNREADABLE, load_npy
from .landmarks import IDEXP_SCALE, POINTS
from .mat_files import check_numeric

KEY = "key_mean_shape"               # the tensor's name in safetensors files
_ILLUMINATION, _ANGLES = 27, 3       # coefficients before the translation; before these
_MAT = ("meanshape", "idBase", "exBase", "keypoints")  # what is read of BFM_model_front.mat
_LEAST, _MOST = 0.5, 5.0             # dm a face's largest side lies between
_CHIN, _BRIDGE, _TIP, _SIDES = 8, 27, 30, (0, 16)
_WHOLE = "The mean face's file must be whole and of the format its name says"
_COPY = "It may be truncated or of another format: copy it again"


@dataclass(frozen=True)
class KeyBasis:
    """A morphable model at the 68 points, decimetres."""
    mean: Tensor        # float32 [68, 3] key_mean_shape
    identity: Tensor    # float32 [68, 3, I]
    expression: Tensor  # float32 [68, 3, E]

    @classmethod
    def from_arrays(cls, meanshape: ArrayLike, idBase: ArrayLike, exBase: ArrayLike, keypoints: ArrayLike, *,
                    off_by_one: bool = True) -> KeyBasis:
        """From the arrays of BFM_model_front.mat.

        Args:
            meanshape: V x 3 numbers of any shape. idBase, exBase: [3 V, I] and [3 V, E].
            keypoints: 68 one-based vertex numbers.
            off_by_one: use them as if they were zero-based, as for AToM's official training data; False: as they are meant.
        Raises:
            TalkingHeadsError: arrays that do not belong together.
        """
        mean = torch.as_tensor(np.asarray(meanshape, np.float32)).reshape(-1, 3)
        bases = [torch.as_tensor(np.asarray(base, np.float32)) for base in (idBase, exBase)]
        index = torch.as_tensor(np.asarray(keypoints).astype(np.int64)).flatten() - (0 if off_by_one else 1)
        if (index.shape != (POINTS,) or any(base.ndim != 2 or len(base) != mean.numel() for base in bases)
                or int(index.min()) < 0 or int(index.max()) >= len(mean)):
            raise TalkingHeadsError("A morphable model needs V x 3 mean numbers, bases [3 V, K] and 68 vertex numbers within V",
                                    f"{len(mean)} vertices, bases {[list(base.shape) for base in bases]}, {len(index)} points",
                                    "Give the whole BFM_model_front.mat")
        return cls(mean[index], *(base.unflatten(0, (-1, 3))[index] for base in bases))

    def idexp(self, coefficients: Tensor) -> Tensor:  # [T, 257] -> [T, 204] centimetres
        """Identity and expression offsets from the mean face.

        Raises:
            TalkingHeadsError: too few coefficients.
        """
        first, second = self.identity.shape[-1], self.expression.shape[-1]
        if coefficients.ndim != 2 or coefficients.shape[1] < first + second:
            raise TalkingHeadsError(f"Faces need at least {first + second} coefficients each", f"{list(coefficients.shape)}",
                                    "Give the regressor's output [T, 257]")
        identity, expression = coefficients[:, :first], coefficients[:, first:first + second]
        offsets = torch.einsum("pdk,tk->tpd", self.identity, identity) + torch.einsum("pdk,tk->tpd", self.expression, expression)
        return IDEXP_SCALE * offsets.flatten(1)


def pose_coefficients(coefficients: Tensor) -> tuple[Tensor, Tensor]:  # [T, 257] -> [T, 3] rad, [T, 3]
    """Euler angles and translation of the regressor's output."""
    before = _ILLUMINATION + 3
    return coefficients[:, -before - _ANGLES:-before], coefficients[:, -3:]


def read_key_mean_shape(path: str | os.PathLike, *, off_by_one: bool = True) -> Tensor:  # -> float32 [68, 3]
    """A mean face at the 68 points in decimetres: what landmarks are compared with by weights that were made around it.

    Args:
        path: a .npy of [68, 3]; a .safetensors with a tensor "key_mean_shape" (an imported AToM is one); or BFM_model_front.mat.
        off_by_one: of the .mat, see `KeyBasis.from_arrays`.
    Raises:
        FileFormatError: absent, truncated, of another format or shape, not finite, or not a face in decimetres that looks at
            the viewer.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError("The mean face's file must exist", f"no file at {path}", "Check the name and the folder")
    reader = {".npy": _of_npy, ".safetensors": _of_safetensors, ".mat": _of_mat}.get(path.suffix.lower())
    if reader is None:
        raise FileFormatError("A mean face is read from .npy, .safetensors or .mat", path.name,
                              "Choose BFM_model_front.mat, or save its 68 points [68, 3] as .npy")
    shape = reader(path, off_by_one)
    _check_face(shape, path.name)
    return shape


def read_key_basis(path: str | os.PathLike, *, off_by_one: bool = True) -> KeyBasis:
    """Mean face and bases of a BFM_model_front.mat.

    Raises:
        FileFormatError: as `read_key_mean_shape`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError("The morphable model's file must exist", f"no file at {path}", "Check the name and the folder")
    arrays = _mat(path)
    try:
        basis = KeyBasis.from_arrays(*(arrays[name] for name in _MAT), off_by_one=off_by_one)
    except (TypeError, ValueError) as error:
        raise FileFormatError("The file must hold a whole morphable model", f"{path.name}: {error}",
                              "Give BFM_model_front.mat as Deep3DFaceRecon prepares it") from error
    _check_face(basis.mean, path.name)
    return basis


def _of_npy(path: Path, off_by_one: bool) -> Tensor:
    array = load_npy(path, _WHOLE, _COPY)
    if array.shape != (POINTS, 3) or array.dtype.kind not in "fiu":
        raise FileFormatError("A mean face must be [68, 3]", f"{path.name} holds {array.dtype} {list(array.shape)}",
                              "Save the 68 points' x, y, z")
    return torch.as_tensor(np.asarray(array, np.float32))


def _of_safetensors(path: Path, off_by_one: bool) -> Tensor:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            if KEY not in file.keys():
                raise FileFormatError(f"The file must hold a tensor '{KEY}'", f"{path.name} holds {sorted(file.keys())[:6]}",
                                      "Choose another file, or name the tensor so")
            if math.prod(file.get_slice(KEY).get_shape()) != 3 * POINTS:
                raise FileFormatError("A mean face must be [68, 3]", f"{path.name} holds {file.get_slice(KEY).get_shape()}",
                                      "Save the 68 points' x, y, z")
            return file.get_tensor(KEY).float()
    except FileFormatError:
        raise
    except SAFETENSORS_UNREADABLE as error:
        raise _unreadable(path, error) from error


def _of_mat(path: Path, off_by_one: bool) -> Tensor:
    return read_key_basis(path, off_by_one=off_by_one).mean


def _mat(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a MATLAB file of version 7 or older."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        check_numeric(path.read_bytes(), _MAT)
        arrays = loadmat(os.fspath(path), variable_names=_MAT)
    except NotImplementedError as error:
        raise FileFormatError("The morphable model must be a MATLAB file of version 7 or older", f"{path.name} is version 7.3",
                              "Save it again with scipy.io.savemat, or its 68 points as .npy") from error
    except (*UNREADABLE, LookupError, AttributeError, NameError, ArithmeticError, zlib.error, MatReadError) as error:
        raise _unreadable(path, error) from error
    missing = [name for name in _MAT if name not in arrays]
    if missing:
        raise FileFormatError("A morphable model's file must hold " + ", ".join(_MAT), f"{path.name} lacks {', '.join(missing)}",
                              "Give BFM_model_front.mat as Deep3DFaceRecon prepares it; it may be truncated")
    return arrays


def _unreadable(path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(_WHOLE, f"{path.name} cannot be read ({error})", _COPY)


def _check_face(points: Tensor, name: str) -> None:
    if tuple(points.shape) != (POINTS, 3):
        raise FileFormatError("A mean face must be [68, 3]", f"{name} holds {list(points.shape)}", "Save the 68 points' x, y, z")
    if not torch.isfinite(points).all():
        raise FileFormatError("A mean face must be finite", f"{name} holds NaN or inf", "Copy or make the file again")
    side = float((points.amax(0) - points.amin(0)).max())
    if not _LEAST < side < _MOST:
        raise FileFormatError("A mean face must be in decimetres, about 1.5 wide", f"{name}'s largest side is {side:.3g}",
                              "Scale metres by 10, centimetres by 0.1, millimetres by 0.01")
    left, right = (points[k] for k in _SIDES)
    if not (points[_BRIDGE, 1] > points[_CHIN, 1] and right[0] > left[0] and points[_TIP, 2] > (left[2] + right[2]) / 2):
        raise FileFormatError("A mean face must have x to the right, y up and z to the viewer, and 68 points in iBUG's order",
                              f"{name} looks elsewhere", "Turn the axes, or give the face as BFM_model_front.mat has it")
