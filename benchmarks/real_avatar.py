"""Avatars of real people: a video is captured, an avatar trained on its first part, and the rest rendered from its audio.

    python benchmarks/real_avatar.py FILM... [--tracker people] [--preset demo] [--steps 0.35] [--size 256] [--work FOLDER]
                                     [--label NAME] [--seconds S] [--only capture|train] [--half]

The held-out part is the dataset's own validation split (the last eleventh), or with --half the second half: less to learn from,
and enough to judge lips by. Poses and upper-face action units of that part are
given, lips come from the audio alone (self-reconstruction, as in the papers' tables). Lips are always judged with the mesh
tracker, whatever tracker captured the video: on the filmed frames and on the rendered ones.

A finished dataset in the work folder is used as it is, so that data sets of an older version can be judged beside new ones: give
each version its own --label. Writes benchmarks/results/real_avatar.md, which names films and figures only. Images of the people
(contact sheets) stay in the work folder.
"""
from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import shifted
from capture_chain import trained
from common import progress_line, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.avatar import Avatar, AvatarMotion
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.finish import motion_of_frames
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.choices import TRACKERS
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.metrics import correlation, lip_aperture, ssim
from talking_heads.media_core.progress import silent

SHIFT = 50  # frames = 2 s
FIGURES = ("held-out frames", "head PSNR, dB", "head SSIM", "face PSNR, dB", "whole frame PSNR, dB", "lip correlation",
           "lip amplitude, rendered over filmed", "mean lip opening, rendered over filmed",
           "lip correlation, audio shifted 2 s", "lip correlation, training frames")
Images = list[np.ndarray]  # float32 [H, W, 3] in 0..1 each


def main() -> None:
    args = arguments()
    torch.manual_seed(0)
    for film in args.films:
        folder = dataset_of(film, args)
        if args.only == "capture":
            continue
        folder = halved(folder) if args.half else folder
        avatar = trained(folder, folder.with_suffix(".safetensors"), args)
        if args.only == "train":
            continue
        figures, shown = judged(avatar, folder, args.size)
        folder.with_suffix(".json").write_text(json.dumps({
            "film": film.name, "label": args.label, "preset": args.preset, "steps": args.steps, "size": args.size,
            "frames": len(AvatarDataset.open(folder)), "figures": figures}, indent=1), "utf8")
        contact_sheet(shown, figures).save(folder.with_suffix(".png"))
    text = report(args)
    print(text)
    results_folder().joinpath("real_avatar.md").write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="*", help="videos with audio; none: the table is written again")
    parser.add_argument("--tracker", choices=TRACKERS, default="people", help="what captures the video")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=float, default=0.35)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_real_avatar"), help="folder for data and avatars")
    parser.add_argument("--seconds", type=float, help="only so much of each video, from its beginning")
    parser.add_argument("--label", help="name of this version in the table and of its folder (default: the tracker)")
    parser.add_argument("--half", action="store_true", help="train on the first half of each video, judge on the second")
    parser.add_argument("--only", choices=("capture", "train"), help="stop after that")
    args = parser.parse_args()
    args.label = args.label or args.tracker
    return args


def dataset_of(film: Path, args: argparse.Namespace) -> Path:
    folder = args.work / args.label / film.stem
    if not (folder / "manifest.json").exists():
        started = time.perf_counter()
        segment = None if args.seconds is None else (0.0, args.seconds)
        settings = CaptureSettings(size=args.size, tracker=args.tracker, policy="hold", segment=segment)
        capture(film, folder, settings, report=progress_line())
        print(f"captured {film.name} in {time.perf_counter() - started:.0f} s")
    return folder


def halved(folder: Path) -> Path:
    """The same dataset beside it with its second half held out; images are linked."""
    half = folder.with_name(f"{folder.name}_half")
    half.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if not path.name.startswith("transforms_") and not (half / path.name).exists():
            (half / path.name).symlink_to(path.resolve())
    parts = {name: json.loads((folder / f"transforms_{name}.json").read_text("utf8")) for name in ("train", "val")}
    frames = sorted((frame for part in parts.values() for frame in part["frames"]), key=lambda frame: frame["img_id"])
    middle = len(frames) // 2
    for name, chosen in (("train", frames[:middle]), ("val", frames[middle:])):
        (half / f"transforms_{name}.json").write_text(json.dumps(parts[name] | {"frames": chosen}), "utf8")
    return half


# ---------------------------------------------------------------------------------------------------------------------- judging

