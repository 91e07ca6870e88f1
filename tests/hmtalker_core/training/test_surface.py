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


@pytest.fixture(scope="module")
def frame(clip):
    """What a frame shows, its head's mask, and its face's."""
    index, _ = open_mouth(clip, np.asarray(clip.dataset.train_index))
    data, shown = clip.dataset, clip.dataset.frame(index)
    seen = surface.Sight(data.landmarks[index], float(np.linalg.norm(data.poses[index, :3, 3])), data.focal, data.size)
    return seen, torch.from_numpy(shown.face_mask | shown.hair_mask), torch.from_numpy(shown.face_mask)


def test_depth_outside_the_face_is_the_relief(frame):
    seen, mask, face = frame
    relief, depth = surface.inflated(mask, seen.away, seen.focal), surface.head_depth(*frame)
    torch.testing.assert_close(depth[~face], relief[~face])
    assert (depth - relief)[face].abs().max() > .01


def test_landmarks_that_show_no_face_leave_the_relief(frame):
    seen, mask, face = frame
    blind = replace(seen, landmarks=np.full((68, 2), 31.0, np.float32))
    torch.testing.assert_close(surface.head_depth(blind, mask, face), surface.inflated(mask, seen.away, seen.focal))
    assert surface.mouth_depth(blind, mask).unique().numel() == 1


def test_no_landmarks_lead_outside_a_head(frame):
    rng = np.random.default_rng(0)
    for _ in range(20):
        wild = replace(frame[0], landmarks=rng.uniform(0, 64, (68, 2)).astype(np.float32))
        depths = surface.landmark_depths(wild)
        assert depths is not None and (np.abs(depths - wild.away) <= surface.HEAD).all()
