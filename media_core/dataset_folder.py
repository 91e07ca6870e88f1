"""What every writer of a dataset folder shares: the layout's files, how they are written, checked and continued
(docs/hmtalker.md#dataset-layout).

Every file appears whole or not at all and the manifest comes last: a folder with a manifest is finished, a folder without one is
continued where it stopped.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FileFormatError, TalkingHeadsError
from .files import atomic_path
from .json_files import LONGEST_TABLE, read_json_object
from .motion import AU_NAMES
from .png_files import png
from .schema import described, each, is_plain_name, record, text, whole

PALETTE = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 0], [255, 0, 0], [100, 100, 100], [0, 0, 0]], np.uint8)  # RGB by class
TRAIN_SHARE = 10 / 11        # of the frames, the first ones
JPEG_QUALITY = 97
FRAME_FILES = ("ori_imgs/{}.jpg", "ori_imgs/{}.lms", "gt_imgs/{}.jpg", "torso_imgs/{}.png", "parsing/{}.png",
               "teeth_mask/{}.npy")
TABLE_FILES = ("aud.wav", "au.csv", "transforms_train.json", "transforms_val.json")
REQUEST, MANIFEST = "request.json", "manifest.json"
MOST_FRAMES = 10 ** 7        # of a dataset: days of video
PRESENT = 0.5                # intensity from which OpenFace's second set of columns says that a unit is there


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a folder that cannot be written into an error with a remedy."""
    try:
        yield
    except OSError as error:
        raise TalkingHeadsError("The dataset's folder must have room and be writable",
                                f"writing {error.filename or folder} failed ({error.strerror})",
                                "Free some space, or choose another folder, and run it again: it continues") from error


def occupied(folder: Path, *, own: Sequence[str] = ()) -> bool:
    """Whether a folder holds anything foreign to a dataset just started: hidden files, of killed runs perhaps, do not count,
    nor do the dataset's `own` folders as long as nothing but such files is in them."""
    if not folder.is_dir():
        return False
    return any(path.is_dir() and (path.name not in own or occupied(path)) or not path.is_dir() and not path.name.startswith(".")
               for path in folder.iterdir())


def verify_dataset(folder: str | os.PathLike) -> dict[str, Any]:
    """Reads every file of a finished folder and compares checksums; returns the manifest.

    Raises:
        FileFormatError: no manifest, a damaged one, or one that names files elsewhere, or a file is missing or altered.
    """
    folder = Path(folder)
    manifest = read_json(folder / MANIFEST)
    if manifest.get("kind") != "dataset":
        raise FileFormatError("The folder must hold a finished dataset", f"no manifest in {folder}",
                              "Run the export again: it continues")
    described(manifest, _MANIFEST, MANIFEST, "Delete it, and run the export again")
    _check_files(folder, manifest)
    for name, wanted in manifest["checksums"].items():
        if checksum(folder, name, manifest["frames"]) != wanted:
            raise FileFormatError("A dataset's files must be as they were written", f"{name} in {folder} differs",
                                  "Delete manifest.json and that part, and run the export again")
    return manifest


_MANIFEST = record({"frames": whole(0, MOST_FRAMES), "checksums": each(text(128))}, others=True)


def _check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """The manifest's text becomes paths: they must stay in the folder, and frames that are not there are not looked for.

    Raises:
        FileFormatError: a path that leads out of the folder, or more frames than there are files.
    """
    strange = [name for name in manifest["checksums"] if not all(map(is_plain_name, name.split("/"))) or name.count("{}") > 1]
    if strange:
        raise FileFormatError(f"{MANIFEST} must name files of its own folder", f"{strange[0][:60]!r} in {folder}",
                              "Delete it, and run the export again")
    numbered = {name.rpartition("/")[0] for name in manifest["checksums"] if "{}" in name}
    there = max((sum(1 for _ in place.iterdir()) for place in map(folder.joinpath, numbered) if place.is_dir()), default=0)
    if numbered and manifest["frames"] > there:
        raise FileFormatError("A dataset's files must be as they were written",
                              f"{folder} has files of {there} frames at most, not of {manifest['frames']}",
                              "Delete manifest.json and run the export again")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a dataset, or {} when there is none.

    Raises:
        FileFormatError: the file is no JSON object.
    """
    return read_json_object(path, absent={}, longest=LONGEST_TABLE, do="Choose another folder, or delete the file")


def write_json(path: Path, value: object) -> None:
    write_bytes(path, json.dumps(value, indent=1).encode())


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_path(path, tidy=False) as temporary:
        temporary.write_bytes(content)


def checksum(folder: Path, name: str, frames: int, tick: Callable[[int], None] = lambda i: None) -> str:
    """SHA-256 of a file, or of all files of a per-frame pattern in order; `tick` is called with each one's number."""
    digest = hashlib.sha256()
    for i in range(frames) if "{}" in name else range(1):
        path = folder / name.replace("{}", str(i))
        digest.update(path.read_bytes() if path.is_file() else b"(missing)")
        tick(i)
    return digest.hexdigest()


