"""Does capture hold? The subject's plain film, without any ground truth, through capture and the avatar trainer; its avatar is
compared with one trained on the exact data set of the same film.

    python benchmarks/capture_chain.py [--work FOLDER] [--truth AVATAR] [--preset demo] [--steps 1.0] [--codec]

Both are judged on 10 s of unseen sentences against the same exact film. Poses and upper-face action units of that film come from
its own data set: exact for one avatar, captured (`like` the training film) for the other. With --codec a third avatar learns from
the exact data set whose frames alone are those of the mp4: what the codec costs, whatever captures it. Writes
benchmarks/results/capture_chain.{md,png}.
"""
from __future__ import annotations

import argparse
import json
import math
import platform
import shutil
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import TEST_SECONDS, TEST_SEED, TRAIN_SECONDS, TRAIN_SEED, contact_sheet, evaluate, eye_meter, lip_meter
from common import progress_line, results_folder, talking_heads  # noqa: F401
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.motion import AU_NAMES
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset
from talking_heads.media_core.video import VideoWriter
from talking_heads.media_core.video_reading import read_frames

PSNR, LIPS = "head PSNR, dB", "lip-aperture correlation, rendered"
FILM_EVERY = 10  # frames of the film that are compared: one in so many
ALLOWED = {PSNR: 1.2, LIPS: 0.04}  # how much worse the captured avatar may be
CODEC = " exact data set with the mp4's frames | captured film against that |"
SHOWN = (PSNR, "head SSIM", "lip-rectangle PSNR, dB", LIPS,
         "lip-aperture correlation, sound shifted 2 s", "eye-aperture correlation, rendered",
         "blink correlation (eye closure rendered, AU45 fed)")


def main() -> None:
    args = arguments()
    torch.manual_seed(0)
    folders = {name: export_dataset(args.work / name, seconds, seed, size=args.size, identity=args.identity,
                                    report=progress_line())
               for name, seconds, seed in (("train", TRAIN_SECONDS, TRAIN_SEED), ("test", TEST_SECONDS, TEST_SEED))}
    captured = {}
    for name in ("train", "test"):
        settings = CaptureSettings(size=args.size, like=captured.get("train"), tracker="rendered")
        captured[name] = capture(plain_film(folders[name], args.work / f"{name}.mp4"), args.work / f"captured_{name}", settings,
                                 report=progress_line())
        check_framing(captured[name])
    if args.only_capture:
        return
    truth = load_avatar(args.truth) if args.truth else trained(folders["train"], args.work / "truth.safetensors", args)
    made = trained(captured["train"], args.work / "captured.safetensors", args)
    rows, pictures = compared(truth, made, folders, captured, args)
    if args.codec:
        coded = with_frames_of(args.work / "train.mp4", folders["train"], args.work / "coded_train")
        rows["codec"] = on_exact(trained(coded, args.work / "coded.safetensors", args), folders, args)
    text = report(rows, captured["train"], film_error(folders["test"], args.work / "test.mp4"), args)
    print(text)
    results_folder().joinpath("capture_chain.md").write_text(text, encoding="utf-8")
    figures = {k: v for k, v in rows["captured"].items() if k in SHOWN}
    contact_sheet(pictures, figures).save(results_folder() / "capture_chain.png")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_chain"), help="folder for data and avatars")
    parser.add_argument("--truth", type=Path, help="an avatar trained on the exact data (the demo avatar is); else trained here")
    parser.add_argument("--codec", action="store_true", help="also an avatar of the exact data set with the mp4's frames")
    parser.add_argument("--only-capture", action="store_true", help="stop before training")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=float, default=1.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--identity", type=int, default=3)
    return parser.parse_args()


def plain_film(folder: Path, path: Path) -> Path:
    """The pictures and the sound of an exact data set as a phone would give them: one mp4."""
    import cv2

    if not path.exists():
        files = sorted((folder / "ori_imgs").glob("*.jpg"), key=lambda f: int(f.stem))
        height, width = cv2.imread(str(files[0])).shape[:2]
        with VideoWriter(path, width, height, 25, load_sound(folder / "aud.wav")) as film:
            for file in files:
                film.write(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))
    return path


def with_frames_of(film: Path, folder: Path, out: Path) -> Path:
    """The exact data set in which the person's pixels are those of the film."""
    import cv2

    if not out.exists():
        partial = out.with_name(f"{out.name}.part")
        shutil.copytree(folder, partial, dirs_exist_ok=True)
        data = AvatarDataset.open(folder)
        for index, frame in enumerate(read_frames(film)):
            file = partial / "gt_imgs" / f"{index}.jpg"
            person = (data.frame(index).torso[..., 3] > 0) | head_of(data, index)
            mixed = np.where(person[..., None], frame, cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))
            cv2.imwrite(str(file), cv2.cvtColor(mixed, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])
        partial.rename(out)
    return out


