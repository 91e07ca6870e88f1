"""Head, hair, inside of the mouth, neck and clothes of every frame, from landmarks alone or from a user's mask or parsing.

    shape = learn_shape(samples)                    # (frame, points) of up to SAMPLES frames, evenly over the video
    masker = HeadMasker((512, 512), shape)
    masks = masker(frame, points)                   # each frame for itself

Without a shape the masker learns one from every 8th frame and uses it for the seven that follow (docs/capture.md#masks).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import TalkingHeadsError
from ..geometry import height_width
from .mouth_inside import mouth_inside
from .person import HeadShape, cut_band, enlarged, learn_shape, reduced
from .regions import HeadAxes, above_jaw, face_outline, head_axes, jaw_middle, polygon

KEY_EVERY = 8      # frames, without a learnt shape
SAMPLES = 12       # frames that are enough to learn a shape from
PALETTE = {"background": (255, 255, 255), "face": (0, 0, 255), "neck": (0, 255, 0), "clothes": (255, 0, 0),
           "mouth": (100, 100, 100), "hair": (0, 0, 0)}  # RGB, docs/hmtalker.md#dataset-layout
_COLLAR = 0.55     # units below the chin: what is skin-coloured and higher is neck
_CHEEKS = [1, 3, 48, 33, 54, 13, 15, 28]  # outline of skin that is rarely covered
_TOP = ((-1.2, -.85), (1.2, -.85), (1.2, -2.4), (-1.2, -2.4))  # units: above the forehead
_LEAST_SPREAD = np.array([8, 2, 2], np.float32)  # of a colour in Lab
_SHADE, _SHADED = np.array([12, 2, 2], np.float32), 14.0  # more spread of skin in shadow; unlikeness up to which it is skin
_BALD, _UNKNOWN, _FEW = 6.0, 60.0, 16  # unlikeness to skin below which a top is bald; to a colour not seen; too few pixels
_CHEST = ((-.8, .8), (.8, .8), (1.2, 3), (-1.2, 3))  # units from the chin: clothes
_EARS, _JAW_ENDS = 2, 4             # points of the jaw, counted from its ends: above is head; beside it usually is
_HANGING = 1.5                      # units below the chin that hair may reach
_HAIRY, _CLEARLY = 8.0, 12.0        # unlikeness to hair up to which a strand may hang there, and clothes exceed it by


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
    """Masks of a video's frames, one after the other.

    Attributes:
        index: number of the next frame. To go on within a video without a learnt shape, set it to a multiple of `KEY_EVERY` and
            begin there: the result is that of an uninterrupted run.
    Args:
        image_size: (H, W) of the frames.
        shape: what `learn_shape` made of the video; each frame is then independent of all others.
    """

    def __init__(self, image_size: tuple[int, int], shape: HeadShape | None = None):
        self.image_size, self.index = height_width(image_size), 0
        self._learnt, self._shape = shape, shape

    def __call__(self, frame: np.ndarray, points: np.ndarray, user: np.ndarray | None = None) -> FrameMasks:
        """Masks of the next frame.

        Args:
            frame: uint8 [H, W, 3].
            points: [68, 2] pixels, finite.
            user: bool [H, W], the person by another tool; taken as it is.
        Raises:
            TalkingHeadsError: a size or a point is wrong, or the first frame after a restart is no key frame.
        """
        self._check(frame, points, user)
        points = np.asarray(points, float)
        person = self._person(frame, points) if user is None else user.astype(bool)
        self.index += 1
        return split_person(frame, points, person)

    def _person(self, frame, points) -> np.ndarray:  # -> bool [H, W]
        if self._learnt is None and self.index % KEY_EVERY == 0:
            self._shape = learn_shape([(frame, points)])
        if self._shape is None:
            raise TalkingHeadsError(f"Masks must be resumed at a multiple of {KEY_EVERY} frames", f"frame {self.index}",
                                    f"Go back to frame {self.index // KEY_EVERY * KEY_EVERY}")
        lab, small = reduced(frame, points)
        return enlarged(cut_band(lab, small, self._shape), self.image_size)

    def _check(self, frame, points, user) -> None:
        height, width = self.image_size
        if frame.shape != (height, width, 3) or user is not None and user.shape != (height, width):
            raise TalkingHeadsError(f"Frames and masks must be {width} x {height} pixels, like the first",
                                    f"frame {frame.shape}, mask {None if user is None else user.shape}",
                                    "Scale them, or start over for another size")
        if np.shape(points) != (68, 2) or not np.isfinite(points).all():
            raise TalkingHeadsError("A frame's masks need its 68 landmarks, finite numbers", f"shape {np.shape(points)}",
                                    "Fill the missing frames first, or leave them out")


def split_person(frame: np.ndarray, points: np.ndarray, person: np.ndarray) -> FrameMasks:
    """The person (bool [H, W]) of a frame (uint8 [H, W, 3], points [68, 2]) divided into its parts."""
    axes = head_axes(points)
    colours = _colours(frame, points, person)
    head = person & _head_side(points, colours, axes)
    mouth, teeth = mouth_inside(frame, points, axes.unit)
    head = head | mouth
    torso = person & ~head
    hair = head & ~mouth & colours.rather_hair & ~polygon(face_outline(points), person.shape)
    collar = np.arange(len(person))[:, None] < points[8, 1] + _COLLAR * axes.unit
    return FrameMasks(head=head, hair=hair, mouth=mouth, teeth=teeth, torso=torso,
                      neck=torso & collar & (colours.shaded_skin < _SHADED))


@dataclass(frozen=True)
class _Colours:
    """How unlike a frame's pixels are to the person's parts, float32 [H, W] each."""
    skin: np.ndarray
    hair: np.ndarray
    clothes: np.ndarray
    shaded_skin: np.ndarray  # to skin, also in the chin's shadow
    bald: bool          # the top of the head looks like skin: there is no hair to tell from it

    @property
    def rather_hair(self) -> np.ndarray:
        return (self.hair < self.skin) & (not self.bald)


def _colours(frame: np.ndarray, points: np.ndarray, person: np.ndarray) -> _Colours:
    """Measured on the reduced frame: regions are coarse anyway."""
    import cv2
    lab, small = reduced(frame, points)
    lab, axes, shape = cv2.GaussianBlur(lab, (3, 3), 0).astype(np.float32), head_axes(small), lab.shape[:2]
    person = cv2.resize(person.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    cheeks, top, chest = (person & polygon(outline, shape) for outline in
                          (small[_CHEEKS], axes.place(_TOP), small[8] + axes.unit * np.array(_CHEST)))
    found = [_unlikeness(lab, lab[cheeks]), _unlikeness(lab, lab[top]), _unlikeness(lab, lab[chest]),
             _unlikeness(lab, lab[cheeks], _SHADE)]
    bald = bool(top.sum() < _FEW or np.median(found[0][top]) < _BALD)
    skin, hair, clothes, shaded = (cv2.resize(values, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR) for values in found)
    return _Colours(skin=skin, hair=hair, clothes=clothes, shaded_skin=shaded, bald=bald)


def _head_side(points: np.ndarray, colours: _Colours, axes: HeadAxes) -> np.ndarray:  # -> bool [H, W]
    """What of a person is head: above the jaw's line; beside the jaw, and hanging below it, what has the hair's colour."""
    import cv2
    shape = colours.hair.shape
    surely, usually = above_jaw(points, shape, _EARS), above_jaw(points, shape, _JAW_ENDS)
    if colours.bald:
        return usually
    window = 2 * max(1, round(.05 * axes.unit)) + 1

    def share(condition: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(condition.astype(np.float32), -1, (window, window))
    clothes = share((colours.clothes < colours.hair) & (colours.clothes < colours.skin)) > .5
    head = surely | usually & ~clothes
    reach = np.arange(shape[0])[:, None] < points[8, 1] + _HANGING * axes.unit
    strand = (colours.hair < _HAIRY) & (colours.hair + _CLEARLY < np.minimum(colours.clothes, colours.skin))
    hanging = ~usually & ~polygon(jaw_middle(points, axes), shape) & reach & (share(strand) > .5)
    return head | _touching(hanging, head)


def _touching(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The parts of a mask that touch another mask."""
    import cv2
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    edge = cv2.dilate(other.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    wanted = np.unique(parts[edge & mask])
    return np.isin(parts, wanted[wanted > 0])


def _unlikeness(lab: np.ndarray, sample: np.ndarray, more: float | np.ndarray = 0) -> np.ndarray:  # [H, W, 3], [N, 3] -> [H, W]
    """Squared distance to a sample's colour in its own spread (robust, and `more`), its size counted as in a likelihood."""
    if len(sample) < _FEW:
        return np.full(lab.shape[:2], _UNKNOWN, np.float32)
    middle = np.median(sample, axis=0)
    spread = np.maximum(np.median(np.abs(sample - middle), axis=0) * 1.5, _LEAST_SPREAD) + more
    away = (lab - middle) / spread
    return np.einsum("ijk,ijk->ij", away, away) + 2 * float(np.log(spread / _LEAST_SPREAD).sum())


def parsing_png(masks: FrameMasks) -> np.ndarray:
    """uint8 [H, W, 3] RGB: a face parsing in the usual colours (`PALETTE`)."""
    picture = np.empty((*masks.head.shape, 3), np.uint8)
    picture[:] = PALETTE["background"]
    for name, region in (("clothes", masks.torso), ("neck", masks.neck), ("face", masks.head), ("hair", masks.hair),
                         ("mouth", masks.mouth)):
        picture[region] = PALETTE[name]
    return picture


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
