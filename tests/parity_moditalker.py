"""Parity cases of MoDiTalker's nets; run by tests/parity.py.

Weights go through the importer's own table of names, so these cases test the import too. Sizes, schedule, guidance, optimiser and
the recipe of generated weights and inputs come from the fixture's metadata.
"""
from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from parity_case import Case
from talking_heads.moditalker_core import landmarks
from talking_heads.moditalker_core.atom import diffusion, official
from talking_heads.moditalker_core.atom.checkpoints import built, unfilled
from talking_heads.moditalker_core.atom.config import DenoiserConfig
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from torch import Tensor

Computed = dict[str, Tensor]


def _sizes(constructor: Mapping[str, Any]) -> DenoiserConfig:
    return DenoiserConfig(**{f.name: constructor[f.name] for f in fields(DenoiserConfig) if f.name in constructor})


def _denoiser(state: Mapping[str, Tensor], constructor: Mapping[str, Any]) -> AToMDenoiser:
    """The net, imported as a user's checkpoint is; what the importer read off the tensors must be what the fixture says."""
    config, ours = official.network_of_state(state, constructor.get("num_heads", 8))
    if config != _sizes({**constructor, "dropout": config.dropout}):
        raise ValueError(f"the importer read {config}, the fixture says {dict(constructor)}")
    return built(config, ours).eval()


def _atom(f: Any) -> Computed:
    net = _denoiser(f.weights, f.meta["constructor"])
    with torch.inference_mode():
        return {**_predictions(net, f), **_losses(net, f), **_sampled(net, f), **_schedule(f), **_adan(f)}


def _predictions(net: AToMDenoiser, f: Any) -> Computed:
    x, face, audio, times = (f.inputs[name] for name in ("x", "face", "cond", "times"))
    with _Taps(net) as taps:
        cond = net(x, face, audio, times)
    uncond = net(x, face, audio, times, torch.zeros(len(x), dtype=torch.bool))
    guided = {name: uncond + float(name[len("guided_w"):]) * (cond - uncond) for name in f.outputs if name.startswith("guided_w")}
    return {"cond": cond, "uncond": uncond, **guided, **taps.values()}


class _Taps:
    """What passes through the net's modules during one prediction, under the fixture's names."""

    def __init__(self, net: AToMDenoiser):
        self.net, self.seen, self.hooks = net, {}, []

    def __enter__(self) -> _Taps:
        watched = {"cond_encoder_out": self.net.audio_encoder[-1], "face_encoder_out": self.net.face_encoder[-1],
                   "memory": self.net.memory_norm, **{f"layer{i}_out": layer for i, layer in enumerate(self.net.layers)}}
        for name, module in watched.items():
            self.hooks.append(module.register_forward_hook(
                lambda module, given, result, name=name: self.seen.setdefault(name, []).append(result)))
        self.hooks.append(self.net.layers[0].register_forward_pre_hook(
            lambda module, given: self.seen.update(decoder_in_x=[given[0]])))
        self.hooks.append(self.net.layers[0].film1.register_forward_pre_hook(  # given for one step: [1, B, C]
            lambda module, given: self.seen.update(lip_t=[given[0][0]], nonlip_t=[given[0][0]])))
        return self

    def __exit__(self, *raised: Any) -> None:
        for hook in self.hooks:
            hook.remove()

    def values(self) -> Computed:
        face, heard, time = self.seen.pop("memory")  # in the order in which the net norms them
        time = time[0]  # of one step
        memories = {"audio_memory": torch.cat([heard, time, face], 1), "face_memory": torch.cat([time, face], 1)}
        return {f"tap.{name}": value for name, value in ({k: v[0] for k, v in self.seen.items()} | memories).items()}


def _losses(net: AToMDenoiser, f: Any) -> Computed:
    x0, times = f.inputs["loss_x_start"], f.inputs["loss_t"]
    predicted = net(diffusion.noised(x0, times, f.inputs["noise.loss"]), f.inputs["face"], f.inputs["cond"], times)
    got = diffusion.losses(predicted, x0)
    return {"loss_total": got.total[None], f"loss_rec_x{diffusion.RECONSTRUCTION}": got.reconstruction[None],
            f"loss_vel_x{diffusion.VELOCITY}": got.velocity[None]}


