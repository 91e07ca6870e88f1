"""The player's file: an avatar, what it does and what it says, small enough for a page (docs/player.md#container).

Written here, played by `web/js/splat/`. A frame is K whole numbers of 16 bits (the coefficients of the avatar's linear basis), a
camera and the coefficients of the body: everything else is there once.
"""
from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..media_core.errors import FileFormatError
from ..media_core.json_files import parse_json_object
from ..media_core.progress import Report, silent
from .basis import FACE_NUMBERS, MOUTH_NUMBERS
from .model.camera import film_cameras
from .model.hidden import BEYOND, WITHIN
from .rasterizer.constants import ALPHA_MIN

if TYPE_CHECKING:
    from ..media_core.audio import Sound
    from .avatar import Avatar
    from .avatar_motion import AvatarMotion
    from .basis import LinearBasis
    from .model.gaussians import GaussianField

MAGIC, VERSION = b"THPLAYER", 1
NOTE = "Synthetic video made with Talking Heads"  # a person must not be taken for a recording
ALIGNED = 16          # bytes
_HEAD = len(MAGIC) + 8
_AGAIN = "Export the avatar again"
_LONGEST = 1 << 20    # bytes of the description
_SMALL_PLATE = 1 << 16  # bytes up to which the background is stored without loss
_BASE = ("x", "y", "z", "rot_w", "rot_x", "rot_y", "rot_z", "scale_x", "scale_y", "scale_z", "opacity", "red", "green", "blue")


@dataclass
class Sections:
    """Arrays and files one after the other, with what a header says of them."""

    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    at: int = 0

    def add(self, name: str, value: np.ndarray | bytes) -> None:
        """Arrays are compressed, files (which are compressed already) are not."""
        entry: dict[str, Any] = {"at": self.at}
        if isinstance(value, np.ndarray):
            content = zlib.compress(np.ascontiguousarray(value).tobytes(), 6)
            entry |= {"dtype": value.dtype.name, "shape": list(value.shape)}
        else:
            content = value
        entry["bytes"] = len(content)
        self.listed[name] = entry
        padding = -len(content) % ALIGNED
        self.parts.append(content + bytes(padding))
        self.at += len(content) + padding

    def joined(self, header: Mapping[str, Any]) -> bytes:
        """The file."""
        text = json.dumps({**header, "sections": self.listed}, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-(_HEAD + len(text)) % ALIGNED)
        return b"".join((MAGIC, VERSION.to_bytes(4, "little"), len(text).to_bytes(4, "little"), text, *self.parts))


@torch.inference_mode()
def player_file(avatar: Avatar, motion: AvatarMotion, sound: Sound | None = None, *, title: str = "",
                report: Report = silent) -> bytes:
    """An avatar's motion as one file for the player.

    Args:
        avatar: on any device; where it has no linear basis, one is fitted first (some seconds on a CPU).
        motion: of `Avatar.drive`.
        sound: what is heard; cut or padded to the motion's length.
        title: shown above the player.
        report: called while a basis is fitted; may cancel.
    Raises:
        TalkingHeadsError: the motion was made for another avatar, or no basis can be fitted without other speech (see
            `basis_fit.fit_basis`).
    """
    avatar._check_motion(motion)
    avatar.fitted_basis(report)
    avatar, sections = avatar.copied("cpu"), Sections()
    basis = avatar.fitted_basis()
    (d_xyz, d_rot, d_scale), inside = basis.offsets(torch.zeros(1, len(basis.scales)))  # the mean
    face_mean, mouth_mean = torch.cat([d_xyz, d_rot, d_scale], dim=-1)[0].numpy(), inside[0].numpy()
    face_moves, mouth_moves = _split(basis, basis.components.numpy())
    branches = {"face": _add_branch(sections, "face", avatar.face, face_mean, face_moves),
                "mouth": _add_branch(sections, "mouth", avatar.mouth, mouth_mean, mouth_moves)}
    header = {"title": title, "note": NOTE, "licence": avatar.licence, "fps": motion.fps, "frames": len(motion),
              "size": list(avatar.size), "branches": branches, "units": basis.units.tolist(),
              "weight_steps": _add_coefficients(sections, avatar, basis, motion), **_add_cameras(sections, avatar, motion),
              "body": _add_body(sections, avatar, motion), "centre": _centre(avatar.face), **_mouth(avatar)}
    header["plate"] = _add_plate(sections, avatar.background.numpy())
    if sound is not None:
        header["sound"] = _add_sound(sections, sound, len(motion) / motion.fps)
    return sections.joined(header)


def read_player_file(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray | bytes]]:
    """The header and the sections of such a file, arrays with their shapes.

    Raises:
        FileFormatError: of another kind, newer, or truncated.
    """
    must = "The player's file must be whole and of a version that is known"
    if content[:len(MAGIC)] != MAGIC or len(content) < _HEAD:
        raise FileFormatError(must, "bytes of another kind", _AGAIN)
    version, length = (int.from_bytes(content[at:at + 4], "little") for at in (len(MAGIC), len(MAGIC) + 4))
    if version != VERSION or length > min(_LONGEST, len(content)):
        raise FileFormatError(must, f"version {version}, {len(content)} bytes", _AGAIN)
    header = parse_json_object(content[_HEAD:_HEAD + length], "the header of a player's file", do=_AGAIN)
    body, read = content[_HEAD + length:], {}
    for name, entry in header["sections"].items():
        part = body[entry["at"]:entry["at"] + entry["bytes"]]
        if len(part) < entry["bytes"]:
            raise FileFormatError(must, f"{name} breaks off", _AGAIN)
        read[name] = part
        if "shape" in entry:
            read[name] = np.frombuffer(zlib.decompress(part), entry["dtype"]).reshape(entry["shape"])
    return header, read


