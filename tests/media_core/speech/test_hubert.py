"""HuBERT from a folder: against transformers, chunks against one pass, the published rule against its slow twin, bad folders."""
from __future__ import annotations

import json
import shutil
import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hubert_folder import save_hubert, save_wav2vec2
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.speech import HubertEncoder, Speech, encode_speech, folder_kind, hubert, open_encoder

ONE_PASS = 10**6  # rows a chunk


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that swells and fades, off centre."""
    swell = 0.1 + 0.1 * np.sin(np.arange(samples) / 3000)
    return (np.random.default_rng(seed).standard_normal(samples) * swell + 0.03).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_hubert(tmp_path_factory.mktemp("models") / "Tiny HuBERT")


@pytest.fixture(scope="module")
def encoder(folder) -> HubertEncoder:
    return HubertEncoder.load(folder)


@pytest.fixture(scope="module")
def deaf(tmp_path_factory) -> HubertEncoder:
    """Without attention a row sees its 400 samples and, through the position convolution, 64 rows to either side."""
    return HubertEncoder.load(save_hubert(tmp_path_factory.mktemp("models") / "deaf", attention=False))


# ---------------------------------------------------------------------------------------------------------------- the features

@pytest.mark.parametrize("samples", [400, 719, 720, 16000, 33333])
def test_it_is_transformers_own_result(folder, encoder, samples):
    from transformers import HubertModel, Wav2Vec2FeatureExtractor

    prepared = Wav2Vec2FeatureExtractor(do_normalize=True)(noise(samples), sampling_rate=16000, return_tensors="pt")
    with torch.inference_mode():
        theirs = HubertModel.from_pretrained(folder).eval()(prepared.input_values).last_hidden_state[0].numpy()
    ours = encoder.features(noise(samples))
    assert ours.shape == theirs.shape == ((samples - 80) // 320, 32) and ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 2e-5 and theirs.std() > 0.1


@pytest.mark.parametrize("stable", [True, False])
def test_every_layer_is_transformers_own(tmp_path, stable):
    from transformers import HubertModel

    folder = save_hubert(tmp_path / "model", do_stable_layer_norm=stable, num_hidden_layers=3)
    model, seen = HubertModel.from_pretrained(folder).eval(), []
    for layer in model.encoder.layers:
        layer.register_forward_hook(lambda module, args, kwargs, output: seen.append((args[0], output)), with_kwargs=True)
    mono = noise(8000)
    with torch.inference_mode():
        last = model(torch.from_numpy((mono - mono.mean()) / mono.std())[None]).last_hidden_state[0]
    wanted = {"0": seen[0][0][0], "1": seen[0][1][0], "2": seen[1][1][0], "last": last}
    for name, value in wanted.items():
        assert np.abs(HubertEncoder.load(folder, layer=name).features(mono) - value.numpy()).max() < 1e-4, name
    assert not torch.allclose(wanted["2"], last, atol=0.01)


def test_layers_have_one_name_each(folder):
    assert [HubertEncoder.load(folder, layer=layer).layer for layer in (-1, 2, "2", "last", -3, 0)] == ["last"] * 4 + ["0", "0"]
    for layer in (3, -4, "top", 1.5):
        with pytest.raises(TalkingHeadsError, match="from 0 to 2"):
            HubertEncoder.load(folder, layer=layer)


def test_bf16_is_near(folder, encoder):
    coarse = HubertEncoder.load(folder, dtype=torch.bfloat16).features(noise(16000))
    fine = encoder.features(noise(16000))
    assert coarse.dtype == np.float32 and np.abs(coarse - fine).max() > 0
    # How near depends on the processor: with AMX, convolutions of bf16 add up more coarsely (mean 0.08, against 0.004 elsewhere).
    assert np.corrcoef(coarse.ravel(), fine.ravel())[0, 1] > 0.98


def test_loudness_and_offset_do_not_matter_unless_the_model_says_so(folder, tmp_path, encoder):
    plain = HubertEncoder.load(shutil.copytree(folder, tmp_path / "plain"))
    assert np.abs(plain.features(noise(8000) * 3 + 0.2) - encoder.features(noise(8000))).max() < 1e-3
    (tmp_path / "plain" / "preprocessor_config.json").write_text('{"do_normalize": false, "sampling_rate": 16000}')
    raw = HubertEncoder.load(tmp_path / "plain")
    assert np.abs(raw.features(noise(8000) * 3 + 0.2) - encoder.features(noise(8000))).max() > 0.01


# ------------------------------------------------------------------------------------------------------------------ the chunks

def published_count(samples: int) -> int:
    """Rows of the published chunks, counted chunk by chunk: [320000 i, 320000 i + 320080) and what is left, if 400 samples."""
    rows = lambda first, last: max(0, (min(last, samples) - first - 80) // 320)
    whole = samples // 320000
    left = rows(320000 * whole, samples) if samples - 320000 * whole >= 400 else 0
    return sum(rows(320000 * i, 320000 * i + 320080) for i in range(whole)) + left


def test_published_chunks_give_the_expected_number_of_rows():
    for base in (320000, 640000, 1280000):
        for samples in range(base - 700, base + 1500, 7):
            assert hubert.row_count(samples) == published_count(samples) == (samples - 80) // 320
    assert hubert.chunks(2500, context=0) == [(0, 1000, 0, 1000), (1000, 2000, 1000, 2000), (2000, 2500, 2000, 2500)]


def test_the_published_rule_equals_its_slow_twin(encoder):
    """Normalised as a whole, then 1000 rows at a time (here 40), each alone."""
    mono, rows = noise(50000), 40
    wave = (mono - mono.mean()) / np.sqrt(mono.var() + 1e-7)
    parts, start = [], 0
    with torch.inference_mode():
        while len(wave) - start >= 400:
            piece = torch.from_numpy(wave[start:start + 320 * rows + 80])[None]
            parts.append(encoder.model(piece).last_hidden_state[0].numpy())
            start += 320 * rows
    ours = replace(encoder, rows=rows, context=0).features(mono)
    assert len(parts) == 4 and np.abs(ours - np.concatenate(parts)).max() < 2e-5


def test_what_convolutions_compute_has_no_borders(deaf, folder):
    """Without attention chunks with context equal one pass everywhere; so does what enters the first layer of any model."""
    mono = noise(16000 * 13)
    for one in (deaf, HubertEncoder.load(folder, layer=0)):
        whole = replace(one, rows=ONE_PASS).features(mono)
        assert np.abs(replace(one, rows=150).features(mono) - whole).max() < 1e-4
        sharp = np.abs(replace(one, rows=150, context=0).features(mono) - whole).max(axis=1)
        away = np.array([min(abs(row - border + 0.5) for border in range(150, 649, 150)) > 64 for row in range(649)])
        assert sharp[away].max() < 1e-4 < 0.05 < sharp[~away].max()
        assert away.sum() > 100


def test_context_takes_the_borders_away(encoder):
    """With attention nothing short of one pass is exact; overlapping chunks come near it, sharp ones do not."""
    mono = noise(16000 * 20)
    whole = replace(encoder, rows=ONE_PASS).features(mono)
    soft = np.abs(replace(encoder, rows=300).features(mono) - whole).max()
    sharp = np.abs(replace(encoder, rows=300, context=0).features(mono) - whole).max()
    assert soft < 0.1 and sharp > 4 * soft and 0.5 < whole.std() < 2


def test_up_to_twenty_seconds_both_rules_are_one_pass(encoder):
    mono = noise(320000 + 79)
    assert len(hubert.chunks(hubert.row_count(mono.size))) == 1
    assert np.array_equal(encoder.features(mono), replace(encoder, context=0).features(mono))


def test_memory_does_not_grow_with_the_sound(folder):
    encoder, longest = replace(HubertEncoder.load(folder), rows=60, context=20), []
    encoder.model.register_forward_pre_hook(lambda module, args: longest.append(args[0].shape[-1]))
    assert len(encoder.features(noise(16000 * 30))) == 1499
    assert len(longest) == 25 and max(longest) == (60 + 2 * 20) * 320 + 80


def test_report_can_cancel_between_chunks(encoder):
    seen = []

    def report(done, total, info, preview):
        seen.append((done, total))
        if len(seen) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        replace(encoder, rows=20, context=5).features(noise(32000), report)
    assert seen == [(20, 99), (40, 99)]


# ------------------------------------------------------------------------------------------------------------------ the speech

@pytest.mark.parametrize("samples", [1, 79, 399, 400])
def test_very_short_sounds(encoder, samples):
    made = encode_speech(Sound(noise(samples)[None], 16000), encoder)
    assert made.features.shape == (1, 32) and torch.isfinite(made.features).all()
    assert made.frame_windows().shape == (1, 32, 2)


def test_speech_says_where_it_comes_from(encoder, folder, tmp_path):
    made = encode_speech(Sound(noise(16000)[None], 16000), encoder)
    assert (made.encoder, made.layer, made.rate, made.window) == ("tiny-hubert", "last", 50.0, 2)
    assert encode_speech(Sound(noise(800)[None], 16000), HubertEncoder.load(folder, layer=1)).layer == "1"
    again = Speech.load(made.save(tmp_path / "a.safetensors"))
    assert torch.equal(again.silence_features, made.silence_features) and again.layer == "last"


def test_frames_read_published_pairs_and_real_silence_outside(encoder):
    made = encode_speech(Sound(noise(16000)[None], 16000), encoder)
    windows = made.frame_windows(start=-2, stop=27)
    pairs = made.features[:48].reshape(24, 2, 32).transpose(1, 2)
    assert torch.equal(windows[2:26], pairs)
    assert torch.equal(windows[0], made.silence_row()[:, None].expand(32, 2)) and made.silence_row().abs().max() > 0.1


def test_digital_silence(encoder):
    made = encode_speech(Sound(np.zeros((1, 96000), np.float32), 16000), encoder)
    assert made.silence.all() and torch.isfinite(made.features).all()
    assert (made.features[66:-66] - made.silence_row()).abs().max() < 0.02 < made.features.std()


def test_the_first_of_two_channels_is_read(encoder):
    left, right = noise(16000), noise(16000, 1)
    both = encode_speech(Sound(np.stack([left, right]), 16000), encoder)
    assert torch.equal(both.features, encode_speech(Sound(left[None], 16000), encoder).features)


def test_any_sample_rate(encoder):
    made = encode_speech(Sound(noise(44100)[None], 44100), encoder)
    assert len(made.features) == 49 and made.duration == 1.0


# ----------------------------------------------------------------------------------------------------------------- the folders

def test_the_id_tells_models_apart(tmp_path):
    large = {"model_type": "hubert", "hidden_size": 1024, "num_hidden_layers": 24, "vocab_size": 32}
    id = lambda name, **changes: hubert.encoder_id(tmp_path / name, large | changes)
    assert id("any", architectures=["HubertForCTC"]) == "hubert-large-ls960-ft"
    assert id("facebook--hubert-large-ls960-ft") == "hubert-large-ls960-ft"
    assert id("any", _name_or_path="facebook/hubert-large-ls960-ft") == "hubert-large-ls960-ft"
    assert id("chinese-hubert-large") == "chinese-hubert-large"


def test_a_head_for_letters_is_left_out(tmp_path):
    folder = save_hubert(tmp_path / "head", head=True)
    assert any(name.startswith("hubert.") for name in weights(folder))
    assert HubertEncoder.load(folder).features(noise(4000)).shape == (12, 32)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_older_names_of_the_position_convolution(folder, encoder, tmp_path):
    from safetensors.torch import save_file

    old = shutil.copytree(folder, tmp_path / "old")
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    renamed = {}
    for name, value in weights(old).items():
        for new, before in names.items():
            name = name.replace(new, before)
        renamed[name] = value
    assert any(name.endswith("weight_g") for name in renamed)
    save_file(renamed, old / "model.safetensors", metadata={"format": "pt"})
    assert np.array_equal(HubertEncoder.load(old).features(noise(4000)), encoder.features(noise(4000)))


def test_nothing_is_fetched(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert HubertEncoder.load(folder).facts.dim == 32


def broken(folder, tmp_path, change):
    copy = shutil.copytree(folder, tmp_path / "broken")
    change(copy)
    return copy


def _pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncated(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:len(content) // 2])


def _incomplete(folder):
    from safetensors.torch import save_file

    kept = {name: value for name, value in weights(folder).items() if "layers.1.attention.k_proj" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def _config(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))
    return change


@pytest.mark.parametrize("change, words", [
    (lambda folder: shutil.rmtree(folder), "must be a folder"),
    (lambda folder: (folder / "config.json").unlink(), "must hold config.json"),
    (lambda folder: (folder / "config.json").write_text("{"), "readable JSON"),
    (lambda folder: (folder / "config.json").write_text("[]"), "JSON object.*list"),
    (lambda folder: (folder / "model.safetensors").unlink(), "holds no weights"),
    (lambda folder: (folder / "preprocessor_config.json").write_text('{"sampling_rate": 48000}'), "wants 48000"),
    (_pickled, "pytorch_model.bin, a pickle.*save_pretrained"), (_truncated, "cannot be read"),
    (_incomplete, "lacks 2, the first .*k_proj"), (_config(model_type="whisper"), "kind 'whisper'.*Load Audio Encoder"),
    (_config(hidden_size=64), "config.json belongs to another"),
    (_config(conv_stride=[5, 2, 2, 2, 2, 2, 1]), "320 samples apart"),
])
def test_folders_that_do_not_serve(folder, tmp_path, change, words):
    with pytest.raises(FileFormatError, match=f"(?s){words}"):
        HubertEncoder.load(broken(folder, tmp_path, change))


def test_without_transformers(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(TalkingHeadsError, match="pip install transformers"):
        HubertEncoder.load(folder)


@pytest.mark.parametrize("full", [MemoryError(), torch.cuda.OutOfMemoryError("CUDA out of memory")])
def test_memory_that_is_short_is_not_blamed_on_the_folder(folder, monkeypatch, full):
    import transformers

    def short(*args, **kwargs):
        raise full
    monkeypatch.setattr(transformers.HubertModel, "from_pretrained", short)
    with pytest.raises(type(full)):
        HubertEncoder.load(folder)


def test_weights_that_give_nan(folder):
    encoder = HubertEncoder.load(folder)
    with torch.no_grad():
        encoder.model.feature_projection.projection.weight[0, 0] = torch.nan
    with pytest.raises(TalkingHeadsError, match="finite features.*tiny-hubert"):
        encoder.features(noise(1600))


def test_the_name_alone_is_not_enough():
    with pytest.raises(TalkingHeadsError, match="weights: mel.*'hubert-large-ls960-ft'.*model's folder"):
        encode_speech(Sound(noise(800)[None], 16000), "hubert-large-ls960-ft")


@pytest.mark.parametrize("change, words", [
    (_config(hidden_size=10**9), "'hidden_size'"), (_config(num_hidden_layers=10**6), "'num_hidden_layers'"),
    (_config(hidden_size="32"), "'hidden_size'"), (_config(conv_kernel=5), "'conv_kernel'"),
    (_config(hidden_act=[]), "'hidden_act'"),
    (_config(layer_norm_eps="a"), "'layer_norm_eps'"), (_config(conv_bias=3), "'conv_bias'"),
    (_config(architectures=7), "'architectures'"),
    (_config(num_hidden_layers=200, hidden_size=60000), "asks for [0-9]+ numbers or more, its files hold"),
    (_config(num_attention_heads=7), "cannot be read"), (_config(hidden_act="none such"), "cannot be read"),
    (lambda folder: (folder / "config.json").write_text("[" * 5000), "readable JSON"),
    (lambda folder: (folder / "config.json").write_text('{"hidden_size": 1' + "0" * 5000 + "}"), "readable JSON")])
def test_configs_that_would_ask_for_the_impossible(folder, tmp_path, change, words):
    with pytest.raises(FileFormatError, match=f"(?s){words}"):
        HubertEncoder.load(broken(folder, tmp_path, change))


def test_wav2vec2_from_a_folder(tmp_path):
    """The same convolutions and chunks; another network of the same build."""
    import transformers

    folder = save_wav2vec2(tmp_path / "wav2vec2-base")
    encoder = open_encoder(folder, layer=1)
    assert encoder.facts.id == "wav2vec2-base-folder" and folder_kind(folder).model_type == "wav2vec2"
    sound = Sound(np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32), 16000)
    mine = encoder.encode(sound).features
    model = transformers.Wav2Vec2Model.from_pretrained(folder).eval()
    wave = (sound.waveform - sound.waveform.mean()) / np.sqrt(sound.waveform.var() + 1e-7)
    with torch.inference_mode():
        theirs = model(torch.from_numpy(wave), output_hidden_states=True).hidden_states[1][0]
    assert mine.shape == (49, 32) and torch.allclose(mine, theirs, atol=1e-4)