def head_of(data: AvatarDataset, index: int) -> np.ndarray:  # bool [H, W]
    masks = data.frame(index)
    return masks.face_mask | masks.hair_mask | masks.mouth_mask


def film_error(folder: Path, film: Path) -> float:
    """PSNR of the head, dB, of the mp4 itself against the frames that went into it: what the codec takes before any capture."""
    import cv2

    data, found = AvatarDataset.open(folder), []
    for index, frame in enumerate(read_frames(film)):
        if index % FILM_EVERY == 0:
            exact = cv2.cvtColor(cv2.imread(str(folder / "ori_imgs" / f"{index}.jpg")), cv2.COLOR_BGR2RGB)
            found.append(float(((frame.astype(float) - exact)[head_of(data, index)] ** 2).mean()))
    return -10 * math.log10(sum(found) / len(found) / 255 ** 2)


def check_framing(folder: Path) -> None:
    """The comparison needs the whole picture at its own size: pixels must stay where they are."""
    crop = json.loads((folder / "manifest.json").read_text("utf8"))["crop"]
    print(f"{folder.name}: crop {crop}")


def trained(folder: Path, path: Path, args: argparse.Namespace) -> Avatar:
    started = time.perf_counter()
    if not path.exists():
        train_avatar(folder, path, preset=args.preset, steps=args.steps, report=progress_line())
        print(f"trained {path.name} in {(time.perf_counter() - started) / 60:.0f} min")
    return load_avatar(path)


def compared(truth: Avatar, made: Avatar, folders: dict, captured: dict, args: argparse.Namespace) -> tuple[dict, dict]:
    def clip(folder: Path, avatar: Avatar):
        return open_clip(AvatarDataset.open(folder, size=args.size), avatar.encoder, torch.device("cpu"), silent)
    learned, unseen = clip(folders["train"], truth), clip(folders["test"], truth)
    lips, eyes = lip_meter(learned), eye_meter(learned)
    exact, _ = evaluate(truth, unseen, lips, eyes)
    rows, pictures = evaluate(made, unseen, lips, eyes, clip(captured["test"], made))
    return {"exact": exact, "captured": rows}, pictures


def on_exact(avatar: Avatar, folders: dict, args: argparse.Namespace) -> dict[str, float]:
    """What an avatar of exact poses gives on the unseen sentences."""
    clip = {name: open_clip(AvatarDataset.open(folders[name], size=args.size), avatar.encoder, torch.device("cpu"), silent)
            for name in ("train", "test")}
    return evaluate(avatar, clip["test"], lip_meter(clip["train"]), eye_meter(clip["train"]))[0]


def report(rows: dict, folder: Path, film: float, args: argparse.Namespace) -> str:
    manifest = json.loads((folder / "manifest.json").read_text("utf8"))
    doubtful = [n for n, r in zip(AU_NAMES, manifest["au_reliability"]) if r < .4]
    truth = (f" --truth {args.truth}" if args.truth else "") + " --codec" * args.codec
    lines = ["# An avatar from a plain film", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/capture_chain.py "
             f"--preset {args.preset} --steps {args.steps:g}{truth}`; synthetic identity {args.identity} (the landmark networks "
             f"never saw it), {args.size} px, 66 s of film, 10 s of unseen sentences.", "",
             "Synthetic people only: these figures compare versions of this code, they do not predict quality on a real person.",
             f"The mp4 itself (H.264, CRF 18) is {film:.1f} dB of the head from the frames that went into it.",
             f"Action units the trainer took for unknown: {' '.join(doubtful)}.", "",
             "| figure | exact data set | captured film | difference | allowed |" + (CODEC if "codec" in rows else ""),
             "|---|---|---|---|---|" + ("---|---|" if "codec" in rows else "")]
    for name in SHOWN:
        a, b = rows["exact"][name], rows["captured"][name]
        allowed = ALLOWED.get(name)
        met = "" if allowed is None else f"-{allowed:g}: " + ("met" if b >= a - allowed else "**not met**")
        coded = rows.get("codec", {}).get(name)
        codec = "" if coded is None else f" {coded:.3f} | {b - coded:+.3f} |"
        lines.append(f"| {name} | {a:.3f} | {b:.3f} | {b - a:+.3f} | {met} |{codec}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
