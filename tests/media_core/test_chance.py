"""Chance of one's own: what is drawn in one thread depends on its seed alone, whatever other threads draw or seed meanwhile."""
from __future__ import annotations

import threading
from functools import partial

import pytest
import torch
from talking_heads.media_core.chance import Chance, Dropout, drawn, share_chance


class Net(torch.nn.Module):
    """A bit of everything that first weights are made of; `meet` is called between two of them."""

    def __init__(self, meet=lambda: None):
        super().__init__()
        self.first = torch.nn.Linear(20, 30)
        meet()
        self.second = torch.nn.Conv1d(3, 4, 5)
        self.token = torch.nn.Parameter(torch.randn(1, 7))
        torch.nn.init.trunc_normal_(self.first.bias), torch.nn.init.xavier_uniform_(self.second.weight)


def side_by_side(*works):
    """What each function returns, each in a thread of its own; an exception of one is raised here."""
    results = [None] * len(works)

    def run(place):
        try:
            results[place] = works[place]()
        except BaseException as error:  # raised again below
            results[place] = error
    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_first_weights_are_those_of_manual_seed_and_leave_it_alone():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        usual = Net()
    before = torch.get_rng_state()
    assert equal(drawn(5, Net), usual) and not equal(drawn(6, Net), usual)
    assert torch.equal(torch.get_rng_state(), before)


def test_first_weights_made_in_two_threads_are_those_made_alone():
    gate = threading.Barrier(3, timeout=30)

    def others():
        torch.manual_seed(0)
        gate.wait()
        torch.manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        first, second, _ = side_by_side(*(partial(drawn, seed, lambda: Net(gate.wait)) for seed in (1, 2)), others)
    assert equal(first, drawn(1, Net)) and equal(second, drawn(2, Net))


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_dropout_is_torchs_own_from_another_generator(p):
    layer, x = Dropout(p).train(), torch.randn(300, 7, generator=torch.Generator().manual_seed(1))
    layer.chance = Chance()
    layer.chance.seed(3)
    first, second = layer(x), layer(x)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        assert torch.equal(first, torch.nn.functional.dropout(x, p, True))
    assert not torch.equal(first, second)
    layer.chance.seed(3)
    assert torch.equal(layer(x), first) and torch.equal(layer.eval()(x), x)


def test_one_chance_serves_a_whole_network():
    network = torch.nn.Sequential(Dropout(0.5), torch.nn.Linear(4, 4), Dropout(0.5))
    chance = share_chance(network)
    assert network[0].chance is network[2].chance is chance and not hasattr(network[1], "chance")
