"""A video without any face is refused soon; one whose face comes late is not."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.capture import tracking
from talking_heads.media_core.capture.settings import CaptureSettings
from talking_heads.media_core.errors import Cancelled, FileFormatError
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame, track_frames
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.presence import PATIENCE

FRAMES = 1000


class Watcher:
    """Sees a face in frames whose number (their pixels) lies in `shown`, and counts what it was shown."""
    kind = "exact"

    def __init__(self, shown):
        self.shown, self.looks, self.state = shown, 0, None

    def reset(self):
        self.state = None

    def __call__(self, frame, region=None):
        self.looks += 1
        number = int(frame[0, 0, 0]) + 256 * int(frame[0, 0, 1])
        return FaceFrame(np.full((68, 2), number, np.float32), 0.9) if number in self.shown else None


def opened(start, stop=FRAMES):
    for number in range(start, stop):
        yield np.full((8, 8, 3), (number % 256, number // 256, 0), np.uint8)


def tracked(watcher, folder=None, report=lambda *call: None):
    """By the tracker of videos, or by that of captures."""
    if folder is None:
        return track_frames(opened(0), 25.0, tracker=watcher, total=FRAMES, again=opened, report=report)
    tracking.track_film(folder, folder / "film.mp4", CaptureSettings(), 0, None, FRAMES, None, watcher, report)
    return RawTrack.load(folder / tracking.RAW)


@pytest.fixture(params=["film", "capture"])
def folder(request, tmp_path, monkeypatch):
    for reader in ("read_frames", "read_planes"):
        monkeypatch.setattr(tracking, reader, lambda film, fps, start, **options: opened(start))
    return tmp_path if request.param == "capture" else None


def test_a_film_without_a_face_is_refused_soon(folder):
    watcher = Watcher(())
    said = "at least 64 x 64 px.*: no face in its first 10 frames, nor in 40 spread over the rest; it is 8 x 8 px.*too small"
    with pytest.raises(FileFormatError, match=said):
        tracked(watcher, folder)
    assert watcher.looks == PATIENCE + 40 and (folder is None or not list(folder.iterdir()))


@pytest.mark.parametrize("first", [26, 500, FRAMES - 25])
def test_a_face_that_is_there_for_a_second_is_not_missed(folder, first):
    shown = range(first, first + 25)
    watcher = Watcher(shown)
    raw = tracked(watcher, folder)
    assert np.flatnonzero(raw.seen).tolist() == list(shown) and len(raw) == FRAMES
    assert watcher.looks <= FRAMES + 40


def test_a_face_at_the_beginning_costs_no_look(folder):
    watcher = Watcher(range(9, 200))
    assert tracked(watcher, folder).seen.sum() == 191 and watcher.looks == FRAMES


def test_looking_can_be_stopped(folder):
    watcher = Watcher(())

    def report(*call):
        if watcher.looks > PATIENCE + 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        tracked(watcher, folder, report)
    assert watcher.looks == PATIENCE + 4


def test_short_films_are_looked_at_more_closely():
    watcher = Watcher(range(40, 43))
    raw = track_frames(opened(0, 60), 25.0, tracker=watcher, total=60, again=lambda start: opened(start, 60))
    assert raw.seen.sum() == 3
