"""Rows in blocks."""
from __future__ import annotations

import pytest
from talking_heads.media_core.blocks import blocks


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 9])
def test_blocks_cover_every_row_once_and_none_is_longer(count):
    rows = list(range(count))
    parts = [rows[part] for part in blocks(count, 4)]
    assert sum(parts, []) == rows
    assert all(0 < len(part) <= 4 for part in parts)
