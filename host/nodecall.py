"""Calling one node as ComfyUI does: collect its inputs, map over lists, run on a locked clone of its class, merge the results.

Source: docs/comfyui.md#execution, checked against ComfyUI 0.33. V3 nodes only; node expansion is refused.
"""
from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .shim.context import ExecutionBlocker, RunningNode, running, throw_exception_if_processing_interrupted
from .shim.io_dynamic import LiveInputs, nest, open_inputs
from .shim.io_schema import ComfyNode, Hidden, HiddenHolder, NodeOutput, Schema

Prompt = dict[str, dict[str, Any]]  # node id -> {"class_type", "inputs", "_meta"?}
Outputs = list[list[Any]]  # one list of items for each output socket


def is_link(value: Any) -> bool:
    """Whether an input's value is ["node id", socket] rather than a constant."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], (int, float))


class Unrun(ExecutionBlocker):
    """The result of a row that was blocked before it ran."""


@dataclass
class Call:
    """One node's inputs, ready to be mapped."""

    values: dict[str, Any] = field(default_factory=dict)  # flat input id -> list of items
    missing: set[str] = field(default_factory=set)  # links whose source has not run
    live: LiveInputs = field(default_factory=LiveInputs)
    hidden: dict[Hidden, Any] = field(default_factory=dict)


def collect(node_class: type[ComfyNode], node_id: str, inputs: Mapping[str, Any], source: Callable[[str, int], list | None],
            prompt: Prompt | None = None, extra_data: Mapping[str, Any] | None = None) -> Call:
    """Inputs of a node. `source(id, socket)` gives a link's items, None where they do not exist yet."""
    schema = node_class.FINALIZE_SCHEMA()
    call = Call(live=open_inputs(schema.input_types(), dict(inputs)))
    for name, value in inputs.items():
        _, category, options = call.live.find(name)
        if is_link(value) and not options.get("rawLink", False):
            items = source(value[0], int(value[1]))
            if items is None:
                call.missing.add(name)
            call.values[name] = (None,) if items is None else items
        elif category is not None or schema.accept_all_inputs:
            call.values[name] = [value]
    known = {Hidden.prompt: prompt or {}, Hidden.dynprompt: prompt, Hidden.unique_id: node_id,
             Hidden.extra_pnginfo: (extra_data or {}).get("extra_pnginfo")}
    call.hidden = {item: known.get(item) for item in schema.hidden}
    return call


def locked_clone(node_class: type[ComfyNode], hidden: Mapping[Hidden, Any]) -> type[ComfyNode]:
    """The class a call runs on: carries this call's hidden values and refuses every assignment."""

    def refuse(cls: type, name: str, value: Any) -> None:
        raise AttributeError(f"Cannot modify class attribute '{name}' on locked class '{cls.__name__}'")

    meta: Any = type("Locked", (type(node_class),), {"__setattr__": refuse})  # a metaclass, of which types know too little
    return meta(node_class.__name__ + "Clone", (node_class,), {"hidden": HiddenHolder(dict(hidden))})


def _blocker(values: Mapping[str, Any], whole_lists: bool) -> ExecutionBlocker | None:
    """The first blocked input."""
    for value in values.values():
        for item in value if whole_lists else (value,):
            if isinstance(item, ExecutionBlocker):
                return item
    return None


def _rows(call: Call, whole_lists: bool, names: set[str] | None = None) -> list[dict[str, Any]]:
    """Keyword arguments of each call: once with whole lists, else once an item, short lists repeating their last."""
    values = call.values if names is None else {key: item for key, item in call.values.items() if key in names}
    if whole_lists:
        return [dict(values)]
    count = max((len(items) for items in values.values()), default=0)
    if count == 0:
        return [{}]
    return [{key: items[index if index < len(items) else -1] for key, items in values.items()} for index in range(count)]


async def map_node(node_class: type[ComfyNode], method: str, call: Call, where: tuple[str, str], *, names: set[str] | None = None,
                   with_keys: bool = False, interruptible: bool = False,
                   on_block: Callable[[ExecutionBlocker], ExecutionBlocker] | None = None) -> list[Any]:
    """Calls a classmethod for each row of inputs.

    Args:
        where: (prompt id, node id). names: only these inputs. with_keys: dynamic inputs arrive as (value, flat id).
        interruptible: look at the stop button before each call. on_block: what a blocked row yields.

    Returns:
        One result a row; an asyncio.Task where an async method has not finished.
    """
    whole_lists = node_class.FINALIZE_SCHEMA().is_input_list
    function = getattr(node_class, method).__func__
    results: list[Any] = []
    for index, row in enumerate(_rows(call, whole_lists, names)):
        if interruptible:
            throw_exception_if_processing_interrupted()
        block = _blocker(row, whole_lists)
        if block is not None:
            results.append(Unrun(on_block(block).message if on_block else block.message))
            continue
        kwargs = nest(row, call.live.paths, with_keys) if call.live.paths else row
        node = RunningNode(*where, index)
        results.append(await _start(function, locked_clone(node_class, call.hidden), kwargs, node))
    return results


async def _start(function: Callable, clone: type[ComfyNode], kwargs: dict[str, Any], node: RunningNode) -> Any:
    """A plain call's result; for an async one its result if it never waits, else its task."""
    if not inspect.iscoroutinefunction(function):
        with running(node):
            return function(clone, **kwargs)

    async def marked() -> Any:
        with running(node):
            return await function(clone, **kwargs)

    task = asyncio.create_task(marked())
    await asyncio.sleep(0)
    return task.result() if task.done() else task


def normalised(returned: Any) -> NodeOutput:
    """Whatever execute may return, as a NodeOutput.

    Raises:
        Exception: for anything else, and for node expansion.
    """
    if isinstance(returned, NodeOutput):
        output = returned
    elif returned is None:
        output = NodeOutput()
    elif isinstance(returned, tuple):
        output = NodeOutput(*returned)
    elif isinstance(returned, dict):
        output = NodeOutput.from_dict(returned)
    elif isinstance(returned, ExecutionBlocker):
        output = NodeOutput(block_execution=returned.message)
    else:
        raise Exception(f"Invalid return type from node: {type(returned)}")
    if output.expand is not None:
        raise Exception("The small host does not expand nodes into further nodes; run this workflow in ComfyUI.")
    return output


def merge(schema: Schema, returned: list[Any]) -> tuple[Outputs, dict[str, list]]:
    """Results of all rows as (items of each output, what the page is shown).

    A NodeOutput without values gives no outputs at all, even with block_execution: a bug of core (docs/comfyui.md), kept.
    """
    rows, shown = [], []
    for item in returned:
        if isinstance(item, Unrun):
            rows.append((ExecutionBlocker(item.message),) * len(schema.outputs))
            continue
        output = normalised(item)
        if output.ui is not None:
            shown.append(output.ui if isinstance(output.ui, dict) else output.ui.as_dict())
        if output.result is not None:
            blocked = output.block_execution is not None
            rows.append((ExecutionBlocker(output.block_execution),) * len(schema.outputs) if blocked else output.result)
    outputs: Outputs = []
    for index, socket in enumerate(schema.outputs[: len(rows[0])] if rows else []):
        items: list[Any] = []
        for row in rows:
            if socket.is_output_list and not isinstance(row[index], ExecutionBlocker):
                items.extend(row[index])
            else:
                items.append(row[index])
        outputs.append(items)
    ui = {key: [entry for part in shown for entry in part[key]] for key in shown[0]} if shown else {}
    return outputs, ui
