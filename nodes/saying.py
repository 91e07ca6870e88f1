"""What a node says of what it made or loaded: text on the node itself, and text, images and file names in the history.

The keys of the history: `text` and `images` as ComfyUI has them; `previews`, images that the page has shown already (see
`bridge.NodeReport.leave`); as /view takes them `files` below ComfyUI's output folder, `training`, a training's record (see
`training_feed`), `player`, a video (see `live_video`), and `motion_editor`, the view of a motion and its audio (see
`media_core.motion_view`); `models` and `folders` by name, such as "models/talking_heads/my_avatar.safetensors".
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io, ui
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..media_core.errors import TalkingHeadsError
from . import bridge

if TYPE_CHECKING:
    from torch import Tensor

    from .training_feed import TrainingReport

LOG = "log.csv"  # of a training
_LONGEST = 1500  # characters on a node; the history has all of them
BREAK = "  \n"  # of a line, for pages that take the text on a node for Markdown (Nodes 2.0) and for those that do not


def said(text: str, **lists: Iterable[Any]) -> dict[str, list]:
    """The `ui` of a node, whose text is shown on it at once. Give the same keys every time: ComfyUI adds up the results of a node
    that runs over a list, and fails on different ones.

    Args:
        lists: images, previews, files, models, folders.
    """
    show(text)
    return {"text": [text], **{name: list(entries) for name, entries in lists.items()}}


def show(text: str) -> None:
    """Text on the node that runs, the beginning of a very long one; nothing where no page can hear of it (outside a run)."""
    node, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if node is not None and server is not None:
        text = text.encode("utf8", "replace").decode("utf8")  # the name of a file may hold what no UTF-8 can
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
        server.send_progress_text(text.replace("\n", BREAK), node.node_id, sid=server.client_id)


def explained(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node class, whose errors stand on the node until it runs again: the page itself puts them into a log that must be
    opened first. As an image, because some pages take the text from a node when a run ends."""
    run = getattr(node, "execute").__func__  # noqa: B009 pyright knows no __func__ of a method

    @wraps(run)
    def execute(cls: type[io.ComfyNode], *values: Any, **named: Any) -> io.NodeOutput:
        try:
            return run(cls, *values, **named)
        except TalkingHeadsError as error:
            if get_executing_context() is not None:
                bridge.show_sentence(str(error))
            raise

    setattr(node, "execute", classmethod(execute))  # noqa: B010 the same
    return node


def pictures(images: Tensor, cls: type[io.ComfyNode]) -> list[Mapping[str, str]]:  # [B, H, W, 3] 0..1
    """Images in ComfyUI's temp folder; none where that cannot be written: what the node made must not be lost for them."""
    try:
        return list(ui.PreviewImage(images, cls=cls).as_dict()["images"])
    except OSError as error:
        bridge.log.warning("The preview could not be saved (%s): free some space in ComfyUI's temp folder, or make it writable.",
                           error.strerror or error)
        return []


def previews(images: Tensor, cls: type[io.ComfyNode], report: bridge.NodeReport) -> list[Mapping[str, str]]:  # [B, H, W, 3] 0..1
    """The same, and they stay on the node instead of what `report` showed last."""
    leave(images, report)
    return pictures(images, cls)


def leave(images: Tensor, report: bridge.NodeReport) -> None:  # [B, H, W, 3] 0..1
    """Shows images side by side as the last preview of a node."""
    import numpy as np
    from PIL import Image

    frames = [(255 * image.cpu().clamp(0, 1)).round().byte().numpy() for image in images]
    columns = int(np.ceil(np.sqrt(len(frames))))
    frames += [np.zeros_like(frames[0])] * (-len(frames) % columns)
    rows = [np.concatenate(frames[at:at + columns], 1) for at in range(0, len(frames), columns)]
    report.leave(Image.fromarray(np.concatenate(rows)))


def output_files(*paths: Path) -> list[dict[str, str]]:
    """Files below ComfyUI's output folder, as /view takes them; without those that a link has led elsewhere."""
    output = Path(folder_paths.get_output_directory()).resolve()
    inside = [path.resolve().relative_to(output) for path in paths if path.resolve().is_relative_to(output)]
    return [{"filename": path.name, "subfolder": "" if path.parent == Path() else path.parent.as_posix(), "type": "output"}
            for path in inside]


def place(path: Path) -> str:
    """Where a file or folder is, as users know it: "models/talking_heads/my_avatar.safetensors"; whole where it is elsewhere."""
    for name, base in (("models", folder_paths.models_dir), ("output", folder_paths.get_output_directory()),
                       ("input", folder_paths.get_input_directory())):
        if path.resolve().is_relative_to(Path(base).resolve()):
            return f"{name}/{path.resolve().relative_to(Path(base).resolve()).as_posix()}"
    return str(path)


def below_output(path: Path) -> str:
    """A file's path relative to ComfyUI's output folder, with forward slashes."""
    return path.relative_to(Path(folder_paths.get_output_directory()).resolve()).as_posix()


def file_saved(path: Path, text: str) -> dict[str, list]:
    """A file was written in ComfyUI's output folder; `text` says what it is."""
    return said(f"Saved {place(path)}\n{text}", files=output_files(path))


def model_saved(path: Path, *more: str) -> dict[str, list]:
    """A model file was written."""
    return said("\n".join([f"Saved {place(path)}", *more]), models=[place(path)])


def trained(path: Path, logs: Path, report: TrainingReport, cls: type[io.ComfyNode], *more: str) -> dict[str, list]:
    """A training has ended: its file, how it went, its log and record, and the last preview.

    Args:
        logs: the log's folder, below ComfyUI's output folder.
    """
    log = logs / LOG
    lines = [f"Saved {place(path)}", _work(report), bridge.caption(report.figures()), f"Log: {place(log)}" * log.is_file()]
    if report.kept:
        lines.insert(1, f"Stopped at step {report.done:,} of {report.total:,} and kept. To train on from there, press Train on, "
                        "or clear ComfyUI's cache of results and run the node again.")
    picture = _last_picture(report, f"saved {path.name}")
    return said("\n".join(line for line in (*lines, *more) if line), models=[place(path)],
                previews=[] if picture is None else previews(picture, cls, report),
                files=output_files(log) if log.is_file() else [], training=[report.place()])


def _work(report: bridge.NodeReport) -> str:
    """"530 steps in 4 min"; of a resumed training those of this run."""
    from ..media_core.remaining import duration

    before = report.done if report.first is None else max(0, report.first - 1)
    steps = f"{report.done - before:,} step{'s' * (report.done - before != 1)} in {duration(time.monotonic() - report.began)}"
    return f"{steps}, {report.done:,} with those of earlier runs" if before else steps


def _last_picture(report: bridge.NodeReport, words: str) -> Tensor | None:  # float32 [1, H, W, 3] 0..1
    import numpy as np
    import torch

    sheet = report.last_picture(words)
    return None if sheet is None else torch.from_numpy(np.asarray(sheet, np.float32) / 255)[None]


def dataset(folder: Path, text: str, **lists: Iterable[Any]) -> dict[str, list]:
    """A dataset's folder was made or opened."""
    return said(f"{place(folder)}\n{text}", folders=[place(folder)], **lists)
