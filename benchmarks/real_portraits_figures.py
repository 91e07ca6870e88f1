"""What `real_portraits.py` measures of made frames: lips against what was asked of them, what must not change, sharpness.

Openings are taken in the face's own axes, in distances of the outer eye corners: a turned or nodding head does not change them.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from talking_heads.media_core.face.following import follow, upcoming
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject.layout import INNER_LIPS, OVAL, to_68
from talking_heads.media_core.subject.rig import _frame as face_frame

NOSE_BASE = [2, 97, 326]
PAIRS = ((61, 67), (62, 66), (63, 65))  # upper and lower inner lip
SHUT = 0.01  # fed less than this, lips count as shut
UNIT = 60.64  # lengths of the rig to one distance of the eye corners
ABOVE = 1.0  # units above the nose's base from where on nothing may change
SHARP_EVERY = 5  # frames between two looks at sharpness
LEAST = 5  # frames for a mean or a correlation
SPEAKS = 0.01  # standard deviation of old lips from which somebody moves them: with less, r compares noise


def own_axes(mesh: np.ndarray) -> np.ndarray:  # [478, 3] px -> float64 [478, 3]
    """The face from the front, upright, with its outer eye corners 1 apart; y down."""
    mesh = mesh.astype(np.float64)
    axes, origin = face_frame(mesh)
    return (mesh - origin) @ axes / np.linalg.norm(mesh[33] - mesh[263])


def gap(points: np.ndarray) -> np.ndarray:  # [..., 68, 2 or 3], y down -> [...]
    """Signed: lips that cross are less than shut."""
    return np.mean([points[..., low, 1] - points[..., high, 1] for high, low in PAIRS], axis=0)


def opening(mesh: np.ndarray | None) -> float:  # [478, 3]
    return float("nan") if mesh is None or not np.isfinite(mesh).all() else float(gap(to_68(own_axes(mesh))))


def openings(meshes: Iterable[np.ndarray]) -> np.ndarray:  # [T, 478, 3] -> [T]
    return np.array([opening(mesh) for mesh in meshes])


def fed(motion: LandmarkTrack, portrait: np.ndarray, rest: np.ndarray) -> np.ndarray:  # -> float64 [T]
    """The opening that a motion asks of a face.

    Args:
        motion: canonical.
        portrait: [68, 3], the canonical face from which it departs.
        rest: [68, 3], that face as the mesh sees it, in `own_axes`.
    """
    canonical = portrait.astype(np.float64)
    ways = np.linalg.lstsq(np.column_stack([canonical, np.ones(68)]), rest, rcond=None)[0][:3]
    return gap(rest) + gap((motion.points.double().numpy() - canonical) @ ways)


class Clocked:
    """Frames, and the processor time in ms that each took."""

    def __init__(self, frames: Iterator[np.ndarray]):
        self.frames, self.spent = frames, list[float]()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        begun = time.process_time()
        frame = next(self.frames)
        self.spent.append(1000 * (time.process_time() - begun))
        return frame

    @property
    def per_frame(self) -> float:
        """Median without the first frame, which has all that is prepared in it."""
        return float(np.median(self.spent[1:] or self.spent or [np.nan]))


@dataclass
class Seen:
    """What the meter and the pixels say of made frames."""

    opening: list[float] = field(default_factory=list)  # NaN without a face
    first: int = 0  # largest difference of the first frame from its source, 0..255
    above: int = 0  # of all frames above the nose
    untouched: list[float] = field(default_factory=list)  # part of the pixels that equal the source's
    sharpness: list[float] = field(default_factory=list)  # of the lower face, over the source's
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)  # frame: source, made


def look(made: Iterator[np.ndarray], sources: Iterator[np.ndarray], meshes: Iterator[np.ndarray], keep: Iterable[int]) -> Seen:
    """Measures made frames as they come; holds few at a time.

    Args:
        sources: the frame that each was made of.
        meshes: [478, 3] px of those; NaN without a face.
        keep: frames that are wanted for a sheet.
    """
    out, waiting, keep = Seen(), list[tuple[np.ndarray, np.ndarray]](), set(keep)

    def noted() -> Iterator[np.ndarray]:
        for frame, source, mesh in zip(made, sources, meshes):
            waiting.append((source, mesh))
            yield frame[..., :3]

    for item, face in follow(MeshTracker(), upcoming(noted())):
        source, mesh = waiting.pop(0)
        seen = None if face is None else face.mesh
        out.opening.append(opening(seen))
        _compare(out, item.number, item.frame, source, mesh)
        if item.number % SHARP_EVERY == 0 and seen is not None and np.isfinite(mesh).all():
            out.sharpness.append(sharpness(item.frame, seen) / max(sharpness(source, mesh), 1e-6))
        if item.number in keep:
            out.kept[item.number] = source, item.frame
    return out


def _compare(out: Seen, number: int, made: np.ndarray, source: np.ndarray, mesh: np.ndarray) -> None:
    import cv2

    red, green, blue = cv2.split(cv2.absdiff(made, source))
    change = cv2.max(cv2.max(red, green), blue)
    if number == 0:
        out.first = int(change.max())
    left, top, width, height = cv2.boundingRect(change)
    out.untouched.append(1 - cv2.countNonZero(change) / change.size)
    if width and np.isfinite(mesh).all():
        part = change[top:top + height, left:left + width]
        there = below(mesh - [left, top, 0], part.shape) < -ABOVE
        out.above = max(out.above, int(part[there].max(initial=0)))


def below(mesh: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:  # [478, 3], (H, W) -> float32 [H, W]
    """How far each pixel lies below the nose's base, along the face, in units of the rig."""
    axes, _ = face_frame(mesh.astype(np.float64))
    down = axes[:2, 1] / max(float(np.linalg.norm(axes[:2, 1])), 1e-6)
    base, unit = mesh[NOSE_BASE, :2].mean(0), np.linalg.norm(mesh[33] - mesh[263]) / UNIT
    y, x = np.ogrid[:shape[0], :shape[1]]
    return (((x - base[0]) * down[0] + (y - base[1]) * down[1]) / unit).astype(np.float32)


