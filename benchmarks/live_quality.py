"""What hearing live costs: the lips of an avatar on 10 s of unseen sentences, with its own audio nets and with causal ones.

    python benchmarks/live_quality.py [--work FOLDER] [--avatar FILE] [--causal NETS] [--write]

Datasets, protocol and meters are those of `avatar_quality.py` (which makes the datasets in the same folder). "Heard live" is the
motion of a stream: level, gate and all; the others have no gate, as there. "Delayed" is what an avatar with centred windows shows
if it may wait no longer than a causal one: its lips of 0.12 s before.
"""
from __future__ import annotations

import argparse
import platform
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from avatar_quality import (
    TEST_SECONDS,
    TEST_SEED,
    TRAIN_SECONDS,
    TRAIN_SEED,
    filmed,
    lip_mask,
    lip_meter,
    mean_psnr,
    render,
)
from common import ROOT, results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.avatar import Avatar, AvatarMotion
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.causal import with_causal
from talking_heads.hmtalker_core.training.finish import motion_of_frames
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.metrics import correlation, lip_aperture
from talking_heads.media_core.progress import silent
from talking_heads.media_core.subject import export_dataset

AHEAD = 3  # frames that a causal window does not see
LAGS = range(-5, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_avatar"))
    parser.add_argument("--avatar", type=Path, default=ROOT / "weights" / "demo_avatar.safetensors")
    parser.add_argument("--causal", type=Path, default=ROOT / "weights" / "demo_avatar_causal.safetensors")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, test = (export_dataset(args.work / name, seconds, seed, size=256, identity=3) for name, seconds, seed in
                   (("train", TRAIN_SECONDS, TRAIN_SEED), ("test", TEST_SECONDS, TEST_SEED)))
    learned, own = opened(train), opened(test)
    lips, opening = lip_meter(learned), np.asarray(lip_aperture(own.dataset.landmarks))
    truth = [filmed(own, f) for f in range(len(own.dataset))]
    rows = []
    for name, avatar, motion in motions(load_avatar(args.avatar), args.causal, own):
        frames = render(avatar, own, motion)
        seen = lips(frames, own.viewmats.numpy(), own.dataset.focal)
        lag = max(LAGS, key=lambda k: correlation(np.roll(seen, -k)[8:-8], opening[8:-8]))
        rows.append((name, correlation(seen, opening), mean_psnr({"filmed": truth, "made": frames}, "made", own, lip_mask),
                     float(np.std(seen) / np.std(opening)), lag))
        print(rows[-1], flush=True)
    text = report(rows)
    print(text)
    if args.write:
        results_folder().joinpath("live_quality.md").write_text(text, encoding="utf-8")


def opened(folder: Path) -> Clip:
    return open_clip(AvatarDataset.open(folder, size=256), "mel", torch.device("cpu"), silent)


def motions(avatar: Avatar, nets: Path, own: Clip) -> list[tuple[str, Avatar, AvatarMotion]]:
    """(what it is, avatar, motion) of every row."""
    frames = list(range(len(own.dataset)))
    causal, out = with_causal(avatar, nets), []
    for kind, one, clip in (("centred", avatar, own), ("causal", causal, replace(own, window="causal"))):
        motion = motion_of_frames(one, clip, frames)
        live = AvatarStream(one).recorded(load_sound(own.dataset.sound_path).mono(16000))
        count = min(len(live), len(frames))
        heard = replace(motion, codes=motion.codes.clone(), mouth_codes=motion.mouth_codes.clone())
        heard.codes[:count], heard.mouth_codes[:count] = live.codes[:count], live.mouth_codes[:count]
        out += [(f"{kind} windows", one, motion), (f"{kind} windows, heard live", one, heard)]
    whole = out[0][2]
    at = (torch.arange(len(frames)) - AHEAD).clamp_min(0)
    return [*out, ("centred windows, delayed", avatar, replace(whole, codes=whole.codes[at], mouth_codes=whole.mouth_codes[at]))]


def report(rows: list[tuple[str, float, float, float, int]]) -> str:
    lost = rows[0][1] - rows[2][1]
    return "\n".join([
        "# Live quality", "",
        f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python benchmarks/live_quality.py`; "
        "synthetic identity 3, 256 px, 10 s of unseen sentences. Synthetic people only: these figures compare versions of this "
        "code.", "",
        "| audio nets | lip-aperture correlation | lip rectangle, dB | movement over the video's | best lag, frames |",
        "|---|---|---|---|---|",
        *(f"| {name} | {r:.3f} | {psnr:.2f} | {size:.2f} | {lag:+d} |" for name, r, psnr, size, lag in rows), "",
        f"Causal windows lose {lost:.3f} of the lips' correlation; a centred avatar that waits no longer loses "
        f"{rows[0][1] - rows[4][1]:.3f}."]) + "\n"


if __name__ == "__main__":
    main()
