"""A motion dataset of invented people, or people of photos, who speak: exact landmarks straight from the rig, or captured from
their rendered video.

Several people times several voices; each clip is one performance. Identity numbers from 1000 on: smaller ones are for tests and
benchmarks (weights/make_mean_face.py). Exact landmarks are scaled as there: outer eye corners 9 cm apart at rest.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...media_core.audio import Sound, frame_count
from ...media_core.claims import claimed
from ...media_core.errors import TalkingHeadsError
from ...media_core.face.landmarks.mean_face import EYE_SPAN
from ...media_core.motion import LandmarkTrack, PoseTrack
from ...media_core.processes import Elsewhere, Unit
from ...media_core.progress import Report, silent
from ...media_core.speech import EncoderChoice, SpeechEncoder, opened, opens_by_name
from ...media_core.subject.performance import Heard, Performance, perform
from ...media_core.torch_threads import one_torch_thread
from .captured import bridged, measured, steadied
from .dataset_writer import Recorded, ShardWriter, listening, shard_name, standing, write_shard, writing
from .images import Pictures, PictureSettings, class_crop, spool
from .portraits import PhotoFile, portrait_of
from .subject_plan import FIRST_IDENTITY as FIRST_IDENTITY
from .subject_plan import NOBODY, SubjectPlan, tracker_for

if TYPE_CHECKING:
    from ...media_core.subject.portrait import Portrait
    from ...media_core.subject.render import Subject, SubjectFrame
    from ...media_core.subject.rig import Rig

_EXACT_EVERY = 50  # frames between two reports
_SHOWN_EVERY = 10  # frames between two previews of the images
_LARGER, _LARGEST = 2, 1024  # a rendered video's side over that of its images; px


@claimed("folder")
def build_from_subject(folder: str | os.PathLike, plan: SubjectPlan | None = None, *, encoder: EncoderChoice = "mel",
                       skipped: Sequence[Mapping[str, Any]] = (), report: Report = silent,
                       elsewhere: Elsewhere | None = None) -> Path:
    """Writes the dataset and returns its folder; a finished one of the same plan is returned as it is.

    Args:
        folder: new, empty, or a motion dataset; clips in it that were made the same way are kept.
        plan: see `SubjectPlan`.
        encoder: of the speech: "mel", a model folder, or an open one.
        skipped: portraits that cannot be used, and why, for the index.
        report: called with frames done of all (every frame where videos are rendered); what it raises stops the work, and the
            same call later continues with the clip that was interrupted.
        elsewhere: makes clips side by side, with `clip_unit`; None: one after the other, here. The folder is the same. An encoder
            with weights works here alone: then all is done here.
    Raises:
        TalkingHeadsError: no espeak-ng where it is asked for, or the folder holds something else, is full or cannot be written.
    """
    encoder = opened(encoder)
    plan, heard = _resolved(plan or SubjectPlan()), listening(encoder)
    request = {"kind": "subject", "clips": [{**plan.made_from(i), **heard} for i in range(plan.count)], "val": plan.held_out}
    writer = ShardWriter(folder, request, plan.tracker)
    if writer.finished:
        return writer.folder
    total = plan.count * plan.work
    if elsewhere is not None and opens_by_name(encoder.facts.id):
        _side_by_side(plan, request["clips"], encoder.facts.id, writer, elsewhere, report)
    for i, made_from in enumerate(request["clips"]):
        shard = _shard(plan, i, made_from)
        if not writer.keeps(shard, made_from):
            step = _Step(report, i, plan, total)
            writer.write(shard, made_from, [subject_clip(i, plan, made_from, encoder, writer.unfinished, step)])
            shutil.rmtree(writer.unfinished, ignore_errors=True)
        report((i + 1) * plan.work, total, {"stage": "clip", "clip": i + 1, "clips": plan.count}, None)
    from ...media_core.subject import CREDIT

    return writer.finish(lambda clips: range(plan.count - plan.held_out, plan.count),
                         {"source": "synthetic subject", "synthetic": True, "credit": _credit(plan) or CREDIT,
                          "tracker": plan.tracker}, skipped)


def _shard(plan: SubjectPlan, i: int, made_from: Mapping[str, Any]) -> str:
    return shard_name(f"subject{_called(*plan.face(i))}_{made_from['voice']}", i)


def _side_by_side(plan: SubjectPlan, clips: Sequence[Mapping[str, Any]], encoder: str, writer: ShardWriter, elsewhere: Elsewhere,
                  report: Report) -> None:
    """Has the clips that are missing made."""
    sent = {**asdict(plan), "portraits": [[str(photo.path.resolve()), photo.sha256] for photo in plan.portraits]}
    units = [{"clip": i, "plan": sent, "made_from": dict(made_from), "encoder": encoder,
              "shard": str(writer.path(_shard(plan, i, made_from)).resolve()),
              "work": str((writer.unfinished / f"{i:05d}").resolve())}
             for i, made_from in enumerate(clips) if standing(writer.path(_shard(plan, i, made_from)), made_from) is None]
    before = (plan.count - len(units)) * plan.work

    def told(done: Sequence[int]) -> None:
        at = max(range(len(units)), key=lambda k: done[k])
        report(before + sum(min(one, plan.work) for one in done), plan.count * plan.work,
               {"stage": "clip", "clip": units[at]["clip"] + 1, "clips": plan.count}, None)

    if units:
        elsewhere(units, told)


def clip_unit(unit: Unit, report: Report) -> None:
    """Makes a clip and its shard, in any process that has the folder: see `build_from_subject`, `elsewhere`."""
    given = dict(unit["plan"])
    pictures = None if given["pictures"] is None else PictureSettings(**given["pictures"])
    portraits = tuple(PhotoFile(Path(path), checksum) for path, checksum in given["portraits"])
    plan = SubjectPlan(**{**given, "pictures": pictures, "portraits": portraits, "voices": tuple(given["voices"]),
                          "identities": tuple(given["identities"])})
    work, shard = Path(unit["work"]), Path(unit["shard"])
    step = _Step(lambda done, total, info, preview=None: report(done - unit["clip"] * plan.work, plan.work, info, preview),
                 unit["clip"], plan, plan.count * plan.work)
    clip = subject_clip(unit["clip"], plan, unit["made_from"], opened(unit["encoder"]), work, step)
    write_shard(shard, unit["made_from"], [clip], ())
    shutil.rmtree(work, ignore_errors=True)


def _credit(plan: SubjectPlan) -> str:
    """Of photos; empty without."""
    if not plan.portraits:
        return ""
    return (f"Made from {len(plan.portraits)} photographs: {', '.join(photo.path.name for photo in plan.portraits)}. The people "
            "in them never said these words. Use them only with these people's consent.")


def _called(identity: int | None, photo: PhotoFile | None) -> str:
    return f"{identity}" if photo is None else photo.person(identity)


class _Step:
    """The frames of one clip within those of all."""

    def __init__(self, report: Report, clip: int, plan: SubjectPlan, total: int, before: int = 0):
        self.report, self.clip, self.plan, self.total, self.before = report, clip, plan, total, before

    def __call__(self, done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        gone = self.before + min(done, self.plan.frames)
        self.report(self.clip * self.plan.work + gone, self.total,
                    {"stage": "clip", "clip": self.clip + 1, "clips": self.plan.count}, preview)

    def drawing(self) -> _Step:
        """For the images: behind the tracking, where there was one."""
        return _Step(self.report, self.clip, self.plan, self.total, self.plan.work - self.plan.frames)


def _resolved(plan: SubjectPlan) -> SubjectPlan:
    """The plan with the engine that will speak: what is written must say which it was."""
    from ...media_core.subject.espeak import usable
    from ...media_core.subject.voices import read_names, without_espeak

    speakers = read_names(plan.voices)
    if plan.engine != "auto":
        return plan
    return replace(plan, engine="espeak" if without_espeak(speakers) or usable() else "formant")


@one_torch_thread()  # as in other processes, to the bit
def subject_clip(number: int, plan: SubjectPlan, made_from: Mapping[str, Any], encoder: SpeechEncoder, work: Path,
                 step: _Step) -> Recorded:
    """One performance as a clip; its images, if wanted, are coded into files in the folder `work`."""
    name, (identity, photo), voice = f"c{number:05d}", plan.face(number), made_from["voice"]
    portrait = None if photo is None else portrait_of(photo)
    performance = performed(plan, voice, made_from["seed"], step)
    sound, frames = performance.sound, len(performance)
    if "damage" in made_from:
        sound = _damaged(sound, made_from["damage"], made_from["seed"])
    if plan.take is not None:
        sound, frames = sound.cut(0, plan.take), plan.frames
    if plan.captured:
        landmarks, poses, facts, seen = captured_motion(performance, identity, frames, plan.size, step, portrait)
    else:
        told = _still(step) if plan.pictures else step
        (landmarks, poses, facts), seen = exact_motion(performance, identity, frames, plan.size, told, portrait), None
    pictures = drawn(name, performance, plan, made_from, seen, work, step.drawing(), portrait) if plan.pictures else None
    facts = {"identity": _called(identity, photo) if photo else identity, "voice": voice, "seed": made_from["seed"],
             "captured": plan.captured, **facts}
    end = step.drawing()
    speech = encoder.encode(sound, lambda done, total, info, preview=None: end(frames, frames, {}, None))
    return Recorded(name=name, speech=speech, landmarks=landmarks, poses=poses, source="subject",
                    identity=_called(identity, photo), facts=facts, pictures=pictures)


def performed(plan: SubjectPlan, voice: str, seed: int, report: Report) -> Performance:
    """What the person of a clip does and says, or does while nobody speaks."""
    if voice != NOBODY:
        return perform(plan.seconds, seed, fps=plan.fps, voice=voice, engine=plan.engine, report=_still(report))
    from ...media_core.subject.articulation import resting
    from ...media_core.subject.damage import RATE, nobody

    wave = nobody(plan.seconds, np.random.default_rng([seed, 7]))
    sound = Sound(wave[None], RATE)
    mouth = resting(frame_count(sound.duration, plan.fps))
    return perform(None, seed, heard=Heard(sound, mouth, plan.fps, ""))


def _damaged(sound: Sound, fraction: float, seed: int) -> Sound:
    from ...media_core.subject.damage import RATE, damaged_in_parts

    return Sound(damaged_in_parts(sound.mono(RATE), fraction, np.random.default_rng([seed, 8]))[None], RATE)


def _still(report: Report) -> Report:
    """For work that is not counted: progress does not move, and can be cancelled."""
    return lambda done, total, info, preview=None: report(0, 1, {}, None)


def exact_motion(performance: Performance, identity: int | None, frames: int, size: int, report: Report = silent,
                 portrait: Portrait | None = None) -> tuple[LandmarkTrack, PoseTrack, dict[str, Any]]:
    """The rig's own points, decimetres, and the poses of the camera that `Subject(size, identity)` has."""
    from ...media_core.subject.export import camera_to_world
    from ...media_core.subject.layout import to_68
    from ...media_core.subject.parameters import PARAMS
    from ...media_core.subject.render import AXES
    from ...media_core.subject.rig import DISTANCE, WINDOW

    rig = rig_of(identity, portrait)
    rest = to_68(rig.mesh(np.zeros(len(PARAMS)))) * AXES
    scale = EYE_SPAN / np.linalg.norm(rest[45] - rest[36])  # metres of a photo pixel, for this person
    points, poses = np.empty((frames, 68, 3)), np.empty((frames, 4, 4))
    for i in range(frames):
        points[i] = to_68(rig.mesh(performance.params[i])) * AXES * (10 * scale)
        turn, shift = rig.pose(performance.euler[i], performance.translation[i])
        poses[i] = camera_to_world(turn * AXES, shift * scale)
        if i % _EXACT_EVERY == 0:
            report(i, frames, {}, None)
    fps = performance.fps
    return (LandmarkTrack(torch.from_numpy(points.astype(np.float32)), fps),
            PoseTrack(torch.from_numpy(poses.astype(np.float32)), DISTANCE * size / WINDOW, (size, size), fps), {})


