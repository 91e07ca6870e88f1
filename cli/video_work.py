"""What `talking-heads video` does: the motion, the face, and the frames of a video, or of a chunk of one."""
from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..media_core.claims import claimed
from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.image_reading import is_picture, over_black, read_clear_picture
from ..media_core.video_formats import CLEAR, can_be_clear
from .encoders import chosen_encoder, kept_listener
from .loaded import Models
from .resumed import Parts, key_of
from .sampling_options import motion_sampling, video_sampling

if TYPE_CHECKING:  # these import NumPy and torch
    import numpy as np

    from ..media_core.audio import Sound
    from ..media_core.motion import LandmarkTrack
    from ..media_core.progress import Report
    from ..media_core.speech import SpeechEncoder
    from ..media_core.video import VideoInfo
    from ..moditalker_core.atom.generation import SamplingSettings
    from ..moditalker_core.atom.model import AToM
    from ..moditalker_core.carried_faces import CarriedFace
    from ..moditalker_core.mtov.generation import VideoSettings
    from ..moditalker_core.mtov.model import MToV, MToVConfig
    from ..moditalker_core.mtov.scenes import Scene
    from .shared_video import Part

    Drawn = Callable[[int, int, Report], Iterator[np.ndarray]]  # (first frame, the one after the last, report) -> the frames

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Said:
    """What the face says: a saved motion, or audio with the network that makes motion of it."""

    sound: Sound
    saved: LandmarkTrack | None
    atom: AToM | None
    encoder: SpeechEncoder | None
    sampling: SamplingSettings

    @property
    def fps(self) -> float:
        if self.saved is not None:
            return self.saved.fps
        assert self.atom is not None  # loaded where no motion is given
        return self.atom.config.fps

    def motion(self, portrait: LandmarkTrack, report: Report) -> LandmarkTrack:
        """The motion of that face (canonical)."""
        from ..media_core.progress import silent
        from ..media_core.speech import models_of
        from ..moditalker_core.pipeline import speak

        if self.saved is not None:
            return self.saved
        assert self.atom is not None
        assert self.encoder is not None
        speech = self.encoder.encode(self.sound, report if models_of(self.encoder) else silent)
        return speak(self.atom, self.sound, portrait, self.sampling, speech=speech, report=report)


@claimed("out")
def made(options: argparse.Namespace, out: Path, models: Models, report: Report,
         part: Part | None = None) -> tuple[Path, str]:
    """The work itself: the video, and a note on it. Faults of the request are found before the long parts begin.

    Args:
        models: keeps what is loaded for the next video.
        part: a chunk of the video alone, without audio; None: all of it.
    """
    from .jobs import writable_file

    said = _said(options, models)
    redraw = _redrawing(options, models) if options.carrier == "redraw" else None
    writable_file(out)
    work = _Work(options, said, out, models, report, part)
    return out, _carried(work) if redraw is None else _redrawn(work, redraw)


def frames_of(options: argparse.Namespace, sound: Sound) -> int:
    """How many frames the video of this audio has."""
    from ..media_core.audio import frame_count
    from ..media_core.motion import LandmarkTrack
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from ..moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov

    if options.motion is None:
        fps = load_atom(str(options.atom or SHIPPED_ATOM)).config.fps
        count = frame_count(sound.duration, fps)
    else:
        saved = LandmarkTrack.load(options.motion)
        fps, count = saved.fps, len(saved)
    if options.carrier != "redraw":
        return count
    drawn = load_mtov(str(options.mtov or SHIPPED_MTOV)).config.fps
    return count if drawn == fps else frame_count(count / fps, drawn)  # as motion is resampled


def note_of(done: tuple[Path, str]) -> str:
    """What is to be said of a video."""
    return done[1]


