"""Whether the memory of a capture stays flat: films of 16 : 9, short and long, each captured in a process of its own.

    python benchmarks/capture_memory.py [--seconds 20 80] [--height 1080] [--size 512] [--no-masks] [--given]
                                        [--work FOLDER]

The picture is a synthetic person beside a busy background; a few seconds of it run to and fro. A length's figures stay in the
work folder: a run that is cut off goes on with the next. With --given the face's points are the synthetic person's own instead
of the tracker's, which is by far the most work: so five minutes can be measured on a busy machine. The shortest film is captured
twice, since kernels that are compiled for the first time take memory. Writes benchmarks/results/capture_memory.md.
"""
from __future__ import annotations

import argparse
import json
import platform
import resource
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
from common import results_folder, talking_heads  # noqa: F401

LOOP = 60  # different frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_memory"))
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 80.0])
    parser.add_argument("--height", type=int, default=1080, help="of the film, px")
    parser.add_argument("--size", type=int, default=512, help="of the frames, px")
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--given", action="store_true", help="the points are given, not found")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measured(args)
        return
    rows = [measured_once(args, seconds) for seconds in args.seconds]
    text = report(rows, args)
    print(text)
    results_folder().joinpath("capture_memory.md").write_text(text, encoding="utf-8")


def measured_once(args: argparse.Namespace, seconds: float) -> tuple[float, float, float]:
    """(s of film, MB at most, s it took), from the work folder where it was measured before."""
    kept = args.work / f"{seconds:g}_{args.height}_{args.size}{'_no_masks' * args.no_masks}{'_given' * args.given}.json"
    if not kept.exists():
        film = large_film(args.work / f"{seconds:g}_{args.height}.mp4", seconds, args.height)
        command = [sys.executable, __file__, "--work", str(args.work), "--size", str(args.size), "--child", str(film)]
        command += ["--no-masks"] * args.no_masks + ["--given"] * args.given
        for _ in range(2 if seconds == min(args.seconds) else 1):
            started = time.perf_counter()
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        kept.write_text(json.dumps([seconds, float(said.split()[-1]), time.perf_counter() - started]))
    row = tuple(json.loads(kept.read_text()))
    print(f"{row[0]:g} s of film: {row[1]:.0f} MB at most, {row[2]:.0f} s", flush=True)
    return row


def measured(args: argparse.Namespace) -> None:
    """Captures one film and says the peak memory of this process and its children, MB."""
    from talking_heads.media_core.capture import CaptureSettings, capture
    from talking_heads.media_core.face.landmarks.raw_track import RawTrack

    folder = args.child.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)  # a continued capture would need less memory
    track = RawTrack.load(args.child.with_suffix(".safetensors")) if args.given else None
    capture(args.child, folder, CaptureSettings(size=args.size, masks=not args.no_masks), face_landmarks=track)
    shutil.rmtree(folder)
    print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024)


def large_film(path: Path, seconds: float, height: int) -> Path:
    """A person in a wide picture, with sound; beside it a file of the person's points."""
    import cv2
    from skimage import data
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.face.landmarks.raw_track import RawTrack
    from talking_heads.media_core.motion import ping_pong
    from talking_heads.media_core.subject import Subject, perform
    from talking_heads.media_core.video import VideoWriter

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    subject, spoken = Subject(512, 42), perform(seconds, 3)
    width, side = height * 16 // 9, height * 5 // 6
    back = cv2.resize(data.coffee(), (width, height))
    loop, points = [], []
    for i in range(LOOP):
        frame = back.copy()
        shot = subject.render(spoken.params[i], subject.pose(spoken.euler[i], spoken.translation[i]), spoken.sway[i])
        frame[height - side:, width // 4:width // 4 + side] = cv2.resize(shot.rgb, (side, side), interpolation=cv2.INTER_CUBIC)
        loop.append(frame)
        points.append((shot.landmarks2d + .5) * side / 512 - .5 + (width // 4, height - side))
    shown = ping_pong(LOOP, round(seconds * 25))
    RawTrack(points=np.stack(points).astype(np.float32)[shown], confidence=np.ones(len(shown), np.float32),
             image_size=(height, width), fps=25.0).save(path.with_suffix(".safetensors"))
    sound = Sound(spoken.sound.waveform.astype(np.float32), spoken.sound.sample_rate)
    with VideoWriter(path, width, height, 25, sound, preset="ultrafast") as film:
        for index in shown:
            film.write(loop[int(index)])
    return path


def report(rows: list, args: argparse.Namespace) -> str:
    options = f"--height {args.height} --size {args.size}" + " --no-masks" * args.no_masks + " --given" * args.given
    first, last = rows[0], rows[-1]
    return "\n".join(
        ["# Memory of a capture", "", f"{date.today().isoformat()}, {platform.machine()}; `python benchmarks/capture_memory.py "
         f"--seconds {' '.join(f'{r[0]:g}' for r in rows)} {options}`; {args.height * 16 // 9} x {args.height} px, frames of "
         f"{args.size} px.", "",
         "| film, s | peak memory, MB | time, s |", "|---|---|---|", *(f"| {s:g} | {m:.0f} | {t:.0f} |" for s, m, t in rows), "",
         f"{last[0] / first[0]:.1f} times the film, {last[1] / first[1]:.3f} times the memory: "
         f"{(last[1] - first[1]) / (last[0] - first[0]) * 60:.1f} MB more for each further minute."]) + "\n"


if __name__ == "__main__":
    main()
