"""A video that can be watched while it is written: the copy has the same frames and sound, at any time from the beginning."""
from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from talking_heads.media_core import live_copy
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled
from talking_heads.media_core.live_copy import LiveCopy
from talking_heads.media_core.video import VideoWriter

FRAMES, FPS, RATE = 150, 25, 24000


def sound() -> Sound:
    time = np.arange(FRAMES * RATE // FPS) / RATE
    return Sound((0.3 * np.sin(2 * np.pi * 440 * time))[None].astype(np.float32), RATE)


def frame(number: int) -> np.ndarray:  # uint8 [48, 64, 3]
    picture = np.full((48, 64, 3), number, np.uint8)
    picture[:, number % 64] = 255
    return picture


def content(path: Path) -> dict[str, list]:
    """What is decoded of a file: mean grey of each frame, samples of the audio."""
    found = {"video": [], "audio": []}
    with av.open(str(path)) as file:
        for packet in file.demux():
            for part in packet.decode():
                kind = packet.stream.type
                found[kind].append(float(part.to_ndarray(format="gray").mean()) if kind == "video" else part.samples)
    return found


@pytest.mark.parametrize("ending, mime", [(".mp4", 'video/mp4; codecs="avc1.'), (".webm", 'video/webm; codecs="vp9, opus"')])
def test_the_copy_is_the_video_and_its_beginning_plays(tmp_path, monkeypatch, ending, mime):
    monkeypatch.setattr(live_copy, "FRAGMENT", 0.0)
    told, whole, live, part, plain = [], *(tmp_path / f"{name}{ending}" for name in ("whole", "live", "part", "plain"))
    copy = LiveCopy(live, lambda mime, seconds: told.append((mime, seconds)))
    with VideoWriter(whole, 64, 48, FPS, sound(), copy=copy) as writer, VideoWriter(plain, 64, 48, FPS, sound()) as other:
        for number in range(FRAMES):
            writer.write(frame(number))
            other.write(frame(number))
            if number == FRAMES - 10:
                shutil.copy(live, part)
    copy.close()
    copy.close()
    assert whole.read_bytes()[-2000:] == plain.read_bytes()[-2000:], "the video itself is as without a copy"
    first, second, early = content(whole), content(live), content(part)
    assert second["video"] == first["video"] and sum(second["audio"]) >= sum(first["audio"]) - RATE // 10
    assert 25 <= len(early["video"]) < FRAMES and early["video"] == first["video"][:len(early["video"])]
    assert early["audio"], "sound too"
    assert {one for one, _ in told} == {copy.mime} and copy.mime.startswith(mime)
    assert [seconds for _, seconds in told] == sorted(seconds for _, seconds in told) and told[-1][1] > FRAMES / FPS - 1


def test_without_sound(tmp_path):
    copy = LiveCopy(tmp_path / "live.mp4", lambda mime, seconds: None)
    with VideoWriter(tmp_path / "a.mp4", 64, 48, FPS, copy=copy) as writer:
        writer.write(np.stack([frame(number) for number in range(30)]))
    copy.close()
    assert copy.mime.startswith('video/mp4; codecs="avc1.') and "," not in copy.mime
    assert len(content(tmp_path / "live.mp4")["video"]) == 30


def test_what_browsers_do_not_play_has_no_copy(tmp_path):
    copy = LiveCopy(tmp_path / "live.mov", lambda mime, seconds: None)
    with VideoWriter(tmp_path / "a.mov", 64, 48, FPS, copy=copy) as writer:
        writer.write(frame(0))
    copy.close()
    assert not (tmp_path / "live.mov").exists() and not copy.mime


def test_a_copy_that_cannot_be_written_does_not_end_the_video(tmp_path, caplog):
    copy = LiveCopy(tmp_path / "absent" / "live.mp4", lambda mime, seconds: None)
    with VideoWriter(tmp_path / "a.mp4", 64, 48, FPS, copy=copy) as writer:
        for number in range(60):
            writer.write(frame(number))
    copy.close()
    assert len(content(tmp_path / "a.mp4")["video"]) == 60 and caplog.text.count("cannot be watched") == 1


def test_a_cancelled_video_leaves_a_copy_that_can_be_closed(tmp_path):
    copy = LiveCopy(tmp_path / "live.mp4", lambda mime, seconds: None)
    with pytest.raises(Cancelled), VideoWriter(tmp_path / "a.mp4", 64, 48, FPS, sound(), copy=copy) as writer:
        writer.write(np.stack([frame(number) for number in range(60)]))
        raise Cancelled
    copy.close()
    assert not (tmp_path / "a.mp4").exists()
