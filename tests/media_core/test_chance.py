"""Chance of one's own: what is drawn in one thread depends on its seed alone, whatever other threads draw or seed meanwhile."""
from __future__ import annotations

import threading
from functools import partial

import pytest
import torch
from talking_heads.media_core.chance import Chance, Dropout, drawn, share_chance
from talking_heads.media_core.errors import TalkingHeadsError
from torch.utils import _python_dispatch


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
    """And a third thread, which seeds and draws while each is being made, has the default generator to itself."""
    gate = threading.Barrier(2, timeout=30)

    def meet():
        gate.wait(), gate.wait()

    def others():
        found = []
        for _ in range(2):
            gate.wait()
            torch.manual_seed(0)
            found.append(torch.rand(5))
            gate.wait()
        return found
    with torch.random.fork_rng(devices=[]):
        first, second, found = side_by_side(*(partial(drawn, seed, lambda: Net(meet)) for seed in (1, 2)), others)
    assert equal(first, drawn(1, Net)) and equal(second, drawn(2, Net))
    assert all(torch.equal(x, torch.rand(5, generator=torch.Generator().manual_seed(0))) for x in found)


def test_threads_leave_torchs_own_flags_as_they_were():
    """A thread comes while another draws and would leave after it."""
    within, over = threading.Event(), threading.Event()

    def first():
        drawn(1, lambda: within.wait(0.3))  # the second comes now, or waits for its turn
        over.set()

    def second():
        drawn(2, lambda: (within.set(), over.wait(30)))
    before = flags()
    side_by_side(first, second)
    assert flags() == before and not any(before.values())


def flags():
    return {name: value for name, value in vars(_python_dispatch).items() if name.startswith("_is_in_")
            and isinstance(value, bool)}


def test_every_form_of_a_draw_is_that_of_manual_seed():
    def make():
        return [torch.randint(3, 9, (20,)), torch.randint(9, (20,)), torch.rand(4), torch.randperm(9),
                torch.normal(0.0, 1.0, (5,)), torch.empty(5).uniform_()]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        wanted = make()
    assert all(torch.equal(a, b) for a, b in zip(drawn(5, make), wanted, strict=True))
    with pytest.raises(TalkingHeadsError, match="takes a generator.*rand.out"):
        drawn(5, lambda: torch.rand(3, out=torch.empty(3)))


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
