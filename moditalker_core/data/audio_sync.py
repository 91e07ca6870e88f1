"""The audio of a video brought to its lips: recorders often store it a tenth of a second or more beside the image, and from such
a video AToM would learn to be late."""
from __future__ import annotations

import logging

import numpy as np

from ...media_core.audio import Sound
from ...media_core.capture.sync import sound_offset
from ...media_core.face.landmarks.raw_track import RawTrack
from ...media_core.metrics import lip_aperture
from ...media_core.speech import encode_speech

log = logging.getLogger(__name__)
LEAST = 2        # frames of offset that are worth mending: fewer are within what is measured
LOOKED_AT = 120.0  # s from the video's beginning


def brought_to_lips(sound: Sound, raw: RawTrack, name: str) -> tuple[Sound, int]:
    """The audio moved to where the lips move with it, and by how many frames earlier, which is logged; itself and 0 where that
    cannot be told (`capture.sync`) or is hardly anything.

    Args:
        sound: of the whole video, one channel.
        raw: its points, NaN where there is no face.
        name: of the video, for the log.
    """
    frames = min(len(raw), round(min(LOOKED_AT, sound.duration) * raw.fps))
    if frames < 1:
        return sound, 0
    seen, opening = raw.seen[:frames], np.full(frames, np.nan)
    opening[seen] = lip_aperture(raw.points[:frames][seen]) if seen.any() else ()
    speech = encode_speech(sound.cut(0, frames / raw.fps), "mel")
    found = sound_offset(opening, speech, raw.fps)
    if not found.decided or abs(found.frames) < LEAST:
        return sound, 0
    log.warning("%s: its audio comes %d ms %s the lips; it is moved there", name,
                abs(round(1000 * found.frames / raw.fps)), "after" if found.frames > 0 else "before")
    by = round(found.frames / raw.fps * sound.sample_rate)
    if by > 0:
        return Sound(sound.waveform[:, by:], sound.sample_rate), found.frames
    return Sound(np.pad(sound.waveform, ((0, 0), (-by, 0))), sound.sample_rate), found.frames
