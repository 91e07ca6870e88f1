"""SyncNet's protocol by hand: distances over offsets, windows, crops."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.metrics import syncnet
from talking_heads.media_core.metrics.syncnet import SyncNet, crop_boxes, face_crop, scored, sync


@pytest.mark.parametrize("late", [-4, 0, 7])
def test_the_offset_is_where_embeddings_agree(late):
    random = torch.randn(80, 16, generator=torch.Generator().manual_seed(0))
    audio, lips = random[20:60], random[20 - late:60 - late]  # lips[i + late] is audio[i]: the lips are late
    found = scored(lips, audio)
    assert found.offset == late and found.windows == 40


def test_the_figures_by_hand():
    """Two windows of one number: the distances at the offsets -1, 0, 1 are means over zero-padded audio."""
    lips, audio = torch.tensor([[3.0], [5.0]]), torch.tensor([[3.0], [4.0]])
    #   audio one earlier: |3 - 0|, |5 - 3| = 2.5;  in place: 0, 1 = .5;  one later: |3 - 4|, |5 - 0| = 3
    found = scored(lips, audio, reach=1)
    assert (found.distance, found.confidence, found.offset) == (pytest.approx(0.5, abs=1e-5), pytest.approx(2.0, abs=1e-5), 0)


class Echo(SyncNet):
    """Embeddings that tell which frame and which rows a window begins with."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.seen: list[tuple[int, ...]] = []

    def lips(self, x):
        assert x.shape[1:] == (3, 5, 224, 224)
        self.seen.append(tuple(x[:, 0, :, 0, 0].flatten().long().tolist()))
        return x[:, 0, :1, 0, 0] * torch.ones(1, 4)

    def audio(self, x):
        assert x.shape[1:] == (1, 13, 20)
        return torch.arange(len(x)).float()[:, None] * torch.ones(1, 4)


def test_windows_are_five_frames_and_the_last_one_is_left_out(monkeypatch):
    monkeypatch.setattr(syncnet, "BATCH", 64)
    net = Echo()
    crops = (np.full((224, 224, 3), i, np.uint8) for i in range(30))
    found = sync(net, crops, np.zeros(16000 * 12 // 25))  # audio of twelve frames
    assert found.windows == 12 - 5 and found.offset == 0 and found.distance == pytest.approx(0, abs=1e-4)
    assert net.seen[0][:5] == (0, 1, 2, 3, 4) and net.seen[0][-5:] == (7, 8, 9, 10, 11)
    with pytest.raises(TalkingHeadsError, match="six frames"):
        sync(net, (np.zeros((224, 224, 3), np.uint8) for _ in range(5)), np.zeros(16000))
    with pytest.raises(TalkingHeadsError, match="fewer than five"):
        sync(net, iter(()), np.zeros(16000))


def test_real_networks_run_through():
    net = SyncNet().requires_grad_(False)
    random = np.random.default_rng(0)
    crops = (random.integers(0, 256, (224, 224, 3), np.uint8) for _ in range(9))
    found = sync(net, crops, 0.1 * random.standard_normal(16000))
    assert found.windows == 4 and np.isfinite([found.distance, found.confidence]).all()


def test_boxes_reach_over_the_forehead_and_are_steadied():
    points = np.tile(np.array([[10.0, 20.0], [50.0, 100.0]] * 34), (40, 1, 1))  # 40 x 80 px
    points[20] += 300  # one frame astray
    boxes = crop_boxes(points)
    assert np.allclose(boxes[8:-8], [30, 50, 50]), "a quarter of 80 above: 0 to 100"


def test_the_crop_is_the_published_square():
    frame = np.zeros((300, 400, 3), np.uint8)
    frame[100:190, 150:290] = (10, 20, 30)  # the square of a box of half side 50 around (220, 150): x 150..290, y 100..240
    crop = face_crop(frame, np.array([220.0, 150.0, 50.0]))
    assert crop.shape == (224, 224, 3) and (crop[2:140, 2:-2] == (30, 20, 10)).all() and not crop[150:].any()
    assert (face_crop(frame, np.array([0.0, 150.0, 50.0]))[10, 10] == syncnet.GREY).all(), "grey outside the frame"
