"""CPU seconds of MToV at its published size for one clip (16 frames, 256 px), beside plain networks written from the description.

    python benchmarks/mtov_speed.py [--threads 1] [--repeats 2] [--parts encode decode call plain clip] [--fast-calls 5]

Random weights. Parts: one encode, one decode, one call of the denoiser; "plain": the same as the published program computes them
(every plane by itself, attention as softmax of a product; its 8 equal layers are measured on --plain-layers of them); "clip": a
video of two clips through `talk`, of which the second counts, portrait alone and pose film, published and fast sampler
(--clip chooses). A clip is one encode of the rasters, the calls, one decode, and with a pose film one more encode; the published
program makes four encodes. CPU seconds are those of the whole process, the least of the repeats; a busy machine makes all of them
larger, so the ratios count. Writes benchmarks/results/NAME.md.
"""
from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import torch
import torch.nn.functional as F
from common import peak_mib, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from einops import rearrange
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.moditalker_core.mtov.attention import Attention, FeedForward, PoolingTransformer
from talking_heads.moditalker_core.mtov.autoencoder import Trunk, VideoAutoencoder
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser, ResBlock, SelfAttention, Stage, step_embedding
from talking_heads.moditalker_core.mtov.generation import VideoSettings, talk
from talking_heads.moditalker_core.mtov.model import MToV, MToVConfig
from torch import Tensor

ORIGINAL = 204.0  # CPU s of the published program for a clip, measured on two cores
WANTED, WANTED_FAST = 0.4 * ORIGINAL, 0.2 * ORIGINAL  # CPU s
PARTS, CLIPS = ("encode", "decode", "call", "plain", "clip"), ("portrait", "pose", "portrait-fast", "pose-fast")
FAST = "dpm++"


