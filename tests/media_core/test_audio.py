"""Sound: what is refused, what comes through unchanged, resampling by exact ratios, the silence gate."""
from __future__ import annotations

import wave

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound, fitted, frame_count, load_sound, save_wav, silence_gate
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError


def noise(seconds: float, rate: int = 16000, channels: int = 1, level: float = 0.1, seed: int = 0) -> Sound:
    samples = np.random.default_rng(seed).standard_normal((channels, max(1, round(seconds * rate))))
    return Sound((level * samples).astype(np.float32), rate)


def comfy(waveform: torch.Tensor, rate: object = 16000) -> dict:
    return {"waveform": waveform, "sample_rate": rate}


@pytest.mark.parametrize("audio, word", [
    (comfy(torch.zeros(1, 2, 0)), "at least one sample"),
    (comfy(torch.zeros(1, 0, 5)), "at least one sample"),
    (comfy(torch.zeros(0, 1, 5)), "at least one item"),
    (comfy(torch.zeros(1, 5)), r"\[batch, channels, samples\]"),
    (comfy(torch.zeros(1, 1, 5, dtype=torch.int16)), "floats"),
    (comfy(torch.tensor([[[0.0, float("nan")]]])), "1 of 2"),
    (comfy(torch.tensor([[[float("inf"), 0.0]]])), "1 of 2"),
    (comfy(torch.tensor([[[-float("inf"), 0.0]]])), "1 of 2"),
    (comfy(torch.full((1, 1, 4), 12000.0)), "32768"),
    (comfy(torch.zeros(1, 1, 4), 0), "sample rate"),
    (comfy(torch.zeros(1, 1, 4), 44100.5), "sample rate"),
    ({"waveform": torch.zeros(1, 1, 4)}, "sample_rate"),
    (None, "AUDIO"),
])
def test_bad_sound_gets_a_three_part_error(audio, word):
    with pytest.raises(TalkingHeadsError, match=word) as caught:
        Sound.from_comfy(audio)
    assert caught.value.must and caught.value.came and caught.value.do


def test_comfy_round_trip_takes_the_first_item_and_shares_nothing():
    batch = torch.stack([torch.full((2, 7), 0.25), torch.full((2, 7), 0.5)])
    sound = Sound.from_comfy(comfy(batch, 44100.0))
    out = sound.to_comfy()
    assert torch.equal(out["waveform"], batch[:1]) and out["sample_rate"] == 44100 and isinstance(out["sample_rate"], int)
    out["waveform"].zero_()
    assert sound.waveform.max() == 0.25


def test_loud_samples_are_not_clipped():
    loud = torch.tensor([[[1.5, -3.0, 0.0]]])
    assert np.array_equal(Sound.from_comfy(comfy(loud)).waveform, [[1.5, -3.0, 0.0]])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_is_taken(dtype):
    assert Sound.from_comfy(comfy(torch.full((1, 1, 3), 0.5, dtype=dtype))).waveform.dtype == np.float32


def test_frame_count_rounds_halves_up_and_is_never_zero():
    assert [frame_count(t) for t in (0.0, 0.0001, 0.04, 0.0599, 0.06, 1.0, 600.0)] == [1, 1, 1, 1, 2, 25, 15000]
    for samples in range(1, 2000, 7):  # N / rate that fall on a half must not slip through rounding errors
        assert frame_count(samples / 50, 25) == max(1, (samples + 1) // 2)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 12345])
def test_mono_has_the_exact_length(rate):
    for samples in (1, 2, 99, rate // 10, rate + 1):
        mono = Sound(np.zeros((1, samples), np.float32), rate).mono(16000)
        assert mono.dtype == np.float32 and mono.shape == (-(-samples * 16000 // rate),)


def test_mono_is_the_mean_of_the_channels():
    sound = Sound(np.stack([np.full(4000, 0.5), np.full(4000, -0.1)]).astype(np.float32), 16000)
    assert np.allclose(sound.mono(16000), 0.2)
    assert np.allclose(sound.mono(8000)[500:-500], 0.2, atol=1e-3)


def test_resampling_does_not_drift():
    """A click every second for 60 s: 22 050 -> 16 000 moves none by a millisecond (160/220 would move the last by 137)."""
    clicks = np.zeros((1, 60 * 22050), np.float32)
    clicks[0, 11025::22050] = 1.0
    mono = Sound(clicks, 22050).mono(16000)
    found = np.abs(mono.reshape(60, 16000)).argmax(axis=1)
    assert np.abs(found / 16000 - 0.5).max() < 0.001


def test_cut_and_lasting():
    sound = Sound(np.arange(100, dtype=np.float32)[None] / 100, 100)
    assert np.array_equal(sound.cut(0.25, 0.5).waveform, sound.waveform[:, 25:50])
    assert sound.cut(5.0, 9.0).samples == 1 and sound.cut(-1, 9).samples == 100
    longer = sound.lasting(130)
    assert np.array_equal(longer.waveform[:, :100], sound.waveform) and not longer.waveform[:, 100:].any()
    assert np.array_equal(fitted(sound.waveform, 7), sound.waveform[:, :7])


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16])
def test_wav_round_trip_is_bit_exact(tmp_path, channels):
    sound = noise(0.11, 44100, channels, level=0.9)
    path = save_wav(tmp_path / "a.wav", sound)
    again = load_sound(path)
    assert again.sample_rate == 44100 and np.array_equal(again.waveform, sound.waveform)
    first = path.read_bytes()
    assert save_wav(path, sound).read_bytes() == first
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_wav_over_a_megabyte_of_samples(tmp_path):
    sound = noise(2.2, 1_000_000)
    assert np.array_equal(load_sound(save_wav(tmp_path / "a.wav", sound)).waveform, sound.waveform)


def test_16_bit_wav_is_scaled_by_32768(tmp_path):
    samples = np.array([0, 1, -32768, 32767], np.int16)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    assert np.array_equal(load_sound(tmp_path / "a.wav").waveform[0], samples / np.float32(32768))


def test_files_that_hold_no_sound(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.mp3").write_text("not a sound at all\n" * 20)
    for name in ("absent.wav", "empty.wav", "text.mp3"):
        with pytest.raises(FileFormatError) as caught:
            load_sound(tmp_path / name)
        assert name in caught.value.came and caught.value.do


def gate(sound: Sound, rate: float = 80) -> np.ndarray:
    return silence_gate(sound.mono(16000), 16000, rate, sound.samples // 200 + 1)


def test_silence_is_legal_and_silent():
    assert gate(Sound(np.zeros((1, 16000), np.float32), 16000)).all()
    assert gate(noise(1.0, level=1e-4)).all()  # -80 dB


def test_gate_opens_before_speech_and_closes_after_it():
    sound = noise(3.0, level=1e-4)
    sound.waveform[:, 16000:32000] = noise(1.0, level=0.1).waveform
    silent = gate(sound)
    speaking = np.flatnonzero(~silent)
    assert not silent[speaking[0]:speaking[-1] + 1].any()
    assert 80 - 8 <= speaking[0] <= 80 - 4 and 160 + 11 <= speaking[-1] <= 160 + 16


def test_gate_hears_speech_above_room_noise_and_at_any_level():
    for gain in (1.0, 0.05):
        sound = noise(4.0, level=0.003 * gain)
        sound.waveform[:, 16000:32000] += noise(1.0, level=0.1 * gain).waveform
        silent = gate(sound)
        assert silent[10:60].all() and not silent[82:158].any() and silent[190:310].all(), gain


def test_constant_speech_is_not_gated():
    assert not gate(noise(2.0)).any()
