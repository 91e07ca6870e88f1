"""Whether the parts of an avatar file fit each other: checked on loading, so that no later step meets what cannot be."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..media_core.errors import FileFormatError
from ..media_core.motion import AU_NAMES
from ..media_core.schema import FOCAL, RATE, SIDE, SIZE, described, flag, many, note, optional, real, record, text, whole
from ..media_core.tensor_schema import Numbers, all_finite, fitting
from ..training_core.choices import CUES, FUSIONS
from .basis import FACE_NUMBERS, KINDS, MOUTH_NUMBERS
from .model.audio_net import WINDOWS
from .model.fusion import AU_CHANNELS, UPPERS, WIDEST_CUE
from .speech_format import SPEECH, WIDEST

AUDIO = record({"audio_dim": whole(1, WIDEST), "audio_window": whole(1, 64), "audio_kind": text(choices=("conv", "fc"))})
MOTION = record({"fusion": text(choices=FUSIONS), "cue": text(choices=CUES), "width": whole(1, WIDEST_CUE)},
                {"upper": text(choices=UPPERS)})
HIGHEST_DEGREE = 3  # of the spherical harmonics
_UNITS = len(AU_NAMES)
_CONFIG = record(
    {"encoder": text(200), "audio": AUDIO, "blink_ceiling": real(0, 100), "fps": RATE, "focal": FOCAL, "image_size": SIZE,
     "torso_box": many(whole(0, SIDE), count=4), "torso_size": SIZE,
     "sh_degrees": many(whole(0, HIGHEST_DEGREE), count=2)},
    {"au_known": many(flag(), count=_UNITS), "au_reliability": optional(many(real(0, 1), count=_UNITS)),
     "au_source": optional(text()), "licence": text(100_000), "credit": text(100_000), "training": note(), "quality": note(),
     "basis_psnr": real(0, 200), "speech_prior": flag(), "speech": SPEECH, "motion": MOTION,
     "lip_gain": real(0.1, 10),
     "rest": optional(many(real(-1e6, 1e6), most=WIDEST_CUE)), "window": text(choices=WINDOWS)}, others=True)
_UINT8, _INT8, _FLOAT = (torch.uint8,), (torch.int8,), (torch.float32,)
_HALF = (torch.float32, torch.float16)  # what need not be exact
_FIRST_LAYER = {"conv": "audio_net.encoder_conv.0.weight", "fc": "audio_net.encoder_fc1.0.weight"}


def field_tensors(name: str, n: str = "") -> dict[str, Numbers]:
    """The Gaussians of one branch, as a file holds them under `name`: N of them with K + 1 spherical harmonics; `n` is what
    their number is called in the sizes."""
    n, k = n or f"N of {name}", f"K of {name}"
    shapes = {"xyz": (n, 3), "features_dc": (n, 1, 3), "features_rest": (n, k, 3), "scaling": (n, 3), "rotation": (n, 4),
              "opacity": (n, 1)}
    return {f"{name}.{part}": Numbers(shape, _FLOAT if part == "xyz" else _HALF) for part, shape in shapes.items()}


_TENSORS = {
    **field_tensors("face"), **field_tensors("mouth"),
    "track.camera_to_head": Numbers(("P", 4, 4), _FLOAT), "track.au": Numbers(("P", _UNITS), _FLOAT, nan=True),
    "background": Numbers(("H", "W", 3), _UINT8), "torso.mean": Numbers((4, "h", "w"), _UINT8),
    "torso.components": Numbers(("K", 4, "h", "w"), _INT8), "torso.scales": Numbers(("K",), _FLOAT),
    "torso.states": Numbers(("P", "K"), _FLOAT)}


_BASIS = {"basis.mean": Numbers(("P",), _FLOAT), "basis.components": Numbers(("L", "P"), _INT8),
          "basis.scales": Numbers(("L",), _FLOAT), "basis.units": Numbers((KINDS,), _FLOAT),
          "basis.points": Numbers(("",), (torch.int64,)),
          "basis.mouth_points": Numbers(("",), (torch.int64,))}


def check_avatar(tensors: Mapping[str, Tensor], config: Mapping[str, Any], name: str, do: str) -> None:
    """What `checkpoints.load_avatar` found in a file.

    Args:
        tensors, config: of the file. name: of it; do: the way out; for errors.
    Raises:
        FileFormatError: an entry is missing, of another type or size, out of range or not finite; parts contradict each other.
    """
    described(config, _CONFIG, name, do)
    height, width = config["image_size"]
    sizes = fitting(tensors, _TENSORS, name, do, {"H": height, "W": width})
    all_finite({key: value for key, value in tensors.items() if key != "track.au"}, name, do)
    if any(key in tensors for key in _BASIS):
        _check_basis(tensors, config, sizes["N of face"], sizes["N of mouth"], name, do)
    for branch, degree in zip(("face", "mouth"), config["sh_degrees"]):
        check_harmonics(sizes[f"K of {branch}"], degree, branch, name, do)
    if not sizes["N of face"]:
        raise FileFormatError("An avatar's face must have at least one Gaussian", f"{name} holds none", do)
    row0, row1, column0, column1 = config["torso_box"]
    fits = row0 < row1 <= height and column0 < column1 <= width and (row1 - row0, column1 - column0) == (sizes["h"], sizes["w"])
    if not fits or list(config["torso_size"]) != [height, width]:
        raise FileFormatError("The torso of an avatar must lie in its image and be as large as its box",
                              f"in {name}, {sizes['h']} x {sizes['w']} px at {config['torso_box']} of {config['torso_size']}, "
                              f"images of {config['image_size']}", do)
    silence, width = config.get("speech", {}).get("silence"), config["audio"]["audio_dim"]
    if silence is not None and len(silence) != width:
        raise FileFormatError(f"The features of silence must be {width} numbers, as the speech of the avatar",
                              f"{len(silence)} in {name}", do)
    rest, width = config.get("rest"), config.get("motion", {}).get("width", AU_CHANNELS)
    if rest is not None and len(rest) != width:
        raise FileFormatError(f"An avatar's resting lips must be {width} numbers, as its cue", f"{len(rest)} in {name}", do)
    for net in ("face_net", "mouth_net"):
        check_audio(config["audio"], tensors, f"{net}.", name, do)


def _check_basis(tensors: Mapping[str, Tensor], config: Mapping[str, Any], faces: int, mouths: int, name: str, do: str) -> None:
    """The linear basis must be whole, and of these Gaussians."""
    numbers = sum(FACE_NUMBERS) * faces + MOUTH_NUMBERS * mouths
    fitting(tensors, _BASIS, name, do, {"P": numbers})
    inside = all(not len(points) or int(points.min()) >= 0 and int(points.max()) < count for points, count in (
        (tensors["basis.points"], faces), (tensors["basis.mouth_points"], mouths)))
    if not inside or "basis_psnr" not in config:
        raise FileFormatError("The linear basis of an avatar must name Gaussians that it has, and state its error",
                              f"{name} does not", do)


def check_harmonics(rest: int, degree: int, branch: str, name: str, do: str) -> None:
    """The colours' spherical harmonics: all of a degree, and no fewer than are shown.

    Args:
        rest: coefficients beside the constant one. degree: that is shown.
    Raises:
        FileFormatError: another number.
    """
    complete = [(d + 1) ** 2 - 1 for d in range(HIGHEST_DEGREE + 1)]
    if rest not in complete or rest < complete[degree]:
        raise FileFormatError(f"The colours of an avatar's {branch} must have {', '.join(map(str, complete))} coefficients "
                              "beside the first, and all of the degree that is shown", f"{rest} for degree {degree} in {name}",
                              do)


def check_audio(audio: Mapping[str, Any], tensors: Mapping[str, Tensor], prefix: str, name: str, do: str) -> None:
    """The width of the speech features as the description has it must be that of the weights, before a net is built for it.

    Raises:
        FileFormatError: they contradict each other, or the weights are missing.
    """
    key = prefix + _FIRST_LAYER[audio["audio_kind"]]
    width = audio["audio_dim"] * (audio["audio_window"] if audio["audio_kind"] == "fc" else 1)
    shape = list(tensors[key].shape) if key in tensors else None
    if shape is None or len(shape) < 2 or shape[1] != width:
        raise FileFormatError(f"The weights must read {width} numbers of speech, as the description says",
                              f"{name} lacks '{key}'" if shape is None else f"'{key}' in {name} is {shape}", do)
