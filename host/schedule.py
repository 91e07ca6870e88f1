"""Which node may run next. Links are followed upstream from the outputs; a lazy link only once its node asks for it."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from .nodecall import Prompt, is_link
from .shim.io_dynamic import open_inputs
from .shim.io_schema import ComfyNode


class Schedule:
    """The nodes still to run and what each waits for."""

    def __init__(self, prompt: Prompt, classes: Mapping[str, type[ComfyNode]], is_done: Callable[[str], bool]):
        self._prompt, self._classes, self._is_done = prompt, classes, is_done
        self._waits: dict[str, set[str]] = {}  # pending node -> nodes it waits for, in order of discovery

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, node_id: str) -> None:
        """Adds a node and everything it needs that has no result yet."""
        todo = [node_id]
        while todo:
            current = todo.pop()
            if current in self._waits:
                continue
            self._waits[current] = {source for source in self._sources(current) if not self._is_done(source)}
            todo.extend(self._waits[current])

    def _sources(self, node_id: str) -> list[str]:
        """Sources of the links that are not lazy."""
        node = self._prompt[node_id]
        live = open_inputs(self._classes[node["class_type"]].INPUT_TYPES(), node["inputs"])
        return [value[0] for name, value in node["inputs"].items() if is_link(value) and not live.find(name)[2].get("lazy")]

    def need(self, node_id: str, input_name: str) -> None:
        """Makes a lazy link of a pending node count.

        Raises:
            ValueError: when that input is not there or is no link.
        """
        inputs = self._prompt[node_id]["inputs"]
        if input_name not in inputs:
            raise ValueError(f"Node {node_id} says it needs input {input_name}, but there is no input to that node at all")
        if not is_link(inputs[input_name]):
            raise ValueError(f"Node {node_id} says it needs input {input_name}, but that value is a constant")
        source = inputs[input_name][0]
        if not self._is_done(source):
            self._waits[node_id].add(source)
            self.add(source)

    def waits_for(self, node_id: str) -> list[tuple[str, str, int]]:
        """Links out of `node_id` into pending nodes: (their id, input, socket)."""
        return [(other, name, int(value[1])) for other, sources in self._waits.items() if node_id in sources
                for name, value in self._prompt[other]["inputs"].items() if is_link(value) and value[0] == node_id]

    def pick(self, busy: set[str]) -> str | None:
        """The next node: outputs and async ones first, then those that feed an output; None when all wait or are busy."""
        ready = [node_id for node_id, sources in self._waits.items() if not sources and node_id not in busy]
        for wanted in (self._is_urgent, self._feeds_output):
            for node_id in ready:
                if wanted(node_id):
                    return node_id
        return ready[0] if ready else None

    def _is_output(self, node_id: str) -> bool:
        return self._classes[self._prompt[node_id]["class_type"]].FINALIZE_SCHEMA().is_output_node

    def _is_urgent(self, node_id: str) -> bool:
        return self._is_output(node_id) or inspect.iscoroutinefunction(self._classes[self._prompt[node_id]["class_type"]].execute)

    def _feeds_output(self, node_id: str) -> bool:
        return any(node_id in sources and self._is_output(other) for other, sources in self._waits.items())

    def first(self) -> str:
        """Some pending node."""
        return next(iter(self._waits))

    def done(self, node_id: str) -> None:
        del self._waits[node_id]
        for sources in self._waits.values():
            sources.discard(node_id)
