"""The face track: measuring, keeping, cutting; canonical landmarks of a video and of a portrait."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from face_video import SIZE, film, raw_track, rotation_errors
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.landmarks.mean_face import MeanFace
from talking_heads.media_core.face.pose.canonical import canonical_landmarks, canonical_portrait, mean_face
from talking_heads.media_core.face.pose.pose import to_camera
from talking_heads.media_core.face.track import FaceTrack, filled, measure
from talking_heads.media_core.motion import ExpressionTrack

PERSON = 11


def units(count, fps=25.0):
    return ExpressionTrack(torch.rand(count, 17), fps, "test")


@pytest.fixture(scope="module")
def person():
    return film(PERSON, 4.0)


@pytest.fixture(scope="module")
def track(person):
    return measure(raw_track(person.points), expression=units(len(person.points)))


def test_the_parts_fit_together(person, track):
    assert len(track) == len(person.points) and track.fps == 25 and track.image_size == SIZE
    assert track.landmarks.space == "pixels" and track.landmarks.image_size == SIZE
    np.testing.assert_allclose(track.landmarks.points[..., :2], person.points, atol=1e-3)
    assert (track.confidence == 1).all() and float(track.reprojection.mean()) < 0.2
    off, jitter, _ = rotation_errors(to_camera(track.pose.camera_to_head.numpy())[0], person.rotation)
    assert off.mean() < 0.6 and jitter.mean() < 0.1


def test_depth_in_pixels_runs_away_from_the_viewer(person, track):
    camera = person.solid @ person.rotation.transpose(0, 2, 1)
    truth = camera[..., 2] * track.shape.focal / person.translation[:, 2:]
    ours = track.landmarks.points[..., 2].numpy()
    assert (ours[:, 30] < ours[:, 0]).all()                              # the tip of the nose before the ear
    assert np.corrcoef(ours.ravel(), truth.ravel())[0, 1] > 0.98


def test_a_steadied_tracks_points_as_found_are_kept_in_its_file(track, tmp_path):
    found = track.landmarks.points[..., :2] + 1.5
    steadied = replace(track, measured=found)
    back = FaceTrack.load(steadied.save(tmp_path / "steady.safetensors"))
    assert torch.equal(back.measured, found) and torch.equal(back.as_measured().landmarks.points[..., :2], found)
    assert torch.equal(back.as_measured().landmarks.points[..., 2], track.landmarks.points[..., 2])
    with pytest.raises(TalkingHeadsError, match="equal length"):
        replace(track, measured=found[1:])


def test_save_load_and_slice(track, tmp_path):
    back = FaceTrack.load(track.save(tmp_path / "face.safetensors"))
    for name in ("landmarks", "expression", "pose"):
        ours, theirs = getattr(track, name), getattr(back, name)
        torch.testing.assert_close(ours.data, theirs.data, rtol=0, atol=0)
        assert ours.fps == theirs.fps
    assert back.pose.focal == track.pose.focal and back.expression.source == "test"
    assert back.shape.focal == track.shape.focal and back.shape.image_size == SIZE
    np.testing.assert_array_equal(back.shape.points, track.shape.points)
    part = track.slice(10, 30)
    assert len(part) == len(part.landmarks) == len(part.confidence) == 20
    torch.testing.assert_close(part.pose.camera_to_head, track.pose.camera_to_head[10:30])
    with pytest.raises(TalkingHeadsError):
        track.slice(30, 10)
    track.pose.save(tmp_path / "pose.safetensors")
    with pytest.raises(FileFormatError):
        FaceTrack.load(tmp_path / "pose.safetensors")


def test_parts_of_unequal_length_are_refused(person, track):
    with pytest.raises(TalkingHeadsError):
        measure(raw_track(person.points), expression=units(3))
    with pytest.raises(TalkingHeadsError):
        measure(raw_track(person.points), expression=units(len(track), 30.0))


def test_missing_frames_are_filled_and_not_trusted(person):
    gaps = person.points.copy()
    gaps[50:56] = np.nan
    part = measure(raw_track(gaps), expression=units(len(gaps)))
    missing = np.isnan(gaps).any((1, 2))
    np.testing.assert_array_equal(part.confidence.numpy() == 0, missing)
    np.testing.assert_array_equal(np.isnan(part.reprojection.numpy()), missing)
    assert torch.isfinite(part.landmarks.points).all()
    off, _, _ = rotation_errors(to_camera(part.pose.camera_to_head.numpy())[0], person.rotation)
    assert off[50:56].max() < 3.0
    np.testing.assert_allclose(part.landmarks.points[..., :2][~missing], person.points[~missing], atol=1e-3)


def test_rows_that_were_filled_before_count_for_nothing(person, track):
    held = person.points.copy()
    held[50:90] = held[49]
    raw = raw_track(held)
    raw.confidence[50:90] = 0
    part = measure(raw, expression=units(len(held)))
    assert torch.isnan(part.reprojection[50:90]).all() and (part.confidence[50:90] == 0).all()
    np.testing.assert_allclose(part.landmarks.points[50:90, :, :2], held[50:90], atol=1e-3)
    assert float(part.reprojection.nanmean()) < 0.3
    with pytest.raises(TalkingHeadsError):
        raw.confidence[:] = 0
        measure(raw, expression=units(len(held)))


def test_action_units_are_measured_where_a_face_is(person):
    gaps = person.points.copy()
    gaps[50:56] = np.nan
    part = measure(raw_track(gaps))
    assert part.expression.reliability is not None and len(part.expression) == len(gaps)
    known = torch.isfinite(part.expression.au).all(dim=1)
    assert known[:50].all() and not known[50:56].any()


def test_points_are_filled_within_a_shot_only():
    points = np.full((6, 68, 2), np.nan)
    points[1], points[4] = 10.0, 40.0
    np.testing.assert_allclose(filled(points)[:, 0, 0], [10, 10, 20, 30, 40, 40])
    np.testing.assert_allclose(filled(points, (3,))[:, 0, 0], [10, 10, 10, 40, 40, 40])
    np.testing.assert_allclose(filled(points, (2, 3))[:, 0, 0][[2, 3]], [20, 40])
    with pytest.raises(TalkingHeadsError):
        filled(points[2:4])


def test_another_film_of_the_person_shares_the_head_frame(person, track):
    again = film(PERSON, 3.0, seed=99)
    shared = measure(raw_track(again.noisy(2)), shape=track.shape, expression=units(len(again.points)))
    np.testing.assert_array_equal(shared.shape.points, track.shape.points)

    def between(rotation, truth):
        from scipy.spatial.transform import Rotation
        return Rotation.from_matrix(rotation.transpose(0, 2, 1) @ truth).mean().as_matrix()
    first = between(to_camera(track.pose.camera_to_head.numpy())[0], person.rotation)
    second = between(to_camera(shared.pose.camera_to_head.numpy())[0], again.rotation)
    assert np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))) < 1.0


def test_a_frame_that_fits_no_head_is_smoothed_away(person, track):
    spoilt = person.points.copy()
    spoilt[60] = spoilt[60].mean(0) + 0.4 * (spoilt[60] - spoilt[60].mean(0)) @ np.array([[0.5, 0.5], [-0.5, 0.9]])
    part = measure(raw_track(spoilt), shape=track.shape, expression=units(len(spoilt)))
    off, _, _ = rotation_errors(to_camera(part.pose.camera_to_head.numpy())[0], person.rotation)
    assert off[60] < 2.5


# --------------------------------------------------------------------------------------------------------------- canonical

def test_canonical_landmarks_have_no_pose_but_all_the_speech(person, track):
    canonical = canonical_landmarks(track)
    assert canonical.space == "canonical" and canonical.fps == 25
    ours, truth = canonical.points.numpy() / 10, person.solid
    move, wanted = ours - ours.mean(0), truth - truth.mean(0)
    rms = np.sqrt(((move - wanted) ** 2).mean((0, 1)))
    assert (rms < [0.0004, 0.0005, 0.0008]).all()
    gap, real = (np.linalg.norm(a[:, 62] - a[:, 66], axis=1) for a in (ours, truth))
    assert np.corrcoef(gap, real)[0, 1] > 0.98
    for point in (8, 51, 57, 62, 66):                                    # depth follows what the visible moves tell
        assert np.corrcoef(ours[:, point, 2], truth[:, point, 2])[0, 1] > 0.7
    assert np.linalg.norm(canonical.points[:, 45] - canonical.points[:, 36], axis=1).mean() == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("frame", [0, 40, 90])
def test_a_portrait_is_turned_to_the_front(person, frame):
    from scipy.spatial.transform import Rotation

    canonical = canonical_portrait(person.points[frame], SIZE)
    assert len(canonical) == 1 and canonical.space == "canonical"
    solid = canonical.points[0].double().numpy() / 10
    assert np.linalg.norm(solid[45] - solid[36]) == pytest.approx(0.09, abs=0.003)
    centred = [a[27:48] - a[27:48].mean(0) for a in (solid, person.solid[frame])]
    turn, _ = Rotation.align_vectors(*centred)
    assert np.degrees(turn.magnitude()) < 8
    assert np.sqrt(((solid - person.solid[frame]) ** 2).sum(-1)).mean() < 0.012


def test_a_portrait_needs_its_points():
    for points in (np.zeros((67, 2)), np.full((68, 2), np.nan)):
        with pytest.raises(TalkingHeadsError):
            canonical_portrait(points, SIZE)


def test_the_mean_face_is_a_face():
    face, table = mean_face(), MeanFace.load()
    assert face.shape == (68, 3) and face.dtype == np.float32
    assert np.linalg.norm(face[45] - face[36]) == pytest.approx(0.9, abs=0.02)
    np.testing.assert_allclose(face[0] * [-1, 1, 1], face[16], atol=1e-5)     # symmetric
    assert face[8, 1] < face[57, 1] < face[30, 1] < face[27, 1] < face[19, 1]  # chin, lip, nose, bridge, brow
    assert face[30, 2] > face[0, 2] and np.abs(face).max() < 1.5
    assert table.motion[8] > table.motion[30] and table.relief.shape == (68, 5)
