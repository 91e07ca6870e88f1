"""Parity cases of what stands between AToM and MToV: `moditalker_align`, and `moditalker_raster` with masks and resizing.

Same interface as the cases of parity.py, which merges `CASES` into its own.
"""
from __future__ import annotations

import re
from typing import Any

import torch
from talking_heads.moditalker_core.alignment import align_to_pose, crop_fit
from talking_heads.moditalker_core.bfm import KeyBasis, pose_coefficients
from talking_heads.moditalker_core.landmarks import absolute, five_points, posed, rotation_from_euler
from talking_heads.moditalker_core.mtov.rasters import lower_face_hidden, rasterise, resize_crop, to_pixels
from torch import Tensor

# Relative to the largest number of an output: 7e-4 px of 256, and far below one step of a whole pixel or of a picture's 255.
FLOATS, EXACT = 3e-6, 1e-6


def _align(f: Any) -> dict[str, Tensor]:
    given, frame = f.inputs, f.meta["frame_size"]
    basis = KeyBasis.from_arrays(*(given[f"bfm_{name}"] for name in ("meanshape", "idBase", "exBase", "keypoints_1based")))
    offsets, (angles, translation) = basis.idexp(given["coeff"]), pose_coefficients(given["coeff"])
    rotation, detected = rotation_from_euler(angles), given["lm68_detector"]
    still, template = absolute(offsets, basis.mean), five_points(given["lm3d_template68"])
    scale, offset = crop_fit(detected, frame, template)
    pose = (rotation, translation, scale, detected)
    aligned = align_to_pose(given["atom_frontal_lm3d"], *pose, published=True)
    return {"key_mean_shape": basis.mean, "idexp_lm3d": offsets.unflatten(1, (-1, 3)), "unposed": still,
            "lm3d_recentred": still - basis.mean.mean(0), "rotation": rotation, "posed": posed(still, rotation, translation),
            "lm5": five_points(detected), "lm3d_std5": template, "pos_s": scale, "pos_t": offset[..., None],
            "nonfacecentric_lm2d": align_to_pose(still, *pose, published=True, whole=False), "aligned_lm2d_int": aligned,
            "aligned_raster_u8": rasterise(aligned, frame)}


def _raster(f: Any) -> dict[str, Tensor]:
    given, computed = f.inputs, {}
    for name, want in f.outputs.items():
        size, width = want.shape[-1], re.search(r"_WH(\d+)", name)
        if name.startswith("img_lm3d_norm"):
            computed[name] = rasterise(to_pixels(given["lm3d_norm"], int(width[1])), int(width[1]), size=size,
                                       flip=name.endswith("flip"))
        elif name.startswith("img_"):
            computed[name] = rasterise(given[name.replace("img", "lm2d")], int(width[1]), size=size)
        elif "_crop_" in name:
            computed[name] = resize_crop(given[name.split("_crop_")[0] + "_video_tchw"], size)
    for name in f.between:
        if told := re.fullmatch(r"ref\.disc_radius(\d+)_(\d+)x\d+_centre(\d+)_(\d+)", name):
            radius, size, *centre = map(int, told.groups())
            computed[name] = rasterise(torch.tensor([[centre]]), size, size=size, radius=radius)[0]
    return computed | {"masked_u8": lower_face_hidden(given["mask_rgb_u8"][None], given["mask_lm2d"][None])[0]}


CASES = {"moditalker_align": (_align, FLOATS, ()), "moditalker_raster": (_raster, EXACT, ())}
