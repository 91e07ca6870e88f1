"""What takes time in writing a PNG file, in numba: rows filtered, runs of one byte found, and both coded by Huffman (deflate).

Masks and cut-out layers consist of large empty areas and, between them, of photographs, in which hardly anything comes twice: so
a run of equal bytes is all that is referred back to.
"""
from __future__ import annotations

import numpy as np

from .jit import compiled

SYMBOLS = 286
_END, _SHORTEST, _LONGEST = 256, 3, 258  # symbol of the end; bytes of a run
_RUN = 256             # tokens from here on: runs of 3, 4, ... bytes that equal the one before
_STOP = _RUN + _LONGEST - _SHORTEST + 1  # the token behind all others
_DEEPEST, _DEEPEST_OF_LENGTHS = 15, 7  # bits of a code word
_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])  # RFC 1951, 3.2.7


@compiled
def filtered(image):
    """Rows as PNG stores them: uint8 [H, 1 + W C], each byte less the one above (filter 2).

    Args:
        image: uint8 [H, W, C], contiguous.
    """
    height, length = image.shape[0], image.shape[1] * image.shape[2]
    flat, above = image.reshape(height, length), np.zeros(length, np.uint8)
    out = np.empty((height, 1 + length), np.uint8)
    for y in range(height):
        own, line = flat[y], out[y]
        line[0] = 2
        for x in range(length):
            line[1 + x] = own[x] - above[x]
        above = own
    return out


@compiled
def deflated(data):
    """A deflate stream of one block, uint8 [n].

    Args:
        data: uint8 [m], not empty.
    """
    tokens = _tokens(data)
    ways = _lengths(_counts(tokens), _DEEPEST)
    words = _words(ways)
    out, state = np.empty(2 * data.size + 1024, np.uint8), np.zeros(3, np.uint64)  # bits that wait, how many, bytes written
    head, sizes = _head(ways)
    _written(np.arange(head.size).astype(np.int16), head, sizes, out, state)
    bits, sizes = np.empty(_STOP + 1, np.uint64), np.empty(_STOP + 1, np.uint64)
    for token in range(_STOP + 1):
        if token < _RUN or token == _STOP:
            symbol, more, rest = min(token, _END), -1, 0
        else:  # and the distance 1, the only code of its kind: a zero
            symbol, more, rest = _length_symbol(token - _RUN + _SHORTEST)
        bits[token] = words[symbol] | np.uint64(rest) << np.uint64(ways[symbol])
        sizes[token] = ways[symbol] + more + 1
    _written(tokens, bits, sizes, out, state)
    at = np.int64(state[2])
    out[at] = np.uint8(state[0])
    return out[:at + 1] if state[1] else out[:at]


