"""Pytest plugin: the repository root has an `__init__.py` for ComfyUI; pytest must not import it as a test package.

Without this, pytest takes the root for a Python package and imports it before every test, under a name where its relative
imports cannot work.
"""
from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A plain directory node for the root; pytest decides about every other folder."""
    return pytest.Dir.from_parent(parent, path=path) if path.resolve() == ROOT else None
