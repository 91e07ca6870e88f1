"""MToV's files: whole and equal after a round trip, and every kind of bad file told."""
from __future__ import annotations

import json
import math

import pytest
import torch
from mtov_files import SIZE, tiny_mtov
from safetensors import safe_open
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder, load_mtov, save_autoencoder, save_mtov
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig
from talking_heads.moditalker_core.mtov.model import MToV

CONFIG = AutoencoderConfig(channels=8, frames=4, height=16, width=24, depth=1, heads=2, dim_head=4, pool_depth=1, pool_heads=2,
                           pool_dim_head=4, pool_hidden=8)


@pytest.fixture
def mtov() -> MToV:
    return tiny_mtov()


@pytest.fixture
def autoencoder() -> VideoAutoencoder:
    torch.manual_seed(3)
    return VideoAutoencoder(CONFIG)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def clip_through(mtov: MToV) -> torch.Tensor:
    """What the three networks make of one clip."""
    clip = torch.linspace(-1, 1, 3 * mtov.config.frames * SIZE ** 2).view(1, 3, -1, SIZE, SIZE).to(mtov.dtype)
    with torch.inference_mode():
        shown, points = mtov.rgb.encode(clip), mtov.landmarks.encode(clip)
        return mtov.rgb.decode(mtov.denoiser(shown, torch.tensor([100]), points, shown, shown).clamp(-1, 1)).float()


def test_round_trip_keeps_networks_and_description(mtov, tmp_path):
    read = load_mtov(save_mtov(mtov, tmp_path / "m.safetensors"))
    assert read.config == mtov.config and all(equal(read.networks[name], mtov.networks[name]) for name in mtov.networks)
    assert torch.equal(clip_through(read), clip_through(mtov))  # also what no file holds is there: the angles of the attention
    assert read.dtype == torch.float32 and not any(network.training for network in read.networks.values())
    assert all(p.requires_grad for network in read.networks.values() for p in network.parameters())
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        header = file.metadata()
    assert header["talking_heads.kind"] == "mtov" and json.loads(header["talking_heads.config"])["raster"]["size"] == SIZE


def test_the_landmark_decoder_is_left_out_unless_asked_for(mtov, tmp_path):
    whole = MToV(mtov.rgb, VideoAutoencoder(mtov.config.landmarks), mtov.denoiser, mtov.config)
    slim = load_mtov(save_mtov(whole, tmp_path / "a.safetensors"))
    assert not slim.landmarks.can_decode and slim.rgb.can_decode
    kept = load_mtov(save_mtov(whole, tmp_path / "b.safetensors", whole=True))
    assert kept.landmarks.can_decode and equal(kept.landmarks, whole.landmarks)
    assert torch.equal(clip_through(slim), clip_through(kept))


def test_half_the_size_is_read_back_as_float32(mtov, tmp_path):
    full, half = save_mtov(mtov, tmp_path / "a.safetensors"), save_mtov(mtov, tmp_path / "b.safetensors", half=True)
    assert half.stat().st_size < 0.7 * full.stat().st_size
    read = load_mtov(half)
    for name, network in mtov.networks.items():
        assert all(torch.equal(read.networks[name].state_dict()[key], value.half().float())
                   for key, value in network.state_dict().items())
    assert read.dtype == torch.float32


@pytest.mark.usefixtures("bf16_attention")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("half", [False, True])
def test_networks_in_fewer_bits_compute_about_the_same(mtov, tmp_path, dtype, half):
    read = load_mtov(save_mtov(mtov, tmp_path / "m.safetensors", half=half), dtype=dtype)
    values = [*read.rgb.parameters(), *read.landmarks.parameters(), *read.denoiser.parameters()]
    assert {value.dtype for value in values} == {dtype} == {read.dtype}
    assert (clip_through(read) - clip_through(mtov)).abs().max() < 0.1


@pytest.mark.parametrize("value, half", [(math.nan, False), (math.inf, False), (70000.0, True)])
def test_weights_that_cannot_be_stored_are_named_and_the_old_file_stays(mtov, tmp_path, value, half):
    path = save_mtov(mtov, tmp_path / "m.safetensors")
    before = path.read_bytes()
    with torch.no_grad():
        mtov.landmarks.patch_in.bias[3] = value
    with pytest.raises(TalkingHeadsError, match="landmarks.patch_in.bias"):
        save_mtov(mtov, path, half=half)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def dropped(prefix):
    def change(tensors, config):
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]
    return change


CHANGES = {
    "lacks rgb.patch_in.bias": dropped("rgb.patch_in.bias"),
    "lacks denoiser.time_embed.0.weight": dropped("denoiser."),
    "lacks landmarks.patch_in.weight": dropped("landmarks."),
    "needs the whole autoencoder of images": lambda t, c: [dropped(f"rgb.{part}")(t, c)
                                                             for part in ("decoder.", "from_plane.", "to_pixels.")],
    "lacks landmarks.decoder.layers.0": lambda t, c: t.update({"landmarks.to_pixels.bias": torch.zeros(3)}),
    "also holds rgb.stranger": lambda t, c: t.update({"rgb.stranger": torch.zeros(1)}),
    "also holds stranger": lambda t, c: t.update({"stranger": torch.zeros(1)}),
    r"denoiser.out.weight \[4, 16, 3\], not \[4, 16, 3, 3\]":
        lambda t, c: t.update({"denoiser.out.weight": torch.zeros(4, 16, 3)}),
    "denoiser.out_norm.bias hold NaN": lambda t, c: t["denoiser.out_norm.bias"].fill_(math.nan),
    "whole numbers": lambda t, c: t.update({"rgb.to_pixels.bias": torch.zeros(3, dtype=torch.int32)}),
    "also colour": lambda t, c: c.update({"colour": 1}),
    "planes of one size": lambda t, c: c["landmarks"].update({"frames": 16}),
    "squares of one size": lambda t, c: c["raster"].update({"size": 64}),
    "lacks rgb.encoder.layers.1": lambda t, c: c["rgb"].update({"depth": 2}),
    "describe an MToV": lambda t, c: c.update({"denoiser": 5}),
    "Sampling needs": lambda t, c: c.update({"sampler": "euler"}),
}


