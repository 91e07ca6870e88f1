"""Every kind of speech encoder in the nodes: each trains an avatar and an AToM, which are saved, loaded and driven through it and
refuse the others with both names; and what the nodes say to bad input."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ave_file import save_ave_file, save_official_ave
from core_audio_encoder import FakeAudioEncoder
from hubert_folder import save_hubert
from pack import make_host
from prompts import collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.audio import Sound, save_wav

HEARS = {"hubert": ("small", "1"), "ave": ("ave", "last"), "core": ("wav2vec2-base", "3"), "stored": ("deepspeech", "last"),
         "joined": ("mel+ave", "last")}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Models in models/audio_encoders, 0.8 s of noise and its features in input/."""
    folder = tmp_path_factory.mktemp("nodes") / "base"
    models, random = folder / "models" / "audio_encoders", np.random.default_rng(0)
    save_hubert(models / "small")
    save_ave_file(models / "mine" / "ave.safetensors")
    save_official_ave(models / "audio_visual_encoder.pth")
    save_wav(folder / "input" / "speech.wav", Sound(0.1 * random.standard_normal((1, 12800)).astype(np.float32), 16000))
    for name, rows in (("aud_ds", 40), ("set/aud_ds", 60)):
        (folder / "input" / name).parent.mkdir(exist_ok=True)
        np.save(folder / "input" / f"{name}.npy", random.standard_normal((rows, 29)))
    return folder


@pytest.fixture
def loaded(base):
    """A host with those, and what its node Give hands out."""
    host = make_host(base)
    return host, giver(host)


def opened(kind: str, features: str = "aud_ds.npy") -> dict:
    """The nodes that open an encoder; its output is the first of `encoder`."""
    ave = node("TalkingHead_LoadSpeechEncoder", encoder="ave", model_folder="mine/ave.safetensors")
    nodes = {
        "hubert": {"encoder": node("TalkingHead_LoadSpeechEncoder", encoder="hubert", model_folder="small", layer=1)},
        "ave": {"encoder": ave},
        "core": {"model": give("core"), "encoder": node("TalkingHead_SpeechEncoderFromAudioEncoder", audio_encoder=["model", 0],
                                                        encoder="auto", layer=3)},
        "stored": {"encoder": node("TalkingHead_LoadSpeechFeatures", path=features, rate=0.0, name="", layer=-1)},
        "joined": {"mel": node("TalkingHead_LoadSpeechEncoder", encoder="mel"), "ave": ave,
                   "encoder": node("TalkingHead_JoinSpeechEncoders", first=["mel", 0], second=["ave", 0])}}
    return nodes[kind]


def heard(kind: str) -> dict:
    """Those nodes, and speech through them."""
    return {**opened(kind), "sound": node("LoadAudio", audio="speech.wav"),
            "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel", speech_encoder=["encoder", 0])}


def named(kind: str) -> str:
    return "{}, layer {}".format(*HEARS[kind])


