"""`talking-heads live`: an avatar speaks along with a microphone, or a file, in real time; frames go to a pipe or a WebSocket."""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..hmtalker_core.backend_registry import CHOICES
from ..host.workflow import WorkflowError
from .avatar_jobs import BACKGROUNDS
from .devices import add_device
from .progress_line import INTERRUPTED, OK, ProgressLine, stoppable

if TYPE_CHECKING:
    import numpy as np

    from ..hmtalker_core.live import AvatarStream
    from .live_audio import Pieces

LATE = 0.2  # s that the work may be behind the audio before frames are dropped
SWAY_SECONDS = 120  # of generated head movement, which then goes back and forth
LOCAL = "127.0.0.1"
EPILOG = r"""Frames are raw RGB, 8 bits, row by row, without a header; their size and rate are printed first. To see them:
  talking-heads live me.safetensors --microphone --pipe \
    | ffplay -f rawvideo -pixel_format rgb24 -video_size 256x256 -framerate 25 -
A WebSocket client gets one JSON text {"width", "height", "fps", "pixels", "wait_ms"}, then a binary message for each frame: its
number (4 bytes, little-endian) and its pixels. It listens on this computer alone unless --address says otherwise; whoever reaches
that address sees the frames."""


def add_options(live: argparse.ArgumentParser) -> None:
    """The options of the command."""
    live.epilog, live.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    add = live.add_argument
    add("avatar", metavar="AVATAR.safetensors", help="a trained avatar that understands mel")
    audio = live.add_mutually_exclusive_group(required=True)
    audio.add_argument("--microphone", nargs="?", const="", metavar="NAME", help="listen to a microphone (needs sounddevice)")
    audio.add_argument("--file", metavar="SPEECH", help="play an audio or video file in real time")
    out = live.add_mutually_exclusive_group(required=True)
    out.add_argument("--pipe", nargs="?", const="-", metavar="PATH", help="raw frames to a named pipe or file (default: stdout)")
    out.add_argument("--websocket", type=int, metavar="PORT", help="frames to whoever connects to ws://127.0.0.1:PORT")
    add("--address", default=LOCAL, metavar="HOST", help=f"where the WebSocket listens (default: {LOCAL}, this computer alone)")
    add("--causal", metavar="NETS.safetensors", help="audio nets of the avatar's causal variant: 0.14 s of delay instead of 0.26")
    add("--seconds", type=float, metavar="S", help="stop a microphone after so long (default: at Ctrl-C)")
    add("--gain", type=float, metavar="DB", help="of the audio (default: by the loudness of the speech so far)")
    add("--blinks", choices=["track", "generated", "none"], default="generated",
        help="from the avatar's recording, new ones from the seed, or none (default: generated)")
    add("--head", choices=["recorded", "still", "sway"], default="recorded", help="movement of the head (default: recorded)")
    add("--seed", type=int, default=0, metavar="N", help="of generated blinks and head movement (default: 0)")
    add("--smoothing", type=float, default=0.0, metavar="FRAMES", help="of the lips; delays by three times as many (default: 0)")
    add("--lip-gain", type=float, default=1.0, metavar="FACTOR", help="how far the lips move (default: 1, as trained)")
    add("--no-gate", dest="gate", action="store_false", help="do not let the mouth rest where nobody speaks")
    add("--background", choices=[name for name in BACKGROUNDS if name != "transparent"], default="plate",
        help="behind the head (default: plate, as recorded)")
    add("--size", type=int, metavar="PX", help="height of the frames (default: the avatar's)")
    add("--backend", choices=CHOICES, default="auto", help="of the rasteriser (default: auto)")
    add_device(add)


class Sink(Protocol):
    """Where frames go."""

    def show(self, number: int, pixels: bytes) -> bool:
        """Takes a frame; False: nobody wants any more."""
        ...

    def close(self) -> int:
        """The end; frames that were dropped on the way."""
        ...


class PipeSink:
    """Raw frames to stdout, a named pipe or a file."""

    def __init__(self, path: str):
        self._file = sys.stdout.buffer if path == "-" else open(path, "wb", buffering=0)  # noqa: SIM115

    def show(self, number: int, pixels: bytes) -> bool:
        """See `Sink.show`."""
        try:
            self._file.write(pixels)
            self._file.flush()
        except BrokenPipeError:
            return False
        return True

    def close(self) -> int:
        """See `Sink.close`."""
        if self._file is not sys.stdout.buffer:
            self._file.close()
        return 0


class SocketSink:
    """Frames to the clients of a WebSocket."""

    def __init__(self, port: int, host: str, header: dict[str, Any]):
        from .live_socket import FrameServer

        self.server = FrameServer(port, host, header)

    def show(self, number: int, pixels: bytes) -> bool:
        """See `Sink.show`."""
        self.server.send(number, pixels)
        return True

    def close(self) -> int:
        """See `Sink.close`."""
        self.server.close()
        return self.server.dropped