class Plain:
    """The networks as they are described (docs/moditalker.md#autoencoder), with the weights of ours.

    Args:
        layers: how many of a trunk's layers are run.
    """

    def __init__(self, mtov: MToV, layers: int):
        self.rgb, self.denoiser, self.layers = mtov.rgb, mtov.denoiser, layers

    def encode(self, clips: Tensor) -> Tensor:
        net, p = self.rgb, self.rgb.config.patch
        tokens = self.trunk(net.encoder, net.patch_in(rearrange(clips, "b c t (h p) (w q) -> b t (h w) (p q c)", p=p, q=p)))
        return self.pooled(tokens)

    def pooled(self, tokens: Tensor) -> Tensor:  # [1, T, h w, C] -> [1, 4, L]
        net, made = self.rgb, []
        tokens = rearrange(tokens[0], "t (h w) c -> t h w c", h=net.config.grid.h)
        for plane, order in (("xy", "h w t c"), ("yt", "t w h c"), ("xt", "t h w c")):
            sequences = rearrange(tokens, f"t h w c -> {order}").flatten(0, 1)
            made.append(net.to_plane[plane](self.answers(net.pool[plane], sequences)).tanh())
        return torch.cat(made)[None].transpose(1, 2)

    def answers(self, net: PoolingTransformer, x: Tensor) -> Tensor:
        x = torch.cat([x, net.token.expand(len(x), -1, -1)], 1) + net.positions
        for attention, feed_forward in net.layers:
            x = x + self.attended(attention, x)
            x = x + self.fed(feed_forward, x)
        return x[:, 0]

    def decode(self, latents: Tensor) -> Tensor:
        net, grid = self.rgb, self.rgb.config.grid
        xy, yt, xt = (net.from_plane[name](part[0].T.unflatten(0, shape)) for name, part, shape in
                      zip(("xy", "yt", "xt"), latents.split(grid.lengths, -1), grid.shapes))
        tokens = self.trunk(net.decoder, (xy[None] + yt[:, None] + xt[:, :, None]).flatten(1, 2)[None])
        return 2 * net.to_pixels(rearrange(tokens[0], "t (h w) c -> t c h w", h=grid.h)).sigmoid() - 1

    def trunk(self, net: Trunk, x: Tensor) -> Tensor:
        for layer in net.layers[:self.layers]:
            x = x + self.attended(layer.time, x.transpose(1, 2), (net.frame_cos, net.frame_sin)).transpose(1, 2)
            x = x + self.attended(layer.space, x, (net.picture_cos, net.picture_sin))
            x = x + self.fed(layer.feed_forward, x)
        return x

    def attended(self, net: Attention, x: Tensor, turn: tuple[Tensor, Tensor] | None = None) -> Tensor:
        q, k, v = rearrange(net.qkv(net.norm(x)), "... l (n h d) -> n ... h l d", n=3, h=net.heads)
        q = q * q.shape[-1] ** -0.5
        if turn is not None:
            cos, sin = (part.repeat_interleave(q.shape[-1] // part.shape[-1], -1) for part in turn)
            q, k = (y * cos + torch.stack([-y[..., 1::2], y[..., ::2]], -1).flatten(-2) * sin for y in (q, k))
        return net.out(rearrange((q @ k.transpose(-1, -2)).softmax(-1) @ v, "... h l d -> ... l (h d)"))

    def fed(self, net: FeedForward, x: Tensor) -> Tensor:
        hidden = net.up(net.norm(x))
        value, gate = hidden.chunk(2, -1) if net.gated else (1.0, hidden)
        return net.down(value * F.gelu(gate))

    def call(self, x: Tensor, times: Tensor, landmarks: Tensor, pose: Tensor, identity: Tensor) -> Tensor:
        net, grid = self.denoiser, self.denoiser.grid
        shown = torch.cat([identity[..., :grid.lengths[0]], torch.zeros_like(identity[..., grid.lengths[0]:])], -1)
        whole = torch.cat([x, landmarks, pose, shown], 1)
        planes = [part.unflatten(2, shape) for part, shape in zip(whole.split(grid.lengths, 2), grid.shapes)]
        emb, kept = net.time_embed(step_embedding(times, net.config.model_channels)), []
        for stage in net.down:
            kept.append(planes := self.staged(stage, planes, emb))  # noqa: PERF401 (each stage takes what the last one gave)
        planes = self.staged(net.middle, planes, emb)
        for stage in net.up:
            planes = self.staged(stage, [torch.cat(pair, 1) for pair in zip(planes, kept.pop())], emb)
        return torch.cat([net.out(F.silu(net.out_norm(plane))).flatten(2) for plane in planes], 2)

    def staged(self, stage: Stage, planes: list[Tensor], emb: Tensor) -> list[Tensor]:
        for block in stage.blocks:
            planes = [self.block(block, plane, emb) for plane in planes]
        if stage.joint is None:
            return planes
        lengths = [plane.shape[2] * plane.shape[3] for plane in planes]
        joint = self.looked(stage.joint, torch.cat([plane.flatten(2) for plane in planes], 2)).split(lengths, 2)
        return [part.reshape(plane.shape) for part, plane in zip(joint, planes)]

    def block(self, block, x: Tensor, emb: Tensor) -> Tensor:
        if isinstance(block, ResBlock):
            return block(x, block.film(F.silu(emb)))
        return self.looked(block, x.flatten(2)).view(x.shape) if isinstance(block, SelfAttention) else block(x)

    def looked(self, net: SelfAttention, x: Tensor) -> Tensor:  # [B, C, L] -> the same
        normed = F.group_norm(x, net.norm.num_groups, net.norm.weight, net.norm.bias, net.norm.eps)
        qkv = F.conv1d(normed, net.qkv.weight, net.qkv.bias)
        q, k, v = rearrange(qkv, "b (h n c) l -> n (b h) c l", h=net.heads, n=3)
        scale = q.shape[1] ** -0.25
        weight = torch.einsum("bct,bcs->bts", q * scale, k * scale).softmax(-1)
        return x + F.conv1d(torch.einsum("bts,bcs->bct", weight, v).reshape(x.shape), net.out.weight, net.out.bias)


def published() -> MToV:
    """The full-size networks with random weights; what begins at zero is drawn too."""
    torch.manual_seed(0)
    config = MToVConfig()
    mtov = MToV(VideoAutoencoder(config.rgb), VideoAutoencoder(config.landmarks, decoder=False),
                MToVDenoiser(config.denoiser, config.grid), config)
    for parameter in mtov.denoiser.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return mtov


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--clip", nargs="+", choices=CLIPS, default=CLIPS)
    parser.add_argument("--fast-calls", type=int, default=5)
    parser.add_argument("--name", default="mtov_speed", help="of the file of results")
    parser.add_argument("--plain-layers", type=int, default=1, help="layers of 8 that the plain trunks are measured over")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    mtov = published()
    found = parts(mtov, args)
    for name in args.clip if "clip" in args.parts else ():
        found[name] = second_clip(mtov, name, args)
        print(name, found[name], flush=True)
    text = report(found, args)
    print(text)
    results_folder().joinpath(f"{args.name}.md").write_text(text, encoding="utf-8")


@torch.inference_mode()
def parts(mtov: MToV, args: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of the parts, and what this machine makes of a matrix product."""
    g, length = torch.Generator().manual_seed(1), mtov.config.grid.length
    clip, latents = torch.rand(1, 3, 16, 256, 256, generator=g) * 2 - 1, torch.rand(4, 1, 4, length, generator=g) * 2 - 1
    inputs = latents[0], torch.tensor([249]), *latents[1:]
    tokens = torch.randn(1, 16, 1024, mtov.rgb.config.channels, generator=g)
    plain, found = Plain(mtov, args.plain_layers), {}
    ways: dict[str, Callable] = {"encode": lambda: mtov.rgb.encode(clip), "decode": lambda: mtov.rgb.decode(latents[0]),
                                 "call": lambda: mtov.denoiser(*inputs)}
    if "plain" in args.parts:
        ways |= {"plain pools": lambda: plain.pooled(tokens), "plain decode": lambda: plain.decode(latents[0]),
                 "plain call": lambda: plain.call(*inputs)}
    for name, way in ways.items():
        if name.startswith("plain") or name in args.parts:
            repeats = args.repeats + 2 if name == "call" else args.repeats
            found[name] = min(timed(way) for _ in range(repeats))
            print(f"{name}: {found[name]:.2f} CPU s, peak so far {peak_mib():.0f} MiB", flush=True)
    if "plain" in args.parts:
        found["plain decode"] *= mtov.rgb.config.depth / args.plain_layers
        found["plain encode"] = found["plain decode"] + found.pop("plain pools")
        ours, twin = mtov.denoiser(*inputs), plain.call(*inputs)
        found["difference"] = float((ours - twin).abs().max() / twin.abs().max())
    a = torch.randn(1024, 1024)
    found["gflops"] = max(2e-9 * 1024 ** 3 / timed(lambda: a @ a) for _ in range(5))
    return found


def timed(way: Callable[[], object]) -> float:
    start = time.process_time()
    way()
    return time.process_time() - start


def second_clip(mtov: MToV, name: str, args: argparse.Namespace) -> float:
    """CPU seconds of the second clip of a video, from the end of the first to its own last frame."""
    frames, ends = 2 * mtov.config.frames - mtov.config.overlap, []
    points = 128 + 60 * torch.randn(1, 68, 3, generator=torch.Generator().manual_seed(2)).clamp(-1.9, 1.9)
    motion = LandmarkTrack(points.repeat(frames, 1, 1).contiguous(), space="pixels", image_size=(256, 256), fps=mtov.config.fps)
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    settings = VideoSettings(sampler=FAST, calls=args.fast_calls) if name.endswith("fast") else VideoSettings()
    film = [picture] * frames if name.startswith("pose") else None

    def watch(done: int, total: int, info: dict, preview: object) -> None:
        if info.get("phase") == "done":
            ends.append(time.process_time())

    for _ in talk(mtov, motion, picture, VideoSettings(**(vars(settings) | {"previews": 0})), pose_frames=film,
                  pose_landmarks=motion if film else None, report=watch):
        pass
    return ends[1] - ends[0]


def report(found: dict[str, float], args: argparse.Namespace) -> str:
    has = lambda *names: all(name in found for name in names)
    lines = ["# Speed of MToV at its published size", "",
             f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch "
             f"{torch.__version__}; `python benchmarks/mtov_speed.py --threads {args.threads} --repeats {args.repeats} --parts "
             f"{' '.join(args.parts)} --clip {' '.join(args.clip)} --fast-calls {args.fast_calls} --plain-layers "
             f"{args.plain_layers}`.", "",
             f"Random weights, fp32. The original took {ORIGINAL:g} CPU s for a clip (its own measurement, another day).", "",
             "| part | CPU s | plain twin, CPU s | twin / this |", "|---|---|---|---|"]
    for name in (name for name in PARTS[:3] if name in found):
        twin = found.get(f"plain {name}")
        lines.append(f"| one {name} | {found[name]:.2f} | " + (f"{twin:.2f} | {twin / found[name]:.2f} |" if twin else " | |"))
    lines += ["", "| second clip of a video | CPU s, through `talk` | CPU s, sum of the parts | wanted | plain twin / this |",
              "|---|---|---|---|---|"]
    lines += [clip_row(name, found, args.fast_calls) for name in CLIPS if name in found or has(*PARTS[:3])]
    if has("plain encode"):
        lines += ["", f"Plain twin: 4 encodes, 25 calls, 1 decode: {plain_clip(found):.0f} CPU s; its trunks were measured over "
                  f"{args.plain_layers} of 8 layers. Largest relative difference of a call: {found['difference']:.1e}."]
    twin = ", the twin's included" if "plain" in args.parts else ""
    lines += ["", f"Peak memory of this process: {peak_mib():.0f} MiB{twin}; one 1024 x 1024 product ran at "
              f"{found['gflops']:.0f} GFLOP/s of CPU time."]
    return "\n".join(lines) + "\n"


def clip_row(name: str, found: dict[str, float], fast_calls: int) -> str:
    fast, bound = name.endswith("fast"), WANTED_FAST if name.endswith("fast") else WANTED
    calls = fast_calls if fast else 25
    summed = None
    if all(part in found for part in PARTS[:3]):
        summed = (2 if name.startswith("pose") else 1) * found["encode"] + calls * found["call"] + found["decode"]
    best = found.get(name, summed)
    what = f"{'pose film' if name.startswith('pose') else 'portrait alone'}, {calls} calls ({FAST if fast else 'published'})"
    show = lambda value: "" if value is None else f"{value:.1f}"
    ratio = f"{plain_clip(found) / best:.2f}" if "plain encode" in found else ""
    return (f"| {what} | {show(found.get(name))} | {show(summed)} | <= {bound:.1f}: "
            f"{'met' if best <= bound else '**NOT met**'} | {ratio} |")


def plain_clip(found: dict[str, float]) -> float:
    return 4 * found["plain encode"] + 25 * found["plain call"] + found["plain decode"]


if __name__ == "__main__":
    main()
