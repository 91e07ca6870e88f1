"""Which results of the last run are still valid: a signature of everything a node's result depends on.

Two nodes with equal signatures share a result, as in ComfyUI. Only the nodes of the newest prompt are kept (its "classic" cache).
"""
from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .nodecall import Outputs, Prompt, collect, is_link, map_node
from .shim.context import ExecutionBlocker
from .shim.io_schema import ComfyNode, Hidden, real_override

_NEVER = itertools.count()


@dataclass
class Entry:
    """A finished node."""

    outputs: Outputs
    ui: dict[str, Any] = field(default_factory=dict)


def hashable(value: Any) -> Any:
    """A value as part of a signature. What has no plain form (a tensor, a set, a dataclass) never equals anything."""
    if value is None or isinstance(value, (int, float, str, bool, bytes)):
        return value
    if isinstance(value, Mapping):
        return ("{}", *sorted((str(key), hashable(item)) for key, item in value.items()))
    if isinstance(value, Sequence):
        return ("[]", *(hashable(item) for item in value))
    return ("never", next(_NEVER))


class Cache:
    """Results by signature. Signatures are numbered, so that a deep graph stays cheap to compare."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}  # signature -> its number
        self._entries: dict[int, Entry] = {}  # number -> result
        self._keys: dict[str, int] = {}  # node id of the current prompt -> number

    async def open(self, prompt: Prompt, classes: Mapping[str, type[ComfyNode]], prompt_id: str) -> None:
        """Starts a new prompt: signs its nodes, drops every result that none of them can use."""
        marks = {}
        for node_id, node in prompt.items():
            marks[node_id] = await _fingerprint(node_id, node, classes[node["class_type"]], prompt_id)
        signed: dict[str, int] = {}
        for node_id in prompt:
            self._sign(node_id, prompt, classes, marks, signed)
        used = set(signed.values())
        self._keys = signed
        self._entries = {key: entry for key, entry in self._entries.items() if key in used}
        self._numbers = {signature: key for signature, key in self._numbers.items() if key in used}

    def _sign(self, node_id: str, prompt: Prompt, classes: Mapping[str, type[ComfyNode]], marks: Mapping[str, Any],
              signed: dict[str, int]) -> int:
        if node_id in signed:
            return signed[node_id]
        signed[node_id] = -1  # a cycle's end: caught by validation before anything runs
        node = prompt[node_id]
        schema = classes[node["class_type"]].FINALIZE_SCHEMA()
        parts: list[Any] = [node["class_type"], marks[node_id]]
        if schema.not_idempotent or Hidden.unique_id in schema.hidden:
            parts.append(node_id)
        for name, value in sorted(node["inputs"].items()):
            if is_link(value) and value[0] in prompt:
                parts.append((name, "link", self._sign(value[0], prompt, classes, marks, signed), int(value[1])))
            else:
                parts.append((name, "value", type(value).__name__, hashable(value)))
        signature = tuple(parts)
        signed[node_id] = self._numbers.setdefault(signature, next(_NEVER))
        return signed[node_id]

    def get(self, node_id: str) -> Entry | None:
        return self._entries.get(self._keys.get(node_id, -1))

    def put(self, node_id: str, entry: Entry) -> None:
        self._entries[self._keys[node_id]] = entry

    def clear(self) -> None:
        self.__init__()


async def _fingerprint(node_id: str, node: Mapping[str, Any], node_class: type[ComfyNode], prompt_id: str) -> Any:
    """What fingerprint_inputs says (links are None there); a failing one means "always changed", with a warning."""
    if real_override(node_class, "fingerprint_inputs") is None:
        return False
    call = collect(node_class, node_id, node["inputs"], lambda *_: None)
    try:
        results = await map_node(node_class, "fingerprint_inputs", call, (prompt_id, node_id))
        results = [await item if hasattr(item, "__await__") else item for item in results]
    except Exception as error:  # ComfyUI's rule: a broken fingerprint must not stop the run
        logging.warning("WARNING: %s", error)
        return hashable(object())
    return hashable([None if isinstance(item, ExecutionBlocker) else item for item in results])
