"""Action units from points: they follow the face and nothing else, unknown stays unknown, the weights say what they are worth."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.action_units import action_units as module
from talking_heads.media_core.face.action_units.action_units import (
    SHIPPED,
    SHIPPED_PEOPLE,
    ActionUnitNet,
    action_units,
    feature_count,
    features,
    frontal_action_units,
    frontal_points,
    neutral,
)
from talking_heads.media_core.files import save_tensors
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack
from talking_heads.media_core.subject import Subject, perform
from talking_heads.media_core.subject.export import camera_to_world

FPS, SIZE = 25.0, 256
RELIED_ON = ("AU01", "AU10", "AU12", "AU23", "AU25", "AU26", "AU45")


@pytest.fixture(scope="module")
def film():
    """Six seconds of a person never trained on: true points [T, 68, 2], poses, shape [68, 3], focal, action units [T, 17]."""
    subject, performance = Subject(SIZE, 11, oversampling=1), perform(6.0, 4, engine="formant")
    poses = [subject.pose(e, t) for e, t in zip(performance.euler, performance.translation)]
    points = np.stack([subject.landmarks(p, pose)[0] for p, pose in zip(performance.params, poses)])
    cameras = np.stack([camera_to_world(*subject.world_to_camera(pose)) for pose in poses])
    shape = subject.landmarks(np.zeros(22), poses[0])[1]
    return points, cameras, shape, subject.focal, performance.au


@pytest.fixture(scope="module")
def measured(film) -> ExpressionTrack:
    return units(film)


def units(film, points=None, fps=FPS, rows=slice(None), tracker="rendered") -> ExpressionTrack:
    true, cameras, shape, focal, _ = film
    return action_units(true[rows] if points is None else points, camera_to_head=cameras[rows], shape=shape, focal=focal,
                        image_size=(SIZE, SIZE), fps=fps, tracker=tracker)


@pytest.mark.parametrize("tracker", ["rendered", "people"])
def test_the_relied_on_units_follow_the_truth(film, tracker):
    """From true points; what a tracker's points give stands in benchmarks/results."""
    truth, measured = film[-1], units(film, tracker=tracker)
    found = [np.corrcoef(measured.column(name).numpy(), truth[:, AU_NAMES.index(name)])[0, 1] for name in RELIED_ON]
    assert np.mean(found) > 0.8 and min(found) > 0.5, dict(zip(RELIED_ON, np.round(found, 2)))
    assert measured.au.shape == (150, 17) and measured.au.min() >= 0 and measured.au.max() <= 5 and measured.fps == FPS


def test_the_tracker_chooses_the_net(film, measured):
    default, people = measured, units(film, tracker="people")
    assert people.reliability == ActionUnitNet.load(SHIPPED_PEOPLE).reliability and "mesh" in people.source
    assert torch.equal(units(film, tracker="exact").au, default.au) and "mesh" not in default.source
    connected = units(film, tracker="landmarks")
    assert torch.equal(connected.au, people.au) and connected.source not in (people.source, default.source)
    assert not torch.equal(people.au, default.au)
    with pytest.raises(TalkingHeadsError, match="people.*'other'"):
        units(film, tracker="other")


def test_eyes_that_stay_open_a_little_are_shut(film):
    """The mesh leaves a sixth or so of the opening when somebody blinks."""
    points = film[0].copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        gap = points[:, lower] - points[:, upper]
        left = 0.16 * np.percentile(gap[:, 1], 90) * (1 - gap[:, 1] / np.percentile(gap[:, 1], 90)).clip(0)
        points[:, upper, 1] -= left / 2
        points[:, lower, 1] += left / 2
    blink, truth = units(film, points, tracker="people").column("AU45").numpy(), film[-1][:, AU_NAMES.index("AU45")]
    assert truth.max() > 4 and blink[truth > 4].mean() > 3.5 and blink[truth < .1].mean() < 0.5


def test_the_built_in_path_never_claims_seventeen(measured):
    assert "approximate" in measured.source and measured.reliability == ActionUnitNet.load().reliability
    assert len(measured.unreliable) >= 3 and not set(measured.unreliable) & set(RELIED_ON)
    assert torch.isnan(measured.trusted().column(measured.unreliable[0])).all()


def test_frames_without_a_face_are_unknown_and_disturb_no_other(film, measured):
    points = film[0].copy()
    points[40:47], points[100, 5, 0] = np.nan, np.nan
    track = units(film, points)
    lost = torch.isnan(track.au).all(1)
    assert lost.nonzero().flatten().tolist() == [*range(40, 47), 100]
    assert not torch.isnan(track.au[~lost]).any()
    assert float((track.au - measured.au)[~lost].abs().mean()) < 0.1
    cameras = film[1].copy()
    cameras[7] = np.nan
    assert torch.isnan(units((film[0], cameras, *film[2:])).au).any(1).nonzero().flatten().tolist() == [7]


