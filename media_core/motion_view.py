"""What the motion editor in the page shows: one binary file for each motion, and the audio beside it.

    "THMV", uint32 length of the header, header (JSON, padded to 4 bytes), blocks (each padded to 4 bytes)

All numbers are little-endian; the header's "blocks" names each block with its place from the end of the header, its type and
its shape. docs/editor.md#the-view lists them; web/js/editor/view.js reads them.
"""
from __future__ import annotations

import hashlib
import json
import math
import struct
import wave
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .audio import Sound
from .edit_curves import Lane
from .errors import TalkingHeadsError
from .expression_edits import LANES as AVATAR_LANES
from .expression_edits import head_angles, sketch
from .files import atomic_path
from .motion import AU_NAMES, ExpressionTrack, LandmarkTrack, PoseTrack
from .motion_edits import FLAT, LANES, LID_SHARE, LOWER_LIDS, UPPER_LIDS, frames_of, measured, open_eyes, tables
from .mouth import JAW_AND_MOUTH, LOWER_PAIR, LOWER_RIM, RIGID_POINTS, UPPER_PAIR, UPPER_RIM, UPPER_SHARE
from .speech import Speech

MAGIC, VERSION = b"THMV", 1
MOST_ROWS = 6000  # of a view; of a longer motion every second, third ... frame is shown
WAVE_RATE, MOST_COLUMNS = 100, 36_000  # columns of the drawn waveform: per second, in all
AUDIO_RATE = 24_000  # Hz, at most, of the audio that the page plays
LONGEST_HEARD = 60.0  # s, of audio whose phones are recognised without its words
_REMEMBERED = 8  # recordings whose phones are kept

Blocks: TypeAlias = dict[str, np.ndarray]
Phones: TypeAlias = tuple[list[tuple[str, float, float]], str]  # (name, start s, end s); why there are none
_phones: OrderedDict[tuple[str, str], Phones] = OrderedDict()


def landmarks_view(track: LandmarkTrack, sound: Sound | None = None, speech: Speech | None = None, transcript: str = "") -> bytes:
    """The view of 68-point motion."""
    faces, own, stride = frames_of(track), measured(track), _stride(len(track))
    shown = track.points.numpy()[::stride].astype(np.float64)
    middle, reach = shown.reshape(-1, 3).mean(0), max(float(np.abs(shown - shown.reshape(-1, 3).mean(0)).max()), 1e-9)
    head = {"kind": "landmarks", "space": track.space, "middle": middle.tolist(), "reach": reach, "flip": faces.flip.tolist(),
            "flat": faces.flat, "openEyes": open_eyes(faces, own["blink"]), "lanes": [_told(lane) for lane in LANES]}
    blocks = {"points": np.round((shown - middle) / reach * 32767).astype("<i2"),
              "own": np.stack([own[lane.name][::stride] for lane in LANES]).astype("<f4")}
    return _packed(head, blocks, len(track), track.fps, sound, speech, transcript)


def avatar_view(expression: ExpressionTrack, pose: PoseTrack, sound: Sound | None = None, speech: Speech | None = None,
                transcript: str = "") -> bytes:
    """The view of an avatar's action units and head."""
    stride, trust = _stride(len(expression)), expression.reliability or (1.0,) * len(AU_NAMES)
    unknown = {name for name, reliability in zip(AU_NAMES, trust) if not reliability}
    angles, au = head_angles(pose), expression.au.double().numpy()
    own = {name: au[:, i] for i, name in enumerate(AU_NAMES)} | angles
    head = {"kind": "avatar", "lanes": [{**_told(lane), "known": lane.name not in unknown} for lane in AVATAR_LANES]}
    blocks = {"own": np.stack([own[lane.name][::stride] for lane in AVATAR_LANES]).astype("<f4"),
              "sketch": sketch().astype("<f4")}
    return _packed(head, blocks, len(expression), expression.fps, sound, speech, transcript)


def digest(content: bytes | np.ndarray) -> str:
    """A name for content: equal content, equal name."""
    return hashlib.sha256(content if isinstance(content, bytes) else np.ascontiguousarray(content).data).hexdigest()[:20]


def save_view(folder: Path, content: bytes) -> Path:
    """Writes a view under a name of its content; one that is there already stays."""
    path = folder / f"talking_heads_motion_{digest(content)}.bin"
    if not path.is_file():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path


