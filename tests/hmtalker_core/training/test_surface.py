"""Where the first Gaussians go: on the face's surface, teeth behind lips, and inside a head whatever landmarks say."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training import surface
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.branches import initial_field, open_mouth
from talking_heads.media_core.progress import silent

NOSE_TIP, CHIN, BRIDGE, LIPS = 30, 8, 27, slice(48, 60)


@pytest.fixture(scope="module")
def clip(tiny_dataset):
    return open_clip(AvatarDataset.open(tiny_dataset), "mel", torch.device("cpu"), silent)


def placed(clip, config, part):
    plan = config.face if part == "head" else config.mouth
    field = initial_field(clip, config, replace(plan, points=3000), part, torch.Generator().manual_seed(0))
    return field.xyz.detach().numpy()


def test_the_face_has_its_own_depth(clip, tiny_config):
    """Beside each landmark, first Gaussians lie as deep as the mean face; the bare relief is centimetres off."""
    points, mean = placed(clip, tiny_config, "head"), surface.MeanFace.load().points
    for landmark in (NOSE_TIP, CHIN, BRIDGE):
        near = np.linalg.norm(points[:, :2] - mean[landmark, :2], axis=1) < .012
        assert near.sum() >= 5
        assert np.median(points[near, 2]) == pytest.approx(mean[landmark, 2], abs=.018)


def test_the_inside_of_the_mouth_lies_behind_the_lips(clip, tiny_config):
    points, lips = placed(clip, tiny_config, "mouth"), surface.MeanFace.load().points[LIPS, 2]
    assert lips.min() - .03 < points[:, 2].min() <= points[:, 2].max() < lips.max()


def test_depth_outside_the_face_is_the_relief(clip):
    index, _ = open_mouth(clip, np.asarray(clip.dataset.train_index))
    frame = clip.dataset.frame(index)
    mask = torch.from_numpy(frame.face_mask | frame.hair_mask)
    relief = surface.inflated(mask, surface._origin_depth(clip, index), clip.dataset.focal)
    depth, face = surface.head_depth(clip, index, mask), torch.from_numpy(frame.face_mask)
    torch.testing.assert_close(depth[~face], relief[~face])
    assert (depth - relief)[face].abs().max() > .01


def test_landmarks_that_show_no_face_leave_the_relief(clip, monkeypatch):
    mask = torch.from_numpy(clip.dataset.frame(0).face_mask)
    monkeypatch.setattr(clip.dataset, "landmarks", np.full_like(clip.dataset.landmarks, 31.0))
    relief = surface.inflated(mask, surface._origin_depth(clip, 0), clip.dataset.focal)
    torch.testing.assert_close(surface.head_depth(clip, 0, mask), relief)
    assert surface.mouth_depth(clip, 0, mask).unique().numel() == 1


def test_no_landmarks_lead_outside_a_head(clip, monkeypatch):
    rng = np.random.default_rng(0)
    for _ in range(20):
        wild = rng.uniform(0, 64, clip.dataset.landmarks.shape).astype(np.float32)
        monkeypatch.setattr(clip.dataset, "landmarks", wild)
        depths = surface.landmark_depths(clip, 0)
        assert depths is not None and (np.abs(depths - surface._origin_depth(clip, 0)) <= surface.HEAD).all()
