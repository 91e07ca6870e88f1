"""Gaussians as a .glb file: glTF 2.0 with Khronos' extension KHR_gaussian_splatting, written by hand.

One mesh primitive of points. Positions are metres (Y up, Z to the viewer: the head frame and glTF's own), rotations xyzw, scales
and opacities as they act (linear), colours spherical harmonics. Programs that do not know the extension draw points in COLOR_0.
"""
from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..media_core.files import atomic_path
from .model.gaussians import SH_C0, GaussianField

EXTENSION = "KHR_gaussian_splatting"
_FLOAT, _BYTE, _ARRAY, _POINTS = 5126, 5121, 34962, 0  # glTF's numbers: component types, buffer target, mode
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942


def save_glb(field: GaussianField, path: str | os.PathLike, *, note: str = "", licence: str = "") -> Path:
    """Writes the Gaussians, whole or not at all.

    Args:
        path: the .glb file.
        note: what the file shows; licence: of the likeness. Both stand in its description.
    """
    attributes = _attributes(field)
    description, binary = _described(attributes, len(field), note, licence)
    text = json.dumps(description, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, total))
        file.write(struct.pack("<II", len(text), _JSON_CHUNK) + text)
        file.write(struct.pack("<II", len(binary), _BINARY_CHUNK) + binary)
    return Path(path)


def _attributes(field: GaussianField) -> dict[str, np.ndarray]:
    """Arrays [N, 1, 3 or 4] by their names in the file."""
    array = lambda values: np.ascontiguousarray(values.detach().cpu().float().numpy(), "<f4")
    turned = field.quats[:, [1, 2, 3, 0]]
    colour = (array(field.features_dc[:, 0]) * SH_C0 + 0.5).clip(0, 1)
    fallback = np.concatenate([colour, array(field.opacities[:, None])], axis=1)
    named = {"POSITION": array(field.xyz), "COLOR_0": np.round(fallback * 255).astype(np.uint8),
             f"{EXTENSION}:ROTATION": array(turned), f"{EXTENSION}:SCALE": array(field.scales),
             f"{EXTENSION}:OPACITY": array(field.opacities[:, None]).clip(0, 1)}
    harmonics = array(field.sh)
    for degree in range(field.sh_degree + 1):
        for n in range(2 * degree + 1):
            named[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{n}"] = np.ascontiguousarray(harmonics[:, degree * degree + n])
    return named


def _described(attributes: dict[str, np.ndarray], count: int, note: str, licence: str) -> tuple[dict[str, Any], bytes]:
    """The file's JSON, and its bytes."""
    views, accessors, parts, at = [], [], [], 0
    for name, values in attributes.items():
        content = values.tobytes()
        views.append({"buffer": 0, "byteOffset": at, "byteLength": len(content), "target": _ARRAY})
        accessor: dict[str, Any] = {"bufferView": len(accessors), "componentType": _FLOAT, "count": count,
                                    "type": _KINDS[values.shape[1]]}
        if values.dtype == np.uint8:
            accessor |= {"componentType": _BYTE, "normalized": True}
        if name == "POSITION":
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        accessors.append(accessor)
        padding = -len(content) % 4
        parts.append(content + bytes(padding))
        at += len(content) + padding
    primitive = {"mode": _POINTS, "attributes": {name: i for i, name in enumerate(attributes)},
                 "extensions": {EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display",
                                            "projection": "perspective", "sortingMethod": "cameraDistance"}}}
    asset = {"version": "2.0", "generator": "Talking Heads", "copyright": licence, "extras": {"note": note}}
    description = {"asset": asset, "extensionsUsed": [EXTENSION], "scene": 0, "scenes": [{"nodes": [0]}],
                   "nodes": [{"mesh": 0, "name": "head"}], "meshes": [{"name": "head", "primitives": [primitive]}],
                   "buffers": [{"byteLength": at}], "bufferViews": views, "accessors": accessors}
    return description, b"".join(parts)
