"""What phones and old cameras do to videos: rates, rotation, codecs, sound that starts elsewhere, hands, cuts, broken files.

The videos are square, so that they are taken whole and each written frame still carries its number.
"""
from __future__ import annotations

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from capture_video import Oracle, number_of, numbered, placed, talk, write_film
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.capture.images import read_picture
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.crop import FaceCrop
from talking_heads.media_core.video import load_film_sound, probe

SIZE, SECONDS = 128, 1.4
PLAIN = CaptureSettings(size=SIZE, masks=False)


@pytest.fixture(scope="module")
def said():
    return talk(SECONDS, SIZE)


def clicks(times, seconds, rate=44100, channels=1):
    """A short tone at each time."""
    t = np.arange(round(seconds * rate)) / rate
    wave = sum(np.where((t >= at) & (t < at + 0.03), np.sin(2 * np.pi * 1500 * t), 0) for at in times)
    return Sound(np.repeat(0.5 * wave[None], channels, axis=0).astype(np.float32), rate)


def heard(path):
    """Times at which tones begin in an audio file."""
    sound = load_sound(path)
    loud = np.abs(sound.waveform[0]) > 0.15
    starts = [i / sound.sample_rate for i in np.flatnonzero(loud) if not loud[max(0, i - round(0.1 * sound.sample_rate)):i].any()]
    return starts


def squares(said, count):
    return [numbered(said.frames[i % len(said)], i) for i in range(count)], said.points[np.arange(count) % len(said)]


def captured(path, points, folder, settings=PLAIN):
    """(folder, numbers of the video frames that were tracked); what was written must be the same ones."""
    oracle = Oracle(points)
    capture(path, folder, settings, tracker=oracle)
    written = [number_of(read_picture(folder / f"ori_imgs/{i}.jpg")) for i in range(len(oracle.seen))]
    assert written == oracle.seen and not (folder / f"ori_imgs/{len(written)}.jpg").exists()
    return folder, oracle.seen


def test_a_variable_frame_rate_keeps_picture_and_sound_in_step(said, tmp_path):
    random = np.random.default_rng(3)
    gaps = random.choice([0.0163, 0.0337, 0.0501, 0.1207], 32, p=[.2, .5, .2, .1])
    times = np.concatenate([[0], np.cumsum(gaps)])
    frames, points = squares(said, len(times))
    path = write_film(tmp_path / "vfr.mp4", frames, times, fps=30, sound=clicks((0.3, 0.8), times[-1]))
    folder, seen = captured(path, points, tmp_path / "set")
    wanted = [int(np.searchsorted(times, (i + 0.5) / 25, side="right")) - 1 for i in range(len(seen))]
    assert seen == wanted and abs(len(seen) / 25 - times[-1]) < 0.08
    assert heard(folder / "aud.wav") == pytest.approx([0.3, 0.8], abs=0.01)
    assert load_sound(folder / "aud.wav").samples == len(seen) * 640


@pytest.mark.parametrize("fps", [60000 / 1001, 30000 / 1001, 24.0, 15.0])
def test_other_rates(said, tmp_path, fps):
    count = round(SECONDS * fps)
    frames, points = squares(said, count)
    path = write_film(tmp_path / "a.mp4", frames, fps=fps, sound=clicks((0.5, 1.0), SECONDS))
    folder, seen = captured(path, points, tmp_path / "set")
    assert abs(len(seen) - SECONDS * 25) <= 1
    assert np.abs(np.array(seen) - (np.arange(len(seen)) + 0.5) / 25 * fps).max() <= 1.01
    assert heard(folder / "aud.wav") == pytest.approx([0.5, 1.0], abs=0.01)


