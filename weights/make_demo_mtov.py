"""One command for an MToV like weights/demo_mtov.safetensors, which was made stage by stage (weights/README.md says how).

    python weights/make_demo_mtov.py

Builds short films of invented people (identities from 1000 on; benchmarks use smaller numbers), 128 px, and trains three stages
of the preset `demo` on the CPU: the autoencoder of pictures (three times: `MOUTH` looks at mouths that move, `DRAWN` teaches its
decoder alone to draw latents that are not quite right), that of landmarks, and the diffusion between them. Every step goes on
where it was stopped; what a stage made stays in the work folder. About five hours of one core, summed up from its parts: one for
the pictures, half an hour for the landmarks, the rest for the diffusion and the latents that it learns from. But for the changed
settings of `MOUTH` and `DRAWN`, the commands, one by one, are

    talking-heads dataset motion WORK/data --subject --frames 128 --people 130 --seconds 10 --seed 7000 --engine espeak
    talking-heads train mtov WORK/data WORK/rgb.safetensors --stage rgb
    talking-heads train mtov WORK/data WORK/mouth.safetensors --stage rgb --rgb WORK/rgb.safetensors
    talking-heads train mtov WORK/data WORK/drawn.safetensors --stage rgb --rgb WORK/mouth.safetensors --decoder-only
    talking-heads train mtov WORK/data WORK/landmarks.safetensors --stage landmarks --rgb WORK/drawn.safetensors
    talking-heads train mtov WORK/data demo_mtov.safetensors --stage diffusion --half --rgb WORK/drawn.safetensors \\
        --landmarks WORK/landmarks.safetensors

With `--start-from FILE` an MToV learns more people: the decoder of its images alone (`AGAIN`) and its diffusion (`MORE`), while
what a latent means stays; `--mixed` averages the result with it (weights/README.md says how the shipped file was made so):

    python -m talking_heads.weights.base_faces FACES SOURCES
    python weights/make_demo_mtov.py --faces FACES --people 328 --warps 110 --seconds 1.6 --start-from OLD.safetensors \\
        --steps 0.5 --mixed 0.75

Needs espeak-ng (Debian package, or `pip install espeakng-loader`).
"""
from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from make_demo_avatar import ROOT, load_package

LICENCE = "Apache-2.0, as the code: the people are invented"
SEED = 7000  # of the performances
MOUTH = dict(steps=700, lr=1e-3, warm_up=30, mouth=14.0, lively=3, still_steps=0, still_every=5, penalty=0.005)
DRAWN = dict(steps=4000, lr=1e-3, warm_up=30, mouth=14.0, lively=3, still_steps=0, still_every=4, penalty=0.0, latent_noise=0.05,
             decoder_only=True)
AGAIN = dict(DRAWN, lr=8e-4, lively=2, still_every=3)  # with --start-from
MORE = dict(steps=4000, lr=6e-4, warm_up=30, cache=4800)
PEOPLE, SECONDS, FIRST = 130, 10.0, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "demo_mtov", help="folder of the data set and the stages")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "demo_mtov.safetensors")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--faces", type=Path, help="folder of base faces (base_faces.py): people are invented over them all")
    parser.add_argument("--warps", type=int, default=0, help="with --faces: so many more people, warps of the subject's portrait")
    parser.add_argument("--start-from", type=Path, help="an MToV that learns more people")
    parser.add_argument("--mixed", type=float, default=1.0, help="with --start-from: how much of what was learnt goes in")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of them")
    parser.add_argument("--gan", action="store_true", help="sharpen the pictures before the landmarks (the demo does without)")
    parser.add_argument("--steps", type=float, default=1.0, help="times the preset's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch")
    args = parser.parse_args()
    load_package()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    from talking_heads.moditalker_core.data.from_subject import SubjectPlan, build_from_subject
    from talking_heads.moditalker_core.data.images import PictureSettings
    from talking_heads.moditalker_core.data.portraits import usable_photos
    from talking_heads.moditalker_core.mtov.train_config import preset

    size = preset(args.preset, "rgb").autoencoder.height
    photos, skipped = usable_photos(args.faces, show) if args.faces else ((), [])

    plan = SubjectPlan(tuple(range(FIRST, FIRST + args.people + args.warps)), seconds=args.seconds, seed=SEED, engine="espeak",
                       pictures=PictureSettings(size), portraits=photos, warps=args.warps)
    data = build_from_subject(args.work / "data", plan, skipped=skipped, report=show)
    print(f"\n{args.out}\n{continued(args, data) if args.start_from else train(args, data)}")


