"""Videos as phones and editors leave them: turned, mirrored, bright, oddly named, and with time stamps that leap."""
from __future__ import annotations

import logging
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from talking_heads.media_core import video_colour
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.orientation import Orientation, orientation_of
from talking_heads.media_core.video import VideoWriter, load_film_sound, probe, read_frames
from talking_heads.media_core.video_clock import LONGEST_GAP, FilmClock
from talking_heads.media_core.video_colour import Colour, as_shown
from talking_heads.media_core.video_part import Part

H, W, ONE = 48, 64, 1 << 16
EIGHT = {(a, b, c, d): (abs(b), c if b else a, b if b else d) for a, b, c, d in
         [(s, 0, 0, t) for s in (1, -1) for t in (1, -1)] + [(0, s, t, 0) for s in (1, -1) for t in (1, -1)]}


def encoded(path, stamps, *, codec="libx264", pictures=None, colour=None, format="yuv420p", size=(H, W), rate=25, lasts=None):
    """A video of one image a time stamp (ms); `pictures` uint8 [T, H, W, 3], else grey ones; the last shown for `lasts` ms."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"bf": "0", "crf": "4"})
        stream.height, stream.width = size
        stream.pix_fmt, stream.time_base = format, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        packets = []
        for number, stamp in enumerate(stamps):
            picture = np.full((*size, 3), 20 + 3 * number % 200, np.uint8) if pictures is None else pictures[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb48le" if picture.dtype == np.uint16 else "rgb24")
            frame = frame.reformat(format=format, dst_colorspace=9 if colour else None)
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if lasts is not None:
            packets[-1].duration = lasts
        for packet in packets:
            container.mux(packet)
    return path


# ------------------------------------------------------------------------------------------------------------ orientation

@pytest.mark.parametrize("matrix", EIGHT)
def test_a_pixel_goes_where_the_display_matrix_says(matrix):
    a, b, c, d = matrix
    stored = np.arange(6).reshape(2, 3, 1)
    shown = orientation_of(np.array([a, b, 0, c, d, 0, 0, 0, 1]) * ONE).applied(stored)
    x, y = np.meshgrid(np.arange(3), np.arange(2))
    p, q = a * x + c * y, b * x + d * y
    expected = np.zeros_like(shown)
    expected[q - q.min(), p - p.min()] = stored
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("part", [Part(6, 4, 38, 30), Part(5, 3, 38, 31), Part(41, 21, 64, 48), Part(0, 0, 64, 48)])
@pytest.mark.parametrize("format, size", [("yuv420p", (H, W)), ("yuv444p", (H, W)), ("yuv420p", (H, W + 2))])
def test_a_part_of_the_frames_has_their_colours(tmp_path, part, format, size):
    rng = np.random.default_rng(0)
    pictures = np.repeat(rng.integers(0, 255, (3, size[0] // 2, size[1] // 2, 3), np.uint8), 2, 1).repeat(2, 2)
    path = encoded(tmp_path / "a.mp4", (0, 40, 80), pictures=pictures, format=format, size=size)
    whole, parts = list(read_frames(path, 25.0)), list(read_frames(path, 25.0, part=part))
    np.testing.assert_array_equal(parts, [part.of(frame) for frame in whole])


def test_a_matrix_without_sense_turns_nothing():
    assert orientation_of(np.zeros(9, int)) == orientation_of(b"\0" * 36) == Orientation()


@pytest.mark.parametrize("matrix", EIGHT)
def test_a_film_is_turned_and_mirrored_upright(tmp_path, matrix):
    """The track header of a phone's video says how; a bright corner tells."""
    a, b, c, d = matrix
    frame = np.zeros((H, W, 3), np.uint8)
    frame[:16, :16] = 250
    with VideoWriter(tmp_path / "a.mp4", W, H) as writer:
        writer.write(frame)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    (tmp_path / "a.mp4").write_bytes(data)
    part = Part(10, 4, 30, 44)
    assert (next(read_frames(tmp_path / "a.mp4", part=part)) == part.of(next(read_frames(tmp_path / "a.mp4")))).all()
    back, info = next(read_frames(tmp_path / "a.mp4")), probe(tmp_path / "a.mp4")
    assert back.shape[:2] == (info.height, info.width) == ((W, H) if b else (H, W))
    _, across, down = EIGHT[matrix]
    corners = {(1, 1): back[:8, :8], (-1, 1): back[:8, -8:], (1, -1): back[-8:, :8], (-1, -1): back[-8:, -8:]}
    assert all((part.min() > 200) if place == (across, down) else (part.max() < 60) for place, part in corners.items())


