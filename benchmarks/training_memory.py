"""What every preset and stage of MoDiTalker's trainings takes: memory, hours and disk.

    python benchmarks/training_memory.py [--measure]

Memory is computed from shapes alone, as trainings do it before they start (training_core/memory_plan.py), for a GPU: as the
preset stands, and as it is run within 22 GB. Disk is that of the file and of the unfinished training. Hours are estimated: the
products of a step are counted, and a GPU is taken to do --tflops of them a second (bf16 and fp16), a quarter in fp32. --measure
compares the computed memory with the peak of a process that makes two steps on this CPU, and times the second. Writes
benchmarks/results/training_memory.md.
"""
from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import torch
from common import peak_mib, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.moditalker_core.atom import memory as atom_memory
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.train_config import presets as atom_presets
from talking_heads.moditalker_core.mtov import memory
from talking_heads.moditalker_core.mtov.autoencoder import VideoAutoencoder
from talking_heads.moditalker_core.mtov.denoiser import MToVDenoiser
from talking_heads.moditalker_core.mtov.discriminators import Discriminators
from talking_heads.moditalker_core.mtov.train_config import STAGES, TrainConfig, presets
from talking_heads.training_core.memory import GB
from talking_heads.training_core.memory_plan import LIMIT, Plan, planned
from talking_heads.training_core.peak_memory import META, on_meta
from torch.utils.flop_counter import FlopCounterMode

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
MEASURED = ("demo rgb", "demo diffusion", "demo atom")
SIZES = (1, 4)  # windows in a piece, of the processes that are measured


@dataclass(frozen=True)
class Row:
    """A stage."""

    name: str
    steps: int
    asked: float   # bytes, as the preset stands
    plan: Plan     # within 22 GB
    flops: float   # of all steps
    exact: bool    # fp32
    disk: tuple[float, float]  # bytes of the file, of the unfinished training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflops", type=float, default=40.0, help="what a GPU really does of 16-bit products (default: 40)")
    parser.add_argument("--measure", action="store_true", help="also two steps of demo presets on this CPU, each in a process")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)  # in such a process: preset and stage, windows
    args = parser.parse_args()
    if args.child:
        return child(args.child[0], int(args.child[1]))
    rows = [*(atom(name) for name in atom_presets()), *(stage(name, one) for name in presets() for one in STAGES)]
    text = report(args, rows, [measured(name, windows) for name in MEASURED for windows in SIZES] if args.measure else [])
    print(text)
    results_folder().joinpath("training_memory.md").write_text(text, encoding="utf-8")


