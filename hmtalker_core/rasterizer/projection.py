"""From 3D Gaussians to 2D ones, in plain torch on any device: EWA projection and spherical harmonics.

The numbers are gsplat 1.5.3's "classic" mode (docs/rasterizer.md#conventions): pinhole camera with OpenCV axes, 0.3 px^2 of blur,
Jacobian evaluated at most 15 % of the image size outside of the image, boxes at the radius where alpha drops to 1/255.
Only elementwise operations are used (no matrix products), so that a frame's numbers do not depend on the frames beside it.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .constants import A2, A3, ALPHA_MIN, B2, B3, C0, C1, C2, C3, D2, D3, E3, F3, JACOBIAN_MARGIN, MAX_EXTENT


class Projected(NamedTuple):
    """Gaussians on the image plane of each camera; everything but `radii` is differentiable."""

    means2d: Tensor     # [..., C, N, 2] pixels; a pixel's centre lies at +0.5
    conics: Tensor      # [..., C, N, 3] upper triangle (xx, xy, yy) of the inverse 2D covariance, px^-2
    depths: Tensor      # [..., C, N] z in the camera, the unit of the means
    radii: Tensor       # [..., C, N, 2] int32 half sizes of the box in pixels; 0 = not drawn


def project(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, viewmats: Tensor, intrinsics: Tensor,
            width: int, height: int, near_plane: float = 0.01, far_plane: float = 1e10, eps2d: float = 0.3) -> Projected:
    """Project Gaussians into every camera.

    Args:
        means [..., 1, N, 3], quats [..., 1, N, 4] (wxyz, any length), scales [..., 1, N, 3], opacities [..., 1, N]: Gaussians,
            with a camera dimension of one; leading dimensions broadcast.
        viewmats [..., C, 1, 4, 4], intrinsics [..., C, 1, 3, 3]: world-to-camera and pinhole matrices, with a point dimension.
        width, height: image size in pixels.
    """
    x, y, z = to_camera(means, viewmats).unbind(-1)
    in_range = (z > near_plane) & (z < far_plane)
    inverse_z = 1.0 / torch.where(in_range, z, torch.ones_like(z))
    fx, fy = intrinsics[..., 0, 0], intrinsics[..., 1, 1]
    cx, cy = intrinsics[..., 0, 2], intrinsics[..., 1, 2]
    u, v = x * inverse_z, y * inverse_z
    margin_x, margin_y = JACOBIAN_MARGIN * width / fx, JACOBIAN_MARGIN * height / fy
    u_j = torch.minimum(torch.maximum(u, -(cx / fx + margin_x)), (width - cx) / fx + margin_x)
    v_j = torch.minimum(torch.maximum(v, -(cy / fy + margin_y)), (height - cy) / fy + margin_y)
    factor = camera_factor(quats, scales, viewmats)
    row_x = (fx * inverse_z)[..., None] * (factor[0] - u_j[..., None] * factor[2])
    row_y = (fy * inverse_z)[..., None] * (factor[1] - v_j[..., None] * factor[2])
    c_xx, c_yy, c_xy = dot(row_x, row_x) + eps2d, dot(row_y, row_y) + eps2d, dot(row_x, row_y)
    determinant = c_xx * c_yy - c_xy * c_xy
    inverse = 1.0 / determinant.clamp_min(1e-12)
    conics = torch.stack([c_yy * inverse, -c_xy * inverse, c_xx * inverse], -1)
    means2d = torch.stack([fx * u + cx, fy * v + cy], -1)
    with torch.no_grad():
        radii = box_radii(means2d, c_xx, c_yy, opacities, in_range & (determinant > 0), width, height)
    return Projected(means2d, conics, z, radii)


def to_camera(means: Tensor, viewmats: Tensor) -> Tensor:
    """World points [..., 3] in camera coordinates, [..., 3]."""
    rows = [dot(viewmats[..., i, :3], means) + viewmats[..., i, 3] for i in range(3)]
    return torch.stack(rows, -1)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product over a last dimension of three, in a fixed order of additions."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def camera_factor(quats: Tensor, scales: Tensor, viewmats: Tensor) -> list[Tensor]:
    """Rows [..., 3] of W R S: the camera-space covariance is this matrix times its transpose."""
    w, i, j, k = quats.unbind(-1)
    length = (w * w + i * i + j * j + k * k).sqrt().clamp_min(1e-12)
    w, i, j, k = w / length, i / length, j / length, k / length
    rows = [torch.stack(row, -1) * scales for row in (
        (1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j)),
        (2 * (i * j + w * k), 1 - 2 * (i * i + k * k), 2 * (j * k - w * i)),
        (2 * (i * k - w * j), 2 * (j * k + w * i), 1 - 2 * (i * i + j * j)))]
    return [viewmats[..., r, 0:1] * rows[0] + viewmats[..., r, 1:2] * rows[1] + viewmats[..., r, 2:3] * rows[2] for r in range(3)]


def box_radii(means2d: Tensor, c_xx: Tensor, c_yy: Tensor, opacities: Tensor, valid: Tensor, width: int, height: int) -> Tensor:
    """Half sizes [..., N, 2] int32 of the box outside of which alpha < 1/255; 0 for what is not drawn at all."""
    extent = torch.sqrt(2 * torch.log((opacities / ALPHA_MIN).clamp_min(1.0))).clamp_max(MAX_EXTENT)
    radii = torch.ceil(extent[..., None] * torch.sqrt(torch.stack([c_xx, c_yy], -1)))
    size = torch.tensor([width, height], dtype=means2d.dtype, device=means2d.device)
    inside = ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
    drawn = valid & inside & (opacities >= ALPHA_MIN)
    return torch.where(drawn[..., None], radii.clamp_max(2.0 ** 30), torch.zeros_like(radii)).to(torch.int32)


def camera_positions(viewmats: Tensor) -> Tensor:
    """Positions [..., 3] in the world of cameras with rigid world-to-camera matrices [..., 4, 4]."""
    rotation, shift = viewmats[..., :3, :3], viewmats[..., :3, 3]
    x, y, z = (rotation[..., row, :] * shift[..., row:row + 1] for row in range(3))
    return -(x + y + z)


def sh_basis(directions: Tensor, degree: int) -> list[Tensor]:
    """The (degree + 1)^2 real spherical harmonics, each [...], of directions [..., 3] of any length."""
    x, y, z = directions.unbind(-1)
    length = (x * x + y * y + z * z).sqrt().clamp_min(1e-12)
    x, y, z = x / length, y / length, z / length
    basis = [torch.full_like(x, C0)]
    if degree > 0:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree < 2:
        return basis
    zz, xx_yy, xy = z * z, x * x - y * y, 2 * x * y
    basis += [A2 * xy, -B2 * y * z, C2 * zz - D2, -B2 * x * z, A2 * xx_yy]
    if degree > 2:
        c, b = D3 - C3 * zz, B3 * z
        basis += [-A3 * (x * xy + y * xx_yy), b * xy, c * y, z * (E3 * zz - F3), c * x, b * xx_yy, -A3 * (x * xx_yy - y * xy)]
    return basis


def sh_colors(coefficients: Tensor, means: Tensor, viewmats: Tensor, degree: int) -> Tensor:
    """Colours [..., C, N, 3] >= 0 seen from each camera.

    Args:
        coefficients [..., 1, N, K, 3]: constant term first; only the first (degree + 1)^2 are read.
        means [..., 1, N, 3], viewmats [..., C, 1, 4, 4].
    """
    basis = sh_basis(means - camera_positions(viewmats), degree)
    total = basis[0][..., None] * coefficients[..., 0, :]
    for k in range(1, len(basis)):
        total = total + basis[k][..., None] * coefficients[..., k, :]
    return (total + 0.5).clamp_min(0.0)
