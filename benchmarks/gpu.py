"""Avatars, AToM and MToV on a GPU: never yet run (none was at hand; the avatars' part ran dry on the CPU).

    python benchmarks/gpu_avatar.py --prepare        first, without a GPU: the data set for the training
    python benchmarks/gpu.py [--points 30000] [--size 512] [--part all|avatar|atom|mtov] [--budget 420]

Avatars (`gpu_avatar.py`), by gsplat and by Triton in turn: agreement with the float64 reference, frames a second of the
rasteriser and of the demo avatar beside the published loop, the first frame, training to a given PSNR; at most --budget seconds.
gsplat needs the extra `cuda`; its first call compiles kernels, which takes minutes and counts.

AToM at its published size, random weights: training steps a second in bf16 and fp32, seconds for one window of 6.24 s in both,
and how far bf16 is off. MToV at its published size, random weights: seconds for the second clip of a video in both, seconds and
memory of a training step of the pictures' autoencoder and of the denoiser. Writes benchmarks/results/gpu.md.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import date

import torch
import torch.nn.functional as F
from common import results_folder, talking_heads  # noqa: F401
from gpu_avatar import planned
from gpu_avatar import rows as avatar_rows
from mtov_speed import published
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.speech import Speech
from talking_heads.moditalker_core.atom.config import AToMConfig
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.diffusion import losses, noised
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.mtov.generation import VideoSettings, talk
from talking_heads.moditalker_core.mtov.model import MToV


def atom_rows(device: torch.device, batch: int = 64) -> list[str]:
    """AToM at full size: training and sampling."""
    atom = AToM(AToMDenoiser(AToMConfig().denoiser), AToMConfig(), mean_face()).to(device)
    rows = [f"| AToM, training steps/s, batch {batch}, {kind} | {atom_training(atom, kind, batch):.2f} |"
            for kind in (torch.bfloat16, torch.float32)]
    made = {}
    for kind in (torch.float32, torch.bfloat16):
        atom.to(dtype=kind)
        for sampler, steps in (("ddim", 50), ("dpm++", 10)):
            seconds, made[kind, sampler] = atom_sampling(atom, sampler, steps)
            rows.append(f"| AToM, one window, {sampler}, {steps} steps, {kind}, s | {seconds:.3f} |")
    exact, rough = made[torch.float32, "dpm++"], made[torch.bfloat16, "dpm++"]
    apart = float((exact - rough).norm() / (exact - torch.from_numpy(mean_face())).norm())
    return [*rows, f"| AToM, bf16 against fp32 motion, relative | {apart:.2e} |"]


def atom_training(atom: AToM, kind: torch.dtype, batch: int, steps: int = 30) -> float:
    """Optimisation steps a second on random windows, after a warm-up; forward and backward under autocast."""
    net, sizes, device = atom.denoiser.train(), atom.config.denoiser, atom.device
    draw = lambda *shape: torch.randn(batch, *shape, device=device)
    x0, face, noise = (0.3 * draw(sizes.seq_len, sizes.nfeats) for _ in range(3))
    audio, keep = draw(2 * sizes.seq_len, sizes.cond_feature_dim), torch.rand(batch, device=device) > 0.25
    times = torch.randint(0, 1000, (batch,), device=device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-6, fused=True)
    for run in range(2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(steps if run else 5):
            with torch.autocast(device.type, kind, enabled=kind != torch.float32):
                predicted = net(noised(x0, times, noise), face, audio, times, keep)
            losses(predicted.float(), x0).total.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
    net.eval()
    return steps / (time.perf_counter() - started)


def atom_sampling(atom: AToM, sampler: str, steps: int) -> tuple[float, torch.Tensor]:
    """Seconds for one window with guidance 2, and its points; the second of two runs counts."""
    config, g = atom.config, torch.Generator().manual_seed(0)
    rows = 2 * config.denoiser.seq_len
    speech = Speech(torch.randn(rows, config.speech.dim, generator=g), config.speech.rate, config.speech.encoder,
                    rows / config.speech.rate, torch.zeros(rows, dtype=torch.bool))
    portrait = LandmarkTrack(torch.from_numpy(mean_face())[None])
    for _ in range(2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        points = generate_motion(atom, speech, portrait, SamplingSettings(sampler=sampler, steps=steps)).points
        torch.cuda.synchronize()
    return time.perf_counter() - started, points


def mtov_rows(device: torch.device, batch: int = 4) -> list[str]:
    """MToV at full size: a clip in fp32 (eager) and bf16, and training steps."""
    mtov, rows, pictures = published().to(device), [], {}
    for kind in (torch.float32, torch.bfloat16):
        mtov.to(dtype=kind)
        for sampler, calls in (("ddim", 25), ("dpm++", 5)):
            seconds, pictures[kind, sampler] = second_clip(mtov, VideoSettings(sampler=sampler, calls=calls, previews=0))
            rows.append(f"| MToV, second clip of a video, {sampler}, {calls} calls, {kind}, s | {seconds:.3f} |")
    apart = (pictures[torch.float32, "dpm++"] - pictures[torch.bfloat16, "dpm++"]).abs().mean()
    rows.append(f"| MToV, bf16 against fp32 pictures, mean difference of 255 | {float(apart):.2f} |")
    mtov.to(dtype=torch.float32)
    clip = torch.rand(batch, 3, 16, 256, 256, device=device) * 2 - 1
    latents = torch.rand(5, batch, 4, mtov.config.grid.length, device=device) * 2 - 1
    times = torch.randint(0, 1000, (batch,), device=device)
    ways = (("autoencoder", mtov.rgb, lambda: (mtov.rgb(clip)[0].float() - clip).abs().mean()),
            ("denoiser", mtov.denoiser, lambda: F.mse_loss(mtov.denoiser(latents[0], times, *latents[1:4]).float(), latents[4])))
    for what, net, loss in ways:
        for checkpointing in (False, True) if what == "autoencoder" else (False,):
            mtov.rgb.encoder.checkpointing = mtov.rgb.decoder.checkpointing = checkpointing
            for kind in (torch.float32, torch.bfloat16):
                seconds, memory = training_step(net, loss, kind, device)
                name = f"training step of the {what}, batch {batch}, {kind}{', checkpointing' if checkpointing else ''}"
                rows.append(f"| MToV, {name}, s (GiB) | {seconds:.3f} ({memory:.1f}) |")
    return rows


def second_clip(mtov: MToV, settings: VideoSettings) -> tuple[float, torch.Tensor]:
    """Seconds of the second clip of a video, portrait alone, and the video's frames; the second of two runs counts."""
    frames = 2 * mtov.config.frames - mtov.config.overlap
    points = 128 + 40 * torch.randn(1, 68, 3, generator=torch.Generator().manual_seed(2)).clamp(-2, 2)
    motion = LandmarkTrack(points.repeat(frames, 1, 1), space="pixels", image_size=(256, 256), fps=mtov.config.fps)
    picture = torch.randint(0, 255, (256, 256, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8).numpy()
    for _ in range(2):
        ends: list[float] = []

        def watch(done: int, total: int, info: dict, preview: object) -> None:
            if info.get("phase") == "done":  # its pictures are on the CPU by then
                ends.append(time.perf_counter())

        made = [torch.from_numpy(frame).float() for frame in talk(mtov, motion, picture, settings, report=watch)]
    return ends[1] - ends[0], torch.stack(made)


def training_step(net: torch.nn.Module, loss: Callable[[], torch.Tensor], kind: torch.dtype, device: torch.device,
                  steps: int = 5) -> tuple[float, float]:
    """Seconds of an optimisation step after a warm-up, and the largest memory, GiB; forward and backward under autocast."""
    optimizer = torch.optim.AdamW(net.train().parameters(), lr=1e-6, fused=True)
    torch.cuda.reset_peak_memory_stats()
    for run in range(2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(steps if run else 2):
            with torch.autocast(device.type, kind, enabled=kind != torch.float32):
                value = loss()
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
    net.eval()
    return (time.perf_counter() - started) / steps, torch.cuda.max_memory_allocated() / 2 ** 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--part", choices=("all", "avatar", "atom", "mtov"), default="all")
    parser.add_argument("--budget", type=float, default=420.0, help="seconds for the avatars")
    args = parser.parse_args()
    device = torch.device("cuda")
    rows = [f"# CUDA, {date.today().isoformat()}, {torch.cuda.get_device_name()}, torch {torch.__version__}", "",
            f"`python benchmarks/gpu.py --points {args.points} --size {args.size} --part {args.part}`", "",
            "| figure | value |", "|---|---|"]
    rows += avatar_rows(planned(args.points, args.size, args.budget)) if args.part in ("all", "avatar") else []
    rows += atom_rows(device) if args.part in ("all", "atom") else []
    rows += mtov_rows(device) if args.part in ("all", "mtov") else []
    text = "\n".join(rows) + "\n"
    print(text)
    results_folder().joinpath("gpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
