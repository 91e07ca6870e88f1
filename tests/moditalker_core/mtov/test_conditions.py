"""What MToV is shown: pictures of any kind and size, discs, pose pictures without a mouth."""
from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.moditalker_core.mtov import conditions as co
from talking_heads.moditalker_core.mtov import rasters as ra
from talking_heads.moditalker_core.mtov.model import RasterSettings


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def track(points: torch.Tensor, size=(40, 40)) -> LandmarkTrack:
    return LandmarkTrack(points.float(), 25.0, "pixels", size)


def placed(count: int = 3, size: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 68, 3, generator=torch.Generator().manual_seed(seed)) * size * 0.8 + size * 0.1


def test_grey_alpha_and_floats_become_rgb():
    rgb = noise(20, 30, 3)
    assert np.array_equal(co.rgb_picture(rgb), rgb) and co.rgb_picture(rgb) is not rgb
    assert np.array_equal(co.rgb_picture(rgb.astype(np.float32) / 255), rgb)
    assert np.array_equal(co.rgb_picture(torch.from_numpy(rgb) / 255), rgb)
    for grey in (rgb[..., 0], rgb[..., :1]):
        assert np.array_equal(co.rgb_picture(grey), np.repeat(rgb[..., :1], 3, axis=2))
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:, :10] = 0
    alpha[:, 10:20] = 51
    over_black = co.rgb_picture(np.concatenate([rgb, alpha], 2))
    assert not over_black[:, :10].any() and np.array_equal(over_black[:, 20:], rgb[:, 20:])
    assert np.array_equal(over_black[:, 10:20], np.rint(rgb[:, 10:20] * np.float32(0.2)))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_pictures_that_cannot_be_written_to(shape, kind):
    """As Pillow gives them: no warning, and what comes out can be written to without harm to what came in."""
    picture = np.zeros(shape, kind)
    picture.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = co.portrait_picture(picture)
        co.rgb_picture(picture)[:] = 1
        co.portrait_picture(picture, 16), co.pose_picture(picture, 10, 16)
    shown += 1
    assert shown.shape == (3, 20, 30) and not picture.any()


@pytest.mark.parametrize("bad", [np.zeros((20, 20, 2), np.uint8), np.zeros((20, 20, 3), np.int64), np.zeros((8, 20, 3), np.uint8),
                                 np.zeros((1, 20, 20, 3), np.uint8), np.full((20, 20, 3), 2.0), np.full((20, 20, 3), np.nan),
                                 np.zeros((0, 20, 3), np.uint8), "me.png", None])
def test_what_is_no_picture(bad):
    with pytest.raises(TalkingHeadsError, match="portrait"):
        co.rgb_picture(bad)


def test_resizing_is_the_published_one_where_nothing_shrinks():
    for size, wanted in (((40, 40), 40), ((30, 40), 64), ((40, 30), 30)):
        shown = torch.from_numpy(noise(*size, 3)).permute(2, 0, 1)
        assert torch.equal(co.resized(shown, wanted), ra.resize_crop(shown[None].float(), wanted)[:, 0])


