"""The figures that need images alone, gathered one frame at a time."""
from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..progress import Report
from .colour import colour_drift, mean_lab
from .frechet import Gathered, frechet_distance
from .i3d import CLASSES, FRAMES, I3D, prepared
from .images import psnr, ssim
from .inception import DIM, Inception
from .lpips import LPIPS
from .pair import Clip
from .sharpness import BLOCK, cpbd, luma, sharpness
from .table import Row, absent
from .weights import SOURCES, Weights

EVERY = 5  # frames from one to the next that CPBD looks at: neighbours are equally sharp
BATCH = 8  # images computed at once by a network
_FEW = 2048  # samples under which FID is known to be far too small or unsure
NO_TRUTH = "needs a truth to compare with"


class _Plain:
    """Of one video: sharpness, CPBD and colours."""

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self.sharp: list[float] = []
        self.cpbd: list[float] = []
        self.lab: list[np.ndarray] = []

    def add(self, number: int, frame: np.ndarray) -> None:
        grey = luma(frame)
        self.sharp.append(sharpness(grey))
        self.lab.append(mean_lab(frame))
        if number % EVERY == 0 and min(grey.shape) >= BLOCK:
            self.cpbd.append(cpbd(grey))

    def figures(self) -> tuple[tuple[float, int], tuple[float, int], tuple[float, int]]:
        """(value, frames) of sharpness, CPBD and drift."""
        known = [value for value in self.cpbd if not math.isnan(value)]
        return ((float(np.mean(self.sharp)), len(self.sharp)), (float(np.mean(known)) if known else math.nan, len(known)),
                (colour_drift(np.stack(self.lab), self.fps), len(self.lab)))


class _Fid:
    """Inception features of one video's frames."""

    def __init__(self, net: Inception, device: torch.device):
        self.net, self.device, self.held, self.gathered = net, device, list[np.ndarray](), Gathered(DIM)

    def add(self, frame: np.ndarray) -> None:
        self.held.append(frame)
        if len(self.held) == BATCH:
            self.flush()

    @torch.inference_mode()
    def flush(self) -> None:
        if self.held:
            self.gathered.add(self.net(_batch(self.held).to(self.device)))
            self.held = []


class _Fvd:
    """I3D logits of one video's clips of 16 frames, one behind the other; what is left is not read."""

    def __init__(self, net: I3D, device: torch.device):
        self.net, self.device, self.held, self.gathered = net, device, list[np.ndarray](), Gathered(CLASSES)

    @torch.inference_mode()
    def add(self, frame: np.ndarray) -> None:
        self.held.append(frame)
        if len(self.held) == FRAMES:
            clip = prepared(torch.from_numpy(np.stack(self.held)))
            self.gathered.add(self.net(clip[None].to(self.device)))
            self.held = []


class _Pairs:
    """What compares frame with frame."""

    def __init__(self, lpips: LPIPS | None, device: torch.device):
        self.lpips, self.device = lpips, device
        self.psnr: list[float] = []
        self.ssim: list[float] = []
        self.perceptual: list[float] = []

    @torch.inference_mode()
    def add(self, made: np.ndarray, truth: np.ndarray) -> None:
        self.psnr.append(psnr(made, truth))
        if min(made.shape[:2]) >= 11:
            self.ssim.append(ssim(made, truth))
        if self.lpips is not None:
            self.perceptual.append(float(self.lpips(*(_batch([frame]).to(self.device) for frame in (made, truth)))))


