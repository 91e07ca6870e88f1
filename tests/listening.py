"""A host whose events are heard, as a page hears them."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pack import make_host

if TYPE_CHECKING:
    from talking_heads.host.graph import Host


class Listener:
    """Called with every event's name and data."""

    host: Host

    def __init__(self, base: Path):
        self.base = base

    def __call__(self, name: str, data) -> None:
        raise NotImplementedError


Heard = TypeVar("Heard", bound=Listener)


def listened(page: Heard, dataset: Path) -> Heard:
    """`page` on a new host of its own, with a recording in input/person."""
    page.host = make_host(page.base, on_event=page)
    shutil.copytree(dataset, page.base / "input" / "person")
    return page
