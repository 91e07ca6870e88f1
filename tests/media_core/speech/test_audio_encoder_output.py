"""ComfyUI's AUDIO_ENCODER_OUTPUT as speech: sizes of the three models, layers, lengths, and dicts that are none."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech.audio_encoder_output import LAYERS, speech_from_audio_encoder
from talking_heads.media_core.speech.registry import get_encoder
from voices import voice


def output(id: str = "wav2vec2-large", samples: int = 16000, rows: int | None = None) -> dict:
    """What core gives: layer k is filled with k, plus a little that tells its rows apart."""
    count = rows or (1500 if id == "whisper-large-v3" else (samples - 80) // 320)
    slope = torch.linspace(0, 0.5, count)[None, :, None].expand(1, count, get_encoder(id).dim)
    layers = tuple(slope + number for number in range(LAYERS[id] + 1))
    return {"encoded_audio": layers[-1], "encoded_audio_all_layers": layers, "audio_samples": samples}


def sound(seconds: float, rate: int = 16000) -> Sound:
    """A voice, then silence for the second half."""
    return voice(seconds, rate, 2, quiet=(seconds / 2, seconds))


@pytest.mark.parametrize("id, dim", [("wav2vec2-base", 768), ("wav2vec2-large", 1024), ("whisper-large-v3", 1280)])
def test_models_are_told_apart(id, dim):
    made = speech_from_audio_encoder(output(id, 48000))
    assert (made.encoder, made.rate, made.layer, made.duration, made.features.shape[1]) == (id, 50.0, "last", 3.0, dim)
    assert made.frame_count() == 75 and made.frame_windows().shape == (75, dim, 2) and not made.silence.any()


def test_hubert_is_named_by_the_user():
    assert speech_from_audio_encoder(output(), encoder="hubert-large-ls960-ft").encoder == "hubert-large-ls960-ft"
    with pytest.raises(TalkingHeadsError, match="'hubert-large-ls960-ft' as stated.*1024.*768 numbers, 12 layers"):
        speech_from_audio_encoder(output("wav2vec2-base"), encoder="hubert-large-ls960-ft")
    with pytest.raises(TalkingHeadsError, match="said to be 'mel'"):
        speech_from_audio_encoder(output(), encoder="mel")


def test_layers():
    cases = ((-1, "last", 24), (24, "last", 24), ("last", "last", 24), (0, "0", 0), (12, "12", 12), (-2, "23", 23))
    for layer, name, value in cases:
        made = speech_from_audio_encoder(output(), layer=layer)
        assert made.layer == name and float(made.features[0, 0]) == value
    with pytest.raises(TalkingHeadsError, match="from 0 to 24.*25"):
        speech_from_audio_encoder(output(), layer=25)


def test_the_sound_gives_length_and_silence():
    made = speech_from_audio_encoder(output(samples=32000), sound=sound(2.0, 44100))
    assert made.duration == 2.0 and not made.silence[5:45].any() and made.silence[72:].all()
    quiet = speech_from_audio_encoder(output(samples=32000), sound=Sound(np.zeros((1, 32000), np.float32), 16000))
    assert quiet.silence.all()
    with pytest.raises(TalkingHeadsError, match="3.00 s of audio, 2.00 s encoded"):
        speech_from_audio_encoder(output(samples=32000), sound=sound(3.0))


def test_outside_stands_what_was_silent():
    made = speech_from_audio_encoder(output(samples=32000), sound=sound(2.0))
    row = made.silence_row()
    assert any(torch.equal(row, one) for one in made.features[made.silence])
    assert torch.equal(made.frame_windows(start=60, stop=61)[0], row[:, None].expand(1024, 2))
    unknown = speech_from_audio_encoder(output(samples=32000))  # no row is known to be silent: its ends are taken
    assert any(torch.equal(unknown.silence_row(), made.features[k]) for k in (0, -1))


def test_whispers_thirty_seconds():
    made = speech_from_audio_encoder(output("whisper-large-v3", 16100))
    assert len(made.features) == 51
    assert float(made.silence_row()[0]) > float(made.features[-1, 0])  # from the padding behind the sound
    assert len(speech_from_audio_encoder(output("whisper-large-v3", 480000)).features) == 1500
    with pytest.raises(TalkingHeadsError, match="30 s at most.*30.1 s"):
        speech_from_audio_encoder(output("whisper-large-v3", 481600))


def test_the_features_are_a_copy_in_float32():
    given = output()
    given["encoded_audio"] = given["encoded_audio"].half()
    given["encoded_audio_all_layers"] = tuple(layer.half() for layer in given["encoded_audio_all_layers"])
    made = speech_from_audio_encoder(given)
    made.features[:] = 7
    assert made.features.dtype == torch.float32 and not bool((given["encoded_audio"] == 7).any())


def changed(**entries) -> dict:
    return {**output(), **entries}


@pytest.mark.parametrize("given, words", [
    ({"waveform": torch.zeros(1, 1, 9), "sample_rate": 16000}, "dictionary with encoded_audio.*'sample_rate', 'waveform'"),
    (torch.zeros(1, 9, 768), "dictionary.*Tensor"), (None, "dictionary.*NoneType"),
    (changed(encoded_audio=torch.zeros(9, 1024)), r"\[1, rows, numbers\].*\[9, 1024\]"),
    (changed(encoded_audio=None), "NoneType"),
    (changed(encoded_audio=torch.zeros(1, 0, 1024)), r"\[1, 0, 1024\]"),
    (changed(encoded_audio=torch.zeros(2, 49, 1024)), "one at a time|One recording.*batch of 2"),
    (changed(encoded_audio_all_layers=torch.zeros(1, 49, 1024)), "all_layers.*Tensor"),
    (changed(encoded_audio_all_layers=(torch.zeros(1, 48, 1024),) * 25), "of the last one's shape"),
    (changed(encoded_audio_all_layers=output()["encoded_audio_all_layers"][:5]), "one of these.*1024 numbers, 4 layers"),
    (changed(audio_samples=0), "audio_samples.*0"), (changed(audio_samples=1.5), "audio_samples.*1.5"),
    (changed(audio_samples=32000), "must give 99 rows.*49"),
    (changed(encoded_audio=torch.full((1, 49, 1024), torch.nan)), "finite.*50176 of 50176"),
])
def test_what_is_no_output_of_an_audio_encoder(given, words):
    with pytest.raises(TalkingHeadsError, match=f"(?s){words}"):
        speech_from_audio_encoder(given)