def _sampled(net: AToMDenoiser, f: Any) -> Computed:
    """The published sampler from the fixture's own noise; speech and face computed once, both passes as one batch."""
    settings = f.meta["diffusion"]
    clip, weight, eta = settings["clip"][1], settings["guidance_weight"], settings["eta"]
    noise = torch.cat([f.inputs["noise.xT"][None], f.inputs["noise.steps"]])
    face, audio = (f.inputs[name][:1].expand(2, -1, -1) for name in ("face", "cond"))
    condition = net.condition(face, audio, torch.tensor([True, False]))

    def predict(x: Tensor, t: Tensor) -> Tensor:
        cond, uncond = net.denoise(x.expand(2, -1, -1), t.expand(2), condition).chunk(2)
        return uncond + weight * (cond - uncond)

    seen: Computed = {}
    scheduler = diffusion.make_scheduler("ddim" if eta else "ddim0", settings["ddim_steps"])
    x0 = diffusion.sample(predict, lambda k: noise[k], scheduler, eta=eta, clip=clip,
                          watch=lambda k, x: seen.update({f"tap.step{k}_x_start": x}))
    level = diffusion.alphas_cumprod()[scheduler.timesteps[0]]
    first = (noise[0] / level.sqrt() - seen["tap.step0_x_start"]) / (1 / level - 1).sqrt()
    points = landmarks.absolute(x0 + f.inputs["face"][:1], f.inputs["key_mean_shape"])
    times = torch.cat([scheduler.timesteps, torch.tensor([-1])])
    return {"sample_x0": x0, "frontal_lm3d": points[0], "tap.step0_pred_noise": first, "ref.times": times, **seen}


def _schedule(f: Any) -> Computed:
    level = diffusion.alphas_cumprod()
    return {"ref.betas": diffusion.betas(), "ref.alphas_cumprod": level, "ref.sqrt_recip_alphas_cumprod": (1 / level).sqrt(),
            "ref.sqrt_recipm1_alphas_cumprod": (1 / level - 1).sqrt()}


def _adan(f: Any) -> Computed:
    """Four steps of the optimiser; its settings stand in the fixture's notes."""
    from talking_heads.training_core.optim import Adan

    told = re.search(r"adan: lr (\S+) wd (\S+) betas \(([^)]+)\) eps ([\d.e+-]*\d)", f.meta["notes"])
    rate, decay, eps = (float(told[i]) for i in (1, 2, 4))
    parameter = torch.nn.Parameter(f.inputs["adan_p0"].clone())
    optimizer = Adan([parameter], lr=rate, betas=tuple(float(b) for b in told[3].split(",")), eps=eps, weight_decay=decay)
    after = []
    for gradient in f.inputs["adan_grads"]:
        parameter.grad = gradient.clone()
        optimizer.step()
        after.append(parameter.detach().clone())
    return {"adan_params": torch.stack(after)}


# -------------------------------------------------------------------------------- full size, with weights made by a recipe

def normal(name: str, seed: int, *shape: int) -> np.ndarray:  # float32
    generator = np.random.RandomState((zlib.crc32(name.encode()) ^ (seed * 2654435761)) & 0xFFFFFFFF)
    return generator.standard_normal(shape).astype(np.float32)


def procedural(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """The weight called `name` in a network of generated weights."""
    drawn = normal(name, seed, *shape)
    if any(word in name for word in ("token", "pos_embedding", "null_cond")):
        drawn *= 0.5
    elif len(shape) >= 2:
        fan_in = shape[0] if "to_pixel" in name else np.prod(shape[1:])  # a transposed convolution
        drawn /= np.sqrt(fan_in).astype(np.float32)
    else:
        drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.05 * drawn
    return torch.from_numpy(drawn)


def checked_sums(weights: Mapping[str, Tensor], sums: Mapping[str, list[float]]) -> None:
    """Raises ValueError where the generated weights are not the reference's: its sums, and sums of squares."""
    for name in set(sums) & set(weights):
        value = weights[name].double()
        if not np.allclose([value.sum(), value.square().sum()], sums[name], rtol=1e-4, atol=1e-3):
            raise ValueError(f"the recipe made another '{name}'")


def fullsize_atom(f: Any) -> Computed:
    seed, constructor, recipe = f.meta["seed"], f.meta["atom"], f.meta["procedure"]
    config = _sizes(constructor)
    shapes = {official.official_name(name): tuple(value.shape) for name, value in unfilled(config).state_dict().items()}
    weights = {name: procedural(name, shape, seed) for name, shape in shapes.items()}
    checked_sums(weights, f.meta.get("weight_checksums", {}).get("atom", {}))
    net, frames = _denoiser(weights, constructor), config.seq_len
    scale = {name: float(factor) for name, factor in re.findall(r"\b(x|face|cond)\*([\d.]*\d)", recipe)}
    made = {"x": (1, frames, config.nfeats), "face": (1, 1, config.nfeats), "cond": (1, 2 * frames, config.cond_feature_dim)}
    x, face, audio = (torch.from_numpy(normal(name, seed, *shape)) * scale.get(name, 1.0) for name, shape in made.items())
    times = torch.tensor([int(re.search(r"AToM t=(\d+)", recipe)[1])])
    with torch.inference_mode():
        return {f"atom_{name}": net(x, face.expand(-1, frames, -1), audio, times, torch.tensor([keep]))
                for name, keep in (("cond", True), ("uncond", False))}


CASES = {
    "moditalker_atom": Case(_atom, {"sample_x0": 5e-4, "frontal*": 5e-4, "*step*": 5e-4, "adan*": 1e-5, "ref.*": 1e-6, "*": 1e-4},
                            absolute=True),
}
