"""The mesh that tracks carry beside their 68 points: it goes along, or it goes."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.media_core.dense_mesh import jaw_points
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.landmarks.core_landmarks import from_face_landmarks, to_face_landmarks
from talking_heads.media_core.face.landmarks.raw_track import RawTrack, fill_missing
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, concatenated
from talking_heads.media_core.subject.layout import JAW_LINE, to_68
from talking_heads.media_core.subject.portrait import load

FRAMES, SIZE, GAP = 40, (600, 500), (11, 12)


def meshes() -> np.ndarray:  # float32 [40, 478, 3] px
    """A face that sways, nods and trembles."""
    base, rng, time = load().points, np.random.default_rng(0), np.arange(FRAMES)[:, None, None]
    sway = np.array([6.0, 2.0, 1.0]) * np.sin(time / 5)
    return (base + sway + rng.normal(0, 0.4, (FRAMES, *base.shape))).astype(np.float32)


@pytest.fixture
def raw() -> RawTrack:
    """A track with two frames without a face."""
    mesh = meshes()
    points = np.stack([to_68(face)[:, :2] for face in mesh.astype(np.float64)]).astype(np.float32)
    confidence = np.full(FRAMES, 0.9, np.float32)
    points[list(GAP)], mesh[list(GAP)], confidence[list(GAP)] = np.nan, np.nan, 0
    return RawTrack(points=points, confidence=confidence, image_size=SIZE, fps=25.0, cuts=(20,), tracker="people", mesh=mesh)


@pytest.fixture
def face(raw) -> FaceTrack:
    units = ExpressionTrack(torch.rand(FRAMES, 17), 25.0, "test")
    return measure(fill_missing(raw, "interpolate")[0], expression=units)


def agree(mesh: np.ndarray, points: np.ndarray) -> None:
    """The mesh has the points in every frame that it knows."""
    assert mesh is not None and len(mesh) == len(points)
    known = np.isfinite(mesh).all((1, 2))
    assert known.sum() >= len(mesh) - len(GAP) - 2
    own = np.stack([to_68(one)[:, :2] for one in mesh[known].astype(np.float64)])
    assert np.abs(own[:, 17:] - points[known][:, 17:, :2]).max() < 0.01
    assert np.abs(own[:, :17] - points[known][:, :17, :2]).max() < 0.5


def test_the_jaw_is_divided_as_for_one_face():
    mesh = meshes()[:5].astype(np.float64)
    np.testing.assert_allclose(jaw_points(mesh), np.stack([to_68(one)[:17] for one in mesh]), atol=1e-9)


def test_a_raw_track_keeps_it_on_disk_and_in_parts(raw, tmp_path):
    back = RawTrack.load(raw.save(tmp_path / "raw.safetensors"))
    assert back.tracker == "people" and np.array_equal(back.mesh, raw.mesh, equal_nan=True)
    part = raw.rows(slice(5, 15), (3,))
    assert len(part) == 10 and part.cuts == (3,) and np.array_equal(part.mesh, raw.mesh[5:15], equal_nan=True)
    half = raw.placed(lambda points: points / 2 - 7, 0.5, (300, 250))
    agree(half.mesh, half.points)
    np.testing.assert_allclose(half.mesh[0, :, 2], raw.mesh[0, :, 2] / 2, rtol=1e-6)


@pytest.mark.parametrize("policy", ["hold", "interpolate", "skip"])
def test_missing_frames_have_none(raw, policy):
    filled, kept, _ = fill_missing(raw, policy)
    agree(filled.mesh, filled.points)
    unknown = np.isnan(filled.mesh).all((1, 2))
    assert np.array_equal(unknown, np.isin(kept, GAP)) and np.isfinite(filled.points).all()


def test_smoothing_moves_it_along(raw):
    filled = fill_missing(raw, "hold")[0]
    smooth = filled.smoothed()
    agree(smooth.mesh, smooth.points)
    assert np.nanmax(np.abs(smooth.mesh[:, JAW_LINE] - raw.mesh[:, JAW_LINE])) > 0.1
    untouched = np.setdiff1d(np.arange(478), JAW_LINE)
    assert (np.nanmax(np.abs(smooth.mesh - raw.mesh), axis=(0, 2))[untouched] == 0).mean() > 0.9


@pytest.mark.parametrize("moved", [30, 45, 62, slice(6, 11), slice(0, 68)], ids=str)
def test_an_edit_of_the_points_drops_it(raw, face, moved):
    points = raw.points.copy()
    points[5, moved] += 6
    assert replace(raw, points=points).mesh is None and replace(raw, points=raw.points.copy()).mesh is not None
    flat = face.landmarks.points.clone()
    flat[5, moved, :2] += 6
    assert face.landmarks.with_data(flat).mesh is None
    flat = face.landmarks.points.clone()
    flat[..., 2] += 3
    assert face.landmarks.with_data(flat).mesh is not None, "depth of the 68 is not the mesh's"


def test_other_frames_or_spaces_drop_it(raw, face):
    assert replace(raw, points=raw.points[:9], confidence=raw.confidence[:9]).mesh is None
    track = face.landmarks
    assert track.with_data(track.points.flip(0)).mesh is None and track.smoothed(2.0).mesh is None
    assert replace(track, space="canonical").mesh is None


@pytest.mark.parametrize("wrong", [np.zeros((FRAMES, 468, 3), np.float32), np.zeros((FRAMES, 478, 2), np.float32),
                                   np.zeros((FRAMES, 478, 3)), np.zeros((478, 3), np.float32)],
                         ids=lambda array: f"{array.shape}{array.dtype}")
def test_something_else_is_refused(raw, wrong):
    with pytest.raises(TalkingHeadsError, match="mesh must be float32"):
        replace(raw, mesh=wrong)


def test_a_landmark_track_takes_it_along(face, tmp_path):
    track = face.landmarks
    agree(track.mesh.numpy(), track.points.numpy())
    back = LandmarkTrack.load(track.save(tmp_path / "landmarks.safetensors"))
    assert torch.equal(back.mesh.nan_to_num(), track.mesh.nan_to_num()) and torch.equal(back.points, track.points)
    for other in (track.slice(3, 30), track.selected([7, 3, 3, 12]), track.resampled(30.0), track.resampled(12.5),
                  concatenated([track, track.slice(0, 4)])):
        agree(other.mesh.numpy(), other.points.numpy())
    joined = concatenated([replace(track, mesh=None), track])
    assert torch.isnan(joined.mesh[:FRAMES]).all() and torch.equal(joined.mesh[FRAMES:].nan_to_num(), track.mesh.nan_to_num())
    assert concatenated([replace(track, mesh=None)] * 2).mesh is None


def test_a_face_track_says_what_measured_it(face, tmp_path):
    assert face.tracker == "people"
    back = FaceTrack.load(face.save(tmp_path / "face.safetensors"))
    assert back.tracker == "people" and torch.equal(back.landmarks.mesh.nan_to_num(), face.landmarks.mesh.nan_to_num())
    part = back.slice(2, 20)
    assert part.tracker == "people" and len(part.landmarks.mesh) == 18
    with pytest.raises(TalkingHeadsError, match="measured by one of"):
        replace(face, tracker="somebody")


@pytest.mark.parametrize("kind, version", [("raw_face_track", 1), ("face_track", 1)])
def test_files_that_do_not_say_are_older(raw, face, tmp_path, kind, version):
    path = (raw if kind.startswith("raw") else face).save(tmp_path / "new.safetensors")
    tensors, config = load_tensors(path, kind=kind, version=version)
    assert config.pop("tracker") == "people"
    save_tensors(tmp_path / "old.safetensors", {k: v for k, v in tensors.items() if k != "mesh"}, kind=kind, version=version,
                 config=config)
    old = (RawTrack if kind.startswith("raw") else FaceTrack).load(tmp_path / "old.safetensors")
    assert old.tracker == "rendered" and (old if kind.startswith("raw") else old.landmarks).mesh is None
    save_tensors(tmp_path / "odd.safetensors", tensors, kind=kind, version=version, config={**config, "tracker": "somebody"})
    with pytest.raises(FileFormatError, match="tracker"):
        type(old).load(tmp_path / "odd.safetensors")


def test_cores_socket_gives_and_takes_all_of_it(face):
    track = face.landmarks
    value = to_face_landmarks(track)
    known = np.isfinite(track.mesh.numpy()).all((1, 2))
    for i in (0, 5, FRAMES - 1):
        np.testing.assert_array_equal(value["frames"][i][0]["landmarks_xy"], track.mesh[i, :, :2].numpy())
    assert np.isfinite(value["frames"][GAP[0]][0]["landmarks_xy"]).all(), "filled frames have a guessed one"
    raw, _ = from_face_landmarks(value, 25.0)
    assert raw.tracker == "landmarks" and np.array_equal(raw.mesh[known][..., :2], track.mesh.numpy()[known][..., :2])
    np.testing.assert_allclose(raw.mesh[known][..., 2], track.mesh.numpy()[known][..., 2], atol=0.05)
    np.testing.assert_allclose(raw.points, track.points[..., :2].numpy(), atol=0.02)


def test_a_socket_without_irises_or_depth_has_no_mesh(face):
    value = to_face_landmarks(face.landmarks.slice(0, 2))
    for frame in value["frames"]:
        frame[0]["landmarks_xy"] = frame[0]["landmarks_xy"][:468]
    assert from_face_landmarks(value, 25.0)[0].mesh is None
