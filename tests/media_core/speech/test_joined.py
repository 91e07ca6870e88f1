"""Encoders side by side: rows in time with each other, names, layers, silence, and windows as long as the longest."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from ave_file import save_ave_file
from hubert_folder import save_hubert
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech import (
    LayerError,
    encode_speech,
    joined,
    models_of,
    of_recording,
    open_encoder,
    open_stored,
    opens_by_name,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    save_hubert(folder / "ears")
    save_ave_file(folder / "ave.safetensors")
    return folder


def noise(seconds: float = 1.0) -> Sound:
    return Sound(0.1 * np.random.default_rng(0).standard_normal((1, round(seconds * 16000))).astype(np.float32), 16000)


def test_numbers_stand_behind_each_other_at_the_highest_rate(place):
    encoder = open_encoder(f"mel+{place / 'ave.safetensors'}+{place / 'ears'}", layer="last+last+1")
    speech, alone = encoder.encode(noise()), encode_speech(noise())
    assert (speech.encoder, speech.layer, speech.rate) == ("mel+ave+ears", "last+last+1", 80.0)
    assert speech.features.shape == (81, 80 + 512 + 32) and torch.equal(speech.features[:, :80], alone.features)
    assert torch.equal(speech.silence, alone.silence) and speech.window == 16  # 0.2 s, mel's
    assert torch.equal(speech.silence_features[:80], torch.full((80,), -4.0)) and len(speech.silence_features) == 624
    assert len(models_of(encoder)) == 2 and encoder.facts.dim == 624


def test_parts_are_in_time(place):
    """A click is at the same place in each part's numbers, within a row of the slowest."""
    wave = np.zeros(32000, np.float32)
    wave[16000] = 1.0
    speech = open_encoder(f"mel+{place / 'ave.safetensors'}").encode(Sound(wave[None], 16000))
    quiet = speech.silence_features
    change = (speech.features - quiet).abs()
    times = torch.arange(len(change)) / speech.rate
    centre = [float((part.sum(1) * times).sum() / part.sum()) for part in (change[:, :80], change[:, 80:])]
    assert centre[0] == pytest.approx(1.0, abs=0.01) and centre[1] == pytest.approx(1.0, abs=0.04)


def test_one_of_equal_rate_is_not_interpolated(place):
    ears = open_encoder(place / "ears")
    speech = joined([ears, ears]).encode(noise())
    assert torch.equal(speech.features[:, :32], speech.features[:, 32:]) and speech.encoder == "ears+ears"
    assert torch.equal(speech.features[:, :32], ears.encode(noise()).features)


def test_encoders_that_hear_any_recording_alike_stay_the_same_one(tmp_path):
    """A capture shifts their audio; features that exist already cannot be shifted before their beginning."""
    np.save(tmp_path / "me.npy", np.zeros((25, 3), np.float32))
    stored = open_stored(tmp_path / "me.npy", rate=25, called="threes")
    for parts, same in ((["mel", "mel"], True), (["mel", stored], False)):
        encoder = joined([open_encoder(part) if isinstance(part, str) else part for part in parts])
        assert (of_recording(encoder, tmp_path / "me.mp4", 1.0, 0.2) is encoder) == same


def test_what_needs_no_weights_opens_by_its_id():
    assert opens_by_name("mel+mel") and not opens_by_name("mel+ave")
    assert open_encoder("mel+mel").encode(noise()).features.shape == (81, 160)
    flat = joined([open_encoder("mel+mel"), open_encoder("mel")])
    assert flat.facts.id == "mel+mel+mel" and len(flat.parts) == 3


def test_layers(place):
    names = f"mel+{place / 'ears'}"
    assert open_encoder(names, layer="last+0").layer == "last+0"
    assert open_encoder(names, layer="1").layer == "last+1"  # for the one that has layers
    assert open_encoder(names).layer == "last"
    for layer in ("1+1", "9", "1+2+3"):
        with pytest.raises(LayerError):
            open_encoder(names, layer=layer)


def test_what_cannot_be_joined(place):
    with pytest.raises(TalkingHeadsError, match="1 to 4"):
        open_encoder("mel+mel+mel+mel+mel")
    with pytest.raises(TalkingHeadsError, match="'nobody', and there is no such folder or file"):
        open_encoder("mel+nobody")


def test_a_path_with_a_plus_in_it(place):
    (place / "a+b").symlink_to(place / "ears")
    assert open_encoder(str(place / "a+b")).facts.id == "a-b"
