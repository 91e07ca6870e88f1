"""What a synthetic person's mouth does while they say a user's audio: AToM's 68 points, put into the rig's own mouth curves.

AToM speaks for a face at rest that the rig itself has, so what it moves can be undone exactly; the curves then move any rig.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch

from ..media_core.audio import Sound
from ..media_core.face.landmarks.mean_face import EYE_SPAN
from ..media_core.face.pose.canonical import DECIMETRES
from ..media_core.motion import LandmarkTrack
from ..media_core.progress import Report, silent
from ..media_core.speech import Speech
from ..media_core.subject.articulation import CURVES
from ..media_core.subject.layout import to_68
from ..media_core.subject.parameters import INDEX, PARAMS
from ..media_core.subject.performance import Heard
from ..media_core.subject.render import AXES
from ..media_core.subject.rig import Rig
from .atom.generation import SamplingSettings
from .atom.model import AToM
from .data.from_subject import rig_of
from .pipeline import speak

IDENTITY = 1000              # whose rig AToM speaks for: one of those it learnt from
_FITTED = [name for name in CURVES if name != "tongue"]  # 68 points do not show the tongue
_LOW = {"la": -1.2}
_HIGH = {"jaw": 14.0, "la": 15.0}
_STEP = {"jaw": .5, "la": .5}
_ROUNDS = 3
_RIDGE = {"jaw": .01, "la": .005}   # px^2 of one unit squared; the others move some px from 0 to 1
_RIDGE_01 = 1.5
_POINTS = [*range(3, 14), *range(48, 68)]
_TONGUE = .25                # of its way up, while the lips are a little open
_SMALL = 6.0                 # photo px: wider lips show no tongue


def heard_audio(atom: AToM, sound: Sound, *, seed: int = 0, speech: Speech | None = None, report: Report = silent) -> Heard:
    """The mouth that goes with some audio.

    Args:
        atom: the network.
        seed: of its motion.
        speech: the audio already encoded for it.
        report: see `pipeline.speak`.
    Raises:
        TalkingHeadsError: what `speak` refuses.
    """
    rig = rig_of(IDENTITY)
    rest = to_68(rig.mesh(np.zeros(len(PARAMS))))
    scale = EYE_SPAN / float(np.linalg.norm(rest[45] - rest[36])) * DECIMETRES
    portrait = LandmarkTrack(torch.from_numpy((rest * AXES * scale)[None].astype(np.float32)), 25.0)
    motion = speak(atom, sound, portrait, SamplingSettings(seed=seed), speech=speech, report=report)
    mouth = curves_of(rig, motion.points.numpy().astype(np.float64) / scale * AXES)
    digest = hashlib.sha256(np.ascontiguousarray(sound.mono(16000)).tobytes() + mouth.tobytes()).hexdigest()
    return Heard(sound=sound, mouth=mouth, fps=motion.fps, sha256=digest)


def curves_of(rig: Rig, points: np.ndarray) -> np.ndarray:  # [T, 68, 3] photo px, canonical -> [T, 9]
    """The mouth curves that move the rig's jaw and lips to some points, frame by frame from the frame before (Gauss-Newton)."""
    out, now = np.zeros((len(points), len(CURVES))), np.zeros(len(_FITTED))
    places = [CURVES.index(name) for name in _FITTED]
    for i, frame in enumerate(points):
        now = _fitted(rig, frame[_POINTS], now)
        out[i, places] = now
    opened = out[:, CURVES.index("la")]
    out[:, CURVES.index("tongue")] = _TONGUE * np.clip(1 - np.abs(opened - _SMALL / 2) / _SMALL, 0, 1)
    return out


def _fitted(rig: Rig, wanted: np.ndarray, start: np.ndarray) -> np.ndarray:
    low, high = (np.array([limit.get(name, other) for name in _FITTED]) for limit, other in ((_LOW, 0.0), (_HIGH, 1.0)))
    ridge = np.array([_RIDGE.get(name, _RIDGE_01) for name in _FITTED])
    now = start
    for _ in range(_ROUNDS):
        here = _placed(rig, now)
        slope = np.stack([(there - here).ravel() / step for there, step in _nearby(rig, now)], 1)
        right = slope.T @ (wanted - here).ravel() - ridge * now
        now = np.clip(now + np.linalg.solve(slope.T @ slope + np.diag(ridge), right), low, high)
    return now


def _nearby(rig: Rig, values: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """The points with each curve a little further on, and how far."""
    for i, name in enumerate(_FITTED):
        step = _STEP.get(name, .1)
        moved = values.copy()
        moved[i] += step
        yield _placed(rig, moved), step


def _placed(rig: Rig, values: np.ndarray) -> np.ndarray:  # -> [len(_POINTS), 3]
    params = np.zeros(len(PARAMS))
    params[[INDEX[name] for name in _FITTED]] = values
    return to_68(rig.handles(params))[_POINTS]
