"""Makes weights/avatar_prior.safetensors: motion nets of eight synthetic people at once (hmtalker_core/training/start.py).

    python weights/make_avatar_prior.py [--out FILE] [--work FOLDER] [--steps N]

Every person is the synthetic subject with proportions, voice and sentences of their own (identities 20 to 27); those that the
benchmarks test on (3, 5, 7) are not among them.
"""
from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from common import progress_line, talking_heads  # noqa: E402, F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.hmtalker_core.training.config import preset
from talking_heads.hmtalker_core.training.prior import SHIPPED as SPEECH
from talking_heads.hmtalker_core.training.start import SHIPPED, train_prior
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset

PEOPLE, SECONDS, SIZE = range(20, 28), 12.0, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--work", type=Path, default=Path("output/avatar_prior"), help="folder for the datasets")
    parser.add_argument("--steps", type=int, default=2000, help="of each person (default: 2000)")
    args = parser.parse_args()
    torch.manual_seed(0)
    clips = {}
    for identity in PEOPLE:
        folder = args.work / str(identity)
        if not folder.exists():
            export_dataset(folder, SECONDS, 100 + identity, size=SIZE, identity=identity)
        data = AvatarDataset.open(folder)
        clips[f"synthetic identity {identity}"] = open_clip(data, "mel", torch.device("cpu"), silent)
    demo = preset("demo")
    config = replace(demo, fuse_steps=0, warmup_steps=50).with_steps(args.steps)
    print(train_prior(clips, args.out, config, speech_prior=(SPEECH, "mel"), report=progress_line()))


if __name__ == "__main__":
    main()
