"""The one square of a video that becomes its frames: chosen once, from where the face is in all of them.

A square that moved with the face would hide the head's movement from the pose tracker and make the background swim, so it stands
still (docs/capture.md#framing). Unit of length: u, the distance of the outer eye corners.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_folder import MANIFEST, read_json
from ..errors import FileFormatError, TalkingHeadsError
from ..face.crop import FaceCrop
from ..face.geometry import EYES, height_width, inter_ocular, similarity
from ..face.landmarks.detector import no_face
from ..face.pose.pose import RigidShape
from ..face.track import FaceTrack
from ..video_part import Part
from ..video_planes import Image, averaged, part_of

ABOVE, BELOW, BESIDE = 2.0, 2.6, 2.3  # u from the eyes' middle: hair, shoulders, air
LEAST = 3.5         # u (beside the head's movement), side of the smallest square that shows hair and chin
WHOLE = 0.75        # of a square video's side: a square this large or larger is the whole video
_RARE = 2.0         # percent of the frames that may leave the box of the movement
_WIDTH_PERCENTILE = 75  # of the corners' distance over the video: it shrinks where the head turns


def frame_face(points: np.ndarray, image_size: tuple[int, int], size: int) -> FaceCrop:
    """The square for a video's frames: hair and shoulders in it, inside the image where that is possible.

    A square video whose face is large enough is taken whole. Where the image is too small to hold hair and chin, the square
    reaches beyond it, and the image's edge is repeated there.

    Args:
        points: [T, 68, 2] source px; frames with NaN do not count.
        image_size: (H, W) of the video, px.
        size: px of the frames to write.
    Raises:
        TalkingHeadsError: no frame has a face.
    """
    known = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(known):
        raise no_face("video", image_size, f"none found in {len(points)} frames", "a face",
                      "Record the head from the front, in good light, larger in the image")
    unit = float(np.percentile(inter_ocular(known), _WIDTH_PERCENTILE))
    eyes = known[:, EYES].mean(axis=1)
    low, high = np.percentile(eyes, (_RARE, 100 - _RARE), axis=0)
    top, bottom = low[1] - ABOVE * unit, high[1] + BELOW * unit
    side = max(bottom - top, high[0] - low[0] + 2 * BESIDE * unit)
    height, width = image_size
    if height == width and side >= WHOLE * width:
        return _square(0, 0, width, image_size, size)
    least = LEAST * unit + float((high - low).max())
    side = round(min(side, max(min(image_size), least)))
    middle = np.array([low[0] + high[0], top + min(bottom, top + side)]) / 2 + 0.5  # hair before shoulders
    side -= side % 2
    x, y = (_placed(centre, side, edge) for centre, edge in zip(middle, (width, height)))
    return _square(x, y, side, image_size, size)


def _placed(centre: float, side: int, edge: int) -> int:
    """First pixel of a stretch of `side` px around `centre` (from the image's border), inside 0..`edge` if it fits. Even: colours
    are stored for two pixels."""
    first = 2 * round((centre - side / 2) / 2)
    return min(max(first, 0), edge - side) if side <= edge else min(max(first, edge - side), 0)


def _square(x: int, y: int, side: int, image_size: tuple[int, int], size: int) -> FaceCrop:
    half = (side - 1) / 2
    matrix = similarity(0.0, size / side, (x + half, y + half), ((size - 1) / 2, (size - 1) / 2)).affine
    return FaceCrop(matrix[None], size, height_width(image_size))


@dataclass(frozen=True)
class Likeness:
    """What a new capture reuses from an older one of the same person and camera."""

    crop: FaceCrop
    shape: RigidShape    # of the person, with the focal length
    fingerprint: str     # changes with either, and with the points of the skull that poses are measured by

    def crop_for(self, image_size: tuple[int, int], size: int) -> FaceCrop:
        """The same square for frames of `size` px.

        Raises:
            TalkingHeadsError: the video is not as large as that of the older dataset.
        """
        if tuple(image_size) != tuple(self.crop.source_size):
            height, width = self.crop.source_size
            raise TalkingHeadsError(f"The video must be {width} x {height} px, as that of the dataset given as `like`",
                                    f"{image_size[1]} x {image_size[0]} px",
                                    "Leave `like` out, or record with the same camera settings")
        x, y, side = _box(self.crop)
        return _square(x, y, side, image_size, size)


def like_dataset(folder: str | Path) -> Likeness:
    """What a new capture can reuse from a captured dataset.

    Raises:
        FileFormatError: the folder holds no finished one.
    """
    import hashlib
    import json

    from .images import ANCHORS

    folder = Path(folder)
    manifest = read_json(folder / MANIFEST)
    if "crop" not in manifest:
        raise FileFormatError("The dataset given as `like` must be a finished capture of a video",
                              f"{folder} is not one", "Choose another folder, or finish its capture")
    crop, shape = FaceCrop.from_dict(manifest["crop"]), FaceTrack.load(folder / "track.safetensors").shape
    digest = hashlib.sha256(json.dumps(crop.to_dict(), sort_keys=True).encode())
    digest.update(str(manifest.get("checksums", {}).get(ANCHORS, "")).encode())
    digest.update(f"{shape.focal} {shape.image_size}".encode() + shape.points.tobytes())
    return Likeness(crop, shape, digest.hexdigest())


def _box(crop: FaceCrop) -> tuple[int, int, int]:
    """First column, first row and side of the square, whole source px."""
    x, y = crop.to_source(np.array([-0.5, -0.5])) + 0.5
    return round(float(x)), round(float(y)), round(crop.side())


def beyond(crop: FaceCrop) -> float:
    """Fraction of the square that lies outside the image, 0..1."""
    corners = crop.to_source(np.array([[-0.5, -0.5], [crop.size - 0.5, crop.size - 0.5]]))
    height, width = crop.source_size
    inside = np.clip(corners, -0.5, [width - 0.5, height - 0.5])
    return float(1 - np.prod(inside[1] - inside[0]) / np.prod(corners[1] - corners[0]))


def needed(crop: FaceCrop) -> Part:
    """What the square shows of a video frame; nothing where it lies outside."""
    x, y, side = _box(crop)
    height, width = crop.source_size
    left, top = min(max(x, 0), width), min(max(y, 0), height)
    return Part(left, top, max(min(x + side, width), left), max(min(y + side, height), top))


def cut_square(image: Image, crop: FaceCrop) -> np.ndarray:  # uint8 [H, W, 3] -> uint8 [size, size, 3]
    """A video frame's square, as `crop.crop` gives it but quicker: it has whole source pixels. Averaged where it shrinks; beyond
    the frame its edge goes on."""
    import cv2

    x, y, side = _box(crop)
    height, width = crop.source_size
    margins, own = (max(-y, 0), max(y + side - height, 0), max(-x, 0), max(x + side - width, 0)), needed(crop)
    if side > crop.size and not any(margins):
        return averaged(image, own, (crop.size, crop.size))
    inside = part_of(image, own)
    square = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_REPLICATE) if any(margins) else inside
    if side == crop.size:
        return np.ascontiguousarray(square)
    return cv2.resize(square, (crop.size, crop.size), interpolation=cv2.INTER_AREA if side > crop.size else cv2.INTER_CUBIC)
