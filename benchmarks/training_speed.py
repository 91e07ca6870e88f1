"""How long a step of an avatar's training takes on a processor, old formulation against new, and how soon an avatar is good.

    python benchmarks/training_speed.py [--work FOLDER] [--steps 60] [--train 0.45] [--memory]

The old formulation is the twin of every fast part, in the same run and in turns: kornia's SSIM in torch's graph, `grid_sample` a
level, the motion net for all Gaussians at once, one optimizer call a parameter. Times are CPU times of one thread on the shipped
avatar's Gaussians; the lower quartile stands for a step, since other programs can only add to it. `--memory` reads 5 000 frames
of 512 px; `--train` trains a whole avatar on 60 s with so many times the demo's steps. Writes
benchmarks/results/training_speed.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from common import ROOT, peak_mib, results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.model import fused_motion, triplane
from talking_heads.hmtalker_core.training import picture
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.branches import Branch, extent_of
from talking_heads.hmtalker_core.training.config import TrainConfig, preset
from talking_heads.hmtalker_core.training.steps import AvatarTraining
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset

SECONDS, SEED, IDENTITY, SIZE = 66.0, 11, 3, 256  # 10/11 of it is trained on
FEW = 24  # frames of the warm steps
BIG, MANY = 512, 5000  # px and frames of the memory's measure
AVATAR = ROOT / "weights" / "demo_avatar.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_training"), help="folder for datasets and the avatar")
    parser.add_argument("--steps", type=int, default=60, help="measured steps of each formulation")
    parser.add_argument("--train", type=float, default=0.0, help="also train an avatar, with so many times the demo's steps")
    parser.add_argument("--memory", action="store_true", help="also read 5 000 frames of 512 px")
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)  # a child process: reads all frames, prints its peak
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.peak:
        return print(peak_of(args.peak))
    folder = Path(export_dataset(args.work / "train", SECONDS, SEED, size=SIZE, identity=IDENTITY))
    lines = step_lines(folder, args.steps) + cold_lines(folder)
    lines += memory_lines(args.work) if args.memory else []
    lines += training_lines(folder, args.work, args.train) if args.train else []
    text = "\n".join([*heading(args), *lines]) + "\n"
    print(text)
    results_folder().joinpath("training_speed.md").write_text(text, encoding="utf-8")


def heading(args: argparse.Namespace) -> list[str]:
    options = f"--steps {args.steps}" + (f" --train {args.train:g}" if args.train else "") + (" --memory" if args.memory else "")
    return ["# Training speed", "", f"{date.today().isoformat()}, {platform.machine()}, one thread, torch {torch.__version__}; "
            f"`python benchmarks/training_speed.py {options}`; synthetic identity {IDENTITY}, {SIZE} px. CPU times: the lower "
            "quartile, and the median behind it. Load average at the start of the run: "
            f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.", "", "| figure | value | wanted |", "|---|---|---|"]


# steps ------------------------------------------------------------------------------------------------------------------------

@contextmanager
def old_formulation() -> Iterator[None]:
    """Every fast part replaced by its twin."""
    with (patch.object(picture, "fits", lambda *_: False), patch.object(fused_motion, "fits", lambda *_: False),
          patch.object(triplane, "encode_planes", triplane.sample_planes)):
        yield


def clip_of(folder: Path, frames: int | None = None) -> Clip:
    data = AvatarDataset.open(folder, size=SIZE)
    if frames:
        data.train_index = data.train_index[::len(data.train_index) // frames][:frames]
    return open_clip(data, "mel", torch.device("cpu"), silent)


def run_at(clip: Clip, config: TrainConfig, phase: str, fused: bool = True) -> AvatarTraining:
    """A training in the middle of a phase, with the shipped avatar's Gaussians and nets; nothing grows."""
    still = {name: replace(getattr(config, name), densify_until=0.0) for name in ("face", "mouth")}
    run = AvatarTraining.fresh(clip, replace(config, val_every=10 ** 9, **still), 0)
    avatar = load_avatar(AVATAR)
    for module in (avatar.face, avatar.mouth, avatar.face_net, avatar.mouth_net):
        module.requires_grad_(True)
    branches = [Branch(field, net, extent_of(clip), None, config.net_lr, config.uniform_lr, config.audio_lr)
                for field, net in ((avatar.face, avatar.face_net), (avatar.mouth, avatar.mouth_net))]
    run.face, run.mouth = branches
    for optimizer in (o for b in branches for o in (b.field_optimizer, b.net_optimizer)) if not fused else ():
        for group in optimizer.param_groups:
            group["fused"] = False
    begins = {"face": config.warmup_steps, "mouth": config.warmup_steps + config.face.steps}[phase]
    run.step = begins + getattr(config, phase).steps // 2
    return run