def encoded(kind: str, image: np.ndarray) -> bytes:  # uint8 [H, W, 3|4] RGB(A)
    """An image file's bytes; `kind` is ".jpg" (quality 97) or ".png"."""
    import cv2
    if kind == ".png":
        return png(image)
    return cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def npy(array: np.ndarray) -> bytes:
    """An .npy file's bytes."""
    from io import BytesIO
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def landmark_lines(points: np.ndarray) -> bytes:  # [68, 2] px
    """An .lms file's bytes: 68 lines "x y"."""
    return "".join(f"{x:.3f} {y:.3f}\n" for x, y in points).encode()


def write_transforms(folder: Path, poses: np.ndarray, focal: float, centre: tuple[float, float],
                     sound_frames: Sequence[int] | np.ndarray | None = None) -> None:
    """transforms_train.json (the first 10/11) and transforms_val.json.

    Args:
        poses: [F, 4, 4] camera to head, OpenGL axes, metres.
        focal, centre: px.
        sound_frames: per image the frame of the audio that belongs to it (`aud_id`); its own number when not given.
    """
    common = {"focal_len": float(focal), "cx": float(centre[0]), "cy": float(centre[1])}
    heard = range(len(poses)) if sound_frames is None else sound_frames
    frames = [{"img_id": i, "aud_id": int(sound), "transform_matrix": np.asarray(pose, np.float64).tolist()}
              for i, (sound, pose) in enumerate(zip(heard, poses))]
    cut = max(1, min(len(frames) - 1, round(len(frames) * TRAIN_SHARE))) if len(frames) > 1 else 1
    write_json(folder / "transforms_train.json", {**common, "frames": frames[:cut]})
    write_json(folder / "transforms_val.json", {**common, "frames": frames[cut:]})


def openface_table(au: np.ndarray, fps: float, confidence: Iterable[float] | None = None,
                   success: Iterable[bool] | None = None) -> str:
    """OpenFace's table, with the blank after each comma that the readers of this layout expect.

    An unknown unit's cell stays empty, without a blank: every CSV reader takes that for "no number".

    Args:
        au: [F, 17] intensities 0..5 in `AU_NAMES`' order, NaN where unknown.
        fps: frames per second.
        confidence: [F] 0..1 (default 1).
        success: [F] whether the frame was really measured (default True).
    """
    names = ["frame", "face_id", "timestamp", "confidence", "success"] + [f"{name}_r" for name in AU_NAMES]
    names += [f"{name}_c" for name in (*AU_NAMES[:-1], "AU28", AU_NAMES[-1])]
    rows = [", ".join(names)]
    sure = [1.0] * len(au) if confidence is None else confidence
    measured = [True] * len(au) if success is None else success
    for i, (units, trust, good) in enumerate(zip(au, sure, measured)):
        present = [float(value > PRESENT) if value == value else value for value in (*units[:-1], 0.0, units[-1])]
        cells = [f" {i}" for i in ("0", f"{i / fps:.3f}", f"{trust:.2f}", f"{int(good)}")]
        cells += [f" {value:.3f}" if value == value else "" for value in units]
        cells += [f" {value:.1f}" if value == value else "" for value in present]
        rows.append(",".join([f"{i + 1}", *cells]))
    return "\n".join(rows) + "\n"
