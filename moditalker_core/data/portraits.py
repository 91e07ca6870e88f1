"""Photographs of people as the faces of a motion dataset: which files of a folder can be used, and why the others cannot."""
from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...media_core.errors import TalkingHeadsError
from ...media_core.progress import Report, silent
from ...media_core.torch_threads import one_torch_thread
from .dataset import file_checksum

if TYPE_CHECKING:
    from ...media_core.subject.portrait import Portrait

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class PhotoFile:
    """An image with a face that can be moved."""
    path: Path
    sha256: str   # of the file

    @property
    def described(self) -> dict[str, str]:
        """As a request holds it."""
        return {"name": self.path.name, "sha256": self.sha256}

    def person(self, identity: int | None) -> str:
        """What the person is called; a number: somebody invented from this one."""
        return f"{self.path.stem}_{self.sha256[:8]}" + ("" if identity is None else f"_{identity}")


def usable_photos(folder: str | os.PathLike, report: Report = silent) -> tuple[tuple[PhotoFile, ...], list[dict[str, str]]]:
    """The images of a folder (subfolders too) by name, and those that cannot be used: {"source", "reason"}.

    Args:
        report: called once an image, with how many of all are done.
    Raises:
        TalkingHeadsError: no folder, no image in it, or none that can be used.
    """
    base = Path(folder)
    if not base.is_dir():
        raise TalkingHeadsError("The folder of portraits must be there", f"no folder at {folder}", "Check its name")
    paths = sorted(path for path in base.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise TalkingHeadsError("The folder of portraits must hold images", f"none in {folder}",
                                f"Put {', '.join(ENDINGS)} there")
    good, refused = list[PhotoFile](), list[dict[str, str]]()
    for number, path in enumerate(paths):
        report(number, len(paths), {"stage": "portraits"}, None)
        one = PhotoFile(path, file_checksum(path))
        try:
            portrait_of(one)
        except TalkingHeadsError as error:
            refused.append({"source": path.relative_to(base).as_posix(), "reason": str(error)})
        else:
            good.append(one)
    if not good:
        raise TalkingHeadsError("A face that can be moved must be in one of the portraits",
                                "; ".join(f"{one['source']}: {one['reason']}" for one in refused[:3]), "Use other images")
    return tuple(good), refused


@lru_cache(maxsize=2)
@one_torch_thread()
def portrait_of(photo: PhotoFile) -> Portrait:
    """The portrait of a file, found with one thread wherever that is: more threads round otherwise on some processors. The last
    ones are remembered, as a clip is measured and then drawn.

    Raises:
        TalkingHeadsError: no image, or no face that can be moved.
    """
    from ...media_core.subject.photo import read_photo

    return read_photo(photo.path)
