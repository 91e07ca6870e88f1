"""Where a real person's avatar loses its decibels, and what bounds it: error by region, what a perfect registration or colour
gain would give, and how well the nearest training frame itself does.

    python benchmarks/real_avatar_bounds.py DATASET... [--avatar FILE...] [--every 3]

Run `real_avatar.py` first: DATASET is a folder in its work folder, the avatar lies beside it unless it is given. Every third
held-out frame is looked at. *Registered*: the rendered head, shifted, turned and scaled so that it fits the filmed one best
(Gauss-Newton, with the film in hand). *Nearest training frame*: the best of a third of them, laid over the held-out one by the
same kind of motion from its landmarks, then registered by an affine motion: what copying could reach. Writes
benchmarks/results/real_avatar_bounds.md.
"""
from __future__ import annotations

import argparse
import platform
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import torch
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from real_avatar import filmed, head_mask, over_film
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import Clip, open_clip
from talking_heads.hmtalker_core.training.finish import motion_of_frames
from talking_heads.media_core.face.geometry import RIGID
from talking_heads.media_core.progress import silent

RIM = 9  # px, of the ellipse that the mask is eroded by
CANDIDATES, STEPS = 3, 12  # training frames registered; Gauss-Newton steps
ROWS = ("head", "face", "hair", "rim (4 px inside the outline)", "share of the squared error in the rim", "all but the rim",
        "head, registered", "head, best colour gain", "head of training frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--avatar", type=Path, nargs="*", default=[], help="one for each dataset; default: beside it")
    parser.add_argument("--every", type=int, default=3, help="one held-out frame in so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = ["# What bounds avatars of real people", "",
             f"{date.today().isoformat()}, {platform.machine()}, torch {torch.__version__}; `python "
             f"benchmarks/real_avatar_bounds.py --every {args.every}`. PSNR in dB against the film, mean over held-out "
             "frames; regions are the data set's own.", ""]
    for i, folder in enumerate(args.datasets):
        path = args.avatar[i] if i < len(args.avatar) else folder.with_suffix(".safetensors")
        lines += [f"## {folder.name}", "", "| figure | value |", "|---|---|"]
        lines += [f"| {name} | {value:.4g} |" for name, value in figures(folder, path, args.every).items()] + [""]
    text = "\n".join(lines).rstrip() + "\n"
    print(text)
    results_folder().joinpath("real_avatar_bounds.md").write_text(text, encoding="utf-8")


def figures(folder: Path, path: Path, every: int) -> dict[str, float]:
    data = AvatarDataset.open(folder)
    held_out, learned = [int(f) for f in data.val_index], [int(f) for f in data.train_index]
    found: dict[str, float] = {}
    if path.exists():
        avatar = load_avatar(path)
        clip = open_clip(data, avatar.encoder, torch.device("cpu"), silent)
        rendered = by_region(clip, held_out[::every], avatar)
        trained = by_region(clip, learned[-len(held_out)::every], avatar)
        found = {name: rendered[name] for name in ROWS[:-1]} | {ROWS[-1]: trained["head"]}
    else:
        clip = open_clip(data, "mel", torch.device("cpu"), silent)
    return found | nearest(clip, held_out[::every], learned[::every]) | {
        "held-out frames turned beyond all training frames": beyond(data.poses, held_out, learned)}


def by_region(clip: Clip, frames: list[int], avatar) -> dict[str, float]:
    made = over_film(avatar, clip, motion_of_frames(avatar, clip, frames), frames)
    rows = []
    for index, image in zip(frames, made, strict=True):
        truth, frame, head = filmed(clip, index), clip.dataset.frame(index), head_mask(clip, index)
        error = ((truth - image) ** 2).mean(-1)
        inner = cv2.erode(head.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (RIM, RIM))) > 0
        rim = head & ~inner
        wide = np.concatenate([image[head], np.ones((head.sum(), 1), np.float32)], 1)
        gained = wide @ np.linalg.lstsq(wide, truth[head], rcond=None)[0]
        rows.append([*(psnr(error[mask].mean()) for mask in (head, frame.face_mask, frame.hair_mask, rim)),
                     error[rim].sum() / error[head].sum(), psnr(error[inner].mean()),
                     psnr(registered(truth, image.astype(np.float32), head, affine=False)[0]),
                     psnr(((gained - truth[head]) ** 2).mean())])
    return dict(zip(ROWS, np.mean(rows, 0).tolist(), strict=False))


