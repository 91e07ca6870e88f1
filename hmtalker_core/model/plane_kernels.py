"""Reading dense planes on the processor, forward and backward, in numba: a point at a time, nothing kept in between.

`grid_sample` takes one call a level and lays out a table and coordinates for each; this reads the tables where they lie, at a
tenth of the time. Twin: `GridPlane.gather`.
"""
from __future__ import annotations

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ..rasterizer.jit import compiled, run_all

ONE = np.uint64(1)


@compiled
def place(x, bound, u, v, inside):
    """Coordinates [N] in 0..1 of points [N, 2] metres, and 1 or 0 for whether both of a point's lie there (NaN does not)."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for n in range(x.shape[0]):
        a, b = (x[n, 0] + bound) / (bound + bound), (x[n, 1] + bound) / (bound + bound)
        within = a >= zero and a <= one and b >= zero and b <= one
        u[n], v[n], inside[n] = (a, b, one) if within else (zero, zero, zero)


@compiled(fastmath=True)
def read(u, v, inside, scale, side, table, out):
    """Fills out [N] from one grid: u, v, inside as `place` left them, points along an axis, its rows of the table, flat.

    The indices have no sign: the loop then becomes vector instructions.
    """
    half = u.dtype.type(0.5)
    for n in range(np.uint64(u.shape[0])):
        p, q = u[n] * scale + half, v[n] * scale + half
        i, j = np.int32(p), np.int32(q)
        fx, fy = p - u.dtype.type(i), q - u.dtype.type(j)
        row = np.uint64(np.uint32(i) + np.uint32(j) * side)
        above = row + np.uint64(side)
        a, c = table[row], table[above]
        low, high = a + fx * (table[row + ONE] - a), c + fx * (table[above + ONE] - c)
        out[n] = inside[n] * (low + fy * (high - low))


@compiled(fastmath=True)
def read_backward(u, v, inside, scale, side, table, g_out, g_u, g_v, g_table):
    """Adds to g_u, g_v [N] and g_table; other arguments as `read`."""
    half, one = u.dtype.type(0.5), u.dtype.type(1)
    for n in range(np.uint64(u.shape[0])):
        p, q = u[n] * scale + half, v[n] * scale + half
        i, j = np.int32(p), np.int32(q)
        fx, fy = p - u.dtype.type(i), q - u.dtype.type(j)
        row = np.uint64(np.uint32(i) + np.uint32(j) * side)
        above = row + np.uint64(side)
        g = inside[n] * g_out[n]
        a, b, c, d = table[row], table[row + ONE], table[above], table[above + ONE]
        twist = d - c - (b - a)
        g_u[n] += g * scale * (b - a + fy * twist)
        g_v[n] += g * scale * (c - a + fx * twist)
    for n in range(np.uint64(u.shape[0])):
        p, q = u[n] * scale + half, v[n] * scale + half
        i, j = np.int32(p), np.int32(q)
        fx, fy = p - u.dtype.type(i), q - u.dtype.type(j)
        row = np.uint64(np.uint32(i) + np.uint32(j) * side)
        above = row + np.uint64(side)
        g = inside[n] * g_out[n]
        high = g * fy
        low = g - high
        g_table[row] += low * (one - fx)
        g_table[row + ONE] += low * fx
        g_table[above] += high * (one - fx)
        g_table[above + ONE] += high * fx


@compiled
def read_all(x, bound, scales, sides, starts, table, place_, out):
    """Fills place_ [3, N] by `place` and out [L, N] from the grids of one plane; scales, sides, starts [L + 1]."""
    place(x, bound, place_[0], place_[1], place_[2])
    for level in range(scales.shape[0]):
        read(place_[0], place_[1], place_[2], scales[level], sides[level], table[starts[level]:starts[level + 1]], out[level])


@compiled
def read_all_backward(bound, scales, sides, starts, table, place_, g_out, g_x, g_table):
    """Fills g_x [2, N] and adds to g_table, from g_out [L, N]."""
    g_x[:] = 0
    for level in range(scales.shape[0]):
        rows = slice(starts[level], starts[level + 1])
        read_backward(place_[0], place_[1], place_[2], scales[level], sides[level], table[rows], g_out[level], g_x[0], g_x[1],
                      g_table[rows])
    g_x /= bound + bound


class ReadPlanes(torch.autograd.Function):
    """[P, N, 2] metres, what all planes share (bound; of each grid its scale, points along an axis and first row, with the end of
    the table behind the last), P tables [rows, 1] -> [N, P * L]."""

    @staticmethod
    def forward(ctx, x, bound, grids, *tables):
        points = np.ascontiguousarray(x.detach().numpy())
        number = points.dtype.type
        layout = np.array(grids[0], number), np.array(grids[1], np.uint32), np.array(grids[2], np.int64)
        flat = [table.detach().numpy().reshape(-1) for table in tables]
        planes, count, levels = len(flat), points.shape[1], len(layout[0])
        places, out = np.empty((planes, 3, count), number), np.empty((planes, levels, count), number)
        run_all(read_all, ((points[p], number(bound), *layout, flat[p], places[p], out[p]) for p in range(planes)),
                torch.get_num_threads())
        ctx.kept = number(bound), layout, flat, places
        return torch.from_numpy(out.reshape(planes * levels, count)).T

    @staticmethod
    @once_differentiable
    def backward(ctx, g_out):  # pyright: ignore[reportIncompatibleMethodOverride]  # torch's stub: (ctx, *grad_outputs)
        bound, layout, flat, places = ctx.kept
        planes, _, count = places.shape
        incoming = np.ascontiguousarray(g_out.numpy().T).reshape(planes, -1, count)
        g_points, g_tables = np.empty((planes, 2, count), places.dtype), [np.zeros_like(table) for table in flat]
        run_all(read_all_backward, ((bound, *layout, flat[p], places[p], incoming[p], g_points[p], g_tables[p])
                                    for p in range(planes)), torch.get_num_threads())
        return torch.from_numpy(g_points).mT, None, None, *(torch.from_numpy(g)[:, None] for g in g_tables)
