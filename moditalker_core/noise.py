"""Gaussian noise that belongs to frames: the same for a frame in any window, chunk or process."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

BLOCK = 32  # frames drawn at once; changing it changes every result


def frame_noise(seed: int, draw: int, start: int, stop: int, width: int) -> Tensor:  # float32 [stop - start, width]
    """Noise of frames `start` to `stop` of one draw.

    Args:
        seed: 0..2^64 - 1, of the whole motion.
        draw: 0 for the sampler's start, k for its k-th step.
        start, stop: frames >= 0.
        width: numbers per frame.
    """
    blocks = [_block(seed, draw, block, width) for block in range(start // BLOCK, (stop - 1) // BLOCK + 1)]
    first = start - start // BLOCK * BLOCK
    return torch.from_numpy(np.concatenate(blocks)[first:first + stop - start])


def _block(seed: int, draw: int, block: int, width: int) -> np.ndarray:  # float32 [BLOCK, width]
    key = np.array([seed, draw], np.uint64)  # of a list with numbers from 2^63 on numpy would make rounded floats
    counted = np.random.Philox(key=key, counter=[0, 0, 0, block])  # by counter: carries no state
    return np.random.Generator(counted).standard_normal((BLOCK, width), dtype=np.float32)
