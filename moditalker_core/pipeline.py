"""MoDiTalker from end to end, in one screen. So far the first half: a sound and one portrait become motion.

    sound  --media_core.speech-->   Speech             two tokens a frame              (spec/moditalker.md 2.7)
    picture --media_core.face-->   canonical portrait 68 points from the front        (2.6; no 3DMM is needed)
    both   --atom.generation-->     LandmarkTrack      editable, canonical, any length (2.5, 16)
    motion --alignment-->           pixels             on a portrait or a pose video   (6.3)
    pixels --mtov-->                video              not in this version
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import numpy as np

from ..media_core.audio import Sound
from ..media_core.motion import LandmarkTrack
from ..media_core.progress import Report, silent
from ..media_core.speech import Speech, encode_speech
from .atom.generation import SamplingSettings, generate_motion
from .atom.model import AToM

DRAWN = 512  # px of a drawn film


def speak(atom: AToM, sound: Sound, portrait: np.ndarray | LandmarkTrack, settings: SamplingSettings | None = None, *,
          speech: Speech | None = None, report: Report = silent) -> LandmarkTrack:
    """The motion of a face that says `sound`.

    Args:
        atom: the network.
        sound: any length and rate.
        portrait: picture uint8 [H, W, 3] with one face, or canonical landmarks of it.
        settings: how it is drawn; None: as the weights say.
        speech: the sound already encoded; None encodes it with the encoder that the checkpoint names (mel).
        report: see `generate_motion`.
    Returns:
        canonical landmarks, round(duration * fps) frames.
    Raises:
        TalkingHeadsError: no face in the picture, or what `generate_motion` refuses.
    """
    speech = encode_speech(sound, atom.config.speech.encoder) if speech is None else speech
    return generate_motion(atom, speech, portrait_motion(portrait), settings or SamplingSettings(), report)


def portrait_motion(portrait: np.ndarray | LandmarkTrack) -> LandmarkTrack:
    """The portrait's canonical landmarks: one frame.

    Raises:
        TalkingHeadsError: no face in the picture.
    """
    if isinstance(portrait, LandmarkTrack):
        return portrait
    from ..media_core.face.canonical import canonical_portrait
    from ..media_core.face.landmarks import portrait_landmarks

    return canonical_portrait(portrait_landmarks(portrait).points, portrait.shape[:2])


def drawn(motion: LandmarkTrack, size: int = DRAWN) -> Iterator[np.ndarray]:
    """The motion as pictures of lines and dots on black, uint8 [size, size, 3], a frame at a time."""
    from ..media_core.face.draw import draw_landmarks, picture_points

    for points in picture_points(motion, (size, size)):
        yield draw_landmarks(np.zeros((size, size, 3), np.uint8), points)


def save_drawn(motion: LandmarkTrack, path: str | os.PathLike, sound: Sound | None = None, size: int = DRAWN,
               report: Report = silent) -> Path:
    """Writes such pictures as an mp4 with the sound; streamed, whole or absent."""
    from ..media_core.video import VideoWriter

    with VideoWriter(path, size, size, fps=motion.fps, sound=sound) as writer:
        for i, frame in enumerate(drawn(motion, size)):
            writer.write(frame)
            report(i + 1, len(motion), {"phase": "draw"}, None)
    return Path(path)
