"""Real videos captured from end to end: what it costs, and what the report says of each, to be compared with what one sees.

    python benchmarks/real_captures.py VIDEO... [--seconds 5] [--size 512] [--work FOLDER]

The first seconds of each are captured with masks. What is kept of a dataset in the work folder: its report, and a sheet of frames
with what was cut out of them (head in colour, torso in grey, background hidden), to be looked at. A video whose result is there
is not captured again. Writes benchmarks/results/real_captures.md, which names videos and findings only.
"""
from __future__ import annotations

import argparse
import json
import platform
import shutil
import time
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.capture.images import read_picture
from talking_heads.media_core.capture.quality import FAIR, POOR
from talking_heads.media_core.dataset_folder import MANIFEST, read_json
from talking_heads.media_core.face.draw import draw_landmarks
from talking_heads.media_core.face.masks.masks import from_parsing
from talking_heads.media_core.face.track import FaceTrack

SHOWN, SIDE = 8, 224  # frames of a sheet, px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_real_captures"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    told = [captured(video, args) for video in args.videos]
    text = written(told, args)
    print(text)
    results_folder().joinpath("real_captures.md").write_text(text, encoding="utf-8")


def captured(video: Path, args: argparse.Namespace) -> dict:
    """What the report of one video says; its sheet and report stay in the work folder."""
    name = "_".join(video.parts[-3:])
    folder, kept = args.work / Path(name).stem, args.work / f"{name}.json"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        busy = time.process_time()
        capture(video, folder, CaptureSettings(size=args.size, policy="interpolate", segment=(0.0, args.seconds)))
        busy = time.process_time() - busy
        manifest = read_json(folder / MANIFEST)
        cv2.imwrite(str(args.work / f"{name}.png"), sheet(folder, manifest["frames"])[..., ::-1])
        shutil.copy(folder / "report.txt", args.work / f"{name}.txt")
        kept.write_text(json.dumps({"video": name, "frames": manifest["frames"], "size": [manifest["film"]["width"],
                                    manifest["film"]["height"]], "cpu": busy, **manifest["quality"]}))
        shutil.rmtree(folder)
    return json.loads(kept.read_text())


def sheet(folder: Path, frames: int) -> np.ndarray:  # uint8 [3 SIDE, SHOWN SIDE, 3]
    """Frames with their points, what the masks make of them, and the torso's layer."""
    points, columns = FaceTrack.load(folder / "track.safetensors", dense=False).landmarks.points[..., :2].numpy(), []
    for i in np.linspace(0, frames - 1, SHOWN).round().astype(int):
        frame = read_picture(folder / f"ori_imgs/{i}.jpg")
        masks = from_parsing(read_picture(folder / f"parsing/{i}.png"))
        grey = np.repeat(frame.mean(2, keepdims=True), 3, 2).astype(np.uint8)
        cut = np.where(masks.head[..., None], frame, np.where(masks.torso[..., None], grey, np.uint8(255)))
        torso = read_picture(folder / f"torso_imgs/{i}.png")
        columns.append(np.vstack([cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
                                  for image in (draw_landmarks(frame, points[i]), cut, torso)]))
    return np.hstack(columns)


def written(told: list[dict], args: argparse.Namespace) -> str:
    lines = ["# Real videos captured", "",
             f"{date.today().isoformat()}, {platform.machine()}; `python benchmarks/real_captures.py`, the first "
             f"{args.seconds:g} s of each video, {args.size} px, with masks. CPU time of all threads, start included.", "",
             "| video | px | frames | CPU, ms a frame | verdict | found wanting |", "|" + 6 * "---|"]
    for one in told:
        faults = "; ".join(f"{name}: {value}" for name, value, verdict, _ in one["findings"] if verdict in (FAIR, POOR))
        cells = [one["video"], "{} x {}".format(*one["size"]), one["frames"], f"{1000 * one['cpu'] / one['frames']:.0f}",
                 one["verdict"], faults or "nothing"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
