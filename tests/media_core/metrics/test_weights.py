"""The user's weight files: found where they belong, read whole or refused, and what stands in the table without them."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.metrics.identity import ArcFace
from talking_heads.media_core.metrics.inception import Inception
from talking_heads.media_core.metrics.weights import SOURCES, Weights, save_weights


@pytest.fixture(scope="module")
def arcface(tmp_path_factory):
    """A file with a small IResNet of random weights, in a model folder."""
    folder = tmp_path_factory.mktemp("models")
    save_weights("arcface", [ArcFace((1, 1, 1, 1)).state_dict()], folder / "metrics" / "arcface.safetensors", "mine alone")
    return folder


def test_what_lies_in_the_folder_is_found(arcface, tmp_path):
    found = Weights.found([tmp_path, arcface])
    assert list(found.files) == ["arcface"] and found.has("arcface") and not found.has("syncnet")
    net, image = found.arcface(), torch.zeros(1, 3, 112, 112)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    own = ArcFace((1, 1, 1, 1))
    own.load_state_dict(load_file(found.files["arcface"]))
    torch.testing.assert_close(net(image), own(image))


def test_counters_may_be_missing_and_classes_are_left_behind(tmp_path):
    state = {k: v for k, v in Inception().state_dict().items() if not k.endswith("num_batches_tracked")}
    more = {"fc.weight": torch.zeros(1008, 2048), "AuxLogits.conv0.conv.weight": torch.zeros(1)}
    path = save_weights("inception", [{**state, **more}], tmp_path / "metrics" / "inception.safetensors")
    assert not {"fc.weight", "AuxLogits.conv0.conv.weight"} & load_file(path).keys()
    assert Weights.found([tmp_path]).inception()(torch.zeros(1, 3, 32, 32)).shape == (1, 2048)
    save_file({**state, "fc.weight": torch.zeros(1008, 2048)}, path)  # made by somebody else
    Weights.found([tmp_path]).inception()


def test_wrong_files_are_refused(arcface, tmp_path):
    state = load_file(arcface / "metrics" / "arcface.safetensors")
    for change, said in ((lambda s: s.pop("fc.weight"), "lacks fc.weight"),
                         (lambda s: s.update(more=torch.zeros(1)), "also holds more"),
                         (lambda s: s.update({"fc.bias": torch.zeros(3)}), r"fc.bias \[3\], not \[512\]"),
                         (lambda s: s.update({"fc.bias": torch.full((512,), torch.nan)}), "NaN")):
        wrong = dict(state)
        change(wrong)
        (tmp_path / "metrics").mkdir(exist_ok=True)
        save_file(wrong, tmp_path / "metrics" / "arcface.safetensors")
        with pytest.raises(FileFormatError, match=said):
            Weights.found([tmp_path]).arcface()
        with pytest.raises(FileFormatError, match=said):
            save_weights("arcface", [wrong], tmp_path / "out.safetensors")
    (tmp_path / "metrics" / "arcface.safetensors").write_bytes(b"no tensors")
    with pytest.raises(FileFormatError, match="import metric"):
        Weights.found([tmp_path]).arcface()
    with pytest.raises(TalkingHeadsError, match="'vgg'"):
        save_weights("vgg", [], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_lpips_is_two_published_files(tmp_path):
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    alex = {f"features.{n}.weight": torch.zeros(a, b, k, k) for n, (a, b, k) in shapes.items()}
    alex |= {f"features.{n}.bias": torch.zeros(a) for n, (a, _, _) in shapes.items()} | {"classifier.1.weight": torch.zeros(1)}
    own = {f"lin{i}.model.1.weight": torch.ones(1, a, 1, 1) for i, (a, _, _) in enumerate(shapes.values())}
    path = save_weights("lpips", [alex, own], tmp_path / "metrics" / "lpips.safetensors")
    assert "classifier.1.weight" not in load_file(path)
    images = torch.rand(2, 1, 3, 64, 64)
    assert float(Weights.found([tmp_path]).lpips()(*images)) == 0


def test_each_absent_one_says_which_file_it_wants():
    for kind, source in SOURCES.items():
        assert f"models/talking_heads/metrics/{kind}.safetensors" in source.needs(kind)
        assert all(name in source.needs(kind) for name in source.official)
