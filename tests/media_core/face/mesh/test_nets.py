"""The networks against recorded answers of the originals (tests/fixtures/face_mesh: mediapipe 0.10.21, LiteRT 2.3)."""
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.face.mesh import layout
from talking_heads.media_core.face.mesh.attention import region_cut, region_matrix
from talking_heads.media_core.face.mesh.blocks import same_pad
from talking_heads.media_core.face.mesh.nets import SHIPPED, as_input, exactly, load_mesh_nets, save_mesh_nets, shipped_nets
from talking_heads.media_core.files import load_tensors

FIXTURE = Path(__file__).resolve().parents[3] / "fixtures" / "face_mesh" / "fixture.safetensors"


@pytest.fixture(scope="module")
def recorded():
    return load_file(FIXTURE)


def given(recorded, *names):
    return as_input(np.stack([recorded[f"{name}/image"].numpy() for name in names]), torch.device("cpu"))


def apart(ours, theirs):
    return float((ours - theirs.reshape(ours.shape)).abs().max())


PICTURES = ("face", "edge", "drawn", "noise")  # "edge": an eye's cut leaves the feature map
PARTS = ("mesh", "lips", "left_eye", "left_iris", "right_eye", "right_iris")


@pytest.mark.parametrize("name", PICTURES)
def test_the_attention_mesh_says_what_the_original_says(nets, recorded, name):
    with exactly(nets.device):
        out = nets.mesh(given(recorded, f"mesh/{name}") / 255)
    for part in (*PARTS, "flag"):
        assert apart(getattr(out, part)[0], recorded[f"mesh/{name}/{part}"]) < 1e-3, part


def test_a_batch_is_its_single_images(nets, recorded):
    batch = given(recorded, *(f"mesh/{name}" for name in PICTURES)) / 255
    with exactly(nets.device):
        together, alone = nets.mesh(batch), [nets.mesh(image[None]) for image in batch]
    for i, one in enumerate(alone):
        assert apart(together.points()[i], one.points()[0]) < 3e-4


def test_478_points_are_the_mesh_with_its_regions_replaced(nets, recorded):
    with exactly(nets.device):
        out = nets.mesh(given(recorded, "mesh/face") / 255)
    points = out.points()[0]
    assert points.shape == (478, 3)
    assert torch.equal(points[1], out.mesh[0, 1]) and torch.equal(points[:468, 2], out.mesh[0, :, 2])
    assert torch.equal(points[61, :2], out.lips[0, 0]) and torch.equal(points[13, :2], out.lips[0, 35])
    assert torch.equal(points[33, :2], out.left_eye[0, 0]) and torch.equal(points[473, :2], out.right_iris[0, 0])
    lids = [263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398]
    torch.testing.assert_close(points[475, 2], out.mesh[0, lids, 2].mean())


@pytest.mark.parametrize("name", ["astronaut", "drawn"])
def test_the_detector_says_what_the_original_says(nets, recorded, name):
    with exactly(nets.device):
        boxes, logits = nets.detector(given(recorded, f"detector/{name}") * (2 / 255) - 1)
    assert apart(boxes[0], recorded[f"detector/{name}/regressors"]) < 1e-3
    assert apart(logits[0], recorded[f"detector/{name}/classificators"]) < 1e-3


@pytest.mark.parametrize("name", PICTURES)
def test_the_folded_mesh_says_what_the_original_says(nets, recorded, name):
    image = given(recorded, f"mesh/{name}") / 255
    with exactly(nets.device):
        points, flag = nets.quick_mesh(image)
        unfolded = nets.mesh(image)
    assert apart(points, unfolded.points()) < 2e-4 and apart(flag, unfolded.flag) < 1e-4
    assert apart(flag, recorded[f"mesh/{name}/flag"]) < 1e-3
    assert apart(points[0, layout.LIPS, :2], recorded[f"mesh/{name}/lips"].reshape(-1, 2)) < 1e-3
    assert apart(points[0, layout.RIGHT_IRIS, :2], recorded[f"mesh/{name}/right_iris"].reshape(-1, 2)) < 1e-3


def test_the_folded_detector_says_what_the_original_says(nets, recorded):
    with exactly(nets.device):
        boxes, logits = nets.quick_detector(given(recorded, "detector/astronaut", "detector/drawn") * (2 / 255) - 1)
    for i, name in enumerate(("astronaut", "drawn")):
        assert apart(boxes[i], recorded[f"detector/{name}/regressors"]) < 1e-3
        assert apart(logits[i], recorded[f"detector/{name}/classificators"]) < 1e-3


def test_a_folded_batch_is_its_single_images(nets, recorded):
    batch = given(recorded, *(f"mesh/{name}" for name in PICTURES)) / 255
    with exactly(nets.device):
        together, alone = nets.quick_mesh(batch)[0], [nets.quick_mesh(image[None])[0] for image in batch]
    for i, one in enumerate(alone):
        assert apart(together[i], one[0]) < 3e-4


def test_the_packs_own_networks_are_read_once_and_kept_on_the_cpu_only():
    assert shipped_nets("cpu") is shipped_nets(torch.device("cpu")) is shipped_nets()
    assert shipped_nets("meta") is not shipped_nets("meta") and shipped_nets("meta").device.type == "meta"


