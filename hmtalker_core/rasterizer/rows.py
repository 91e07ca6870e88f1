"""One Gaussian over the rows of one tile: the two innermost loops of the rasteriser, 16 pixels at a time (see `lanes.py`).

A tile's state is one flat array, row after row, `fields` x 16 numbers a row:
    forward     light, count, then one sum a channel
    backward    light, count, behind, g_alpha, then the image gradient of each channel
light: share of light not yet stopped. count: rank of the last Gaussian drawn; -1 - count once the pixel is finished.
behind: sum over the Gaussians behind of weight x (image gradient . colour + g_alpha).
"""
# llvmlite is not annotated, and what is inferred of it (values without a type, instructions that are None) is wrong:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from .lanes import WIDTH, Lanes, Memory, Sum, counting, exponential, spread

FORWARD_FIELDS = 2         # before the channels
BACKWARD_FIELDS = 4        # before the channels
GEOMETRY = 6               # columns of a gradient before the channels: x, y, conic xx, xy, yy, opacity
INTEGER = ir.IntType(64)


@intrinsic
def blend_rows(typing_context, state, base, stride, rows, mx, dy, a, b, c, opacity, rank, color, first, channels):
    """Draw one Gaussian over `rows` rows of a tile, from state[base] on, `stride` numbers a row.

    Args: mx: the centre's column minus that of lane 0; dy: the first row minus the centre's row; a, b, c: conic xx, xy, yy;
        rank: 1 for the first Gaussian of the tile; color[first:first + D] (flat); channels: a tuple of D anythings.
    """
    depth = len(channels)

    def write(context, builder, signature, arguments):
        given = _Given.of(context, builder, signature, arguments)
        colors = [given.color.load_one(k) for k in range(depth)]
        with given.each_row() as (memory, _, sigma):
            alpha = (given.opacity * exponential(-sigma)).at_most(ALPHA_MAX)
            light, count = memory.load(0), memory.load(WIDTH)
            drawn = (sigma >= 0.0) & (alpha >= ALPHA_MIN) & (count >= 0.0)
            taken = light * alpha
            remaining = light - taken
            enough = drawn & (remaining > TRANSMITTANCE_MIN)
            memory.store(0, enough.choose(remaining, light))
            memory.store(WIDTH, enough.choose(given.rank, drawn.choose(-1.0 - count, count)))
            weight = enough.choose(taken, 0.0)
            for k in range(depth):
                offset = (FORWARD_FIELDS + k) * WIDTH
                memory.store(offset, memory.load(offset) + weight * colors[k])
        return context.get_dummy_value()
    return types.void(state, base, stride, rows, mx, dy, a, b, c, opacity, rank, color, first, channels), write


@intrinsic
def blend_rows_backward(typing_context, state, base, stride, rows, mx, dy, a, b, c, opacity, rank, color, first, channels,
                        slots, slot):
    """Take one Gaussian away again and write its 6 + D derivatives to slots[slot:] (flat); other arguments as `blend_rows`."""
    depth = len(channels)

    def write(context, builder, signature, arguments):
        given = _Given.of(context, builder, signature, arguments)
        colors = [given.color.load_one(k) for k in range(depth)]
        out = _memory(context, builder, signature, arguments, 14, 15)
        flat, once, twice = (Sum(builder, given.dx) for _ in range(3))          # of g_sigma x (1, dy, dy^2), lane by lane
        shares = [Sum(builder, given.dx) for _ in range(depth)]
        with given.each_row() as (memory, dy, sigma):
            full = given.opacity * exponential(-sigma)
            alpha = full.at_most(ALPHA_MAX)
            drawn = (sigma >= 0.0) & (alpha >= ALPHA_MIN) & (memory.load(WIDTH) >= given.rank)
            ratio = (1.0 - alpha).reciprocal()
            light, behind = memory.load(0), memory.load(2 * WIDTH)
            before = light * ratio
            weight = drawn.choose(alpha * before, 0.0)
            shade = memory.load(3 * WIDTH)
            for k in range(depth):
                g_image = memory.load((BACKWARD_FIELDS + k) * WIDTH)
                shade = shade + colors[k] * g_image
                shares[k].add(weight * g_image)
            memory.store(0, drawn.choose(before, light))
            memory.store(2 * WIDTH, behind + weight * shade)
            g_alpha = before * shade - behind * ratio
            g_sigma = (drawn & (full <= ALPHA_MAX)).choose(full * g_alpha, 0.0)         # with the sign turned
            flat.add(g_sigma)
            once.add(g_sigma * dy)
            twice.add(g_sigma * dy * dy)
        _finish(given, flat, once, twice, out)
        for k in range(depth):
            out.store_one(GEOMETRY + k, shares[k].total().across())
        return context.get_dummy_value()
    return types.void(state, base, stride, rows, mx, dy, a, b, c, opacity, rank, color, first, channels, slots, slot), write


