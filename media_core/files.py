"""Files that are whole or absent: atomic writing, and one safetensors container with a typed, versioned header.

Every tensor file of the pack carries in its safetensors metadata `talking_heads.kind`, `talking_heads.version` and
`talking_heads.config` (JSON). No pickle is read anywhere at run time.
"""
from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import FileFormatError, TalkingHeadsError
from .json_files import parse_json, parse_json_object
from .temporary import part_name, remove_leftovers

_PREFIX = "talking_heads."
_VERSION_DIGITS = 6
# What safetensors and torch raise over foreign bytes, numbers of kinds that torch does not know, and names of no encoding.
UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, OverflowError)
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
           torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}


@dataclass(frozen=True)
class Stored:
    """A tensor whose bytes are those of a file: it is copied piece by piece, so that it may be larger than the memory."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]

    @classmethod
    def of_bytes(cls, path: Path) -> Stored:
        """The file as a uint8 tensor [n]."""
        return cls(path, torch.uint8, (path.stat().st_size,))


@contextmanager
def atomic_path(path: str | os.PathLike, *, tidy: bool = True) -> Iterator[Path]:
    """Yields a temporary name beside `path`; renames it to `path` when the block succeeds, removes it when it fails.

    Args:
        tidy: first look through the folder for what killed processes have left. Off where thousands of files are written one by
            one; there the job does it once.
    Raises:
        OSError: as the file system reports it (a full disk, say); `path` then still holds what it held before.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if tidy:
        remove_leftovers(target.parent)
    temporary = target.with_name(part_name(target.name))
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # the user's umask decides who reads it
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save_tensors(path: str | os.PathLike, tensors: Mapping[str, torch.Tensor | Stored | Path], *, kind: str, version: int,
                 config: Mapping[str, Any]) -> Path:
    """Writes `tensors` and `config` as one safetensors file, atomically.

    Args:
        path: the file; its folder is made when absent.
        tensors: name -> tensor of any dtype and device, one `Stored` in a file, or a file whose bytes become a uint8 tensor [n].
        kind: what the file is ("avatar", "speech", ...); checked on loading.
        version: format version of this kind, a positive integer.
        config: JSON-serialisable description that rebuilds the object around the tensors.
    Raises:
        TalkingHeadsError: the disk is full or the folder cannot be written; an earlier file at `path` is still whole.
    """
    header = {_PREFIX + "kind": kind, _PREFIX + "version": str(version), _PREFIX + "config": json.dumps(config)}
    try:
        given = {k: Stored.of_bytes(v) if isinstance(v, Path) else v for k, v in tensors.items()}
        plain = {k: v if isinstance(v, Stored) else v.detach().to("cpu").contiguous() for k, v in given.items()}
        places = Counter(v.untyped_storage().data_ptr() for v in plain.values() if isinstance(v, torch.Tensor))
        plain = {k: v if isinstance(v, Stored) or places[v.untyped_storage().data_ptr()] == 1 else v.clone()
                 for k, v in plain.items()}  # tensors that share memory are refused
        with atomic_path(path) as temporary:
            in_memory = {name: value for name, value in plain.items() if isinstance(value, torch.Tensor)}
            if len(in_memory) < len(plain):
                _save_piecewise(temporary, plain, header)
            else:
                mode = temporary.stat().st_mode
                save_file(in_memory, temporary, metadata=header)
                temporary.chmod(mode)  # newer safetensors put a file of the owner's alone in its place
                _order_header(temporary)
    except (OSError, SafetensorError) as error:
        too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
        raise TalkingHeadsError(f"The {kind} file must fit where it is written", f"writing {path} failed ({error})",
                                ("Choose a shorter name" if too_long else "Free some space or choose another folder")
                                + "; the previous file is untouched") from error
    return Path(path)


