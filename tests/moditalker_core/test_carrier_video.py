"""A portrait speaks with its own pixels."""
from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from talking_heads.media_core.edit_curves import parsed_edits
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.face.pose.canonical import canonical_portrait
from talking_heads.media_core.face.trackers import still_landmarks
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.motion_edits import LANES, apply_edits
from talking_heads.media_core.mouth import lip_aperture, resting_face
from talking_heads.moditalker_core.alignment import onto_portrait
from talking_heads.moditalker_core.carrier_video import CarrierSettings, carried_portrait, head_moves, portrait_carrier

STILL = CarrierSettings(life=0)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:221, 117:330])


@pytest.fixture(scope="module")
def face(portrait) -> FaceFrame:
    return still_landmarks("people", portrait)


@pytest.fixture(scope="module")
def motion(portrait, face) -> LandmarkTrack:
    """Two seconds: the mouth of the laughing portrait shuts, and opens and shuts three times."""
    rest = resting_face(canonical_portrait(face.points, portrait.shape[:2]).points[0])
    points = rest.repeat(50, 1, 1)
    way = .14 * torch.sin(torch.linspace(0, 3 * torch.pi, 50)) ** 2
    points[:, [*range(5, 12), 55, 56, 57, 58, 59, 65, 66, 67], 1] -= way[:, None]
    return LandmarkTrack(points, 25.0)


@pytest.fixture(scope="module")
def video(portrait, face, motion) -> np.ndarray:
    return np.stack(list(carried_portrait(portrait, motion, settings=STILL, landmarks=face.mesh)))


def openings(frames) -> np.ndarray:
    tracker = MeshTracker()
    seen = (tracker(frame) for frame in frames)
    return np.array([float("nan") if found is None else float(lip_aperture(found.points)) for found in seen])


def test_it_begins_with_the_picture_and_lips_follow(portrait, motion, video):
    assert np.array_equal(video[0], portrait)
    asked = lip_aperture(motion.points).numpy()[6:]
    seen = openings(video)[6:]
    assert correlation(seen, asked) > .93
    assert np.median(seen[asked < .02]) < .35 * seen.max()  # she laughs in the picture, and shuts her mouth


def test_nothing_above_the_nose_moves_without_life(portrait, face, video):
    row = int(face.mesh[[97, 326], 1].min()) - 4
    assert np.array_equal(video[:, :row], np.repeat(portrait[None, :row], len(video), axis=0))


def test_parts_are_the_same_as_in_the_whole(portrait, face, motion):
    lively = CarrierSettings(seed=5)
    whole = list(carried_portrait(portrait, motion, settings=lively, landmarks=face.mesh))
    parts = [frame for start, stop in ((0, 7), (7, 30), (30, None))
             for frame in carried_portrait(portrait, motion, settings=lively, landmarks=face.mesh, start=start, stop=stop)]
    assert len(whole) == len(parts) == len(motion)
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts))
    assert np.array_equal(whole[0], portrait)
    moved = np.abs(whole[30].astype(int) - whole[20]).max(-1)[:60]
    assert (moved > 8).any()  # the head sways
    other = next(carried_portrait(portrait, motion, settings=CarrierSettings(seed=6), landmarks=face.mesh, start=20))
    assert not np.array_equal(other, whole[20])


def test_found_points_and_given_points_agree(portrait, face, motion):
    found, track = (next(carried_portrait(portrait, motion, settings=STILL, start=12, stop=13, **how)) for how in (
        {}, {"landmarks": pixels(face, portrait)}))
    assert np.array_equal(found, track)
    from_68 = next(carried_portrait(portrait, motion, settings=STILL, start=12, stop=13, landmarks=face.points))
    assert np.abs(from_68.astype(int) - found).mean() < .5


def pixels(face, picture, mesh=True) -> LandmarkTrack:
    flat = torch.nn.functional.pad(torch.from_numpy(np.asarray(face.points, np.float32)), (0, 1))[None]
    return LandmarkTrack(flat, 25.0, "pixels", picture.shape[:2], torch.from_numpy(face.mesh)[None] if mesh else None)


def test_motion_in_pixels_moves_head_and_lips(portrait, face):
    track = pixels(face, portrait, mesh=False)
    points = track.points.repeat(12, 1, 1)
    points[:, :, 0] += torch.linspace(0, 6, 12)[:, None]  # the head goes to the side
    points[8:, [65, 66, 67, 55, 56, 57, 58, 59, 7, 8, 9], 1] += 4
    made = np.stack(list(carried_portrait(portrait, track.with_data(points), settings=STILL, landmarks=face.mesh)))
    assert np.array_equal(made[0], portrait)
    tracker = MeshTracker()
    seen = [tracker(frame).points for frame in made]
    assert (seen[7] - seen[0])[27:36, 0].mean() == pytest.approx(6 * 7 / 11, abs=.8)
    assert float(lip_aperture(seen[11])) > float(lip_aperture(seen[7])) + 1.5


