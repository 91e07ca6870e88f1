"""Where faces are: scikit-image's LBP cascade, which comes inside its wheel (docs/capture.md). Frontal, upright faces."""
from __future__ import annotations

import numpy as np

from ...choices import ORDERS
from ...errors import TalkingHeadsError

SMALLEST = 1 / 10    # of the longer side: the smallest face looked for
_LONGEST = 288       # px: images are searched at this size
_WINDOW = 24         # px: the cascade's own size
_LEAST_SIDE = 64     # px: a usual portrait (a face of 3/10 of the height) still has one that is found, measured
_LEAST_FACE = 20     # px from brows to chin: about what the cascade's window needs, measured
_MERGE = 0.3         # overlapping boxes (intersection over union) are one face


def find_faces(image: np.ndarray, *, order: str = "largest", mask: np.ndarray | None = None,
               sizes: tuple[float, float] = (SMALLEST, 1.0)) -> np.ndarray:  # [N, 4]
    """Boxes x0, y0, x1, y1 in px of what may be faces in an RGB image; a few are not (see landmarks.py).

    Args:
        image: uint8 [H, W, 3].
        order: "largest" first, or "left" first (from the image's left to its right).
        mask: bool [H, W]; only faces whose middle lies inside count.
        sizes: smallest and largest box looked for, as a part of the longer side; a narrow range is fast.
    Raises:
        TalkingHeadsError: an unknown order, or a mask of another size.
    """
    check_search(image.shape[:2], order, mask)
    boxes = _searched(image, sizes)
    if mask is not None:
        middle = np.round((boxes[:, :2] + boxes[:, 2:]) / 2).astype(int)
        x, y = (np.clip(middle[:, k], 0, image.shape[1 - k] - 1) for k in (0, 1))
        boxes = boxes[mask[y, x].astype(bool)]
    key = -(boxes[:, 2] - boxes[:, 0]) if order == "largest" else boxes[:, 0]
    return boxes[np.argsort(key, kind="stable")]


def check_search(size: tuple[int, ...], order: str, mask: np.ndarray | None) -> None:
    """Raises:
        TalkingHeadsError: an unknown order of faces, or a mask [H, W] of another size than the image, (H, W) px.
    """
    if order not in ORDERS:
        raise TalkingHeadsError(f"The order of faces must be one of {', '.join(ORDERS)}", f"'{order}'", "Choose one of those")
    if mask is not None and mask.shape != size:
        raise TalkingHeadsError("The mask must be as large as the image",
                                f"{mask.shape[1]} x {mask.shape[0]} for {size[1]} x {size[0]} px",
                                "Scale the mask to the image")


def no_face(shown: str, size: tuple[int, int] | None, came: str, wanted: str = "an upright, frontal face",
            do: str = "Crop closer to the face, or turn it upright") -> TalkingHeadsError:
    """The error for images in which nothing was found: for a small image it does not suggest to crop.

    Args:
        shown: "image" or "video".
        size: (H, W) px of the images looked at; None: not known.
        came: what was found.
        wanted: what should have been; do: what helps where images are large enough.
    """
    if size is not None and min(size) < _LEAST_SIDE:
        return TalkingHeadsError(f"The {shown} must be at least {_LEAST_SIDE} x {_LEAST_SIDE} px for a face to be found",
                                 f"{came}; it is {size[1]} x {size[0]} px", "It is too small: use a larger one")
    if size is None or max(size) >= _WINDOW / SMALLEST:
        return TalkingHeadsError(f"The {shown} must show {wanted}", came, do)
    came = f"{came}; it is {size[1]} x {size[0]} px"
    return TalkingHeadsError(f"The {shown} must show {wanted}, {_LEAST_FACE} px or more from brows to chin", came,
                             "If the face is smaller, use a larger image or video; otherwise turn it upright")


def wanted_of(tracker: str) -> str:
    """What an image must show for this tracker (of `MEASURED_BY`) to find it: the networks for real people turn images."""
    return "a face" if tracker in ("people", "landmarks") else "an upright, frontal face"


def _searched(image: np.ndarray, sizes: tuple[float, float]) -> np.ndarray:  # [N, 4] float64
    import cv2
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    height, width = image.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    small = image if scale == 1 else cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))),
                                                interpolation=cv2.INTER_AREA)
    smallest = max(_WINDOW, round(sizes[0] * max(small.shape[:2])))
    largest = min(*small.shape[:2], round(sizes[1] * max(small.shape[:2])))
    if largest <= smallest:
        return np.zeros((0, 4))
    cascade = Cascade(lbp_frontal_face_cascade_filename())
    found = cascade.detect_multi_scale(img=small, scale_factor=1.1, step_ratio=1.0, min_size=(smallest, smallest),
                                       max_size=(largest, largest), min_neighbor_number=2)
    boxes = np.array([[f["c"], f["r"], f["c"] + f["width"], f["r"] + f["height"]] for f in found], float).reshape(-1, 4)
    return _merged(boxes) / scale


def _merged(boxes: np.ndarray) -> np.ndarray:
    """Each group of overlapping boxes becomes its mean."""
    groups: list[list[np.ndarray]] = []
    for box in boxes:
        for group in groups:
            if _overlap(box, np.mean(group, 0)) > _MERGE:
                group.append(box)
                break
        else:
            groups.append([box])
    return np.array([np.mean(g, 0) for g in groups]).reshape(-1, 4)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    inside = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(inside / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inside))
