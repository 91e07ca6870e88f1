"""ComfyUI's own audio encoders as an encoder: told apart, in one pass or in pieces, silence."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from core_audio_encoder import FakeAudioEncoder
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech.audio_encoder_output import speech_from_audio_encoder
from talking_heads.media_core.speech.core_encoder import CoreEncoder


def noise(seconds: float, channels: int = 1) -> Sound:
    samples = 0.1 * np.random.default_rng(0).standard_normal((channels, round(seconds * 16000)))
    return Sound(samples.astype(np.float32), 16000)


@pytest.mark.parametrize("whisper", [False, True])
def test_up_to_30_s_the_features_are_cores(whisper):
    core = FakeAudioEncoder(1280, 32, True) if whisper else FakeAudioEncoder()
    encoder, sound = CoreEncoder(core, "auto", 3), noise(3.0, 2)
    speech = encoder.encode(sound)
    output = core.encode_audio(torch.from_numpy(sound.mono(16000).copy())[None, None], 16000)
    same = speech_from_audio_encoder(output, layer=3)
    assert torch.equal(speech.features, same.features[:len(speech.features)]) and len(same.features) == len(speech.features)
    assert (speech.encoder, speech.layer) == ("whisper-large-v3" if whisper else "wav2vec2-base", "3")
    assert speech.silence_features is not None and float(speech.silence_features.min()) == 3.0 and encoder.facts.dim == core.width


@pytest.mark.parametrize("whisper", [False, True])
@pytest.mark.parametrize("seconds", [29.99, 30.01, 61.7])
def test_longer_audio_is_encoded_in_pieces(whisper, seconds):
    """The rows are those of one pass: the invented features see nothing but their own samples."""
    core = FakeAudioEncoder(1280, 32, True) if whisper else FakeAudioEncoder()
    sound, told = noise(seconds), []
    rows = CoreEncoder(core).encode(sound, lambda *call: told.append(call[:2])).features
    one = FakeAudioEncoder(core.width, core.layers).encode_audio(torch.from_numpy(sound.waveform.copy())[None], 16000)
    wanted = one["encoded_audio"][0]
    assert abs(len(rows) - len(wanted)) <= 1 and torch.allclose(rows[:len(wanted)], wanted[:len(rows)], atol=1e-6)
    assert max(core.asked) <= 30 * 16000 and told[-1][0] == told[-1][1]


def test_a_few_samples():
    assert len(CoreEncoder(FakeAudioEncoder()).encode(Sound(np.zeros((1, 5), np.float32), 16000)).features) == 1


def test_hubert_is_named_by_the_user_and_others_are_refused():
    assert CoreEncoder(FakeAudioEncoder(1024, 24), "hubert-large-ls960-ft").facts.id == "hubert-large-ls960-ft"
    with pytest.raises(TalkingHeadsError, match="'whisper-large-v3' as stated"):
        CoreEncoder(FakeAudioEncoder(), "whisper-large-v3").encode(noise(1.0))
