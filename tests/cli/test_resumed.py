"""`--resume`: a run that was cut off costs the chunk in work; what comes out is what an uninterrupted run makes, byte by byte."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
from mtov_files import save_tiny_mtov
from pack import ROOT
from PIL import Image
from talking_heads.cli import avatar_jobs, resumed, video_jobs
from talking_heads.cli.loaded import Models
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.errors import Cancelled
from talking_heads.media_core.progress import silent
from talking_heads.media_core.video import load_film_sound, read_frames

FRAMES = 10


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """0.4 s of noise, and chunks of three frames."""
    monkeypatch.setattr(resumed, "SECONDS", 0.12)
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 6400))
    save_wav(tmp_path / "noise.wav", Sound(noise.astype(np.float32), 16000))
    return tmp_path


def make(jobs, report, *arguments) -> None:
    parser = ArgumentParser()
    jobs.add_options(parser)
    options = parser.parse_args([str(each) for each in arguments])
    jobs.check(options)
    jobs.made(options, Path(options.out), Models(), report)


def avatar(place, tiny_avatar, name, report=silent, *more) -> Path:
    make(avatar_jobs, report, tiny_avatar, place / "noise.wav", place / name, "--crf=0", *more)
    return place / name


def cut_at(frame: int):
    """A report that ends the run at a frame of the video."""
    def report(done, total, info, preview=None):
        if info.get("frame", 0) >= frame and total == FRAMES:
            raise Cancelled("cut off")

    return report


def counting(seen: list):
    return lambda done, total, info, preview=None: seen.append(info["frame"]) if "frame" in info else None


def test_a_cut_off_run_goes_on(place, tiny_avatar):
    plain = avatar(place, tiny_avatar, "plain.mp4")
    whole = avatar(place, tiny_avatar, "whole.mp4", silent, "--resume")
    with pytest.raises(Cancelled):
        avatar(place, tiny_avatar, "cut.mp4", cut_at(7), "--resume")
    parts = place / "cut.mp4.parts"
    assert sorted(path.name for path in parts.glob("*.mp4")) == ["00000.mp4", "00001.mp4"], "the third one was in work"
    assert not (place / "cut.mp4").exists()
    seen: list[int] = []
    cut = avatar(place, tiny_avatar, "cut.mp4", counting(seen), "--resume")
    assert cut.read_bytes() == whole.read_bytes() and not parts.exists()
    assert seen[-1] == FRAMES and seen == sorted(seen), "progress is that of the whole video"
    assert (np.stack(list(read_frames(cut))) == np.stack(list(read_frames(plain)))).all(), "lossless: as without chunks"
    assert (load_film_sound(cut).waveform == load_film_sound(plain).waveform).all()


def test_only_what_is_missing_is_made(place, tiny_avatar, monkeypatch):
    from talking_heads.hmtalker_core import streaming

    with pytest.raises(Cancelled):
        avatar(place, tiny_avatar, "cut.mp4", cut_at(7), "--resume")
    made, render = [], streaming.render_video

    def counted(*args, part, **more):
        made.append(part)
        return render(*args, part=part, **more)

    monkeypatch.setattr(streaming, "render_video", counted)
    (place / "cut.mp4.parts" / "00000.mp4").write_bytes(b"damaged")
    (place / "cut.mp4.parts" / "notes.txt").write_text("of somebody")
    avatar(place, tiny_avatar, "cut.mp4", silent, "--resume")
    assert made == [(0, 2), (5, 7), (7, 10)], "the damaged one and those that were missing"
    assert [path.name for path in (place / "cut.mp4.parts").iterdir()] == ["notes.txt"], "nobody else's file is removed"


def test_chunks_of_other_settings_are_made_again(place, tiny_avatar):
    with pytest.raises(Cancelled):
        avatar(place, tiny_avatar, "video.mp4", cut_at(7), "--resume")
    other = avatar(place, tiny_avatar, "other.mp4", silent, "--resume", "--background=green")
    assert avatar(place, tiny_avatar, "video.mp4", silent, "--resume", "--background=green").read_bytes() == other.read_bytes()


def test_a_short_video_is_made_at_once(place, tiny_avatar, monkeypatch):
    monkeypatch.setattr(resumed, "SECONDS", 60.0)
    resumable, plain = avatar(place, tiny_avatar, "a.mp4", silent, "--resume"), avatar(place, tiny_avatar, "b.mp4")
    assert resumable.read_bytes() == plain.read_bytes()
    assert not (place / "a.mp4.parts").exists()


def test_a_portrait_keeps_its_motion(place, monkeypatch):
    import cv2
    from talking_heads.moditalker_core import pipeline

    cv2.imwrite(str(place / "face.png"), cv2.resize(cv2.imread(str(ROOT / "demo" / "demo_portrait.jpg")), (128, 128)))
    given = place / "noise.wav", place / "face.png"
    make(video_jobs, silent, *given, place / "whole.mp4", "--resume", "--motion-steps=2")
    with pytest.raises(Cancelled):
        make(video_jobs, cut_at(7), *given, place / "cut.mp4", "--resume", "--motion-steps=2")
    assert len(list((place / "cut.mp4.parts").glob("motion_*"))) == 1
    monkeypatch.setattr(pipeline, "speak", lambda *_, **__: pytest.fail("the motion was there"))
    make(video_jobs, silent, *given, place / "cut.mp4", "--resume", "--motion-steps=2")
    assert (place / "cut.mp4").read_bytes() == (place / "whole.mp4").read_bytes() and not (place / "cut.mp4.parts").exists()


def test_redrawn_clips_go_on_too(place):
    """Though a chunk's clips reach over its ends."""
    save_tiny_mtov(place / "mtov.safetensors", margin=1.6)
    Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((128, 128)).save(place / "face.png")
    given = place / "noise.wav", place / "face.png"
    more = "--carrier=redraw", f"--mtov={place / 'mtov.safetensors'}", "--motion-steps=2", "--steps=1"
    make(video_jobs, silent, *given, place / "plain.mov", *more)
    make(video_jobs, silent, *given, place / "parts.mov", *more, "--resume")
    plain, parts = (np.stack(list(read_frames(place / name))) for name in ("plain.mov", "parts.mov"))
    assert (plain == parts).all() and len(plain) == FRAMES


@pytest.mark.slow
def test_kill_9_costs_a_chunk_at_most(place):
    """A process of its own, killed in the second chunk at the earliest."""
    code = "import sys; from talking_heads.cli import main, resumed; resumed.SECONDS = 2.0; sys.exit(main.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "avatar", str(ROOT / "weights" / "demo_avatar.safetensors"),
               str(ROOT / "demo" / "demo_speech_short.wav"), str(place / "out.mp4"), "--size", "64", "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    first, parts = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL), place / "out.mp4.parts"
    until = time.monotonic() + 120
    while not (parts / "00000.mp4").exists() and first.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    there = len(list(parts.glob("[0-9]*.mp4")))
    assert there >= 1 and not (place / "out.mp4").exists()
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "of them by an earlier run" in said
    assert not [path.name for path in place.iterdir() if path.name not in ("noise.wav", "out.mp4")], "nothing is left"
