"""Speech nets: batches equal single frames, windows end in zeros."""
from __future__ import annotations

import pytest
import torch
from talking_heads.hmtalker_core.model.audio_net import AudioAttNet, AudioNet, audio_windows, make_audio_net
from talking_heads.media_core.errors import TalkingHeadsError


def test_windows_are_zero_outside_the_clip():
    features = torch.arange(1, 6).float().view(5, 1, 1)
    windows = audio_windows(features, torch.tensor([0, 2, 4, 40]))[..., 0, 0]
    assert windows.tolist() == [[0, 0, 0, 0, 1, 2, 3, 4], [0, 0, 1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0, 0, 0], [0] * 8]


def test_windows_hear_what_stands_outside_the_clip():
    features, outside = torch.arange(1, 6).float().view(5, 1, 1), torch.arange(10, 90, 10).float().view(8, 1, 1)
    windows = audio_windows(features, torch.tensor([0, 2, 4, 40, -9]), outside=outside)[..., 0, 0]
    assert windows.tolist() == [[10, 20, 30, 40, 1, 2, 3, 4], [30, 40, 1, 2, 3, 4, 5, 50], [1, 2, 3, 4, 5, 50, 60, 70], [80] * 8,
                                [10] * 8]


def test_windows_of_an_empty_index():
    assert audio_windows(torch.zeros(5, 3, 2), torch.zeros(0, dtype=torch.long)).shape == (0, 8, 3, 2)


@pytest.mark.parametrize("kind, dim, window",
                         [("conv", 80, 16), ("conv", 12, 2), ("conv", 7, 1), ("conv", 7, 20), ("fc", 512, 1)])
def test_a_batch_equals_its_frames(kind, dim, window):
    torch.manual_seed(0)
    net, attention = make_audio_net(kind, dim, window), AudioAttNet()
    x = torch.randn(3, 8, dim, window)
    together = attention(net(x))
    assert together.shape == (3, 32)
    torch.testing.assert_close(together, torch.cat([attention(net(each[None])) for each in x]), atol=1e-6, rtol=1e-5)


def test_attention_is_a_mean():
    attention, x = AudioAttNet(), torch.randn(2, 8, 32)
    torch.testing.assert_close(attention.scores(x).sum(-1), torch.ones(2))
    same = torch.ones(1, 8, 32) * torch.randn(32)
    torch.testing.assert_close(attention(same), same[:, 0])


def test_errors_say_what_to_do():
    with pytest.raises(TalkingHeadsError, match="conv"):
        make_audio_net("rnn", 80, 16)
    with pytest.raises(TalkingHeadsError, match="at least 1"):
        AudioNet(80, 0)
