"""Curves scale with the length of the run; draws keep their proportions and their seed."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.training import curriculum


@pytest.mark.parametrize("factor", [curriculum.face_motion_factor, curriculum.mouth_motion_factor])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 0.79, 0.81, 1.0])
def test_a_short_run_sees_the_same_curve(factor, share):
    assert factor(share * 700, 700) == pytest.approx(factor(share * 50_000))
    assert curriculum.blink_window(share * 700, 700) == pytest.approx(curriculum.blink_window(share * 50_000))


def test_exponential_ends():
    assert curriculum.exponential_lr(0) == pytest.approx(1.6e-4)
    assert curriculum.exponential_lr(22_500) == pytest.approx(1.6e-5)
    assert curriculum.exponential_lr(45_000) == curriculum.exponential_lr(99_999) == pytest.approx(1.6e-6)


def test_prune_threshold_rises_and_stops():
    assert [curriculum.prune_opacity(step, 100) for step in (0, 50, 100, 500)] == pytest.approx([0.05, 0.175, 0.3, 0.3])


def test_windows():
    assert curriculum.opening_window(0, 0, 10) == pytest.approx((0.4, 3.6))
    assert curriculum.opening_window(40_000, 0, 10) == pytest.approx((8.4, 11.6))
    assert curriculum.lips_part_window(0, 1, 4) == (4, 4)
    assert curriculum.lips_part_window(39_000, 1, 4) == pytest.approx((1, 4))


def test_paths_are_drawn_four_four_two():
    generator = torch.Generator().manual_seed(0)
    drawn = [curriculum.draw_path(generator) for _ in range(2000)]
    for name, share in (("audio", 0.4), ("masked", 0.4), ("vanilla", 0.2)):
        assert drawn.count(name) / 2000 == pytest.approx(share, abs=0.05)
    assert curriculum.draw_path(weights=(0, 0, 1)) == "vanilla"


def test_masks_drop_a_tenth_to_a_third_and_do_not_rescale():
    generator = torch.Generator().manual_seed(0)
    masks = torch.stack([curriculum.draw_mask(64, generator) for _ in range(300)])
    assert set(masks.unique().tolist()) == {0.0, 1.0} and masks.shape == (300, 1, 64)
    assert 1 - float(masks.mean()) == pytest.approx(0.2, abs=0.02)
    again = torch.Generator().manual_seed(0)
    assert torch.equal(masks[0], curriculum.draw_mask(64, again))