@dataclass(frozen=True)
class _Work:
    """What a video, or a chunk of one, is made of."""

    options: argparse.Namespace
    said: _Said
    out: Path
    models: Models
    report: Report
    part: Part | None

    def kept(self, kind: str, made: Callable[[], T]) -> T:
        """What chunks of one video share."""
        return made() if self.part is None else self.models.get(kind, (self.part.key, self.options.device), made)

    def motion(self, portrait: LandmarkTrack) -> LandmarkTrack:
        """What the face does; read where an earlier run has left it."""
        def make() -> LandmarkTrack:
            return self.said.motion(portrait, self.report)

        return self._parts.motion(make) if self._resumed else self.kept("motion", make)

    def write(self, drawn: Drawn, frames: int, fps: float) -> None:
        """Writes the video of so many frames, or the chunk."""
        def save(path: Path, first: int, stop: int, sound: Sound | None, tags: Mapping[str, str], report: Report) -> None:
            save_frames(drawn(first, stop, report), path, fps, sound, label=self.options.label, metadata=tags)

        from ..moditalker_core.pipeline import save_frames

        if self.part is not None:
            save(self.out, *self.part.within(frames), None, self.part.tags, self.report)
        elif self._resumed:
            self._parts.made(frames, fps, self.said.sound, save, self.report)
        else:
            save(self.out, 0, frames, self.said.sound, {}, self.report)

    @property
    def _resumed(self) -> bool:
        return self.part is None and self.options.resume

    @property
    def _parts(self) -> Parts:
        from .video_jobs import add_options

        return Parts(self.out, key_of(self.options, add_options))


def _said(options: argparse.Namespace, models: Models) -> _Said:
    from ..media_core.audio import load_sound
    from ..media_core.motion import LandmarkTrack
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from .devices import chosen_device

    device = chosen_device(options.device)
    sound = load_sound(options.sound)
    motion = None if options.motion is None else LandmarkTrack.load(options.motion)
    if options.encoder is not None and motion is not None:
        raise TalkingHeadsError("A saved motion needs no speech encoder", "both --motion and --encoder", "Leave one of them out")
    file = str(options.atom or SHIPPED_ATOM)
    atom = models.get("atom", (file, device), lambda: load_atom(file, device)) if motion is None else None
    encoder = chosen_encoder(options) if atom is None else kept_listener(options, atom.config.speech, "AToM", models)
    sampling = motion_sampling(options)
    if atom is not None:
        sampling.resolved(atom.config)  # refuses now what it would otherwise refuse after the video is tracked
    return _Said(sound, motion, atom, encoder, sampling)


