"""`talking-heads import`: published checkpoints to the pack's own files."""
from __future__ import annotations

import argparse

OK = 0


def add_options(imports: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads import ...`."""
    what = imports.add_subparsers(dest="what", required=True)
    atom = what.add_parser("atom", parents=[common], help="MoDiTalker's atom.pt to an AToM file")
    atom.add_argument("file", metavar="FILE", help="atom.pt, or a bare state dict of torch.save")
    atom.add_argument("out", metavar="OUT.safetensors")
    atom.add_argument("--weights", choices=["raw", "ema"], default="raw",
                      help="the weights themselves, as published inference takes them, or their running mean (default: raw)")
    atom.add_argument("--key-mean-shape", metavar="FILE", help="mean face of the weights' training: BFM_model_front.mat, or 68"
                      " points as .npy or .safetensors (default: the built-in one, which published weights do not fit exactly)")
    atom.add_argument("--heads", type=int, default=8, metavar="N", help="heads of the attention, told by no tensor (default: 8)")
    atom.add_argument("--licence", default="", metavar="TEXT", help="what may be done with the weights; kept in the file")
    atom.add_argument("--half", action="store_true", help="store float16, half the size")


def import_checkpoint(options: argparse.Namespace) -> int:
    """Runs it; prints the file and, for the built-in mean face, what that means."""
    from ..moditalker_core.bfm import read_key_mean_shape
    from ..moditalker_core.checkpoints import load_atom
    from ..moditalker_core.published import import_atom

    out = options.out if options.out.endswith(".safetensors") else f"{options.out}.safetensors"
    mean = None if options.key_mean_shape is None else read_key_mean_shape(options.key_mean_shape)
    path = import_atom(options.file, out, weights=options.weights, key_mean_shape=mean, heads=options.heads,
                       licence=options.licence, half=options.half)
    atom = load_atom(path)  # what was written can be read
    print(f"{path}\n{atom}")
    if "note" in atom.config.training:
        print(f"Note: {atom.config.training['note']} (--key-mean-shape).")
    return OK
