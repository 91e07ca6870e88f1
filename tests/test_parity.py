"""The parity script on every shipped fixture, on fixtures of other sizes made here, and on spoilt ones, which must fail."""
from __future__ import annotations

import functools
import json
import math

import parity
import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.moditalker_core.atom.official import is_dead

FILES = {path.stem: path for path in parity.SHIPPED}
NOT_SPOILT = ("mel_basis", "moditalker_fullsize")  # a table; weights and inputs made by a recipe
SLOW = ("moditalker_fullsize",)

checked = functools.cache(lambda name: parity.check(FILES[name]))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FILES])
def test_shipped_fixture(name):
    verdict = checked(name)
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_SPOILT])
def test_a_spoilt_weight_or_input_fails(name, tmp_path):
    tensors, meta = load_file(FILES[name]), parity.Fixture.load(FILES[name]).meta
    dead = lambda k: k.startswith("sd.") and is_dead(k[3:])
    weights = sorted(k for k in tensors if k.startswith(("w.", "sd.")) and k.endswith(("weight", "embeddings")) and not dead(k))
    pictures = [k for k in tensors if k.startswith("in.") and tensors[k].dtype in (torch.bool, torch.uint8)]
    numbers = [k for k in tensors if k.startswith("in.") and k not in pictures]
    for key in pictures if not weights + numbers else ():
        tensors[key] = tensors[key].flip(1)
    for key in weights[-1:] or numbers:
        tensors[key] = tensors[key] * 1.01 + 0.01 if tensors[key].is_floating_point() else tensors[key] + 1000
    verdict = parity.check(_stored(tmp_path, name, _without_sampling(tensors), meta))
    assert not verdict.ok, str(verdict)


def _without_sampling(tensors):
    """A spoilt weight shows in one step of a sampler as well as after a hundred."""
    return {key: value for key, value in tensors.items() if key not in ("out.ddim", "out.noised_start")}


def test_what_this_version_cannot_compute_is_named_and_not_called_ok(monkeypatch, tmp_path):
    tensors = load_file(parity.FIXTURES / "mlp.safetensors")
    tensors |= {"out.later_b": tensors["out.y"].clone(), "out.later_a": tensors["out.y"].clone()}
    monkeypatch.setitem(parity.CASES, "mlp", parity.CASES["mlp"]._replace(later=("later_*",)))
    verdict = parity.check(_stored(tmp_path, "mlp", tensors))
    assert verdict.ok and verdict.part == "y" and "not in this version: later_a, later_b" in str(verdict)


def test_what_is_left_out_is_told_with_its_reason():
    told = {name: checked(name).left_out for name in FILES if name != "moditalker_fullsize"}
    assert {name for name, left in told.items() if left} == {"tracker_math", "gaussian_init"}
    assert "identity (a parameter that nothing in the published code reads)" in str(checked("gaussian_init"))
    assert [part.split()[0] for part in told["tracker_math"]] == ["col", "lap"]


@pytest.mark.parametrize("spoilt", [f"block{i:02d}_head" for i in range(13)] + ["enc", "feats", "windows", "block07_absmean"])
def test_every_output_of_the_audio_visual_encoder_counts(spoilt):
    tensors = load_file(FILES["ave_pipeline"])
    tensors[f"out.{spoilt}"] = tensors[f"out.{spoilt}"] * 1.001 + 0.001
    fixture = parity.Fixture.load(FILES["ave_pipeline"])
    computed = _ave_computed()
    wanted = {name: tensors[f"out.{name}"] for name in fixture.outputs}
    verdict = parity._worst("ave_pipeline", "ave_pipeline", wanted, computed, ())
    assert set(wanted) <= set(computed) and not verdict.ok and verdict.part == spoilt


@functools.cache
def _ave_computed():
    return parity.CASES["ave_pipeline"].function(parity.Fixture.load(FILES["ave_pipeline"]))


def test_weights_of_another_fixture_come_from_beside_the_file(tmp_path):
    """`moditalker_ddpm` has none of its own: the shipped network's, or those of its own set."""
    assert parity.check(_stored(tmp_path, "moditalker_ddpm", _without_sampling(load_file(FILES["moditalker_ddpm"])),
                                parity.Fixture.load(FILES["moditalker_ddpm"]).meta)).ok
    weights = load_file(FILES["moditalker_unet"])
    weights["sd.diffusion_model.out.2.weight"] *= 1.01
    save_file(weights, tmp_path / "moditalker_unet.safetensors", metadata={
        "json": json.dumps(parity.Fixture.load(FILES["moditalker_unet"]).meta)})
    assert not parity.check(tmp_path / "moditalker_ddpm.safetensors").ok


