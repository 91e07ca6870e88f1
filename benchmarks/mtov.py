"""How well MToV draws: unseen people say unseen sentences, judged against the synthetic subject's own film.

    python benchmarks/mtov.py [--weights FILE] [--quick] [--seconds 3] [--faces FOLDER [--people 6]]

Two ways to drive: "pose film", the truth's own head movement with its lower face hidden, and "portrait", one picture for a head
that keeps still in the truth too, so that the picture itself is a fair rival. The picture is the film's first frame. Landmarks
are exact, but those "from the sound" are AToM's. "Anchored": see VideoSettings. "Carrier": see mtov_carrier.py. Writes
benchmarks/results/mtov.md, mtov_sheet.png and mtov_closing.png. Needs espeak-ng.

With --faces the people are those of a folder of images (`python -m talking_heads.weights.base_faces --held-out FACES SOURCES`)
instead of warps of the subject's portrait: mtov_faces.md, and images only into --out.
"""
from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from mtov_carrier import carrier_figures, section
from mtov_films import OPEN, PEOPLE, SHUT, Film, called, drawn, filmed, mouths, people_of, posed
from mtov_measures import (
    agreement,
    autoencoded,
    borders,
    change,
    drift,
    fed,
    flicker,
    likeness,
    metered,
    openness,
    tracked,
)
from mtov_pictures import closing_sheet, contact_sheet
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import perform
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
from talking_heads.moditalker_core.mtov.generation import VideoSettings, clip_plan, talk
from talking_heads.moditalker_core.mtov.model import MToV
from talking_heads.moditalker_core.pipeline import speak

PUBLISHED = VideoSettings(sampler="ddim", calls=25, ratio=0.25, eta=1.0)  # the last 25 of 100 steps
FAST = tuple((name, calls) for name in ("dpm++", "unipc", "ddim0") for calls in (1, 2, 4, 6, 10))
PLAIN, ANCHORED = VideoSettings(anchored=False), VideoSettings(anchored=True)
SAMPLED = 50  # frames of a film that the samplers are compared on
LIP_WIDTH = 1 / 16  # of the picture, around the lips: the mouth's region, beyond which lips shall change nothing
WANTED = {"gain in the mouth, all frames, dB": (">=", 2.0), "gain in the mouth, mean of frames, dB": (">=", 2.0),
          "lip aperture, tracked, against that fed": (">=", 0.8), "borders / interior median": ("<=", 1.2),
          "change at borders / in between, both over the truth's": ("<=", 1.2), "colour of constant motion, 255ths": ("<=", 1.0),
          "outside the mouth, mean change, 255ths": ("<=", 1.0), "openness fed shut": ("<=", 0.3),
          "openness fed open": (">=", 0.7)}


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    started, mtov = time.perf_counter(), load_mtov(args.weights)
    people = args.shown
    shown, modes, ends = [], {"pose film": [], "portrait": [], "portrait, anchored": []}, {"portrait": [], "anchored": []}
    carrier: list[dict[str, float]] = []
    for one in people:
        moving, still = (filmed(mtov.config, *one, args.seconds, still=flag) for flag in (False, True))
        films = {mode: moving if mode == "pose film" else still for mode in modes}
        videos = {mode: driven(mtov, film, mode, ANCHORED if "anchored" in mode else PLAIN) for mode, film in films.items()}
        known = [bounds(mtov, film) for film in (moving, still)]
        for mode, film in films.items():
            modes[mode].append(figures(mtov, film, videos[mode], known[film is still]))
        for mode, settings in zip(("portrait", "portrait, anchored"), (PLAIN, ANCHORED)):
            modes[mode][-1]["colour of constant motion, 255ths"] = constant(mtov, still, settings)
        by_carrier, _, made = carrier_figures(mtov.config, one, args.seconds, still)
        carrier.append(by_carrier)
        shown.append([*((mode, film, videos[mode]) for mode, film in films.items()), ("carrier", still, made)])
        for mode, settings in zip(ends, (PLAIN, ANCHORED)):
            ends[mode].append(end_to_end(mtov, still, settings))
        print(f"{time.perf_counter() - started:.0f} s: person {called(one[0])}", file=sys.stderr, flush=True)
    samplers = sampled(mtov, [row[0][1] for row in shown[:2]], args.quick)
    leaks, pictures = zip(*(leakage(mtov, one) for one in people))
    text = report(args, mtov, modes, carrier, ends, samplers, leaks, time.perf_counter() - started)
    print(text)
    folder = results_folder() if args.out is None else args.out
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("mtov_faces.md" if args.faces else "mtov.md").write_text(text, encoding="utf-8")
    if args.faces and args.out is None:
        return
    contact_sheet(shown, mtov.config).save(folder / "mtov_sheet.png", optimize=True)
    words = ("truth, open", "fed open", "fed shut", "truth, shut")
    closing_sheet([(called(one[0]), row) for one, row in zip(people, pictures)], words).save(folder / "mtov_closing.png",
                                                                                         optimize=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED_MTOV)
    parser.add_argument("--seconds", type=float, help="of each film; default 3, with --quick 1.6")
    parser.add_argument("--quick", action="store_true", help="one person, few samplers")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="another folder than benchmarks/results")
    parser.add_argument("--faces", type=Path, help="people: those of a folder of images")
    parser.add_argument("--people", type=int, default=len(PEOPLE), help="how many")
    args = parser.parse_args()
    args.seconds = args.seconds or (1.6 if args.quick else 3.0)
    args.shown = people_of(args.faces, 1 if args.quick else args.people)
    return args


