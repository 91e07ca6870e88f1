"""The one command that made weights/mean_face.safetensors: `python weights/make_mean_face.py`.

The 68 points of 240 invented people (identity numbers from 1000 on; benchmarks use smaller ones), each at rest, with random faces
and while speaking. No picture is drawn; a minute on one core. What is stored: see media_core/face/landmarks/mean_face.py.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from make_demo_avatar import ROOT, load_package

FIRST_IDENTITY, PEOPLE, FACES = 1000, 240, 24
RIDGE = 1e-3  # of the features' mean square


def people(count: int) -> tuple[np.ndarray, np.ndarray]:
    """At rest [N, 68, 3] and moving [N, 2 * FACES, 68, 3], metres in the head's frame, outer eye corners 9 cm apart."""
    from talking_heads.media_core.face.landmarks.mean_face import EYE_SPAN
    from talking_heads.media_core.subject import PARAMS, perform
    from talking_heads.media_core.subject.identity import invent
    from talking_heads.media_core.subject.layout import to_68
    from talking_heads.media_core.subject.portrait import load
    from talking_heads.media_core.subject.render import AXES, METRES
    from talking_heads.media_core.subject.rig import Rig
    from talking_heads.weights.landmark_renders import random_face

    portrait = load()
    spoken = perform(60.0, FIRST_IDENTITY, engine="formant").params
    rest, moving = [], []
    for identity in range(FIRST_IDENTITY, FIRST_IDENTITY + count):
        rng = np.random.default_rng([identity, 12])
        bent, _ = invent(portrait, identity)
        rig = Rig(SimpleNamespace(points=bent.points, plain_points=portrait.points, hair_outline=bent.hair))
        faces = [np.zeros(len(PARAMS)), *(random_face(rng) for _ in range(FACES)), *spoken[rng.choice(len(spoken), FACES)]]
        points = np.array([to_68(rig.mesh(face)) for face in faces]) * AXES * METRES
        points *= EYE_SPAN / np.linalg.norm(points[0, 45] - points[0, 36])
        rest.append(points[0]), moving.append(points[1:])
    return np.array(rest), np.array(moving)


def symmetric(points: np.ndarray) -> np.ndarray:  # [..., 68, 3] -> the mean of it and its mirror image
    from talking_heads.media_core.face.geometry import MIRROR

    return (points + points[..., MIRROR, :] * [-1, 1, 1]) / 2


def relief(rest: np.ndarray, moving: np.ndarray) -> np.ndarray:  # -> [68, K]
    """Ridge regression of each point's move along z on `mean_face.features` of its moves along x and y."""
    from talking_heads.media_core.face.geometry import MIRROR
    from talking_heads.media_core.face.landmarks.mean_face import features

    move = (moving - rest[:, None]).reshape(-1, 68, 3)
    x, z = features(move[..., :2]), move[..., 2]  # [M, 68, K], [M, 68]
    x, z = np.concatenate([x, x[:, MIRROR]]), np.concatenate([z, z[:, MIRROR]])
    normal = np.einsum("mpi,mpj->pij", x, x) / len(x)
    normal += RIDGE * np.eye(x.shape[-1]) * np.trace(normal.mean(0)) / x.shape[-1]
    return np.linalg.solve(normal, (np.einsum("mpi,mp->pi", x, z) / len(x))[..., None])[..., 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "weights" / "mean_face.safetensors")
    parser.add_argument("--people", type=int, default=PEOPLE)
    args = parser.parse_args()
    load_package()
    import torch
    from talking_heads.media_core.face.geometry import MIRROR
    from talking_heads.media_core.face.landmarks.mean_face import KIND, VERSION
    from talking_heads.media_core.files import save_tensors

    rest, moving = people(args.people)
    spread = np.sqrt((rest.var(0) + rest.var(0)[MIRROR]) / 2)
    motion = np.sqrt(((moving - rest[:, None]) ** 2).sum(-1).mean((0, 1)))
    tensors = {"points": symmetric(rest.mean(0)), "spread": spread, "motion": (motion + motion[MIRROR]) / 2,
               "relief": relief(rest, moving)}
    save_tensors(args.out, {name: torch.tensor(value, dtype=torch.float32) for name, value in tensors.items()}, kind=KIND,
                 version=VERSION, config={"people": args.people, "first_identity": FIRST_IDENTITY, "faces": FACES})


if __name__ == "__main__":
    main()
