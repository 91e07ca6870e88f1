"""Film mode of the carrier against exact truth: the four held-out people of benchmarks/mtov.py, filmed with head movement.

    python benchmarks/carrier_films.py [--seconds 3] [--points exact]

A person says one sentence (the video that is given) and another with the same head movement (the truth). The carrier makes
the first say the second: it is given the first video and the second's landmarks. Face, mouth and SSIM as in benchmarks/mtov.py,
at the size of its weights. "The same": the video says again what it says, as benchmarks/mtov.py's pose film does.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from common import talking_heads  # noqa: F401  (makes the package importable)
from mtov_films import PEOPLE, Film, drawn
from mtov_measures import fed, likeness, metered
from talking_heads.media_core.audio import FPS
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.metrics import correlation
from talking_heads.media_core.subject import PARAMS, Performance, perform
from talking_heads.moditalker_core.carrier_films import carried_film
from talking_heads.moditalker_core.mtov.checkpoints import SHIPPED_MTOV, load_mtov
from talking_heads.moditalker_core.mtov.model import MToVConfig

UPPER = ("blink", "browin", "browout", "browlow", "lidraise", "lidtight", "cheek", "smile", "nose", "gazex",
         "gazey")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--people", type=int, default=len(PEOPLE))
    parser.add_argument("--points", choices=("exact", "tracked"), default="exact", help="of the given video")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config, rows = load_mtov(SHIPPED_MTOV).config, list[dict[str, float]]()
    for person in PEOPLE[:args.people]:
        given, truth = films(config, person, args.seconds)
        track = tracked(given, exact=args.points == "exact")
        row = figures(carried(given, truth, track), truth, "")
        row |= figures(given.frames, truth, "as given: ") | figures(carried(given, given, track), given, "the same: ")
        print(f"{person[0]}, {person[1]}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()), flush=True)
        rows.append(row)
    print("mean: " + ", ".join(f"{name} {np.mean([row[name] for row in rows]):.3f}" for name in rows[0]))


def films(config: MToVConfig, person: tuple[int, str, int], seconds: float) -> tuple[Film, Film]:
    """The video that is given, and the same head movement with another sentence."""
    identity, voice, seed = person
    spoken, other = (perform(seconds, seed + more, voice=voice, engine="espeak") for more in (0, 31))
    given = drawn(config, identity, spoken, "given")
    return given, drawn(config, identity, saying(spoken, other), "truth", like=given)


def saying(spoken: Performance, other: Performance) -> Performance:
    """The same head, shoulders and eyes with another's mouth: what film mode leaves alone and what it changes."""
    params = other.params.copy()
    kept = [PARAMS.index(name) for name in UPPER]
    params[:, kept] = spoken.params[:, kept]
    return replace(spoken, params=params)


def tracked(film: Film, *, exact: bool) -> FaceTrack:
    """The video's track: its mesh as found in each frame, fitted to the exact 68 points or not."""
    from talking_heads.media_core.face.carrier.measuring import mesh_at

    points, meshes = film.motion.points[..., :2].numpy(), []
    tracker, size = MeshTracker(), film.frames.shape[1]
    for frame, own in zip(film.frames, points):
        tracker.state = own.copy()
        face = tracker(frame)
        found = None if face is None else face.mesh
        meshes.append(mesh_at(frame, own.astype(np.float64)) if exact or found is None else found)
    mesh = np.stack(meshes).astype(np.float32)
    from talking_heads.media_core.face.mesh.layout import points_68

    raw = RawTrack(points_68(mesh), np.ones(len(mesh), np.float32), (size, size), FPS, tracker="people", mesh=mesh)
    return measure(raw)


def carried(given: Film, wanted: Film, track: FaceTrack) -> np.ndarray:
    def opened(start: int) -> Iterator[np.ndarray]:
        return iter(given.frames[start:])

    return np.stack(list(carried_film(opened, wanted.motion, fps=FPS, track=track)))


def figures(made: np.ndarray, truth: Film, name: str) -> dict[str, float]:
    return {**likeness(made, truth, name), f"{name}lips r": correlation(metered(truth, made), fed(truth.motion.points))}


if __name__ == "__main__":
    main()
