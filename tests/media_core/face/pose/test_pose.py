"""Rigid shape, poses, smoothing and exports, against the exact geometry of people who have part in no weights."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from face_video import FOCAL, SIZE, film, rotation_errors
from talking_heads.hmtalker_core.model import camera
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.geometry import RIGID
from talking_heads.media_core.face.pose import pnp
from talking_heads.media_core.face.pose.pose import (
    RigidShape,
    fit_shape,
    from_camera,
    reprojected,
    smooth_poses,
    solve_poses,
    to_camera,
    to_gsplat,
    to_talkinggaussian,
)
from talking_heads.media_core.motion import PoseTrack

INDICES = list(RIGID)


@pytest.fixture(scope="module", params=[3, 200])
def person(request):
    return film(request.param, 4.0)


@pytest.fixture(scope="module")
def one():
    return film(42, 4.0)


@pytest.fixture(scope="module")
def shape(one):
    return fit_shape(one.points, SIZE)


def track_of(poses, fps=25.0, focal=FOCAL):
    return PoseTrack(torch.from_numpy(poses), focal, SIZE, fps)


def turning(count, change, fps=25.0):
    """A head whose rotation vector and place are functions of the frame's number."""
    frames = np.arange(count, dtype=float)
    rotation = pnp.exponential(np.stack([change(frames), 0 * frames, 0.1 + 0 * frames], 1)) @ np.diag([1.0, -1, -1])
    return track_of(from_camera(rotation, np.stack([change(frames), 0 * frames, 0.8 + change(frames)], 1)), fps)


# ------------------------------------------------------------------------------------------------------------ the whole way

def test_noisy_points_of_a_stranger_give_a_steady_pose(person):
    points = person.noisy(1)
    shape = fit_shape(points, SIZE)
    poses, reprojection = solve_poses(points, shape)
    off, jitter, constant = rotation_errors(to_camera(smooth_poses(track_of(poses)).camera_to_head.numpy())[0], person.rotation)
    assert off.mean() < 1.0 and constant < 4.0
    assert jitter.mean() < 0.15
    assert reprojection.mean() < 1.0
    _, rough, _ = rotation_errors(to_camera(poses)[0], person.rotation)
    assert rough.mean() > 2 * jitter.mean()


def test_the_fit_beats_the_mean_face(person):
    from talking_heads.media_core.face.landmarks.mean_face import MeanFace

    everybody = RigidShape(MeanFace.load().points.astype(np.float32), FOCAL, SIZE)
    fitted = fit_shape(person.points, SIZE)
    (_, plain), (poses, own) = solve_poses(person.points, everybody), solve_poses(person.points, fitted)
    assert own.mean() < 0.2 < 1.0 < plain.mean()
    assert rotation_errors(to_camera(poses)[0], person.rotation)[0].mean() < 0.6


def test_the_head_frame_is_the_subjects(person):
    fitted = fit_shape(person.points, SIZE)
    assert np.linalg.norm(fitted.points[45] - fitted.points[36]) == pytest.approx(0.09, abs=1e-6)
    assert np.linalg.norm(fitted.points - person.rest, axis=1).mean() < 0.009
    poses, _ = solve_poses(person.points, fitted)
    _, place = to_camera(poses)
    assert np.linalg.norm(place - person.translation, axis=1).mean() < 0.015  # of about 0.8 m
    assert np.abs(fitted.points).max() < 0.15


def test_a_film_of_one_frame_and_a_still_head_are_fitted(one):
    fitted = fit_shape(one.points[:1], SIZE)
    _, reprojection = solve_poses(one.points[:1], fitted)
    assert reprojection[0] < 1.0
    still = fit_shape(np.repeat(one.points[:1], 5, 0), SIZE)
    assert np.linalg.norm(still.points - one.rest, axis=1).mean() < 0.012


def test_any_picture_size_and_focal_length(one, shape):
    wide = one.points * 2 + [400, 100]                                    # 1080p: the same face elsewhere, twice as large
    fitted = fit_shape(wide, (1080, 1920), 2 * FOCAL)
    assert fitted.focal == 2 * FOCAL and fitted.image_size == (1080, 1920)
    poses, reprojection = solve_poses(wide, fitted)
    assert reprojection.mean() < 0.5
    assert rotation_errors(to_camera(poses)[0], one.rotation)[0].mean() < 1.0
    half, _ = solve_poses((one.points + 0.5) / 2 - 0.5, shape.at((256, 256)))
    np.testing.assert_allclose(half, solve_poses(one.points, shape)[0], atol=1e-4)


