"""A performance written as a training dataset, in the layout of TalkingGaussian and its relatives (docs/hmtalker.md).

Frames are made and written one at a time. Every file appears whole or not at all, and the manifest comes last: a folder with a
manifest is finished, a folder without one is continued where it stopped.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Sound, save_wav
from ..claims import claimed
from ..dataset_folder import (
    FRAME_FILES,
    MANIFEST,
    PALETTE,
    REQUEST,
    TABLE_FILES,
    checksum,
    encoded,
    landmark_lines,
    npy,
    occupied,
    openface_table,
    read_json,
    write_bytes,
    write_json,
    write_transforms,
    writing,
)
from ..errors import TalkingHeadsError
from ..files import atomic_path
from ..progress import Report, silent
from ..temporary import remove_leftovers
from . import CREDIT
from .parameters import AU_NAMES, PARAMS
from .performance import VARIED, Heard, Performance, perform
from .portrait import Portrait, Source
from .render import CLASSES, Subject, SubjectFrame

VERSION = 1
_PREVIEW_EVERY = 5           # frames
_TRUTH_EVERY = 100           # frames between two chances to stop before the first frame is drawn
_SINGLE_FILES = ("bc.jpg", *TABLE_FILES, "gt.npz")


@dataclass(frozen=True)
class _Truth:
    """What is known exactly about every frame; N frames."""
    landmarks2d: np.ndarray   # [N, 68, 2] pixels
    landmarks3d: np.ndarray   # [N, 68, 3] metres, head frame, OpenGL axes
    rotation: np.ndarray      # [N, 3, 3] head frame -> OpenCV camera
    translation: np.ndarray   # [N, 3] metres


@claimed("folder")
def export_dataset(folder, seconds: float | None, seed: int, *, size: int = 256, identity: int | None = 3, engine: str = "auto",
                   text: str | Sequence[str] | None = None, voice: str | None = None, portrait: Portrait | None = None,
                   heard: Heard | None = None, report: Report = silent) -> Path:
    """Writes the folder and returns it; a finished folder made with the same arguments is returned as it is.

    Args:
        folder: where to write; made when absent. Frames of another, unfinished export in it are overwritten.
        seconds, seed, engine, text: as for `perform`.
        voice: the same; None: "en-us+f3" for the astronaut, and one after the other for a photo, whose own voice nobody knows.
        size: pixels, both ways.
        identity: which invented person. None is the person of the photo as they are (the astronaut: for tests only).
        portrait: of `Portrait.of_picture`; None: the astronaut.
        heard: audio to speak to, instead of a text.
        report: called once a frame, and with 0 done while those are prepared; what it raises stops the export, which the same
            call later continues.
    Raises:
        TalkingHeadsError: see `perform` and `Subject`; or the folder holds something else, is full or cannot be written.
    """
    folder = Path(folder)
    if voice is None:
        voice = "en-us+f3" if portrait is None else "varied"
    performance = perform(seconds, seed, voice=VARIED if voice == "varied" else voice, engine=engine, text=text,
                          heard=heard, report=report)
    request = {"seconds": seconds, "seed": seed, "size": size, "identity": identity, "engine": performance.engine, "voice": voice,
               "text": list(performance.text), "frames": len(performance), "version": VERSION, "fps": performance.fps,
               **_more(portrait, heard)}
    if read_json(folder / MANIFEST).get("request") == request:
        return folder
    subject = subject_of(size, identity, portrait)
    truth = _truth(subject, performance, report)
    with writing(folder):
        _prepare(folder, request)
        _write_frames(folder, subject, performance, truth, report)
        _write_tables(folder, subject, performance, truth)
        _write_manifest(folder, request, performance, None if portrait is None else portrait.source)
    return folder


def subject_of(size: int, identity: int | None, portrait: Portrait | None = None, *, oversampling: int | None = None) -> Subject:
    """What draws a person: of the astronaut, or of another photo."""
    if portrait is None or portrait.source is None:
        return Subject(size, identity, oversampling=oversampling)
    from .actor import Actor
    return Actor(size, portrait, identity, oversampling=oversampling)


# ------------------------------------------------------------------------------------------------------------- pieces

def _more(portrait: Portrait | None, heard: Heard | None) -> dict[str, Any]:  # JSON
    """What a request also says where there is a photo or audio; without them it is what it always was."""
    photo: dict[str, Any] = {} if portrait is None or portrait.source is None else {"portrait": portrait.source.described}
    return photo | ({} if heard is None else {"sound": heard.sha256})


def _prepare(folder: Path, request: dict[str, Any]) -> None:
    """Makes the folder ready for `request`: an unfinished export of it is kept, anything else of ours is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    old = read_json(folder / REQUEST)
    if not old and occupied(folder):
        raise TalkingHeadsError("The folder for a dataset must be new, empty or a dataset of the subject",
                                f"{folder} holds other files", "Choose another folder")
    remove_leftovers(folder, below=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    if old != request:
        for pattern in FRAME_FILES:
            for index in range(old.get("frames", 0)):
                (folder / pattern.format(index)).unlink(missing_ok=True)
        write_json(folder / REQUEST, request)
    for pattern in FRAME_FILES:
        (folder / pattern).parent.mkdir(exist_ok=True)


def _truth(subject: Subject, performance: Performance, report: Report) -> _Truth:
    flat, solid, rotation, translation = [], [], [], []
    for i, (params, euler, move) in enumerate(zip(performance.params, performance.euler, performance.translation)):
        if i % _TRUTH_EVERY == 0:
            report(0, len(performance), {"stage": "landmarks"}, None)
        pose = subject.pose(euler, move)
        points2d, points3d = subject.landmarks(params, pose)
        r, t = subject.world_to_camera(pose)
        for values, value in zip((flat, solid, rotation, translation), (points2d, points3d, r, t)):
            values.append(value)
    return _Truth(np.array(flat), np.array(solid), np.array(rotation), np.array(translation))


def _write_frames(folder: Path, subject: Subject, performance: Performance, truth: _Truth, report: Report) -> None:
    total = len(performance)
    for i in range(total):
        finished = all((folder / pattern.format(i)).is_file() for pattern in FRAME_FILES)
        preview = None
        if not (finished and i + 1 < total):          # the last frame is always made: it also gives the background
            pose = subject.pose(performance.euler[i], performance.translation[i])
            frame = subject.render(performance.params[i], pose, performance.sway[i])
            _write_frame(folder, i, frame, truth.landmarks2d[i])
            preview = frame.rgb if i % _PREVIEW_EVERY == 0 else None
            if i + 1 == total:
                write_bytes(folder / "bc.jpg", encoded(".jpg", frame.background))
        report(i + 1, total, {"stage": "data set", "frame": i + 1, "frames": total, "phoneme": performance.phoneme_at(i)},
               preview)


def _write_frame(folder: Path, index: int, frame: SubjectFrame, points: np.ndarray) -> None:
    """The six files of one frame, in the order of `FRAME_FILES`."""
    image = encoded(".jpg", frame.rgb)
    contents = (image, landmark_lines(points), image, encoded(".png", frame.torso), encoded(".png", PALETTE[frame.classes]),
                npy(frame.teeth))
    for pattern, content in zip(FRAME_FILES, contents):
        write_bytes(folder / pattern.format(index), content)


def _write_tables(folder: Path, subject: Subject, performance: Performance, truth: _Truth) -> None:
    sixteen = performance.sound.mono(16000)
    save_wav(folder / "aud.wav", Sound(sixteen[None], 16000))
    write_bytes(folder / "au.csv", openface_table(performance.au, performance.fps).encode())
    k = subject.intrinsics
    poses = np.array([camera_to_world(r, t) for r, t in zip(truth.rotation, truth.translation)])
    write_transforms(folder, poses, k[0, 0], (k[0, 2], k[1, 2]))
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


def _write_manifest(folder: Path, request: dict[str, Any], performance: Performance, photo: Source | None) -> None:
    checksums = {name: checksum(folder, name, request["frames"]) for name in (*FRAME_FILES, *_SINGLE_FILES)}
    write_json(folder / MANIFEST, {
        "kind": "dataset", "version": VERSION, "source": "synthetic subject", "synthetic": True,
        "credit": CREDIT if photo is None else photo.credit, **({} if photo is None else {"portrait": photo.described}),
        "tracker": "exact", "fps": performance.fps, "size": [request["size"]] * 2,
        "frames": request["frames"], "seed": request["seed"], "identity": request["identity"],
        "text": list(performance.text), "phonemes": [list(p) for p in performance.phonemes], "params": list(PARAMS),
        "au": list(AU_NAMES), "classes": list(CLASSES), "request": request, "checksums": checksums,
        "conventions": "landmarks3d: metres, head frame, OpenGL axes; pixel = K (R X + t), OpenCV camera"})
