"""App mode: a workflow as a form and a player."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .catalogue import App


def app_form(page: dict[str, Any], app: App, info: Mapping[str, Any]) -> dict[str, Any]:
    """The page form of a workflow that opens as an app; the widgets it shows bear the form's own labels."""
    nodes = {str(node["id"]): node for node in page["nodes"]}
    for node_id, name, shown in app.inputs:
        if shown:
            _label(nodes[node_id], name, shown, info)
    chosen = [[int(node_id), name] for node_id, name, _ in app.inputs]
    page["extra"] |= {"linearMode": True, "linearData": {"inputs": chosen, "outputs": [int(node) for node in app.outputs]}}
    return page


def _label(node: dict[str, Any], name: str, shown: str, info: Mapping[str, Any]) -> None:
    """The page keeps a widget's label on the widget's socket."""
    known = {**info[node["type"]]["input"].get("required", {}), **info[node["type"]]["input"].get("optional", {})}
    node["inputs"].append({"name": name, "type": known[name][0], "label": shown, "widget": {"name": name}, "link": None})
