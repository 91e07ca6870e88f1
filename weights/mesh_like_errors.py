"""Errors like those of the face mesh, for make_face_action_units.py: exact points, made as wrong as the mesh may see them.

Sizes are those measured where the truth is known, on renders of synthetic people, less what is a fault of the renders alone:
there the mesh errs around the mouth by far more than on people. Films of real people were looked at, not learnt from: a shut
eye keeps an eighth to a quarter of its opening in them, a third and more on renders. Lids are drawn from a twentieth to two
fifths, lips from a little too small to too large, to cover both.
"""
from __future__ import annotations

import numpy as np

FPS = 25.0
GROUPS = {  # of the eyes' outer distance, %: constant, slow alike in a group, slow of each point, of each frame
    "jaw": (range(17), (3.0, .8, .5, .25)), "right brow": (range(17, 22), (1.8, .5, .4, .25)),
    "left brow": (range(22, 27), (1.8, .5, .4, .25)), "nose": (range(27, 36), (1.2, .5, .3, .2)),
    "right eye": (range(36, 42), (1.2, .25, .3, .2)), "left eye": (range(42, 48), (1.2, .25, .3, .2)),
    "lips": (range(48, 68), (1.2, .5, .5, .4))}
LEVEL = (.3, 1.2)           # how large all of a person's errors are, of the sizes above
EYES_LEFT_OPEN = (.05, .4)  # of the person's opening, when the eyes are shut
LIPS_AMPLITUDE = (.85, 1.2)  # of the lips' opening
ALIKE, OWN = .5, .3         # s: memory of the slow errors
TURN = .04                  # of the turn of the head, by which a point slips over the face
OPEN_LIPPED, LEAST_SHUT = .5, .6  # probability of a neutral face with lips apart; frames passed over for it, at most
_LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))                         # upper, lower
_LIPS = ((61, 67, 50, 58), (62, 66, 51, 57), (63, 65, 52, 56))           # upper and lower inner lip, the outer ones beside them


def mesh_like_errors(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # [T, 68, 2] px -> [T, 68, 2] px
    """One person's film, as the mesh may see it."""
    from talking_heads.media_core.face.geometry import inter_ocular

    out = points.copy()
    unit = float(np.median(inter_ocular(points)))
    _open_lids(out, rng.uniform(*EYES_LEFT_OPEN))
    _stretch_lips(out, rng.uniform(*LIPS_AMPLITUDE))
    level = unit * rng.uniform(*LEVEL)
    for points_of, sizes in GROUPS.values():
        group = list(points_of)
        constant, alike, own, each = (level * size / 100 for size in sizes)
        out[:, group] += rng.normal(0, constant / 2 ** .5, (1, 2)) + rng.normal(0, constant / 2 ** .5, (len(group), 2))
        out[:, group] += slow(len(points), (1, 2), alike, ALIKE, rng) + slow(len(points), (len(group), 2), own, OWN, rng)
        out[:, group] += rng.normal(0, each, (len(points), len(group), 2))
    turned = np.diff(points[:, [36, 45]].mean(1) - points[:, 30:34].mean(1), axis=1) / unit  # a measure of the turn of the head
    return out + (turned - np.median(turned))[:, None] * level * rng.normal(0, TURN, (68, 2))


def open_lipped_rest(xy: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:  # [T, 68, 2] -> [68, 2]
    """A neutral face as of somebody who never closes the lips; None for most."""
    from talking_heads.media_core.face.action_units.action_units import NEUTRAL_SHARE, lip_gap

    skipped = round(len(xy) * max(0, rng.uniform(LEAST_SHUT * (1 - 1 / OPEN_LIPPED), LEAST_SHUT)))
    if not skipped:
        return None
    order = np.argsort(lip_gap(xy), kind="stable")
    return np.median(xy[order[skipped:skipped + round(NEUTRAL_SHARE * len(xy))]], axis=0)


def slow(frames: int, shape: tuple[int, ...], size: float, memory: float, rng: np.random.Generator) -> np.ndarray:
    """Noise [frames, *shape] of deviation `size` that forgets itself in `memory` seconds."""
    keep = np.exp(-1 / (memory * FPS))
    noise = rng.normal(0, size * np.sqrt(1 - keep * keep), (frames, *shape))
    noise[0] /= np.sqrt(1 - keep * keep)
    for i in range(1, frames):
        noise[i] += keep * noise[i - 1]
    return noise


def _open_lids(points: np.ndarray, left: float) -> None:
    """Eyes close to `left` of the person's opening, and are as open as before when they are open."""
    for upper, lower in _LIDS:
        gap = points[:, lower] - points[:, upper]
        height = np.linalg.norm(gap, axis=1)
        missing = left * np.maximum(np.percentile(height, 90) - height, 0)
        aside = gap / np.maximum(height, 1e-6)[:, None] * missing[:, None] / 2
        points[:, upper] -= aside
        points[:, lower] += aside


def _stretch_lips(points: np.ndarray, amplitude: float) -> None:
    """The inner lips' opening times `amplitude`; the outer lips go with them."""
    for upper, lower, above, below in _LIPS:
        aside = (amplitude - 1) / 2 * (points[:, lower] - points[:, upper])
        points[:, [upper, above]] -= aside[:, None]
        points[:, [lower, below]] += aside[:, None]
