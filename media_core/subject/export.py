"""A performance written as a training data set, in the layout of TalkingGaussian and its relatives (spec/hmtalker.md 2.12).

Frames are made and written one at a time. Every file appears whole or not at all, and the manifest comes last: a folder with a
manifest is finished, a folder without one is continued where it stopped.
"""
from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Sequence

import numpy as np

from ..audio import Sound, save_wav
from ..errors import FileFormatError, TalkingHeadsError
from ..files import atomic_path
from ..progress import Report, silent
from . import CREDIT
from .parameters import AU_NAMES, PARAMS
from .performance import Performance, perform
from .render import CLASSES, Subject, SubjectFrame

VERSION = 1
PALETTE = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 0], [255, 0, 0], [100, 100, 100], [0, 0, 0]], np.uint8)  # RGB by class
TRAIN_SHARE = 10 / 11        # of the frames, the first ones
_JPEG_QUALITY = 97
_PREVIEW_EVERY = 5           # frames
_TRUTH_EVERY = 100           # frames between two chances to stop before the first frame is drawn
_FRAME_FILES = ("ori_imgs/{}.jpg", "ori_imgs/{}.lms", "gt_imgs/{}.jpg", "torso_imgs/{}.png", "parsing/{}.png",
                "teeth_mask/{}.npy")
_SINGLE_FILES = ("bc.jpg", "aud.wav", "au.csv", "transforms_train.json", "transforms_val.json", "gt.npz")
_REQUEST, _MANIFEST = "request.json", "manifest.json"


@dataclass(frozen=True)
class _Truth:
    """What is known exactly about every frame; N frames."""
    landmarks2d: np.ndarray   # [N, 68, 2] pixels
    landmarks3d: np.ndarray   # [N, 68, 3] metres, head frame, OpenGL axes
    rotation: np.ndarray      # [N, 3, 3] head frame -> OpenCV camera
    translation: np.ndarray   # [N, 3] metres


def export_dataset(folder, seconds: float | None, seed: int, *, size: int = 256, identity: int | None = 3, engine: str = "auto",
                   text: str | Sequence[str] | None = None, voice: str = "en-us+f3", report: Report = silent) -> Path:
    """Writes the folder and returns it; a finished folder made with the same arguments is returned as it is.

    Args:
        folder: where to write; made when absent. Frames of another, unfinished export in it are overwritten.
        seconds, seed, engine, text, voice: as for `perform`.
        size: pixels, both ways.
        identity: which invented person (None is the portrait itself: for tests only).
        report: called once a frame, and with 0 done while those are prepared; what it raises stops the export, which the same
            call later continues.
    Raises:
        TalkingHeadsError: see `perform` and `Subject`; or the folder holds something else, is full or cannot be written.
    """
    folder = Path(folder)
    performance = perform(seconds, seed, voice=voice, engine=engine, text=text, report=report)
    request = {"seconds": seconds, "seed": seed, "size": size, "identity": identity, "engine": performance.engine, "voice": voice,
               "text": list(performance.text), "frames": len(performance), "version": VERSION, "fps": performance.fps}
    if _read(folder / _MANIFEST).get("request") == request:
        return folder
    subject = Subject(size, identity)
    truth = _truth(subject, performance, report)
    with _writing(folder):
        _prepare(folder, request)
        _write_frames(folder, subject, performance, truth, report)
        _write_tables(folder, subject, performance, truth)
        _write_manifest(folder, request, performance)
    return folder


def verify_dataset(folder) -> dict[str, Any]:
    """Reads every file of a finished folder and compares checksums; returns the manifest.

    Raises:
        FileFormatError: no manifest, or a file is missing or altered.
    """
    folder = Path(folder)
    manifest = _read(folder / _MANIFEST)
    if manifest.get("kind") != "dataset":
        raise FileFormatError("The folder must hold a finished data set", f"no manifest in {folder}",
                              "Run the export again: it continues")
    for name, wanted in manifest["checksums"].items():
        if _checksum(folder, name, manifest["frames"]) != wanted:
            raise FileFormatError("A data set's files must be as they were written", f"{name} in {folder} differs",
                                  "Delete manifest.json and that part, and run the export again")
    return manifest