def _save_piecewise(path: Path, tensors: Mapping[str, torch.Tensor | Stored], header: Mapping[str, str]) -> None:
    """A safetensors file some of whose tensors are files: their bytes never stand in memory as a whole.

    The layout (github.com/huggingface/safetensors, "Format"): the header's length as 8 bytes, the header as JSON, the data
    without gaps. Wide numbers come first, so that each begins where its kind may; then the names decide,
    so that equal content gives equal bytes.
    """
    layout: dict[str, Any] = {"__metadata__": dict(sorted(header.items()))}
    begin, order = 0, sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in order:
        value = tensors[name]
        size = math.prod(value.shape) * value.dtype.itemsize
        layout[name] = {"dtype": _DTYPES[value.dtype], "shape": list(value.shape), "data_offsets": [begin, begin + size]}
        begin += size
    text = json.dumps(layout, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            value = tensors[name]
            if isinstance(value, Stored):
                with value.path.open("rb") as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            elif value.numel():
                file.write(value.reshape(-1).view(torch.uint8).numpy().tobytes())


def _order_header(path: Path) -> None:
    """Puts a safetensors file's header in order: its library writes the metadata in another one each time, and equal content
    shall give equal bytes."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = parse_json_object(file.read(length), path)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        ordered = {"__metadata__": dict(sorted(header.get("__metadata__", {}).items())), **tensors}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # the rest stays blank, as the format has it
            file.seek(8)
            file.write(text.ljust(length))


def load_tensors(path: str | os.PathLike, *, kind: str, version: int,
                 without: Container[str] = ()) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Reads a file of `save_tensors`: (tensors on the CPU, config).

    Args:
        without: names of tensors that are not read.
    Raises:
        FileFormatError: absent, truncated, not safetensors, not ours, of another kind, or newer than `version`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"The {kind} file must exist", f"no file at {path}", "Check the name and the folder")
    try:
        with safe_open(path, framework="pt", device="cpu") as f:
            config = _checked_header(f.metadata() or {}, path, kind, version)
            # Copies: what the file maps is not aligned, and kernels round otherwise on memory that is not; nor does a mapped file
            # let itself be replaced on Windows.
            return {name: f.get_tensor(name).clone() for name in f.keys() if name not in without}, config
    except FileFormatError:  # a ValueError too, and says what is wrong already
        raise
    except UNREADABLE as error:
        raise FileFormatError(f"The {kind} file must be a whole safetensors file", f"{path.name} cannot be read ({error})",
                              "It may be truncated or of another format: copy or make it again") from error


def stored_rows(path: str | os.PathLike, name: str, rows: slice) -> torch.Tensor | None:
    """Some rows of a tensor in a file of `save_tensors`; nothing else of the file is held. None: it has no such tensor.

    Raises:
        FileFormatError: the file is absent or no whole safetensors file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as f:
            return f.get_slice(name)[rows].clone() if name in f.keys() else None  # noqa: SIM118  (no mapping)
    except UNREADABLE as error:
        raise FileFormatError("The file must be a whole safetensors file", f"{Path(path).name} cannot be read ({error})",
                              "It may be truncated or of another format: copy or make it again") from error


def _checked_header(header: Mapping[str, str], path: Path, kind: str, version: int) -> dict[str, Any]:
    came = header.get(_PREFIX + "kind")
    if came is None:
        raise FileFormatError(f"The {kind} file must be one made by Talking Heads",
                              f"{path.name} carries no Talking Heads header",
                              "Choose a file this pack saved, or import the checkpoint first")
    if came != kind:
        raise FileFormatError(f"The file must be of kind '{kind}'", f"{path.name} is of kind '{came[:60]}'",
                              "Choose another file")
    number = header.get(_PREFIX + "version", "")
    if not number.isdecimal() or len(number) > _VERSION_DIGITS or not 1 <= int(number) <= version:
        raise FileFormatError(f"The {kind} file's format must be version {version} or older",
                              f"{path.name} is version {number[:20]!r}",
                              "Update Talking Heads, or save the file with this version")
    config = parse_json(header.get(_PREFIX + "config", "null"), f"The description in {path.name}", finite=False)
    if not isinstance(config, dict):
        raise FileFormatError(f"The {kind} file must contain its description", f"the one in {path.name} is missing or damaged",
                              "Copy or make the file again")
    return config
