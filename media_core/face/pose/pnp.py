"""The head's pose in every frame from the pixels of a known rigid shape, all frames at once (docs/capture.md#head-pose).

Start: the closed-form pose of a camera without perspective. Then Levenberg-Marquardt on the reprojection error with soft-L1
weights; every frame has its own damping, so a bad frame cannot disturb another one. About 0.1 ms a frame.

Camera: OpenCV axes (x right, y down, z forward); pixel = f X / Z + middle, and the centre of the top-left pixel is (0, 0).
"""
from __future__ import annotations

import numpy as np

_ROUNDS = 25
_DONE = 1e-9              # relative gain below which a frame is finished


def middle(image_size: tuple[int, int]) -> np.ndarray:  # (H, W) -> [2]
    """The principal point: the middle of the image, x and y."""
    return np.array([image_size[1] - 1, image_size[0] - 1]) / 2


def project(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, focal: float, image_size) -> np.ndarray:
    """[m, 3] in the head's frame, poses [T, 3, 3] and [T, 3] -> pixels [T, m, 2]."""
    camera = points @ rotation.transpose(0, 2, 1) + translation[:, None]
    return camera[..., :2] / camera[..., 2:] * focal + middle(image_size)


def solve(points: np.ndarray, shape: np.ndarray, sigma: np.ndarray, focal: float, image_size) -> tuple[np.ndarray, np.ndarray]:
    """Poses of all frames.

    Args:
        points: [T, m, 2] pixels, finite.
        shape: [m, 3] the same points in the head's frame, metres, m >= 4 and not in one plane.
        sigma: [m] or [T, m] how far off a point is typically, metres; only their ratios and the robust weights' scale matter.
        focal, image_size: of the camera, px and (H, W).
    Returns:
        R [T, 3, 3] and t [T, 3] metres, head's frame (OpenGL axes) -> OpenCV camera.
    """
    seen = (np.asarray(points, np.float64) - middle(image_size)) / focal
    shape = np.asarray(shape, np.float64)
    sigma = np.broadcast_to(np.asarray(sigma, np.float64), seen.shape[:2])
    rotation, translation = _start(seen, shape, sigma)
    scale = translation[:, 2:] / sigma                                # residuals in units of what is typical
    damping = np.full(len(seen), 1e-3)
    cost = _cost(_residual(seen, shape, rotation, translation, scale))
    active = np.arange(len(seen))
    for _ in range(_ROUNDS):
        r, t = rotation[active], translation[active]
        step = _step(seen[active], shape, r, t, scale[active], damping[active])
        r, t = exponential(step[:, :3]) @ r, t + step[:, 3:]
        new = _cost(_residual(seen[active], shape, r, t, scale[active]))
        better = (new < cost[active]) & (t[:, 2] > 0)
        took = active[better]
        gain = (cost[took] - new[better]) > _DONE * cost[took]
        rotation[took], translation[took], cost[took] = r[better], t[better], new[better]
        damping[active] *= np.where(better, 0.1, 10.0)
        active = np.union1d(took[gain], active[~better & (damping[active] < 1e4)])
        if not len(active):
            break
    return rotation, translation


def exponential(turn: np.ndarray) -> np.ndarray:  # [T, 3] rad -> [T, 3, 3]
    """Rotation vectors as matrices (Rodrigues)."""
    angle = np.linalg.norm(turn, axis=1)[:, None, None]
    cross = _cross_matrix(turn)
    small = angle < 1e-8
    safe = np.where(small, 1.0, angle)
    a, b = np.where(small, 1.0, np.sin(safe) / safe), np.where(small, 0.5, (1 - np.cos(safe)) / safe ** 2)
    return np.eye(3) + a * cross + b * (cross @ cross)


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:  # [..., 3, 3] -> [..., 3, 3]
    """The rotation nearest to a matrix."""
    u, _, v = np.linalg.svd(matrix)
    u[..., 2] *= np.sign(np.linalg.det(u @ v))[..., None]
    return u @ v


def _cross_matrix(v: np.ndarray) -> np.ndarray:  # [..., 3] -> [..., 3, 3]
    x, y, z = np.moveaxis(v, -1, 0)
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape[:-1], 3, 3)


def _start(seen, shape, sigma) -> tuple[np.ndarray, np.ndarray]:
    """Scaled orthography: least squares for two rows of a scaled rotation, and the third from them."""
    w = 1 / sigma.mean(0) ** 2
    w = w / w.sum()
    centre = w @ shape
    flat = w @ seen  # [T, 2]
    local = shape - centre
    inverse = np.linalg.pinv(local * np.sqrt(w)[:, None])                           # [3, m]
    rows = np.einsum("km,tmd->tdk", inverse, (seen - flat[:, None]) * np.sqrt(w)[:, None])  # [T, 2, 3]
    scale = np.linalg.norm(rows, axis=2).mean(1)
    third = np.cross(rows[:, 0], rows[:, 1]) / scale[:, None]
    rotation = nearest_rotation(np.concatenate([rows, third[:, None]], 1))
    away = 1 / scale
    translation = np.column_stack([flat * away[:, None], away]) - np.einsum("tij,j->ti", rotation, centre)
    return rotation, translation


def _residual(seen, shape, rotation, translation, scale) -> np.ndarray:  # -> [T, m, 2]
    camera = shape @ rotation.transpose(0, 2, 1) + translation[:, None]
    return (camera[..., :2] / np.maximum(camera[..., 2:], 1e-3) - seen) * scale[..., None]


def _cost(residual: np.ndarray) -> np.ndarray:  # [T, m, 2] -> [T] soft-L1
    return (2 * np.sqrt(1 + (residual ** 2).sum(-1)) - 2).sum(-1)


def _step(seen, shape, rotation, translation, scale, damping) -> np.ndarray:  # -> [T, 6] turn (rad), shift (m)
    turned = shape @ rotation.transpose(0, 2, 1)
    camera = turned + translation[:, None]
    x, y, z = np.moveaxis(camera, -1, 0)
    o = np.zeros_like(z)
    by_camera = np.stack([1 / z, o, -x / z ** 2, o, 1 / z, -y / z ** 2], -1).reshape(*z.shape, 2, 3) * scale[..., None, None]
    jacobian = np.concatenate([-by_camera @ _cross_matrix(turned), by_camera], -1)   # [T, m, 2, 6]
    residual = (camera[..., :2] / z[..., None] - seen) * scale[..., None]
    weight = 1 / np.sqrt(1 + (residual ** 2).sum(-1))[..., None]
    count = seen.shape[1] * 2
    flat = jacobian.reshape(len(seen), count, 6)
    weighted = (jacobian * weight[..., None]).reshape(len(seen), count, 6).transpose(0, 2, 1)
    normal = weighted @ flat
    diagonal = np.einsum("tii->ti", normal)
    diagonal *= 1 + damping[:, None]
    return np.linalg.solve(normal, -(weighted @ residual.reshape(len(seen), count, 1)))[..., 0]
