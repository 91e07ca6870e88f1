"""espeak-ng through ctypes: samples and phoneme times, equal to the bit on every call.

The library keeps hidden state between utterances, and 1.51 draws from the C library's `rand`. Each batch therefore runs on a
fresh private copy of the shared library (its globals are new), with the random generator seeded, and the copy is unloaded and
removed afterwards. Phoneme times come from the library's own event stream.
"""
from __future__ import annotations

import ctypes as C
import logging
import shutil
import sys
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..errors import TalkingHeadsError
from ..temporary import temporary_folder

log = logging.getLogger(__name__)
_FOLDER = "talking-heads-voice-"  # what its temporary folders are called
_SYNCHRONOUS, _PHONEME_EVENTS, _DO_NOT_EXIT = 2, 1, 0x8000     # arguments of espeak_Initialize
_RATE, _PITCH, _RANGE = 1, 3, 4                                # espeak_PARAMETER
_LIST_END, _PHONEME = 0, 7                                     # espeak_EVENT_TYPE
_PITCH_RANGE = 55
_SEED = 5
_EARLY = 0.010  # s by which a phoneme is heard before its event says (against forced alignment; other engines: 0 to 4 ms)
_NAMES = ("libespeak-ng.so.1", "libespeak-ng.so", "libespeak-ng.1.dylib", "libespeak-ng.dylib", "libespeak-ng.dll")
_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/opt/homebrew/lib", "C:/Program Files/eSpeak NG",
            "C:/Program Files (x86)/eSpeak NG")
_one_at_a_time = threading.Lock()                              # `rand` is shared by the process


@dataclass(frozen=True)
class Utterance:
    """One line to be spoken."""
    text: str
    voice: str  # espeak name, e.g. "en-us+f3"
    rate: int   # words a minute, 80-450
    pitch: int  # 0-99


@dataclass(frozen=True)
class Spoken:
    """One line as spoken."""
    samples: np.ndarray                              # float32 [N], -1..1
    rate: int                                        # Hz
    phonemes: tuple[tuple[str, float, float], ...]   # (espeak mnemonic, start s, end s)


class _Id(C.Union):
    _fields_ = [("number", C.c_int), ("name", C.c_char_p), ("string", C.c_char * 8)]


class _Event(C.Structure):
    _fields_ = [("type", C.c_int), ("unique_identifier", C.c_uint), ("text_position", C.c_int), ("length", C.c_int),
                ("audio_position", C.c_int), ("sample", C.c_int), ("user_data", C.c_void_p), ("id", _Id)]


_Callback = C.CFUNCTYPE(C.c_int, C.POINTER(C.c_short), C.c_int, C.POINTER(_Event))


def find_library() -> tuple[Path, Path | None] | None:
    """(shared library, data folder or None for the built-in one), or None where espeak-ng is absent.

    The PyPI package `espeakng-loader` is preferred; after it the usual system folders are searched.
    """
    if find_spec("espeakng_loader") is not None:
        import espeakng_loader
        return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
    multiarch = sysconfig.get_config_var("MULTIARCH")
    folders = ([f"/usr/lib/{multiarch}"] if multiarch else []) + list(_FOLDERS)
    for folder in map(Path, folders):
        for name in _NAMES:
            if (folder / name).is_file():
                data = folder / "espeak-ng-data"
                return folder / name, data if data.is_dir() else None
    return None


def speak(utterances: Sequence[Utterance]) -> list[Spoken]:
    """Speaks the lines one after another in one fresh copy of the library: equal input, equal samples.

    Raises:
        TalkingHeadsError: espeak-ng is absent, cannot be loaded, will not start, or lacks the voice.
    """
    found = find_library()
    if found is None:
        raise TalkingHeadsError("The voice 'espeak' needs the espeak-ng library",
                                "it is neither in a system folder nor in a Python package",
                                "Install it (Debian: espeak-ng; pip: espeakng-loader), or choose the engine 'formant' or 'auto'")
    with _one_at_a_time, _private_library(*found) as (library, rate):
        return [_say(library, rate, line) for line in utterances]


