"""What stands behind a person: the clean background of a video, and the neck and clothes as they go on under the head.

Both follow the rules that published avatars were prepared with (docs/capture.md), one frame at a time:
memory does not grow with the video.
"""
from __future__ import annotations

import numpy as np

from ...errors import TalkingHeadsError
from ..geometry import height_width
from .filling import filled
from .masks import FrameMasks

EVERY = 20            # frames between two that the background is gathered from
_NEAR = 5.0           # pixels: closer than this to the person, a background pixel is not trusted
_TORSO_RISE = 8       # rows that the clothes are continued upward by
_NECK_RISE = 52       # rows that the neck is continued upward by, counted from where its colour is taken
_NECK_DIP = 4         # rows below the neck's upper edge where its colour is taken
_NECK_GROWTH = 3      # rows that the neck is grown by, up and down
_FADE = 0.98          # brightness kept from a row to the next above
_BLUR_SIZE, _BLUR = 5, 4.0  # of the neck's fill, against vertical lines: window and standard deviation, pixels


class BackgroundPlate:
    """Gathers the background of a video with a camera that stands still.

    For each pixel the frame counts in which the person was farthest away from it. Memory: 11 bytes a pixel, whatever the length.

    Args:
        image_size: (H, W).
        near: pixels; closer than this to the person, nothing is trusted to be background: hair is soft.
        often: fraction of the frames that must show a pixel: in fewer it may be hair that a mask has missed. Where no pixel is
            seen so often, one frame is enough.
    """

    def __init__(self, image_size: tuple[int, int], near: float = _NEAR, often: float = 0.0):
        self._size, self._near, self._often = height_width(image_size), near, often
        self._frames, self._seen = 0, np.zeros(self._size, np.uint32)  # frames that showed a pixel
        self._image = np.zeros((*self._size, 3), np.uint8)
        self._distance = np.zeros(self._size, np.float32)  # pixels to the person in the frame taken; 0: none yet

    def accumulate(self, frame: np.ndarray, foreground: np.ndarray) -> None:  # uint8 [H, W, 3], bool [H, W]
        """Takes from a frame what it shows better than all before it.

        Args:
            frame: uint8 [H, W, 3].
            foreground: bool [H, W], the person; a frame without one shows all of the background.
        """
        import cv2
        if frame.shape != (*self._size, 3) or foreground.shape != self._size:
            raise TalkingHeadsError(f"Frames and masks of this background must be {self._size[1]} x {self._size[0]} pixels",
                                    f"frame {frame.shape}, mask {foreground.shape}", "Start a new background for another size")
        if foreground.any():
            distance = cv2.distanceTransform((~foreground).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            distance = np.sqrt(np.rint(distance * distance))  # squares are whole numbers; OpenCV's last bits vary
        else:
            distance = np.full(self._size, float(sum(self._size)), np.float32)  # farther than any person in the image
        self._frames += 1
        self._seen += distance > self._near
        better = distance > self._distance
        self._image[better] = frame[better]
        self._distance[better] = distance[better]

    @property
    def covered(self) -> float:
        """Fraction of the pixels that some frame has shown, 0..1; the rest is filled from its neighbours."""
        return float(self._known.mean())

    @property
    def _known(self) -> np.ndarray:  # bool [H, W]
        once = self._distance > self._near
        often = once & (self._seen >= self._often * self._frames)
        return often if often.any() else once

    def plate(self, *, smooth: bool = False) -> np.ndarray:
        """uint8 [H, W, 3], holes filled with the nearest pixel that was seen or, `smooth`, by all that are around them.

        Raises:
            TalkingHeadsError: no background was seen at all.
        """
        from scipy.ndimage import distance_transform_edt
        seen = self._known
        if not seen.any():
            raise TalkingHeadsError("Some of the background must be visible beside the person", "the person fills every frame",
                                    "Record from farther away, or give an image as background")
        if seen.all():
            return self._image.copy()
        if smooth:
            return np.rint(filled(self._image.astype(np.float32), seen)).astype(np.uint8)
        rows, columns = np.asarray(distance_transform_edt(~seen, return_distances=False, return_indices=True))
        return self._image[rows, columns]

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` needs to go on later: image uint8 [H, W, 3], distance float32, seen uint32 [H, W], frames uint32."""
        return {"image": self._image.copy(), "distance": self._distance.copy(), "seen": self._seen.copy(),
                "frames": np.array(self._frames, np.uint32)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes on from a `state` of the same size."""
        if state["image"].shape != self._image.shape or state["distance"].shape != self._size:
            raise TalkingHeadsError(f"The stored background must be {self._size[1]} x {self._size[0]} pixels",
                                    f"shape {state['image'].shape}", "Delete it and run the capture again")
        self._image, self._distance = state["image"].astype(np.uint8), state["distance"].astype(np.float32)
        self._seen, self._frames = state["seen"].astype(np.uint32), int(state["frames"])


def on_plate(frame: np.ndarray, masks: FrameMasks, plate: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]: the frame with everything but the person replaced by the plate (both uint8 [H, W, 3])."""
    import cv2
    out = frame.copy()
    return cv2.copyTo(plate, masks.background.view(np.uint8), out)


def torso_layer(frame: np.ndarray, masks: FrameMasks, plate: np.ndarray, *, hides: np.ndarray | None = None) -> np.ndarray:
    """Neck and clothes, continued upward to where the head hides them.

    Each column's uppermost pixel of the clothes goes on 9 rows, that of the neck (taken 4 rows deeper) 53 rows, a little darker
    with every row, wherever the pixel above it belongs to the head.

    Args:
        frame: uint8 [H, W, 3].
        masks: its regions.
        plate: uint8 [H, W, 3], the background.
        hides: bool [H, W], what moves in front of the neck and clothes; None is the whole head. (The published rule counts the
            skin alone, so that neck under hair is missing.)
    Returns:
        uint8 [H, W, 4] RGBA; alpha is 255 or 0, and where it is 0 so is the colour.
    """
    hides = masks.head if hides is None else hides
    person = on_plate(frame, masks, plate)
    clothes = masks.torso & ~masks.neck
    neck = _grown(masks.neck)
    layer = np.where(hides[..., None], plate, person)
    rise_clothes = _paint_upward(layer, person, clothes, hides, 0, _TORSO_RISE)
    rise_neck = _paint_upward(layer, person, neck, hides, _NECK_DIP, _NECK_RISE)
    _soften(layer, rise_neck)
    alpha = neck | clothes | rise_clothes | rise_neck
    return np.dstack([np.where(alpha[..., None], layer, 0), alpha.astype(np.uint8) * 255])


def _grown(mask: np.ndarray) -> np.ndarray:  # bool [H, W]
    """Grown up and down."""
    import cv2
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * _NECK_GROWTH + 1, 1), np.uint8)) > 0


def _paint_upward(layer, source, region, hides, dip: int, rise: int) -> np.ndarray:
    """Continues `region` upward in `layer` with colours of `source` (uint8 [H, W, 3]); returns where, bool [H, W]."""
    top = region.argmax(0)
    columns = np.flatnonzero(region.any(0) & (top > 0))
    columns = columns[hides[top[columns] - 1, columns]]
    start = top[columns] + np.minimum(region.sum(0)[columns] - 1, dip)
    colours = source[start, columns].astype(np.float64)
    painted = np.zeros(region.shape, bool)
    for step in range(rise + 1):
        row = start - step
        inside = row >= 0
        at = row[inside], columns[inside]
        layer[at] = colours[inside] * _FADE ** step
        painted[at] = True
    return painted


def _soften(layer: np.ndarray, region: np.ndarray) -> None:  # uint8 [H, W, 3], bool [H, W]
    """Blurs `layer` inside `region`."""
    import cv2
    if region.any():
        layer[region] = cv2.GaussianBlur(layer, (_BLUR_SIZE, _BLUR_SIZE), _BLUR)[region]
