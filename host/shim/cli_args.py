"""`comfy.cli_args`: the two settings a pack reads."""
from __future__ import annotations

from types import SimpleNamespace

args = SimpleNamespace(disable_metadata=False, preview_size=512)
