"""silero-vad in plain torch: the package's own numbers, any pieces, and weights that are absent or others."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.media_core.speech import voice_activity
from talking_heads.media_core.speech.silence import silent_rows
from talking_heads.media_core.speech.voice_activity import CHUNK, SHIPPED, VoiceStream, load_voice_net, voice_probability
from voices import voice

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "silero" / "probability.safetensors"


def in_pieces(mono: np.ndarray, cuts) -> np.ndarray:
    stream = VoiceStream(load_voice_net())
    return np.concatenate([*(stream.feed(piece) for piece in np.split(mono, cuts)), stream.finish()])


@pytest.fixture(scope="module")
def recorded() -> tuple[np.ndarray, np.ndarray]:
    """(mono, the package's probabilities)."""
    tensors = load_file(FIXTURE)
    return (tensors["in.mono"] / 32768).numpy(), tensors["out.probability"].numpy()


def test_chunk_by_chunk_it_is_the_package(recorded):
    """The recording was made on another processor; on the same one it is 1e-6 (`test_it_is_the_installed_package`)."""
    mono, theirs = recorded
    ours = in_pieces(mono, range(CHUNK, len(mono), CHUNK))
    assert ours.shape == theirs.shape and theirs.min() < 0.05 and theirs.max() > 0.95
    assert np.abs(ours - theirs).max() < 1e-5


def test_all_at_once_rounds_otherwise_by_little(recorded):
    """Sums over many chunks are taken in another order; they are nearer to the exact result than the package's."""
    mono, theirs = recorded
    with torch.inference_mode():
        chunks = torch.from_numpy(np.pad(mono, (64, -len(mono) % CHUNK))).double().unfold(0, 576, CHUNK)
        exact = load_voice_net().double()(chunks)[0]
    ours = voice_probability(mono)
    assert np.abs(ours - theirs).max() < 3e-5 and np.abs(ours - exact.numpy()).max() <= np.abs(theirs - exact.numpy()).max()


def test_it_is_the_installed_package():
    silero_vad = pytest.importorskip("silero_vad", reason="the package silero-vad is not installed")
    theirs, mono = silero_vad.load_silero_vad(), voice(3.0).mono(16000)
    noise = 0.02 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    for wave in (mono, noise, np.concatenate([noise, mono]) * np.float32(0.03)):
        chunks = torch.from_numpy(np.pad(wave, (0, -len(wave) % CHUNK))).split(CHUNK)
        theirs.reset_states()
        with torch.inference_mode():
            wanted = torch.cat([theirs(chunk, 16000).flatten() for chunk in chunks]).numpy()
        assert np.abs(in_pieces(wave, range(CHUNK, len(wave), CHUNK)) - wanted).max() < 1e-6


@pytest.mark.parametrize("cuts", [[1], [511, 512, 513, 1024], [40000], list(range(100, 46000, 777))])
def test_any_pieces_give_the_whole(cuts):
    mono = voice(2.9).mono(16000)
    assert np.abs(in_pieces(mono, cuts) - voice_probability(mono)).max() < 3e-5


def test_batches_give_the_whole(monkeypatch):
    mono = voice(3.0).mono(16000)
    whole = voice_probability(mono)
    monkeypatch.setattr(voice_activity, "BATCH", 7)
    assert np.abs(voice_probability(mono) - whole).max() < 3e-5


@pytest.mark.parametrize("samples, chunks", [(0, 0), (1, 1), (511, 1), (512, 1), (513, 2), (5000, 10)])
def test_any_length(samples, chunks):
    made = voice_probability(np.zeros(samples, np.float32))
    assert made.shape == (chunks,) and made.dtype == np.float32 and (made < 0.1).all()


def test_a_stream_begins_anew_when_it_is_finished():
    mono, stream = voice(1.0).mono(16000), VoiceStream(load_voice_net())
    first = np.concatenate([stream.feed(mono), stream.finish()])
    assert np.array_equal(np.concatenate([stream.feed(mono), stream.finish()]), first)


@pytest.mark.parametrize("wave, came", [(np.zeros((2, 8), np.float32), r"float32 \[2, 8\]"), (np.zeros(8, np.int16), "int16"),
                                        (np.full(8, np.nan, np.float32), "NaN"), ([0.0], "list")])
def test_what_is_no_audio_is_refused(wave, came):
    with pytest.raises(TalkingHeadsError, match=f"one channel of finite floats.*{came}"):
        voice_probability(wave)


def test_the_file_says_where_it_comes_from():
    _, config = load_tensors(SHIPPED, kind="voice_activity", version=1)
    assert config["licence"].startswith("MIT, (c) 2020-present Silero Team") and "6.2.3" in config["package"]
    assert len(config["source"]["sha256"]) == 64 and SHIPPED.stat().st_size < 1.3e6
    for name in ("LICENSE-silero.txt", "NOTICE-silero.txt"):
        assert SHIPPED.with_name(name).is_file()
    assert sum(path.stat().st_size for path in SHIPPED.parent.glob("*.safetensors")) < 24e6


def test_other_weights_are_refused(tmp_path):
    state, again = load_voice_net().state_dict(), "Install the pack again"
    state["out.bias"] = torch.full((1,), torch.nan)
    path = save_tensors(tmp_path / "nan.safetensors", state, kind="voice_activity", version=1, config={})
    with pytest.raises(FileFormatError, match=f"finite.*{again}"):
        load_voice_net(path)
    path = save_tensors(tmp_path / "few.safetensors", {"x": torch.zeros(1)}, kind="voice_activity", version=1, config={})
    with pytest.raises(FileFormatError, match="must fit this version"):
        load_voice_net(path)


@pytest.fixture
def without_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(voice_activity, "SHIPPED", tmp_path / "absent.safetensors")
    voice_activity.shipped_voice_net.cache_clear()
    yield
    voice_activity.shipped_voice_net.cache_clear()


def test_without_weights_the_level_decides(without_weights):
    assert voice_probability(np.zeros(1000, np.float32)) is None
    noise = 0.1 * np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    noise[16000:] = 0
    silent = silent_rows(noise, 50, 100)
    assert not silent[:66].any() and silent[69:].all()
