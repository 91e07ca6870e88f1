"""A folder of audio files as a list: what follows in the workflow runs once for each."""
from __future__ import annotations

import fnmatch
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained, is_temporary, safe_stem
from . import bridge, saying
from .demo_files import BATCH

if TYPE_CHECKING:
    from ..media_core.audio import Sound

HERE = "."  # the input folder itself
_DEPTH = 3  # folders below the input folder that are looked into
_MOST = 10_000  # files
_ALSO = (".flac", ".m4a", ".mka", ".oga", ".ogg", ".opus", ".wma")  # audio that not every system's list of types knows
log = logging.getLogger("talking_heads")


class LoadAudioBatch(io.ComfyNode):
    """A folder below ComfyUI's input to lists of AUDIO and STRING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadAudioBatch",
            display_name="Load Audio Batch",
            category="Talking Heads/Speech",
            description="Loads every audio file of a folder in ComfyUI's input folder. The nodes connected to it run once for "
                        "each file: one workflow makes a video of every speech.",
            search_aliases=["audio folder", "load audio files", "multiple audio files", "audio list", "for each audio"],
            inputs=_inputs(),
            has_intermediate_output=True,
            outputs=[
                io.Audio.Output("audio", display_name="audio", is_output_list=True,
                                tooltip="The audio files one after another: what is connected runs once for each."),
                io.String.Output("name", display_name="name", is_output_list=True,
                                 tooltip="For each file the prefix and its name without the ending: connect it to "
                                         "filename_prefix of Save Video."),
            ],
        )

    @classmethod
    def validate_inputs(cls, prefix: str | None) -> bool | str:
        return bridge.found(lambda: _inside(prefix or ""), "The file", prefix)

    @classmethod
    def fingerprint_inputs(cls, folder: str | None, pattern: str | None, start: int | None, count: int | None,
                           **others: object) -> tuple[str, ...] | float:
        """What is linked is None here: all files of the folder count then, and a folder not known yet is read again."""
        if folder is None:
            return float("nan")
        known = (start, count) if pattern is not None and start is not None and count is not None else (0, _MOST)
        return tuple(f"{path.name} {bridge.stamp(path)}" for path in _chosen(folder, pattern or "*", *known))

    @classmethod
    def execute(cls, folder: str, pattern: str, start: int, count: int, prefix: str) -> io.NodeOutput:
        _inside(prefix)
        chosen = _chosen(folder, pattern, start, count)
        if not chosen:
            raise TalkingHeadsError("At least one audio file must match", f"none in {folder!r} for the pattern {pattern!r}"
                                    + (f" from number {start} on" if start else ""),
                                    "Put audio files into that folder of ComfyUI's input, or change the folder or the pattern")
        loaded = _loaded(chosen)
        names = unique_names([path.stem for path, _ in loaded])
        return io.NodeOutput([sound.to_comfy() for _, sound in loaded], [prefix + name for name in names],
                             ui=saying.said(_listed(loaded, len(chosen) - len(loaded))))


def _inputs() -> list:
    folders = audio_folders()
    return [
        io.Combo.Input("folder", options=folders, default=BATCH if BATCH in folders else folders[0],
                       tooltip="A folder in ComfyUI's input folder that holds audio files; . is the input folder itself. Press R "
                               "after adding one."),
        io.String.Input("pattern", default="*",
                        tooltip="Which files to load: * stands for any characters and ? for one, as in take*.wav. Files are in "
                                "natural order: take2 before take10."),
        io.Int.Input("start", default=0, min=0, max=_MOST, advanced=True, tooltip="How many of these files to skip."),
        io.Int.Input("count", default=_MOST, min=1, max=_MOST, advanced=True,
                     tooltip="At most this many files are loaded. All of their audio is in memory at once."),
        io.String.Input("prefix", display_name="name prefix", default="talking_heads/",
                        tooltip="Put before each name: a folder of the output folder ends in /."),
    ]


def _inside(prefix: str) -> bool:
    """True: Save Video will take it. It would refuse it only when the first video is rendered.

    Raises:
        TalkingHeadsError: the prefix leads out of ComfyUI's output folder.
    """
    return bool(contained(folder_paths.get_output_directory(), prefix, links_may_leave=True))


def audio_folders() -> list[str]:
    """The folders of the input folder that hold audio files, as relative names; itself as "." Never empty."""
    base, found = folder_paths.get_input_directory(), set()
    for place, below, files in os.walk(base):
        depth = len(Path(place).relative_to(base).parts)
        below[:] = [name for name in below if not is_temporary(name)] if depth < _DEPTH else []
        if _audio_names([f"_{ending}" for ending in {os.path.splitext(name)[1] for name in files if not is_temporary(name)}]):
            found.add(os.path.relpath(place, base).replace(os.sep, "/"))
    return sorted(found, key=natural) or [HERE]


def _chosen(folder: str, pattern: str, start: int, count: int) -> list[Path]:
    """The matching files in natural order.

    Raises:
        TalkingHeadsError: the folder leads out of ComfyUI's input folder, is not there, or cannot be read.
    """
    place = contained(folder_paths.get_input_directory(), folder)
    if not place.is_dir():
        raise TalkingHeadsError("The folder must be in ComfyUI's input folder", f"none called {folder!r}",
                                "Choose another, or press R to read the folders again")
    try:
        files = os.listdir(place)
    except OSError as error:
        raise TalkingHeadsError("The folder must be readable", f"{folder!r} ({error.strerror or error})",
                                "Choose another, or let ComfyUI read it") from error
    wanted = re.compile(fnmatch.translate(pattern.strip().casefold() or "*"))
    names = [name for name in _audio_names(files) if wanted.match(name.casefold())]
    return [path for name in sorted(names, key=natural) if (path := place / name).is_file()][start:start + count]


def _audio_names(files: list[str]) -> list[str]:
    """Those that Load Audio offers (videos too: their audio is taken), and further endings of audio files."""
    known = set(folder_paths.filter_files_content_types(files, ["audio", "video"]))
    return [name for name in files if not is_temporary(name) and (name in known or name.lower().endswith(_ALSO))]


def _loaded(paths: list[Path]) -> list[tuple[Path, Sound]]:
    """What can be heard of them; the others are named in the log.

    Raises:
        TalkingHeadsError: none can.
    """
    from ..media_core.audio import load_sound

    report, loaded, refused = bridge.NodeReport(), [], []
    for done, path in enumerate(paths, 1):
        try:
            loaded.append((path, load_sound(path)))
        except TalkingHeadsError as error:
            refused.append(error.came)
        report(done, len(paths), {}, None)
    if refused and loaded:
        log.warning("Load Audio Batch leaves out %d of %d files that hold no audio it can read. %s", len(refused), len(paths),
                    "; ".join(refused))
    if not loaded:
        raise TalkingHeadsError("At least one file must hold audio", "; ".join(refused[:5]) + "; ..." * (len(refused) > 5),
                                "Export them again as WAV, FLAC or MP3, or choose another folder")
    return loaded


def _listed(loaded: list[tuple[Path, Sound]], refused: int) -> str:
    """"3 audio files, 7.3 s: take1.wav, take2.wav, take3.wav"; the first ten, and how many were left out."""
    names = ", ".join(path.name for path, _ in loaded[:10]) + ", ..." * (len(loaded) > 10)
    seconds = sum(sound.duration for _, sound in loaded)
    text = f"{len(loaded)} audio file{'s' * (len(loaded) != 1)}, {seconds:.1f} s: {names}"
    return f"{text}\n{refused} left out, without readable audio: see the log" if refused else text


def unique_names(stems: list[str]) -> list[str]:
    """File names made of these, different even where capitals do not count: take.wav and take.mp3 become take and take_2."""
    given: set[str] = set()
    names = []
    for stem in map(safe_stem, stems):
        name, number = stem, 1
        while name.casefold() in given:
            number += 1
            name = f"{stem}_{number}"
        given.add(name.casefold())
        names.append(name)
    return names


def natural(name: str) -> tuple[list[tuple[int, int | str]], str]:
    """Sorts take2 before take10, without regard to capitals."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part)) if part.isdigit() and part.isascii() else (1, part) for part in parts], name


NODES = (LoadAudioBatch,)
