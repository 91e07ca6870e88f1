"""The person cut out of a dataset's frames: masks, the background behind, and what stands before it
(docs/hmtalker.md#dataset-layout).

The background is gathered from some frames, whose masks come first. All the rest of a frame is made while it is in memory. Each
file is written on its own and whole; what is there is not made again.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dataset_folder import encoded, npy, write_bytes
from ..errors import FileFormatError
from ..face.crop import FaceCrop
from ..face.masks.look import PersonLook
from ..face.masks.masks import SAMPLES, FrameMasks, HeadMasker, from_parsing, parsing_png, video_look
from ..face.masks.plates import EVERY, BackgroundPlate, on_plate
from ..face.masks.torso import torso_under_head
from ..read_ahead import mapped
from ..torch_threads import one_thread_each
from .framing import cut_square
from .images import FRAME, PREVIEW_EVERY, missing, read_picture
from .looks import Looking
from .stages import Step

SOFT, OFTEN = 0.02, 0.1  # of the size: so near a person, hair may be seen; of the frames: a place seen in fewer may be hair
PREVIEW_TINT = 0.5  # of the colour laid over what is not the head
PARSING, TEETH, GT, TORSO, PLATE = "parsing/{}.png", "teeth_mask/{}.npy", "gt_imgs/{}.jpg", "torso_imgs/{}.png", "bc.jpg"


@dataclass(frozen=True)
class Cutting:
    """What the masks of T written frames are made from."""

    folder: Path
    points: np.ndarray           # [T, 68, 2] px
    size: int                    # px of the frames
    person: np.ndarray | None    # bool [1 or video frames, H, W] in video px: where the person is, drawn by somebody; None: found
    crop: FaceCrop
    source: np.ndarray           # int64 [T] video frame of each written one
    parsing: Path | None         # a folder of face-parsing images; None: `HeadMasker` makes them
    looking: Looking             # sees every frame that is cut out for the first time

    def write(self, step: Step) -> None:
        """Masks, background and layers of all frames that lack masks.

        Each frame is cut out on its own, with colours that are learnt from some frames spread over the video: an interrupted run
        comes to the same masks.
        """
        total = len(self.points)
        wanted, sampled = self._wanted(), set(plate_frames(total))
        done = total - len(wanted)
        step(done, total)
        if not wanted:
            return
        with one_thread_each():
            masker = HeadMasker((self.size, self.size), self._look(step) if self.parsing is None else None)
            for numbers in ([i for i in wanted if i in sampled], [i for i in wanted if i not in sampled]):
                layers = _Layers(self.folder) if (self.folder / PLATE).is_file() else None

                def make(i: int, layers: _Layers | None = layers) -> tuple[int, np.ndarray, FrameMasks]:
                    return self._made(i, masker, layers)

                with closing(mapped(make, numbers)) as made:
                    for i, frame, masks in made:
                        done += 1
                        step(done, total, {}, _tinted(frame, masks) if i % PREVIEW_EVERY == 0 else None)
                if not (self.folder / PLATE).is_file():
                    write_background(self.folder, total, self.size, lambda *_: step(done, total))
        self.looking.save()

    def _wanted(self) -> list[int]:
        for pattern in (PARSING, TEETH, GT, TORSO):
            (self.folder / pattern).parent.mkdir(exist_ok=True)
        return sorted({i for pattern in (PARSING, TEETH) for i in missing(self.folder, pattern, len(self.points))})

    def _made(self, i: int, masker: HeadMasker, layers: _Layers | None) -> tuple[int, np.ndarray, FrameMasks]:
        """Everything of one frame; without `layers`, which there cannot be before the background, all but those."""
        frame = read_picture(self.folder / FRAME.format(i))
        if self.parsing is not None:
            masks = _imported(self.parsing / f"{i}.png", frame, self.points[i])
        else:
            masks = masker(frame, self.points[i], self._drawn(i))
        if layers is not None:
            layers.write(i, frame, masks)
        write_bytes(self.folder / TEETH.format(i), npy(masks.teeth))
        write_bytes(self.folder / PARSING.format(i), encoded(".png", parsing_png(masks)))
        self.looking(i, frame)
        return i, frame, masks

    def _look(self, step: Step) -> PersonLook:
        """The person's colours in this video, learnt from frames spread over it."""
        samples, persons, total = [], [], len(self.points)
        for i in np.unique(np.linspace(0, total - 1, SAMPLES).round().astype(int)):
            samples.append((read_picture(self.folder / FRAME.format(i)), self.points[i]))
            persons.append(self._drawn(i))
            step(0, total, {"looked at": len(samples)})
        drawn = [person for person in persons if person is not None]
        return video_look(samples, drawn or None)

    def _drawn(self, i: int) -> np.ndarray | None:  # -> bool [size, size]
        if self.person is None:
            return None
        mask = self.person[0 if len(self.person) == 1 else min(int(self.source[i]), len(self.person) - 1)]
        return cut_square(mask.astype(np.uint8) * 255, self.crop) >= 128


