"""Where the fused features of the rows of `ablation.py` lie when speech drives them and when the video's own action units do:
figures 4 and 8 of the paper, on the synthetic subject.

    python benchmarks/ablation_tsne.py --work FOLDER [--preset demo] [--steps 1500] [--size 128]

For every avatar that `ablation.py` has left in the folder (its first seed): the fused code of each frame of the test clip in its
own voice, once by the path of speech alone (blue) and once by the path of measured action units (red), both in one map (exact
t-SNE, van der Maaten and Hinton 2008). Beside each map: how far a frame's two codes lie apart, of the distance of two codes of
different frames; 0 is complete agreement, 1 none. Writes benchmarks/results/ablation_tsne.png and prints the figures.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from ablation import ROWS, figures_file
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.media_core.progress import silent

SIDE, MARGIN, COLUMNS = 320, 24, 3  # px, px, maps beside each other
SPEECH, VIDEO = (200, 90, 20), (20, 60, 220)  # BGR of the two paths
PERPLEXITY, ROUNDS, RATE = 30.0, 500, 200.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="the folder of ablation.py")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--size", type=int, default=128, metavar="PX")
    args = parser.parse_args()
    maps = []
    for row, (settings, *_) in ROWS.items():
        path = figures_file(args, row, 0).with_suffix(".safetensors")
        if path.is_file() and "cue" not in settings:
            speech, video = codes(path, args.work / "own_voice")
            apart = separation(speech, video)
            print(f"{row}: {apart:.2f}", flush=True)
            maps.append(drawn(f"{row}: {apart:.2f}", tsne(np.concatenate([speech, video])), len(speech)))
    if not maps:
        raise SystemExit(f"no avatar of ablation.py in {args.work} with these steps and this size")
    maps += [np.full_like(maps[0], 255)] * (-len(maps) % COLUMNS)
    sheet = np.vstack([np.hstack(maps[i:i + COLUMNS]) for i in range(0, len(maps), COLUMNS)])
    cv2.imwrite(str(results_folder() / "ablation_tsne.png"), sheet)


def codes(avatar_file: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The fused codes of a clip's frames by speech, and by the video's action units: [F, 32] each."""
    avatar = load_avatar(avatar_file)
    clip = open_clip(AvatarDataset.open(folder), avatar.encoder, torch.device("cpu"), silent)
    frames = torch.arange(len(clip.dataset))
    with torch.inference_mode():
        windows, lower = clip.windows(frames), clip.lower[frames]
        both = [avatar.face_net.codes(windows, lower, path)["c_fused"] for path in ("audio", "vanilla")]
    speech, video = (code.numpy().astype(np.float64) for code in both if code is not None)
    return speech, video


def separation(a: np.ndarray, b: np.ndarray) -> float:  # [F, D] each
    """Median distance of a frame's two codes, of the median distance between codes of different frames."""
    both = np.concatenate([a, b])
    return float(np.median(np.linalg.norm(a - b, axis=1)) / np.median(distances(both)[np.triu_indices(len(both), 1)]))


def distances(points: np.ndarray) -> np.ndarray:  # [N, D] -> [N, N]
    square = (points ** 2).sum(1)
    return np.sqrt(np.maximum(square[:, None] + square - 2 * points @ points.T, 0))


def tsne(points: np.ndarray) -> np.ndarray:  # [N, D] -> [N, 2]
    """Exact t-SNE, from the first two principal axes: the same points give the same map."""
    near = _joint(distances(points) ** 2)
    centred = points - points.mean(0)
    at = (centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T)
    at *= 1e-2 / max(float(at.std()), 1e-12)
    speed, gain = np.zeros_like(at), np.ones_like(at)
    for turn in range(ROUNDS):
        kernel = 1 / (1 + distances(at) ** 2)
        np.fill_diagonal(kernel, 0)
        pull = (near * (12 if turn < 100 else 1) - np.maximum(kernel / kernel.sum(), 1e-12)) * kernel
        slope = 4 * (pull.sum(1)[:, None] * at - pull @ at)
        gain = np.maximum(np.where(np.sign(slope) == np.sign(speed), gain * .8, gain + .2), .01)
        speed = (.5 if turn < 100 else .8) * speed - RATE * gain * slope
        at = at + speed
        at -= at.mean(0)
    return at


def _joint(squared: np.ndarray) -> np.ndarray:  # [N, N] -> [N, N], sums to 1
    """How likely two points are neighbours: each one's bell is as wide as gives it `PERPLEXITY` of them."""
    out, wanted = np.zeros_like(squared), np.log(min(PERPLEXITY, (len(squared) - 1) / 3))
    for i, row in enumerate(squared):
        others, low, high, sharp = np.delete(row, i), 0.0, np.inf, 1 / max(float(np.median(row)), 1e-12)
        for _ in range(60):
            weight = np.exp(-(others - others.min()) * sharp)
            share = weight / weight.sum()
            entropy = -float((share * np.log(np.maximum(share, 1e-300))).sum())
            if abs(entropy - wanted) < 1e-5:
                break
            low, high = (sharp, high) if entropy > wanted else (low, sharp)
            sharp = sharp * 2 if high == np.inf else (low + high) / 2
        out[i, np.arange(len(row)) != i] = share
    return np.maximum((out + out.T) / (2 * len(out)), 1e-12)


def drawn(title: str, at: np.ndarray, count: int) -> np.ndarray:  # [N, 2] -> uint8 [SIDE, SIDE, 3]
    """The map; the first `count` points are speech's."""
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    low, high = at.min(0), at.max(0)
    places = (at - low) / np.maximum(high - low, 1e-9) * (SIDE - 2 * MARGIN) + MARGIN
    for number, (x, y) in enumerate(places):
        cv2.circle(image, (round(16 * x), round(16 * y)), 40, SPEECH if number < count else VIDEO, -1, cv2.LINE_AA, 4)
    cv2.putText(image, title, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, .38, (0, 0, 0), 1, cv2.LINE_AA)
    return image


if __name__ == "__main__":
    main()