def usable() -> bool:
    """Whether espeak-ng is here and can be loaded. Where it is here and cannot, one log line says why."""
    found = find_library()
    if found is None:
        return False
    try:
        with _copied(found[0]):
            return True
    except TalkingHeadsError as error:
        log.warning("espeak-ng is installed but cannot speak here: %s", error)
        return False


@contextmanager
def _private_library(path: Path, data: Path | None) -> Iterator[tuple[C.CDLL, int]]:
    """A fresh copy of the library, started; unloaded and deleted at the end. Yields (library, sample rate in Hz)."""
    with _copied(path) as library:
        yield library, _start(library, data)


@contextmanager
def _copied(path: Path) -> Iterator[C.CDLL]:
    """A fresh copy of the library, loaded; unloaded and deleted at the end.

    Raises:
        TalkingHeadsError: no temporary folder, or one from which nothing may be loaded (mounted noexec).
    """
    with ExitStack() as stack:
        try:
            copy = Path(stack.enter_context(temporary_folder(_FOLDER))) / f"private-{path.name}"
            shutil.copyfile(path, copy)
            library = C.CDLL(str(copy))
        except OSError as error:
            raise TalkingHeadsError("The voice 'espeak' needs a temporary folder from which libraries can be loaded", f"{error}",
                                    "Point TMPDIR at a folder that is not mounted noexec, or choose the engine 'formant' or "
                                    "'auto'") from error
        stack.callback(_unload, library)
        yield library


def _start(library: C.CDLL, data: Path | None) -> int:
    library.espeak_Initialize.argtypes = [C.c_int, C.c_int, C.c_char_p, C.c_int]
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode() if data else None, _PHONEME_EVENTS | _DO_NOT_EXIT)
    if rate <= 0:
        raise TalkingHeadsError("The espeak-ng library must start",
                                f"espeak_Initialize returned {rate} (data folder: {data or 'built in'})",
                                "Install the espeak-ng data files, or choose the engine 'formant'")
    if hasattr(library, "espeak_ng_SetRandSeed"):              # 1.52 and later
        library.espeak_ng_SetRandSeed.argtypes = [C.c_long]
        library.espeak_ng_SetRandSeed(_SEED)
    if sys.platform != "win32":
        C.CDLL(None).srand(1)                                  # 1.51 uses the C library's generator as it finds it
    return int(rate)


def _unload(library: C.CDLL) -> None:
    import _ctypes
    close = _ctypes.FreeLibrary if sys.platform == "win32" else _ctypes.dlclose
    close(library._handle)


def _say(library: C.CDLL, rate: int, line: Utterance) -> Spoken:
    pieces: list[np.ndarray] = []
    onsets: list[tuple[str, float]] = []

    def collect(samples, count, events) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _LIST_END:
            if events[i].type == _PHONEME:
                name = bytes(events[i].id.string).split(b"\0")[0].decode("utf8", "replace")
                onsets.append((name, max(0.0, events[i].audio_position / 1000.0 - _EARLY)))
            i += 1
        return 0

    callback = _Callback(collect)                              # must outlive the synthesis
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(line.voice.encode()) != 0:
        raise TalkingHeadsError("The voice must be one that espeak-ng has", f"'{line.voice}'",
                                "Use for instance 'en-us+f3' or 'en+m2'")
    for parameter, value in ((_RATE, line.rate), (_PITCH, line.pitch), (_RANGE, _PITCH_RANGE)):
        library.espeak_SetParameter(parameter, value, 0)
    text = line.text.encode("utf8") + b"\0"
    library.espeak_Synth(text, C.c_size_t(len(text)), C.c_uint(0), 1, C.c_uint(0), C.c_uint(1), None, None)
    library.espeak_Synchronize()
    samples = np.concatenate(pieces).astype(np.float32) / 32768.0 if pieces else np.zeros(0, np.float32)
    ends = [t for _, t in onsets[1:]] + [len(samples) / rate]
    return Spoken(samples, rate, tuple((name, start, max(start, end)) for (name, start), end in zip(onsets, ends)))