def sharpness(frame: np.ndarray, mesh: np.ndarray) -> float:
    """Mean strength of the Laplacian on the lower face's skin and lips, without the inside of the mouth."""
    import cv2

    low = np.clip(np.floor(mesh[:, :2].min(0)), 0, None).astype(int)
    high = np.ceil(mesh[:, :2].max(0)).astype(int)
    frame, mesh = frame[low[1]:high[1], low[0]:high[0]], mesh - [*low, 0]
    face, mouth = np.zeros(frame.shape[:2], np.uint8), np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(face, [np.round(mesh[list(OVAL), :2]).astype(np.int32)], 1)
    cv2.fillPoly(mouth, [np.round(mesh[INNER_LIPS, :2]).astype(np.int32)], 1)
    wide = max(3, int(3 * np.linalg.norm(mesh[33] - mesh[263]) / UNIT) | 1)
    region = (face > 0) & (cv2.dilate(mouth, np.ones((wide, wide), np.uint8)) == 0) & (below(mesh, frame.shape) > 0)
    if not region.any():
        return float("nan")
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F))[region].mean())


def r_of(a: np.ndarray, b: np.ndarray) -> float:
    known = np.isfinite(a) & np.isfinite(b)
    return float("nan") if known.sum() < LEAST else correlation(a[known], b[known])


def amplitude(seen: np.ndarray, wanted: np.ndarray) -> float:
    known = np.isfinite(seen) & np.isfinite(wanted)
    return float(seen[known].std() / max(wanted[known].std(), 1e-9)) if known.any() else float("nan")


def reading_where_shut(seen: np.ndarray, wanted: np.ndarray) -> float:
    """Mean opening seen in frames whose lips were asked to be shut; NaN where hardly any were."""
    shut = np.isfinite(seen) & (wanted < SHUT)
    return float(seen[shut].mean()) if shut.sum() >= LEAST else float("nan")


def moments(wanted: np.ndarray) -> list[int]:
    """Frames to be shown: shut, half open, wide open."""
    wide = int(np.argmax(wanted))
    half = int(np.argmin(np.abs(wanted - (wanted.max() + wanted.min()) / 2)))
    later = wanted.copy()
    later[:LEAST] = np.inf  # a still begins with the photograph itself
    return [int(np.argmin(later if np.isfinite(later).any() else wanted)), half, wide]
