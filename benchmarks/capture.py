"""How well capture measures people it never saw, and how fast: films of synthetic identities against their exact truth.

    python benchmarks/capture.py [--work FOLDER] [--seconds 10] [--size 512] [--identities 5 42 77 101]

Each film is written as mp4, captured with masks into a folder, and what the folder holds is compared with the truth; one film is
captured once more without masks for its speed. Also draws the landmarks of a real photograph (scikit-image's astronaut). Writes
benchmarks/results/capture.{md,jpg} and capture_astronaut.jpg.
"""
from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import progress_line, results_folder, talking_heads  # noqa: F401
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.capture.framing import like_dataset
from talking_heads.media_core.face.draw import draw_landmarks
from talking_heads.media_core.face.geometry import BROWS, EYES, JAW, MOUTH, NOSE, inter_ocular
from talking_heads.media_core.face.landmarks.landmarks import portrait_landmarks
from talking_heads.media_core.face.pose.pose import to_camera
from talking_heads.media_core.face.track import FaceTrack
from talking_heads.media_core.metrics import correlation, eye_aperture, lip_aperture
from talking_heads.media_core.motion import AU_NAMES
from talking_heads.media_core.subject import Subject, perform
from talking_heads.media_core.video import VideoWriter

GOOD_UNITS = ("AU01", "AU10", "AU12", "AU23", "AU25", "AU26", "AU45")
MOUTH_CLASS, HEAD_CLASSES = 4, (1, 4, 5)
SMALLEST_MOUTH = 0.0012  # of the picture: with fewer pixels of mouth interior, one pixel decides over the overlap
WANTED = {"landmarks, NME %": ("<=", 2.5), "mouth, NME %": ("<=", 2.2), "lip-aperture correlation": (">=", .9),
          "eye-aperture correlation": (">=", .8), "jitter, px at 512": ("<=", .35), "rotation error, degrees": ("<=", 1.5),
          "rotation jitter, degrees a frame": ("<=", .2), "reprojection, px at 512": ("<=", 1.0), "head mask, IoU": (">=", .98),
          "mouth interior, IoU": (">=", .65), "action units 01 10 12 23 25 26 45, correlation": (">=", .7),
          "frames a second without masks": (">=", 12.0), "frames a second with masks": (">=", 4.0)}


@dataclass(frozen=True)
class Truth:
    """What is known exactly about a film; N frames, px of the film."""

    landmarks: np.ndarray  # [N, 68, 2]
    classes: np.ndarray    # uint8 [N, H, W]
    rotation: np.ndarray   # [N, 3, 3] head -> OpenCV camera
    au: np.ndarray         # [N, 17]


def main() -> None:
    args = arguments()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    rows, units, reliability, pictures = {}, {}, (), []
    for number, identity in enumerate(args.identities):
        film, truth = filmed(args.work / f"{identity}.mp4", identity, args)
        folder = args.work / str(identity)
        seconds = timed(film, folder, CaptureSettings(size=args.size, tracker="rendered"))
        rows[identity], units[identity], reliability = judged(folder, truth, args.size)
        rows[identity]["frames a second with masks"] = len(truth.au) / seconds
        if number == 0:
            quick = timed(film, args.work / "quick", CaptureSettings(size=args.size, masks=False, tracker="rendered"))
            rows[identity]["frames a second without masks"] = len(truth.au) / quick
        pictures.append(sheet_row(folder, truth, args.size))
        print(identity, {k: round(v, 3) for k, v in rows[identity].items()}, flush=True)
    text = report(rows, units, reliability, args)
    print(text)
    results_folder().joinpath("capture.md").write_text(text, encoding="utf-8")
    save(results_folder() / "capture.jpg", np.vstack(pictures))
    save(results_folder() / "capture_astronaut.jpg", astronaut())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("output/benchmark_capture"), help="folder for films; emptied first")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--identities", type=int, nargs="+", default=[5, 42, 77, 101], help="below 1000: never trained on")
    return parser.parse_args()


