"""One row of one tile, one Gaussian: the two innermost loops of the rasteriser, 16 pixels at a time (see `lanes.py`).

A tile's state is one flat array, row after row, `fields` x 16 numbers a row:
    forward     light, count, then one sum a channel
    backward    light, count, behind, g_alpha, then the image gradient of each channel
light: share of light not yet stopped. count: rank of the last Gaussian drawn; -1 - count once the pixel is finished.
behind: sum over the Gaussians behind of weight x (image gradient . colour + g_alpha).
"""
from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from .lanes import WIDTH, Lanes, Memory, counting, exponential, spread

FORWARD_FIELDS = 2         # before the channels
BACKWARD_FIELDS = 4        # before the channels
GEOMETRY = 6               # columns of a gradient before the channels: x, y, conic xx, xy, yy, opacity


@intrinsic
def blend_row(typing_context, state, base, mx, dy, a, b, c, opacity, rank, color, first, channels):
    """Draw one Gaussian over state[base:base + fields * 16].

    Args: mx: the centre's column minus that of lane 0; dy: the row minus the centre's row; a, b, c: conic xx, xy, yy;
        rank: 1 for the first Gaussian of the tile; color[first:first + D] (flat); channels: a tuple of D anythings.
    """
    depth = len(channels)

    def write(context, builder, signature, arguments):
        memory, colors, numbers = _unpack(context, builder, signature, arguments, n_numbers=7, color_at=9)
        mx, dy, a, b, c, opacity, rank = numbers
        dx = counting(builder, memory.element) - mx
        sigma = (a * dx * 0.5 + b * dy) * dx + c * dy * dy * 0.5
        alpha = (opacity * exponential(-sigma)).at_most(ALPHA_MAX)
        light, count = memory.load(0), memory.load(WIDTH)
        drawn = (sigma >= 0.0) & (alpha >= ALPHA_MIN) & (count >= 0.0)
        remaining = light - light * alpha
        enough = drawn & (remaining > TRANSMITTANCE_MIN)
        memory.store(0, enough.choose(remaining, light))
        memory.store(WIDTH, enough.choose(rank, drawn.choose(-1.0 - count, count)))
        weight = enough.choose(alpha * light, 0.0)
        for k in range(depth):
            offset = (FORWARD_FIELDS + k) * WIDTH
            memory.store(offset, memory.load(offset) + weight * colors.load_one(k))
        return context.get_dummy_value()
    return types.void(state, base, mx, dy, a, b, c, opacity, rank, color, first, channels), write


@intrinsic
def blend_row_backward(typing_context, state, base, mx, dy, a, b, c, opacity, rank, color, first, sums, channels):
    """Take one Gaussian away again and add its derivatives to sums[(6 + D) * 16], lane by lane; arguments as `blend_row`."""
    depth = len(channels)

    def write(context, builder, signature, arguments):
        memory, colors, numbers = _unpack(context, builder, signature, arguments, n_numbers=7, color_at=9)
        sums = _memory(context, builder, signature, arguments, 11, None)
        mx, dy, a, b, c, opacity, rank = numbers
        dx = counting(builder, memory.element) - mx
        sigma = (a * dx * 0.5 + b * dy) * dx + c * dy * dy * 0.5
        falloff = exponential(-sigma)
        full = opacity * falloff
        alpha = full.at_most(ALPHA_MAX)
        drawn = (sigma >= 0.0) & (alpha >= ALPHA_MIN) & (memory.load(WIDTH) >= rank)
        ratio = (1.0 - alpha).reciprocal()
        light, behind = memory.load(0), memory.load(2 * WIDTH)
        before = light * ratio
        weight = drawn.choose(alpha * before, 0.0)
        shade = memory.load(3 * WIDTH)
        for k in range(depth):
            g_image = memory.load((BACKWARD_FIELDS + k) * WIDTH)
            shade = shade + colors.load_one(k) * g_image
            _add(sums, GEOMETRY + k, weight * g_image)
        g_alpha = (drawn & (full <= ALPHA_MAX)).choose(before * shade - behind * ratio, 0.0)
        memory.store(0, drawn.choose(before, light))
        memory.store(2 * WIDTH, behind + weight * shade)
        g_sigma = -(full * g_alpha)
        g_dx, g_dy = g_sigma * dx, g_sigma * dy
        for i, value in enumerate((-(a * g_dx + b * g_dy), -(b * g_dx + c * g_dy), g_dx * dx * 0.5, g_dx * dy, g_dy * dy * 0.5,
                                   falloff * g_alpha)):
            _add(sums, i, value)
        return context.get_dummy_value()
    return types.void(state, base, mx, dy, a, b, c, opacity, rank, color, first, sums, channels), write


def _unpack(context, builder, signature, arguments, n_numbers: int, color_at: int) -> tuple[Memory, Memory, list[Lanes]]:
    """The state from its base on, the colours from `first` on, and the numbers between them spread over the lanes."""
    memory = _memory(context, builder, signature, arguments, 0, 1)
    colors = _memory(context, builder, signature, arguments, color_at, color_at + 1)
    number_type = signature.args[0].dtype
    numbers = [context.cast(builder, arguments[i], signature.args[i], number_type) for i in range(2, 2 + n_numbers)]
    return memory, colors, [spread(builder, number) for number in numbers]


def _memory(context, builder, signature, arguments, at: int, offset_at: int | None) -> Memory:
    """The array that is argument `at`, from the element that is argument `offset_at` on."""
    array = context.make_array(signature.args[at])(context, builder, arguments[at])
    element = context.get_data_type(signature.args[at].dtype)
    zero = ir.Constant(ir.IntType(64), 0)
    offset = zero if offset_at is None else context.cast(builder, arguments[offset_at], signature.args[offset_at], types.int64)
    return Memory(builder, array.data, offset, element)


def _add(sums: Memory, index: int, value: Lanes) -> None:
    sums.store(index * WIDTH, sums.load(index * WIDTH) + value)
