"""Workflow files: the API form runs as it is, the form the page saves is converted with the nodes' own definitions.

Conversion follows what the page does (frontend 1.41-1.58): widget values stand by position, a seed is followed by its
control_after_generate, muted nodes vanish, bypassed ones pass links through by type, notes and reroutes are not nodes.
"""
from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ..media_core.errors import FileFormatError
from ..media_core.json_files import read_json_file
from .nodecall import Prompt
from .subgraphs import PROMOTED, flattened, link_parts
from .workflow_error import WorkflowError
from .workflow_shape import api_fault, page_fault

__all__ = ["WorkflowError", "declared_inputs", "extra_slots", "has_widget", "known_inputs", "load_workflow", "to_prompt",
           "widget_values"]

_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3"}
_NOT_NODES = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}
_MUTED, _BYPASSED = 2, 4
_SUBGRAPH = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # how the page names the type of a subgraph's node


def load_workflow(path: str, info: Mapping[str, Any]) -> tuple[Prompt, dict | None]:
    """Reads a workflow of either form.

    Args:
        info: /object_info of the nodes there are.

    Returns:
        (prompt, the page's workflow where the file held one: it belongs into extra_pnginfo).

    Raises:
        WorkflowError: no such file, no JSON, no workflow, unknown nodes.
    """
    if not os.path.isfile(path):
        raise WorkflowError(f"There is no workflow file {path}. Check the path.")
    try:
        data = read_json_file(path, finite=False)
    except FileFormatError as error:
        raise WorkflowError(f"{path} is not JSON ({error.came}). Save the workflow again.") from error
    if isinstance(data, dict) and isinstance(data.get("nodes"), list):
        _refuse(path, page_fault(data))
        return to_prompt(data, info), data
    if isinstance(data, dict) and data and all(isinstance(node, dict) and "class_type" in node for node in data.values()):
        _refuse(path, api_fault(data))
        return {str(key): {**node, "inputs": node.get("inputs", {})} for key, node in data.items()}, None
    raise WorkflowError(f"{path} is neither a saved workflow nor an API-format one. Use Save or Export (API) in ComfyUI.")


def _refuse(path: str, fault: str | None) -> None:
    if fault:
        raise WorkflowError(f"{path} is no whole workflow ({fault}). Save it again in ComfyUI.")


def to_prompt(workflow: Mapping[str, Any], info: Mapping[str, Any]) -> Prompt:
    """The page's form to the API form; nodes in subgraphs get the ids "outer:inner".

    Raises:
        WorkflowError: unknown nodes, a subgraph that contains itself, too many nodes, links in a circle.
    """
    graph = _Graph(flattened(workflow), info)
    prompt: Prompt = {}
    for node in graph.nodes.values():
        if node["type"] in _NOT_NODES or node.get("mode", 0) in (_MUTED, _BYPASSED):
            continue
        if node["type"] not in info:
            raise WorkflowError(_unknown(node))
        title = node.get("title") or info[node["type"]]["display_name"] or node["type"]
        prompt[str(node["id"])] = {"inputs": graph.inputs(node), "class_type": node["type"], "_meta": {"title": title}}
    return prompt


def _unknown(node: Mapping[str, Any]) -> str:
    named = node.get("title") or node["type"]
    if _SUBGRAPH.fullmatch(node["type"]):
        return (f"Every subgraph must be defined in the workflow. Got: '{named}', whose definition is missing. Save the workflow "
                "again in ComfyUI, or export the API form.")
    return f"Node '{named}' not found. The custom node may not be installed."


