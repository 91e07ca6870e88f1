"""The model of many workers: against sums done by hand, and against a slow twin that goes through time in small steps."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FRAMES = [40, 100, 70, 10, 55, 90, 20, 65]


@pytest.fixture(scope="module")
def model():
    sys.path.insert(0, str(BENCHMARKS))
    import scale_model

    yield scale_model
    sys.path.remove(str(BENCHMARKS))
    del sys.modules["scale_model"]


@pytest.fixture
def costs(model):
    return model.Costs(unit=0.5, frame=0.02, spread=0.0, first=2.0, start=3.0, begin=5.0, end=1.0, hand=0.05, create=0.1,
                       weights=3e6, read=2e3, written=1e3)


def test_one_worker_is_a_sum(model, costs):
    took = model.simulated(costs, model.Place(4, 1.3, 1e6), 1, FRAMES).seconds
    total = sum(FRAMES)
    byte = 3.0 + total * 3e3 / 1e6
    assert took == pytest.approx(5 + 0.1 + 3 + 2 + len(FRAMES) * (0.5 + 0.05) + 0.02 * total + byte + 1)


def test_workers_share_units_and_cores(model, costs):
    from dataclasses import replace

    bare = replace(costs, first=0, start=0, begin=0, end=0, hand=0, create=0, weights=0, read=0, written=0, unit=0)
    equal = [100] * 24
    place = model.Place(4)
    times = {n: model.simulated(bare, replace(place, per_machine=n), n, equal).seconds for n in (1, 2, 4, 8)}
    assert [times[1] / times[n] for n in (1, 2, 4, 8)] == pytest.approx([1, 2, 4, 4]), "four cores are four"
    crowded = model.simulated(bare, model.Place(4, 1.5), 4, equal).seconds
    assert crowded == pytest.approx(1.5 * times[4])
    apart = model.simulated(bare, model.Place(4, 1.5, per_machine=1), 4, equal).seconds
    assert apart == pytest.approx(times[4]), "each on a machine of its own"


def test_what_is_shared_by_all_sets_the_limit(model, costs):
    from dataclasses import replace

    many = [25] * 2000
    handing = model.simulated(replace(costs, hand=0.05), model.Place(16), 500, many)
    busy = 2000 * 0.05 + 500 * 0.1  # units, and workers that are made
    assert handing.handing * handing.seconds == pytest.approx(busy) and busy < handing.seconds < 1.2 * busy
    storage = model.simulated(replace(costs, hand=0.0, create=0.0), model.Place(16, network=1e7), 500, many)
    least = (500 * 3e6 + sum(many) * 3e3) / 1e7
    assert least < storage.seconds < 1.2 * least and storage.network > 0.8


def test_parts_of_one_video_all_listen(model, costs):
    """Each worker has one part, and all of them do the same at the same time."""
    from dataclasses import replace

    video = replace(costs, listen=1e-4, join=1e-5, create=0.0, hand=0.0, weights=0.0)
    apart, parts = (model.simulated(video, model.Place(16), 8, [10] * 8, whole=whole).seconds for whole in (0, 1000))
    assert parts - apart == pytest.approx(1000 * (1e-4 + 1e-5), abs=1e-6)


def test_chance_is_of_the_seed(model, costs):
    from dataclasses import replace

    spread = replace(costs, spread=0.4)
    first, again, other = (model.simulated(spread, model.Place(4), 3, FRAMES, seed=seed).seconds for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("workers, cores, crowding, network", [(3, 2, 1.4, 2e6), (5, 3, 1.0, 1e6), (4, 8, 1.2, 5e5)])
def test_against_small_steps_of_time(model, costs, workers, cores, crowding, network):
    place = model.Place(cores, crowding, network, per_machine=workers)
    twin = stepped(costs, place, workers, 0.002)
    assert model.simulated(costs, place, workers, FRAMES).seconds == pytest.approx(twin, rel=0.01)


def stepped(costs, place, workers: int, step: float) -> float:
    """The same, for workers on one machine: at every step each gets on by its share."""
    units, line, now = list(FRAMES), [], 0.0
    plans = [[["hand", costs.create], ["machine", costs.start]] for _ in range(workers)]
    fresh = [True] * workers
    line = list(range(workers))  # who stands in line for a hand
    while any(plans):
        using = {name: [who for who, plan in enumerate(plans) if plan and plan[0][0] == name] for name in ("machine", "network")}
        pace = {"machine": 1 / place.slowness(len(using["machine"])), "network": place.network / max(1, len(using["network"]))}
        for name, users in using.items():
            for who in users:
                plans[who][0][1] -= step * pace[name]
        if line:
            plans[line[0]][0][1] -= step
        for who, plan in enumerate(plans):
            while plan and plan[0][1] <= 0:
                if plan.pop(0)[0] == "hand":
                    line.remove(who)
                if not plan and units:
                    frames = units.pop(0)
                    plan += [["hand", costs.hand], ["network", costs.read * frames + costs.weights * fresh[who]],
                             ["machine", costs.unit + costs.frame * frames + costs.first * fresh[who]],
                             ["network", costs.written * frames]]
                    fresh[who] = False
                    line.append(who)
        now += step
    return costs.begin + now + costs.end
