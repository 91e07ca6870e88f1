"""Results of core nodes: whole or absent, where ComfyUI itself may leave half a file."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary name that becomes `path` when the block ends well and is removed when it does not.

    Raises:
        TalkingHeadsError: the folder is full or cannot be written.
    """
    from ...media_core.errors import TalkingHeadsError
    from ...media_core.files import atomic_path

    try:
        with atomic_path(path) as temporary:
            yield str(temporary)
    except OSError as error:  # FFmpeg's report of a full disk is one too
        raise TalkingHeadsError("The output folder must have room and be writable", f"writing {path} failed ({error.strerror})",
                                "Free some space, or choose another folder") from error
