"""Parts of a video, made apart and joined: the whole video again, frame by frame; and what is refused."""
from __future__ import annotations

import os

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.chunks import TAG, Chunk, complete, join, read_chunk
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.video import VideoWriter, load_film_sound, probe, read_frames

FRAMES, FPS = 23, 25
SOUND = Sound((0.3 * np.sin(np.arange(16000) * 2 * np.pi * 220 / 16000)).astype(np.float32)[None], 16000)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    import cv2

    still = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8), (0, 0), 3)
    return np.stack([np.roll(still, i, 1) for i in range(FRAMES)])


def write(path, frames, chunk=None, *, crf=0, settings=1, fps=FPS):
    chunk = chunk or Chunk(0, 1, len(frames))
    part = frames[chunk.start:chunk.stop]
    tags = chunk.tags({"of": settings})
    with VideoWriter(path, *part.shape[2:0:-1], fps, chunk.sound(SOUND, fps), crf=crf, metadata=tags) as film:
        film.write(part)
    return path


def pixels(path) -> np.ndarray:
    return np.stack(list(read_frames(path)))


@pytest.mark.parametrize("frames_, count", [(10, 3), (1, 1), (7, 7), (1000, 13)])
def test_chunks_share_the_frames_without_a_gap(frames_, count):
    chunks = [Chunk(index, count, frames_) for index in range(count)]
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])] and chunks[-1].stop == frames_
    sizes = {chunk.stop - chunk.start for chunk in chunks}
    assert max(sizes) - min(sizes) <= 1 and min(sizes) > 0
    parts = [chunk.sound(SOUND, 30000 / 1001).waveform for chunk in chunks]
    joined = np.concatenate(parts, 1)
    assert (joined[:, :16000] == SOUND.waveform[:, :joined.shape[1]]).all() and not joined[:, 16000:].any()


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mov"])
def test_joined_is_the_whole(tmp_path, frames, ending):
    whole = write(tmp_path / f"whole{ending}", frames)
    paths = [write(tmp_path / f"part{index}{ending}", frames, Chunk(index, 3, FRAMES)) for index in (2, 0, 1)]
    files = complete([read_chunk(path) for path in paths])
    joined = join(files, tmp_path / f"joined{ending}", SOUND)
    assert (pixels(joined) == pixels(whole)).all(), "lossless parts"
    assert probe(joined).frames == FRAMES and probe(joined).fps == FPS
    told, wanted = load_film_sound(joined), load_film_sound(whole)
    assert told.waveform.shape == wanted.waveform.shape and (told.waveform == wanted.waveform).all(), "encoded once, as the whole"
    assert read_chunk(joined) is None and read_chunk(whole) is None
    import av

    with av.open(str(joined)) as container:
        assert {name.lower(): text for name, text in container.metadata.items()}["synthetic_media"] == "true"


def test_lossy_parts_are_shown_as_they_were_encoded(tmp_path, frames):
    paths = [write(tmp_path / f"{index}.mp4", frames, Chunk(index, 2, FRAMES), crf=23) for index in range(2)]
    joined = join(complete([read_chunk(path) for path in paths]), tmp_path / "joined.mp4")
    assert (pixels(joined) == np.concatenate([pixels(path) for path in paths])).all()


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
@pytest.mark.parametrize("count", [5, 8, 12, FRAMES])
def test_parts_shorter_than_an_encoder_looks_ahead(tmp_path, frames, count, ending):
    """Of one to five frames: the encoder sets the decoder's clock another way in each."""
    chunks = [Chunk(index, count, FRAMES) for index in range(count)]
    paths = [write(tmp_path / f"{chunk.index}{ending}", frames, chunk, crf=18) for chunk in chunks]
    joined = join(complete([read_chunk(path) for path in paths]), tmp_path / f"joined{ending}")
    assert (pixels(joined) == np.concatenate([pixels(path) for path in paths])).all()
    import av

    with av.open(str(joined)) as container:
        shown = [round(frame.pts * frame.time_base * FPS) for frame in container.decode(video=0)]
    assert shown == list(range(FRAMES))


