"""What an avatar hears: kept in its file, checked when it is driven, and used where speech says nothing of silence."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.speech_format import SpeechFormat
from talking_heads.hmtalker_core.training.augment import augment_windows
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.speech import Speech


def speech(encoder: str = "ears", layer: str = "9", dim: int = 4, rate: float = 50.0, quiet: bool = False) -> Speech:
    rows = torch.randn(50, dim, generator=torch.Generator().manual_seed(0))
    return Speech(rows, rate, encoder, 1.0, torch.zeros(50, dtype=torch.bool), layer,
                  torch.full((dim,), 0.5) if quiet else None)


def test_it_survives_a_config():
    heard = SpeechFormat.of(speech(quiet=True))
    again = SpeechFormat.from_config({**heard.to_config(), "audio": {"audio_dim": 4}})
    assert torch.equal(again.silence, torch.full((4,), 0.5)) and again.silence.dtype == torch.float32
    assert replace(again, silence=None) == replace(heard, silence=None)
    old = SpeechFormat.from_config({"encoder": "mel", "audio": {"audio_dim": 80}})
    assert (old.layer, old.rate, old.silence) == ("last", None, None) and old.to_config() == {"encoder": "mel"}


@pytest.mark.parametrize("other", [{"encoder": "mel"}, {"layer": "last"}, {"dim": 5}, {"rate": 49.9}])
def test_other_speech_is_refused_with_both_sides_and_a_way_out(other):
    with pytest.raises(TalkingHeadsError) as error:
        SpeechFormat.of(speech()).checked(speech(**other))
    assert "'ears', layer 9 (4 numbers per row, 50 Hz)" in error.value.must and error.value.came != ""
    assert "'ears', layer 9" in error.value.do


def test_silence_is_the_avatars_where_speech_does_not_say_it():
    heard = SpeechFormat.of(speech(quiet=True))
    assert torch.equal(heard.checked(speech()).silence_row(), heard.silence)
    told = replace(speech(), silence_features=torch.ones(4))
    assert heard.checked(told) is told
    assert torch.equal(replace(heard, silence=None).checked(speech()).silence_row(), speech().silence_row())


def test_another_model_of_the_same_name_is_told_by_what_it_makes_of_silence():
    """Ids are names of folders; the same model in bf16 is not another one."""
    heard = SpeechFormat.of(speech(quiet=True))
    near = replace(speech(), silence_features=heard.silence * 1.05)
    assert heard.checked(near) is near
    with pytest.raises(TalkingHeadsError, match="'ears' that it was trained with.*another model of that name"):
        heard.checked(replace(speech(), silence_features=torch.tensor([0.5, -0.5, 0.5, -0.5])))


def test_features_must_be_finite():
    made = speech(quiet=True)
    made.features[7, 2] = torch.nan
    with pytest.raises(TalkingHeadsError, match="must be finite.*NaN.*Encode the audio again"):
        SpeechFormat.of(speech(quiet=True)).checked(made)


def test_an_avatar_file_keeps_it_and_is_refused_when_it_does_not_fit(tiny_avatar, tmp_path):
    assert tiny_avatar.config["speech"] == {"layer": "last", "rate": 80.0, "silence": [-4.0] * 80}
    again = load_avatar(save_avatar(tiny_avatar, tmp_path / "a.safetensors"))
    assert torch.equal(again.hears.silence, tiny_avatar.hears.silence) and str(again.hears) == str(tiny_avatar.hears)
    for wrong in ({"layer": "last", "rate": 80.0, "silence": [0.0]}, {"layer": 3, "rate": 80.0, "silence": [0.0] * 80}):
        path = save_avatar(tiny_avatar.with_config(speech=wrong), tmp_path / "b.safetensors")
        with pytest.raises(FileFormatError):
            load_avatar(path)


def test_features_that_are_no_spectrum_are_not_shifted_along_it():
    windows = torch.randn(3, 8, 12, 2, generator=torch.Generator().manual_seed(1))
    varied = augment_windows(windows, 1.0, torch.Generator().manual_seed(2), spectral=False)
    assert 0 < float((varied - windows).abs().max()) < 0.3 * float(windows.std())
    assert not SpeechFormat.of(speech()).spectral and SpeechFormat("mel", 80).spectral
