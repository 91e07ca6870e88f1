"""Preset `published` is the published schedule (the paper's implementation details, TalkingGaussian's training script)."""
from dataclasses import replace

import pytest
import torch
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.curriculum import exponential_lr, face_motion_factor, mouth_motion_factor, prune_opacity
from talking_heads.hmtalker_core.training.objectives import (
    HAIR_ALWAYS,
    LPIPS_FACE,
    LPIPS_FUSE,
    LPIPS_MOUTH,
    MASK_CLOSING,
    MOUTH_FROZEN,
    align_weight,
    in_ending,
)
from talking_heads.hmtalker_core.training.state import KIND, VERSION
from talking_heads.hmtalker_core.training.train_avatar import run_identity, train_avatar, unfinished_path
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.files import save_tensors

PAPER = preset("published")


def first(share, steps):
    """The first step of an ending."""
    return next(step for step in range(steps) if in_ending(PAPER, step, share, steps))


def test_lengths_and_terms():
    face, mouth = PAPER.face, PAPER.mouth
    assert (face.steps, face.static, mouth.steps, mouth.static, PAPER.fuse_steps) == (50000, 3000, 50000, 3000, 15000)
    assert (face.densify_every, face.densify_from, face.densify_until * face.steps) == (100, 500, 49000)
    assert (mouth.densify_every, mouth.densify_from, mouth.densify_until * mouth.steps) == (100, 500, 45000)
    assert (face.grad_threshold, mouth.grad_threshold) == (5e-4, 2e-4)
    assert (PAPER.lambda_ssim, PAPER.lambda_lpips, align_weight(PAPER), PAPER.lambda_detail) == (0.2, 0.5, 1e-3, 0.0)
    assert (PAPER.lambda_motion, PAPER.lambda_alpha, PAPER.lambda_attention, PAPER.attention_every) == (1e-5, 1e-3, 1e-4, 1)
    assert (PAPER.path_weights, PAPER.mask_ratio, PAPER.rule_every, PAPER.hair_every) == ((4, 4, 2), (0.1, 0.3), 15, 7)
    assert (PAPER.net_lr, PAPER.uniform_lr, PAPER.audio_augment, PAPER.warmup_steps) == (5e-4, False, 0.0, 0)
    assert PAPER.crop_margin is None and not PAPER.mouth_from_face and not PAPER.speech_prior and PAPER.init == "cube"


def test_endings():
    assert first(HAIR_ALWAYS, 50000) == 46000 and first(MASK_CLOSING, 50000) == 47000 and first(MOUTH_FROZEN, 50000) == 49000
    assert (LPIPS_FACE * 50000, LPIPS_MOUTH * 50000, LPIPS_FUSE * 15000) == (47000, 49000, 7500)
    assert not any(in_ending(preset(name), 10**6, 0.0, 1) for name in ("demo", "standard")), "they have none"


def test_curves():
    assert exponential_lr(45000, 1.0, 0.01, 0.9 * PAPER.face.steps) == pytest.approx(0.01)
    assert face_motion_factor(40000 - 1, PAPER.face.steps) == pytest.approx(0.5, abs=1e-4)
    assert mouth_motion_factor(49000, PAPER.mouth.steps) == pytest.approx(0.1)
    assert prune_opacity(49000, 49000, PAPER.face.prune_from, PAPER.face.prune_ramp) == pytest.approx(0.3)


def test_a_run_begun_without_the_endings_is_refused_by_name(tiny_dataset, tiny_config, tmp_path):
    """Trainings of `published` that were begun before it had them."""
    path = tmp_path / "a.safetensors"
    data = AvatarDataset.open(tiny_dataset)
    identity = run_identity(data, tiny_config, 0, "mel") | {"lpips": False, "speech_prior": True}
    save_tensors(unfinished_path(path), {"x": torch.zeros(1)}, kind=KIND, version=VERSION,
                 config={"version": VERSION, "identity": identity})
    kept = unfinished_path(path).read_bytes()
    with pytest.raises(TalkingHeadsError, match=r"another published_endings in .*resume off"):
        train_avatar(tiny_dataset, path, preset=replace(tiny_config, published_endings=True))
    assert unfinished_path(path).read_bytes() == kept
