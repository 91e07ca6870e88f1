"""Several motion datasets in one training of AToM: each gives its fraction of the windows, so that a user's few minutes of video
are learnt beside speech that keeps the rest of what the network knows (docs/moditalker.md#fine-tuning)."""
from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...media_core.errors import TalkingHeadsError
from ...media_core.face.trackers import check_alike
from ..data.dataset import MotionDataset
from .windows import Clips, Piece

HALF = 0.5  # fraction of a dataset whose fraction is not stated


@dataclass(frozen=True)
class Share:
    """A dataset that is learnt beside the first one."""

    folder: str | os.PathLike
    fraction: float = HALF  # of the windows

    @classmethod
    def read(cls, text: str) -> Share:
        """FOLDER or FOLDER@FRACTION."""
        folder, at, number = text.rpartition("@")
        try:
            return cls(folder, float(number)) if at else cls(text)
        except ValueError:  # an @ of the folder's name
            return cls(text)


class Mix:
    """Clips of several datasets, as `Windows` draws from them; numbered one dataset after the other.

    Args:
        parts: the clips of each. fractions: of the windows, of each; they add up to 1.
    """

    def __init__(self, parts: Sequence[Clips], fractions: Sequence[float]):
        self.parts, self.fractions = tuple(parts), tuple(fractions)
        self.frames, self.mean, self.speech = parts[0].frames, parts[0].mean, parts[0].speech
        self.lengths = np.concatenate([part.lengths for part in parts])
        self._first = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Piece:
        part = int(np.searchsorted(self._first, index, side="right")) - 1
        return self.parts[part][index - int(self._first[part])]

    def draw(self, random: np.random.Generator) -> int:
        """A clip: of the dataset that its fraction chose, in which every frame is as likely as any other."""
        part = int(np.searchsorted(np.cumsum(self.fractions)[:-1], random.random(), side="right"))
        return int(self._first[part]) + self.parts[part].draw(random)


@dataclass(frozen=True)
class Mixture:
    """The datasets beside the first one, opened."""

    datasets: tuple[MotionDataset, ...] = ()
    fractions: tuple[float, ...] = ()

    @classmethod
    def open(cls, shares: Sequence[Share]) -> Mixture:
        """
        Raises:
            TalkingHeadsError: fractions that leave nothing of the first dataset, or no dataset there.
        """
        fractions = tuple(float(share.fraction) for share in shares)
        if any(not (math.isfinite(f) and f > 0) for f in fractions) or sum(fractions) >= 1:
            raise TalkingHeadsError("The fractions of the datasets that are mixed in must be above 0 and below 1 together: the "
                                    "rest is the first dataset's", ", ".join(f"{f:g}" for f in fractions), "Choose smaller ones")
        return cls(tuple(MotionDataset.open(share.folder) for share in shares), fractions)

    @property
    def identity(self) -> list[Any] | None:
        """Names the datasets and their fractions; None: there are none."""
        return [[checksum(data), f] for data, f in zip(self.datasets, self.fractions)] or None

    def check(self, first: MotionDataset, *, any_tracker: bool) -> None:
        """
        Args:
            any_tracker: motion is measured from each person's own face at rest, where what trackers differ by cancels.
        Raises:
            TalkingHeadsError: speech features, a rate or a tracker that are not those of `first`; both are named.
        """
        for data in self.datasets:
            data.expect(first.format.encoder, first.format.layer, first.format.rate)
            if abs(data.fps - first.fps) > 1e-6:
                raise TalkingHeadsError(f"All datasets of a training must have one rate, {first.fps:g} frames per second as in "
                                        f"{first.folder}", f"{data.fps:g} in {data.folder}",
                                        f"Build it again with --fps {first.fps:g}")
            if not any_tracker:
                check_alike(f"The dataset {data.folder}", first.tracker, data.tracker, "Build it again with that tracker, or use "
                            "the preset finetune, which measures motion from each face at rest")

    def with_first(self, first: Clips) -> Clips | Mix:
        """What is trained on: the first dataset's clips alone, or all."""
        if not self.datasets:
            return first
        others = [Clips(data, "train", first.speech, first.frames, first.mean) for data in self.datasets]
        return Mix([first, *others], [1 - sum(self.fractions), *self.fractions])

    def record(self) -> list[dict[str, Any]]:
        """What a file says of them."""
        return [{"fraction": fraction, "clips": len(data), "seconds": round(data.seconds, 1),
                 "people": len({clip.identity for clip in data.clips})} for data, fraction in zip(self.datasets, self.fractions)]


def checksum(data: MotionDataset) -> int:
    """Names a dataset: its index names the checksum of every shard."""
    return zlib.crc32(json.dumps(data.index, sort_keys=True).encode())
