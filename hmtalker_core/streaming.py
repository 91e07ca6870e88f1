"""From motion to a video file, a chunk of frames at a time: memory does not grow with the length of the speech."""
from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..media_core.asked import whole
from ..media_core.audio import Sound
from ..media_core.live_copy import LiveCopy
from ..media_core.progress import Report, silent
from ..media_core.read_ahead import mapped
from ..media_core.video import VideoWriter
from .avatar import Avatar, AvatarMotion, Background
from .avatar_motion import FARTHEST, check_rendering
from .backdrop import is_clear
from .basis import Deformation
from .rasterizer import must_compile, wait_for_trial

PREVIEW_EVERY = 25  # frames between previews
MOST_WORKERS = 8  # threads; more only wait for the encoder


@dataclass(frozen=True)
class RenderSummary:
    """What `render_video` did."""

    path: Path  # the finished video
    frames: int
    seconds: float  # wall time of rendering and encoding together
    kept: int = 0  # frames that an earlier run had made

    @property
    def rate(self) -> float:
        """Frames per second."""
        return (self.frames - self.kept) / max(self.seconds, 1e-9)


def render_video(avatar: Avatar, motion: AvatarMotion, path: str | os.PathLike, sound: Sound | None = None, *,
                 chunk: int = 4, backend: str = "auto", background: Background = "plate", size: tuple[int, int] | None = None,
                 torso: bool = True, deformation: Deformation = "exact", workers: int | None = None, crf: int = 18,
                  metadata: Mapping[str, Any] | None = None, label: str = "",
                  part: tuple[int, int] | None = None, report: Report = silent,
                  copy: LiveCopy | None = None) -> RenderSummary:
    """Renders a motion into a video file: H.264 and AAC in an .mp4, VP9 in a .webm, ProRes in a .mov. The encoder
    works on one chunk while the next ones are rendered.

    Args:
        avatar, motion: what to show.
        path: the video; absent until it is whole. A transparent background needs .webm or .mov.
        sound: what is heard; cut or padded to the video's length within half a frame.
        chunk, backend, background, size, torso, deformation: see `Avatar.render`.
        workers: chunks rendered at once; None is torch's number of threads where a CPU draws, 1 elsewhere. Any number gives the
            same video.
        crf: H.264 quality, lower is better.
        metadata: written into the file.
        copy: a second file, which can be watched while the video is made.
        label: words in a corner of every frame; empty: none.
        part: (first frame, the one after the last) of the motion; None: all of it. `sound` is that part's.
        report: called once per chunk, with a preview now and then; may raise to cancel, then no file is left.
    Raises:
        TalkingHeadsError: as `Avatar.render`, or workers below 0.
    """
    check_rendering(0, len(motion), chunk, size, background)
    height, width = size or avatar.size
    begin, end = part or (0, len(motion))
    started, total = time.perf_counter(), end - begin
    done, next_preview = 0, 0
    if must_compile(avatar.device, backend):
        wait_for_trial(avatar.device, backend, report, total)
    clear = is_clear(background)
    with VideoWriter(path, width, height, fps=motion.fps, sound=sound, crf=crf, metadata=metadata, alpha=clear,
                     copy=copy, label=label) as writer:
        options = {"backend": backend, "background": background, "size": size, "torso": torso, "deformation": deformation,
                   "part": (begin, end)}
        for frames in streamed(avatar, motion, chunk, workers, **options):
            writer.write(frames)
            done += len(frames)
            preview = frames[-1, ..., :3] if done >= next_preview else None
            next_preview += PREVIEW_EVERY if preview is not None else 0
            report(done, total, {"phase": "render", "frame": done, "frames": total}, preview)
    return RenderSummary(Path(path), total, time.perf_counter() - started)


def streamed(avatar: Avatar, motion: AvatarMotion, chunk: int = 4, workers: int | None = None,
             part: tuple[int, int] | None = None, **options: Any) -> Iterator[np.ndarray]:
    """The frames of a motion as uint8 [B, H, W, 3], in order, `workers` chunks at once; with a transparent
    background [B, H, W, 4].

    Threads that each render whole frames with single-threaded torch use a CPU far better than torch's own threads inside its many
    small operations. At most 2 x workers + 1 chunks exist at a time. Closing the generator waits for the chunks in work.

    Raises:
        TalkingHeadsError: as `Avatar.render`, or workers below 0.
    """
    check_rendering(0, len(motion), chunk, options.get("size"), options.get("background", "plate"))
    whole("The number of workers", workers or 0, 0, FARTHEST)
    avatar = avatar.where_drawn(options.get("backend", "auto"))
    first, stop = part or (0, len(motion))
    before = torch.get_num_threads()
    workers = workers or (min(before, MOST_WORKERS) if avatar.device.type == "cpu" else 1)
    avatar.prepare()
    picture = avatar.picture(**options)
    try:
        yield from mapped(lambda begin: avatar.render_bytes(motion, begin, min(begin + chunk, stop), picture),
                          range(first, stop, chunk), workers, beyond=workers, prepare=lambda: torch.set_num_threads(1))
    finally:
        torch.set_num_threads(before)  # the workers' own setting is also the default of threads to come
