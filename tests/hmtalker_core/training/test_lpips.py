"""LPIPS from user-given weights: a distance, with gradients, at any size; and clear answers to bad files."""
import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.hmtalker_core.training.lpips import load_lpips, patch_distance
from talking_heads.hmtalker_core.training.train_avatar import train_avatar
from talking_heads.media_core.errors import FileFormatError

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    g = torch.Generator().manual_seed(0)
    state = {}
    for number, (n, c, k) in SHAPES.items():
        state[f"features.{number}.weight"] = torch.randn(n, c, k, k, generator=g) / (c * k * k) ** 0.5
        state[f"features.{number}.bias"] = torch.zeros(n)
    for index, (n, _, _) in enumerate(SHAPES.values()):
        state[f"lin{index}.model.1.weight"] = torch.rand(1, n, 1, 1, generator=g) / n
    path = tmp_path_factory.mktemp("lpips") / "alex.safetensors"
    save_file(state, path)
    return path


def test_it_is_a_distance_with_gradients(weights):
    net = load_lpips(weights)
    a, b = torch.rand(2, 3, 70, 80), torch.rand(2, 3, 70, 80)
    b.requires_grad_()
    far, near = net(a, b), net(a, 0.9 * a + 0.1 * b)
    assert float(net(a, a)) == 0 and far.item() > near.item() > 0
    far.backward()
    assert float(b.grad.abs().sum()) > 0
    assert float(net(a[..., :20, :24], b[..., :20, :24])) > 0  # small lip squares are legal
    g = torch.Generator().manual_seed(0)
    assert float(patch_distance(net, torch.rand(40, 50, 3), torch.rand(40, 50, 3), 64, 96, g)) > 0


def test_training_uses_it(weights, tiny_dataset, tiny_config, tiny_avatar_path, tmp_path):
    train_avatar(tiny_dataset, tmp_path / "a.safetensors", preset=tiny_config, lpips_weights=weights)
    with_it, without = load_file(tmp_path / "a.safetensors"), load_file(tiny_avatar_path)
    assert not torch.equal(with_it["face.features_dc"], without["face.features_dc"])


def test_bad_files(tmp_path):
    with pytest.raises(FileFormatError, match="train without LPIPS"):
        load_lpips(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(FileFormatError, match="features.0.weight"):
        load_lpips(tmp_path / "x.safetensors")


def test_weights_of_half_length_and_of_another_shape(weights, tmp_path):
    state, picture = load_file(weights), torch.rand(2, 3, 64, 64)
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "half.safetensors")
    whole, half = (float(load_lpips(path)(*picture.split(1))) for path in (weights, tmp_path / "half.safetensors"))
    assert half == pytest.approx(whole, rel=1e-2)
    save_file({**state, "lin0.model.1.weight": torch.rand(1, 7, 1, 1)}, tmp_path / "wrong.safetensors")
    with pytest.raises(FileFormatError, match="train without LPIPS"):
        load_lpips(tmp_path / "wrong.safetensors")
