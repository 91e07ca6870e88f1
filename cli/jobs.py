"""What the command line runs: a workflow, the demo, a capture. Each prints its result and returns an exit code."""
from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..host.execute import RunResult
from ..host.graph import REPOSITORY, Host, describe
from ..host.shim import folder_paths
from ..host.validate import Validation
from ..host.workflow import WorkflowError
from ..media_core.captions import NOTE
from ..media_core.claims import claim
from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import check_length
from ..media_core.temporary import temporary_folder
from .progress_line import INTERRUPTED, OK, ProgressLine, stoppable
from .settings import apply_settings

if TYPE_CHECKING:
    pass  # imports torch

FAILED = 1
DEMO_WORKFLOW = os.path.join(REPOSITORY, "workflows", "api", "avatar_speech_to_video.json")
TEMPORARY = "talking_heads_"  # what temporary folders are called


class GraphJob:
    """One workflow on the small host, with a progress line and a stop button."""

    def __init__(self, base_dir: str, output_dir: str | None, input_dir: str | None, temp_dir: str,
                 packs: Sequence[str] = ()):
        """The pack offers its demo files in an input folder of its own, a temporary one: none of the user's gets any.

        Args:
            input_dir: the user's, read instead of that one.
        """
        self.line = ProgressLine()
        own_input = None if input_dir is None else readable(input_dir)
        offered = os.path.join(temp_dir, "input")
        os.makedirs(offered)
        self.host = Host(base_dir, (REPOSITORY, *packs), output_dir=output_dir or os.path.join(base_dir, "output"),
                         temp_dir=temp_dir, input_dir=offered, on_event=self._event)
        if own_input is not None:
            folder_paths.set_input_directory(own_input)
        self._titles: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._stopped, self._note = False, ""

    def run(self, path: str, settings: list[str], debug: bool) -> tuple[int, RunResult, list[Path]]:
        """(exit code, how it ended, files saved to output/)."""
        info = self.host.object_info()
        prompt, workflow = self.host.load(path)
        apply_settings(prompt, settings, info)
        self._kinds = {node_id: node["class_type"] for node_id, node in prompt.items()}
        self._titles = {node_id: node.get("_meta", {}).get("title") or node["class_type"] for node_id, node in prompt.items()}
        try:
            with stoppable(self._stop), _listening(self._heard):
                result = self.host.run(prompt, workflow=workflow)
        finally:
            self.line.close()
            self.host.executor.cache.clear()  # it holds videos of the temp folder open, which Windows then cannot delete
        if result.node_errors:
            print(describe(Validation(True, None, [], result.node_errors)), file=sys.stderr)
        if result.status == "interrupted":
            print("Interrupted.", file=sys.stderr)
            return INTERRUPTED, result, []
        if result.status == "error":
            self._complain(result, debug)
            return FAILED, result, []
        self._tell(result)
        return FAILED if result.node_errors else OK, result, saved_files(result.outputs)

    def _tell(self, result: RunResult) -> None:
        """What the output nodes say of their work, on stderr: stdout has the files alone."""
        for node_id, shown in result.outputs.items():
            if self.host.classes[self._kinds[node_id]].FINALIZE_SCHEMA().is_output_node:
                for text in shown.get("text", ()):
                    print(f"{self._titles[node_id]}: {text}", file=sys.stderr)

    def _stop(self) -> None:
        self._stopped = True
        self.host.interrupt()

    def _heard(self, note: str) -> None:
        """Shown with the next progress."""
        self._note = note

    def _event(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "execution_start" and self._stopped:  # a run begins by forgetting earlier stops, even one during validation
            self.host.interrupt()
        elif name == "executing":
            self._note = ""
            self.line.show(self._titles.get(data["node"], str(data["node"])))
        elif name == "progress_state":
            for node_id, state in data["nodes"].items():
                self.line.show(self._titles.get(node_id, str(node_id)), state["value"], state["max"], self._note)
        elif name == "progress_text":
            self._note = data["text"].partition("\n")[0]
            self.line.show(self._titles.get(data["node"], str(data["node"])), note=self._note)
        elif name == "execution_error" and data["exception_type"] == "ExecutionBlocked":
            print(f"{self._titles.get(data['node_id'])}: {data['exception_message']}", file=sys.stderr)

    def _complain(self, result: RunResult, debug: bool) -> None:
        error = result.error
        assert error is not None  # the run's status says so
        if debug and result.exception is not None:
            traceback.print_exception(result.exception)
        text = error["exception_message"].strip() or error["exception_type"]
        print(f"{self._titles.get(error['node_id'])} ({error['node_id']}): {text}", file=sys.stderr)


class _Notes(logging.Handler):
    """Takes the captions out of the pack's log; warnings go where they would go without it."""

    def __init__(self, heard: Callable[[str], None]):
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if hasattr(record, NOTE):
            self._heard(getattr(record, NOTE))
        elif record.levelno >= logging.WARNING and not logging.root.handlers and logging.lastResort is not None:
            if logging.lastResort is not None:
                logging.lastResort.handle(record)


@contextmanager
def _listening(heard: Callable[[str], None]) -> Iterator[None]:
    """Hears what nodes log about their work inside the block."""
    log, handler = logging.getLogger("talking_heads"), _Notes(heard)
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)


