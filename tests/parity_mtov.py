"""Parity cases of MToV; run by tests/parity.py, which merges `CASES` into its own.

Weights go through the importer's own tables of names; nets are built from the fixture's metadata alone.
"""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from parity_case import Case
from parity_moditalker import checked_sums, fullsize_atom, normal, procedural
from talking_heads.moditalker_core.mtov import diffusion, names
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.config import AutoencoderConfig, DenoiserConfig, Grid
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser
from talking_heads.moditalker_core.walk import official_times
from torch import Tensor, nn

Computed = dict[str, Tensor]
POOL_SHARE = 8  # the pooling transformers' heads have C // 8 numbers
LATENT_PATCH = 8  # px a token, whatever the resolution


def _autoencoder_config(meta: Mapping[str, Any]) -> AutoencoderConfig:
    sizes, trunk = meta["constructor"]["ddconfig"], meta.get("transformer", {})
    return AutoencoderConfig(embed_dim=meta["constructor"]["embed_dim"], channels=sizes["channels"], frames=sizes["timesteps"],
                             height=sizes["resolution"], width=sizes["resolution"], patch=LATENT_PATCH,
                             pool_dim_head=sizes["channels"] // POOL_SHARE, **trunk)


def _denoiser_config(constructor: Mapping[str, Any]) -> DenoiserConfig:
    return DenoiserConfig(channels=constructor["in_channels"], model_channels=constructor["model_channels"],
                          channel_mult=constructor["channel_mult"], num_res_blocks=constructor["num_res_blocks"],
                          attention_resolutions=constructor["attention_resolutions"], num_heads=constructor["num_heads"])


def _grid(side: int, length: int) -> Grid:
    """Of square pictures of `side` tokens, from the length of their latents: side^2 + 2 t side."""
    return Grid((length - side ** 2) // (2 * side), side, side)


def _loaded(net: nn.Module, published: Mapping[str, Tensor], our_name: Any) -> Any:
    """The net with published weights; none missing, none left over."""
    state, shapes = {}, {name: value.shape for name, value in net.state_dict().items()}
    for key, value in published.items():
        if ours := our_name(key):
            state[ours] = value.reshape(shapes[ours]) if value.numel() == shapes[ours].numel() else value
    net.load_state_dict(state, assign=True)
    return net.eval()


def _pictures(clips: Tensor) -> Tensor:  # [B, 3, T, H, W] -> [B T, 3, H, W], as the fixtures hold them
    return clips.transpose(1, 2).flatten(0, 1)


@torch.inference_mode()
def _autoencoder(f: Any) -> Computed:
    net = _loaded(VideoAutoencoder(_autoencoder_config(f.meta)), f.weights, names.autoencoder_name)
    seen: Computed = {}
    tap = "tap.decoder_out_from_z"
    hook = net.decoder.register_forward_hook(lambda module, given, made: seen.update({tap: made.flatten(1, 2)}))
    decoded = net.decode(f.inputs["z"])
    hook.remove()
    computed = {"latent": net.encode(f.inputs["video"]), "decoded_from_z": _pictures(decoded),
                "tap.encoder_out": net.encoded(f.inputs["video"]).flatten(1, 2), **seen}
    return computed | ({"recon": _pictures(net(f.inputs["video"])[0])} if "recon" in f.outputs else {})


def _unet(weights: Mapping[str, Tensor], constructor: Mapping[str, Any], length: int) -> MToVDenoiser:
    config = _denoiser_config(constructor)
    net = MToVDenoiser(config, _grid(constructor["image_size"], length))
    return _loaded(net, weights, lambda key: names.denoiser_name(key, config))


def _conditions(given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Latents of landmarks, pose and identity."""
    return (*given["cond_ldmk_pose"].chunk(2, 1), given["image_cond"])


@torch.inference_mode()
def _denoiser(f: Any) -> Computed:
    net, seen = _unet(f.weights, f.meta["constructor"], f.inputs["x"].shape[-1]), {}
    watched = {"tap.input_attn1_out": net.down[1], "tap.mid_attn_out": net.middle, "tap.time_embed": net.time_embed}
    for name, module in watched.items():
        module.register_forward_hook(lambda module, given, made, name=name: seen.update({name: made}))
    eps = net(f.inputs["x"], f.inputs["t"], *_conditions(f.inputs))
    return {"eps": eps} | {name: made if isinstance(made, Tensor) else made.joined() for name, made in seen.items()}


# ----------------------------------------------------------------------------------------------------------- the diffusion

@torch.inference_mode()
def _diffusion(f: Any) -> Computed:
    other = f.beside(re.match(r"\w+", f.meta["weights"])[0])
    net, conditions = _unet(other.weights, other.meta["constructor"], f.inputs["x"].shape[-1]), _conditions(f.inputs)
    predict = lambda x, t: net(x, t.expand(len(x)), *conditions)
    return {**_said(predict, f), **_sampled(predict, f), **_schedule(f)}


def _said(predict: Any, f: Any) -> Computed:
    """Noise and clean latent at the steps that the outputs name, and the loss."""
    computed, clip, x = {}, f.meta["constructor"]["clip"][1], f.inputs["x"]
    for name in f.outputs:
        if told := re.fullmatch(r"pred_t(\d+)_eps", name):
            t = torch.tensor(int(told[1]))
            eps = computed[name] = predict(x, t)
            computed[f"pred_t{t}_x0"] = diffusion.clean("epsilon", eps, x, t).clamp(-clip, clip)
        elif told := re.fullmatch(r"loss_t(\d+)", name):
            times, noise = torch.tensor([int(told[1])]), f.inputs["noise.loss"]
            x0 = f.inputs["noised_x_start"]  # any clean latent
            wrong = predict(diffusion.noised(x0, times, noise), times[0]) - diffusion.training_target("epsilon", x0, noise, times)
            computed[name] = wrong.square().mean()[None]
    return computed


def _sampled(predict: Any, f: Any) -> Computed:
    """The published sampler from pure noise and from the noised start, with the fixture's own noise."""
    settings, given = f.meta["constructor"], f.inputs
    eta, clip, noised = settings["eta"], settings["clip"][1], f.meta["noised"]
    whole = diffusion.make_scheduler("ddim", f.meta["ddim_steps"], 1.0, "epsilon", clip, eta)
    computed = {}
    if "ddim" in f.outputs:
        x = diffusion.noised_start(torch.zeros_like(given["noise.xT"]), 1.0, given["noise.xT"])
        computed["ddim"] = diffusion.sample(predict, x, lambda k: given["noise.steps"][k - 1], whole)
    short = diffusion.make_scheduler("ddim", noised["n_pairs"], noised["ratio"], "epsilon", clip, eta)
    if "noised_start" in f.outputs:
        x = diffusion.noised_start(given["noised_x_start"], noised["ratio"], given["noise.noised_q"])
        computed["noised_start"] = diffusion.sample(predict, x, lambda k: given["noise.noised_steps"][k - 1], short)
    kept = official_times(noised["steps"])
    for times in (short.timesteps.tolist(), diffusion.scheduled_times(noised["steps"], noised["ratio"])):
        if kept[noised["dropped_pairs"]:] != times:
            raise ValueError(f"a noised start runs {times}, not the last of {kept}")
    return computed | {"ref.times_ddim": _ended(whole.timesteps.tolist()), "ref.times_noised": _ended(kept)}


def _ended(times: list[int]) -> Tensor:
    """With the -1 that the published lists end in."""
    return torch.tensor([*times, -1])


def _schedule(f: Any) -> Computed:
    betas, level = diffusion.betas(), torch.cumprod(1 - diffusion.betas(), 0)
    before = torch.cat([level.new_ones(1), level[:-1]])
    steps = [name.removeprefix("ref.times_") for name in f.between if re.fullmatch(r"ref\.times_\d+", name)]
    return {"ref.betas": betas.float(), "ref.alphas_cumprod": diffusion.alphas_cumprod(),
            "ref.sqrt_alphas_cumprod": level.sqrt(), "ref.sqrt_one_minus_alphas_cumprod": (1 - level).sqrt(),
            "ref.sqrt_recip_alphas_cumprod": (1 / level).sqrt(), "ref.sqrt_recipm1_alphas_cumprod": (1 / level - 1).sqrt(),
            "ref.posterior_mean_coef1": betas * before.sqrt() / (1 - level),
            "ref.posterior_mean_coef2": (1 - before) * (1 - betas).sqrt() / (1 - level),
            **{f"ref.times_{n}": _ended(official_times(int(n))) for n in steps}}


# ----------------------------------------------------------------------------------- full size, with weights made by a recipe

def _made(net: nn.Module, official_name: Any, our_name: Any, seed: int, sums: Mapping[str, list[float]]) -> Any:
    weights = {key: procedural(key, tuple(value.shape), seed)
               for key, value in ((official_name(name), value) for name, value in net.state_dict().items())}
    checked_sums(weights, sums)
    return _loaded(net, weights, our_name)


@torch.inference_mode()
def _fullsize_autoencoder(f: Any) -> Computed:
    seed, config = f.meta["seed"], _autoencoder_config({"constructor": f.meta["ae"]})
    net = _made(VideoAutoencoder(config), names.official_autoencoder_name, names.autoencoder_name, seed,
                f.meta["weight_checksums"]["ae"])
    video = torch.from_numpy(normal("video", seed, 1, 3, config.frames, config.height, config.width)).tanh()
    z = torch.from_numpy(normal("z", seed, 1, config.embed_dim, config.grid.length)).tanh()
    decoded, every = _pictures(net.decode(z)), next(int(n[len("ae_decoded_sub"):]) for n in f.outputs if "_sub" in n)
    return {"ae_latent": net.encode(video), f"ae_decoded_sub{every}": decoded[..., ::every, ::every].contiguous()}


@torch.inference_mode()
def _fullsize_denoiser(f: Any) -> Computed:
    seed, config = f.meta["seed"], _denoiser_config(f.meta["unet"])
    grid = _autoencoder_config({"constructor": f.meta["ae"]}).grid
    net = _made(MToVDenoiser(config, grid), names.official_denoiser_name, lambda key: names.denoiser_name(key, config), seed,
                f.meta["weight_checksums"]["unet"])
    drawn = lambda name, channels, length=grid.length: torch.from_numpy(normal(name, seed, 1, channels, length))
    times = torch.tensor([int(re.search(r"UNet t=(\d+)", f.meta["procedure"])[1])])
    landmarks, pose = drawn("ucond", 2 * config.channels).tanh().chunk(2, 1)
    identity = drawn("uic", config.channels, grid.lengths[0]).tanh()  # its plane xy alone
    return {"unet_eps": net(drawn("ux", config.channels), times, landmarks, pose, identity)}


def _fullsize(f: Any) -> Computed:
    return {**fullsize_atom(f), **_fullsize_autoencoder(f), **_fullsize_denoiser(f)}


CASES = {
    "moditalker_ae_small": Case(_autoencoder, 2e-4, absolute=True),
    "moditalker_ae_native": Case(_autoencoder, 1e-3, absolute=True),
    "moditalker_unet": Case(_denoiser, 1e-4, absolute=True),
    "moditalker_ddpm": Case(_diffusion, {"ref.*": 1e-6, "loss*": 1e-4, "*": 1e-3}, absolute=True),
    "moditalker_fullsize": Case(_fullsize, 2e-3, absolute=True),
}
