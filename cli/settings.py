"""`--set node.input=value`: finds the node and checks the input before anything runs."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..host.nodecall import Prompt
from ..host.workflow import WorkflowError, declared_inputs, known_inputs
from ..media_core.errors import FileFormatError
from ..media_core.json_files import parse_json

_TEXTS = ("STRING", "COMBO", "COLOR", "COMFY_DYNAMICCOMBO_V3")


def apply_settings(prompt: Prompt, settings: Sequence[str], info: Mapping[str, Any]) -> None:
    """Writes values into a prompt, in place.

    Args:
        settings: "NODE.INPUT=VALUE"; NODE is an id, a title or a class that occurs once; VALUE is JSON, else taken as text;
            for inputs that are texts or choices it is text, without its quotes if it is quoted.
        info: /object_info.

    Raises:
        WorkflowError: bad form, no such node or more than one, no such input.
    """
    for setting in settings:
        place, equals, text = setting.partition("=")
        if not equals or "." not in place:
            raise WorkflowError(f"--set takes NODE.INPUT=VALUE. Got: {setting!r}. Example: --set 'Load Audio.audio=speech.wav'")
        node_id, name = find_input(prompt, place)
        table = info.get(prompt[node_id]["class_type"], {}).get("input", {})
        known = known_inputs(table) | set(prompt[node_id]["inputs"])
        if name not in known:
            raise WorkflowError(f"Node {describe(prompt, node_id)} has no input {name!r}. It has: {', '.join(sorted(known))}.")
        value = parse_value(text)
        prompt[node_id]["inputs"][name] = text if _is_text(declared_inputs(table).get(name), value, prompt) else value


def find_input(prompt: Prompt, place: str) -> tuple[str, str]:
    """(node id, input) of "NODE.INPUT"; titles and inputs may contain dots: the longest matching node name wins."""
    parts = place.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found = find_nodes(prompt, ".".join(parts[:cut]))
        if len(found) == 1:
            return found[0], ".".join(parts[cut:])
        if found:
            listed = ", ".join(describe(prompt, node_id) for node_id in found)
            raise WorkflowError(f"{'.'.join(parts[:cut])!r} means more than one node: {listed}. Use the number.")
    listed = ", ".join(describe(prompt, node_id) for node_id in prompt)
    raise WorkflowError(f"No node matches {place!r}. The workflow has: {listed}.")


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
    """JSON if it is JSON (3, 0.5, true, "text"), else the text itself."""
    try:
        return parse_json(text, "A value", finite=False)
    except FileFormatError:
        return text


def _is_text(entry: Any, value: Any, prompt: Prompt) -> bool:
    """Whether what was typed is taken literally: for a text, or a choice among texts, unless it is a quoted text, an exact
    choice, or a link to a node.

    Args:
        entry: the input's definition, [kind, options]; None if it has none.
        value: what was typed, as JSON.
    """
    kind, options = (entry[0], entry[1] if len(entry) > 1 else {}) if entry else (None, {})
    choices = kind if isinstance(kind, list) else options.get("options", []) if kind == "COMBO" else []
    chosen = type(value) is not bool and value in choices
    if isinstance(value, str) or chosen or not isinstance(kind, list) and kind not in _TEXTS:
        return False
    return not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] in prompt)
