"""ComfyUI's node that shows any value as text: PreviewAny. V1 in ComfyUI, V3 here: same id, input and output."""
from __future__ import annotations

import json
from typing import Any

from . import io


class PreviewAny(io.ComfyNode):
    """Any value as text, on the node and as an output."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="PreviewAny", display_name="Preview as Text", category="utilities",
                         description="Preview any input value as text.",
                         search_aliases=["show output", "inspect", "debug", "print value", "show text"],
                         inputs=[io.AnyType.Input("source")], outputs=[io.String.Output()], is_output_node=True)

    @classmethod
    def execute(cls, source: Any = None) -> io.NodeOutput:
        text = as_text(source)
        return io.NodeOutput(text, ui={"text": (text,)})


def as_text(value: Any) -> str:
    """Text as it is, plain data as JSON, anything else as Python prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list, tuple)):
        try:
            return json.dumps(value, indent=4, ensure_ascii=False)
        except (TypeError, ValueError):
            return str(value)
    return str(value)


NODES = (PreviewAny,)
