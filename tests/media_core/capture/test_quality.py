"""Verdicts, the audio's offset, the best segment and the square: on exact geometry, without drawing an image."""
from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from face_video import film
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.capture.framing import beyond, cut_square, frame_face
from talking_heads.media_core.capture.quality import Evidence, blinks, quality_report
from talking_heads.media_core.capture.segment import pick_segment
from talking_heads.media_core.capture.sync import BANDS, in_bands, sound_offset
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.landmarks.raw_track import RawTrack, listed
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.metrics import lip_aperture
from talking_heads.media_core.speech import encode_speech
from talking_heads.media_core.subject import perform

SECONDS, IDENTITY = 16.0, 5


@lru_cache(maxsize=1)
def said():
    """(track, sound): exact landmarks of a talk and what is heard."""
    scene, sound = film(IDENTITY, SECONDS), perform(SECONDS, IDENTITY, engine="formant").sound
    raw = RawTrack(scene.points.astype(np.float32), np.ones(len(scene.points), np.float32), (512, 512), 25.0)
    return measure(raw), sound


def evidence(**changes) -> Evidence:
    track, sound = said()
    base = {"track": track, "sound": sound, "speech": encode_speech(sound), "sound_frames": np.arange(len(track)),
            "scale": 1.0, "beyond": 0.0, "film_frames": len(track), "blur": 0.4, "light": (120.0, 0.0)}
    return Evidence(**{**base, **changes})


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


def test_a_good_film_has_nothing_against_it_but_its_length():
    report = quality_report(evidence())
    assert {f.name for f in report.findings if f.verdict not in ("good", "unknown")} <= {"length", "blinks"}, report.text()
    assert report.verdict == "fair" and finding(report, "audio offset").verdict == "good"
    assert report.text().startswith("verdict: fair") and "half a minute" in report.text()


@pytest.mark.parametrize("changes, name, verdict", [
    ({"blur": 0.8}, "sharpness", "poor"), ({"light": (20.0, 0.3)}, "light", "poor"), ({"scale": 4.0}, "face size", "poor"),
    ({"cuts": (50,)}, "cuts", "poor"), ({"missing": (3, 4)}, "missing frames", "fair"),
    ({"missing": tuple(range(100))}, "missing frames", "poor"), ({"beyond": 0.1}, "framing", "fair"),
])
def test_what_is_wrong_is_found_and_told(changes, name, verdict):
    found = finding(quality_report(evidence(**changes)), name)
    assert found.verdict == verdict and found.advice


@pytest.mark.parametrize("turn, words", [(torch.tensor([[0., 1, 0], [-1, 0, 0], [0, 0, 1]]), "head on its side"),
                                         (torch.diag(torch.tensor([-1., -1, 1])), "head upside down")])
def test_a_head_that_is_not_upright_is_told(turn, words):
    track, _ = said()
    points = track.landmarks.points @ turn
    seen = track.landmarks.with_data(points - points.amin((0, 1)) + torch.tensor([9., 9, 0]))
    found = finding(quality_report(evidence(track=replace(track, landmarks=seen))), "framing")
    assert found.verdict == "poor" and words in found.value and "upright" in found.advice


def test_a_still_silent_face_is_not_worth_filming():
    track, sound = said()
    still = FaceTrack(track.landmarks.with_data(track.landmarks.points[:1].repeat(len(track), 1, 1)), track.expression,
                      track.pose.with_data(track.pose.data[:1].repeat(len(track), 1, 1)), track.confidence, track.shape,
                      track.reprojection)
    hush = Sound(np.zeros_like(sound.waveform), sound.sample_rate)
    report = quality_report(evidence(track=still, sound=hush, speech=encode_speech(hush)))
    poor = {f.name for f in report.findings if f.verdict == "poor"}
    assert poor == {"lip opening", "audio level"}
    assert finding(report, "audio offset").value == "undecided: too little speech, or too few frames"
    assert finding(report, "head turning").verdict == finding(report, "blinks").verdict == "fair"
    assert report.advice[0].startswith("lip opening") and report.verdict == "poor"


