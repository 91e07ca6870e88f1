"""What the index of a motion dataset may say, and what the tensors of its shards must be: checked before either is used."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...media_core.errors import FileFormatError
from ...media_core.schema import (
    COUNT,
    FOCAL,
    RATE,
    SIZE,
    WIDEST,
    described,
    each,
    many,
    note,
    plain_name,
    real,
    record,
    text,
    whole,
)
from ...media_core.speech.features import FEATURE_RATE, check_duration

SPLITS = ("train", "val")
_NAME = text(300)
_MANY = 10 ** 6  # clips
_FORMAT = record({"encoder": text(200), "layer": text(20), "rate": FEATURE_RATE, "dim": whole(1, WIDEST)})
_CLIP = {"name": _NAME, "shard": plain_name(), "frames": whole(1, COUNT), "seconds": real(0, COUNT), "source": text(),
         "identity": text(), "split": text(choices=SPLITS)}
_PICTURES = record({"size": whole(1, 1 << 12)}, {"margin": real(1, 10)}, others=True)
_MORE = {"camera": record({"focal": FOCAL, "size": SIZE}, others=True),
         "facts": record({}, {"pictures": _PICTURES}, others=True)}
_SKIPPED = many(note(), most=_MANY)
INDEX = record({"fps": RATE, "speech": _FORMAT, "clips": many(record(_CLIP, _MORE), most=_MANY), "checksums": each(text(128),
                plain_name())}, {"skipped": _SKIPPED, "request": note()}, others=True)
_CLIP_OF_SHARD = record({name: check for name, check in _CLIP.items() if name != "split"}, {**_MORE, "split": text(20)})
SHARD = record({"made_from": note(), "clips": many(_CLIP_OF_SHARD, most=_MANY), "speech": many(_FORMAT, most=1),
                "fps": many(RATE, most=1), "skipped": _SKIPPED})
_AGAIN = "Delete index.json and that shard, and build the dataset again"
_FLOATS, _WHOLE = ("F32", "F16"), ("I64",)
_PARTS = {  # part -> number kinds, and the shape of a row; None: as wide as the speech features
    "speech": (_FLOATS, (None,)), "silence": (("BOOL",), ()), "silence_features": (_FLOATS, ()),
    "landmarks": (("F32",), (68, 3)), "poses": (("F32",), (4, 4)), "pixels": (("F32",), (68, 2)),
    "frame_offsets": (_WHOLE, ()), "mask_offsets": (_WHOLE, ()), "frames": (("U8",), ()), "masks": (("U8",), ())}


def check_index(index: Mapping[str, Any], path: Path) -> None:
    """Raises:
        FileFormatError: an entry is missing, of another type, or out of range; a shard elsewhere; a clip whose audio cannot be
            as long as it says.
    """
    do = "Delete it and build the dataset again"
    described(index, INDEX, str(path), do)
    for clip in index["clips"]:
        check_duration(clip["seconds"], clip["frames"] / index["fps"], f"{clip['name']} in {path}")
    names = [clip["name"] for clip in index["clips"]]
    if len(set(names)) < len(names):
        raise FileFormatError("Every clip of a motion dataset must have a name of its own", f"two share one in {path}", do)


def check_part(kind: str, shape: list[int], part: str, dim: int, name: str) -> None:
    """What a shard's header says of one tensor, before it is read.

    Args:
        kind: of its numbers, as safetensors calls it. shape: of it. part: which part of a clip it is.
        dim: width of the speech features. name: of the tensor, for errors.
    Raises:
        FileFormatError: another kind or shape than that part has.
    """
    kinds, row = _PARTS[part]
    wanted = [dim if length is None else length for length in row]
    if kind not in kinds or len(shape) != len(wanted) + 1 or shape[1:] != wanted:
        must = f"{' or '.join(kinds)} [{', '.join(map(str, ('?', *wanted)))}]"
        raise FileFormatError(f"'{name}' of a motion dataset must be {must}", f"{kind} {shape}", _AGAIN)


def check_ends(ends: np.ndarray, length: int, name: str) -> None:
    """Where images begin and end among `length` bytes.

    Raises:
        FileFormatError: places that do not count up, or lie outside.
    """
    if len(ends) < 2 or ends[0] < 0 or ends[-1] > length or (np.diff(ends) < 0).any():
        raise FileFormatError("The images of a motion dataset must stand one after the other in their shard",
                              f"other places for {name}", _AGAIN)
