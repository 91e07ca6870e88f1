"""MToV's training by its node on the small host: every stage, stopped, continued, refused; and the data set it learns from."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from motion_data import make_motion_dataset
from pack import make_host
from prompts import changed, collector, failure, keep, node, ok, own
from video_data import DIFFUSION, GAN, LANDMARKS, RGB, SIZE, make_video_dataset

LOAD = node("TalkingHead_LoadMotionDataset", place="input", folder="few")
TRAIN = node("MoDiTalker_TrainMToV", dataset=["data", 0], stage="rgb", preset="demo", steps=1.0, seed=0, name="mine", resume=True,
             batch=0, accumulation=1, precision="preset's own", perceptual="none", licence="for tests")
STAGES = {"rgb": RGB, "gan": GAN, "landmarks": LANDMARKS, "diffusion": DIFFUSION}


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Three people with pictures of a few frames."""
    return make_video_dataset(tmp_path_factory.mktemp("videos") / "few")


@pytest.fixture
def base(tmp_path, few) -> Path:
    """The host's folder, with the data set in input/few."""
    shutil.copytree(few, tmp_path / "base" / "input" / "few")
    return tmp_path / "base"


def small(host, monkeypatch) -> None:
    """The preset demo becomes a training of a few steps with a tiny network."""
    config = own(host, "moditalker_core.mtov.train_config")
    tiny = {name: config.TrainConfig.from_dict({**given.to_dict(), "preset": "demo"}) for name, given in STAGES.items()}
    monkeypatch.setattr(config, "presets", lambda: {"demo": tiny})


def models(base: Path) -> list[str]:
    return sorted(path.name for path in (base / "models" / "talking_heads").glob("*"))


def test_four_stages_behind_one_another_make_an_mtov(host, base, monkeypatch):
    """By links, in one run; then the whole is loaded and says how it was made."""
    small(host, monkeypatch)
    kept = collector(host)
    stages = {"rgb": TRAIN, "gan": changed(TRAIN, stage="gan", rgb=["rgb", 1]),
              "landmarks": changed(TRAIN, stage="landmarks", rgb=["gan", 1]),
              "diffusion": changed(TRAIN, stage="diffusion", rgb=["gan", 1], landmarks=["landmarks", 1])}
    told = {**{f"k{i}": keep("diffusion", i) for i in range(3)}, "part": keep("rgb", 2)}
    said = ok(host.run({"data": LOAD, **stages, **told})).outputs
    for stage, end in (("rgb", "_rgb"), ("gan", "_gan"), ("landmarks", "_landmarks"), ("diffusion", "")):
        assert said[stage]["models"] == [f"models/talking_heads/mine{end}.safetensors"] and "previews" in said[stage]
        assert said[stage]["files"] == [{"filename": "log.csv", "subfolder": f"talking_heads/logs/mine{end}", "type": "output"}]
        assert said[stage]["text"][0].startswith(f"Saved models/talking_heads/mine{end}.safetensors\n")
    assert "a part, for the stages after rgb" in said["rgb"]["text"][0] and "licence: for tests" in said["diffusion"]["text"][0]
    assert models(base) == ["mine.safetensors", "mine_gan.safetensors", "mine_landmarks.safetensors", "mine_rgb.safetensors"]
    loaded = next(value for value in kept if hasattr(value, "model"))
    assert loaded.licence == "for tests" and loaded.model.config.training["stage"] == "diffusion" and "mine.safetensors" in kept
    assert any("a part" in str(value) for value in kept)
    assert list((base / "output" / "talking_heads" / "logs" / "mine_gan").iterdir()), "the log"
    load = node("MoDiTalker_LoadMToV", mtov_name="mine.safetensors", precision="fp32")
    ok(host.run({"load": load, "k": keep("load", 3)}))
    assert "preset demo" in kept[-1] and f"{SIZE} px" in kept[-1]
    offered = host.object_info(["MoDiTalker_LoadMToV"])["MoDiTalker_LoadMToV"]["input"]["required"]["mtov_name"][1]["options"]
    assert "mine.safetensors" in offered and not {"mine_rgb.safetensors", "mine_landmarks.safetensors"} & set(offered)


