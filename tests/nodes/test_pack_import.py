"""Importing the pack is cheap and pulls in nothing heavy."""
from __future__ import annotations

def test_x(root):
    import talking_heads
    assert (root / "pyproject.toml").is_file()
