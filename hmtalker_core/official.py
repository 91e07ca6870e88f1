"""TalkingGaussian's checkpoints: what they hold, as our fields and nets (docs/hmtalker.md#official-checkpoints).

`chkpnt_fuse_*.pth` is (Gaussians of the face, its net, Gaussians of the mouth, its net); `chkpnt_face_*.pth` and
`chkpnt_mouth_*.pth` hold one branch each: (Gaussians, net, its optimizer, step). Gaussians are a tuple of thirteen. The face's
net becomes a `FaceMotionNet` of fusion "implicit" with encoded upper units, which computes the same.
"""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..media_core.errors import FileFormatError
from ..media_core.pickles import give_again, unpickled
from ..media_core.schema import listed
from .avatar_checks import HIGHEST_DEGREE, check_harmonics
from .model.audio_net import AudioArguments
from .model.fusion import MotionKind
from .model.gaussians import GaussianField
from .model.motion import MIXED_UNITS, FaceMotionNet, MouthMotionNet
from .model.published import TalkingGaussianFaceNet, audio_arguments, build_motion_net

OF, CALLED = "TalkingGaussian", "chkpnt_fuse_latest.pth"
KIND = MotionKind(fusion="implicit", upper="encoded")
KNOWN_UNITS = ("AU01", "AU04", "AU05", "AU06", "AU07", "AU45")  # which its face net moves with
_AGAIN = give_again(CALLED, OF)
_CAPTURE = ("active_sh_degree", "xyz", "features_dc", "features_rest", "identity", "scaling", "rotation", "opacity")
Net = TypeVar("Net", FaceMotionNet, MouthMotionNet)
_LENGTH = 13  # of the tuple that begins so


@dataclass(frozen=True)
class OfficialBranch:
    """One branch of a checkpoint."""

    field: GaussianField
    state: dict[str, Tensor]  # of its motion net


def read_fuse(path: str | os.PathLike) -> tuple[OfficialBranch, OfficialBranch]:
    """(face, inside of the mouth) of `chkpnt_fuse_*.pth`.

    Raises:
        FileFormatError: absent, truncated, or something else.
    """
    held = _tuple(Path(path), (4,), f"Gaussians and nets of both branches ({CALLED})")
    face, mouth = (_branch(held[at], held[at + 1], f"{Path(path).name} ({name})") for at, name in ((0, "face"), (2, "mouth")))
    return face, mouth


def read_branch(path: str | os.PathLike) -> OfficialBranch:
    """One branch, `chkpnt_face_*.pth` or `chkpnt_mouth_*.pth`.

    Raises:
        FileFormatError: absent, truncated, or something else.
    """
    held = _tuple(Path(path), (2, 3, 4), "the Gaussians and the net of one branch (chkpnt_face_latest.pth)")
    return _branch(held[0], held[1], Path(path).name)


def _tuple(path: Path, lengths: Sequence[int], what: str) -> Sequence:
    held = unpickled(path, path.name, OF)
    if not isinstance(held, (tuple, list)) or len(held) not in lengths or not isinstance(held[1], Mapping):
        came = f"a {type(held).__name__}" + (f" of {len(held)}" if isinstance(held, (tuple, list, Mapping)) else "")
        raise FileFormatError(f"The checkpoint must hold {what}", f"{path.name} holds {came}", _AGAIN)
    if lengths == (4,) and not isinstance(held[3], Mapping):
        raise FileFormatError(f"The checkpoint must hold {what}", f"{path.name} holds one branch", "Give it as face or mouth")
    return held


