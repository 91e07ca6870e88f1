"""What the parity script knows about a kind of fixture."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

NET, EXACT, RASTER = 1e-5, 1e-6, 1e-4


class Case(NamedTuple):
    """How to compute a fixture's outputs, and how near they must come."""
    function: Callable[[Any], Mapping[str, Tensor]]  # parity.Fixture -> outputs under their own names
    tolerance: float | Mapping[str, float] = NET  # of all outputs, or pattern -> of those that fit; the first that fits
    left_out: Mapping[str, str] = MappingProxyType({})  # pattern of outputs -> why nothing in the pack computes them: told
    later: tuple[str, ...] = ()                      # patterns of outputs whose part of the pack is still to be written: told
    absolute: bool = False                           # deviations as they are, not as a share of the largest reference value

    def limit(self, name: str) -> float:
        """The tolerance of one output."""
        if not isinstance(self.tolerance, Mapping):
            return self.tolerance
        return next(limit for pattern, limit in self.tolerance.items() if fnmatch(name, pattern))