def driven(mtov: MToV, film: Film, mode: str, settings: VideoSettings | None = None, *,
           motion: LandmarkTrack | None = None) -> np.ndarray:  # uint8 [T, S, S, 3]
    """A film's person with its own landmarks, or others in its pixels; the identity is its first frame."""
    poses = {"pose_frames": iter(film.frames)} if mode == "pose film" else {}
    motion = film.motion if motion is None else motion
    return np.stack(list(talk(mtov, motion, film.frames[0], settings or VideoSettings(), pose_landmarks=film.motion, **poses)))


def bounds(mtov: MToV, film: Film) -> dict[str, float]:
    """What can be known of a film before anything is made: the still portrait, what the autoencoder makes of the truth, and how
    well lips can be measured on both."""
    still, coded = np.repeat(film.frames[:1], len(film.frames), axis=0), autoencoded(mtov, film.frames)
    wanted = fed(film.motion.points)
    return {**likeness(still, film, "still portrait: "), **likeness(coded, film, "autoencoder: "),
            "the same tracked in the truth": agreement(tracked(film.frames), wanted),
            "the same tracked in the autoencoder's": agreement(tracked(coded), wanted),
            "the same of the truth": correlation(metered(film, film.frames), wanted),
            "the same of the autoencoder's": correlation(metered(film, coded), wanted)}


def figures(mtov: MToV, film: Film, made: np.ndarray, known: dict[str, float]) -> dict[str, float]:
    """Everything measured on one video, beside `bounds` of its film."""
    near, wanted = likeness(made, film), fed(film.motion.points)
    pick = lambda words: {name: value for name, value in known.items() if words in name}
    gains = {f"gain in the mouth, {name.partition(' PSNR')[2].removeprefix(',').removeprefix(' of').strip()}":
             value - known["still portrait: " + name] for name, value in near.items() if name.startswith("mouth")}
    return {**near, **pick("still portrait"), **pick("autoencoder: "), **gains,
            "lip aperture, tracked, against that fed": agreement(tracked(made), wanted), **pick("same tracked"),
            "lip aperture by a map of pixels, against that fed": correlation(metered(film, made), wanted), **pick("same of"),
            **flicker(made, film, mtov.config),
            "colour against the first clip's, 255ths": drift(made, film.frames, mtov.config)}


def constant(mtov: MToV, film: Film, settings: VideoSettings) -> float:
    """By how much the mean colour of clips differs, of one moment held for three clips; 255ths."""
    config = mtov.config
    length = config.frames + 2 * (config.frames - config.overlap)
    made = driven(mtov, film, "portrait", settings, motion=film.motion.selected([0] * length))
    return drift(made, np.zeros_like(made), config)


