"""Whether AToM's time for a frame and its memory stay flat: the motion of short and of long speech, each in a process of its own.

    python benchmarks/atom_memory.py [--weights FILE] [--seconds 12 120] [--repeats 3]

Speech is the demo's, repeated. Each process warms up on two seconds, then goes from the sound to the finished motion; CPU seconds
are the least of the repeats. Writes benchmarks/results/atom_memory.md. Linux and macOS (the resource module).
"""
from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import ROOT, peak_mib, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.media_core.audio import Sound, fitted, load_sound
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.speech import encode_speech
from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion

SPEECH = ROOT / "demo" / "demo_speech.wav"
SLOWER, LARGER = 1.1, 1.05  # wanted: at most so many times the short one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED_ATOM)
    parser.add_argument("--seconds", type=float, nargs=2, default=[12.0, 120.0], metavar=("SHORT", "LONG"))
    parser.add_argument("--repeats", type=int, default=3, help="processes for each length, taken in turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)  # in a child process: seconds of speech
    args = parser.parse_args()
    if args.child:
        return print(json.dumps(measured(args)))
    runs: dict[float, list[dict]] = {seconds: [] for seconds in args.seconds}
    for _ in range(args.repeats):
        for seconds, found in runs.items():
            found.append(child(args, seconds))
            print(f"{seconds:g} s: {found[-1]}", file=sys.stderr, flush=True)
    text = report(args, [{name: min(run[name] for run in found) for name in found[0]} for found in runs.values()])
    print(text)
    results_folder().joinpath("atom_memory.md").write_text(text, encoding="utf-8")


def child(args: argparse.Namespace, seconds: float) -> dict[str, float]:
    command = [sys.executable, __file__, "--weights", str(args.weights), "--threads", str(args.threads), "--child", str(seconds)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def measured(args: argparse.Namespace) -> dict[str, float]:
    """CPU and wall seconds a frame from the sound to the motion, and the peak memory of this process in MiB."""
    torch.set_num_threads(args.threads)
    atom, portrait = load_atom(args.weights), LandmarkTrack(torch.from_numpy(mean_face())[None])
    make = lambda seconds: generate_motion(atom, encode_speech(speech_of(seconds), atom.config.speech.encoder), portrait,
                                           SamplingSettings())
    make(2.0)
    wall, cpu = time.perf_counter(), time.process_time()
    frames = len(make(args.child))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu / frames, "wall": wall / frames, "frames": frames, "peak": peak_mib()}


def speech_of(seconds: float) -> Sound:
    """The demo speech, repeated or cut to `seconds`."""
    sound = load_sound(SPEECH)
    wanted = int(seconds * sound.sample_rate)
    repeats = -(-wanted // sound.waveform.shape[1])
    return Sound(fitted(np.tile(sound.waveform, (1, repeats)), wanted), sound.sample_rate)


def report(args: argparse.Namespace, found: list[dict]) -> str:
    short, long = found
    rows = (("CPU s a frame", "cpu", 5, SLOWER), ("wall s a frame", "wall", 5, None), ("peak memory, MiB", "peak", 0, LARGER))
    lines = ["# Time and memory of AToM over the length of speech", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/atom_memory.py "
             f"--weights {args.weights.name} --seconds {args.seconds[0]:g} {args.seconds[1]:g} --repeats {args.repeats}`; "
             f"{args.threads} thread(s), from the sound to the motion, {short['frames']} and {long['frames']} frames.", "",
             f"| figure | {args.seconds[0]:g} s | {args.seconds[1]:g} s | ratio | wanted |", "|---|---|---|---|---|"]
    for name, key, digits, bound in rows:
        ratio = long[key] / short[key]
        wanted = "" if bound is None else f"<= {bound:g}: " + ("met" if ratio <= bound else "**NOT met**")
        lines.append(f"| {name} | {short[key]:.{digits}f} | {long[key]:.{digits}f} | {ratio:.3f} | {wanted} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