def filmed(path: Path, identity: int, args: argparse.Namespace) -> tuple[Path, Truth]:
    """A person says new sentences; the film on disk and its truth."""
    subject, spoken = Subject(args.size, identity), perform(args.seconds, 700 + identity)
    landmarks, classes, rotations = [], [], []
    with VideoWriter(path, args.size, args.size, spoken.fps, spoken.sound) as film:
        for params, euler, move, sway in zip(spoken.params, spoken.euler, spoken.translation, spoken.sway):
            pose = subject.pose(euler, move)
            frame = subject.render(params, pose, sway)
            film.write(frame.rgb)
            landmarks.append(frame.landmarks2d), classes.append(frame.classes)
            rotations.append(subject.world_to_camera(pose)[0])
    return path, Truth(np.stack(landmarks), np.stack(classes), np.stack(rotations), spoken.au)


def timed(film: Path, folder: Path, settings: CaptureSettings) -> float:
    """Seconds the whole capture takes."""
    started = time.perf_counter()
    capture(film, folder, settings, report=progress_line())
    return time.perf_counter() - started


def judged(folder: Path, truth: Truth, size: int) -> tuple[dict[str, float], dict[str, float], tuple]:
    """Figures of one film, correlation by action unit, and the reliability the capture claimed."""
    track, crop = FaceTrack.load(folder / "track.safetensors"), like_dataset(folder).crop
    points, exact = track.landmarks.points[:, :, :2].double().numpy(), crop.to_crop(truth.landmarks)
    error = np.linalg.norm(points - exact, axis=-1) / inter_ocular(exact)[:, None] * 100
    scale = 512 / size
    rows = {"landmarks, NME %": error.mean(), "jaw, NME %": error[:, JAW].mean(), "brows, NME %": error[:, BROWS].mean(),
            "nose, NME %": error[:, NOSE].mean(), "eyes, NME %": error[:, EYES].mean(), "mouth, NME %": error[:, MOUTH].mean(),
            "lip-aperture correlation": correlation(lip_aperture(points), lip_aperture(exact)),
            "lip-aperture slope": float(np.polyfit(lip_aperture(exact), lip_aperture(points), 1)[0]),
            "eye-aperture correlation": correlation(eye_aperture(points), eye_aperture(exact)),
            "jitter, px at 512": np.linalg.norm(np.diff(points - exact, axis=0), axis=-1).mean() * scale,
            "reprojection, px at 512": float(track.reprojection.nanmean()) * scale}
    rows |= pose_errors(track, truth) | mask_overlaps(folder, truth, crop, size)
    measured = track.expression.au.numpy()
    units = {name: correlation(measured[:, k], truth.au[:, k]) for k, name in enumerate(AU_NAMES)}
    rows["action units 01 10 12 23 25 26 45, correlation"] = float(np.mean([units[name] for name in GOOD_UNITS]))
    return {k: float(v) for k, v in rows.items()}, units, track.expression.reliability


def pose_errors(track: FaceTrack, truth: Truth) -> dict[str, float]:
    """Against the exact rotations, up to one constant rotation between the two head frames."""
    from scipy.spatial.transform import Rotation

    made = to_camera(track.pose.camera_to_head.numpy())[0]
    between = Rotation.from_matrix(np.einsum("nji,njk->nik", made, truth.rotation)).mean().as_matrix()
    off = np.einsum("nji,njk->nik", made @ between, truth.rotation)
    steps = [Rotation.from_matrix(np.einsum("nji,njk->nik", r[:-1], r[1:])).as_rotvec(degrees=True)
             for r in (made @ between, truth.rotation)]
    return {"rotation error, degrees": np.degrees(Rotation.from_matrix(off).magnitude()).mean(),
            "rotation jitter, degrees a frame": np.linalg.norm(steps[0] - steps[1], axis=1).mean()}


def mask_overlaps(folder: Path, truth: Truth, crop, size: int) -> dict[str, float]:
    heads, mouths = [], []
    for index in range(len(truth.classes)):
        exact, made = exact_classes(truth, crop, size, index), parsed(folder, index)
        heads.append(overlap(made["head"], np.isin(exact, HEAD_CLASSES)))
        if (exact == MOUTH_CLASS).sum() >= SMALLEST_MOUTH * size * size:
            mouths.append(overlap(made["mouth"], exact == MOUTH_CLASS))
    return {"head mask, IoU": np.mean(heads), "head mask, worst IoU": np.min(heads),
            "mouth interior, IoU": np.mean(mouths) if mouths else float("nan")}


def exact_classes(truth: Truth, crop, size: int, index: int) -> np.ndarray:  # uint8 [size, size]
    import cv2

    return cv2.warpAffine(truth.classes[index], crop.matrix(), (size, size), flags=cv2.INTER_NEAREST,
                          borderMode=cv2.BORDER_REPLICATE)


