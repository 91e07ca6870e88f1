"""One branch of an avatar as a PLY file in 3D Gaussian Splatting's layout, out and in: to look at it, or clean it, elsewhere.

Properties of a vertex: x y z (metres, head frame: Y up, Z to the viewer), nx ny nz (0), f_dc_0..2, f_rest_* (channel by channel),
opacity (before the sigmoid), scale_0..2 (before exp, as every viewer expects), rot_0..3 (wxyz). TalkingGaussian's own files hold
scales before softplus instead: `PLY_SCALES` names both.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..media_core.choices import PLY_SCALES
from ..media_core.errors import FileFormatError
from ..media_core.files import atomic_path
from .avatar_checks import HIGHEST_DEGREE
from .model.gaussians import GaussianField

Scales = Literal["log", "softplus"]
SMALLEST = 1e-7  # m; a scale that softplus can still hold in float32
_LONGEST_HEADER = 1 << 16  # bytes
_MOST = 50_000_000  # Gaussians
_TYPES = {"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
          "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8",
          "float64": "f8"}
_FORMATS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_AGAIN = "Export the Gaussians again, as a binary PLY of 3D Gaussian Splatting"
_XYZ, _DC, _SCALE, _ROTATION = ("x", "y", "z"), *(tuple(f"{name}_{i}" for i in range(n))
                                                  for name, n in (("f_dc", 3), ("scale", 3), ("rot", 4)))


def save_ply(field: GaussianField, path: str | os.PathLike, *, scales: Scales = "log") -> Path:
    """Writes the canonical Gaussians of a branch, at rest, whole or not at all.

    Args:
        path: the .ply file.
        scales: "log" for other programs; "softplus" as TalkingGaussian writes them, which loses nothing on the way back.
    """
    rest = field.features_rest.detach().transpose(1, 2).flatten(1)  # [N, 3 (K - 1)], channel by channel
    stored = field.scales.clamp_min(SMALLEST).log() if scales == "log" else field.scaling
    names = [*_XYZ, "nx", "ny", "nz", *_DC, *(f"f_rest_{i}" for i in range(rest.shape[1])), "opacity", *_SCALE, *_ROTATION]
    columns = [field.xyz, torch.zeros_like(field.xyz), field.features_dc[:, 0], rest, field.opacity, stored, field.rotation]
    table = torch.cat([column.detach().cpu().float() for column in columns], dim=1).numpy().astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"comment talking_heads scales {scales}", f"element vertex {len(table)}",
              *(f"property float {name}" for name in names), "end_header", ""]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(table.tobytes())
    return Path(path)


def load_ply(path: str | os.PathLike, *, scales: Scales | None = None, active: int | None = None) -> GaussianField:
    """The Gaussians of a PLY file.

    Args:
        path: binary, of 3D Gaussian Splatting's layout; properties may be in any order, others are passed over.
        scales: what its scales are before; None: as `save_ply` noted, else "log".
        active: degree of the harmonics that is rendered; None: all that the file has.
    Raises:
        FileFormatError: absent, truncated, of another kind, not finite, or without Gaussians.
    """
    path = Path(path)
    noted, table = _read(path)
    column = lambda names: torch.from_numpy(np.stack([table[name] for name in names], axis=1).astype(np.float32))
    degree = _degree(table.dtype.names or (), path.name)
    rest = 3 * ((degree + 1) ** 2 - 1)
    features = column([f"f_rest_{i}" for i in range(rest)]).unflatten(1, (3, -1)).transpose(1, 2) if rest else None
    scaling = column(_SCALE)
    if (scales or noted) == "log":
        scaling = _before_softplus(scaling.double().exp())
    parts = {"xyz": column(_XYZ), "scaling": scaling, "rotation": column(_ROTATION), "opacity": column(["opacity"]),
             "features_dc": column(_DC)[:, None]}
    _check(parts | ({} if features is None else {"features_rest": features}), path.name)
    harmonics = torch.zeros(len(table), 0, 3) if features is None else features.contiguous()
    return GaussianField(parts["xyz"], parts["features_dc"], harmonics, parts["scaling"], parts["rotation"], parts["opacity"],
                         active_sh_degree=degree if active is None else min(degree, active))


def _before_softplus(scale: Tensor) -> Tensor:  # float64 metres -> float32
    scale = scale.clamp_min(SMALLEST)
    return (scale + torch.log(-torch.expm1(-scale))).float()


def _degree(names: tuple[str, ...], file: str) -> int:
    """Of the harmonics, by the number of f_rest_*; all other properties must be there too."""
    lacking = [name for name in (*_XYZ, *_DC, "opacity", *_SCALE, *_ROTATION) if name not in names]
    if lacking:
        raise FileFormatError("The PLY file must hold 3D Gaussians", f"{file} has no {', '.join(lacking)}", _AGAIN)
    count = sum(name.startswith("f_rest_") for name in names)
    degrees = {3 * ((d + 1) ** 2 - 1): d for d in range(HIGHEST_DEGREE + 1)}
    if count not in degrees or any(f"f_rest_{i}" not in names for i in range(count)):
        raise FileFormatError(f"The PLY file must have {', '.join(map(str, degrees))} values f_rest_*, from 0 on",
                              f"{count} in {file}", _AGAIN)
    return degrees[count]


def _check(parts: Mapping[str, Tensor], file: str) -> None:
    wrong = [name for name, values in parts.items() if not bool(torch.isfinite(values).all())]
    if wrong:
        raise FileFormatError("The Gaussians of a PLY file must be finite", f"NaN or infinity among {', '.join(wrong)} in {file}",
                              _AGAIN)


def _read(path: Path) -> tuple[str, np.ndarray]:
    """(what the scales are before, a row per vertex)."""
    if not path.is_file():
        raise FileFormatError("The PLY file must exist", f"no file at {path}", "Check the name and the folder")
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
        begin = _end_of_header(head, path.name)
        noted, count, kind = _header(head[:begin].decode("ascii", "replace").splitlines(), path.name)
        file.seek(begin)
        data = file.read(count * kind.itemsize)
    if len(data) < count * kind.itemsize:
        raise FileFormatError("The PLY file must be whole", f"{path.name} breaks off after {len(data) // kind.itemsize} of "
                              f"{count} Gaussians", "Copy or export it again")
    return noted, np.frombuffer(data, kind)


def _end_of_header(head: bytes, name: str) -> int:
    for end in (b"end_header\n", b"end_header\r\n"):
        if head.startswith((b"ply\n", b"ply\r\n")) and end in head:
            return head.index(end) + len(end)
    raise FileFormatError("The file must be a PLY file", f"{name} has no PLY header", _AGAIN)


def _header(lines: list[str], name: str) -> tuple[str, int, np.dtype]:
    """(what the scales are before, number of vertices, a vertex) of a header's lines."""
    order, noted, count, fields = "", "log", -1, list[tuple[str, str]]()
    element = ""
    for words in (line.split() for line in lines):
        if words[:1] == ["format"] and len(words) > 1:
            order = _FORMATS.get(words[1], "")
        elif words[:3] == ["comment", "talking_heads", "scales"] and words[3:] and words[3] in PLY_SCALES:
            noted = words[3]
        elif words[:1] == ["element"] and len(words) == 3 and words[2].isdigit():
            if not element and words[1] != "vertex":
                raise FileFormatError("Vertices must come first in the PLY file", f"{words[1]} in {name}", _AGAIN)
            element, count = words[1], int(words[2]) if words[1] == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _TYPES or words[2] in {field for field, _ in fields}:
                raise FileFormatError("A vertex of the PLY file must have plain numbers, each once", f"'{' '.join(words)}' in "
                                      f"{name}", _AGAIN)
            fields.append((words[2], _TYPES[words[1]]))
    if not order:
        raise FileFormatError(f"The PLY file must be binary ({' or '.join(_FORMATS)})", f"{name} is not", _AGAIN)
    if not 0 < count <= _MOST or not fields:
        raise FileFormatError(f"The PLY file must hold 1 to {_MOST:,} Gaussians", f"{max(count, 0)} in {name}", _AGAIN)
    return noted, count, np.dtype([(field, order + kind) for field, kind in fields])
