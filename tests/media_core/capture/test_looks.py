"""Faults of single frames: each is named where it is, and nothing is where there is none. The person is a synthetic one."""
from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest
from capture_video import Oracle, placed, talk, write_film
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.capture.looks import FrameLooks, frame_looks, lasting
from talking_heads.media_core.capture.quality import when
from talking_heads.media_core.capture.shots import single_changes, unnoticed_cuts
from talking_heads.media_core.dataset_folder import encoded
from talking_heads.media_core.face.geometry import inter_ocular

SIZE, FIRST, STOP = 192, 24, 36


@lru_cache(maxsize=1)
def said():
    return talk(2.8, SIZE, identity=8)


def folder_of(tmp_path, frames):
    (tmp_path / "ori_imgs").mkdir(exist_ok=True)
    for i, frame in enumerate(frames):
        (tmp_path / f"ori_imgs/{i}.jpg").write_bytes(encoded(".jpg", frame))
    return tmp_path


def looked(tmp_path, frames, points) -> FrameLooks:
    return frame_looks(folder_of(tmp_path, frames), points, lambda done, total: None)


def changed(change):
    """The talk's frames, those from FIRST to STOP after `change(frame, points)`."""
    out = said().frames.copy()
    for i in range(FIRST, STOP):
        out[i] = change(out[i], said().points[i])
    return out


def hand(frame, points):
    """Something of skin's colour, in the face's own shadow, over mouth and chin."""
    colour = np.median(frame[points[31:36].astype(int)[:, 1], points[31:36].astype(int)[:, 0]], axis=0) * 0.75
    middle = points[[51, 8]].mean(0).astype(int)
    unit = float(inter_ocular(points))
    return cv2.ellipse(frame.copy(), tuple(map(int, middle)), (int(.5 * unit), int(.45 * unit)), 0, 0, 360, colour.tolist(), -1)


def microphone(frame, points):
    return cv2.circle(frame.copy(), tuple(map(int, points[8] - (0, 8))), int(.3 * inter_ocular(points)), (40, 38, 42), -1)


def blur(frame, points):
    return cv2.GaussianBlur(frame, (0, 0), 2.5)


def runs_of(told):
    return np.flatnonzero(told).tolist()


def test_a_clean_video_has_no_fault(tmp_path):
    looks = looked(tmp_path, said().frames, said().points)
    assert not looks.blurred.any() and not looks.covered.any() and not looks.others.any()
    assert looks.strangeness.max() < 3.2 and np.isfinite(looks.light).all()
    assert unnoticed_cuts(tmp_path, len(said()), (), lambda done, total: None) == []


@pytest.mark.parametrize("change, kind", [(hand, "covered"), (microphone, "covered"), (blur, "blurred")])
def test_a_fault_is_found_at_its_frames_and_nowhere_else(change, kind, tmp_path):
    looks = looked(tmp_path, changed(change), said().points)
    assert runs_of(getattr(looks, kind)) == list(range(FIRST, STOP))
    assert not looks.others.any() and not (looks.blurred.any() and kind == "covered")


def test_a_second_person_is_found(tmp_path):
    frames, points = placed(said(), SIZE, 2 * SIZE, 0, 0)
    frames = np.ascontiguousarray(frames)
    frames[FIRST:STOP, :, SIZE:] = talk(2.8, SIZE, identity=42).frames[:STOP - FIRST]
    looks = looked(tmp_path, frames, points)
    others = runs_of(looks.others)
    assert others == list(range(25, 36)), "every fifth frame is looked at"
    assert not looks.covered.any()


def test_the_same_person_a_moment_later_is_a_cut(tmp_path):
    """A tracker's own look at whole frames misses it: nothing but the head has moved."""
    frames = np.concatenate([said().frames[:30], np.roll(said().frames[30:], 9, axis=2)])
    assert unnoticed_cuts(folder_of(tmp_path, frames), len(frames), (), lambda done, total: None) == [30]
    assert unnoticed_cuts(tmp_path, len(frames), (30,), lambda done, total: None) == []


def test_movement_and_flashes_are_no_cuts():
    still = np.full(60, 0.5)
    moving, flash, cut = still.copy(), still.copy(), still.copy()
    moving[20:40] = np.concatenate([np.linspace(3, 20, 10), np.linspace(20, 3, 10)])
    flash[30:32], cut[30] = 40, 12
    assert single_changes(moving) == single_changes(flash) == single_changes(still) == [] and single_changes(cut) == [30]
    assert single_changes(cut[:5]) == [], "too few frames to compare with"


def test_only_what_lasts_is_named():
    told = np.zeros(20, bool)
    told[[2, 3, 8, 9, 10]] = True
    assert runs_of(lasting(told)) == [8, 9, 10]
    assert when([3, 60, 61, 62], 25.0) == "3 (0.1 s), 60-62 (2.4-2.5 s)"
    assert when(range(0, 40, 2), 25.0).endswith("and 12 more runs")


def test_the_report_names_frames_of_the_video(tmp_path):
    """Also where the dataset begins later than the video."""
    frames = changed(hand)
    film = write_film(tmp_path / "me.mp4", [np.ascontiguousarray(f) for f in placed_numbers(frames)], sound=said().sound)
    settings = CaptureSettings(size=SIZE, masks=False, steady=False, segment=(0.4, 2.8))
    capture(film, tmp_path / "set", settings, tracker=Oracle(said().points))
    text = (tmp_path / "set/report.txt").read_text()
    line = next(line for line in text.splitlines() if "face covered" in line)
    assert f"12 of 60: {FIRST}-{STOP - 1} (1.0-1.4 s)" in line and line.startswith("poor")
    assert "keep hands" in text
    assert all(f"good     {name:16s} none" in text for name in ("doubtful frames", "other people", "cuts"))


def placed_numbers(frames):
    from capture_video import numbered

    return [numbered(frame, i) for i, frame in enumerate(frames)]


def test_what_was_seen_on_the_way_waits_for_the_report(tmp_path, monkeypatch):
    """Only the rest is looked at then; of other points nothing counts."""
    from talking_heads.media_core.capture import looks

    frames, points = said().frames[:20], said().points[:20]
    folder = folder_of(tmp_path, frames)
    whole = frame_looks(folder, points, lambda *_: None)
    looking, read = looks.Looking(folder, points), []
    for i in range(12):
        looking(i, looks.read_picture(folder / f"ori_imgs/{i}.jpg"))
    looking.save()
    monkeypatch.setattr(looks, "read_picture", lambda path, own=looks.read_picture: read.append(int(path.stem)) or own(path))
    again = frame_looks(folder, points, lambda *_: None)
    assert sorted(read) == list(range(12, 20))
    for name in ("sharpness", "colours", "light", "others"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    frame_looks(folder, points + 1, lambda *_: None)
    assert len(read) == 8 + 20
