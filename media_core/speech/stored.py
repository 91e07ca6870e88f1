"""Speech features that exist already, as an encoder: DeepSpeech's, or any other program's, in .npy files, and files of
`Speech.save` (docs/hmtalker.md#features-made-elsewhere).

An array is rows [T, C], or windows of rows [F, W, C], one per video frame at 25 per second, as the extractors of NeRF talking
heads write them. A .npy file does not say how many rows make a second, nor what made it: its user does, unless the name is one
of `NAMES`. One file holds the features of one recording; a folder holds those of several, each under its recording's name.
"""
from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..audio import FPS, Sound
from ..errors import FileFormatError, TalkingHeadsError
from ..npy_files import load_npy
from ..progress import Report, silent
from .encoder import RecordedEncoder, encoded
from .facts import JOIN, LAST, EncoderFacts, known_facts
from .features import Speech

NAMES: Mapping[str, str] = {"aud_ds": "deepspeech", "aud_hu": "hubert-large-ls960-ft", "aud_ave": "ave",
                            "aud_eo": "wav2vec2-esperanto"}  # what TalkingGaussian's relatives call their files -> encoder
FACTS = tuple(EncoderFacts(id=id, dim=dim, rate=50.0, window=16, silence=None,
                           description=f"{name}, {dim} numbers at 50 Hz; features in a .npy file only")
              for id, dim, name in (("deepspeech", 29, "DeepSpeech 0.1.0's letters"),
                                    ("wav2vec2-esperanto", 44, "wav2vec 2.0's letters, XLSR Esperanto")))
ENDINGS = (".npy", ".safetensors")
_SLACK = 0.5  # s by which features and audio may differ in length
_AGAIN = "Make the features again, from this audio"


@dataclass(frozen=True, eq=False)
class StoredFeatures(RecordedEncoder):
    """Features from files. They are those of one recording, or (`folder`) wait to be told which."""

    facts: EncoderFacts
    rows: np.ndarray | None  # [T, C] of the whole recording; None: not told yet which
    source: Path  # the file; the folder before
    layer: str = LAST
    silence_features: torch.Tensor | None = None
    start: float | None = None  # s, of the audio in the recording; None: it is the whole recording

    def of_recording(self, path: Path, seconds: float | None, start: float) -> StoredFeatures:
        """See `encoder.of_recording`."""
        if self.rows is None:
            found = _beside(self.source, path)
            told = open_stored(found, rate=self.facts.rate, called=self.facts.id, layer=self.layer)
            return told.of_recording(path, seconds, start)
        if seconds is not None:
            self._check(seconds)
        return replace(self, start=start)

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """The stored rows of this audio.

        Raises:
            FileFormatError: they last longer or shorter than the audio.
            TalkingHeadsError: nobody said which recording it is.
        """
        if self.rows is None:
            raise TalkingHeadsError(f"Stored features need a recording each: {self.source.name}/<name>.npy beside <name>.mp4",
                                    "audio without a file of its own", "Give one .npy file, or another encoder")
        if self.start is None:
            self._check(sound.duration)
        first = round((self.start or 0.0) * self.facts.rate)
        wanted = max(1, math.ceil(sound.duration * self.facts.rate - 1e-6))
        cut = self.rows[first:first + wanted]
        missing = wanted - len(cut)
        if not len(cut) or missing > _SLACK * self.facts.rate + 1:
            raise FileFormatError("Stored features must reach to the end of the audio",
                                  f"{self.source.name} ends {missing / self.facts.rate:.2f} s before it", _AGAIN)
        whole = np.concatenate([cut, np.repeat(cut[-1:], missing, 0)]) if missing > 0 else cut
        report(wanted, wanted, {}, None)
        return encoded(self, lambda mono, told: whole, sound, report)

    def _check(self, seconds: float) -> None:
        assert self.rows is not None
        held = len(self.rows) / self.facts.rate
        if abs(held - seconds) > _SLACK:
            raise FileFormatError("Stored features must last as long as the audio",
                                  f"{self.source.name} has {len(self.rows)} rows, {held:.2f} s at {self.facts.rate:g} Hz, for "
                                  f"{seconds:.2f} s of audio", "Correct the rate, or make the features from this audio")


def is_stored(path: Path) -> bool:
    """Whether there are stored features at a path, to judge by the names."""
    if path.is_dir():
        return not (path / "config.json").is_file() and any(path.glob("**/*.npy"))
    return path.suffix.lower() == ".npy"


