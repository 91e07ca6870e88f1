"""Speech: the mel against the reference pipeline's, chunks against the whole, and the windows models read."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from talking_heads.media_core.audio import Sound, frame_count
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import save_tensors
from talking_heads.media_core.speech import EncoderFacts, PlainEncoder, Speech, encode_speech, encoders, get_encoder, mel
from voices import voice

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "talkinggaussian"


@pytest.fixture(scope="module")
def pipeline() -> dict[str, np.ndarray]:
    return load_file(FIXTURES / "ave_pipeline.safetensors")


def speech(seconds: float, rate: int = 16000, seed: int = 0) -> Speech:
    samples = np.random.default_rng(seed).standard_normal((1, max(1, round(seconds * rate)))) * 0.1
    return encode_speech(Sound(samples.astype(np.float32), rate))


def test_basis_is_the_references():
    assert np.allclose(mel.mel_basis(), load_file(FIXTURES / "mel_basis.safetensors")["out.basis"], atol=1e-8)


def test_mel_is_the_references(pipeline):
    ours = mel.mel_spectrogram(pipeline["in.wav"])
    assert ours.shape == pipeline["out.mel"].shape
    assert np.abs(ours - pipeline["out.mel"]).max() < 1e-4
    assert pipeline["out.mel"].std() > 0.5  # the reference is no constant


@pytest.mark.parametrize("rows", [1, 7, 64, 160, 161])
def test_chunks_equal_the_whole(pipeline, rows):
    whole = mel.mel_spectrogram(pipeline["in.wav"], rows=10**6)
    assert np.abs(mel.mel_spectrogram(pipeline["in.wav"], rows=rows) - whole).max() < 2e-6


def test_chunk_borders_of_the_default_size():
    mono = np.random.default_rng(1).standard_normal(2 * mel.ROWS * mel.HOP + 77).astype(np.float32) * 0.1
    assert np.abs(mel.mel_spectrogram(mono) - mel.mel_spectrogram(mono, rows=10**6)).max() < 2e-6


def test_report_can_cancel_between_chunks():
    seen = []

    def report(done, total, info, preview):
        seen.append((done, total))
        if len(seen) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        mel.mel_spectrogram(np.zeros(20000, np.float32), report, rows=10)
    assert seen == [(10, 101), (20, 101)]


@pytest.mark.parametrize("samples", [1, 2, 199, 200, 201, 399, 400, 1600])
def test_any_length_gives_rows_and_frames(samples):
    made = encode_speech(Sound(np.full((2, samples), 0.1, np.float32), 16000))
    assert made.features.shape == (samples // 200 + 1, 80) and torch.isfinite(made.features).all()
    assert made.frame_windows().shape == (frame_count(samples / 16000), 80, 16)


def test_silence_is_the_silence_value():
    made = encode_speech(Sound(np.zeros((1, 8000), np.float32), 44100))
    assert (made.features == get_encoder("mel").silence).all() and made.silence.all() and made.silent_frames().all()


def test_windows_stand_where_the_references_do():
    """AVE's window for film frame t starts at row 3.2 (t - 2), cut to a whole number; ours is the nearest row."""
    rows = torch.arange(161, dtype=torch.float32)[:, None].expand(161, 80).contiguous()
    windows = Speech(rows, 80.0, "mel", 2.0, torch.zeros(161, dtype=torch.bool)).frame_windows()
    for frame in range(2, 47):
        assert abs(float(windows[frame, 0, 0]) - 3.2 * (frame - 2)) <= 0.5
        assert torch.equal(windows[frame, 0], windows[frame, 0, 0] + torch.arange(16))


def one_by_one(made: Speech, fps: float, frame: int) -> torch.Tensor:
    """The slow twin of a window: row by row."""
    first = int(np.floor((frame + 0.5) / fps * made.rate - 8 + 0.5 + 1e-9))
    outside = torch.full((80,), -4.0)
    rows = [made.features[k] if 0 <= k < len(made.features) else outside for k in range(first, first + 16)]
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("fps", [25.0, 30.0, 24000 / 1001])
def test_windows_equal_their_slow_twin(fps):
    made = speech(1.3)
    windows = made.frame_windows(fps)
    assert len(windows) == made.frame_count(fps)
    for frame in range(len(windows)):
        assert torch.equal(windows[frame], one_by_one(made, fps, frame))
    assert (windows[0, :, 0] == -4).all() and (windows[-1, :, -1] == -4).all()