class _Graph:
    """A saved workflow, looked up by id."""

    def __init__(self, workflow: Mapping[str, Any], info: Mapping[str, Any]):
        self.info = info
        self.nodes = {node["id"]: node for node in workflow["nodes"]}
        self.links = {link[0] if isinstance(link, list) else link["id"]: link for link in workflow.get("links") or []}

    def inputs(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """Widget values, then links over them."""
        found = {**widget_values(node, self.info[node["type"]]),
                 **{name: _boxed(value) for name, value in node.get(PROMOTED, {}).items()}}
        for socket in node.get("inputs") or []:
            if socket.get("link") is None:
                continue
            value = self.follow(socket["link"])
            if isinstance(value, list) or value is not None:
                found[socket["name"]] = value
            elif "widget" not in socket:
                found.pop(socket["name"], None)
        return found

    def follow(self, link_id: Any, passed: frozenset = frozenset()) -> Any:
        """What a link ends in: ["id", socket], a primitive's value, or None where the source is muted.

        Args:
            passed: links followed on the way here.
        Raises:
            WorkflowError: reroutes or bypassed nodes that feed themselves.
        """
        link = self.links.get(link_id)
        if link is None:
            return None
        if link_id in passed:
            raise WorkflowError(f"Link {link_id} leads back to itself. Connect the reroute or bypassed node to a source.")
        passed |= {link_id}
        _, source_id, socket, _, _, kind = link_parts(link)
        source = self.nodes.get(source_id)
        if source is None or source.get("mode", 0) == _MUTED:
            return None
        if source["type"] == "PrimitiveNode":
            values = source.get("widgets_values")
            return values[0] if isinstance(values, list) and values else None
        if source["type"] == "Reroute":
            sockets = source.get("inputs") or [{}]
            return self.follow(sockets[0].get("link"), passed)
        if source.get("mode", 0) == _BYPASSED:
            return self._through(source, socket, kind, passed)
        return [str(source_id), socket]

    def _through(self, node: Mapping[str, Any], socket: int, kind: str, passed: frozenset) -> Any:
        """A bypassed node hands on its input of the output's type: the one at the same place if it fits, else the first."""
        inputs = node.get("inputs") or []
        order = inputs[max(socket, 0):max(socket, 0) + 1] + inputs
        for item in order:
            if item.get("type") in (kind, "*") and item.get("link") is not None:
                return self.follow(item["link"], passed)
        return None


def widget_values(node: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """A saved node's widget values by name."""
    named = node.get("widgets_values_named")
    values = node.get("widgets_values") or []
    if isinstance(values, dict):
        named = values
    if isinstance(named, dict):
        known = known_inputs(info["input"])  # not control_after_generate, upload buttons and the like
        return {name: _boxed(value) for name, value in named.items() if value is not None and name in known}
    rest = list(values)
    return _take(info["input"], rest, "")


def _take(table: Mapping[str, Any], rest: list[Any], prefix: str) -> dict[str, Any]:
    """Consumes values in the order of the definition; a DynamicCombo's own inputs follow its value."""
    found: dict[str, Any] = {}
    for category in ("required", "optional"):
        for name, entry in table.get(category, {}).items():
            kind, options = entry[0], entry[1] if len(entry) > 1 else {}
            if not has_widget(kind, options) or not rest:
                continue
            value = rest.pop(0)
            found[prefix + name] = value
            if kind == "COMFY_DYNAMICCOMBO_V3":
                chosen = [option for option in options["options"] if option["key"] == value]
                found.update(_take(chosen[0]["inputs"], rest, f"{prefix}{name}.") if chosen else {})
            for _ in range(extra_slots(name, kind, options)):
                rest[:1] = []
    return {name: _boxed(value) for name, value in found.items()}


def _boxed(value: Any) -> Any:
    """A list that is a value, not a link."""
    return {"__value__": value} if isinstance(value, list) else value


def known_inputs(table: Mapping[str, Any]) -> set[str]:
    """Every input a definition can have, those of a DynamicCombo's options included."""
    return set(declared_inputs(table))


def declared_inputs(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The same with what is said of each: [kind, options]."""
    found = {}
    for category in ("required", "optional"):
        for name, entry in table.get(category, {}).items():
            found[prefix + name] = entry
            if entry[0] == "COMFY_DYNAMICCOMBO_V3":
                for option in entry[1]["options"]:
                    found |= declared_inputs(option["inputs"], f"{prefix}{name}.")
    return found


def has_widget(kind: Any, options: Mapping[str, Any]) -> bool:
    """Whether the page draws a widget for an input and thus saves a value for it."""
    if options.get("forceInput"):
        return False
    return isinstance(kind, list) or options.get("widgetType", kind) in _WIDGETS


def extra_slots(name: str, kind: Any, options: Mapping[str, Any]) -> int:
    """Values the page saves after a widget's own: control_after_generate, and for a Combo its filter."""
    controlled = options.get("control_after_generate")
    if controlled is None and kind == "INT":
        controlled = name in ("seed", "noise_seed")
    if not controlled:
        return 0
    return 2 if kind == "COMBO" else 1
