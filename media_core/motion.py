"""Motion as tracks that can be viewed, edited, saved and replaced: landmarks, expression (action units), pose; a row per frame.

Frame i stands for the time (i + 1/2) / fps. Tracks are immutable; every edit makes a new one.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import torch

from . import asked
from .audio import FPS
from .dense_mesh import ROW as MESH_ROW
from .dense_mesh import fitting_mesh
from .errors import TalkingHeadsError
from .schema import FOCAL, RATE, SIZE, Check, many, optional, real, record, text
from .tracks import AnyTrack, Track, check_finite, check_rows, check_size, linear, listed, low_pass, ping_pong  # noqa: F401

AU_NAMES = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23",
            "AU25", "AU26", "AU45")  # OpenFace's intensities, the papers' order
UPPER_AUS = ("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU45")  # HM-Talker's split: AU09 counts as lower
LOWER_AUS = ("AU09", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")
UPPER_INDEX = tuple(AU_NAMES.index(name) for name in UPPER_AUS)  # columns of an [T, 17] track
LOWER_INDEX = tuple(AU_NAMES.index(name) for name in LOWER_AUS)
AU_MAX = 5.0  # OpenFace intensity range 0..5
RELIABLE = 0.4  # a unit measured with less than this correlation to the truth is called unreliable (docs/capture.md)


@dataclass(frozen=True)
class LandmarkTrack(Track):
    """68 face points per frame, in 3-D."""

    DATA: ClassVar[str] = "points"
    KIND: ClassVar[str] = "landmarks"
    ROW: ClassVar[tuple[int, ...]] = (68, 3)
    SETTINGS: ClassVar[Check] = record({}, {"fps": RATE, "space": text(choices=("canonical", "pixels")),
                                            "image_size": optional(SIZE)})

    EXTRA: ClassVar[dict[str, tuple[int, ...]]] = {"mesh": MESH_ROW}

    points: torch.Tensor  # float32 [T, 68, 3]; canonical: decimetres, x right, y up, z to the camera; pixels: x right, y down
    fps: float = FPS  # frames per second
    space: str = "canonical"  # "canonical" or "pixels"
    image_size: tuple[int, int] | None = None  # (H, W) in px, needed in space "pixels"
    mesh: torch.Tensor | None = None  # float32 [T, 478, 3] px, see dense_mesh.py; dropped where it does not have these points

    def __post_init__(self) -> None:
        check_rows(self)
        check_finite(self)
        if self.mesh is not None and (self.space != "pixels" or not fitting_mesh(self.mesh.numpy(), self.points.numpy())):
            object.__setattr__(self, "mesh", None)
        if self.space not in ("canonical", "pixels") or (self.space == "pixels" and self.image_size is None):
            raise TalkingHeadsError("Landmarks must be in space 'canonical', or 'pixels' with an image size",
                                    f"space '{self.space}', image size {self.image_size}", "Give both")
        if self.image_size is not None:
            check_size(self.image_size)


@dataclass(frozen=True)
class ExpressionTrack(Track):
    """17 action units per frame."""

    DATA: ClassVar[str] = "au"
    KIND: ClassVar[str] = "expression"
    VERSION: ClassVar[int] = 2  # 2 added `reliability`
    ROW: ClassVar[tuple[int, ...]] = (len(AU_NAMES),)
    SETTINGS: ClassVar[Check] = record({}, {"fps": RATE, "source": text(),
                                            "reliability": optional(many(real(0, 1), count=len(AU_NAMES)))})

    au: torch.Tensor  # float32 [T, 17] in AU_NAMES' order, OpenFace intensity 0..5; NaN: not known
    fps: float = FPS  # frames per second
    source: str = "unknown"  # what measured or made it
    reliability: tuple[float, ...] | None = None  # 17 numbers 0..1, how far each unit can be trusted; None: fully, or not known

    def __post_init__(self) -> None:
        check_rows(self)
        if torch.isinf(self.au).any():
            raise TalkingHeadsError("Action units must be finite, or NaN where unknown", "infinite values",
                                    "Measure the track again")
        if self.reliability is not None:
            object.__setattr__(self, "reliability", checked_reliability(self.reliability))

    @property
    def unreliable(self) -> tuple[str, ...]:
        """Names of the units below `RELIABLE`: to be marked wherever they are shown, and not to be trained on."""
        return unreliable_units(self.reliability)

    def trusted(self) -> ExpressionTrack:
        """The same with every unreliable unit unknown (NaN)."""
        au = self.au.clone()
        au[:, [au_index(name) for name in self.unreliable]] = torch.nan
        return self.with_data(au)

    def column(self, name: str) -> torch.Tensor:  # [T]
        """The curve of one action unit ("AU45")."""
        return self.au[:, au_index(name)]

    def scaled(self, gains: Mapping[str, float]) -> ExpressionTrack:
        """Named action units times a factor, kept within 0..5; every other column stays bit for bit."""
        au = self.au.clone()
        for name, gain in gains.items():
            au[:, au_index(name)] = (au[:, au_index(name)] * gain).clamp(0, AU_MAX)
        return self.with_data(au)

    def replaced(self, curves: Mapping[str, torch.Tensor | float]) -> ExpressionTrack:
        """Named action units replaced by a curve [T] or one value; every other column stays bit for bit. What is given is
        trusted (reliability 1)."""
        au = self.au.clone()
        for name, curve in curves.items():
            au[:, au_index(name)] = torch.as_tensor(curve, dtype=torch.float32)
        trust = self.reliability and tuple(1.0 if name in curves else r for name, r in zip(AU_NAMES, self.reliability))
        return self.with_data(au, reliability=trust)

    def blended(self, other: ExpressionTrack, weight: float) -> ExpressionTrack:
        """(1 - weight) of this plus `weight` of the other, of equal length and rate; as reliable as the worse of the two."""
        if len(other) != len(self) or other.fps != self.fps:
            raise TalkingHeadsError("Blended tracks must have equal length and rate",
                                    f"{len(self)} frames at {self.fps:g} and {len(other)} at {other.fps:g}",
                                    "Resample and cut one of them")
        return self.with_data(torch.lerp(self.au, other.au, weight), reliability=_least_reliable([self, other]))


@dataclass(frozen=True)
class PoseTrack(Track):
    """Where the camera stands, seen from the head: the head is the world and the camera moves."""

    DATA: ClassVar[str] = "camera_to_head"
    KIND: ClassVar[str] = "pose"
    ROW: ClassVar[tuple[int, ...]] = (4, 4)
    SETTINGS: ClassVar[Check] = record({"focal": FOCAL, "image_size": SIZE}, {"fps": RATE})

    camera_to_head: torch.Tensor  # float32 [T, 4, 4], OpenGL camera (x right, y up, z back) to head, metres
    focal: float  # px at `image_size`; the principal point is the image's middle
    image_size: tuple[int, int]  # (H, W) px
    fps: float = FPS  # frames per second

    def __post_init__(self) -> None:
        check_rows(self)
        check_finite(self)
        rotation, last = self.data[:, :3, :3], self.data.new_tensor([0, 0, 0, 1.0])
        off = (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().amax(dim=(1, 2))
        wrong = (off > 1e-2) | (torch.linalg.det(rotation) < 0) | (self.data[:, 3] != last).any(dim=1)
        bad = torch.nonzero(wrong).flatten().tolist()
        if bad:
            raise TalkingHeadsError("Every pose must be a rotation and a translation", f"other matrices in frames {listed(bad)}",
                                    "Measure these frames again")
        if not self.focal > 0 or min(self.image_size) < 1:
            raise TalkingHeadsError("A pose track needs a focal length and an image size in px above 0",
                                    f"focal {self.focal}, size {self.image_size}", "Give the video's own")
        check_size(self.image_size)

    def _at(self, position: torch.Tensor) -> torch.Tensor:
        low = position.floor().long().clamp(max=max(len(self) - 2, 0))
        high = (low + 1).clamp(max=len(self) - 1)
        q = _quaternions(self.data)
        rotation = _slerp(q[low], q[high], position - low)
        return _poses(rotation, linear(self.data[:, :3, 3], position))

    def _low_passed(self, cutoff: float) -> torch.Tensor:
        q = low_pass(_quaternions(self.data), self.fps, cutoff)
        return _poses(q / q.norm(dim=1, keepdim=True), low_pass(self.data[:, :3, 3], self.fps, cutoff))


def concatenated(tracks: Sequence[AnyTrack]) -> AnyTrack:
    """Tracks of one kind joined end to end; rate, space and camera must be equal. Reliability is the least of all, by unit.

    Raises:
        TalkingHeadsError: no track, or tracks that do not fit together.
    """
    if not tracks:
        raise TalkingHeadsError("There must be at least one track", "none", "Connect a track")
    first = tracks[0]
    for track in tracks[1:]:
        differing = [f.name for f in fields(first) if f.name not in (first.DATA, *first.EXTRA, "source", "reliability")
                     and (type(track) is not type(first) or getattr(track, f.name) != getattr(first, f.name))]
        if differing:
            raise TalkingHeadsError("Joined tracks must be of one kind and agree in everything but their frames",
                                    f"{type(first).__name__} and {type(track).__name__} that differ in {', '.join(differing)}",
                                    "Resample or convert one of them")
    expressions = [track for track in tracks if isinstance(track, ExpressionTrack)]
    changes = {"reliability": _least_reliable(expressions)} if expressions else {}
    return first.with_data(torch.cat([track.data for track in tracks]), **changes, **_joined_extra(tracks))


def _joined_extra(tracks: Sequence[Track]) -> dict[str, torch.Tensor]:
    """Optional rows end to end, unknown where a track has none; none where no track has them."""
    out = {}
    for name, row in tracks[0].EXTRA.items():
        parts = [getattr(track, name) for track in tracks]
        if any(part is not None for part in parts):
            unknown = (torch.full((len(track), *row), torch.nan) for track in tracks)
            out[name] = torch.cat([filler if part is None else part for filler, part in zip(unknown, parts)])
    return out


def generated_blinks(n: int, fps: float = FPS, seed: int = 0, pauses: float = 1.0) -> torch.Tensor:  # float32 [n]
    """A generated AU45 curve, 0 with pulses of 1.7 to 2.0 that last 0.24 to 0.36 s and begin 2 to 6 s (times `pauses`) after one
    another.

    The same seed gives the same blinks at any length and rate. Lids fall in a third of the time that they take to rise.

    Raises:
        TalkingHeadsError: a number of frames or a seed that is not whole or below 0, a rate that is none.
    """
    return BlinkStream(fps, seed, pauses).take(n)


class BlinkStream:
    """The curve of `generated_blinks`, a piece at a time and without end."""

    def __init__(self, fps: float = FPS, seed: int = 0, pauses: float = 1.0):
        asked.frame_rate(fps)
        self._random = np.random.default_rng(asked.whole("The seed", seed))
        self._fps, self._pauses, self._frame = fps, pauses, 0
        self._begin = self._random.uniform(0.5, 3.0) * pauses  # s, of the next blink
        self._blinks: list[tuple[float, float, float]] = []  # begin and length in s, peak; those that may not be over

    def take(self, n: int) -> torch.Tensor:  # float32 [n]
        """The next frames.

        Raises:
            TalkingHeadsError: a number that is not whole or below 0.
        """
        asked.whole("The number of frames", n)
        time = (np.arange(self._frame, self._frame + n) + 0.5) / self._fps
        self._frame += n
        while self._begin < self._frame / self._fps:
            draw = self._random.uniform
            length, peak, pause = draw(0.24, 0.36), draw(1.7, 2.0), draw(2.0, 6.0) * self._pauses
            self._blinks.append((self._begin, length, peak))
            self._begin += pause
        curve = np.zeros(n)
        for begin, length, peak in self._blinks:
            lid = np.interp((time - begin) / length, [0.0, 0.2, 0.4, 1.0], [0.0, 1.0, 1.0, 0.0])
            curve = np.maximum(curve, peak * lid * lid * (3 - 2 * lid))
        self._blinks = [blink for blink in self._blinks if blink[0] + blink[1] > self._frame / self._fps]
        return torch.from_numpy(curve.astype(np.float32))


def unreliable_units(reliability: Sequence[float] | None) -> tuple[str, ...]:  # [17] -> names
    """The action units below `RELIABLE`; none when no reliability is stated."""
    return () if reliability is None else tuple(name for name, r in zip(AU_NAMES, reliability) if r < RELIABLE)


def checked_reliability(values: Iterable[float]) -> tuple[float, ...]:  # [17] -> [17]
    """Reliabilities as a tuple.

    Raises:
        TalkingHeadsError: not 17 numbers in 0..1.
    """
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != len(AU_NAMES) or not all(0 <= value <= 1 for value in numbers):
        raise TalkingHeadsError(f"The action units' reliability must be {len(AU_NAMES)} numbers in 0..1", f"{values}",
                                "Give one number for each unit, in the order of AU_NAMES, or none")
    return numbers


def _least_reliable(tracks: Sequence[ExpressionTrack]) -> tuple[float, ...] | None:
    stated = [track.reliability for track in tracks if track.reliability is not None]
    return tuple(min(unit) for unit in zip(*stated)) if stated else None


def au_index(name: str) -> int:
    """Column of an action unit.

    Raises:
        TalkingHeadsError: not one of the 17.
    """
    if name not in AU_NAMES:
        raise TalkingHeadsError(f"An action unit must be one of {', '.join(AU_NAMES)}", f"'{name}'", "Choose one of those")
    return AU_NAMES.index(name)


def _quaternions(poses: torch.Tensor) -> torch.Tensor:  # [T, 4, 4] -> float64 [T, 4] xyzw, no sign jumps
    from scipy.spatial.transform import Rotation

    q = Rotation.from_matrix(poses[:, :3, :3].double().numpy()).as_quat()
    flips = np.cumprod(np.concatenate([[1.0], np.where(np.sum(q[1:] * q[:-1], axis=1) < 0, -1.0, 1.0)]))
    return torch.from_numpy(q * flips[:, None])


def _slerp(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # [n, 4], [n, 4], [n] -> [n, 4]
    angle = torch.acos((a * b).sum(dim=1).clamp(-1, 1))[:, None]
    w, small = weight[:, None], angle < 1e-6
    sine = torch.where(small, 1.0, torch.sin(angle))
    return torch.where(small, a + (b - a) * w, (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / sine)


def _poses(q: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:  # [n, 4], [n, 3] -> float32 [n, 4, 4]
    from scipy.spatial.transform import Rotation

    poses = torch.eye(4).repeat(len(q), 1, 1)
    poses[:, :3, :3] = torch.from_numpy(Rotation.from_quat(q.numpy()).as_matrix()).float()
    poses[:, :3, 3] = translation
    return poses
