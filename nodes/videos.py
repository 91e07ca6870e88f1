"""What arrives as VIDEO or IMAGE, as the cores read it: a file and a part of it, or uint8 frames one at a time."""
from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_api.latest import InputImpl

from ..media_core.errors import TalkingHeadsError
from . import temporary_videos

if TYPE_CHECKING:
    import numpy as np
    from comfy_api.input import VideoInput
    from comfy_api.util import VideoComponents
    from torch import Tensor

log = logging.getLogger("talking_heads")
_PART = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Film:
    """A VIDEO on disk."""

    path: Path  # any file FFmpeg reads; below ComfyUI's temp folder when the VIDEO had none
    start: float = 0.0  # s, where the part that is meant begins
    stop: float | None = None  # s, where it ends; None for the end of the video

    @property
    def whole(self) -> bool:
        """Whether all of the file is meant."""
        return self.start == 0 and self.stop is None

    def cut(self, start: float, duration: float) -> Film:
        """The part from `start` s of this part, `duration` s long; 0 s for all that follows.

        Raises:
            TalkingHeadsError: it begins behind the end.
        """
        begin = self.start + start
        ends = [end for end in (self.stop, begin + duration if duration > 0 else None) if end is not None]
        part = Film(self.path, begin, min(ends) if ends else None)
        if begin > 0 and begin >= part.end():
            raise TalkingHeadsError(f"The part must begin within the video's {self.end() - self.start:.2f} s", f"{start:g} s",
                                    "Choose an earlier start")
        return part

    def end(self) -> float:
        """Where the part ends in the file, s."""
        from ..media_core.video import probe

        length = probe(self.path).duration
        return length if self.stop is None else min(length, self.stop)

    def size(self) -> tuple[int, int]:
        """(H, W) of its frames, px."""
        from ..media_core.video import probe

        facts = probe(self.path)
        return facts.height, facts.width

    def frame_count(self, fps: float) -> int:
        """Frames at `fps`, about: for progress."""
        from ..media_core.audio import frame_count

        return frame_count(max(0.0, self.end() - self.start), fps)

    def frames(self, fps: float, start: int = 0) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
        """The part's frames at a constant rate from number `start` on, one at a time."""
        from ..media_core.video import read_frames

        first = round(self.start * fps) + start
        for number, frame in enumerate(read_frames(self.path, fps, first), start=first):
            if self.stop is not None and (number + 0.5) / fps >= self.stop:
                return
            yield frame


def film(video: VideoInput) -> Film:
    """A VIDEO as a file: its own where it has one, else one in the temp folder named after its content."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return Film(_encoded(video.get_components()))
    from ..media_core.video import probe

    source = video.get_stream_source()
    path = Path(source) if isinstance(source, (str, os.PathLike)) else _dumped(source.getvalue())
    facts = probe(path)  # explains what is wrong with a file
    if facts.remark:
        log.warning("%s: %s", path.name, facts.remark)
    if _edited(video, path):
        return saved(video)
    if hasattr(video, "get_active_trim_window"):
        start, duration = video.get_active_trim_window()
        return Film(path, start, start + duration if duration else None)
    if InputImpl.VideoFromFile(str(path)).get_duration() == video.get_duration():
        return Film(path)
    return saved(video)  # an older ComfyUI, which does not say what it trimmed


def _edited(video: InputImpl.VideoFromFile, path: Path) -> bool:
    """Whether a VIDEO is a crop of its file, or scaled: ComfyUI since 0.35, whose `get_stream_source` is the file as it was."""
    if not hasattr(video, "as_cropped"):
        return False
    trimmed = any(video.get_active_trim_window())
    if hasattr(video, "has_pending_frame_edits") and not trimmed:  # of a trim it may be true as well
        return video.has_pending_frame_edits()
    return video.get_dimensions() != InputImpl.VideoFromFile(str(path)).get_dimensions()


def saved(video: VideoInput) -> Film:
    """A VIDEO's own part as a file of its own."""
    return _written(lambda temporary: video.save_to(str(temporary)))


