"""How networks sample: AToM's options and MToV's, for the commands that run them, and those options as the cores take them."""
from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..media_core.errors import TalkingHeadsError
from ..moditalker_core.choices import BOUNDARY_CORRECTION, NOISES, RESIDUALS, RESIZES, SAMPLERS, residual
from .automatic import or_auto

if TYPE_CHECKING:  # these import NumPy and torch
    from ..moditalker_core.atom.generation import SamplingSettings
    from ..moditalker_core.mtov.generation import VideoSettings
    from ..moditalker_core.mtov.model import MToV

_OWN = "(default: auto, as the weights say)"
_BATCH = 4  # clips computed together on an accelerator; on a CPU one at a time is as fast
_MTOV = ("mtov", "sampler", "calls", "schedule_steps", "strength", "eta", "overlap", "boundary_correction", "detail_residual",
         "noise", "resize", "batch")  # options that only redrawing reads


def add_motion_sampling(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """AToM's options. `prefix`: of those whose names MToV's options have too."""
    add = parser.add_argument
    add(f"--{prefix}sampler", dest="motion_sampler", choices=SAMPLERS,
        help="of AToM; ddim0 is DDIM with eta 0 (default: as the weights say)")
    add(f"--{prefix}steps", dest="motion_steps", type=or_auto(int), metavar="N",
        help=f"AToM's sampling steps: fewer are faster {_OWN}")
    add(f"--{prefix}eta", dest="motion_eta", type=or_auto(float), metavar="E",
        help=f"fraction of fresh noise, 0 to 1, in every step of AToM's ddim {_OWN}")
    add(f"--{prefix}overlap", dest="motion_overlap", type=or_auto(int), metavar="N",
        help="frames that neighbouring windows of AToM share (default: auto, a third of a window, at most 32)")
    add("--guidance", type=or_auto(float), metavar="W", help=f"how closely the speech is followed {_OWN}")
    add("--clip", type=or_auto(float), metavar="CM",
        help=f"how far a predicted point may be from the initial face, in cm; 0: no limit {_OWN}")
    add("--no-gate", dest="gate", action="store_false", help="do not close the mouth where nobody speaks")


def motion_sampling(options: argparse.Namespace) -> SamplingSettings:
    """Those options as settings."""
    from ..moditalker_core.atom.generation import SamplingSettings

    return SamplingSettings(sampler=options.motion_sampler, steps=options.motion_steps, guidance=options.guidance,
                            clip=options.clip, eta=options.motion_eta, seed=options.seed, overlap=options.motion_overlap,
                            gate=options.gate)


def add_video_sampling(parser: argparse.ArgumentParser) -> None:
    """MToV's options."""
    add = parser.add_argument_group("redraw", "options of MToV, which only --carrier redraw reads").add_argument
    add("--mtov", metavar="FILE", help="an MToV file (default: the shipped demo weights)")
    add("--sampler", choices=SAMPLERS, help="of MToV; ddim0 is DDIM with eta 0 (default: as its weights say)")
    add("--steps", dest="calls", type=or_auto(int), metavar="N",
        help="MToV's sampling steps per clip: fewer are faster (default: auto, as its weights say)")
    add("--calls", dest="calls", type=or_auto(int), default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its name before
    add("--schedule-steps", type=int, metavar="N", help="instead of --steps, as the official program counts: of N steps over "
                                                        "the whole noise schedule it runs those within the strength")
    add("--strength", type=or_auto(float), metavar="S",
        help=f"how much noise is added to the portrait before sampling, 0 to 1 {_OWN}")
    add("--eta", type=or_auto(float), metavar="E", help=f"fraction of fresh noise, 0 to 1, in every step of ddim {_OWN}")
    add("--overlap", type=or_auto(int), metavar="N", help=f"frames over which neighbouring clips are cross-faded {_OWN}")
    add("--boundary-correction", type=float, metavar="B",
        help=f"how much of the difference between neighbouring clips is corrected, 0 to 1 (default: {BOUNDARY_CORRECTION:g})")
    add("--detail-residual", choices=RESIDUALS, help="add what the networks miss of the portrait to every frame (default: auto, "
                                                     "as the weights say)")
    add("--noise", choices=NOISES, help=f"clips begin with one and the same noise, or each with its own (default: {NOISES[0]})")
    add("--resize", choices=RESIZES, help=f"how larger images are downscaled: without flicker, or as in the official code "
                                          f"(default: {RESIZES[0]})")
    add("--batch", type=or_auto(int), metavar="N", help=f"clips computed at once (default: auto, 1 on a CPU, else {_BATCH})")


def video_sampling(options: argparse.Namespace, mtov: MToV) -> VideoSettings:
    """Those options as settings.

    Raises:
        TalkingHeadsError: values that no sampler accepts.
    """
    from ..moditalker_core.mtov.generation import VideoSettings

    if options.batch is not None and options.batch < 1:
        raise TalkingHeadsError("--batch must be a whole number of 1 or more", f"{options.batch}",
                                "Choose another one, or leave it out")
    usual = 1 if mtov.device.type == "cpu" else _BATCH
    correction = options.boundary_correction
    settings = VideoSettings(
        sampler=options.sampler, calls=options.calls, ratio=options.strength, eta=options.eta, seed=options.seed,
        overlap=options.overlap, settle=BOUNDARY_CORRECTION if correction is None else correction,
        batch=usual if options.batch is None else options.batch, noise=options.noise or NOISES[0],
        anchored=residual(options.detail_residual or RESIDUALS[0]), schedule=options.schedule_steps,
        resize=options.resize or RESIZES[0])
    settings.resolved(mtov.config, frames=1)  # refuses now what it would otherwise refuse after the motion is made
    return settings


def unread(options: argparse.Namespace) -> list[str]:
    """The given options that only redrawing reads, as they are written."""
    names = [name for name in _MTOV if getattr(options, name) is not None]
    return [f"--{'steps' if name == 'calls' else name.replace('_', '-')}" for name in names]
