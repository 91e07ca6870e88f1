"""CPU seconds of AToM at its published size for one window of 6.24 s, beside a plain network written from the description.

    python benchmarks/atom_speed.py [--threads 1 2] [--repeats 3] [--plain-steps 10]

Random weights. The plain twin computes what the published program computes: speech and face are encoded anew in every step, the
conditional and the unconditional pass run one after the other, each branch by itself. Both must agree. CPU seconds are those of
the whole process, the least of the repeats; a busy machine makes all of them larger, so the ratios count. That a fast sampler
keeps the lips is shown with the demo weights by benchmarks/atom.py. Writes benchmarks/results/atom_speed.md.
"""
from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import date

import torch
import torch.nn.functional as F
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.speech import Speech
from talking_heads.moditalker_core.atom.attention import Attention
from talking_heads.moditalker_core.atom.config import AToMConfig
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser, DecoderLayer
from talking_heads.moditalker_core.atom.diffusion import make_scheduler, sample
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.landmarks import LIP_RELATED, UPPER
from torch import Tensor

ORIGINAL = 43.3  # CPU s of the published program, measured on two cores
WANTED, WANTED_FAST = ORIGINAL / 3, 5.0  # CPU s
FAST = SamplingSettings(sampler="dpm++", steps=10)


class Plain:
    """The network as it is described (docs/moditalker.md#atom-network), nothing remembered; weights of `net`."""

    def __init__(self, net: AToMDenoiser):
        self.net, self.width, self.base = net, net.config.latent_dim, net.config.rotary_base

    def __call__(self, x: Tensor, face: Tensor, audio: Tensor, times: Tensor, keep: bool) -> Tensor:
        net, points = self.net, x.unflatten(-1, (-1, 3))
        lip, rest = net.lip_in(points[:, :, list(LIP_RELATED)].flatten(2)), net.upper_in(points[:, :, list(UPPER)].flatten(2))
        heard, seen = self.encoded(net.audio_encoder, net.audio_in(audio)), self.encoded(net.face_encoder, net.face_in(face))
        summary = net.audio_summary(heard.mean(1)) if keep else net.null_audio_summary
        heard, seen = (heard, seen) if keep else (net.null_audio, net.null_face)
        half = self.width // 2
        angle = times[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        hidden = F.mish(net.time_in(torch.cat([angle.sin(), angle.cos()], -1)))
        tau = net.time_summary(hidden) + 2 * net.face_summary(seen.mean(1)) + summary
        tokens = net.time_tokens(hidden).unflatten(-1, (2, -1))
        by_ear, by_eye = net.memory_norm(torch.cat([heard, tokens, seen], 1)), net.memory_norm(torch.cat([tokens, seen], 1))
        for layer in net.layers:
            lip, rest = self.decoded(layer, lip, rest, tau, by_ear, by_eye).chunk(2, -1)
        return net.out(torch.cat([lip, rest], -1))

    def decoded(self, layer: DecoderLayer, lip: Tensor, rest: Tensor, tau: Tensor, by_ear: Tensor, by_eye: Tensor) -> Tensor:
        (a, b), (c, d), (e, f) = layer.film1(tau), layer.film2(tau), layer.film3(tau)
        lip, rest = (h + a * self.attended(layer.self_attn, layer.norm1(h)) + b for h in (lip, rest))
        lip = lip + c * self.attended(layer.cross_attn, layer.norm2(lip), by_ear) + d
        rest = rest + c * self.attended(layer.self_attn, layer.norm2(rest)) + d
        z = self.attended(layer.cross_attn, layer.norm3(lip + rest), by_eye)
        return layer.linear3(z + e * z + f)

    def encoded(self, layers, tokens: Tensor) -> Tensor:
        for layer in layers:
            tokens = tokens + self.attended(layer.self_attn, layer.norm1(tokens))
            tokens = tokens + layer.linear2(F.gelu(layer.linear1(layer.norm2(tokens))))
        return tokens

    def attended(self, attention: Attention, x: Tensor, memory: Tensor | None = None) -> Tensor:
        memory = x if memory is None else memory
        query, key, value = (part.transpose(0, 1) for part in (self.turned(x), self.turned(memory), memory))
        out, _ = F.multi_head_attention_forward(query, key, value, self.width, attention.heads, attention.in_proj_weight,
                                                attention.in_proj_bias, None, None, False, 0.0, attention.out_proj.weight,
                                                attention.out_proj.bias, training=False, need_weights=False)
        return out.transpose(0, 1)

    def turned(self, x: Tensor) -> Tensor:
        angle = torch.arange(x.shape[1])[:, None] * self.base ** (-torch.arange(0, self.width, 2) / self.width)
        cos, sin = angle.cos().repeat_interleave(2, -1), angle.sin().repeat_interleave(2, -1)
        a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
        return x * cos + torch.stack([-b, a], -1).flatten(-2) * sin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-steps", type=int, default=10, help="steps of 50 that the plain twin is measured over")
    args = parser.parse_args()
    torch.manual_seed(0)
    config = AToMConfig()
    atom = AToM(AToMDenoiser(config.denoiser), config, mean_face())
    rows = [figures(atom, threads, args) for threads in args.threads]
    text = report(rows, args)
    print(text)
    results_folder().joinpath("atom_speed.md").write_text(text, encoding="utf-8")


@torch.inference_mode()
def figures(atom: AToM, threads: int, args: argparse.Namespace) -> dict[str, float]:
    """CPU and wall seconds of ours, of the fast sampler, and of the plain twin."""
    torch.set_num_threads(threads)
    config, portrait = atom.config, LandmarkTrack(torch.from_numpy(mean_face())[None])
    rows = round(config.denoiser.seq_len / config.fps * config.speech.rate)
    speech = Speech(torch.randn(rows, config.speech.dim), config.speech.rate, config.speech.encoder, rows / config.speech.rate,
                    torch.zeros(rows, dtype=torch.bool))
    plain, found = Plain(atom.denoiser), {"threads": threads, "difference": difference(atom)}
    ways = {"ours": lambda: generate_motion(atom, speech, portrait),
            "fast": lambda: generate_motion(atom, speech, portrait, FAST),
            "plain": lambda: plain_steps(plain, args.plain_steps)}
    atom.denoiser(*inputs(config)), make_scheduler(config.sampler, config.steps)  # warms up, imports
    for _ in range(args.repeats):
        for name, way in ways.items():
            share = config.steps / args.plain_steps if name == "plain" else 1.0
            for kind, seconds in zip((name, f"{name}, wall"), timed(way)):
                found[kind] = min(found.get(kind, math.inf), share * seconds)
        found["gflops"] = max(found.get("gflops", 0.0), sgemm())
    return found


def timed(way: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    way()
    return time.process_time() - cpu, time.perf_counter() - wall


def inputs(config: AToMConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, face, audio, times of one window."""
    sizes, random = config.denoiser, torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(1, *shape, generator=random)
    return (draw(sizes.seq_len, sizes.nfeats), draw(1, sizes.nfeats).expand(-1, sizes.seq_len, -1),
            draw(2 * sizes.seq_len, sizes.cond_feature_dim), torch.tensor([500]))


def plain_steps(plain: Plain, steps: int) -> None:
    """So many steps of the published sampler, each two passes."""
    config = AToMConfig()
    x, face, audio, _ = inputs(config)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        heard, free = (plain(x, face, audio, t.reshape(1), keep) for keep in (True, False))
        return free + config.guidance * (heard - free)

    sample(predict, lambda k: torch.randn_like(x), make_scheduler(config.sampler, steps), clip=config.clip)


def difference(atom: AToM) -> float:
    """The largest difference of ours and the plain twin in one step, over the largest output."""
    x, face, audio, times = inputs(atom.config)
    ours = atom.denoiser.denoise(x, times, atom.denoiser.condition(face.repeat(2, 1, 1), audio.repeat(2, 1, 1),
                                                                   torch.tensor([True, False])))
    twin = torch.cat([Plain(atom.denoiser)(x, face, audio, times, keep) for keep in (True, False)])
    return float((ours - twin).abs().max() / twin.abs().max())


def sgemm(size: int = 1024) -> float:
    """What this machine makes of one matrix product now, GFLOP for each CPU second."""
    a = torch.randn(size, size)
    return max(2e-9 * size ** 3 / max(timed(lambda: a @ a)[0], 1e-9) for _ in range(5))


def report(rows: list[dict], args: argparse.Namespace) -> str:
    verdict = lambda value, bound: f"<= {bound:.1f}: " + ("met" if value <= bound else "**NOT met**")
    threads = " ".join(str(t) for t in args.threads)
    lines = ["# Speed of AToM at its published size", "",
             f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch "
             f"{torch.__version__}; `python benchmarks/atom_speed.py --threads {threads} --repeats {args.repeats} --plain-steps "
             f"{args.plain_steps}`.", "",
             "One window of 6.24 s, random weights, guidance 2. The original took "
             f"{ORIGINAL} CPU s (its own measurement, another day); the plain twin is measured here, over {args.plain_steps} of "
             "its 50 steps.", "", "| threads | what | CPU s | wall s | wanted, CPU s | plain twin / this |",
             "|---|---|---|---|---|---|"]
    for row in rows:
        ways = (("50 steps, as published", "ours", verdict(row["ours"], WANTED)),
                (f"{FAST.sampler}, {FAST.steps} steps", "fast", verdict(row["fast"], WANTED_FAST)),
                ("plain twin, 50 steps", "plain", ""))
        lines += [f"| {row['threads']} | {what} | {row[key]:.2f} | {row[key + ', wall']:.2f} | {wanted} | "
                  f"{row['plain'] / row[key]:.2f} |" for what, key, wanted in ways]
    lines += ["", *(f"- {row['threads']} thread(s): largest relative difference of ours and the twin {row['difference']:.1e}; "
                    f"one 1024 x 1024 product ran at {row['gflops']:.0f} GFLOP/s of CPU time." for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
