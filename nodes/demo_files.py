"""The pack's demo files in ComfyUI's input folder: its own loaders offer them, and every template runs when first opened."""
from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..media_core.numbered import give_name
from ..media_core.temporary import part_name, remove_leftovers

DEMO = Path(__file__).resolve().parents[1] / "demo"
PREFIX = "talking_heads_"  # of every file and folder below input/
BATCH = f"{PREFIX}demo_batch"  # the folder of several short speeches
ENDINGS = (".wav", ".jpg", ".mp4")
log = logging.getLogger("talking_heads")


def demo_files(demo: Path = DEMO) -> dict[str, Path]:
    """The shipped files by the name each has below the input folder, with / between its parts."""
    shipped = [*sorted(demo.glob("*")), *sorted((demo / "batch").glob("*"))]
    return {f"{PREFIX}{'demo_' * (path.parent != demo)}{path.relative_to(demo).as_posix()}": path for path in shipped
            if path.suffix in ENDINGS and not path.name.startswith(".")}


def offer(folder: str | os.PathLike, demo: Path = DEMO) -> None:
    """Copies each demo file that is absent into the input folder. What is there stays as it is, whatever it holds; a folder that
    cannot be written gets one line in the log and no file."""
    absent = {name: path for name, path in demo_files(demo).items() if _free(Path(folder, name), Path(folder))}
    if not absent:
        return
    try:
        os.scandir(folder).close()  # an input folder that is missing is not made
        for place in {Path(folder, name).parent for name in absent}:
            place.mkdir(exist_ok=True)
            remove_leftovers(place)
        for name, path in absent.items():
            _copy(path, Path(folder, name))
    except OSError as error:
        log.warning("The demo files could not be copied into the input folder (%s): the example workflows will miss them. Make "
                    "%s a writable folder with a few MB free and restart ComfyUI, or choose your own files in the Load nodes.",
                    error.strerror or error, folder)


def _free(target: Path, folder: Path) -> bool:
    """Whether nothing has that name, nor that of the folder below the input folder that it goes into."""
    place = target.parent
    return not os.path.lexists(target) and (place == folder or place.is_dir() or not os.path.lexists(place))


def _copy(source: Path, target: Path) -> None:
    """Whole or absent, and never in the place of a file that came meanwhile."""
    spare = target.with_name(part_name(target.name))
    try:
        shutil.copyfile(source, spare)
        give_name(spare, target)
    finally:
        with suppress(OSError):  # a virus scanner may hold it (Windows); the next start removes it
            spare.unlink(missing_ok=True)
