"""A motion dataset from the layout in which MoDiTalker's authors prepared HDTF for MToV (docs/moditalker.md#training-data).

    <folder>/frames/<id>/%05d.jpg                                square images of the face
    <folder>/keypoints/face-centric/unposed/<id>/%05d.npy        [68, 3] dm, without the pose
    <folder>/keypoints/face-centric/posed/<id>/%05d.npy          [68, 3] dm, v R + t
    <folder>/keypoints/non-face-centric/posed/<id>/%05d.npy      [68, 2] px of the images
    <folder>/keypoints/fa/<id>/%05d.npy                          [68, 2] px, a detector's; used where the former lie elsewhere
    <folder>/audio/<id>.wav                                      ours: what is said; without it the clip serves MToV alone

Their script took a wrong height: its pixel landmarks lie height - 3 px too low (docs/moditalker.md#image-height). Such ones are
recognised and not used.
"""
from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...media_core.audio import FPS, Sound, load_sound
from ...media_core.claims import claimed
from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.face.crop import FaceCrop
from ...media_core.motion import LandmarkTrack
from ...media_core.npy_files import load_npy
from ...media_core.progress import Report, silent
from ...media_core.speech import SAMPLE_RATE, EncoderChoice, SpeechEncoder, of_recording, opened
from .dataset_writer import Recorded, ShardWriter, listening, shard_name, writing
from .from_geneface import camera_poses
from .images import PictureSettings, spool

VERSION = 1
MUTE = "mute"  # fact of a clip whose speech is silence because none was given
UNPOSED, POSED, PIXELS, DETECTED = "face-centric/unposed", "face-centric/posed", "non-face-centric/posed", "fa"
_INSIDE = 0.8  # fraction of points that must lie in their image
_HELD_OUT = 10
_COPY = "Prepare that video again, or remove its folder"


@claimed("folder")
def build_from_hdtf(prepared: str | os.PathLike, folder: str | os.PathLike, size: int, *, encoder: EncoderChoice = "mel",
                    fps: float = FPS, report: Report = silent) -> Path:
    """Writes the dataset and returns its folder.

    Args:
        prepared: the folder with frames/ and keypoints/.
        folder: new, empty, or a motion dataset that was begun from the same.
        size: px, sides of the images that are stored.
        encoder: of the speech. fps: frames per second of the images.
        report: called once a frame.
    Raises:
        FileFormatError: no such folders.
        TalkingHeadsError: not one video can be used, or the folder holds something else or is full.
    """
    root, encoder, settings = Path(prepared), opened(encoder), PictureSettings(size)
    names = sorted(path.name for path in (root / "frames").glob("*") if path.is_dir()) if (root / "frames").is_dir() else []
    if not names:
        raise FileFormatError("The folder must hold frames/<id>/*.jpg and keypoints/", f"no images in {root / 'frames'}",
                              "Check the folder")
    facts = {"kind": "hdtf", "version": VERSION, "fps": fps, **listening(encoder), "pictures": settings.to_dict()}
    sources = [{**facts, "source": name, "frames": len(_images(root, name)), "audio": _size(root, name)} for name in names]
    writer = ShardWriter(folder, {**facts, "videos": sources}, "people")
    if writer.finished:
        return writer.folder
    total, done = sum(source["frames"] for source in sources), 0
    for number, (name, made_from) in enumerate(zip(names, sources)):
        shard = shard_name(name, number)
        if not writer.keeps(shard, made_from):
            try:
                clips, skipped = [_clip(root, name, number, writer, made_from, settings, encoder, fps,
                                        lambda at: report(done + at, total, _info(name, number, names), None))], []
            except FileFormatError as error:
                clips, skipped = [], [{"source": name, "reason": f"{error}"}]
            writer.write(shard, made_from, clips, skipped)
        done += made_from["frames"]
        report(done, total, _info(name, number, names), None)
    return writer.finish(_held_out, {"source": "HDTF", "tracker": "people"})


def _info(name: str, number: int, names: Sequence[str]) -> dict[str, Any]:
    return {"stage": "film", "film": name, "number": number + 1, "films": len(names)}


def _held_out(clips: Sequence[Mapping[str, Any]]) -> list[int]:
    """Every tenth clip; of fewer the last."""
    return list(range(_HELD_OUT - 1, len(clips), _HELD_OUT)) or ([len(clips) - 1] if len(clips) > 1 else [])


def _images(root: Path, name: str) -> list[Path]:
    return sorted((root / "frames" / name).glob("*.jpg"))


def _size(root: Path, name: str) -> int:
    path = root / "audio" / f"{name}.wav"
    return path.stat().st_size if path.is_file() else 0


