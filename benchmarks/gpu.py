"""gsplat, AToM and MToV on a CUDA card: never yet run (no card was at hand).

    python benchmarks/gpu.py [--points 30000] [--size 512] [--part all|gsplat|atom|mtov]

gsplat needs the extra `cuda`; its first call compiles kernels, which takes minutes. Against the float64 reference: image and
gradient agreement on a small scene, then frames a second one by one and in batches. AToM at its published size, random weights:
training steps a second in bf16 and fp32, seconds for one window of 6.24 s in both, and how far bf16 is off. MToV at its published
size, random weights: seconds for the second clip of a video in both, and seconds and memory of a training step of the pictures'
autoencoder and of the denoiser. Writes benchmarks/results/gpu.md.
"""
from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from datetime import date

import torch
import torch.nn.functional as F
from common import results_folder, talking_heads  # noqa: F401
from mtov_speed import published
from talking_heads.hmtalker_core.rasterizer import choose_backend, rasterization
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


def scene(points: int, device: torch.device, seed: int = 0) -> dict[str, torch.Tensor]:
    """A head-like ellipsoid of Gaussians 0.6 m before the camera."""
    g = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(points, 3, generator=g), dim=-1)
    spacing = math.sqrt(4 * math.pi * 0.088 ** 2 / points)
    fields = {"means": direction * torch.tensor([0.075, 0.105, 0.085]), "quats": torch.randn(points, 4, generator=g),
              "scales": 0.5 * spacing * torch.exp(0.4 * torch.randn(points, 3, generator=g)),
              "opacities": torch.rand(points, generator=g) * 0.85 + 0.1, "colors": 0.3 * torch.randn(points, 9, 3, generator=g)}
    return {k: v.to(device) for k, v in fields.items()}


def cameras(count: int, size: int, device: torch.device) -> dict:
    views = torch.eye(4).repeat(count, 1, 1)
    for index in range(count):
        yaw = 0.3 * math.sin(2 * math.pi * index / max(count, 2))
        views[index, :3, :3] = torch.tensor([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    views[:, 2, 3] = 0.6
    K = torch.tensor([[2.2 * size, 0, size / 2], [0, 2.2 * size, size / 2], [0, 0, 1.0]])
    return {"viewmats": views[:, None].to(device), "Ks": K.expand(count, 1, 3, 3).to(device), "width": size, "height": size,
            "sh_degree": 2}


def agreement(device: torch.device) -> list[str]:
    """Image and gradient differences of gsplat and the reference on 400 Gaussians at 64 px."""
    rows, weight = [], torch.randn(1, 1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    results = {}
    for backend, where in (("reference", torch.device("cpu")), ("cuda_gsplat", device)):
        fields = {k: v.requires_grad_() for k, v in scene(400, where).items()}
        image, alpha, _ = rasterization(**fields, **cameras(1, 64, where), backend=backend)
        ((image.double() * weight.to(where)).sum() + alpha.double().sum()).backward()
        results[backend] = (image.detach().cpu().double(), {k: v.grad.cpu().double() for k, v in fields.items()})
    (slow, slow_grad), (fast, fast_grad) = results["reference"], results["cuda_gsplat"]
    rows.append(f"| mean image difference | {float((slow - fast).abs().mean()):.2e} |")
    for name in slow_grad:
        relative = float((slow_grad[name] - fast_grad[name]).norm() / slow_grad[name].norm())
        rows.append(f"| gradient of {name}, relative | {relative:.2e} |")
    return rows


@torch.inference_mode()
def rate(points: int, size: int, batch: int, device: torch.device, frames: int = 256) -> float:
    """Frames a second of `frames` renders in calls of `batch`, moving means, after a warm-up."""
    fields, view = scene(points, device), cameras(batch, size, device)
    moving = fields["means"] + 0.001 * torch.randn(batch, points, 3, device=device)
    for run in range(2):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(max(1, (frames if run else 16) // batch)):
            rasterization(**(fields | {"means": moving}), **view, backend="cuda_gsplat")
        torch.cuda.synchronize()
    return max(1, frames // batch) * batch / (time.perf_counter() - started)


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


def gsplat_rows(points: int, size: int, device: torch.device) -> list[str]:
    rows, single = agreement(device), rate(points, size, 1, device)
    rows.append(f"| {points} Gaussians, {size} px, a frame a call, frames/s | {single:.0f} |")
    for batch in (8, 32):
        value = rate(points, size, batch, device)
        rows.append(f"| the same in calls of {batch}, frames/s (times the single rate) | {value:.0f} ({value / single:.2f}) |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--part", choices=("all", "gsplat", "atom", "mtov"), default="all")
    args = parser.parse_args()
    device = torch.device("cuda")
    why = choose_backend(device, "cuda_gsplat")[1] if args.part in ("all", "gsplat") else "without gsplat"
    rows = [f"# CUDA, {date.today().isoformat()}, {torch.cuda.get_device_name()}, torch {torch.__version__}", "",
            f"`python benchmarks/gpu.py --points {args.points} --size {args.size} --part {args.part}`; {why}", "",
            "| figure | value |", "|---|---|"]
    rows += gsplat_rows(args.points, args.size, device) if args.part in ("all", "gsplat") else []
    rows += atom_rows(device) if args.part in ("all", "atom") else []
    rows += mtov_rows(device) if args.part in ("all", "mtov") else []
    text = "\n".join(rows) + "\n"
    print(text)
    results_folder().joinpath("gpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
