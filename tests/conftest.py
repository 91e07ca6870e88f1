"""Shared fixtures. Tests of the cores need none of them; node and workflow tests load the pack as ComfyUI does."""
from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository root."""
    return ROOT
