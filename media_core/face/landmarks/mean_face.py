"""What faces have in common: the mean of the 68 points, how much people differ from it, and how much each point moves.

The table weights/mean_face.safetensors was measured on invented people by weights/make_mean_face.py. Frame of the head: metres,
OpenGL axes (x right, y up, z to the viewer), origin between the ears, as in `media_core.subject`; the outer corners of the eyes
are 9 cm apart (docs/capture.md#head-pose).
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...files import load_tensors
from ...tensor_schema import Numbers, fitting
from ..geometry import MIRROR

KIND, VERSION = "mean_face", 1
_TENSORS = {"points": Numbers((68, 3)), "spread": Numbers((68, 3)), "motion": Numbers((68,)), "relief": Numbers((68, ""))}
SHIPPED = Path(__file__).resolve().parents[3] / "weights" / "mean_face.safetensors"
EYE_SPAN = 0.09  # metres between the outer corners of the eyes, of everybody
_CORNERS, _LIPS, _CHIN = (48, 54), (51, 57), 8  # mouth corners, middle of the upper and the lower lip
_RIGHT = [*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67]  # the person's right: x < 0
_OUTWARDS = np.where(np.isin(np.arange(68), _RIGHT), -1.0, 1.0) * (np.arange(68) != MIRROR)


@dataclass(frozen=True)
class MeanFace:
    """The table. Lengths in metres."""
    points: np.ndarray  # float64 [68, 3] at rest, symmetric
    spread: np.ndarray  # float64 [68, 3] standard deviation between people
    motion: np.ndarray  # float64 [68] root mean square of the moves that expression and speech make
    relief: np.ndarray  # float64 [68, K] what a move along z takes from `features`

    @classmethod
    def load(cls) -> MeanFace:
        """Reads the shipped table.

        Raises:
            FileFormatError: the package's own file is missing or broken.
        """
        tensors, _ = load_tensors(SHIPPED, kind=KIND, version=VERSION)
        fitting(tensors, _TENSORS, SHIPPED.name, "Install the pack again")
        return cls(**{name: tensors[name].double().numpy() for name in ("points", "spread", "motion", "relief")})


def features(move: np.ndarray) -> np.ndarray:  # [..., 68, 2] metres -> [..., 68, 5]
    """What tells a point's move along z: its own move down and outwards, the mouth's narrowing and opening, the jaw's drop."""
    narrowing = move[..., _CORNERS[0], 0] - move[..., _CORNERS[1], 0]
    opening = move[..., _LIPS[0], 1] - move[..., _LIPS[1], 1]
    common = np.stack([narrowing, opening, -move[..., _CHIN, 1]], -1)[..., None, :]
    own = np.stack([-move[..., 1], move[..., 0] * _OUTWARDS], -1)
    return np.concatenate([own, np.broadcast_to(common, (*own.shape[:-1], 3))], -1)
