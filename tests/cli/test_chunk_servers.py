"""Two servers share one video through the queue API: each makes a chunk, one joins both, and the whole video comes out."""
from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from prompts import node
from served import running
from talking_heads.cli.comfy_client import ComfyClient
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import load_film_sound, read_frames

pytest.importorskip("aiohttp", reason="aiohttp is not installed: the servers were not tried")
PATIENCE = 120.0  # s for a prompt
RATE = 16000


def prompt(prefix: str, **chunk) -> dict:
    return {"1": node("LoadAudio", audio="tone.wav"),
            "2": node("TalkingHead_EncodeSpeech", audio=["1", 0], encoder="mel", model_folder="none", layer=-1, precision="fp32"),
            "3": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
            "4": node("HMTalker_DriveAvatar", avatar=["3", 0], speech=["2", 0], blinks="generated", smoothing=0.0, lip_gain=1.0,
                      seed=3),
            "5": node("HMTalker_RenderAvatarVideo", avatar=["3", 0], motion=["4", 0], background="plate", backend="auto", crf=0,
                      audio=["1", 0], **chunk),
            "9": node("TalkingHead_SaveVideoFile", video=["5", 0], filename_prefix=prefix)}


def done(client: ComfyClient, prompt_id: str) -> None:
    """Waits for a prompt; one that fails raises what its node says."""
    until = time.monotonic() + PATIENCE
    while client.ended(prompt_id) is None:
        assert time.monotonic() < until, "the prompt does not end"
        time.sleep(0.1)


@pytest.mark.slow
def test_two_servers_make_one_video(tmp_path, pages, tiny_avatar):
    shared = tmp_path / "shared"
    shared.mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 220 / RATE * np.arange(RATE))
    for base in (tmp_path / "one", tmp_path / "two"):
        (base / "models" / "talking_heads").mkdir(parents=True)
        (base / "input").mkdir()
        shutil.copy(tiny_avatar, base / "models" / "talking_heads" / "tiny.safetensors")
        save_wav(base / "input" / "tone.wav", Sound(tone.astype(np.float32)[None], RATE))
    output = "--output-dir", str(shared)
    with running(tmp_path / "one", pages, *output) as (_, one), running(tmp_path / "two", pages, *output) as (_, two):
        clients = [ComfyClient(one), ComfyClient(two)]
        sent = [client.submit(prompt("parts/video", chunk_index=index, chunk_count=2)) for index, client in enumerate(clients)]
        for client, prompt_id in zip(clients, sent):
            done(client, prompt_id)
        assert len(list((shared / "parts").glob("video*.mp4"))) == 2, "two files beside each other, neither in the other's place"
        done(clients[0], clients[0].submit(prompt("whole")))
        join = {"1": node("TalkingHead_JoinChunks", filename_prefix="parts/video", location="output"),
                "9": node("TalkingHead_SaveVideoFile", video=["1", 0], filename_prefix="joined")}
        done(clients[1], clients[1].submit(join))
    check(shared / "whole_00001_.mp4", shared / "joined_00001_.mp4")


def check(whole: Path, joined: Path) -> None:
    """Equal frames; and the tone at its place, with no leap, though no server joined it with the audio at hand."""
    frames, wanted = (np.stack(list(read_frames(path))) for path in (joined, whole))
    assert len(frames) == 25 and (frames == wanted).all()
    made, told = (load_film_sound(path).waveform[0] for path in (joined, whole))
    assert len(made) == len(told)
    inside = slice(RATE // 10, -RATE // 10)
    assert np.abs(np.diff(made[inside], 2)).max() <= 1.2 * np.abs(np.diff(told[inside], 2)).max()
    assert np.abs(made - told)[inside].max() < 0.02
