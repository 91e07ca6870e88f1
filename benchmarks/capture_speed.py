"""How fast a capture is and how much memory it takes, stage by stage, on a video of your own.

    python benchmarks/capture_speed.py VIDEO [--seconds 30 300] [--size 512] [--no-masks] [--tracker people]

The video is repeated until it is as long as asked; each length is captured in a process of its own. CPU time is that of all
threads, which other work makes a little dearer (caches are shared); divided by the number of cores it is the best time possible.
Writes benchmarks/results/capture_speed.md.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)

RATE = 25.0       # frames per second of the dataset
ALLOWED = 1.05    # times the short video's memory that the long one may take
WANTED = 20.0     # frames per second


@dataclass
class Clock:
    """CPU and wall time by stage; a report for `capture`."""

    stages: dict[str, list[float]] = field(default_factory=dict)  # s of CPU, s by the wall clock, MB of memory afterwards
    frames: int = 0
    _stage: str = ""
    _since: tuple[float, float] = (0.0, 0.0)

    def __call__(self, done: int, total: int, info: Mapping[str, object], preview: np.ndarray | None) -> None:
        stage, frames = str(info["stage"]), info["frames"]
        if stage == "writing frames" and isinstance(frames, int):
            self.frames = max(self.frames, frames)
        if stage != self._stage:
            self.end()
            self._stage = stage

    def end(self) -> None:
        """The stage that ran is over."""
        now = time.process_time(), time.perf_counter()
        if self._stage:
            spent = self.stages.setdefault(self._stage, [0.0, 0.0, 0.0])
            spent[0] += now[0] - self._since[0]
            spent[1] += now[1] - self._since[1]
            spent[2] = peak()
        self._since = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_speed"))
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0, 300.0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--no-masks", action="store_true")
    parser.add_argument("--tracker", choices=("people", "rendered"), default="people")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(captured(args.video, args)))
        return
    rows = []
    before = busy()
    for seconds in args.seconds:
        film = repeated(args.video, args.work / f"{args.video.stem}_{seconds:g}.mp4", seconds)
        command = [sys.executable, __file__, str(film), "--child", "--work", str(args.work), "--size", str(args.size),
                   "--tracker", args.tracker, *["--no-masks"] * args.no_masks]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append((seconds, json.loads(said.splitlines()[-1])))
        print(table(*rows[-1]), flush=True)
    if len(rows) > 1:
        print(growth(rows))
    results_folder().joinpath("capture_speed.md").write_text(written(args, rows, before), encoding="utf-8")


def growth(rows: list[tuple[float, dict]]) -> str:
    """What the longest video takes more of memory than the shortest."""
    (short, first), (long, last) = rows[0], rows[-1]
    share = last["peak"] / first["peak"]
    return (f"memory: {share:.3f} times that of {short:g} s for {long:g} s (at most {ALLOWED:g} wanted); "
            f"{1024 * (last['peak'] - first['peak']) / max(last['frames'] - first['frames'], 1):.1f} KB per frame more")


def written(args: argparse.Namespace, rows: list[tuple[float, dict]], before: str) -> str:
    """The result file."""
    from talking_heads.media_core.video import probe

    info, lengths = probe(args.video), " ".join(f"{seconds:g}" for seconds in args.seconds)
    tables = "\n".join(table(*row) for row in rows) + (f"\n{growth(rows)}\n" if len(rows) > 1 else "")
    return (f"# Speed and memory of a capture\n\n`python benchmarks/capture_speed.py {args.video.name} --seconds {lengths}`: "
            f"{info.width} x {info.height}, repeated until it was that long, to {args.size} x {args.size}, "
            f"{'without' if args.no_masks else 'with'} masks, tracker {args.tracker}, on {os.cpu_count()} cores. Processes that "
            f"wanted to run meanwhile, on average over a minute: {before} at the beginning, {busy()} at the end; where other "
            f"programs want the cores too, the wall clock says little.\n\n```\n{tables}```\n")


def busy() -> str:
    """Processes that want to run, on average over a minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def captured(film: Path, args: argparse.Namespace) -> dict[str, object]:
    """Captures one video; time by stage, and the peak memory in MB."""
    import shutil

    from talking_heads.media_core.capture import CaptureSettings, capture
    from talking_heads.media_core.face.trackers import make_tracker

    folder, clock = args.work / f"{film.stem}_dataset", Clock()
    shutil.rmtree(folder, ignore_errors=True)
    settings = CaptureSettings(size=args.size, masks=not args.no_masks, policy="interpolate")
    capture(film, folder, settings, tracker=make_tracker(args.tracker), report=clock)
    clock.end()
    shutil.rmtree(folder)
    return {"frames": clock.frames, "stages": clock.stages, "peak": peak()}


def peak() -> float:
    """MB, the most this process has held so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def table(seconds: float, told: dict) -> str:
    frames, cores = max(told["frames"], 1), os.cpu_count() or 1
    lines = [f"{seconds:g} s, {frames} frames", f"{'stage':20s} {'CPU, ms':>9s} {'wall, ms':>9s} {'peak, MB':>9s}   (per frame)"]
    lines += [f"{name:20s} {1000 * cpu / frames:9.2f} {1000 * wall / frames:9.2f} {most:9.0f}"
              for name, (cpu, wall, most) in told["stages"].items()]
    cpu, wall = (1000 * sum(spent[k] for spent in told["stages"].values()) / frames for k in (0, 1))
    lines += [f"{'all':20s} {cpu:9.2f} {wall:9.2f} {told['peak']:9.0f}",
              f"{1000 / wall:.1f} frames per second ({WANTED:g} wanted); {1000 / cpu:.1f} by CPU time on one core, "
              f"{cores * 1000 / cpu:.1f} on the {cores} of this machine"]
    return "\n".join(lines) + "\n"


def repeated(video: Path, path: Path, seconds: float) -> Path:
    """The video's packets, forwards again and again, until it is long enough: nothing is encoded anew."""
    import av

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        streams, start = {}, Fraction(0)
        while start < seconds:
            with av.open(str(video)) as source:
                kinds = [stream for kind in (source.streams.video, source.streams.audio) for stream in kind[:1]]
                if len(kinds) != 2:
                    raise SystemExit(f"The video must have images and audio; {video} lacks one of them")
                streams = streams or {stream.type: out.add_stream_from_template(stream) for stream in kinds}
                length = Fraction(source.duration, 1_000_000)
                for packet in source.demux(kinds):
                    if packet.dts is None or packet.pts * packet.time_base >= length:
                        continue
                    shift = round(start / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.type]
                    out.mux(packet)
            start += length
    return path


if __name__ == "__main__":
    main()
