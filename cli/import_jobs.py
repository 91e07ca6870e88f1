"""`talking-heads import`: official checkpoints to the pack's own files."""
from __future__ import annotations

import argparse

from .avatar_files import add_imports, import_avatar, import_ply

OK = 0


def add_options(imports: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads import ...`."""
    what = imports.add_subparsers(dest="what", required=True)
    atom = what.add_parser("atom", parents=[common], help="MoDiTalker's atom.pt to an AToM file")
    atom.add_argument("file", metavar="FILE", help="atom.pt, or a bare state dict of torch.save")
    atom.add_argument("out", metavar="OUT.safetensors", help="the AToM file")
    atom.add_argument("--weights", choices=["raw", "ema"], default="raw",
                      help="the weights themselves, as official inference uses them, or their moving average (default: raw)")
    atom.add_argument("--key-mean-shape", metavar="FILE", help="mean face used in training the weights: BFM_model_front.mat, or"
                      " 68 points as .npy or .safetensors (default: the built-in one, which fits official weights only roughly)")
    atom.add_argument("--heads", type=int, default=8, metavar="N", help="attention heads; the file does not tell (default: 8)")
    ave = what.add_parser("ave", parents=[common], help="SyncTalk's audio_visual_encoder.pth to a file for --encoder",
                          epilog="The official weights are CC BY-NC 4.0: not for commercial use.")
    ave.add_argument("file", metavar="FILE", help="audio_visual_encoder.pth")
    ave.add_argument("out", metavar="OUT.safetensors", help="the file; in models/audio_encoders the nodes list it")
    ave.add_argument("--licence", default="", metavar="TEXT", help="the weights' licence; stored in the file")
    for command in (atom, *_mtov_options(what, common)):
        command.add_argument("--licence", default="", metavar="TEXT", help="the weights' licence; stored in the file")
        command.add_argument("--half", action="store_true", help="store float16, half the size")
    _metric_options(what, common)
    add_imports(what, common)


def _metric_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The command for the networks of `talking-heads evaluate`."""
    metric = what.add_parser("metric", parents=[common], help="official weights of LPIPS, SyncNet, FID, FVD or ArcFace, for "
                             "`talking-heads evaluate`", epilog="Without them, evaluate names the files that each figure needs.")
    metric.add_argument("kind", choices=["lpips", "syncnet", "inception", "i3d", "arcface"], help="which network")
    metric.add_argument("files", metavar="FILE", nargs="+", help="the official file; for lpips AlexNet's and LPIPS' own")
    metric.add_argument("out", metavar="OUT.safetensors", help="evaluate looks for models/talking_heads/metrics/KIND.safetensors")
    metric.add_argument("--licence", default="", metavar="TEXT", help="the weights' licence; stored in the file")


def _mtov_options(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> tuple[argparse.ArgumentParser, ...]:
    """The commands for MToV, still without the options of every import."""
    mtov = what.add_parser("mtov", parents=[common], help="MoDiTalker's three MToV checkpoints to an MToV file",
                           epilog="The files do not tell which autoencoder is which: mind their order.")
    mtov.add_argument("rgb", metavar="RGB", help="autoencoder_rgb.pth")
    mtov.add_argument("motion", metavar="MOTION", help="autoencoder_motion.pth")
    mtov.add_argument("diffusion", metavar="DIFFUSION", help="diffusion_model.pth")
    mtov.add_argument("out", metavar="OUT.safetensors", help="the MToV file")
    mtov.add_argument("--heads", type=int, default=8, metavar="N",
                      help="attention heads of the denoiser; the files do not tell (default: 8)")
    mtov.add_argument("--whole", action="store_true", help="keep the landmark autoencoder's decoder, which only training needs")
    one = what.add_parser("autoencoder", parents=[common], help="one of MToV's two autoencoders alone, to train a denoiser on it")
    one.add_argument("file", metavar="FILE", help="autoencoder_rgb.pth or autoencoder_motion.pth")
    one.add_argument("out", metavar="OUT.safetensors", help="for `train mtov --rgb` or `--landmarks`")
    one.add_argument("--role", choices=["rgb", "landmarks"], required=True, help="which of the two it is; the file does not tell")
    for command in (mtov, one):
        command.add_argument("--autoencoder-heads", type=int, metavar="N",
                             help="attention heads of the autoencoders (default: as the files say, else 8)")
    return mtov, one


def import_checkpoint(options: argparse.Namespace) -> int:
    """Runs the command; prints the file and what is in it."""
    from .jobs import writable_file

    out = options.out if options.out.endswith(".safetensors") else f"{options.out}.safetensors"
    writable_file(out)
    importers = {"ave": _import_ave, "atom": _import_atom, "mtov": _import_mtov, "autoencoder": _import_autoencoder,
                 "metric": _import_metric, "avatar": import_avatar, "ply": import_ply}
    return importers[options.what](options, out)


def _import_atom(options: argparse.Namespace, out: str) -> int:
    """Also prints a note on the built-in mean face."""
    from ..moditalker_core.atom.checkpoints import load_atom
    from ..moditalker_core.atom.official import import_atom
    from ..moditalker_core.bfm import read_key_mean_shape

    mean = None if options.key_mean_shape is None else read_key_mean_shape(options.key_mean_shape)
    path = import_atom(options.file, out, weights=options.weights, key_mean_shape=mean, heads=options.heads,
                       licence=options.licence, half=options.half)
    atom = load_atom(path)  # proves that what was written can be read
    print(f"{path}\n{atom}")
    if "note" in atom.config.training:
        print(f"Note: {atom.config.training['note']} (--key-mean-shape).")
    return OK


def _import_ave(options: argparse.Namespace, out: str) -> int:
    from ..media_core.speech import open_encoder
    from ..moditalker_core.ave_import import import_ave

    path = import_ave(options.file, out, options.licence)
    print(f"{path}\n{open_encoder(path).facts.description}")  # proves that what was written can be read
    return OK


def _import_mtov(options: argparse.Namespace, out: str) -> int:
    from ..moditalker_core.mtov.checkpoints import load_mtov
    from ..moditalker_core.mtov.official import UNTOLD, import_mtov

    path = import_mtov(options.rgb, options.motion, options.diffusion, out, heads=options.heads, licence=options.licence,
                       autoencoder_heads=options.autoencoder_heads, half=options.half, whole=options.whole)
    print(f"{path}\n{load_mtov(path)}\nNote: {UNTOLD}.")
    return OK


def _import_autoencoder(options: argparse.Namespace, out: str) -> int:
    from ..moditalker_core.mtov.checkpoints import load_autoencoder
    from ..moditalker_core.mtov.official import import_autoencoder

    path = import_autoencoder(options.file, out, role=options.role, heads=options.autoencoder_heads, licence=options.licence,
                              half=options.half)
    network, note = load_autoencoder(path)
    print(f"{path}\nautoencoder of {note.role}: clips of {network.config.frames} frames of {network.config.width} x "
          f"{network.config.height} px")
    return OK


def _import_metric(options: argparse.Namespace, out: str) -> int:
    from ..moditalker_core.metric_import import import_metric

    print(import_metric(options.kind, options.files, out, options.licence))
    return OK
