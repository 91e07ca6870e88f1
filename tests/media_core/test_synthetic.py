"""What a video says of its origin: tags of every container, read back; and the label in its frames."""
from __future__ import annotations

import av
import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.synthetic import checked_label, labeller, tags
from talking_heads.media_core.video import VideoWriter, read_frames

GREY = np.full((3, 96, 128, 3), 128, np.uint8)


def read(path) -> dict[str, str]:
    """The tags; Matroska writes names in capitals."""
    with av.open(str(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mov"])
@pytest.mark.parametrize("source, kind", [("generated", "trainedAlgorithmicMedia"),
                                          ("composite", "compositeWithTrainedAlgorithmicMedia")])
def test_every_container_carries_the_tags(tmp_path, ending, source, kind):
    path = tmp_path / f"film{ending}"
    with VideoWriter(path, 128, 96, metadata={"prompt": {"1": "x"}}, source=source) as writer:
        writer.write(GREY)
    found = read(path)
    assert found["digitalsourcetype"] == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"
    assert found["synthetic_media"] == "true" and "Synthetic media" in found["comment"]
    assert found["prompt"] == '{"1": "x"}'


def test_a_video_is_synthetic_unless_it_is_said_to_be_recorded(tmp_path):
    for source in ({}, {"source": "recorded"}):
        with VideoWriter(tmp_path / "film.mp4", 128, 96, **source) as writer:
            writer.write(GREY)
        assert ("synthetic_media" in read(tmp_path / "film.mp4")) == (not source)
    assert tags("recorded") == {}


@pytest.mark.parametrize("size", [(96, 128), (97, 129), (512, 512), (64, 16)])
def test_a_label_stands_in_the_lower_left_corner_alone(size):
    frame = np.full((*size, 3), 128, np.uint8)
    shown = labeller("AI-generated", size)(frame)
    assert (frame == 128).all() and shown.shape == frame.shape
    rows, columns = np.nonzero((shown != 128).any(-1))
    assert rows.min() > 0.7 * size[0] and rows.max() == size[0] - 1 and columns.min() == 0
    part = shown[rows.min():, :columns.max() + 1]
    assert part.max() > 160 and part.min() < 80, "light letters on a dark ground"
    assert size[1] == 16 or columns.max() < size[1] - 1


def test_words_that_are_too_long_for_the_frame_become_smaller():
    ends = [np.nonzero((labeller(text, (200, 200))(np.full((200, 200, 3), 128, np.uint8)) != 128).any((0, 2)))[0].max()
            for text in ("AI", "AI " * 11)]
    assert ends[0] < 60 < ends[1] < 199


def test_transparent_frames_show_it_too():
    frame = np.zeros((96, 128, 4), np.uint8)
    shown = labeller("AI-generated", (96, 128))(frame)
    assert shown[-2, 2, 3] > 100 and shown[..., 3].max() > 200 and shown[0].max() == 0


def test_no_label_changes_nothing():
    frame = GREY[0]
    assert labeller("  ", (96, 128))(frame) is frame


@pytest.mark.parametrize("text", ["x" * 61, "two\nlines", "künstlich", "生成"])
def test_words_that_cannot_be_drawn(text, tmp_path):
    with pytest.raises(TalkingHeadsError, match="for example AI-generated"):
        checked_label(text)
    with pytest.raises(TalkingHeadsError, match="one line"):
        VideoWriter(tmp_path / "film.mp4", 128, 96, label=text)


def test_a_writer_draws_it_into_every_frame(tmp_path):
    with VideoWriter(tmp_path / "film.mp4", 127, 95, crf=5, label="AI-generated") as writer:
        writer.write(np.full((3, 95, 127, 3), 128, np.uint8))
    frames = list(read_frames(tmp_path / "film.mp4"))
    assert len(frames) == 3 and all(frame[-8:, :60].max() > 180 and frame[:60].max() < 140 for frame in frames)
