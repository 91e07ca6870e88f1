"""One way to open media files, whatever their tags contain."""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer


def open_media(source: str | os.PathLike | IO[bytes]) -> InputContainer:
    """The opened container of a path or a file object, for reading: a context manager, closed at the block's end.

    Titles and other tags that are no UTF-8 (Latin-1 of Windows programs, say) do not matter: those characters are replaced.

    Raises:
        one of `unreadable()`: the source is no media file. Decoding raises the same.
    """
    import av

    older = int(av.__version__.partition(".")[0]) < 19  # newer ones have no such option: there tags never fail
    tolerant: dict[str, Any] = {"metadata_errors": "replace"} if older else {}
    return av.open(str(source) if isinstance(source, os.PathLike) else source, mode="r", **tolerant)


def unreadable() -> tuple[type[Exception], ...]:
    """What PyAV raises for files it cannot read, for `except unreadable() as error`; ValueError covers impossible layouts and
    texts that are no UTF-8. A TalkingHeadsError is a ValueError too: let it pass first."""
    from av.error import FFmpegError

    return FFmpegError, ValueError


def pictures(container: InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """The frames of a video stream, past packets of tracks that the file's head does not name: there PyAV breaks off with an
    IndexError (a .ts whose second track appears late); the packet after it will do."""
    frames = container.decode(stream)
    while True:
        try:
            frame = next(frames, None)
        except IndexError:
            frames = container.decode(stream)
            continue
        if frame is None:
            return
        yield frame
