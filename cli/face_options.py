"""`--tracker`, of every command that looks for a face."""
from __future__ import annotations

from collections.abc import Callable

from ..media_core.choices import TRACKERS


def add_tracker(add: Callable[..., object], default: str | None = None, what: str = "which networks find the face") -> None:
    """Adds the option; None where it is left out, unless there is a `default`."""
    add("--tracker", choices=TRACKERS, default=default,
        help=f"{what}: those for real people, or those for computer-rendered people such as this pack's demo subject (default: "
             "people)")
