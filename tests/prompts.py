"""Prompts written by hand, and what tests look at when they have run: for tests of nodes on the small host."""
from __future__ import annotations

from importlib import import_module


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def changed(entry: dict, **inputs) -> dict:
    """A node of a prompt with other inputs."""
    return {**entry, "inputs": {**entry["inputs"], **inputs}}


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


def giver(host) -> dict:
    """Registers the node Give, which hands out values of the returned dictionary by name."""
    from talking_heads.host.shim import io

    values: dict = {}

    class Give(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Give", inputs=[io.String.Input("name")], outputs=[io.AnyType.Output("value")])

        @classmethod
        def execute(cls, name):
            return io.NodeOutput(values[name])

    host.classes["Give"] = Give
    return values


def own(host, name: str):
    """A module of the pack under the name the host gave it: its classes are those that the nodes know."""
    return import_module(f"{host.packs[0].module.__name__}.{name}")


def give(name: str) -> dict:
    return node("Give", name=name)


def keep(source, socket=0):
    return node("Keep", value=[source, socket])


def ok(result):
    assert result.status == "success", (result.error or {}).get("exception_message")
    return result


def failure(result) -> str:
    assert result.status == "error"
    return result.error["exception_message"]