def test_windows_are_centred_on_the_frame():
    click = np.zeros((1, 16000), np.float32)
    click[0, round(12.5 / 25 * 16000)] = 1.0  # the middle of frame 12
    energy = encode_speech(Sound(click, 16000)).frame_windows()[12].mean(dim=0)
    where = float((torch.arange(16) * (energy - energy.min())).sum() / (energy - energy.min()).sum())
    assert abs(where - 8) <= 0.5


def test_chunked_windows_equal_the_whole():
    made = speech(2.0)
    whole = made.frame_windows()
    assert torch.equal(torch.cat([made.frame_windows(start=a, stop=min(a + 7, 50)) for a in range(0, 50, 7)]), whole)
    around = made.frame_windows(start=-4, stop=54)
    assert torch.equal(around[4:54], whole) and (around[0] == -4).all() and (around[-1] == -4).all()


def test_silent_frames_follow_the_sound():
    sound = voice(3.0)
    sound.waveform[:, :16000] = sound.waveform[:, 32000:] = 0
    silent = encode_speech(sound).silent_frames()
    assert silent.shape == (75,) and silent[:19].all() and not silent[23:54].any() and silent[61:].all()


def test_silent_frames_equal_their_slow_twin():
    flags = torch.rand(161, generator=torch.Generator().manual_seed(0)) < 0.7
    silent = Speech(torch.zeros(161, 80), 80.0, "mel", 2.0, flags).silent_frames()
    for frame in range(50):  # rows from the frame's start to its end, both rounded outwards
        first, last = int(np.floor(frame * 3.2 + 1e-9)), int(np.ceil((frame + 1) * 3.2 - 1e-9))
        assert bool(silent[frame]) == bool(flags[first:last].all()), frame
    assert silent.any() and not silent.all()


def test_save_and_load(tmp_path):
    made = speech(0.7, 8000)
    again = Speech.load(made.save(tmp_path / "a.safetensors"))
    assert torch.equal(again.features, made.features) and torch.equal(again.silence, made.silence)
    assert (again.rate, again.encoder, again.duration, again.version) == (80.0, "mel", 0.7, 3)
    save_tensors(tmp_path / "b.safetensors", {"x": torch.zeros(1)}, kind="pose", version=1, config={})
    with pytest.raises(FileFormatError, match="pose"):
        Speech.load(tmp_path / "b.safetensors")


def test_registry():
    assert encoders()["mel"] is get_encoder("mel") and (get_encoder("mel").dim, get_encoder("mel").rate) == (80, 80.0)
    for id, encoder in encoders().items():
        assert isinstance(encoder, EncoderFacts) and id == encoder.id and encoder.description
    with pytest.raises(TalkingHeadsError, match="mel"):
        encode_speech(Sound(np.zeros((1, 10), np.float32), 16000), "melon")


@pytest.mark.parametrize("rows, came", [(np.zeros((5, 3)), r"\[5, 3\]"), (np.zeros((0, 4)), r"\[0, 4\]"), (np.zeros(4), r"\[4\]"),
                                        (np.full((5, 4), np.nan), "20 of them NaN")])
def test_an_encoder_must_give_what_it_says(rows, came):
    encoder = PlainEncoder(EncoderFacts("ears", dim=4, rate=50.0, window=2, silence=0.0, description="for this test"),
                           lambda mono, report: rows)
    with pytest.raises(TalkingHeadsError, match=f"'ears' must give rows of 4 finite numbers.*{came}"):
        encode_speech(Sound(np.zeros((1, 1600), np.float32), 16000), encoder)


