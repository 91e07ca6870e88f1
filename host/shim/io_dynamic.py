"""Inputs that depend on others: DynamicCombo (a choice that opens further inputs) and MatchType (sockets that agree).

API form: `"size": "custom", "size.width": 96`. `execute` receives `size={"size": "custom", "width": 96}` (docs/comfyui.md).
Autogrow and DynamicSlot are not here: the pack does not use them.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .io_base import ComfyType, Input, Output, comfytype, named_type, without_none

AnyType = named_type("AnyType", "*")


def input_dict(inputs: list[Input]) -> dict[str, dict[str, tuple]]:
    """Inputs in the form of /object_info: {"required": {id: (type, options)}, "optional": {...}}."""
    table: dict[str, dict[str, tuple]] = {"required": {}}
    for item in inputs:
        options = item.as_dict()
        options.pop("optional", None)
        table.setdefault("optional" if item.optional else "required", {})[item.id] = (item.get_io_type(), options)
    return table


@comfytype("COMFY_DYNAMICCOMBO_V3")
class DynamicCombo(ComfyType):
    """A choice, each option of which brings its own inputs."""

    class Option:
        """One choice and the inputs it opens."""

        def __init__(self, key: str, inputs: list[Input]):
            self.key, self.inputs = key, inputs

        def as_dict(self) -> dict[str, Any]:
            return {"key": self.key, "inputs": input_dict(self.inputs)}

    class Input(Input):
        def __init__(self, id: str, options: list[DynamicCombo.Option], display_name: str | None = None, optional: bool = False,
                     tooltip: str | None = None, lazy: bool | None = None, extra_dict: dict | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)
            self.options = options

        def get_all(self) -> list[Input]:
            return [self, *(item for option in self.options for item in option.inputs)]

        def as_dict(self) -> dict[str, Any]:
            return {**super().as_dict(), "options": [option.as_dict() for option in self.options]}

        def validate(self) -> None:
            for item in self.get_all()[1:]:
                item.validate()


@comfytype("COMFY_MATCHTYPE_V3")
class MatchType(ComfyType):
    """Sockets of one template carry the same type; the page enforces it, the server does not."""

    class Template:
        """A name shared by the sockets that must agree, and the types allowed."""

        def __init__(self, template_id: str, allowed_types: Any = AnyType):
            self.template_id = template_id
            self.allowed_types = list(allowed_types) if isinstance(allowed_types, (list, tuple)) else [allowed_types]

        def as_dict(self) -> dict[str, str]:
            return {"template_id": self.template_id, "allowed_types": ",".join(kind.io_type for kind in self.allowed_types)}

    class Input(Input):
        def __init__(self, id: str, template: MatchType.Template, display_name: str | None = None, optional: bool = False,
                     tooltip: str | None = None, lazy: bool | None = None, extra_dict: dict | None = None,
                     raw_link: bool | None = None, advanced: bool | None = None):
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, raw_link, advanced)
            self.template = template

        def as_dict(self) -> dict[str, Any]:
            return {**super().as_dict(), **without_none(template=self.template.as_dict())}

    class Output(Output):
        def __init__(self, template: MatchType.Template, id: str | None = None, display_name: str | None = None,
                     tooltip: str | None = None, is_output_list: bool = False):
            super().__init__(id, display_name or (None if id else "MATCHTYPE"), tooltip, is_output_list)
            self.template = template


@dataclass
class LiveInputs:
    """A node's inputs once the chosen options of its DynamicCombos are opened."""

    # category -> flat id -> (type, options)
    table: dict[str, dict[str, tuple]] = field(default_factory=lambda: {"required": {}, "optional": {}})
    paths: dict[str, str] = field(default_factory=dict)  # flat id -> dotted place in what execute receives

    def find(self, name: str) -> tuple[str | None, str | None, dict]:
        """(type, category, options) of an input, (None, None, {}) where the node has none of that name."""
        for category in ("required", "optional"):
            if name in self.table[category]:
                entry = self.table[category][name]
                return entry[0], category, entry[1] if len(entry) > 1 else {}
        return None, None, {}


def open_inputs(table: dict[str, dict[str, tuple]], values: dict[str, Any]) -> LiveInputs:
    """The inputs that exist for these values. `table` is the form of /object_info, `values` the prompt's flat inputs."""
    live = LiveInputs()
    _open(live, {key: part for key, part in table.items() if key != "hidden"}, values, ())
    return live


def _open(live: LiveInputs, table: dict, values: dict[str, Any], prefix: tuple[str, ...]) -> None:
    for category, part in table.items():
        for name, entry in part.items():
            place = (*prefix, name)
            flat = ".".join(place)
            if entry[0] != DynamicCombo.io_type:
                live.table[category][flat] = entry
                if prefix:
                    live.paths[flat] = flat
                continue
            chosen = [option for option in entry[1]["options"] if flat in values and option["key"] == values[flat]]
            if chosen:  # an unset or unknown key leaves the input out altogether, as ComfyUI does
                _open(live, chosen[0]["inputs"], values, place)
                live.table[category][flat] = entry
                live.paths[flat] = ".".join((*place, name))


def nest(values: dict[str, Any], paths: dict[str, str], with_keys: bool = False) -> dict[str, Any]:
    """Flat values as execute wants them. with_keys (for check_lazy_status): every dynamic value becomes (value, flat id)."""
    flat = dict(values)
    nested: dict[str, Any] = {}
    for key, path in paths.items():
        *groups, leaf = path.split(".")
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        value = flat.pop(key, None)
        inner[leaf] = (value, key) if with_keys else value
    return {**flat, **nested}
