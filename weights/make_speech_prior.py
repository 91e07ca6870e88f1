"""The one command that made weights/speech_prior.safetensors: `python weights/make_speech_prior.py`.

The 37 voices of `voice_bank.py` read 80 s each of random sentences, and for 160 s nobody speaks; the action units are those of
the synthetic subject's articulation. A damaged copy of each voice is heard now and then. No image is rendered. Needs espeak-ng,
flite and festival (`voice_bank.py` names the packages).
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from make_demo_avatar import ROOT, load_package, show
from voice_bank import mixed

SECONDS, FIRST_SEED = 80.0, 5000
NOBODY, NOBODY_SECONDS = 4, 40.0  # clips
DAMAGED, SILENT = .15, .06  # fractions of what is drawn: damaged copies of speech, and clips in which nobody speaks
LIPS_SHUT = ("p", "b", "m", "pF")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "speech_prior.safetensors")
    parser.add_argument("--steps", type=int)
    args = parser.parse_args()
    load_package()
    from talking_heads.hmtalker_core.training.prior import STEPS, train_prior
    from talking_heads.host.speech_programs import add_speech_programs

    add_speech_programs()
    clips = []
    for index, voice in enumerate(mixed()):
        clips += spoken(voice, FIRST_SEED + index)
        print(f"\r{voice:40}", end="", flush=True)
    clips += [unspoken(FIRST_SEED + len(mixed()) + index) for index in range(NOBODY)]
    train_prior(clips, args.out, "mel", steps=args.steps or STEPS, report=show)


def spoken(voice: str, seed: int) -> Iterator:  # of SpokenClip
    """A voice, and the same damaged."""
    import numpy as np
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.subject import perform
    from talking_heads.media_core.subject.damage import RATE, damaged_in_parts

    performance = perform(SECONDS, seed, voice=voice, engine="espeak")
    damaged = damaged_in_parts(performance.sound.mono(RATE), 1.0, np.random.default_rng([seed, 8]))
    speech = 1 - SILENT
    yield clip_of(performance, performance.sound, speech * (1 - DAMAGED) / len(mixed()))
    yield clip_of(performance, Sound(damaged[None], RATE), speech * DAMAGED / len(mixed()))


def unspoken(seed: int):  # -> SpokenClip
    """Sounds in which nobody speaks, and a mouth at rest."""
    import numpy as np
    from talking_heads.media_core.audio import FPS, Sound, frame_count
    from talking_heads.media_core.subject import perform
    from talking_heads.media_core.subject.articulation import resting
    from talking_heads.media_core.subject.damage import RATE, nobody
    from talking_heads.media_core.subject.performance import Heard

    sound = Sound(nobody(NOBODY_SECONDS, np.random.default_rng([seed, 7]))[None], RATE)
    mouth = resting(frame_count(sound.duration, FPS))
    return clip_of(perform(None, seed, heard=Heard(sound, mouth, FPS, "")), sound, SILENT / NOBODY)


def clip_of(performance, sound, often: float):  # -> SpokenClip
    import torch
    from talking_heads.hmtalker_core.training.prior import SpokenClip
    from talking_heads.media_core.speech import encode_speech
    from talking_heads.media_core.subject.articulation import bare

    au = torch.as_tensor(performance.au, dtype=torch.float32)
    shut = torch.zeros(len(au), dtype=torch.bool)
    for name, start, end in performance.phonemes:
        if bare(name) in LIPS_SHUT:
            shut[int(start * performance.fps):int(end * performance.fps) + 1] = True
    features = encode_speech(sound).frame_windows(performance.fps, 0, len(au))
    return SpokenClip(features.half(), au, shut=shut, often=often)


if __name__ == "__main__":
    main()
