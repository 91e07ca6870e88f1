"""Speech nodes on the small host: HuBERT from a model folder, core's audio encoder output, and what they say to bad input."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hubert_folder import save_hubert
from pack import make_host
from prompts import collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.audio import Sound, save_wav


def noise(seconds: float, channels: int = 1) -> Sound:
    samples = np.random.default_rng(0).standard_normal((channels, round(seconds * 16000))) * 0.1
    return Sound(samples.astype(np.float32), 16000)


@pytest.fixture
def base(tmp_path) -> Path:
    """A base folder with a HuBERT model in models/audio_encoders and a sound in input/."""
    folder = tmp_path / "base"
    save_hubert(folder / "models" / "audio_encoders" / "small hubert")
    save_wav(folder / "input" / "speech.wav", noise(1.0, 2))
    return folder


@pytest.fixture
def with_model(base):
    return make_host(base)


def encode(**inputs) -> dict:
    return {"sound": node("LoadAudio", audio="speech.wav"),
            "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], **inputs), "kept": keep("speech")}


@pytest.mark.usefixtures("bf16_attention")
def test_hubert_from_a_model_folder(with_model, base):
    from talking_heads.media_core.speech import HubertEncoder, encode_speech

    choices = with_model.object_info(["TalkingHead_EncodeSpeech"])["TalkingHead_EncodeSpeech"]["input"]["optional"]
    assert choices["model_folder"][1]["options"] == ["none", "small hubert"]
    kept = collector(with_model)
    ok(with_model.run(encode(encoder="hubert", model_folder="small hubert")))
    ok(with_model.run(encode(encoder="hubert", model_folder="small hubert", layer=1, precision="bf16", borders="published")))
    own = encode_speech(noise(1.0, 2), HubertEncoder.load(base / "models" / "audio_encoders" / "small hubert"))
    assert torch.equal(kept[0].features, own.features) and torch.equal(kept[0].silence_features, own.silence_features)
    assert [(speech.encoder, speech.layer) for speech in kept] == [("small-hubert", "last"), ("small-hubert", "1")]


def test_a_changed_folder_is_read_again(with_model, base):
    collector(with_model)
    prompt = encode(encoder="hubert", model_folder="small hubert")
    assert "speech" in ok(with_model.run(prompt)).executed
    assert "speech" not in ok(with_model.run(prompt)).executed
    save_hubert(base / "models" / "audio_encoders" / "small hubert", num_hidden_layers=3)
    assert "speech" in ok(with_model.run(prompt)).executed


def test_a_prompt_of_the_first_version_still_runs(with_model):
    kept = collector(with_model)
    ok(with_model.run(encode(encoder="mel")))
    assert (kept[0].encoder, kept[0].features.shape) == ("mel", (81, 80))


def test_hubert_without_a_folder(with_model):
    collector(with_model)
    assert "needs a model folder" in failure(with_model.run(encode(encoder="hubert")))


def test_speech_without_a_voice(with_model, base):
    kept = collector(with_model)
    save_wav(base / "input" / "speech.wav", Sound(np.zeros((1, 16000), np.float32), 16000))
    ok(with_model.run(encode(encoder="hubert", model_folder="small hubert")))
    assert kept[0].silence.all() and kept[0].silent_frames().all() and torch.isfinite(kept[0].features).all()


# ----------------------------------------------------------------------------------------------- core's audio encoder's output

def from_core(host, given, **inputs):
    """Runs the node on `given`, the sound connected."""
    from talking_heads.host.shim import io

    class Given(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Given", inputs=[], outputs=[io.Custom("AUDIO_ENCODER_OUTPUT").Output("output")])

        @classmethod
        def execute(cls):
            return io.NodeOutput(given)

    host.classes["Given"] = Given
    kept = collector(host)
    settings = {"encoder": "auto", "layer": -1} | inputs
    return kept, host.run({
        "sound": node("LoadAudio", audio="speech.wav"), "given": node("Given"),
        "speech": node("TalkingHead_SpeechFromAudioEncoder", audio_encoder_output=["given", 0], audio=["sound", 0], **settings),
        "kept": keep("speech")})


def output(width: int, layers: int) -> dict:
    rows = tuple(torch.rand(1, 49, width, generator=torch.Generator().manual_seed(k)) for k in range(layers + 1))
    return {"encoded_audio": rows[-1], "encoded_audio_all_layers": rows, "audio_samples": 16000}


def test_cores_features_as_speech(with_model):
    given = output(1024, 24)
    kept, result = from_core(with_model, given, encoder="hubert-large-ls960-ft", layer=9)
    ok(result)
    assert (kept[0].encoder, kept[0].layer, kept[0].duration) == ("hubert-large-ls960-ft", "9", 1.0)
    assert torch.equal(kept[0].features, given["encoded_audio_all_layers"][9][0])


@pytest.mark.parametrize("given, word", [({"encoded_audio": torch.zeros(1, 9, 768)}, "audio_samples"),
                                             (output(384, 4), "384 numbers, 4 layers")])
def test_what_core_does_not_make(with_model, given, word):
    assert word in failure(from_core(with_model, given)[1])


def test_speech_of_another_encoder_is_refused_with_both_names(host_with_avatar, tmp_path):
    save_wav(tmp_path / "base" / "input" / "speech.wav", noise(1.0))
    _, result = from_core(host_with_avatar, output(768, 12))
    ok(result)
    prompt = {"sound": node("LoadAudio", audio="speech.wav"), "given": node("Given"),
              "speech": node("TalkingHead_SpeechFromAudioEncoder", audio_encoder_output=["given", 0], encoder="auto", layer=-1),
              "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
              "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                             lip_gain=1.0, seed=0), "kept": keep("motion")}
    message = failure(host_with_avatar.run(prompt))
    assert "'mel'" in message and "'wav2vec2-base'" in message


# ------------------------------------------------------------------------------------ an avatar that hears through a model folder

def test_an_avatar_is_trained_on_and_driven_by_a_model_folder(with_model, tiny_dataset):
    """One step of each phase; then speech of its layer moves it, and speech of another is refused."""
    model = {"encoder": "hubert", "model_folder": "small hubert"}
    kept, values = collector(with_model), giver(with_model)
    values["dataset"] = own(with_model, "nodes.sockets").DatasetFolder(str(tiny_dataset), 30, 25.0)
    prompt = encode(**model, layer=1)
    prompt["dataset"] = give("dataset")
    prompt["avatar"] = node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="preview", steps=0.001, seed=0, name="ears",
                            resume=True, **model, layer=1)
    prompt["motion"] = node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                            lip_gain=1.0, seed=0)
    prompt["kept"] = keep("motion")
    ok(with_model.run(prompt))
    assert kept[0].encoder == "small-hubert" and len(kept[0]) == 25 and bool(torch.isfinite(kept[0].codes).all())
    prompt["speech"]["inputs"]["layer"] = -1
    message = failure(with_model.run(prompt))
    assert "'small-hubert', layer 1" in message and "'small-hubert', layer last" in message