def test_units_that_training_leaves_out_are_named():
    track, _ = said()
    found = finding(quality_report(evidence()), "action units")
    bad = track.expression.unreliable
    assert bad and found.verdict == "unknown" and found.value.endswith("unreliable: " + " ".join(name[2:] for name in bad))
    assert f"{17 - len(bad)} of 17" in found.value and track.expression.source in found.value and "OpenFace" in found.advice
    au = track.expression.au.nan_to_num().clone()
    table = replace(track, expression=track.expression.with_data(au, reliability=None, source="openface"))
    found = finding(quality_report(evidence(track=table)), "action units")
    assert (found.value, found.verdict, found.advice) == ("17 of 17 to be trained on, by openface", "good", "")
    au[:, 3] = torch.nan
    partial = replace(table, expression=table.expression.with_data(au))
    assert finding(quality_report(evidence(track=partial)), "action units").value.endswith("not measured: 05")


def test_changed_colours_are_told():
    (told,) = [f for f in quality_report(evidence(colours="high dynamic range (HLG), brought to BT.709")).findings
               if f.name == "colours"]
    assert told.verdict == "fair" and "HLG" in told.value and "HDR off" in told.advice
    assert not [f for f in quality_report(evidence()).findings if f.name == "colours"]


def test_clipping_is_found():
    track, sound = said()
    loud = Sound(np.clip(sound.waveform * 30, -1, 1).astype(np.float32), sound.sample_rate)
    assert finding(quality_report(evidence(sound=loud)), "audio clipping").verdict == "poor"


@pytest.mark.parametrize("shift", [-0.32, 0.0, 0.2])
def test_the_offset_of_the_sound(shift):
    """Lips lead what is heard by up to a frame, as people's do."""
    track, sound = said()
    samples = round(abs(shift) * sound.sample_rate)
    moved = np.pad(sound.waveform, ((0, 0), (samples, 0))) if shift > 0 else sound.waveform[:, samples:]
    aperture = lip_aperture(track.landmarks.points[..., :2]).numpy()
    speech = encode_speech(Sound(np.ascontiguousarray(moved), sound.sample_rate))
    offset = sound_offset(aperture, speech, 25.0)
    assert offset.decided and -1 <= offset.frames - round(shift * 25) <= 2
    reduced = in_bands(speech)
    assert reduced.features.shape == (len(speech.features), BANDS)
    assert np.allclose(sound_offset(aperture, reduced, 25.0).scores, offset.scores, atol=1e-3)


def test_an_offset_that_cannot_be_told():
    track, sound = said()
    aperture = lip_aperture(track.landmarks.points[..., :2]).numpy()
    assert not sound_offset(aperture[::-1].copy(), encode_speech(sound), 25.0).decided, "another person's lips"
    assert not sound_offset(aperture[:60], encode_speech(sound.cut(0, 2.4)), 25.0).decided, "too short"
    gaps = aperture.copy()
    gaps[::7] = np.nan
    assert sound_offset(gaps, encode_speech(sound), 25.0).decided, "frames may be unknown"


def test_blinks_are_counted_and_long_looks_down_are_not():
    eyes = np.full(250, 0.3)
    eyes[20:26], eyes[80:84], eyes[120:200] = 0.05, 0.1, 0.08
    assert blinks(eyes, 25.0) == [20, 80] and blinks(np.full(50, 0.3), 25.0) == []
    assert listed([3, 4, 5, 9, 11]) == "3-5, 9, 11" and listed(range(0, 60, 2)).endswith("18 more runs")


# --------------------------------------------------------------------------------------------------------- the segment

