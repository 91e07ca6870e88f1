"""Which of the 478 mesh points is what (the numbering of the usual 468 + 10 face mesh), and the 68 points made from them."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

SKIN = 468        # points of the skin; the ten after them are irises and are not drawn
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
LIPS = np.array([  # four rings, outer to inner, 20 points each: right corner, lower lip, left corner, upper lip
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185],
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 408, 304, 303, 302, 11, 72, 73, 74, 184],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 407, 272, 271, 268, 12, 38, 41, 42, 183],
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]])
INNER_LIPS = LIPS[3]
EYES = (np.array([33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]),
        np.array([263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]))  # the subject's right, left
# upper edge, lower edge, crease of the lids
LIDS = (([246, 161, 160, 159, 158, 157, 173], [7, 163, 144, 145, 153, 154, 155], [247, 30, 29, 27, 28, 56, 190]),
        ([466, 388, 387, 386, 385, 384, 398], [249, 390, 373, 374, 380, 381, 382], [467, 260, 259, 257, 258, 286, 414]))
EYE_CORNERS = [33, 133, 263, 362]
# upper and lower edge of the brows, outer to inner
BROWS = (([70, 63, 105, 66, 107], [46, 53, 52, 65, 55]), ([300, 293, 334, 296, 336], [276, 283, 282, 295, 285]))
CHEEKS = ([50, 117, 118, 101], [280, 346, 347, 330])
SMILE_LINES = ([205, 36], [425, 266])
NOSE_WINGS = ([98, 64, 48, 115], [327, 294, 278, 344])
NOSE_BASE = [2, 97, 326, 94]
JAW_WEIGHTS = {  # how far each point follows the jaw
    152: 1, 148: 1, 377: 1, 176: 1, 400: 1, 149: 1, 378: 1, 150: .96, 379: .96, 136: .85, 365: .85, 172: .68, 397: .68,
    58: .42, 288: .42, 132: .2, 361: .2, 93: .05, 323: .05, 199: 1, 175: 1, 171: 1, 396: 1, 208: 1, 428: 1, 200: .98,
    32: .98, 262: .98, 140: 1, 369: 1, 170: .95, 395: .95, 194: .8, 418: .8, 204: .75, 424: .75}
CHIN = (199, 175, 200, 152, 171, 396, 208, 428, 194, 418, 204, 424, 32, 262)
FIXED = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 109, 67, 103, 54, 21, 162, 127, 234, 151, 337, 299, 333, 298, 301, 108, 69,
    104, 68, 71, 9, 8, 168, 6, 197, 195, 5, 4, 1, 45, 275, 51, 281, 143, 372, 34, 264, 227, 447, 116, 345, 123, 352, 137,
    366, 111, 340, 35, 265, 226, 446, 31, 261, 228, 448, 113, 342, 244, 464, 189, 413, 193, 417, 122, 351, 188, 412)
JAW_EDGE = [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454]
CHIN_EDGE = JAW_EDGE[2:-2]
# pairs that give the face's x axis
MIRRORED = ((33, 263), (133, 362), (61, 291), (234, 454), (58, 288), (172, 397), (127, 356), (93, 323))
SKIN_SAMPLE = [117, 118, 101, 36, 205, 187]  # of the right cheek
_OTHER_CHEEK, _NOSE = [346, 347, 330, 266, 425, 411], [197, 456, 420, 4, 198, 236]
_COVERED = .6  # of the nose's brightness: a cheek darker than that is hair, or in deep shade


def skin_sample(brightness: Callable[[list[int]], float]) -> list[int]:
    """The outline in which an image shows skin: the right cheek; where that is covered, by long hair for instance, the left one,
    or the nose.

    Args:
        brightness: of the image inside an outline of mesh points.
    """
    nose = brightness(_NOSE)
    return next((cheek for cheek in (SKIN_SAMPLE, _OTHER_CHEEK) if brightness(cheek) >= _COVERED * nose), _NOSE)


JAW_LINE = [127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356]
_MIDDLE = JAW_LINE.index(152)
POINTS_17_TO_67 = [
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327, 33, 160, 158, 133, 153, 144, 362,
    385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87]


def to_68(mesh: np.ndarray) -> np.ndarray:  # [>=468, 3] -> [68, 3]
    """The iBUG-68 points. The jaw's 17 are spaced evenly by arc length, the rest are mesh points (docs/capture.md)."""
    jaw = mesh[JAW_LINE]
    right, left = _evenly(jaw[:_MIDDLE + 1], 9), _evenly(jaw[_MIDDLE:], 9)
    return np.concatenate([right, left[1:], mesh[POINTS_17_TO_67]])


def _evenly(line: np.ndarray, count: int) -> np.ndarray:  # [n, 3] -> [count, 3]
    way = np.concatenate([[0], np.cumsum(np.sqrt((np.diff(line, axis=0) ** 2).sum(1)))])
    wanted = way[-1] * np.arange(count) / (count - 1)
    return np.stack([np.interp(wanted, way, axis) for axis in line.T], 1)