def open_stored(path: str | os.PathLike, *, rate: float | None = None, called: str | None = None,
                layer: str | int = LAST) -> StoredFeatures:
    """The features at a path.

    Args:
        path: .npy; .safetensors of `Speech.save`; or a folder of .npy.
        rate: Hz, rows per second; None: of the encoder, if its name is known.
        called: the encoder that made them; None: of a file called as in `NAMES`.
        layer: of that encoder.
    Raises:
        FileFormatError: no such file, or not an array of rows.
        TalkingHeadsError: no rate or name, or one that cannot be.
    """
    path = Path(path)
    if path.suffix.lower() == ".safetensors":
        return _of_speech(path)
    facts = _facts(path, rate, called)
    name = LAST if str(layer) == "-1" else str(layer)
    if path.is_dir():
        return StoredFeatures(facts, None, path, name)
    rows = _rows(path, facts.rate)
    if facts.dim and rows.shape[1] != facts.dim:
        raise FileFormatError(f"Features of '{facts.id}' must be rows of {facts.dim} numbers",
                              f"{path.name} has rows of {rows.shape[1]}", "Correct the encoder's name, or choose another file")
    return StoredFeatures(replace(facts, dim=rows.shape[1]), rows, path, name)


def _of_speech(path: Path) -> StoredFeatures:
    speech = Speech.load(path)
    known = known_facts(speech.encoder)
    facts = EncoderFacts(id=speech.encoder, dim=speech.features.shape[1], rate=speech.rate, window=speech.window,
                         silence=known.silence if known else None, description=f"features of '{speech.encoder}' in {path.name}")
    return StoredFeatures(facts, speech.features.float().numpy(), path, speech.layer, speech.silence_features)


def _facts(path: Path, rate: float | None, called: str | None) -> EncoderFacts:
    """What is known of the features before they are read; `dim` 0: nothing of their width."""
    name = called or NAMES.get(path.stem)
    if not name:
        raise TalkingHeadsError("Features in .npy files need the name of the encoder that made them", f"none for {path.name}",
                                "Say it: --feature-name NAME, or the input of that name")
    id = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-")
    if not id or JOIN in name:
        raise TalkingHeadsError("An encoder's name must have letters or digits, and no +", f"{name!r}", "Choose another name")
    known = known_facts(id)
    rate = rate or (known.rate if known else None)
    if not rate or not math.isfinite(rate) or not 0 < rate <= 10_000:
        raise TalkingHeadsError(f"Features of '{id}' in .npy files need their rate, in rows per second up to 10000", f"{rate}",
                                "Say it: --feature-rate HZ, or the input of that name")
    if known and abs(known.rate - rate) > 1e-6:
        raise TalkingHeadsError(f"Features of '{id}' must have {known.rate:g} rows per second", f"{rate:g}",
                                "Correct the rate, or call them otherwise")
    return known or EncoderFacts(id=id, dim=0, rate=float(rate), window=max(1, round(rate / FPS)), silence=None,
                                 description=f"features called '{id}', {rate:g} Hz, from .npy files")


def _rows(path: Path, rate: float) -> np.ndarray:  # float32 [T, C]
    array = load_npy(path, "Speech features must be a readable .npy file", _AGAIN)
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3) or 0 in array.shape:
        raise FileFormatError("Speech features must be numbers [rows, C] or, per video frame, [frames, rows, C]",
                              f"{path.name} holds {list(array.shape)} of {array.dtype}", _AGAIN)
    rows = array if array.ndim == 2 else _unwound(array, rate, path.name)
    return np.ascontiguousarray(rows, np.float32)


def _unwound(windows: np.ndarray, rate: float, name: str) -> np.ndarray:  # [F, W, C] -> [F * rate / 25, C]
    """The rows of windows that overlap: the frame's own stand behind W / 2 rows of what came before it, the first ones behind
    padding; where a window is no longer than its frame, it is all its own."""
    width, own = windows.shape[1], round(rate / FPS)
    if abs(own - rate / FPS) > 1e-6 or not 1 <= own <= width:
        raise FileFormatError(f"Windows per frame must hold the {rate / FPS:g} rows of a frame at {FPS:g} per second",
                              f"{name} holds {list(windows.shape)}", "Correct the rate, or give rows [T, C]")
    first = width // 2 if width >= 2 * own else 0
    return windows[:, first:first + own].reshape(-1, windows.shape[2])


def _beside(folder: Path, recording: Path) -> Path:
    """The features of a recording: <its folder's name>/<its name>.npy, else <its name>.npy.

    Raises:
        FileFormatError: there are none.
    """
    for found in (folder / recording.parent.name / f"{recording.stem}.npy", folder / f"{recording.stem}.npy"):
        if found.is_file():
            return found
    raise FileFormatError("A folder of features must have one file for each recording",
                          f"{folder.name} has no {recording.stem}.npy", "Make it, or leave that recording out")