def parsed(folder: Path, index: int) -> dict[str, np.ndarray]:
    """Head (face, mouth, hair) and mouth interior of a parsing picture (docs/hmtalker.md#dataset-layout)."""
    import cv2

    rgb = cv2.cvtColor(cv2.imread(str(folder / "parsing" / f"{index}.png")), cv2.COLOR_BGR2RGB)
    is_colour = lambda *colour: (rgb == np.array(colour)).all(-1)
    mouth = is_colour(100, 100, 100)
    return {"mouth": mouth, "head": mouth | is_colour(0, 0, 255) | is_colour(0, 0, 0)}


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def sheet_row(folder: Path, truth: Truth, size: int, tile: int = 256) -> np.ndarray:
    """Four moments of a film: drawn landmarks over masks (head green, mouth red)."""
    import cv2

    track, out = FaceTrack.load(folder / "track.safetensors"), []
    opening = np.asarray(lip_aperture(truth.landmarks))
    for index in (int(opening.argmax()), len(truth.au) // 3, int(np.asarray(eye_aperture(truth.landmarks)).argmin()), -1):
        index %= len(truth.au)
        image = cv2.cvtColor(cv2.imread(str(folder / "ori_imgs" / f"{index}.jpg")), cv2.COLOR_BGR2RGB)
        masks, tinted = parsed(folder, index), image.copy()
        tinted[masks["head"]] = tinted[masks["head"]] * .6 + np.array([0, 100, 0])
        tinted[masks["mouth"]] = [230, 30, 30]
        both = np.hstack([draw_landmarks(image, track.landmarks.points[index, :, :2].numpy()), tinted])
        out.append(cv2.resize(both, (2 * tile, tile), interpolation=cv2.INTER_AREA))
    return np.hstack(out)


def astronaut() -> np.ndarray:
    """The real photograph, untouched, with the points found in it."""
    import cv2
    from skimage import data

    photo = data.astronaut()
    face = portrait_landmarks(photo)
    large = cv2.resize(photo[0:320, 60:380], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return draw_landmarks(large, (face.points - [60, 0] + .5) * 3 - .5)


def save(path: Path, rgb: np.ndarray) -> None:
    import cv2

    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def report(rows: dict, units: dict, reliability: tuple, args: argparse.Namespace) -> str:
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = ["# Capture against exact truth", "",
             f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; `python "
             f"benchmarks/capture.py --seconds {args.seconds:g} --size {args.size} --identities {' '.join(map(str, rows))}`.", "",
             "Synthetic people only, none of whom any shipped weight was trained on: these figures rank methods, they do not "
             "predict accuracy on a real person. The built-in tracker is approximate.", "",
             "| figure | mean | " + " | ".join(f"person {i}" for i in rows) + " | wanted |", "|---" * (len(rows) + 3) + "|"]
    for name in names:
        values = [row.get(name, float("nan")) for row in rows.values()]
        mean = float(np.nanmean(values))
        sign, bound = WANTED.get(name, ("", None))
        met = "" if bound is None else f"{sign} {bound:g}: " + (
            "met" if (mean <= bound if sign == "<=" else mean >= bound) else "**not met**")
        cells = " | ".join("" if np.isnan(v) else f"{v:.3f}" for v in values)
        lines.append(f"| {name} | {mean:.3f} | {cells} | {met} |")
    lines += ["", "Mouth interior is compared where it fills at least "
              f"{SMALLEST_MOUTH:.2%} of the picture. Jitter: mean over points of the frame-to-frame change of the error.", "",
              "## Action units", "", "Correlation with the exact intensities, and the reliability that capture states "
              "(below 0.4 a unit is marked unreliable and training takes it for unknown).", "",
              "| unit | mean | " + " | ".join(f"person {i}" for i in units) + " | stated reliability |",
              "|---" * (len(units) + 3) + "|"]
    for k, name in enumerate(AU_NAMES):
        values = [unit[name] for unit in units.values()]
        stated = "" if reliability is None else f"{reliability[k]:.2f}" + ("" if reliability[k] >= .4 else " (unreliable)")
        lines.append(f"| {name} | {np.nanmean(values):.2f} | " + " | ".join(f"{v:.2f}" for v in values) + f" | {stated} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
