"""The page that `real_voices.py` writes."""
from __future__ import annotations

import argparse
import platform
from datetime import date
from typing import TYPE_CHECKING

import torch
from real_voices_material import FPS, NOISE_SECONDS
from talking_heads.media_core.metrics.phones import BILABIALS

if TYPE_CHECKING:
    from real_voices import Material

WANTED = {  # figure -> (sign, bound of AToM, bound of avatars; None: not asked)
    "closures at P/B/M": (">=", .80, .75), "openness r": (">=", .6, .6), "openness r, shifted 1-2 s": ("|<|", .1, .1),
    "offset, frames": ("|<|", 1, 1), "shut: silence": (">=", .99, .99), "shut: white -55 dB": (">=", .98, .98),
    "shut: white -30 dB": (">=", .98, .98), "shut: hum": (">=", .98, .98), "shut: breath": (">=", .98, .98),
    "shut: music": (">=", .90, .90), "speech missed by the gate": ("<", .01, .01), "lab r": (">=", .60, None),
    "web r": (">=", .28, None), "lab amplitude": (">=", .8, None), "web amplitude": (">=", .8, None)}
CEILINGS = {  # seen in experiments, none of them by a network of this pack
    "closures at P/B/M": "1.00 words known, .86 phones recognised", "lab r": ".70", "web r": ".36"}


def report(args: argparse.Namespace, rows: dict[str, dict[str, float]], spent: dict[str, float], material: Material,
           prompts: dict[str, float]) -> str:
    """Markdown: one figure per line, one talker per column."""
    names = list(dict.fromkeys(figure for row in rows.values() for figure in row))
    lines = ["# Real voices", "", head(args, material), ""]
    lines += ["| figure | " + " | ".join(rows) + " | wanted (AToM; avatar) | ceiling seen |", "|---" * (len(rows) + 3) + "|"]
    for figure in names:
        cells = [cell(figure, row.get(figure), talker) for talker, row in rows.items()]
        lines.append(f"| {figure} | " + " | ".join(cells) + f" | {bound(figure)} | {CEILINGS.get(figure, '')} |")
    lines.append("| CPU s | " + " | ".join(f"{spent[name]:.0f}" for name in rows) + " | | |")
    if prompts:
        lines += ["", "Speech missed by the gate in clean telephone prompts (frames within 20 dB of the loud level): "
                  + ", ".join(f"{language} {value:.2%}" for language, value in prompts.items()) + "."]
    return "\n".join([*lines, "", *notes(material)]) + "\n"


def head(args: argparse.Namespace, material: Material) -> str:
    folder = "" if args.folder is None else " FOLDER"
    bilabials = sum(len(reading.phones.named(BILABIALS)) for reading in material.readings)
    return (f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python "
            f"benchmarks/real_voices.py{folder} --seeds {args.seeds}`. {len(material.readings)} sentences of human readers with "
            f"known words, {bilabials} bilabials; sounds without a voice, {NOISE_SECONDS:g} s each; "
            f"{sum(f.lab for f in material.films)} lab and {sum(not f.lab for f in material.films)} web videos, "
            f"{sum(len(f.lips) for f in material.films) / FPS:.0f} s. Bold: not as wanted.")


def notes(material: Material) -> list[str]:
    lags = ", ".join(f"{material.lags.count(lag)} at {lag:+d}" for lag in sorted(set(material.lags))) or "no videos"
    return ["- Closed: the smallest opening within one frame of the phone lies in the lowest quarter between the recording's 5th "
            "and 90th percentile. Shut: within 0.02 of the outer eye corners' distance of the closed mouth; every frame counts, "
            "in pauses those 0.24 s before and 0.44 s behind speech do not.",
            "- Openness r: the lips against the phones' opening by the subject's rules, all sentences joined. Offsets: positive, "
            "the lips are late.",
            "- lab r, web r: mean over videos, each at one lag for every column. The phones' lips and jaw by the rules choose it "
            f"within 4 frames, so their own column is flattered ({lags}). Lips of the videos: tracker `people`.",
            "- Floor: lips made for another video of the same kind at the same lag. All lab clips go silence, speech, silence.",
            "- Avatars: opening read from rendered frames by both trackers; rest is their digital silence. On the synthetic "
            "subject itself `rendered` follows the true opening at r .98 and `people` at .90; about which frames are closed "
            "`rendered` is right in 90 % and `people` in 97 %."]


def cell(figure: str, value: float | None, talker: str) -> str:
    if value is None:
        return ""
    text = f"{value:.1%}" if figure.startswith(("shut", "speech missed", "open vowels shut")) else f"{value:.2f}"
    if figure not in WANTED or not talker_judged(talker):
        return text
    sign, atom, avatar = WANTED[figure]
    wanted = avatar if talker.startswith("avatar") else atom
    if wanted is None:
        return text
    holds = {">=": value >= wanted, "<": value < wanted, "|<|": abs(value) < wanted}[sign]
    return text if holds else f"**{text}**"


def talker_judged(talker: str) -> bool:
    return talker not in ("loudness", "phones by the rules")


def bound(figure: str) -> str:
    if figure not in WANTED:
        return ""
    sign, atom, avatar = WANTED[figure]
    return f"{sign} {atom:g}" + ("" if avatar is None else f"; {avatar:g}")
