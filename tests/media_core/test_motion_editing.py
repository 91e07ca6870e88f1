"""Editing landmark tracks: mouth scaled, track shifted, tracks blended."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.motion_editing import blended, closed_mouth, jaw_drop, lip_aperture, offset, scale_mouth

REST = torch.from_numpy(mean_face())
SIZE = (200, 240)


def canonical(frames: int = 40, seed: int = 0, fps: float = 25.0) -> LandmarkTrack:
    """Speech-like: jaw and lower lip go down, brows wander, frame 0 is at rest."""
    rng = np.random.default_rng(seed)
    amount = torch.from_numpy(0.1 * (1 - np.cos(np.arange(frames) * 0.7))).float()
    move = torch.zeros(68)
    move[[65, 66, 67, 55, 56, 57, 58, 59, 6, 7, 8, 9, 10]] = 1.0
    move[[3, 4, 5, 11, 12, 13]], move[[48, 54, 60, 64]] = 0.5, 0.3
    points = REST.repeat(frames, 1, 1)
    points[..., 1] -= amount[:, None] * move
    points[:, 17:27, 1] += torch.from_numpy(rng.uniform(0, 0.05, (frames, 1))).float()
    return LandmarkTrack(points, fps)


def pixels(track: LandmarkTrack, yaws=0.0, shift=(120.0, 100.0)) -> LandmarkTrack:
    yaws = torch.as_tensor(yaws, dtype=torch.float32).expand(len(track))
    turn = torch.zeros(len(track), 3, 3)
    turn[:, 0, 0] = turn[:, 2, 2] = yaws.cos()
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = yaws.sin(), -yaws.sin(), 1
    points = (track.points @ turn.transpose(1, 2)) * torch.tensor([90.0, -90, -90]) + torch.tensor([*shift, 0])
    return LandmarkTrack(points, track.fps, "pixels", SIZE)


@pytest.fixture(params=["canonical", "pixels"])
def track(request):
    return canonical() if request.param == "canonical" else pixels(canonical(), torch.linspace(-0.4, 0.4, 40))


def test_scaled_by_one_is_the_same(track):
    assert torch.equal(scale_mouth(track, 1.0).points, track.points)
    some = scale_mouth(track, torch.tensor([1.0, 0.5]).repeat(20))
    assert torch.equal(some.points[::2], track.points[::2]) and not torch.equal(some.points[1::2], track.points[1::2])


def test_scaled_by_zero_is_shut(track):
    still = scale_mouth(track, 0)
    shut = lip_aperture(closed_mouth(track.points[0]))
    assert (lip_aperture(still.points) - shut).abs().max() < 0.1 * shut
    assert lip_aperture(track.points).max() > 10 * shut
    if track.space == "canonical":
        assert float(still.points[:, 48:].std(0).max()) < 1e-6, "not a movement left"


@pytest.mark.parametrize("factor", [0.5, 1.5, 2.0])
def test_the_mouth_follows_the_factor(track, factor):
    out = scale_mouth(track, factor)
    still = [0, 16, *range(17, 48)]
    assert torch.equal(out.points[:, still], track.points[:, still])
    assert (out.fps, out.space, out.image_size) == (track.fps, track.space, track.image_size)
    aperture, was = lip_aperture(out.points), lip_aperture(track.points)
    wide = was > 0.5 * was.max()
    assert (aperture / was)[wide].min() > factor * 0.9 - 0.1 and (aperture / was)[wide].max() < factor * 1.1 + 0.1
    drop = jaw_drop(track.points) - jaw_drop(scale_mouth(track, 0).points)
    scaled = jaw_drop(out.points) - jaw_drop(scale_mouth(track, 0).points)
    assert (scaled / drop)[wide].mean() == pytest.approx(factor, rel=0.15)


def test_rest_may_be_given():
    """A portrait's face in place of the track's own: needed for a piece of a track."""
    track = canonical()
    piece = track.slice(3, 9)
    assert torch.equal(scale_mouth(piece, 0.3, REST).points, scale_mouth(track, 0.3, REST).points[3:9])
    assert not torch.equal(scale_mouth(piece, 0.3).points, scale_mouth(track, 0.3).points[3:9])
    turned = pixels(track, torch.linspace(-0.4, 0.4, 40))
    by_pixels, by_head = scale_mouth(turned, 0.3, REST), pixels(scale_mouth(track, 0.3, REST), torch.linspace(-0.4, 0.4, 40))
    assert float((by_pixels.points - by_head.points)[:, 48:].abs().max()) < 0.1, "px"


def test_the_tracks_own_rest_is_its_quietest_frame():
    track = canonical()
    late = track.with_data(track.points.roll(4, 0))  # begins in the middle of a word
    assert torch.equal(scale_mouth(late, 0.3).points, scale_mouth(track, 0.3).points.roll(4, 0))


def test_lips_never_cross_further():
    track = canonical()
    track.points[5, [65, 66, 67], 1] = track.points[5, [63, 62, 61], 1] + 0.01  # pressed together
    before, after = (t.points[:, [61, 62, 63], 1] - t.points[:, [67, 66, 65], 1] for t in (track, scale_mouth(track, 4.0, REST)))
    assert before[5].max() < 0 and (after - before.clamp(max=0)).min() > -1e-3


def test_offset(track):
    out = offset(track, 1.5, -2.0, 0.25)
    assert torch.allclose(out.points - track.points, torch.tensor([1.5, -2.0, 0.25]).expand_as(out.points), atol=1e-4)
    assert offset(track) is track


@pytest.mark.parametrize("region", ["all", "mouth", "upper"])
def test_blend_ends(track, region):
    other = track.with_data(track.points.flip(0) * 1.1)
    assert torch.equal(blended(track, other, 0.0, region).points, track.points)
    whole, kept = blended(track, other, 1.0, region).points, {"all": [], "mouth": [0, 16, *range(17, 48)],
                                                              "upper": [*range(4, 13), *range(48, 68)]}[region]
    assert torch.equal(whole[:, kept], track.points[:, kept]) and not torch.equal(whole, track.points)
    assert region != "all" or torch.equal(whole, other.points)


def test_blend_halfway_and_by_frame():
    a, b = canonical(), canonical(seed=1).with_data(canonical().points + 0.5)
    assert torch.allclose(blended(a, b, 0.5).points, a.points + 0.25, atol=1e-6)
    ramp = blended(a, b, torch.linspace(0, 1, 40))
    assert torch.allclose((ramp.points - a.points).mean((1, 2)), torch.linspace(0, 0.5, 40), atol=1e-6)
    parts = blended(a, b, 1.0, "mouth").points + blended(a, b, 1.0, "upper").points
    assert torch.allclose(parts, a.points + b.points, atol=1e-5), "the regions share the face"


def test_regions_fade_along_the_jaw():
    a, b = canonical(), canonical().with_data(canonical().points + torch.tensor([0, 0.1, 0]))
    moved = (blended(a, b, 1.0, "mouth").points - a.points)[:, :17, 1]
    assert moved.diff(dim=1).abs().max() < 0.04 and torch.allclose(moved[:, 4:13], torch.tensor(0.1), atol=1e-6)
    assert not moved[:, [0, 16]].any()


def test_another_head_movement_tears_nothing():
    """In px the second track's mouth comes to the place where the first one's face is."""
    base = canonical()
    a = pixels(base, torch.linspace(-0.3, 0.3, 40))
    b = pixels(base, torch.linspace(0.3, -0.3, 40), (160.0, 90.0))
    assert float((blended(a, b, 1.0, "mouth").points - a.points).abs().max()) < 0.05, "the same speech, the same image"
    assert torch.equal(blended(a, b, 1.0).points, b.points)


def test_retimed_and_saved_tracks_stay_editable(tmp_path):
    track = scale_mouth(canonical(), 1.5).resampled(30.0)
    track.save(tmp_path / "track.safetensors")
    again = LandmarkTrack.load(tmp_path / "track.safetensors")
    assert len(again) == 48 and again.fps == 30 and torch.equal(again.points, track.points)
    assert torch.equal(blended(again, track, 0.3).points, track.points)


@pytest.mark.parametrize("factor", [-0.1, 10.5, float("nan"), float("inf"), "wide", None, [0.5, 0.5], []])
def test_impossible_factors(factor):
    with pytest.raises(TalkingHeadsError, match="factor must be 0 to 10"):
        scale_mouth(canonical(), factor)


@pytest.mark.parametrize("rest, word", [(REST[:60], "60, 3"), (REST * torch.nan, "finite"), (REST[:, :2], "68, 2"),
                                        ("me", "str")])
def test_impossible_rest(rest, word):
    with pytest.raises(TalkingHeadsError, match=word):
        scale_mouth(canonical(), 0.5, rest)


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), [0.1] * 39, "half"])
def test_impossible_weights(weight):
    with pytest.raises(TalkingHeadsError, match="weight must be 0 to 1"):
        blended(canonical(), canonical(), weight)


@pytest.mark.parametrize("other, word", [
    (canonical(39), "length: 40 frames.*39 frames"), (canonical(fps=30.0), "rate.*30"), (pixels(canonical()), "space, image"),
    (LandmarkTrack(canonical().points, 30.0, "pixels", SIZE), "rate, space, image")])
def test_tracks_that_do_not_fit(other, word):
    with pytest.raises(TalkingHeadsError, match=word):
        blended(canonical(), other, 0.5)


def test_other_refusals():
    with pytest.raises(TalkingHeadsError, match="'chin'"):
        blended(canonical(), canonical(), 0.5, "chin")
    with pytest.raises(TalkingHeadsError, match="finite"):
        offset(canonical(), float("nan"))
