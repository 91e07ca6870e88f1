"""`talking-heads video`: speech and a face, in an image or a video, to a talking video."""
from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.choices import POLICIES
from ..media_core.claims import claimed
from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.image_reading import is_picture, over_black, read_clear_picture
from ..media_core.video_formats import CLEAR, can_be_clear, check_ending
from ..moditalker_core.choices import CARRIERS, LIFE
from .devices import add_device
from .encoders import add_encoder, chosen_encoder, kept_listener
from .face_options import add_tracker
from .label import add_label
from .loaded import Models
from .motion_jobs import check_unreplaced
from .progress_line import Info, ProgressLine, run_job
from .resumed import Parts, add_resume, key_of
from .sampling_options import add_motion_sampling, add_video_sampling, motion_sampling, unread, video_sampling

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

log = logging.getLogger(__name__)


def add_options(video: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = video.add_argument
    add("sound", metavar="AUDIO", help="speech: any audio or video file; becomes the video's audio")
    add("face", metavar="FACE", help="an image with one face; or a video of a person, which keeps its head movement, eyes and "
                                     "background and gets a new mouth (a video that ends first is played ping-pong)")
    add("out", metavar="OUT", help=f"the video, as large as the whole image: .mp4; or {', '.join(CLEAR)}, which keep the "
                                   "transparent background of an image")
    add("--video", dest="film", action="store_true",
        help="treat FACE as a video, whatever its kind (default: if it is not an image)")
    add("--film", dest="film", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its name before
    add("--carrier", choices=CARRIERS,
        help="how frames are made: picture moves the image's own pixels, at its own size and without further weights; redraw "
             f"draws the face with MToV's networks (default: {CARRIERS[0]})")
    add("--life", type=float, default=LIFE, metavar="L",
        help=f"head sway and blinks of a still image, 0 (none) to 1; for picture only (default: {LIFE:g})")
    motion = video.add_mutually_exclusive_group()
    motion.add_argument("--atom", metavar="FILE", help="an AToM file (default: the shipped demo weights)")
    motion.add_argument("--motion", metavar="FILE", help="a saved motion (of `talking-heads motion`, edited perhaps) instead of "
                                                         "AToM's; sets the video's length. AUDIO is then only played")
    add_encoder(video, default=None)
    add_motion_sampling(video, prefix="motion-")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same video (default: 0)")
    add("--policy", default="skip", choices=POLICIES,
        help="a video's frames without a face: stop and name them (error), put the mouth where the face was last (hold) or on "
             "the way to the next one (interpolate), or leave them unchanged (skip) (default: skip)")
    add_tracker(add, "people")
    add("--face-index", type=int, default=0, metavar="N", help="of several faces the N-th largest, from 0 (default: 0)")
    add("--no-paste", dest="paste", action="store_false",
        help="only the square around the face, as MToV's networks make it: --carrier redraw")
    add_video_sampling(video)
    add_label(add)
    add_resume(add)
    add_device(add)


def make_video(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from ..media_core.video import probe

    check(options)
    warn(options)
    out = Path(options.out)
    started = time.perf_counter()

    def show_result(done: tuple[Path, str]) -> None:
        path, note = done
        video, seconds = probe(path), time.perf_counter() - started
        print(f"{path}\n{video.frames} frames, {video.duration:.2f} s at {float(video.fps):g} fps, made in {seconds:.1f} s")
        if note:
            print(note)

    return run_job(lambda report: made(options, out, Models(), report), show, show_result, goes_on=options.resume)


def check(options: argparse.Namespace) -> None:
    """Finds faults of the request before any work, and settles the carrier.

    Raises:
        TalkingHeadsError: the output is no video or replaces an input, or options that exclude each other.
    """
    from ..media_core.synthetic import checked_label

    _check_names(Path(options.out), [options.sound, options.face, options.mtov, options.atom, options.motion])
    _check_carrier(options)
    checked_label(options.label)


def warn(options: argparse.Namespace) -> None:
    """Says which options have no effect."""
    if options.carrier != "redraw" and unread(options):
        log.warning("%s: without effect, since only --carrier redraw uses MToV", ", ".join(unread(options)))


def show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    if "clip" in info:
        line.show("Video", done, total, f"clip {info['clip']} of {info['clips']}")
    elif "frame" in info and "stage" not in info:
        line.show("Video", done, total)
    else:
        line.show("Motion" if "window" in info else "Tracking the face", done, total)


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
def made(options: argparse.Namespace, out: Path, models: Models, report: Report) -> tuple[Path, str]:
    """The work itself: the video, and a note on it. Faults of the request are found before the long parts begin.

    Args:
        models: keeps what is loaded for the next video.
    """
    from .jobs import writable_file

    said = _said(options, models)
    redraw = _redrawing(options, models) if options.carrier == "redraw" else None
    writable_file(out)
    return out, _carried(options, said, out, report) if redraw is None else _redrawn(options, said, redraw, out, report)


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


def _carried(options: argparse.Namespace, said: _Said, out: Path, report: Report) -> str:
    """A video of the image's own pixels; a note on it."""
    from ..moditalker_core.carried_faces import Drawing
    from ..moditalker_core.pipeline import save_frames

    drawing = Drawing(life=options.life, seed=options.seed)
    face = _carried_face(options, said.fps, out, report)
    if options.resume:
        motion = _in_parts(Parts(out, key_of(options, add_options)), options, said, face, report)
    else:
        motion = said.motion(face.canonical, report)
        save_frames(face.frames(motion, drawing, report), out, motion.fps, said.sound, label=options.label)
    return _left_alone(face.faceless_frames(len(motion)))


def _in_parts(parts: Parts, options: argparse.Namespace, said: _Said, face: CarriedFace, report: Report) -> LandmarkTrack:
    """The same video, chunk by chunk; its motion."""
    from ..moditalker_core.carried_faces import Drawing
    from ..moditalker_core.pipeline import save_frames

    def write(path: Path, first: int, stop: int, sound: Sound | None, tags: Mapping[str, str], report: Report) -> None:
        drawing = Drawing(life=options.life, seed=options.seed, start=first, stop=stop)
        save_frames(face.frames(motion, drawing, report), path, motion.fps, sound, label=options.label, metadata=tags)

    motion = parts.motion(lambda: said.motion(face.canonical, report))
    parts.made(len(motion), motion.fps, said.sound, write, report)
    return motion


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


def _redrawn(options: argparse.Namespace, said: _Said, drawing: tuple[MToV, VideoSettings], out: Path, report: Report) -> str:
    """A video drawn by MToV; a note on it."""
    from ..media_core.audio import frame_count
    from ..moditalker_core.pipeline import save_frames, video

    mtov, settings = drawing
    scene, alpha = _scene(options, mtov.config, out, report)
    motion, fps = said.motion(scene.canonical, report), mtov.config.fps
    frames = video(mtov, motion, scene, settings, paste=options.paste, report=report)
    save_frames(frames if alpha is None else _with_alpha(frames, alpha), out, fps, said.sound,
                label=options.label)
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


def _check_names(out: Path, given: list[str | None]) -> None:
    """The output is a video, and replaces no input.

    Raises:
        TalkingHeadsError: it would.
    """
    check_ending(out)
    check_unreplaced([out], [name for name in given if name])


def _check_carrier(options: argparse.Namespace) -> None:
    """Settles the carrier: only MToV's has a square that can be left unpasted.

    Raises:
        TalkingHeadsError: crops of a carrier that makes none, or no seed.
    """
    for name in ("seed", "face_index"):
        if getattr(options, name) < 0:
            raise TalkingHeadsError(f"--{name.replace('_', '-')} must be a whole number of 0 or more",
                                    f"{getattr(options, name)}", "Choose another one, or leave it out")
    if options.carrier is None:
        options.carrier = CARRIERS[0] if options.paste else "redraw"
    if options.carrier == "redraw":
        if options.resume:
            raise TalkingHeadsError("--resume needs frames that can be made alone", "--carrier redraw, whose clips follow from "
                                    "each other", "Leave one of them out")
        return
    if not options.paste:
        raise TalkingHeadsError("--no-paste needs MToV's square around the face", f"--carrier {options.carrier}",
                                "Add --carrier redraw, or leave --no-paste out")
