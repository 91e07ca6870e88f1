"""What benchmarks/mtov.py measures on finished frames. Pictures uint8 [T, S, S, 3]; a Film is the truth with its landmarks."""
from __future__ import annotations

import numpy as np
import torch
from mtov_films import Film, mouths
from talking_heads.media_core.face.landmarks.landmarks import FaceTracker
from talking_heads.media_core.metrics import correlation, lip_aperture, psnr, ssim
from talking_heads.moditalker_core.mtov.generation import clip_plan, to_uint8
from talking_heads.moditalker_core.mtov.model import MToV, MToVConfig

_EDGE = 32  # px repeated around a crop before it is tracked: the tracker looks for heads with something around them
_REACH = (0.42, 0.08, 0.85)  # of the eyes' distance: the meter's box to each side of the nose's base, from and to below it
_RIDGE = 3.0
_CELLS, _PARTS = (18, 20), 6  # the meter's resolution; pieces of a film, each judged by a map fitted on all others


def autoencoded(mtov: MToV, frames: np.ndarray) -> np.ndarray:
    """The truth through the pictures' autoencoder alone: nothing that MToV makes can be nearer to it, on average."""
    length = mtov.config.frames
    made = []
    with torch.inference_mode():
        for at in range(0, len(frames), length):
            rows = np.minimum(np.arange(at, at + length), len(frames) - 1)
            clip = torch.from_numpy(frames[rows]).permute(3, 0, 1, 2).float() / 127.5 - 1
            made.append(to_uint8(mtov.rgb.decode(mtov.rgb.encode(clip[None]))[0].transpose(0, 1)))
    return np.concatenate(made)[:len(frames)]


def likeness(made: np.ndarray, film: Film, name: str = "") -> dict[str, float]:
    """Nearness to the truth; the first frame is left out, for the still portrait is that frame.

    "mean of frames": the mean of each frame's dB (metrics.psnr); "of all frames": dB of the mean error. The first is ruled by
    frames whose mouth is at rest, where a still portrait is nearly exact.
    """
    truth, box = film.frames[1:], mouths(film.motion.points, film.frames.shape[1])[1:]
    made = made[1:]
    return {f"{name}mouth PSNR of all frames, dB": pooled(made, truth, box),
            f"{name}mouth PSNR, mean of frames, dB": psnr(made, truth, box),
            f"{name}face PSNR, dB": psnr(made, truth, film.face[1:]), f"{name}SSIM": ssim(made[::4], truth[::4])}


def pooled(made: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """PSNR of the mean squared error over all masked pixels, dB."""
    error = np.square(made.astype(np.float32) - truth).mean(-1)[mask].mean() / 255 ** 2
    return float(-10 * np.log10(error))


def fed(points: torch.Tensor) -> torch.Tensor:  # [T, 68, 3] px -> [T]
    """Lip aperture of landmarks over the eyes' distance."""
    return lip_aperture(points[..., :2])


def tracked(frames: np.ndarray) -> np.ndarray:  # -> float [T], NaN where no face was found
    """Lip aperture that the pack's own tracker sees, over the eyes' distance."""
    tracker, out = FaceTracker(), np.full(len(frames), np.nan)
    for i, frame in enumerate(frames):
        face = tracker(np.pad(frame, ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)), mode="edge"))
        if face is not None:
            out[i] = float(lip_aperture(face.points))
    return out


def agreement(seen: np.ndarray, wanted: torch.Tensor) -> float:
    """Correlation over frames with a face; NaN when that is under half of them."""
    known = np.isfinite(seen)
    return correlation(seen[known], wanted.numpy()[known]) if known.mean() >= 0.5 else float("nan")


def metered(film: Film, frames: np.ndarray, points: torch.Tensor | None = None) -> np.ndarray:  # -> float [T]
    """Lip aperture without any tracker: a ridge map from the pixels below the nose, fitted on the truth's other frames. The box
    hangs on the nose's base and the eyes' corners, which the lips do not move.

    Args:
        frames: of the same length as the film, the truth itself or what was made.
        points: landmarks of `frames`, where they are not the film's.
    """
    boxes, seen = (below_nose(f, p) for f, p in ((film.frames, film.motion.points),
                                                 (frames, film.motion.points if points is None else points)))
    opening, piece = fed(film.motion.points).numpy(), np.arange(len(frames)) * _PARTS // len(frames)
    out = np.empty(len(frames))
    for part in range(_PARTS):
        known, asked = piece != part, piece == part
        mean, offset = boxes[known].mean(0), opening[known].mean()
        x = boxes[known] - mean
        weights = x.T @ np.linalg.solve(x @ x.T + _RIDGE * np.eye(len(x)), opening[known] - offset)
        out[asked] = (seen[asked] - mean) @ weights + offset
    return out


