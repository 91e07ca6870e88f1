"""Checkpoints in TalkingGaussian's layout, made of the parity fixtures' nets and random Gaussians, and a dataset for them."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from pack import ROOT
from safetensors.torch import load_file

FIXTURES = ROOT / "tests" / "fixtures" / "talkinggaussian"


def state_of(fixture: str) -> dict[str, torch.Tensor]:
    """The motion net's state dict in a parity fixture."""
    return {key[2:]: value for key, value in load_file(FIXTURES / f"{fixture}.safetensors").items() if key.startswith("w.")}


def capture(count: int, seed: int, degree: int = 2) -> tuple:
    """Gaussians as TalkingGaussian saves them, in a head's size."""
    draw = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.rand(*shape, generator=draw)
    xyz = (rand(count, 3) - 0.5) * 0.16
    rest = 0.1 * (rand(count, (degree + 1) ** 2 - 1, 3) - 0.5)
    parameters = [xyz, rand(count, 1, 3) - 0.5, rest, rand(count, 1), torch.full((count, 3), -4.5), rand(count, 4) - 0.5,
                  4 * rand(count, 1)]
    moments = {"state": {0: {"step": torch.tensor(5.0), "exp_avg": torch.zeros_like(xyz)}}, "param_groups": [{"lr": 0.1}]}
    counted = [torch.zeros(count), torch.zeros(count, 1), torch.zeros(count, 1)]
    return (degree, *map(torch.nn.Parameter, parameters), *counted, moments, 0.2)


def save_fuse(path: Path, face: str = "motion_net_face", mouth: str = "motion_net_mouth") -> Path:
    """`chkpnt_fuse_latest.pth`."""
    torch.save((capture(300, 1), state_of(face), capture(60, 2), state_of(mouth)), path)
    return path


def save_branches(folder: Path) -> tuple[Path, Path]:
    """`chkpnt_face_latest.pth`, `chkpnt_mouth_latest.pth` of the same."""
    paths = folder / "chkpnt_face_latest.pth", folder / "chkpnt_mouth_latest.pth"
    for path, count, seed, net in zip(paths, (300, 60), (1, 2), ("motion_net_face", "motion_net_mouth")):
        torch.save((capture(count, seed), state_of(net), {"state": {}, "param_groups": []}, 50000), path)
    return paths


def with_features(dataset: Path, folder: Path, name: str = "aud_ds.npy", shape: tuple[int, ...] = (16, 29)) -> Path:
    """A copy of a dataset with speech features of windows per frame."""
    shutil.copytree(dataset, folder)
    frames = len(list((folder / "ori_imgs").glob("*.jpg")))
    rows = np.random.default_rng(3).normal(size=(2 * frames + shape[0], shape[1])).astype(np.float32)
    rows[:shape[0] // 2] = rows[len(rows) - shape[0] // 2:] = 0
    np.save(folder / name, np.stack([rows[2 * i:2 * i + shape[0]] for i in range(frames)]))
    return folder