@dataclass(frozen=True)
class Part:
    """Some frames of a film, filmed and rendered."""

    clip: Clip
    frames: list[int]
    filmed: Images
    rendered: Images  # over the film's own body and background
    alone: Images     # with the avatar's own body and background
    points: np.ndarray  # float32 [T, 478, 2] px of the filmed frames, NaN without a face
    lips: dict[str, np.ndarray]  # name -> [T] opening of the inner lips over the distance of the eyes


def judged(avatar: Avatar, folder: Path, size: int) -> tuple[dict[str, float], Part]:
    """Figures by name, and what they were measured on."""
    clip = open_clip(AvatarDataset.open(folder, size=size), avatar.encoder, torch.device("cpu"), silent)
    held_out = part_of(avatar, clip, [int(f) for f in clip.dataset.val_index])
    learned = part_of(avatar, clip, [int(f) for f in clip.dataset.train_index][-len(held_out.frames):])
    late, _ = mesh_track(over_film(avatar, clip, motion_of_frames(avatar, shifted(clip, SHIFT), held_out.frames),
                                   held_out.frames))
    lips = held_out.lips
    face = lambda i: face_mask(held_out.points[i], held_out.filmed[i].shape[:2])
    head = lambda i: head_mask(clip, held_out.frames[i])
    return {"held-out frames": len(held_out.frames), "head PSNR, dB": masked_psnr(held_out, head),
            "head SSIM": masked_ssim(held_out, head), "face PSNR, dB": masked_psnr(held_out, face),
            "whole frame PSNR, dB": masked_psnr(held_out, lambda i: np.ones(held_out.filmed[i].shape[:2], bool)),
            "lip correlation": together(lips["rendered"], lips["filmed"]),
            "lip amplitude, rendered over filmed": float(np.nanstd(lips["rendered"]) / np.nanstd(lips["filmed"])),
            "mean lip opening, rendered over filmed": float(np.nanmean(lips["rendered"]) / np.nanmean(lips["filmed"])),
            "lip correlation, audio shifted 2 s": together(late, lips["filmed"]),
            "lip correlation, training frames": together(learned.lips["rendered"], learned.lips["filmed"])}, held_out


def part_of(avatar: Avatar, clip: Clip, frames: list[int]) -> Part:
    motion = motion_of_frames(avatar, clip, frames)
    images = [filmed(clip, f) for f in frames]
    rendered = over_film(avatar, clip, motion, frames)
    alone = [rgb[0].numpy() for rgb, _ in avatar.render(motion, chunk=1)]
    truth, points = mesh_track(images)
    return Part(clip=clip, frames=frames, filmed=images, rendered=rendered, alone=alone, points=points,
                lips={"filmed": truth, "rendered": mesh_track(rendered)[0]})


def over_film(avatar: Avatar, clip: Clip, motion: AvatarMotion, frames: list[int]) -> Images:
    """Rendered heads over the film's own body and background."""
    drawn = avatar.render(motion, chunk=1, background="black", torso=False)
    return [(rgb[0] + clip.view(f).backdrop * (1 - alpha[0][..., None])).clamp(0, 1).numpy()
            for f, (rgb, alpha) in zip(frames, drawn, strict=True)]