def rig_of(identity: int | None, portrait: Portrait | None = None) -> Rig:
    """The rig of a person, without the textures that drawing needs.

    Args:
        identity: who is invented; None: the person of the photo.
        portrait: the photo; None: the astronaut.
    """
    from ...media_core.subject.identity import invent
    from ...media_core.subject.portrait import load
    from ...media_core.subject.rig import Outlines, Rig

    plain = load() if portrait is None else portrait
    bent = plain if identity is None else invent(plain, identity)[0]
    outline = bent.hair if portrait is None else None
    return Rig(Outlines(points=bent.points, plain_points=plain.points, hair_outline=outline), plain.rest)


def captured_motion(performance: Performance, identity: int | None, frames: int, size: int, report: Report = silent,
                    portrait: Portrait | None = None) -> tuple[LandmarkTrack, PoseTrack, dict[str, Any], np.ndarray]:
    """The same as the tracker for rendered people sees it in the rendered video, which is never stored; and what it saw there,
    steadied, float32 [T, 68, 2] px.

    Raises:
        TalkingHeadsError: the tracker lost the face.
    """
    from ...media_core.face.landmarks.landmarks import track_frames
    from ...media_core.face.trackers import make_tracker

    film, tracker = _film(performance, identity, frames, size, portrait), make_tracker(tracker_for(portrait is not None))
    raw = bridged(track_frames(film, performance.fps, tracker=tracker, total=frames, report=report))
    if not raw.seen.all():
        raise TalkingHeadsError("The tracker must see the subject's face in every frame",
                                f"not in {int((~raw.seen).sum())} of {frames} of identity {identity}",
                                "Render larger, or leave that identity out")
    piece = measured(raw, 0, frames, size)
    assert piece.landmarks is not None and piece.poses is not None
    return piece.landmarks, piece.poses, {"crop": piece.crop}, steadied(raw.points, raw.fps)