def train(args: argparse.Namespace, data: Path):
    """The stages, one after another; finished ones are taken as they are."""
    from talking_heads.moditalker_core.mtov.training import preset, train_mtov

    files = {stage: args.work / f"{stage}.safetensors" for stage in ("rgb", "mouth", "drawn", "gan", "landmarks")}
    pictures = files["gan" if args.gan else "drawn"]
    given = {"rgb": {}, "mouth": {"rgb": files["rgb"]}, "drawn": {"rgb": files["mouth"]}, "gan": {"rgb": files["drawn"]},
             "landmarks": {"rgb": pictures}, "diffusion": {"rgb": pictures, "landmarks": files["landmarks"]}}
    for stage in ("rgb", "mouth", "drawn", *(["gan"] if args.gan else []), "landmarks", "diffusion"):
        out = files.get(stage, args.out)
        if stage in files and out.is_file():
            continue
        kind, changes = {"mouth": ("rgb", MOUTH), "drawn": ("rgb", DRAWN)}.get(stage, (stage, {}))
        config = replace(preset(args.preset, kind), **changes)
        config = replace(config, steps=max(1, round(config.steps * args.steps)))
        made = train_mtov(kind, data, out, config, seed=args.seed, device=args.device, half=stage == "diffusion", report=show,
                          log_folder=args.work / f"{stage}_log", licence=LICENCE, **given[stage])
        print(f"\n{stage}: {out}", flush=True)
    return made


def continued(args: argparse.Namespace, data: Path):
    """The decoder of an MToV's images and its diffusion, with more people; all else stays as it is."""
    from talking_heads.moditalker_core.mtov.checkpoints import load_mtov, save_autoencoder
    from talking_heads.moditalker_core.mtov.training import preset, train_mtov

    start, known = args.work / "start.safetensors", load_mtov(args.start_from)
    drawn = args.work / "drawn_again.safetensors"
    save_autoencoder(known.rgb, start, role="rgb")
    common = {"seed": args.seed, "device": args.device, "report": show, "licence": LICENCE}

    def settings(kind: str, changes: dict):
        config = replace(preset(args.preset, kind), **changes)
        return replace(config, steps=max(1, round(config.steps * args.steps)))

    if not drawn.is_file():
        train_mtov("rgb", data, drawn, settings("rgb", AGAIN), rgb=start, log_folder=args.work / "drawn_again_log", **common)
    learnt = args.out if args.mixed == 1 else args.work / "learnt.safetensors"
    made = train_mtov("diffusion", data, learnt, settings("diffusion", MORE), rgb=drawn, mtov=args.start_from, half=True,
                      log_folder=args.work / "more_log", **common)
    return made if learnt == args.out else mixed(known, made, args.mixed, args.out)


def mixed(known, learnt, share: float, out: Path):
    """The mean of two MToVs, `share` of the second: what it learnt, without all that the first one forgot in it."""
    from talking_heads.moditalker_core.mtov.checkpoints import load_mtov, save_mtov

    for name, network in learnt.networks.items():
        old = known.networks[name].state_dict()
        network.load_state_dict({key: old[key].lerp(value, share) if value.is_floating_point() else value
                                 for key, value in network.state_dict().items() if key in old}, strict=False)
    return load_mtov(save_mtov(learnt, out, half=True))


def show(done: int, total: int, info, preview) -> None:
    figures = "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in info.items())
    print(f"\r{done}/{total}  {figures}"[:120].ljust(120), end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
