"""`talking-heads video`: speech and a face, in an image or a video, to a talking video."""
from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.choices import POLICIES
from ..media_core.claims import claimed
from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.image_reading import is_picture, read_picture
from ..moditalker_core.choices import SAMPLERS
from .automatic import or_auto
from .devices import add_device
from .encoders import add_encoder, chosen_encoder
from .face_options import add_tracker
from .motion_jobs import check_unreplaced
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:  # these import NumPy and torch
    from ..media_core.progress import Report
    from ..moditalker_core.mtov.generation import VideoSettings
    from ..moditalker_core.mtov.model import MToV, MToVConfig
    from ..moditalker_core.mtov.scenes import Scene

log = logging.getLogger(__name__)
_BATCH = 4  # clips computed together on an accelerator; on a CPU one at a time is as fast


def add_options(video: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = video.add_argument
    add("sound", metavar="AUDIO", help="speech: any audio or video file; becomes the video's audio")
    add("face", metavar="FACE", help="an image with one face, whose head stays still; or a video of a person, which keeps its "
                                     "head movement, eyes and background and gets a new mouth (a video that ends first is "
                                     "played ping-pong)")
    add("out", metavar="OUT.mp4", help="the video, as large as the whole image")
    add("--video", dest="film", action="store_true",
        help="treat FACE as a video, whatever its kind (default: if it is not an image)")
    add("--film", dest="film", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its name before
    add("--mtov", metavar="FILE", help="an MToV file (default: the shipped demo weights)")
    motion = video.add_mutually_exclusive_group()
    motion.add_argument("--atom", metavar="FILE", help="an AToM file (default: the shipped demo weights)")
    motion.add_argument("--motion", metavar="FILE", help="a saved motion (of `talking-heads motion`, edited perhaps) instead of "
                                                         "AToM's; sets the video's length. AUDIO is then only played")
    add_encoder(video, default=None)
    add("--sampler", choices=SAMPLERS, help="of MToV; ddim0 is DDIM with eta 0 (default: as its weights say)")
    add("--steps", dest="calls", type=or_auto(int), metavar="N",
        help="MToV's sampling steps per clip: fewer are faster (default: auto, as its weights say)")
    add("--calls", dest="calls", type=or_auto(int), default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its name before
    add("--schedule-steps", type=int, metavar="N", help="instead of --steps, as the official program counts: of N steps over "
                                                        "the whole noise schedule it runs those within the weights' strength")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same video (default: 0)")
    add("--batch", type=or_auto(int), metavar="N", help=f"clips computed at once (default: auto, 1 on a CPU, else {_BATCH})")
    add("--policy", default="skip", choices=POLICIES,
        help="a video's frames without a face: stop and name them (error), put the mouth where the face was last (hold) or on "
             "the way to the next one (interpolate), or leave them unchanged (skip) (default: skip)")
    add_tracker(add, "people")
    add("--no-paste", dest="paste", action="store_false", help="only the square around the face, as the networks make it")
    add_device(add)


def make_video(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from ..media_core.video import probe

    out = Path(options.out)
    _check_names(out, [options.sound, options.face, options.mtov, options.atom, options.motion])
    started = time.perf_counter()

    def show_result(done: tuple[Path, str]) -> None:
        made, note = done
        video, seconds = probe(made), time.perf_counter() - started
        print(f"{made}\n{video.frames} frames, {video.duration:.2f} s at {float(video.fps):g} fps, made in {seconds:.1f} s")
        if note:
            print(note)

    return run_job(lambda report: _made(options, out, report), _show, show_result, goes_on=False)


def _show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    if "clip" in info:
        line.show("Video", done, total, f"clip {info['clip']} of {info['clips']}")
    else:
        line.show("Motion" if "window" in info else "Tracking the face", done, total)


@claimed("out")
def _made(options: argparse.Namespace, out: Path, report: Report) -> tuple[Path, str]:
    """The work itself: the video, and a note on it. Faults of the request are found before the long parts begin."""
    from ..media_core.audio import frame_count, load_sound
    from ..media_core.motion import LandmarkTrack
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from ..moditalker_core.atom.generation import SamplingSettings
    from ..moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
    from ..moditalker_core.pipeline import save_frames, speak_video, video
    from .devices import chosen_device
    from .jobs import writable_file

    device = chosen_device(options.device)
    sound = load_sound(options.sound)
    motion = None if options.motion is None else LandmarkTrack.load(options.motion)
    mtov = load_mtov(options.mtov or SHIPPED_MTOV, device)
    settings = _settings(options, mtov)
    if options.encoder is not None and motion is not None:
        raise TalkingHeadsError("A saved motion needs no speech encoder", "both --motion and --encoder", "Leave one of them out")
    atom = load_atom(options.atom or SHIPPED_ATOM, device) if motion is None else None
    encoder = chosen_encoder(options, atom.config.speech.layer if atom is not None else None)
    if encoder is not None and atom is not None:
        atom.config.speech.check_encoder(encoder)
    writable_file(out)
    scene = _scene(options, mtov.config, report)
    fps = mtov.config.fps
    if motion is not None:
        frames = video(mtov, motion, scene, settings, paste=options.paste, report=report)
        return save_frames(frames, out, fps, sound), _left_alone(scene, frame_count(motion.duration, fps))
    assert atom is not None  # loaded above, where no motion is given
    speech = encoder.encode(sound, report) if encoder else None
    speak_video(atom, mtov, sound, scene, out, speech=speech, sampling=SamplingSettings(seed=options.seed), settings=settings,
                paste=options.paste, report=report)
    return out, _left_alone(scene, frame_count(sound.duration, fps))


def _left_alone(scene: Scene, frames: int) -> str:
    """Which frames of the source video are unchanged in a result of so many."""
    from ..media_core.face.landmarks.raw_track import listed

    faceless = scene.faceless_frames(frames)
    return f"no face in the video's frames {listed(faceless)}: left unchanged" if faceless else ""


def _settings(options: argparse.Namespace, mtov: MToV) -> VideoSettings:
    """The options as settings.

    Raises:
        TalkingHeadsError: values that no sampler accepts.
    """
    from ..moditalker_core.mtov.generation import VideoSettings

    for name, least in (("batch", 1), ("seed", 0)):
        if getattr(options, name) is not None and getattr(options, name) < least:
            raise TalkingHeadsError(f"--{name} must be a whole number of {least} or more", f"{getattr(options, name)}",
                                    "Choose another one, or leave it out")
    usual = 1 if mtov.device.type == "cpu" else _BATCH
    batch = usual if options.batch is None else options.batch
    settings = VideoSettings(sampler=options.sampler, calls=options.calls, seed=options.seed, batch=batch,
                             schedule=options.schedule_steps)
    settings.resolved(mtov.config, frames=1)  # refuses now what it would otherwise refuse after the motion is made
    return settings


def _scene(options: argparse.Namespace, config: MToVConfig, report: Report) -> Scene:
    """The image or video that the face is in.

    Raises:
        TalkingHeadsError: neither of them, or no face in it.
    """
    from ..media_core.audio import frame_count
    from ..media_core.video import probe, read_frames
    from ..moditalker_core.mtov.scenes import film_scene, portrait_scene

    face, film = options.face, options.film
    if not film and is_picture(face):
        return portrait_scene(read_picture(face), config, tracker=options.tracker)
    try:
        info = probe(face)
    except FileFormatError as error:
        why = f"{error.came} ({error.must[0].lower()}{error.must[1:]})"
        raise FileFormatError("The face must be a video that can be read" if film else
                              "The face must be an image or a video that can be read", why,
                              "Give a PNG or JPEG, or a video as mp4 (H.264)") from error
    if info.remark:
        log.warning("%s: %s", face, info.remark)
    return film_scene(lambda start: read_frames(face, config.fps, start), config, policy=options.policy,
                      tracker=options.tracker, report=report, total=frame_count(info.duration, config.fps))


def _check_names(out: Path, given: list[str | None]) -> None:
    """The output is a video, and replaces no input.

    Raises:
        TalkingHeadsError: it would.
    """
    if out.suffix != ".mp4":
        raise TalkingHeadsError("The video must be written to an .mp4 file", f"{out.name}", "Choose another name")
    check_unreplaced([out], [name for name in given if name])
