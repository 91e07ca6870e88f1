"""Pictures with exact landmarks for `make_face_landmarks.py`: many invented people, random faces and poses, also real sentences.

    python -m talking_heads.weights.landmark_renders OUT.npz-FOLDER --people 96 --frames 110

Every person of an identity number from 1000 on; benchmarks use numbers below 1000, which are never seen here.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ..media_core.subject import Subject, perform
from ..media_core.subject.parameters import INDEX, PARAMS

FIRST_IDENTITY = 1000        # benchmarks and demos stay below
SIZE, CROP = 400, 288        # px: drawn, and kept around the face
_SOMETIMES = (("prot", .35, 1), ("stretch", .3, 1), ("smile", .4, 1), ("frown", .25, 1), ("press", .15, .8), ("chin", .2, 1),
              ("upraise", .2, 1), ("fv", .1, 1), ("tongue", .3, 1), ("browin", .3, 1), ("browout", .3, 1), ("browlow", .25, 1),
              ("lidraise", .2, 1), ("cheek", .3, 1), ("lidtight", .25, 1), ("blink", .35, 1), ("nose", .15, 1),
              ("dimple", .15, 1))  # parameter, how often, up to


def random_face(rng: np.random.Generator) -> np.ndarray:  # -> [22]
    """Any face the rig can make, closed lips in a quarter of them, shut eyes in a tenth."""
    params = np.zeros(len(PARAMS))
    if rng.random() < .75:
        params[INDEX["la"]] = min(rng.gamma(1.2, 3.5), 15)
    params[INDEX["jaw"]] = np.clip(params[INDEX["la"]] * rng.uniform(.5, 1.1), 0, 13)
    for name, share, limit in _SOMETIMES:
        if rng.random() < share:
            params[INDEX[name]] = rng.random() * limit
    if rng.random() < .1:
        params[INDEX["blink"]] = 1
    params[INDEX["gazex"]], params[INDEX["gazey"]] = rng.normal(0, .5), rng.normal(0, .4)
    return params


def random_pose(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # radians [3], photo px [3]
    """Yaw to 30 degrees, pitch to 18, a little roll, anywhere near the middle."""
    euler = np.array([np.clip(rng.normal(0, .22), -.52, .52), np.clip(rng.normal(0, .13), -.32, .32), rng.normal(0, .06)])
    return euler, np.array([rng.normal(0, 4), rng.normal(0, 3), rng.normal(0, 8)])


def person(identity: int, frames: int) -> dict[str, np.ndarray]:
    """`frames` pictures of one person: half invented faces, half out of a sentence.

    Returns:
        image uint8 [N, CROP, CROP, 3], classes uint8 [N, CROP, CROP], points float32 [N, 68, 2] crop px.
    """
    rng = np.random.default_rng([identity, 11])
    subject = Subject(SIZE, identity, oversampling=1)
    spoken = perform(8.0, identity, engine="formant")
    rows = rng.choice(len(spoken), frames)
    out = {"image": np.zeros((frames, CROP, CROP, 3), np.uint8), "classes": np.zeros((frames, CROP, CROP), np.uint8),
           "points": np.zeros((frames, 68, 2), np.float32)}
    for i in range(frames):
        params = random_face(rng) if i % 2 else spoken.params[rows[i]]
        euler, shift = random_pose(rng) if i % 4 else (spoken.euler[rows[i]], spoken.translation[rows[i]])
        frame = subject.render(params, subject.pose(euler, shift))
        middle = frame.landmarks2d[17:].mean(0)
        x, y = np.clip(np.round(middle - CROP / 2).astype(int), 0, SIZE - CROP)
        out["image"][i] = frame.rgb[y:y + CROP, x:x + CROP]
        out["classes"][i] = frame.classes[y:y + CROP, x:x + CROP]
        out["points"][i] = frame.landmarks2d - [x, y]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=96)
    parser.add_argument("--frames", type=int, default=110, help="pictures of each")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    from multiprocessing import get_context

    wanted = [(FIRST_IDENTITY + i, args.frames, args.folder) for i in range(args.people)]
    with get_context("spawn").Pool(args.workers) as pool:
        for count, name in enumerate(pool.imap(_write, wanted), 1):
            print(f"{count} of {args.people}: {name}", flush=True)


def _write(job: tuple[int, int, Path]) -> str:
    import cv2

    cv2.setNumThreads(1)
    identity, frames, folder = job
    path = folder / f"{identity}.npz"
    if not path.exists():
        temporary = folder / f"{identity}.tmp.npz"
        np.savez(temporary, **person(identity, frames))
        temporary.rename(path)
    return path.name


if __name__ == "__main__":
    main()
