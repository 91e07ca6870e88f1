"""The words for the figures of a report: one line for the preview on a node, the log and the command line.

Every key and every stage that a core reports has its words here; a test compares. What only experts read (the parts of a loss,
the learning rate) is left to the training log.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PARTS = " · "  # between the parts of a caption
COMPILE = "compile"  # the phase in which nothing is seen to happen for half a minute
WAITED = "waited"  # the key of the seconds that this has taken so far
SPEECH = "speech"  # the phase in which a training encodes its audio, which takes minutes where a model does it on a CPU
NOTE = "note"  # the attribute of a log record that carries a caption alone
SHOWS = "shows"  # the key of what a preview shows: "truth | avatar" from left to right; drawn next to it, not in the sentence

STAGES = {
    # an avatar
    ("phase", COMPILE): "Compiling the rasteriser (first time only)",
    ("phase", SPEECH): "Encoding the speech",
    ("phase", "render"): "Rendering",
    ("phase", "warmup"): "Stage warm-up",
    ("phase", "face"): "Stage face",
    ("phase", "mouth"): "Stage mouth",
    ("phase", "fuse"): "Stage fuse",
    ("phase", "speech prior"): "Stage speech prior",
    ("phase", "finish"): "Finishing the avatar",
    ("phase", "avatar prior"): "Stage avatar prior",
    ("phase", "causal"): "Stage causal audio networks",
    ("phase", "basis"): "Fitting the linear basis",
    ("phase", "torso"): "Modelling the torso",
    ("phase", "export"): "Writing",
    # a portrait
    ("phase", "draw"): "Drawing the motion",
    ("phase", "encode"): "encoding the motion",
    ("phase", "anchor"): "computing the detail residual",
    ("phase", "sample"): "sampling",
    ("phase", "decode"): "decoding",
    ("phase", "done"): "",
    # datasets
    ("stage", "face"): "Tracking the face",
    ("stage", "landmarks"): "Measuring landmarks",
    ("stage", "data set"): "Rendering",
    ("stage", "voice"): "Synthesising speech",
    ("stage", "looking"): "Scanning",
    ("stage", "portraits"): "Reading the portraits",
    ("stage", "film"): "",
    ("stage", "clip"): "",
    # an evaluation
    ("stage", "comparing"): "Comparing",
    ("stage", "lips and audio"): "Comparing lips and audio",
    ("stage", "checksums"): "Computing checksums",
    # a capture
    ("stage", "choosing the segment"): "Choosing the segment",
    ("stage", "finding the face"): "Finding the face",
    ("stage", "writing frames"): "Writing",
    ("stage", "looking for cuts"): "Looking for cuts",
    ("stage", "measuring"): "Measuring",
    ("stage", "masks"): "Drawing masks",
    ("stage", "background"): "Finding the background",
    ("stage", "layers"): "Separating head and body",
    ("stage", "sound"): "Writing the audio",
    ("stage", "tables"): "Writing tables",
    ("stage", "quality report"): "Writing the quality report",
}

COUNTED = (("frame", "frames"), ("clip", "clips"), ("window", "windows"), ("number", "films"))  # n of N

FIGURES: Mapping[str, Callable[[Any], str]] = {
    "film": str,
    "loss": lambda value: f"loss {value:.3f}" if value >= 0.01 else f"loss {value:.2g}",
    "velocity": lambda value: f"velocity loss {value:.2g}",
    "psnr": lambda value: f"PSNR {value:.1f} dB",
    "val_psnr": lambda value: f"held-out PSNR {value:.1f} dB",
    "mouth": lambda value: f"mouth PSNR {value:.1f} dB",
    "still": lambda value: f"still mouth {value:.1f} dB",
    "lip_correlation": lambda value: f"lip correlation {value:.2f}",
    "points": lambda value: f"{value:,} points",
    "missing": lambda value: f"no face in {value:,}" if value else "",
    "phoneme": lambda value: f"phoneme {value}" if value else "",
    "looked at": lambda value: f"{value:,} frames scanned",
}
UNSHOWN = frozenset({"reconstruction", "lr", "grad_norm", "l1", "perceptual", "latent_size", "adversarial", "feature_matching",
                     "discriminators", "val_loss", SHOWS})  # stand in the training's log


def caption(info: Mapping[str, Any]) -> str:
    """The figures of a report in words: "Stage face · loss 0.031 · PSNR 27.9 dB · 9,647 points"."""
    return PARTS.join(part for part in (_opening(info), *_rest(info)) if part)


def known_keys() -> frozenset[str]:
    """Every key that has its words."""
    counted = {name for pair in COUNTED for name in pair}
    return frozenset({"phase", "stage", WAITED, *counted, *FIGURES, *UNSHOWN})


def _opening(info: Mapping[str, Any]) -> str:
    """What is being done, and to which of how many: "Rendering frame 120 of 375", "Clip 8 of 8"."""
    doing = " ".join(STAGES.get((key, info[key]), f"{key} {info[key]}") for key in ("stage", "phase") if key in info)
    doing += f", {info[WAITED]:.0f} s" if WAITED in info else ""
    count = " ".join(_count(info, one, all_of) for one, all_of in COUNTED if one in info)
    if info.get("stage") == "looking" and "film" in info:
        return f"{doing} {info['film']}"
    if any(name in info for name in ("clip", "window", "number")):  # these lead: "Clip 2 of 8 · sampling"
        return PARTS.join(part for part in (count[:1].upper() + count[1:], doing) if part)
    if not (doing and count):
        return doing or count[:1].upper() + count[1:]
    return f"{doing}{',' if ' ' in doing else ''} {count}"


def _count(info: Mapping[str, Any], one: str, all_of: str) -> str:
    """Nothing where there is only one to count: the start or end of a stage."""
    if all_of not in info:
        return f"{one} {info[one]:,}"
    word = {"number": "video"}.get(one, one)
    return "" if one == "frame" and info[all_of] <= 1 else f"{word} {info[one]:,} of {info[all_of]:,}"


def _rest(info: Mapping[str, Any]) -> list[str]:
    found = []
    for name, value in info.items():
        if name in FIGURES and not (name == "film" and info.get("stage") == "looking"):
            found.append(FIGURES[name](value))
        elif name not in known_keys():
            found.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return found
