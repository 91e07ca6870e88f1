"""What soak.py measures in processes beside it: many prompts through one `talking-heads serve`, and runs that are killed."""
from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import progress_line, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from soak_videos import AVATAR, FPS, SPEECH, long_speech
from soak_watch import OURS, Watch, temporary_files
from talking_heads.cli import avatar_jobs, resumed
from talking_heads.cli.comfy_client import ComfyClient
from talking_heads.cli.loaded import Models
from talking_heads.media_core.audio import load_sound, save_wav
from talking_heads.media_core.chunks import Chunk

QUEUED = 2  # prompts at a time: the server never waits
PATIENCE = 0.05  # s between two looks at the queue


def server(work: Path, prompts: int, seconds: float) -> dict[str, Any]:
    """Prompts that each make a video of `seconds`, none equal to another; memory, files and handles of the server's process."""
    base = work / "base"
    shutil.rmtree(base, ignore_errors=True)
    (base / "models" / "talking_heads").mkdir(parents=True)
    (base / "input").mkdir()
    shutil.copy(AVATAR, base / "models" / "talking_heads" / "me.safetensors")
    save_wav(base / "input" / "speech.wav", load_sound(SPEECH).cut(0, seconds))
    watch, temporary, shown = Watch(prompts), list[int](), progress_line(20)
    with _served(base) as (process, address):
        watch.process, client, waiting, sent, ended = process, ComfyClient(address), list[str](), 0, 0
        while ended < prompts:
            while sent < prompts and len(waiting) < QUEUED:
                waiting.append(client.submit(_prompt(sent)))
                sent += 1
            if client.ended(waiting[0]) is None:  # raises where it failed
                time.sleep(PATIENCE)
                continue
            waiting.pop(0)
            ended += 1
            looks = len(watch.seen)
            watch.at(ended)
            if len(watch.seen) > looks:
                temporary.append(_temporary(process))
            shown(ended, prompts, {}, None)
        made = len(list((base / "output").rglob("*.mp4")))
        found = {**watch.figures(), "prompts": prompts, "seconds": time.monotonic() - watch.began, "made": made,
                 "temporary": temporary}
    return {**found, "left": temporary_files(process=process)}


def _prompt(seed: int) -> dict[str, Any]:
    """A video of the avatar; the seed makes each another one, which nothing remembered can answer."""
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}

    return {"1": node("LoadAudio", audio="speech.wav"),
            "2": node("TalkingHead_EncodeSpeech", audio=["1", 0], encoder="mel", model_folder="none", layer=-1, precision="fp32"),
            "3": node("HMTalker_LoadAvatar", avatar_name="me.safetensors"),
            "4": node("HMTalker_DriveAvatar", avatar=["3", 0], speech=["2", 0], blinks="generated", smoothing=0.0, lip_gain=1.0,
                      seed=seed),
            "5": node("HMTalker_RenderAvatarVideo", avatar=["3", 0], motion=["4", 0], background="plate", backend="auto", crf=18,
                      audio=["1", 0], width=64, height=64),
            "9": node("TalkingHead_SaveVideoFile", video=["5", 0], filename_prefix="soak/video")}


@contextmanager
def _served(base: Path) -> Iterator[tuple[int, str]]:
    """(process, address) of a server on a free port."""
    pages = base / "pages"
    pages.mkdir()
    (pages / "index.html").write_text("<html></html>")
    command = [sys.executable, "-m", "talking_heads.cli", "serve", "--port=0", f"--base-dir={base}", f"--frontend={pages}"]
    with open(base / "log.txt", "w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            yield process.pid, next(word for word in process.stdout.readline().split() if word.startswith("http://"))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _temporary(process: int) -> int:
    """Files in the server's temporary folders."""
    return sum(path.is_file() for folder in Path(tempfile.gettempdir()).glob(OURS) if f"-{process}-" in folder.name
               for path in folder.rglob("*"))


def kill(work: Path, seconds: float, size: int, kills: int) -> dict[str, Any]:
    """`talking-heads avatar --resume`, killed (SIGKILL) at moments of chance, until it is through; and once undisturbed.

    Returns, besides: of every kill the frames that were made and the frames of whole chunks, which are kept.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    frames = round(seconds * FPS)
    speech, out, count = long_speech(work / "speech.wav", frames, 1), work / "killed.mp4", work / "count"
    began = time.monotonic()
    subprocess.run(_avatar(speech, work / "whole.mp4", size), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    undisturbed = time.monotonic() - began
    chance, found = random.Random(0), list[dict[str, int]]()
    chunk = Chunk(0, -(-frames // round(resumed.SECONDS * FPS)), frames).stop
    moments = sorted(chance.uniform(0.05, 0.95) for _ in range(kills))
    for moment in moments:
        made = _killed(speech, out, size, count, round(moment * frames))
        kept = chunk * len(list((work / "killed.mp4.parts").glob("[0-9]*.mp4")))
        found.append({"made": made, "kept": min(kept, frames)})
    said = subprocess.run(_avatar(speech, out, size), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    count.unlink()
    return {"kills": found, "seconds": time.monotonic() - began, "undisturbed": undisturbed, "chunk": chunk, "length": seconds,
            "equal": out.read_bytes() == (work / "whole.mp4").read_bytes(), "said": said.stdout.strip().splitlines()[-1],
            "left": sorted(path.name for path in work.iterdir() if path.name not in ("speech.wav", "whole.mp4", "killed.mp4"))}


def _killed(speech: Path, out: Path, size: int, count: Path, moment: int) -> int:
    """A run that is killed as soon as it has made so many frames of the video; how many it had."""
    count.write_text("0")
    command = [sys.executable, __file__, str(count), *_avatar(speech, out, size)[4:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while int(count.read_text() or 0) < moment and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if out.exists():
        raise ValueError("the run was through before it could be killed: let the video be longer")
    return int(count.read_text() or 0)


def _counted() -> None:
    """A child of `_killed`: the command `avatar`, which also writes down at every step how many frames of the video are made."""
    count, parser = Path(sys.argv[1]), argparse.ArgumentParser()
    avatar_jobs.add_options(parser)
    options = parser.parse_args(sys.argv[2:])

    def report(done: int, total: int, info: Mapping[str, Any], preview: object = None) -> None:
        if info.get("phase") == "render":
            count.write_text(str(done))

    avatar_jobs.made(options, Path(options.out), Models(), report)


def _avatar(speech: Path, out: Path, size: int) -> list[str]:
    return [sys.executable, "-m", "talking_heads.cli", "avatar", str(AVATAR), str(speech), str(out), f"--size={size}", "--resume"]


if __name__ == "__main__":
    _counted()