# ------------------------------------------------------------------------------------------------------------- time stamps

def counted(path) -> int:
    return sum(1 for _ in read_frames(path, 25))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_the_last_picture_stays_as_long_as_the_file_says(tmp_path, kind):
    path = encoded(tmp_path / f"a.{kind}", range(0, 1000, 40), lasts=2040)
    assert abs(counted(path) - 75) <= 1 and abs(probe(path).duration - 3) < 0.05


def test_a_leap_of_the_time_stamps_is_closed_and_told(tmp_path, caplog):
    path = encoded(tmp_path / "a.mkv", [40 * i + 100_000_000 * (i >= 10) for i in range(25)])
    assert counted(path) == 25
    assert "a.mkv" in caplog.text and "at 0.36 s" in caplog.text
    info = probe(path)
    assert info.frames == 25 and abs(info.duration - 1) < 0.01 and info.fps == 25


def test_a_gap_that_a_recording_can_have_stays(tmp_path):
    path = encoded(tmp_path / "a.mkv", [40 * i + 3_000 * (i >= 10) for i in range(25)])
    assert counted(path) == 100 and abs(probe(path).duration - 4) < 0.05


def test_recordings_put_together_go_on_where_the_first_ends(tmp_path):
    """Two MPEG transport streams, one behind the other: the second one's stamps start over, for image and audio."""
    with av.open(str(tmp_path / "a.ts"), "w") as container:
        picture, voice = container.add_stream("mpeg2video", rate=25), container.add_stream("mp2", rate=48000, layout="mono")
        picture.width, picture.height, picture.pix_fmt = W, H, "yuv420p"
        for i in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((H, W, 3), 8 * i, np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        for i in range(42):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 48000, 1152 * i, Fraction(1, 48000)
            container.mux(voice.encode(block))
        container.mux(picture.encode(None)), container.mux(voice.encode(None))
    (tmp_path / "two.ts").write_bytes(2 * (tmp_path / "a.ts").read_bytes())
    info = probe(tmp_path / "two.ts")
    shown = [frame.mean() for frame in read_frames(tmp_path / "two.ts", 25)]
    assert abs(len(shown) - 50) <= 1 and abs(info.duration - 2) < 0.1 and abs(info.frames - 50) <= 1
    assert abs(np.array(shown[25:49]) - np.array(shown[:24])).max() < 4, "the second recording follows whole"
    assert abs(load_film_sound(tmp_path / "two.ts").duration - len(shown) / 25) < 0.1


def test_the_clock():
    clock = FilmClock(0.04)
    given = [5.0, 5.04, 5.03, 5.08, None, 5.2, 5.2 + LONGEST_GAP, 900.0, 1.0]
    times = [clock(stamp, 0.04) for stamp in given]
    np.testing.assert_allclose(np.subtract(times, [0, 0.04, 0.03, 0.08, 0.13, 0.2, 0.2 + LONGEST_GAP, 0.24 + LONGEST_GAP,
                                                   0.28 + LONGEST_GAP]), 0, atol=1e-9)
    clock(1.04, 2.0)
    assert clock.end == pytest.approx(clock.now + 2)
    clock(1.08, LONGEST_GAP + 1)
    assert clock.end == pytest.approx(clock.now + 0.04), "a length nobody can mean"


# ----------------------------------------------------------------------------------------------------------------- colours

LIGHT_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # of BT.709's primaries


def coded(shade, transfer: str) -> np.ndarray:  # 8-bit RGB of BT.709 -> uint16 RGB of BT.2100, by its own formulas
    light = LIGHT_2020 @ (np.asarray(shade) / 255) ** 2.4 * 203
    if transfer == "PQ":
        power = (light / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        scene = (light / 1000) ** (1 / 1.2)
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene),
                          0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)
    return np.rint(signal * 65535).astype(np.uint16)