def test_a_hand_over_a_few_points_hardly_moves_the_head(one, shape):
    spoilt = one.points.copy()
    spoilt[:, [0, 36, 31]] += [40.0, -25.0]
    poses, _ = solve_poses(spoilt, shape)
    assert rotation_errors(to_camera(poses)[0], one.rotation)[0].mean() < 2.0


def test_frames_of_rubbish_do_not_spoil_the_fit(one):
    rng = np.random.default_rng(3)
    spoilt = one.points.copy()
    rubbish = rng.choice(len(spoilt), 15, replace=False)
    spoilt[rubbish] += rng.normal(0, 25, (15, 68, 2))
    poses, _ = solve_poses(one.points, fit_shape(spoilt, SIZE))
    assert rotation_errors(to_camera(poses)[0], one.rotation)[0].mean() < 1.0


# ---------------------------------------------------------------------------------------------------------- missing frames

def test_frames_without_a_face_lie_between_their_neighbours(one, shape):
    gaps = one.points.copy()
    gaps[:3], gaps[40:48], gaps[-2:] = np.nan, np.nan, np.nan
    poses, reprojection = solve_poses(gaps, shape)
    missing = np.isnan(gaps).any((1, 2))
    np.testing.assert_array_equal(np.isnan(reprojection), missing)
    assert np.isfinite(poses).all()
    np.testing.assert_allclose(poses[:3], poses[[3, 3, 3]], atol=1e-6)
    assert rotation_errors(to_camera(poses)[0], one.rotation)[0][40:48].max() < 4.0
    np.testing.assert_allclose(poses[~missing], solve_poses(one.points, shape)[0][~missing], atol=1e-5)


def test_nothing_is_interpolated_across_a_cut(one, shape):
    gaps = one.points.copy()
    gaps[40:48] = np.nan
    poses, _ = solve_poses(gaps, shape, cuts=(44,))
    np.testing.assert_allclose(poses[40:44], np.repeat(poses[39:40], 4, 0), atol=1e-6)
    np.testing.assert_allclose(poses[44:48], np.repeat(poses[48:49], 4, 0), atol=1e-6)
    poses, _ = solve_poses(gaps, shape, cuts=(40, 48))                    # a shot without any face
    np.testing.assert_allclose(poses[40:48], np.repeat(poses[48:49], 8, 0), atol=1e-6)


def test_errors_say_what_is_wrong(one, shape):
    nothing = np.full((4, 68, 2), np.nan)
    for call in (lambda: fit_shape(nothing, SIZE), lambda: solve_poses(nothing, shape), lambda: fit_shape(one.points[0], SIZE),
                 lambda: fit_shape(one.points, SIZE, 0.0), lambda: RigidShape(np.zeros((67, 3), np.float32), 1.0, SIZE)):
        with pytest.raises(TalkingHeadsError):
            call()


# --------------------------------------------------------------------------------------------------------------- smoothing

def test_smoothing_keeps_slow_turns_and_has_no_delay():
    slow = turning(60, lambda t: 2e-5 * (t - 30) ** 2)
    smooth = smooth_poses(slow)
    np.testing.assert_allclose(smooth.camera_to_head, slow.camera_to_head, atol=2e-5)
    pulse = turning(61, lambda t: 0.2 * np.exp(-((t - 30) / 6) ** 2))
    curve = smooth_poses(pulse).camera_to_head[:, 2, 1].numpy()
    assert np.abs(curve).argmax() == 30
    np.testing.assert_allclose(curve, curve[::-1], atol=1e-5)


def test_the_window_follows_the_rate_and_the_length():
    def wobble(t):
        return 0.02 * np.sin(t * 1.3)
    left = [float(smooth_poses(turning(80, wobble, fps)).camera_to_head[:, 2, 1].std()) for fps in (12.5, 25.0, 50.0)]
    assert left[0] > left[1] > left[2]
    short = turning(4, wobble)
    assert smooth_poses(short) is not None and len(smooth_poses(short)) == 4
    torch.testing.assert_close(smooth_poses(short).camera_to_head, short.camera_to_head, atol=1e-6, rtol=0)
    assert smooth_poses(short, 0) is short


