"""A kill at any moment costs the making of a motion data set nothing but time. Its clips are stand-ins here: what is written when
is what counts."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from crash import check_kills
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.crop import still_crop
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack, PoseTrack
from talking_heads.media_core.speech import encode_speech
from talking_heads.moditalker_core.data import from_subject, from_videos
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.dataset_writer import Recorded
from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject
from talking_heads.moditalker_core.data.from_videos import build_from_videos
from talking_heads.moditalker_core.data.images import PictureSettings, spool

FRAMES = 5
PLAN = SubjectPlan(identities=(3,), seconds=1.0, engine="formant", val=0)


@pytest.fixture(scope="module")
def clip() -> Recorded:
    sound = Sound(np.random.default_rng(0).normal(0, 0.1, (1, FRAMES * 640)).astype(np.float32), 16000)
    poses = torch.eye(4).repeat(FRAMES, 1, 1)
    return Recorded("c00000", encode_speech(sound), LandmarkTrack(torch.from_numpy(mean_face()).repeat(FRAMES, 1, 1)),
                    PoseTrack(poses, 100.0, (64, 64), 25.0), "subject", "3")


def test_one_of_the_subject(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(from_subject, "subject_clip", lambda *_: clip)
    check_kills(lambda folder: build_from_subject(folder, PLAN), tmp_path / "kills", monkeypatch)
    assert MotionDataset.open(tmp_path / "kills" / "5" / "set").frames == FRAMES


def test_one_with_pictures(clip, tmp_path, monkeypatch):
    points = np.random.default_rng(1).uniform(20, 44, (FRAMES, 68, 2))
    pictures = PictureSettings(32)
    drawn = [(np.full((32, 32, 3), 9 * i, np.uint8), np.zeros((32, 32), np.uint8)) for i in range(FRAMES)]
    monkeypatch.setattr(from_subject, "subject_clip", lambda name, plan, made_from, encoder, work, step: replace(
        clip, pictures=spool(work, name, made_from, pictures, still_crop(points, (64, 64), 32), points, iter(drawn))))
    check_kills(lambda folder: build_from_subject(folder, replace(PLAN, pictures=pictures)), tmp_path / "kills", monkeypatch,
                first=2, further=8)


def test_one_of_films(clip, tmp_path, monkeypatch):
    (tmp_path / "me.mp4").write_bytes(b"film")
    film = from_videos._Film(tmp_path / "me.mp4", "me.mp4", "me", FRAMES, "0123456789abcdef")
    monkeypatch.setattr(from_videos, "_looked_at", lambda *_: film)
    monkeypatch.setattr(from_videos, "_measured", lambda film, number, work, *_: (
        work.mkdir(parents=True, exist_ok=True), ([replace(clip, source="me.mp4")], []))[1])
    check_kills(lambda folder: build_from_videos(tmp_path / "me.mp4", folder), tmp_path / "kills", monkeypatch, further=4)


def test_what_a_killed_run_left_does_not_bind_the_folder(clip, tmp_path, monkeypatch):
    """Not to films, since no film's shard is whole; and a folder of anything else is still left alone."""
    monkeypatch.setattr(from_subject, "subject_clip", lambda *_: clip)
    (tmp_path / "set" / "shards").mkdir(parents=True)
    (tmp_path / "set" / "request.json").write_text('{"kind": "videos"}')
    (tmp_path / "set" / "shards" / ".00000_me.0123456789ab.part.safetensors").write_bytes(b"")
    assert len(MotionDataset.open(build_from_subject(tmp_path / "set", PLAN))) == 1
    (tmp_path / "other" / "shards").mkdir(parents=True)
    (tmp_path / "other" / "shards" / "mine.safetensors").write_bytes(b"")
    with pytest.raises(TalkingHeadsError, match="holds other files"):
        build_from_subject(tmp_path / "other", PLAN)


def test_a_film_that_is_still_being_written_is_none(tmp_path):
    (tmp_path / ".me.0123456789ab.part.mp4").write_bytes(b"film")
    with pytest.raises(FileFormatError, match="must be videos"):
        build_from_videos(tmp_path, tmp_path / "set")
