"""The carrier of benchmarks/mtov.py: the picture's own pixels moved by exact landmarks, portrait mode, no network.

    python benchmarks/mtov_carrier.py [--quick] [--seconds 3]     # this section alone: benchmarks/results/mtov_carrier.md
"""
from __future__ import annotations

import argparse
import platform
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from mtov_films import OPEN, PEOPLE, SHUT, Film, drawn, filmed, mouths, posed, quiet
from mtov_measures import fed, likeness, metered, openness
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import perform
from talking_heads.moditalker_core.carrier_video import CarrierSettings, carried_portrait
from talking_heads.moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
from talking_heads.moditalker_core.mtov.model import MToVConfig

STILL = CarrierSettings(life=0, upper=1)  # the landmarks are exact, brows and lids too
BEGUN = 6  # frames over which a video leaves its picture
WANTED = {"mouth PSNR of all frames, dB": (">=", 29.0), "mouth PSNR, mean of frames, dB": (">=", 31.4),
          "face PSNR, dB": (">=", 33.5), "SSIM": (">=", .974), "lip aperture by a map of pixels, against that fed": (">=", .97),
          "openness fed open": (">=", .85), "openness fed shut": ("<=", .05)}


def carried(film: Film, motion: LandmarkTrack | None = None, picture: np.ndarray | None = None,
            landmarks: LandmarkTrack | None = None) -> np.ndarray:  # uint8 [T, S, S, 3]
    """The film's first frame (or another picture with its landmarks) with the film's landmarks (or others)."""
    return np.stack(list(carried_portrait(film.frames[0] if picture is None else picture,
                                          film.motion if motion is None else motion, settings=STILL,
                                          landmarks=film.motion.slice(0, 1) if landmarks is None else landmarks)))


def carrier_figures(config: MToVConfig, one: tuple[int | Path, str, int], seconds: float,
                    film: Film | None = None) -> tuple[dict[str, float], Film, np.ndarray]:
    """Of one person: nearness to the truth, lips, how far the mouth opens and shuts; the film, and what was made."""
    film = filmed(config, *one, seconds, still=True) if film is None else film
    begun = time.process_time()
    made = carried(film)
    spent = 1000 * (time.process_time() - begun) / len(made)
    figures = {**likeness(made, film),
               "lip aperture by a map of pixels, against that fed": correlation(metered(film, made), fed(film.motion.points)),
               **opened_and_shut(config, one),
               "largest difference of the first frame, 255ths": float(np.abs(made[0].astype(int) - film.frames[0]).max()),
               "CPU ms a frame, preparation included": spent}
    return figures, film, made


def opened_and_shut(config: MToVConfig, one: tuple[int | Path, str, int]) -> dict[str, float]:
    """A shut portrait fed a mouth wide open, and a portrait with an open mouth fed a shut one."""
    identity, voice, seed = one
    spoken = quiet(perform((config.frames + .5) / 25, seed + 7, voice=voice, engine="espeak"))
    wide = drawn(config, identity, posed(spoken, OPEN), "open")
    shut = drawn(config, identity, posed(spoken, SHUT), "shut", like=wide)
    box = mouths(wide.motion.points, config.size)[BEGUN:]
    out = {}
    for name, from_, to in (("openness fed open", shut, wide), ("openness fed shut", wide, shut)):
        made = carried(to, picture=from_.frames[0], landmarks=from_.motion.slice(0, 1))[BEGUN:]
        out[name] = openness(made, shut.frames[BEGUN:], wide.frames[BEGUN:], box)
    return out


def section(rows: list[dict[str, float]]) -> list[str]:
    """The figures as lines of a report."""
    lines = ["## Carrier", "",
             "The picture's own pixels on the face's mesh (`carrier = picture`), portrait mode, exact landmarks, no training. "
             "The mesh is that of the tracker for people, brought onto the exact 68 points. Teeth of truth and carrier have the "
             "same sizes, so figures of the mouth flatter it. Means over people; the last column has the people in order.", "",
             "| figure | mean | wanted | each |", "|---|---|---|---|"]
    for name in rows[0]:
        values = [row[name] for row in rows]
        mean, wanted = float(np.mean(values)), ""
        if name in WANTED:
            sign, bound = WANTED[name]
            met = mean >= bound if sign == ">=" else mean <= bound
            wanted = f"{sign} {bound:g} " + ("met" if met else "**NOT met**")
        lines.append(f"| {name} | {mean:.3f} | {wanted} | {', '.join(f'{value:.3f}' for value in values)} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each film")
    parser.add_argument("--quick", action="store_true", help="one person")
    parser.add_argument("--out", type=Path, help="another folder than benchmarks/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config, people = load_mtov(SHIPPED_MTOV).config, PEOPLE[:1] if args.quick else PEOPLE
    rows = [carrier_figures(config, one, args.seconds)[0] for one in people]
    head = (f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/mtov_carrier.py "
            f"--seconds {args.seconds:g}`; {config.size} px, people {', '.join(str(p[0]) for p in people)}.")
    text = "\n".join([head, "", *section(rows)])
    print(text)
    folder = results_folder() if args.out is None else args.out
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("mtov_carrier.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
