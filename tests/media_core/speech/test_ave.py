"""The audio-visual encoder around its network, whose numbers the parity script compares: windows, short sounds, weights."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from detfill import ave_tensor
from safetensors.torch import load_file, save_file
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.file_headers import stored_kind
from talking_heads.media_core.speech import LayerError, ave, folder_kind, open_encoder


@pytest.fixture(scope="module")
def state():
    shapes = {name: value.shape for name, value in ave.AudioVisualEncoder().state_dict().items()}
    return {name: torch.from_numpy(ave_tensor(name, tuple(shape), 1)) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def net(state):
    return ave.encoder_of_state(state)


def test_the_published_network(state):
    assert len(state) == 91 and all(name.startswith("audio_encoder.") for name in state)
    net = ave.AudioVisualEncoder()
    assert sum(p.numel() for p in net.parameters()) == 2_812_672 and not net.training
    sizes = []
    for block in net.audio_encoder:
        block.register_forward_hook(lambda module, given, out: sizes.append(tuple(out.shape[1:])))
    net(torch.zeros(1, 1, 80, 16))
    assert sizes == [(32, 80, 16)] * 3 + [(64, 27, 16)] * 3 + [(128, 9, 6)] * 3 + [(256, 3, 3)] * 2 + [(512, 1, 1)] * 2


def test_windows_lie_around_their_frames_and_stop_at_the_end():
    mel = torch.arange(161.0)[:, None].expand(-1, 80)
    windows = ave.mel_windows(mel)
    assert windows.shape == (int(145 / 80 * 25) + 2, 1, 80, 16)
    first = windows[:, 0, 0, 0].tolist()
    assert first[:6] == [0, 3, 6, 9, 12, 16] and first[-2:] == [144, 145] and (windows[:, 0, :, -1] <= 160).all()
    assert torch.equal(windows[5, 0, 7], torch.arange(16.0, 32.0))
    assert len(ave.mel_windows(mel[:16])) == 2  # 0.2 s


@pytest.mark.parametrize("samples", [1, 3199, 3200, 16000])
def test_every_frame_of_a_sound_has_a_row(net, samples):
    sound = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    told = []
    features = ave.ave_features(net, sound, lambda *call: told.append(call[:2]))
    assert features.shape[1] == 512 and len(features) >= samples / 16000 * 25 and bool((features >= 0).all())
    assert torch.equal(features[0], features[1]) and torch.equal(features[0], features[2])
    assert torch.equal(features[-1], features[-2]) and torch.equal(features[-1], features[-3])
    assert told[-1] == (len(features) - 4,) * 2 and float(features.std()) > 0


def test_it_can_be_stopped(net):
    def stop(*call):
        raise Cancelled()

    with pytest.raises(Cancelled):
        ave.ave_features(net, np.zeros(4000, np.float32), stop)


def test_weights_load_with_the_prefix_and_without_it(net, state, tmp_path):
    windows = torch.randn(2, 1, 80, 16, generator=torch.Generator().manual_seed(0))
    bare = {name.removeprefix("audio_encoder."): value for name, value in state.items()}
    for i, names in enumerate((state, bare)):
        save_file(names, tmp_path / f"{i}.safetensors")
        with torch.inference_mode():
            assert torch.allclose(ave.load_ave(tmp_path / f"{i}.safetensors")(windows), net(windows), atol=1e-4)


@pytest.mark.parametrize("spoil, told", [
    (lambda s: s.pop("audio_encoder.4.conv_block.0.bias"), "4.conv_block.0.bias"),
    (lambda s: s.update({"audio_encoder.13.conv_block.0.bias": torch.zeros(1)}), "13.conv_block.0.bias"),
    (lambda s: s.update({"audio_encoder.0.conv_block.0.bias": torch.zeros(31)}), r"0.conv_block.0.bias \[31\], not \[32\]"),
    (lambda s: s.update({"audio_encoder.0.conv_block.0.bias": torch.full((32,), torch.nan)}), "0.conv_block.0.bias")])
def test_other_weights_are_refused_by_name(state, spoil, told):
    spoilt = dict(state)
    spoil(spoilt)
    with pytest.raises(FileFormatError, match=told):
        ave.encoder_of_state(spoilt, "own.safetensors")


def test_what_is_no_file_of_weights(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"no tensors")
    for name in ("a.pth", "absent.safetensors"):
        with pytest.raises(FileFormatError, match=name):
            ave.load_ave(tmp_path / name)


@pytest.mark.parametrize("mel", [torch.zeros(15, 80), torch.zeros(20, 79), torch.zeros(20)])
def test_mel_spectrograms_that_hold_no_window(mel):
    with pytest.raises(TalkingHeadsError, match="mel"):
        ave.mel_windows(mel)


def test_windows_of_another_size_are_refused(net):
    with pytest.raises(TalkingHeadsError, match="80, 16"):
        net(torch.zeros(1, 1, 80, 17))


# ---------------------------------------------------------------------------------------------------------- as a speech encoder

@pytest.mark.parametrize("seconds, frames", [(0.01, 1), (1.0, 25), (1.001, 26)])
def test_as_an_encoder_it_gives_a_row_per_frame(state, tmp_path, seconds, frames):
    save_file(state, tmp_path / "anything.safetensors")
    sound = Sound(np.random.default_rng(0).normal(0, 0.1, (2, round(seconds * 16000))).astype(np.float32), 16000)
    for place in (tmp_path / "anything.safetensors", tmp_path):  # the file, or a folder with nothing else
        encoder = open_encoder(place)
        speech = encoder.encode(sound)
        assert (speech.encoder, speech.layer, speech.rate, speech.window) == ("ave", "last", 25.0, 1)
        assert speech.features.shape == (frames, 512) and speech.frame_windows().shape[1:] == (512, 1)
    whole = ave.ave_features(ave.encoder_of_state(state), sound.mono(16000))
    assert torch.equal(speech.features, whole[:frames])
    quiet = open_encoder(tmp_path).encode(Sound(np.zeros((1, 8000), np.float32), 16000))
    assert quiet.silence.all() and torch.allclose(quiet.features[5], speech.silence_features, atol=1e-3)


def test_it_has_no_layers_and_half_precision_is_near(state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(LayerError, match="'ave' has none"):
        open_encoder(tmp_path / "a.safetensors", layer=3)
    sound = Sound(np.random.default_rng(0).normal(0, 0.1, (1, 8000)).astype(np.float32), 16000)
    full, half = (open_encoder(tmp_path / "a.safetensors", dtype=dtype).encode(sound).features
                  for dtype in (torch.float32, torch.bfloat16))
    assert float((full - half).norm() / full.norm()) < 0.05


def test_it_is_kept_under_the_official_names(state, tmp_path):
    path = ave.save_ave(state, tmp_path / "ave.safetensors", "not for sale")
    kept = load_file(path)
    assert "0.conv_block.0.weight" in kept and len(kept) == 91 and stored_kind(path) == "ave"
    assert folder_kind(path) is ave.ENCODER and folder_kind(tmp_path) is ave.ENCODER
    (tmp_path / "config.json").write_text("{}")
    assert folder_kind(tmp_path) is None