def test_a_large_picture_is_filtered_when_it_shrinks():
    """4000 px: a fine checkerboard becomes grey instead of a pattern that flickers as it moves."""
    board = np.zeros((4000, 3000, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 254
    small = co.portrait_picture(board, 128)
    assert small.shape == (3, 128, 128) and float((small - 127).abs().max()) < 3
    assert float(co.resized(torch.from_numpy(board).permute(2, 0, 1), 128).std()) < 2


def test_discs_lie_on_the_resized_picture():
    """A disc stands where the picture, resized the same way, shows the point, also in a frame that is not square."""
    size, spot = (60, 100), np.array([47.0, 21.0])
    picture = np.zeros((*size, 3), np.uint8)
    cv2.circle(picture, tuple(int(v) for v in spot), 4, (255, 255, 255), -1)
    points = torch.from_numpy(np.repeat(spot[None, None], 68, 1))
    seen = co.portrait_picture(picture, 32)[0]
    for settings in (RasterSettings(32, 2, 1), RasterSettings(32, 8, 4)):
        drawn = (co.raster_clip(points, size, settings)[0, 0] + 1) / 2
        places = [(torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")) * each).sum((1, 2))
                  / each.sum() for each in (seen, drawn)]
        assert float((places[0] - places[1]).abs().max()) < (0.75 if settings.finer == 1 else 0.2)


def test_published_discs_to_the_pixel():
    points = placed(size=256)
    wanted = ra.landmark_clip(ra.rasterise(points, 256))
    assert torch.equal(co.raster_clip(points, (256, 256), RasterSettings()), wanted)


def test_pose_pictures_are_the_published_ones():
    points, frames = placed(4), noise(4, 40, 40, 3)
    film = torch.from_numpy(frames).permute(0, 3, 1, 2)
    given = list(co.pose_pictures(frames, co.hidden_row(points), 4, 40, (40, 40)))
    assert torch.equal(co.clip_of(given), ra.normalised(ra.resize_crop(ra.lower_face_hidden(film, points), 40)))


@pytest.mark.parametrize("size", [24, 40, 64])
def test_nothing_below_the_nose_reaches_a_pose_picture(size):
    """Two frames that differ only there are one and the same pose, however they are resized."""
    one, two = noise(40, 40, 3), noise(40, 40, 3)
    two[23:] = 255
    assert torch.equal(co.pose_picture(one, 23, size), co.pose_picture(two, 23, size))
    assert not torch.equal(co.pose_picture(one, 24, size), co.pose_picture(two, 24, size))
    assert not co.pose_picture(one, -5, size).any()


def opened(frames):
    calls = []

    def begin(start):
        calls.append(start)
        return iter(frames[start:])
    return begin, calls


@pytest.mark.parametrize("count, wanted", [(1, 5), (2, 7), (5, 4), (5, 23), (40, 200), (70, 150)])
def test_a_film_walked_to_and_fro(count, wanted):
    frames = np.arange(count)
    begin, calls = opened(frames)
    assert [int(frame) for frame in co.pose_walk(begin, count, wanted)] == co.ping_pong(count, wanted).tolist()
    assert len(calls) <= 1 + (wanted // max(count - 1, 1) + 1) * (2 + count // 32)


def test_a_film_that_ends_early():
    begin, _ = opened(np.arange(4))
    with pytest.raises(TalkingHeadsError, match="6 frames.*no frame 4"):
        list(co.pose_walk(begin, 6, 9))


def test_faces_outside_the_picture():
    co.check_on_picture(track(placed()))
    some = placed()
    some[:, :30] = 1e8
    co.check_on_picture(track(some))
    with pytest.raises(TalkingHeadsError, match="middle 40 x 40 px.*frames 1.*crop"):
        points = placed()
        points[1, :40] = -50
        co.check_on_picture(track(points))
    with pytest.raises(TalkingHeadsError, match="half of the face"):  # in the frame, but not in its middle square
        co.check_on_picture(track(placed(), (40, 200)))
    with pytest.raises(TalkingHeadsError, match="pixels of the image"):
        co.check_on_picture(LandmarkTrack(placed()))


@pytest.mark.parametrize("height, width, size", [(300, 300, 256), (70, 90, 32), (50, 40, 48), (64, 64, 64)])
def test_bilinear_is_torchs_own_without_a_filter(height, width, size):
    """As published: the middle square, the nearest four pixels, and poses that are not rounded."""
    frame = noise(height, width, 3)
    side, top, left = ra.middle_square(height, width)
    middle = torch.from_numpy(frame)[top:top + side, left:left + side].permute(2, 0, 1).float()
    wanted = torch.nn.functional.interpolate(middle[None], size=(size, size), mode="bilinear", align_corners=False,
                                             antialias=False)[0]
    assert torch.equal(co.portrait_picture(frame, size, "bilinear"), wanted)
    assert torch.equal(co.pose_picture(frame, height, size, "bilinear"), wanted)
    hidden = frame.copy()
    hidden[20:] = 0
    (pose,) = co.pose_pictures([frame], torch.tensor([20]), 1, size, (height, width), "bilinear")
    assert torch.equal(pose, co.portrait_picture(hidden, size, "bilinear"))
    assert torch.equal(co.portrait_picture(frame, size), wanted) == (side <= size)  # "filtered" is what it was
