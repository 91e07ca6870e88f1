"""Spherical harmonics as numba kernels, forward and backward, for the Gaussians that are drawn. Twin: `projection.sh_colors`."""
from __future__ import annotations

import math

from .constants import A2, A3, B2, B3, C0, C1, C2, C3, D2, D3, E3, F3
from .jit import compiled


@compiled(inline="always")
def _basis(x, y, z, degree, out):
    """The first (degree + 1)^2 harmonics of a unit vector, into out."""
    out[0] = C0
    if degree > 0:
        out[1], out[2], out[3] = -C1 * y, C1 * z, -C1 * x
    if degree > 1:
        out[4], out[5], out[6] = 2 * A2 * x * y, -B2 * y * z, C2 * z * z - D2
        out[7], out[8] = -B2 * x * z, A2 * (x * x - y * y)
    if degree > 2:
        q = D3 - C3 * z * z
        out[9], out[10], out[11] = -A3 * y * (3 * x * x - y * y), 2 * B3 * x * y * z, q * y
        out[12], out[13], out[14] = z * (E3 * z * z - F3), q * x, B3 * z * (x * x - y * y)
        out[15] = -A3 * x * (x * x - 3 * y * y)


@compiled(inline="always")
def _basis_backward(x, y, z, degree, g):
    """Derivative with respect to (x, y, z), from g, that with respect to the harmonics."""
    gx = gy = gz = x * 0
    if degree > 0:
        gx, gy, gz = -C1 * g[3], -C1 * g[1], C1 * g[2]
    if degree > 1:
        gx += 2 * A2 * (y * g[4] + x * g[8]) - B2 * z * g[7]
        gy += 2 * A2 * (x * g[4] - y * g[8]) - B2 * z * g[5]
        gz += 2 * C2 * z * g[6] - B2 * (y * g[5] + x * g[7])
    if degree > 2:
        q, side = D3 - C3 * z * z, 3 * A3 * (x * x - y * y)
        gx += -6 * A3 * x * y * g[9] + 2 * B3 * z * (y * g[10] + x * g[14]) + q * g[13] - side * g[15]
        gy += -side * g[9] + 2 * B3 * z * (x * g[10] - y * g[14]) + q * g[11] + 6 * A3 * x * y * g[15]
        gz += 2 * B3 * x * y * g[10] - 2 * C3 * z * (y * g[11] + x * g[13]) + (3 * E3 * z * z - F3) * g[12]
        gz += B3 * (x * x - y * y) * g[14]
    return gx, gy, gz


@compiled(inline="always")
def _direction(mean, n, view):
    """Unit vector from the camera to mean[n], and 1 / distance."""
    dx = mean[n, 0] + view[0, 0] * view[0, 3] + view[1, 0] * view[1, 3] + view[2, 0] * view[2, 3]
    dy = mean[n, 1] + view[0, 1] * view[0, 3] + view[1, 1] * view[1, 3] + view[2, 1] * view[2, 3]
    dz = mean[n, 2] + view[0, 2] * view[0, 3] + view[1, 2] * view[1, 3] + view[2, 2] * view[2, 3]
    inverse = mean.dtype.type(1) / max(math.sqrt(dx * dx + dy * dy + dz * dz), mean.dtype.type(1e-12))
    return dx * inverse, dy * inverse, dz * inverse, inverse


@compiled
def colors(begin, end, mean, view, coefficients, degree, radius, basis, color):
    """Fills color[begin:end, :3] of one frame.

    Args: mean [N, 3], view [4, 4] rigid, coefficients [N, K, 3], radius [N, 2], basis: room for 16 numbers, color [N, >= 3].
    """
    zero, half = mean.dtype.type(0), mean.dtype.type(0.5)
    terms = (degree + 1) * (degree + 1)
    for n in range(begin, end):
        red = green = blue = zero
        if radius[n, 0] > 0 and radius[n, 1] > 0:
            x, y, z, _ = _direction(mean, n, view)
            _basis(x, y, z, degree, basis)
            red = green = blue = half
            for k in range(terms):
                red += basis[k] * coefficients[n, k, 0]
                green += basis[k] * coefficients[n, k, 1]
                blue += basis[k] * coefficients[n, k, 2]
        color[n, 0], color[n, 1], color[n, 2] = max(red, zero), max(green, zero), max(blue, zero)


@compiled
def colors_backward(begin, end, mean, view, coefficients, degree, radius, color, g_color, basis,
                    g_mean, g_coefficients, g_camera):
    """Adds to g_mean [N, 3], g_coefficients [N, K, 3] and g_camera float64 [3] (the camera's position).

    Args: color [N, 3] as `colors` left it, g_color [N, 3] its derivative, basis: room for 32 numbers.
    """
    zero = mean.dtype.type(0)
    terms = (degree + 1) * (degree + 1)
    for n in range(begin, end):
        if radius[n, 0] == 0 or radius[n, 1] == 0:
            continue
        red = g_color[n, 0] if color[n, 0] > zero else zero
        green = g_color[n, 1] if color[n, 1] > zero else zero
        blue = g_color[n, 2] if color[n, 2] > zero else zero
        x, y, z, inverse = _direction(mean, n, view)
        _basis(x, y, z, degree, basis)
        for k in range(terms):
            basis[16 + k] = red * coefficients[n, k, 0] + green * coefficients[n, k, 1] + blue * coefficients[n, k, 2]
            g_coefficients[n, k, 0] += basis[k] * red
            g_coefficients[n, k, 1] += basis[k] * green
            g_coefficients[n, k, 2] += basis[k] * blue
        gx, gy, gz = _basis_backward(x, y, z, degree, basis[16:])
        radial = gx * x + gy * y + gz * z
        gx, gy, gz = (gx - x * radial) * inverse, (gy - y * radial) * inverse, (gz - z * radial) * inverse
        g_mean[n, 0] += gx
        g_mean[n, 1] += gy
        g_mean[n, 2] += gz
        g_camera[0] -= gx
        g_camera[1] -= gy
        g_camera[2] -= gz
