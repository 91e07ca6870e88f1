"""What the descriptions of both networks, in the headers of their files, have in common."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..media_core.errors import TalkingHeadsError
from ..media_core.schema import is_json_object

SHOWN = ("portrait", "mean")    # the face a network is given in use: the portrait's own, or its mean face
REFERENCES = ("first", "any")  # the reference a network was trained with: first frame of the window, or any of the person
MOST_LAYERS = 256              # of a network, in a row


def known(cls: type, values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values, all of which are fields of `cls`.

    Raises:
        TalkingHeadsError: there are others.
    """
    if not is_json_object(values):
        raise TalkingHeadsError(f"{what} must be an object", type(values).__name__, "Copy or make the file again")
    unknown = sorted(set(values) - {f.name for f in fields(cls)})
    if unknown:
        raise TalkingHeadsError(f"{what} may hold only {', '.join(f.name for f in fields(cls))}", f"also {', '.join(unknown)}",
                                "Update Talking Heads, or correct the names")
    return dict(values)
