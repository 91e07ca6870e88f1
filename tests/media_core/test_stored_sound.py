"""Audio in a file gives what audio in memory gives, to the bit."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core import stored_sound
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.stored_sound import mix, stored_film_sound
from talking_heads.media_core.video import VideoWriter, load_film_sound


def film(path, channels: int, rate: int = 44100):
    """A second of video with noise, whose second channel is wired the wrong way round."""
    noise = (0.2 * np.random.default_rng(0).standard_normal(rate)).astype(np.float32)
    waveform = np.stack([noise, -0.8 * noise][:channels])
    with VideoWriter(path, 32, 32, 25, Sound(waveform, rate), preset="ultrafast") as writer:
        writer.write(np.zeros((25, 32, 32, 3), np.uint8))
    return path


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("piece", [1000, 1 << 18])
def test_it_is_the_same_to_the_bit(tmp_path, monkeypatch, channels, piece):
    monkeypatch.setattr(stored_sound, "PIECE", piece)
    path = film(tmp_path / "a.mp4", channels)
    whole = load_film_sound(path)
    with stored_film_sound(path, tmp_path / "a.raw") as stored:
        assert (stored.samples, stored.channels, stored.sample_rate) == (whole.samples, channels, 44100)
        np.testing.assert_array_equal(stored.part(0, stored.samples), whole.waveform)
        for rate in (16000, 44100):
            np.testing.assert_array_equal(stored.mono(rate), whole.mono(rate))
        assert mix(stored).against.sum() == channels - 1 and mix(whole).against.sum() == channels - 1
    assert not (tmp_path / "a.raw").exists()


def test_a_part_has_silence_behind_the_end(tmp_path):
    path = film(tmp_path / "a.mp4", 2)
    whole = load_film_sound(path)
    with stored_film_sound(path, tmp_path / "a.raw") as stored:
        part = stored.lasting(40000, 20000)
        assert part.samples == 20000 and part.duration == 20000 / 44100
        wanted = np.zeros((2, 20000), np.float32)
        wanted[:, :whole.samples - 40000] = whole.waveform[:, 40000:]
        np.testing.assert_array_equal(part.part(0, 20000), wanted)
        np.testing.assert_array_equal(part.mono(16000), Sound(wanted, 44100).mono(16000))


def test_what_cannot_be_read_leaves_no_file(tmp_path):
    with VideoWriter(tmp_path / "silent.mp4", 32, 32) as writer:
        writer.write(np.zeros((5, 32, 32, 3), np.uint8))
    with pytest.raises(FileFormatError, match="must have audio"), stored_film_sound(tmp_path / "silent.mp4", tmp_path / "a.raw"):
        pass
    assert not (tmp_path / "a.raw").exists()


def test_samples_that_are_none_are_told(tmp_path, monkeypatch):
    def broken(film, take):
        take(np.full((10, 2), np.nan, np.float32))
        return 2, 44100, 0.0
    monkeypatch.setattr(stored_sound, "film_sound_pieces", broken)
    with pytest.raises(FileFormatError, match="finite"), stored_film_sound("a.mp4", tmp_path / "a.raw"):
        pass
