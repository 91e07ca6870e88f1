"""A film of the synthetic subject as 68 points a frame with exact poses, without drawing a picture: for tests of the tracking."""
from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from talking_heads.media_core.face.landmarks.raw_track import RawTrack

FOCAL, SIZE = 2.2 * 512, (512, 512)


@dataclass(frozen=True)
class Film:
    """T frames; metres in the head's frame of the subject, scaled so that the outer eye corners are 9 cm apart."""
    points: np.ndarray       # [T, 68, 2] px, exact
    solid: np.ndarray        # [T, 68, 3] metres, moving with the expression
    rest: np.ndarray         # [68, 3] metres
    rotation: np.ndarray     # [T, 3, 3] head -> OpenCV camera
    translation: np.ndarray  # [T, 3] metres
    fps: float

    def noisy(self, seed: int = 0, bias: float = 0.5, slow: float = 0.3, white: float = 0.5) -> np.ndarray:  # [T, 68, 2] px
        """The points as a tracker gives them: off by a constant, by something that wanders, and by noise (px each axis)."""
        from scipy.ndimage import gaussian_filter1d

        rng = np.random.default_rng(seed)
        wander = gaussian_filter1d(rng.normal(size=self.points.shape), 6, axis=0)
        return (self.points + rng.normal(0, bias, (1, 68, 2)) + wander * slow / wander.std()
                + rng.normal(0, white, self.points.shape))


def film(identity: int, seconds: float = 6.0, seed: int | None = None, fps: float = 25.0) -> Film:
    """The person says something; identity numbers below 1000 have part in no weights."""
    from talking_heads.media_core.subject import PARAMS, perform
    from talking_heads.media_core.subject.identity import invent
    from talking_heads.media_core.subject.layout import to_68
    from talking_heads.media_core.subject.portrait import load
    from talking_heads.media_core.subject.render import AXES
    from talking_heads.media_core.subject.rig import Rig

    plain = load()
    bent, _ = invent(plain, identity)
    rig = Rig(SimpleNamespace(points=bent.points, plain_points=plain.points, hair_outline=bent.hair))
    performance = perform(seconds, identity if seed is None else seed, fps=fps, engine="formant")
    rest = to_68(rig.mesh(np.zeros(len(PARAMS)))) * AXES
    scale = 0.09 / np.linalg.norm(rest[45] - rest[36])
    solid = np.array([to_68(rig.mesh(params)) for params in performance.params]) * AXES * scale
    poses = [rig.pose(*turn_and_shift) for turn_and_shift in zip(performance.euler, performance.translation)]
    rotation, translation = np.array([r for r, _ in poses]) * AXES, np.array([t for _, t in poses]) * scale
    camera = solid @ rotation.transpose(0, 2, 1) + translation[:, None]
    return Film(camera[..., :2] / camera[..., 2:] * FOCAL + 255.5, solid, rest * scale, rotation, translation, fps)


def raw_track(points: np.ndarray, fps: float = 25.0, cuts: tuple[int, ...] = (), size=SIZE):
    """What the landmark tracker would hand on."""
    seen = np.isfinite(points).all((1, 2))
    return RawTrack(points=points.astype(np.float32), confidence=seen.astype(np.float32), image_size=size, fps=fps, cuts=cuts)


def rotation_errors(rotation: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Degrees a frame off up to one constant rotation [T], degrees of wrong turn between frames [T - 1], and that constant."""
    from scipy.spatial.transform import Rotation

    between = Rotation.from_matrix(rotation.transpose(0, 2, 1) @ truth).mean()
    placed = rotation @ between.as_matrix()
    off = np.degrees(Rotation.from_matrix(placed.transpose(0, 2, 1) @ truth).magnitude())
    ours, theirs = (Rotation.from_matrix(r[:-1].transpose(0, 2, 1) @ r[1:]).as_rotvec() for r in (placed, truth))
    return off, np.degrees(np.linalg.norm(ours - theirs, axis=1)), float(np.degrees(between.magnitude()))
