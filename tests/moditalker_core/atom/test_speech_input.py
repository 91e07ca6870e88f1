"""What a network hears: tokens in time with the sound, silence outside it, and only speech of its own encoder."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech import Speech, encode_speech
from talking_heads.moditalker_core.atom.config import SpeechInput

FIFTY = SpeechInput("wav2vec2-large", "last", 50.0, 1024)


def counted(rows: int) -> Speech:
    """Row k holds k; the first two rows are silent, and no row tells what silence is."""
    features = torch.arange(float(rows))[:, None].expand(rows, 1024)
    return Speech(features, 50.0, FIFTY.encoder, rows / 50, torch.arange(rows) < 2)


def test_at_two_rows_a_frame_token_k_is_row_k():
    tokens = FIFTY.tokens(counted(100), 25.0, 3, 50)
    assert tokens.dtype == torch.float32 and torch.equal(tokens[:, 0], torch.arange(6.0, 100.0))


@pytest.mark.parametrize("fps", [25.0, 30.0])
@pytest.mark.parametrize("stack", [1, 2, 4])
@pytest.mark.parametrize("at", [0.5, 1.003, 1.49])
def test_a_click_is_heard_when_it_sounds(fps, stack, at):
    """Within one row, 12.5 ms; a token further would be 20 ms at 25 frames a second."""
    wave = np.zeros(32000, np.float32)
    wave[int(at * 16000)] = 1
    listens = SpeechInput("mel", "last", 80.0, 80, stack)
    tokens = listens.tokens(encode_speech(Sound(wave[None], 16000)), fps, 0, int(2 * fps))
    loud = (tokens - tokens.min()).sum(1)
    heard = float((loud * (torch.arange(len(loud)) + 0.5) / (2 * fps)).sum() / loud.sum())
    assert heard == pytest.approx(at, abs=0.0126)


def test_outside_the_sound_stands_its_silence():
    tokens = FIFTY.tokens(counted(10), 25.0, -1, 6)[:, 0]
    assert tokens[2:12].tolist() == list(range(10)) and set(tokens[[0, 1, 12, 13]].tolist()) <= {0.0, 1.0}


def test_silence_is_not_looked_for_inside_the_sound(monkeypatch):
    """In an hour of speech that would be read anew for every window."""
    monkeypatch.setattr(Speech, "silence_row", lambda self: pytest.fail("asked for silence"))
    FIFTY.tokens(counted(10), 25.0, 0, 5)


@pytest.mark.parametrize("change", [{"encoder": "mel"}, {"layer": "3"}, {"rate": 80.0}, {"features": torch.zeros(10, 80)}])
def test_other_speech_is_refused_by_both_names(change):
    FIFTY.check(counted(10))
    other = Speech(**{**vars(counted(10)), **change})
    with pytest.raises(TalkingHeadsError) as error:
        FIFTY.check(other)
    assert "wav2vec2-large, layer last, 50 Hz, 1024" in error.value.must and other.encoder in error.value.came


def test_another_layer_is_named_in_the_way_out():
    speech = Speech(torch.zeros(4, 1024), 50.0, FIFTY.encoder, 0.1, torch.zeros(4, dtype=torch.bool), layer="9")
    with pytest.raises(TalkingHeadsError, match="'wav2vec2-large', layer last, or load an AToM trained on '.*', layer 9"):
        FIFTY.check(speech)
