"""The avatar file: one safetensors with two fields, two nets, the track, the body, and a typed header.

Tensors: `face.*`, `mouth.*` (fields), `face_net.*`, `mouth_net.*`, `track.camera_to_head` [P, 4, 4], `track.au` [P, 17],
`torso.mean|components|scales|states`, `background`. Config: encoder, audio (constructor arguments of the nets), fps, focal,
image_size, torso box, SH degrees, blink ceiling, known action units, training record, quality, licence, credit.
"""
from __future__ import annotations

import os
from pathlib import Path

import torch

from ..media_core.errors import FileFormatError
from ..media_core.files import load_tensors, save_tensors
from ..media_core.motion import PoseTrack
from .avatar import Avatar
from .branches import field_from, strip
from .motion import FaceMotionNet, MouthMotionNet
from .torso import TorsoModel

KIND, VERSION = "avatar", 1


def save_avatar(avatar: Avatar, path: str | os.PathLike) -> Path:
    """Writes the file whole or not at all."""
    tensors = {"track.camera_to_head": avatar.poses.camera_to_head, "track.au": avatar.upper_au, "background": avatar.background}
    for name, module in zip(("face", "mouth", "face_net", "mouth_net"), avatar.modules):
        tensors |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
    tensors |= {f"torso.{k}": v for k, v in avatar.torso.tensors().items()}
    config = avatar.config | {
        "fps": avatar.poses.fps, "focal": avatar.poses.focal, "image_size": list(avatar.poses.image_size),
        "torso_box": list(avatar.torso.box), "torso_size": list(avatar.torso.size),
        "sh_degrees": [avatar.face.active_sh_degree, avatar.mouth.active_sh_degree]}
    return save_tensors(path, tensors, kind=KIND, version=VERSION, config=config)


def load_avatar(path: str | os.PathLike, device: str | torch.device = "cpu") -> Avatar:
    """Reads an avatar file.

    Raises:
        FileFormatError: absent, truncated, not an avatar, newer than this version, or incomplete inside.
    """
    tensors, config = load_tensors(path, kind=KIND, version=VERSION)
    try:
        avatar = _assembled(tensors, config)
    except (KeyError, RuntimeError, TypeError, ValueError, IndexError) as error:
        raise FileFormatError("The avatar file must hold two fields, two nets, a track, a torso and a background",
                              f"{Path(path).name} lacks or garbles one ({error})", "Train or copy the avatar again") from error
    return avatar.to(device)  # outside: a card that is full is not the file's fault


def _assembled(tensors: dict, config: dict) -> Avatar:
    degrees, _, _ = config["sh_degrees"], config["encoder"], config["blink_ceiling"]
    face, mouth = (field_from(strip(tensors, f"{name}."), degree) for name, degree in zip(("face", "mouth"), degrees))
    face_net, mouth_net = FaceMotionNet(**config["audio"]), MouthMotionNet(**config["audio"])
    face_net.load_state_dict(strip(tensors, "face_net."))
    mouth_net.load_state_dict(strip(tensors, "mouth_net."))
    poses = PoseTrack(tensors["track.camera_to_head"], float(config["focal"]), tuple(config["image_size"]), float(config["fps"]))
    torso = TorsoModel(**{k: tensors[f"torso.{k}"] for k in ("mean", "components", "scales", "states")},
                       box=tuple(config["torso_box"]), size=tuple(config["torso_size"]))
    rows = len(poses), len(tensors["track.au"]), len(torso.states)
    if len(set(rows)) > 1:
        raise IndexError(f"{rows} poses, action units and torso states")
    missing = {"encoder", "blink_ceiling"} - config.keys()
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return Avatar(face, mouth, face_net, mouth_net, poses, tensors["track.au"], torso, tensors["background"], config)
