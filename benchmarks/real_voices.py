"""Real voices: do lips close on P, B, M, follow people, and keep shut in noise?

    python benchmarks/real_voices.py [FOLDER] [--atom [NAME=]FILE ...] [--avatar FILE ...] [--seeds N] [--seconds 12]

Hears human readers (Debian: pocketsphinx-testdata), sounds without a voice, telephone prompts in several languages (Debian:
asterisk-core-sounds-*-g722; only their gate), and the audio of the videos below FOLDER, whose lips the tracker `people` reads
(once: NAME.lips.npz is written beside). Judged are loudness alone, the phones by the subject's rules, today's AToM, others, and
avatars on their rendered frames. Older weights: `git show TAG:weights/demo_atom.safetensors > old.safetensors`, then --atom
old=old.safetensors. Needs pocketsphinx. Writes benchmarks/results/real_voices.md, which names figures only.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from real_voices_material import FPS, Film, Reading, films, noises, paused, prompts, readings
from real_voices_table import report
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.media_core.audio import Sound, silence_gate
from talking_heads.media_core.choices import TRACKERS
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.image_reading import read_picture
from talking_heads.media_core.metrics import lip_aperture
from talking_heads.media_core.metrics.closures import Closures, closures
from talking_heads.media_core.metrics.lags import consensus_lag, lagged, loudness, speech_offset
from talking_heads.media_core.metrics.openness import follows, phone_jaw, phone_openness
from talking_heads.media_core.metrics.phones import Phones
from talking_heads.media_core.metrics.silence import (
    missed_fraction,
    missed_vowels,
    quiet_frames,
    shut_fraction,
    speaking_frames,
)
from talking_heads.media_core.mouth import resting_face
from talking_heads.media_core.speech import encode_speech
from talking_heads.moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion
from talking_heads.moditalker_core.pipeline import portrait_motion

SNR = 20.0  # dB, of the sentences with pauses
SILENCE = Sound(np.zeros((1, 16000), np.float32), 16000)
SMOOTHED = 3  # frames, of curves that no face drew (loudness)


@dataclass(frozen=True)
class Lips:
    """What a talker's lips do."""

    opening: np.ndarray  # [T] over the distance of the outer eye corners; or any unit, where rest is None
    rest: float | None  # of the closed mouth
    silent: np.ndarray | None = None  # bool [T] where its gate hears nobody; None: it has none


Talker = Callable[[Sound, Phones, int], Lips]  # audio, its phones, seed


@dataclass(frozen=True)
class Material:
    """All that is heard."""

    readings: list[Reading]
    noises: dict[str, Sound]
    paused: tuple[Sound, Phones]
    films: list[Film]
    lags: list[int]  # of each film: the one at which it is judged


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    material = gathered(args)
    rows, spent = {}, {}
    for name, (talker, seeds, with_films, with_noise) in talkers(args).items():
        started = time.process_time()
        rows[name] = mean_figures([figures(talker, material, seed, with_films, with_noise) for seed in range(seeds)])
        spent[name] = time.process_time() - started
        print(f"{name}: {spent[name]:.0f} CPU s", {k: round(v, 3) for k, v in rows[name].items()}, flush=True)
    text = report(args, rows, spent, material, gate_on_prompts())
    print(text)
    results_folder().joinpath(args.name).write_text(text, encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="videos of real people with audio; none: readers and noises only")
    parser.add_argument("--atom", default=[], action="append", metavar="[NAME=]FILE", help="other AToM weights; may be repeated")
    parser.add_argument("--only", action="store_true", help="not today's AToM, only those given")
    parser.add_argument("--avatar", type=Path, default=[], action="append", help="an avatar of the synthetic subject")
    parser.add_argument("--avatar-films", action="store_true", help="avatars hear the videos too (minutes)")
    parser.add_argument("--seeds", type=int, default=1, help="motions drawn per recording; figures are means over them")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each video, from its beginning")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="real_voices.md", help="of the file in benchmarks/results")
    return parser.parse_args()


def gathered(args: argparse.Namespace) -> Material:
    readers = readings()
    if not readers:
        raise SystemExit("The human readers are missing: install Debian's pocketsphinx-testdata")
    seen = [] if args.folder is None else films(args.folder, args.seconds)
    return Material(readers, noises(), paused(readers, SNR), seen, [film_lag(film) for film in seen])


