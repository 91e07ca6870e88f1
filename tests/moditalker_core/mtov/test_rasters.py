"""Discs, pose frames, identity frames: to the pixel against OpenCV and a slow drawing, and what cannot be drawn."""
from __future__ import annotations

import cv2
import numpy as np
import parity
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.moditalker_core.mtov import rasters as ra

FIXTURE = parity.ROOT / "tests" / "fixtures" / "moditalker" / "moditalker_raster.safetensors"


@pytest.mark.parametrize("radius", range(21))
def test_discs_are_opencvs(radius):
    wanted = np.zeros((64, 64), np.uint8)
    cv2.circle(wanted, (30, 33), radius, 255, -1)
    got = ra.rasterise(torch.tensor([[[30.0, 33.0]]]), 64, size=64, radius=radius)
    assert np.array_equal(got[0].numpy(), wanted)


def test_the_reference_conversion():
    steps = torch.arange(256, dtype=torch.uint8)
    wanted = load_file(FIXTURE)["ref.totensor255_trunc_lut"]
    assert torch.equal(((ra.normalised(steps) + 1) * 127.5).round().to(torch.uint8), wanted)


@pytest.mark.parametrize("width, size, radius", [(256, 256, 3), (613, 256, 3), (97, 64, 2), (64, 97, 5), (31, 31, 0)])
def test_any_size_as_the_slow_way(width, size, radius):
    points = torch.rand(3, 68, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * (width + 20) - 10
    got = ra.rasterise(points, width, size=size, radius=radius).numpy()
    for frame, picture in zip(points.tolist(), got):
        slow = np.zeros((size, size), np.uint8)
        for x, y in frame:
            cv2.circle(slow, (int(int(x) / width * size), int(int(y) / width * size)), radius, 255, -1)
        assert np.array_equal(picture, slow)


def test_any_chunking_and_far_points():
    points = torch.rand(600, 68, 2) * 40
    points[3, 5] = 1e30
    points[4, 6] = -1e30
    whole = ra.rasterise(points, 40, size=40)
    assert torch.equal(whole[590:], ra.rasterise(points[590:], 40, size=40))
    assert whole[3].any()


def test_flip_turns_the_picture_upside_down():
    points = torch.rand(2, 68, 2) * 60
    assert torch.equal(ra.rasterise(points, 64, size=64, flip=True), ra.rasterise(points, 64, size=64).flip(1))


def test_a_track_is_cropped_to_its_middle_square():
    points = torch.zeros(1, 68, 3)
    points[..., 0], points[..., 1] = 60, 20
    picture = ra.rasters(LandmarkTrack(points, 25.0, "pixels", (40, 120)), size=80, radius=1)[0]  # 40 columns from 40 on
    rows, columns = torch.nonzero(picture, as_tuple=True)
    assert (rows.float().mean(), columns.float().mean()) == (40, 40)
    with pytest.raises(TalkingHeadsError, match="canonical"):
        ra.rasters(LandmarkTrack(points))


def test_the_lower_face_is_hidden_from_the_nose_on():
    frames = torch.full((2, 3, 30, 20), 200, dtype=torch.uint8)
    points = torch.zeros(2, 68, 2)
    points[:, 33, 1] = torch.tensor([12.9, 99.0])
    hidden = ra.lower_face_hidden(frames, points)
    assert hidden.dtype == torch.uint8 and bool((hidden[0, :, :12] == 200).all()) and not hidden[0, :, 12:].any()
    assert torch.equal(hidden[1], frames[1])          # a nose below the picture hides nothing
    points[:, 33, 1] = -3.5
    assert not ra.lower_face_hidden(frames, points).any()  # above it, everything
    assert bool((frames == 200).all())                # and the film itself stays


def test_clips_are_minus_one_to_one():
    frames = torch.randint(0, 256, (4, 3, 50, 44), dtype=torch.uint8)
    points = torch.full((4, 68, 2), 25.0)
    pose = ra.normalised(ra.resize_crop(ra.lower_face_hidden(frames, points), 32))
    assert pose.shape == (3, 4, 32, 32)
    assert bool((pose[:, :, 20:] == -1).all())
    middle = frames[:, :, 3:47]
    assert torch.equal(ra.resize_crop(frames, 44), middle.float().transpose(0, 1))  # of the size already: as it was
    odd = frames[:, :, :27, :20]                      # an odd number of rows, or columns, too many: the later one is left out
    assert torch.equal(ra.resize_crop(odd, 20), odd[:, :, 3:23].float().transpose(0, 1))
    assert torch.equal(ra.resize_crop(odd.mT, 20), ra.resize_crop(odd, 20).mT)
    discs = ra.landmark_clip(ra.rasterise(points, 50, size=32))
    assert discs.shape == (3, 4, 32, 32) and set(discs.unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("call", [
    lambda: ra.rasterise(torch.full((1, 68, 2), torch.nan), 64), lambda: ra.rasterise(torch.zeros(68, 2), 64),
    lambda: ra.rasterise(torch.zeros(0, 68, 2), 64), lambda: ra.rasterise(torch.zeros(1, 68, 1), 64),
    lambda: ra.rasterise(torch.zeros(1, 68, 2), 0), lambda: ra.rasterise(torch.zeros(1, 68, 2), 64, size=0),
    lambda: ra.rasterise(torch.zeros(1, 68, 2), 64, radius=-1), lambda: ra.resize_crop(torch.zeros(3, 4, 4)),
    lambda: ra.resize_crop(torch.zeros(0, 3, 4, 4)), lambda: ra.lower_face_hidden(torch.zeros(2, 3, 4, 4), torch.zeros(1, 68, 2)),
    lambda: ra.lower_face_hidden(torch.zeros(1, 3, 4, 4), torch.full((1, 68, 2), torch.inf))])
def test_what_cannot_be_drawn(call):
    with pytest.raises(TalkingHeadsError, match="Got"):
        call()


def test_fine_discs_follow_less_than_a_pixel():
    points = torch.rand(3, 68, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 70 - 3
    assert torch.equal(ra.fine_rasters(points, 64, size=64, radius=2), ra.rasterise(points, 64, size=64, radius=2).float())
    got = ra.fine_rasters(points, 64, size=96, radius=6, finer=4)
    for frame, picture in zip(((points + 0.5) * 6 - 0.5).round().tolist(), got):
        large = np.zeros((384, 384), np.uint8)
        for x, y in frame:
            cv2.circle(large, (int(x), int(y)), 6, 255, -1)
        assert np.allclose(cv2.resize(large.astype(np.float32), (96, 96), interpolation=cv2.INTER_AREA), picture, atol=1e-3)
    before, after = (ra.fine_rasters(points[:1] + step, 64, size=64, radius=6, finer=4) for step in (0.0, 0.25))
    assert not torch.equal(before, after)
    with pytest.raises(TalkingHeadsError, match="times as large"):
        ra.fine_rasters(points, 64, finer=0)