@pytest.mark.parametrize("name, net", [("general", "person"), ("landscape", "person_wide")])
def test_the_person_mask_says_what_the_original_says(nets, recorded, name, net):
    with exactly(nets.device):
        mask = nets.get_submodule(net)(given(recorded, f"person/{name}") / 255)
        folded = getattr(nets, f"quick_{net}")(given(recorded, f"person/{name}") / 255)
    assert apart(mask[0, 0], recorded[f"person/{name}/mask"]) < 1e-3
    assert apart(folded, mask) < 1e-4


def test_autocast_around_them_changes_nothing(nets, recorded):
    image = given(recorded, "mesh/face") / 255
    with exactly(nets.device):
        plain = nets.mesh(image).points()
    with torch.autocast("cpu", torch.bfloat16), exactly(nets.device):
        assert torch.equal(nets.mesh(image).points(), plain)


def test_half_precision_holds_the_numbers_exactly(nets, tmp_path):
    again = load_mesh_nets(save_mesh_nets(nets, tmp_path / "again.safetensors", {}))
    for (name, ours), theirs in zip(nets.state_dict().items(), again.state_dict().values()):
        assert torch.equal(ours, theirs), name


def test_the_file_says_where_it_comes_from():
    _, config = load_tensors(SHIPPED, kind="face_mesh", version=1)
    assert "Apache-2.0" in config["licence"] and config["package"] == "mediapipe 0.10.21 (PyPI)"
    assert {len(about["sha256"]) for about in config["source"].values()} == {64} and len(config["source"]) == 4
    for name in ("LICENSE-mediapipe.txt", "NOTICE-mediapipe.txt"):
        assert name in config["licence"] and SHIPPED.with_name(name).is_file()
    assert SHIPPED.stat().st_size < 3.2e6


def test_other_weights_are_refused(nets, tmp_path):
    from talking_heads.media_core.files import save_tensors

    state = nets.state_dict()
    with pytest.raises(FileFormatError, match="must fit this version"):
        load_mesh_nets(save_tensors(tmp_path / "a.safetensors", {"mesh.flag.bias": torch.zeros(1)}, kind="face_mesh", version=1,
                                    config={}))
    with pytest.raises(FileFormatError, match="finite"):
        load_mesh_nets(save_tensors(tmp_path / "b.safetensors", state | {"mesh.flag.bias": torch.full((1,), torch.nan)},
                                    kind="face_mesh", version=1, config={}))
    with pytest.raises(FileFormatError, match="kind"):
        load_mesh_nets(SHIPPED.with_name("face_landmarks.safetensors"))


@pytest.mark.parametrize("kernel, pads", [(3, (0, 1)), (5, (1, 2))])
def test_the_odd_pixel_of_the_padding_goes_behind(kernel, pads):
    padded = same_pad(torch.ones(1, 1, 8, 8), kernel, 2)[0, 0]
    assert padded.shape == (8 + sum(pads), 8 + sum(pads))
    assert padded[:pads[0]].sum() == 0 and padded[-pads[1]:].sum() == 0 and padded.sum() == 64


def test_a_region_is_the_turned_box_of_its_points():
    points = torch.tensor([[[10.0, 20, 0], [30, 20, 0], [20, 15, 0], [20, 25, 0]]])
    angle = torch.tensor(0.3)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    turned = torch.cat([points[..., :2] @ turn.T, points[..., 2:]], -1)
    matrix = region_matrix(turned, [0, 1, 2, 3], (0, 1))[0]
    corners = torch.tensor([[0.0, 0], [16, 0], [16, 16], [8, 8]])
    upright = torch.tensor([[5.0, 12.5], [35, 12.5], [35, 27.5], [20, 20]])  # 20 x 10, half as large again
    torch.testing.assert_close(corners @ matrix[:, :2].T + matrix[:, 2], upright @ turn.T)


def test_what_lies_outside_the_feature_map_is_zero():
    matrix = torch.tensor([[[1.0, 0, 40], [0, 1, 0]]])  # cells 40.. of 48
    cut = region_cut(torch.ones(1, 2, 48, 48), matrix)
    assert cut.shape == (1, 2, 16, 16)
    assert (cut[..., :8] == 1).all() and (cut[..., 8:] == 0).all()


@pytest.mark.parametrize("name, shape", [("quick_mesh", (2, 192, 192, 3)), ("quick_person", (1, 256, 256, 3))])
def test_a_recorded_network_gives_the_same_numbers(name, shape):
    """To the bit: a resumed run, whose first images no recorded network reads, ends as one that never stopped. So a processor on
    which the recording rounds otherwise (AMD's with AVX-512) goes on without it."""
    quick = getattr(shipped_nets("cpu"), name)
    images = torch.rand(40, *shape, generator=torch.Generator().manual_seed(1)).permute(0, 1, 4, 2, 3)
    with torch.inference_mode():
        for image in images:
            one, other = quick(image), quick.net(image)
            assert all(torch.equal(a, b) for a, b in zip(one, other))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recording = torch.jit.trace(quick.net, (images[0],), check_trace=False)
        runs = [(recording(image), quick.net(image)) for image in images[:6]]
    alike = all(torch.equal(a, b) for one, other in runs for a, b in zip(one, other))
    assert (quick._known[tuple(images[0].shape)] is not quick.net) == alike
