"""Names of the published MToV tensors and ours (docs/moditalker.md#checkpoints)."""
from __future__ import annotations

import re

from .config import PLANES, DenoiserConfig

_AUTOENCODER = {"encoder.to_patch_embedding": "patch_in", "to_pixel.1": "to_pixels"}
_TRUNK = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.([012])\.(norm|fn\.to_qkv|fn\.to_out\.0|fn\.net\.0|fn\.net\.3)\.(\w+)")
_POOL = re.compile(r"(xy|yt|xt)_quant_attn\.layers\.(\d+)\.([01])\.(norm|fn\.to_qkv|fn\.to_out\.0|fn\.net\.0|fn\.net\.3)\.(\w+)")
_PARTS = {"norm": "norm", "fn.to_qkv": "qkv", "fn.to_out.0": "out", "fn.net.0": "up", "fn.net.3": "down"}
_PLANE = re.compile(r"(pre|post)_(xy|yt|xt)\.(\w+)")
_TRUNK_PARTS = ("time", "space", "feed_forward")
_BUFFERS = ("coords", "encoder.frame_rot_emb.inv_freqs", "decoder.frame_rot_emb.inv_freqs", "encoder.image_rot_emb.scales",
            "decoder.image_rot_emb.scales")

PREFIX = "diffusion_model."
_RES = {"in_layers.0": "norm_in", "in_layers.2": "conv_in", "emb_layers.1": "film", "out_layers.0": "norm_out",
        "out_layers.3": "conv_out", "skip_connection": "skip"}
_ATTENTION = {"norm": "norm", "qkv": "qkv", "proj_out": "out"}
_DEAD = ("output_bg_blocks.", "output_bg_attns.")


def autoencoder_name(published: str) -> str | None:
    """Our name of a tensor of `autoencoder_rgb.pth` or `autoencoder_motion.pth`; None for what is computed again.

    Raises:
        KeyError: the official network has no such tensor.
    """
    if published in _BUFFERS:
        return None
    if told := _TRUNK.fullmatch(published):
        return f"{told[1]}.layers.{told[2]}.{_TRUNK_PARTS[int(told[3])]}.{_PARTS[told[4]]}.{told[5]}"
    if told := _POOL.fullmatch(published):
        return f"pool.{told[1]}.layers.{told[2]}.{told[3]}.{_PARTS[told[4]]}.{told[5]}"
    if told := _PLANE.fullmatch(published):
        return f"{'to' if told[1] == 'pre' else 'from'}_plane.{told[2]}.{told[3]}"
    for plane in PLANES:
        if published == f"{plane}_token":
            return f"pool.{plane}.token"
        if published == f"{plane}_pos_embedding":
            return f"pool.{plane}.positions"
    head, _, last = published.rpartition(".")
    return f"{_AUTOENCODER[head]}.{last}"


def denoiser_name(published: str, config: DenoiserConfig) -> str | None:
    """Our name of a tensor of `diffusion_model.pth`, with or without its prefix; None for what is never used.

    Raises:
        KeyError: the official network of these sizes has no such tensor.
    """
    name = published.removeprefix(PREFIX)
    if name.startswith(_DEAD) or name == "zeros":
        return None
    head, _, rest = name.partition(".")
    if head == "time_embed":
        return name
    if head == "out":
        number, _, last = rest.partition(".")
        return f"{ {'0': 'out_norm', '2': 'out'}[number] }.{last}"
    if head == "mid_attn":
        return f"middle.joint.{_within(rest, _ATTENTION)}"
    if head == "middle_block":
        number, _, rest = rest.partition(".")
        return f"middle.blocks.{number}.{_within(rest, _ATTENTION if number == '1' else _RES)}"
    stage, _, rest = rest.partition(".")
    side = {"input": "down", "output": "up"}[head.split("_")[0]]
    if head.endswith("_attns"):
        return f"{side}.{stage}.joint.{_within(rest, _ATTENTION)}"
    number, _, rest = rest.partition(".")
    if side == "down" and stage == "0":
        return f"down.0.blocks.0.{rest}"
    table = _RES if rest.split(".")[0] in ("in_layers", "emb_layers", "out_layers", "skip_connection") else _ATTENTION
    return f"{side}.{stage}.blocks.{number}.{_within(rest, table)}"


def _within(name: str, table: dict[str, str]) -> str:
    head, _, last = name.rpartition(".")
    return f"{table[head]}.{last}"


_OFFICIAL_PARTS = {ours: theirs for theirs, ours in _PARTS.items()}
_OUR_TRUNK = re.compile(r"(encoder|decoder)\.layers\.(\d+)\.(\w+)\.(norm|qkv|out|up|down)\.(\w+)")
_OUR_POOL = re.compile(r"pool\.(\w+)\.layers\.(\d+)\.([01])\.(norm|qkv|out|up|down)\.(\w+)")
_OUR_PLANE = re.compile(r"(to|from)_plane\.(\w+)\.(\w+)")
_OUR_STAGE = re.compile(r"(down|up)\.(\d+)\.(blocks\.\d+|joint)\.(.+)")


def official_autoencoder_name(ours: str) -> str:
    """The inverse of `autoencoder_name`."""
    if told := _OUR_TRUNK.fullmatch(ours):
        return f"{told[1]}.layers.{told[2]}.{_TRUNK_PARTS.index(told[3])}.{_OFFICIAL_PARTS[told[4]]}.{told[5]}"
    if told := _OUR_POOL.fullmatch(ours):
        return f"{told[1]}_quant_attn.layers.{told[2]}.{told[3]}.{_OFFICIAL_PARTS[told[4]]}.{told[5]}"
    if told := _OUR_PLANE.fullmatch(ours):
        return f"{'pre' if told[1] == 'to' else 'post'}_{told[2]}.{told[3]}"
    head, _, last = ours.rpartition(".")
    if head.startswith("pool."):
        return f"{head.removeprefix('pool.')}_{ {'token': 'token', 'positions': 'pos_embedding'}[last] }"
    return f"{ {value: key for key, value in _AUTOENCODER.items()}[head] }.{last}"


def official_denoiser_name(ours: str) -> str:
    """The inverse of `denoiser_name`, with the official prefix."""
    head, _, rest = ours.partition(".")
    if told := _OUR_STAGE.fullmatch(ours):
        side = {"down": "input", "up": "output"}[told[1]]
        where = f"{side}_attns.{told[2]}" if told[3] == "joint" else f"{side}_blocks.{told[2]}.{told[3].removeprefix('blocks.')}"
        name = f"{where}.{_back(told[4])}"
    elif head == "middle":
        where, _, rest = rest.partition(".")
        number, _, within = rest.partition(".")
        name = f"mid_attn.{_back(rest)}" if where == "joint" else f"middle_block.{number}.{_back(within)}"
    else:
        name = f"{ {'out_norm': 'out.0', 'out': 'out.2'}.get(head, head) }.{rest}"
    return PREFIX + name


def _back(name: str) -> str:
    """Of a block's own tensor: "conv_in.weight" -> "in_layers.2.weight"."""
    head, _, last = name.rpartition(".")
    table = {ours: theirs for theirs, ours in (_RES | _ATTENTION).items()}
    return f"{table[head]}.{last}" if head else last
