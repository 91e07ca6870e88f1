"""App mode: a workflow as a form and a player."""
from __future__ import annotations

from typing import Any

from .catalogue import App


def app_extra(app: App) -> dict[str, Any]:
    """What makes the page open a workflow as an app."""
    return {"linearMode": True, "linearData": {"inputs": [[int(node), name] for node, name in app.inputs],
                                               "outputs": [int(node) for node in app.outputs]}}
