"""The one command that made weights/speech_prior.safetensors: `python weights/make_speech_prior.py`.

Twelve espeak-ng voices (not the voice of the demo subject) read two minutes each of random sentences; the action units are
those of the synthetic subject's articulation. No picture is rendered. Needs espeak-ng (Debian package, or `pip install
espeakng-loader`).
"""
from __future__ import annotations

import argparse
from pathlib import Path

from make_demo_avatar import ROOT, load_package, show

VOICES = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f4", "f5", "m8")
SECONDS, FIRST_SEED, STEPS = 120.0, 5000, 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "speech_prior.safetensors")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    load_package()
    import torch
    from talking_heads.hmtalker_core.training.prior import SpokenClip, train_prior
    from talking_heads.media_core.speech import encode_speech
    from talking_heads.media_core.subject import perform

    clips = []
    for index, voice in enumerate(VOICES):
        performance = perform(SECONDS, FIRST_SEED + index, voice=f"en-us+{voice}", engine="espeak")
        au = torch.as_tensor(performance.au, dtype=torch.float32)
        clips.append(SpokenClip(encode_speech(performance.sound).frame_windows(performance.fps, 0, len(au)), au))
    train_prior(clips, args.out, "mel", steps=args.steps, report=show)


if __name__ == "__main__":
    main()
