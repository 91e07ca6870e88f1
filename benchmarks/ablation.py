"""What each choice of the paper's table 4 does here: one avatar per row and seed, on speech that none of them heard.

    python benchmarks/ablation.py [--preset demo] [--steps 1500] [--size 128] [--seeds 2] [--seconds 33] [--rows gate,implicit]
                                  [--work FOLDER] [--report]

The synthetic subject trains every row and speaks three test clips: its own voice with other sentences, another voice, and another
person with another voice (driving only: there is no truth to compare the image with). Poses and upper-face action units of a clip
are given, the lips come from the sound. Measured on rendered frames: PSNR of the head; LMD and AUE with the pack's own tracker
on film and rendering alike (px at the training size; AUE over OpenFace's 0..5, approximate units); r of the lip opening (a meter
fitted to the training frames) with the true one; closures at P, B and M. Figures of a finished row are kept in the work folder:
a run that is stopped goes on, --report writes benchmarks/results/ablation.md from what is there.
"""
from __future__ import annotations

import argparse
import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import filmed, head_mask, lip_meter, mean_psnr, render
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from meters import Meter
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.config import TrainConfig, preset
from talking_heads.hmtalker_core.training.finish import motion_of_frames
from talking_heads.hmtalker_core.training.prior import SHIPPED
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.dataset_folder import openface_table
from talking_heads.media_core.face.action_units.mesh_shapes import shapes_of_points
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.pose.pose import RigidShape
from talking_heads.media_core.face.track import measure
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.metrics import aue, correlation, lip_aperture, lmd
from talking_heads.media_core.metrics.closures import closures
from talking_heads.media_core.metrics.phones import Phone, Phones
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset

TEST = 5.0  # s, of a test clip
NOISE = 1.0  # standard deviation of the noise on action units, of their range 0..5
CLIPS = {"train": (None, 11, 3, "en-us+f3"), "own voice": (TEST, 99, 3, "en-us+f3"), "other voice": (TEST, 98, 3, "en-us+m3"),
         "other person": (TEST, 97, 6, "en-us+m7")}  # seconds, seed, identity, voice
FIGURES = {"own voice": ("PSNR", "LMD", "AUE-L", "AUE-U", "lip r", "closures"),
           "other voice": ("PSNR", "lip r", "closures"), "other person": ("lip r", "closures")}
TALKING_GAUSSIAN = {"fusion": "implicit", "lambda_align": 0.0, "path_weights": (1, 0, 0), "audio_augment": 0.0, "warmup_steps": 0}
# row -> (settings beside the preset's, whether it starts from the speech prior, whether its action units are noisy)
ROWS: dict[str, tuple[dict, bool, bool]] = {
    "gate, no prior": ({}, False, False), "implicit, no prior": ({"fusion": "implicit"}, False, False),
    "explicit, no prior": ({"fusion": "explicit"}, False, False), "gate": ({}, True, False),
    "TalkingGaussian's setting": (TALKING_GAUSSIAN, False, False),
    "gate, noisy AUs, no prior": ({}, False, True), "explicit, noisy AUs, no prior": ({"fusion": "explicit"}, False, True),
    "blendshapes, no prior": ({"cue": "blendshapes"}, False, False), "vector, no prior": ({"cue": "vector"}, False, False),
    "implicit": ({"fusion": "implicit"}, True, False), "explicit": ({"fusion": "explicit"}, True, False),
    "concat": ({"fusion": "concat"}, True, False), "fixed": ({"fusion": "fixed"}, True, False),
    "mcmc": ({"densify": "mcmc"}, True, False), "pose residuals": ({"pose_residuals": True}, True, False),
    "mask 0.9": ({"mask_ratio": (0.9, 0.9)}, True, False), "mask 0.2": ({"mask_ratio": (0.2, 0.2)}, True, False),
    "paths 2:7:1": ({"path_weights": (2, 7, 1)}, True, False), "paths 6:1:3": ({"path_weights": (6, 1, 3)}, True, False)}