def test_taps_and_constants_on_the_way_are_compared_where_they_are_computed(tmp_path):
    tensors, meta = load_file(FILES["moditalker_atom"]), parity.Fixture.load(FILES["moditalker_atom"]).meta
    tensors["tap.layer1_out"] += 1e-3
    verdict = parity.check(_stored(tmp_path, "moditalker_atom", tensors, meta))
    assert not verdict.ok and verdict.part == "tap.layer1_out"


def test_exit_status_and_lines(tmp_path, capsys):
    good = parity.FIXTURES / "mlp.safetensors"
    stranger = _stored(tmp_path, "stranger", load_file(good))
    assert parity.main([str(good)]) == 0
    assert parity.main([str(good), str(stranger)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mlp", "mlp", "stranger"]
    assert [line.split()[3] for line in lines] == ["ok", "ok", "FAIL"]


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_broken_or_absent_file_fails(content, tmp_path):
    (tmp_path / "mlp.safetensors").write_bytes(content)
    assert parity.main([str(tmp_path / "mlp.safetensors")]) == 1
    assert parity.main([str(tmp_path / "absent.safetensors")]) == 1


def test_nan_fails(tmp_path):
    tensors = load_file(parity.FIXTURES / "mlp.safetensors")
    tensors["w.net.0.weight"][0, 0] = math.nan
    verdict = parity.check(_stored(tmp_path, "mlp", tensors))
    assert not verdict.ok and math.isnan(verdict.deviation)


def test_an_output_nobody_computes_fails(tmp_path):
    tensors = load_file(parity.FIXTURES / "mlp.safetensors")
    tensors["out.z"] = tensors["out.y"].clone()
    assert "not computed: z" in parity.check(_stored(tmp_path, "mlp", tensors)).part


def test_missing_outputs_fail(tmp_path):
    tensors = {k: v for k, v in load_file(parity.FIXTURES / "mlp.safetensors").items() if not k.startswith("out.")}
    assert not parity.check(_stored(tmp_path, "mlp", tensors)).ok


def test_settings_may_stand_in_the_header_or_beside_the_file(tmp_path):
    tensors = load_file(parity.FIXTURES / "grid_hashed_2d.safetensors")
    meta = json.loads((parity.FIXTURES / "manifest.json").read_text())["grid_hashed_2d"]["meta"]
    save_file(tensors, tmp_path / "grid_other.safetensors", metadata={"meta": json.dumps(meta)})
    assert parity.check(tmp_path / "grid_other.safetensors").ok
    (tmp_path / "beside").mkdir()
    assert parity.check(_stored(tmp_path / "beside", "grid_other", tensors, meta)).ok


# ------------------------------------------------------------------------------------------------- other sizes than shipped

def _other_mlp():
    weights = [torch.randn(20, 9), torch.randn(20, 20), torch.randn(20, 20), torch.randn(5, 20)]
    x = y = torch.randn(17, 9)
    for i, weight in enumerate(weights):
        y = (y if i == 0 else y.clamp_min(0)) @ weight.T
    return {**{f"w.net.{i}.weight": w for i, w in enumerate(weights)}, "in.x": x, "out.y": y}, {}


def _other_grid():
    """Three features a level, one hashed level; a loop over points and corners in single precision as the reference."""
    settings = {"input_dim": 2, "num_levels": 3, "level_dim": 3, "base_resolution": 5, "log2_hashmap_size": 7,
                "desired_resolution": 20.0, "bound": 0.4}
    rows = [40, 128, 128]  # 6^2, min(11^2, 2^7) and min(21^2, 2^7), each up to 8
    table = torch.rand(sum(rows), 3) - 0.5
    x = (torch.rand(30, 2) - 0.5) * 0.9
    weight = torch.randn(30, 9)
    leaf, slot = table.clone().requires_grad_(), x.clone().requires_grad_()
    y = torch.stack([_read_grid(leaf, slot[i], rows, 0.4) for i in range(30)])
    grad_x, grad_emb = torch.autograd.grad((y * weight).sum(), [slot, leaf])
    offsets = torch.tensor([0, 40, 168, 296], dtype=torch.int32)
    return {"w.embeddings": table, "w.offsets": offsets, "in.x": x, "in.weight": weight, "out.y": y.detach(),
            "out.grad_x": grad_x, "out.grad_emb": grad_emb}, settings


def _read_grid(table, point, rows, bound):
    u = (point + bound) / (2 * bound)
    if bool(((u < 0) | (u > 1)).any()):
        return torch.zeros(9) * table.sum() * u.sum()
    out, start = [], 0
    for level, size in enumerate(rows):
        scale = 5 * 2.0 ** level - 1
        cells = math.ceil(5 * 2 ** level)
        p = u * scale + 0.5
        cell = p.detach().floor()
        f = p - cell
        total = 0
        for i in (0, 1):
            for j in (0, 1):
                ix, iy = int(cell[0]) + i, int(cell[1]) + j
                hashed = (cells + 1) ** 2 > size
                row = ((ix ^ (iy * 2654435761 % 2 ** 32)) % size) if hashed else ix + iy * (cells + 1)
                total = total + (f[0] if i else 1 - f[0]) * (f[1] if j else 1 - f[1]) * table[start + row]
        out.append(total)
        start += size
    return torch.cat(out)


def _other_audio_net():
    from torch.nn import functional as F
    widths, code = [6, 8, 10, 12, 14], 7
    tensors, x = {}, torch.randn(8, 6, 11)
    h = x
    for i in range(4):
        weight, bias = torch.randn(widths[i + 1], widths[i], 3), torch.randn(widths[i + 1])
        tensors |= {f"w.encoder_conv.{2 * i}.weight": weight, f"w.encoder_conv.{2 * i}.bias": bias}
        h = F.leaky_relu(F.conv1d(h, weight, bias, stride=2, padding=1), 0.02)
    first, second = torch.randn(9, 14), torch.randn(code, 9)
    tensors |= {"w.encoder_fc1.0.weight": first, "w.encoder_fc1.0.bias": torch.zeros(9), "w.encoder_fc1.2.weight": second,
                "w.encoder_fc1.2.bias": torch.ones(code)}
    y = F.leaky_relu(h[..., 0] @ first.T, 0.02) @ second.T + 1
    return {**tensors, "in.x": x, "out.y": y}, {}


def _other_hm_face():
    from talking_heads.hmtalker_core.model.motion import FaceDims, FaceMotionNet
    dims = FaceDims(code=24, upper=5, lower=6, au_hidden=12, a2am_hidden=20, gate_hidden=18, upper_hidden=9)
    net = FaceMotionNet(13, 16, "conv", bound=0.2, hidden=40, att_hidden=28, dims=dims)
    torch.nn.init.normal_(net.deform.net[-1].weight)
    given = {"x": (torch.rand(31, 3) - 0.5) * 0.4, "audio": torch.randn(8, 13, 16), "au_upper": torch.rand(5),
             "au_lower": torch.rand(6), "mask": (torch.rand(1, 24) > 0.3).float()}
    tensors = {f"in.{k}": v for k, v in given.items()} | {f"w.{k}": v for k, v in net.state_dict().items()}
    for path in ("audio", "masked"):
        r = net(given["x"], given["audio"][None], given["au_upper"][None], given["au_lower"][None], path, given["mask"])
        tensors |= {f"out.{path}.d_xyz": r.d_xyz[0], f"out.{path}.c_fused": r.c_fused}
    return {k: v.detach() for k, v in tensors.items()}, {"bound": 0.2}


OTHERS = {"mlp_deep": _other_mlp, "grid_small": _other_grid, "audio_net_narrow": _other_audio_net,
          "hm_face_design_small": _other_hm_face}


@pytest.mark.parametrize("name", OTHERS)
def test_sizes_come_from_the_fixture(name, tmp_path):
    torch.manual_seed(5)
    tensors, meta = OTHERS[name]()
    verdict = parity.check(_stored(tmp_path, name, tensors, meta))
    assert verdict.ok, str(verdict)


def _stored(folder, name, tensors, meta=None):
    path = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    if meta is not None:
        (folder / "manifest.json").write_text(json.dumps({name: {"meta": meta}}))
    return path
