"""Nodes that were renamed or removed: a prompt that still names them runs their successors (ComfyUI since 0.14)."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .nodecall import Prompt, is_link

if TYPE_CHECKING:
    from .shim.io_schema import ComfyNode, NodeReplace


def replaced(prompt: Prompt, classes: Mapping[str, type[ComfyNode]], replacements: Iterable[NodeReplace]) -> Prompt:
    """The prompt with successors in the place of nodes that are not registered; inputs that no mapping names are left out.

    Links to an output whose number has changed follow it. The first replacement of a node counts.
    """
    known: dict[str, NodeReplace] = {}
    for item in replacements:
        known.setdefault(item.old_node_id, item)
    gone = {node_id: known[node["class_type"]] for node_id, node in prompt.items()
            if isinstance(node.get("class_type"), str) and node["class_type"] not in classes and node["class_type"] in known
            and known[node["class_type"]].new_node_id in classes}
    if not gone:
        return prompt
    moved = {(node_id, entry["old_idx"]): entry["new_idx"]
             for node_id, item in gone.items() for entry in item.output_mapping or ()}
    result: Prompt = {}
    for node_id, node in prompt.items():
        inputs = _inputs(node["inputs"], gone[node_id]) if node_id in gone else node["inputs"]
        linked = {name: [value[0], moved.get((value[0], value[1]), value[1])] if is_link(value) else value
                  for name, value in inputs.items()}
        kind = {"class_type": gone[node_id].new_node_id} if node_id in gone else {}
        result[node_id] = {**node, **kind, "inputs": linked}
    return result


def _inputs(old: Mapping[str, Any], item: NodeReplace) -> dict[str, Any]:
    """A successor's inputs."""
    found: dict[str, Any] = {}
    for entry in item.input_mapping or ():
        if "set_value" in entry:
            found[entry["new_id"]] = entry["set_value"]
        elif entry.get("old_id") in old:
            found[entry["new_id"]] = old[entry["old_id"]]
    return found