def main() -> None:
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    if not args.report:
        measured_rows(args)
    text = report(args)
    print(text)
    results_folder().joinpath("ablation.md").write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/ablation"), help="folder for datasets, avatars and figures")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--size", type=int, default=128, metavar="PX")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=33.0, help="of the training clip; 10/11 of it are trained on")
    parser.add_argument("--rows", default=";".join(ROWS), help="names with semicolons between them (default: all)")
    parser.add_argument("--report", action="store_true", help="train nothing, write the report of what is there")
    args = parser.parse_args()
    args.rows = [row for row in args.rows.split(";") if row]
    if unknown := [row for row in args.rows if row not in ROWS]:
        parser.error(f"no row {unknown[0]!r}; there are: {'; '.join(ROWS)}")
    return args


# what is trained on, and what is spoken -----------------------------------------------------------------------------------------

def folders_of(args: argparse.Namespace) -> dict[str, Path]:
    """The datasets by name; "noisy" is the training one with noise on its action units."""
    made = {name: export_dataset(args.work / name.replace(" ", "_"), seconds or args.seconds, seed, size=args.size,
                                 identity=identity, voice=voice)
            for name, (seconds, seed, identity, voice) in CLIPS.items()}
    with np.load(made["train"] / "gt.npz") as truth:
        np.save(made["train"] / "blendshapes.npy", shapes_of_points(truth["landmarks3d"]))
        np.save(made["train"] / "vector.npy", truth["params"])  # the rig's own parameters, in the place of a 3DMM's
    made["noisy"] = noisy_copy(made["train"], args.work / "noisy")
    return made


def noisy_copy(source: Path, folder: Path) -> Path:
    """The same images with white noise on every action unit."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for item in source.iterdir():
        if item.name != "au.csv":
            (folder / item.name).symlink_to(item.resolve())
    data = AvatarDataset.open(source)
    noise = np.random.default_rng(5).normal(0, NOISE, data.au.shape)
    (folder / "au.csv").write_text(openface_table(np.clip(data.au + noise, 0, 5), data.fps))
    return folder


def phones_of(folder: Path) -> Phones:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return Phones(tuple(Phone(str(name).upper(), float(a), float(b)) for name, a, b in manifest["phonemes"]), aligned=True)


# rows ---------------------------------------------------------------------------------------------------------------------------

def measured_rows(args: argparse.Namespace) -> None:
    """Trains and measures what has no figures yet, a seed after the other: the first seed of all rows comes first."""
    folders, cpu = folders_of(args), torch.device("cpu")
    clips = {name: open_clip(AvatarDataset.open(folders[name]), "mel", cpu, silent) for name in FIGURES}
    lips = lip_meter(open_clip(AvatarDataset.open(folders["train"]), "mel", cpu, silent))
    truth = {name: tracked([filmed(clip, f) for f in range(len(clip.dataset))], clip, None)
             for name, clip in clips.items() if "LMD" in FIGURES[name]}
    for seed in range(args.seeds):
        for row in args.rows:
            kept = figures_file(args, row, seed)
            if kept.exists():
                continue
            started = time.perf_counter()
            avatar = trained(args, row, seed, folders)
            found = {name: figures(avatar, clip, lips, truth.get(name), phones_of(folders[name]), FIGURES[name])
                     for name, clip in clips.items()}
            kept.write_text(json.dumps(found, indent=1))
            print(f"{row}, seed {seed}: {time.perf_counter() - started:.0f} s  {found['own voice']}", flush=True)


def figures_file(args: argparse.Namespace, row: str, seed: int) -> Path:
    name = "".join(c if c.isalnum() else "_" for c in row)
    return args.work / f"{name}_{args.preset}_{args.steps}_{args.size}_{seed}.json"


def trained(args: argparse.Namespace, row: str, seed: int, folders: dict[str, Path]) -> Avatar:
    _, prior, noisy = ROWS[row]
    path = figures_file(args, row, seed).with_suffix(".safetensors")
    if not path.exists():
        train_avatar(folders["noisy" if noisy else "train"], path, preset=config_of(args, row), seed=seed,
                     speech_prior=SHIPPED if prior else None)
    return load_avatar(path)


def config_of(args: argparse.Namespace, row: str) -> TrainConfig:
    """The row's settings, all of them in equally many steps."""
    config = replace(preset(args.preset), **ROWS[row][0])
    return config.with_steps(args.steps)