@dataclass
class Meter:
    """What a live session did."""

    shown: int = 0  # frames
    late: int = 0  # frames that were not drawn since the work was behind
    busy: float = 0.0  # s of work
    audio: float = 0.0  # s of audio
    behind: float = 0.0  # s, the longest

    def line(self, dropped: int) -> str:
        """The summary that is printed."""
        speed = self.audio / self.busy if self.busy else 0.0
        lost = f"{self.late + dropped} dropped ({self.late} late, {dropped} by slow clients)"
        return (f"{self.audio:.1f} s of audio, {self.shown} frames, {lost}, {speed:.2f} times real time, at most "
                f"{1000 * self.behind:.0f} ms behind")


def play(stream: AvatarStream, pieces: Pieces, sink: Sink, meter: Meter, stop: Callable[[], bool] = lambda: False,
         clock: Callable[[], float] = time.monotonic) -> None:
    """Feeds the pieces and shows the frames; where the work is behind the audio by `LATE`, it listens on but draws nothing."""
    for piece, spoken in pieces:
        began = clock()
        behind = began - spoken
        meter.behind = max(meter.behind, behind)
        before = stream.frames
        frames = stream.feed(piece, show=behind < LATE)
        meter.busy, meter.audio = meter.busy + clock() - began, meter.audio + len(piece) / 16000
        meter.late += stream.frames - before - len(frames)
        if not _shown(frames, before, sink, meter) or stop():
            return
    before = stream.frames
    _shown(stream.flush(), before, sink, meter)


def _shown(frames: np.ndarray, first: int, sink: Sink, meter: Meter) -> bool:
    for number, frame in enumerate(frames):
        if not sink.show(first + number, frame.tobytes()):
            return False
        meter.shown += 1
    return True


def play_live(options: argparse.Namespace) -> int:
    """Runs the command: exit code."""
    from .live_audio import from_file, from_microphone

    if options.seconds is not None and options.microphone is None:
        raise WorkflowError("--seconds belongs to --microphone. Got: --file. Leave it out.")
    stream, line = opened(options), ProgressLine()
    height, width = stream.shape
    header = {"width": width, "height": height, "fps": stream.avatar.fps, "pixels": "rgb24", "wait_ms": stream.wait / 16}
    socket = None if options.websocket is None else SocketSink(options.websocket, options.address, header)
    print(f"rgb24 {width}x{height} at {stream.avatar.fps:g} frames per second, {stream.wait / 16:.0f} ms after the audio"
          + ("" if socket is None else f", at ws://{options.address}:{socket.server.port}"), file=sys.stderr, flush=True)
    sink = socket or PipeSink(options.pipe)  # a named pipe waits for its reader
    line.show("Preparing")
    stream.prepare()
    meter, stopped, dropped = Meter(), [], 0
    microphone = options.microphone or None
    pieces = from_microphone(microphone, options.seconds) if options.file is None else from_file(options.file)

    def stop() -> bool:
        line.show("Live", note=meter.line(0))
        return bool(stopped)

    try:
        with stoppable(lambda: stopped.append(True)):
            play(stream, pieces, sink, meter, stop)
    finally:
        line.close()
        dropped = sink.close()
    print(meter.line(dropped), file=sys.stderr)
    if options.pipe == "-":
        _quiet_stdout()
    return INTERRUPTED if stopped and options.file is not None else OK


def _quiet_stdout() -> None:
    """A closed pipe must not fail the program when Python flushes stdout at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def opened(options: argparse.Namespace) -> AvatarStream:
    """The stream that the options ask for."""
    from ..hmtalker_core.checkpoints import load_avatar
    from ..hmtalker_core.live import AvatarStream
    from ..hmtalker_core.live_driving import LiveSettings
    from ..hmtalker_core.training.causal import with_causal
    from ..media_core.head_pose import moved_pose
    from .devices import chosen_device

    avatar = load_avatar(options.avatar, chosen_device(options.device))
    if options.causal is not None:
        avatar = with_causal(avatar, options.causal)
    pose = None
    if options.head != "recorded":
        pose = moved_pose(options.head, avatar.poses, round(SWAY_SECONDS * avatar.fps), options.seed, 1.0)
    settings = LiveSettings(gain_db=options.gain, pose=pose, blinks=options.blinks, smoothing=options.smoothing,
                            lip_gain=options.lip_gain, seed=options.seed, silence_gate=options.gate)
    height, width = avatar.size
    size = None if options.size is None else (options.size, max(1, round(options.size * width / height)))
    background = BACKGROUNDS[options.background]
    return AvatarStream(avatar, settings, size=size, background=background, backend=options.backend)