class _Layers:
    """What stands before a written background."""

    def __init__(self, folder: Path):
        self.folder, self.plate = folder, read_picture(folder / PLATE)

    def write(self, i: int, frame: np.ndarray, masks: FrameMasks) -> np.ndarray:
        """gt_imgs (before the clean background), which is returned, and torso_imgs of a frame."""
        before = on_plate(frame, masks, self.plate)
        write_bytes(self.folder / GT.format(i), encoded(".jpg", before))
        write_bytes(self.folder / TORSO.format(i), encoded(".png", torso_under_head(frame, masks)))
        return before


def plate_frames(count: int) -> Sequence[int]:
    """Frames that the background is gathered from."""
    return sorted({*range(0, count, EVERY), count - 1})


def write_background(folder: Path, count: int, size: int, step: Callable[[int, int], object]) -> None:
    """bc.jpg: what is seen behind the person over the whole video. One that is there stays."""
    if (folder / PLATE).is_file():
        return
    plate, numbers = BackgroundPlate((size, size), SOFT * size, OFTEN), plate_frames(count)
    for done, i in enumerate(numbers, 1):
        plate.accumulate(read_picture(folder / FRAME.format(i)), ~_read_masks(folder, i).background)
        step(done, len(numbers))
    write_bytes(folder / PLATE, encoded(".jpg", plate.plate(smooth=True)))


def write_layers(folder: Path, count: int, step: Step) -> None:
    """gt_imgs and torso_imgs of every frame that has none."""
    for pattern in (GT, TORSO):
        (folder / pattern).parent.mkdir(exist_ok=True)
    wanted = sorted({*missing(folder, GT, count), *missing(folder, TORSO, count)})
    layers, done = _Layers(folder), count - len(wanted)
    step(done, count)

    def write(i: int) -> tuple[int, np.ndarray]:
        return i, layers.write(i, read_picture(folder / FRAME.format(i)), _read_masks(folder, i))

    with closing(mapped(write, wanted)) as written:
        for i, before in written:
            done += 1
            step(done, count, {}, before if i % PREVIEW_EVERY == 0 else None)


def _imported(path: Path, frame: np.ndarray, points: np.ndarray) -> FrameMasks:
    picture = read_picture(path)
    if picture.shape != frame.shape:
        raise FileFormatError(f"Face-parsing images must be {frame.shape[1]} x {frame.shape[0]} px, the size of the frames",
                              f"{path.name} is {picture.shape[1]} x {picture.shape[0]}", "Parse the images in ori_imgs")
    return from_parsing(picture, frame, points)


def _tinted(frame: np.ndarray, masks: FrameMasks) -> np.ndarray:
    """The frame in the parsing's colours where it is not head: for the preview."""
    import cv2

    mixed = cv2.addWeighted(frame, 1 - PREVIEW_TINT, parsing_png(masks), PREVIEW_TINT, 0)
    return cv2.copyTo(frame, (masks.head & ~masks.mouth).view(np.uint8), mixed)


def _read_masks(folder: Path, i: int) -> FrameMasks:
    """A written frame's masks, but for the teeth, which nobody asks for again.

    Worker threads call this, and numpy's .npy reader must not run in two threads at once: it parses the header with `ast`, which
    fails now and then ("AST constructor recursion depth mismatch", seen on Python 3.11.7).
    """
    return from_parsing(read_picture(folder / PARSING.format(i)))