def below_nose(frames: np.ndarray, points: torch.Tensor) -> np.ndarray:  # -> float32 [T, cells * 3] 0..1
    """The pixels of the meter's box, turned and scaled with the head, bilinear."""
    flat = points[..., :2].numpy()
    across = flat[:, 45] - flat[:, 36]  # [T, 2], from eye to eye
    down = np.stack([-across[:, 1], across[:, 0]], 1)
    y, x = np.meshgrid(np.linspace(*_REACH[1:], _CELLS[0]), np.linspace(-_REACH[0], _REACH[0], _CELLS[1]), indexing="ij")
    place = flat[:, None, None, 33] + x[..., None] * across[:, None, None] + y[..., None] * down[:, None, None]
    pictures = torch.from_numpy(frames).movedim(-1, 1).float() / 255
    grid = torch.from_numpy((2 * place + 1) / frames.shape[1] - 1).float()
    return torch.nn.functional.grid_sample(pictures, grid, align_corners=False, padding_mode="border").flatten(1).numpy()


def borders(frames: int, config: MToVConfig, overlap: int | None = None) -> np.ndarray:  # bool [frames - 1]
    """Steps from a frame to the next in which one clip gives way to another."""
    here = np.zeros(frames + 1, bool)
    for clip in clip_plan(frames, config.frames, config.overlap if overlap is None else overlap)[1:]:
        here[clip.fade:clip.full + 1] = True
    return here[1:frames]


def unrest(frames: np.ndarray) -> np.ndarray:  # -> float [T - 1]
    """Mean change from frame to frame, in 255ths."""
    return np.abs(np.diff(frames.astype(np.float32), axis=0)).mean((1, 2, 3))


def flicker(made: np.ndarray, film: Film, config: MToVConfig) -> dict[str, float]:
    """Change across clip borders against change elsewhere: as it is, the truth's own at the same frames, and without what the
    face itself does there."""
    here, ours, theirs = borders(len(made), config), unrest(made), unrest(film.frames)
    if not here.any() or here.all():
        return {}
    ratio = lambda steps: float(steps[here].mean() / np.median(steps[~here]))
    excess = ours[here].mean() / theirs[here].mean() / (ours[~here].mean() / theirs[~here].mean())
    return {"borders / interior median": ratio(ours), "the same frames of the truth": ratio(theirs),
            "change at borders / in between, both over the truth's": float(excess)}


def drift(made: np.ndarray, truth: np.ndarray, config: MToVConfig) -> float:
    """By how much a clip's mean colour, less the truth's, differs from that of the first, at most; 255ths."""
    apart = (made.astype(np.float64) - truth).mean((1, 2))
    clips = [apart[clip.start:min(clip.stop, len(made))].mean(0) for clip in clip_plan(len(made), config.frames, config.overlap)
             if clip.start < len(made) - 1]
    return float(np.abs(np.array(clips) - clips[0]).max())


def openness(made: np.ndarray, shut: np.ndarray, wide: np.ndarray, box: np.ndarray) -> float:
    """How far the mouth is open: where `made` lies between two truths, 0 shut, 1 wide; least squares over the box's pixels."""
    way = (wide.astype(np.float64) - shut)[box]
    return float(((made.astype(np.float64) - shut)[box] * way).sum() / np.square(way).sum())


def change(one: np.ndarray, other: np.ndarray, box: np.ndarray) -> dict[str, float]:
    """Mean change between two films inside and outside of a box, 255ths."""
    apart = np.abs(one.astype(np.float64) - other).mean(-1)
    return {"inside": float(apart[box].mean()), "outside": float(apart[~box].mean()),
            "outside, 99 % of pixels below": float(np.quantile(apart[~box], 0.99)),
            "share of all change inside": float(apart[box].sum() / max(apart.sum(), 1e-9))}
