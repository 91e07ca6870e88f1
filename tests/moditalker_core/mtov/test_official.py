"""Published MToV checkpoints: every tensor accounted for, the same output after import, and every kind of bad file told."""
from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.moditalker_core.mtov import names, official
from talking_heads.moditalker_core.mtov.checkpoints import load_autoencoder, load_mtov, unfilled_autoencoder, unfilled_denoiser
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig, Grid
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "moditalker"
HEADS = 4  # of the denoiser's fixture
PUBLISHED = Grid(16, 32, 32)  # planes for which the denoiser's fixture was made
RGB, MOTION, DIFFUSION = official.FILES.values()
UNET = names.PREFIX
Tensors = dict[str, torch.Tensor]


def fixture(name: str) -> Tensors:
    with safe_open(FIXTURES / f"moditalker_{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def weights(tensors: Tensors) -> Tensors:
    return {name[3:]: value.clone() for name, value in tensors.items() if name.startswith("sd.")}


@pytest.fixture(scope="module")
def given() -> dict[str, Tensors]:
    return {name: fixture(name) for name in ("ae_small", "ae_native", "unet")}


@pytest.fixture
def states(given) -> dict[str, Tensors]:
    """Three small networks' state dicts as the published code saves them, dead tensors and buffers included."""
    rgb = weights(given["ae_small"])
    return {RGB: rgb, MOTION: {name: value * 0.9 for name, value in rgb.items()}, DIFFUSION: weights(given["unet"])}


def imported(folder: Path, states: dict, **options) -> Path:
    for name, held in states.items():
        torch.save(held, folder / name)
    return official.import_mtov(*(folder / name for name in official.FILES.values()), folder / "mtov.safetensors",
                                      **{"heads": HEADS, **options})


def listed(network: str) -> dict:
    return json.loads((FIXTURES / "keys.json").read_text("utf8"))[network]["keys"]


def numbers(entries) -> int:
    return sum(math.prod(entry["shape"]) for entry in entries)


def accounted(entries: dict, own: Tensors, ours_of, theirs_of) -> tuple[dict, dict]:
    """Entries (mapped, left behind); each of the network's own tensors is met exactly once, with as many numbers."""
    mapped, left = {}, {}
    for name, entry in entries.items():
        ours = ours_of(name)
        if ours is None:
            left[name] = entry
            continue
        assert ours not in mapped and math.prod(entry["shape"]) == own[ours].numel() and entry["kind"] == "param", name
        assert theirs_of(ours) == name
        mapped[ours] = entry
    assert set(mapped) == set(own)
    return mapped, left


def test_every_tensor_of_the_published_autoencoder_is_mapped_or_a_buffer():
    entries = listed("mtov.ViTAutoencoder")
    own = unfilled_autoencoder(AutoencoderConfig()).state_dict()
    mapped, left = accounted(entries, own, names.autoencoder_name, names.official_autoencoder_name)
    assert len(entries) == 415 and numbers(mapped.values()) == 62_064_399
    assert len(left) == 5 and {entry["kind"] for entry in left.values()} == {"buffer"}


@pytest.mark.parametrize("setting, tensors, live, dead", [("base", 804, 132_172_804, 75_530_368),
                                                          ("base_longvid", 805, 528_291_844, 830_249_220 - 528_291_844)])
def test_every_tensor_of_the_published_denoiser_is_mapped_or_dead(setting, tensors, live, dead):
    entries = listed(f"mtov.DiffusionWrapper({setting}.yaml)")
    config = official.denoiser_config({name: torch.empty(entry["shape"], device="meta") for name, entry in entries.items()})
    assert config == DenoiserConfig(model_channels=128 if setting == "base" else 256)
    own = unfilled_denoiser(config, PUBLISHED).state_dict()
    mapped, left = accounted(entries, own, lambda name: names.denoiser_name(name, config), names.official_denoiser_name)
    assert len(entries) == tensors and numbers(mapped.values()) == live
    assert numbers(entry for entry in left.values() if entry["kind"] == "param") == dead
    assert all("output_bg_" in name or name.endswith(".zeros") for name in left)


@pytest.mark.parametrize("name, heads", [("ae_small", 2), ("ae_native", 8)])
def test_an_autoencoders_sizes_are_read_off_its_tensors(given, name, heads):
    state = weights(given[name])
    config, _ = official.autoencoder_of_state(state)
    side = given[name]["in.video"].shape[-1]
    assert (config.heads, config.height, config.width, config.frames, config.patch) == (heads, side, side, 16, 8)
    meta = {name: torch.empty(entry["shape"], device="meta") for name, entry in listed("mtov.ViTAutoencoder").items()}
    assert official.autoencoder_config(meta) == AutoencoderConfig()
    untold = {name: value for name, value in meta.items() if "inv_freqs" not in name}
    assert official.autoencoder_config(untold) == AutoencoderConfig()  # then 8 heads are taken for granted
    assert official.autoencoder_config(untold, heads=4).dim_head == 128


def test_the_sizes_of_another_denoiser_are_read_off_its_tensors():
    config = DenoiserConfig(channels=2, model_channels=32, channel_mult=(1, 3, 2), num_res_blocks=3, attention_resolutions=(2,))
    own = unfilled_denoiser(config, PUBLISHED).state_dict()
    state = {names.official_denoiser_name(name): value for name, value in own.items()}
    assert official.denoiser_config(state) == config
    one = DenoiserConfig(model_channels=32, channel_mult=(1,), attention_resolutions=())
    own = unfilled_denoiser(one, PUBLISHED).state_dict()
    bare = {names.official_denoiser_name(name).removeprefix(names.PREFIX): value for name, value in own.items()}
    assert official.denoiser_config(bare) == one


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {f"module.{k}": v for k, v in s.items()},
                                  lambda s: {k.removeprefix(names.PREFIX): v for k, v in s.items()},
                                  lambda s: {**s, "diffusion_model.zeros": torch.zeros(1, 4, 2048)} if names.PREFIX + "out.2.bias"
                                  in s else s], ids=["published", "module.", "no prefix", "longvid's zeros"])
