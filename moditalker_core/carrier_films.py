"""A video says something else with its own pixels: film mode of the carrier; no network draws anything.

    opened = lambda start: read_frames("me.mp4", 25, start)
    for frame in carried_film(opened, motion, fps=25):   # uint8 [H, W, 3], as many as the motion has
        writer.write(frame)

Each frame is carried from its own mouth to where the video's mouth rests, plus the motion, plus the video's slow expression.
Above the nose's base every pixel stays as filmed, and so do frames without a face. A video that is shorter than the motion is
played ping-pong. Two passes over the video: the first measures (`film_faces`), the second draws. Memory holds what is measured
of each frame, no image (6 kB of mesh; 40 kB at the peak, while the plan is made).
"""
from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..media_core import asked as checked
from ..media_core.choices import POLICIES
from ..media_core.errors import TalkingHeadsError
from ..media_core.face.carrier.place import Place, smooth
from ..media_core.face.carrier.response import Response, gaps, widened
from ..media_core.face.landmarks.raw_track import listed
from ..media_core.face.pose.canonical import canonical_landmarks
from ..media_core.face.track import FaceTrack
from ..media_core.motion import LandmarkTrack
from ..media_core.mouth import resting_face
from ..media_core.progress import Report, silent
from ..media_core.subject.layout import to_68
from .alignment import pose_frames
from .carrier_video import CarrierSettings
from .film_drawing import with_mouth
from .film_faces import FilmedFace, Frames, filmed_face
from .film_looks import Look, seen_in_looks
from .film_motion import Asked, asked_of_face
from .film_shots import Shot, shots_of
from .mtov.conditions import pose_walk
from .mtov.scenes import AS_FILMED

_DOUBTED = .15, .45   # trust in a frame's mesh: at and below the first it stays as filmed, from the second on it is carried whole
_WAVERS = .08         # s over which that comes and goes
_SURE, _ROWS = .95, 400  # how far a frame is carried that is looked at for the response; rows of the motion it may be made from
_PREVIEW_EVERY = 10   # frames

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CarriedFilm:
    """What is known of a video before it is drawn; made by `film_plan`."""

    face: FilmedFace
    shots: list[Shot]
    portrait: np.ndarray  # float64 [68, 3] decimetres: the canonical face at rest, from which motion departs
    mesh: np.ndarray      # float32 [N, 478, 3] px, NaN where a frame stays as filmed
    amount: np.ndarray    # float32 [N] 0..1, how far a frame is carried
    fps: float

    def shot(self, number: int) -> Shot | None:
        return next((shot for shot in self.shots if shot.first <= number < shot.stop), None)

    def place(self, number: int) -> Place | None:
        """Where the face is in frame `number`; None: the frame stays as filmed."""
        if self.shot(number) is None or not self.amount[number] or not np.isfinite(self.mesh[number]).all():
            return None
        return Place.of(self.mesh[number])


def carried_film(frames: Frames, motion: LandmarkTrack, *, fps: float, total: int | None = None, track: FaceTrack | None = None,
                 policy: str = AS_FILMED, tracker: str = "people", settings: CarrierSettings | None = None,
                 report: Report = silent) -> Iterator[np.ndarray]:
    """The video with the motion's speech: uint8 [H, W, 3] of its size, one for each frame of the motion at the video's rate.

    Args:
        frames: (start) -> the video's frames uint8 [H, W, 3] from that number on, at `fps`; called for each pass.
        motion: canonical, from the face of `film_portrait` or `mtov.scenes.film_scene`; or in px of the video, its poses included
            (`onto_pose`).
        fps: frames per second of the video; motion of another rate is resampled.
        total: how many frames the video has, for the report.
        track: of the face that speaks, at that rate, best with its mesh; None: the largest face is followed.
        policy: frames without a face: they stay as filmed ("skip"), are refused ("error"), or get a mouth all the same, where
            the face was last ("hold") or on the way to where it is next ("interpolate").
        tracker: of the face: for real "people", or for "rendered" ones.
        settings: of stills; nothing of it changes a video.
        report: first of the measuring, then of the drawing.
    Raises:
        TalkingHeadsError: no face, another rate of the track, an unknown policy, frames without a face under "error", or motion
            in px of another image.
    """
    plan = film_plan(frames, fps=fps, total=total, track=track, policy=policy, tracker=tracker, report=report)
    return drawn_film(plan, frames, motion, report)


