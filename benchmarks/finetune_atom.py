"""Fine-tuning of AToM on videos of real people: do the lips of a person who was left out follow the voice better?

    python benchmarks/finetune_atom.py FOLDER [--work DIR] [--start-from FILE] [--mix DATASET[@FRACTION] ...] [--alike]
                                       [--folds 4] [--speakers FILE] [--seconds 12] [--set NAME=JSON ...]

The videos below FOLDER become a motion dataset in DIR, and so do twelve synthetic people, as in the template "Fine-tune AToM"
(both once). For each fold, its speakers are left out, the preset finetune trains on the others beside the synthetic people, and
the left-out videos' audio is heard: the correlation of the lips with those that the tracker `people` sees, at the one lag that
`real_voices.py` fixes per video, before and after; lab and web videos apart ("grid" in the name or folder: lab). Beside them, as
there: lips for another sentence (the floor), the amplitude, closures of human readers, and how well the lips of the held-out
synthetic people are still followed. Every video is a speaker of its own, unless --speakers names a file with a line "VIDEO
SPEAKER" (names without their ending) for each that is not. Writes benchmarks/results/finetune_atom.md, which names figures only.
"""
from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from real_voices import Lips, by_atom, film_lag
from real_voices_material import FPS, Film, Reading, films, readings
from talking_heads.media_core.metrics import lip_aperture
from talking_heads.media_core.metrics.closures import Closures, closures
from talking_heads.media_core.metrics.lags import lagged
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import resting_face
from talking_heads.media_core.mouth_gate import speech_gate
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import encode_speech
from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
from talking_heads.moditalker_core.atom.generation import generate_motion
from talking_heads.moditalker_core.atom.mix import Share
from talking_heads.moditalker_core.atom.train_config import TrainConfig, preset
from talking_heads.moditalker_core.atom.training import train_atom
from talking_heads.moditalker_core.data.dataset import INDEX, SHARDS, MotionDataset
from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject
from talking_heads.moditalker_core.data.from_videos import build_from_videos

SYNTHETIC = SubjectPlan(tuple(range(1000, 1012)), seconds=20.0)
WANTED = {"lab r": .64, "web r": .33}
CEILING = {"lab r": .70, "web r": .36}


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    seen = films(args.folder, args.seconds)
    lags, readers = [film_lag(film) for film in seen], readings()
    data = MotionDataset.open(build_from_videos(args.folder, args.work / "films"))
    mix = args.mix or [Share(build_from_subject(args.work / "synthetic", SYNTHETIC))]
    config = changed(preset("finetune"), args.set)
    before = heard(args.start_from, seen, args.seeds)
    after: list[Lips | None] = [None] * len(seen)
    rows, spent = [], time.process_time()
    for number, fold in enumerate(folds(seen, args)):
        left_out, others = [seen[i].name for i in fold], args.alike and {f.name for f in seen if f.lab != seen[fold[0]].lab}
        out = args.work / f"{args.label}_{number}.safetensors"
        chosen = without(data, left_out, others or (), args.work / f"{args.label}_fold{number}")
        atom = train_atom(chosen, out, config, start_from=args.start_from, mix=mix, resume=False, report=silent,
                          log_folder=args.work / f"{args.label}_log{number}")
        for i, lips in zip(fold, heard(out, [seen[i] for i in fold], args.seeds)):
            after[i] = lips
        rows.append(kept(out, readers, mix))
        print(number, left_out, {name: round(value, 3) for name, value in rows[-1].items()},
              [(seen[i].name[-20:], round(r_of(before, seen, lags, i), 2), round(r_of(after, seen, lags, i), 2)) for i in fold],
              repr(atom), flush=True)
    spent = time.process_time() - spent
    table = {"before": figures(before, seen, lags) | kept(args.start_from, readers, mix),
             "after": figures(after, seen, lags) | {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}}
    text = report(args, table, data, seen, lags, config, spent)
    print(text)
    results_folder().joinpath(args.name).write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="videos of real people with audio")
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "finetune_atom", help="folder of the dataset and weights")
    parser.add_argument("--start-from", type=Path, default=SHIPPED_ATOM)
    parser.add_argument("--mix", type=Share.read, default=[], action="append", metavar="DATASET[@FRACTION]",
                        help="instead of the synthetic people")
    parser.add_argument("--alike", action="store_true", help="learn from videos of the judged one's kind only, lab or web")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--speakers", type=Path, help="who is in several videos")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each video that are judged; all of it is learnt")
    parser.add_argument("--seeds", type=int, default=1, help="motions drawn per video; their lips are averaged")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="of the training's settings")
    parser.add_argument("--label", default="tuned", help="of the weight files in DIR")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="finetune_atom.md", help="of the file in benchmarks/results")
    return parser.parse_args()


