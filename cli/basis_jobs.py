"""`talking-heads basis`: fits the linear basis of an avatar and stores it in its file."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .encoders import add_encoder, listener
from .progress_line import run_job

if TYPE_CHECKING:
    from ..hmtalker_core.basis import LinearBasis
    from ..media_core.progress import Report


def add_options(basis: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = basis.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="a trained avatar")
    add("--components", type=int, default=12, metavar="K", help="more are closer to the nets and take more room (default: 12)")
    add("--audio", nargs="+", default=[], metavar="FILE",
        help="speech to fit it on, at least two files; the last one gives the error (default: the pack's demo speech, for "
             "avatars that hear mel)")
    add("--out", metavar="OUT.safetensors", help="write another file instead of AVATAR")
    add_encoder(basis, default=None)


def fit_basis(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    def tell(done: tuple[Path, LinearBasis]) -> None:
        path, basis = done
        print(f"{path}\n{len(basis.scales)} components, {basis.components.numel() / 1e6:.2f} MB; "
              f"{basis.psnr:.1f} dB to the nets on speech that was not fitted")

    return run_job(lambda report: _fitted(options, report), lambda line, done, total, _: line.show("Fitting", done, total), tell,
                   goes_on=False)


def _fitted(options: argparse.Namespace, report: Report) -> tuple[Path, LinearBasis]:
    from ..hmtalker_core.basis_fit import fit_basis as fit
    from ..hmtalker_core.checkpoints import load_avatar, save_avatar
    from ..media_core.audio import load_sound

    avatar = load_avatar(options.avatar)
    speech = []
    if options.audio:
        encoder = listener(options, avatar.hears, "avatar")
        speech = [encoder.encode(load_sound(name)) for name in options.audio]
    basis = fit(avatar, options.components, speech, report)
    return save_avatar(avatar.with_basis(basis), options.out or options.avatar), basis
