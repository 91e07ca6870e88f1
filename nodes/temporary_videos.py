"""Videos that nodes make in ComfyUI's temp folder.

ComfyUI keeps a node's VIDEO from run to run, while its file lies in a folder that anybody may empty at any time. Here each such
VIDEO holds its file open: when the file is gone it is written again, and with the VIDEO itself the file goes too.
"""
from __future__ import annotations

import logging
import os
import shutil
import uuid
import weakref
from collections.abc import Callable
from functools import partial
from io import BufferedReader
from pathlib import Path
from threading import Lock
from typing import Any

import folder_paths
from comfy_api.latest import InputImpl, io

from ..media_core.choices import LABEL, VIDEO_FILES
from ..media_core.errors import FileFormatError, TalkingHeadsError

log = logging.getLogger("talking_heads")
FORMATS = list(VIDEO_FILES)
_PARTS = ("as_trimmed", "as_cropped", "as_resized")  # what ComfyUI 0.14, 0.35 and later can make of a VIDEO without decoding it


def format_input() -> io.Input:
    """The kind of file that a node makes."""
    return io.Combo.Input("format", options=FORMATS, default=FORMATS[0], optional=True,
                          tooltip="Kind of video file: mp4 (H.264, plays everywhere); webm (VP9) or mov (ProRes 4444 or 422), "
                                  "which keep a transparent background.")


def label_input() -> io.Input:
    """Words in the frames."""
    return io.String.Input("label", display_name="visible label", default="", optional=True, advanced=True,
                           tooltip=f"Words in the lower left corner of every frame, such as {LABEL}; empty: none. The file's "
                                   "metadata say that the video is synthetic in any case.")


class KeptFile:
    """A file whose content stays within reach while this object lives, whoever removes it.

    Args:
        path: an existing file.
        owned: remove it together with this object.
    Raises:
        FileFormatError: the file has gone, or cannot be read.
    """

    def __init__(self, path: Path, owned: bool = True):
        self.path = path
        try:
            self._handles = [open(path, "rb")]  # noqa: SIM115 a removed file's content lasts as long as somebody holds it open
        except OSError as error:
            raise FileFormatError("The video must be in ComfyUI's temp folder, and readable", f"{path.name} ({error.strerror})",
                                  "Run the node that made it again, or choose another video") from error
        self._busy = Lock()
        weakref.finalize(self, _let_go, self._handles, path if owned else None, os.getpid())

    def __deepcopy__(self, memo: dict) -> KeptFile:
        return self

    def __reduce__(self) -> tuple:
        return KeptFile, (self.path, False)

    def ensure(self) -> None:
        """Puts the file back when it is gone.

        Raises:
            TalkingHeadsError: there is no room for it.
        """
        if self.path.is_file():
            return
        with self._busy:
            if not self.path.is_file():
                self._put_back()

    def _put_back(self) -> None:
        from ..media_core.files import atomic_path

        (old,) = self._handles
        old.seek(0)
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as new:
                shutil.copyfileobj(old, new)
            self._handles[:] = [open(self.path, "rb")]  # noqa: SIM115 (see above)
        except OSError as error:
            raise TalkingHeadsError("ComfyUI's temp folder must have room and be writable",
                                    f"writing {self.path.name} again failed ({error})", "Free some space") from error
        old.close()


def _let_go(handles: list[BufferedReader], path: Path | None, process: int) -> None:
    """The end of a `KeptFile`; a forked child, which inherits it, removes nothing."""
    for handle in handles:
        handle.close()
    if path is None or os.getpid() != process:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # another program reads it (Windows): ComfyUI empties the folder when it starts
        log.debug("%s stays in the temp folder: %s", path.name, error)


class TemporaryFilm(InputImpl.VideoFromFile):
    """A file-backed VIDEO whose file is there whenever somebody reads from this object.

    Whatever is asked of it, the file is looked after first: ComfyUI's class and other packs reach the path by several ways.
    """

    def __init__(self, kept: KeptFile):
        super().__init__(str(kept.path))
        self._kept = kept

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("__"):
            kept = object.__getattribute__(self, "__dict__").get("_kept")
            if kept is not None:
                kept.ensure()
                if name in _PARTS:
                    return partial(_part, kept, super().__getattribute__(name))
        return super().__getattribute__(name)


def _part(kept: KeptFile, cut: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A part of a TemporaryFilm, which holds the same file."""
    part = cut(*args, **options)
    if not isinstance(part, InputImpl.VideoFromFile) or isinstance(part, TemporaryFilm):
        return part
    film = TemporaryFilm.__new__(TemporaryFilm)
    film.__dict__.update(vars(part), _kept=kept)
    return film


def new_path(ending: str = ".mp4", beginning: str = "talking_heads_") -> Path:
    """A name nobody has in the temp folder, which is made when it is gone. The ending decides the kind of video."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{beginning}{uuid.uuid4().hex}{ending}"


def new_film(path: Path) -> TemporaryFilm:
    """The VIDEO of a file just written to `new_path`; the file goes when nobody holds the VIDEO or a part of it any more."""
    return TemporaryFilm(KeptFile(path))


def film_of(path: Path) -> InputImpl.VideoFromFile:
    """The VIDEO of a file that belongs to others; one in the temp folder is held, so that emptying it does no harm.

    Raises:
        FileFormatError: it was in the temp folder and has just gone.
    """
    if Path(folder_paths.get_temp_directory()).resolve() in path.resolve().parents:
        return TemporaryFilm(KeptFile(path, owned=False))
    return InputImpl.VideoFromFile(str(path))
