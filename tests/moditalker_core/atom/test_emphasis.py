"""The weights of the loss: off by default, more for the mouth, and for its closures in speech but not in silence."""
from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom import diffusion, emphasis
from talking_heads.moditalker_core.atom.train_config import preset


def mouths(openings: list[float]) -> torch.Tensor:  # -> [1, T, 204] cm
    """The mean face with its inner lips that far apart."""
    points = torch.as_tensor(10 * mean_face(), dtype=torch.float32).repeat(len(openings), 1, 1)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[:, lower] = points[:, upper] - torch.tensor(openings)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    return points.flatten(1)[None]


def test_by_default_all_counts_alike():
    assert emphasis.weights(mouths([.1] * 8), 1.0, 1.0) is None


def test_the_mouth_counts_more_and_the_mean_stays():
    weights = emphasis.weights(mouths([.1] * 8), 3.0, 1.0)
    assert weights is not None and weights.shape == (1, 8, 204)
    assert float(weights.mean()) == pytest.approx(1) and float(weights[0, 0, 62 * 3] / weights[0, 0, 40 * 3]) == pytest.approx(3)


def test_closures_are_found_in_speech_only():
    spoken = mouths([.8] * 4 + [.1] + [.8] * 4)
    assert emphasis.closing(spoken)[0].tolist() == [False] * 3 + [True] * 3 + [False] * 3
    assert not emphasis.closing(mouths([.1] * 30)).any()
    weights = emphasis.weights(spoken, 1.0, 2.0)
    assert weights is not None and weights[0, 4, 62 * 3] == 2 and weights[0, 4, 40 * 3] == 1 and weights[0, 0, 62 * 3] == 1


def test_weighted_errors_count_as_said():
    predicted, truth = torch.ones(1, 1, 4), torch.zeros(1, 1, 4)
    plain = diffusion.losses(predicted, truth).reconstruction
    weighted = diffusion.losses(predicted, truth, weights=torch.tensor([[[4.0, 0.0, 0.0, 0.0]]])).reconstruction
    assert float(plain) == pytest.approx(float(weighted))


@pytest.mark.parametrize("wrong", [{"noisy": 1.5}, {"mouth": 0.0}, {"closures": -1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(TalkingHeadsError):
        replace(preset("demo"), **wrong)
