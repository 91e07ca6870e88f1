"""The node Talking Head Metrics on a second of video: what it measures, hands on and says."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from prompts import collector, failure, give, giver, keep, node, ok
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.metrics.identity import ArcFace
from talking_heads.media_core.metrics.weights import save_weights
from talking_heads.media_core.video import read_frames

FILM = node("LoadVideo", file="film.mp4")
PARTS = node("GetVideoComponents", video=["film", 0])


def measure(**inputs) -> dict:
    return node("TalkingHead_Metrics", fps=25.0, transcript="", tracker="rendered", plot_width=640, **inputs)


@pytest.fixture
def base(host, tmp_path, tiny_film):
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "film.mp4")
    return tmp_path / "base"


def kept_of(kept: list) -> tuple[str, dict, torch.Tensor]:
    """Table, JSON and plot."""
    texts = sorted((value for value in kept if isinstance(value, str)), key=lambda text: text.startswith("{"))
    return texts[0], json.loads(texts[1]), next(value for value in kept if isinstance(value, torch.Tensor))


def test_a_video_against_its_truth(host, base):
    kept = collector(host)
    result = ok(host.run({"film": FILM, "m": measure(video=["film", 0], truth=["film", 0]),
                          **{f"k{i}": keep("m", i) for i in range(3)}}))
    table, told, plot = kept_of(kept)
    rows = {row["key"]: row for row in told["rows"]}
    assert rows["ssim"]["value"] == pytest.approx(1) and rows["lmd"]["value"] == 0 and rows["psnr"]["note"] == "equal images"
    assert "arcface.safetensors" in rows["identity"]["note"] and plot.shape[2:] == (640, 3) and "PSNR" in table
    shown = result.outputs["m"]
    assert shown["text"] == [table] and len(shown["previews"]) == 1


def test_images_audio_and_own_weights(host, base):
    """Images of half the rate and size against the video; a network that was put into the folder since counts."""
    kept, given = collector(host), giver(host)
    nodes = {"film": FILM, "parts": PARTS, "small": give("small"),
             "m": measure(images=["small", 0], truth=["film", 0], audio=["parts", 1]),
             **{f"k{i}": keep("m", i) for i in range(3)}}
    frames = torch.stack([torch.from_numpy(frame[::2, ::2].copy()) for frame in read_frames(base / "input" / "film.mp4", 12.5)])
    given["small"] = frames.float() / 255
    nodes["m"]["inputs"]["fps"] = 12.5
    ok(host.run(nodes))
    told = kept_of(kept)[1]
    assert told["made"].startswith("made video (15 frames, 120 x 96 px, 12.5 fps)")
    assert told["notes"][:2] == ["The truth was resized from 240 x 192 to 120 x 96 px.",
                                 "The truth was read at 12.5 instead of its 25 frames per second."]
    assert next(row for row in told["rows"] if row["key"] == "psnr")["value"] > 20
    assert not host.run(nodes).executed, "the same again comes from the cache"
    kept.clear()
    save_weights("arcface", [ArcFace((1, 1, 1, 1)).state_dict()],
                 base / "models" / "talking_heads" / "metrics" / "arcface.safetensors")
    ok(host.run(nodes))
    assert next(row for row in kept_of(kept)[1]["rows"] if row["key"] == "identity")["value"] is not None


@pytest.mark.parametrize("inputs, said", [
    ({}, "needs a video to measure"),
    ({"video": ["film", 0], "images": ["parts", 0]}, "a video or images"),
    ({"video": ["film", 0], "truth": ["film", 0], "truth_images": ["parts", 0]}, "truth must be a video or images")])
def test_what_is_connected_wrongly(host, base, inputs, said):
    assert said in failure(host.run({"film": FILM, "parts": PARTS, "m": measure(**inputs)}))


def test_it_measures_what_a_workflow_makes(host_with_avatar, tmp_path):
    """Audio to avatar video to figures."""
    save_wav(tmp_path / "base" / "input" / "speech.wav", Sound(np.full((1, 8000), 0.01, np.float32), 16000))
    kept = collector(host_with_avatar)
    ok(host_with_avatar.run({
        "sound": node("LoadAudio", audio="speech.wav"),
        "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel"),
        "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
        "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0,
                       lip_gain=1.0, seed=0),
        "video": node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="plate",
                      backend="auto", crf=18, audio=["sound", 0]),
        "m": measure(video=["video", 0]), "k": keep("m", 1), "t": keep("m", 0), "p": keep("m", 2)}))
    rows = {row["key"]: row for row in kept_of(kept)[1]["rows"]}
    assert rows["sharpness"]["value"] > 0 and rows["psnr"]["note"] == "needs a truth to compare with"
