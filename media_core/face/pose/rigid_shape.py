"""One person's 68 points as a solid, fitted to a video by a small bundle adjustment (docs/capture.md#head-pose).

Depth and shape of a face trade off against its turns when these are small, so the fit is held to the mean face, as far as people
differ from it; the focal length cannot be seen at all in such videos and is given, not fitted.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...blocks import blocks
from ...errors import TalkingHeadsError
from ...read_ahead import for_all
from ..geometry import OUTER_CORNERS, RIGID, height_width
from ..landmarks.mean_face import EYE_SPAN, MeanFace
from . import pnp

FOCAL = 2.2               # default focal length in image widths: a view of about 25 degrees
MOST_FRAMES = 60          # of a video that the bundle adjustment looks at
_UNCERTAIN = 0.002        # metres added to the spread between the invented people: real ones differ more
_OFF = {"jaw": 0.0019, "nose": 0.0007, "eye": 0.0008}  # metres a landmark is typically off (on our renders)
_FREE_OFF = 0.0012        # the same for the points that move
_RELIEF = 0.07            # standard deviation of the whole face's depth, as a fraction of it
_STRANGE = 2.0            # frames that fit the mean face this many times worse than the median are left out
_ROUNDS = 40              # of the bundle adjustment, at most
_QUIET = 3                # the mouth's rest is taken from the third of the frames with the smallest lip gap
_AT_REST = np.array([*range(3, 14), *range(48, 68)])  # points whose rest needs a shut mouth


@dataclass(frozen=True)
class RigidShape:
    """A person's face at rest and the camera it was fitted with."""
    points: np.ndarray          # float32 [68, 3] metres; x right, y up, z to the viewer; origin between the ears
    focal: float                # px at `image_size`
    image_size: tuple[int, int]  # (H, W) px

    def __post_init__(self) -> None:
        if self.points.shape != (68, 3) or not np.isfinite(self.points).all() or not self.focal > 0 or min(self.image_size) < 1:
            raise TalkingHeadsError("A face's shape needs 68 finite points, a focal length and an image size above 0",
                                    f"{self.points.shape}, focal {self.focal}, size {self.image_size}", "Fit the shape again")

    def at(self, image_size: tuple[int, int], focal: float | None = None) -> RigidShape:
        """The same person in a video of another size: the focal length follows the width, or is given."""
        focal = self.focal * image_size[1] / self.image_size[1] if focal is None else focal
        return RigidShape(self.points, float(focal), height_width(image_size))


def fit_shape(points: np.ndarray, image_size: tuple[int, int], focal: float | None = None) -> RigidShape:
    """The rigid part by bundle adjustment over at most 60 frames, the rest by triangulation from the poses found.

    Args:
        points: [T, 68, 2] px, NaN in frames without a face.
        image_size: (H, W) px.
        focal: px; None means 2.2 times the width. It stays as it is.
    Raises:
        TalkingHeadsError: no frame with a face, or a focal length of 0 or less.
    """
    points = np.asarray(points, np.float64)
    focal = FOCAL * image_size[1] if focal is None else float(focal)
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise TalkingHeadsError("A face's shape is fitted to points [T, 68, 2]", f"{list(points.shape)}", "Track the face first")
    if not focal > 0:
        raise TalkingHeadsError("The focal length must be above 0 px", f"{focal}", f"Leave it out: {FOCAL} times the width")
    points = points[np.isfinite(points).all((1, 2))]
    if not len(points):
        raise TalkingHeadsError("A face's shape needs at least one frame with a face", "none", "Check the video and the tracking")
    mean = MeanFace.load()
    points = points[_telling_frames(points, mean, focal, image_size)]
    rigid = _bundle_adjusted(points[:, RIGID], mean, focal, image_size)
    whole = _triangulated(points, rigid, mean, focal, image_size)
    return RigidShape(_placed(whole, mean).astype(np.float32), focal, height_width(image_size))


def sigma(mean: MeanFace) -> np.ndarray:  # -> [len(RIGID)]
    """How far a rigid point is typically off, metres: it moves a little, and the tracker errs."""
    part = ["jaw" if k < 17 else "nose" if k < 36 else "eye" for k in RIGID]
    return np.hypot(mean.motion[list(RIGID)], [_OFF[name] for name in part])


