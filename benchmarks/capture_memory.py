"""Whether the memory of a capture stays flat: films of 1920 x 1080 px, short and long, each captured in a process of its own.

    python benchmarks/capture_memory.py [--seconds 20 80] [--no-masks]

The picture is a synthetic person beside a busy background; a few seconds of it run to and fro. Writes
benchmarks/results/capture_memory.md.
"""
from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from common import results_folder, talking_heads  # noqa: F401

WIDTH, HEIGHT, LOOP = 1920, 1080, 60  # px, px, different frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_memory"))
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 80.0])
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measured(args)
        return
    rows = []
    for seconds in args.seconds:
        film = large_film(args.work / f"{seconds:g}.mp4", seconds)
        started = time.perf_counter()
        command = [sys.executable, __file__, "--work", str(args.work), "--child", str(film)]
        said = subprocess.run(command + ["--no-masks"] * args.no_masks, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append((seconds, float(said.split()[-1]), time.perf_counter() - started))
        print(f"{seconds:g} s of film: {rows[-1][1]:.0f} MB at most, {rows[-1][2]:.0f} s", flush=True)
    text = report(rows, args)
    print(text)
    results_folder().joinpath("capture_memory.md").write_text(text, encoding="utf-8")


def measured(args: argparse.Namespace) -> None:
    """Captures one film and says the peak memory of this process and its children, MB."""
    import shutil

    from talking_heads.media_core.capture import CaptureSettings, capture

    folder = args.child.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    capture(args.child, folder, CaptureSettings(masks=not args.no_masks))
    print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024)


def large_film(path: Path, seconds: float) -> Path:
    """A person in a wide picture, with sound."""
    import cv2
    from skimage import data
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.motion import ping_pong
    from talking_heads.media_core.subject import Subject, perform
    from talking_heads.media_core.video import VideoWriter

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    subject, spoken = Subject(512, 42), perform(seconds, 3)
    back = cv2.resize(data.coffee(), (WIDTH, HEIGHT))
    loop = []
    for i in range(LOOP):
        frame = back.copy()
        shot = subject.render(spoken.params[i], subject.pose(spoken.euler[i], spoken.translation[i]), spoken.sway[i]).rgb
        frame[180:1080, 500:1400] = cv2.resize(shot, (900, 900), interpolation=cv2.INTER_CUBIC)
        loop.append(frame)
    sound = Sound(spoken.sound.waveform.astype(np.float32), spoken.sound.sample_rate)
    with VideoWriter(path, WIDTH, HEIGHT, 25, sound, preset="ultrafast") as film:
        for index in ping_pong(LOOP, round(seconds * 25)):
            film.write(loop[int(index)])
    return path


def report(rows: list, args: argparse.Namespace) -> str:
    masks = " --no-masks" if args.no_masks else ""
    first, last = rows[0], rows[-1]
    return "\n".join(
        ["# Memory of a capture", "", f"{date.today().isoformat()}, {platform.machine()}; `python benchmarks/capture_memory.py "
         f"--seconds {' '.join(f'{r[0]:g}' for r in rows)}{masks}`; {WIDTH} x {HEIGHT} px, frames of 512 px.", "",
         "| film, s | peak memory, MB | time, s |", "|---|---|---|", *(f"| {s:g} | {m:.0f} | {t:.0f} |" for s, m, t in rows), "",
         f"{last[0] / first[0]:.1f} times the film, {last[1] / first[1]:.3f} times the memory: "
         f"{(last[1] - first[1]) / (last[0] - first[0]) * 60:.1f} MB more for each further minute; five minutes would need about "
         f"{last[1] + (300 - last[0]) * max(0.0, (last[1] - first[1]) / (last[0] - first[0])):.0f} MB (2000 MB allowed)."]) + "\n"


if __name__ == "__main__":
    main()