def changed(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    return replace(config, **{name: json.loads(value) for name, value in (change.split("=", 1) for change in changes)})


# --------------------------------------------------------------------------------------------------------------------------- data

def folds(seen: Sequence[Film], args: argparse.Namespace) -> list[list[int]]:
    """Numbers of the videos that are left out together: a speaker is in one fold only, and with --alike one kind of videos."""
    known = dict(line.split() for line in args.speakers.read_text("utf8").splitlines()) if args.speakers else {}
    speakers, out = [known.get(film.name, film.name) for film in seen], []
    for kind in ((True,), (False,)) if args.alike else ((True, False),):
        numbers = [i for i, film in enumerate(seen) if film.lab in kind]
        place = {speaker: k % args.folds for k, speaker in enumerate(dict.fromkeys(speakers[i] for i in numbers))}
        out += [[i for i in numbers if place[speakers[i]] == k] for k in sorted(set(place.values()))]
    return out


def without(data: MotionDataset, names: Sequence[str], dropped: Collection[str], folder: Path) -> Path:
    """A dataset of the clips that do not come from these videos, on which it validates; without those `dropped`."""
    clips = [{**clip.to_dict(), "split": "val" if Path(clip.source).stem in names else "train"} for clip in data.clips
             if Path(clip.source).stem not in dropped]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / SHARDS).exists():
        (folder / SHARDS).symlink_to((data.folder / SHARDS).resolve())
    (folder / INDEX).write_text(json.dumps({**data.index, "clips": clips}), "utf8")
    return folder


# ------------------------------------------------------------------------------------------------------------------------ figures

def heard(path: Path, seen: Sequence[Film], seeds: int) -> list[Lips]:
    """An AToM's lips for each video: the mean of several draws."""
    talker, out = by_atom(path), []
    for film in seen:
        drawn = [talker(film.sound, film.phones, seed) for seed in range(seeds)]
        out.append(replace(drawn[0], opening=np.mean([lips.opening for lips in drawn], 0)))
    return out


def r_of(lips: Sequence[Lips | None], seen: Sequence[Film], lags: Sequence[int], of: int, said_by: int | None = None) -> float:
    made = lips[of if said_by is None else said_by]
    return np.nan if made is None else lagged(made.opening, seen[of].lips, lags[of])


def figures(lips: Sequence[Lips | None], seen: Sequence[Film], lags: Sequence[int]) -> dict[str, float]:
    """r, its floor and the amplitude, of lab and of web videos."""
    out = {}
    for kind, lab in (("lab", True), ("web", False)):
        chosen = [i for i, film in enumerate(seen) if film.lab == lab]
        if not chosen:
            continue
        amplitude = [float(np.nanstd(made.opening) / np.nanstd(seen[i].lips)) for i in chosen if (made := lips[i]) is not None]
        out |= {f"{kind} r": float(np.mean([r_of(lips, seen, lags, i) for i in chosen])),
                f"{kind} floor": float(np.mean([r_of(lips, seen, lags, i, j) for i in chosen for j in chosen if i != j])),
                f"{kind} amplitude": float(np.mean(amplitude))}
    return out


