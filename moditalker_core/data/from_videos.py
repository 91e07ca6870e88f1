"""A motion dataset of videos: the face is tracked, its pose taken off, its audio encoded; images are kept where wanted.

A video is split at cuts and where no face is seen for longer than a fifth of a second; long pieces are split again, so that some
can be kept for validation. What cannot be used is listed with its reason, never left out silently. A stopped build
resumes in the middle of a video. Audio that lies beside its lips is moved to them (`audio_sync`). Images are cut in a second
pass through the video, when the clips are known.
"""
from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...media_core.audio import FPS, Sound
from ...media_core.capture.settings import CaptureSettings, film_fingerprint
from ...media_core.capture.tracking import RAW, track_film
from ...media_core.claims import claimed
from ...media_core.errors import FileFormatError
from ...media_core.face.landmarks.landmarks import RawTrack
from ...media_core.face.presence import Tracker
from ...media_core.face.trackers import make_tracker
from ...media_core.paths import is_temporary
from ...media_core.processes import Elsewhere, Unit, in_processes
from ...media_core.progress import Report, silent
from ...media_core.speech import SAMPLE_RATE, EncoderChoice, SpeechEncoder, of_recording, opened, opens_by_name
from ...media_core.video import load_film_sound, probe
from ...media_core.video_formats import VIDEOS
from .audio_sync import brought_to_lips
from .captured import Piece, pieces
from .dataset_writer import Recorded, ShardWriter, listening, shard_name, standing, write_shard, writing
from .images import PictureSettings
from .video_images import with_pictures

log = logging.getLogger(__name__)
VERSION = 1
LONGEST = 60.0     # s of a clip
HELD_OUT = 10      # every tenth video, or a tenth of the clips of fewer videos, is for validation


@dataclass(frozen=True)
class FilmPlan:
    """How videos become clips."""

    fps: float = FPS          # frames per second of the dataset
    size: int = 512           # px of the square around the face that poses refer to
    face_index: int = 0       # which of several faces, counted in `order`
    order: str = "largest"    # "largest" first, or from the "left" of the image
    pictures: PictureSettings | None = None  # images for MToV; None: motion only
    tracker: str = "people"   # of the face: for real "people", or for "rendered" ones

    def settings(self) -> CaptureSettings:
        """The same for the tracking.

        Raises:
            TalkingHeadsError: values that cannot be.
        """
        return CaptureSettings(size=self.size, fps=self.fps, face_index=self.face_index, order=self.order, tracker=self.tracker)

    @property
    def passes(self) -> int:
        """Through every video."""
        return 2 if self.pictures else 1

    def code(self, tracker: str) -> str:
        """Names what the points depend on besides the video; `tracker` measures them."""
        return hashlib.sha256(json.dumps([self.fps, self.face_index, self.order, tracker]).encode()).hexdigest()[:8]

    def to_dict(self) -> dict[str, Any]:
        """What clips depend on, for a shard's header."""
        told = {name: getattr(self, name) for name in ("fps", "size", "face_index", "order")}
        told |= {"tracker": self.tracker} if self.tracker != "rendered" else {}  # older shards do not name that one
        return {**told, "pictures": self.pictures.to_dict()} if self.pictures else told


@dataclass(frozen=True)
class _Film:
    path: Path
    source: str              # its name within the folder
    identity: str            # the folder it lies in, else its name
    frames: int              # expected, at the dataset's rate; 0 when it cannot be used
    fingerprint: str
    reason: str = ""         # why it cannot be used