def test_the_imported_networks_do_what_the_published_ones_do(wrap, states, given, tmp_path):
    mtov = load_mtov(imported(tmp_path, {name: wrap(state) for name, state in states.items()}))
    small, unet = given["ae_small"], given["unet"]
    with torch.inference_mode():
        assert torch.allclose(mtov.rgb.encode(small["in.video"]), small["out.latent"], atol=2e-4)
        pictures = mtov.rgb.decode(small["in.z"])[0].transpose(0, 1)
        assert torch.allclose(pictures, small["out.decoded_from_z"], atol=2e-4)
        denoiser = MToVDenoiser(mtov.config.denoiser, PUBLISHED).eval()
        denoiser.load_state_dict(mtov.denoiser.state_dict())
        landmarks, pose = unet["in.cond_ldmk_pose"].chunk(2, 1)
        noise = denoiser(unet["in.x"], unet["in.t"], landmarks, pose, unet["in.image_cond"])
    assert torch.allclose(noise, unet["out.eps"], atol=1e-4)
    config = mtov.config
    assert (config.sampler, config.calls, config.ratio, config.eta, config.prediction, config.clip) == (
        "ddim", 25, 0.25, 1.0, "epsilon", 1.0)
    assert config.reference == "first" and (config.raster.size, config.raster.radius, config.raster.finer) == (32, 3, 1)
    assert not mtov.landmarks.can_decode and config.training["imported_from"] == f"{RGB}, {MOTION}, {DIFFUSION}"
    assert torch.equal(mtov.landmarks.patch_in.weight, states[MOTION]["encoder.to_patch_embedding.weight"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*states, "mtov.safetensors"))


def test_whole_half_licensed_and_in_fewer_bits(states, tmp_path):
    path = imported(tmp_path, states, whole=True, half=True, licence="theirs")
    mtov = load_mtov(path, dtype=torch.bfloat16)
    assert mtov.landmarks.can_decode and mtov.config.licence == "theirs" and mtov.dtype == torch.bfloat16
    bias = states[MOTION]["to_pixel.1.bias"]
    assert torch.equal(load_mtov(path).landmarks.to_pixels.bias, bias.half().float())
    assert load_mtov(path, dtype=torch.float16).dtype == torch.float16


def test_files_of_the_older_format_and_there_and_back(states, tmp_path):
    for name, state in states.items():
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=False)
    paths = [tmp_path / name for name in states]
    mtov = load_mtov(official.import_mtov(*paths, tmp_path / "a.safetensors", heads=HEADS, whole=True))
    kept = {RGB: (mtov.rgb, names.official_autoencoder_name), MOTION: (mtov.landmarks, names.official_autoencoder_name),
            DIFFUSION: (mtov.denoiser, names.official_denoiser_name)}
    for name, (network, theirs) in kept.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, states[name][theirs(key)].view(value.shape)), key