def test_smoothing_stops_at_cuts_and_mistrusts_light_frames():
    step = turning(60, lambda t: np.where(t < 30, 0.0, 0.3))
    torch.testing.assert_close(smooth_poses(step, cuts=(30,)).camera_to_head, step.camera_to_head, atol=1e-5, rtol=0)
    assert (smooth_poses(step).camera_to_head - step.camera_to_head).abs().max() > 0.05
    spike = turning(60, lambda t: np.where(t == 30, 0.3, 0.0))
    weight = np.ones(60)
    weight[30] = 0
    assert (smooth_poses(spike, weight=weight).camera_to_head[30] - spike.camera_to_head[0]).abs().max() < 0.01


def test_a_turn_through_the_quaternions_seam_stays_smooth():
    around = turning(100, lambda t: 0.07 * t)                             # more than a whole turn
    torch.testing.assert_close(smooth_poses(around).camera_to_head, around.camera_to_head, atol=2e-2, rtol=0)


# ----------------------------------------------------------------------------------------------------------------- exports

def test_exports_show_the_same_picture(one, shape, tmp_path):
    poses, _ = solve_poses(one.points, shape)
    track = track_of(poses, focal=shape.focal)
    viewmats, K = to_gsplat(track)
    torch.testing.assert_close(viewmats, camera.opengl_c2w_to_viewmat(track.camera_to_head), atol=1e-6, rtol=0)
    pixels, depth = camera.project(torch.from_numpy(shape.points).expand(len(track), -1, -1), viewmats, K)
    np.testing.assert_allclose(pixels - 0.5, reprojected(shape, track), atol=1e-2)
    assert np.linalg.norm((pixels - 0.5).numpy() - one.points, axis=-1)[:, INDICES].mean() < 0.3
    assert (depth > 0).all()


def test_the_file_is_read_back_by_the_data_set_reader(one, shape, tmp_path):
    from talking_heads.hmtalker_core.data.dataset_tables import read_cameras

    poses, _ = solve_poses(one.points, shape)
    track = track_of(poses, focal=shape.focal)
    for name, span in (("train", (0, 90)), ("val", (90, None))):
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps(to_talkinggaussian(track, *span)))
    content = json.loads((tmp_path / "transforms_val.json").read_text())
    assert content["frames"][0]["img_id"] == content["frames"][0]["aud_id"] == 90
    assert (content["focal_len"], content["cx"], content["cy"]) == (shape.focal, 256, 256)
    table = read_cameras(tmp_path)
    assert table.focal == shape.focal and len(table.poses) == len(track)
    np.testing.assert_allclose(table.poses, track.camera_to_head, atol=1e-6)


# ------------------------------------------------------------------------------------------------------------ the solver

def test_the_solver_finds_exact_poses():
    rng = np.random.default_rng(0)
    solid = rng.uniform(-0.08, 0.08, (12, 3))
    rotation = pnp.exponential(rng.uniform(-0.6, 0.6, (50, 3))) @ np.diag([1.0, -1, -1])
    place = rng.uniform([-0.2, -0.2, 0.5], [0.2, 0.2, 2.0], (50, 3))
    points = pnp.project(solid, rotation, place, 900.0, (480, 640))
    found, where = pnp.solve(points, solid, np.full(12, 1e-3), 900.0, (480, 640))
    np.testing.assert_allclose(found, rotation, atol=1e-5)
    np.testing.assert_allclose(where, place, atol=1e-5)


def test_a_bad_frame_does_not_disturb_another(one, shape):
    solid, off = shape.points[INDICES].astype(float), np.full(len(INDICES), 1e-3)
    spoilt = one.points[:, INDICES].copy()
    spoilt[10] = np.random.default_rng(0).uniform(0, 512, spoilt[10].shape)
    found, _ = pnp.solve(spoilt, solid, off, FOCAL, SIZE)
    clean, _ = pnp.solve(one.points[:, INDICES], solid, off, FOCAL, SIZE)
    others = np.arange(len(found)) != 10
    np.testing.assert_allclose(found[others], clean[others], atol=1e-4)
    assert np.isfinite(found).all()


def test_exponential_of_small_and_large_turns():
    from scipy.spatial.transform import Rotation

    turns = np.array([[0, 0, 0], [1e-10, 0, 0], [0.3, -0.2, 1.0], [3.0, 0.5, 0.0]])
    np.testing.assert_allclose(pnp.exponential(turns), Rotation.from_rotvec(turns).as_matrix(), atol=1e-12)
