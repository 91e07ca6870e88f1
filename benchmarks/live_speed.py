"""A live avatar, 40 ms of audio at a time, on one core: speed, delay and memory.

    python benchmarks/live_speed.py [--seconds 600] [--draw 1] [--avatar FILE] [--causal NETS] [--write]

The demo speech over and over, with pauses. A frame's delay in audio is counted in samples from its first one; its delay in time
adds the work, as a queue would: a piece waits until the one before it is done. Memory is watched where `--seconds` are 120 or
more; `--draw 8` draws the frames of one piece in eight and listens to all, for a busy machine: then only memory means anything.
Prints the table; with `--write` it goes to benchmarks/results/live_speed.md.
"""
from __future__ import annotations

import argparse
import os
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.live_driving import LiveSettings
from talking_heads.hmtalker_core.training.causal import with_causal
from talking_heads.media_core.audio import load_sound

PIECE, RATE = 640, 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--causal", type=Path, help="audio nets of its causal variant")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--draw", type=int, default=1, metavar="N", help="draw the frames of one piece in N")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    avatar = load_avatar(args.avatar)
    stream = AvatarStream(avatar if args.causal is None else with_causal(avatar, args.causal), LiveSettings(blinks="generated"))
    stream.prepare()
    text = report(measured(stream, args.seconds, args.draw), stream, args)
    print(text)
    if args.write:
        results_folder().joinpath(f"live_speed{'_causal' if args.causal else ''}.md").write_text(text, encoding="utf-8")


def measured(stream: AvatarStream, seconds: float, draw: int) -> dict[str, np.ndarray]:
    """work, cpu: s per piece; memory: MiB after each second; audio: samples from each frame's first one; at: its piece."""
    demo = load_sound(ROOT / "demo" / "demo_speech.wav").mono(RATE)
    audio = np.concatenate([demo, np.zeros(4 * RATE, np.float32)])
    work, cpu, memory, waited, at = [], [], [], [], []
    for piece in range(round(seconds * RATE / PIECE)):
        samples = np.take(audio, np.arange(piece * PIECE, (piece + 1) * PIECE), mode="wrap")
        before, began, busy = stream.frames, time.perf_counter(), time.process_time()
        stream.feed(samples, show=piece % draw == 0)
        work.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
        for frame in range(before, stream.frames):
            waited.append((piece + 1) * PIECE - frame * PIECE)
            at.append(piece)
        if piece % 25 == 24:
            memory.append(resident())
    return {name: np.array(rows) for name, rows in
            (("work", work), ("cpu", cpu), ("memory", memory), ("audio", waited), ("at", at))}


def resident() -> float:
    """This process's memory, MiB (Linux; elsewhere NaN)."""
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmRSS:")[1].split()[0]) / 1024 if status.exists() else float("nan")


def delays(figures: dict[str, np.ndarray]) -> np.ndarray:
    """Seconds from the beginning of each frame's audio to the end of the work on it, where pieces come in real time."""
    done, out = 0.0, []
    for piece, work in enumerate(figures["work"]):
        done = max((piece + 1) * PIECE / RATE, done) + work
        out.append(done)
    return np.array(out)[figures["at"]] - np.arange(len(figures["at"])) * PIECE / RATE


def report(figures: dict[str, np.ndarray], stream: AvatarStream, args: argparse.Namespace) -> str:
    work, seconds, late = figures["work"], len(figures["work"]) * PIECE / RATE, delays(figures) * 1000
    height, width = stream.shape
    met = lambda ok: "met" if ok else "**not met**"
    pick = lambda values: " / ".join(f"{np.percentile(values, p):.0f}" for p in (50, 95, 99, 100))
    wanted = 140 if args.causal else 260
    rate, memory = len(figures["at"]) / work.sum(), figures["memory"]
    counts, edges = np.histogram(late, bins=[0, 140, 180, 220, 260, 300, 350, 400, 500, 1000, 1e9])
    histogram = ", ".join(f"{count} under {edge:.0f}" for count, edge in zip(counts, edges[1:-1]) if count)
    more = f", {counts[-1]} later" if counts[-1] else ""
    lines = [
        "# Live speed" + (", causal" if args.causal else ""), "",
        f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; "
        f"`OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/live_speed.py --seconds {args.seconds:g}"
        f"{f' --draw {args.draw}' if args.draw > 1 else ''}{' --causal NETS' if args.causal else ''}`; {args.avatar.name}, "
        f"{width} x {height} px, one thread; {seconds:.0f} s of "
        "audio in pieces of 40 ms.", "",
        "| figure | value | wanted |", "|---|---|---|",
        f"| frames per second of work | {rate:.1f} | >= 25: {met(rate >= 25)} |",
        f"| audio over work (real-time factor) | {seconds / work.sum():.2f} | >= 1: {met(seconds >= work.sum())} |",
        f"| the same over processor time | {seconds / figures['cpu'].sum():.2f} | |",
        f"| work per piece, ms: median / 95 % / 99 % / most | {pick(work * 1000)} | |",
        f"| delay in audio, ms: median / 95 % / 99 % / most | {pick(figures['audio'] / 16)} | pieces of 40 ms round it up |",
        f"| the promised wait, ms | {stream.wait / 16:.1f} | <= {wanted}: {met(stream.wait <= wanted * 16)} |",
        f"| delay with the work, ms: median / 95 % / 99 % / most | {pick(late)} | |",
        f"| delay with the work, frames | {histogram}{more} ms | |"]
    if seconds >= 120:
        first, last = memory[59], memory[-1]
        lines += [f"| memory after 1 min, MiB | {first:.1f} | |",
                  f"| memory after {seconds / 60:.0f} min, MiB | {last:.1f} | <= 1.02 times: {met(last <= 1.02 * first)} |"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