def _film(performance: Performance, identity: int | None, frames: int, size: int,
          portrait: Portrait | None) -> Iterator[np.ndarray]:  # uint8 [size, size, 3]
    from ...media_core.subject.export import subject_of

    # half the time, and the tracked lips are as near the exact ones (r .99)
    subject = subject_of(size, identity, portrait, oversampling=1)
    return (frame.rgb for frame in _rendered(subject, performance, frames))


def _rendered(subject: Subject, performance: Performance, frames: int) -> Iterator[SubjectFrame]:
    for params, euler, shift, sway in zip(performance.params[:frames], performance.euler, performance.translation,
                                          performance.sway):
        yield subject.render(params, subject.pose(euler, shift), sway)


def drawn(name: str, performance: Performance, plan: SubjectPlan, made_from: Mapping[str, Any], seen: np.ndarray | None,
          work: Path, report: Report = silent, portrait: Portrait | None = None) -> Pictures:
    """The first frames of a performance as images, with the subject's own parts as masks.

    Args:
        seen: [T, 68, 2] px of a video of `plan.size`; None: the exact points.
        work: the folder for the coded images.
        portrait: whose face; None: the astronaut's, invented anew.
    """
    from ...media_core.subject.export import subject_of

    settings, frames = plan.pictures, plan.frames
    assert settings is not None
    size = min(max(plan.size, _LARGER * settings.size), _LARGEST)  # the face's square should have as many px as the image
    subject = subject_of(size, made_from["identity"], portrait, oversampling=1)
    if seen is None:
        points = np.stack([subject.landmarks(params, subject.pose(euler, shift))[0] for params, euler, shift in
                           zip(performance.params[:frames], performance.euler, performance.translation)])
    else:
        points = (seen.astype(np.float64) + 0.5) * (size / plan.size) - 0.5
    crop = settings.square(points, (size, size), plan.fps)

    def pictures() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for i, frame in enumerate(_rendered(subject, performance, frames)):
            picture = crop.crop(frame.rgb, i)
            report(i, frames, {}, picture if i % _SHOWN_EVERY == 0 else None)
            yield picture, class_crop(crop, frame.classes, i) if settings.masks else None

    with writing(work):
        return spool(work, name, made_from, settings, crop, points, pictures())
