"""A person cut out of a frame that has landmarks: a graph cut on colours between what is surely and surely not the person.

The first cut starts from the landmarks alone. From one or more such cuts a `HeadShape` is learnt: where the person usually is,
the head in its own axes, the shoulders in the image. Later frames then only have a narrow band to decide.
Everything depends on the frame and the shape only, so it does not matter where a video is resumed again.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .regions import MAYBE_NO, MAYBE_YES, SURE_NO, SURE_YES, face_outline, head_axes, polygon, seeds

WORKING = 256                       # pixels: longer edge that cuts are made at
_FIRST_ROUNDS, _BAND_ROUNDS = 3, 1  # of the graph cut: from landmarks, within the band
_SEED = 1
_NO_BOX = (0, 0, 0, 0)              # OpenCV reads none where labels are given
_GRID, _SPAN, _MIDDLE = 160, 5.2, 0.52  # the head's image: pixels, units across, where its centre is in the height
_YES, _NO = 0.9, 0.1                # fraction of the learnt cuts from which on it is sure
_BAND, _BAND_ALONE = 0.08, 0.10     # units that the undecided band is wider, for a shape of several frames, of one
_GENEROUS = 0.12                    # units around what is sure that the cut begins with: one too small loses pale hair
_NECK = 0.35                        # units below the chin, over which the shoulders take over from the head
_SEAM = 0.1                         # units below the chin, where the upper cut meets the lower
_REACH = 1.0                        # units above the chin, where the lower cut begins
_BESIDE = 0.5                       # units above the chin, where the background begins that its colours are learnt from
_CLEAR_FIRST, _CLEAR = 0.2, 0.1     # units from the outline that colours are learnt at: in a first round, later
_SHADES = (0, -14, 14, -7, 7)       # of 255: brightness by which the background may differ from what shows beside the head
_EXAMPLES, _STRIP, _FEW = 6000, 32, 200  # pixels that colours are learnt from: at most, in rows of, at least
_EDGE = 0.6                         # fraction from which a pixel at the outline is the person: cuts take mixed pixels in
_SPECK = 0.004                      # fraction of the image: smaller holes in a person are filled


@dataclass(frozen=True)
class HeadShape:
    """Where the person is, learnt from `count` frames."""
    head: np.ndarray       # float32 [160, 160] fraction of the frames, in the head's axes
    body: np.ndarray       # float32 [h, w] fraction of the frames, in the (reduced) image
    count: int


def reduced(frame: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # uint8 [H, W, 3], [68, 2]
    """-> (uint8 [h, w, 3] Lab, [68, 2]): the frame at the size that cuts are made at, with the points in its pixels."""
    import cv2
    height, width = frame.shape[:2]
    share = min(1.0, WORKING / max(height, width))
    size = max(8, round(width * share)), max(8, round(height * share))
    small = frame if share == 1.0 else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    scale = np.array([small.shape[1] / width, small.shape[0] / height])
    return cv2.cvtColor(small, cv2.COLOR_RGB2Lab), (np.asarray(points, float) + .5) * scale - .5


def enlarged(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:  # bool [h, w] -> bool [H, W]
    """A mask at the frame's size, with smooth edges."""
    import cv2
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)
    return cv2.resize(soft, shape[::-1], interpolation=cv2.INTER_LINEAR) > _EDGE


def learn_shape(samples: Sequence[tuple[np.ndarray, np.ndarray]]) -> HeadShape:
    """The shape of a person from some frames of one video, each (uint8 [H, W, 3], points [68, 2]), the same on every run.

    Cuts that went wrong in a few frames are outvoted by the others.
    """
    pictures = [reduced(frame, points) for frame, points in samples]
    cuts = [cut(lab, points, seeds(points, lab.shape[:2]), _FIRST_ROUNDS) for lab, points in pictures]
    shape = _average(cuts, [points for _, points in pictures])
    if len(samples) == 1:
        return shape
    cuts = [cut_band(lab, points, shape) for lab, points in pictures]
    return _average(cuts, [points for _, points in pictures])


def cut_band(lab: np.ndarray, points: np.ndarray, shape: HeadShape) -> np.ndarray:  # of `reduced` -> bool [h, w]
    """The person in a frame, by the shape and the frame's own colours."""
    return cut(lab, points, _band(points, shape, lab.shape[:2]), _BAND_ROUNDS)


def cut(lab: np.ndarray, points: np.ndarray, labels: np.ndarray, rounds: int) -> np.ndarray:
    """The person, bool [h, w], within the labels (uint8 [h, w]).

    Head and body have colours of their own, and the background's are learnt beside the head alone: what stands at the sides of a
    chest is more often a sleeve than a wall, and a dark suit does not tell what hair looks like.
    """
    import cv2
    rows = np.arange(len(lab))[:, None]
    unit, chin = head_axes(points).unit, float(points[8, 1])
    upper, lower = slice(0, _row(chin + _NECK * unit, lab)), slice(_row(chin - _REACH * unit, lab), None)
    seam = min(_row(chin + _SEAM * unit, lab), upper.stop)
    mask, body, first = (labels & 1) > 0, labels == SURE_YES, rounds > 1
    for _ in range(rounds):
        wide = _disc((_CLEAR_FIRST if first else _CLEAR) * unit)
        head = (cv2.erode(mask.astype(np.uint8), wide) > 0) | (labels == SURE_YES) if first else mask
        clear = cv2.dilate(mask.astype(np.uint8), wide) == 0
        beside = clear & (rows < chin - _BESIDE * unit)
        outside = _shaded(lab[beside if beside.sum() > _FEW else clear])
        new = np.zeros(mask.shape, bool)
        new[lower] = _graph_cut(lab[lower], labels[lower], lab[body & (rows >= chin)], outside)
        new[:seam] = _graph_cut(lab[upper], labels[upper], lab[head & (rows < chin)], outside)[:seam]
        mask, body, first = new, new, False
    return _tidied(mask, labels == SURE_YES)