@pytest.mark.parametrize("kind", HEARS)
def test_an_avatar_is_trained_saved_loaded_driven_and_refuses_others(loaded, tiny_dataset, kind):
    host, values = loaded
    values |= {"core": FakeAudioEncoder(), "dataset": own(host, "nodes.sockets").DatasetFolder(str(tiny_dataset), 30, 25.0)}
    kept = collector(host)
    train = node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="demo", steps=0.001, seed=0, name=f"avatar_{kind}",
                 resume=True, encoder="mel", speech_encoder=["encoder", 0])
    ok(host.run({**opened(kind, "set/aud_ds.npy"), "dataset": give("dataset"), "train": train, "kept": keep("train", 1)}))
    assert kept.pop() == f"avatar_{kind}.safetensors"
    drive = {"avatar": node("HMTalker_LoadAvatar", avatar_name=f"avatar_{kind}.safetensors"), "kept": keep("motion"),
             "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                            lip_gain=1.0, seed=0)}
    ok(host.run({**heard(kind), **drive}))
    assert kept[0].encoder == HEARS[kind][0] and len(kept[0]) == 20 and bool(kept[0].codes.isfinite().all())
    for other in HEARS:
        if other != kind:
            must, came = failure(host.run({**heard(other), **drive})).split("Got:", 1)
            assert "'{}', layer {}".format(*HEARS[kind]) in must and "'{}', layer {}".format(*HEARS[other]) in came


@pytest.mark.parametrize("kind", [kind for kind in HEARS if kind != "stored"])
def test_an_atom_is_trained_saved_loaded_driven_and_refuses_others(loaded, kind, tmp_path):
    import torch
    from talking_heads.media_core.face.pose.canonical import mean_face

    host, values = loaded
    face = own(host, "media_core.motion").LandmarkTrack(torch.from_numpy(mean_face())[None])
    values |= {"core": FakeAudioEncoder(), "face": face}
    kept = collector(host)
    data = node("TalkingHead_MotionDataset", source="synthetic subject", name=f"data_{kind}", encoder="mel", people=1,
                seconds=2.0, captured=False, seed=1, videos="", face_index=0, order="largest", speech_encoder=["encoder", 0])
    train = node("MoDiTalker_TrainAToM", dataset=["data", 0], preset="demo", steps=0.0005, seed=0, name=f"atom_{kind}",
                 resume=True, batch=2, accumulation=1, licence="for tests")
    ok(host.run({**opened(kind), "data": data, "train": train, "kept": keep("train", 2)}))
    assert HEARS[kind][0] in kept.pop()
    speak = {"atom": node("MoDiTalker_LoadAToM", atom_name=f"atom_{kind}.safetensors", precision="fp32"), "face": give("face"),
             "motion": node("MoDiTalker_GenerateMotion", atom=["atom", 0], speech=["speech", 0], portrait=["face", 0], steps=1,
                            sampler="weights' own", guidance=-1.0, silence_gate=True, clip=-1.0, eta=-1.0, overlap=-1, seed=0),
             "kept": keep("motion")}
    ok(host.run({**heard(kind), **speak}))
    assert len(kept[0]) == 20 and bool(kept[0].points.isfinite().all())
    for other in HEARS:
        if other != kind:
            must, came = failure(host.run({**heard(other), **speak})).split("Got:", 1)
            assert named(kind) in must and named(other) in came


def test_a_motion_dataset_of_videos_takes_a_folder_of_features(loaded, base, tiny_film):
    host, _ = loaded
    kept, films = collector(host), base / "input" / "films"
    films.mkdir(exist_ok=True)
    (films / "film.mp4").symlink_to(tiny_film)
    (base / "input" / "features").mkdir(exist_ok=True)
    np.save(base / "input" / "features" / "film.npy", np.zeros((60, 5)))
    prompt = {"encoder": node("TalkingHead_LoadSpeechFeatures", path="features", rate=50.0, name="Their Net", layer=-1),
              "data": node("TalkingHead_MotionDataset", source="videos", name="filmed", encoder="mel", people=1, seconds=2.0,
                           captured=False, seed=1, videos="films", face_index=0, order="largest", speech_encoder=["encoder", 0]),
              "kept": keep("data")}
    ok(host.run(prompt))
    assert kept[0].encoder == "their-net"
    subject = {**prompt, "data": {**prompt["data"], "inputs": {**prompt["data"]["inputs"], "source": "synthetic subject"}}}
    assert "need a recording each" in failure(host.run(subject))


def test_ave_is_imported_and_chosen_without_a_node_of_its_own(loaded, base):
    host, _ = loaded
    kept = collector(host)
    ok(host.run({"new": node("TalkingHead_ImportAVE", checkpoint="audio_visual_encoder.pth", name="imported"),
                 "kept": keep("new", 1)}))
    assert kept.pop() == "imported.safetensors"
    menu = make_host(base).object_info(["TalkingHead_EncodeSpeech"])["TalkingHead_EncodeSpeech"]["input"]["optional"]
    assert menu["model_folder"][1]["options"] == ["none", "imported.safetensors", "mine/ave.safetensors", "small"]
    speech = lambda **inputs: {"sound": node("LoadAudio", audio="speech.wav"), "kept": keep("speech"),
                               "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], **inputs)}
    host = make_host(base)
    kept = collector(host)
    ok(host.run(speech(encoder="ave", model_folder="imported.safetensors")))
    assert (kept[0].encoder, kept[0].features.shape) == ("ave", (20, 512))
    wrong = failure(host.run(speech(encoder="hubert", model_folder="imported.safetensors")))
    assert "must be one of hubert" in wrong and "holds one of ave" in wrong
    assert "Import AVE" in failure(host.run(speech(encoder="ave")))


@pytest.mark.parametrize("inputs, told", [({"path": ""}, "must be named"), ({"path": "plain.npy"}, "need the name"),
                                              ({"path": "plain.npy", "name": "net"}, "need their rate")])
def test_features_of_which_too_little_is_known(loaded, base, inputs, told):
    host, _ = loaded
    np.save(base / "input" / "plain.npy", np.zeros((40, 3)))
    collector(host)
    given = {"path": "", "rate": 0.0, "name": "", "layer": -1} | inputs
    assert told in failure(host.run({"new": node("TalkingHead_LoadSpeechFeatures", **given), "kept": keep("new")}))
