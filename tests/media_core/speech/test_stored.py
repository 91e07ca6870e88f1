"""Features that exist already: rows and windows, names and rates, one recording or many, and what does not fit."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.speech import Speech, of_recording, open_encoder, open_stored


def sound(seconds: float) -> Sound:
    return Sound(np.full((1, round(seconds * 16000)), 0.1, np.float32), 16000)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def counted(rows: int, width: int = 3) -> np.ndarray:
    """Row k holds k."""
    return np.repeat(np.arange(rows, dtype=np.float64)[:, None], width, 1)


def test_rows_come_back_as_they_are(tmp_path):
    path = save(tmp_path / "mine.npy", counted(100))
    speech = open_encoder(path, rate=50, called="My Net", layer="9").encode(sound(2.0))
    assert (speech.encoder, speech.layer, speech.rate, speech.duration, speech.window) == ("my-net", "9", 50.0, 2.0, 2)
    assert torch.equal(speech.features, torch.arange(100.0)[:, None].expand(-1, 3)) and speech.features.dtype == torch.float32
    assert speech.silence_features is None and speech.frame_windows().shape == (50, 3, 2)
    assert torch.equal(speech.frame_windows()[7, 0], torch.tensor([14.0, 15.0]))


def test_deepspeechs_windows_are_unwound(tmp_path):
    """[F, 16, 29], two rows a frame behind eight rows of padding: row k is at k / 50 s again, and its windows are those."""
    rows = np.random.default_rng(0).normal(size=(60, 29)).astype(np.float32)
    padded = np.concatenate([np.zeros((8, 29)), rows, np.zeros((8, 29))]).astype(np.float32)
    windows = np.stack([padded[2 * i:2 * i + 16] for i in range(30)])
    speech = open_encoder(save(tmp_path / "aud_ds.npy", windows)).encode(sound(1.2))
    assert (speech.encoder, speech.rate, speech.window) == ("deepspeech", 50.0, 16)
    assert torch.equal(speech.features, torch.from_numpy(rows))
    assert torch.equal(speech.frame_windows()[10].T, torch.from_numpy(padded[21:37]))  # around the frame's middle, not its start


def test_huberts_pairs_are_unwound(tmp_path):
    pairs = np.arange(20 * 2 * 1024, dtype=np.float32).reshape(20, 2, 1024)
    speech = open_stored(save(tmp_path / "aud_hu.npy", pairs)).encode(sound(0.8))
    assert speech.encoder == "hubert-large-ls960-ft" and torch.equal(speech.features, torch.from_numpy(pairs.reshape(40, 1024)))


def test_a_saved_speech_is_an_encoder(tmp_path):
    silence = torch.zeros(50, dtype=torch.bool)
    made = Speech(torch.rand(50, 4), 50.0, "ears", 1.0, silence, "3", torch.ones(4))
    again = open_encoder(made.save(tmp_path / "speech_ears.safetensors")).encode(sound(1.0))
    assert torch.equal(again.features, made.features) and torch.equal(again.silence_features, torch.ones(4))
    assert (again.encoder, again.layer, again.rate) == ("ears", "3", 50.0)


def test_a_part_of_a_recording(tmp_path):
    """Motion datasets encode pieces of a video: each gets its own rows."""
    folder = save(tmp_path / "features" / "me.npy", counted(250)).parent
    whole = of_recording(open_encoder(folder, rate=50, called="net"), tmp_path / "videos" / "me.mp4", 5.0)
    part = of_recording(whole, tmp_path / "videos" / "me.mp4", None, 2.0).encode(sound(1.0))
    assert part.features[:, 0].tolist() == list(range(100, 150)) and part.duration == 1.0
    assert len(whole.encode(sound(5.0)).features) == 250


def test_videos_of_one_name_in_different_folders(tmp_path):
    for person in ("a", "b"):
        save(tmp_path / "features" / person / "1.npy", counted(50) + (person == "b"))
    encoder = open_encoder(tmp_path / "features", rate=50, called="net")
    first = [float(of_recording(encoder, tmp_path / person / "1.mp4", 1.0).encode(sound(1.0)).features[0, 0]) for person in "ab"]
    assert first == [0.0, 1.0]
    with pytest.raises(FileFormatError, match=r"features has no 2\.npy"):
        of_recording(encoder, tmp_path / "a" / "2.mp4", 1.0)
    with pytest.raises(TalkingHeadsError, match="recording each"):
        encoder.encode(sound(1.0))


def test_a_last_row_stands_for_few_that_lack(tmp_path):
    speech = open_encoder(save(tmp_path / "a.npy", counted(98)), rate=50, called="net").encode(sound(2.0))
    assert len(speech.features) == 100 and speech.features[-3:, 0].tolist() == [97, 97, 97]


@pytest.mark.parametrize("seconds", [1.4, 4.0])
def test_features_of_another_length(tmp_path, seconds):
    """Twice or half the rate is what this is for."""
    encoder = open_encoder(save(tmp_path / "a.npy", counted(100)), rate=50, called="net")
    with pytest.raises(FileFormatError, match="a.npy has 100 rows, 2.00 s at 50 Hz"):
        encoder.encode(sound(seconds))
    with pytest.raises(FileFormatError, match="as long as the audio"):
        of_recording(encoder, tmp_path / "a.mp4", seconds)
    with pytest.raises(FileFormatError, match="end of the audio"):
        of_recording(encoder, tmp_path / "a.mp4", None, 1.5).encode(sound(2.0))


@pytest.mark.parametrize("array, options, told", [
    (counted(9), {}, "need the name.*--feature-name"), (counted(9), {"called": "net"}, "need their rate.*--feature-rate"),
    (counted(9), {"called": "deepspeech", "rate": 25}, "'deepspeech' must have 50 rows.*25"),
    (counted(9), {"called": "deepspeech"}, "rows of 29 numbers.*rows of 3"),
    (counted(9), {"called": "a+b", "rate": 50}, "no \\+"),
    (counted(9)[0], {"called": "net", "rate": 50}, r"\[3\] of float64"),
    (np.zeros((4, 3), bool), {"called": "net", "rate": 50}, "bool"),
    (np.zeros((4, 3, 2)), {"called": "net", "rate": 40}, "1.6 rows of a frame"),
    (np.full((50, 3), np.nan), {"called": "net", "rate": 50}, "NaN")])
def test_what_cannot_be(tmp_path, array, options, told):
    path = save(tmp_path / "x.npy", array)
    with pytest.raises(TalkingHeadsError, match=told):
        open_encoder(path, **options).encode(sound(1.0))


def test_no_pickle_and_no_file(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    for name in ("a.npy", "none.npy"):
        with pytest.raises(FileFormatError, match=name):
            open_encoder(tmp_path / name, rate=50, called="net")
