"""`talking-heads evaluate`: finished videos, against their truth and their speech."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.errors import FileFormatError, TalkingHeadsError
from .devices import add_device, chosen_device
from .executor import Result, add_workers
from .face_options import add_tracker
from .many_jobs import Jobs, unit_of
from .progress_line import Info, ProgressLine, run_job

if TYPE_CHECKING:
    from ..media_core.metrics.evaluation import Evaluation
    from ..media_core.progress import Report

_STAGES = {"comparing": "Comparing", "face": "Tracking the face", "lips and audio": "SyncNet"}
_FILES = ("made", "truth", "audio", "text")
_LONGEST = 1 << 20  # bytes of a transcript


def add_options(evaluate: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = evaluate.add_argument
    add("made", metavar="MADE", help="the video to measure; or a folder of videos, for one table of all")
    add("truth", metavar="TRUTH", nargs="?", help="the video it should look like; figures that compare need it. For several "
        "videos one for all, or a folder with one of the same name for each")
    add("--more", nargs="+", default=[], metavar="MADE", help="further videos to measure, for one table of all")
    add("--json", dest="json_file", metavar="FILE", help="also write the figures as JSON")
    add("--plot", metavar="FILE.png", help="also draw lip openings over the waveform, with phones")
    add("--text", metavar="TRANSCRIPT", help="the English words that are spoken, or a text file with them: phones are then "
                                             "aligned instead of guessed (needs pocketsphinx, extra 'metrics')")
    add("--audio", metavar="FILE", help="the speech (default: the made video's audio, else the truth's)")
    add_tracker(add, "people")
    add_workers(add)
    add_device(add)


def evaluate_video(options: argparse.Namespace) -> int:
    """Prints the table; exit code."""
    from .jobs import writable_file

    outputs = [Path(name) for name in (options.json_file, options.plot) if name]
    pairs = _pairs(options)
    inputs = [Path(name).resolve() for name in (*(name for pair in pairs for name in pair), options.audio) if name]
    for path in outputs:
        writable_file(path)
        if path.resolve() in inputs:
            raise FileFormatError("A result must be written to another file than it is made from", str(path),
                                  "Choose another name")
    if len(pairs) == 1 and options.workers is None and not Path(options.made).is_dir():
        return run_job(lambda report: _evaluated(options, report), _show, lambda found: _tell(options, found), goes_on=False)
    if options.plot:
        raise TalkingHeadsError("--plot draws one video", f"{len(pairs)} videos", "Leave it out, or evaluate that one by itself")
    return _several(options, pairs)


def done(options: argparse.Namespace, report: Report) -> Result:
    """Evaluates `options.made` against `options.truth`: the table as JSON."""
    return {"table": _evaluated(options, report).table.to_dict()}


def _several(options: argparse.Namespace, pairs: Sequence[tuple[str, str | None]]) -> int:
    """Several videos: one table, and one file. Exit code."""
    from ..media_core.metrics.table import Table, save_together, together

    found: dict[int, Table] = {}
    options.base_dir = str(Path(options.base_dir).resolve())
    units = [unit_of("evaluate", options, _FILES, made=made, truth=truth) for made, truth in pairs]
    code = Jobs([Path(made).name for made, _ in pairs], units, options.workers, _show,
                lambda number, result: found.update({number: Table.from_dict(result["table"])})).run()
    tables = [found[number] for number in sorted(found)]
    if tables:
        print(together(tables))
        if options.json_file:
            print(save_together(tables, options.json_file))
    return code


def _pairs(options: argparse.Namespace) -> list[tuple[str, str | None]]:
    """(made video, its truth), in order.

    Raises:
        FileFormatError: a folder without videos, or no truth for one.
    """
    from ..media_core.video_formats import VIDEOS

    found = list[str]()
    for name in (options.made, *options.more):
        one = Path(name)
        found += sorted(str(path) for path in one.iterdir() if path.suffix.lower() in VIDEOS) if one.is_dir() else [name]
    if not found:
        raise FileFormatError("A folder of made videos must hold some", f"none in {options.made}", "Check its name")
    if options.truth is None or not Path(options.truth).is_dir():
        return [(name, options.truth) for name in found]
    return [(name, _truth_of(Path(name), Path(options.truth))) for name in found]


def _truth_of(made: Path, folder: Path) -> str:
    """The video in `folder` that is called like the made one, whatever their endings.

    Raises:
        FileFormatError: none is.
    """
    from ..media_core.video_formats import VIDEOS

    same = sorted(path for path in folder.iterdir() if path.stem == made.stem and path.suffix.lower() in VIDEOS)
    if not same:
        raise FileFormatError("There must be a true video for each made one", f"none called {made.stem} in {folder}",
                              "Name them alike, or give one video")
    return str(same[0])


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
