"""Reference tracks for `real_faces.py`: MediaPipe's own FaceMesh on every image and video of a folder.

    python3.11 -m venv oracle && oracle/bin/pip install mediapipe==0.10.21 av==18.1.0 pillow
    oracle/bin/python benchmarks/real_faces_reference.py FOLDER reference.npz [--frames 250]

It runs in that environment of its own (mediapipe needs numpy 1.26) and imports nothing of the pack. Layout of the file:

    "<path inside FOLDER>/points"  float32 px, x right, y down, as MediaPipe gives them: x * W, y * H, z * W; the middle of the
                                   first pixel is (0, 0)
        of an image    [3, F, 478, 3]  F faces seen three ways: as a still (detector, one look); followed, third look; the same
                                       of the mirrored image, mirrored back (x' = W - 1 - x; the points keep their numbers: read
                                       `points[2][:, layout.MIRROR]`). NaN: fewer faces that way
        of a video     [T, 478, 3]     one face, followed from frame to frame; NaN where none
    "<path>/mirrored"  [T, 478, 3]     the same of the mirrored video, mirrored back as above (with --mirrored): how far the
                                       reference agrees with itself
    "<path>/times"     float64 [T] s, when the decoded frames are shown (videos only); row i is the i-th decoded frame
    "<path>/size"      int64 [2] H, W
    "about"            what made it

MediaPipe samples its 192 px crop half a pixel off, so that its points lie about +.41 px of the crop to the right (measured; by
the way it is built also below). The file keeps what it says; `real_faces.py` takes the half pixel off again.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import mediapipe
import numpy as np
from PIL import Image, ImageOps

IMAGES, VIDEOS = {".jpg", ".jpeg", ".png", ".webp"}, {".mp4", ".mpg", ".mov", ".webm", ".mkv", ".avi"}
POINTS, MOST_FACES = 478, 8
LOOKS = 3  # at a still image that is followed as if it were a video


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=250, help="of each video, at most")
    parser.add_argument("--mirrored", action="store_true", help="follow every video in a mirror too")
    args = parser.parse_args()
    out: dict[str, np.ndarray] = {"about": np.array(f"mediapipe {mediapipe.__version__} FaceMesh, refined landmarks")}
    for file in sorted(p for p in args.folder.rglob("*") if p.suffix.lower() in IMAGES | VIDEOS):
        name = file.relative_to(args.folder).as_posix()
        if file.suffix.lower() in IMAGES:
            image = rgb(file)
            out[f"{name}/points"], out[f"{name}/size"] = still(image), np.array(image.shape[:2])
            told = f"{int(np.isfinite(out[f'{name}/points'][0, :, 0, 0]).sum())} face(s)"
        else:
            points, times, size = video(file, args.frames)
            out |= {f"{name}/points": points, f"{name}/times": times, f"{name}/size": size}
            if args.mirrored:
                out[f"{name}/mirrored"] = video(file, args.frames, mirrored=True)[0]
            told = f"a face in {int(np.isfinite(points[:, 0, 0]).sum())} of {len(points)} frames"
        print(f"{name}: {told}", file=sys.stderr, flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(args.out, **out)


def rgb(file: Path) -> np.ndarray:  # uint8 [H, W, 3]
    return np.ascontiguousarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))


def still(image: np.ndarray) -> np.ndarray:  # -> [3, F, 478, 3]
    with face_mesh(static=True, faces=MOST_FACES) as net:
        plain = faces(net, image)
    with face_mesh(static=False, faces=MOST_FACES) as net:
        followed = [faces(net, image) for _ in range(LOOKS)][-1]
    with face_mesh(static=False, faces=MOST_FACES) as net:
        flipped = [faces(net, np.ascontiguousarray(image[:, ::-1])) for _ in range(LOOKS)][-1]
    flipped[..., 0] = image.shape[1] - 1 - flipped[..., 0]
    out = np.full((3, max(len(plain), len(followed), len(flipped)), POINTS, 3), np.nan, np.float32)
    for row, found in enumerate((plain, followed, flipped)):
        out[row, :len(found)] = found
    return out


def video(file: Path, most: int, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The points [T, 478, 3], the times [T] s, and H, W [2]."""
    points, times, size = [], [], (0, 0)
    with face_mesh(static=False, faces=1) as net:
        for image, time in islice(frames(file), most):
            found = faces(net, np.ascontiguousarray(image[:, ::-1]) if mirrored else image)
            if mirrored:
                found[..., 0] = image.shape[1] - 1 - found[..., 0]
            points.append(found[0] if len(found) else np.full((POINTS, 3), np.nan, np.float32))
            times.append(time)
            size = image.shape[:2]
    return np.array(points, np.float32).reshape(-1, POINTS, 3), np.array(times), np.array(size)


def frames(file: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Every decoded frame and when it is shown (s)."""
    with av.open(str(file)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            yield frame.to_ndarray(format="rgb24"), float(number if frame.time is None else frame.time)


def face_mesh(static: bool, faces: int):
    return mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=static, max_num_faces=faces, refine_landmarks=True)


def faces(net, image: np.ndarray) -> np.ndarray:  # -> float32 [F, 478, 3] px
    found = net.process(image).multi_face_landmarks or []
    height, width = image.shape[:2]
    return np.array([[(p.x * width, p.y * height, p.z * width) for p in face.landmark] for face in found],
                    np.float32).reshape(-1, POINTS, 3)


if __name__ == "__main__":
    main()
