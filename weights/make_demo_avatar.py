"""The one command that made the demo files: `python weights/make_demo_avatar.py`.

Speaks the demo speech, films 66 s of synthetic identity 3 (60 s train, 6 s are held out) and trains
weights/demo_avatar.safetensors with the `demo` preset on the CPU. Needs espeak-ng (Debian package, or `pip install
espeakng-loader`).
"""
from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SECONDS, SEED, SIZE, IDENTITY = 66.0, 11, 256, 3
SPEECHES = {
    "demo_speech.wav": ["Hello. I am a synthetic person, made of a few thousand coloured blobs.",
                        "Nobody filmed me saying these words; my mouth follows the sound alone.",
                        "Please bring five brown boxes before the market opens, and mind the blue boat."],
    "demo_speech_short.wav": ["Bob popped the bubble, and Maya laughed out loud."],
    "batch/take1.wav": ["Welcome to the show."],
    "batch/take2.wav": ["The weather will be warm and fair."],
    "batch/take3.wav": ["Thank you, and good night."],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "output" / "demo_avatar", help="folder of the training film")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=float, default=1.0, help="multiplies the preset's")
    parser.add_argument("--start-from", type=Path, help="an avatar of the same person, to go on with (`started_avatar.py`)")
    parser.add_argument("--prior", type=Path, help="a speech prior, instead of the shipped one")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--only-speech", action="store_true", help="speak the demo speech and stop")
    args = parser.parse_args()
    load_package()
    speak()
    if args.only_speech:
        return
    from talking_heads.hmtalker_core.training.prior import SHIPPED
    from talking_heads.hmtalker_core.training.train_avatar import train_avatar
    from talking_heads.media_core.subject import export_dataset

    film = export_dataset(args.work, SECONDS, SEED, size=SIZE, identity=IDENTITY, engine="espeak", report=show)
    prior = args.prior or SHIPPED
    if args.start_from is not None:
        avatar = continued(args, film, prior)
    else:
        avatar = train_avatar(film, args.out, preset=args.preset, steps=args.steps, device=args.device, speech_prior=prior,
                              report=show, log_folder=args.work.with_name(f"{args.work.name}_log"))
    print(f"\nheld-out frames: {avatar.config['quality']}")


def continued(args: argparse.Namespace, film: Path, prior: Path):  # -> Avatar
    """The avatar of `--start-from` with a newer speech prior, trained on and saved."""
    import torch
    from started_avatar import started
    from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
    from talking_heads.hmtalker_core.data.dataset import AvatarDataset
    from talking_heads.hmtalker_core.training.batches import open_clip
    from talking_heads.hmtalker_core.training.config import preset
    from talking_heads.hmtalker_core.training.finish import build_avatar, held_out_quality
    from talking_heads.media_core.progress import silent
    from talking_heads.media_core.speech import opened

    clip = open_clip(AvatarDataset.open(film), opened("mel"), torch.device(args.device), silent)
    run = started(load_avatar(args.start_from), clip, preset(args.preset).scaled(args.steps), (prior, "mel"))
    while run.step < run.steps:
        show(run.step + 1, run.steps, run.train_step(), None)
    avatar = build_avatar(run)
    avatar = avatar.with_config(speech_prior=True, quality=held_out_quality(avatar, clip))
    save_avatar(avatar, args.out)
    return avatar


def load_package() -> None:
    """Makes `talking_heads` importable from a plain clone."""
    if importlib.util.find_spec("talking_heads") is None:
        spec = importlib.util.spec_from_file_location("talking_heads", ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        sys.modules["talking_heads"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def speak() -> None:
    """demo/*.wav and demo/batch/*.wav, 16-bit mono at the voice's own rate."""
    import soundfile
    from talking_heads.media_core.files import atomic_path
    from talking_heads.media_core.subject import perform

    for name, text in SPEECHES.items():
        sound = perform(None, 1, text=text, engine="espeak").sound
        with atomic_path(ROOT / "demo" / name) as path:
            soundfile.write(path, np.clip(sound.waveform[0], -1, 1), sound.sample_rate, subtype="PCM_16", format="WAV")


def show(done: int, total: int, info, preview) -> None:
    if done % 50 == 0 or done == total:
        figures = " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in info.items())
        print(f"\r{done}/{total} {figures}    ", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