def test_earlier_stages_are_found_by_name(host, base, monkeypatch):
    small(host, monkeypatch)
    collector(host)
    after = {"data": LOAD, "train": changed(TRAIN, stage="landmarks")}
    message = failure(host.run(after))
    assert "mine_rgb.safetensors" in message and "Got:" in message
    ok(host.run({"data": LOAD, "train": TRAIN}))
    ok(host.run(after))
    assert models(base) == ["mine_landmarks.safetensors", "mine_rgb.safetensors"]
    assert not host.run(after).executed
    ok(host.run({"data": LOAD, "train": changed(TRAIN, seed=1)}))
    assert "train" in host.run(after).executed, "the stage before was trained anew"


def test_a_whole_mtov_is_gone_on_from(host, base, monkeypatch):
    """With its own autoencoders: none of its name need be there."""
    small(host, monkeypatch)
    kept = collector(host)
    stages = {"rgb": TRAIN, "landmarks": changed(TRAIN, stage="landmarks", rgb=["rgb", 1]),
              "train": changed(TRAIN, stage="diffusion", rgb=["rgb", 1], landmarks=["landmarks", 1])}
    ok(host.run({"data": LOAD, **stages}))
    more = {"data": LOAD, "train": changed(TRAIN, stage="diffusion", name="more", mtov="mine.safetensors"), "k": keep("train")}
    ok(host.run(more))
    assert not host.run(more).executed
    first = node("MoDiTalker_LoadMToV", mtov_name="mine.safetensors", precision="fp32")
    ok(host.run({"load": first, "k": keep("load")}))
    again, before = (value.model for value in kept)
    assert not [name for name in models(base) if name.startswith("more_")]
    known = before.denoiser.state_dict()
    changes = [float((value - known[key]).abs().max()) for key, value in again.denoiser.state_dict().items()]
    assert 0 < max(changes) < 0.1, "what it had learnt is still there"
    message = failure(host.run({"data": LOAD, "train": changed(TRAIN, stage="diffusion", mtov="absent.safetensors")}))
    assert "absent.safetensors" in message


def test_a_stopped_training_goes_on(base, monkeypatch):
    done = []

    def event(name: str, data: dict) -> None:
        if name == "progress" and data["node"] == "train":
            done.append(data["value"])
            if stop:  # the first is always sent, the next only after a pause or at the end
                host.interrupt()

    host, stop = make_host(base, on_event=event), True
    small(host, monkeypatch)
    nodes = {"data": LOAD, "train": TRAIN}
    assert host.run(nodes).status == "interrupted"
    (before,), stop = done, False
    assert models(base) == ["mine_rgb.training.safetensors"]
    assert "another seed" in failure(host.run({**nodes, "train": changed(TRAIN, seed=1)}))
    done.clear()
    ok(host.run(nodes))
    assert min(done) > before and models(base) == ["mine_rgb.safetensors"]


@pytest.mark.parametrize("inputs, words", [
    ({"preset": "demo"}, ("128 px or more", f"{SIZE} px")),
    ({"name": "../up"}, ("file name",)),
    ({"stage": "gan", "rgb": "absent.safetensors"}, ("absent.safetensors",)),
    ({"stage": "gan", "rgb": "../../input/few/index.json"}, ("index.json",)),
])
def test_what_cannot_be_trained(host, base, inputs, words):
    message = failure(host.run({"data": LOAD, "train": changed(TRAIN, **inputs)}))
    assert all(word in message for word in (*words, "Got:"))
    assert not (base / "models" / "talking_heads").exists() or not models(base)


def test_a_data_set_without_pictures(host, base):
    make_motion_dataset(base / "input" / "plain")
    message = failure(host.run({"data": changed(LOAD, folder="plain"), "train": TRAIN}))
    assert "images" in message and "--frames" in message


def test_the_data_set_node_keeps_pictures(host, tmp_path):
    """Of invented people; the folder without them stays another one."""
    kept = collector(host)
    data = node("TalkingHead_MotionDataset", source="synthetic subject", name="few", encoder="mel", people=1, seconds=2.0,
                captured=False, seed=1, videos="", face_index=0, order="largest")
    ok(host.run({"data": data, "a": keep("data")}))
    ok(host.run({"data": changed(data, pictures=64, margin=2.0), "a": keep("data"), "b": keep("data", 1)}))
    plain, pictured = (value for value in kept if hasattr(value, "folder"))
    about = next(value for value in kept if isinstance(value, str))
    assert plain.folder != pictured.folder and "face images of 64 px" in about
    clips = own(host, "moditalker_core.data.dataset").MotionDataset.open(pictured.folder)
    assert clips.frames_of(0, 0, 2).shape == (2, 64, 64, 3)
