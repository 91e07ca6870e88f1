"""What a page hears of a training while it runs, what is left of it on disk for later, and "stop and keep".

Everything about a training is in one small record (docs/comfyui.md#training): it goes to the page as the event
`talking_heads.training` and lies as `training.json` beside log.csv, with a few labelled previews. A training that no page listens
to works the same.
"""
from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy.model_management import InterruptProcessingException
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..media_core.errors import Cancelled, FileFormatError
from ..media_core.json_files import read_json_object
from . import bridge

if TYPE_CHECKING:
    import numpy as np

EVENT, RECORD, PREVIEWS = "talking_heads.training", "training.json", "previews"
STOPS = "talking_heads_stop"  # below ComfyUI's temp folder: a file named after a run asks it to stop and keep
RUNNING, FINISHED, KEPT, INTERRUPTED, FAILED = "running", "finished", "kept", "interrupted", "failed"
MOST_PREVIEWS = 12
_EVERY, _SAVE_EVERY, _ASK_EVERY = 0.5, 5.0, 0.25  # s between two events, two writings of the file, two looks for a stop
_LONGEST = 1 << 20  # bytes of a record


class TrainingReport(bridge.NodeReport):
    """The report of a training node, for the time of its block: `with TrainingReport(...) as report`.

    Args:
        node_type: the node's id, such as "HMTalker_TrainAvatar".
        logs: the log's folder, below ComfyUI's output folder.
    Attributes:
        run: names this run of the node; what asks it to stop is called so.
        trained_phase: the newest one of which there were figures, as the core names it.
    """

    def __init__(self, node_type: str, logs: Path):
        super().__init__()
        context = get_executing_context()
        self.run, self.trained_phase, self.node_type, self.logs = uuid.uuid4().hex[:16], "", node_type, logs
        self._node = None if context is None else context.node_id
        self._stop = Path(folder_paths.get_temp_directory()) / STOPS / f"{self.run}.txt"
        self._asked, self._enough = float("-inf"), False
        self._told = self._saved = float("-inf")
        self._record: _Record | None = None

    def __enter__(self) -> TrainingReport:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._record is not None:
            stopped = kind is not None and issubclass(kind, (InterruptProcessingException, Cancelled))
            ended = FINISHED if self.done >= self.total else KEPT
            self._tell(ended if kind is None else INTERRUPTED if stopped else FAILED, save=True)
        self._stop.unlink(missing_ok=True)

    @property
    def kept(self) -> bool:
        """Whether it was ended early and its model is kept."""
        return self._enough and self.done < self.total

    def enough(self) -> bool:
        """Whether somebody has asked to stop and keep: the file of this run's name is there."""
        now = time.monotonic()
        if not self._enough and now - self._asked >= _ASK_EVERY:
            self._asked, self._enough = now, self._stop.is_file()
        return self._enough

    def __call__(self, done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        from ..media_core.captions import STAGES

        super().__call__(done, total, info, preview)
        if self._record is None and "loss" not in info:  # what comes before may be told as step 0 of a resumed training
            return
        self._record = self._record or _Record(self.logs, done)
        phase = str(info.get("phase", ""))
        self.trained_phase = phase if "loss" in info else self.trained_phase
        self._record.curves.add(done, info, STAGES.get(("phase", phase), ""))
        if preview is not None and self._record.wants_preview(done, total):
            sheet = self.last_picture(f"step {done:,}")
            if sheet is not None:
                self._record.add_preview(done, sheet)
        now = time.monotonic()
        if now - self._told >= _EVERY or done >= total:
            self._tell(RUNNING, save=now - self._saved >= _SAVE_EVERY)

    def _tell(self, state: str, *, save: bool) -> None:
        """The event, and with `save` the file."""
        assert self._record is not None
        self._told = time.monotonic()
        subfolder = self.place()["subfolder"]
        told = {"version": 1, "run": self.run, "node": self._node, "type": self.node_type, "state": state, "step": self.done,
                "steps": self.total, "left": None if self.left is None else round(self.left, 1),
                "caption": bridge.caption(self.figures()), "subfolder": subfolder, **self._record.to_json()}
        if save:
            self._saved = self._told
            self._record.save({**told, "state": INTERRUPTED if state == RUNNING else state})  # of one that is killed
        server = getattr(PromptServer, "instance", None)
        if self._node is not None and server is not None:
            server.send_sync(EVENT, told, server.client_id)

    def place(self) -> dict[str, str]:
        """Where the record is, as /view takes it."""
        from .saying import below_output

        return {"filename": RECORD, "subfolder": below_output(self.logs.resolve()), "type": "output"}


class _Record:
    """The part of it that grows: curves and previews.

    Args:
        folder: of the log. done: steps of earlier runs, whose curves and previews are gone on with.
    """

    def __init__(self, folder: Path, done: int):
        from ..training_core.curves import Curves

        self.folder, before = folder, self._before(folder) if done > 1 else {}
        self.curves = Curves.until(before, done - 1)
        self.previews: list[int] = []  # their steps
        self._broken, self._last = False, float("-inf")
        for path in sorted((folder / PREVIEWS).glob("step_*.jpg")):
            step = path.stem.removeprefix("step_")
            if before and step.isdecimal() and int(step) < done:
                self.previews.append(int(step))
            else:
                path.unlink(missing_ok=True)

    @staticmethod
    def _before(folder: Path) -> dict[str, Any]:
        try:
            return read_json_object(folder / RECORD, absent={}, longest=_LONGEST)
        except FileFormatError as error:
            bridge.log.warning("The curves start over: %s", error)
            return {}

    def wants_preview(self, done: int, total: int) -> bool:
        """Whether a preview of now would be far enough from the one before it."""
        far = not self.previews or done - self.previews[-1] >= max(1, total // (4 * MOST_PREVIEWS)) or done >= total
        return far and (time.monotonic() - self._last >= 1 or done >= total)

    def add_preview(self, step: int, sheet: Any) -> None:
        """A labelled image (PIL). When there are too many, the one goes that stands closest between its neighbours."""
        self._last = time.monotonic()
        self._write(self._file(step), lambda path: sheet.save(path, "JPEG", quality=80))
        self.previews = [*(one for one in self.previews if one < step), step]
        if len(self.previews) > MOST_PREVIEWS:
            gaps = [after - before for before, after in zip(self.previews, self.previews[2:])]
            gone = self.previews.pop(1 + gaps.index(min(gaps)))
            self._file(gone).unlink(missing_ok=True)

    def to_json(self) -> dict[str, Any]:
        return {**self.curves.to_json(), "previews": [[step, self._file(step).name] for step in self.previews]}

    def save(self, told: dict[str, Any]) -> None:
        self._write(self.folder / RECORD, lambda path: path.write_text(json.dumps(told), "utf8"))

    def _file(self, step: int) -> Path:
        return self.folder / PREVIEWS / f"step_{step:08}.jpg"

    def _write(self, path: Path, write: Any) -> None:
        """What is only looked at must not end a training: one warning, and no more of it."""
        from ..media_core.files import atomic_path

        if self._broken:
            return
        try:
            with atomic_path(path) as temporary:
                write(temporary)
        except OSError as error:
            self._broken = True
            bridge.log.warning("The record of the training is not kept up (%s): free some space in ComfyUI's output folder, or "
                               "make it writable.", error.strerror or error)
