"""Short forms of benchmarks/soak.py: what long videos use up, and that its measures find what is wrong."""
from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.video import VideoWriter

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
OURS = ("soak_watch", "soak_videos", "soak_server", "common")


@pytest.fixture(scope="module")
def soak():
    """Its modules."""
    sys.path.insert(0, str(BENCHMARKS))
    import soak_server
    import soak_videos
    import soak_watch

    yield {"watch": soak_watch, "videos": soak_videos, "server": soak_server}
    sys.path.remove(str(BENCHMARKS))
    for name in OURS:
        sys.modules.pop(name, None)


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@pytest.mark.slow
def test_forty_seconds_need_no_more_than_ten(soak, tmp_path, tiny_avatar):
    """An avatar's video of 1000 frames: its looks begin before the tenth second."""
    from talking_heads.cli import avatar_jobs

    sound = 0.1 * np.random.default_rng(0).standard_normal((1, 40 * 16000))
    save_wav(tmp_path / "speech.wav", Sound(sound.astype(np.float32), 16000))
    out, watch = tmp_path / "out.mp4", soak["watch"].Watch(1000, looks=8)
    options = soak["videos"]._options(avatar_jobs, str(tiny_avatar), str(tmp_path / "speech.wav"), str(out), "--size=64")
    found = soak["videos"]._run(avatar_jobs, options, out, watch)
    assert len(found["looks"]) >= 8 and found["looks"][0]["done"] <= 250
    assert found["growth"] <= 1.05 and found["handles"] <= 0 and not found["left"], found


def test_what_grows_is_seen(soak, tmp_path):
    watch, kept, files = soak["watch"].Watch(100, looks=5), [], []
    # Bytes. New pages: numpy may be given what others have left.
    each = int(soak["watch"].resident(os.getpid()) * 2 ** 20) // 100
    for done in range(1, 101):
        kept.append(mmap.mmap(-1, each))
        kept[-1].write(b"1" * each)
        files.append((tmp_path / f".{done}.part").open("w"))
        watch.at(done)
    found = watch.figures()
    assert found["growth"] > 1.2 and found["handles"] > 50 and len(soak["watch"].temporary_files(tmp_path)) >= 100
    for one in (*files, *kept):
        one.close()


def test_colours_that_drift_are_seen(soak, tmp_path):
    """By two of 255 from the first to the last of ten frames."""
    with VideoWriter(tmp_path / "a.mp4", 32, 32, crf=0) as film:
        for number in range(10):
            film.write(np.full((32, 32, 3), 100 + 2 * (number >= 5), np.uint8))
    assert soak["watch"].drift(tmp_path / "a.mp4", 25, (0, 5), 5)["colour"] == pytest.approx(2, abs=1)
    assert soak["watch"].drift(tmp_path / "a.mp4", 25, (0, 1), 4)["colour"] < 0.1


@pytest.mark.slow
def test_prompts_leave_nothing(soak, tmp_path):
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: the server was not tried")
    found = soak["server"].server(tmp_path, 6, 0.4)
    assert found["made"] == 6 and not found["left"] and found["handles"] <= 2
    assert found["temporary"][-1] <= 12, "files of prompts that have ended are removed"
