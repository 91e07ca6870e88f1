"""Ten seconds of a new person: an avatar from nothing against one that starts from the avatar prior, at equal steps.

    python benchmarks/adaptation.py [--prior FILE] [--steps 900 1800] [--seeds 3] [--size 128] [--work FOLDER]

The person (synthetic identity 3) is not among those of the prior. Both start from the same speech prior; 10 s of unseen sentences
judge, as in avatar_quality.py. One table per number of steps: the shorter the training, the more a start is worth. Writes
benchmarks/results/adaptation.md.
"""
from __future__ import annotations

import argparse
import itertools
import platform
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import TEST_SECONDS, TEST_SEED, evaluate, eye_meter, lip_meter
from common import progress_line, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.start import SHIPPED
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset

SECONDS, IDENTITY = 11.0, 3  # ten elevenths are trained on
FIGURES = {"head PSNR, dB": "head PSNR, dB", "lip-rectangle PSNR, dB": "lip-rectangle PSNR, dB",
           "lip-aperture correlation, rendered": "lip correlation", "lip-aperture correlation, sound shifted 2 s": "shifted 2 s"}
WANTED = {"lip-rectangle PSNR, dB": 1.0, "lip-aperture correlation, rendered": 0.05}


def main() -> None:
    args = arguments()
    test = export_dataset(args.work / "test", TEST_SECONDS, TEST_SEED, size=args.size, identity=IDENTITY)
    starts = {"from nothing": None, "from the prior": args.prior}
    rows: dict[int, dict[str, list[dict[str, float]]]] = {steps: {name: [] for name in starts} for steps in args.steps}
    for seed in range(args.seeds):
        train = export_dataset(args.work / f"train_{seed}", SECONDS, 300 + seed, size=args.size, identity=IDENTITY)
        for steps, (name, start) in itertools.product(args.steps, starts.items()):
            rows[steps][name].append(measured(train, test, start, seed, steps, args))
            print(steps, name, rows[steps][name][-1])
    text = "\n".join([heading(args), *(table(steps, rows[steps]) for steps in args.steps)])
    print(text)
    results_folder().joinpath("adaptation.md").write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", type=Path, default=SHIPPED)
    parser.add_argument("--steps", type=int, nargs="+", default=[900, 1800], help="of a training, all phases; a table each")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--work", type=Path, default=Path("output/adaptation"))
    return parser.parse_args()


def measured(train: Path, test: Path, start: Path | None, seed: int, steps: int,
             args: argparse.Namespace) -> dict[str, float]:
    """One training: CPU minutes and the figures on unseen sentences."""
    config = replace(preset("demo"), warmup_steps=100).with_steps(steps)
    path = args.work / f"{'prior' if start else 'nothing'}_{seed}_{steps}.safetensors"
    began = time.process_time()
    avatar = train_avatar(train, path, preset=config, seed=seed, start_from=start, resume=False, report=progress_line(20))
    minutes = (time.process_time() - began) / 60
    device = torch.device("cpu")
    learned, unseen = (open_clip(AvatarDataset.open(folder), "mel", device, silent) for folder in (train, test))
    figures, _ = evaluate(avatar, unseen, lip_meter(learned), eye_meter(learned))
    return {name: figures[name] for name in FIGURES} | {"CPU minutes": minutes}


def heading(args: argparse.Namespace) -> str:
    command = f"python benchmarks/adaptation.py --steps {' '.join(map(str, args.steps))} --seeds {args.seeds} --size {args.size}"
    machine = f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}"
    return (f"# Fast adaptation: 10 s of a new person\n\n{machine}; `{command}`; synthetic identity {IDENTITY}, preset demo, one "
            f"thread; mean and standard deviation of {args.seeds} seeds, each with its own video.\n")


def table(steps: int, rows: dict[str, list[dict[str, float]]]) -> str:
    """The figures of trainings of so many steps, from nothing and from the prior."""
    lines = [f"## {steps} steps in all", "",
             "| figure | from nothing | from the prior | gain | wanted |", "|---|---|---|---|---|"]
    for name, label in (FIGURES | {"CPU minutes": "CPU minutes"}).items():
        first, second = (np.array([row[name] for row in rows[kind]]) for kind in rows)
        gain, wanted = float((second - first).mean()), WANTED.get(name)
        met = "" if wanted is None else f">= {wanted:g}: " + ("met" if gain >= wanted else "**not met**")
        if name == "CPU minutes":
            met = "<= 3: " + ("met" if second.mean() <= 3 else "**not met**")
        spread = [f"{values.mean():.3f} ({values.std():.3f})" for values in (first, second)]
        lines.append(f"| {label} | {' | '.join(spread)} | {gain:+.3f} | {met} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