def filmed(clip: Clip, index: int) -> np.ndarray:  # float32 [H, W, 3]
    """The frame as it was filmed, not over the plate."""
    from PIL import Image

    with Image.open(clip.dataset.folder / "ori_imgs" / f"{index}.jpg") as image:
        height, width = clip.dataset.size
        small = image.convert("RGB").resize((width, height), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / 255


def mesh_track(images: Images) -> tuple[np.ndarray, np.ndarray]:  # [T], [T, 478, 2]; NaN without a face
    tracker = MeshTracker()
    lips, points = [], []
    for image in images:
        face = tracker((image * 255).round().astype(np.uint8))
        lips.append(np.nan if face is None else float(lip_aperture(face.points[None])[0]))
        points.append(np.full((478, 2), np.nan, np.float32) if tracker.face is None else tracker.face.points[:, :2])
    return np.array(lips), np.stack(points)


def together(a: np.ndarray, b: np.ndarray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    return float(correlation(a[both], b[both]))


def head_mask(clip: Clip, index: int) -> np.ndarray:  # bool [H, W]
    """The dataset's own: it differs between versions that make masks differently."""
    frame = clip.dataset.frame(index)
    return frame.face_mask | frame.hair_mask | frame.mouth_mask


def face_mask(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:  # bool [H, W]
    """Inside the mesh's outline: the same for every version."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    if np.isfinite(points).all():
        cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).round().astype(np.int32), 1)
    return mask.astype(bool)


def masked_psnr(part: Part, mask: Callable[[int], np.ndarray]) -> float:
    """Frame by frame, averaged over the frames in which the mask is not empty."""
    scores = []
    for i, (truth, made) in enumerate(zip(part.filmed, part.rendered, strict=True)):
        inside = mask(i)
        if inside.any():
            scores.append(-10 * np.log10(max(float(((truth - made)[inside] ** 2).mean()), 1e-10)))
    return float(np.mean(scores))


def masked_ssim(part: Part, mask: Callable[[int], np.ndarray]) -> float:
    """With everything outside the mask grey in both images."""
    scores = [ssim(*(np.where(mask(i)[..., None], image[i], 0.5).astype(np.float32) for image in (part.filmed, part.rendered)))
              for i in range(0, len(part.frames), 5)]
    return float(np.mean(scores))


# -------------------------------------------------------------------------------------------------------------------- reporting

def report(args: argparse.Namespace) -> str:
    runs = sorted((json.loads(path.read_text("utf8")) for path in args.work.glob("*/*.json")),
                  key=lambda run: (run["film"], run["label"]))
    lines = ["# Avatars of real people", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/real_avatar.py`. "
             "Public example videos of other projects, captured, trained on and judged on their last eleventh, which no avatar "
             "saw: its poses and upper-face action units are given, its lips come from the audio. Lips of film and rendering are "
             "read by the mesh tracker in every row. Head: the dataset's own mask; face: inside the mesh's outline, the same for "
             "every version; whole frame: the head over the dataset's own body layer and background plate, against the film. "
             "A few minutes of training on a few seconds of video: these figures compare versions, and are not what a full "
             "training gives.", ""]
    for film in dict.fromkeys(run["film"] for run in runs):
        own = [run for run in runs if run["film"] == film]
        first = own[0]
        lines += [f"## {film}", "", f"{first['frames']} frames, {first['size']} px, preset {first['preset']}.", "",
                  "| figure | " + " | ".join(run["label"] for run in own) + " |",
                  "|---" * (len(own) + 1) + "|"]
        lines.append("| steps, times the preset's | " + " | ".join(f"{run['steps']:g}" for run in own) + " |")
        new = float("nan")  # to runs of before
        lines += [f"| {name} | " + " | ".join(f"{run['figures'].get(name, new):.4g}" for run in own) + " |" for name in FIGURES]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def contact_sheet(part: Part, figures: dict[str, float]):
    """Film, avatar over the film's body, avatar alone, and the dataset's masks and torso layer; then the lip curves."""
    from PIL import Image, ImageDraw

    tile, columns, rows = 256, 7, ("filmed", "rendered", "alone", "masks", "torso")
    sheet = Image.new("RGB", (tile * columns, tile * len(rows) + 200), "white")
    draw = ImageDraw.Draw(sheet)
    for column, i in enumerate(np.linspace(0, len(part.frames) - 1, columns).astype(int)):
        frame = part.clip.dataset.frame(part.frames[i])
        tint = np.stack([frame.face_mask, frame.hair_mask, frame.mouth_mask], -1) * 0.5 + part.filmed[i] * 0.5
        alpha = frame.torso[..., 3:] / 255
        body = frame.torso[..., :3] / 255 * alpha + np.array([1, 0, 1]) * (1 - alpha)
        images = {"filmed": part.filmed[i], "rendered": part.rendered[i], "alone": part.alone[i], "masks": tint, "torso": body}
        for row, name in enumerate(rows):
            small = Image.fromarray((images[name] * 255).astype(np.uint8)).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(small, (column * tile, row * tile))
            draw.text((column * tile + 4, row * tile + 4), f"{name} {part.frames[i]}", fill="red")
    base, low, high = tile * len(rows), np.nanmin(part.lips["filmed"]), np.nanmax(part.lips["filmed"])
    for name, colour in (("filmed", "black"), ("rendered", "red")):
        y = base + 170 - 150 * (np.nan_to_num(part.lips[name], nan=low) - low) / (high - low)
        draw.line([(k * tile * columns / len(y), float(v)) for k, v in enumerate(y)], fill=colour, width=2)
    draw.text((8, base + 182), "; ".join(f"{k} {v:.3f}" for k, v in figures.items()), fill="black")
    return sheet


if __name__ == "__main__":
    main()