def _clip(root: Path, name: str, number: int, writer: ShardWriter, made_from: Mapping[str, Any], settings: PictureSettings,
          encoder: SpeechEncoder, fps: float, tell: Any) -> Recorded:
    """One video.

    Raises:
        FileFormatError: images or keypoints are missing or garbled, or do not belong together.
    """
    images = _images(root, name)
    unposed, posed = (_points(root, kind, name, images, 3) for kind in (UNPOSED, POSED))
    side = _picture(images[0]).shape[0]
    pixels = _pixels(root, name, images, side)
    scale = settings.size / side
    shift = 0.5 * scale - 0.5  # centres of pixels stay centres
    crop = FaceCrop(np.array([[[scale, 0, shift], [0, scale, shift]]]), settings.size, (side, side), fps)
    margin = float(np.clip(side / np.median(np.ptp(pixels, axis=1).max(-1)), 1, 10))

    def shown() -> Iterator[tuple[np.ndarray, None]]:
        for at, path in enumerate(images):
            picture = _picture(path)
            if picture.shape != (side, side, 3):
                raise FileFormatError("All images of a video must be squares of one size", f"{list(picture.shape)} in {path}",
                                      _COPY)
            tell(at)
            yield crop.crop(picture), None

    with writing(writer.folder):
        pictures = spool(writer.unfinished, f"h{number:05d}", made_from, replace(settings, margin=margin), crop, pixels, shown())
    sound = _heard(root, name, len(images) / fps, encoder)
    mute = not _size(root, name)
    speech = of_recording(encoder, root / "audio" / f"{name}.wav").encode(sound)
    return Recorded(f"h{number:05d}", speech, LandmarkTrack(torch.from_numpy(unposed), fps),
                    camera_poses(*rigid(unposed, posed), fps), name, name, {MUTE: True} if mute else {}, pictures)


def _heard(root: Path, name: str, seconds: float, encoder: SpeechEncoder) -> Sound:
    """The audio as long as the images; silence where there is none."""
    samples = round(seconds * SAMPLE_RATE)
    if not _size(root, name):
        return Sound(np.zeros((1, samples), np.float32), SAMPLE_RATE)
    return Sound(encoder.facts.mono(load_sound(root / "audio" / f"{name}.wav"))[None], SAMPLE_RATE).lasting(samples)


def _points(root: Path, kind: str, name: str, images: Sequence[Path],
            width: int) -> np.ndarray:  # float32 [T, 68, width]
    found = []
    for image in images:
        path = root / "keypoints" / kind / name / f"{image.stem}.npy"
        points = load_npy(path, "Every image of a video must have its landmarks", _COPY)
        if points.shape != (68, width) or points.dtype.kind not in "fiu" or not np.isfinite(points).all():
            raise FileFormatError(f"Landmarks must be finite [68, {width}]", f"{points.dtype} {list(points.shape)} in {path}",
                                  _COPY)
        found.append(points.astype(np.float32))
    return np.stack(found)


def _pixels(root: Path, name: str, images: Sequence[Path], side: int) -> np.ndarray:  # float32 [T, 68, 2]
    """Landmarks in the images.

    Raises:
        FileFormatError: there are none, or they lie beside the face.
    """
    for kind in (PIXELS, DETECTED):
        if (root / "keypoints" / kind / name).is_dir():
            points = _points(root, kind, name, images, 2)
            if float(((points >= 0) & (points < side)).all(-1).mean()) >= _INSIDE:
                return points
    raise FileFormatError(f"A video's landmarks must lie in its images: keypoints/{PIXELS} or keypoints/{DETECTED}",
                          f"{name} has none that do (the released script puts them {side - 3} px too low)",
                          "Prepare it with talking-heads dataset motion --videos, or add the detector's points")


def _picture(path: Path) -> np.ndarray:  # uint8 [H, W, 3] RGB
    import cv2

    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[0] != picture.shape[1]:
        raise FileFormatError("A video's images must be readable squares", f"{path} is none", _COPY)
    return np.ascontiguousarray(picture[..., ::-1])


def rigid(plain: np.ndarray, posed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [T, 68, 3] x 2 -> [T, 3, 3], [T, 3]
    """R and t of posed = plain R + t, by least squares (Kabsch).

    Raises:
        TalkingHeadsError: no rotation joins them.
    """
    a, b = (points.astype(np.float64) - points.mean(1, keepdims=True) for points in (plain, posed))
    left, sizes, right = np.linalg.svd(a.transpose(0, 2, 1) @ b)
    if not np.isfinite(sizes).all() or (sizes[:, 1] <= 1e-9).any():
        raise TalkingHeadsError("Landmarks with and without their pose must be one face", "points on a line", _COPY)
    flip = np.tile(np.eye(3), (len(a), 1, 1))
    flip[:, 2, 2] = np.sign(np.linalg.det(left @ right))
    turns = left @ flip @ right
    return turns, posed.mean(1) - np.einsum("ti,tij->tj", plain.mean(1), turns)
