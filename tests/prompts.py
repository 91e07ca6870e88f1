"""Prompts written by hand, and what tests look at when they have run: for tests of nodes on the small host."""
from __future__ import annotations


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def collector(host):
    """Registers a node that takes anything and keeps it in the returned list."""
    from talking_heads.host.shim import io

    kept = []

    class Keep(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Keep", inputs=[io.AnyType.Input("value")], outputs=[], is_output_node=True)

        @classmethod
        def execute(cls, value):
            kept.append(value)
            return io.NodeOutput()

    host.classes["Keep"] = Keep
    return kept


def keep(source, socket=0):
    return node("Keep", value=[source, socket])


def ok(result):
    assert result.status == "success", (result.error or {}).get("exception_message")
    return result


def failure(result) -> str:
    assert result.status == "error"
    return result.error["exception_message"]