def video(path: Path, start: float, duration: float) -> VideoInput | None:
    """A part of a file as VIDEO; nothing is copied where ComfyUI can trim (0.14 and later)."""
    return temporary_videos.film_of(path).as_trimmed(start, duration, strict_duration=False)


def pixels(images: Iterable[Tensor]) -> Iterator[np.ndarray]:  # float [B, H, W, C] -> uint8 [H, W, 3]
    """An IMAGE batch's frames: grey becomes colour, transparent places become black."""
    import numpy as np

    for image in images:
        image = image.detach().cpu().float().clamp(0, 1)
        seen = image[..., :3] * image[..., 3:] if image.shape[-1] == 4 else image[..., :3]
        frame = np.rint(seen.numpy() * 255).astype(np.uint8)
        yield np.repeat(frame, 3, axis=-1) if frame.shape[-1] == 1 else frame


def clear_pixels(image: Tensor, mask: Tensor | None) -> np.ndarray:  # float [H, W, C], [B, h, w] -> uint8 [H, W, 3 or 4]
    """An image with its transparency: of its own alpha channel, or of a MASK (white where it is transparent)."""
    import numpy as np

    if mask is None and image.shape[-1] == 4:
        image, mask = image[..., :3], 1 - image[None, ..., 3]
    (frame,) = pixels([image[..., :3]])
    return frame if mask is None else np.dstack([frame, opacity(mask, frame.shape[:2])])


def opacity(mask: Tensor, size: tuple[int, ...]) -> np.ndarray:  # float [B, h, w] -> uint8 [H, W]
    """The alpha channel of (H, W) px that a MASK says, white where it is transparent; the first of a batch."""
    import cv2
    import numpy as np

    plane = (mask if mask.ndim == 2 else mask[0]).detach().cpu().float().clamp(0, 1).numpy()
    height, width = size
    if plane.shape != (height, width):
        plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if plane.shape[0] > height else cv2.INTER_LINEAR)
    return np.rint((1 - plane) * 255).astype(np.uint8)


def size_of(images: Tensor) -> tuple[int, int]:  # [B, H, W, C]
    """(H, W) of an IMAGE batch, px."""
    return images.shape[1], images.shape[2]


def floats(frame: np.ndarray) -> Tensor:  # uint8 [H, W, ...] -> float32 tensor of that shape, 0..1
    """A frame as IMAGE has it."""
    import torch

    return torch.from_numpy(frame.copy()).float() / 255


def mask_frames(mask: Tensor, size: tuple[int, int]) -> list[np.ndarray]:  # float [B, h, w] -> B x bool [H, W]
    """A MASK batch resized to (H, W), by the nearest pixel."""
    import cv2
    import numpy as np

    planes = (mask if mask.ndim == 3 else mask[None]).detach().cpu().float().numpy()
    return [cv2.resize((plane > 0.5).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0 for plane in planes]


def _encoded(parts: VideoComponents) -> Path:
    """A video in memory, written almost uncompressed."""
    from ..media_core.audio import Sound
    from ..media_core.video import VideoWriter

    height, width = parts.images.shape[1:3]
    sound = Sound.from_comfy(parts.audio) if parts.audio else None

    def write(temporary: Path) -> None:
        with VideoWriter(temporary, width, height, parts.frame_rate, sound, crf=8, preset="ultrafast",
                         source="recorded") as writer:
            for frame in pixels(parts.images):
                writer.write(frame)

    return _written(write).path


def _dumped(content: bytes) -> Path:
    return _written(lambda temporary: temporary.write_bytes(content)).path


def _written(write: Callable[[Path], object]) -> Film:
    """A file of the temp folder, named after what `write` puts into it: the same video keeps its file, and so its caches."""
    temporary = temporary_videos.new_path()
    try:
        write(temporary)
        with temporary.open("rb") as file:
            digest = hashlib.sha256()
            while part := file.read(_PART):
                digest.update(part)
        path = temporary.with_name(f"talking_heads_{digest.hexdigest()[:24]}.mp4")
        if not path.is_file():
            os.replace(temporary, path)
        return Film(path)
    finally:
        temporary.unlink(missing_ok=True)