def step_times(run: AvatarTraining, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        begin = time.process_time()
        run.train_step()
        found.append(1e3 * (time.process_time() - begin))
    return found


def step_lines(folder: Path, steps: int) -> list[str]:
    """Old and new in turns, four steps each, so that both see the same neighbours on the machine."""
    lines, clip, config = [], clip_of(folder, FEW), preset("demo")
    for phase, wanted in (("face", "<= 45"), ("mouth", "")):
        old, new = run_at(clip, config, phase, fused=False), run_at(clip, config, phase)
        with old_formulation():
            step_times(old, FEW)
        step_times(new, FEW)
        times: dict[str, list[float]] = {"old": [], "new": []}
        for _ in range(steps // 4):
            with old_formulation():
                times["old"] += step_times(old, 4)
            times["new"] += step_times(new, 4)
        points = len(new.face.field) if phase == "face" else len(new.mouth.field)
        for name in ("old", "new"):
            low, middle = quartile(times[name]), statistics.median(times[name])
            lines.append(f"| {phase} step, {points} Gaussians, {name} formulation, CPU ms | {low:.1f} ({middle:.1f}) "
                         f"| {wanted if name == 'new' else ''} |")
        lines.append(f"| the same, old over new | {quartile(times['old']) / quartile(times['new']):.2f} | |")
    return lines


def quartile(values: list[float]) -> float:
    return float(np.quantile(values, 0.25))


# cold steps -------------------------------------------------------------------------------------------------------------------

def cold_lines(folder: Path) -> list[str]:
    """Steps on frames that were never decoded, and on frames that were; in the thread that trains."""
    figures = {}
    for name, count in (("cold", None), ("warm", FEW)):
        run = run_at(clip_of(folder, count), preset("demo"), "face")
        thread_times(run, FEW + 2)  # warm: all of its frames have been decoded then
        figures[name] = quartile(thread_times(run, 60))
    run = run_at(clip_of(folder), preset("demo"), "face")
    with patch.object(AvatarDataset, "ahead", lambda *_, **__: None):
        figures["undecoded"] = quartile(thread_times(run, 40))
    return [f"| face step on frames never decoded before, ms of the training thread | {figures['cold']:.1f} | |",
            f"| face step on frames in memory | {figures['warm']:.1f} | |",
            f"| cold over warm | {figures['cold'] / figures['warm']:.2f} | <= 1.1 |",
            f"| cold over warm, nothing decoded ahead | {figures['undecoded'] / figures['warm']:.2f} | |"]


def thread_times(run: AvatarTraining, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        begin = time.thread_time()
        run.train_step()
        found.append(1e3 * (time.thread_time() - begin))
    return found


# memory -----------------------------------------------------------------------------------------------------------------------

def memory_lines(work: Path) -> list[str]:
    folder = many_frames(work)
    found = subprocess.run([sys.executable, __file__, "--peak", str(folder)], capture_output=True, text=True, check=True)
    peak, before = (float(x) for x in found.stdout.split())
    return [f"| memory after reading {MANY} frames of {BIG} px, GiB (of it before the first frame: {before / 1024:.2f}) "
            f"| {peak / 1024:.2f} | < 4 |"]


def many_frames(work: Path) -> Path:
    """A second of the subject, linked until there are enough frames."""
    small, folder = Path(export_dataset(work / "big", 1.0, SEED, size=BIG, identity=IDENTITY)), work / "many"
    if folder.exists():
        return folder
    count = len(list((small / "parsing").iterdir()))
    for kind in (path for path in small.iterdir() if path.is_dir()):
        (folder / kind.name).mkdir(parents=True, exist_ok=True)
        for path in kind.iterdir():
            for number in range(int(path.stem), MANY, count):
                (folder / kind.name / f"{number}{path.suffix}").symlink_to(path.resolve())
    for name in ("bc.jpg", "aud.wav"):
        (folder / name).symlink_to((small / name).resolve())
    frames = sorted((frame for name in ("train", "val") for frame in
                     json.loads((small / f"transforms_{name}.json").read_text())["frames"]), key=lambda f: f["img_id"])
    table = json.loads((small / "transforms_train.json").read_text())
    table["frames"] = [frames[i % count] | {"img_id": i, "aud_id": i} for i in range(MANY)]
    (folder / "transforms_train.json").write_text(json.dumps(table))
    names = "frame, " + ", ".join(f"{name}_r" for name in talking_heads.media_core.motion.AU_NAMES)
    (folder / "au.csv").write_text("\n".join([names, *(f"{i + 1}, " + ", ".join("0" * 17) for i in range(MANY))]) + "\n")
    return folder


def peak_of(folder: Path) -> str:
    data = AvatarDataset.open(folder)
    before = peak_mib()
    for index in range(MANY):
        data.ahead(range(index, min(index + 4, MANY)))
        data.frame(index)
    return f"{peak_mib()} {before}"


# a whole training -------------------------------------------------------------------------------------------------------------

def training_lines(folder: Path, work: Path, factor: float) -> list[str]:
    """Head PSNR on held-out frames against the CPU time spent, validation and saving included."""
    begin, curve = time.process_time(), []
    config = replace(preset("demo").scaled(factor), val_every=200)
    out = work / f"demo_{factor:g}.safetensors"

    def report(step: int, _: int, info: dict, __: object) -> None:
        if "val_psnr" in info and (not curve or curve[-1][1] != info["val_psnr"]):
            curve.append((time.process_time() - begin, info["val_psnr"], step))

    avatar = train_avatar(folder, out, preset=config, report=report, resume=False)
    whole, quality = time.process_time() - begin, avatar.config["quality"]
    reached = next((f"{seconds / 60:.1f} (step {step})" for seconds, psnr, step in curve if psnr >= 30), "not reached")
    points = ", ".join(f"{psnr:.1f} at {seconds / 60:.1f}" for seconds, psnr, _ in curve[::max(1, len(curve) // 12)])
    return [f"| CPU minutes to 30 dB of the head on held-out frames, from 60 s of video | {reached} | <= 5 |",
            f"| the whole training ({config.steps} steps), CPU minutes | {whole / 60:.1f} | |",
            f"| the finished avatar's head, dB on {quality['frames']} held-out frames | {quality['head_psnr']:.2f} | >= 30 |",
            "", f"dB on 4 held-out frames at CPU minutes: {points}."]


if __name__ == "__main__":
    main()
