"""The manifest of `talking-heads batch`: one JSON object a line, each checked before anything runs (docs/batch.md#the-manifest).

A line is a call of `talking-heads avatar` or `talking-heads video`, and its settings are the options of that command: they are
read by the command's own parser.
"""
from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.image_reading import is_picture
from ..media_core.json_files import LONGEST, parse_json_object
from . import avatar_jobs, video_jobs

FACES = {"avatar": "avatar", "portrait": "video", "video": "video"}  # what a line calls the face -> the command that draws it
OWN = ("id", "audio", "output", *FACES)
READ = ("audio", "sound", "face", "avatar", "background_image", "expression", "atom", "motion", "mtov", "encoder")  # files
MODELS = ("avatar", "atom", "mtov", "encoder", "layer", "carrier", "device")  # what decides which models are loaded
MOST = 100_000  # lines
_SHOWN = 40  # errors


@dataclass(frozen=True)
class Job:
    """One line."""

    line: int  # of the manifest, from 1
    id: str
    command: str  # "avatar" or "video"
    arguments: tuple[str, ...]  # of that command, as on the command line
    output: Path  # absolute
    reads: tuple[Path, ...]  # the files and folders it needs, absolute
    given: Mapping[str, Any] = field(compare=False)  # the line as it stands, its files absolute

    @property
    def options(self) -> argparse.Namespace:
        """The arguments, parsed."""
        return parsed(self.command, self.arguments)

    @property
    def models(self) -> tuple:
        """Equal for lines that need the same models."""
        options = vars(self.options)
        return self.command, *(options.get(name) for name in MODELS)


class ManifestError(TalkingHeadsError):
    """What is wrong with a manifest, all of it. `wrong`: as "line 3: ..."."""

    def __init__(self, name: str, wrong: list[str]):
        self.name, self.wrong = name, wrong
        super().__init__(f"Every line of {name} must be a job that can run", "; ".join(wrong), "Correct the manifest")

    def __str__(self) -> str:
        more = [f"and {len(self.wrong) - _SHOWN} more"] if len(self.wrong) > _SHOWN else []
        return f"{self.must}. Nothing was run. Correct:\n  " + "\n  ".join([*self.wrong[:_SHOWN], *more])

    def _arguments(self) -> tuple:
        return self.name, self.wrong


class _Wrong(ValueError):
    """What is wrong with a line: several complaints stand below each other."""


class _Parser(argparse.ArgumentParser):
    """Raises where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        raise _Wrong(message.removeprefix("argument "))


@cache
def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a line's settings."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    (avatar_jobs if command == "avatar" else video_jobs).add_options(parser)
    return parser


def parsed(command: str, arguments: tuple[str, ...] | list[str]) -> argparse.Namespace:
    """The options of a line, checked by the command.

    Raises:
        TalkingHeadsError, ValueError: as the command refuses them.
    """
    options = parser_of(command).parse_args(list(arguments))
    (avatar_jobs if command == "avatar" else video_jobs).check(options)
    return options


def read_manifest(path: str | os.PathLike, *, input_dir: str | os.PathLike | None, output_dir: str | os.PathLike,
                  device: str | None = None, local: bool = True, defaults: Mapping[str, Any] | None = None) -> list[Job]:
    """The jobs of a manifest, in its order.

    Args:
        input_dir: what relative names of files to read start from; None: the manifest's folder.
        output_dir: what relative outputs start from.
        device: of lines that name none.
        local: the work is done here: the models must be here too. Off: a server has them.
        defaults: settings of lines that have none of that name.
    Raises:
        FileFormatError: no such file.
        ManifestError: anything wrong in any of its lines: all of it is listed.
    """
    base = Path(path).resolve().parent if input_dir is None else Path(input_dir).resolve()
    context = _Context(base, Path(output_dir).resolve(), local, {**(defaults or {}), **({"device": device} if device else {})})
    jobs, wrong = [], []
    for number, text in _lines(Path(path)):
        try:
            jobs.append(context.job(number, text))
        except _Wrong as error:
            wrong += [f"line {number}: {said}" for said in _said(error)]
    wrong += _clashes(jobs)
    if not jobs and not wrong:
        wrong = ["it has no lines"]
    if wrong:
        raise ManifestError(Path(path).name, wrong)
    return jobs


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError("The manifest must be a readable file", f"{path} ({error.strerror})", "Check its name") from error
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if len(content) > LONGEST or len(lines) > MOST:
        raise FileFormatError(f"A manifest must have at most {MOST} lines and {LONGEST} bytes", f"{len(lines)} lines, "
                              f"{len(content)} bytes", "Divide it into several")
    yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _said(error: Exception) -> list[str]:
    if isinstance(error, TalkingHeadsError):
        return [f"{error.must}; got {error.came}"]
    return str(error).split("\n")


@dataclass(frozen=True)
class _Context:
    """Where a manifest's relative names start."""

    base: Path
    outputs: Path
    local: bool
    defaults: Mapping[str, Any]

    def job(self, number: int, text: bytes) -> Job:
        """Raises:
            _Wrong: the line is none.
        """
        face, line = _read_line(text)
        command = FACES[face]
        settings = {**{name: value for name, value in self.defaults.items() if name in _settings(command)}, **line}
        files = [name for name in settings if name in READ or name == face if self._is_file(name, settings[name])]
        given = {**settings, **{name: str(self.base / Path(settings[name]).expanduser()) for name in files}}
        output = self.outputs / Path(line["output"]).expanduser()
        reads = tuple(Path(given[name]) for name in files)
        wrong = [f"no file at {path}" for path in reads if not path.exists()]
        if face == "portrait" and not wrong and not _is_image(given[face]):
            wrong.append(f"the portrait {Path(given[face]).name} is no image; a video of a person is named by 'video'")
        arguments, complaints = _arguments(face, given, str(output))
        if wrong or complaints:
            raise _Wrong("\n".join(wrong + complaints))
        return Job(number, line.get("id", f"line {number}"), command, arguments, output, reads, given)

    def _is_file(self, name: str, value: object) -> bool:
        """Whether the value names a file here; an encoder may be a word, and what a server loads stays as it is."""
        if not isinstance(value, str):
            return False
        here = (self.base / Path(value).expanduser()).exists()
        return here or name != "encoder" and (self.local or name in ("audio", "portrait", "video"))


