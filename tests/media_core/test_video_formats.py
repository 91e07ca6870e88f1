"""WebM and MOV beside MP4: frames, audio and transparency survive; whatever a format cannot hold is refused before it begins."""
from __future__ import annotations

import av
import numpy as np
import pytest
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.video import VideoWriter, probe, read_frames
from talking_heads.media_core.video_formats import CLEAR, FORMATS, can_be_clear, check_ending

H, W, COUNT = 48, 64, 12


def person() -> np.ndarray:  # uint8 [COUNT, H, W, 4]: a grey disc that brightens, on nothing
    y, x = np.mgrid[:H, :W]
    inside = (np.hypot(y - H / 2, x - W / 2) < 18).astype(np.uint8)
    frames = np.zeros((COUNT, H, W, 4), np.uint8)
    frames[..., 3] = 255 * inside
    frames[..., :3] = (60 + 10 * np.arange(COUNT, dtype=np.uint8))[:, None, None, None]
    return frames


def voice(rate: int = 16000, channels: int = 1) -> Sound:
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(rate * COUNT / 25)) / rate)
    return Sound(np.tile(samples.astype(np.float32), (channels, 1)), rate)


def decoded(path) -> np.ndarray:  # uint8 [T, H, W, 4]; FFmpeg's own VP9 decoder drops transparency
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9" if path.suffix == ".webm" else "prores", "r")
        if path.suffix == ".mov":
            return np.stack([frame.to_ndarray(format="rgba") for frame in container.decode(stream)])
        found = [frame for packet in container.demux(stream) for frame in (decoder.decode(packet) if packet.size else ())]
        return np.stack([frame.to_ndarray(format="rgba") for frame in [*found, *decoder.decode(None)]])


@pytest.mark.parametrize("ending", CLEAR)
def test_a_transparent_background_comes_back(tmp_path, ending):
    given, path = person(), tmp_path / f"a{ending}"
    with VideoWriter(path, W, H, sound=voice(), crf=8, alpha=True) as writer:
        writer.write(given)
    back = decoded(path)
    assert back.shape == given.shape
    off = np.abs(back.astype(int) - given)
    assert off[..., 3].mean() < 2 and off[..., :3][given[..., 3] > 0].mean() < 4
    assert (back[:, :4, :4, 3] < 8).all() and (back[:, H // 2, W // 2, 3] > 247).all()


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_keeps_frames_rate_and_audio(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    with VideoWriter(path, W, H, fps=25, sound=voice(44100, 2)) as writer:
        for frame in person():
            writer.write(frame[..., :3])
    facts = probe(path)
    assert (facts.width, facts.height, facts.frames, facts.has_sound) == (W, H, COUNT, True)
    assert float(facts.fps) == pytest.approx(25) and facts.duration == pytest.approx(COUNT / 25, abs=0.05)
    back = np.stack(list(read_frames(path)))
    assert back.shape == (COUNT, H, W, 3) and np.abs(back.astype(int) - person()[..., :3]).mean() < 4
    with av.open(str(path)) as container:
        heard = container.streams.audio[0]
        assert heard.codec_context.name.removeprefix("lib") == FORMATS[ending].voice.removeprefix("lib")
        length = sum(frame.samples / frame.sample_rate for frame in container.decode(heard))
    assert length == pytest.approx(COUNT / 25, abs=0.045)


def test_odd_sides_are_filled_up(tmp_path):
    with VideoWriter(tmp_path / "a.webm", 31, 33, alpha=True) as writer:
        writer.write(np.full((3, 33, 31, 4), 200, np.uint8))
    assert decoded(tmp_path / "a.webm").shape == (3, 34, 32, 4)


def test_mp4_has_no_transparency(tmp_path):
    with pytest.raises(TalkingHeadsError, match="transparent background needs a .webm or .mov file"):
        VideoWriter(tmp_path / "a.mp4", W, H, alpha=True)
    with pytest.raises(TalkingHeadsError, match=r"uint8 \[48, 64, 4\]"):
        with VideoWriter(tmp_path / "a.webm", W, H, alpha=True) as writer:
            writer.write(person()[..., :3])
    assert not list(tmp_path.iterdir())


def test_endings():
    assert can_be_clear("x/A.WEBM") and can_be_clear("a.mov") and not can_be_clear("a.mp4")
    check_ending("a.webm")
    check_ending("A.MP4")
    with pytest.raises(TalkingHeadsError, match=".mp4, .webm, .mov"):
        check_ending("a.avi")
