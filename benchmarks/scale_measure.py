"""What `scale.py` measures: the cost of a unit, of starting, of handing out; and batches on 1, 2 and 4 workers of Ray."""
from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.cli.executor import Result, Unit
from talking_heads.media_core.audio import Sound, load_sound, save_wav
from talking_heads.media_core.progress import Report, silent

FPS = 25
AVATAR = ROOT / "weights" / "demo_avatar.safetensors"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
REPEATS = 6  # of a unit
NOTHING = 300  # units without work


class Nothing:
    """A worker that does nothing: what is left is the cost of handing out."""

    def __call__(self, unit: Unit, report: Report) -> Result:
        return {}

    def forget(self) -> None:
        pass


def speech(work: Path, seconds: Sequence[float]) -> list[Path]:
    """Files of the demo speech, of these lengths."""
    sound, paths = load_sound(ROOT / "demo" / "demo_speech.wav"), list[Path]()
    for number, length in enumerate(seconds):
        path = work / f"{number}.wav"
        wave = np.roll(sound.waveform, -number * 4000, 1)
        paths.append(save_wav(path, Sound(np.resize(wave, (1, round(length * sound.sample_rate))), sound.sample_rate)))
    return paths


def line(audio: Path, output: Path, size: int) -> dict[str, Any]:
    return {"avatar": str(AVATAR), "audio": str(audio), "output": str(output), "size": str(size)}


def manifest(work: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    path = work / "jobs.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def unit_costs(work: Path, seconds: float, size: int, together: int = 1) -> list[dict[str, Any]]:
    """The same unit again and again in plain processes, `together` of them at once, without Ray: of each process the seconds of
    its first unit, of the others, and the processors' seconds of those."""
    work.mkdir(parents=True, exist_ok=True)
    (audio,) = speech(work, [seconds])
    began = time.perf_counter()
    children = []
    for number in range(together):
        command = [sys.executable, __file__, json.dumps(line(audio, work / f"{number}.mp4", size)), str(work)]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_alone()))
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()  # it has done its first unit
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    found = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    return [{**one, "all": time.perf_counter() - began} for one in found]


def _alone() -> dict[str, str]:
    return {**os.environ, **ONE_THREAD}


def _repeat() -> None:
    """A child of `unit_costs`."""
    began = time.perf_counter()
    from talking_heads.cli.batch_manifest import read_manifest
    from talking_heads.cli.batch_work import LineWorker, unit_of

    work = Path(sys.argv[2])
    path = work / f"{os.getpid()}.jsonl"
    path.write_text(sys.argv[1] + "\n")
    (job,) = read_manifest(path, input_dir=work, output_dir=work)
    worker = LineWorker()
    began = time.perf_counter()
    worker(unit_of(job), silent)
    first = time.perf_counter() - began
    print("ready", flush=True)
    sys.stdin.readline()
    wall, cpu = [], []
    for _ in range(REPEATS):
        at, spent = time.perf_counter(), time.process_time()
        worker(unit_of(job), silent)
        wall.append(time.perf_counter() - at)
        cpu.append(time.process_time() - spent)
    print(json.dumps({"first": first, "wall": wall, "cpu": cpu, "bytes": Path(job.output).stat().st_size,
                      "read": Path(job.given["audio"]).stat().st_size}))


def handing() -> dict[str, float]:
    """Of Ray alone, no work in the units: seconds to start it here, for a worker's start, for a unit, and to end."""
    os.environ.update(ONE_THREAD)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    from talking_heads.cli.executor import InProcess
    from talking_heads.cli.ray_executor import _connected
    from talking_heads.cli.ray_pool import Pool

    def watch(number: int, done: int, total: int, info: Mapping[str, Any]) -> None:
        pass

    def again(number: int, error: Exception) -> None:
        raise error

    began = time.perf_counter()
    with _connected("2"):
        joined = time.perf_counter()
        outcomes = Pool("scale_measure:Nothing", [{}] * NOTHING, 2, watch, again, 0).outcomes(False)
        next(outcomes)
        started = time.perf_counter()
        assert all(outcome.error is None for outcome in outcomes)
        done = time.perf_counter()
    ended = time.perf_counter()
    assert sum(1 for _ in InProcess().run("scale_measure:Nothing", [{}], watch=watch, again=again)) == 1
    return {"join": joined - began, "start": started - joined, "unit": (done - started) / (NOTHING - 1), "end": ended - done}


def noting(work: Path) -> float:
    """Seconds to note the end of a line in the batch's report, on disk."""
    from talking_heads.cli.batch_manifest import read_manifest
    from talking_heads.cli.batch_state import Report as Entries

    (audio,) = speech(work, [1.0])
    out = work / "noted.mp4"
    (job,) = read_manifest(manifest(work, [line(audio, out, 64)]), input_dir=work, output_dir=work)
    out.write_bytes(b"video")
    entries = Entries(work / "report.jsonl", [job])
    entries.add(job, {"status": "ok"})
    began = time.perf_counter()
    for _ in range(REPEATS):
        entries.add(job, {"status": "ok"})
    return (time.perf_counter() - began) / REPEATS


def imported(work: Path) -> float:
    """Seconds of the command until work can begin: `batch --check`."""
    (audio,) = speech(work, [1.0])
    path = manifest(work, [line(audio, work / "x.mp4", 64)])
    times = []
    for _ in range(3):
        began = time.perf_counter()
        _command(path, work, "--check")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def batch(work: Path, audio: Sequence[Path], size: int, workers: int) -> float:
    """Seconds of a whole `talking-heads batch --workers N`."""
    out = work / f"out{workers}"
    shutil.rmtree(out, ignore_errors=True)
    path = manifest(work, [line(file, out / f"{number}.mp4", size) for number, file in enumerate(audio)])
    began = time.perf_counter()
    _command(path, out, "--workers", str(workers))
    seconds = time.perf_counter() - began
    if len(list(out.glob("*.mp4"))) != len(audio):
        raise ValueError("a video is missing")
    return seconds


def _command(path: Path, out: Path, *more: str) -> None:
    subprocess.run([sys.executable, "-m", "talking_heads.cli", "batch", str(path), "--output-dir", str(out), "--again", *more],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_alone())


def one_video(work: Path, seconds: float, size: int) -> dict[str, float]:
    """Of one long video: seconds to listen to all of it, for each frame, and to join its chunks, for each frame."""
    import torch
    from talking_heads.hmtalker_core.checkpoints import load_avatar
    from talking_heads.hmtalker_core.streaming import render_video
    from talking_heads.media_core.chunks import Chunk, complete, join, read_chunk
    from talking_heads.media_core.speech import encode_speech

    torch.set_num_threads(1)
    (audio,) = speech(work, [seconds])
    avatar, sound = load_avatar(AVATAR, "cpu"), load_sound(audio)
    avatar.drive(encode_speech(sound.cut(0, 2), avatar.encoder))
    began = time.perf_counter()
    motion = avatar.drive(encode_speech(load_sound(audio), avatar.encoder))
    listened = time.perf_counter() - began
    files = []
    for chunk in (Chunk(index, 2, len(motion)) for index in range(2)):
        path = work / f"chunk{chunk.index}.mp4"
        render_video(avatar, motion, path, size=(size, size), part=(chunk.start, chunk.stop), metadata=chunk.tags({}))
        files.append(read_chunk(path))
    began = time.perf_counter()
    join(complete([one for one in files if one is not None]), work / "joined.mp4", sound)
    return {"listen": listened / len(motion), "join": (time.perf_counter() - began) / len(motion)}


if __name__ == "__main__":
    _repeat()
