"""Torch's threads."""
from __future__ import annotations

import pytest
import torch
from talking_heads.media_core.torch_threads import beside, one_torch_thread, side_by_side


def test_torch_computes_in_one_thread_and_then_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="stop"), one_torch_thread():
            raise ValueError("stop")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_networks_run_side_by_side_only_where_torch_has_one_thread(monkeypatch):
    import os

    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert beside() == 1
        with one_torch_thread():
            assert beside() == 3
    finally:
        torch.set_num_threads(before)


def test_results_keep_their_order_and_errors_are_raised():
    assert side_by_side(lambda n: n * n, [3, 2, 1]) == [9, 4, 1] and side_by_side(str, []) == []
    for bad in (0, 2):
        with pytest.raises(ZeroDivisionError):
            side_by_side(lambda n: 1 // (n - bad), [0, 1, 2])
