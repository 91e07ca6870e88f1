"""In a real video the drawn mouth is read before it is made, and the motion corrected by that."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.face.carrier.response import opening
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.face.trackers import still_landmarks
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject.layout import to_68
from talking_heads.moditalker_core import film_looks
from talking_heads.moditalker_core.carrier_films import carried_film, drawn_film, film_plan, film_portrait
from talking_heads.moditalker_core.film_looks import Looks

WIDE = .13  # of the eyes' distance
HALF = np.array([.5, .5, 0], np.float32)


@pytest.fixture(scope="module")
def filmed() -> tuple[np.ndarray, FaceTrack]:
    """NASA's portrait wandering through the frame, uint8 [6, H, W, 3], and its track."""
    from skimage import data

    image = np.ascontiguousarray(data.astronaut()[:250, 100:350])
    mesh = still_landmarks("people", image[10:230, 14:232]).mesh
    assert mesh is not None
    corners = [(i % 3, 8 + i) for i in range(6)]
    frames = np.stack([image[y:y + 220, x:x + 218] for x, y in corners])
    meshes = np.stack([mesh + np.array([14 - x, 10 - y, 0], np.float32) for x, y in corners]).astype(np.float32)
    points = np.stack([to_68(one.astype(np.float64))[:, :2] for one in meshes]).astype(np.float32)
    return frames, measure(RawTrack(points, np.ones(6, np.float32), (220, 218), 25.0, tracker="people", mesh=meshes))


@pytest.fixture(scope="module")
def speech(filmed) -> LandmarkTrack:
    """60 frames that open and shut the mouth."""
    portrait = film_portrait(filmed[1])
    points, opened = portrait.points.double(), torch.zeros(68, 3, dtype=torch.float64)
    eyes = float((points[0, 45] - points[0, 36]).norm())
    opened[4:13, 1] = opened[54:60, 1] = opened[64:68, 1] = -WIDE * eyes
    way = .5 - .5 * torch.cos(torch.arange(60) * .7)
    return portrait.with_data((points + way[:, None, None] * opened).float())


def made(filmed, speech, **part) -> np.ndarray:
    frames, track = filmed
    opened = lambda start: iter(frames[start:])
    return np.stack(list(drawn_film(film_plan(opened, fps=25, track=track), opened, speech, **part)))


def test_any_part_is_corrected_as_the_whole(filmed, speech):
    whole = made(filmed, speech)
    assert np.array_equal(whole[20:31], made(filmed, speech, start=20, stop=31))


def test_openings_are_seen_nearer_to_what_is_asked(filmed, speech, monkeypatch):
    asked = WIDE * (.5 - .5 * np.cos(np.arange(60) * .7))
    some = np.flatnonzero(asked > .06)[::4]

    def off() -> float:
        seen = [opening(still_landmarks("people", frame).mesh) for frame in made(filmed, speech)[some]]
        return float(np.abs(seen - asked[some]).mean())

    corrected = off()
    monkeypatch.setattr(film_looks, "response", lambda *_: None)
    assert corrected < off()


def test_rendered_faces_are_not_read(filmed, speech, monkeypatch):
    frames, track = filmed
    raw = RawTrack(track.landmarks.points[..., :2].numpy(), np.ones(6, np.float32), (220, 218), 25.0, tracker="exact",
                   mesh=track.landmarks.mesh.numpy())
    monkeypatch.setattr(film_looks, "response", lambda *_: pytest.fail("read"))
    next(carried_film(lambda start: iter(frames[start:]), speech, fps=25, track=measure(raw)))


def test_looks_are_spread_over_a_video_of_any_length(filmed):
    frames, track = filmed
    mesh, looks = track.landmarks.mesh[0].numpy(), Looks()
    for number in range(1000):
        looks.add(frames[0][:4, :4] if number else frames[0], mesh, number)
    numbers = [look.number for look in looks.kept]
    assert 20 <= len(numbers) <= 48 and np.ptp(np.diff(numbers)) == 0 and numbers[-1] > 930


def test_a_large_face_is_kept_small(filmed):
    frames, track = filmed
    mesh, looks = track.landmarks.mesh[0].numpy(), Looks()
    looks.add(np.repeat(np.repeat(frames[0], 4, 0), 4, 1), (mesh + HALF) * 4 - HALF, 0)
    look = looks.kept[0]
    assert np.linalg.norm(look.mesh[33] - look.mesh[263]) == pytest.approx(film_looks._EYES, rel=.01)
    again = still_landmarks("people", look.picture).mesh
    assert np.linalg.norm((again - look.mesh)[:, :2], axis=1).mean() < 1.5