@pytest.mark.parametrize("role", ["rgb", "landmarks"])
def test_one_autoencoder_alone(states, given, tmp_path, role):
    torch.save(states[RGB], tmp_path / "any.pth")
    path = official.import_autoencoder(tmp_path / "any.pth", tmp_path / "a.safetensors", role=role, licence="mine")
    network, note = load_autoencoder(path, role=role)
    assert note.training == {"imported_from": "any.pth"} and note.licence == "mine" and network.can_decode
    with torch.inference_mode():
        assert torch.allclose(network.encode(given["ae_small"]["in.video"]), given["ae_small"]["out.latent"], atol=2e-4)
    with pytest.raises(TalkingHeadsError, match="rgb or landmarks"):
        official.import_autoencoder(tmp_path / "any.pth", tmp_path / "b.safetensors", role="pose")
    with pytest.raises(TalkingHeadsError, match="another file"):
        official.import_autoencoder(tmp_path / "any.pth", tmp_path / "any.pth", role=role)


def dropped(state: Tensors, *begins: str) -> Tensors:
    return {name: value for name, value in state.items() if not name.startswith(begins)}


LINEAR = torch.nn.Linear(2, 2)
BAD = {  # what is told -> which file, how it is spoilt
    f"lacks to_pixel.1.weight.*Give MoDiTalker's {RGB}": (RGB, lambda s: dropped(s, "to_pixel.1.weight")),
    f"lacks to_pixel.1.bias.*Give MoDiTalker's {MOTION}": (MOTION, lambda s: dropped(s, "to_pixel.1.bias")),
    "lacks encoder.layers.1.2.fn.net.3.bias": (RGB, lambda s: dropped(s, "encoder.layers.1.2.fn.net.3.bias")),
    "lacks decoder.layers.1.0.norm.weight": (RGB, lambda s: dropped(s, "decoder.layers.1.")),
    r"of 'encoder.layers.\*' autoencoder_motion.pth holds 0, 9": (
        MOTION, lambda s: {k.replace("encoder.layers.1.", "encoder.layers.9."): v for k, v in s.items()}),
    "lacks xt_token": (RGB, lambda s: dropped(s, "xt_token")),
    "also holds quant.weight": (RGB, lambda s: {**s, "quant.weight": torch.zeros(2)}),
    r"pre_yt.weight \[4, 32, 3, 3\], not \[4, 32\]": (RGB, lambda s: {**s, "pre_yt.weight": torch.zeros(4, 32, 3, 3)}),
    r"yt_token \[1, 32\], not \[1, 1, 32\]": (RGB, lambda s: {**s, "yt_token": torch.zeros(1, 32)}),
    "post_xy.bias hold NaN": (MOTION, lambda s: {**s, "post_xy.bias": torch.full((32,), math.nan)}),
    "xy_token hold NaN, inf or whole": (RGB, lambda s: {**s, "xy_token": torch.ones(1, 1, 32, dtype=torch.int64)}),
    "pre_xt.bias hold NaN": (RGB, lambda s: {**s, "pre_xt.bias": torch.zeros(4).to_sparse()}),
    f"an autoencoder of MToV's.*{RGB} lacks.*it holds diffusion_model": (RGB, lambda s: {f"{UNET}out.2.bias": LINEAR.bias}),
    f"a denoiser of MToV's.*{DIFFUSION} lacks.*it holds encoder": (DIFFUSION, lambda s: {"encoder.bias": LINEAR.bias}),
    "lacks diffusion_model.out.2.bias": (DIFFUSION, lambda s: dropped(s, "diffusion_model.out.2.bias")),
    "lacks diffusion_model.mid_attn.qkv.weight": (DIFFUSION, lambda s: dropped(s, "diffusion_model.mid_attn.qkv.weight")),
    "lacks diffusion_model.input_attns.1.norm.weight": (DIFFUSION, lambda s: dropped(s, "diffusion_model.input_attns.")),
    "on the way down": (DIFFUSION, lambda s: dropped(s, "diffusion_model.output_blocks.3.")),
    "'diffusion_model.output_blocks.*' diffusion_model.pth holds none": (
        DIFFUSION, lambda s: dropped(s, "diffusion_model.output_blocks.")),
    "also holds diffusion_model.label_emb.weight": (DIFFUSION, lambda s: {**s, f"{UNET}label_emb.weight": torch.zeros(2)}),
    "also holds out.2.bias": (DIFFUSION, lambda s: {**s, "out.2.bias": torch.zeros(4)}),
    "also holds diffusion_model.input_blocks.0.0.in_layers.0.bias": (
        DIFFUSION, lambda s: {**s, "diffusion_model.input_blocks.0.0.in_layers.0.bias": torch.zeros(4)}),
    r"out.0.weight \[31\], not \[32\]": (DIFFUSION, lambda s: {**s, f"{UNET}out.0.weight": torch.zeros(31)}),
    "diffusion_model.out.0.bias hold NaN": (DIFFUSION, lambda s: {**s, f"{UNET}out.0.bias": torch.full((32,), math.inf)}),
    "widths must be": (DIFFUSION, lambda s: {**s, f"{UNET}input_blocks.1.0.in_layers.2.weight": torch.zeros(33, 32, 3, 3)}),
    "holds a list": (DIFFUSION, lambda s: [s]),
    "holds a dict, empty": (MOTION, lambda s: {}),
    "tensors by name": (RGB, lambda s: {"epoch": 3}),
    f"plain values only.*{DIFFUSION} itself": (DIFFUSION, lambda s: LINEAR),
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_checkpoint_is_told_and_nothing_is_written(told, states, tmp_path):
    file, spoil = BAD[told]
    with pytest.raises(FileFormatError, match=told):
        imported(tmp_path, {**states, file: spoil(states[file])})
    assert not (tmp_path / "mtov.safetensors").exists() and len([*tmp_path.iterdir()]) == 3


@pytest.mark.parametrize("file", [RGB, MOTION, DIFFUSION])
@pytest.mark.parametrize("how, told", [(lambda whole: whole[:-200], "breaks off"), (lambda whole: b"", "torch.save"),
                                       (lambda whole: b"no pickle at all", "torch.save"), (None, "no file at")],
                         ids=["truncated", "empty", "text", "absent"])
def test_a_file_that_is_no_checkpoint_is_told(file, how, told, states, tmp_path):
    imported(tmp_path, states).unlink()
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).unlink()
    if how is not None:
        (tmp_path / file).write_bytes(how(whole))
    with pytest.raises(FileFormatError, match=f"(?s){told}.*{file}|{file}.*{told}|{told}"):
        official.import_mtov(*(tmp_path / name for name in states), tmp_path / "mtov.safetensors", heads=HEADS)
    assert not (tmp_path / "mtov.safetensors").exists()


