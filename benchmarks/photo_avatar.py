"""An avatar from one photograph: a rigged video of it trains the avatar, then a voice it never heard speaks through it.

    python benchmarks/photo_avatar.py PHOTO... [--seconds 44] [--scale 0.6] [--size 256] [--voice NAME] [--no-prior]
        [--work FOLDER]

Without PHOTO: scikit-image's astronaut. The truth is the photo's own rig: the last eleventh of the training video is held out,
and another voice says other sentences (10 s). Poses and upper-face action units of the test clip are given, lips come from
the audio alone. Openings are measured on the rendered frames by `meters.py`, which was fitted on the training video.

Writes benchmarks/results/photo_avatar.md, which names photos and figures only; images of the people stay in the work folder.
"""
from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import contact_sheet, evaluate, eye_meter, filmed, head_mask, lip_meter
from common import progress_line, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.finish import motion_of_frames
from talking_heads.hmtalker_core.training.start import SHIPPED
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset
from talking_heads.media_core.subject.photo import photographed, read_photo
from talking_heads.media_core.subject.portrait import Portrait, Source

SEED, TEST_SECONDS, TEST_SEED, TEST_VOICE = 11, 10.0, 99, "en-us+Andy"
WANTED = {"minutes in all": ("<=", 15.0), "head PSNR on held-out rigged frames, dB": (">=", 32.0),
          "lips r on unseen speech": (">=", .85)}
WIDE = 90  # percentile of the truth's openings from which a mouth is wide open


def main() -> None:
    args = arguments()
    torch.manual_seed(0)
    for path in args.photos or [None]:
        folder = args.work / (path.stem if path else "astronaut")
        figures = judged(portrait_of(path), folder, args)
        folder.with_suffix(".json").write_text(json.dumps({"figures": figures, "settings": settings(args)}, indent=1), "utf8")
        print("\n".join(f"{name}: {value:.3f}" for name, value in figures.items()), flush=True)
    text = report(args)
    results_folder().joinpath("photo_avatar.md").write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--seconds", type=float, default=44.0, help="of the rigged video; ten elevenths are trained on")
    parser.add_argument("--scale", type=float, default=0.6, help="of the demo preset's steps")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--no-prior", action="store_true", help="begin with the speech prior alone, not with the avatar prior")
    parser.add_argument("--voice", help="one voice for the whole video (default: one after the other)")
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_photo"), help="folder for datasets and avatars")
    return parser.parse_args()


def settings(args: argparse.Namespace) -> str:
    voice, prior = f" --voice {args.voice}" if args.voice else "", " --no-prior" if args.no_prior else ""
    return f"--seconds {args.seconds:g} --scale {args.scale:g} --size {args.size}{voice}{prior}"


def portrait_of(path: Path | None) -> Portrait:
    if path is not None:
        return read_photo(path)
    from skimage import data

    return photographed(data.astronaut(), Source("astronaut.png", "of scikit-image"))


def judged(portrait: Portrait, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Makes what is missing in the folder, and measures."""
    photo = {"size": args.size, "identity": None, "portrait": portrait}
    voice = {"voice": args.voice} if args.voice else {}
    started, cpu = time.perf_counter(), time.process_time()
    train = export_dataset(folder / "train", args.seconds, SEED, **voice, **photo, report=progress_line())
    rendered = time.perf_counter()
    path = folder / "avatar.safetensors"
    if not path.exists():
        train_avatar(train, path, preset=preset("demo").scaled(args.scale), report=progress_line(),
                     start_from=None if args.no_prior else SHIPPED)
    minutes = {"minutes to render the video": (rendered - started) / 60, "minutes in all": (time.perf_counter() - started) / 60,
               "CPU minutes in all": (time.process_time() - cpu) / 60}
    test = export_dataset(folder / "test", TEST_SECONDS, TEST_SEED, voice=TEST_VOICE, **photo)
    avatar = load_avatar(path)
    learned, unseen = (open_clip(AvatarDataset.open(one, size=args.size), avatar.encoder, torch.device("cpu"), silent)
                       for one in (train, test))
    rows, shown = evaluate(avatar, unseen, lip_meter(learned), eye_meter(learned))
    contact_sheet(shown, rows).save(folder / "sheet.png")
    truth, made = shown["curves"]["landmarks"], shown["curves"]["rendered"]
    wide, low = np.percentile(truth, WIDE), np.percentile(truth, 20)
    span = truth[truth >= wide].mean() - truth[truth <= low].mean()
    return {**minutes, "head PSNR on held-out rigged frames, dB": held_out_psnr(avatar, learned),
            "head PSNR on unseen speech, dB": rows["head PSNR, dB"],
            "lips r on unseen speech": rows["lip-aperture correlation, rendered"],
            "lips amplitude (rendered over true deviation)": float(np.std(made) / np.std(truth)),
            "wide mouths: opening over the true one": float((made[truth >= wide].mean() - made[truth <= low].mean()) / span),
            "lips r, audio shifted 2 s": rows["lip-aperture correlation, sound shifted 2 s"],
            "blink r": rows["blink correlation (eye closure rendered, AU45 fed)"],
            "meter check: lips r on the rigged frames": rows["meter check: lip correlation on the film itself"]}


def held_out_psnr(avatar: Avatar, clip: Clip) -> float:
    frames = [int(f) for f in clip.dataset.val_index]
    drawn = avatar.render(motion_of_frames(avatar, clip, frames), chunk=1, background="black", torso=False)
    scores = []
    for index, (rgb, alpha) in zip(frames, drawn, strict=True):
        made = (rgb[0] + clip.view(index).backdrop * (1 - alpha[0][..., None])).clamp(0, 1).numpy()
        inside = head_mask(clip, index)
        scores.append(-10 * np.log10(max(float(((filmed(clip, index) - made)[inside] ** 2).mean()), 1e-10)))
    return float(np.mean(scores))


def report(args: argparse.Namespace) -> str:
    found = {path.stem: json.loads(path.read_text("utf8")) for path in sorted(args.work.glob("*.json"))}
    machine = f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}"
    lines = ["# An avatar from one photograph", "", f"{machine}, "
             f"{torch.get_num_threads()} threads; `python benchmarks/photo_avatar.py`. Held out: the last eleventh of the rigged "
             f"video; unseen speech: {TEST_SECONDS:g} s of other sentences by the voice {TEST_VOICE}. Truth: "
             "the photo's own rig.", "",
             "| figure | wanted | " + " | ".join(f"{name} ({one['settings']})" for name, one in found.items()) + " |",
             "|---" * (2 + len(found)) + "|"]
    for name in next(iter(found.values()))["figures"]:
        sign, bound = WANTED.get(name, ("", ""))
        lines.append(f"| {name} | {sign} {bound} | " + " | ".join(f"{one['figures'][name]:.3f}" for one in found.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