# ------------------------------------------------------------------------------------------------------------- pieces

@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tells what to do when the folder cannot be written."""
    try:
        yield
    except OSError as error:
        raise TalkingHeadsError("The data set's folder must have room and be writable",
                                f"writing {error.filename or folder} failed ({error.strerror})",
                                "Free some space, or choose another folder, and run it again: it continues") from error


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file, or {} when there is none."""
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf8"))
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{path.name} must be JSON", f"{path} is not ({error})",
                              "Choose another folder, or delete the file") from error


def _prepare(folder: Path, request: dict[str, Any]) -> None:
    """Makes the folder ready for `request`: an unfinished export of it is kept, anything else of ours is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    old = _read(folder / _REQUEST)
    if not old and any(folder.iterdir()):
        raise TalkingHeadsError("The folder for a data set must be new, empty or a data set of the subject",
                                f"{folder} holds other files", "Choose another folder")
    (folder / _MANIFEST).unlink(missing_ok=True)
    if old != request:
        for pattern in _FRAME_FILES:
            for index in range(old.get("frames", 0)):
                (folder / pattern.format(index)).unlink(missing_ok=True)
        _write_json(folder / _REQUEST, request)
    for pattern in _FRAME_FILES:
        (folder / pattern).parent.mkdir(exist_ok=True)


def _truth(subject: Subject, performance: Performance, report: Report) -> _Truth:
    flat, solid, rotation, translation = [], [], [], []
    for i, (params, euler, move) in enumerate(zip(performance.params, performance.euler, performance.translation)):
        if i % _TRUTH_EVERY == 0:
            report(0, len(performance), {"stage": "landmarks"}, None)
        pose = subject.pose(euler, move)
        points2d, points3d = subject.landmarks(params, pose)
        r, t = subject.world_to_camera(pose)
        flat.append(points2d), solid.append(points3d), rotation.append(r), translation.append(t)
    return _Truth(*map(np.array, (flat, solid, rotation, translation)))


def _write_frames(folder: Path, subject: Subject, performance: Performance, truth: _Truth, report: Report) -> None:
    total = len(performance)
    for i in range(total):
        finished = all((folder / pattern.format(i)).is_file() for pattern in _FRAME_FILES)
        preview = None
        if not (finished and i + 1 < total):          # the last frame is always made: it also gives the background
            pose = subject.pose(performance.euler[i], performance.translation[i])
            frame = subject.render(performance.params[i], pose, performance.sway[i])
            _write_frame(folder, i, frame, truth.landmarks2d[i])
            preview = frame.rgb if i % _PREVIEW_EVERY == 0 else None
            if i + 1 == total:
                _write(folder / "bc.jpg", _encoded(".jpg", frame.background))
        report(i + 1, total, {"stage": "data set", "phoneme": performance.phoneme_at(i)}, preview)


def _write_frame(folder: Path, index: int, frame: SubjectFrame, points: np.ndarray) -> None:
    """The six files of one frame, in the order of `_FRAME_FILES`."""
    image = _encoded(".jpg", frame.rgb)
    lines = "".join(f"{x:.3f} {y:.3f}\n" for x, y in points).encode()
    contents = (image, lines, image, _encoded(".png", frame.torso), _encoded(".png", PALETTE[frame.classes]), _npy(frame.teeth))
    for pattern, content in zip(_FRAME_FILES, contents):
        _write(folder / pattern.format(index), content)


def _write_tables(folder: Path, subject: Subject, performance: Performance, truth: _Truth) -> None:
    sixteen = performance.sound.mono(16000)
    save_wav(folder / "aud.wav", Sound(sixteen[None], 16000))
    _write(folder / "au.csv", _openface(performance).encode())
    k = subject.intrinsics
    common = {"focal_len": float(k[0, 0]), "cx": float(k[0, 2]), "cy": float(k[1, 2])}
    frames = [{"img_id": i, "aud_id": i, "transform_matrix": camera_to_world(r, t).tolist()}
              for i, (r, t) in enumerate(zip(truth.rotation, truth.translation))]
    cut = max(1, min(len(frames) - 1, round(len(frames) * TRAIN_SHARE))) if len(frames) > 1 else 1
    _write_json(folder / "transforms_train.json", {**common, "frames": frames[:cut]})
    _write_json(folder / "transforms_val.json", {**common, "frames": frames[cut:]})
    with atomic_path(folder / "gt.npz") as temporary:
        np.savez_compressed(temporary, params=performance.params.astype(np.float32), au=performance.au.astype(np.float32),
                            landmarks2d=truth.landmarks2d, landmarks3d=truth.landmarks3d, R=truth.rotation, t=truth.translation,
                            K=k, sway=performance.sway)


def camera_to_world(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:  # [3, 3], [3] OpenCV -> [4, 4] OpenGL
    """The camera's place in the head's frame, metres, OpenGL axes (x right, y up, z back)."""
    c2w = np.eye(4)
    c2w[:3, :3] = rotation.T * np.array([1.0, -1.0, -1.0])
    c2w[:3, 3] = -rotation.T @ translation
    return c2w


def _openface(performance: Performance) -> str:
    """OpenFace's table, with the blank after each comma that the readers of this layout expect."""
    names = ["frame", "face_id", "timestamp", "confidence", "success"] + [f"{name}_r" for name in AU_NAMES]
    names += [f"{name}_c" for name in (*AU_NAMES[:-1], "AU28", AU_NAMES[-1])]
    rows = [", ".join(names)]
    for i, au in enumerate(performance.au):
        present = [float(value > 0.5) for value in (*au[:-1], 0.0, au[-1])]
        cells = [f"{i + 1}", "0", f"{i / performance.fps:.3f}", "1.00", "1"]
        rows.append(", ".join(cells + [f"{value:.3f}" for value in au] + [f"{value:.1f}" for value in present]))
    return "\n".join(rows) + "\n"