def image_rows(made: Clip, truth: Clip | None, weights: Weights, report: Report) -> list[Row]:
    """PSNR, SSIM, LPIPS, FID, FVD, sharpness, CPBD and colour drift of videos of one size and rate."""
    plain = [_Plain(clip.fps) for clip in (made, truth) if clip is not None]
    pairs = _Pairs(weights.lpips() if weights.has("lpips") and truth else None, weights.device)
    sets = _sets(weights, truth)
    videos = zip(*(clip.shown() for clip in (made, truth) if clip is not None))
    number = -1
    for number, frames in enumerate(videos):
        for one, frame in zip(plain, frames, strict=True):
            one.add(number, frame)
        if len(frames) == 2:
            pairs.add(*frames)
        for pair in sets.values():
            for one, frame in zip(pair, frames, strict=True):
                one.add(frame)
        report(number + 1, made.frames, {"stage": "comparing", "frame": number + 1, "frames": made.frames}, None)
    return [*_pair_rows(pairs, truth is not None, weights), *_set_rows(sets, truth is not None, weights), *_plain_rows(plain)]


def _sets(weights: Weights, truth: Clip | None) -> dict[str, tuple[_Fid, _Fid] | tuple[_Fvd, _Fvd]]:
    sets: dict[str, tuple[_Fid, _Fid] | tuple[_Fvd, _Fvd]] = {}
    if truth is not None and weights.has("inception"):
        net = weights.inception()
        sets["inception"] = _Fid(net, weights.device), _Fid(net, weights.device)
    if truth is not None and weights.has("i3d"):
        net = weights.i3d()
        sets["i3d"] = _Fvd(net, weights.device), _Fvd(net, weights.device)
    return sets


def _pair_rows(pairs: _Pairs, compared: bool, weights: Weights) -> list[Row]:
    def row(key: str, name: str, values: list[float], unit: str, better: str, why: str, note: str = "") -> Row:
        if not values:
            return absent(key, name, why if compared else NO_TRUTH, unit, better)
        return Row(key, name, float(np.mean(values)), unit, better, len(values), note)

    equal = "equal images" if any(math.isinf(value) for value in pairs.psnr) else ""
    return [row("psnr", "PSNR", pairs.psnr, "dB", "higher", "", equal),
            row("ssim", "SSIM", pairs.ssim, "", "higher", "needs images of 11 x 11 px at least"),
            row("lpips", "LPIPS (AlexNet)", pairs.perceptual, "", "lower", SOURCES["lpips"].needs("lpips"))]


def _set_rows(sets: dict[str, tuple[_Fid, _Fid] | tuple[_Fvd, _Fvd]], compared: bool, weights: Weights) -> list[Row]:
    rows = []
    for kind, key, name, what in (("inception", "fid", "FID", "frames"), ("i3d", "fvd", "FVD", "clips of 16 frames")):
        if kind not in sets:
            rows.append(absent(key, name, SOURCES[kind].needs(kind) if compared else NO_TRUTH, "", "lower"))
            continue
        a, b = sets[kind]
        for one in (a, b):
            if isinstance(one, _Fid):
                one.flush()
        count = min(a.gathered.count, b.gathered.count)
        if count < 2:
            rows.append(absent(key, name, f"needs two {what} of both videos", "", "lower"))
            continue
        note = f"of {count} {what}: not to be compared with published figures" if count < _FEW else ""
        frames = count * (1 if kind == "inception" else FRAMES)
        rows.append(Row(key, name, frechet_distance(a.gathered, b.gathered), "", "lower", frames, note))
    return rows


def _plain_rows(plain: list[_Plain]) -> list[Row]:
    found = [one.figures() for one in plain]
    kinds = (("sharpness", "sharpness", "grey levels²", "truth", ""),
             ("cpbd", "CPBD", "", "higher", "no block of 64 x 64 px with edges"),
             ("colour_drift", "colour drift", "ΔE", "lower", "needs three frames"))
    rows = []
    for index, (key, name, unit, better, why) in enumerate(kinds):
        value, frames = found[0][index]
        truth = found[1][index][0] if len(found) > 1 else None
        rows.append(absent(key, name, why, unit, better) if math.isnan(value)
                    else Row(key, name, value, unit, better, frames, truth=truth))
    return rows


def _batch(frames: list[np.ndarray]) -> Tensor:  # uint8 [H, W, 3] each -> float32 [B, 3, H, W] 0..1
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255


