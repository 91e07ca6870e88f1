"""The one command that made weights/demo_avatar_causal.safetensors: `python weights/make_causal_avatar.py`.

The audio nets of the causal variant of an avatar, learnt from the voices of `voice_bank.py`, who read 40 s of random sentences
each (`hmtalker_core/training/causal.py`). No image is rendered. Needs espeak-ng, flite and festival.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from make_demo_avatar import ROOT, load_package, show
from voice_bank import mixed

SECONDS, FIRST_SEED = 40.0, 7000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "demo_avatar_causal.safetensors")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--voices", type=int, default=len(mixed()), help="how many of them speak")
    args = parser.parse_args()
    load_package()
    from talking_heads.hmtalker_core.checkpoints import load_avatar
    from talking_heads.hmtalker_core.training.causal import STEPS, causal_variant, save_causal
    from talking_heads.host.speech_programs import add_speech_programs
    from talking_heads.media_core.speech import encode_speech
    from talking_heads.media_core.subject import perform

    add_speech_programs()
    speeches = []
    for index, voice in enumerate(mixed()[:args.voices]):
        speeches.append(encode_speech(perform(SECONDS, FIRST_SEED + index, voice=voice, engine="espeak").sound))
        print(f"\r{voice:40}", end="", flush=True)
    avatar = load_avatar(args.avatar)
    variant = causal_variant(avatar, speeches, steps=args.steps or STEPS, report=show)
    save_causal(variant, avatar, args.out)


if __name__ == "__main__":
    main()
