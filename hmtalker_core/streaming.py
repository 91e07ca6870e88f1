"""From motion to a film file, a chunk of frames at a time: memory does not grow with the length of the speech."""
from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional

import torch

from ..media_core.audio import Sound
from ..media_core.progress import Report, silent
from ..media_core.video import VideoWriter
from .avatar import Avatar, AvatarMotion, Background

PREVIEW_EVERY = 25  # frames between previews


@dataclass(frozen=True)
class RenderSummary:
    """What `render_video` did."""

    path: Path  # the finished film
    frames: int
    seconds: float  # wall time of rendering and encoding together

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / max(self.seconds, 1e-9)


def render_video(avatar: Avatar, motion: AvatarMotion, path: str | os.PathLike, sound: Optional[Sound] = None, *,
                 chunk: int = 8, backend: str = "auto", background: Background = "plate", size: Optional[tuple[int, int]] = None,
                 torso: bool = True, crf: int = 18, metadata: Optional[Mapping[str, Any]] = None,
                 report: Report = silent) -> RenderSummary:
    """Renders a motion into an H.264 (+ AAC) mp4. The encoder works on one chunk while the next is rendered.

    Args:
        avatar, motion: what to show.
        path: the mp4; absent until it is whole.
        sound: what is heard; cut or padded to the film's length within half a frame.
        chunk, backend, background, size, torso: see `Avatar.render`.
        crf: H.264 quality, lower is better.
        metadata: written into the file.
        report: called once a chunk, with a preview now and then; may raise to cancel, then no file is left.
    """
    height, width = size or avatar.size
    started, total = time.perf_counter(), len(motion)
    done, next_preview = 0, 0
    with VideoWriter(path, width, height, fps=motion.fps, sound=sound, crf=crf, metadata=metadata) as writer, \
            ThreadPoolExecutor(1, thread_name_prefix="film") as encoder:
        pending: Optional[Future] = None
        for rgb, _ in avatar.render(motion, chunk=chunk, backend=backend, background=background, size=size, torso=torso):
            frames = rgb.mul(255).round_().to(torch.uint8).cpu().numpy()
            if pending is not None:
                pending.result()
            pending = encoder.submit(writer.write, frames)
            done += len(frames)
            preview = frames[-1] if done >= next_preview else None
            next_preview += PREVIEW_EVERY if preview is not None else 0
            report(done, total, {"phase": "render"}, preview)
        if pending is not None:
            pending.result()
    return RenderSummary(Path(path), total, time.perf_counter() - started)
