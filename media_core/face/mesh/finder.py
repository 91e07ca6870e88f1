"""Faces of a still image, by the mesh: detected, looked at twice, seen plain and mirrored.

    nets = load_mesh_nets()
    face, *others = FaceFinder(nets).faces(image)
    face.points       # float32 [478, 3] px
    face.confidence   # is there a face?
    face.disagreement, face.doubtful  # do two views of it agree?

`confidence` says that something like a face is in the crop: it is 1.00 for people, but also for most animals and for heads seen
upside down. Whether the points fit is told by the disagreement of the plain and the mirrored view: at most 0.028 for 85 people,
paintings and statues, each turned four ways; 0.02 to 0.25 for animals and heads read the wrong way up. It is reported and never
refused.
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ...errors import TalkingHeadsError
from ...video_planes import Image, Planes, as_array
from ..geometry import quarter_turns
from ..landmarks.detector import check_search
from ..landmarks.inference import cut
from . import blazeface
from .layout import points_68
from .nets import MeshNets, as_input, exactly
from .squares import BATCH, Look, Square, crop, look, square_of_detection, square_of_points

PRESENT = 0.5        # confidence from which there is a face
DOUBTFUL = 0.03      # disagreement from which the points should not be trusted
_NOTHING = 0.1       # confidence of a first look below which there is no second one
_SPREAD = 0.06       # disagreement at which trust has fallen to 1/e
_LEAST_TRUST = 1e-3  # 0 means that there is no face
_SURE = 0.9          # score of a face that is surely upright
_CLOSE = 0.06        # turns of the image whose scores differ less are told apart by looking
_CLEARLY = 0.7       # times the disagreement: another turn than upright must do better than that
_IN_CLOSER = 0.6     # score of what may be a face in a closer search: it looks at many places
_LIKELY = 0.75       # score in a closer search or a turned image from which a badly fitting face is still one
_MISFIT = 0.1        # disagreement from which it is none even then
_SIDES = (213, 427, 853)  # px of the image's shorter side when it is searched closer, in turn
_LARGER, _MOST_PIXELS = 2.0, 1_600_000  # what it is enlarged by, and what it has then, at most
_CLOSER = 12         # candidates of such a search that are looked at, the best
_FAR = 0.15          # sides or rad: a first look that lands further off is followed by another
_EYE_CORNERS = [33, 263]
_CUT, _AS_GOOD = 0.75, 1.5  # part of a face's points in the image, and times the disagreement, up to which one that seems upside
#                             down is an upright one cut by the border: 11 of 11 such portraits, none of 33 whole ones turned
_VIEWS = ((1.03, 0.035), (0.97, -0.035))  # growth and turn (rad) of the squares of a careful look


@dataclass(frozen=True)
class MeshFace:
    """One face in one image."""

    points: np.ndarray  # float32 [478, 3] px, x right, y down, the middle of the first pixel is (0, 0); z smaller = nearer
    confidence: float  # 0..1 that there is a face
    disagreement: float  # between the plain and the mirrored view, in distances of the outer eye corners
    square: Square  # where it was looked at
    within: float = 1.0  # the part of its points that lie in the image: those beyond its border are made up

    @property
    def doubtful(self) -> bool:
        """Whether the views disagree so much that the points are probably wrong."""
        return self.disagreement > DOUBTFUL

    @property
    def trust(self) -> float:
        """How far the points should be trusted, more than 0 and at most 1: confidence, agreement and what the image shows of
        them, in one number."""
        return float(trusted(np.array(self.confidence), np.array(self.disagreement), np.array(self.within)))

    @property
    def turn(self) -> int:
        """Degrees, 0, 90, 180 or 270, by which the image must be turned counterclockwise for the face to be upright."""
        return 90 * quarter_turns(points_68(self.points))


def trusted(confidence: np.ndarray, disagreement: np.ndarray, within: np.ndarray) -> np.ndarray:  # [...] each -> float32 [...]
    """The trust in faces that are there: 0.97 at a disagreement of 0.01, 0.78 at 0.03, 0.37 at 0.06; a quarter of that when half
    of the points lie outside the image; never quite 0."""
    return np.maximum(confidence * np.exp(-(disagreement / _SPREAD) ** 2) * within ** 2, _LEAST_TRUST).astype(np.float32)


def part_within(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [..., N, >= 2] px, (H, W) px -> [...]
    """The part of the points that lie in the image."""
    x, y = points[..., 0], points[..., 1]
    return ((x > -0.5) & (x < size[1] - 0.5) & (y > -0.5) & (y < size[0] - 0.5)).mean(-1)


@dataclass(frozen=True)
class Candidate:
    """What the detector took for a face."""

    score: float  # 0..1
    square: Square  # where the mesh should look
    sure: bool = True  # found in the whole image, not by searching closer or turned


Placed = TypeVar("Placed", MeshFace, Candidate)


class FaceFinder:
    """Finds the faces of images with one set of networks."""

    def __init__(self, nets: MeshNets):
        self.nets = nets

    def faces(self, image: Image, *, order: str = "largest", mask: np.ndarray | None = None, wanted: int | None = None,
              careful: bool = False) -> list[MeshFace]:
        """The faces of an image in the stated order.

        Args:
            image: uint8 [H, W, 3] RGB.
            order: "largest" first or "left" first (from the image's left).
            mask: bool [H, W]; only faces whose middle lies inside count.
            wanted: how many are enough; small faces are searched for while there are fewer. None: all; ever smaller ones are
                searched for while that shows more.
            careful: average four views of each, a third of the scatter away for twice the time.
        Raises:
            TalkingHeadsError: no RGB image, an unknown order, or a mask of another size.
        """
        check(image, order, mask)
        out: list[MeshFace] = []
        for number, level in enumerate(self.searched(image, mask=mask)):
            before = len(out)
            for candidate in ordered(level, order):
                if len(out) == wanted:
                    break
                if not any(same(candidate.square, other.square) for other in out):
                    face = (self.careful if careful else self.looked)(image, candidate.square)
                    if accepted(face, candidate) and not any(same(face.square, other.square) for other in out):
                        out.append(face)
            if len(out) == wanted or wanted is None and number and out and len(out) == before:
                break
        return ordered(out, order)

    def face(self, image: Image, *, face_index: int = 0, order: str = "largest", mask: np.ndarray | None = None) -> MeshFace:
        """One face of a portrait, looked at carefully.

        Raises:
            TalkingHeadsError: as `faces`; no such face, or a negative index.
        """
        if face_index < 0:
            raise TalkingHeadsError("The face's number must be 0 or more", str(face_index), "Use 0 for the first face")
        found = self.faces(image, order=order, mask=mask, wanted=face_index + 1, careful=True)
        if len(found) <= face_index:
            raise TalkingHeadsError(f"The image must show {f'{face_index + 1} faces' if face_index else 'a face'}",
                                    f"{len(found) or 'none'} found in {image.shape[1]} x {image.shape[0]} px",
                                    "Choose a smaller face index" if found else "Crop closer to the face, or use a sharper image")
        return self._upright_if_cut(image, found[face_index])

    def _upright_if_cut(self, image: Image, face: MeshFace) -> MeshFace:
        """The face itself, or read the other way up: below the nose the image may be cut, then a forehead passes for a chin."""
        if abs(math.remainder(face.square.angle, math.tau)) < 3 * math.pi / 4:
            return face
        eyes = face.points[_EYE_CORNERS, :2].mean(0)
        about = replace(face.square, x=float(2 * eyes[0] - face.square.x), y=float(2 * eyes[1] - face.square.y),
                        angle=math.remainder(face.square.angle + math.pi, math.tau))
        other = self.careful(image, about)
        cut_off = other.within < _CUT and other.confidence >= PRESENT
        return other if cut_off and other.disagreement < _AS_GOOD * face.disagreement else face

    def searched(self, image: Image, *, mask: np.ndarray | None = None,
                 closer: int = len(_SIDES), turned: bool = True) -> Iterator[list[Candidate]]:
        """What may be faces, level by level: in the whole image (or that turn of it which shows upright faces), then closer.

        Args:
            closer: how many searches for ever smaller faces follow.
            turned: whether to turn the image where it shows no face that is surely upright.
        """
        whole = _whole(image)
        upright = inside(self.detect(image, [whole]), mask, image)
        sure = any(c.score >= _SURE and abs(c.square.angle) < math.pi / 4 for c in upright)
        yield upright if sure or not turned else self._turned(image, whole, upright, mask)
        for side in _SIDES[:closer]:
            found = inside(self.detect_closer(image, side), mask, image)
            yield [replace(c, sure=False) for c in found if c.score >= _IN_CLOSER][:_CLOSER]

    def looked(self, image: Image, square: Square) -> MeshFace:
        """The face about a square: a first look finds the square for the second."""
        first, = look(self.nets, [crop(image, square)], [square], mirrored=False)
        if first.presence < _NOTHING:
            return as_face(first, square, image)
        square = square_of_points(first.points)
        return as_face(look(self.nets, [crop(image, square)], [square])[0], square, image)

    def careful(self, image: Image, square: Square) -> MeshFace:
        """The same, the mean of four views."""
        about = square
        for _ in range(2):  # once is enough where it lay well
            first, = look(self.nets, [crop(image, about)], [about], mirrored=False)
            if first.presence < _NOTHING:
                return as_face(first, about, image)
            before, about = about, square_of_points(first.points)
            if max(before.change(about)) < _FAR:
                break
        squares = [replace(about, side=about.side * grown, angle=about.angle + turned) for grown, turned in _VIEWS]
        looks = look(self.nets, [crop(image, square) for square in squares], squares)
        mean = Look(np.mean([one.points for one in looks], 0), min(one.presence for one in looks),
                    max(one.disagreement for one in looks))
        return as_face(mean, about, image)

    def detect(self, image: Image, squares: Sequence[Square]) -> list[Candidate]:
        """What the detector finds in squares of the image, best first, each once."""
        found: list[Candidate] = []
        for first in range(0, len(squares), BATCH):
            part = squares[first:first + BATCH]
            crops = np.stack([cut(image, square.placement(blazeface.SIZE), blazeface.SIZE, black=True) for square in part])
            with exactly(self.nets.device):
                boxes, logits = self.nets.quick_detector(as_input(crops, self.nets.device) * (2 / 255) - 1)
            for square, box, logit in zip(part, boxes.cpu().numpy(), logits.cpu().numpy()):
                found += [_placed(one, square) for one in blazeface.decoded(box, logit)]
        return _distinct(found)

    def detect_closer(self, image: Image, side: int) -> list[Candidate]:
        """What the detector finds in the image with a shorter side of `side` px, best first, each once. The detector knows no
        size: it is run over the whole image at once, which costs a third of overlapping squares of 128 px."""
        import cv2

        scale = side / min(image.shape[:2])
        height, width = (math.ceil(n * scale / blazeface.STEP) * blazeface.STEP for n in image.shape[:2])
        if scale > _LARGER or height * width > _MOST_PIXELS:
            return []
        rows, columns = (max(round(n * scale), 1) for n in image.shape[:2])
        page = np.zeros((height, width, 3), np.uint8)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        page[:rows, :columns] = cv2.resize(as_array(image), (columns, rows), interpolation=how)
        with exactly(self.nets.device):
            boxes, logits = self.nets.quick_detector(as_input(page[None], self.nets.device) * (2 / 255) - 1)
        found = blazeface.decoded(boxes[0].cpu().numpy(), logits[0].cpu().numpy(), size=(height, width))
        return _distinct([Candidate(one.score, _scaled(square_of_detection(one), 1 / scale)) for one in found])

    def _turned(self, image: Image, whole: Square, upright: list[Candidate], mask: np.ndarray | None) -> list[Candidate]:
        """The candidates of that turn of the image in which faces look most like faces."""
        turns = [upright, *(inside(self.detect(image, [replace(whole, angle=k * math.pi / 2)]), mask, image) for k in (1, 2, 3))]
        best = max((c.score for turn in turns for c in turn), default=0.0)
        close = [turn for turn in turns if turn and turn[0].score > best - _CLOSE]
        if len(close) < 2:
            chosen = close[0] if close else []
        else:
            fits = [self.looked(image, turn[0].square).disagreement for turn in close]
            first = int(np.argmin(fits))
            keep = close[0] is upright and fits[first] > _CLEARLY * fits[0]
            chosen = close[0] if keep else close[first]
        return chosen if chosen is upright else [replace(c, sure=False) for c in chosen]


def accepted(face: MeshFace, candidate: Candidate) -> bool:
    """Whether a candidate is a face. What only a closer search has shown must fit well; else doubt is no reason."""
    fits = candidate.sure or face.disagreement < (_MISFIT if candidate.score >= _LIKELY else DOUBTFUL)
    return face.confidence >= PRESENT and fits


def as_face(one: Look, square: Square, image: Image) -> MeshFace:
    return MeshFace(one.points.astype(np.float32), one.presence, one.disagreement, square,
                    float(part_within(one.points, (image.shape[0], image.shape[1]))))


def ordered(found: Sequence[Placed], order: str) -> list[Placed]:
    """Faces or candidates, the largest or the leftmost first."""
    return sorted(found, key=lambda f: -f.square.side if order == "largest" else f.square.x - f.square.side / 2)


def inside(found: list[Candidate], mask: np.ndarray | None, image: Image) -> list[Candidate]:
    """Those whose middle lies in the mask."""
    if mask is None:
        return found
    height, width = image.shape[:2]
    return [c for c in found if mask[min(max(round(c.square.y), 0), height - 1), min(max(round(c.square.x), 0), width - 1)]]


def check(image: Image, order: str, mask: np.ndarray | None) -> None:
    """Raises:
        TalkingHeadsError: no RGB image, an unknown order, or a mask of another size.
    """
    if not isinstance(image, Planes) and not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
                                              and image.shape[2] == 3 and min(image.shape) >= 1):
        came = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise TalkingHeadsError("An image must be uint8 RGB [H, W, 3]", came, "Convert it first")
    check_search(image.shape[:2], order, mask)


def _whole(image: Image) -> Square:
    height, width = image.shape[:2]
    return Square((width - 1) / 2, (height - 1) / 2, max(height, width))


def _scaled(square: Square, by: float) -> Square:
    """A square that was counted from the image's edge in another scale, from the middle of its first pixel."""
    return Square(square.x * by - 0.5, square.y * by - 0.5, square.side * by, square.angle)


def _placed(found: blazeface.Detection, within: Square) -> Candidate:
    """A detection in a crop of `within`, in the image."""
    own = square_of_detection(found)
    (x, y, _), = within.to_image(np.array([[own.x, own.y, 0.0]]), blazeface.SIZE)
    return Candidate(found.score, Square(float(x), float(y), own.side * within.side / blazeface.SIZE, own.angle + within.angle))


def _distinct(found: list[Candidate]) -> list[Candidate]:
    """Each face once: the one with the best score, and of equals the first."""
    out: list[Candidate] = []
    for candidate in sorted(found, key=lambda c: (not c.sure, -c.score)):
        if not any(same(candidate.square, other.square) for other in out):
            out.append(candidate)
    return out


def same(one: Square, other: Square) -> bool:
    """Whether two squares lie about the same face: their middles are close, or half of their union is common."""
    near = math.hypot(one.x - other.x, one.y - other.y) < 0.25 * max(one.side, other.side)
    return near or float(blazeface.overlap(one.box, other.box[None])[0]) > 0.5
