"""Numbers that callers of the Python interface ask for: what cannot be is refused in the pack's own words, and never hangs."""
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from talking_heads.media_core.asked import real, whole
from talking_heads.media_core.audio import Sound, frame_count
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, generated_blinks, ping_pong
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.speech.mel import mel_spectrogram
from talking_heads.media_core.subject import perform
from talking_heads.media_core.subject.render import Subject
from talking_heads.media_core.tracks import low_pass
from talking_heads.media_core.video import VideoWriter, read_frames
from talking_heads.moditalker_core.pipeline import drawn

NAN, INFINITE = float("nan"), float("inf")
TRACK = ExpressionTrack(torch.linspace(0, 5, 20)[:, None].repeat(1, 17))
MOTION = LandmarkTrack(torch.zeros(2, 68, 3))
SOUND = Sound(np.zeros((1, 8000), np.float32), 16000)
SPEECH = encode_speech(SOUND)


def test_whole_numbers_and_finite_ones_come_back():
    assert whole("n", np.int64(3)) == 3 and whole("n", 0) == 0 and whole("n", -2, -2, 5) == -2
    with pytest.raises(TalkingHeadsError, match="finite number"):
        real("x", 10 ** 400)
    assert real("x", 3, 0) == 3.0 and real("x", np.float32(0.5), 0, 1) == 0.5 and real("x", Fraction(25, 2), 1) == 12.5


@pytest.mark.parametrize("value", [-1, 6, 1.0, True, "1", None, NAN])
def test_what_is_no_whole_number(value):
    with pytest.raises(TalkingHeadsError, match="The seed must be a whole number, in 0..5"):
        whole("The seed", value, 0, 5)


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN, INFINITE, True, "1", None])
def test_what_is_no_finite_number(value):
    with pytest.raises(TalkingHeadsError, match="The gain must be a finite number, in 0..1"):
        real("The gain", value, 0, 1)


@pytest.mark.parametrize("call", [
    lambda: ping_pong(3, -1), lambda: ping_pong(3, 2, -1), lambda: ping_pong(3, 2, 1.5), lambda: generated_blinks(-1),
    lambda: generated_blinks(5, 0.0), lambda: generated_blinks(5, NAN), lambda: generated_blinks(5, 25.0, -1),
    lambda: generated_blinks(5, 25.0, 0.5), lambda: TRACK.resampled(0), lambda: TRACK.resampled(-25),
    lambda: TRACK.resampled(NAN), lambda: TRACK.resampled(1e12),
    lambda: TRACK.slice(0, 1.5), lambda: TRACK.selected([20]), lambda: TRACK.selected([-21]),
    lambda: frame_count(NAN), lambda: frame_count(-1.0), lambda: frame_count(1.0, 0), lambda: SPEECH.frame_windows(0),
    lambda: SPEECH.frame_windows(NAN), lambda: SPEECH.frame_windows(25, 5, 2), lambda: SPEECH.silent_frames(NAN),
    lambda: mel_spectrogram(np.zeros(400, np.float32), rows=0), lambda: perform(1.0, -1), lambda: perform(1.0, 0.5),
    lambda: next(read_frames("absent.mp4", -1)), lambda: next(read_frames("absent.mp4", 0)),
    lambda: next(read_frames("absent.mp4", NAN)), lambda: next(read_frames("absent.mp4", 25, -1)), lambda: SOUND.mono(0),
    lambda: SOUND.mono(1.5), lambda: SOUND.cut(0, NAN), lambda: SOUND.lasting(1.5), lambda: SOUND.lasting(0),
    lambda: VideoWriter("film.mp4", 64, 64, crf=52), lambda: VideoWriter("film.mp4", 64, 64, crf=NAN), lambda: Subject(64.5),
    lambda: Subject(64, 1.5), lambda: Subject(64, -1),
    lambda: next(drawn(MOTION, 0)), lambda: next(drawn(MOTION, -4)), lambda: next(drawn(MOTION, 99.5))],
    ids=range(42))
def test_impossible_requests_are_refused(call):
    with pytest.raises(TalkingHeadsError):
        call()


def test_a_low_pass_far_below_a_tracks_length_is_its_mean():
    """However low, and at once: nothing beyond the ends counts."""
    smooth = TRACK.smoothed(1e-9).au
    assert torch.allclose(smooth, TRACK.au.mean(0).expand(20, -1), atol=1e-4)
    long = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    reach = torch.arange(-299, 300, dtype=torch.float64)
    sigma = float(np.sqrt(np.log(2)) / (2 * np.pi * 0.3) * 25)
    kernel = torch.exp(-0.5 * (reach / sigma) ** 2)
    kernel[reach.abs() > np.ceil(4 * sigma)] = 0
    weights = torch.stack([kernel[299 - i:599 - i] for i in range(300)])
    wanted = (weights / weights.sum(1, keepdim=True)) @ long.double()
    assert torch.allclose(low_pass(long, 25.0, 0.3).double(), wanted, atol=1e-5)
