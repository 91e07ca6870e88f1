"""Head, hair, inside of the mouth, neck and clothes of every frame: a network's cut-out or a user's mask, divided by landmarks
and the person's colours; or from a parsing.

    look = video_look(samples)                      # (frame, points) of up to SAMPLES frames, evenly over the video
    masker = HeadMasker((512, 512), look)
    masks = masker(frame, points)                   # each frame for itself

Without a look the masker learns one from every frame for itself (docs/capture.md#masks).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...errors import TalkingHeadsError
from ..geometry import height_width
from .layer_kernels import coloured
from .look import PersonLook, learn_look
from .mouth_inside import mouth_inside
from .parts import divided
from .person import View, cut_out, soft_person
from .regions import head_axes

SAMPLES = 12       # frames that are enough to learn a look from
_VOTERS = 6        # of them that can tell what is usual
_SHORT, _HARDLY = 0.3, 0.01  # units below the chin; of the person below that: less hair is none
PALETTE = {"background": (255, 255, 255), "face": (0, 0, 255), "neck": (0, 255, 0), "clothes": (255, 0, 0),
           "mouth": (100, 100, 100), "hair": (0, 0, 0)}  # RGB, docs/hmtalker.md#dataset-layout
_COLOURS = np.array([PALETTE[name] for name in ("background", "clothes", "neck", "face", "hair", "mouth")], np.uint8)


@dataclass(frozen=True)
class FrameMasks:
    """Regions of one frame, bool [H, W] each."""
    head: np.ndarray    # all of it: skin, hair, eyes, mouth
    hair: np.ndarray    # part of the head
    mouth: np.ndarray   # inside of the mouth, part of the head
    teeth: np.ndarray   # part of the mouth
    torso: np.ndarray   # neck and clothes
    neck: np.ndarray    # part of the torso

    @property
    def background(self) -> np.ndarray:
        """Everything but the person."""
        return ~(self.head | self.torso)

    @property
    def person(self) -> np.ndarray:
        return self.head | self.torso


class HeadMasker:
    """Masks of a video's frames, each on its own.

    Args:
        image_size: (H, W) of the frames.
        look: what `learn_look` made of the video; None: learnt from each frame for itself.
    """

    def __init__(self, image_size: tuple[int, int], look: PersonLook | None = None):
        self.image_size, self._look = height_width(image_size), look

    def __call__(self, frame: np.ndarray, points: np.ndarray, user: np.ndarray | None = None, *,
                 soft: np.ndarray | None = None) -> FrameMasks:
        """Masks of a frame.

        Args:
            frame: uint8 [H, W, 3].
            points: [68, 2] pixels, finite.
            user: bool [H, W], the person by another tool; taken as it is.
            soft: the frame's answer of `soft_persons` or `soft_person`, where that was asked for before.
        Raises:
            TalkingHeadsError: a size or a point is wrong.
        """
        self._check(frame, points, user)
        view = View.of(frame, points)
        person = _found(view, soft) if user is None else user.astype(bool)
        look = learn_look([(frame, points)], [person]) if self._look is None else self._look
        return split_person(view, person, look)

    def _check(self, frame: np.ndarray, points: np.ndarray, user: np.ndarray | None) -> None:
        height, width = self.image_size
        if frame.shape != (height, width, 3) or user is not None and user.shape != (height, width):
            raise TalkingHeadsError(f"Frames and masks must be {width} x {height} pixels, like the first",
                                    f"frame {frame.shape}, mask {None if user is None else user.shape}",
                                    "Scale them, or start over for another size")
        if np.shape(points) != (68, 2) or not np.isfinite(points).all():
            raise TalkingHeadsError("A frame's masks need its 68 landmarks, finite numbers", f"shape {np.shape(points)}",
                                    "Fill the missing frames first, or leave them out")


def video_look(samples: Sequence[tuple[np.ndarray, np.ndarray]], persons: Sequence[np.ndarray] | None = None) -> PersonLook:
    """`learn_look`, and of people with short hair where the torso usually is, by the samples' own masks: a collar of the hair's
    colour stays a collar where hair touches it for a while. Long hair comes and goes."""
    look = learn_look(samples, persons)
    if len(samples) < _VOTERS:
        return look
    masker, torsos, hanging = HeadMasker(height_width(samples[0][0].shape[:2]), look), [], []
    for i, (frame, points) in enumerate(samples):
        view, masks = View.of(frame, points), masker(frame, points, None if persons is None else persons[i])
        torsos.append(view.reduced(masks.torso))
        low = slice(max(int(points[8, 1] + _SHORT * head_axes(points).unit), 0), None)
        hanging.append(np.count_nonzero(masks.head[low]) / max(np.count_nonzero(masks.person[low]), 1))
    return replace(look, torso=np.mean(torsos, axis=0, dtype=np.float32)) if np.median(hanging) < _HARDLY else look


def _found(view: View, soft: np.ndarray | None) -> np.ndarray:  # float32 [H, W] or [h, w] -> bool [H, W]
    return cut_out(view, soft_person(view) if soft is None else soft)


def split_person(view: View, person: np.ndarray, look: PersonLook) -> FrameMasks:
    """The person (bool [H, W]) of a frame divided into its parts."""
    parts = divided(view, person, look)
    mouth, teeth = mouth_inside(view.frame, view.points, view.axes.unit)
    head = parts.head | mouth
    return FrameMasks(head=head, hair=parts.hair & ~mouth, mouth=mouth, teeth=teeth, torso=person & ~head,
                      neck=parts.neck & ~head)


def parsing_png(masks: FrameMasks) -> np.ndarray:
    """uint8 [H, W, 3] RGB: a face parsing in the usual colours (`PALETTE`)."""
    layers = masks.torso, masks.neck, masks.head, masks.hair, masks.mouth
    return coloured(*(np.ascontiguousarray(layer).view(np.uint8) for layer in layers), _COLOURS)  # the last one is on top


def from_parsing(parsing: np.ndarray, frame: np.ndarray | None = None, points: np.ndarray | None = None) -> FrameMasks:
    """Masks from a face parsing in the colours of `PALETTE`, by another tool or by `parsing_png`.

    Args:
        parsing: uint8 [H, W, 3] RGB. Colours in between (a scaled or lossy image) count as the nearest of the six.
        frame, points: uint8 [H, W, 3] and [68, 2], to find the teeth with; without them there are none.
    """
    label = _labels(parsing)
    region = {name: label == number for number, name in enumerate(PALETTE)}
    teeth = np.zeros(label.shape, bool)
    if frame is not None and points is not None:
        teeth = mouth_inside(frame, points, head_axes(points).unit)[1] & region["mouth"]
    return FrameMasks(head=region["face"] | region["hair"] | region["mouth"], hair=region["hair"], mouth=region["mouth"],
                      teeth=teeth, torso=region["clothes"] | region["neck"], neck=region["neck"])


def _labels(parsing: np.ndarray) -> np.ndarray:  # uint8 [H, W, 3] -> uint8 [H, W]
    """Each pixel's place in `PALETTE`, that of the nearest colour."""
    import cv2
    colours = np.array(list(PALETTE.values()), np.uint8)
    packed = cv2.cvtColor(np.ascontiguousarray(parsing), cv2.COLOR_RGB2RGBA).view(np.uint32)[..., 0]
    codes = cv2.cvtColor(colours[None], cv2.COLOR_RGB2RGBA).view(np.uint32)[0, :, 0]
    label = np.full(packed.shape, len(colours), np.uint8)
    for number, code in enumerate(codes):
        label -= (packed == code).view(np.uint8) * np.uint8(len(colours) - number)
    other = label == len(colours)
    if other.any():
        away = parsing[other].astype(np.int32)[:, None] - colours.astype(np.int32)
        label[other] = (away ** 2).sum(-1).argmin(-1)
    return label
