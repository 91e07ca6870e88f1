"""MoDiTalker from end to end, on one screen: audio and one portrait become motion, motion and the portrait become video.

    audio  --media_core.speech-->   Speech             two tokens per frame
    image  --media_core.face-->     canonical portrait 68 points from the front; no 3DMM is needed
    both   --atom.generation-->     LandmarkTrack      editable, canonical, any length
    motion --scenes, alignment-->   pixels             on a portrait or a pose video
    pixels --mtov.generation-->     video              any length, frame by frame
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..media_core.asked import whole
from ..media_core.audio import Sound
from ..media_core.errors import TalkingHeadsError
from ..media_core.motion import LandmarkTrack
from ..media_core.progress import Report, silent
from ..media_core.speech import Speech, encode_speech
from .atom.generation import SamplingSettings, generate_motion
from .atom.model import AToM
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
        settings: how it is sampled; None: as the weights say. A part of it (`start`) only for crops.
        paste: into the whole images, over `feather` of the square's side; else the crops.
        report: see `talk`.
    Raises:
        TalkingHeadsError: what `Scene.placed` and `talk` refuse.
    """
    chosen = settings or VideoSettings()
    if paste and chosen.start:
        raise TalkingHeadsError("A video that is pasted back must begin with the motion", f"start {chosen.start}",
                                "Start at 0, or take the crops (paste off)")
    placed = scene.placed(motion.resampled(mtov.config.fps))
    crops = talk(mtov, placed, scene.identity, chosen, pose_frames=scene.pose_crops(len(placed)),
                 pose_landmarks=scene.pose_landmarks(len(placed)), report=report)
    stop = len(placed) if chosen.stop is None else chosen.stop
    return scene.pasted(crops, stop, feather) if paste else scene.squares(crops, chosen.start, stop)


def speak_video(atom: AToM, mtov: MToV, sound: Sound, scene: Scene | Picture, path: str | os.PathLike, *,
                sampling: SamplingSettings | None = None, settings: VideoSettings | None = None, speech: Speech | None = None,
                paste: bool = True, feather: float = FEATHER, crf: float = 18, report: Report = silent) -> Path:
    """A portrait, or the person of a video, says `sound`: an mp4, whole or absent, streamed.

    Args:
        atom, mtov: the networks.
        sound: any length and rate; it is the video's audio.
        scene: an image with one face (see `scenes.portrait_scene`), or a scene.
        path: the video.
        sampling, speech: of the motion, see `speak`.
        settings, paste, feather: of the video, see `video`.
        crf: the video's quality, see `VideoWriter`.
        report: first of the motion, then of the video.
    Raises:
        TalkingHeadsError: no face in the image, or what the stages refuse.
    """
    scene = scene if isinstance(scene, Scene) else portrait_scene(scene, mtov.config)
    motion = speak(atom, sound, scene.canonical, sampling, speech=speech, report=report)
    return save_frames(video(mtov, motion, scene, settings, paste=paste, feather=feather, report=report), path, mtov.config.fps,
                       sound, crf)


def save_frames(frames: Iterator[np.ndarray], path: str | os.PathLike, fps: float, sound: Sound | None = None,
                crf: float = 18) -> Path:
    """Writes frames uint8 [H, W, 3] as they come; the file is whole or absent.

    Raises:
        TalkingHeadsError: no frame, or what `VideoWriter` refuses.
    """
    from ..media_core.video import VideoWriter

    first = next(frames, None)
    if first is None:
        raise TalkingHeadsError("A video needs at least one frame", "none", "Check the motion")
    with VideoWriter(path, first.shape[1], first.shape[0], fps, sound, crf=crf) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)
    return Path(path)