def film_plan(frames: Frames, *, fps: float, total: int | None = None, track: FaceTrack | None = None, policy: str = AS_FILMED,
              tracker: str = "people", face_index: int = 0, near: np.ndarray | None = None,
              report: Report = silent) -> CarriedFilm:
    """The first pass; arguments as for `carried_film` and `filmed_face`."""
    if policy not in POLICIES:
        raise TalkingHeadsError(f"Frames without a face need one of {', '.join(POLICIES)}", f"'{policy}'", "Choose one of those")
    if track is not None and track.fps != fps:
        raise TalkingHeadsError(f"The video's track must have its rate, {fps:g} frames per second", f"{track.fps:g}",
                                "Track the video at that rate")
    found = None if track is None else track.as_measured()
    face = filmed_face(frames, fps, track=found, tracker=tracker, face_index=face_index, near=near, total=total, report=report)
    if not face.seen.any():
        raise TalkingHeadsError("The video must show a face whose mesh can be found", f"none in {len(face)} frames",
                                "Choose another video, or crop closer to the face")
    mesh = _every_mesh(face, policy)
    portrait = film_portrait(face.track).points[0].double().numpy()
    return CarriedFilm(face=face, shots=shots_of(face, portrait, fps), portrait=portrait, mesh=mesh,
                       amount=_trusted(face, mesh, fps), fps=fps)


def film_portrait(track: FaceTrack) -> LandmarkTrack:
    """The canonical face of a video's person, lips shut: AToM's portrait. One frame."""
    return LandmarkTrack(resting_face(canonical_landmarks(track).points)[None], track.fps)


def drawn_film(plan: CarriedFilm, frames: Frames, motion: LandmarkTrack, report: Report = silent, *, start: int = 0,
               stop: int | None = None) -> Iterator[np.ndarray]:
    """The second pass.

    Args:
        start, stop: the frames of the motion, at the video's rate, that are drawn; any part is the same as in the whole.
    Raises:
        TalkingHeadsError: motion in px of another image, or no such frames.
    """
    motion = motion.resampled(plan.fps)
    stop = len(motion) if stop is None else stop
    if not 0 <= checked.whole("The first frame", start) < checked.whole("The last frame", stop) <= len(motion):
        raise TalkingHeadsError(f"The frames must lie within the motion's {len(motion)}", f"{start} to {stop}", "Choose others")
    order = pose_frames(len(plan.face), len(motion)).tolist()
    return _drawn(plan, frames, asked_of_face(motion, plan.portrait, plan.face.track), order, range(start, stop), report)


def _drawn(plan: CarriedFilm, frames: Frames, asked: Asked, order: list[int], rows: range,
           report: Report) -> Iterator[np.ndarray]:
    total, seen = len(rows), _seen_openings(plan, asked, order)
    walk = islice(zip(order, pose_walk(frames, len(plan.face), rows.stop)), rows.start, None)
    for done, (row, (number, frame)) in enumerate(zip(rows, walk), 1):
        out = _carried(plan, number, frame, asked, row, seen)
        preview = out if done % _PREVIEW_EVERY == 1 else None
        report(done, total, {"phase": "render", "frame": done, "frames": total}, preview)
        yield out


def _carried(plan: CarriedFilm, number: int, frame: np.ndarray, asked: Asked, row: int, seen: Response | None) -> np.ndarray:
    """Frame `number` with row `row` of the motion."""
    place, shot = plan.place(number), plan.shot(number)
    if place is None or shot is None:
        return frame.copy()
    wanted = asked.at(row, place, shot)
    if seen is not None:
        wanted = seen.scaled(wanted[None], gaps(to_68(shot.rest) + wanted)[None])[0]
    return with_mouth(frame, plan.mesh[number], shot, number, wanted, expression=asked.expression,
                      amount=float(plan.amount[number]), cheek=float(plan.face.cheeks[number].mean()))