def test_the_lively_part_is_chosen():
    """Ten seconds in which the head and lips stand still and nobody speaks do not win."""
    track, sound = said()
    points, count = track.landmarks.points.clone(), len(track)
    points[:200] = points[0]
    wave = sound.waveform.copy()
    wave[:, :round(8 * sound.sample_rate)] = 0
    dull = replace(track, landmarks=track.landmarks.with_data(points))
    start, stop, scores = pick_segment(dull, 6.0, sound=Sound(wave, sound.sample_rate))
    assert start >= 7 and stop == start + 6 and scores["missing"] == 0 and 0 < scores["total"] <= 1
    assert pick_segment(track, 6.0, sound=sound) == pick_segment(track, 6.0, sound=sound), "the same in every run"
    hidden = torch.ones(count)
    hidden[count // 2:] = 0
    assert pick_segment(replace(track, confidence=hidden), 6.0, sound=sound).start <= 3


def test_short_films_are_taken_whole_and_wrong_lengths_refused():
    track, sound = said()
    start, stop, _ = pick_segment(track, 30.0, sound=sound)
    assert (start, stop) == (0.0, len(track) / 25)
    for seconds in (0.5, 1e4):
        with pytest.raises(TalkingHeadsError, match="segment must last"):
            pick_segment(track, seconds, sound=sound)
    with pytest.raises(TalkingHeadsError, match="audio"):
        pick_segment(track)
    with pytest.raises(TalkingHeadsError, match="face"):
        pick_segment(replace(track, confidence=torch.zeros(len(track))), 5.0, sound=sound)


# ---------------------------------------------------------------------------------------------------------- the square

def face(x, y, unit, count=3):
    """Points whose outer eye corners are `unit` apart around (x, y)."""
    points = np.zeros((count, 68, 2)) + [x, y]
    points[:, 36:42, 0] -= unit / 2
    points[:, 42:48, 0] += unit / 2
    return points


@pytest.mark.parametrize("size, points, box", [
    ((512, 512), face(256, 220, 130), (0, 0, 512)),            # square and near: the whole video
    ((1080, 1920), face(900, 400, 200), (440, 0, 920)),        # wide: hair and shoulders, pushed down to the upper edge
    ((1080, 1920), face(1850, 500, 150), (1230, 200, 690)),    # at the side: pushed inside
    ((1920, 1080), face(540, 700, 300), (0, 100, 1080)),       # upright and near: as wide as the image, hair before shoulders
])
def test_the_square_lies_inside_the_picture(size, points, box):
    crop = frame_face(points, size, 256)
    x, y = crop.to_source(np.array([-0.5, -0.5])) + 0.5
    assert np.abs(np.array([x, y, crop.side()]) - box).max() < 1 and beyond(crop) == 0


def test_a_head_larger_than_the_picture_gets_its_edge_repeated():
    crop = frame_face(face(200, 300, 160), (640, 400), 128)
    assert crop.side() == pytest.approx(560, abs=1) and beyond(crop) == pytest.approx(1 - 400 / 560, abs=0.01)
    image = np.random.default_rng(0).integers(0, 255, (640, 400, 3), dtype=np.uint8)
    square = cut_square(image, crop)
    assert square.shape == (128, 128, 3) and np.abs(square.astype(int) - crop.crop(image)).mean() < 6
    assert (square[:, :18] == square[:, :1]).all(), "the left edge goes on"


def test_frames_without_a_face_do_not_count_and_none_is_an_error():
    points = face(900, 400, 200)
    points[1] = np.nan
    assert np.array_equal(frame_face(points, (1080, 1920), 256).matrices, frame_face(points[::2], (1080, 1920), 256).matrices)
    with pytest.raises(TalkingHeadsError, match="face"):
        frame_face(np.full((3, 68, 2), np.nan), (1080, 1920), 256)


@pytest.mark.parametrize("kind", ["one channel of eight", "one channel turned over"])
def test_channels_that_are_silent_or_cancel_make_no_poor_sound(kind):
    sound = said()[1]
    one = sound.waveform[:1]
    channels = np.concatenate([np.zeros((7, one.shape[1]), np.float32), one] if "eight" in kind else [one, -one])
    alone, wired = (finding(quality_report(evidence(sound=Sound(waveform, sound.sample_rate))), "audio level")
                    for waveform in (one, channels))
    assert wired == alone and alone.verdict != "poor"