def tracked(images: list[np.ndarray], clip: Clip, shape: RigidShape | None) -> tuple[np.ndarray, np.ndarray, RigidShape]:
    """(points [T, 68, 2], action units [T, 17], the person) that the pack's tracker of rendered people finds."""
    tracker, points = make_tracker("rendered"), np.full((len(images), 68, 2), np.nan, np.float32)
    for index, image in enumerate(images):
        face = tracker((image * 255).round().astype(np.uint8))
        if face is not None:
            points[index] = face.points
    seen = np.isfinite(points).all((1, 2)).astype(np.float32)
    track = measure(RawTrack(points, seen, clip.dataset.size, clip.dataset.fps), focal=clip.dataset.focal, shape=shape)
    return track.landmarks.points[..., :2].numpy(), track.expression.au.numpy(), track.shape


def figures(avatar: Avatar, clip: Clip, lips: Meter, truth: tuple | None, phones: Phones, wanted: tuple[str, ...]
            ) -> dict[str, float]:
    """What is measured on an avatar that re-enacts a clip."""
    frames = list(range(len(clip.dataset)))
    shown = render(avatar, clip, motion_of_frames(avatar, clip, frames))
    opening = lips(shown, clip.viewmats.numpy(), clip.dataset.focal)
    made: dict[str, Callable[[], float]] = {
        "PSNR": lambda: mean_psnr({"filmed": [filmed(clip, f) for f in frames], "avatar": shown}, "avatar", clip, head_mask),
        "lip r": lambda: correlation(opening, np.asarray(lip_aperture(clip.dataset.landmarks))),
        "closures": lambda: closures(opening, phones, clip.dataset.fps).closed_fraction}
    found = {name: float(made[name]()) for name in wanted if name in made}
    if truth is not None:
        points, units, _ = tracked(shown, clip, truth[2])
        error = aue(units, truth[1])
        found |= {"LMD": float(lmd(points, truth[0])), "AUE-L": error.lower, "AUE-U": error.upper}
    return {name: found[name] for name in wanted}


# report -------------------------------------------------------------------------------------------------------------------------

def report(args: argparse.Namespace) -> str:
    files = {row: [figures_file(args, row, seed) for seed in range(args.seeds)] for row in args.rows}
    found = {row: [json.loads(path.read_text()) for path in paths if path.exists()] for row, paths in files.items()}
    found = {row: seeds for row, seeds in found.items() if seeds}
    command = (f"python benchmarks/ablation.py --preset {args.preset} --steps {args.steps} --size {args.size} --seeds "
               f"{args.seeds} --seconds {args.seconds:g}")
    lines = ["# Ablation: table 4 on the synthetic subject", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `{command}`: "
             f"{args.seconds * 10 / 11:.0f} s of training video, {TEST:g} s per test clip. Mean and, after ±, half the range "
             "over the seeds of a row (in brackets: how many).", ""]
    for name, figures_shown in FIGURES.items():
        lines += [f"## {name[0].upper()}{name[1:]}", "", f"| row (seeds) | {' | '.join(figures_shown)} |",
                  "|---" * (len(figures_shown) + 1) + "|"]
        lines += [f"| {row} ({len(seeds)}) | " + " | ".join(spread([s[name][f] for s in seeds]) for f in figures_shown) + " |"
                  for row, seeds in found.items()]
        lines.append("")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    half = (max(values) - min(values)) / 2
    return f"{np.mean(values):.3f}" + (f" ± {half:.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
