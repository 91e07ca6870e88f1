"""The last file of a captured dataset: what it is, how it was made, and the checksums of all the others."""
from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from ..dataset_folder import FRAME_FILES, MANIFEST, TABLE_FILES, checksum, write_json
from ..motion import AU_NAMES
from .images import ANCHORS
from .settings import CaptureSettings

VERSION = 1
_LIBRARIES = ("torch", "numpy", "av", "scipy", "scikit-image", "opencv-python-headless", "talking-heads")
_SINGLE = ("raw_track.safetensors", "track.safetensors", "landmarks_canonical.safetensors", "report.txt", "report.png",
           *TABLE_FILES)


def write_manifest(folder: Path, facts: dict[str, Any], request: dict[str, Any], frames: int, settings: CaptureSettings,
                   step: Callable[[int, int], None]) -> None:
    """manifest.json: with it the folder is finished.

    Args:
        facts: what the stages found.
        request: the video and settings it was made from; the same request later returns the folder at once.
        step: called while files are read for their checksums; may cancel.
    """
    per_frame = FRAME_FILES if settings.masks else tuple(name for name in FRAME_FILES if name.startswith("ori_imgs"))
    anchors = (ANCHORS,) if (folder / ANCHORS).exists() else ()
    speech = f"speech_{settings.heard_by.facts.id}.safetensors"
    names = (*per_frame, *_SINGLE, *anchors, speech, *(("bc.jpg",) if settings.masks else ()))
    total, checksums = len(names) * frames, {}
    for k, name in enumerate(names):
        checksums[name] = checksum(folder, name, frames, lambda i, k=k: step(k * frames + i, total))
    write_json(folder / MANIFEST, {
        "kind": "dataset", "version": VERSION, "source": "film", "synthetic": False, "credit": "", "fps": settings.fps,
        "size": [settings.size] * 2, "frames": frames, "masks": settings.masks, "au": list(AU_NAMES), **facts,
        "versions": {name: version for name in _LIBRARIES if (version := _version(name))}, "request": request,
        "checksums": checksums,
        "conventions": "landmarks: x right, y down, the middle of the top-left pixel is (0, 0); crop: video px to frame px"})
    step(total, total)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