@claimed("folder")
def build_from_videos(videos: str | os.PathLike | Sequence[str | os.PathLike], folder: str | os.PathLike,
                      plan: FilmPlan | None = None, *, encoder: EncoderChoice = "mel", tracker: Tracker | None = None,
                      report: Report = silent, workers: int = 1, elsewhere: Elsewhere | None = None) -> Path:
    """Writes the dataset and returns its folder; a finished one of the same videos is returned as it is.

    Args:
        videos: a folder of videos (subfolders too: usually one for each person), or the videos themselves.
        folder: new, empty, or a motion dataset of the same tracker; videos in it that were measured the same way are kept.
        plan: see `FilmPlan`.
        encoder: of the speech: "mel", a model folder, a folder of features (one .npy for each video), or an open one.
        tracker: finds a face in a frame; None: the built-in. For tests.
        report: called once per frame, done of all videos' frames; what it raises stops the work within a frame, and the same call
            later continues there.
        workers: processes that prepare videos side by side; the folder is the same with any number. An encoder with weights
            works in this one alone, and so do images beside it.
        elsewhere: does that instead of them, with `prepare_unit`; not with a `tracker` of one's own.
    Raises:
        FileFormatError: no video there.
        TalkingHeadsError: not one video can be used (the reasons are named), or the folder holds something else, is measured by
            another tracker, or is full.
    """
    encoder = opened(encoder)
    plan, heard = plan or FilmPlan(), listening(encoder)
    plan.settings()  # values that cannot be show now
    films = [_looked_at(path, root, plan.fps, report) for path, root in listed_videos(videos)]
    sources = [{"kind": "film", "version": VERSION, **plan.to_dict(), **heard, "source": f.source, "film": f.fingerprint}
               for f in films]
    origin = plan.tracker if tracker is None else tracker.kind
    writer = ShardWriter(folder, {"kind": "videos", "films": sources}, origin)
    if writer.finished:
        return writer.folder
    tracker = tracker or make_tracker(plan.tracker, face_index=plan.face_index, order=plan.order)
    total, done = plan.passes * sum(film.frames for film in films), 0
    jobs = [_Job(film, number, writer.unfinished / f"{number:05d}_{film.fingerprint[:16]}_{plan.code(tracker.kind)}",
                 writer.path(shard_name(Path(film.source).stem, number)), plan, made_from, tracker)
            for number, (film, made_from) in enumerate(zip(films, sources))]
    if workers > 1 or elsewhere is not None:
        _side_by_side(jobs, encoder, workers, elsewhere, report)
    for job, film, made_from in zip(jobs, films, sources):
        step = _Step(report, film, job.number, len(films), done, max(total, 1))
        if not writer.keeps(job.shard.name, made_from):
            writer.write(job.shard.name, made_from, *_prepared(job, encoder, step))
            shutil.rmtree(job.work, ignore_errors=True)
        done += plan.passes * film.frames
        report(done, max(total, 1), step.info, None)
    return writer.finish(_held_out, {"source": "films", "tracker": origin})


@dataclass(frozen=True)
class _Job:
    """What is to be done for one video."""

    film: _Film
    number: int
    work: Path   # folder of what it leaves between two goes
    shard: Path  # what it makes
    plan: FilmPlan
    made_from: Mapping[str, Any]
    tracker: Tracker
    encoder: str | None = None  # in another process: its name; None: only the face is tracked there


