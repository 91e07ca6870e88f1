"""The part of `gpu.py` on avatars: rasterisers, frames a second beside the published loop, first frame, training to a given PSNR.

    python benchmarks/gpu_avatar.py --prepare        without a GPU: makes the data set that the training needs
    python benchmarks/gpu.py --part avatar           with one: at most --budget seconds of it
    python benchmarks/gpu_avatar.py --dry            the same on the CPU with tiny sizes, by cpu and reference; writes nothing

Each back end is measured in turn within one run. The published loop encodes the points, both attentions and the full first layer
again in every frame, draws a frame a call and copies it to the host (`avatar_speed.Uncached`). "First frame" is a process of its
own, from the call to a uint8 frame in memory, model and motion loaded: once without compiled kernels on disk (gsplat's stay),
once more in another process with them, and again within that process. Triton has the first half of the budget; gsplat, which
compiles for minutes, has the rest.
"""
from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch
from avatar_speed import SPEECH, Uncached
from common import ROOT, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.avatar import Avatar, AvatarMotion
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.rasterizer import choose_backend, cuda_gsplat, rasterization, triton
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.subject import export_dataset

AVATAR = ROOT / "weights" / "demo_avatar.safetensors"
DATASET = Path("output/benchmark_gpu/dataset")


class Plan(NamedTuple):
    """What is measured, and how much of it."""

    device: torch.device
    backends: tuple[str, ...]
    points: int
    size: int                   # px
    batches: tuple[int, ...]    # frames a call
    frames: int                 # of each timing
    steps: int                  # of a training
    psnr: float                 # dB, what the training has to reach
    until: float                # of time.monotonic()


def planned(points: int, size: int, budget: float) -> Plan:
    return Plan(torch.device("cuda"), ("triton", "cuda_gsplat"), points, size, (1, 8, 32), 256, 3000, 27.0,
                time.monotonic() + budget)


def dry() -> Plan:
    return Plan(torch.device("cpu"), ("cpu", "reference"), 200, 40, (1, 2), 2, 12, 10.0, time.monotonic() + 600)


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


def wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.cuda.synchronize(device)


