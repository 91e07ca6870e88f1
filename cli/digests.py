"""What a file holds, as a number: to know again what something was made of."""
from __future__ import annotations

import hashlib
from pathlib import Path

_PART = 1 << 20  # bytes


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    digest = hashlib.sha256()
    for one in sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]:
        digest.update(one.relative_to(path.parent).as_posix().encode() if path.is_dir() else b"")
        with one.open("rb") as file:
            while part := file.read(_PART):
                digest.update(part)
    return digest.hexdigest()
