"""`talking-heads import avatar` and `import ply`: avatars from other programs' files."""
from __future__ import annotations

import argparse

from ..media_core.choices import PLY_SCALES
from .encoders import add_encoder, chosen_encoder

OK = 0
BRANCHES = ("face", "mouth")


def add_imports(what: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    """The options of `talking-heads import avatar` and `import ply`."""
    avatar = what.add_parser("avatar", parents=[common], help="TalkingGaussian's checkpoints and their dataset to an avatar",
                             epilog="TalkingGaussian's program has no licence: importing what you own is your affair.")
    add = avatar.add_argument
    add("dataset", metavar="DATASET", help="the folder it was trained on: poses, action units, body and background")
    add("out", metavar="OUT.safetensors", help="the avatar")
    add("--fuse", metavar="FILE", help="chkpnt_fuse_latest.pth; or else")
    add("--face", metavar="FILE", help="chkpnt_face_latest.pth")
    add("--mouth", metavar="FILE", help="chkpnt_mouth_latest.pth")
    add("--licence", default=None, metavar="TEXT", help="the weights' licence; stored in the file")
    add_encoder(avatar, None)
    ply = what.add_parser("ply", parents=[common], help="an avatar with Gaussians that were edited elsewhere")
    add = ply.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="the avatar")
    add("out", metavar="OUT.safetensors", help="the avatar with the other Gaussians")
    for branch, what_it_is in zip(BRANCHES, ("the face", "the inside of the mouth")):
        add(f"--{branch}", metavar="FILE.ply", help=f"Gaussians of {what_it_is}")
    add("--scales", choices=PLY_SCALES, help="what the files' scales are before: log (exp) or softplus, as TalkingGaussian's own "
        "are (default: as `export` noted, else log)")


def import_avatar(options: argparse.Namespace, out: str) -> int:
    """Runs `import avatar`."""
    from ..hmtalker_core import importing
    from ..hmtalker_core.checkpoints import load_avatar

    path = importing.import_avatar(options.dataset, out, fuse=options.fuse, face=options.face, mouth=options.mouth,
                                   encoder=chosen_encoder(options),
                                   licence=importing.LICENCE if options.licence is None else options.licence)
    avatar = load_avatar(path)
    print(f"{path}\n{len(avatar.face)} + {len(avatar.mouth)} Gaussians, {avatar.size[1]} x {avatar.size[0]} px, "
          f"{len(avatar.poses)} poses; understands {avatar.hears}")
    return OK


def import_ply(options: argparse.Namespace, out: str) -> int:
    """Runs `import ply`."""
    from ..hmtalker_core.checkpoints import load_avatar, save_avatar
    from ..hmtalker_core.importing import with_fields
    from ..hmtalker_core.ply import load_ply
    from ..media_core.errors import TalkingHeadsError

    given = {branch: getattr(options, branch) for branch in BRANCHES if getattr(options, branch) is not None}
    if not given:
        raise TalkingHeadsError("An avatar's Gaussians come from PLY files", "none",
                                "Give --face FILE.ply, --mouth FILE.ply or both")
    avatar = load_avatar(options.avatar)
    fields = {branch: load_ply(file, scales=options.scales, active=getattr(avatar, branch).active_sh_degree)
              for branch, file in given.items()}
    path = save_avatar(with_fields(avatar, **fields), out)
    print(path)
    print(", ".join(f"{branch}: {len(field)} Gaussians instead of {len(getattr(avatar, branch))}"
                    for branch, field in fields.items()))
    return OK
