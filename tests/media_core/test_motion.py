"""Motion tracks: files, resampling against closed forms, edits that touch only what they name, loops and blinks."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import save_tensors
from talking_heads.media_core.motion import (
    AU_NAMES,
    LOWER_AUS,
    LOWER_INDEX,
    UPPER_AUS,
    UPPER_INDEX,
    ExpressionTrack,
    LandmarkTrack,
    PoseTrack,
    concatenated,
    generated_blinks,
    low_pass,
    ping_pong,
)


def poses(degrees: np.ndarray, fps: float = 25.0) -> PoseTrack:  # turning about y, moving along x by one a frame
    matrix = torch.eye(4).repeat(len(degrees), 1, 1)
    matrix[:, :3, :3] = torch.from_numpy(Rotation.from_euler("y", np.reshape(degrees, (-1, 1)), degrees=True).as_matrix()).float()
    matrix[:, 0, 3] = torch.arange(len(degrees))
    return PoseTrack(matrix, 1200.0, (512, 512), fps)


def expression(frames: int = 20, fps: float = 25.0, seed: int = 0) -> ExpressionTrack:
    return ExpressionTrack(torch.rand(frames, 17, generator=torch.Generator().manual_seed(seed)) * 5, fps, "test")


def landmarks(frames: int = 20) -> LandmarkTrack:
    points = torch.randn(frames, 68, 3, generator=torch.Generator().manual_seed(0))
    return LandmarkTrack(points, 25.0, "pixels", (256, 320))


def test_split_of_the_action_units():
    assert len(AU_NAMES) == 17 and len(UPPER_AUS) == 7 and len(LOWER_AUS) == 10 and set(UPPER_AUS + LOWER_AUS) == set(AU_NAMES)
    assert [AU_NAMES[i] for i in UPPER_INDEX] == list(UPPER_AUS) and [AU_NAMES[i] for i in LOWER_INDEX] == list(LOWER_AUS)
    assert "AU09" in LOWER_AUS and "AU45" in UPPER_AUS and UPPER_INDEX[-1] == 16


@pytest.mark.parametrize("track", [expression(), landmarks(), poses(np.arange(20.0))], ids=lambda t: t.KIND)
def test_save_and_load(tmp_path, track):
    again = type(track).load(track.save(tmp_path / "a.safetensors"))
    assert torch.equal(again.data, track.data) and again.version == type(track).VERSION
    for name in ("fps", "image_size", "space", "source", "focal"):
        assert getattr(again, name, None) == getattr(track, name, None)
    other = LandmarkTrack if not isinstance(track, LandmarkTrack) else PoseTrack
    with pytest.raises(FileFormatError, match=track.KIND):
        other.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("make, word", [
    (lambda: ExpressionTrack(torch.zeros(0, 17)), "T >= 1"),
    (lambda: ExpressionTrack(torch.zeros(3, 16)), "17"),
    (lambda: ExpressionTrack(torch.zeros(3, 17).double()), "float32"),
    (lambda: ExpressionTrack(torch.full((3, 17), torch.inf)), "finite"),
    (lambda: ExpressionTrack(torch.zeros(3, 17), fps=0), "rate"),
    (lambda: LandmarkTrack(torch.zeros(3, 68, 2)), "68, 3"),
    (lambda: LandmarkTrack(torch.full((3, 68, 3), torch.nan)), "frames 0, 1, 2"),
    (lambda: LandmarkTrack(torch.zeros(3, 68, 3), space="pixels"), "image size"),
    (lambda: PoseTrack(torch.eye(4)[None] * torch.nan, 1.0, (4, 4)), "frames 0"),
    (lambda: PoseTrack(torch.eye(4)[None] * 2, 1.0, (4, 4)), "rotation"),
    (lambda: PoseTrack(torch.diag(torch.tensor([1.0, 1, -1, 1]))[None], 1.0, (4, 4)), "rotation"),
    (lambda: PoseTrack(torch.eye(4).repeat(30, 1, 1).cumsum(0), 1.0, (4, 4)), "and 21 more"),
    (lambda: PoseTrack(torch.eye(4)[None], 0.0, (4, 4)), "focal"),
])
def test_impossible_tracks_are_refused(make, word):
    with pytest.raises(TalkingHeadsError, match=word):
        make()


def test_slices_and_selections():
    track = expression(10)
    assert torch.equal(track.slice(2, 5).au, track.au[2:5]) and len(track.slice(0, 10)) == 10
    assert torch.equal(track.selected(ping_pong(10, 30)).au[18], track.au[0])
    for start, stop in ((3, 3), (-1, 4), (0, 11)):
        with pytest.raises(TalkingHeadsError, match="10 frames"):
            track.slice(start, stop)
    cut = track.slice(0, 2)
    cut.au.zero_()
    assert track.au[:2].any()


@pytest.mark.parametrize("fps", [12.5, 24.0, 30.0, 60.0])
def test_resampling_keeps_time(fps):
    """A straight line stays the line it was, at the middles of the new frames; the ends are held."""
    line = torch.arange(50, dtype=torch.float32)[:, None].expand(50, 17) / 10
    track = ExpressionTrack(line.contiguous(), 25.0).resampled(fps)
    assert len(track) == round(2 * fps) and track.fps == fps
    expected = ((torch.arange(len(track)) + 0.5) / fps * 25 - 0.5).clamp(0, 49) / 10
    assert torch.allclose(track.au[:, 3], expected, atol=1e-5)


def test_resampling_to_the_same_rate_changes_nothing():
    track = expression()
    assert torch.equal(track.resampled(25.0).au, track.au)


def test_unknown_action_units_stay_unknown_and_spread_no_further():
    au = expression(10).au.clone()
    au[:, 16] = torch.nan
    au[4, 0] = torch.nan
    back = ExpressionTrack(au).resampled(50.0).au
    assert torch.isnan(back[:, 16]).all() and not torch.isnan(back[:, :16]).any()
    smooth = ExpressionTrack(au).smoothed(4.0).au
    assert torch.isnan(smooth[:, 16]).all() and torch.isnan(smooth[4, 0]) and torch.isnan(smooth[:, :16]).sum() == 1


def test_poses_turn_evenly_between_frames():
    """Slerp: half-way between 0 and 120 degrees stands 60, which no average of matrices gives."""
    track = poses(np.array([0.0, 120.0, 240.0, 300.0])).resampled(50.0)
    angles = Rotation.from_matrix(track.data[:, :3, :3].numpy()).as_euler("yxz", degrees=True)[:, 0] % 360
    assert np.allclose(angles, [0, 30, 90, 150, 210, 255, 285, 300], atol=1e-2)
    assert np.allclose(track.data[:, 0, 3], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    assert len(poses(np.array([7.0])).resampled(100.0)) == 4


def test_smoothed_poses_are_poses_and_calmer():
    random = np.random.default_rng(0)
    shaky = poses(170 + np.cumsum(np.full(80, 0.5)) + random.normal(0, 2, 80))  # crosses 180 degrees
    calm = shaky.smoothed(2.0)

    def second(t):
        q = t.data[:, :3, :3]
        return float((q[2:] - 2 * q[1:-1] + q[:-2]).norm(dim=(1, 2)).mean())

    assert second(calm) < 0.1 * second(shaky)
    assert float((calm.data[:, :3, :3] - poses(170 + np.cumsum(np.full(80, 0.5))).data[:, :3, :3]).abs().max()) < 0.1
    assert torch.equal(shaky.smoothed(0).data, shaky.data)


def test_low_pass_has_its_cut_off_and_no_delay():
    t = torch.arange(500, dtype=torch.float64) / 25
    for hertz, gain in ((0.3, 0.99), (3.0, 0.7071), (9.0, 0.045)):
        wave = torch.sin(2 * torch.pi * hertz * t)
        out = low_pass(wave, 25.0, 3.0)[100:400]
        measured = float((out @ wave[100:400]) / (wave[100:400] @ wave[100:400]))
        assert abs(measured - gain) < 0.02, (hertz, measured)
    assert torch.allclose(low_pass(torch.full((30, 2), 0.7), 25.0, 1.0), torch.tensor(0.7))


def test_edits_touch_only_the_named_units():
    track = expression()
    scaled, replaced = track.scaled({"AU26": 2.0, "AU01": 0.0}), track.replaced({"AU45": generated_blinks(20), "AU12": 1.5})
    others = [i for i, name in enumerate(AU_NAMES) if name not in ("AU26", "AU01")]
    assert torch.equal(scaled.au[:, others], track.au[:, others]) and not scaled.column("AU01").any()
    assert torch.equal(scaled.column("AU26"), (track.column("AU26") * 2).clamp(max=5))
    others = [i for i, name in enumerate(AU_NAMES) if name not in ("AU45", "AU12")]
    assert torch.equal(replaced.au[:, others], track.au[:, others]) and (replaced.column("AU12") == 1.5).all()
    assert torch.allclose(track.blended(expression(seed=1), 0.25).au, 0.75 * track.au + 0.25 * expression(seed=1).au)
    with pytest.raises(TalkingHeadsError, match="AU45"):
        track.scaled({"AU99": 1.0})
    with pytest.raises(TalkingHeadsError, match="equal length"):
        track.blended(expression(7), 0.5)


def test_concatenation():
    whole = poses(np.arange(20.0))
    assert torch.equal(concatenated([whole.slice(0, 7), whole.slice(7, 20)]).data, whole.data)
    for tracks in ([], [whole, poses(np.arange(3.0), 30.0)], [whole, expression()], [expression(), expression(fps=50)]):
        with pytest.raises(TalkingHeadsError):
            concatenated(tracks)


def test_ping_pong():
    assert ping_pong(3, 9).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert ping_pong(4, 3, start=5).tolist() == [1, 0, 1]
    assert ping_pong(1, 3).tolist() == [0, 0, 0] and ping_pong(2, 0).tolist() == []
    assert ping_pong(2, 4).dtype == torch.int64
    for n in (2, 5, 17):
        walk = ping_pong(n, 200, start=3)
        assert (walk.diff().abs() == 1).all() and walk.min() == 0 and walk.max() == n - 1
        assert torch.equal(ping_pong(n, 40, start=160), ping_pong(n, 200)[160:])
    with pytest.raises(TalkingHeadsError):
        ping_pong(0, 3)


def test_blinks():
    blinks = generated_blinks(25 * 120, seed=3)
    assert blinks.dtype == torch.float32 and blinks.shape == (3000,)
    assert float(blinks.min()) == 0 and 1.7 <= float(blinks.max()) <= 2
    begins = torch.nonzero((blinks[1:] > 0) & (blinks[:-1] == 0)).flatten()
    gaps = begins.diff() / 25
    assert 20 <= len(begins) <= 60 and gaps.min() > 1.9 and gaps.max() < 6.1
    assert torch.equal(generated_blinks(500, seed=3), blinks[:500])
    assert not torch.equal(generated_blinks(500, seed=4), blinks[:500])
    assert abs(float(generated_blinks(6000, 50.0, 3).mean() - blinks.mean())) < 0.01  # the same blinks at another rate
    assert float((blinks > 0).float().mean()) < 0.15 and all(float(generated_blinks(250, seed=s).max()) > 1.2 for s in range(20))


# reliability


TRUST = tuple(i / 16 for i in range(17))  # AU01 0 ... AU45 1


def measured(frames: int = 20) -> ExpressionTrack:
    return ExpressionTrack(expression(frames).au, 25.0, "points", TRUST)


def test_reliability_goes_with_the_track(tmp_path):
    track = measured()
    for other in (track.slice(2, 9), track.resampled(50.0), track.smoothed(3.0), track.scaled({"AU12": 2.0}),
                  track.selected([0, 3]), ExpressionTrack.load(track.save(tmp_path / "a.safetensors"))):
        assert other.reliability == TRUST
    assert track.unreliable == AU_NAMES[:7] and expression().unreliable == ()
    known = ~torch.isnan(track.trusted().au)
    assert not known[:, :7].any() and known[:, 7:].all()
    assert track.replaced({"AU02": 1.0}).reliability == (0.0, 1.0, *TRUST[2:])


def test_joined_and_mixed_tracks_are_as_reliable_as_the_worst():
    backwards = ExpressionTrack(expression().au, 25.0, "points", TRUST[::-1])
    worst = tuple(min(pair) for pair in zip(TRUST, TRUST[::-1]))
    assert concatenated([measured(), backwards]).reliability == worst == measured().blended(backwards, 0.5).reliability
    assert concatenated([expression(), measured()]).reliability == TRUST, "trusted units are made no worse"
    assert concatenated([expression(), expression()]).reliability is None


@pytest.mark.parametrize("trust", [(0.5,) * 16, (0.5,) * 16 + (1.1,), (0.5,) * 16 + (float("nan"),), "seventeen", 0.5])
def test_reliability_is_seventeen_numbers(trust):
    with pytest.raises(TalkingHeadsError, match="17 numbers in 0..1"):
        ExpressionTrack(torch.zeros(2, 17), reliability=trust)


def test_files_from_before_reliability_are_read(tmp_path):
    save_tensors(tmp_path / "old.safetensors", {"au": torch.ones(3, 17)}, kind="expression", version=1,
                 config={"fps": 30.0, "source": "old"})
    track = ExpressionTrack.load(tmp_path / "old.safetensors")
    assert track.reliability is None and track.fps == 30.0 and track.source == "old"
