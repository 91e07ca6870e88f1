"""`Speech`: the features of one recording, with all that a model needs to know of where they come from."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import asked
from ..audio import FPS, GATE_ATTACK, GATE_RELEASE, frame_count
from ..errors import FileFormatError, TalkingHeadsError
from ..files import load_tensors, save_tensors
from ..schema import described, many, real, record, text
from ..tensor_schema import Numbers, fitting
from .facts import LAST, frame_window, known_facts

VERSION = 3  # 2: layer and silence_features; 3: room
_SLACK = 10.0  # s by which audio may outlast its rows
FEATURE_RATE = real(1, 10_000)  # Hz
_ROOM = (GATE_ATTACK, GATE_RELEASE)  # s, of files and datasets that do not say
_SETTINGS = record({"rate": FEATURE_RATE, "encoder": text(200), "duration": real(0, 10 ** 7)},
                   {"layer": text(20), "room": many(real(0, 10), count=2)})
_TENSORS = {"features": Numbers(("T", "C")), "silence": Numbers(("T",), (torch.bool,)),
            "silence_features": Numbers(("C",), absent=True)}


@dataclass(frozen=True)
class Speech:
    """The features of one recording; row k stands at k / rate seconds."""

    features: torch.Tensor  # float32 [T, C]
    rate: float  # Hz, rows per second
    encoder: str  # id of the encoder that made them
    duration: float  # s, of the audio (not of the rows)
    silence: torch.Tensor  # bool [T], True where nobody speaks
    layer: str = LAST  # which of the encoder's layers: "last" (its own output) or a number, "0" the lowest
    silence_features: torch.Tensor | None = None  # float32 [C], what the encoder makes of digital silence; None: not known
    room: tuple[float, float] = _ROOM  # s before and after speech that do not count as silence
    version: int = VERSION

    def __post_init__(self) -> None:
        rows = self.features.shape[0] if self.features.ndim == 2 else 0
        if not rows or tuple(self.silence.shape) != (rows,):
            raise TalkingHeadsError("Speech must be features [T, C] with one silence flag per row and T >= 1",
                                    f"features {list(self.features.shape)}, silence {list(self.silence.shape)}",
                                    "Encode the audio again")
        quiet = self.silence_features
        if quiet is not None and quiet.shape != self.features.shape[1:]:
            raise TalkingHeadsError(f"The features of silence must be one row of {self.features.shape[1]} numbers",
                                    f"{list(quiet.shape)}", "Encode the audio again")

    def frame_count(self, fps: float = FPS) -> int:
        """Video frames this speech fills: floor(duration * fps + 1/2), at least 1."""
        return frame_count(self.duration, fps)

    @property
    def window(self) -> int:
        """W, rows a model reads for one video frame: the encoder's, or, of an encoder not listed, those of 1/25 s."""
        return frame_window(self.encoder, self.rate, FPS)

    def silence_row(self) -> torch.Tensor:  # float32 [C]
        """What stands outside the audio: real silence, never invented zeros (docs/moditalker.md#silence).

        The encoder's constant where it has one (mel), else what it made of digital silence, else the most usual of the silent
        rows of this speech, else of its first and last row.
        """
        known = known_facts(self.encoder)
        if known is not None and known.silence is not None:
            return self.features.new_full(self.features.shape[1:], known.silence)
        if self.silence_features is not None:
            return self.silence_features
        rows = self.features[self.silence] if bool(self.silence.any()) else self.features[[0, -1]]
        return rows[(rows - rows.mean(dim=0)).square().sum(dim=1).argmin()]

    def frame_windows(self, fps: float = FPS, start: int = 0, stop: int | None = None) -> torch.Tensor:  # [F, C, W]
        """What a model reads for video frames `start` to `stop` (default: the end): W rows around each frame's middle.

        Frame i takes rows [s, s + W), s = floor((i + 1/2) / fps * rate - W / 2 + 1/2); rows outside the audio hold
        `silence_row`. Frames before 0 or behind the end are allowed, so that a model's context needs no special case.

        Raises:
            TalkingHeadsError: a stop before the start, or an impossible frame rate.
        """
        window, stop = self.window, self.frame_count(fps) if stop is None else stop
        asked.whole("The number of frames", stop - start)
        asked.real("A rate, in frames per second,", fps, 1e-3)
        frames = torch.arange(start, stop, dtype=torch.float64)
        first = torch.floor((frames + 0.5) / fps * self.rate - window / 2 + 0.5 + 1e-9).long()
        rows = first[:, None] + torch.arange(window)  # [F, W]
        inside = (rows >= 0) & (rows < len(self.features))
        windows = self.features[rows.clamp(0, len(self.features) - 1)]  # [F, W, C]
        if not bool(inside.all()):
            windows = torch.where(inside[..., None], windows, self.silence_row())
        return windows.transpose(1, 2).contiguous()

    def silent_frames(self, fps: float = FPS) -> torch.Tensor:  # bool [F]
        """Per video frame: True when every row between the frame's start and end is silent."""
        edges = torch.arange(self.frame_count(fps) + 1, dtype=torch.float64) / fps * self.rate
        first = edges[:-1].floor().long().clamp(0, len(self.silence) - 1)
        last = edges[1:].ceil().long().clamp(1, len(self.silence))
        speaking = torch.cat([torch.zeros(1, dtype=torch.long), (~self.silence).long().cumsum(0)])
        return speaking[torch.maximum(last, first + 1)] == speaking[first]

    def save(self, path: str | os.PathLike) -> Path:
        """Writes one safetensors file of kind "speech"."""
        config = {"rate": self.rate, "encoder": self.encoder, "duration": self.duration, "layer": self.layer,
                  "room": list(self.room)}
        tensors = {"features": self.features, "silence": self.silence}
        if self.silence_features is not None:
            tensors["silence_features"] = self.silence_features
        return save_tensors(path, tensors, kind="speech", version=VERSION, config=config)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Speech:
        """Reads a file of `save`, of this version or an older one.

        Raises:
            FileFormatError: absent, truncated, not speech, newer, or with numbers that do not fit together.
        """
        tensors, config = load_tensors(path, kind="speech", version=VERSION)
        name, again = Path(path).name, "Encode the audio again"
        described(config, _SETTINGS, name, again)
        rows = fitting(tensors, _TENSORS, name, again)["T"]
        check_duration(config["duration"], rows / config["rate"], name)
        return cls(tensors["features"], config["rate"], config["encoder"], config["duration"], tensors["silence"],
                   config.get("layer", LAST), tensors.get("silence_features"), tuple(config.get("room", _ROOM)))


def check_duration(stated: float, held: float, name: str) -> None:
    """The stated length of the audio must be about that of its rows; Whisper's go on behind it.

    Args:
        stated, held: s. name: of the file.
    Raises:
        FileFormatError: it says much more than its rows hold.
    """
    if stated > 2 * held + _SLACK:
        raise FileFormatError("Speech must hold rows for the whole length of its audio",
                              f"{name} has {held:.2f} s of rows for audio of {stated:.2f} s", "Encode the audio again")