def test_networks_that_do_not_belong_together_are_told(states, given, tmp_path):
    native = weights(given["ae_native"])  # pictures of 24 px: three rows of patches, which the denoiser cannot halve
    with pytest.raises(TalkingHeadsError, match=f"belong together. Got: {RGB}.*planes of one size"):
        imported(tmp_path, {**states, MOTION: native})
    other = {name: value * 0.5 for name, value in native.items()}
    with pytest.raises(TalkingHeadsError, match="belong together.*multiples of 2"):
        imported(tmp_path, {**states, RGB: native, MOTION: other})
    config = DenoiserConfig(channels=6, model_channels=32, channel_mult=(1, 1), num_res_blocks=1, attention_resolutions=(1,),
                            num_heads=HEADS)
    wider = MToVDenoiser(config, PUBLISHED).state_dict()
    with pytest.raises(TalkingHeadsError, match="belong together.*a denoiser of 6"):
        imported(tmp_path, {**states, DIFFUSION: {names.official_denoiser_name(name): value for name, value in wider.items()}})
    with pytest.raises(TalkingHeadsError, match="two autoencoders"):
        imported(tmp_path, {**states, MOTION: states[RGB]})
    assert not (tmp_path / "mtov.safetensors").exists()


@pytest.mark.parametrize("file, other", [(RGB, DIFFUSION), (MOTION, DIFFUSION), (DIFFUSION, RGB)])
def test_another_networks_file_in_a_place_is_told(file, other, states, tmp_path):
    with pytest.raises(FileFormatError, match=f"{file} lacks.*Give MoDiTalker's {file}"):
        imported(tmp_path, {**states, file: states[other]})


@pytest.mark.parametrize("options, told", [({"heads": 5}, "number of heads"), ({"heads": 0}, "from 1 to 65536"),
                                           ({"autoencoder_heads": 4}, "autoencoder_rgb.pth has 2")])
def test_heads_that_do_not_fit_are_told(options, told, states, tmp_path):
    with pytest.raises(FileFormatError, match=told):
        imported(tmp_path, states, **options)
    assert not (tmp_path / "mtov.safetensors").exists()


def test_heads_that_no_tensor_tells_are_the_users(states, tmp_path):
    for name in (RGB, MOTION):
        states[name] = {key: value for key, value in states[name].items() if "inv_freqs" not in key}
    assert load_mtov(imported(tmp_path, states, autoencoder_heads=2)).config.rgb.dim_head == 16
    with pytest.raises(FileFormatError, match="multiples of their heads"):
        imported(tmp_path, states, autoencoder_heads=3)


def test_a_source_is_not_written_over(states, tmp_path):
    imported(tmp_path, states)
    paths = [tmp_path / name for name in states]
    for target in paths:
        before = target.read_bytes()
        with pytest.raises(TalkingHeadsError, match="another file"):
            official.import_mtov(*paths, target, heads=HEADS)
        assert target.read_bytes() == before
