"""MoDiTalker from end to end, on one screen: audio and one portrait become motion, motion and the portrait become video.

    audio  --media_core.speech-->   Speech             two tokens per frame
    image  --media_core.face-->     canonical portrait 68 points from the front; no 3DMM is needed
    both   --atom.generation-->     LandmarkTrack      editable, canonical, any length
    motion --carried_faces-->       video              carrier "picture": its own pixels move; any length, frame by frame
or  motion --scenes, alignment-->   pixels             carrier "redraw": on a portrait or a pose video
    pixels --mtov.generation-->     video              drawn anew by MToV's networks; any length, frame by frame
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from ..media_core.asked import whole
from ..media_core.audio import Sound
from ..media_core.errors import TalkingHeadsError
from ..media_core.live_copy import LiveCopy
from ..media_core.motion import LandmarkTrack
from ..media_core.progress import Report, silent
from ..media_core.speech import Speech, encode_speech
from .atom.generation import SamplingSettings, generate_motion
from .atom.model import AToM
from .carried_faces import CarriedFace, Drawing, StillFace, VideoFace, still_face
from .choices import CARRIERS, LIFE
from .mtov.conditions import Picture
from .mtov.generation import VideoSettings, talk
from .mtov.model import MToV
from .mtov.scenes import FEATHER, Scene, portrait_scene

DRAWN = 512  # px of a drawn video


def speak(atom: AToM, sound: Sound, portrait: np.ndarray | LandmarkTrack, settings: SamplingSettings | None = None, *,
          speech: Speech | None = None, report: Report = silent) -> LandmarkTrack:
    """The motion of a face that says `sound`.

    Args:
        atom: the network.
        sound: any length and rate.
        portrait: image uint8 [H, W, 3] with one face, or canonical landmarks of it.
        settings: how it is sampled; None: as the weights say.
        speech: the audio already encoded; None encodes it with the encoder that the checkpoint names (mel).
        report: see `generate_motion`.
    Returns:
        canonical landmarks, round(duration * fps) frames.
    Raises:
        TalkingHeadsError: no face in the image, or what `generate_motion` refuses.
    """
    speech = encode_speech(sound, atom.config.speech.encoder) if speech is None else speech
    return generate_motion(atom, speech, portrait_motion(portrait), settings or SamplingSettings(), report)


def portrait_motion(portrait: np.ndarray | LandmarkTrack, tracker: str = "people") -> LandmarkTrack:
    """The portrait's canonical landmarks: one frame.

    Args:
        portrait: an image, or its landmarks.
        tracker: of the face in an image: for real "people", or for "rendered" ones.
    Raises:
        TalkingHeadsError: no face in the image.
    """
    if isinstance(portrait, LandmarkTrack):
        return portrait
    from ..media_core.face.pose.canonical import canonical_portrait
    from ..media_core.face.trackers import still_landmarks

    return canonical_portrait(still_landmarks(tracker, portrait).points, portrait.shape[:2])


def drawn(motion: LandmarkTrack, size: int = DRAWN) -> Iterator[np.ndarray]:
    """The motion as images of lines and dots on black, uint8 [size, size, 3], one frame at a time.

    Raises:
        TalkingHeadsError: a size below 16 px or above 8192.
    """
    whole("The side of the images, in px,", size, 16, 8192)
    from ..media_core.face.draw import draw_landmarks, picture_points

    for points in picture_points(motion, (size, size)):
        yield draw_landmarks(np.zeros((size, size, 3), np.uint8), points)


def save_drawn(motion: LandmarkTrack, path: str | os.PathLike, sound: Sound | None = None, size: int = DRAWN,
               report: Report = silent) -> Path:
    """Writes such images as an mp4 with the audio; streamed, whole or absent."""
    from ..media_core.video import VideoWriter

    with VideoWriter(path, size, size, fps=motion.fps, sound=sound) as writer:
        for i, frame in enumerate(drawn(motion, size)):
            writer.write(frame)
            report(i + 1, len(motion), {"phase": "draw", "frame": i + 1, "frames": len(motion)}, None)
    return Path(path)


def video(mtov: MToV, motion: LandmarkTrack, scene: Scene, settings: VideoSettings | None = None, *, paste: bool = True,
          feather: float = FEATHER, report: Report = silent) -> Iterator[np.ndarray]:
    """Motion as video in a scene, one frame at a time: uint8 [H, W, 3] of the whole image, or [S, S, 3] of the crop.

    Args:
        mtov: the networks.
        motion: canonical, or in pixels of the scene; of another rate than the weights' it is resampled.
        scene: of `scenes.portrait_scene` or `film_scene`, made for these weights.
        settings: how it is sampled, and which part of it; None: as the weights say, and all.
        paste: into the whole images, over `feather` of the square's side; else the crops.
        report: see `talk`.
    Raises:
        TalkingHeadsError: what `Scene.placed` and `talk` refuse.
    """
    chosen = settings or VideoSettings()
    placed = scene.placed(motion.resampled(mtov.config.fps))
    crops = talk(mtov, placed, scene.identity, chosen, pose_frames=scene.pose_crops(len(placed)),
                 pose_landmarks=scene.pose_landmarks(len(placed)), report=report)
    stop = len(placed) if chosen.stop is None else chosen.stop
    return scene.pasted(crops, stop, feather, chosen.start) if paste else scene.squares(crops, chosen.start, stop)


def speak_video(atom: AToM, mtov: MToV | None, sound: Sound, scene: Scene | CarriedFace | Picture, path: str | os.PathLike, *,
                carrier: str | None = None, life: float = LIFE, sampling: SamplingSettings | None = None,
                settings: VideoSettings | None = None, speech: Speech | None = None, paste: bool = True, feather: float = FEATHER,
                crf: float = 18, report: Report = silent) -> Path:
    """A portrait, or the person of a video, says `sound`: a video file, whole or absent, streamed.

    Args:
        atom: the network that makes the motion.
        mtov: the networks that draw it, for the carrier "redraw"; else None.
        sound: any length and rate; it is the video's audio.
        scene: an image with one face; or a face of `carried_faces` for "picture", a scene of `mtov.scenes` for "redraw".
        path: the video; .webm and .mov keep a transparent background.
        carrier: "picture" moves the picture's own pixels, "redraw" draws them anew with MToV; None: "redraw" of a scene made
            for MToV, else "picture".
        life: 0..1, head sway and blinks of a still image, for "picture".
        sampling, speech: of the motion, see `speak`.
        settings, paste, feather: of the video, for "redraw", see `video`.
        crf: the video's quality, see `VideoWriter`.
        report: first of the motion, then of the video.
    Raises:
        TalkingHeadsError: no face in the image, "redraw" without an MToV, or what the stages refuse.
    """
    carrier = carrier or ("redraw" if isinstance(scene, Scene) else CARRIERS[0])
    if check_carrier(carrier, mtov) == "redraw":
        assert mtov is not None  # checked
        return _redrawn_video(atom, mtov, sound, scene, path, sampling=sampling, settings=settings, speech=speech, paste=paste,
                              feather=feather, crf=crf, report=report)
    if isinstance(scene, Scene):
        raise TalkingHeadsError("A scene is made for MToV's networks, which only the carrier 'redraw' uses", "a scene",
                                "Give the image or a face of carried_faces, or choose carrier 'redraw'")
    face = scene if isinstance(scene, (StillFace, VideoFace)) else still_face(scene)
    motion = speak(atom, sound, face.canonical, sampling, speech=speech, report=report)
    seed = 0 if sampling is None else sampling.seed
    return save_frames(face.frames(motion, Drawing(life=life, seed=seed), report), path, motion.fps, sound, crf)


def check_carrier(carrier: str, mtov: object | None) -> str:
    """The carrier.

    Raises:
        TalkingHeadsError: an unknown one, or "redraw" without the networks that draw.
    """
    if carrier not in CARRIERS:
        raise TalkingHeadsError(f"The carrier must be one of {', '.join(CARRIERS)}", f"{carrier!r}", "Choose one of those")
    if carrier == "redraw" and mtov is None:
        raise TalkingHeadsError("The carrier 'redraw' needs MToV's networks", "none",
                                "Load an MToV, or leave the carrier out")
    return carrier


def _redrawn_video(atom: AToM, mtov: MToV, sound: Sound, scene: Scene | CarriedFace | Picture, path: str | os.PathLike, *,
                   sampling: SamplingSettings | None, settings: VideoSettings | None, speech: Speech | None, paste: bool,
                   feather: float, crf: float, report: Report) -> Path:
    if isinstance(scene, (StillFace, VideoFace)):
        raise TalkingHeadsError("The carrier 'redraw' needs a scene made for MToV's networks", "a face of carried_faces",
                                "Make it with portrait_scene or film_scene, or leave the carrier out")
    scene = scene if isinstance(scene, Scene) else portrait_scene(scene, mtov.config)
    motion = speak(atom, sound, scene.canonical, sampling, speech=speech, report=report)
    return save_frames(video(mtov, motion, scene, settings, paste=paste, feather=feather, report=report), path, mtov.config.fps,
                       sound, crf)


def save_frames(frames: Iterator[np.ndarray], path: str | os.PathLike, fps: float, sound: Sound | None = None,
                crf: float = 18, label: str = "", metadata: Mapping[str, str] | None = None,
                copy: LiveCopy | None = None) -> Path:
    """Writes frames uint8 [H, W, 3], or [H, W, 4] with alpha, as they come; the file is whole or absent. Where it cannot be
    transparent (.mp4), transparent places become black. `label`: words in a corner of every frame. `metadata`: more of it.
    `copy` can be watched meanwhile.

    Raises:
        TalkingHeadsError: no frame, or what `VideoWriter` refuses.
    """
    from ..media_core.image_reading import over_black
    from ..media_core.video import VideoWriter
    from ..media_core.video_formats import can_be_clear

    first = next(frames, None)
    if first is None:
        raise TalkingHeadsError("A video needs at least one frame", "none", "Check the motion")
    clear = first.shape[2] == 4 and can_be_clear(path)
    with VideoWriter(path, first.shape[1], first.shape[0], fps, sound, crf=crf, alpha=clear, source="composite",
                     label=label, metadata=metadata, copy=copy) as writer:
        for frame in chain([first], frames):
            writer.write(frame if clear else over_black(frame))
    return Path(path)
