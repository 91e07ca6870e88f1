"""`talking-heads train avatar`: in one process, or in each of those that `accelerate launch` started."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..media_core.captions import caption
from ..media_core.errors import TalkingHeadsError
from ..training_core.choices import CUES, DENSIFY, FUSIONS, PRIORS, WINDOWS
from .automatic import or_auto
from .encoders import add_encoder, chosen_encoder
from .executor import Result, add_workers
from .many_jobs import Jobs, named_apart, unit_of
from .progress_line import Info, ProgressLine
from .training_options import (
    add_training_options,
    changes,
    run_training,
    safetensors_name,
    several,
    steps_asked,
    training_group,
)

if TYPE_CHECKING:  # these import NumPy and torch
    import torch

    from ..hmtalker_core.avatar import Avatar
    from ..hmtalker_core.training.config import TrainConfig
    from ..media_core.progress import Report
    from ..training_core.process_group import SingleProcess

_FILES = ("dataset", "start_from", "lpips", "encoder")
_FACTORS = 20  # --steps up to here may have been meant as the factor that it once was


def add_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads train avatar`."""
    avatar = what.add_parser("avatar", parents=[common], help="a dataset folder to an avatar",
                             epilog=several("avatar DATASET OUT --batch N"))
    add = avatar.add_argument
    add("datasets", nargs="+", metavar="DATASET", help="a folder of `talking-heads capture`, or one in the TalkingGaussian "
        "layout; several: an avatar of each")
    add("out", metavar="OUT.safetensors", help="the avatar; while unfinished, OUT.training.safetensors. Of several datasets a "
        "folder, in which each avatar is called like its dataset")
    add_training_options(add, samples="frames", precisions=("fp32", "bf16"), steps=_steps)
    add_encoder(avatar)
    add_workers(add)
    add("--start-from", metavar="AVATAR.safetensors", help="an avatar of somebody else, or an avatar prior, whose motion "
        "networks this one begins with (default: --prior)")
    add("--prior", choices=PRIORS, default=PRIORS[0], help="what the motion networks begin with otherwise: speech, how mouths "
        "answer speech; avatar, also how faces move; auto (default): avatar where its speech, fusion, cue and window are the "
        "training's")
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
    """Trains and prints the files; Ctrl-C keeps what was learnt."""
    from .jobs import nameable

    alone = len(options.datasets) == 1 and options.workers is None
    if alone:
        options.dataset, options.out = options.datasets[0], safetensors_name(options.out)
        nameable(options.out, ".training.safetensors")
    config = _config(options)
    group, device = training_group(options.device)
    if alone:
        return run_training(lambda report: _trained(options, config, group, device, report),
                            lambda avatar: _tell(options.out, avatar.config.get("quality")), "Training", group)
    if group.size > 1:
        raise TalkingHeadsError("Processes that train together train one avatar", f"{len(options.datasets)} datasets, --workers "
                                f"{options.workers}", "Start with accelerate launch for one dataset, or without it for several")
    return _several(options)


def _several(options: argparse.Namespace) -> int:
    """An avatar of each dataset: exit code."""
    from .jobs import nameable, writable

    sets = [Path(name).resolve() for name in options.datasets]
    if len(sets) == 1:
        outs = [Path(safetensors_name(options.out)).resolve()]
    elif options.out.endswith(".safetensors"):
        raise TalkingHeadsError("Avatars of several datasets go into a folder", options.out, "Leave the ending out")
    else:
        outs = [Path(options.out).resolve() / f"{folder.name}.safetensors" for folder in sets]
    named_apart(outs, "dataset")
    for out in outs:
        nameable(out, ".training.safetensors")
    writable(outs[0].parent)
    logs = [options.log_dir and str(Path(options.log_dir).resolve() / (out.stem if len(outs) > 1 else "")) for out in outs]
    units = [unit_of("train avatar", options, _FILES, dataset=str(folder), out=str(out), log_dir=log)
             for folder, out, log in zip(sets, outs, logs)]
    return Jobs([folder.name for folder in sets], units, options.workers, _show,
                lambda number, result: _tell(str(outs[number]), result["quality"]), lambda number: outs[number]).run()


def done(options: argparse.Namespace, report: Report) -> Result:
    """Trains one avatar of `options.dataset`, on its own."""
    from ..training_core.process_group import SingleProcess
    from .devices import chosen_device

    avatar = _trained(options, _config(options, quiet=True), SingleProcess(), str(chosen_device(options.device)), report)
    return {"quality": avatar.config.get("quality")}


def _config(options: argparse.Namespace, quiet: bool = False) -> TrainConfig:
    """The settings of the training; says how --steps was understood unless `quiet`."""
    from ..hmtalker_core.training.config import preset

    steps, scale = options.steps, options.scale
    if isinstance(steps, float) and scale is None:
        said = (f"--steps is a number of steps now; {steps:g} is taken as a factor of the preset's: --scale {steps:g} says the "
                "same.")
        steps, scale = None, steps
    elif steps is not None and 0 < steps <= _FACTORS:
        said = f"--steps {steps} is {steps} steps now; {steps} times the preset's are --scale {steps}."
    else:
        said = ""
    if said and not quiet:
        print(said, file=sys.stderr)
    config = replace(preset(options.preset), **changes(options), **_model_changes(options))
    config = config if options.cap is None else config.with_cap(options.cap)
    if steps is None and scale is None:
        return config
    asked = steps_asked(argparse.Namespace(steps=steps, scale=scale), config.steps)
    return config.scaled(scale) if scale is not None else config.with_steps(asked)


def _trained(options: argparse.Namespace, config: TrainConfig, group: SingleProcess, device: str | torch.device,
             report: Report) -> Avatar:
    from ..hmtalker_core.training import train_avatar as avatar_training
    from ..hmtalker_core.training.start import named

    return avatar_training.train_avatar(
        options.dataset, options.out, preset=config, seed=options.seed, size=options.size,
        encoder=chosen_encoder(options) or "mel", device=device, resume=options.resume, lpips_weights=options.lpips,
        start_from=options.start_from or named(options.prior), report=report, log_folder=options.log_dir, process_group=group)


def _show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    line.show("Training", done, total, caption(info))


def _tell(out: str, quality: Mapping[str, Any] | None) -> None:
    print(out)
    if quality:
        print(f"PSNR of the head on {quality['frames']} held-out frames: {quality['head_psnr']:.1f} dB")