def end_to_end(mtov: MToV, film: Film, settings: VideoSettings | None) -> dict[str, float]:
    """From the sound: AToM's landmarks, placed on the portrait."""
    motion = film.scene.placed(speak(load_atom(), film.sound, film.scene.canonical))
    made = driven(mtov, film, "portrait", settings, motion=motion)
    truth, wanted = fed(film.motion.points), fed(motion.points)
    still = np.repeat(film.frames[:1], len(made), axis=0)
    seen, key = metered(film, made, motion.points), "mouth PSNR of all frames, dB"
    return {"AToM's lip aperture against the truth's": correlation(wanted, truth),
            "of the video, tracked, against AToM's": agreement(tracked(made), wanted),
            "of the video, by a map of pixels, against AToM's": correlation(seen, wanted),
            "of the video, by a map of pixels, against the truth's": correlation(seen, truth),
            key: likeness(made, film)[key], "gain over the still portrait, dB": likeness(made, film)[key]
            - likeness(still, film)[key]}


def sampled(mtov: MToV, films: Sequence[Film], quick: bool) -> dict[str, dict[str, float]]:
    """The published sampler and the fast ones on the beginning of pose films."""
    settings = {"ddim, eta 1, 25 of 100": PUBLISHED}
    for name, calls in FAST[:4] if quick else FAST:
        settings[f"{name}, {calls}"] = VideoSettings(sampler=name, calls=calls)
    out = {}
    for name, chosen in settings.items():
        rows = []
        print(f"sampler {name}", file=sys.stderr, flush=True)
        for film in films[:1] if quick else films:
            part = beginning(film, min(SAMPLED, len(film.frames)))
            before = time.process_time()
            made = driven(mtov, part, "pose film", chosen)
            spent = time.process_time() - before
            clips = len(clip_plan(len(made), mtov.config.frames, mtov.config.overlap))
            rows.append({**likeness(made, part), "lip aperture by a map of pixels": correlation(
                metered(part, made), fed(part.motion.points)), **flicker(made, part, mtov.config), "CPU s a clip": spent / clips})
        out[name] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return out


def beginning(film: Film, frames: int) -> Film:
    return Film(film.name, film.frames[:frames], film.face[:frames], film.motion.slice(0, frames), film.sound, film.scene)


def leakage(mtov: MToV, one: tuple[int | Path, str, int]) -> tuple[dict[str, float], list[np.ndarray]]:
    """Lips alone changed, and lips shut over a film whose mouth stands open throughout, also in the portrait."""
    identity, voice, seed = one
    spoken, config = perform((mtov.config.frames + 0.5) / 25, seed + 7, voice=voice, engine="espeak"), mtov.config
    wide = drawn(config, identity, posed(spoken, OPEN), "open")
    shut = drawn(config, identity, posed(spoken, SHUT), "shut", like=wide)
    lips = wide.motion.points.clone()
    lips[:, 48:] = shut.motion.points[:, 48:]
    region = mouths(wide.motion.points, config.size, LIP_WIDTH) | mouths(shut.motion.points, config.size, LIP_WIDTH)
    box = mouths(wide.motion.points, config.size)
    made = driven(mtov, wide, "pose film")
    only = driven(mtov, wide, "pose film", motion=wide.motion.with_data(lips))
    closed = driven(mtov, wide, "pose film", motion=shut.motion)
    moved, upper = change(made, only, region), mouths(wide.motion.points, config.size, 1.0)
    above = upper & (np.arange(config.size)[None, :, None] < wide.motion.points[:, 33, 1].numpy()[:, None, None] - 1)
    out = {"inside the mouth, mean change, 255ths": moved["inside"], "outside the mouth, mean change, 255ths": moved["outside"],
           "outside, 99 % of pixels below, 255ths": moved["outside, 99 % of pixels below"],
           "share of all change inside": moved["share of all change inside"],
           "above the nose's base, mean change, 255ths": change(made, only, above)["inside"],
           "openness fed open": openness(made, shut.frames, wide.frames, box),
           "openness fed shut": openness(closed, shut.frames, wide.frames, box),
           "openness fed shut lips, open jaw": openness(only, shut.frames, wide.frames, box),
           "of the autoencoder's open truth": openness(autoencoded(mtov, wide.frames), shut.frames, wide.frames, box),
           "of the autoencoder's shut truth": openness(autoencoded(mtov, shut.frames), shut.frames, wide.frames, box)}
    at = config.frames // 2
    return out, [frames[at] for frames in (wide.frames, made, closed, shut.frames)]


