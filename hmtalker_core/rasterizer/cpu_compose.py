"""Putting a frame together on the processor: body, dilated mouth and all layers in one pass to the numbers of the result.

Kernels; twins in torch: `TorsoModel.layer`, `compose.dilate`, `compose.compose`, `backdrop.straight`. A layer is an array that
lies somewhere in the frame: its (row, column) stands beside it, and it may be empty.
"""
from __future__ import annotations

import numpy as np

from .jit import compiled

NOTHING = 1 / 512  # of alpha: no colour is known below (`backdrop.straight`)


@compiled
def body(mean, components, weights, out):
    """Premultiplied RGBA of the body, clamped, colour at most alpha.

    Args: mean, out: float32 [h, w, 4]; components int8 [K, h, w, 4]; weights float32 [K], image units a step.
    """
    flt = mean.dtype.type
    for y in range(mean.shape[0]):
        out[y] = mean[y]
        for k in range(components.shape[0]):
            w = weights[k]
            row, source = out[y].reshape(-1), components[k, y].reshape(-1)
            for i in range(row.shape[0]):
                row[i] += w * flt(source[i])
        _premultiplied(out[y])


@compiled
def _premultiplied(row):
    """Clamps RGBA [w, 4] to 0..1 and colours to alpha."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    for x in range(row.shape[0]):
        alpha = min(max(row[x, 3], zero), one)
        row[x, 3] = alpha
        for c in range(3):
            row[x, c] = min(max(row[x, c], zero), alpha)


@compiled
def enlarged(image, first_row, row_taps, first_column, column_taps, out):
    """Resizes RGBA [h, w, 4] to out [H, W, 4] by tables: output i is the sum of taps[i, t] x input first[i] + t; then clamps."""
    between = np.empty((image.shape[1], 4), image.dtype)
    flat = between.reshape(-1)
    for y in range(out.shape[0]):
        flat[:] = 0
        for t in range(row_taps.shape[1]):
            source, w = image[first_row[y] + t].reshape(-1), row_taps[y, t]
            for i in range(flat.shape[0]):
                flat[i] += w * source[i]
        for x in range(out.shape[1]):
            for c in range(4):
                out[y, x, c] = 0
            for t in range(column_taps.shape[1]):
                w, source = column_taps[x, t], first_column[x] + t
                for c in range(4):
                    out[y, x, c] += w * between[source, c]
        _premultiplied(out[y])


@compiled
def dilated(left, size, between, cover):
    """cover [h, w] = largest 1 - left over squares of `size` (odd) px; between: room of the same shape."""
    reach, one = size // 2, left.dtype.type(1)
    height, width = left.shape
    for y in range(height):
        for x in range(width):
            cover[y, x] = one - left[y, x]
        for x in range(width):
            between[y, x] = cover[y, x]
        for shift in range(1, reach + 1):
            for x in range(width - shift):
                between[y, x] = max(between[y, x], cover[y, x + shift])
            for x in range(shift, width):
                between[y, x] = max(between[y, x], cover[y, x - shift])
    for y in range(height):
        for x in range(width):
            cover[y, x] = between[y, x]
        for other in range(max(y - reach, 0), min(y + reach + 1, height)):
            for x in range(width):
                cover[y, x] = max(cover[y, x], between[other, x])


@compiled
def compose(face, face_left, face_at, mouth, mouth_cover, mouth_at, body, body_at, behind, straight, scale, rgb, alpha):
    """face over mouth over body over what is behind.

    Args:
        face, mouth: [h, w, 3] weighted by alpha; face_left, mouth_cover: [h, w] light that passes, alpha.
        body: [h, w, 4] premultiplied. behind: [H, W, 3] or [1, 1, 3] in 0..1.
        straight: colours are divided by alpha. scale: what 1 becomes in rgb (255 for bytes, which are rounded).
    Fills: rgb [H, W, 3], or [H, W, 4] with alpha; alpha [H, W] in 0..1, or of no rows.
    """
    height, width = rgb.shape[:2]
    row, clear = np.empty(3 * width, face.dtype), np.empty(width, face.dtype)
    for y in range(height):
        _start(behind[y if behind.shape[1] > 1 else 0].reshape(-1), row, clear)
        v = y - body_at[0]
        if 0 <= v < body.shape[0]:
            _over_body(body[v], row[3 * body_at[1]:], clear[body_at[1]:])
        v = y - mouth_at[0]
        if 0 <= v < mouth.shape[0]:
            _over_cover(mouth[v].reshape(-1), mouth_cover[v], row[3 * mouth_at[1]:], clear[mouth_at[1]:])
        v = y - face_at[0]
        if 0 <= v < face.shape[0]:
            _over_light(face[v].reshape(-1), face_left[v], row[3 * face_at[1]:], clear[face_at[1]:])
        if straight:
            _straight(row, clear)
        if alpha.shape[0]:
            _write(clear, True, row.dtype.type(1), alpha[y])
        if rgb.shape[2] == 3:
            _write(row, False, row.dtype.type(scale), rgb[y].reshape(-1))
        else:
            for c in range(3):
                _write(row[c::3], False, row.dtype.type(scale), rgb[y, :, c])
            _write(clear, True, row.dtype.type(scale), rgb[y, :, 3])


@compiled
def _start(behind, row, clear):
    """Begins a row [3 W] with what is behind everything: [3 W], or one colour [3]."""
    clear[:] = 1
    if behind.shape[0] == row.shape[0]:
        for i in range(row.shape[0]):
            row[i] = behind[i]
    else:
        for i in range(row.shape[0]):
            row[i] = behind[i % 3]


@compiled
def _over_body(body, row, clear):
    """Lays RGBA [w, 4] over the first w pixels of a row [3 W]."""
    one = body.dtype.type(1)
    for x in range(body.shape[0]):
        i, light = 3 * x, one - body[x, 3]
        clear[x] *= light
        row[i], row[i + 1], row[i + 2] = (body[x, 0] + row[i] * light, body[x, 1] + row[i + 1] * light,
                                          body[x, 2] + row[i + 2] * light)


@compiled
def _over_cover(color, cover, row, clear):
    """Lays colours [3 w] of alpha `cover` [w] over the first w pixels."""
    one = cover.dtype.type(1)
    for x in range(cover.shape[0]):
        i, light = 3 * x, one - cover[x]
        clear[x] *= light
        row[i], row[i + 1], row[i + 2] = (color[i] + row[i] * light, color[i + 1] + row[i + 1] * light,
                                          color[i + 2] + row[i + 2] * light)


@compiled
def _over_light(color, light, row, clear):
    """The same of colours that let `light` [w] pass."""
    for x in range(light.shape[0]):
        clear[x] *= light[x]
    for x in range(light.shape[0]):
        i, passing = 3 * x, light[x]
        row[i], row[i + 1], row[i + 2] = (color[i] + row[i] * passing, color[i + 1] + row[i + 1] * passing,
                                          color[i + 2] + row[i + 2] * passing)


@compiled
def _straight(row, clear):
    """Colours divided by alpha; black where there is none."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    for x in range(clear.shape[0]):
        cover, inverse = one - clear[x], zero
        if cover > NOTHING:
            inverse = one / cover
        for i in range(3 * x, 3 * x + 3):
            row[i] = min(max(row[i], zero), one) * inverse


@compiled
def _write(values, complement, scale, out):
    """Writes numbers, or one minus them, clamped to 0..1 and scaled; bytes are rounded."""
    zero, one, half = values.dtype.type(0), values.dtype.type(1), values.dtype.type(0.5)
    if scale == one:
        for i in range(out.shape[0]):
            value = one - values[i] if complement else values[i]
            out[i] = min(max(value, zero), one)
        return
    for i in range(out.shape[0]):
        value = one - values[i] if complement else values[i]
        out[i] = np.int32(min(max(value, zero), one) * scale + half)