@dataclass(frozen=True)
class _Step:
    """One video's frames within those of all."""

    report: Report
    film: _Film
    number: int
    films: int
    before: int  # frames of the videos before
    total: int   # frames of all

    def __call__(self, done: int, total: int, info: Mapping[str, Any] | None = None, preview: np.ndarray | None = None) -> None:
        self.report(self.before + min(done, self.film.frames), self.total, self.info, preview)

    @property
    def info(self) -> dict[str, Any]:
        return {"stage": "film", "film": self.film.source, "number": self.number + 1, "films": self.films}

    def later(self) -> _Step:
        """For the second pass."""
        return replace(self, before=self.before + self.film.frames)

    def sound(self, done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        """The encoder's report: no more frames, but an opportunity to stop."""
        self(self.film.frames, self.film.frames)


# what there is ------------------------------------------------------------------------------------------------------------------

def listed_videos(videos: str | os.PathLike | Sequence[str | os.PathLike]) -> list[tuple[Path, Path]]:
    """(video, folder its name is relative to), in order.

    Raises:
        FileFormatError: no video.
    """
    if not isinstance(videos, (str, os.PathLike)):
        found = [(Path(path), Path(path).parent) for path in videos]
    else:
        root = Path(videos)
        found = [(root, root.parent)] if root.is_file() else \
            [(path, root) for path in sorted(root.rglob("*")) if path.suffix.lower() in VIDEOS and path.is_file()
             and not is_temporary(path.name)]
    if not found:
        raise FileFormatError("There must be videos to learn from", f"none ({', '.join(VIDEOS)}) in {videos}",
                              "Check the folder")
    return found


def _looked_at(path: Path, root: Path, fps: float, report: Report) -> _Film:
    source = path.relative_to(root).as_posix()
    identity = Path(source).parent.as_posix() if "/" in source else path.stem
    report(0, 1, {"stage": "looking", "film": source}, None)
    try:
        fingerprint, info = film_fingerprint(path), probe(path)
    except FileFormatError as error:
        stand_in = f"{path.stat().st_size if path.is_file() else 0}"
        return _Film(path, source, identity, 0, stand_in, f"{error}")
    reason = "" if info.has_sound else "it has no audio"
    return _Film(path, source, identity, 0 if reason else max(1, round(info.duration * fps)), fingerprint, reason)


def _held_out(clips: Sequence[Mapping[str, Any]]) -> set[int]:
    """Numbers of the clips to validate on: of every tenth video, or the last tenth (at least one) where videos are fewer."""
    sources = list(dict.fromkeys(clip["source"] for clip in clips))
    if len(sources) >= HELD_OUT:
        held = set(sources[HELD_OUT - 1::HELD_OUT])
        return {i for i, clip in enumerate(clips) if clip["source"] in held}
    count = max(1, round(len(clips) / HELD_OUT)) if len(clips) > 1 else 0
    return set(range(len(clips) - count, len(clips)))


def _side_by_side(jobs: Sequence[_Job], encoder: SpeechEncoder, workers: int, elsewhere: Elsewhere | None,
                  report: Report) -> None:
    """Does in several processes what `_prepared` takes long for."""
    name = encoder.facts.id if opens_by_name(encoder.facts.id) else None
    todo = [replace(job, encoder=name) for job in jobs if not job.film.reason and standing(job.shard, job.made_from) is None]
    total = max(1, sum(job.film.frames for job in jobs) * jobs[0].plan.passes) if jobs else 1
    if len(todo) < (2 if elsewhere is None else 1):
        return

    def told(done: Sequence[int]) -> None:
        at = max(range(len(todo)), key=lambda i: done[i])
        info = {"stage": "film", "film": todo[at].film.source, "number": todo[at].number + 1, "films": len(jobs)}
        report(min(sum(done), total), total, info, None)

    if elsewhere is None:
        in_processes(_done_apart, todo, workers, told)
    else:
        elsewhere([_unit_of(job) for job in todo], told)


def _unit_of(job: _Job) -> Unit:
    """A job as JSON holds it; of the built-in trackers."""
    film, plan = asdict(job.film), asdict(job.plan)
    return {"film": {**film, "path": str(film["path"].resolve())}, "number": job.number, "work": str(job.work.resolve()),
            "shard": str(job.shard.resolve()), "plan": plan, "made_from": dict(job.made_from), "encoder": job.encoder}


def prepare_unit(unit: Unit, report: Report) -> None:
    """Prepares a video, in any process that has the folders: see `build_from_videos`, `elsewhere`."""
    pictures, film = unit["plan"]["pictures"], unit["film"]
    plan = FilmPlan(**{**unit["plan"], "pictures": None if pictures is None else PictureSettings(**pictures)})
    tracker = make_tracker(plan.tracker, face_index=plan.face_index, order=plan.order)
    _done_apart(_Job(_Film(**{**film, "path": Path(film["path"])}), unit["number"], Path(unit["work"]), Path(unit["shard"]), plan,
                     unit["made_from"], tracker, unit["encoder"]), report)


def _done_apart(job: _Job, report: Report) -> None:
    """In a process of its own: a whole shard, or the track alone."""
    step = _Step(report, job.film, job.number, 1, 0, job.plan.passes * job.film.frames)
    if job.encoder is not None:
        write_shard(job.shard, job.made_from, *_prepared(job, opened(job.encoder), step))
        shutil.rmtree(job.work, ignore_errors=True)
        return
    try:
        _tracked(job.film, job.work, job.plan.settings(), job.tracker, step)
    except FileFormatError:
        log.debug("%s is left out; the reason is found again", job.film.source)


def _prepared(job: _Job, encoder: SpeechEncoder, step: _Step) -> tuple[list[Recorded], list[dict[str, Any]]]:
    """A video's clips with their images, and what was left out."""
    film, plan, work = job.film, job.plan, job.work
    clips, skipped = _measured(film, job.number, work, plan, plan.settings(), encoder, job.tracker, step)
    if plan.pictures and clips:
        raw = RawTrack.load(work / RAW)
        clips, unseen = with_pictures(film.path, clips, raw, plan.pictures, work, job.made_from, step.later())
        skipped = [*skipped, *({"source": film.source, **reason} for reason in unseen)]
    return clips, skipped


# one video ----------------------------------------------------------------------------------------------------------------------

def _measured(film: _Film, number: int, work: Path, plan: FilmPlan, settings: CaptureSettings, encoder: SpeechEncoder,
              tracker: Tracker, step: _Step) -> tuple[list[Recorded], list[dict[str, Any]]]:
    """A video's clips, and what of it was left out."""
    if film.reason:
        return [], [{"source": film.source, "reason": film.reason}]
    try:
        raw = _tracked(film, work, settings, tracker, step)
        sound = _heard(film.path, encoder)
        listener, moved = of_recording(encoder, film.path, sound.duration), 0
    except FileFormatError as error:
        return [], [{"source": film.source, "reason": f"{error}"}]
    if listener is encoder:  # features that exist already cannot be moved
        sound, moved = brought_to_lips(sound, raw, film.source)
    clips, skipped = [], []
    heard = min(len(raw), round(sound.duration * plan.fps))
    if heard < len(raw) - plan.fps / 2:
        skipped.append(_left_out(film, heard, len(raw), plan.fps, "the audio has ended"))
    for piece in pieces(_until(raw, heard), plan.size) if heard else ():
        if piece.landmarks is None or piece.poses is None:
            skipped.append(_left_out(film, piece.first, piece.stop, plan.fps, piece.reason))
            continue
        for first, stop in _parts(piece, plan.fps):
            said = sound.cut(first / plan.fps, stop / plan.fps).lasting(round((stop - first) / plan.fps * SAMPLE_RATE))
            speech = of_recording(listener, film.path, None, first / plan.fps).encode(said, step.sound)
            if bool(speech.silence.all()):
                skipped.append(_left_out(film, first, stop, plan.fps, "nobody speaks"))
                continue
            inside = first - piece.first, stop - piece.first
            facts = {"film": film.fingerprint, "first_frame": first, "crop": piece.crop,
                     **({"audio_moved": moved} if moved else {})}
            clips.append(Recorded(name=f"f{number:05d}_{len(clips):04d}", speech=speech, landmarks=piece.landmarks.slice(*inside),
                                  poses=piece.poses.slice(*inside), source=film.source, identity=film.identity, facts=facts))
    return clips, skipped


def _tracked(film: _Film, work: Path, settings: CaptureSettings, tracker: Tracker, step: _Step) -> RawTrack:
    """The video's points; found before, in whole or in part, where `work` has them."""
    if not (work / RAW).is_file():
        with writing(work):
            work.mkdir(parents=True, exist_ok=True)
            track_film(work, film.path, settings, 0, None, film.frames, None, tracker, step, dense=False)
    return RawTrack.load(work / RAW)


def _heard(path: Path, encoder: SpeechEncoder) -> Sound:
    """The video's audio as the encoder reads it, one channel at 16 kHz: an hour takes 230 MB."""
    return Sound(encoder.facts.mono(load_film_sound(path))[None], SAMPLE_RATE)


def _until(raw: RawTrack, stop: int) -> RawTrack:
    return raw.rows(slice(stop), tuple(c for c in raw.cuts if c < stop))


def _parts(piece: Piece, fps: float) -> Iterator[tuple[int, int]]:
    """A long piece in equal parts of at most LONGEST s: [first, stop) of the video's frames."""
    count = max(1, int(np.ceil((piece.stop - piece.first) / (LONGEST * fps))))
    edges = np.linspace(piece.first, piece.stop, count + 1).round().astype(int)
    return zip(edges[:-1].tolist(), edges[1:].tolist())


def _left_out(film: _Film, first: int, stop: int, fps: float, reason: str) -> dict[str, Any]:
    return {"source": film.source, "reason": reason, "frames": [first, stop], "seconds": round((stop - first) / fps, 2)}
