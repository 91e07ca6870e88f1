"""The torso behind the head, and a parsing's colours, in numba: one pass over the frame each."""
from __future__ import annotations

import numpy as np

from ...jit import compiled

NECK, SHOULDERS = 1, 2  # what the head hides


@compiled
def ends(mask):
    """First and last row of each column, first and last column of each row: int32 [W], [W], [H], [H].

    Where there is none: behind the end, and -1.
    """
    height, width = mask.shape
    top, bottom = np.full(width, height, np.int32), np.full(width, -1, np.int32)
    left, right = np.full(height, width, np.int32), np.full(height, -1, np.int32)
    for y in range(height):
        row = mask[y]
        first = 0
        while first < width and not row[first]:
            first += 1
        if first == width:
            continue
        last = width - 1
        while not row[last]:
            last -= 1
        left[y], right[y] = first, last
        for x in range(first, last + 1):
            if row[x]:
                top[x], bottom[x] = min(top[x], y), y
    return top, bottom, left, right


@compiled
def hidden(head, lines, face, neck_width, rise, shoulder):
    """What the head hides, uint8 [H, W]: 0, `NECK` or `SHOULDERS`.

    Args:
        head: uint8 [H, W]. lines: the torso's `ends`. face: its middle, width and chin, pixels.
        neck_width: of the face's width, to either side. rise: rows that the neck goes on above the torso.
        shoulder: of the face's width, below the chin, and for each of its widths beside the neck.
    """
    top, bottom, left, right = lines
    middle, width, chin = face
    height, length = head.shape
    out, line, first = np.zeros((height, length), np.uint8), np.empty(length, np.float32), np.empty(length, np.float32)
    for x in range(length):
        aside = np.float32(abs(np.float32(x) - np.float32(middle))) / np.float32(width)
        beside = max(aside - np.float32(neck_width), np.float32(0))
        line[x] = np.float32(chin) + np.float32(width) * (np.float32(shoulder[0]) + np.float32(shoulder[1]) * beside)
        first[x] = np.float32(top[x]) - np.float32(rise) if aside < np.float32(neck_width) else np.inf
    for y in range(height):
        for x in range(length):
            if not head[y, x]:
                continue
            below = y <= bottom[x]
            if y > line[x]:
                if below or left[y] <= x <= right[y]:
                    out[y, x] = SHOULDERS
            elif below and y >= first[x]:
                out[y, x] = NECK
    return out


@compiled
def laid(frame, torso, behind, painted, top, colours, fade):
    """The torso's layer: uint8 [H, W, 4], nothing (zero) where it is not.

    Args:
        frame: uint8 [H, W, 3]. torso: uint8 [H, W]. behind: of `hidden`. painted: uint8 [n, W], the lowest rows: where the smooth
            colours are taken. top: int32 [W], the torso's first row. colours: float32 [h, w, 3], smooth, of the same rows.
        fade: float32 [H + 1], brightness so many rows above the torso.
    """
    height, width = torso.shape
    first = height - painted.shape[0]
    h, w, half = colours.shape[0], colours.shape[1], np.float32(0.5)
    low, across_low = np.float32(h / max(height - first, 1)), np.float32(w / width)
    out = np.zeros((height, width, 4), np.uint8)
    for y in range(height):
        v = min(max((y - first + half) * low - half, np.float32(0)), np.float32(h - 1))
        i = int(v)
        down, j = v - np.float32(i), min(i + 1, h - 1)
        for x in range(width):
            if not (torso[y, x] or behind[y, x]):
                continue
            out[y, x, 3] = 255
            if y < first or not painted[y - first, x]:
                for k in range(3):
                    out[y, x, k] = frame[y, x, k]
                continue
            u = min(max((x + half) * across_low - half, np.float32(0)), np.float32(w - 1))
            m = int(u)
            across, n = u - np.float32(m), min(m + 1, w - 1)
            light = fade[max(top[x] - y, 0)] if behind[y, x] == NECK else np.float32(1)
            for k in range(3):
                above = colours[i, m, k] + (colours[i, n, k] - colours[i, m, k]) * across
                below = colours[j, m, k] + (colours[j, n, k] - colours[j, m, k]) * across
                value = np.rint((above + (below - above) * down) * light)
                out[y, x, k] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
    return out


@compiled
def coloured(clothes, neck, face, hair, mouth, palette):
    """uint8 [H, W, 3]: each pixel in the colour of the last of five masks (uint8 [H, W]) that has it.

    Args: palette: uint8 [6, 3], first the colour of none.
    """
    height, width = clothes.shape
    out = np.empty((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            own = 1 if clothes[y, x] else 0
            if neck[y, x]:
                own = 2
            if face[y, x]:
                own = 3
            if hair[y, x]:
                own = 4
            if mouth[y, x]:
                own = 5
            for k in range(3):
                out[y, x, k] = palette[own, k]
    return out


@compiled
def assembled(person, face, sharp, meeting, hairy, shaded, neck, collar):
    """Head, hair and neck of a person, uint8 [3, H, W]; the hair is part of the head.

    Args:
        person, face: uint8 [H, W]. sharp: uint8 [H, W], the head where it meets the torso; meeting: uint8 [h, w], there.
        hairy, shaded: uint8 [H, W], what looks like hair, and like skin. neck: uint8 [H, W], where a neck can be, above the row
            `collar`.
    """
    height, width = person.shape
    out = np.zeros((3, height, width), np.uint8)
    for y in range(height):
        low = meeting[y * meeting.shape[0] // height]
        for x in range(width):
            if not person[y, x]:
                continue
            if face[y, x]:
                out[0, y, x] = 1
            elif sharp[y, x] or not low[x * meeting.shape[1] // width]:
                out[0, y, x] = 1
                out[1, y, x] = hairy[y, x]
            elif y < collar:
                out[2, y, x] = neck[y, x] & shaded[y, x]
    return out
