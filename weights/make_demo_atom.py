"""Makes an AToM like weights/demo_atom.safetensors: `python weights/make_demo_atom.py` (`weights/README.md` has the shipped one).

Builds 42 minutes of 24 invented people (identities from 1000 on; benchmarks use smaller numbers): 39 with the 37 voices of
`voice_bank.py`, a quarter of it damaged, and 3 in which nobody speaks. Trains the preset `demo` on them, on the CPU, and then
its lip network. All three steps go on where they were stopped. All these people are warps of one portrait, so the network cannot
read other faces: the file says that it is shown its mean face instead (`AToMConfig.shown`). Needs espeak-ng, flite and festival
(`voice_bank.py` names the packages).
"""
from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from make_demo_avatar import ROOT, load_package
from voice_bank import mixed

LICENCE = "Apache-2.0, as the code: the people are invented"
SEED = 6000  # of the performances
CLIPS, SECONDS = 42, 60.0
NOBODY, DAMAGE = .08, .25  # fractions of the clips and of the speech
AVERAGE = .6  # of the continued training in the shipped file; the rest is the file it started from
MOUTH_NOISE = 0.0  # lips and jaw are sampled from no noise: they follow the speech best so


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "demo_atom", help="folder of the dataset")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "demo_atom.safetensors")
    parser.add_argument("--captured", action="store_true", help="from rendered videos instead of exact landmarks (hours)")
    parser.add_argument("--steps", type=int, help="instead of the preset's")
    parser.add_argument("--start-from", type=Path, help="weights to continue, instead of new ones")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER", help="of the training's settings")
    parser.add_argument("--average", type=float, default=AVERAGE, help="part of the trained numbers; the rest is --start-from's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch")
    args = parser.parse_args()
    load_package()
    import torch
    from talking_heads.host.speech_programs import add_speech_programs
    from talking_heads.moditalker_core.atom.checkpoints import load_atom, save_atom
    from talking_heads.moditalker_core.atom.training import preset, train_atom
    from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject

    if args.threads:
        torch.set_num_threads(args.threads)
    add_speech_programs()
    plan = SubjectPlan(voices=mixed(), clips=CLIPS, seconds=SECONDS, seed=SEED, engine="espeak", captured=args.captured,
                       nobody=NOBODY, damage=DAMAGE)
    data = build_from_subject(args.work, plan, report=show)
    config = preset("demo") if args.steps is None else replace(preset("demo"), steps=args.steps)
    config = replace(config, **{name: json.loads(value) for name, value in (change.split("=") for change in args.set)})
    atom = train_atom(data, args.out, config, seed=args.seed, device=args.device, half=True, report=show,
                      log_folder=args.out.with_name(f"{args.out.stem}_log"), licence=LICENCE, start_from=args.start_from)
    if args.start_from is not None and args.average < 1:
        average(atom, load_atom(args.start_from), args.average)
    atom.config = replace(atom.config, shown="mean", mouth_noise=MOUTH_NOISE)
    save_atom(atom, args.out, half=True)
    print(f"\n{args.out}\n{atom}")


def average(atom, other, part: float) -> None:
    """`atom` becomes the mean of two networks of one descent, in place."""
    old, new = other.denoiser.state_dict(), atom.denoiser.state_dict()
    atom.denoiser.load_state_dict({name: value * part + old[name] * (1 - part) if value.is_floating_point() else value
                                   for name, value in new.items()})


def show(done: int, total: int, info, preview) -> None:
    figures = "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in info.items())
    print(f"\r{done}/{total}  {figures}"[:120].ljust(120), end="", flush=True)


if __name__ == "__main__":
    main()
