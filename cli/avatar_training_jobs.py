"""`talking-heads train avatar`: in one process, or in each of those that `accelerate launch` started."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..training_core.choices import CUES, DENSIFY, FUSIONS, WINDOWS
from .automatic import or_auto
from .encoders import add_encoder, chosen_encoder
from .training_options import (
    add_training_options,
    changes,
    run_training,
    safetensors_name,
    several,
    steps_asked,
    training_group,
)

if TYPE_CHECKING:
    from ..media_core.progress import Report  # imports NumPy

_FACTORS = 20  # --steps up to here may have been meant as the factor that it once was


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train avatar`."""
    avatar = what.add_parser("avatar", parents=[common], help="a dataset folder to an avatar",
                             epilog=several("avatar DATASET OUT --batch N"))
    add = avatar.add_argument
    add("dataset", metavar="DATASET", help="a folder of `talking-heads capture`, or one in the TalkingGaussian layout")
    add("out", metavar="OUT.safetensors", help="the avatar; while unfinished, OUT.training.safetensors")
    add_training_options(add, samples="frames", precisions=("fp32", "bf16"), steps=_steps)
    add_encoder(avatar)
    add("--start-from", metavar="AVATAR.safetensors", help="an avatar of somebody else, or an avatar prior, whose motion "
        "networks this one begins with (default: only the speech prior)")
    add("--size", type=int, metavar="PX", help="sides of the frames in training (default: the dataset's)")
    add("--lpips", metavar="FILE", help="LPIPS (AlexNet) weights, .safetensors, for the perceptual terms")
    _add_model_options(avatar.add_argument_group("the model (table 4 of the paper; docs/hmtalker.md, Options)").add_argument)


def _add_model_options(add: Callable[..., argparse.Action]) -> None:
    """What the avatar is, beside how long it is trained."""
    add("--fusion", choices=FUSIONS, help="how the codes of speech and of the cue become one: a learned gate per channel "
        "(default), a perceptron over both, half and half, speech alone, the cue alone")
    add("--cue", choices=CUES, help="what the explicit code is made of: lower-face action units (default), blendshapes "
        "(blendshapes.npy of the dataset, or its face mesh), any numbers per frame (its vector.npy, from a 3DMM for instance)")
    add("--path-ratio", metavar="A:M:V", help="how often the audio, masked and vanilla paths are taken (default: 4:4:2)")
    add("--mask-range", metavar="LOW:HIGH", help="fraction of the speech code that the masked path drops (default: 0.1:0.3)")
    add("--densify", choices=DENSIFY, help="how Gaussians multiply: clones, splits and pruning (default), or MCMC")
    add("--cap", type=or_auto(int), metavar="N", help="Gaussians of the face at most; the mouth in proportion (default: auto, "
        "the preset's)")
    add("--window", choices=WINDOWS, help="which frames of speech each frame hears: around it (default), or up to it, for live "
        "use with less delay")
    add("--pose-residuals", action=argparse.BooleanOptionalAction, help="learn small corrections of the frames' camera poses")
    add("--published-endings", action=argparse.BooleanOptionalAction, help="the last percents of each stage as in the papers' "
        "code (default: as the preset has it)")


def _steps(text: str) -> float:
    """A whole number of steps; with a decimal point, the factor that --steps once was.

    Raises:
        ArgumentTypeError: no number.
    """
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a whole number: {text!r}") from error


def _model_changes(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the model that the options name instead of the preset's."""
    from ..hmtalker_core.training.config import numbers_of

    names = ("fusion", "cue", "densify", "pose_residuals", "window", "published_endings")
    found = {name: value for name in names if (value := getattr(options, name)) is not None}
    for name, text, count in (("path_weights", options.path_ratio, 3), ("mask_ratio", options.mask_range, 2)):
        if text is not None:
            found[name] = numbers_of(text, f"--{'path-ratio' if count == 3 else 'mask-range'}", count)
    return found


def train_avatar(options: argparse.Namespace) -> int:
    """Trains and prints the file; Ctrl-C keeps what was learnt."""
    from ..hmtalker_core.training import train_avatar as avatar_training
    from ..hmtalker_core.training.config import preset
    from .jobs import nameable

    out = safetensors_name(options.out)
    nameable(out, ".training.safetensors")
    if isinstance(options.steps, float) and options.scale is None:
        print(f"--steps is a number of steps now; {options.steps:g} is taken as a factor of the preset's: --scale "
              f"{options.steps:g} says the same.", file=sys.stderr)
        options.steps, options.scale = None, options.steps
    elif options.steps is not None and 0 < options.steps <= _FACTORS:
        print(f"--steps {options.steps} is {options.steps} steps now; {options.steps} times the preset's are --scale "
              f"{options.steps}.", file=sys.stderr)
    config = replace(preset(options.preset), **changes(options), **_model_changes(options))
    config = config if options.cap is None else config.with_cap(options.cap)
    if options.steps is not None or options.scale is not None:
        steps = steps_asked(options, config.steps)
        config = config.scaled(options.scale) if options.scale is not None else config.with_steps(steps)
    group, device = training_group(options.device)

    def work(report: Report) -> Any:
        return avatar_training.train_avatar(
            options.dataset, out, preset=config, seed=options.seed, size=options.size, encoder=chosen_encoder(options) or "mel",
            device=device, resume=options.resume, lpips_weights=options.lpips,
            start_from=options.start_from, report=report, log_folder=options.log_dir,
            process_group=group)

    def tell(avatar: Any) -> None:
        print(out)
        quality = avatar.config.get("quality")
        if quality:
            print(f"PSNR of the head on {quality['frames']} held-out frames: {quality['head_psnr']:.1f} dB")

    return run_training(work, tell, "Training", group)
