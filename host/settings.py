"""`--set node.input=value`: finds the node and checks the input before anything runs."""
from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from .nodecall import Prompt
from .workflow import WorkflowError, known_inputs


def apply_settings(prompt: Prompt, settings: Sequence[str], info: Mapping[str, Any]) -> None:
    """Writes values into a prompt, in place.

    Args:
        settings: "NODE.INPUT=VALUE"; NODE is an id, a title or a class that occurs once; VALUE is JSON, else taken as text.
        info: /object_info.

    Raises:
        WorkflowError: bad form, no such node or more than one, no such input.
    """
    for setting in settings:
        place, equals, text = setting.partition("=")
        if not equals or "." not in place:
            raise WorkflowError(f"--set takes NODE.INPUT=VALUE. Got: {setting!r}. Example: --set 'Load Audio.audio=speech.wav'")
        node_id, name = find_input(prompt, place)
        known = known_inputs(info.get(prompt[node_id]["class_type"], {}).get("input", {})) | set(prompt[node_id]["inputs"])
        if name not in known:
            raise WorkflowError(f"Node {describe(prompt, node_id)} has no input {name!r}. It has: {', '.join(sorted(known))}.")
        prompt[node_id]["inputs"][name] = parse_value(text)


def find_input(prompt: Prompt, place: str) -> tuple[str, str]:
    """(node id, input) of "NODE.INPUT"; titles and inputs may contain dots: the longest node name that fits wins."""
    parts = place.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found = find_nodes(prompt, ".".join(parts[:cut]))
        if len(found) == 1:
            return found[0], ".".join(parts[cut:])
        if found:
            told = ", ".join(describe(prompt, node_id) for node_id in found)
            raise WorkflowError(f"{'.'.join(parts[:cut])!r} means more than one node: {told}. Use the number.")
    told = ", ".join(describe(prompt, node_id) for node_id in prompt)
    raise WorkflowError(f"No node fits {place!r}. The workflow has: {told}.")


def find_nodes(prompt: Prompt, name: str) -> list[str]:
    """Nodes by id, else by title, else by class."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if node.get("_meta", {}).get("title") == name]
    return titled or [node_id for node_id, node in prompt.items() if node["class_type"] == name]


def describe(prompt: Prompt, node_id: str) -> str:
    """'3 "Load Audio" (LoadAudio)'."""
    node = prompt[node_id]
    title = node.get("_meta", {}).get("title")
    return f"{node_id} " + (f'"{title}" ' if title else "") + f"({node['class_type']})"


def parse_value(text: str) -> Any:
    """JSON where it is JSON (3, 0.5, true, "text"), else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