@compiled
def _tokens(data):
    """The data as bytes (0 to 255), runs of the byte before (`_RUN` and more), and `_STOP`: int16 [k]."""
    tokens, count, at, size = np.empty(data.size + 1, np.int16), 1, 1, data.size
    words = data[:size // 8 * 8].view(np.uint64)
    tokens[0] = data[0]
    while at < size:
        value = data[at]
        # no "and": in a photograph each of the three would be guessed wrong now and then
        if at + 2 < size and (value == data[at - 1]) & (value == data[at + 1]) & (value == data[at + 2]):
            stop = _run_end(data, words, at + _SHORTEST, min(at + _LONGEST, size))
            tokens[count] = _RUN + stop - at - _SHORTEST
            at = stop
        else:
            tokens[count] = value
            at += 1
        count += 1
    tokens[count] = _STOP
    return tokens[:count + 1]


@compiled
def _run_end(data, words, at, most):
    """The first place from `at` on, at most `most`, whose byte is not the one before it. Eight at once where that is possible."""
    value = data[at - 1]
    while at < most and at % 8 and data[at] == value:
        at += 1
    if at % 8 == 0:
        eight = np.uint64(value) * np.uint64(0x0101010101010101)
        while at + 8 <= most and words[at // 8] == eight:
            at += 8
        while at < most and data[at] == value:
            at += 1
    return at


@compiled
def _counts(tokens):
    """How often each of deflate's symbols comes, int64 [286]."""
    every, out = np.zeros((2, _STOP + 1), np.int64), np.zeros(SYMBOLS, np.int64)
    for k in range(tokens.size // 2):  # two tables: equal tokens in a row need not wait for one another
        every[0, tokens[2 * k]] += 1
        every[1, tokens[2 * k + 1]] += 1
    if tokens.size % 2:
        every[0, tokens[-1]] += 1
    for token in range(_STOP):
        out[token if token < _RUN else _length_symbol(token - _RUN + _SHORTEST)[0]] += every[0, token] + every[1, token]
    out[_END] = 1
    return out


@compiled
def _length_symbol(length):
    """The symbol of a run's length, how many bits follow it, and these (RFC 1951, 3.2.5)."""
    if length == _LONGEST:
        return 285, 0, 0
    if length < 11:
        return 254 + length, 0, 0
    more, from_three = 1, length - 3
    while from_three >> (more + 3):
        more += 1
    return 257 + 4 * more + (from_three >> more), more, from_three & ((1 << more) - 1)


@compiled
def _lengths(counts, deepest):
    """Bits of each symbol's code word in Huffman's code, int64 [n], at most `deepest`; 0 for symbols that do not come."""
    out = np.zeros(counts.size, np.int64)
    weights = counts.copy()
    while True:
        most = _depths(weights, out)
        if most <= deepest:
            return out
        for symbol in range(weights.size):  # flatter, until it fits
            if weights[symbol]:
                weights[symbol] = (weights[symbol] + 1) // 2


@compiled
def _depths(weights, out):
    """Writes each symbol's depth in Huffman's tree into `out` and returns the largest. Two lists in order stand for the heap."""
    size, leaves = weights.size, 0
    used, weight, parent = np.empty(size, np.int64), np.empty(2 * size, np.int64), np.zeros(2 * size, np.int64)
    for symbol in range(size):  # in order of weight, equal ones in their own
        if weights[symbol]:
            at = leaves
            while at and weight[at - 1] > weights[symbol]:
                used[at], weight[at] = used[at - 1], weight[at - 1]
                at -= 1
            used[at], weight[at] = symbol, weights[symbol]
            leaves += 1
    leaf, made = 0, leaves  # the next of each list
    for node in range(leaves, 2 * leaves - 1):
        weight[node] = 0
        for _ in range(2):
            if leaf < leaves and (made >= node or weight[leaf] <= weight[made]):
                child, leaf = leaf, leaf + 1
            else:
                child, made = made, made + 1
            weight[node] += weight[child]
            parent[child] = node
    depth, most = np.zeros(2 * size, np.int64), 0
    for node in range(2 * leaves - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
        if node < leaves:
            out[used[node]] = depth[node]
            most = max(most, depth[node])
    return most


@compiled
def _words(lengths):
    """The code word of each symbol, its first bit lowest: uint64 [n] (RFC 1951, 3.2.2)."""
    counts, following = np.zeros(_DEEPEST + 2, np.int64), np.zeros(_DEEPEST + 2, np.int64)
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    for bits in range(1, _DEEPEST + 1):
        following[bits] = (following[bits - 1] + counts[bits - 1]) << 1
    out = np.zeros(lengths.size, np.uint64)
    for symbol in range(lengths.size):
        word = following[lengths[symbol]]
        following[lengths[symbol]] += 1
        turned = 0
        for bit in range(lengths[symbol]):
            turned |= (word >> bit & 1) << (lengths[symbol] - 1 - bit)
        out[symbol] = turned
    return out


@compiled
def _head(lengths):
    """What comes before the tokens: the code's description, every length by itself in a code of lengths. (bits, how many of each:
    uint64 [n] both.)"""
    counts = np.zeros(19, np.int64)
    for length in lengths:
        counts[length] += 1
    counts[1] += 1  # of the one distance
    ways = _lengths(counts, _DEEPEST_OF_LENGTHS)
    words, first, size = _words(ways), 5, _ORDER.size
    bits, sizes = np.empty(first + size + SYMBOLS, np.uint64), np.empty(first + size + SYMBOLS, np.uint64)
    bits[0], sizes[0] = 1 | 2 << 1, 3  # the last block, with codes of its own
    bits[1], sizes[1] = SYMBOLS - 257, 5
    bits[2], sizes[2] = 0, 5  # one distance
    bits[3], sizes[3] = size - 4, 4
    for k in range(size):
        bits[4 + k], sizes[4 + k] = ways[_ORDER[k]], 3
    for symbol in range(SYMBOLS + 1):
        length = lengths[symbol] if symbol < SYMBOLS else 1
        bits[4 + size + symbol], sizes[4 + size + symbol] = words[length], ways[length]
    return bits, sizes


@compiled
def _written(tokens, bits, sizes, out, state):
    """The bits of all tokens, the lowest first; what is no whole byte waits."""
    waiting, held, at = state[0], state[1], np.int64(state[2])
    for token in tokens:
        waiting |= bits[token] << held
        held += sizes[token]
        if held >= np.uint64(32):
            for k in range(4):
                out[at + k] = np.uint8(waiting >> np.uint64(8 * k) & np.uint64(255))
            at += 4
            waiting, held = waiting >> np.uint64(32), held - np.uint64(32)
    while held >= np.uint64(8):
        out[at] = np.uint8(waiting & np.uint64(255))
        waiting, held, at = waiting >> np.uint64(8), held - np.uint64(8), at + 1
    state[0], state[1], state[2] = waiting, held, np.uint64(at)
