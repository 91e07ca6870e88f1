"""Colours of decoded frames against exact arithmetic, whole, in parts, reduced, turned."""
from __future__ import annotations

import av
import numpy as np
import pytest
from talking_heads.media_core.orientation import Orientation
from talking_heads.media_core.video_colour import Colour, shown_picture
from talking_heads.media_core.video_part import Part
from talking_heads.media_core.video_planes import Planes, as_array, averaged, matrix_of, part_of, sampled

H, W, PLAIN = 48, 64, Orientation()
STEPS = {"yuv420p": (2, 2), "yuvj420p": (2, 2), "yuv422p": (1, 2), "yuv444p": (1, 1)}


def decoded(format: str = "yuv420p", *, smooth: bool = False, size: tuple[int, int] = (H, W), number: int = 1) -> av.VideoFrame:
    """A frame of noise, or of slopes."""
    rng, frame = np.random.default_rng(0), av.VideoFrame(size[1], size[0], format)
    for k, plane in enumerate(frame.planes):
        height = size[0] if k == 0 else -(-size[0] // STEPS[format][0])
        y, x = np.mgrid[:height, :plane.line_size]
        values = (70 + x + y / 2 if k == 0 else 100 + k * 10 + x * STEPS[format][1] / 3 + y / 5) if smooth else \
            rng.integers(40, 200, (height, plane.line_size))
        plane.update(np.clip(values, 16, 235).astype(np.uint8).tobytes())
    frame.colorspace, frame.color_range = number, 2 if format.startswith("yuvj") else 1
    return frame


def planes(format: str = "yuv420p", orientation: Orientation = PLAIN, **how) -> Planes:
    out = Planes.of(decoded(format, **how), Colour(), orientation)
    assert out is not None
    return out


def exact(own: Planes) -> np.ndarray:  # float64 [H, W, 3]
    """Each pixel by itself: the colour differences interpolated from where they were taken."""
    height, width = own.luma.shape
    parts = [own.luma.astype(float)]
    for plane in own.others:
        down, across = round(height / plane.shape[0]), round(width / plane.shape[1])
        where = [(np.arange(n) - (step - 1) / 2) / step - aside for n, step, aside in
                 zip((height, width), (down, across), own.aside)]
        rows = np.stack([np.interp(where[1], np.arange(plane.shape[1]), row) for row in plane.astype(float)])
        parts.append(np.stack([np.interp(where[0], np.arange(plane.shape[0]), column) for column in rows.T], 1))
    return np.stack(parts, -1) @ own.matrix[:, :3].T + own.matrix[:, 3]


@pytest.mark.parametrize("format", STEPS)
@pytest.mark.parametrize("number", [1, 5, 9])
def test_colours_are_exact(format, number):
    """Smooth ones to a level and a bit (three roundings), without a bias."""
    own = planes(format, smooth=True, number=number)
    off = (own.whole() - np.clip(exact(own), 0, 255))[2:-2, 4:-4]
    assert np.abs(off).max() < 2.5 and np.abs(off.mean((0, 1))).max() < 0.2, (np.abs(off).max(), off.mean((0, 1)))


def test_ffmpegs_exact_conversion_agrees():
    frame = decoded(smooth=True)
    theirs, own = shown_picture(frame, W, Colour()), planes(smooth=True).whole()
    off = (own.astype(float) - theirs)[4:-4, 4:-4].mean((0, 1))
    assert np.abs(off).max() < 0.4, off  # theirs takes colour differences from between the pixels


@pytest.mark.parametrize("part", [Part(6, 4, 38, 30), Part(5, 3, 38, 31), Part(41, 21, 64, 48), Part(0, 0, 64, 48),
                                  Part(7, 7, 8, 8)])
@pytest.mark.parametrize("format", STEPS)
def test_a_part_has_the_wholes_colours(part, format):
    own = planes(format)
    np.testing.assert_array_equal(own.part(part), part.of(own.whole()))
    np.testing.assert_array_equal(part_of(own.whole(), part), own.part(part))


@pytest.mark.parametrize("orientation", [Orientation(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
def test_turned_frames(orientation):
    plain, turned = planes(smooth=True), planes(smooth=True, orientation=Orientation(*map(bool, orientation)))
    off = turned.whole().astype(int) - Orientation(*map(bool, orientation)).applied(plain.whole())
    assert np.abs(off).max() <= 3 and np.abs(off).mean() < 0.2 and turned.shape == turned.whole().shape
    part = Part(9, 5, 30, 41)
    np.testing.assert_array_equal(turned.part(part), part.of(turned.whole()))


@pytest.mark.parametrize("part", [Part(4, 8, 60, 40), Part(5, 8, 61, 40)])
def test_a_reduced_part_is_the_mean_of_what_it_covers(part):
    own = planes(smooth=True)
    size = (part.bottom - part.top) // 4, (part.right - part.left) // 4
    mean = own.part(part).astype(float).reshape(size[0], 4, size[1], 4, 3).mean((1, 3))
    assert np.abs(averaged(own, part, size) - mean).max() < 1.6
    assert np.abs(averaged(own.whole(), part, size) - mean).max() <= 0.5


def test_thumbnails():
    own = planes(smooth=True)
    assert sampled(own, 5).shape == sampled(own.whole(), 5).shape == (9, 12, 3)
    assert np.abs(sampled(own, 5).astype(int) - sampled(own.whole(), 5)).max() <= 3
    assert as_array(own).shape == own.shape


def test_frames_of_odd_sides():
    own = planes(smooth=True, size=(47, 63))
    assert own.whole().shape == (47, 63, 3) and averaged(own, Part(0, 0, 63, 47), (10, 10)).shape == (10, 10, 3)
    np.testing.assert_array_equal(own.part(Part(50, 40, 63, 47)), own.whole()[40:, 50:])


def test_others_are_left_to_ffmpeg():
    assert Planes.of(av.VideoFrame(16, 16, "yuv420p10le"), Colour(), Orientation()) is None
    assert Planes.of(av.VideoFrame(16, 16, "rgb24"), Colour(), Orientation()) is None
    assert Planes.of(av.VideoFrame(16, 16, "yuv420p"), Colour("HLG", 9), Orientation()) is None


def test_white_black_and_grey_are_themselves():
    for full, black, white in ((False, 16, 235), (True, 0, 255)):
        for number in (1, 4, 5, 7, 9):
            turn = matrix_of(number, full)
            np.testing.assert_allclose(turn @ [black, 128, 128, 1], 0, atol=1e-9)
            np.testing.assert_allclose(turn @ [white, 128, 128, 1], 255, atol=1e-9)


@pytest.mark.parametrize("step", [2, 3, 5])
@pytest.mark.parametrize("format", STEPS)
def test_a_crop_of_planes_is_that_of_the_image(format, step):
    """Reduced first and converted then, or the other way round: up to roundings the same; at the edges too."""
    from talking_heads.media_core.face.geometry import similarity
    from talking_heads.media_core.face.landmarks.inference import cut

    own = planes(format, smooth=True, size=(180, 241))
    whole = own.whole()
    for middle in ((120, 90), (10, 20), (236, 170)):
        place = similarity(0.1, 1 / step, middle, (11.5, 11.5))
        off = cut(own, place, 24).astype(int) - cut(whole, place, 24)
        assert np.abs(off).max() <= 3 and np.abs(off.mean((0, 1))).max() < 0.8, (middle, np.abs(off).max(), off.mean((0, 1)))