def _split(basis: LinearBasis, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [K, P] of face and mouth as [K, N, 10] and [K, M, 3]."""
    cut, count = basis.faces * sum(FACE_NUMBERS), len(numbers)
    return numbers[:, :cut].reshape(count, -1, sum(FACE_NUMBERS)), numbers[:, cut:].reshape(count, -1, MOUTH_NUMBERS)


def _add_branch(sections: Sections, name: str, gaussians: GaussianField, mean: np.ndarray, moves: np.ndarray) -> dict[str, Any]:
    """The Gaussians that can be seen: at rest with the basis' mean added, and how each component moves them.

    Args:
        mean: float32 [N, 10 or 3], in metres and raw units. moves: int8 [K, N, 10 or 3].
    """
    seen = (gaussians.opacities >= ALPHA_MIN).numpy()
    raw = torch.cat([gaussians.xyz, gaussians.rotation, gaussians.scaling, gaussians.opacities[:, None],
                     gaussians.features_dc[:, 0]], dim=1).numpy().copy()
    raw[:, :mean.shape[1]] += mean
    base, offsets, steps = _sixteen_bits(raw[seen])
    degree = gaussians.active_sh_degree
    rest = gaussians.features_rest[:, :(degree + 1) ** 2 - 1].numpy()[seen]  # [n, K - 1, 3]
    step = max(float(np.abs(rest).max(initial=0)) / 127, 1e-9)
    sections.add(f"{name}.base", base)
    sections.add(f"{name}.harmonics", np.round(rest / step).astype(np.int8).transpose(1, 2, 0))
    sections.add(f"{name}.moves", moves[:, seen].transpose(0, 2, 1))
    return {"count": int(seen.sum()), "degree": degree, "columns": list(_BASE), "offsets": offsets, "steps": steps,
            "harmonics_step": step}


def _sixteen_bits(table: np.ndarray) -> tuple[np.ndarray, list[float], list[float]]:
    """uint16 [C, n] of a table [n, C], and for each column the value of 0 and of a step."""
    low, high = table.min(axis=0, initial=np.inf), table.max(axis=0, initial=-np.inf)
    low, high = (np.where(np.isfinite(side), side, 0).astype(np.float64) for side in (low, high))
    step = np.maximum((high - low) / 65535, 1e-12)
    return np.round((table - low) / step).clip(0, 65535).astype(np.uint16).T, low.tolist(), step.tolist()


def _add_coefficients(sections: Sections, avatar: Avatar, basis: LinearBasis, motion: AvatarMotion) -> list[float]:
    """int16 [T, K]; returned: what a step of each weighs, in steps of its component."""
    values = basis.coefficients(avatar, motion, 0, len(motion)).double().numpy()
    step = np.maximum(np.abs(values).max(axis=0) / 32767, 1e-12)
    sections.add("coefficients", np.round(values / step).astype(np.int16))
    return (step * basis.scales.double().numpy()).tolist()


def _add_cameras(sections: Sections, avatar: Avatar, motion: AvatarMotion) -> dict[str, Any]:
    """float32 [T, 3, 4] world to camera (OpenCV axes, metres); returned: the lens, and the blur in px^2, at the avatar's size."""
    cameras = film_cameras(motion.poses, 0, len(motion), avatar.size, avatar.size, torch.device("cpu"))
    sections.add("cameras", cameras["viewmats"][:, 0, :3].float().numpy())
    lens = cameras["Ks"][0, 0]
    return {"lens": [float(lens[0, 0]), float(lens[1, 1]), float(lens[0, 2]), float(lens[1, 2])], "blur": cameras["eps2d"]}


def _add_body(sections: Sections, avatar: Avatar, motion: AvatarMotion) -> dict[str, Any]:
    torso = avatar.torso
    sections.add("body.mean", torso.mean.movedim(0, -1).numpy())              # uint8 [h, w, 4]
    sections.add("body.components", torso.components.movedim(1, -1).numpy())  # int8 [L, h, w, 4]
    sections.add("body.states", (torso.states * torso.scales)[motion.torso_index].float().numpy())  # float32 [T, L]
    return {"box": list(torso.box), "size": list(torso.size)}


def _add_plate(sections: Sections, plate: np.ndarray) -> str:
    """The background as an image file; returns its MIME type."""
    from PIL import Image

    image, lossless, small = Image.fromarray(plate), io.BytesIO(), io.BytesIO()
    image.save(lossless, "PNG", optimize=True)
    if lossless.tell() <= _SMALL_PLATE:
        sections.add("plate", lossless.getvalue())
        return "image/png"
    image.save(small, "JPEG", quality=92, subsampling=0)
    sections.add("plate", small.getvalue())
    return "image/jpeg"


def _add_sound(sections: Sections, sound: Sound, seconds: float) -> str:
    """The audio file; returns its MIME type."""
    from ..media_core.packed_sound import packed

    kind, content = packed(sound.lasting(max(1, round(seconds * sound.sample_rate))))
    sections.add("sound", content)
    return kind


def _mouth(avatar: Avatar) -> dict[str, Any]:
    """Where the inside of the mouth is and what it hides; nothing of an avatar without one."""
    place = avatar.mouth_place
    if place is None:
        return {}
    return {"mouth": {"middle": place.middle.tolist(), "spread": place.spread.flatten().tolist(), "beyond": BEYOND,
                      "within": WITHIN}}


def _centre(face: GaussianField) -> list[float]:
    """The middle of the head, around which a viewer turns it; metres, head frame."""
    weight = face.opacities[:, None]
    return ((face.xyz * weight).sum(0) / weight.sum().clamp_min(1e-9)).tolist()
