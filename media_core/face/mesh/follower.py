"""Faces of a video, by the mesh: found once, then looked at where they were in the frame before.

    follower = MeshFollower(load_mesh_nets())
    for faces in follower.follow(frames):    # a list for each frame, one entry per wanted face
        ...

Squares are held while the face in them moves by less than 4 % of their side or 0.04 rad: that lowers jitter by up to a third, and
lets several frames be read as one batch (their squares are known beforehand): four on a GPU, two on the CPU, however many cores
it has. Each gives what single frames give.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from ...errors import TalkingHeadsError
from ...video_planes import Image
from ..following import Upcoming, upcoming
from .finder import PRESENT, Candidate, FaceFinder, MeshFace, accepted, as_face, check, inside, ordered, same
from .nets import MeshNets
from .squares import Look, Square, crop, look, square_of_points

BATCH = 4            # frames, at most, that are read together while the face keeps its square
_ON_CPU = 2          # of them there: most of a call's time goes to small layers, which take hardly longer for two frames
_HELD = (0.04, 0.04)  # sides, rad: the square stays while the face moves less
_MOVED = 0.15        # sides: moved further than this within one frame, the face is looked at once more
_MISREAD = 0.035      # disagreement from which the detector is asked whether the face is elsewhere
_BETTER = 0.7        # times the disagreement: only a face that fits so much better is taken instead
_FORGOTTEN = 25      # frames without a face after which another one may take its place
_WINDOW = 3.0        # sides of the window about a face in which the detector looks for it
_NEAR = 1.5          # sides: a face that comes back within that time is looked for so far away
_SEARCH_AGAIN = 12   # frames between two thorough searches (turned, closer) while there is no face; and between two doubts


@dataclass(frozen=True)
class _Slot:
    """One wanted face: where it is looked at (None: it must be found), where it was last, for how many frames it has been lost,
    when the detector was last asked about it, and whether the square is but a guess."""

    square: Square | None = None
    last: Square | None = None
    lost: int = 0
    asked: int = -_SEARCH_AGAIN
    rough: bool = False


class MeshFollower:
    """Follows faces from frame to frame; give it the frames in order.

    Args:
        nets: of `load_mesh_nets`.
        faces: which faces are wanted, counted in `order` where they are found. They keep their places: a face that was lost for
            less than a second comes back to its own.
        order: "largest" or "left" first.
        mirrored: also see every frame in a mirror: less jitter and one-sidedness for half as much time again.
    Raises:
        TalkingHeadsError: no face wanted, one twice, or a negative number.
    """

    def __init__(self, nets: MeshNets, faces: Sequence[int] = (0,), order: str = "largest", *, mirrored: bool = True):
        if not faces or min(faces) < 0 or len(set(faces)) < len(faces):
            raise TalkingHeadsError("The wanted faces must be different numbers from 0 on", f"{list(faces)}",
                                    "Use [0] for the first")
        self.finder, self.wanted, self.order, self.mirrored = FaceFinder(nets), tuple(faces), order, mirrored
        self.reset()

    def reset(self) -> None:
        """Forgets all faces, as after a cut."""
        self.slots = [_Slot() for _ in self.wanted]
        self.frame, self._searched = 0, -_SEARCH_AGAIN

    def place(self, squares: Sequence[Square | None]) -> None:
        """Forgets all but where the wanted faces were in the frame before, roughly; None: not known."""
        self.reset()
        self.slots = [_Slot(square=square, last=square, rough=square is not None) for square in squares]

    def __call__(self, frame: Image, mask: np.ndarray | None = None) -> list[MeshFace | None]:
        """The wanted faces in the next frame (uint8 [H, W, 3] RGB), None for each that is not there.

        Args:
            mask: bool [H, W]; where faces are looked for.
        Raises:
            TalkingHeadsError: no RGB image, an unknown order, or a mask of another size.
        """
        check(frame, self.order, mask)
        return self._settled(frame, mask, self._read([frame])[0])

    def follow(self, frames: Iterable[np.ndarray], masks: Iterable[np.ndarray | None] | None = None, *, batch: int = BATCH,
               cut: Callable[[np.ndarray], bool] = lambda frame: False) -> Iterator[list[MeshFace | None]]:
        """The same for each frame of a video, on a GPU several frames at a time; holds `batch` of them.

        Args:
            cut: called with each frame; true where another shot begins: all faces are forgotten.
        Raises:
            TalkingHeadsError: as calling it.
        """
        for _, faces in self.steps(upcoming(frames, masks, cut), lambda item: self.reset(), batch=batch):
            yield faces

    def steps(self, items: Iterable[Upcoming], begin: Callable[[Upcoming], object], *,
              batch: int = BATCH) -> Iterator[tuple[Upcoming, list[MeshFace | None]]]:
        """The same for frames with cuts and borders, at each of which `begin` is called and batches begin anew: what follows
        depends on nothing before but the state that `begin` leaves.

        Raises:
            TalkingHeadsError: as calling it.
        """
        source, most = iter(items), batch if self.finder.nets.device.type != "cpu" else min(batch, _ON_CPU)
        waiting, ahead = list[Upcoming](), 1  # `ahead`: frames that are read together
        while True:
            waiting += map(self._checked, islice(source, max(0, ahead - len(waiting))))
            if not waiting:
                return
            if waiting[0].cut or waiting[0].border:
                begin(waiting[0])
                ahead = 1
            begins = [k for k, item in enumerate(waiting) if k and (item.cut or item.border)]
            part, used = waiting[:min([ahead, *begins])], 0
            for item, looks in zip(part, self._read([item.frame for item in part])):
                squares = [slot.square for slot in self.slots]
                yield item, self._settled(item.frame, item.mask, looks)
                used += 1
                if None in squares or any(slot.square is not square for slot, square in zip(self.slots, squares)):
                    break  # the other frames were read in squares that are no longer right
            del waiting[:used]
            ahead = min(ahead + 1, most) if used == len(part) else max(used, 1)

    def _checked(self, item: Upcoming) -> Upcoming:
        check(item.frame, self.order, item.mask)
        return item

    def _read(self, frames: Sequence[Image]) -> list[list[Look | None]]:
        """A look at every followed face of each frame, in the present squares."""
        squares = [slot.square for slot in self.slots if slot.square is not None]
        crops = [crop(frame, square) for frame in frames for square in squares]
        looks = iter(look(self.finder.nets, crops, squares * len(frames), self.mirrored))
        return [[None if slot.square is None else next(looks) for slot in self.slots] for _ in frames]

    def _settled(self, frame: Image, mask: np.ndarray | None, looks: list[Look | None]) -> list[MeshFace | None]:
        """What a frame's looks mean, and where the next frame is looked at."""
        faces: list[MeshFace | None] = []
        for number, one in enumerate(looks):
            faces.append(None if one is None else self._followed(frame, number, one))
        for number, face in enumerate(faces):  # two places cannot follow one face
            if face is not None and any(other is not None and same(face.square, other.square) for other in faces[:number]):
                faces[number] = None
        if None in faces:
            self._find(frame, mask, faces)
        for number, face in enumerate(faces):
            self.slots[number] = self._next(self.slots[number], face)
        self.frame += 1
        return faces

    def _followed(self, frame: Image, number: int, one: Look) -> MeshFace | None:
        """The face that was looked at in its place; once more where it has moved far or does not fit."""
        slot = self.slots[number]
        assert slot.square is not None
        if one.presence < PRESENT:
            return None
        face, moved = as_face(one, slot.square, frame), square_of_points(one.points)
        misfit = face.disagreement > _MISREAD
        if misfit or slot.rough or slot.square.change(moved)[0] > _MOVED:
            again, = look(self.finder.nets, [crop(frame, moved)], [moved], self.mirrored)
            if not misfit or again.presence >= PRESENT and again.disagreement < face.disagreement:
                face = as_face(again, moved, frame)
        if face.disagreement > _MISREAD and self.frame - slot.asked >= _SEARCH_AGAIN:
            face = self._doubted(frame, number, face)
        return face if face.confidence >= PRESENT else None

    def _doubted(self, frame: Image, number: int, face: MeshFace) -> MeshFace:
        """The face, or one that the detector sees nearby and that fits clearly better."""
        self.slots[number] = replace(self.slots[number], asked=self.frame)
        others = [slot.square for k, slot in enumerate(self.slots) if k != number and slot.square is not None]
        near = [c for c in self._around(frame, face.square) if not any(same(c.square, other) for other in others)]
        if not near:
            return face
        other = self.finder.looked(frame, near[0].square)
        better = other.confidence >= PRESENT and other.disagreement < _BETTER * face.disagreement
        return other if better else face

    def _around(self, frame: Image, square: Square) -> list[Candidate]:
        """What the detector sees about a place, held the way the face was; the nearest first. Small faces are seen there which it
        misses in the whole frame."""
        quarter = round(square.angle / (math.pi / 2)) * math.pi / 2
        found = self.finder.detect(frame, [Square(square.x, square.y, _WINDOW * square.side, quarter)])
        return sorted((c for c in found if _reach(c.square, square) < _NEAR), key=lambda c: _reach(c.square, square))

    def _find(self, frame: Image, mask: np.ndarray | None, faces: list[MeshFace | None]) -> None:
        """Fills places without a face, where one is found."""
        thorough = self.frame - self._searched >= _SEARCH_AGAIN
        if thorough:
            self._searched = self.frame
        pool: list[MeshFace] = []  # faces that nobody follows
        for level in self._levels(frame, mask, faces, thorough):
            for candidate in ordered(level, self.order):
                known = [*pool, *(face for face in faces if face is not None)]
                if not self._of_use(candidate, faces) or any(same(candidate.square, face.square) for face in known):
                    continue
                found = self.finder.looked(frame, candidate.square)
                if accepted(found, candidate) and not any(same(found.square, face.square) for face in known):
                    pool.append(found)
            self._assign(faces, pool)
            if None not in faces:
                return

    def _of_use(self, candidate: Candidate, faces: list[MeshFace | None]) -> bool:
        """Whether some missing face may be there: near where it was, or anywhere when it has not been anywhere yet."""
        for slot, face in zip(self.slots, faces):
            if face is None and (slot.last is None or _reach(candidate.square, slot.last) < _NEAR):
                return True
        return False

    def _assign(self, faces: list[MeshFace | None], pool: list[MeshFace]) -> None:
        """Gives free places what is theirs: the face nearest to where theirs was, or the one whose turn it is by order."""
        for number in [k for k, face in enumerate(faces) if face is None]:
            last = self.slots[number].last
            if last is not None:
                own = min(pool, key=partial(_away, last), default=None)
                own = own if own is not None and _away(last, own) < _NEAR else None
            else:
                every = ordered([*pool, *(face for face in faces if face is not None)], self.order)
                own = every[self.wanted[number]] if len(every) > self.wanted[number] else None
            if own is not None and any(own is face for face in pool):
                faces[number] = own
                pool[:] = [face for face in pool if face is not own]

    def _levels(self, frame: Image, mask: np.ndarray | None, faces: list[MeshFace | None],
                thorough: bool) -> Iterator[list[Candidate]]:
        """Candidates for the missing faces: about where they were, then in the whole frame, then closer."""
        for slot, face in zip(self.slots, faces):
            if face is None and slot.last is not None:
                yield inside(self._around(frame, slot.last), mask, frame)
        yield from self.finder.searched(frame, mask=mask, closer=1 if thorough else 0, turned=thorough)

    def _next(self, slot: _Slot, face: MeshFace | None) -> _Slot:
        if face is None:
            lost = slot.lost + 1
            return replace(slot, square=None, lost=lost, rough=False, last=slot.last if lost < _FORGOTTEN else None)
        square, wanted = face.square, square_of_points(face.points)
        away, turned = square.change(wanted)
        if slot.square is None or square is not slot.square or away > _HELD[0] or turned > _HELD[1]:
            square = wanted
        return replace(slot, square=square, last=square, lost=0, rough=False)


def _away(place: Square, face: MeshFace) -> float:
    return _reach(face.square, place)


def _reach(square: Square, other: Square) -> float:
    """Distance of the middles in sides of the larger square."""
    return math.hypot(square.x - other.x, square.y - other.y) / max(square.side, other.side)
