"""`--label`: words in the frames that say what the video is."""
from __future__ import annotations

import argparse
from collections.abc import Callable

from ..media_core.choices import LABEL


def add_label(add: Callable[..., argparse.Action]) -> None:
    """The option, the same for every command that makes a video. `add`: of a parser."""
    add("--label", nargs="?", const=LABEL, default="", metavar="TEXT",
        help=f"words in the lower left corner of every frame; without TEXT: {LABEL} (default: none)")
