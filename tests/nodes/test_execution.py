"""Nodes run: by the host, on a tiny avatar and dataset; and what they say to bad input."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pack import ROOT
from prompts import collector, failure, keep, node, ok
from talking_heads.media_core.audio import Sound, save_wav

SPEECH = node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel")
AVATAR = node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors")
DRIVE = node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0, lip_gain=1.0,
             seed=0)
VIDEO = node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="plate", backend="auto", crf=18,
             audio=["sound", 0])
FRAMES = node("HMTalker_RenderAvatar", avatar=["avatar", 0], motion=["motion", 0], background="black", start_frame=0,
              frame_count=0, backend="auto")
SAVE = node("SaveVideo", video=["video", 0], filename_prefix="film", format="auto", codec="auto")
SHOW = node("PreviewImage", images=["frames", 0])


def prompt(**nodes):
    """A prompt whose node ids are the names."""
    return {name: {**entry, "inputs": dict(entry["inputs"])} for name, entry in nodes.items()}


def sound_node(base: Path, sound: Sound, name: str = "speech.wav"):
    save_wav(base / "input" / name, sound)
    return node("LoadAudio", audio=name)


def driven(base: Path, sound: Sound, **more):
    """A prompt from a sound to motion, and what follows it."""
    return prompt(sound=sound_node(base, sound), speech=SPEECH, avatar=AVATAR, motion=DRIVE, **more)


def tone(seconds: float, rate: int = 16000, channels: int = 1) -> Sound:
    """A voice-like buzz with pauses."""
    t = np.arange(max(1, round(seconds * rate))) / rate
    wave = 0.3 * np.sign(np.sin(2 * np.pi * 120 * t)) * (np.sin(2 * np.pi * 3 * t) > 0)
    return Sound(np.repeat(wave[None].astype(np.float32), channels, axis=0), rate)


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "base"


def test_speech_to_film(host_with_avatar, base):
    from talking_heads.media_core.video import probe

    nodes = driven(base, tone(1.3, 44100, 2), video=VIDEO, save=SAVE)
    ok(host_with_avatar.run(nodes))
    (film,) = (base / "output").rglob("film*.mp4")
    facts = probe(film)
    assert (facts.width, facts.height, float(facts.fps), facts.has_sound) == (64, 64, 25.0, True)
    assert facts.frames == 33  # floor(1.3 s * 25 + 1/2)
    again = host_with_avatar.run(nodes)
    assert not again.executed, "the second run of the same prompt comes from the cache"


def test_frames_masks_and_splat(host_with_avatar, base):
    kept = collector(host_with_avatar)
    splat = node("HMTalker_AvatarFrameToSplat", avatar=["avatar", 0], motion=["motion", 0], frame=3)
    nodes = driven(base, tone(0.5), splat=splat, frames=FRAMES, images=keep("frames"),
                   masks=keep("frames", 1), splats=keep("splat"), about=keep("avatar", 1), expression=keep("motion", 1))
    ok(host_with_avatar.run(nodes))
    found = {type(value).__name__ + str(getattr(value, "ndim", "")): value for value in kept}
    frames = found["Tensor4"]
    assert frames.shape == (13, 64, 64, 3) and frames.min() >= 0 and frames.max() <= 1 and frames.std() > 0
    assert found["Tensor3"].shape == (13, 64, 64) and found["Tensor3"].min() >= 0 and found["Tensor3"].max() <= 1
    splat = next(value for value in kept if hasattr(value, "positions"))
    assert splat.positions.shape[0] == 1 and splat.opacities.shape == (*splat.positions.shape[:2], 1) and splat.sh.shape[-1] == 3
    assert found["ExpressionTrack"].au.shape == (13, 17)
    assert "mel" in found["str"] and "64 x 64" in found["str"]


def test_an_avatar_is_left_for_the_player_of_the_page(host_with_avatar, base, monkeypatch):
    from talking_heads.hmtalker_core import basis_fit
    from talking_heads.hmtalker_core.player_file import read_player_file

    monkeypatch.setattr(basis_fit, "FRAMES", 40)
    nodes = driven(base, tone(0.5), play=node("HMTalker_PreviewAvatar", avatar=["avatar", 0], motion=["motion", 0],
                                              audio=["sound", 0]))
    result = host_with_avatar.run(nodes)
    ok(result)
    (file,) = result.outputs["play"]["avatar_player"]
    assert file["type"] == "temp" and file["subfolder"] == ""
    header, sections = read_player_file((base / "temp" / file["filename"]).read_bytes())
    assert header["frames"] == 13 and header["title"] == "tiny" and sections["sound"] and len(header["weight_steps"]) == 12
    silent = host_with_avatar.run(nodes | {"play": node("HMTalker_PreviewAvatar", avatar=["avatar", 0], motion=["motion", 0])})
    other = silent.outputs["play"]["avatar_player"][0]["filename"]
    assert "sound" not in read_player_file((base / "temp" / other).read_bytes())[0], "and the basis is fitted once"


def test_a_part_of_the_frames_equals_that_part_of_all(host_with_avatar, base):
    kept = collector(host_with_avatar)
    part = {**FRAMES, "inputs": {**FRAMES["inputs"], "start_frame": 4, "frame_count": 3}}
    nodes = driven(base, tone(0.5), frames=FRAMES, part=part, a=keep("frames"), b=keep("part"))
    ok(host_with_avatar.run(nodes))
    whole, three = sorted(kept, key=len, reverse=True)
    assert len(three) == 3 and np.array_equal(whole[4:7].numpy(), three.numpy())


def test_frames_that_do_not_fit_are_refused_before_work(host_with_avatar, base, monkeypatch):
    from talking_heads.host.shim import model_management

    monkeypatch.setattr(model_management, "get_free_memory", lambda *a, **k: 1000.0)
    nodes = driven(base, tone(0.5), frames=FRAMES, show=SHOW)
    assert "Render Avatar Video" in failure(host_with_avatar.run(nodes))


def test_a_frame_behind_the_end_is_refused(host_with_avatar, base):
    late = {**FRAMES, "inputs": {**FRAMES["inputs"], "start_frame": 13}}
    nodes = driven(base, tone(0.5), frames=late, show=SHOW)
    assert "13" in failure(host_with_avatar.run(nodes))


@pytest.mark.parametrize("seconds, rate, channels, frames", [(0.1, 16000, 1, 3), (1.0, 8000, 2, 25), (0.01, 48000, 1, 1)])
def test_odd_sounds_are_fine(host_with_avatar, base, seconds, rate, channels, frames):
    kept = collector(host_with_avatar)
    nodes = driven(base, tone(seconds, rate, channels), keep=keep("motion"))
    ok(host_with_avatar.run(nodes))
    assert len(kept[0]) == frames


def test_silence_is_no_error_and_the_mouth_rests(host_with_avatar, base):
    kept = collector(host_with_avatar)
    silence = Sound(np.zeros((1, 16000), np.float32), 16000)
    nodes = driven(base, silence, keep=keep("motion"))
    ok(host_with_avatar.run(nodes))
    middle = kept[0].codes[8:17]
    assert np.allclose(middle.numpy(), middle[:1].numpy(), atol=1e-4)


@pytest.mark.parametrize("bad", ["empty", "nan", "integers", "nothing"])
def test_bad_sounds_are_refused_with_a_reason(host, bad):
    import torch
    from talking_heads.host.shim import io

    waveform = {"empty": torch.zeros(1, 1, 0), "nan": torch.full((1, 1, 800), float("nan")),
                "integers": torch.full((1, 1, 800), 9000.0), "nothing": None}[bad]

    class Source(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Source", inputs=[], outputs=[io.Audio.Output()])

        @classmethod
        def execute(cls):
            return io.NodeOutput({"sample_rate": 16000} if waveform is None else {"waveform": waveform, "sample_rate": 16000})

    host.classes["Source"] = Source
    collector(host)
    message = failure(host.run(prompt(sound=node("Source"), speech=SPEECH, keep=keep("speech"))))
    assert "Got:" in message and len(message) > 60


def test_damaged_and_foreign_avatar_files_are_named(host_with_avatar, base):
    collector(host_with_avatar)
    folder = base / "models" / "talking_heads"
    whole = (folder / "tiny.safetensors").read_bytes()
    (folder / "short.safetensors").write_bytes(whole[:len(whole) // 2])
    (folder / "text.safetensors").write_text("hello")
    (folder / "zero.safetensors").write_bytes(b"")
    for name in ("short", "text", "zero"):
        avatar = {**AVATAR, "inputs": {"avatar_name": f"{name}.safetensors"}}
        message = failure(host_with_avatar.run(prompt(avatar=avatar, keep=keep("avatar"))))
        assert name in message and "Got:" in message


def test_an_avatar_name_cannot_leave_the_folders(host_with_avatar, base):
    from talking_heads.host.graph import InvalidPrompt

    shutil.copy(base / "models" / "talking_heads" / "tiny.safetensors", base / "secret.safetensors")
    collector(host_with_avatar)
    avatar = {**AVATAR, "inputs": {"avatar_name": "../../secret.safetensors"}}
    with pytest.raises(InvalidPrompt):
        host_with_avatar.run(prompt(avatar=avatar, keep=keep("avatar")))
    load_avatar = host_with_avatar.packs[0].nodes["HMTalker_LoadAvatar"]
    with pytest.raises(ValueError, match="inside the folder"):  # the node does not rely on that check
        load_avatar.execute("../../secret.safetensors")


def test_an_avatar_is_loaded_again_when_its_file_changes(host_with_avatar, base):
    collector(host_with_avatar)
    nodes = prompt(avatar=AVATAR, keep=keep("avatar", 1))
    assert "avatar" in ok(host_with_avatar.run(nodes)).executed
    assert "avatar" not in ok(host_with_avatar.run(nodes)).executed
    path = base / "models" / "talking_heads" / "tiny.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert "avatar" in ok(host_with_avatar.run(nodes)).executed


def test_the_state_of_an_unfinished_training_is_not_offered(host_with_avatar, base):
    folder = base / "models" / "talking_heads"
    shutil.copy(folder / "tiny.safetensors", folder / "x.training.safetensors")
    info = host_with_avatar.object_info(["HMTalker_LoadAvatar"])["HMTalker_LoadAvatar"]
    offered = info["input"]["required"]["avatar_name"][1]["options"]
    assert "tiny.safetensors" in offered and not [name for name in offered if ".training." in name]
    shipped = {path.name for path in (ROOT / "weights").glob("*.safetensors")}
    assert shipped & set(offered) == {"demo_avatar.safetensors"}, "what else is shipped is no avatar"


def test_a_dataset_gives_its_tracks(host, base, tiny_dataset):
    kept = collector(host)
    shutil.copytree(tiny_dataset, base / "input" / "person")
    dataset = node("TalkingHead_LoadDataset", place="input", folder="person")
    ok(host.run(prompt(dataset=dataset, **{f"k{i}": keep("dataset", i) for i in range(5)})))
    found = {type(value).__name__: value for value in kept}
    assert found["DatasetFolder"].frames == 30 and found["DatasetFolder"].fps == 25.0
    assert found["Tensor"].shape == (4, 64, 64, 3)
    assert found["ExpressionTrack"].au.shape == (30, 17) and found["PoseTrack"].camera_to_head.shape == (30, 4, 4)
    assert found["dict"]["sample_rate"] == 16000


@pytest.mark.parametrize("folder", ["", "../outside", "/etc", "absent"])
def test_bad_dataset_folders_are_refused(host, base, tiny_dataset, folder):
    shutil.copytree(tiny_dataset, base / "outside")
    collector(host)
    dataset = node("TalkingHead_LoadDataset", place="input", folder=folder)
    assert "Got:" in failure(host.run(prompt(dataset=dataset, keep=keep("dataset"))))


@pytest.mark.parametrize("damage", ["frame", "csv"])
def test_a_damaged_dataset_is_refused_by_name(host, base, tiny_dataset, damage):
    folder = base / "input" / "person"
    shutil.copytree(tiny_dataset, folder)
    collector(host)
    if damage == "frame":
        next(folder.glob("ori_imgs/7.*")).unlink()
        for path in folder.glob("gt_imgs/7.*"):
            path.unlink()
    else:
        rows = (folder / "au.csv").read_text().splitlines()
        (folder / "au.csv").write_text("\n".join(rows[:-5]) + "\n")
    dataset = node("TalkingHead_LoadDataset", place="input", folder="person")
    message = failure(host.run(prompt(dataset=dataset, keep=keep("dataset"))))
    assert ("7" if damage == "frame" else "au.csv") in message


@pytest.mark.parametrize("name", ["../up", "a/b", "", "nul"])
def test_names_that_are_no_file_names_are_refused(host, base, tiny_dataset, name):
    shutil.copytree(tiny_dataset, base / "input" / "person")
    dataset = node("TalkingHead_LoadDataset", place="input", folder="person")
    train = node("HMTalker_TrainAvatar", dataset=["dataset", 0], preset="preview", steps=0.001, seed=0, name=name, resume=True)
    assert "file name" in failure(host.run(prompt(dataset=dataset, train=train)))
    assert not list((base / "models").rglob("*.safetensors"))