def test_speech_refuses_what_does_not_fit():
    for features, flags in ((torch.zeros(0, 80), 0), (torch.zeros(4, 80), 3), (torch.zeros(4), 4)):
        with pytest.raises(TalkingHeadsError):
            Speech(features, 80.0, "mel", 1.0, torch.zeros(flags, dtype=torch.bool))


def test_ten_minutes_at_8_khz_stereo():
    samples = np.random.default_rng(2).standard_normal((2, 600 * 8000), dtype=np.float32) * 0.05
    made = encode_speech(Sound(samples, 8000))
    assert made.features.shape == (48001, 80) and made.frame_count() == 15000
    assert made.frame_windows(start=14990).shape == (10, 80, 16)


# ----------------------------------------------------------------------------------------- encoders without a constant silence

def vectors(encoder: str = "wav2vec2-base", **more) -> Speech:
    """50 rows of 4 numbers, row k filled with k; rows 10 to 19 are silent."""
    flags = torch.zeros(50, dtype=torch.bool)
    flags[10:20] = True
    return Speech(torch.arange(50.0)[:, None].expand(50, 4).contiguous(), 50.0, encoder, 1.0, flags, **more)


def test_silence_row_prefers_what_is_known():
    assert (speech(0.1).silence_row() == -4).all() and speech(0.1).silence_row().shape == (80,)
    known = torch.full((4,), 0.5)
    assert torch.equal(vectors(silence_features=known).silence_row(), known)
    assert float(vectors().silence_row()[0]) in (14.0, 15.0)  # the most usual of the silent rows
    nobody = Speech(vectors().features + 3, 50.0, "wav2vec2-base", 1.0, torch.zeros(50, dtype=torch.bool))
    assert float(nobody.silence_row()[0]) in (3.0, 52.0)  # the sound's ends


def test_windows_of_an_encoder_that_is_not_listed():
    made = vectors("somebodys-hubert", silence_features=torch.full((4,), -1.0))
    windows = made.frame_windows(start=-1, stop=26)
    assert made.window == 2 and windows.shape == (27, 4, 2)
    assert (windows[0] == -1).all() and (windows[-1] == -1).all() and windows[1:26, 0].flatten().tolist() == list(range(50))


def test_layer_and_silence_are_kept_in_files(tmp_path):
    made = vectors(layer="12", silence_features=torch.arange(4.0))
    again = Speech.load(made.save(tmp_path / "a.safetensors"))
    assert again.layer == "12" and torch.equal(again.silence_features, made.silence_features)
    assert Speech.load(vectors().save(tmp_path / "b.safetensors")).silence_features is None


def test_files_of_version_1(tmp_path):
    config = {"rate": 80.0, "encoder": "mel", "duration": 0.05}
    tensors = {"features": torch.zeros(5, 80), "silence": torch.ones(5, dtype=torch.bool)}
    save_tensors(tmp_path / "old.safetensors", tensors, kind="speech", version=1, config=config)
    old = Speech.load(tmp_path / "old.safetensors")
    assert (old.layer, old.silence_features, old.encoder) == ("last", None, "mel") and len(old.features) == 5
    assert old.room == (0.06, 0.16) and speech(0.1).room == (0.2, 0.35)


def test_features_of_silence_must_fit():
    with pytest.raises(TalkingHeadsError, match="one row of 4"):
        vectors(silence_features=torch.zeros(5))


def test_basis_is_librosas_and_needs_none_of_it(monkeypatch):
    """Importing librosa fails where numba finds no folder for what it compiles."""
    from librosa.filters import mel as theirs

    wanted = theirs(sr=16000, n_fft=mel.N_FFT, n_mels=mel.BANDS, fmin=mel.LOWEST, fmax=mel.HIGHEST)
    monkeypatch.setitem(sys.modules, "librosa", None)
    monkeypatch.setitem(sys.modules, "librosa.filters", None)
    mel.mel_basis.cache_clear()
    ours = mel.mel_basis()
    assert ours.dtype == wanted.dtype and ours.shape == wanted.shape and np.abs(ours - wanted).max() < 1e-7 < wanted.max()
