"""How fast the rasteriser draws on this machine, and how far it is from its slow twins.

    python benchmarks/raster_speed.py [--points 15000] [--size 256] [--threads N] [--repeats 9]

The scene is a head-like shell of small flat Gaussians with harmonics of degree 2. Each row is timed in turn, over and over, and
the best round counts; ratios are between rows of the same run. "cpu" is processor time, which other work on the machine disturbs
least. The reference looks at every Gaussian for every pixel, so it gets a tenth of the points and a quarter of the size.
Writes benchmarks/results/raster_speed.md.
"""
from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import torch
from common import results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.rasterizer import arguments, cpu, project_by_torch, rasterization
from torch import Tensor

BATCH = 8          # frames of one call in the batched rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=15000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    text = report(args)
    print(text)
    results_folder().joinpath("raster_speed.md").write_text(text, encoding="utf-8")


def head(points: int, frames: int, size: int) -> dict:
    """Arguments of `rasterization`: an ellipsoid's surface 60 cm away, the camera swaying from frame to frame."""
    g = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(points, 3, generator=g), dim=-1)
    axes = torch.tensor([0.075, 0.105, 0.085])
    means = direction * axes * (1 + 0.02 * torch.randn(points, 1, generator=g))
    spacing = math.sqrt(4 * math.pi * 0.088 ** 2 / points)
    spread = 0.5 * torch.randn(points, 1, generator=g) + 0.35 * torch.randn(points, 3, generator=g)
    scales = 0.55 * spacing * torch.exp(spread)
    scales[:, 2] *= 0.35
    normal = torch.nn.functional.normalize(direction / axes, dim=-1)
    quats = torch.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], 0.3 * torch.randn(points, generator=g)], -1)
    harmonics = 0.15 * torch.randn(points, 9, 3, generator=g)
    harmonics[:, 0] += torch.sin(40 * means)
    views = torch.eye(4).repeat(frames, 1, 1, 1)
    turn = 0.15 + 0.01 * torch.arange(frames)
    views[:, 0, 0, 0], views[:, 0, 0, 2], views[:, 0, 2, 0], views[:, 0, 2, 2] = turn.cos(), turn.sin(), -turn.sin(), turn.cos()
    views[:, 0, 2, 3] = 0.6
    intrinsics = torch.tensor([[[2.2 * size, 0, size / 2], [0, 2.2 * size, size / 2], [0, 0, 1]]])
    moved = means + 0.0005 * torch.randn(frames, 1, 3, generator=g)
    opacities = torch.sigmoid(1.2 + 2 * torch.randn(points, generator=g))
    return {"means": moved, "quats": quats, "scales": scales, "opacities": opacities, "colors": harmonics,
            "viewmats": views, "Ks": intrinsics, "width": size, "height": size, "sh_degree": 2}


def first(scene: dict) -> dict:
    return {**scene, "means": scene["means"][0], "viewmats": scene["viewmats"][0]}


def with_gradients(scene: dict) -> dict:
    return {k: v.clone().requires_grad_(k not in ("viewmats", "Ks")) if isinstance(v, Tensor) else v for k, v in scene.items()}


def projected_by_torch(scene: dict) -> tuple[Tensor, Tensor]:
    """The slower way: projection and harmonics as some sixty torch operations, then the same blending."""
    tensors = {name: scene[name] for name in ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks")}
    checked = arguments.checked({**tensors, "backgrounds": None}, scene["width"], scene["height"], 0.01, 1e10, 2, "RGB")
    splats, colors = project_by_torch(checked)
    opacities = checked.opacities.expand(checked.frames, checked.points)
    return cpu.blend(splats, colors, opacities, checked.width, checked.height)


def step(image: Tensor, alpha: Tensor) -> None:
    (image.square().mean() + alpha.mean()).backward()


@dataclass
class Row:
    """One line of the table."""

    name: str
    work: Callable[[], object]
    frames: int = 1                # of one call
    against: str | None = None     # the row to compare with
    wall: float = math.inf         # best seconds of a call
    cpu: float = math.inf          # best seconds of all threads of a call


def rows_of(scene: dict, small: dict) -> list[Row]:
    one, leaves, leaves_2 = first(scene), with_gradients(first(scene)), with_gradients(first(scene))
    slow, by_torch, by_torch_2 = "small scene, reference", "projected by torch, 1 frame", "projected by torch, forward + backward"
    return [
        Row(slow, lambda: rasterization(**small, backend="reference")),
        Row("small scene, cpu", lambda: rasterization(**small, backend="cpu"), against=slow),
        Row(by_torch, lambda: projected_by_torch(one)),
        Row("cpu, 1 frame", lambda: rasterization(**one, backend="cpu"), against=by_torch),
        Row(f"cpu, {BATCH} frames a call", lambda: rasterization(**scene, backend="cpu"), BATCH, by_torch),
        Row(by_torch_2, lambda: step(*projected_by_torch(leaves_2))),
        Row("cpu, forward + backward", lambda: step(*rasterization(**leaves, backend="cpu")[:2]), against=by_torch_2),
    ]


def measure(rows: list[Row], repeats: int) -> None:
    """All rows in turn, so that whatever else the machine does meets them alike."""
    for row in rows:
        row.work()
    for _ in range(repeats):
        for row in rows:
            wall, processor = time.perf_counter(), time.process_time()
            row.work()
            row.wall, row.cpu = min(row.wall, time.perf_counter() - wall), min(row.cpu, time.process_time() - processor)


def report(args: argparse.Namespace) -> str:
    scene, small = head(args.points, BATCH, args.size), first(head(args.points // 10, 1, args.size // 4))
    rows = rows_of(scene, small)
    measure(rows, args.repeats)
    by_name = {row.name: row for row in rows}
    lines = ["| what | wall ms / frame | frames / s | cpu ms / frame | speed against | |", "|---|---|---|---|---|---|"]
    for row in rows:
        other = by_name.get(row.against)
        ratio = f"{other.cpu / other.frames / (row.cpu / row.frames):.1f} x (cpu)" if other else ""
        lines.append(f"| {row.name} | {1e3 * row.wall / row.frames:.2f} | {row.frames / row.wall:.1f} "
                     f"| {1e3 * row.cpu / row.frames:.2f} | {row.against or ''} | {ratio} |")
    difference = (rasterization(**small, backend="cpu")[0] - rasterization(**small, backend="reference")[0]).abs()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return "\n".join([
        f"# Rasteriser, {args.points} Gaussians, harmonics of degree 2, {args.size} x {args.size}", "",
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.threads} threads, "
        f"torch {torch.__version__}, {platform.system()}, {date.today()}; load average at the end {load}.",
        f"Command: `python benchmarks/raster_speed.py --points {args.points} --size {args.size} --threads {args.threads} "
        f"--repeats {args.repeats}`", "", *lines, "",
        f"Difference of cpu (float32) from reference (float64), small scene: mean {difference.mean():.1e}, "
        f"largest {difference.max():.1e} (1/255 = {1 / 255:.1e}).", ""])


if __name__ == "__main__":
    main()
