"""Audio in real time: a microphone, or a file as if somebody spoke it now. Pieces of 40 ms, float32 at 16 kHz."""
from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..media_core.errors import TalkingHeadsError

if TYPE_CHECKING:
    import numpy as np

RATE, PIECE = 16000, 640  # Hz, samples
Pieces = Iterator[tuple["np.ndarray", float]]  # samples, and when (clock) the last of them was spoken


def from_file(path: str | Path, clock: Callable[[], float] = time.monotonic,
              wait: Callable[[float], None] = time.sleep) -> Pieces:
    """The pieces of a file, each when its last sample is due; never sooner, and at once where the reader is late."""
    from ..media_core.audio import load_sound

    mono = load_sound(path).mono(RATE)
    began = clock()
    for at in range(0, len(mono), PIECE):
        piece = mono[at:at + PIECE]
        due = began + (at + len(piece)) / RATE
        if (left := due - clock()) > 0:
            wait(left)
        yield piece, due


def from_microphone(device: str | None, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> Pieces:
    """The pieces of a microphone, until `seconds` have passed.

    Args:
        device: number or part of the name, as `python -m sounddevice` lists them; None: the computer's usual one.
    Raises:
        TalkingHeadsError: the package sounddevice is absent, or no such microphone.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: it finds no PortAudio library
        raise TalkingHeadsError("Listening to a microphone needs the package sounddevice", str(error),
                                "pip install sounddevice (Linux: apt install libportaudio2), or play a file: --file SPEECH.wav"
                                ) from error
    pieces: queue.SimpleQueue[tuple[np.ndarray, float]] = queue.SimpleQueue()
    heard = lambda samples, count, when, status: pieces.put((samples[:, 0].copy(), clock()))
    chosen = int(device) if device is not None and device.isdecimal() else device
    try:
        with sounddevice.InputStream(samplerate=RATE, channels=1, dtype="float32", blocksize=PIECE, device=chosen,
                                     callback=heard):
            ends = None if seconds is None else clock() + seconds
            while ends is None or clock() < ends:
                try:
                    yield pieces.get(timeout=0.5)
                except queue.Empty:
                    continue  # so that Ctrl-C is noticed
    except (sounddevice.PortAudioError, ValueError) as error:
        raise TalkingHeadsError("The microphone must be one that this computer has, and free",
                                f"{'the usual one' if device is None else device} ({error})",
                                "List them with python -m sounddevice, and choose one: --microphone NUMBER") from error