def gated_truth(seen: Sequence[Film], lab: bool) -> float:
    """r of the true lips with themselves, shut where the gate of a motion would shut them."""
    found = []
    for film in seen:
        if film.lab == lab:
            open_ = 1 - speech_gate(encode_speech(film.sound, "mel"), FPS).numpy()
            count = min(len(film.lips), len(open_))
            found.append(lagged((film.lips[:count] - np.nanmin(film.lips)) * open_[:count], film.lips[:count], 0))
    return float(np.mean(found)) if found else float("nan")


def kept(path: Path, readers: Sequence[Reading], mix: Sequence[Share]) -> dict[str, float]:
    """What fine-tuning must not lose: closures of readers it has not heard, lips of held-out synthetic clips."""
    talker, counts = by_atom(path), Closures(0, 0, 0, 0)
    for reader in readers:
        counts = counts.plus(closures(talker(reader.sound, reader.phones, 0).opening, reader.phones, FPS))
    out = {"closures at P/B/M": counts.closed_fraction, "open vowels open": counts.open_fraction} if readers else {}
    if mix and (data := MotionDataset.open(mix[0].folder)).indices("val"):
        talk, said = load_atom(path), []
        for number in data.indices("val"):
            truth = data.landmarks(number)
            made = generate_motion(talk, data.speech(number), LandmarkTrack(resting_face(truth.points)[None], data.fps))
            said.append(lagged(lip_aperture(made.points).numpy(), lip_aperture(truth.points).numpy(), 0))
        out["synthetic lips r"] = float(np.mean(said))
    return out


def report(args: argparse.Namespace, table: dict[str, dict[str, float]], data: MotionDataset, seen: Sequence[Film],
           lags: Sequence[int], config: TrainConfig, spent: float) -> str:
    lab, alike = sum(film.lab for film in seen), ", from videos of the judged one's kind only" if args.alike else ""
    mix = ", ".join(f"{share.fraction:g} of the windows from another dataset" for share in args.mix)
    mix = mix or f"half of the windows from {SYNTHETIC.count} synthetic people, {SYNTHETIC.count * SYNTHETIC.seconds:.0f} s"
    lines = [f"# Fine-tuning of AToM\n\n{date.today()}, {platform.machine()}, torch {torch.__version__}; `python "
             f"benchmarks/finetune_atom.py FOLDER{' --alike' * args.alike}`. {lab} lab and {len(seen) - lab} web videos, "
             f"{data.seconds:.0f} s in all; {args.folds} folds, the judged speakers always left out{alike}. {config.steps} steps "
             f"of {config.batch} windows, rate {config.lr:g}, {config.keep_start:g} of the starting weights kept, {mix}. "
             f"{spent:.0f} CPU s in all.\n", "| figure | before | after | wanted | ceiling seen |", "|---|---|---|---|---|"]
    for name, value in table["before"].items():
        wanted, ceiling = WANTED.get(name), CEILING.get(name)
        got = table["after"][name]
        text = f"{got:.2f}" if wanted is None or got >= wanted else f"**{got:.2f}**"
        lines.append(f"| {name} | {value:.2f} | {text} | {'' if wanted is None else f'>= {wanted:g}'} | "
                     f"{'' if ceiling is None else f'{ceiling:.2f}'} |")
    bounds = [gated_truth(seen, kind) for kind in (True, False)]
    lines.append("\n- r: mean over videos of the correlation of the lips' opening with that seen by the tracker `people`, each "
                 "at one lag, the same before and after (the phones by the subject's rules choose it within 4 frames).\n"
                 "- Floor: lips made for another video of the same kind, at the same lag.\n- The true lips, shut wherever the "
                 f"silence gate shuts the mouth, would reach {bounds[0]:.2f} (lab) and {bounds[1]:.2f} "
                 "(web): people open their lips before they speak, which no sound tells.\n- Closures: human readers that no "
                 "training has heard. Bold: not as wanted.\n")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
