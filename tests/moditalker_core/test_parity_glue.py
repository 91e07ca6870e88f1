"""Alignment and rasters against the stored reference outputs, at other sizes made from them, and spoilt, which must fail."""
from __future__ import annotations

import json

import parity
import pytest
import torch
from safetensors.torch import load_file, save_file

FOLDER = parity.ROOT / "tests" / "fixtures" / "moditalker"
SPOILT = {"moditalker_align": ("in.coeff", "in.lm68_detector", "in.bfm_meanshape", "in.lm3d_template68", "in.atom_frontal_lm3d"),
          "moditalker_raster": ("in.lm2d_WH256", "in.lm2d_WH613", "in.lm3d_norm", "in.mask_lm2d", "in.resize_video_tchw")}


@pytest.mark.parametrize("name", SPOILT)
def test_shipped(name):
    verdict = parity.check(FOLDER / f"{name}.safetensors")
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("name, key", [(name, key) for name, keys in SPOILT.items() for key in keys])
def test_a_spoilt_input_fails(name, key, tmp_path):
    tensors = load_file(FOLDER / f"{name}.safetensors")
    tensors[key] = tensors[key] * 1.01 + 0.5
    assert not parity.check(_stored(tmp_path, name, tensors)).ok


def test_another_height_fails(tmp_path):
    """The published keypoint script's defect: a height that is not the picture's."""
    tensors = load_file(FOLDER / "moditalker_align.safetensors")
    verdict = parity.check(_stored(tmp_path, "moditalker_align", tensors, frame_size=3))
    assert not verdict.ok and verdict.part == "pos_t"


def test_sizes_come_from_the_fixture(tmp_path):
    """Fewer frames, bases of other widths, other pictures."""
    tensors = load_file(FOLDER / "moditalker_align.safetensors")
    for key, value in tensors.items():
        if value.shape[0] == 3 and "bfm" not in key:
            tensors[key] = value[1:]
    verdict = parity.check(_stored(tmp_path, "moditalker_align", tensors))
    assert verdict.ok, str(verdict)
    raster = load_file(FOLDER / "moditalker_raster.safetensors")
    few = {key: value for key, value in raster.items() if "384" in key or "mask" in key}
    verdict = parity.check(_stored(tmp_path, "moditalker_raster", few))
    assert verdict.ok, str(verdict)


def _stored(folder, name, tensors, frame_size=256):
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in tensors.items()}, path,
              metadata={"json": json.dumps({"frame_size": frame_size})})
    return path


def test_a_wrong_picture_fails(tmp_path):
    tensors = load_file(FOLDER / "moditalker_raster.safetensors")
    tensors["out.img_WH256"] = tensors["out.img_WH256"].clone()
    tensors["out.img_WH256"][0, 0, 0] ^= torch.tensor(255, dtype=torch.uint8)
    assert not parity.check(_stored(tmp_path, "moditalker_raster", tensors)).ok
