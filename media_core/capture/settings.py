"""The settings of a capture, checked once, and how inputs are recognised when it is run again."""
from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..asked import frame_rate
from ..audio import FPS
from ..choices import ORDERS, POLICIES, TRACKERS
from ..errors import FileFormatError, TalkingHeadsError
from ..motion import ExpressionTrack
from ..speech import EncoderChoice, SpeechEncoder, opened

SMALLEST, LARGEST = 64, 2048  # px, sides of the written frames
LONGEST_SMOOTHING = 101       # frames
FARTHEST_SHIFT = 2000.0       # ms
_BLOCKS, _BLOCK = 64, 1 << 16  # what is read of a video to recognise it


@dataclass(frozen=True)
class CaptureSettings:
    """How a video becomes a dataset. Everything has a default that suits a phone's video of one person."""

    size: int = 512                      # px, sides of the written frames
    fps: float = FPS                     # frames per second of the dataset; the models use 25
    policy: str = "error"                # frames without a face: "error", "hold", "interpolate" or "skip"
    face_index: int = 0                  # which of several faces, counted in `order`
    order: str = "largest"               # "largest" first, or from the "left" of the image
    focal: float | None = None           # px of the written frames; None: 2.2 times their width
    smoothing: int = 13                  # frames of the poses' smoothing window, odd; 0 leaves them as measured
    steady: bool = True                  # steadier poses: corners of skin and hair are followed by optical flow
    masks: bool = True                   # without them the folder can be looked at but not trained on
    like: Path | None = None             # another captured dataset whose crop, focal length and head are used again
    expression: Path | ExpressionTrack | None = None  # action units measured elsewhere: a table of OpenFace's kind, or a track
    parsing: Path | None = None          # a folder of face-parsing images <frame>.png of the written frames
    segment: tuple[float, float] | float | None = None  # s: the part from .. to; one number: the best so many seconds; None: all
    encoder: EncoderChoice = "mel"       # of the speech features written beside the audio
    tracker: str = "people"              # of the face: for real "people", or for "rendered" ones
    audio_shift: float = 0.0             # ms by which the audio is moved later; negative: earlier (the report says how far)

    def __post_init__(self) -> None:
        _check_numbers(self)
        if self.policy not in POLICIES or self.order not in ORDERS:
            raise TalkingHeadsError(f"The policy must be one of {', '.join(POLICIES)} and the order one of {', '.join(ORDERS)}",
                                    f"'{self.policy}' and '{self.order}'", "Choose from those")
        if self.tracker not in TRACKERS:
            raise TalkingHeadsError(f"The tracker must be one of {', '.join(TRACKERS)}", f"'{self.tracker}'",
                                    "Choose one of those")
        for name in ("like", "parsing"):
            folder = getattr(self, name)
            if folder is not None and not Path(folder).is_dir():
                raise FileFormatError(f"The folder given as `{name}` must exist", f"none at {folder}", "Check the name")
            object.__setattr__(self, name, None if folder is None else Path(folder))
        object.__setattr__(self, "encoder", opened(self.encoder))
        if isinstance(self.expression, (str, os.PathLike)) and not Path(self.expression).is_file():
            raise FileFormatError("The action-unit file must exist", f"none at {self.expression}", "Check the name")

    @property
    def heard_by(self) -> SpeechEncoder:
        """The encoder, open."""
        return opened(self.encoder)


def _check_numbers(settings: CaptureSettings) -> None:
    size, segment = settings.size, settings.segment
    if not (isinstance(size, int) and SMALLEST <= size <= LARGEST and size % 2 == 0):
        raise TalkingHeadsError(f"The size must be an even number of pixels, {SMALLEST} to {LARGEST}", f"{size}", "512 is usual")
    frame_rate(settings.fps, 1, 120)
    if settings.face_index < 0:
        raise TalkingHeadsError("The face's number must be 0 or more", f"{settings.face_index}", "0 is the first")
    if settings.focal is not None and not settings.focal > 0:
        raise TalkingHeadsError("The focal length must be above 0 px", f"{settings.focal}", "Leave it out, or give the camera's")
    if not 0 <= settings.smoothing <= LONGEST_SMOOTHING:
        raise TalkingHeadsError(f"The smoothing window must be 0 to {LONGEST_SMOOTHING} frames", f"{settings.smoothing}",
                                "13 is usual")
    if not abs(settings.audio_shift) <= FARTHEST_SHIFT:
        raise TalkingHeadsError(f"The audio's shift must be -{FARTHEST_SHIFT:g} to {FARTHEST_SHIFT:g} ms",
                                f"{settings.audio_shift}", "Give what the report says, or 0")
    if segment is None:
        return
    good = 0 <= segment[0] < segment[1] if isinstance(segment, (tuple, list)) and len(segment) == 2 else \
        isinstance(segment, (int, float)) and segment > 0
    if not good:
        raise TalkingHeadsError("The segment must be a start and a later end in seconds, or one length in seconds", f"{segment}",
                                "Give for instance 10 40, or auto 30")


def film_fingerprint(path: str | os.PathLike) -> str:
    """Recognises a video by its length and 64 blocks spread over it, wherever it lies and whatever its name.

    Raises:
        FileFormatError: no such file, or it is empty.
    """
    path = Path(path)
    size = path.stat().st_size if path.is_file() else 0
    if not size:
        came = f"{path.name} is empty" if path.is_file() else f"no file at {path}"
        raise FileFormatError("The video must exist and hold data", came, "Check the name, or copy the video again")
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for k in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK) * k // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def fingerprint(value: str | os.PathLike | ExpressionTrack | ArrayLike | None) -> str | None:
    """A short name that changes with the content of a file, a folder's files, an array or a track; None for None."""
    if value is None:
        return None
    digest = hashlib.sha256()
    if isinstance(value, (str, os.PathLike)):
        path = Path(value)
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            digest.update(file.name.encode() if path.is_dir() else b"")
            digest.update(file.read_bytes() if file.is_file() else b"")
    elif isinstance(value, ExpressionTrack):
        digest.update(value.au.numpy().tobytes() + f"{value.fps} {value.reliability}".encode())
    else:
        array = np.asarray(value)
        digest.update(str((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
