"""Torch's and OpenCV's threads."""
from __future__ import annotations

import pytest
import torch
from talking_heads.media_core.torch_threads import one_thread_each, one_torch_thread


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


def test_opencv_too_computes_in_one_thread_and_then_as_before():
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        with pytest.raises(ValueError, match="stop"), one_thread_each():
            assert cv2.getNumThreads() == 1 and torch.get_num_threads() == 1
            raise ValueError("stop")
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
