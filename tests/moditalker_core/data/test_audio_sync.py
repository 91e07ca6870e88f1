"""The audio of a video is brought to its lips where one can tell how far it is off, and only there."""
from __future__ import annotations

import numpy as np
import pytest
from face_video import film, raw_track
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.subject import perform
from talking_heads.moditalker_core.data.audio_sync import brought_to_lips


@pytest.fixture(scope="module")
def said():
    """(points of 12 s, their audio as one channel of 16 kHz)."""
    sound = perform(12.0, 5, fps=25.0, engine="formant").sound
    return film(5, 12.0).points, Sound(sound.mono(16000)[None], 16000)


def late(sound: Sound, seconds: float) -> Sound:
    return Sound(np.roll(sound.waveform, round(seconds * sound.sample_rate)), sound.sample_rate)


@pytest.mark.parametrize("seconds", [0.24, -0.2])
def test_late_and_early_audio_is_moved(said, seconds):
    points, sound = said
    moved, frames = brought_to_lips(late(sound, seconds), raw_track(points), "me.mp4")
    assert abs(frames - seconds * 25) <= 2
    expected = late(sound, seconds - frames / 25).waveform[0, 16000:160000]
    assert np.allclose(moved.waveform[0, 16000:160000], expected, atol=1e-5)


def test_audio_in_sync_or_of_somebody_else_stays(said):
    points, sound = said
    hidden = points.copy()
    hidden[:200] = np.nan
    for lips in (points[::-1].copy(), hidden, points[:50]):
        same, frames = brought_to_lips(sound, raw_track(lips), "me.mp4")
        assert frames == 0 and same is sound
    assert abs(brought_to_lips(sound, raw_track(points), "me.mp4")[1]) <= 2
