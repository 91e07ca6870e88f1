"""Speed of the face mesh networks: one image found and placed, one frame of a video followed, one person mask; and of the steps.

Times are the least of many runs: on a machine that does other things they are too long, those of short steps least so.

    python benchmarks/face_mesh.py                       # the portrait of scikit-image, turned into a video of 60 frames
    python benchmarks/face_mesh.py FILE_OR_FOLDER ...    # images and videos, with what was found in each
"""
from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import common
import numpy as np
import torch
from talking_heads.media_core.face.mesh.finder import FaceFinder
from talking_heads.media_core.face.mesh.folded import FoldedDetector, FoldedMesh
from talking_heads.media_core.face.mesh.follower import MeshFollower
from talking_heads.media_core.face.mesh.layout import eye_distance, points_68
from talking_heads.media_core.face.mesh.mesh_track import MeshTrack, track_mesh
from talking_heads.media_core.face.mesh.nets import MeshNets, as_input, exactly, load_mesh_nets
from talking_heads.media_core.face.mesh.person import person_masks
from talking_heads.media_core.face.mesh.squares import Square, crop, look
from talking_heads.media_core.video import read_frames

IMAGES, VIDEOS = {".jpg", ".jpeg", ".png", ".webp"}, {".mp4", ".mpg", ".mov", ".webm", ".mkv", ".avi"}
FPS = 25.0
STEPS = 60  # runs of a short step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=60, help="of each video, at most")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}, "
          f"{args.device}, {args.threads} thread(s); ms, wall clock / processor")
    nets = load_mesh_nets(device=args.device)
    portrait(nets)
    files = [file for path in args.files for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for file in files:
        if file.suffix.lower() in IMAGES:
            image_file(nets, file)
        elif file.suffix.lower() in VIDEOS:
            video_file(nets, file, args.frames)
    print(f"peak memory {common.peak_mib():.0f} MiB")


def portrait(nets: MeshNets) -> None:
    """What the networks need for one image and one frame, the best of several times."""
    from skimage import data

    image, finder = data.astronaut(), FaceFinder(nets)
    show("networks: read", load_mesh_nets, times=3)
    show("networks: folded", lambda: (FoldedMesh(nets.mesh), FoldedDetector(nets.detector)), times=3)
    steps(nets, image)
    show("image: found and placed", lambda: finder.faces(image, wanted=1))
    show("image: the same, carefully", lambda: finder.face(image))
    empty = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    show("1080p image without a face", lambda: finder.faces(empty, wanted=1), times=3)
    show("image: on its side", lambda: finder.faces(np.ascontiguousarray(np.rot90(image)), wanted=1))
    frames = [np.roll(image, round(2 * np.sin(i)), 1) for i in range(32)]
    show("frame of a video, batches", lambda: list(MeshFollower(nets).follow(frames)), len(frames))
    show("frame of a video, one by one", lambda: one_by_one(MeshFollower(nets), frames), len(frames))
    show("frame of a video, not mirrored", lambda: list(MeshFollower(nets, mirrored=False).follow(frames)), len(frames))
    show("person mask", lambda: person_masks(nets, frames[:8]), 8)


def steps(nets: MeshNets, image: np.ndarray) -> None:
    """Each step by itself."""
    finder = FaceFinder(nets)
    face = finder.faces(image, wanted=1)[0]
    cropped, whole = crop(image, face.square), Square(255.5, 255.5, 512)
    show("step: detector, whole image", lambda: finder.detect(image, [whole]), times=STEPS)
    show("step: crop of 192 px", lambda: crop(image, face.square), times=STEPS)
    for views in (1, 2, 8):
        crops = as_input(np.stack([cropped] * views), nets.device) / 255
        with exactly(nets.device):
            show(f"step: mesh, a crop of {views}", partial(nets.quick_mesh, crops), views, times=STEPS)
            show(f"step: the same, not folded ({views})", partial(nets.mesh, crops), views, times=STEPS)
    show("step: mesh, points of two views", lambda: look(nets, [cropped], [face.square]), times=STEPS)
    show("step: 68 points", lambda: points_68(face.points), times=STEPS)


def one_by_one(follower: MeshFollower, frames: list[np.ndarray]) -> None:
    for frame in frames:
        follower(frame)


def show(name: str, work: Callable[[], object], count: int = 1, times: int = 6) -> None:
    wall, used = np.inf, np.inf
    for _ in range(times):
        begin, processor = time.perf_counter(), time.process_time()
        work()
        wall, used = min(wall, time.perf_counter() - begin), min(used, time.process_time() - processor)
    print(f"{name:36} {1000 * wall / count:6.1f} / {1000 * used / count:6.1f}")


def image_file(nets: MeshNets, file: Path) -> None:
    from PIL import Image

    image = np.asarray(Image.open(file).convert("RGB"))
    begin = time.process_time()
    faces = FaceFinder(nets).faces(image, wanted=1)
    used = 1000 * (time.process_time() - begin)
    told = "no face"
    for face in faces:
        doubt = " (doubtful)" if face.doubtful else ""
        told = f"confidence {face.confidence:.2f}, disagreement {100 * face.disagreement:.1f} %{doubt}, turn {face.turn}"
    print(f"{file.name[:28]:28} {image.shape[1]:4} x {image.shape[0]:4}  {used:6.1f} ms  {told}")


def video_file(nets: MeshNets, file: Path, most: int) -> None:
    frames: Iterator[np.ndarray] = islice(read_frames(file, FPS), most)
    begin = time.process_time()
    track, = track_mesh(frames, FPS, MeshFollower(nets))
    used = 1000 * (time.process_time() - begin) / len(track)
    print(f"{file.name[:28]:28} {track.image_size[1]:4} x {track.image_size[0]:4}  {used:6.1f} ms a frame, decoding included; "
          f"{len(track)} frames, {int((~track.seen).sum())} without a face, {int(track.doubtful.sum())} doubtful, "
          f"jitter {100 * jitter(track):.2f} %, cuts {list(track.cuts)}")


def jitter(track: MeshTrack) -> float:
    """Median second difference of the points, in distances of the eye corners."""
    points = track.points[track.seen]
    if len(points) < 3:
        return float("nan")
    second = np.linalg.norm(np.diff(points[..., :2], 2, axis=0), axis=-1)
    return float(np.median(second) / eye_distance(points).mean())


if __name__ == "__main__":
    main()
