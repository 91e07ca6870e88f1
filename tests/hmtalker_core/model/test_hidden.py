"""What of the face lies behind the inside of the mouth is left out, and nothing else."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.model.gaussians import GaussianField
from talking_heads.hmtalker_core.model.hidden import BEYOND, WITHIN, MouthPlace, hidden
from talking_heads.hmtalker_core.rasterizer import cpu_deform
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack
from talking_heads.media_core.speech import encode_speech

DEMO = Path(__file__).parents[3] / "weights" / "demo_avatar.safetensors"
MOUTH = MouthPlace(torch.tensor([0.0, -0.03, 0.08]), torch.diag(torch.tensor([.012, .006, .004]) ** 2))


def view(yaw: float) -> torch.Tensor:
    """A camera a metre before the head (OpenCV axes), turned about it; degrees."""
    a = torch.deg2rad(torch.tensor(yaw))
    turn = torch.tensor([[a.cos(), 0, -a.sin()], [0, 1, 0], [a.sin(), 0, a.cos()]]) * torch.tensor([[1.0], [-1], [-1]])
    out = torch.eye(4)
    out[:3, :3], out[:3, 3] = turn, torch.tensor([0.0, 0, 1])
    return out


def test_hair_behind_the_mouth_is_hidden_and_its_sides_are_not():
    points = torch.tensor([[0.0, -0.03, -0.1], [0, -0.03, 0.06], [0, -0.03, 0.1], [0.1, -0.03, -0.1], [0, 0.07, -0.1]])
    assert hidden(points, view(0), MOUTH).tolist() == [True, False, False, False, False]
    turned = hidden(points, view(35), MOUTH)
    assert not bool(turned.any()), "what the middle hid stands beside the mouth now"
    across = MOUTH.middle - 0.18 * view(35)[2, :3] * torch.tensor([-1.0, 1, -1])  # farther along the line of sight
    assert hidden(across[None], view(35), MOUTH).tolist() == [True]


@pytest.mark.parametrize("yaw", [0.0, 20.0, 50.0])
def test_the_kernel_hides_the_same(yaw):
    torch.manual_seed(0)
    points, camera = 0.15 * torch.randn(4000, 3), view(yaw)
    wanted = hidden(points, camera, MOUTH)
    radius = np.full((4000, 2), 3, np.int32)
    cpu_deform.hide(points.numpy(), camera.numpy(), *(part.numpy() for part in MOUTH), np.float32(BEYOND), np.float32(WITHIN),
                    radius)
    assert 5 < int(wanted.sum()) < 1000 and int(((radius[:, 0] == 0) != wanted.numpy()).sum()) <= 1  # at the very edge
    assert np.array_equal(radius[:, 0], radius[:, 1])


def test_open_lips_show_the_mouth_and_no_hair_through_it():
    """A clump of black Gaussians at the back of the head, on the line of sight; both ways of drawing."""
    avatar = load_avatar(DEMO)
    au = torch.full((1, 17), torch.nan)
    au[:, AU_NAMES.index("AU25")] = au[:, AU_NAMES.index("AU26")] = 4
    speech = encode_speech(Sound(np.zeros((1, 640), np.float32), 16000))
    motion = avatar.drive(speech, expression=ExpressionTrack(au, 25.0, "test"), blinks="none")
    place = MouthPlace.of(avatar.mouth)
    along = torch.nn.functional.normalize(place.middle - motion.poses.camera_to_head[0, :3, 3], dim=0)
    clump = place.middle + 0.15 * along + 0.004 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    haired = load_avatar(DEMO)
    with torch.no_grad():
        rows = [clump if name == "xyz" else value[:60] for name, value in avatar.face.named_parameters()]
        for (name, value), more in zip(list(haired.face.named_parameters()), rows):
            more = more.clone()
            if name == "opacity":
                more.fill_(5.0)
            if name.startswith("features"):
                more.fill_(-1.0 if name == "features_dc" else 0.0)
            setattr(haired.face, name, torch.nn.Parameter(torch.cat([value, more])))
    assert len(haired.face) == len(avatar.face) + 60
    for backend in ("auto", "reference"):
        plain, hair = (next(one.render(motion, backend=backend, size=(96, 96)))[0] for one in (avatar, haired))
        assert float((plain - hair).abs().max()) < 1 / 255, backend
    bald = haired.with_config()
    bald.__dict__["mouth_place"] = None  # the measure can fail
    assert float((next(bald.render(motion, size=(96, 96)))[0] - plain).abs().max()) > 0.1


def test_an_avatar_without_an_inside_hides_nothing():
    assert MouthPlace.of(GaussianField(*(value[:0] for value in load_avatar(DEMO).mouth.parameters()))) is None
