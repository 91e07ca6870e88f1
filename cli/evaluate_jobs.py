"""`talking-heads evaluate`: a finished video, against its truth and its speech."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.errors import FileFormatError
from .devices import add_device, chosen_device
from .face_options import add_tracker
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.metrics.evaluation import Evaluation
    from ..media_core.progress import Report

_STAGES = {"comparing": "Comparing", "face": "Tracking the face", "lips and audio": "SyncNet"}
_LONGEST = 1 << 20  # bytes of a transcript


def add_options(evaluate: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = evaluate.add_argument
    add("made", metavar="MADE", help="the video to measure")
    add("truth", metavar="TRUTH", nargs="?", help="the video it should look like; figures that compare need it")
    add("--json", dest="json_file", metavar="FILE", help="also write the figures as JSON")
    add("--plot", metavar="FILE.png", help="also draw lip openings over the waveform, with phones")
    add("--text", metavar="TRANSCRIPT", help="the English words that are spoken, or a text file with them: phones are then "
                                             "aligned instead of guessed (needs pocketsphinx, extra 'metrics')")
    add("--audio", metavar="FILE", help="the speech (default: the made video's audio, else the truth's)")
    add_tracker(add, "people")
    add_device(add)


def evaluate_video(options: argparse.Namespace) -> int:
    """Prints the table; exit code."""
    from .jobs import writable_file

    outputs = [Path(name) for name in (options.json_file, options.plot) if name]
    inputs = [Path(name).resolve() for name in (options.made, options.truth, options.audio) if name]
    for path in outputs:
        writable_file(path)
        if path.resolve() in inputs:
            raise FileFormatError("A result must be written to another file than it is made from", str(path),
                                  "Choose another name")
    return run_job(lambda report: _evaluated(options, report), _show, lambda found: _tell(options, found), goes_on=False)


def _show(line: ProgressLine, done: int, total: int, info: Info) -> None:
    line.show(_STAGES.get(str(info.get("stage")), "Evaluating"), done, total)


def _evaluated(options: argparse.Namespace, report: Report) -> Evaluation:
    from ..media_core.audio import load_sound
    from ..media_core.metrics.evaluation import evaluate
    from ..media_core.metrics.pair import video_clip
    from ..media_core.metrics.weights import Weights

    models = Path(options.base_dir, "models", "talking_heads")
    return evaluate(video_clip(options.made), None if options.truth is None else video_clip(options.truth),
                    sound=None if options.audio is None else load_sound(options.audio), transcript=_transcript(options.text),
                    tracker=options.tracker, weights=Weights.found([models], chosen_device(options.device)), report=report)


def _transcript(text: str | None) -> str | None:
    """The words themselves, or those of the file of that name."""
    if text is None or not text.strip():
        return None
    path = Path(text)
    if len(text) > 255 or not path.is_file():
        return text
    if path.stat().st_size > _LONGEST:
        raise FileFormatError("A transcript must be a short text file", f"{path.name} has {path.stat().st_size} bytes",
                              "Give the words of this video alone")
    return path.read_text("utf8", errors="replace")


def _tell(options: argparse.Namespace, found: Evaluation) -> None:
    from ..media_core.metrics.plot import save_plot

    print(found.table.text())
    if options.json_file:
        print(found.table.save(options.json_file))
    if options.plot:
        print(save_plot(found.curves, options.plot, Path(options.made).name))