def spoilt(path, change, kind="mtov", version=1):
    tensors, config = load_tensors(path, kind="mtov", version=1)
    change(tensors, config)
    save_tensors(path, tensors, kind=kind, version=version, config=config)


@pytest.mark.parametrize("told", CHANGES)
def test_what_is_wrong_inside_is_told(mtov, tmp_path, told):
    path = save_mtov(mtov, tmp_path / "m.safetensors")
    spoilt(path, CHANGES[told])
    with pytest.raises(FileFormatError, match=told):
        load_mtov(path)


@pytest.mark.parametrize("kind, version, told", [("mtov_autoencoder", 1, "of kind 'mtov_autoencoder'"),
                                                 ("mtov", 2, "Update Talking")])
def test_another_kind_or_a_newer_file_is_told(mtov, tmp_path, kind, version, told):
    path = save_mtov(mtov, tmp_path / "m.safetensors")
    spoilt(path, lambda tensors, config: None, kind, version)
    with pytest.raises(FileFormatError, match=told):
        load_mtov(path)


def test_an_absent_truncated_or_foreign_file_is_told(mtov, tmp_path):
    path = save_mtov(mtov, tmp_path / "m.safetensors")
    with pytest.raises(FileFormatError, match="no file at"):
        load_mtov(tmp_path / "none.safetensors")
    for content in (path.read_bytes()[:-100], path.read_bytes()[:20], b"", b"PK\x03\x04 no safetensors"):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match="truncated"):
            load_mtov(path)


@pytest.mark.parametrize("role", ["rgb", "landmarks"])
def test_an_autoencoder_of_any_shape_keeps_its_note(autoencoder, tmp_path, role):
    path = save_autoencoder(autoencoder, tmp_path / "a.safetensors", role=role, licence="mine", training={"steps": 3})
    read, note = load_autoencoder(path, role=role)
    assert equal(read, autoencoder) and read.config == CONFIG == note.autoencoder and not read.training
    assert (note.role, note.licence, note.training) == (role, "mine", {"steps": 3})
    clip = torch.rand(1, 3, 4, 16, 24)
    with torch.inference_mode():
        assert torch.equal(read.decode(read.encode(clip)), autoencoder.decode(autoencoder.encode(clip)))


def test_an_autoencoder_in_fewer_bits_or_without_its_decoder(autoencoder, tmp_path):
    half = save_autoencoder(autoencoder, tmp_path / "a.safetensors", role="rgb", half=True)
    assert torch.equal(load_autoencoder(half)[0].patch_in.weight, autoencoder.patch_in.weight.half().float())
    assert load_autoencoder(half, dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    encoder = VideoAutoencoder(CONFIG, decoder=False)
    read, _ = load_autoencoder(save_autoencoder(encoder, tmp_path / "b.safetensors", role="landmarks"))
    assert not read.can_decode and equal(read, encoder)


def test_what_is_wrong_with_an_autoencoder_is_told(autoencoder, mtov, tmp_path):
    path = save_autoencoder(autoencoder, tmp_path / "a.safetensors", role="rgb")
    with pytest.raises(FileFormatError, match="one of landmarks. Got: a.safetensors is one of rgb"):
        load_autoencoder(path, role="landmarks")
    with pytest.raises(TalkingHeadsError, match="rgb or landmarks"):
        save_autoencoder(autoencoder, path, role="pose")
    with pytest.raises(FileFormatError, match="of kind 'mtov'"):
        load_autoencoder(save_mtov(mtov, tmp_path / "m.safetensors"))
    for told, change in {"lacks autoencoder.to_plane.xt.bias": lambda t, c: t.pop("autoencoder.to_plane.xt.bias"),
                         "also holds other": lambda t, c: t.update({"other": torch.zeros(1)}),
                         "role must be": lambda t, c: c.update({"role": "pose"}),
                         "describe an autoencoder": lambda t, c: c.pop("role"),
                         r"patch_in.weight \[8, 192\], not \[8, 48\]": lambda t, c: c["autoencoder"].update({"patch": 4}),
                         "multiples of the patch": lambda t, c: c["autoencoder"].update({"height": 15})}.items():
        tensors, config = load_tensors(path, kind="mtov_autoencoder", version=1)
        change(tensors, config)
        save_tensors(tmp_path / "b.safetensors", tensors, kind="mtov_autoencoder", version=1, config=config)
        with pytest.raises(FileFormatError, match=told):
            load_autoencoder(tmp_path / "b.safetensors")