@pytest.mark.parametrize("transfer", ["HLG", "PQ"])
@pytest.mark.parametrize("shade", [(64, 64, 64), (128, 96, 80), (200, 150, 130), (20, 20, 30), (0, 0, 0), (0, 95, 200)])
def test_bright_films_look_as_their_ordinary_twins(transfer, shade):
    shown = as_shown(np.tile(coded(shade, transfer), (2, 3, 1)), Colour(transfer, 9))
    assert shown.shape == (2, 3, 3) and shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - shade).max() <= 2


@pytest.mark.parametrize("transfer", ["HLG", "PQ"])
def test_what_is_brighter_than_white_keeps_its_detail(transfer):
    grey = np.repeat(np.linspace(0, 65535, 1001).astype(np.uint16)[None, :, None], 3, 2)
    shown = as_shown(grey, Colour(transfer, 9))[0, :, 0].astype(int)
    white = as_shown(coded((255, 255, 255), transfer)[None, None], Colour(transfer, 9)).min()
    assert (np.diff(shown) >= 0).all() and shown[0] == 0 and shown[-1] == 255 and 235 <= white <= 250


@pytest.mark.parametrize("transfer, number", [("HLG", 18), ("PQ", 16)])
def test_a_telephones_bright_film(tmp_path, transfer, number):
    patches = np.zeros((1, 64, 128, 3), np.uint16)
    patches[:, :, :64], patches[:, :, 64:] = coded((200, 60, 40), transfer), coded((60, 90, 180), transfer)
    path = encoded(tmp_path / "a.mp4", [0], pictures=patches, format="yuv420p10le", size=(64, 128),
                   colour={"color_trc": number, "color_primaries": 9, "colorspace": 9, "color_range": 1})
    back, info = next(read_frames(path)).astype(int), probe(path)
    assert info.hdr == transfer
    assert np.abs(back[32, 16] - (200, 60, 40)).max() < 8 and np.abs(back[32, 112] - (60, 90, 180)).max() < 8


def test_ordinary_films_are_left_to_ffmpeg(tmp_path, monkeypatch):
    path = encoded(tmp_path / "a.mp4", [0, 40])
    monkeypatch.setattr(video_colour, "as_shown", None)
    assert len(list(read_frames(path))) == 2 and probe(path).hdr == ""


@pytest.mark.parametrize("size, of_709", [((720, 1280), True), ((480, 640), False)])
def test_untagged_films_are_of_their_sizes_standard(tmp_path, size, of_709):
    """Red in the numbers of BT.709 or BT.601, and no word which: players go by the size."""
    luma, blue, red = (63, 102, 240) if of_709 else (81, 90, 240)
    frame = av.VideoFrame(size[1], size[0], "yuv444p")
    for plane, value in zip(frame.planes, (luma, blue, red)):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv444p"
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    red, green, blue = next(read_frames(tmp_path / "a.mkv"))[5, 5].tolist()
    assert red >= 252 and green <= 3 and blue <= 3


# ------------------------------------------------------------------------------------------------------------ broken files

def test_a_title_that_is_no_utf_8_does_not_matter(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", W, H, metadata={"title": "Gr__sse"}) as writer:
        writer.write(np.zeros((3, H, W, 3), np.uint8))
    data = (tmp_path / "a.mp4").read_bytes()
    assert b"Gr__sse" in data
    (tmp_path / "a.mp4").write_bytes(data.replace(b"Gr__sse", b"Gr\xfc\xdfsse"))
    assert probe(tmp_path / "a.mp4").frames == 3 and len(list(read_frames(tmp_path / "a.mp4"))) == 3


@pytest.mark.parametrize("error", [ValueError("Invalid layout"),
                                   UnicodeDecodeError("utf-8", b"\xfc", 0, 1, "invalid start byte")])
def test_whatever_pyav_raises_is_told_in_the_packs_words(tmp_path, monkeypatch, error):
    path = encoded(tmp_path / "a.mkv", [0, 40])

    def broken(*given, **named):
        raise error

    monkeypatch.setattr("talking_heads.media_core.video_reading.Planes.of", broken)
    with pytest.raises(FileFormatError, match="a.mkv cannot be decoded"):
        next(read_frames(path))
    monkeypatch.setattr(av, "open", broken)
    with pytest.raises(FileFormatError, match="a.mkv cannot be decoded"):
        probe(path)


def test_no_word_of_an_ordinary_film(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = encoded(tmp_path / "a.mp4", range(0, 400, 40))
    assert counted(path) == 10 and not caplog.records