def save_audio(folder: Path, sound: Sound) -> Path:
    """Writes the audio as the page plays it: WAV, one channel, 16 bits, at most 24 kHz; under a name of its content."""
    rate = min(sound.sample_rate, AUDIO_RATE)
    path = folder / f"talking_heads_motion_{digest(sound.waveform)}_{sound.sample_rate}.wav"
    if not path.is_file():
        samples = (np.clip(sound.mono(rate), -1, 1) * 32767).astype("<i2")
        with atomic_path(path) as temporary, wave.open(str(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.tobytes())
    return path


def spoken(sound: Sound, transcript: str) -> Phones:
    """The phones of a recording where they can be known, and otherwise why not; the last few recordings are remembered."""
    key = (digest(sound.waveform), transcript.strip())
    if key not in _phones:
        _phones[key] = _recognised(sound, key[1])
        while len(_phones) > _REMEMBERED:
            _phones.popitem(last=False)
    _phones.move_to_end(key)
    return _phones[key]


def _recognised(sound: Sound, transcript: str) -> Phones:
    from .metrics.phones import find_phones

    if not transcript and sound.duration > LONGEST_HEARD:
        return [], f"Audio beyond {LONGEST_HEARD:g} s needs a transcript for its phones."
    try:
        found = find_phones(sound, transcript or None)
    except TalkingHeadsError as error:  # phones are a help, never a condition
        return [], str(error)
    return [(one.name, round(one.start, 3), round(one.end, 3)) for one in found.spoken], ""


def _packed(head: Mapping[str, Any], blocks: Blocks, frames: int, fps: float, sound: Sound | None, speech: Speech | None,
            transcript: str) -> bytes:
    stride, (phones, why) = _stride(frames), ([], "") if sound is None else spoken(sound, transcript)
    shapes = {name: value.astype("<f4") for name, value in tables().items()}
    blocks = {**blocks, **shapes, **({} if sound is None else {"wave": _waveform(sound)})}
    header = {"version": VERSION, "frames": frames, "fps": fps, "stride": stride, "duration": frames / fps, **head,
              "indices": _indices(), "lidShare": LID_SHARE, "upperShare": UPPER_SHARE, "flatness": FLAT,
              "phones": phones, "phonesNote": why, "silences": [] if speech is None else _silences(speech),
              "waveSeconds": 0 if sound is None else sound.duration, "blocks": {}}
    at, parts = 0, []
    for name, block in blocks.items():
        header["blocks"][name] = {"at": at, "type": block.dtype.str[1:], "shape": list(block.shape)}
        parts.append(_padded(block.tobytes(), b"\0"))
        at += len(parts[-1])
    text = _padded(json.dumps(header, allow_nan=False).encode(), b" ")
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *parts])


def _padded(content: bytes, by: bytes) -> bytes:
    return content + by * (-len(content) % 4)


def _indices() -> dict[str, Sequence[int]]:
    return {"rigid": RIGID_POINTS, "upperPair": UPPER_PAIR.tolist(), "lowerPair": LOWER_PAIR.tolist(),
            "upperRim": UPPER_RIM.tolist(), "lowerRim": LOWER_RIM.tolist(), "mouth": JAW_AND_MOUTH,
            "upperLids": UPPER_LIDS, "lowerLids": LOWER_LIDS}


def _told(lane: Lane) -> dict[str, Any]:
    return {"name": lane.name, "least": lane.least, "most": lane.most, "unit": lane.unit}


def _stride(frames: int) -> int:
    return max(1, math.ceil(frames / MOST_ROWS))


def _waveform(sound: Sound) -> np.ndarray:  # uint8 [W], the peak of each column, 255 the loudest of all
    mono = np.abs(sound.mono(16_000))
    columns = max(1, min(MOST_COLUMNS, round(sound.duration * WAVE_RATE), len(mono)))
    peaks = np.maximum.reduceat(mono, np.arange(columns) * len(mono) // columns)
    return np.round(255 * peaks / max(float(peaks.max()), 1e-9)).astype(np.uint8)


def _silences(speech: Speech) -> list[tuple[float, float]]:
    """Where nobody speaks, s."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speech.silence.numpy().astype(np.int8), [0]])))
    return [(round(float(a / speech.rate), 3), round(float(b / speech.rate), 3)) for a, b in zip(edges[::2], edges[1::2])]