def timed(device: torch.device, work: Callable[[], object], times: int) -> float:
    """Seconds of one of `times` calls, after a warm-up."""
    work()
    wait(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    wait(device)
    return (time.perf_counter() - started) / times


def agreement(backend: str, device: torch.device) -> str:
    """Image and gradient differences from the reference on 400 Gaussians at 64 px, in a sentence."""
    weight = torch.randn(1, 1, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    results = []
    for name, where in (("reference", torch.device("cpu")), (backend, device)):
        fields = {k: v.requires_grad_() for k, v in scene(400, where).items()}
        image, alpha, _ = rasterization(**fields, **cameras(1, 64, where), backend=name)
        ((image.double() * weight.to(where)).sum() + alpha.double().sum()).backward()
        results.append((image.detach().cpu().double(), {k: v.grad.cpu().double() for k, v in fields.items()}))
    (slow, wanted), (fast, got) = results
    apart = {k: float((v - got[k]).norm() / v.norm()) for k, v in wanted.items()}
    return f"{float((slow - fast).abs().max()):.1e}; " + ", ".join(f"{k} {v:.1e}" for k, v in apart.items())


def raster_rows(plan: Plan, backend: str) -> Iterator[str]:
    """One back end alone: agreement, drawing, drawing with gradients."""
    device = plan.device
    yield f"| {backend}: largest image difference from the reference; relative ones of gradients | {agreement(backend, device)} |"
    what = f"{backend}: {plan.points} Gaussians, {plan.size} px"
    for batch in plan.batches:
        fields, view = scene(plan.points, device), cameras(batch, plan.size, device)
        fields["means"] = fields["means"] + 0.001 * torch.randn(batch, plan.points, 3, device=device)
        with torch.inference_mode():
            seconds = timed(device, lambda: rasterization(**fields, **view, backend=backend), max(1, plan.frames // batch))
        yield f"| {what}, calls of {batch}, frames/s | {batch / seconds:.0f} |"
    for batch in plan.batches[:2]:
        leaves = {k: v.requires_grad_() for k, v in scene(plan.points, device).items()}
        view = cameras(batch, plan.size, device)
        step = lambda: rasterization(**leaves, **view, backend=backend)[0].square().sum().backward()
        yield f"| {what}, forward and backward, calls of {batch}, ms a frame | {1e3 * timed(device, step, 20) / batch:.2f} |"
    if backend == "triton":
        from talking_heads.hmtalker_core.rasterizer import triton_kernels

        triton_kernels.TILE = 16  # read at every call
        fields, view = scene(plan.points, device), cameras(1, plan.size, device)
        with torch.inference_mode():
            seconds = timed(device, lambda: rasterization(**fields, **view, backend=backend), 50)
        triton_kernels.TILE = 8
        yield f"| {what}, tiles of 16 px instead of 8, frames/s | {1 / seconds:.0f} |"


def motion_of(avatar: Avatar, frames: int) -> AvatarMotion:
    sound = load_sound(SPEECH)
    short = Sound(sound.waveform[:, :int(sound.sample_rate * (frames + 1) / avatar.fps)], sound.sample_rate)
    return avatar.drive(encode_speech(short, avatar.encoder))


def frames_of(avatar: Avatar, motion: AvatarMotion, backend: str, chunk: int, stop: int) -> torch.Tensor:
    """uint8 frames in the computer's memory."""
    made = avatar.render(motion, 0, stop, chunk=chunk, backend=backend)
    return torch.cat([(255 * rgb).round().clamp(0, 255).byte().cpu() for rgb, _ in made])


def film_rows(plan: Plan, backend: str) -> Iterator[str]:
    """An avatar's frames, uint8 on the host: the published loop and ours in turn."""
    ours = load_avatar(AVATAR).to(plan.device)
    plain = Uncached(*ours.modules, ours.poses, ours.upper_au, ours.torso, ours.background, ours.config).to(plan.device)
    motion = motion_of(ours, plan.frames)
    stop = min(plan.frames, len(motion))
    with torch.inference_mode():
        few = min(32, stop)
        base = timed(plan.device, lambda: frames_of(plain, motion, backend, 1, few), 1) / few
        yield f"| {backend}: demo avatar, published loop, frames/s | {1 / base:.0f} |"
        for chunk in plan.batches:
            seconds = timed(plan.device, lambda: frames_of(ours, motion, backend, chunk, stop), 1) / stop
            rate = f"{1 / seconds:.0f} ({base / seconds:.1f})"
            yield f"| {backend}: demo avatar, ours, {chunk} frames a call, frames/s (times the loop) | {rate} |"


def first_rows(plan: Plan, backend: str) -> Iterator[str]:
    command = [sys.executable, __file__, "--first", backend, "--device", plan.device.type]
    with tempfile.TemporaryDirectory() as folder:
        for when in ("nothing compiled", "compiled before"):
            try:
                told = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TRITON_CACHE_DIR": folder},
                                      timeout=max(1.0, plan.until - time.monotonic()), check=True)
            except subprocess.SubprocessError as reason:
                yield f"| {backend}: first frame, {when} | failed: {reason} |"
                return
            cold, warm = told.stdout.strip().splitlines()[-1].split()
            yield f"| {backend}: first frame, {when}, s (again within it, ms) | {float(cold):.2f} ({1e3 * float(warm):.1f}) |"


def first_frame(backend: str, device: torch.device) -> tuple[float, float]:
    """Seconds to the first frame of this process, and to that of a second film."""
    avatar = load_avatar(AVATAR).to(device)
    motion = motion_of(avatar, 4)
    wait(device)
    took = []
    for _ in range(2):
        started = time.perf_counter()
        with torch.inference_mode():
            frames_of(avatar, motion, backend, 1, 1)
        took.append(time.perf_counter() - started)
    return took[0], took[1]


@contextmanager
def only(plan: Plan, backend: str) -> Iterator[None]:
    """While it lasts, "auto" chooses this back end on the plan's device (training always asks for "auto")."""
    rest = {"cuda_gsplat": cuda_gsplat, "triton": triton}
    rest.pop(backend, None)
    device = plan.device if plan.device.index is not None else torch.device(plan.device.type, 0)
    kept = {}
    for module in rest.values():
        for one in {plan.device, device}:
            kept[id(module), one] = (module, module.verdicts().get(one, kept))
            module.verdicts()[one] = "it is left out of this measurement"
    try:
        yield
    finally:
        for (_, one), (module, before) in kept.items():
            module.verdicts().pop(one)
            if before is not kept:
                module.verdicts()[one] = before


class Reached(Exception):
    """The training is as good as it has to be."""


def training_rows(plan: Plan, backend: str) -> Iterator[str]:
    """Seconds of training until the drawn head's PSNR (EMA over steps, as reported) stays at the wanted figure for 20 steps."""
    seen: list[float] = []
    steps = 0

    def watch(done: int, total: int, info: dict, preview: object) -> None:
        nonlocal steps
        steps = done
        if "psnr" in info:
            seen.append(float(info["psnr"]))
        if len(seen) >= 20 and min(seen[-20:]) >= plan.psnr or time.monotonic() > plan.until:
            raise Reached

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, only(plan, backend), suppress(Reached):
        train_avatar(DATASET, Path(folder) / "a.safetensors", preset=preset("demo").with_steps(plan.steps), device=plan.device,
                     report=watch)
    seconds, best = time.perf_counter() - started, max(seen, default=float("nan"))
    yield (f"| {backend}: training to {plan.psnr:.0f} dB, s (steps; steps/s; best PSNR) | "
           f"{seconds:.1f} ({steps}; {steps / seconds:.1f}; {best:.1f} dB) |")


def rows(plan: Plan) -> list[str]:
    """Rows of the table; a part that no time is left for, or a back end that does not work, is a row that says so."""
    found = []
    whole = plan.until
    for index, backend in enumerate(plan.backends):
        started = time.perf_counter()
        plan = plan._replace(until=whole - (whole - time.monotonic()) * (1 - 1 / (len(plan.backends) - index)))
        try:
            why = choose_backend(plan.device, backend)[1]
        except TalkingHeadsError as reason:
            found.append(f"| {backend} | not measured: {reason} |")
            continue
        found.append(f"| {backend}: seconds until its trial was over ({why}) | {time.perf_counter() - started:.1f} |")
        for part in (raster_rows, film_rows, first_rows, training_rows):
            if time.monotonic() > plan.until:
                found.append(f"| {backend}: {part.__name__} | no time was left |")
                continue
            try:
                for row in part(plan, backend):
                    print(row, file=sys.stderr, flush=True)
                    found.append(row)
            except (RuntimeError, ValueError) as reason:  # the card's time is short: the rest is measured all the same
                found.append(f"| {backend}: {part.__name__} | failed: {type(reason).__name__}: {str(reason)[:300]} |")
    return found


def prepare(seconds: float) -> None:
    export_dataset(DATASET, seconds, 11, size=256, identity=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true", help="make the data set")
    parser.add_argument("--dry", action="store_true", help="everything on the CPU, tiny")
    parser.add_argument("--first", help=argparse.SUPPRESS)  # a process of its own: seconds to the first frame by this back end
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        print(*first_frame(args.first, torch.device(args.device)))
    elif args.prepare:
        prepare(20.0)
    elif args.dry:
        print("\n".join(rows(dry())))


if __name__ == "__main__":
    main()