def _shaded(pixels: np.ndarray) -> np.ndarray:  # uint8 [N, 3] Lab -> uint8 [<= 5 N', 3]
    """Background colours, also a little lighter and darker: behind the chest it is not lit as beside the head."""
    pixels = pixels[::max(1, len(pixels) * len(_SHADES) // _EXAMPLES)].astype(np.int16)
    shades = np.array(_SHADES, np.int16)[:, None, None] * np.array([1, 0, 0], np.int16)
    return np.clip(pixels + shades, 0, 255).astype(np.uint8).reshape(-1, 3)


def _row(place: float, lab: np.ndarray) -> int:
    return int(np.clip(place, 0, len(lab)))


def _graph_cut(lab: np.ndarray, labels: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """bool [h, w]: the cheapest cut through the undecided labels, given colours [N, 3] of either side."""
    import cv2
    labels = np.ascontiguousarray(labels)
    if min(labels.shape) < 2 or not (labels > SURE_YES).any() or min(len(inside), len(outside)) < _FEW:
        return (labels & 1) > 0
    models = _colours(inside, outside)
    cv2.grabCut(np.ascontiguousarray(lab), labels, _NO_BOX, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    return (labels & 1) > 0


def _colours(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two colour mixtures, background first, each float64 [1, 65]: learnt from a strip of nothing but examples."""
    import cv2
    strips = []
    for pixels in (outside, inside):
        pixels = pixels[::max(1, len(pixels) // _EXAMPLES)]
        strips.append(pixels[:len(pixels) // _STRIP * _STRIP].reshape(-1, _STRIP, 3))
    labels = np.repeat(np.array([SURE_NO, SURE_YES], np.uint8), [len(strip) for strip in strips])
    labels = np.ascontiguousarray(np.broadcast_to(labels[:, None], (len(labels), _STRIP)))
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(_SEED)
    cv2.grabCut(np.concatenate(strips), labels, _NO_BOX, *models, 1, cv2.GC_INIT_WITH_MASK)
    return models


def _tidied(mask: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Only what hangs together with sure parts, small holes filled."""
    import cv2
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    wanted = np.unique(parts[sure & mask])
    mask = np.isin(parts, wanted[wanted > 0])
    _, parts, table, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(table[:, cv2.CC_STAT_AREA] < mask.size * _SPECK)
    return mask | np.isin(parts, small[small > 0])


def _average(cuts: list[np.ndarray], points: list[np.ndarray]) -> HeadShape:
    import cv2
    heads = []
    for mask, own in zip(cuts, points):
        matrix = head_axes(own).affine(_GRID, _SPAN, _MIDDLE)
        heads.append(cv2.warpAffine(mask.astype(np.float32), matrix, (_GRID, _GRID),
                                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE))
    return HeadShape(np.asarray(np.mean(heads, 0, dtype=np.float32)), np.asarray(np.mean(cuts, 0, dtype=np.float32)), len(cuts))


def _band(points: np.ndarray, shape: HeadShape, size: tuple[int, int]) -> np.ndarray:  # -> uint8 [h, w] labels
    """Sure labels away from the learnt outline, undecided ones beside it."""
    import cv2
    axes = head_axes(points)
    share = cv2.warpAffine(shape.head, axes.affine(_GRID, _SPAN, _MIDDLE), size[::-1], flags=cv2.INTER_LINEAR)
    body = np.clip((np.arange(size[0], dtype=np.float32) - points[8, 1]) / (_NECK * axes.unit), 0, 1)[:, None].astype(np.float32)
    share = share * (1 - body) + shape.body * body
    width = _BAND if shape.count > 1 else _BAND_ALONE
    yes = cv2.erode((share > _YES).astype(np.uint8), _disc(width * axes.unit))
    possible = cv2.dilate((share > _NO).astype(np.uint8), _disc(width * axes.unit)) > 0
    near = cv2.dilate(yes, _disc(_GENEROUS * axes.unit)) > 0
    labels = np.where(near | (share > .5), MAYBE_YES, MAYBE_NO).astype(np.uint8)
    labels[~possible], labels[(yes > 0) | polygon(face_outline(points), size)] = SURE_NO, SURE_YES
    return labels


def _disc(radius: float) -> np.ndarray:  # pixels -> uint8 [2r + 1, 2r + 1]
    import cv2
    whole = max(1, round(radius))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * whole + 1, 2 * whole + 1))
