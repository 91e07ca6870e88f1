"""VIDEOs as newer ComfyUIs give them: a crop (Video Crop, 0.35) or another size, which the file behind them does not have."""
from __future__ import annotations

import gc

import numpy as np
import pytest
from prompts import own


@pytest.fixture
def films(host):
    return own(host, "nodes.videos")


@pytest.fixture
def newer(host):
    """The class of a newer core: `newer(path, rectangle, told)`; told: it has `has_pending_frame_edits`."""
    from comfy_api.latest import InputImpl, Types

    class Newer(InputImpl.VideoFromFile):
        def __init__(self, path, rectangle=None, **trim):
            super().__init__(str(path), **trim)
            self.path, self.rectangle = str(path), rectangle

        def as_cropped(self, x=0, y=0, width=0, height=0):
            return type_of(self)(self.path, (x, y, width, height))

        def get_dimensions(self):
            return super().get_dimensions() if self.rectangle is None else self.rectangle[2:]

        def get_components(self):
            parts = super().get_components()
            if self.rectangle is not None:
                x, y, width, height = self.rectangle
                parts = Types.VideoComponents(images=parts.images[:, y:y + height, x:x + width], audio=parts.audio,
                                              frame_rate=parts.frame_rate)
            return parts

        def save_to(self, path, *args, **options):
            InputImpl.VideoFromComponents(self.get_components()).save_to(path, *args, **options)

    class Newest(Newer):
        def has_pending_frame_edits(self):
            return self.rectangle is not None

    def type_of(video):
        return Newest if isinstance(video, Newest) else Newer

    return {False: Newer, True: Newest}


@pytest.mark.parametrize("told", [False, True])
def test_a_cropped_video_is_read_cropped(films, newer, tiny_film, told):
    whole = films.film(newer[told](tiny_film))
    crop = films.film(newer[told](tiny_film).as_cropped(24, 10, 64, 96))
    assert whole.path == tiny_film
    assert crop.path != tiny_film
    assert crop.size() == (96, 64)
    expected = np.stack([frame[10:106, 24:88] for frame in whole.frames(25)])
    got = np.stack(list(crop.frames(25)))
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("told", [False, True])
def test_a_trimmed_one_is_still_a_part_of_its_file(films, newer, tiny_film, told):
    part = films.film(newer[told](tiny_film, start_time=0.4, duration=0.4))
    assert (part.path, part.start, part.stop) == (tiny_film, 0.4, 0.8)
    both = films.film(newer[told](tiny_film, (24, 10, 64, 96), start_time=0.4, duration=0.4))
    assert both.whole
    assert both.size() == (96, 64)
    assert both.frame_count(25) == 10


def test_a_crop_of_a_temporary_video_holds_its_file(host, tmp_path, tiny_film, monkeypatch):
    """ComfyUI's class makes the crop a plain VideoFromFile of the same path."""
    from comfy_api.latest import InputImpl

    def as_cropped(self, x=0, y=0, width=0, height=0):
        return InputImpl.VideoFromFile(self.get_stream_source())

    monkeypatch.setattr(InputImpl.VideoFromFile, "as_cropped", as_cropped, raising=False)
    temporary = own(host, "nodes.temporary_videos")
    path = temporary.new_path()
    path.write_bytes(tiny_film.read_bytes())
    crop = temporary.new_film(path).as_cropped(1, 2, 3, 4)
    gc.collect()
    assert path.is_file()
    assert crop.get_dimensions() == (240, 192)
    del crop
    gc.collect()
    assert not path.exists()