def film_lag(film: Film) -> int:
    """The lag (frames) at which everybody is judged on this film: where the phones' lips and jaw by the rules fit its lips best.

    Neither loudness nor any weights have a say in it.
    """
    count = len(film.lips)
    return consensus_lag([phone_openness(film.phones, count, FPS), phone_jaw(film.phones, count, FPS)], film.lips)


def talkers(args: argparse.Namespace) -> dict[str, tuple[Talker, int, bool, bool]]:
    """By name: who talks, seeds, whether the videos are heard, whether the noises are."""
    out = {"loudness": (by_loudness, 1, True, False), "phones by the rules": (by_rules, 1, True, False)}
    files = [] if args.only else [f"AToM today={SHIPPED_ATOM}"]
    for given in files + args.atom:
        name, _, path = given.rpartition("=")
        out[name or Path(path).stem] = (by_atom(Path(path)), args.seeds, True, True)
    for path in args.avatar:
        for kind, talker in by_avatar(load_avatar(path)).items():
            out[f"avatar {path.stem}, tracker {kind}"] = (talker, 1, args.avatar_films, True)
    return out


# ------------------------------------------------------------------------------------------------------------------ who is judged

def by_loudness(sound: Sound, phones: Phones, seed: int) -> Lips:
    """The level of the audio, as if it were the lips' opening."""
    level = loudness(sound, frames_of(sound), FPS)
    padded = np.pad(level, SMOOTHED // 2, "edge")
    return Lips(np.convolve(padded, np.ones(SMOOTHED) / SMOOTHED, "valid"), None)


def by_rules(sound: Sound, phones: Phones, seed: int) -> Lips:
    """The phones' lips by the rules of the subject: nothing is learnt."""
    return Lips(phone_openness(phones, frames_of(sound), FPS), None)


def by_atom(path: Path) -> Talker:
    atom = load_atom(path)
    portrait = portrait_motion(read_picture(ROOT / "demo" / "demo_portrait.jpg"))
    rest = float(lip_aperture(resting_face(portrait.points[0])[None])[0])

    def talk(sound: Sound, phones: Phones, seed: int) -> Lips:
        speech = encode_speech(sound, atom.config.speech.encoder)
        motion = generate_motion(atom, speech, portrait, SamplingSettings(seed=seed))
        return Lips(lip_aperture(motion.points).numpy(), rest, speech.silent_frames(FPS).numpy())

    return talk


def by_avatar(avatar: Avatar) -> dict[str, Talker]:
    """Its rendered frames, in one pose, read by each of the trackers; rest is what it shows in digital silence."""
    still, known = avatar.poses.selected(torch.zeros(1, dtype=torch.long)), {}

    def openings(sound: Sound) -> tuple[dict[str, np.ndarray], np.ndarray]:
        if id(sound) not in known:
            speech = encode_speech(sound, avatar.encoder)
            shown = avatar.render(avatar.drive(speech, pose=still, blinks="none"))
            known[id(sound)] = tracked((frame for rgb, _ in shown for frame in rgb), TRACKERS), speech.silent_frames(FPS).numpy()
        return known[id(sound)]

    digital = openings(SILENCE)[0]
    rest = {kind: float(np.nanmedian(digital[kind])) for kind in TRACKERS}
    return {kind: lambda sound, phones, seed, kind=kind: Lips(openings(sound)[0][kind], rest[kind], openings(sound)[1])
            for kind in TRACKERS}


def tracked(images: Iterable[torch.Tensor], kinds: tuple[str, ...]) -> dict[str, np.ndarray]:  # float [H, W, 3] each -> [T]
    """Opening of the lips over the distance of the eyes by tracker; NaN without a face."""
    trackers = {kind: make_tracker(kind) for kind in kinds}
    lips: dict[str, list[float]] = {kind: [] for kind in kinds}
    for image in images:
        frame = (image.cpu().numpy() * 255).round().astype(np.uint8)
        for kind, tracker in trackers.items():
            face = tracker(frame)
            lips[kind].append(np.nan if face is None else float(lip_aperture(face.points[None])[0]))
    return {kind: np.array(curve) for kind, curve in lips.items()}


def frames_of(sound: Sound) -> int:
    return max(1, round(sound.duration * FPS))


# ------------------------------------------------------------------------------------------------------------------------ figures

def figures(talker: Talker, material: Material, seed: int, with_films: bool, with_noise: bool) -> dict[str, float]:
    """Everything measured on one talker with one seed."""
    out = reading_figures(talker, material.readings, seed)
    if with_noise:
        for name, sound in material.noises.items():
            lips = talker(sound, Phones((), True), seed)
            out[f"shut: {name}"] = shut_fraction(lips.opening, np.ones(len(lips.opening), bool), lips.rest)
        sound, phones = material.paused
        lips = talker(sound, phones, seed)
        quiet = quiet_frames(phones, len(lips.opening), FPS)
        out["shut: pauses, white noise at 20 dB"] = shut_fraction(lips.opening, quiet, lips.rest)
        out["speech missed by the gate at 20 dB"] = missed_fraction(lips.silent, phones, FPS)
    return out | (film_figures(talker, material, seed) if with_films and material.films else {})


def reading_figures(talker: Talker, readers: list[Reading], seed: int) -> dict[str, float]:
    counts = librivox = Closures(0, 0, 0, 0)
    opening, openness, missed, vowels = [], [], [], []  # missed: a flag for each frame with speech
    for reader in readers:
        lips = talker(reader.sound, reader.phones, seed)
        found = closures(lips.opening, reader.phones, FPS)
        counts, librivox = counts.plus(found), librivox.plus(found) if "austen" in reader.name else librivox
        opening.append(lips.opening)
        openness.append(phone_openness(reader.phones, len(lips.opening), FPS))
        if lips.silent is not None and lips.rest is not None:
            missed.append(lips.silent[speaking_frames(reader.phones, len(lips.silent), FPS)])
            vowels.append(missed_vowels(lips.opening, reader.phones, FPS, lips.rest))
    said, heard = np.concatenate(opening), np.concatenate(openness)
    following = follows(said, heard, FPS)
    out = {"closures at P/B/M": counts.closed_fraction, "the same, LibriVox alone": librivox.closed_fraction,
           "open vowels open": counts.open_fraction, "openness r": following.r, "openness r, shifted 1-2 s": following.shifted,
           "offset, frames": speech_offset(said, heard).frames}
    if missed:
        out |= {"speech missed by the gate": float(np.concatenate(missed).mean()),
                "open vowels shut": float(np.nanmean(vowels))}
    return out


def film_figures(talker: Talker, material: Material, seed: int) -> dict[str, float]:
    """Correlation at each film's fixed lag, at 0, with the films exchanged (the floor), and amplitude; lab and web apart."""
    out, talked = {}, [talker(film.sound, film.phones, seed) for film in material.films]
    made, truth, lags = [lips.opening for lips in talked], [film.lips for film in material.films], material.lags
    for kind, lab in (("lab", True), ("web", False)):
        chosen = [i for i, film in enumerate(material.films) if film.lab == lab]
        others = [(i, j) for i in chosen for j in chosen if i != j]
        if chosen:
            out |= {f"{kind} r": mean([lagged(made[i], truth[i], lags[i]) for i in chosen]),
                    f"{kind} r at lag 0": mean([lagged(made[i], truth[i], 0) for i in chosen]),
                    f"{kind} floor: another's lips": mean([lagged(made[j], truth[i], lags[i]) for i, j in others])}
        if chosen and talked[0].rest is not None:
            out[f"{kind} amplitude"] = mean([float(np.nanstd(made[i]) / np.nanstd(truth[i])) for i in chosen])
    return out


def gate_on_prompts() -> dict[str, float]:
    """Speech missed by the gate in clean prompts, by language: frames within 20 dB of the loud level that it calls silent."""
    out = {}
    for language, sounds in prompts().items():
        missed = total = 0
        for sound in sounds:
            silent = encode_speech(sound, "mel").silent_frames(FPS).numpy()
            speaking = ~silence_gate(sound.mono(16000), 16000, FPS, len(silent), floor_db=-45, attack=0, release=0)
            speaking &= loudness(sound, len(silent), FPS) > -20
            missed, total = missed + int((silent & speaking).sum()), total + int(speaking.sum())
        out[language] = missed / max(total, 1)
    return out


def mean(values: list[float]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def mean_figures(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: mean([row[name] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    main()
