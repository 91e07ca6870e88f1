"""Chunks on the small host: made by Render Avatar Video and Motion to Video (file), saved, joined; the whole video comes out."""
from __future__ import annotations

import numpy as np
import pytest
from prompts import failure, node, ok, own
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import load_film_sound, read_frames

PREFIX = "parts/film"


@pytest.fixture
def place(host_with_avatar, tmp_path):
    """The host, with 0.4 s of noise in input/."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 6400))
    save_wav(tmp_path / "base" / "input" / "noise.wav", Sound(noise.astype(np.float32), 16000))
    return host_with_avatar


def avatar(**more) -> dict:
    """A prompt whose node 5 renders."""
    return {"1": node("LoadAudio", audio="noise.wav"),
            "2": node("TalkingHead_EncodeSpeech", audio=["1", 0], encoder="mel", model_folder="none", layer=-1, precision="fp32"),
            "3": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
            "4": node("HMTalker_DriveAvatar", avatar=["3", 0], speech=["2", 0], blinks="generated", smoothing=0.0, lip_gain=1.0,
                      seed=0),
            "5": node("HMTalker_RenderAvatarVideo", avatar=["3", 0], motion=["4", 0], background="plate", backend="auto", crf=0,
                      audio=["1", 0], **more)}


def portrait(**more) -> dict:
    """A prompt whose node 5 moves an image."""
    return {"1": node("LoadAudio", audio="noise.wav"),
            "2": node("LoadImage", image="talking_heads_demo_portrait.jpg"),
            "3": node("TalkingHead_PortraitLandmarks", image=["2", 0], face_index=0, order="largest"),
            "6": node("TalkingHead_EncodeSpeech", audio=["1", 0], encoder="mel", model_folder="none", layer=-1, precision="fp32"),
            "7": node("MoDiTalker_LoadAToM", atom_name="demo_atom.safetensors", precision="auto"),
            "8": node("MoDiTalker_GenerateMotion", atom=["7", 0], speech=["6", 0], portrait=["3", 0], seed=0, steps=2,
                      sampler="ddim", guidance="auto", silence_gate=True, clip="auto", eta="auto", overlap="auto"),
            "5": node("MoDiTalker_MotionToVideoFile", motion=["8", 0], portrait=["2", 0], pose_landmarks=["3", 1], seed=0,
                      steps="auto", sampler="weights' own", denoise="auto", eta="auto", overlap="auto", crf=0, audio=["1", 0],
                      **more)}


def saved(host, prompt: dict, prefix: str) -> None:
    ok(host.run({**prompt, "9": node("TalkingHead_SaveVideoFile", video=["5", 0], filename_prefix=prefix)}))


def joined(host, **more) -> dict:
    """The prompt of the join and of saving its video as joined_00001_.mp4."""
    return {"1": node("TalkingHead_JoinChunks", filename_prefix=PREFIX, location="output", **more),
            "9": node("TalkingHead_SaveVideoFile", video=["1", 0], filename_prefix="joined")}


@pytest.mark.parametrize("make", [avatar, portrait])
def test_chunks_joined_are_the_whole(place, tmp_path, make):
    output = tmp_path / "base" / "output"
    saved(place, make(), "whole")
    for index in (1, 0, 2):
        saved(place, make(chunk_index=index, chunk_count=3), PREFIX)
    told = ok(place.run({**joined(place, audio=["2", 0]), "2": node("LoadAudio", audio="noise.wav")}))
    assert "3 chunks, 10 frames" in str(told.outputs["1"]["text"])
    whole, made = output / "whole_00001_.mp4", output / "joined_00001_.mp4"
    assert (np.stack(list(read_frames(whole))) == np.stack(list(read_frames(made)))).all()
    assert (load_film_sound(whole).waveform == load_film_sound(made).waveform).all()


def test_a_missing_chunk_and_other_settings_are_said(place):
    saved(place, avatar(chunk_index=0, chunk_count=2), PREFIX)
    assert "missing: chunk_index 1" in failure(place.run(joined(place)))
    saved(place, avatar(chunk_index=1, chunk_count=2, label="AI-generated"), PREFIX)
    assert "with the same settings" in failure(place.run(joined(place)))
    assert "below chunk_count" in failure(place.run({**avatar(chunk_index=2, chunk_count=2), "9": node(
        "TalkingHead_SaveVideoFile", video=["5", 0], filename_prefix="x")}))


def test_what_another_server_saves_meanwhile_stays(host, tmp_path, monkeypatch):
    """Both have seen that number 1 is free; the other one is faster."""
    saving = own(host, "nodes.save_video")
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    copied = saving.shutil.copyfile

    def overtaken(source, target):
        (tmp_path / "video_00001_.mp4").write_bytes(b"theirs")
        return copied(source, target)

    monkeypatch.setattr(saving.shutil, "copyfile", overtaken)
    assert saving._copied(tmp_path / "mine.mp4", tmp_path, "video", 1).name == "video_00002_.mp4"
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.mp4")} == {
        "mine.mp4": b"mine", "video_00001_.mp4": b"theirs", "video_00002_.mp4": b"mine"}


@pytest.mark.parametrize("prefix, words", [("nowhere/film", "no folder 'nowhere'"), ("../film", "inside the folder"),
                                           ("film", "There must be chunks")])
def test_no_such_folder(host, prefix, words):
    prompt = {"1": node("TalkingHead_JoinChunks", filename_prefix=prefix, location="input"),
              "9": node("TalkingHead_SaveVideoFile", video=["1", 0], filename_prefix="joined")}
    assert words in failure(host.run(prompt))


def test_before_comfyui_has_saved_anything(host, monkeypatch, tmp_path):
    """Its output folder is made with the first file."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "later"))
    prompt = {"1": node("TalkingHead_JoinChunks", filename_prefix="film", location="output"),
              "9": node("TalkingHead_SaveVideoFile", video=["1", 0], filename_prefix="joined")}
    assert "ComfyUI has no folder output yet" in failure(host.run(prompt))
