"""gsplat on a CUDA card against the float64 reference, and frames a second: never yet run (no card was at hand).

    python benchmarks/gpu.py [--points 30000] [--size 512]

Needs torch with CUDA and gsplat (extra `cuda`); the first call compiles gsplat's kernels, which takes minutes. Prints image and
gradient agreement on a small scene, then milliseconds a frame one by one and in batches. Writes benchmarks/results/gpu.md.
"""
from __future__ import annotations

import argparse
import math
import time
from datetime import date

import torch
from common import results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.rasterizer import choose_backend, rasterization


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=30000)
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    device = torch.device("cuda")
    name, why = choose_backend(device, "cuda_gsplat")
    rows = [f"# gsplat, {date.today().isoformat()}, {torch.cuda.get_device_name()}, torch {torch.__version__}", "",
            f"`python benchmarks/gpu.py --points {args.points} --size {args.size}`; {why}", "", "| figure | value |", "|---|---|"]
    rows += agreement(device)
    single = rate(args.points, args.size, 1, device)
    rows.append(f"| {args.points} Gaussians, {args.size} px, a frame a call, frames/s | {single:.0f} |")
    for batch in (8, 32):
        value = rate(args.points, args.size, batch, device)
        rows.append(f"| the same in calls of {batch}, frames/s (times the single rate) | {value:.0f} ({value / single:.2f}) |")
    text = "\n".join(rows) + "\n"
    print(text)
    results_folder().joinpath("gpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