def _carried(work: _Work) -> str:
    """A video of the image's own pixels; a note on it."""
    from ..moditalker_core.carried_faces import Drawing

    options, report = work.options, work.report
    face = work.kept("face", lambda: _carried_face(options, work.said.fps, work.out, report))
    motion = work.motion(face.canonical)

    def drawn(first: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        return face.frames(motion, Drawing(life=options.life, seed=options.seed, start=first, stop=stop), report)

    work.write(drawn, len(motion), motion.fps)
    return _left_alone(face.faceless_frames(len(motion)))


def _carried_face(options: argparse.Namespace, fps: float, out: Path, report: Report) -> CarriedFace:
    from ..media_core.audio import frame_count
    from ..media_core.video import read_frames
    from ..moditalker_core.carried_faces import still_face, video_face

    if not options.film and is_picture(options.face):
        return still_face(_picture(options.face, out), tracker=options.tracker, face_index=options.face_index)
    info = _film(options)
    return video_face(lambda start: read_frames(options.face, fps, start), fps, policy=options.policy, tracker=options.tracker,
                      face_index=options.face_index, total=frame_count(info.duration, fps), report=report)


def _picture(face: str, out: Path) -> np.ndarray:  # uint8 [H, W, 3 or 4]
    """The image, transparent only where the video can be."""
    picture = read_clear_picture(face)
    if picture.shape[2] == 3 or can_be_clear(out):
        return picture
    log.warning("%s cannot be transparent: the background becomes black. To keep it, write %s", out.suffix, " or ".join(CLEAR))
    return over_black(picture)


def _redrawing(options: argparse.Namespace, models: Models) -> tuple[MToV, VideoSettings]:
    from ..moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
    from .devices import chosen_device

    file, device = str(options.mtov or SHIPPED_MTOV), chosen_device(options.device)
    mtov = models.get("mtov", (file, device), lambda: load_mtov(file, device))
    return mtov, video_sampling(options, mtov)


def _redrawn(work: _Work, drawing: tuple[MToV, VideoSettings]) -> str:
    """A video drawn by MToV; a note on it."""
    from ..media_core.audio import frame_count
    from ..moditalker_core.pipeline import video

    (mtov, settings), options, said = drawing, work.options, work.said
    fps = mtov.config.fps
    scene, alpha = work.kept("scene", lambda: _scene(options, mtov.config, work.out, work.report))
    motion = work.motion(scene.canonical)

    def drawn(first: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        frames = video(mtov, motion, scene, replace(settings, start=first, stop=stop), paste=options.paste, report=report)
        return frames if alpha is None else _with_alpha(frames, alpha)

    work.write(drawn, len(motion.resampled(fps)), fps)
    length = said.sound.duration if said.saved is None else motion.duration
    return _left_alone(scene.faceless_frames(frame_count(length, fps)))


def _with_alpha(frames: Iterator[np.ndarray], alpha: np.ndarray) -> Iterator[np.ndarray]:  # uint8 [H, W, 3] -> [H, W, 4]
    """Frames that were drawn over black, transparent again."""
    import numpy as np

    scale = 255 / np.maximum(alpha[..., None], 1).astype(np.float32)
    return (np.dstack([np.rint((frame * scale).clip(0, 255)).astype(np.uint8), alpha]) for frame in frames)


def _left_alone(faceless: list[int]) -> str:
    """A note on frames of the source video that are unchanged."""
    from ..media_core.face.landmarks.raw_track import listed

    return f"no face in the video's frames {listed(faceless)}: left unchanged" if faceless else ""


def _scene(options: argparse.Namespace, config: MToVConfig, out: Path, report: Report) -> tuple[Scene, np.ndarray | None]:
    """The image or video that the face is in; and how opaque the pasted frames are, uint8 [H, W], where not everywhere.

    Raises:
        TalkingHeadsError: neither of them, or no face in it.
    """
    from ..media_core.audio import frame_count
    from ..media_core.video import read_frames
    from ..moditalker_core.carried_faces import followed_face
    from ..moditalker_core.mtov.scenes import film_scene, portrait_scene

    if not options.film and is_picture(options.face):
        picture = _picture(options.face, out)
        scene = portrait_scene(over_black(picture), config, tracker=options.tracker, face_index=options.face_index)
        return scene, None if picture.shape[2] == 3 or not options.paste else _fitted(picture[..., 3], scene.picture.shape[:2])
    total, chosen = frame_count(_film(options).duration, config.fps), options.face_index
    opened = lambda start: read_frames(options.face, config.fps, start)
    track = followed_face(opened, config.fps, face_index=chosen, total=total, tracker=options.tracker,
                          report=report) if chosen else None
    return film_scene(opened, config, track=track, policy=options.policy, tracker=options.tracker, report=report,
                      total=total), None


def _fitted(alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # uint8 [h, w] -> [H, W]
    """The alpha channel at the size of the frames; a large portrait is drawn smaller."""
    import cv2

    return alpha if alpha.shape == size else cv2.resize(alpha, size[::-1], interpolation=cv2.INTER_AREA)


def _film(options: argparse.Namespace) -> VideoInfo:
    """What the video is.

    Raises:
        FileFormatError: no video that can be read.
    """
    from ..media_core.video import probe

    try:
        info = probe(options.face)
    except FileFormatError as error:
        why = f"{error.came} ({error.must[0].lower()}{error.must[1:]})"
        raise FileFormatError("The face must be a video that can be read" if options.film else
                              "The face must be an image or a video that can be read", why,
                              "Give a PNG or JPEG, or a video as mp4 (H.264)") from error
    if info.remark:
        log.warning("%s: %s", options.face, info.remark)
    return info
