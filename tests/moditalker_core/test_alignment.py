"""Motion onto a film's poses and onto one portrait, with the synthetic subject's exact points; and the published rule."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from face_video import FOCAL, SIZE, film, raw_track
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.geometry import RIGID
from talking_heads.media_core.face.pose.canonical import canonical_landmarks, canonical_portrait, mean_face
from talking_heads.media_core.face.track import measure
from talking_heads.media_core.motion import LandmarkTrack, PoseTrack
from talking_heads.moditalker_core import alignment as al
from talking_heads.moditalker_core.landmarks import five_points, rotation_from_euler

MEAN = torch.from_numpy(mean_face())


@lru_cache(maxsize=1)
def measured():
    exact = film(61, 1.6, fps=25.0)
    return exact, measure(raw_track(exact.points), smoothing=0)


def still_pose(count: int = 1, fps: float = 25.0, away: float = 0.6) -> PoseTrack:
    """Cameras that stand before the head and rise from frame to frame."""
    poses = torch.eye(4).repeat(count, 1, 1)
    poses[:, 2, 3] = away
    poses[:, 1, 3] = torch.arange(count) * 0.01
    return PoseTrack(poses, FOCAL, SIZE, fps)


def mean_motion(count: int = 1, fps: float = 25.0) -> LandmarkTrack:
    return LandmarkTrack(MEAN.repeat(count, 1, 1), fps)


# ---------------------------------------------------------------------------------------------------- the pack's own poses

def test_a_films_own_landmarks_come_back_to_its_pixels():
    exact, track = measured()
    placed = al.onto_pose(canonical_landmarks(track), track)
    assert (placed.space, placed.image_size, len(placed)) == ("pixels", SIZE, len(track))
    assert np.abs(placed.points[..., :2].numpy() - exact.points).max() < 0.01
    torch.testing.assert_close(placed.points[..., 2], track.landmarks.points[..., 2], atol=0.02, rtol=0)  # and its depth
    assert torch.equal(placed.points, al.onto_pose(canonical_landmarks(track), track.pose).points)


def test_another_person_comes_to_the_same_place_and_size():
    exact, track = measured()
    stranger = canonical_portrait(film(62, 0.2).points[0], SIZE)
    placed = al.onto_pose(LandmarkTrack(stranger.points.repeat(len(track), 1, 1)), track).points[..., :2].numpy()
    eyes = [np.linalg.norm(each[:, 36] - each[:, 45], axis=-1) for each in (placed, exact.points)]
    assert np.abs(eyes[0] / eyes[1] - 1).max() < 0.05
    off = (placed - exact.points)[:, list(RIGID)].mean(1)
    assert np.abs(off).max() < 0.04 * eyes[1].mean()


def test_poses_walk_to_and_fro():
    placed = al.onto_pose(mean_motion(8), still_pose(3)).points
    heights = placed[:, 30, 1]
    assert len(set(heights.tolist())) == 3
    assert torch.equal(heights[[0, 1, 2, 3, 4, 5]], heights[[4, 5, 6, 7, 0, 1]])
    assert torch.equal(al.onto_pose(mean_motion(8), still_pose(3), start=2).points[:6], placed[2:])
    assert al.pose_frames(3, 8).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


@pytest.mark.parametrize("wanted, count", [(None, 10), (30.0, 12), (50.0, 20)])
def test_rates_that_differ_are_resampled(wanted, count):
    placed = al.onto_pose(mean_motion(10), still_pose(20, fps=50.0), fps=wanted)
    assert len(placed) == count and placed.fps == (wanted or 25.0)
    place = ((np.arange(count) + 0.5) / placed.fps * 50 - 0.5).clip(0, 19)  # of these times among the poses
    at_poses = al.onto_pose(mean_motion(20, fps=50.0), still_pose(20, fps=50.0)).points[:, 30, 1].numpy()
    assert np.abs(placed.points[:, 30, 1].numpy() - np.interp(place, np.arange(20), at_poses)).max() < 0.5
    assert np.ptp(at_poses) > 100


def test_a_single_pose_serves_any_rate_and_length():
    placed = al.onto_pose(mean_motion(7, fps=12.0), still_pose(1, fps=60.0)).points
    assert len(placed) == 7 and torch.equal(placed[0], placed[6])


# ------------------------------------------------------------------------------------------------------------ one portrait

def portrait_of(identity: int, frame: int = 3) -> LandmarkTrack:
    points = film(identity, 0.4).points[frame]
    return LandmarkTrack(torch.from_numpy(np.column_stack([points, np.zeros(68)]).astype(np.float32))[None], 25.0, "pixels", SIZE)


@pytest.mark.parametrize("identity", [7, 330])
def test_a_portraits_own_landmarks_come_back_to_it(identity):
    portrait = portrait_of(identity)
    canonical = canonical_portrait(portrait.points[0, :, :2].numpy(), SIZE)
    placed = al.onto_portrait(canonical, portrait)
    assert float((placed.points - portrait.points)[..., :2].abs().max()) < 0.1
    exactly = al.onto_portrait(canonical, portrait, canonical=canonical)
    assert float((exactly.points - portrait.points)[..., :2].abs().max()) < 1e-3


def test_landmarks_measured_otherwise_land_on_the_portrait_too():
    portrait = portrait_of(7)
    other = canonical_portrait(portrait.points[0, :, :2].numpy(), SIZE, focal=1.5 * SIZE[1])
    other = other.with_data(other.points * 1.02 + 0.05)
    placed = al.onto_portrait(other, portrait, canonical=other)
    assert float((placed.points - portrait.points)[..., :2].abs().max()) < 1e-3
    assert float((al.onto_portrait(other, portrait).points - portrait.points)[..., :2].abs().max()) > 1


def test_an_opening_mouth_opens_in_the_picture_and_nothing_else_moves():
    portrait = portrait_of(7)
    canonical = canonical_portrait(portrait.points[0, :, :2].numpy(), SIZE)
    moved = canonical.points.repeat(2, 1, 1)
    moved[1, 55:60, 1] -= 0.1  # the lower lip 1 cm down
    placed = al.onto_portrait(LandmarkTrack(moved), portrait).points[..., :2]
    centimetre = float((placed[0, 36] - placed[0, 45]).norm()) / 9
    drop = placed[1, 57] - placed[0, 57]
    assert float(drop.norm()) == pytest.approx(centimetre, rel=0.15) and float(drop[1]) > 0
    assert float((placed[1, :48] - placed[0, :48]).abs().max()) == 0


@pytest.mark.parametrize("call", [
    lambda: al.onto_pose(portrait_of(7), still_pose()), lambda: al.onto_pose(mean_motion(), mean_motion()),
    lambda: al.onto_pose(mean_motion(), still_pose(), fps=0.0), lambda: al.onto_pose(mean_motion(), still_pose(), start=-1),
    lambda: al.onto_pose(mean_motion(), still_pose(away=-0.6)), lambda: al.onto_portrait(mean_motion(), mean_motion()),
    lambda: al.onto_portrait(mean_motion(), LandmarkTrack(torch.zeros(1, 68, 3), 25.0, "pixels", SIZE))])
def test_what_cannot_be_aligned(call):
    with pytest.raises(TalkingHeadsError, match="Got"):
        call()


# ------------------------------------------------------------------------------------------------------- the published rule

def orthographic(count: int = 4, size: float = 60.0):
    """Landmarks, poses and detections of a head seen without perspective, `size` px a decimetre."""
    generator = torch.Generator().manual_seed(4)
    points = MEAN.repeat(count, 1, 1)
    turn = rotation_from_euler(0.3 * torch.randn(count, 3, generator=generator))
    middle = 128 + 10 * torch.randn(count, 1, 2, generator=generator)
    seen = (points @ turn)[..., :2] * torch.tensor([size, -size]) + middle
    return points, turn, torch.randn(count, 3, generator=generator), torch.full((count,), al.GRID / size), seen


def test_what_was_seen_comes_out():
    *pose, seen = orthographic()
    placed = al.align_to_pose(*pose, seen)
    assert placed.dtype == torch.float64
    torch.testing.assert_close(placed, seen.double(), atol=1e-3, rtol=0)
    cut = al.align_to_pose(*pose, seen, published=True)
    assert cut.dtype == torch.int64 and float((cut - seen).abs().max()) < 2


def test_speech_shakes_the_published_rule_only():
    *pose, seen = orthographic(2)
    spoken = pose[0].clone()
    spoken[1, [48, 54], 1] -= 0.3
    a, b = (al.align_to_pose(spoken, *pose[1:], seen, published=rule)[:, list(RIGID)].double() for rule in (False, True))
    before = al.align_to_pose(*pose, seen)[:, list(RIGID)]
    assert float((a - before).abs().max()) < 1e-6
    assert float((b - before)[1].mean(0).norm()) > 3


def test_the_own_rule_does_not_depend_on_the_translation():
    points, turn, shift, scale, seen = orthographic()
    torch.testing.assert_close(al.align_to_pose(points, turn, shift, scale, seen),
                               al.align_to_pose(points, turn, shift + 3, scale, seen), atol=1e-4, rtol=0)


@pytest.mark.parametrize("height", [256, 480])
def test_crop_fit_finds_scale_and_offset_with_the_true_height(height):
    points = MEAN[None, :, :2] * torch.tensor([70.0, -70.0]) + torch.tensor([120.0, 99.0])
    scale, offset = al.crop_fit(points, height)
    assert float(scale) == pytest.approx(102 / 70, abs=1e-5)
    assert offset[0].tolist() == pytest.approx([120, height - 1 - 99], abs=1e-3)
    own, _ = al.crop_fit(points, height, five_points(MEAN * 2))
    assert float(own) == pytest.approx(102 / 35, abs=1e-5)


def _with(index: int, value):
    parts = list(orthographic())
    parts[index] = value
    return lambda: al.align_to_pose(*parts)


@pytest.mark.parametrize("call", [
    lambda: al.crop_fit(torch.full((1, 68, 2), 40.0), 256), lambda: al.crop_fit(torch.full((1, 68, 2), torch.nan), 256),
    lambda: al.crop_fit(torch.zeros(68, 2), 256), lambda: al.crop_fit(torch.rand(1, 68, 2), 256, torch.zeros(5, 3)),
    lambda: al.crop_fit(torch.rand(1, 68, 2), 256, torch.zeros(4, 3)), _with(0, torch.zeros(3, 68, 3)), _with(3, torch.zeros(4)),
    _with(1, torch.zeros(4, 3)), _with(4, torch.full((4, 68, 2), torch.nan)), _with(0, torch.zeros(0, 68, 3))])
def test_bad_input_of_the_published_rule(call):
    with pytest.raises(TalkingHeadsError, match="Got"):
        call()