def nearest(clip: Clip, frames: list[int], learned: list[int]) -> dict[str, float]:
    """How well the best training frame, laid over a held-out one, does."""
    rows, landmarks = [], np.ascontiguousarray(clip.dataset.landmarks[:, list(RIGID)])
    images = {f: filmed(clip, f) for f in learned}
    for index in frames:
        truth, head = filmed(clip, index), head_mask(clip, index)
        laid = []
        for other in learned:
            motion, _ = cv2.estimateAffinePartial2D(landmarks[index], landmarks[other], method=cv2.LMEDS)
            flat = cv2.warpAffine(images[other], motion, head.shape[::-1], borderMode=cv2.BORDER_REPLICATE,
                                  flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            laid.append((float(((truth - flat)[head] ** 2).mean()), other, flat))
        laid.sort(key=lambda row: row[0])
        fitted = min(registered(truth, flat, head, affine=True)[0] for _, _, flat in laid[:CANDIDATES])
        rows.append([psnr(laid[0][0]), psnr(fitted)])
    return dict(zip(("nearest training frame, by landmarks", "nearest training frame, registered"), np.mean(rows, 0).tolist()))


def registered(truth: np.ndarray, made: np.ndarray, mask: np.ndarray, *, affine: bool) -> tuple[float, np.ndarray]:
    """Mean squared error inside `mask` after the best motion of `made`, and the moved image; similarities unless `affine`."""
    ys, xs = np.mgrid[:mask.shape[0], :mask.shape[1]].astype(np.float32)
    cx, cy = xs[mask].mean(), ys[mask].mean()
    right, down = (xs - cx)[mask][:, None], (ys - cy)[mask][:, None]
    p, best, image = np.zeros(6), (np.inf, made), made
    for _ in range(STEPS):
        across = ((1 + p[0]) * (xs - cx) + p[1] * (ys - cy) + cx + p[4]).astype(np.float32)
        along = (p[2] * (xs - cx) + (1 + p[3]) * (ys - cy) + cy + p[5]).astype(np.float32)
        image = cv2.remap(made, across, along, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        error = float(((truth - image)[mask] ** 2).mean())
        if error < best[0]:
            best = error, image
        gx, gy = (cv2.Sobel(image, cv2.CV_32F, *order, scale=1 / 8)[mask] for order in ((1, 0), (0, 1)))
        columns = [gx * right, gx * down, gy * right, gy * down, gx, gy]
        if not affine:
            columns = [columns[0] + columns[3], columns[2] - columns[1], gx, gy]
        jacobian = np.stack([column.ravel() for column in columns], 1)
        move = np.linalg.solve(jacobian.T @ jacobian + 1e-6 * np.eye(len(columns)), jacobian.T @ (truth - image)[mask].ravel())
        p += move if affine else np.array([move[0], -move[1], move[1], move[0], move[2], move[3]])
    return best


def beyond(poses: np.ndarray, held_out: list[int], learned: list[int]) -> float:
    """Share of held-out frames that look farther up, down or to a side than any training frame."""
    looks = poses[:, :2, 2]
    low, high = looks[learned].min(0), looks[learned].max(0)
    return float(((looks[held_out] < low) | (looks[held_out] > high)).any(1).mean())


def psnr(error: float) -> float:
    return -10 * float(np.log10(max(float(error), 1e-10)))


if __name__ == "__main__":
    main()
