"""The avatar file: one safetensors with two fields, two nets, the track, the body, and a typed header.

Tensors: `face.*`, `mouth.*` (fields), `face_net.*`, `mouth_net.*`, `track.camera_to_head` [P, 4, 4], `track.au` [P, 17],
`torso.mean|components|scales|states`, `background`; optional `basis.*` (`basis.LinearBasis`). Config: encoder, audio
(constructor arguments of the nets), fps, focal, image_size, torso box, SH degrees, blink ceiling, known action units, motion
(fusion and cue of the face net; older files lack it), training record, quality, licence, credit; basis_psnr with a basis.
"""
from __future__ import annotations

import os
from pathlib import Path

import torch

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.files import load_tensors, save_tensors
from ..media_core.motion import PoseTrack
from .avatar import Avatar
from .avatar_checks import check_avatar
from .basis import LinearBasis
from .model.fusion import MotionKind
from .model.motion import FaceMotionNet, MouthMotionNet
from .model.torso import TorsoModel
from .training.branches import field_from, strip

KIND, VERSION = "avatar", 1


def save_avatar(avatar: Avatar, path: str | os.PathLike) -> Path:
    """Writes the file whole or not at all."""
    tensors = {"track.camera_to_head": avatar.poses.camera_to_head, "track.au": avatar.upper_au, "background": avatar.background}
    for name, module in zip(("face", "mouth", "face_net", "mouth_net"), avatar.modules):
        tensors |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"torso.{k}": v for k, v in avatar.torso.tensors().items()}
    if avatar.basis is not None:
        tensors |= {f"basis.{k}": v for k, v in avatar.basis.tensors().items()}
    config = avatar.config | {
        "fps": avatar.poses.fps, "focal": avatar.poses.focal, "image_size": list(avatar.poses.image_size),
        "torso_box": list(avatar.torso.box), "torso_size": list(avatar.torso.size),
        "sh_degrees": [avatar.face.active_sh_degree, avatar.mouth.active_sh_degree]}
    if avatar.basis is not None:
        config["basis_psnr"] = round(avatar.basis.psnr, 2)
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config=config)


def load_avatar(path: str | os.PathLike, device: str | torch.device = "cpu") -> Avatar:
    """Reads an avatar file.

    Raises:
        FileFormatError: absent, truncated, not an avatar, newer than this version, incomplete inside, or of parts that do not
            fit each other (avatar_checks.py).
    """
    tensors, config = load_tensors(path, kind=KIND, version=VERSION)
    name, again = Path(path).name, "Train or copy the avatar again"
    must = "The avatar file must hold two fields, two nets, a track, a torso and a background"
    try:
        check_avatar(tensors, config, name, again)
        avatar = _assembled(tensors, config)
    except TalkingHeadsError as error:
        came = f"{name} lacks or garbles one ({error.must.rstrip('.')}; {error.came.rstrip('.')})"
        raise FileFormatError(must, came, again) from error
    except RuntimeError as error:  # torch's, over a net of other layers
        raise FileFormatError(must, f"{name} lacks or garbles one ({error})", again) from error
    return avatar.to(device)  # outside: a GPU that is full is not the file's fault


def _assembled(tensors: dict, config: dict) -> Avatar:
    face, mouth = (field_from({key: value.float() for key, value in strip(tensors, f"{name}.").items()}, degree)
                   for name, degree in zip(("face", "mouth"), config["sh_degrees"]))
    face_net, mouth_net = FaceMotionNet(**config["audio"], kind=MotionKind.from_config(config)), MouthMotionNet(**config["audio"])
    face_net.load_state_dict(strip(tensors, "face_net."))
    mouth_net.load_state_dict(strip(tensors, "mouth_net."))
    poses = PoseTrack(tensors["track.camera_to_head"], float(config["focal"]), tuple(config["image_size"]), float(config["fps"]))
    torso = TorsoModel(**{k: tensors[f"torso.{k}"] for k in ("mean", "components", "scales", "states")},
                       box=tuple(config["torso_box"]), size=tuple(config["torso_size"]))
    parts = strip(tensors, "basis.")
    basis = LinearBasis(**parts, faces=len(face), psnr=float(config["basis_psnr"])) if parts else None
    return Avatar(face, mouth, face_net, mouth_net, poses, tensors["track.au"], torso, tensors["background"], config, basis)