def _branch(captured: object, state: object, name: str) -> OfficialBranch:
    if not isinstance(state, Mapping) or not state or not all(
            isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
        raise FileFormatError("The net of a checkpoint must be tensors by name", f"that of {name} is not", _AGAIN)
    return OfficialBranch(_field(captured, name), dict(state))


def _field(captured: object, name: str) -> GaussianField:
    """The Gaussians in TalkingGaussian's tuple of thirteen."""
    if not isinstance(captured, (tuple, list)) or len(captured) != _LENGTH or not isinstance(captured[0], int):
        raise FileFormatError(f"The Gaussians of a checkpoint must be a tuple of {_LENGTH}, the degree first", f"{name} holds "
                              f"{type(captured).__name__}", _AGAIN)
    degree, *values = captured[:len(_CAPTURE)]
    parts = dict(zip(_CAPTURE[1:], values, strict=True))
    wrong = [key for key, value in parts.items() if not isinstance(value, Tensor)]
    if wrong:
        raise FileFormatError("The Gaussians of a checkpoint must be tensors", f"{listed(wrong)} of {name} is none", _AGAIN)
    tensors = {key: value.detach().float().clone() for key, value in parts.items()}
    _check_field(tensors, degree, name)
    return GaussianField(*(tensors[key] for key in ("xyz", "features_dc", "features_rest", "scaling", "rotation", "opacity")),
                         active_sh_degree=degree)


def _check_field(tensors: Mapping[str, Tensor], degree: int, name: str) -> None:
    n = len(tensors["xyz"]) if tensors["xyz"].ndim else 0
    rest = tensors["features_rest"].shape[1] if tensors["features_rest"].ndim == 3 else -1
    shapes = {"xyz": (n, 3), "features_dc": (n, 1, 3), "features_rest": (n, rest, 3), "scaling": (n, 3), "rotation": (n, 4),
              "opacity": (n, 1)}
    wrong = [f"{key} {list(tensors[key].shape)}" for key, shape in shapes.items() if tuple(tensors[key].shape) != shape]
    if wrong or not n:
        raise FileFormatError("The Gaussians of a checkpoint must fit each other, one at least", f"{listed(wrong) or 'none'} in "
                              f"{name}", _AGAIN)
    if not all(bool(torch.isfinite(tensors[key]).all()) for key in shapes):
        raise FileFormatError("The Gaussians of a checkpoint must be finite", f"NaN or infinity in {name}", _AGAIN)
    check_harmonics(rest, min(max(degree, 0), HIGHEST_DEGREE), "branch", name, _AGAIN)


def nets_of(face: OfficialBranch, mouth: OfficialBranch, window: int | None = None) -> tuple[FaceMotionNet, MouthMotionNet]:
    """Both motion nets as an avatar has them, in the same speech features.

    Args:
        window: rows of speech features per frame; the convolutions do not tell. None: 16, or 1 for AVE's.
    Raises:
        FileFormatError: other nets, widths that an avatar does not have, or branches that hear different features.
    """
    theirs, inner = build_motion_net(face.state, window=window), build_motion_net(mouth.state, window=window)
    if not isinstance(theirs, TalkingGaussianFaceNet) or not isinstance(inner, MouthMotionNet):
        raise FileFormatError(f"The checkpoints must be those of {OF}'s face and of its mouth, in this order",
                              f"nets of {type(theirs).__name__} and {type(inner).__name__}", _AGAIN)
    audio, other = (_audio(branch.state, window) for branch in (face, mouth))
    if audio != other:
        raise FileFormatError("Both branches must read the same speech features", f"{audio} and {other}", _AGAIN)
    return _loaded(FaceMotionNet(**audio, kind=KIND), face_state(theirs.state_dict())), _loaded(
        MouthMotionNet(**audio), {k: v for k, v in mouth.state.items() if not k.startswith("aud_ch_att_net.")})


def _audio(state: Mapping[str, Tensor], window: int | None) -> AudioArguments:
    found = audio_arguments(state, window)
    return {"audio_dim": found["audio_dim"], "audio_window": found["audio_window"], "audio_kind": found["audio_kind"]}


def _loaded(net: Net, state: Mapping[str, Tensor]) -> Net:
    try:
        net.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise FileFormatError("The nets of a checkpoint must have the official widths", str(error).replace("\n", " ")[:300],
                              "Only checkpoints of the official settings can be imported") from error
    return net


def face_state(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """TalkingGaussian's face net under our names.

    Its six upper units stand among our seven: the row of AU02's attention is 0. Its deformation net reads position, speech, upper
    units; ours position, upper units, speech. What fuses codes is not there: that part of ours is 0, and unused.
    """
    kept = ("encoder_", "audio_net.", "audio_att_net.", "exp_encode_net.")
    state = {key: value for key, value in official.items() if key.startswith(kept)}
    state |= {f"att_lower.{key.removeprefix('aud_ch_att_net.')}": value for key, value in official.items()
              if key.startswith("aud_ch_att_net.")}
    rows = [*MIXED_UNITS, max(MIXED_UNITS) + 1]  # AU45 last
    last = official["eye_att_net.net.1.weight"]
    state["att_upper.net.0.weight"] = official["eye_att_net.net.0.weight"]
    state["att_upper.net.1.weight"] = last.new_zeros(len(rows) + 1, last.shape[1]).index_copy(0, torch.tensor(rows), last)
    first = official["sigma_net.net.0.weight"]
    position, speech, units = first.split([first.shape[1] - len(rows) - _code(official), _code(official), len(rows)], dim=1)
    upper = first.new_zeros(len(first), len(rows) + 1).index_copy(1, torch.tensor(rows), units)
    state["deform.net.0.weight"] = torch.cat([position, upper, speech], dim=1)
    state |= {f"deform.net.{layer}.weight": official[f"sigma_net.net.{layer}.weight"] for layer in (1, 2)}
    blank = FaceMotionNet(kind=KIND).state_dict()
    return state | {key: torch.zeros_like(value) for key, value in blank.items() if key.startswith(("au_enc.", "a2am."))}


def _code(official: Mapping[str, Tensor]) -> int:
    return official["aud_ch_att_net.net.1.weight"].shape[0]