def saved_files(outputs: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Files in output/ that a run's nodes name in their ui results."""
    found = []
    for shown in outputs.values():
        entries = (item for items in shown.values() if isinstance(items, (list, tuple)) for item in items)
        found += [Path(folder_paths.get_output_directory(), entry["subfolder"], entry["filename"]) for entry in entries
                  if isinstance(entry, Mapping) and entry.get("type") == "output"]
    return found


def writable_file(path: str | os.PathLike, *also: str) -> None:
    """`nameable`, and checks that the folder can be written.

    Raises:
        TalkingHeadsError: it cannot be written there, is a folder, or has a name too long.
    """
    nameable(path, *also)
    writable(Path(path).resolve().parent)


def nameable(path: str | os.PathLike, *also: str) -> None:
    """Checks the name of a file to be written.

    Args:
        also: endings of files that will be written beside it.
    Raises:
        TalkingHeadsError: it is a folder, or the name is too long.
    """
    target = Path(path).resolve()
    if os.path.isdir(target):
        raise TalkingHeadsError("The output must be a file", f"{target} is a folder", "Choose another name")
    for name in (target.name, *(target.with_suffix(ending).name for ending in also)):
        check_length(target.parent, name)


def writable(folder: str | os.PathLike) -> None:
    """Makes `folder` if needed and checks that it can be written, before hours of work.

    Raises:
        TalkingHeadsError: it cannot be made or written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TalkingHeadsError("The output folder must be writable", f"{folder}: {error.strerror}",
                                "Choose another folder, or change its permissions") from error


def run_workflow(path: str, settings: list[str], *, base_dir: str, output_dir: str | None, input_dir: str | None,
                 packs: Sequence[str] = (), debug: bool = False) -> int:
    """`talking-heads run`: runs a workflow file, prints the files it saved."""
    writable(output_dir or os.path.join(base_dir, "output"))
    with temporary_folder(TEMPORARY) as temp:
        code, _, files = GraphJob(base_dir, output_dir, input_dir, temp, packs).run(path, settings, debug)
    for file in files:
        print(file)
    return code


def run_demo(output: str, *, base_dir: str, debug: bool) -> int:
    """`talking-heads demo`: the shipped speech through the shipped avatar to one video at `output`."""
    if not os.path.isfile(DEMO_WORKFLOW):
        raise WorkflowError(f"The demo needs {DEMO_WORKFLOW}. It is missing. Use a complete checkout of the repository.")
    target, started = Path(output).resolve(), time.perf_counter()
    writable_file(target)
    with claim(target), temporary_folder(TEMPORARY) as temp:
        code, result, files = GraphJob(base_dir, os.path.join(temp, "output"), None, temp).run(DEMO_WORKFLOW, [], debug)
        videos = [file for file in files if file.suffix == ".mp4"]
        if code != OK:
            return code
        if not videos:
            print("The demo workflow saved no video.", file=sys.stderr)
            return FAILED
        from ..host.shim.files import whole_file

        with whole_file(str(target)) as whole:
            shutil.copyfile(videos[-1], whole)
    _print_video(target, max(result.seconds.values()), time.perf_counter() - started)
    return OK


def _print_video(path: Path, rendering: float, whole: float) -> None:
    """rendering, whole: seconds that the slowest node and the whole job took."""
    from ..media_core.video import probe

    video = probe(path)
    print(f"{path}")
    print(f"{video.frames} frames of {video.width}x{video.height}, {video.duration:.2f} s of video in {whole:.1f} s; "
          f"rendered at {video.frames / rendering:.1f} frames per second")


def readable(folder: str) -> str:
    """The absolute path of a folder to read from.

    Raises:
        TalkingHeadsError: it is not there: what is read is never made.
    """
    if not os.path.isdir(folder):
        raise TalkingHeadsError("The input folder must be there", f"no folder at {folder}", "Check its name")
    return os.path.abspath(folder)


def makeable(folder: str | os.PathLike) -> None:
    """Checks that a folder can be made and written, without making it.

    Raises:
        TalkingHeadsError: it cannot.
    """
    place = Path(folder).resolve()
    check_length(place.parent, place.name)
    if not place.is_file():  # the job itself has better words for that
        writable(next(parent for parent in (place, *place.parents) if parent.exists()))