def test_turning_to_the_front_undoes_the_pose(film):
    """A rigid face keeps its place whatever the head does."""
    subject = Subject(SIZE, 11, oversampling=1)
    still = np.zeros(22)
    poses = [subject.pose(e) for e in ((0, 0, 0), (0.35, 0, 0), (0, -0.25, 0.2), (-0.3, 0.15, -0.1))]
    points = np.stack([subject.landmarks(still, pose)[0] for pose in poses])
    cameras = np.stack([camera_to_world(*subject.world_to_camera(pose)) for pose in poses])
    truth = subject.landmarks(still, poses[0])[1]
    front = frontal_points(points, cameras, truth, subject.focal, (SIZE, SIZE))
    assert np.abs(front - truth[:, :2]).max() < 2e-4, "metres; half a pixel of principal point allowed"


def test_size_place_and_unit_do_not_matter(film):
    front = frontal_points(*film[:4], (SIZE, SIZE))
    one, other = frontal_action_units(front, FPS), frontal_action_units(front * 130 + [5, -3], FPS)
    assert float((one.au - other.au).abs().max()) < 1e-3


def test_a_mirrored_face_has_the_same_units(film):
    """Left and right are averaged."""
    front = frontal_points(*film[:4], (SIZE, SIZE))
    seen = front[:, module.MIRROR] * [-1, 1]
    assert float((frontal_action_units(front, FPS).au - frontal_action_units(seen, FPS).au).abs().max()) < 1e-3


def test_a_still_face_does_nothing(film):
    front = np.repeat(frontal_points(*film[:4], (SIZE, SIZE))[:1], 30, 0)
    au = frontal_action_units(front, FPS).au
    assert float((au - au[:1]).abs().max()) < 1e-4 and float(au[0].mean()) < 1.0
    assert len(frontal_action_units(front[:1], FPS)) == 1, "a portrait is a video too"


def test_the_neutral_face_has_its_lips_shut(film):
    points = film[0]
    gap = np.linalg.norm(points[:, 62] - points[:, 66], axis=-1)
    rest = neutral(points)
    assert np.linalg.norm(rest[62] - rest[66]) < np.percentile(gap, 25) and rest.shape == (68, 2)


def test_the_rate_counts_in_seconds(film):
    """Half the frames at half the rate tell the same story."""
    half = units(film, fps=FPS / 2, rows=slice(None, None, 2))
    whole = units(film)
    for name in ("AU25", "AU26"):
        assert np.corrcoef(half.column(name), whole.column(name)[::2])[0, 1] > 0.97


def test_impossible_input_is_refused(film):
    with pytest.raises(TalkingHeadsError, match="at least one frame with a face"):
        units(film, np.full_like(film[0], np.nan))
    with pytest.raises(TalkingHeadsError, match="One pose per frame|one pose per frame"):
        action_units(film[0], camera_to_head=film[1][:-1], shape=film[2], focal=1.0, image_size=(1, 1), fps=FPS)


@pytest.mark.parametrize("path", [SHIPPED, SHIPPED_PEOPLE], ids=["rendered", "people"])
def test_weights_are_small_and_tell_how_they_were_made(path):
    assert path.stat().st_size < 100_000
    net = ActionUnitNet.load(path)
    assert len(net.reliability) == 17 and net(torch.zeros(3, feature_count())).shape == (3, 17)


def test_features_are_as_wide_as_announced(film):
    assert features(film[0], FPS).shape == (150, feature_count())


@pytest.mark.parametrize("tensors, config, word", [
    ({}, {"reliability": [0.5] * 17}, "fit this version"),
    ({"extra": torch.zeros(1)}, {"reliability": [0.5] * 17}, "fit this version"),
    (None, {}, "fit this version"),
    (None, {"reliability": [0.5] * 16}, "fit this version"),
])
def test_other_weights_are_refused(tmp_path, tensors, config, word):
    if tensors is None:
        net = ActionUnitNet.load()
        tensors = {name: getattr(net, name) for name in ("mean", "scale", "linear", "bias", "hidden", "hidden_bias", "out")}
    path = save_tensors(tmp_path / "a.safetensors", tensors, kind=module.KIND, version=1, config=config)
    with pytest.raises(FileFormatError, match=word):
        ActionUnitNet.load(path)


def test_weights_are_saved_and_read(tmp_path):
    net = ActionUnitNet.load()
    again = ActionUnitNet.load(net.save(tmp_path / "a.safetensors", {"people": 1}))
    x = torch.randn(5, feature_count(), generator=torch.Generator().manual_seed(0)) * 0.05
    assert torch.equal(again(x), net(x)) and again.reliability == net.reliability