def _seen_openings(plan: CarriedFilm, asked: Asked, order: list[int]) -> Response | None:
    """How far the motion's openings are seen in this video; of the whole motion, whatever part of it is drawn.

    Only where the tracker for people has measured the face: other meshes are no measure for what it reads.
    """
    if plan.face.track.tracker != "people":
        return None
    looks = [look for look in plan.face.looks if plan.amount[look.number] > _SURE and plan.shot(look.number) is not None]
    wanted, openings = list[np.ndarray](), list[float]()
    for row in np.unique(np.linspace(0, len(order) - 1, min(_ROWS, len(order))).round().astype(int)):
        place, shot = plan.place(order[row]), plan.shot(order[row])
        if place is not None and shot is not None:
            wanted.append(asked.at(int(row), place, shot))
            openings.append(float(gaps(to_68(shot.rest) + wanted[-1])))
    if not looks or not wanted:
        return None

    def drawn(i: int, look: Look, factor: float) -> np.ndarray:
        shot = plan.shot(look.number)
        assert shot is not None
        wider = widened(wanted[i][None], np.array([factor]), 0.0)[0]
        return with_mouth(look.picture, look.mesh, shot, look.number, wider, expression=asked.expression, amount=1.0,
                          cheek=float(plan.face.cheeks[look.number].mean()))

    return seen_in_looks(looks, np.array(openings), drawn)


def _every_mesh(face: FilmedFace, policy: str) -> np.ndarray:  # -> float32 [N, 478, 3]
    """The mesh of each frame by the policy; NaN: the frame stays as filmed.

    Raises:
        TalkingHeadsError: frames without a face under "error".
    """
    seen = face.seen
    if seen.all():
        return face.mesh
    numbers = f"no face in {(~seen).sum()} of {len(face)} frames: {listed(np.flatnonzero(~seen))}"
    if policy == "error":
        raise TalkingHeadsError("Every frame of the video must show the face", numbers,
                                "Cut these parts, or choose what becomes of them: hold, interpolate or skip")
    if policy == AS_FILMED:
        log.warning("%s; they stay as recorded", numbers)
        return face.mesh
    out, edges = face.mesh.copy(), [0, *face.cuts, len(face)]
    for first, stop in zip(edges, edges[1:]):
        known = first + np.flatnonzero(seen[first:stop])
        for number in first + np.flatnonzero(~seen[first:stop]):
            if len(known):
                out[number] = _between(face.mesh, known, int(number), hold=policy == "hold")
    return out


def _between(mesh: np.ndarray, known: np.ndarray, number: int, *, hold: bool) -> np.ndarray:  # -> [478, 3]
    """The mesh of an unseen frame from the nearest seen ones of its shot."""
    at = int(np.searchsorted(known, number))
    before, after = known[max(at - 1, 0)], known[min(at, len(known) - 1)]
    if hold or before >= after:
        return mesh[before]
    part = (number - before) / (after - before)
    return (mesh[before] * (1 - part) + mesh[after] * part).astype(np.float32)


def _trusted(face: FilmedFace, mesh: np.ndarray, fps: float) -> np.ndarray:  # -> float32 [N]
    """How far each frame is carried: not where something hides the face and its points are a guess. Comes and goes softly, but
    not across cuts; frames whose mesh the policy gave count as those beside them."""
    low, high = _DOUBTED
    amount = smooth((face.trust.astype(np.float64) - low) / (high - low))
    amount[~face.seen] = 1.0
    edges = [0, *face.cuts, len(face)]
    for first, stop in zip(edges, edges[1:]):
        soft = gaussian_filter1d(amount[first:stop], _WAVERS * fps, mode="nearest")
        amount[first:stop] = np.minimum(amount[first:stop], soft)
    amount[~np.isfinite(mesh).all(axis=(1, 2))] = 0
    doubted = int(((amount < .5) & face.seen).sum())
    if doubted:
        log.warning("in %d of %d frames the face is partly hidden or hard to read: there the mouth stays as filmed, more or less",
                    doubted, len(face))
    return amount.astype(np.float32)
