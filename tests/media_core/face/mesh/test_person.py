"""The person mask on whole images."""
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file
from talking_heads.media_core.face.mesh.person import person_mask, person_masks

RECORDED = load_file(Path(__file__).resolve().parents[3] / "fixtures" / "face_mesh" / "fixture.safetensors")


@pytest.mark.parametrize("name, wide", [("general", False), ("landscape", True)])
def test_an_image_of_the_networks_size_gets_the_originals_mask(nets, name, wide):
    mask = person_mask(nets, RECORDED[f"person/{name}/image"], wide=wide)
    assert np.abs(mask - RECORDED[f"person/{name}/mask"]).max() < 1e-3


def test_a_person_stands_out(nets, astronaut):
    mask = person_mask(nets, astronaut)
    assert mask.shape == (512, 512) and mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    assert mask[110, 225] > 0.95 and mask[450, 230] > 0.9 and mask[20, 20] < 0.1


def outline(mask):
    """The person's mean left and right edge, px."""
    rows = mask[40:150, 100:360] > 0.5  # around the head
    columns = np.arange(100, 360)
    return np.array([[columns[row].min(), columns[row].max()] for row in rows if row.any()]).mean(0)


def test_the_mask_leans_to_no_side(nets, astronaut):
    plain = outline(person_mask(nets, astronaut))
    back = np.ascontiguousarray(person_mask(nets, np.ascontiguousarray(astronaut[:, ::-1]))[:, ::-1])
    assert abs((plain - outline(back)).mean()) < 1  # the original's: 1.6 px and more


def test_masks_of_a_video(nets, astronaut):
    frames = [cv2.resize(astronaut, (320, 180)), cv2.resize(astronaut[:, ::-1], (320, 180))]
    masks = person_masks(nets, frames * 5)
    assert len(masks) == 10 and masks[0].shape == (180, 320)
    np.testing.assert_allclose(masks[8], person_mask(nets, frames[0]), atol=1e-3)
    np.testing.assert_allclose(masks[1], person_mask(nets, frames[1], wide=True), atol=1e-3)
    assert person_masks(nets, []) == []