def _write_manifest(folder: Path, request: dict[str, Any], performance: Performance) -> None:
    checksums = {name: _checksum(folder, name, request["frames"]) for name in (*_FRAME_FILES, *_SINGLE_FILES)}
    _write_json(folder / _MANIFEST, {
        "kind": "dataset", "version": VERSION, "source": "synthetic subject", "synthetic": True, "credit": CREDIT,
        "fps": performance.fps, "size": [request["size"]] * 2,
        "frames": request["frames"], "seed": request["seed"], "identity": request["identity"],
        "text": list(performance.text), "phonemes": [list(p) for p in performance.phonemes], "params": list(PARAMS),
        "au": list(AU_NAMES), "classes": list(CLASSES), "request": request, "checksums": checksums,
        "conventions": "landmarks3d: metres, head frame, OpenGL axes; pixel = K (R X + t), OpenCV camera"})


def _checksum(folder: Path, name: str, frames: int) -> str:
    """SHA-256 of a file, or of all files of a per-frame pattern in order."""
    digest = hashlib.sha256()
    for path in (folder / name.format(i) for i in (range(frames) if "{}" in name else range(1))):
        digest.update(path.read_bytes() if path.is_file() else b"(missing)")
    return digest.hexdigest()


def _encoded(kind: str, image: np.ndarray) -> bytes:  # uint8 [H, W, 3|4] RGB(A)
    import cv2
    order = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if kind == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(kind, cv2.cvtColor(image, order), options)[1].tobytes()


def _npy(array: np.ndarray) -> bytes:
    from io import BytesIO
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _write_json(path: Path, value: Any) -> None:
    _write(path, json.dumps(value, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