def test_rotation_metadata(said, tmp_path):
    """Held upright: the frames lie on their side in the file."""
    frames, points = squares(said, 30)
    path = write_film(tmp_path / "a.mp4", [np.rot90(frame) for frame in frames], sound=clicks((0.5,), 1.2))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    struct.pack_into(">9i", data, at, 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # a quarter turn clockwise
    path.write_bytes(data)
    _, seen = captured(path, points, tmp_path / "set")
    assert seen == list(range(30))


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_of_44100_hz(said, tmp_path, channels):
    frames, points = squares(said, 35)
    path = write_film(tmp_path / "a.mp4", frames, sound=clicks((0.25, 0.75, 1.25), 1.4, 44100, channels))
    folder, _ = captured(path, points, tmp_path / "set")
    sound = load_sound(folder / "aud.wav")
    assert (sound.sample_rate, sound.channels, sound.samples) == (16000, 1, 35 * 640)
    assert heard(folder / "aud.wav") == pytest.approx([0.25, 0.75, 1.25], abs=0.01)


@pytest.mark.parametrize("late", [{"sound_from": 0.4}, {"picture_from": 0.4}])
@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_sound_and_picture_that_begin_at_different_times(said, tmp_path, late, kind):
    """A tone 0.8 s after the audio's beginning is heard where the image of that time is."""
    frames, points = squares(said, 35)
    path = write_film(tmp_path / f"a.{kind}", frames, sound=clicks((0.8,), 1.4), **late)
    folder, seen = captured(path, points, tmp_path / "set")
    shift = late.get("sound_from", 0) - late.get("picture_from", 0)
    assert seen == list(range(35)) and heard(folder / "aud.wav") == pytest.approx([0.8 + shift], abs=0.015)


def test_sound_with_a_hole_in_it(said, tmp_path):
    """Blocks that are missing in the middle do not pull the rest forward."""
    import av

    frames, points = squares(said, 35)
    path = write_film(tmp_path / "whole.mp4", frames, sound=clicks((0.2, 1.0), 1.4))
    with av.open(str(path)) as source, av.open(str(tmp_path / "hole.mkv"), "w") as target:
        streams = {s: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            hole = packet.stream.type == "audio" and packet.pts is not None and 0.4 < float(packet.pts * packet.time_base) < 0.7
            if packet.pts is not None and not hole:
                packet.stream = streams[packet.stream]
                target.mux(packet)
    folder, _ = captured(tmp_path / "hole.mkv", points, tmp_path / "set")
    assert heard(folder / "aud.wav") == pytest.approx([0.2, 1.0], abs=0.02)


def test_sound_shorter_than_the_picture_is_followed_by_silence(said, tmp_path):
    frames, points = squares(said, 35)
    path = write_film(tmp_path / "a.mp4", frames, sound=clicks((0.3,), 0.8))
    folder, _ = captured(path, points, tmp_path / "set")
    wave = load_sound(folder / "aud.wav").waveform
    assert wave.shape == (1, 35 * 640) and not wave[0, 16000:].any()


def test_h265(said, tmp_path):
    frames, points = squares(said, 30)
    path = write_film(tmp_path / "a.mp4", frames, codec="libx265", sound=clicks((0.5,), 1.2))
    assert captured(path, points, tmp_path / "set")[1] == list(range(30))


@pytest.mark.parametrize("height, width, x, y", [(150, 200, 30, 10), (240, 150, 10, 60), (150, 270, 130, 20), (200, 132, 2, 40)])
def test_any_shape_becomes_a_square_with_the_head_in_it(said, tmp_path, height, width, x, y):
    frames, points = placed(said, height, width, x, y)
    path = write_film(tmp_path / "a.mp4", frames, sound=clicks((0.5,), SECONDS))
    folder = capture(path, tmp_path / "set", replace(PLAIN, size=96), tracker=Oracle(points))
    crop = np.array(json.loads((folder / "manifest.json").read_text())["crop"]["matrices"][0])
    inside = points @ crop[:, :2].T + crop[:, 2]
    unit = np.linalg.norm(inside[:, 36] - inside[:, 45], axis=1).mean()
    assert inside.min() > 0 and inside.max() < 95 and crop[0, 0] == crop[1, 1] and unit > 15
    assert inside[..., 1].min() > 0.4 * unit, "room for the hair"
    picture = read_picture(folder / "ori_imgs/0.jpg")
    shown = FaceCrop.from_dict(json.loads((folder / "manifest.json").read_text())["crop"]).crop(frames[0])
    assert np.abs(picture.astype(int) - shown).mean() < 5 < np.abs(np.roll(picture, 2, axis=1).astype(int) - shown).mean()


def test_a_cut_is_reported(said, tmp_path):
    frames, points = squares(said, 35)
    other = [numbered(255 - said.frames[i], i) for i in range(20, 35)]
    path = write_film(tmp_path / "a.mp4", frames[:20] + other, sound=clicks((0.5,), 1.4))
    folder, _ = captured(path, points, tmp_path / "set")
    assert json.loads((folder / "manifest.json").read_text())["cuts"] == [20]
    text = (folder / "report.txt").read_text()
    assert "1, at frame 20" in text and "choose a segment without a cut" in text


def test_a_hand_passing_the_face(tmp_path):
    """The run ends well, and before and after the hand the points of the tracker for rendered people are where they belong."""
    import cv2

    said = talk(2.0, 192)
    frames = said.frames.copy()
    for i in range(15, 27):
        centre = (int(-40 + 275 * (i - 15) / 11), 110)
        cv2.ellipse(frames[i], centre, (34, 62), 12, 0, 360, (196, 148, 120), -1, cv2.LINE_AA)
    path = write_film(tmp_path / "a.mp4", frames, sound=said.sound)
    folder = capture(path, tmp_path / "set", replace(PLAIN, size=192, policy="interpolate", tracker="rendered"))
    points = np.array([np.loadtxt(folder / f"ori_imgs/{i}.lms") for i in range(len(frames))])
    unit = np.linalg.norm(said.points[:, 36] - said.points[:, 45], axis=1).mean()
    off = np.linalg.norm(points - said.points, axis=-1).mean(axis=1) / unit
    assert off[:13].mean() < 0.06 and off[30:].mean() < 0.06 and np.isfinite(points).all()


@pytest.mark.parametrize("make, word", [
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: path.write_text("no video " * 500), "cannot be decoded"),
    (lambda path: None, "no file at"),
    (lambda path: path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(4000)), "me.mp4"),
])
def test_what_is_no_film(tmp_path, make, word):
    path = tmp_path / "me.mp4"
    make(path)
    with pytest.raises(FileFormatError, match=word):
        capture(path, tmp_path / "set", PLAIN)
    assert not (tmp_path / "set").exists()


