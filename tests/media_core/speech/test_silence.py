"""Where nobody speaks: a voice opens, whatever else sounds does not; the room on both sides; any encoder's rows."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.mouth_gate import speech_gate
from talking_heads.media_core.speech import Speech, encode_speech
from talking_heads.media_core.speech.silence import active_level, silent_rows, speaking
from voices import voice

RANDOM = np.random.default_rng(0)
TIME = np.arange(48000) / 16000


def noise(level: float) -> np.ndarray:  # dB -> float32 [48000]
    return (10 ** (level / 20) * RANDOM.standard_normal(48000)).astype(np.float32)


def clicks() -> np.ndarray:  # float32 [48000]
    wave = np.zeros(48000)
    for at in RANDOM.integers(0, 47000, 15):
        wave[at:at + 160] += 0.2 * RANDOM.standard_normal(160) * np.exp(-np.arange(160) / 30)
    return wave.astype(np.float32)


NOBODY = {"silence": np.zeros(48000, np.float32), "hiss": noise(-55), "loud noise": noise(-20), "clicks": clicks(),
          "hum": (0.1 * sum(np.sin(2 * np.pi * 50 * k * TIME) / k for k in range(1, 8))).astype(np.float32),
          "tone": (0.3 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)}


@pytest.mark.parametrize("kind", NOBODY)
def test_what_is_no_voice_is_silence(kind):
    made = encode_speech(Sound(NOBODY[kind][None], 16000))
    assert made.silence.all() and bool((speech_gate(made, 25.0) == 1).all())
    assert active_level(NOBODY[kind], speaking(NOBODY[kind])) is None


@pytest.mark.parametrize("rate", [25.0, 50.0, 80.0])
@pytest.mark.parametrize("behind", ["silence", "hiss"])
def test_speech_has_room_on_both_sides(rate, behind):
    """Whatever the encoder's rate: from 0.2 s before the first sound to 0.35 s after the last."""
    wave = NOBODY[behind].copy()
    wave[16000:24000] += voice(0.5).waveform[0]
    rows = int(3 * rate)
    spoken = np.flatnonzero(~silent_rows(wave, rate, rows)) / rate
    first, last = np.flatnonzero(speaking(wave))[[0, -1]] / 100
    assert 0.97 <= first < 1.1 and 1.3 < last < 1.6
    early, late = spoken[0] - (first - 0.2), (last + 0.35) - spoken[-1]
    assert -1e-6 <= early <= 1 / rate and -1e-6 <= late <= 1 / rate
    assert len(spoken) == round((spoken[-1] - spoken[0]) * rate) + 1


def test_the_level_of_what_is_spoken_does_not_count_pauses():
    wave = voice(2.0, quiet=(0.8, 2.0)).waveform[0]
    short = wave[:12800]
    assert abs(active_level(wave, speaking(wave)) - active_level(short, speaking(short))) < 1
    assert active_level(wave / 10, speaking(wave)) == pytest.approx(active_level(wave, speaking(wave)) - 20, abs=0.01)


def made(flags, room) -> Speech:
    """Features at 100 Hz with these flags of silence."""
    flags = torch.tensor(flags)
    return Speech(torch.zeros(len(flags), 4), 100.0, "somebody's", len(flags) / 100, flags, room=room)


def test_the_gate_is_soft_within_the_room_and_shut_in_every_silent_frame():
    flags = [False] * 100 + [True] * 50 + [False] * 100
    speech = made(flags, (0.2, 0.35))
    gate, quiet = speech_gate(speech, 25.0), speech.silent_frames(25.0)
    assert bool((gate[quiet] == 1).all()) and 11 <= int(quiet.sum()) <= 13
    first, last = np.flatnonzero(quiet)[[0, -1]]
    assert bool((gate[:first - 8] == 0).all()) and bool((gate[last + 6:] == 0).all())  # 0.3 and 0.2 s
    assert bool((gate[first - 7:first].diff() > 0).all()) and bool((gate[last + 1:last + 5].diff() < 0).all())
    assert float(gate.diff().abs().max()) < 0.3


def test_the_shortest_pause_that_closes_the_mouth():
    for between, shuts in ((0.50, False), (0.62, True)):
        wave = voice(3.0, quiet=(1.0, 1.0 + between))
        assert bool((speech_gate(encode_speech(wave), 25.0) == 1).any()) == shuts, between
    old = (0.06, 0.16)
    assert float(speech_gate(made([False] * 100 + [True] * 30 + [False] * 100, old), 25.0).max()) == 0
    assert float(speech_gate(made([False] * 100 + [True] * 40 + [False] * 100, old), 25.0).max()) == 1
