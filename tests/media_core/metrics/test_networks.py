"""The networks of SyncNet, FID, FVD and ArcFace with random weights, against the published structure written out as plain
convolutions over a state dict's names. Weights of any use are nobody's to ship; names and shapes are those of the files."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from talking_heads.media_core.metrics import i3d
from talking_heads.media_core.metrics.i3d import I3D, prepared
from talking_heads.media_core.metrics.identity import (
    TEMPLATE,
    ArcFace,
    aligned,
    depths_of,
    five_points,
    identity_similarity,
    similarity,
)
from talking_heads.media_core.metrics.inception import Inception
from talking_heads.media_core.metrics.syncnet import SyncNet


def shaken(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights and statistics that keep numbers in range."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            if value.ndim > 1:
                value.copy_(torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5)
            else:
                around = -0.25 if name.endswith(("bias", "running_mean")) else 0.75
                value.copy_(torch.rand(value.shape, generator=generator) * 0.5 + around)
    return network.requires_grad_(False)


def norm(x: torch.Tensor, state: dict, name: str, eps: float = 1e-5) -> torch.Tensor:
    mean, var, weight, bias = (state[f"{name}.{part}"].view(1, -1, *[1] * (x.ndim - 2))
                               for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / (var + eps).sqrt() * weight + bias


# ----------------------------------------------------------------------------------------------------------------- SyncNet

def test_syncnets_audio_half():
    net = shaken(SyncNet())
    state, x = net.state_dict(), torch.randn(2, 1, 13, 20)

    def conv(x, number, padding=1):
        x = F.conv2d(x, state[f"netcnnaud.{number}.weight"], state[f"netcnnaud.{number}.bias"], padding=padding)
        return F.relu(norm(x, state, f"netcnnaud.{number + 1}"))

    y = F.max_pool2d(conv(conv(x, 0), 4), 3, (1, 2))
    y = F.max_pool2d(conv(conv(conv(y, 8), 11), 14), 3, 2)
    torch.testing.assert_close(net.audio(x), headed(conv(y, 18, 0).flatten(1), state, "netfcaud"))


def test_syncnets_lips():
    net = shaken(SyncNet())
    state, x = net.state_dict(), torch.rand(1, 3, 5, 224, 224)

    def conv(x, number, stride=1, padding=1):
        x = F.conv3d(x, state[f"netcnnlip.{number}.weight"], state[f"netcnnlip.{number}.bias"], (1, stride, stride),
                     (0, padding, padding))
        return F.relu(norm(x, state, f"netcnnlip.{number + 1}"))

    y = F.max_pool3d(conv(x, 0, 2, 0), (1, 3, 3), (1, 2, 2))
    y = F.max_pool3d(conv(y, 4, 2, 1), (1, 3, 3), (1, 2, 2), (0, 1, 1))
    y = F.max_pool3d(conv(conv(conv(y, 8), 11), 14), (1, 3, 3), (1, 2, 2))
    torch.testing.assert_close(net.lips(x), headed(conv(y, 18, 1, 0).flatten(1), state, "netfclip"))


def headed(x: torch.Tensor, state: dict, name: str) -> torch.Tensor:
    x = F.relu(norm(F.linear(x, state[f"{name}.0.weight"], state[f"{name}.0.bias"]), state, f"{name}.1"))
    return F.linear(x, state[f"{name}.3.weight"], state[f"{name}.3.bias"])


# --------------------------------------------------------------------------------------------------------------- Inception

def inception_twin(state: dict, image: torch.Tensor) -> torch.Tensor:
    """pytorch-fid's network: every branch as (name, padding or stride)."""
    def conv(x, name, stride=1, padding=0):
        x = F.conv2d(x, state[f"{name}.conv.weight"], None, stride, padding)
        return F.relu(norm(x, state, f"{name}.bn", 1e-3))

    def chain(x, block, *parts):
        for name, options in parts:
            x = conv(x, f"{block}.{name}", **options)
        return x

    pool = lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    wide, tall, three = {"padding": (0, 3)}, {"padding": (3, 0)}, {"padding": 1}
    x = 2 * F.interpolate(image, (299, 299), mode="bilinear", align_corners=False) - 1
    x = conv(conv(conv(x, "Conv2d_1a_3x3", 2), "Conv2d_2a_3x3"), "Conv2d_2b_3x3", 1, 1)
    x = F.max_pool2d(conv(conv(F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3"), 3, 2)
    for b in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = torch.cat([chain(x, b, ("branch1x1", {})), chain(x, b, ("branch5x5_1", {}), ("branch5x5_2", {"padding": 2})),
                       chain(x, b, ("branch3x3dbl_1", {}), ("branch3x3dbl_2", three), ("branch3x3dbl_3", three)),
                       chain(pool(x), b, ("branch_pool", {}))], 1)
    x = torch.cat([chain(x, "Mixed_6a", ("branch3x3", {"stride": 2})),
                   chain(x, "Mixed_6a", ("branch3x3dbl_1", {}), ("branch3x3dbl_2", three), ("branch3x3dbl_3", {"stride": 2})),
                   F.max_pool2d(x, 3, 2)], 1)
    for b in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = torch.cat([chain(x, b, ("branch1x1", {})),
                       chain(x, b, ("branch7x7_1", {}), ("branch7x7_2", wide), ("branch7x7_3", tall)),
                       chain(x, b, ("branch7x7dbl_1", {}), ("branch7x7dbl_2", tall), ("branch7x7dbl_3", wide),
                             ("branch7x7dbl_4", tall), ("branch7x7dbl_5", wide)), chain(pool(x), b, ("branch_pool", {}))], 1)
    x = torch.cat([chain(x, "Mixed_7a", ("branch3x3_1", {}), ("branch3x3_2", {"stride": 2})),
                   chain(x, "Mixed_7a", ("branch7x7x3_1", {}), ("branch7x7x3_2", wide), ("branch7x7x3_3", tall),
                         ("branch7x7x3_4", {"stride": 2})), F.max_pool2d(x, 3, 2)], 1)
    for b, pooled in (("Mixed_7b", pool), ("Mixed_7c", lambda x: F.max_pool2d(x, 3, 1, 1))):
        one, two = chain(x, b, ("branch3x3_1", {})), chain(x, b, ("branch3x3dbl_1", {}), ("branch3x3dbl_2", three))
        x = torch.cat([chain(x, b, ("branch1x1", {})), chain(one, b, ("branch3x3_2a", {"padding": (0, 1)})),
                       chain(one, b, ("branch3x3_2b", {"padding": (1, 0)})),
                       chain(two, b, ("branch3x3dbl_3a", {"padding": (0, 1)})),
                       chain(two, b, ("branch3x3dbl_3b", {"padding": (1, 0)})), chain(pooled(x), b, ("branch_pool", {}))], 1)
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


def test_inception_is_pytorch_fids():
    net, image = shaken(Inception()).double(), torch.rand(1, 3, 60, 44, dtype=torch.float64)
    features = net(image)
    assert features.shape == (1, 2048) and features.std() > 0
    torch.testing.assert_close(features, inception_twin(net.state_dict(), image))


# --------------------------------------------------------------------------------------------------------------------- I3D

def tf_same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same": as many outputs as strides begin, the larger half of the padding behind."""
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


@pytest.mark.parametrize("size, kernel, stride", [(224, 7, 2), (112, 3, 2), (7, 3, 1), (15, 3, 2), (9, 2, 2), (8, 2, 2),
                                                  (5, 1, 1)])
def test_padding_is_tensorflows(size, kernel, stride):
    x = torch.ones(1, 1, 1, 1, size)
    padded = i3d.same(x, (1, 1, kernel), (1, 1, stride))[0, 0, 0, 0]
    before, behind = tf_same(size, kernel, stride)
    assert padded.tolist() == [0.0] * before + [1.0] * size + [0.0] * behind


def i3d_twin(state: dict, x: torch.Tensor) -> torch.Tensor:
    def padded(x, kernel, stride):
        pads = [tf_same(n, k, s) for n, k, s in zip(x.shape[2:], kernel, stride)]
        return F.pad(x, [side for pad in reversed(pads) for side in pad])

    def unit(x, name, k=1, s=1):
        x = F.conv3d(padded(x, (k,) * 3, (s,) * 3), state[f"{name}.conv3d.weight"], None, s)
        return F.relu(norm(x, state, f"{name}.bn", 1e-3))

    def pool(x, kernel, stride):
        return F.max_pool3d(padded(x, kernel, stride), kernel, stride)

    x = pool(unit(x, "Conv3d_1a_7x7", 7, 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3", 3), (1, 3, 3), (1, 2, 2))
    for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
        x = pool(x, (3, 3, 3), (2, 2, 2)) if name == "4b" else pool(x, (2, 2, 2), (2, 2, 2)) if name == "5b" else x
        b = f"Mixed_{name}."
        x = torch.cat([unit(x, b + "b0"), unit(unit(x, b + "b1a"), b + "b1b", 3), unit(unit(x, b + "b2a"), b + "b2b", 3),
                       unit(pool(x, (3, 3, 3), (1, 1, 1)), b + "b3b")], 1)
    x = F.conv3d(F.avg_pool3d(x, (2, 7, 7), 1), state["logits.conv3d.weight"], state["logits.conv3d.bias"])
    return x[..., 0, 0].mean(2)


def test_i3d_is_the_published_network():
    net, clip = shaken(I3D()), torch.randn(1, 3, 10, 224, 224)
    logits = net(clip)
    assert logits.shape == (1, 400) and logits.std() > 0
    torch.testing.assert_close(logits, i3d_twin(net.state_dict(), clip), rtol=1e-4, atol=1e-4)


def test_clips_are_the_middle_square():
    clip = torch.zeros(2, 224, 448, 3, dtype=torch.uint8)
    clip[:, :, 112:336] = 255
    assert prepared(clip).shape == (3, 2, 224, 224) and bool((prepared(clip) == 1).all())
    assert prepared(torch.zeros(1, 64, 48, 3, dtype=torch.uint8)).shape == (3, 1, 224, 224)


# ----------------------------------------------------------------------------------------------------------------- ArcFace

def test_arcface_is_arcface_torchs():
    net = shaken(ArcFace((1, 2, 1, 1))).double()
    state, image = net.state_dict(), torch.rand(2, 3, 112, 112, dtype=torch.float64) * 2 - 1
    prelu = lambda x, name: torch.where(x > 0, x, x * state[f"{name}.weight"].view(1, -1, 1, 1))
    x = prelu(norm(F.conv2d(image, state["conv1.weight"], padding=1), state, "bn1"), "prelu")
    for block, stride in (("layer1.0", 2), ("layer2.0", 2), ("layer2.1", 1), ("layer3.0", 2), ("layer4.0", 2)):
        y = F.conv2d(norm(x, state, f"{block}.bn1"), state[f"{block}.conv1.weight"], padding=1)
        y = F.conv2d(prelu(norm(y, state, f"{block}.bn2"), f"{block}.prelu"), state[f"{block}.conv2.weight"], None, stride, 1)
        if stride == 2:
            x = norm(F.conv2d(x, state[f"{block}.downsample.0.weight"], None, 2), state, f"{block}.downsample.1")
        x = x + norm(y, state, f"{block}.bn3")
    x = norm(F.linear(norm(x, state, "bn2").flatten(1), state["fc.weight"], state["fc.bias"]), state, "features")
    torch.testing.assert_close(net(image), x)
    assert depths_of(state) == (1, 2, 1, 1)
    assert torch.allclose(identity_similarity(net, image, image), torch.ones(2, dtype=torch.float64))
    expected = (x[0] @ x[1]) / (x[0].norm() * x[1].norm())
    assert float(identity_similarity(net, image[:1], image[1:])) == pytest.approx(float(expected))


def test_faces_are_laid_onto_the_template():
    turn = np.array([[1.2, -0.5], [0.5, 1.2]])
    source = TEMPLATE @ turn.T + [40, -7]
    back = similarity(source, TEMPLATE)
    assert np.allclose(source @ back[:, :2].T + back[:, 2], TEMPLATE)
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[30], points[48], points[54] = TEMPLATE
    assert np.allclose(five_points(points), TEMPLATE)
    frame = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    torch.testing.assert_close(aligned(frame, points), torch.from_numpy(frame).permute(2, 0, 1) / 127.5 - 1)
