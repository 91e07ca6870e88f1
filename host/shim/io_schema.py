"""A node's definition and class: Hidden, Schema, ComfyNode, NodeOutput, NodeReplace.

`ComfyNode` here holds only what a pack may call; running one is the executor's business (`host.nodecall`).
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .context import ExecutionBlocker
from .io_base import Input, Output
from .io_dynamic import DynamicCombo, MatchType, input_dict


class Hidden(str, Enum):
    """What a node may ask for without showing it."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class HiddenHolder:
    """The hidden values of one call, as attributes; what was not asked for reads as None."""

    def __init__(self, values: dict[Hidden, Any] | None = None):
        self.__dict__.update({key.name: value for key, value in (values or {}).items()})

    def __getattr__(self, name: str) -> Any:
        return None


@dataclass
class Schema:
    """A node's definition. Fields, their names and defaults are those of ComfyUI 0.19 (the pack's floor)."""

    node_id: str  # unique for ever
    display_name: str | None = None  # what the page shows
    category: str = "sd"  # place in the menu
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_input_list: bool = False  # every input arrives as a list, once
    is_output_node: bool = False  # what a prompt is run for
    is_deprecated: bool = False
    is_experimental: bool = False
    is_dev_only: bool = False
    is_api_node: bool = False
    price_badge: Any = None
    not_idempotent: bool = False  # equal inputs on another node do not share a result
    enable_expand: bool = False
    accept_all_inputs: bool = False  # unknown inputs of the prompt are handed to execute
    essentials_category: str | None = None
    has_intermediate_output: bool = False  # its ui result is sent again when cached

    def validate(self) -> None:
        """Ids are unique.

        Raises:
            ValueError: naming the repeated ids.
        """
        plain = [item for top in self.inputs if not isinstance(top, DynamicCombo.Input) for item in top.get_all()]
        for kind, ids in (("Input", [item.id for item in plain]), ("Output", [item.id for item in self.outputs])):
            repeated = [name for name, count in Counter(ids).items() if count > 1]
            if repeated:
                raise ValueError(f"{kind} ids must be unique, but {repeated} are not.")
        for item in (*self.inputs, *self.outputs):
            item.validate()

    def finalize(self) -> None:
        """Output nodes always get prompt and extra_pnginfo; outputs without an id get one."""
        wanted = [Hidden.prompt, Hidden.extra_pnginfo] if self.is_output_node else []
        self.inputs, self.outputs = self.inputs or [], self.outputs or []
        self.hidden = [*(self.hidden or []), *(item for item in wanted if item not in (self.hidden or []))]
        for index, output in enumerate(self.outputs):
            output.id = output.id or f"_{index}_{output.io_type}_"

    def input_types(self) -> dict[str, dict[str, tuple]]:
        """Inputs and hidden ones in the form of /object_info."""
        table = input_dict(self.inputs)
        if self.hidden:
            table["hidden"] = {item.name: (item.value,) for item in self.hidden}
        return table

    def info(self, python_module: str | None) -> dict[str, Any]:
        """This node's entry of /object_info (ComfyUI 0.33)."""
        table = self.input_types()
        matches = [item.template.template_id if isinstance(item, MatchType.Output) else None for item in self.outputs]
        return {
            "input": table, "input_order": {key: list(part) for key, part in table.items()}, "is_input_list": self.is_input_list,
            "output": [item.io_type for item in self.outputs], "output_is_list": [item.is_output_list for item in self.outputs],
            "output_name": [item.display_name or item.io_type for item in self.outputs],
            "output_tooltips": [item.tooltip or None for item in self.outputs],
            "output_matchtypes": matches if any(matches) else None,
            "name": self.node_id, "display_name": self.display_name, "description": self.description,
            "python_module": python_module, "category": self.category, "output_node": self.is_output_node,
            "deprecated": self.is_deprecated,
            "experimental": self.is_experimental, "dev_only": self.is_dev_only, "api_node": self.is_api_node, "price_badge": None,
            "search_aliases": self.search_aliases or None, "essentials_category": self.essentials_category,
            "has_intermediate_output": self.has_intermediate_output,
        }


class ComfyNode:
    """Base of every node. Nodes are classes, never instances: all is a classmethod, and `cls.hidden` is set for each call."""

    RELATIVE_PYTHON_MODULE: str | None = None  # set when a pack is loaded
    SCHEMA: Schema | None = None  # set by GET_SCHEMA
    hidden: HiddenHolder | None = None  # set on the clone a call runs on

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, *args: Any, **kwargs: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, *args: Any, **kwargs: Any) -> bool | str:
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def check_lazy_status(cls, **kwargs: Any) -> list[str]:
        return [name for name, value in kwargs.items() if value is None]

    @classmethod
    def FINALIZE_SCHEMA(cls) -> Schema:
        """A fresh definition; called again for each use, so that choices such as file lists are current."""
        schema = cls.define_schema()
        schema.finalize()
        return schema

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The checked definition.

        Raises:
            Exception: when define_schema or execute is missing; ValueError: when ids repeat.
        """
        for needed in ("define_schema", "execute"):
            if real_override(cls, needed) is None:
                raise Exception(f"No {needed} function was defined for node class {cls.__name__}.")
        cls.SCHEMA = cls.FINALIZE_SCHEMA()
        cls.SCHEMA.validate()
        return cls.SCHEMA

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict]:
        return cls.FINALIZE_SCHEMA().input_types()

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        return cls.GET_SCHEMA().info(cls.RELATIVE_PYTHON_MODULE)


def real_override(cls: type[ComfyNode], name: str) -> Callable[..., Any] | None:
    """The classmethod `name` where the node itself (or a parent below ComfyNode) defines it, else None."""
    defined = any(name in parent.__dict__ for parent in cls.__mro__[: cls.__mro__.index(ComfyNode)])
    return getattr(cls, name) if defined else None


class NodeOutput:
    """What execute returns: one positional argument an output, and optionally something for the page."""

    def __init__(self, *args: Any, ui: Any = None, expand: dict | None = None, block_execution: str | None = None):
        self.args, self.ui, self.expand, self.block_execution = args, ui, expand, block_execution

    @property
    def result(self) -> tuple | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NodeOutput:
        result = data.get("result", ())
        if isinstance(result, ExecutionBlocker):
            return cls(block_execution=result.message)
        return cls(*result, ui=data.get("ui"), expand=data.get("expand"))


class NodeReplace:
    """How the page turns a removed node into its successor."""

    def __init__(self, new_node_id: str, old_node_id: str, old_widget_ids: list[str] | None = None,
                 input_mapping: list[dict] | None = None, output_mapping: list[dict] | None = None):
        self.new_node_id, self.old_node_id, self.old_widget_ids = new_node_id, old_node_id, old_widget_ids
        self.input_mapping, self.output_mapping = input_mapping, output_mapping

    def as_dict(self) -> dict[str, Any]:
        return {"new_node_id": self.new_node_id, "old_node_id": self.old_node_id, "old_widget_ids": self.old_widget_ids,
                "input_mapping": self.input_mapping or None, "output_mapping": self.output_mapping or None}