def _finish(given: _Given, flat: Sum, once: Sum, twice: Sum, out: Memory) -> None:
    """Derivatives of centre, conic and opacity from the sums of -g_sigma x (1, dy, dy^2)."""
    dx, a, b, c = given.dx, given.a, given.b, given.c
    by_x, by_y = flat.total() * dx, once.total()
    g_opacity = flat.total() * given.opacity.reciprocal()
    for column, value in enumerate((a * by_x + b * by_y, b * by_x + c * by_y, by_x * dx * -0.5, -(by_y * dx),
                                    twice.total() * -0.5, g_opacity)):
        out.store_one(column, value.across())


class _Given(NamedTuple):
    """The arguments that both intrinsics share; numbers are spread over the lanes."""

    builder: ir.IRBuilder
    element: ir.Type           # float or double
    state: ir.Value            # address of the array's first number
    base: ir.Value             # offset of the first row
    stride: ir.Value           # numbers a row
    rows: ir.Value             # how many
    dx: Lanes                  # columns from the centre to each lane
    dy: Lanes                  # rows from the centre to the first row
    a: Lanes
    b: Lanes
    c: Lanes
    opacity: Lanes
    rank: Lanes
    color: Memory              # from this Gaussian's colours on

    @classmethod
    def of(cls, context, builder, signature, arguments) -> _Given:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number = signature.args[0].dtype
        element = context.get_data_type(number)
        base, stride, rows = (context.cast(builder, arguments[i], signature.args[i], types.int64) for i in (1, 2, 3))
        mx, dy, a, b, c, opacity, rank = (spread(builder, context.cast(builder, arguments[i], signature.args[i], number))
                                          for i in range(4, 11))
        color = _memory(context, builder, signature, arguments, 11, 12)
        dx = counting(builder, element) - mx
        return cls(builder, element, array.data, base, stride, rows, dx, dy, a, b, c, opacity, rank, color)

    @contextmanager
    def each_row(self) -> Iterator[tuple[Memory, Lanes, Lanes]]:
        """The loop over rows; its body gets the row's state, dy and sigma. What a row does not change is computed before."""
        builder = self.builder
        square, mixed, half_c = self.a * self.dx * self.dx * 0.5, self.b * self.dx, self.c * 0.5
        with cgutils.for_range(builder, self.rows, intp=INTEGER) as loop:
            dy = self.dy + spread(builder, builder.sitofp(loop.index, self.element))
            offset = builder.add(self.base, builder.mul(loop.index, self.stride))
            yield Memory(builder, self.state, offset, self.element), dy, square + (mixed + half_c * dy) * dy


def _memory(context, builder, signature, arguments, at: int, offset_at: int) -> Memory:
    """The array that is argument `at`, from the element that is argument `offset_at` on."""
    array = context.make_array(signature.args[at])(context, builder, arguments[at])
    offset = context.cast(builder, arguments[offset_at], signature.args[offset_at], types.int64)
    return Memory(builder, array.data, offset, context.get_data_type(signature.args[at].dtype))