def test_a_film_cut_off_in_the_middle(said, tmp_path):
    frames, points = squares(said, 35)
    path = write_film(tmp_path / "a.mp4", frames, sound=clicks((0.5,), 1.4))
    path.write_bytes(path.read_bytes()[:-2000])  # the index stands at the end
    with pytest.raises(FileFormatError, match="video.*a.mp4"):
        capture(path, tmp_path / "set", PLAIN, tracker=Oracle(points))


def test_no_sound_and_only_sound(said, tmp_path):
    frames, points = squares(said, 30)
    path = write_film(tmp_path / "mute.mp4", frames)
    with pytest.raises(FileFormatError, match="must have audio.*mute.mp4 has none.*microphone"):
        capture(path, tmp_path / "set", PLAIN, tracker=Oracle(points))
    with pytest.raises(FileFormatError, match="mute.mp4 has none"):
        load_film_sound(path)
    from talking_heads.media_core.audio import save_wav

    save_wav(tmp_path / "only.wav", said.sound)
    with pytest.raises(FileFormatError, match="video stream"):
        capture(tmp_path / "only.wav", tmp_path / "set", PLAIN)


def test_a_film_too_short(said, tmp_path):
    frames, points = squares(said, 6)
    path = write_film(tmp_path / "a.mp4", frames, sound=clicks((0.1,), 0.24))
    with pytest.raises(TalkingHeadsError, match="at least 10 frames.*shows 6"):
        capture(path, tmp_path / "set", PLAIN, tracker=Oracle(points))


def test_oblong_pixels_are_made_square(said, tmp_path):
    from fractions import Fraction

    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 128, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((128, 96, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    assert (probe(path).width, probe(path).height) == (128, 128)