def _read_line(text: bytes) -> tuple[str, dict[str, Any]]:
    """(what the face is called, the line)."""
    try:
        line = parse_json_object(text, "The line")
    except FileFormatError as error:
        raise _Wrong(f"it is no JSON object ({error.__cause__ or error.came})") from error
    faces = [name for name in FACES if name in line]
    wrong = [f"{name!r} is missing" for name in ("audio", "output") if name not in line]
    wrong += [f"{name!r} must be a text, not {line[name]!r}" for name in OWN
              if name in line and not (isinstance(line[name], str) and line[name].strip())]
    if len(faces) != 1:
        wrong.append(f"it needs one of {', '.join(FACES)}, and has {' and '.join(faces) or 'none'}")
    if wrong:
        raise _Wrong("\n".join(wrong))
    return faces[0], line


def _is_image(path: str) -> bool:
    try:
        return is_picture(path)
    except FileFormatError as error:
        raise _Wrong(_said(error)[0]) from error


def _arguments(face: str, given: Mapping[str, Any], output: str) -> tuple[tuple[str, ...], list[str]]:
    """(the line as a command's arguments, what is wrong with its settings)."""
    command, wrong, options = FACES[face], list[str](), list[str]()
    known = _settings(command)
    files = [given[face], given["audio"], output] if command == "avatar" else [given["audio"], given[face], output]
    for name, value in given.items():
        if name in OWN or value is None:
            continue
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            perhaps = f"; perhaps {near[0]!r}" if near else ""
            wrong.append(f"no setting {name!r}{perhaps} (talking-heads {command} --help lists them)")
            continue
        try:
            option = _argument(known[name], name, value)
            parser_of(command).parse_args([*files, *option])
            options += option
        except _Wrong as error:
            wrong.append(str(error))
    arguments = (*files, *options, *(["--video"] if face == "video" else []))
    try:
        video_jobs.warn(parsed(command, arguments)) if command == "video" else parsed(command, arguments)
    except (_Wrong, TalkingHeadsError) as error:
        wrong += _said(error)
    return arguments, wrong


@cache
def _settings(command: str) -> dict[str, argparse.Action]:
    """Settings that a line may have -> the option."""
    found = {}
    for action in parser_of(command)._actions:
        names = [one for one in action.option_strings if one.startswith("--")]
        if names and action.help != argparse.SUPPRESS:
            switch = isinstance(action.const, bool) and action.nargs == 0
            found[action.dest if switch else names[0][2:].replace("-", "_")] = action
    found.pop("film", None)  # said by the line's 'video'
    return found


def _argument(action: argparse.Action, name: str, value: object) -> list[str]:
    """A setting as it stands on the command line.

    Raises:
        _Wrong: a value of another kind.
    """
    option = next(one for one in action.option_strings if one.startswith("--"))
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise _Wrong(f"{name!r} must be true or false, not {value!r}")
        return [option] if value is action.const else []
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Wrong(f"{name!r} must be a text or a number, not {value!r}")
    return [f"{option}={value}"]


def _clashes(jobs: list[Job]) -> list[str]:
    """Two lines of one name or one output, and outputs that other lines read."""
    wrong, ids, outputs = [], dict[str, int](), dict[Path, int]()
    read = {path.resolve(): job.line for job in reversed(jobs) for path in job.reads}
    for job in jobs:
        target = job.output.resolve()
        if job.id in ids:
            wrong.append(f"line {job.line}: the id {job.id!r} is that of line {ids[job.id]} too")
        if target in outputs:
            wrong.append(f"line {job.line}: line {outputs[target]} writes {job.output.name} too")
        if target in read:
            wrong.append(f"line {job.line}: its output is a file that line {read[target]} reads")
        ids.setdefault(job.id, job.line)
        outputs.setdefault(target, job.line)
    return wrong