def test_canonical_motion_that_was_turned_moves_the_head(portrait, face):
    """As Edit Motion turns it: the whole face goes along, and nothing of it is torn."""
    rest = canonical_portrait(face.points, portrait.shape[:2])
    still = LandmarkTrack(rest.points[:1].repeat(30, 1, 1), 25.0)
    edits = parsed_edits('{"version": 1, "lanes": {"yaw": {"curves": [{"points": [[0.6, 10], [1.2, 10]]}]}}}', LANES)
    turned = apply_edits(still, edits)
    assert head_moves(turned, rest) and not head_moves(still, rest)
    first, last = (next(carried_portrait(portrait, turned, settings=STILL, landmarks=face.mesh, start=i, stop=i + 1))
                   for i in (0, 25))
    assert np.array_equal(first, portrait)
    tracker = MeshTracker()
    went = (tracker(last).points - tracker(first).points)[:, 0]
    wanted = (onto_portrait(turned, pixels(face, portrait, mesh=False), canonical=rest).points[25, :, 0].numpy()
              - np.asarray(face.points)[:, 0])
    assert wanted[27:36].mean() > 4 and np.abs(went[17:] - wanted[17:]).mean() < 2


@pytest.mark.parametrize("kind", ["float", "grey", "alpha", "tensor"])
def test_any_kind_of_picture(portrait, face, motion, kind):
    image = {"float": portrait.astype(np.float32) / 255, "grey": portrait.mean(-1).astype(np.uint8),
             "alpha": np.dstack([portrait, np.where(np.arange(213) < 20, 0, 255)[None].repeat(221, 0).astype(np.uint8)]),
             "tensor": torch.from_numpy(portrait.astype(np.float32) / 255)}[kind]
    made = next(carried_portrait(image, motion, settings=STILL, landmarks=face.mesh, start=12))
    assert made.shape == (221, 213, 4 if kind == "alpha" else 3) and made.dtype == np.uint8
    if kind == "grey":
        assert np.ptp(made.astype(int), axis=-1).max() <= 3


def test_several_faces(portrait, motion):
    two = np.full((221, 400, 3), 60, np.uint8)
    two[:, :213] = portrait
    two[60:204, 230:369] = portrait[20:164, 30:169]
    made = [next(carried_portrait(two, motion, settings=STILL, face_index=k, start=12)) for k in (0, 1)]
    changed = [np.abs(one.astype(int) - two).max(-1) > 8 for one in made]
    sides = [(float(where[:, :213].mean()), float(where[:, 213:].mean())) for where in changed]
    assert {left > right for left, right in sides} == {True, False}
    assert all(min(pair) == 0 for pair in sides)


def test_profiles(portrait, face, motion, caplog):
    from talking_heads.media_core.face.carrier.place import Place, Turn, sideways

    place = Place.of(face.mesh)
    turned = [np.vstack([place.pixels(place.own, Turn.of(yaw, 0, 0)), face.mesh[468:]]) for yaw in (.2, .5, 1.0)]
    with caplog.at_level(logging.WARNING):
        portrait_carrier(portrait, landmarks=turned[0])
        assert not caplog.records
        portrait_carrier(portrait, landmarks=turned[1])
    assert "degrees" in caplog.text
    with pytest.raises(TalkingHeadsError, match="forward"):
        portrait_carrier(portrait, landmarks=turned[2])
    lying = [mesh[:, [1, 0, 2]] * [-1, 1, 1] for mesh in (face.mesh, turned[2])]  # on its side
    assert sideways(lying[0]) == pytest.approx(sideways(face.mesh), abs=.1) and sideways(lying[1]) > 1


def test_a_mouth_outside_the_image_is_refused(portrait, face):
    nose = int(face.points[33, 1])
    with pytest.raises(TalkingHeadsError, match="mouth must lie within the image"):
        portrait_carrier(portrait[:nose], landmarks=face.mesh)


def test_what_is_refused(portrait, face, motion):
    track = pixels(face, portrait)
    for wrong in ({"start": 3, "stop": 3}, {"start": -1}, {"stop": 51}):
        with pytest.raises(TalkingHeadsError):
            carried_portrait(portrait, motion, landmarks=face.mesh, **wrong)
    with pytest.raises(TalkingHeadsError, match="pixels must be of this image"):
        list(carried_portrait(portrait[:200], track, landmarks=face.mesh))
    with pytest.raises(TalkingHeadsError, match="in px of the image"):
        carried_portrait(portrait[:200], motion, landmarks=track)
    with pytest.raises(TalkingHeadsError, match="in px of the image"):
        carried_portrait(portrait, motion, landmarks=motion)
    with pytest.raises(TalkingHeadsError, match="68 points"):
        carried_portrait(portrait, motion, landmarks=np.zeros((5, 2)))
    for wrong, words in ((face.mesh * .02, "4 px or more"), (face.mesh - [300, 0, 0], "half of the face's points.*0% of them"),
                         (face.points + 500, "half of the face's points"), (face.mesh * np.nan, "with NaN")):
        with pytest.raises(TalkingHeadsError, match=words):
            carried_portrait(portrait, motion, landmarks=wrong)
    for wrong in ({"life": 2}, {"seed": -1}, {"upper": 7}, {"life": float("nan")}):
        with pytest.raises(TalkingHeadsError):
            CarrierSettings(**wrong)


def test_it_can_be_cancelled(portrait, face, motion):
    def stop(done, total, info, preview):
        if done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(carried_portrait(portrait, motion, landmarks=face.mesh, report=stop))
