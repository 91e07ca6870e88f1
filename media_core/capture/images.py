"""The frames of a dataset (docs/hmtalker.md#dataset-layout); `cutting` makes what else is written of each.

Each frame's files are written on their own and whole; a frame that is there is not made again.
"""
from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from ..dataset_folder import encoded, write_bytes
from ..errors import FileFormatError
from ..face.crop import FaceCrop
from ..face.draw import draw_landmarks
from ..face.pose.steady import Anchors
from ..image_reading import check_size
from ..read_ahead import ahead, mapped
from ..torch_threads import one_thread_each
from ..video_planes import Image
from ..video_reading import read_planes
from .framing import cut_square
from .stages import Step

PREVIEW_EVERY = 10  # frames
FRAME = "ori_imgs/{}.jpg"
ANCHORS = "anchors.safetensors"  # corners on the skull, for videos that are to share this one's head frame


def write_frames(folder: Path, film: Path, fps: float, source: np.ndarray, crop: FaceCrop, points: np.ndarray,
                 step: Step) -> None:
    """The square of every wanted video frame.

    Args:
        source: int64 [T] ascending, number in the video (at `fps`) of each written frame.
        points: [T, 68, 2] px of the written frames, for the preview.
    Raises:
        FileFormatError: the video ends before the last frame that was tracked.
    """
    wanted = missing(folder, FRAME, len(source))
    (folder / FRAME).parent.mkdir(exist_ok=True)
    step(len(source) - len(wanted), len(source))
    if not wanted:
        return
    first = int(source[wanted[0]])
    place = {int(source[i]): i for i in wanted}

    def write(item: tuple[int, Image]) -> tuple[int, np.ndarray]:
        number, frame = item
        square = cut_square(frame, crop)
        write_bytes(folder / FRAME.format(place[number]), encoded(".jpg", square))
        return place[number], square

    frames = enumerate(read_planes(film, fps, first), first)
    last = int(source[wanted[-1]])
    done = len(source) - len(wanted)
    with one_thread_each(), closing(ahead(_until(frames, last, place))) as items, closing(mapped(write, items)) as written:
        for i, square in written:
            done += 1
            step(done, len(source), {}, draw_landmarks(square, points[i]) if i % PREVIEW_EVERY == 0 else None)
    if done < len(source):
        raise FileFormatError("The video must be the one that was tracked", f"it ends {len(source) - done} frames earlier",
                              "Do not change the video while it is captured; run the capture again")


def grey(folder: Path, index: int) -> np.ndarray:  # uint8 [H, W]
    """A written frame without its colours.

    Raises:
        FileFormatError: absent or no image.
    """
    import cv2

    return _decoded(folder / FRAME.format(index), cv2.IMREAD_GRAYSCALE)


def thumbnail(folder: Path, index: int, side: int) -> np.ndarray:  # float32 [side, side]
    """A written frame in grey, reduced; a JPEG file is decoded at an eighth of its size where that is enough.

    Raises:
        FileFormatError: absent or no image.
    """
    import cv2

    small = _decoded(folder / FRAME.format(index), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    if min(small.shape) < side:
        small = grey(folder, index)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)


def known_anchors(folder: Path, image_size: tuple[int, int]) -> tuple[Anchors, list[np.ndarray]] | None:
    """The pose anchors of another dataset and their images; None when it has none, or frames of another size."""
    if not (folder / ANCHORS).is_file():
        return None
    anchors = Anchors.load(folder / ANCHORS)
    pictures = [grey(folder, index) for index in anchors.frames]
    return (anchors, pictures) if all(p.shape == tuple(image_size) for p in pictures) else None


def _until(frames: Iterator[tuple[int, Image]], last: int, wanted: Container[int]) -> Iterator[tuple[int, Image]]:
    for number, frame in frames:
        if number in wanted:
            yield number, frame
        if number >= last:
            return


def read_picture(path: Path) -> np.ndarray:  # uint8 [H, W, 3] RGB
    """An image file.

    Raises:
        FileFormatError: absent, no image, or a huge one.
    """
    import cv2

    return cv2.cvtColor(_decoded(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _decoded(path: Path, kind: int) -> np.ndarray:
    """As OpenCV has it. The file is read by Python: on Windows OpenCV opens no name with characters outside the code page."""
    import cv2

    data = path.read_bytes() if path.is_file() else b""
    check_size(data, path.name)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), kind) if data else None
    except cv2.error:  # an impossible size, say
        picture = None
    if picture is None:
        came = f"{path} cannot be read" if path.is_file() else f"no file at {path}"
        raise FileFormatError("Every image of the dataset must be there and readable", came,
                              "Make or copy it again; the capture then goes on")
    return picture


def missing(folder: Path, pattern: str, count: int) -> list[int]:
    return [i for i in range(count) if not (folder / pattern.format(i)).is_file()]
