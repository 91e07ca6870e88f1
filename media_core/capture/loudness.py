"""How loud a video's audio is, and whether it is clipped; a piece at a time."""
from __future__ import annotations

import numpy as np

from ..blocks import blocks
from ..stored_sound import PIECE, Audible, mix

_CLIPPED = 0.995   # of full scale
_ROW = 0.02        # s, pieces the loudness is measured over
_NOTHING, _LEAST = -120.0, 1e-8  # dB of no audio at all; of full scale's power: what is shown ends there


def clipping(sound: Audible) -> float:
    """The fraction of the samples at full scale."""
    clipped, samples = 0, 0
    for piece in blocks(sound.samples, PIECE):
        part = sound.part(piece.start, piece.stop)
        clipped, samples = clipped + np.count_nonzero(np.abs(part) >= _CLIPPED), samples + part.size
    return clipped / samples


def loudness(sound: Audible) -> np.ndarray:  # dB [rows]
    """Of every 20 ms."""
    row, one = max(1, round(_ROW * sound.sample_rate)), mix(sound)
    power = [np.square(one.of(sound.part(block.start * row, block.stop * row)).reshape(-1, row), dtype=np.float64).mean(axis=1)
             for block in blocks(sound.samples // row)]
    return 10 * np.log10(np.maximum(np.concatenate(power), 10 ** (_NOTHING / 10))) if power else np.full(1, _NOTHING)


def loudness_of(sound: Audible, count: int) -> np.ndarray:  # dB [count]
    """Of so many equal pieces."""
    edges, one, out = np.linspace(0, sound.samples, count + 1).astype(int), mix(sound), np.empty(count)
    for block in blocks(count):
        own = edges[block.start:block.stop + 1]
        mono = one.of(sound.part(int(own[0]), int(max(own[-1], own[-2] + 1))))
        out[block] = [np.mean(np.square(mono[a:max(b, a + 1)], dtype=np.float64)) for a, b in zip(own - own[0], own[1:] - own[0])]
    return 10 * np.log10(np.maximum(out, _LEAST))
