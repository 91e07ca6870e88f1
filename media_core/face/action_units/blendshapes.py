"""Action units from the 52 blendshapes of ComfyUI core's face landmarker (docs/capture.md#action-units).

The table is the usual correspondence of ARKit's shapes and FACS; it has not been measured against true action units, and neither
have the reliabilities below: they say what is commonly reported (cheekSquint, noseSneer and mouthDimple stay near 0 in the
landmarker's output). Shapes of the left and the right are averaged, and the person's own resting value (10th percentile) is
taken off.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...errors import TalkingHeadsError
from ...motion import AU_MAX, AU_NAMES, ExpressionTrack

SOURCE = "blendshapes (untested table)"
RESTING = 10  # percentile of a shape that counts as rest
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight")
_SINGLE = {  # unit -> shape, without its side
    "AU01": "browInnerUp", "AU02": "browOuterUp", "AU04": "browDown", "AU05": "eyeWide", "AU06": "cheekSquint",
    "AU07": "eyeSquint", "AU09": "noseSneer", "AU10": "mouthUpperUp", "AU12": "mouthSmile", "AU14": "mouthDimple",
    "AU15": "mouthFrown", "AU17": "mouthShrugLower", "AU20": "mouthStretch", "AU26": "jawOpen", "AU45": "eyeBlink"}
RELIABILITY = (0.6, 0.6, 0.5, 0.5, 0.2, 0.5, 0.2, 0.5, 0.7, 0.2, 0.3, 0.3, 0.4, 0.4, 0.8, 0.8, 0.8)  # stated, not measured


def expression_from_blendshapes(frames: np.ndarray | Sequence[Mapping[str, float] | None], fps: float) -> ExpressionTrack:
    """Action units of a video.

    Args:
        frames: [T, 52] in the order of BLENDSHAPES, 0..1, NaN rows where there is no face; or a dict a frame, None where there
            is no face.
        fps: frames per second.
    Returns:
        [T, 17] intensities 0..5, NaN in frames without a face, with the table's stated reliability.
    Raises:
        TalkingHeadsError: another shape, a frame that lacks a blendshape, or no frame with a face.
    """
    values = blendshape_rows(frames)
    if not len(values) or not np.isfinite(values).all(1).any():
        raise TalkingHeadsError("Blendshapes need at least one frame with a face", f"none in {len(values)} frames",
                                "Check the video, or choose another face")
    shape: dict[str, np.ndarray] = dict(zip(BLENDSHAPES, values.T))

    def both(name: str) -> np.ndarray:  # [T]
        return shape[name] if name in shape else (shape[f"{name}Left"] + shape[f"{name}Right"]) / 2

    units = {unit: both(name) for unit, name in _SINGLE.items()}
    units["AU23"] = both("mouthPress") + (shape["mouthRollLower"] + shape["mouthRollUpper"]) / 2
    units["AU25"] = np.max([shape["jawOpen"] - shape["mouthClose"], both("mouthLowerDown"), both("mouthUpperUp")], axis=0)
    au = np.stack([units[name] for name in AU_NAMES], 1)
    au = AU_MAX * np.clip(au - np.nanpercentile(au, RESTING, axis=0), 0, 1)
    return ExpressionTrack(torch.from_numpy(au.astype(np.float32)), float(fps), SOURCE, RELIABILITY)


def blendshape_rows(frames: np.ndarray | Sequence[Mapping[str, float] | None]) -> np.ndarray:  # -> float64 [T, 52]
    """Dicts or rows as one array; a row without every number is NaN throughout.

    Raises:
        TalkingHeadsError: another shape, or a dict that lacks some of the names.
    """
    rows = []
    for number, frame in enumerate(frames):
        if isinstance(frame, Mapping):
            missing = [name for name in BLENDSHAPES[1:] if name not in frame]
            if missing:
                raise TalkingHeadsError("A face's blendshapes must be the 52 of ComfyUI's face landmarker",
                                        f"no {', '.join(missing[:3])} in frame {number}", "Connect that node's output")
            frame = [frame.get(name, 0.0) for name in BLENDSHAPES]
        row = np.full(len(BLENDSHAPES), np.nan) if frame is None else np.asarray(frame, np.float64)
        if row.shape != (len(BLENDSHAPES),):
            raise TalkingHeadsError(f"Blendshapes must be {len(BLENDSHAPES)} numbers per frame",
                                    f"shape {list(row.shape)} in frame {number}", "Give them in the order of BLENDSHAPES")
        rows.append(row if np.isfinite(row).all() else np.full_like(row, np.nan))
    return np.array(rows).reshape(-1, len(BLENDSHAPES))