def test_the_parts_own_audio_joined_keeps_its_length_and_place(tmp_path, frames):
    paths = [write(tmp_path / f"{index}.mp4", frames, Chunk(index, 2, FRAMES)) for index in range(2)]
    told = load_film_sound(join(complete([read_chunk(path) for path in paths]), tmp_path / "joined.mp4")).waveform[0]
    assert len(told) == FRAMES * 16000 // FPS
    off = np.abs(told - SOUND.waveform[0, :len(told)])
    seam = Chunk(0, 2, FRAMES).stop * 640
    assert off[2000:seam - 1200].max() < 0.05 and off[seam + 1200:-1200].max() < 0.05


def test_what_is_missing_is_named(tmp_path, frames):
    files = [read_chunk(write(tmp_path / f"{index}.mp4", frames, Chunk(index, 4, FRAMES))) for index in (0, 2)]
    with pytest.raises(TalkingHeadsError, match="missing: chunk_index 1, 3"):
        complete(files)
    with pytest.raises(TalkingHeadsError, match="There must be chunks"):
        complete([])


def test_of_two_the_newer_counts(tmp_path, frames):
    old, new, last = (read_chunk(write(tmp_path / f"{name}.mp4", frames, Chunk(index, 2, FRAMES)))
                      for name, index in (("new", 0), ("old", 0), ("last", 1)))
    os.utime(new.path, (1, 1))
    assert [one.path.stem for one in complete([old, new, last])] == ["new", "last"]


@pytest.mark.parametrize("other", [{"settings": 2}, {"count": 3}, {"frames": 22}])
def test_chunks_of_other_videos_are_refused(tmp_path, frames, other):
    one = read_chunk(write(tmp_path / "a.mp4", frames, Chunk(0, 2, FRAMES)))
    length = other.get("frames", FRAMES)
    chunk = Chunk(1, other.get("count", 2), length)
    two = read_chunk(write(tmp_path / "b.mp4", frames[:length], chunk, settings=other.get("settings", 1)))
    with pytest.raises(TalkingHeadsError, match="with the same settings"):
        complete([one, two])


def test_a_chunk_that_is_short_or_of_another_size_is_refused(tmp_path, frames):
    good = read_chunk(write(tmp_path / "a.mp4", frames, Chunk(0, 2, FRAMES)))
    second, path = Chunk(1, 2, FRAMES), tmp_path / "b.mp4"
    for part in (frames[second.start + 1:], frames[second.start:, :60]):
        with VideoWriter(path, *part.shape[2:0:-1], FPS, metadata=second.tags({"of": 1})) as film:
            film.write(part)
        with pytest.raises(TalkingHeadsError, match="Chunk 1 must have 12 frames of 96 x 64"):
            join(complete([good, read_chunk(path)]), tmp_path / "joined.mp4")
    assert not (tmp_path / "joined.mp4").exists()


@pytest.mark.parametrize("note", ["{", '{"index": 0}', '{"index": -1, "count": 2, "frames": 9, "settings": ""}',
                                  '{"index": 5, "count": 2, "frames": 9, "settings": ""}'])
def test_a_damaged_note(tmp_path, frames, note):
    with VideoWriter(tmp_path / "a.mp4", 96, 64, metadata={TAG: note}) as film:
        film.write(frames[:2])
    with pytest.raises(TalkingHeadsError):
        read_chunk(tmp_path / "a.mp4")


def test_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(FileFormatError, match="readable video"):
        read_chunk(tmp_path / "a.mp4")


@pytest.mark.parametrize("index, count, length, words", [(2, 2, 9, "below chunk_count"), (-1, 2, 9, "below"),
                                                        (0, 0, 9, "number of"), (0, 10, 9, "a frame at least")])
def test_no_such_chunk(index, count, length, words):
    with pytest.raises(TalkingHeadsError, match=words):
        Chunk(index, count, length)