# ------------------------------------------------------------------------------------------------------------------ the report

def verdict(name: str, value: float) -> str:
    if name not in WANTED:
        return f"{value:.3f}"
    sign, bound = WANTED[name]
    return f"{value:.3f} " + ("met" if (value >= bound if sign == ">=" else value <= bound) else "**NOT met**")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows), ""]


def means(groups: dict[str, list[dict[str, float]]]) -> list[str]:
    """A row for each figure, a column for the mean of each group."""
    names = list(dict.fromkeys(name for rows in groups.values() for name in rows[0]))
    bound = lambda name: "{} {:g}".format(*WANTED[name]) if name in WANTED else ""

    def cell(rows: list[dict[str, float]], name: str) -> str:
        found = [row[name] for row in rows if name in row]
        return verdict(name, float(np.mean(found))) if found else ""

    return table(["figure", *groups, "wanted"], [[n, *(cell(rows, n) for rows in groups.values()), bound(n)] for n in names])


def report(args: argparse.Namespace, mtov: MToV, modes: dict, carrier: list, ends: dict, samplers: dict,
           leaks: Sequence[dict], seconds: float) -> str:
    config, quick = mtov.config, " --quick" * args.quick + " --faces FOLDER" * bool(args.faces)
    lines = ["# MToV on unseen people and unseen speech", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/mtov.py --weights "
             f"{args.weights.name}{quick} --seconds {args.seconds:g}`, {seconds:.0f} s; {config.size} px, sampled with "
             f"{config.sampler}, {config.calls} calls, noise ratio {config.ratio:g}, predicts {config.prediction}; clips of "
             f"{config.frames} frames, {config.overlap} shared; people {', '.join(called(p[0]) for p in args.shown)}.", "",
             "Synthetic people only: these figures compare versions of this code, they do not predict quality on a real person. "
             "Means over people. PSNR \"of all frames\" is that of the mean error, \"mean of frames\" the mean of each frame's "
             "dB, which frames at rest rule, where the still portrait is nearly exact. With a pose film the head moves and the "
             "still portrait is no rival; in portrait mode it is. \"Autoencoder\" is the truth encoded and decoded: the bound of "
             f"what these weights can draw. Borders: the {100 * borders(round(25 * args.seconds), config).mean():.0f} % of steps "
             "from frame to frame in which two clips are blended.", "", "## Nearness, lips, borders", "", *means(modes),
             *section(carrier)]
    lines += ["## Only the lips change; open mouths are shut", "",
              f"Pose film and portrait show a mouth wide open. The mouth's region is the box around both pairs of lips, wider by "
              f"{LIP_WIDTH:g} of the picture. Openness: where the picture lies between the rendered truths, 0 shut, 1 open.", "",
              *means({"pose film": list(leaks)})]
    lines += ["## From the sound", "", "AToM's demo weights make the landmarks; portrait mode.", "", *means(ends)]
    names = list(next(iter(samplers.values())))
    lines += [f"## Samplers, the first {min(SAMPLED, round(25 * args.seconds))} frames of "
              f"{'one pose film' if args.quick else 'two pose films'}", "",
              *table(["sampler, calls", *names], [[k, *(f"{row[n]:.3f}" for n in names)] for k, row in samplers.items()])]
    each = ("mouth PSNR of all frames, dB", "gain in the mouth, all frames, dB", "gain in the mouth, mean of frames, dB",
            "face PSNR, dB", "lip aperture, tracked, against that fed", "the same tracked in the truth")
    rows = [[f"{called(p[0])}, {p[1]}", mode, *(f"{row[n]:.3f}" for n in each)] for mode, found in modes.items()
            for p, row in zip(args.shown, found)]
    return "\n".join([*lines, "## Each person", "", *table(["identity, voice", "driven by", *each], rows)])


if __name__ == "__main__":
    main()