def _telling_frames(points, mean, focal, image_size) -> np.ndarray:  # -> sorted indices, at most MOST_FRAMES
    """Half of them even in time, the others even in yaw and in pitch; none that is far from looking like a face."""
    shape = mean.points[list(RIGID)]
    rotation, off = np.empty((len(points), 3, 3)), np.empty(len(points))

    def solved(rows: slice) -> None:
        seen = points[rows][:, RIGID]
        rotation[rows], away = pnp.solve(seen, shape, sigma(mean), focal, image_size)
        off[rows] = np.linalg.norm(pnp.project(shape, rotation[rows], away, focal, image_size) - seen, axis=-1).mean(1)

    for_all(solved, blocks(len(points)))
    good = np.flatnonzero(off <= _STRANGE * np.median(off))
    if len(good) <= MOST_FRAMES:
        return good
    orders = (good, good[np.argsort(rotation[good, 2, 0])], good[np.argsort(rotation[good, 2, 1])])  # time, yaw, pitch
    counts = (MOST_FRAMES // 2, MOST_FRAMES // 4, MOST_FRAMES // 4)
    return np.unique(np.concatenate([order[np.linspace(0, len(order) - 1, n).astype(int)] for order, n in zip(orders, counts)]))


def _bundle_adjusted(seen, mean, focal, image_size) -> np.ndarray:  # [F, m, 2] -> [m, 3]
    """Shape and poses together; residuals in units of what is typical, soft L1."""
    from scipy.optimize import least_squares

    indices = list(RIGID)
    start, off = mean.points[indices], sigma(mean)
    spread = np.hypot(mean.spread[indices], _UNCERTAIN)
    rotation, translation = pnp.solve(seen, start, off, focal, image_size)
    frames, m = seen.shape[:2]
    scale = (translation[:, 2].mean() / focal / off)[:, None]             # pixels -> units

    def shape(x: np.ndarray) -> np.ndarray:
        return start * [1, 1, 1 + _RELIEF * x[3 * m]] + spread * x[:3 * m].reshape(m, 3)

    def residuals(x: np.ndarray) -> np.ndarray:
        pose = x[3 * m + 1:].reshape(frames, 6)
        turned = pnp.exponential(pose[:, :3]) @ rotation
        flat = pnp.project(shape(x), turned, translation + pose[:, 3:], focal, image_size)
        return np.concatenate([((flat - seen) * scale).ravel(), x[:3 * m + 1]])

    unknown = np.zeros(3 * m + 1 + 6 * frames)
    return shape(least_squares(residuals, unknown, jac_sparsity=_sparsity(frames, m), loss="soft_l1", x_scale="jac", method="trf",
                               max_nfev=_ROUNDS, ftol=1e-5, xtol=1e-6).x)


def _sparsity(frames: int, m: int):
    """Which residual depends on which unknown: 2 F m pixels, 3 m + 1 prior terms; 3 m coordinates, 1 depth, 6 F pose numbers."""
    from scipy.sparse import coo_matrix

    frame, point, axis = np.meshgrid(np.arange(frames), np.arange(m), np.arange(2), indexing="ij")
    row = ((frame * m + point) * 2 + axis).ravel()
    shape = 3 * point.ravel()[:, None] + np.arange(3)
    pose = 3 * m + 1 + 6 * frame.ravel()[:, None] + np.arange(6)
    prior = 2 * frames * m + np.arange(3 * m + 1)
    rows = np.concatenate([np.repeat(row, 10), prior])
    columns = np.concatenate([np.column_stack([shape, np.full(len(row), 3 * m), pose]).ravel(), np.arange(3 * m + 1)])
    return coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(prior[-1] + 1, 3 * m + 1 + 6 * frames)).tocsr()


def _triangulated(points, rigid, mean, focal, image_size) -> np.ndarray:  # [F, 68, 2], [m, 3] -> [68, 3]
    """Every other point where its rays pass closest, held to the mean face; mouth and chin from the frames with shut lips."""
    rotation, translation = pnp.solve(points[:, RIGID], rigid, sigma(mean), focal, image_size)
    seen = (points - pnp.middle(image_size)) / focal                      # [F, 68, 2]
    weight = np.ones(points.shape[:2])
    gap = np.linalg.norm(points[:, 62] - points[:, 66], axis=-1) * translation[:, 2]
    quiet = np.argsort(gap, kind="stable")[:max(1, len(gap) // _QUIET)]
    weight[:, _AT_REST] = 0
    weight[np.ix_(quiet, _AT_REST)] = 1
    whole = mean.points.copy()
    prior = 1 / np.hypot(mean.spread, _UNCERTAIN) ** 2                    # [68, 3]
    rows = rotation[:, None, :2] - seen[..., None] * rotation[:, None, 2:]  # [F, 68, 2, 3]: rows @ X = right
    right = seen * translation[:, None, 2:] - translation[:, None, :2]
    for _ in range(5):
        off = np.einsum("fpdk,pk->fpd", rows, whole) - right              # metres
        robust = weight / np.sqrt(1 + (off ** 2).sum(-1) / _FREE_OFF ** 2) / _FREE_OFF ** 2
        normal = np.einsum("fp,fpdi,fpdj->pij", robust, rows, rows) + prior[:, :, None] * np.eye(3)
        pull = np.einsum("fp,fpdi,fpd->pi", robust, rows, right) + prior * mean.points
        whole = np.linalg.solve(normal, pull[..., None])[..., 0]
    whole[list(RIGID)] = rigid
    return whole


def _placed(shape: np.ndarray, mean: MeanFace) -> np.ndarray:  # [68, 3] -> [68, 3]
    """The shape in the mean face's frame: outer eye corners 9 cm apart, rigid points turned and moved onto the mean's."""
    indices, w = list(RIGID), 1 / sigma(mean) ** 2
    w = w / w.sum()
    shape = shape * (EYE_SPAN / np.linalg.norm(np.subtract(*shape[list(OUTER_CORNERS)])))
    ours, target = shape[indices], mean.points[indices]
    centre, goal = w @ ours, w @ target
    turn = pnp.nearest_rotation((target - goal).T @ ((ours - centre) * w[:, None]))
    return (shape - centre) @ turn.T + goal
