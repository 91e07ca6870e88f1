"""Checks a prompt before it runs, with ComfyUI's error types and wording: what a user reads in the page is what stands here."""
from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .execute import full_type_name
from .nodecall import Prompt, collect, map_node
from .shim.context import ExecutionBlocker
from .shim.io_dynamic import LiveInputs, open_inputs
from .shim.io_schema import ComfyNode, real_override

_ANY = {"*"}
_CONVERT: dict[object, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_LONG_LIST = 20  # choices; longer lists are counted, not shown


@dataclass
class Validation:
    """The answer to POST /prompt."""

    valid: bool  # whether anything can run
    error: dict[str, Any] | None  # why nothing can
    outputs: list[str]  # output nodes that can run
    node_errors: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> {"errors", "dependent_outputs", "class_type"}


def problem(kind: str, message: str, details: str, **extra: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


async def validate_prompt(prompt: Prompt, classes: Mapping[str, type[ComfyNode]], prompt_id: str = "",
                          only: list[str] | None = None) -> Validation:
    """Checks every output node (of `only`, where given) and what it needs. Converts widget values in `prompt` to their types."""
    for node_id, node in prompt.items():
        missing = _missing_class(node_id, node, classes)
        if missing:
            return Validation(False, missing, [])
    targets = [node_id for node_id, node in prompt.items()
               if classes[node["class_type"]].FINALIZE_SCHEMA().is_output_node and (only is None or node_id in only)]
    if not targets:
        return Validation(False, problem("prompt_no_outputs", "Prompt has no outputs", ""), [])
    checker = _Checker(prompt, classes, prompt_id)
    good, reasons, node_errors = [], [], {}
    for target in targets:
        try:
            fine = await checker.node(target)
        except Exception as error:  # a broken definition or link, as in _link
            checker.fail(target, "", error)
            fine = False
        if fine:
            good.append(target)
            continue
        reasons += [f"{item['message']}: {item['details']}" for item in checker.errors[target]]
        for node_id, errors in checker.errors.items():
            if errors:
                kind = prompt[node_id]["class_type"]
                entry = node_errors.setdefault(node_id, {"errors": errors, "dependent_outputs": [], "class_type": kind})
                entry["dependent_outputs"].append(target)
    error = None if good else problem("prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(reasons))
    return Validation(bool(good), error, good, node_errors)


def _missing_class(node_id: str, node: Mapping[str, Any], classes: Mapping[str, type[ComfyNode]]) -> dict[str, Any] | None:
    node = node if isinstance(node, Mapping) else {}
    meta, class_type = node.get("_meta"), node.get("class_type")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    if not isinstance(class_type, str):
        named = title or f"ID #{node_id}"
        text = f"Node '{named}' has no class_type. The workflow may be corrupted or a custom node is missing."
    elif class_type not in classes:
        title = title or class_type
        text = f"Node '{title}' not found. The custom node may not be installed."
    else:
        return None
    return problem("missing_node_type", text, f"Node ID '#{node_id}'", node_id=node_id, class_type=class_type, node_title=title)


def types_fit(received: Any, wanted: Any) -> bool:
    """Whether an output of type "A,B" may feed an input of type "B,C": the same, any (*), a match type, or one in common."""
    if received == wanted or {received, wanted} & {"*", "COMFY_MATCHTYPE_V3"}:
        return True
    given, asked = ({part.strip() for part in kind.split(",")} for kind in (received, wanted))
    return bool(given & _ANY or asked & _ANY or given & asked)


class _Checker:
    """Checks nodes depth first, each once."""

    def __init__(self, prompt: Prompt, classes: Mapping[str, type[ComfyNode]], prompt_id: str):
        self.prompt, self.classes, self.prompt_id = prompt, classes, prompt_id
        self.errors: dict[str, list[dict]] = {}  # node id -> its own errors; nodes below a bad one have none of their own
        self.valid: dict[str, bool] = {}
        self.path: list[str] = []

    async def node(self, node_id: str) -> bool:
        """Whether a node and all it needs are in order."""
        if node_id in self.valid:
            return self.valid[node_id]
        if node_id in self.path:
            return self._cycle(node_id)
        errors, upstream = await self._inputs(node_id)
        known = self.errors.setdefault(node_id, [])
        known += [item for item in errors if item not in known]
        self.valid[node_id] = upstream and not known
        return self.valid[node_id]

    def fail(self, node_id: str, where: str, error: Exception, **extra: Any) -> None:
        """Marks a node whose check itself broke. where: "" or "_inner"."""
        self.valid[node_id] = False
        self.errors[node_id] = [
            problem(f"exception_during{where}_validation", f"Exception when validating{where.replace('_', ' ')} node", str(error),
                    exception_type=full_type_name(type(error)), traceback=traceback.format_tb(error.__traceback__), **extra)]

    def _cycle(self, node_id: str) -> bool:
        loop = [*self.path[self.path.index(node_id):], node_id]
        path = " -> ".join(f"{item} ({self.prompt[item]['class_type']})" for item in loop)
        members = list(dict.fromkeys(loop))
        for item in members:
            self.errors.setdefault(item, []).append(
                problem("dependency_cycle", "Dependency cycle detected", path, node_id=item, cycle_nodes=members))
        return False

    async def _inputs(self, node_id: str) -> tuple[list[dict], bool]:
        """(errors of this node, whether everything upstream is in order)."""
        node = self.prompt[node_id]
        node_class, inputs = self.classes[node["class_type"]], node["inputs"]
        live = open_inputs(node_class.INPUT_TYPES(), inputs)
        own_check = real_override(node_class, "validate_inputs")
        spec = inspect.getfullargspec(own_check) if own_check else None
        checked, checks_all = (spec.args, spec.varkw is not None) if spec else ([], False)
        errors, upstream, received = [], True, {}
        for category in ("required", "optional"):
            for name in live.table[category]:
                if name not in inputs:
                    errors += [_required(name, live)] if category == "required" else []
                elif isinstance(inputs[name], list):
                    error, in_order = await self._link(node_id, name, live, received, "input_types" in checked)
                    errors += [error] if error else []
                    upstream = upstream and in_order
                else:
                    error = check_value(inputs, name, live, own_check=name in checked or checks_all)
                    errors += [error] if error else []
        if len(checked) > 1 or checks_all:  # the first argument is cls
            errors += await self._own_check(node_id, node_class, set(checked), checks_all, received)
        return errors, upstream

    async def _link(self, node_id: str, name: str, live: LiveInputs, received: dict, own_types: bool) -> tuple[dict | None, bool]:
        """A linked input: (error here, whether the source is in order)."""
        value = self.prompt[node_id]["inputs"][name]
        wanted, _, options = live.find(name)
        info = (wanted, options)
        if len(value) != 2:
            return problem("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", name,
                           input_name=name, input_config=info, received_value=value), True
        source = self.classes[self.prompt[value[0]]["class_type"]]
        kind = source.FINALIZE_SCHEMA().outputs[value[1]].io_type
        received[name] = kind
        if not own_types and not types_fit(kind, wanted):
            return problem("return_type_mismatch", "Return type mismatch between linked nodes",
                           f"{name}, received_type({kind}) mismatch input_type({wanted})",
                           input_name=name, input_config=info, received_type=kind, linked_node=value), True
        self.path.append(node_id)
        try:
            return None, await self.node(value[0])
        except Exception as error:  # a broken definition or link is that node's error, as in ComfyUI
            self.fail(value[0], "_inner", error, input_name=name, input_config=info, exception_message=str(error),
                      linked_node=value)
            return None, False
        finally:
            self.path.pop()

    async def _own_check(self, node_id: str, node_class: type[ComfyNode], names: set[str], all_names: bool,
                     received: dict) -> list[dict]:
        """The node's own validate_inputs: its complaint is attached to every input it names and has."""
        call = collect(node_class, node_id, self.prompt[node_id]["inputs"], lambda *_: None)
        shown = set(call.values) if all_names else names & set(call.values)
        if "input_types" in names:
            call.values["input_types"] = [received]
            shown.add("input_types")
        answers = await map_node(node_class, "validate_inputs", call, (self.prompt_id, node_id), names=shown)
        answers = [await item if inspect.isawaitable(item) else item for item in answers]
        bad = [item for item in answers if item is not True and not isinstance(item, ExecutionBlocker)]
        return [problem("custom_validation_failed", "Custom validation failed for node",
                        name if item is False else f"{name} - {item}", input_name=name)
                for name in call.values if name in shown for item in bad]


def _required(name: str, live: LiveInputs) -> dict[str, Any]:
    details = name.split(".")[-1] if live.paths else name
    return problem("required_input_missing", "Required input is missing", details, input_name=name)


def check_value(inputs: dict[str, Any], name: str, live: LiveInputs, own_check: bool) -> dict[str, Any] | None:
    """A widget's value: converts it in place, then range and choices, unless the node checks this input itself."""
    kind, _, options = live.find(name)
    value = inputs[name]
    if isinstance(value, dict) and "__value__" in value:  # how the page sends a list that is no link
        value = inputs[name] = value["__value__"]
    about = {"input_name": name, "input_config": (kind, options)}
    try:
        value = inputs[name] = _CONVERT.get(kind, lambda same: same)(value)
    except (TypeError, ValueError, OverflowError) as error:
        return problem("invalid_input_type", f"Failed to convert an input value to a {kind} value", f"{name}, {value}, {error}",
                       **about, received_value=value, exception_message=str(error))
    if own_check:
        return None
    about["received_value"] = value
    if "min" in options and value < options["min"]:
        return problem("value_smaller_than_min", f"Value {value} smaller than min of {options['min']}", name, **about)
    if "max" in options and value > options["max"]:
        return problem("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name, **about)
    return _check_choice(kind, options, name, value, about) if kind == "COMBO" else None


def _check_choice(kind: str, options: dict, name: str, value: Any, about: dict) -> dict[str, Any] | None:
    choices = options.get("options", [])
    several = options.get("multiselect", False) and isinstance(value, list)
    unknown = [item for item in (value if several else [value]) if item not in choices]
    if not unknown:
        return None
    long = len(choices) > _LONG_LIST
    shown = f"(list of length {len(choices)})" if long else str(choices)
    return problem("value_not_in_list", "Value not in list", f"{name}: {', '.join(map(repr, unknown))} not in {shown}",
                   **{**about, "input_config": None if long else (kind, options)})