def atom(name: str) -> Row:
    """AToM's row."""
    config = atom_presets()[name]
    need = lambda windows, way: atom_memory.needed(config, windows, CUDA)
    with META:
        network = AToMDenoiser(config.denoiser)
    on_meta(network)
    numbers, sizes = _numbers(network), config.denoiser
    run = lambda: network(torch.empty(1, sizes.seq_len, 204), torch.empty(1, sizes.seq_len, 204),
                          torch.empty(1, 2 * sizes.seq_len, sizes.cond_feature_dim), torch.zeros(1, dtype=torch.long))
    flops = 3 * config.batch * config.steps * counted(run)
    states = {"adan": 4, "adamw": 2}[config.optimizer]
    return Row(f"AToM {name}", config.steps, need(config.batch // config.accumulation, False),
               plan_of(need, config.batch, config.accumulation, False), flops, config.precision == "fp32",
               (4.0 * numbers, 4.0 * numbers * (2 + states)))


def stage(name: str, one: str) -> Row:
    """A stage of MToV."""
    config = presets()[name][one]
    need = lambda windows, way: memory.needed(config, windows, way, CUDA)
    with META:
        encoder = VideoAutoencoder(config.autoencoder)
        network = MToVDenoiser(config.denoiser, config.autoencoder.grid) if one == "diffusion" else encoder
        judges = Discriminators(config.judges) if one == "gan" else None
    on_meta(encoder)
    on_meta(network)
    moved = _numbers(network) + (_numbers(judges) if judges else 0)
    saved = _numbers(network) + (2 * _numbers(encoder) if one == "diffusion" else 0)
    state = 4.0 * (3 * moved + (_numbers(network) if config.ema else 0))
    kept = 2.0 * config.cache * 5 * config.autoencoder.embed_dim * config.autoencoder.grid.length
    return Row(f"MToV {name} {one}", config.steps, need(config.batch // config.accumulation, False),
               plan_of(need, config.batch, config.accumulation, True, one), work(config, encoder, network),
               config.precision == "fp32", (4.0 * saved, state + kept))


def work(config: TrainConfig, encoder: VideoAutoencoder, network: torch.nn.Module) -> float:
    """Products of a stage's training; discriminators and losses left out."""
    sizes = config.autoencoder
    clip = lambda: encoder(torch.empty(1, 3, sizes.frames, sizes.height, sizes.width))
    if config.stage != "diffusion":
        stills = config.still_steps + ((config.steps - config.still_steps) // config.still_every if config.still_every else 0)
        of_stills = stills * config.stills / sizes.frames if config.stills else stills
        return 3 * config.batch * counted(clip) * (config.steps - stills + of_stills)
    latent = lambda: torch.empty(1, sizes.embed_dim, sizes.grid.length)
    run = lambda: network(latent(), torch.zeros(1, dtype=torch.long), latent(), latent(), latent())
    windows = config.cache or config.batch * config.steps
    return 3 * config.batch * config.steps * counted(run) + windows * (3 + 1 / sizes.frames) * counted(clip) / 2


def counted(run: Callable[[], object]) -> float:
    """Operations of one forward pass."""
    with META, torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def plan_of(need: Callable[[int, bool], float], batch: int, least: int, able: bool, one: str = "") -> Plan:
    """Within 22 GB, whatever this computer has."""
    return planned(need, batch, least=least, memory_gb=LIMIT / GB, device=META, able=able,
                   first="checkpointing" if one == "gan" else "pieces")


def _numbers(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# measured -----------------------------------------------------------------------------------------------------------------------

def measured(name: str, windows: int) -> tuple[str, int, float, float, float]:
    """(preset, windows, computed bytes, bytes at most of a process, CPU seconds of a step)."""
    preset, part = name.split()
    if part == "atom":
        computed = atom_memory.needed(atom_presets()[preset], windows, CPU)
    else:
        computed = memory.needed(presets()[preset][part], windows, False, CPU)
    command = [sys.executable, __file__, "--child", name, str(windows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    peak, seconds = map(float, done.stdout.split()[-2:])
    print(f"{name}, {windows}: computed {computed / 2 ** 20:.0f} MiB, measured {peak:.0f}", file=sys.stderr, flush=True)
    return name, windows, computed, peak * 2 ** 20, seconds


def child(name: str, windows: int) -> None:
    """Two steps of the network with real numbers; prints the peak, MiB, and the CPU seconds of the second."""
    preset, part = name.split()
    if part == "atom":
        config = atom_presets()[preset]
        sizes, network = config.denoiser, AToMDenoiser(config.denoiser).train()
        inputs = (torch.randn(windows, sizes.seq_len, 204), torch.randn(windows, sizes.seq_len, 204),
                  torch.randn(windows, 2 * sizes.seq_len, sizes.cond_feature_dim), torch.zeros(windows, dtype=torch.long))
    else:
        stage_config = presets()[preset][part]
        sizes = stage_config.autoencoder
        latent = windows, sizes.embed_dim, sizes.grid.length
        inputs = ((torch.randn(latent), torch.zeros(windows, dtype=torch.long), *(torch.randn(latent) for _ in range(3)))
                  if part == "diffusion" else (torch.rand(windows, 3, sizes.frames, sizes.height, sizes.width),))
        network = MToVDenoiser(stage_config.denoiser, sizes.grid) if part == "diffusion" else VideoAutoencoder(sizes)
    optimizer, seconds = torch.optim.AdamW(network.parameters(), fused=True), 0.0
    for _ in range(2):
        start = time.process_time()
        made = network(*inputs)
        (made[0] if isinstance(made, tuple) else made).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds = time.process_time() - start
    print(peak_mib(), seconds)


def report(args: argparse.Namespace, rows: list[Row], found: list[tuple[str, int, float, float, float]]) -> str:
    lines = ["# Memory, hours and disk of MoDiTalker's trainings", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/training_memory.py"
             f"{' --measure' if args.measure else ''} --tflops {args.tflops:g}`. **Estimated**, all of this table: no GPU was at "
             "hand. Memory: computed from shapes (activations, gradients, moments, averages; 8 % and 0.9 GB for the GPU's "
             f"allocator and libraries). Hours: products counted, {args.tflops:g} TFLOP/s in 16 bits, a quarter of it in fp32.",
             "",
             "| training | steps | as the preset stands, GB | within 22 GB: GB, pieces, checkpointing | hours | file, unfinished "
             "training, GB |", "|---|---|---|---|---|---|"]
    for row in rows:
        speed = args.tflops * 1e12 / (4 if row.exact else 1)
        hours = row.flops * (4 / 3 if row.plan.checkpointing else 1) / speed / 3600
        way = f"{row.plan.needed / GB:.1f}, {row.plan.accumulation}, {'on' if row.plan.checkpointing else 'off'}"
        lines.append(f"| {row.name} | {row.steps:,} | {row.asked / GB:.1f} | {way} | {hours:.1f} | {row.disk[0] / GB:.2f}, "
                     f"{row.disk[1] / GB:.2f} |")
    if found:
        lines += ["", "**Measured** on this CPU: two steps in a process of its own, its largest memory, and the computed figure "
                  "for a CPU.", "", "| network | clips | computed, MiB | measured, MiB | ratio | CPU s a step |",
                  "|---|---|---|---|---|---|"]
        lines += [f"| {name} | {windows} | {computed / 2 ** 20:.0f} | {peak / 2 ** 20:.0f} | {computed / peak:.2f} | {cpu:.2f} |"
                  for name, windows, computed, peak, cpu in found]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
