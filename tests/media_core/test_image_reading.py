"""Images of every kind become 8-bit RGB, or one error that says what to do."""
from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from talking_heads.media_core.capture import images as of_captures
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.image_reading import LARGEST, is_picture, read_picture

RAMP = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (32, 1))


def png(path, width: int, height: int, rows: bytes = b"", kind: int = 2):
    """A PNG file of stated size, whatever it then holds."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("name, scale, kind", [("grey16.png", 65535, np.uint16), ("grey16.tif", 65535, np.uint16),
                                               ("whole.tif", 65535, np.int32), ("long.tif", 2**31 - 1, np.int32),
                                               ("real.tif", 1, np.float32), ("wide.tif", 255, np.float32),
                                               ("grey8.png", 255, np.uint8)])
def test_grey_of_every_depth(tmp_path, name, scale, kind):
    Image.fromarray((RAMP.astype(np.float64) * scale).astype(kind)).save(tmp_path / name)
    read = read_picture(tmp_path / name)
    assert read.shape == (32, 64, 3) and read.dtype == np.uint8 and (read[..., 0] == read[..., 2]).all()
    assert np.abs(read[..., 0] - RAMP * 255).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_hidden_colours_do_not_show(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    opacity = np.zeros((32, 64), np.uint8)
    opacity[:, 32:], opacity[:, 48:] = 128, 255
    whole = Image.fromarray(noise).convert({"RGBA": "RGB", "LA": "L", "PA": "P"}[mode])
    seen = np.asarray(whole.convert("RGB")).astype(int)
    whole = whole.convert(mode)
    whole.putalpha(Image.fromarray(opacity))
    whole.save(tmp_path / "a.tif" if mode == "PA" else tmp_path / "a.png")
    read = read_picture(tmp_path / ("a.tif" if mode == "PA" else "a.png")).astype(int)
    assert (read[:, :32] == 0).all() and np.abs(read[:, 48:] - seen[:, 48:]).max() == 0
    assert np.abs(read[:, 32:48] - seen[:, 32:48] * 128 / 255).max() <= 1


def test_a_colour_that_stands_for_nothing(tmp_path):
    picture = Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8)[None], 4, 0)).convert("P")
    picture.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200, 99, 99, 99])
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_picture(tmp_path / "a.png")[0].tolist() == [[0, 0, 0], [10, 200, 10], [10, 10, 200], [99, 99, 99]]


def no_numbers(path):
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path)


BROKEN = {
    "absent.png": lambda path: None, "text.png": lambda path: path.write_text("no image"),
    "head.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x04IHDR\0\0\0\x04" + bytes(8)),
    "rows.png": lambda path: png(path, 40, 40, b"\x09" * 99), "nan.tif": no_numbers,
    "cut.jpg": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(20)),
    "chunk.png": lambda path: path.write_bytes(png(path, 40, 40, bytes(4840)).read_bytes()[:40] + b"\0" * 60)}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_is_wrong_is_one_error(tmp_path, name):
    BROKEN[name](tmp_path / name)
    with pytest.raises(FileFormatError, match="The portrait must be an image that can be read. Got: .*PNG or JPEG"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize("error", [SyntaxError("broken PNG file"), ValueError("Truncated IHDR chunk"), IndexError("tuple"),
                                   struct.error("unpack"), zlib.error("stream"), Image.DecompressionBombError("bomb")])
def test_whatever_pillow_raises_is_told_in_the_packs_words(tmp_path, monkeypatch, error):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def broken(*given, **named):
        raise error

    monkeypatch.setattr(Image, "open", broken)
    for read in (read_picture, is_picture):
        with pytest.raises(FileFormatError, match="a.png"):
            read(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow's own, on the way
@pytest.mark.parametrize("side", [10_001, 20_000])
def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch, side):
    """By the header: what follows would not even be an image."""
    assert side ** 2 > LARGEST
    path = png(tmp_path / "bomb.png", side, side)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    for read in (read_picture, of_captures.read_picture):
        with pytest.raises(FileFormatError, match="at most 100 megapixels. Got: bomb.png has"):
            read(path)


def test_what_is_a_picture(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    assert is_picture(tmp_path / "a.webp") and not is_picture(tmp_path / "film.mp4")
    with pytest.raises(FileFormatError, match="image or a video"):
        is_picture(tmp_path / "absent.png")
