"""The images of a dataset: frames, masks, background, and what stands before it (docs/hmtalker.md#dataset-layout).

Each frame's files are written on their own and whole; a frame that is there is not made again.
"""
from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from ..dataset_folder import encoded, npy, write_bytes
from ..errors import FileFormatError
from ..face.crop import FaceCrop
from ..face.draw import draw_landmarks
from ..face.masks.look import PersonLook
from ..face.masks.masks import SAMPLES, FrameMasks, HeadMasker, from_parsing, parsing_png, video_look
from ..face.masks.plates import EVERY, BackgroundPlate, on_plate
from ..face.masks.torso import torso_under_head
from ..face.pose.steady import Anchors
from ..image_reading import check_size
from ..read_ahead import ahead, mapped
from ..torch_threads import one_torch_thread
from ..video_planes import Image
from ..video_reading import read_planes
from .framing import cut_square
from .stages import Step

PREVIEW_EVERY = 10  # frames
SOFT, OFTEN = 0.02, 0.1  # of the size: so near a person, hair may be seen; of the frames: a place seen in fewer may be hair
PREVIEW_TINT = 0.5  # of the colour laid over what is not the head
FRAME, PARSING, TEETH, GT, TORSO = "ori_imgs/{}.jpg", "parsing/{}.png", "teeth_mask/{}.npy", "gt_imgs/{}.jpg", "torso_imgs/{}.png"
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
    wanted = _missing(folder, FRAME, len(source))
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
    with closing(ahead(_until(frames, last, place))) as items, closing(mapped(write, items)) as written:
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


def write_masks(folder: Path, points: np.ndarray, size: int, person: np.ndarray | None, crop: FaceCrop, source: np.ndarray,
                parsing: Path | None, step: Step) -> None:
    """Parsing images and teeth of every frame: from `parsing` when given, else by `HeadMasker`.

    Each frame is cut out on its own, with colours that are learnt from some frames spread over the video: an interrupted run
    comes to the same masks.

    Args:
        points: [T, 68, 2] px.
        person: bool [1 or video frames, H, W] in video px: where the person is, drawn by somebody; None: found.
        source: int64 [T] video frame of each written one.
    """
    total = len(points)
    for pattern in (PARSING, TEETH):
        (folder / pattern).parent.mkdir(exist_ok=True)
    wanted = sorted({*_missing(folder, PARSING, total), *_missing(folder, TEETH, total)})
    done = total - len(wanted)
    step(done, total)
    drawn = None if person is None else lambda i: _drawn(person, int(source[i]), crop)
    with one_torch_thread():
        masker = HeadMasker((size, size), _look(folder, points, drawn, step) if wanted and parsing is None else None)

    def make(i: int) -> tuple[int, np.ndarray, FrameMasks]:
        frame = read_picture(folder / FRAME.format(i))
        if parsing is not None:
            masks = _imported(parsing / f"{i}.png", frame, points[i])
        else:
            masks = masker(frame, points[i], None if drawn is None else drawn(i))
        write_bytes(folder / PARSING.format(i), encoded(".png", parsing_png(masks)))
        write_bytes(folder / TEETH.format(i), npy(masks.teeth))
        return i, frame, masks

    with one_torch_thread(), closing(mapped(make, wanted)) as made:
        for i, frame, masks in made:
            done += 1
            step(done, total, {}, _tinted(frame, masks) if i % PREVIEW_EVERY == 0 else None)


def _look(folder: Path, points: np.ndarray, drawn: Callable[[int], np.ndarray] | None, step: Step) -> PersonLook:
    """The person's colours in this video, learnt from frames spread over it."""
    samples, persons = [], []
    for i in np.unique(np.linspace(0, len(points) - 1, SAMPLES).round().astype(int)):
        samples.append((read_picture(folder / FRAME.format(i)), points[i]))
        if drawn is not None:
            persons.append(drawn(i))
        step(0, len(points), {"looked at": len(samples)})
    return video_look(samples, persons or None)


def _drawn(person: np.ndarray, number: int, crop: FaceCrop) -> np.ndarray:  # -> bool [size, size]
    mask = person[0 if len(person) == 1 else min(number, len(person) - 1)]
    return cut_square(mask.astype(np.uint8) * 255, crop) >= 128


def _imported(path: Path, frame: np.ndarray, points: np.ndarray) -> FrameMasks:
    picture = read_picture(path)
    if picture.shape != frame.shape:
        raise FileFormatError(f"Face-parsing images must be {frame.shape[1]} x {frame.shape[0]} px, the size of the frames",
                              f"{path.name} is {picture.shape[1]} x {picture.shape[0]}", "Parse the images in ori_imgs")
    return from_parsing(picture, frame, points)


def _tinted(frame: np.ndarray, masks: FrameMasks) -> np.ndarray:
    """The frame in the parsing's colours where it is not head: for the preview."""
    mixed = (frame * (1 - PREVIEW_TINT) + parsing_png(masks) * PREVIEW_TINT).astype(np.uint8)
    return np.where((masks.head & ~masks.mouth)[..., None], frame, mixed)


def write_background(folder: Path, count: int, size: int, step: Step) -> None:
    """bc.jpg: what is seen behind the person over the whole video."""
    plate = BackgroundPlate((size, size), SOFT * size, OFTEN)
    numbers = sorted({*range(0, count, EVERY), count - 1})
    for done, i in enumerate(numbers, 1):
        masks = _read_masks(folder, i)
        plate.accumulate(read_picture(folder / FRAME.format(i)), ~masks.background)
        step(done, len(numbers))
    write_bytes(folder / "bc.jpg", encoded(".jpg", plate.plate(smooth=True)))


def write_layers(folder: Path, count: int, step: Step) -> None:
    """gt_imgs (before the clean background) and torso_imgs of every frame."""
    for pattern in (GT, TORSO):
        (folder / pattern).parent.mkdir(exist_ok=True)
    wanted = sorted({*_missing(folder, GT, count), *_missing(folder, TORSO, count)})
    plate, done = read_picture(folder / "bc.jpg"), count - len(wanted)
    step(done, count)

    def write(i: int) -> tuple[int, np.ndarray]:
        frame, masks = read_picture(folder / FRAME.format(i)), _read_masks(folder, i)
        whole = on_plate(frame, masks, plate)
        write_bytes(folder / GT.format(i), encoded(".jpg", whole))
        write_bytes(folder / TORSO.format(i), encoded(".png", torso_under_head(frame, masks)))
        return i, whole

    with closing(mapped(write, wanted)) as written:
        for i, whole in written:
            done += 1
            step(done, count, {}, whole if i % PREVIEW_EVERY == 0 else None)


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


def _read_masks(folder: Path, i: int) -> FrameMasks:
    """A written frame's masks, but for the teeth, which nobody asks for again.

    Worker threads call this, and numpy's .npy reader must not run in two threads at once: it parses the header with `ast`, which
    fails now and then ("AST constructor recursion depth mismatch", seen on Python 3.11.7).
    """
    return from_parsing(read_picture(folder / PARSING.format(i)))


def _missing(folder: Path, pattern: str, count: int) -> list[int]:
    return [i for i in range(count) if not (folder / pattern.format(i)).is_file()]
