"""Several encoders side by side, as one: the numbers of their rows stand behind each other (docs/hmtalker.md#joined-encoders).

Its rows are those of the part with the highest rate; the others are interpolated at the times that these rows hear. Ids and
layers are joined by "+": "mel+ave", "9+last".
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..audio import FPS, Sound
from ..errors import TalkingHeadsError
from ..progress import Report, silent
from .encoder import RecordedEncoder, SpeechEncoder, encoded, of_recording
from .facts import JOIN, LAST, EncoderFacts, frame_window
from .features import Speech

MOST = 4  # encoders that can be joined
_LONGEST_ID, _LONGEST_LAYER = 200, 20  # letters that files have room for


@dataclass(frozen=True, eq=False)
class JoinedEncoder(RecordedEncoder):
    """See above; made by `joined`."""

    parts: tuple[SpeechEncoder, ...]

    @property
    def facts(self) -> EncoderFacts:
        """See `SpeechEncoder.facts`."""
        return self._facts

    @cached_property
    def _facts(self) -> EncoderFacts:
        """Id, width and rate of the joined rows."""
        facts = [part.facts for part in self.parts]
        id, first = JOIN.join(f.id for f in facts), facts[self._leading]
        return EncoderFacts(id=id, dim=sum(f.dim for f in facts), rate=first.rate, window=frame_window(id, first.rate, FPS),
                            silence=None, channels=first.channels, delay=first.delay,
                            description=f"{' and '.join(f.id for f in facts)}, side by side")

    @property
    def _leading(self) -> int:
        rates = [part.facts.rate for part in self.parts]
        return rates.index(max(rates))

    @property
    def layer(self) -> str:
        """The parts' layers, joined; "last" where all are."""
        layers = [part.layer for part in self.parts]
        return LAST if set(layers) == {LAST} else JOIN.join(layers)

    @property
    def silence_features(self) -> torch.Tensor | None:  # float32 [C]
        """See `SpeechEncoder.silence_features`."""
        return self._silence_features

    @cached_property
    def _silence_features(self) -> torch.Tensor | None:  # float32 [C]
        """What the parts make of digital silence; None where one does not know."""
        known = [_silence(part) for part in self.parts]
        rows = [row for row in known if row is not None]
        return torch.cat(rows) if len(rows) == len(known) else None

    def of_recording(self, path: Path, seconds: float | None, start: float) -> JoinedEncoder:
        """See `encoder.of_recording`."""
        parts = tuple(of_recording(part, path, seconds, start) for part in self.parts)
        return self if all(new is old for new, old in zip(parts, self.parts)) else JoinedEncoder(parts)

    def encode(self, sound: Sound, report: Report = silent) -> Speech:
        """See `SpeechEncoder.encode`; progress is that of each part in turn."""
        heard = [part.encode(sound, report) for part in self.parts]
        first = heard[self._leading]
        times = np.arange(len(first.features)) / first.rate + self.facts.delay  # s
        rows = np.concatenate([_at(times, speech, part.facts.delay, first.rate) for speech, part in zip(heard, self.parts)], 1)
        return encoded(self, lambda mono, told: rows, sound, report)


def joined(parts: Sequence[SpeechEncoder]) -> SpeechEncoder:
    """The encoders as one; a single one as it is.

    Raises:
        TalkingHeadsError: none, too many, or ids and layers too long for a file.
    """
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, JoinedEncoder) else (part,))]
    if not 1 <= len(flat) <= MOST:
        raise TalkingHeadsError(f"1 to {MOST} encoders can be joined", f"{len(flat)}", "Leave some out")
    made = flat[0] if len(flat) == 1 else JoinedEncoder(tuple(flat))
    if len(made.facts.id) > _LONGEST_ID or len(made.layer) > _LONGEST_LAYER:
        raise TalkingHeadsError(f"Joined encoders must have names of at most {_LONGEST_ID} letters in all",
                                f"'{made.facts.id}', layer {made.layer}", "Shorten the names of the model folders")
    return made


def _silence(part: SpeechEncoder) -> torch.Tensor | None:  # float32 [C]
    constant = part.facts.silence
    return part.silence_features if constant is None else torch.full((part.facts.dim,), constant)


def _at(times: np.ndarray, speech: Speech, delay: float, rate: float) -> np.ndarray:  # [T] s -> float32 [T, C]
    """Rows of `speech` at these times, interpolated; of the same rate as they stand."""
    rows = speech.features.numpy()
    if speech.rate == rate:
        return rows[np.arange(len(times)).clip(0, len(rows) - 1)]
    place = ((times - delay) * speech.rate).clip(0, len(rows) - 1)
    below = np.floor(place).astype(np.int64)
    part = (place - below)[:, None].astype(np.float32)
    return (1 - part) * rows[below] + part * rows[(below + 1).clip(max=len(rows) - 1)]
