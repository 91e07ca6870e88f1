"""Action units edited: what is named changes as said, everything else stays bit for bit."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.expression_editing import (
    blended_units,
    retimed,
    scaled_units,
    set_units,
    smoothed_units,
    units_named,
    with_blinks,
)
from talking_heads.media_core.face.action_units.au_files import read_action_units_file, write_action_units_file
from talking_heads.media_core.motion import AU_NAMES, LOWER_AUS, ExpressionTrack, generated_blinks

SMILE = [AU_NAMES.index(name) for name in ("AU06", "AU12")]
OTHERS = [i for i in range(17) if i not in SMILE]


def track(frames: int = 50, seed: int = 0, **more) -> ExpressionTrack:
    return ExpressionTrack(torch.rand(frames, 17, generator=torch.Generator().manual_seed(seed)) * 3, 25.0, **more)


@pytest.mark.parametrize("text, names", [("AU12, 25", ("AU12", "AU25")), ("au1 AU02;4", ("AU01", "AU02", "AU04")),
                                         ("brows", ("AU01", "AU02", "AU04")), ("blink, smile", ("AU06", "AU12", "AU45")),
                                         ("lower", LOWER_AUS), ("all", AU_NAMES), (" 45 ", ("AU45",)), ("12,12", ("AU12",))])
def test_units_are_named_by_name_number_or_group(text, names):
    assert units_named(text) == names


@pytest.mark.parametrize("text", ["", "  ", "AU03", "mouth", "99", "AU12, nose", "AU12,,x"])
def test_what_is_no_unit_is_told(text):
    with pytest.raises(TalkingHeadsError, match="AU45"):
        units_named(text)


def test_named_units_are_scaled_within_0_to_5():
    a = track()
    out = scaled_units(a, 2.0, "smile")
    assert torch.equal(out.au[:, SMILE], (a.au[:, SMILE] * 2).clamp(max=5)) and torch.equal(out.au[:, OTHERS], a.au[:, OTHERS])
    assert scaled_units(a, 1.0) is a
    with pytest.raises(TalkingHeadsError, match="0..10"):
        scaled_units(a, -1.0)


def test_smoothing_delays_nothing_and_leaves_unknown_frames_unknown():
    at = torch.arange(50)
    au = torch.zeros(50, 17)
    au[:, 8], au[20:23, 2] = torch.exp(-((at - 25) / 1.0) ** 2), torch.nan
    out = smoothed_units(ExpressionTrack(au, 25.0), 3.0, "AU12 AU04").au
    # By hand: variances .5 and (sqrt(ln 2) / (2 pi 3) 25)^2 = 1.22 frames^2 add up, so the peak is sqrt(.5 / 1.72).
    assert int(out[:, 8].argmax()) == 25 and float(out[:, 8].max()) == pytest.approx(0.54, abs=0.01)
    assert torch.allclose(out[20:25, 8], out[26:31, 8].flip(0), atol=1e-6)
    assert torch.equal(out[:, 2].isnan(), au[:, 2].isnan()) and torch.equal(out[:, 9:], au[:, 9:])
    assert torch.equal(smoothed_units(ExpressionTrack(au, 25.0), 0.0).au.nan_to_num(), au.nan_to_num())


def test_units_are_held_and_then_trusted():
    out = set_units(track(reliability=(0.1,) * 17), 1.5, "smile")
    assert bool((out.au[:, SMILE] == 1.5).all()) and out.reliability[SMILE[0]] == 1.0 and out.reliability[0] == 0.1


def test_units_of_another_take_their_place():
    a, b = track(), track(seed=1)
    out = blended_units(a, b, 1.0, "smile")
    assert torch.equal(out.au[:, SMILE], b.au[:, SMILE]) and torch.equal(out.au[:, OTHERS], a.au[:, OTHERS])
    half = blended_units(a, b, 0.5, "smile").au
    assert torch.allclose(half[:, SMILE], (a.au + b.au)[:, SMILE] / 2) and torch.equal(half[:, OTHERS], a.au[:, OTHERS])
    assert blended_units(a, b, 0.0) is a


def test_what_only_one_take_knows_is_taken_from_that_one():
    a, b = track(), track(seed=1, reliability=tuple(0.5 if i in SMILE else 0.2 for i in range(17)))
    a.au[:10, SMILE], b.au[10:20, SMILE] = torch.nan, torch.nan
    out = blended_units(a, b, 0.5, "smile")
    assert torch.equal(out.au[:10, SMILE], b.au[:10, SMILE]) and torch.equal(out.au[10:20, SMILE], a.au[10:20, SMILE])
    assert out.reliability == tuple(0.5 if i in SMILE else 1.0 for i in range(17))
    with pytest.raises(TalkingHeadsError, match="equal length"):
        blended_units(a, track(30), 0.5)


def test_a_take_keeps_its_duration_or_fills_frames():
    ramp = ExpressionTrack(torch.linspace(0, 1, 50)[:, None].repeat(1, 17), 25.0)
    assert len(retimed(ramp, 50.0)) == 100 and retimed(ramp, 50.0).duration == ramp.duration
    slow = retimed(ramp, 25.0, 200)
    assert len(slow) == 200 and slow.fps == 25.0
    assert torch.allclose(slow.au[[10, 100, 190], 0], torch.tensor([10.5, 100.5, 190.5]) / 200 * 50 / 49 - 0.5 / 49, atol=1e-5)
    with pytest.raises(TalkingHeadsError, match="whole number"):
        retimed(ramp, 25.0, -1)


def test_blinks_come_as_often_as_asked():
    still = ExpressionTrack(torch.zeros(25 * 600, 17), 25.0)

    def count(out: ExpressionTrack) -> int:
        shut = (out.column("AU45") > 1).int()
        return int((torch.diff(shut) == 1).sum())
    assert count(with_blinks(still, 0, 0.0)) == 0
    assert abs(count(with_blinks(still, 0, 20.0)) - 200) < 25 and abs(count(with_blinks(still, 0, 5.0)) - 50) < 10
    usual = with_blinks(still, 3, 60 / 4.3).column("AU45")
    assert torch.allclose(usual, generated_blinks(25 * 600, seed=3), atol=1e-5)
    assert float(with_blinks(still, 0, 14.0, 0.5).column("AU45").max()) < 1.01


def test_own_blinks_stay_or_go():
    own = set_units(track(100), 1.2, "blink")
    assert float(with_blinks(own, 0, keep=True).column("AU45").min()) == pytest.approx(1.2)
    assert float(with_blinks(own, 0, keep=False).column("AU45").min()) == 0
    with pytest.raises(TalkingHeadsError, match="1..40"):
        with_blinks(own, 0, 90.0)


def test_a_table_of_ours_comes_back(tmp_path):
    a = track()
    a.au[3, 5], a.au[7] = torch.nan, torch.nan
    back = read_action_units_file(written(tmp_path / "a.csv", a), 25.0)
    assert len(back) == 50 and np.allclose(back.au.numpy(), a.au.numpy(), atol=6e-4, equal_nan=True)
    exact = ExpressionTrack.load(written(tmp_path / "a.safetensors", a))
    assert torch.equal(exact.au.nan_to_num(9), a.au.nan_to_num(9)) and exact.fps == 25.0


def written(path, what):
    write_action_units_file(what, path)
    return path
