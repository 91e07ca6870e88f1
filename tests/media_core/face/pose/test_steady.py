"""Poses steadied by corners of skin and hair: nearer to the truth, same head frame, no harm without anything to follow."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.media_core.face.landmarks.landmarks import RawTrack
from talking_heads.media_core.face.pose import flow, pnp
from talking_heads.media_core.face.pose.pose import to_camera
from talking_heads.media_core.face.pose.steady import Anchors, steady
from talking_heads.media_core.face.track import measure
from talking_heads.media_core.subject import Subject, perform

SIZE = 160


@pytest.fixture(scope="module")
def film():
    """40 frames of a turning head: grey images, exact points, exact poses, and points as a tracker would measure them."""
    import cv2

    subject, spoken = Subject(SIZE, 42, oversampling=1), perform(8.0, 5, engine="formant")
    pictures, points, rotation, translation = [], [], [], []
    for i in range(0, 160, 4):
        pose = subject.pose(spoken.euler[i] * 1.5, spoken.translation[i])
        frame = subject.render(spoken.params[i], pose)
        pictures.append(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY))
        points.append(frame.landmarks2d)
        r, t = subject.world_to_camera(pose)
        rotation.append(r), translation.append(t)
    exact, rng = np.stack(points), np.random.default_rng(0)
    noisy = exact + rng.normal(0, .35, exact.shape)
    raw = RawTrack(noisy.astype(np.float32), np.full(len(exact), .9, np.float32), (SIZE, SIZE), 25.0)
    return pictures, raw, np.stack(rotation), np.stack(translation), subject.focal


def blur(track, film):
    """How far points fixed to the true head miss one another when the track's poses are believed, px."""
    _, _, rotation, translation, focal = film
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(60, 3))
    ball = ball / np.linalg.norm(ball, axis=1)[:, None] * [.08, .11, .09]
    camera = ball[ball[:, 2] > 0] @ rotation.transpose(0, 2, 1) + translation[:, None]
    pixels = camera[..., :2] / camera[..., 2:] * focal + SIZE / 2
    r, t = to_camera(track.pose.camera_to_head.numpy())
    seen = (pixels - pnp.middle((SIZE, SIZE))) / track.shape.focal
    missed = []
    for n in range(pixels.shape[1]):
        u, v = seen[:, n, 0, None], seen[:, n, 1, None]
        rows = np.concatenate([r[:, 0] - u * r[:, 2], r[:, 1] - v * r[:, 2]])
        right = np.concatenate([u[:, 0] * t[:, 2] - t[:, 0], v[:, 0] * t[:, 2] - t[:, 1]])
        place = np.linalg.lstsq(rows, right, rcond=None)[0]
        missed.append(pnp.project(place[None], r, t, track.shape.focal, (SIZE, SIZE))[:, 0] - pixels[:, n])
    return float(np.sqrt((np.stack(missed) ** 2).sum(-1).mean()))


@pytest.fixture(scope="module")
def measured(film):
    return measure(film[1], smoothing=0)


@pytest.fixture(scope="module")
def steadied(film, measured):
    return steady(measured, lambda i: film[0][i], window=0)


def test_poses_come_nearer_to_the_truth(film, measured, steadied):
    track, anchors = steadied
    before, after = blur(measured, film), blur(track, film)
    assert after < 0.6 * before, (before, after)
    assert len(anchors.points) >= 40 and np.isfinite(anchors.points).all() and np.abs(anchors.points).max() < .2
    assert torch.equal(track.expression.au, measured.expression.au) and track.shape is measured.shape
    others = [i for i in range(68) if not 17 <= i < 27]
    torch.testing.assert_close(track.landmarks.points[:, others, :2], measured.landmarks.points[:, others, :2])


def test_brows_of_the_mesh_stay(film, measured):
    track, anchors = steady(replace(measured, tracker="people"), lambda i: film[0][i], window=0)
    assert anchors is not None and track.tracker == "people"
    torch.testing.assert_close(track.landmarks.points[..., :2], measured.landmarks.points[..., :2])


def test_anchors_carry_the_head_frame_to_another_film(film, measured, steadied):
    """The second half of the video, measured with the first one's anchors, gets the poses it has in the whole video."""
    track, anchors = steadied
    pictures, raw = film[0], film[1]
    half = measure(RawTrack(raw.points[20:], raw.confidence[20:], raw.image_size, raw.fps), shape=measured.shape, smoothing=0)
    again, same = steady(half, lambda i: pictures[20 + i], known=(anchors, [pictures[f] for f in anchors.frames]), window=0)
    assert same is anchors
    moved = np.linalg.norm(again.pose.camera_to_head[:, :3, 3] - track.pose.camera_to_head[20:, :3, 3], axis=1)
    assert np.median(moved) < .002  # metres, of a camera 0.8 m away


def test_anchors_travel(steadied, tmp_path):
    anchors = steadied[1]
    again = Anchors.load(anchors.save(tmp_path / "a.safetensors"))
    assert again.frames == anchors.frames
    for name in ("reference", "xy", "points", "landmarks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(anchors, name))


def test_nothing_to_follow_changes_nothing(measured):
    track, anchors = steady(measured, lambda i: np.full((SIZE, SIZE), 128, np.uint8))
    assert track is measured and anchors is None


def test_unrelated_pictures_change_nothing(measured):
    """Every frame is other noise: corners are found, none is found again."""
    track, anchors = steady(measured, lambda i: np.random.default_rng(i).integers(0, 255, (SIZE, SIZE), dtype=np.uint8))
    assert track is measured and anchors is None


def test_cancelled_within_a_frame(film, measured):
    def step(done, total):
        if done == 3:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        steady(measured, lambda i: film[0][i], step=step)


def test_corners_keep_away_from_lids_brows_and_mouth(film):
    pictures, raw = film[0], film[1]
    points = raw.points[0].astype(float)
    unit = np.linalg.norm(points[36] - points[45])
    found = flow.corners(pictures[0], points, 60)
    assert len(found) >= 20
    away = np.linalg.norm(found[:, None] - points[None, 17:], axis=-1) / unit
    assert away[:, 19:31].min() > .1 and away[:, 31:].min() > .04 and away[:, :10].min() > .04
    assert (found[:, 1] < points[48:, 1].mean()).all()


def test_followed_corners_find_home(film):
    """A shifted image: every corner is found again to a tenth of a pixel."""
    import cv2

    picture, points = film[0][0], film[1].points[0].astype(float)
    found = flow.corners(picture, points, 60)
    shift = np.array([3.4, -2.3])
    moved = cv2.warpAffine(picture, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (SIZE, SIZE), flags=cv2.INTER_CUBIC)
    there = flow.followed(picture, moved, found, points, points + shift)
    good = np.isfinite(there[:, 0])
    assert good.mean() > .8
    assert np.median(np.linalg.norm(there[good] - found[good] - shift, axis=1)) < .1


def test_references_differ(film, measured):
    chosen = flow.spread_out(measured.pose.camera_to_head.numpy(), np.arange(40) != 7, 4)
    assert len(set(chosen)) == 4 and 7 not in chosen and chosen == sorted(chosen)
    assert flow.spread_out(measured.pose.camera_to_head.numpy(), np.arange(40) == 7, 4) == [7]
