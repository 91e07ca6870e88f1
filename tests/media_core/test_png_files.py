"""PNG files written here: every reader must see exactly what was given, and they must be small."""
import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from talking_heads.media_core import png_kernels
from talking_heads.media_core.png_files import png


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def cut_out(size=96):
    """A photograph's part before nothing."""
    image = np.dstack([cv2.GaussianBlur(noise((size, size, 3)), (0, 0), 2), np.full((size, size), 255, np.uint8)])
    image[:size // 2] = 0
    return image


IMAGES = {"a pixel": noise((1, 1, 3)), "a row": noise((1, 9, 4)), "a column": noise((9, 1, 3)), "noise": noise((33, 57, 4)),
          "nothing": np.zeros((40, 31, 4), np.uint8), "white": np.full((5, 300, 3), 255, np.uint8), "a layer": cut_out(),
          "few colours": (noise((64, 64, 3)) > 250).astype(np.uint8) * 255, "flat": np.repeat(noise((7, 5, 3)), 40, axis=1),
          "not contiguous": noise((20, 30, 4))[:, ::2]}


@pytest.mark.parametrize("name", IMAGES)
def test_every_reader_sees_what_was_given(name):
    image = IMAGES[name]
    data = png(image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    order = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    assert np.array_equal(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), order), image)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 8, 257, 258, 259, 260, 261, 262, 516, 1000])
def test_runs_of_every_length(length):
    for before in range(9):  # wherever a run begins among eight bytes that are looked at together
        data = np.concatenate([np.arange(1, before + 1), np.zeros(length), [7, 7, 9]]).astype(np.uint8)
        assert zlib.decompress(png_kernels.deflated(data).tobytes(), -15) == data.tobytes()


def test_codes_are_never_too_long():
    """Counts like Fibonacci's make the deepest tree there is."""
    counts = np.zeros(png_kernels.SYMBOLS, np.int64)
    counts[:40] = [1, 1, *(int(1.618 ** k) for k in range(2, 40))]
    for deepest in (7, 15):
        lengths = png_kernels._lengths(counts, deepest)
        assert lengths.max() <= deepest and np.all((lengths > 0) == (counts > 0))
        assert sum(2.0 ** -lengths[lengths > 0]) == 1  # nothing left over, nothing twice


def test_a_layer_takes_no_more_room_than_half_as_much_again_as_zlib_makes_of_it():
    for image in (IMAGES["a layer"], IMAGES["few colours"], IMAGES["nothing"]):
        assert len(png(image)) < 1.5 * len(zlib.compress(png_kernels.filtered(np.ascontiguousarray(image)).tobytes(), 1)) + 400
