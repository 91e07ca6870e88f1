"""Whether MToV's time for a frame and its memory stay flat over the length of a video, and what activation checkpointing saves.

    python benchmarks/mtov_memory.py [--seconds 10 120] [--size 64]

Small networks with random weights (memory that grows with the length would show on them first), a pose film, two calls a clip;
frames are taken and dropped. Then one training step of the published autoencoder's width, shallower, at --train-size px, with
checkpointing and without. Every figure is of a process of its own. Writes benchmarks/results/mtov_memory.md. Linux and macOS.
"""
from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date

import numpy as np
import torch
from common import peak_mib, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser
from talking_heads.moditalker_core.mtov.generation import VideoSettings, talk
from talking_heads.moditalker_core.mtov.model import MToV, MToVConfig, RasterSettings

SLOWER, LARGER = 1.1, 1.05  # wanted: at most so many times the short one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs=2, default=[10.0, 120.0], metavar=("SHORT", "LONG"))
    parser.add_argument("--size", type=int, default=64, help="px, of the video")
    parser.add_argument("--train-size", type=int, default=64, help="px, of the training step")
    parser.add_argument("--child", help=argparse.SUPPRESS)  # in a child process: seconds, or "plain" or "checkpointing"
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.child:
        return print(json.dumps(video(args) if args.child[0].isdigit() else training(args)))
    found = [child(args, name) for name in (*(f"{seconds:g}" for seconds in args.seconds), "plain", "checkpointing")]
    text = report(args, found)
    print(text)
    results_folder().joinpath("mtov_memory.md").write_text(text, encoding="utf-8")


def child(args: argparse.Namespace, name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--size", str(args.size), "--train-size", str(args.train_size), "--child", name]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    print(f"{name}: {found}", file=sys.stderr, flush=True)
    return found


def video(args: argparse.Namespace) -> dict[str, float]:
    """CPU seconds a frame and the peak memory of this process, MiB."""
    sizes = AutoencoderConfig(channels=32, height=args.size, width=args.size, depth=1, heads=2, dim_head=16, ff_mult=2,
                              pool_depth=1, pool_heads=2, pool_dim_head=16, pool_hidden=32)
    denoiser = DenoiserConfig(model_channels=16, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(1,), num_heads=2,
                              groups=4)
    config = MToVConfig(rgb=sizes, landmarks=sizes, denoiser=denoiser, sampler="ddim0", calls=2, raster=RasterSettings(args.size))
    mtov = MToV(VideoAutoencoder(sizes), VideoAutoencoder(sizes, decoder=False), MToVDenoiser(denoiser, config.grid), config)
    run(mtov, 2 * config.frames)
    start, frames = time.process_time(), round(float(args.child) * config.fps)
    run(mtov, frames)
    return {"cpu": (time.process_time() - start) / frames, "frames": frames, "peak": peak_mib()}


def run(mtov: MToV, frames: int) -> None:
    """Takes and drops the frames of a video."""
    size = mtov.config.size
    points = size * (0.5 + 0.2 * torch.randn(1, 68, 3, generator=torch.Generator().manual_seed(0)).clamp(-2, 2))
    motion = LandmarkTrack(points.repeat(frames, 1, 1), space="pixels", image_size=(size, size), fps=mtov.config.fps)
    made = talk(mtov, motion, np.zeros((size, size, 3), np.uint8), VideoSettings(), pose_frames=film(frames, size),
                pose_landmarks=motion)
    assert sum(1 for _ in made) == frames


def film(frames: int, size: int) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for _ in range(frames):
        yield random.integers(0, 255, (size, size, 3), dtype=np.uint8)


def training(args: argparse.Namespace) -> dict[str, float]:
    """CPU seconds and peak memory, MiB, of a training step; the second of two counts."""
    net = VideoAutoencoder(AutoencoderConfig(height=args.train_size, width=args.train_size, depth=4))
    net.encoder.checkpointing = net.decoder.checkpointing = args.child == "checkpointing"
    clip = torch.rand(1, 3, 16, args.train_size, args.train_size) * 2 - 1
    for _ in range(2):
        start = time.process_time()
        made, _ = net(clip)
        (made - clip).abs().mean().backward()
        seconds = time.process_time() - start
    return {"cpu": seconds, "peak": peak_mib()}


def report(args: argparse.Namespace, found: list[dict]) -> str:
    short, long, plain, saving = found
    lines = ["# Time and memory of MToV over the length of a video", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/mtov_memory.py "
             f"--seconds {args.seconds[0]:g} {args.seconds[1]:g} --size {args.size} --train-size {args.train_size}`; one thread, "
             f"small networks, a pose film, {short['frames']} and {long['frames']} frames.", "",
             f"| figure | {args.seconds[0]:g} s | {args.seconds[1]:g} s | ratio | wanted |", "|---|---|---|---|---|"]
    for name, key, digits, bound in (("CPU s a frame", "cpu", 4, SLOWER), ("peak memory, MiB", "peak", 0, LARGER)):
        ratio = long[key] / short[key]
        verdict = "met" if ratio <= bound else "**NOT met**"
        lines.append(f"| {name} | {short[key]:.{digits}f} | {long[key]:.{digits}f} | {ratio:.3f} | <= {bound:g}: {verdict} |")
    lines += ["", f"A training step of the autoencoder (width 384, depth 4, {args.train_size} px, batch 1; weights and gradients "
              "included):", "", "| activation checkpointing | CPU s | peak memory, MiB |", "|---|---|---|"]
    lines += [f"| {name} | {row['cpu']:.2f} | {row['peak']:.0f} |" for name, row in (("off", plain), ("on", saving))]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
