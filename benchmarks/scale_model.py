"""A model of many workers that share a batch: a discrete-event simulation of processors, network, and who hands out the work.

Whoever computes at the same time on one machine shares its processors; whoever reads or writes at the same time shares the
network; whoever asks for work stands in line. Nothing here knows the pack: all figures are measured or assumed by `scale.py`.
"""
from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

Steps = Generator[tuple[str, float], None, None]  # (which resource, how much of it)


@dataclass(frozen=True)
class Costs:
    """What things cost. Seconds are of one processor that does nothing else."""

    unit: float              # s for each unit, whatever its length
    frame: float             # s for each frame
    spread: float            # standard deviation of the logarithm of a unit's time
    first: float             # s more for a worker's first unit: weights are loaded, kernels too
    start: float             # s until a worker's process can work
    begin: float             # s before any worker exists: the command starts, the cluster is joined
    end: float               # s after the last unit: workers end, the command too
    hand: float              # s of the process that hands out work, for each unit
    create: float            # s of the same for each worker
    weights: float = 0.0     # bytes that a worker reads before its first unit
    read: float = 0.0        # bytes for each frame
    written: float = 0.0     # bytes for each frame
    listen: float = 0.0      # s of every unit for each frame of the whole video, where units are parts of one
    join: float = 0.0        # s for each frame, after the last unit, of one process


@dataclass(frozen=True)
class Place:
    """Where it is done."""

    cores: int                          # of a machine
    crowding: float = 1.0               # how much longer a unit takes where all cores of a machine work
    network: float = math.inf           # bytes per second of the shared storage, all machines together
    link: float = math.inf              # the same of a machine
    per_machine: int | None = None      # workers; None: one per core

    def slowness(self, busy: int) -> float:
        """How many times as long a unit takes where so many workers of a machine compute at once."""
        if busy <= 1:
            return 1.0
        crowded = 1 + (self.crowding - 1) * (min(busy, self.cores) - 1) / max(self.cores - 1, 1)
        return crowded * max(1.0, busy / self.cores)


@dataclass
class _Shared:
    """Something that all who use it share evenly. Progress is counted by a clock that runs as fast as each of them gets on."""

    pace: Callable[[int], float]  # of users -> how fast each gets on
    clock: float = 0.0
    seen: float = 0.0
    users: list[tuple[float, int]] = field(default_factory=list)  # (clock at the end, who)
    busy: float = 0.0  # s with a user at all
    noted: int = 0  # how often its next end was noted: only the last counts

    def to(self, now: float) -> None:
        if self.users:
            self.clock += (now - self.seen) * self.pace(len(self.users))
            self.busy += now - self.seen
        self.seen = now

    def next(self) -> float:
        """When the first of them ends, as things are."""
        return self.seen + max(0.0, self.users[0][0] - self.clock) / self.pace(len(self.users)) if self.users else math.inf


@dataclass(frozen=True)
class Outcome:
    """How a batch went."""

    seconds: float   # from the command to its end
    handing: float   # fraction of that in which the process that hands out work was busy
    network: float   # the same of the network
    working: float   # of the workers' time between their start and the end, the fraction in which they had a unit


class _Simulation:
    """Workers, each a generator of what it needs next."""

    def __init__(self, costs: Costs, place: Place, workers: int, frames: Sequence[int], seed: int, whole: int):
        self._costs, self._whole, self._random = costs, whole, random.Random(seed)
        each = place.per_machine or place.cores
        machines = math.ceil(workers / each)
        limit = lambda users: min(place.network / users, place.link)  # a worker at a time on a link: links are seldom shared
        self._shared = {f"machine {number}": _Shared(lambda users: 1 / place.slowness(users)) for number in range(machines)}
        self._shared["network"] = _Shared(limit)
        self._ends: list[tuple[float, int, int, _Shared]] = []
        self._order = itertools.count()
        self._line: deque[tuple[int, float]] = deque()
        self._handing: tuple[float, int] | None = None
        self._handed = 0.0
        self._units = deque(frames)
        self._workers = [self._worker(f"machine {number // each}") for number in range(workers)]
        self._working = self._lasted = 0.0
        self.now = costs.begin

    def run(self) -> Outcome:
        for who in range(len(self._workers)):
            self._onwards(who)
        while True:
            at, shared = self._earliest()
            handed = math.inf if self._handing is None else self._handing[0]
            if min(at, handed) == math.inf:
                break
            self.now = min(at, handed)
            if handed <= at:
                assert self._handing is not None
                _, who = self._handing
                self._handing = None
                self._serve()
            else:
                assert shared is not None  # only then is the time finite
                shared.to(self.now)
                _, who = heapq.heappop(shared.users)
                self._expect(shared)
            self._onwards(who)
        total = self.now + self._costs.end + self._costs.join * self._whole
        asked = max(self._lasted, 1e-9)
        return Outcome(total, self._handed / total, self._shared["network"].busy / total, self._working / asked)

    def _onwards(self, who: int) -> None:
        """The next thing that a worker needs."""
        for name, amount in self._workers[who]:
            if amount <= 0 or name == "network" and self._shared[name].pace(1) == math.inf:
                continue
            if name == "hand":
                self._line.append((who, amount))
                self._serve()
            else:
                shared = self._shared[name]
                shared.to(self.now)
                heapq.heappush(shared.users, (shared.clock + amount, who))
                self._expect(shared)
            return

    def _expect(self, shared: _Shared) -> None:
        """Notes when the first user of something ends, as things are now; what was noted before no longer holds."""
        shared.noted += 1
        if shared.users:
            heapq.heappush(self._ends, (shared.next(), next(self._order), shared.noted, shared))

    def _earliest(self) -> tuple[float, _Shared | None]:
        """What ends first of all, and when."""
        while self._ends and self._ends[0][2] != self._ends[0][3].noted:
            heapq.heappop(self._ends)
        return (self._ends[0][0], self._ends[0][3]) if self._ends else (math.inf, None)

    def _serve(self) -> None:
        if self._handing is None and self._line:
            who, amount = self._line.popleft()
            self._handing, self._handed = (self.now + amount, who), self._handed + amount

    def _worker(self, machine: str) -> Steps:
        costs = self._costs
        yield "hand", costs.create
        yield machine, costs.start
        began, first = self.now, True
        while self._units:
            frames = self._units.popleft()
            yield "hand", costs.hand
            started = self.now
            yield "network", costs.read * frames + (costs.weights if first else 0)
            chance = self._random.lognormvariate(-costs.spread ** 2 / 2, costs.spread)
            own = costs.unit + costs.frame * frames + costs.listen * self._whole
            yield machine, own * chance + (costs.first if first else 0)
            yield "network", costs.written * frames
            first = False
            self._working += self.now - started
        self._lasted += self.now - began


def simulated(costs: Costs, place: Place, workers: int, frames: Sequence[int], *, seed: int = 0, whole: int = 0) -> Outcome:
    """How a batch goes.

    Args:
        workers: at once.
        frames: of each unit, in the order in which they are handed out.
        seed: of the units' spread.
        whole: frames of the one video that all units are parts of; 0: they are videos of their own.
    """
    return _Simulation(costs, place, min(workers, len(frames)), frames, seed, whole).run()


def alternatives(most: int) -> list[int]:
    """Numbers of workers to try: 1, 2, 4, 8, 10, 20, 50, 100 and so on."""
    found = [1, 2, 4, 8]
    found += [digit * 10 ** power for power in itertools.takewhile(lambda power: 10 ** power <= most, itertools.count(1))
              for digit in (1, 2, 5)]
    return [workers for workers in found if workers <= most]
