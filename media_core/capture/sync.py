"""Whether the lips and the audio of a video are in sync, measured without a network.

The proxy of docs/capture.md: a small regression predicts the lips' opening from the audio of one instant; at the lag at which
it predicts best, the two belong together. It is fitted on one half of the video and tested on the other, separately for
every lag, and sees no neighbouring audio, so that it cannot learn to undo a lag.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..blocks import blocks
from ..speech import Speech

REACH = 15            # frames, lags tried to either side
LEAST_SCORE = 0.30    # correlation below which the best lag means nothing ...
LEAST_MARGIN = 0.10   # ... as it does when the lags' median comes this close
LEAST_LEAD = 0.08     # ... or the best lag that is no neighbour: syllables repeat
NEIGHBOURS = 3        # lags to either side that the lips' own slowness raises
LEAST_FRAMES = 125    # shorter videos decide nothing
BANDS = 16            # groups of neighbouring features: few enough for a video of some seconds
_PIECE = 50           # frames of one fold's pieces: 2 s
_RIDGE = 1.0          # weight decay per frame and unit of variance, in hundredths


@dataclass(frozen=True)
class SoundOffset:
    """The offset between audio and lips."""

    frames: int           # the audio comes so many frames after the lips; negative: before
    score: float          # correlation of predicted and seen opening at that lag
    margin: float         # by how much that exceeds the lags' median
    decided: bool         # False: too short, too quiet or too noisy to tell
    scores: tuple[float, ...] = ()  # at the lags -REACH..REACH


def sound_offset(aperture: np.ndarray, speech: Speech, fps: float) -> SoundOffset:  # [T]
    """The lag between the lips' opening and the audio.

    Args:
        aperture: [T] the lips' opening in any unit, NaN where unknown.
        speech: of the video's audio, from its first frame on.
        fps: frames per second of `aperture`.
    """
    sound = _sound_rows(speech, len(aperture), fps)
    lags = range(-REACH, REACH + 1)
    if np.isfinite(aperture).sum() < LEAST_FRAMES + REACH or np.nanstd(aperture) == 0 or bool(speech.silence.all()):
        return SoundOffset(frames=0, score=0.0, margin=0.0, decided=False, scores=(0.0,) * len(lags))
    scores = [_predicted(aperture, sound, lag) for lag in lags]
    best = int(np.argmax(scores))
    margin = scores[best] - float(np.median(scores))
    lead = scores[best] - max(score for i, score in enumerate(scores) if abs(i - best) > NEIGHBOURS)
    decided = scores[best] >= LEAST_SCORE and margin >= LEAST_MARGIN and lead >= LEAST_LEAD and 0 < best < len(scores) - 1
    return SoundOffset(frames=lags[best], score=scores[best], margin=margin, decided=decided, scores=tuple(scores))


def in_bands(speech: Speech) -> Speech:
    """The same audio by the means of its features in `BANDS` groups: all that lips are compared with, and of a long video a fifth
    as much to hold."""
    groups = torch.tensor_split(speech.features, min(BANDS, speech.features.shape[1]), dim=1)
    return replace(speech, features=torch.stack([group.mean(dim=1) for group in groups], dim=1), silence_features=None)


def _sound_rows(speech: Speech, frames: int, fps: float) -> np.ndarray:  # float64 [T, BANDS]
    """The mean feature row of each video frame's own time, in bands; silence behind the end. Some frames at a time: features of a
    long video in double precision, and their sums, would be the most that a capture holds."""
    features, lowest = speech.features.numpy(), speech.features.numpy().min(axis=0).astype(np.float64)
    edges = np.clip(np.rint(np.arange(frames + 1) / fps * speech.rate).astype(int), 0, len(features))
    bands = min(BANDS, features.shape[1])
    out = np.empty((frames, bands))
    for block in blocks(frames):
        own = edges[block.start:block.stop + 1]
        total = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features[own[0]:own[-1]], axis=0, dtype=np.float64)])
        rows = (total[own[1:] - own[0]] - total[own[:-1] - own[0]]) / np.maximum(own[1:] - own[:-1], 1)[:, None]
        rows[own[1:] == own[:-1]] = lowest
        out[block] = np.stack([part.mean(axis=1) for part in np.array_split(rows, bands, axis=1)], axis=1)
    return out


def _predicted(aperture: np.ndarray, sound: np.ndarray, lag: int) -> float:
    """Correlation of the opening with what the audio `lag` frames later predicts, by two folds of alternating pieces."""
    count = len(aperture) - abs(lag)
    y, x = aperture[max(-lag, 0):][:count], sound[max(lag, 0):][:count]
    known = np.isfinite(y)
    fold = (np.arange(count) // _PIECE % 2)[known]
    y, x = y[known], x[known]
    guess = np.zeros_like(y)
    for held in (0, 1):
        if not ((fold == held).any() and (fold != held).any()):
            return 0.0
        guess[fold == held] = _ridge(x[fold != held], y[fold != held], x[fold == held])
    return float(np.corrcoef(guess, y)[0, 1]) if guess.std() > 0 and y.std() > 0 else 0.0


def _ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:  # [n, C], [n], [m, C] -> [m]
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    z = (x - mean) / spread
    weights = np.linalg.solve(z.T @ z + 0.01 * _RIDGE * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean()))
    return (new - mean) / spread @ weights + y.mean()
