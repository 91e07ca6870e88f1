"""The store of decoded frames: order does not matter, errors arrive where the frame is asked for, memory is bounded."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.hmtalker_core.data.store import DecodedStore


def decoded(key):
    if key == 13:
        raise ValueError("unlucky")
    return np.full(10, key, np.uint8)


@pytest.mark.parametrize("limit", [0, 35, 1000])
def test_what_was_decoded_ahead_is_the_same(limit):
    store = DecodedStore(decoded, limit)
    for step in range(40):
        store.ahead((step + k) % 12 for k in range(1, 5))
        assert (store.get(step % 12) == step % 12).all()
        assert store.nbytes == 10 * len(store) and (store.nbytes <= limit or len(store) == 1)


def test_each_is_decoded_once():
    calls = []

    def counted(key):
        calls.append(key)
        return decoded(key)

    store = DecodedStore(counted, 1000)
    for _ in range(3):
        store.ahead([1, 2, 2, 3])
        assert [int(store.get(key)[0]) for key in (3, 1, 2)] == [3, 1, 2]
    assert sorted(calls) == [1, 2, 3]


def test_errors_wait_for_their_frame():
    store = DecodedStore(decoded, 1000)
    store.ahead([1, 13, 2])
    assert store.get(1)[0] == 1 and store.get(2)[0] == 2
    for _ in range(2):
        with pytest.raises(ValueError, match="unlucky"):
            store.get(13)


def test_what_is_no_longer_wanted_is_dropped():
    store = DecodedStore(decoded, 1000)
    store.ahead(range(1, 6))
    store.ahead([7])
    assert list(store._coming) == [7]
