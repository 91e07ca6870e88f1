"""Workflows with subgraphs, flattened as the page does it: the nodes inside get the ids "outer:inner".

The sockets of a subgraph become reroutes. A promoted widget's value is kept on the subgraph's node and goes to the node inside:
by `proxyWidgets` ([inner id, widget] in the order of the values), or in the order of the promoted inputs.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .workflow_error import WorkflowError

PROMOTED = "promoted"  # of a flattened node: widget values that the subgraph's node sets
_MUTED, _BYPASSED = 2, 4
_INPUTS, _OUTPUTS = -10, -20  # ids that the page gives a subgraph's own sockets
_DEEPEST = 50
_MOST = 100_000  # nodes, when all subgraphs are opened


def flattened(workflow: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same workflow without subgraphs; one without any comes back as it is.

    Raises:
        WorkflowError: a subgraph that contains itself, or subgraphs of too many nodes.
    """
    definitions = dict(_definitions(workflow))
    if not any(node["type"] in definitions or PROMOTED in node for node in workflow["nodes"]):
        return workflow
    flat = _Flat(definitions)
    flat.add(workflow, (), {}, ())
    return {**workflow, "nodes": flat.nodes, "links": flat.links, "definitions": {}}


def _definitions(graph: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in (graph.get("definitions") or {}).get("subgraphs") or []:
        yield item["id"], item
        yield from _definitions(item)


def link_parts(link: Any) -> list[Any]:
    """[id, source, its socket, target, its socket, type] of a link in either of its forms."""
    if isinstance(link, list):
        return link[:6]
    return [link["id"], link["origin_id"], link["origin_slot"], link.get("target_id"), link.get("target_slot"),
            link.get("type", "*")]


class _Flat:
    """What has been flattened so far: nodes and links of all levels."""

    def __init__(self, definitions: Mapping[str, Mapping[str, Any]]):
        self.definitions = definitions
        self.nodes: list[dict] = []
        self.links: list[list] = []
        self.size = 0  # nodes in what was opened

    def add(self, graph: Mapping[str, Any], path: tuple, promoted: Mapping[str, Mapping[str, Any]],
            within: Sequence[str]) -> None:
        """Adds one level.

        Args:
            path: ids of the subgraph nodes around it.
            promoted: values that they set: widget by inner node.
            within: the subgraphs that are being added.
        """
        opened = {node["id"] for node in graph["nodes"] if self._opens(node)}
        links = [link_parts(link) for link in graph.get("links") or []]
        for link_id, source, slot, target, target_slot, kind in links:
            if source in opened:
                source, slot = (*_path(path, source), f"out{slot}"), 0
            elif source == _INPUTS and path:
                source, slot = (*path, f"in{slot}"), 0
            self.links.append([_name(path, link_id), _joined(source, path), slot, _name(path, target), target_slot, kind])
        for node in graph["nodes"]:
            values = promoted.get(str(node["id"]), {})
            if self._opens(node):
                self._open(node, path, values, within)
            else:
                self.nodes.append({**node, "id": _name(path, node["id"]), "inputs": _renamed(node.get("inputs"), path),
                                   PROMOTED: values})
        if path:
            self._outputs(graph, path, links)

    def _opens(self, node: Mapping[str, Any]) -> bool:
        return node["type"] in self.definitions and node.get("mode", 0) not in (_MUTED, _BYPASSED)

    def _open(self, node: Mapping[str, Any], path: tuple, values: Mapping[str, Any], within: Sequence[str]) -> None:
        """Puts a subgraph's content in the place of its node."""
        definition = self.definitions[node["type"]]
        if node["type"] in within or len(within) > _DEEPEST:
            named = node.get("title") or definition.get("name") or node["type"]
            raise WorkflowError(f"A subgraph must not contain itself. Got: '{named}' within itself. Open it in ComfyUI, take out "
                                "the node of the same subgraph, and save again.")
        self.size += 1 + len(definition["nodes"])
        if self.size > _MOST:
            raise WorkflowError(f"A workflow must have at most {_MOST} nodes, those in subgraphs counted each time. Got: more. "
                                "Use fewer subgraphs within each other.")
        inside = _path(path, node["id"])
        linked = {socket["name"]: socket.get("link") for socket in node.get("inputs") or []}
        for slot, socket in enumerate(definition.get("inputs") or []):
            source = linked.get(socket["name"])
            self.nodes.append(_reroute((*inside, f"in{slot}"), None if source is None else _name(path, source)))
        self.add(definition, inside, _inner_values(node, definition, values), (*within, node["type"]))

    def _outputs(self, graph: Mapping[str, Any], path: tuple, links: Sequence[Sequence[Any]]) -> None:
        feeding = {link[4]: link[0] for link in links if link[3] == _OUTPUTS}
        for slot in range(len(graph.get("outputs") or [])):
            source = feeding.get(slot)
            self.nodes.append(_reroute((*path, f"out{slot}"), None if source is None else _name(path, source)))


def _inner_values(node: Mapping[str, Any], definition: Mapping[str, Any],
                  values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Widget values that a subgraph's node sets: by inner node and widget.

    Args:
        values: by name of the subgraph's own inputs, set from further out.
    """
    found: dict[str, dict[str, Any]] = {}
    targets = _targets(definition)
    own = node.get("widgets_values") or []
    proxies = (node.get("properties") or {}).get("proxyWidgets") or []
    names = [socket["name"] for socket in node.get("inputs") or [] if socket.get("widget")]
    named = node.get("widgets_values_named")
    if isinstance(named, dict):
        pairs = [("-1", name, value) for name, value in named.items()]
    elif proxies and isinstance(own, list):
        pairs = [(str(pair[0]), pair[1], value) for pair, value in zip(proxies, own)]
    else:
        pairs = [("-1", name, value) for name, value in zip(names, own)]
    for inner, name, value in [*pairs, *(("-1", name, value) for name, value in values.items())]:
        if value is None:
            continue
        fed = [ends for ends in targets.values() if (inner, name) in ends]  # one of several that an input of the subgraph feeds
        for target, widget in (targets.get(name, []) if inner == "-1" else fed[0] if fed else [(inner, name)]):
            found.setdefault(target, {})[widget] = value
    return found


def _targets(definition: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """(inner node, its input) that each of a subgraph's inputs leads to."""
    nodes = {node["id"]: node for node in definition["nodes"]}
    sockets = definition.get("inputs") or []
    found: dict[str, list[tuple[str, str]]] = {}
    for _, source, slot, target, target_slot, _ in map(link_parts, definition.get("links") or []):
        inputs = nodes[target].get("inputs") or [] if target in nodes else []
        if source == _INPUTS and 0 <= slot < len(sockets) and target_slot is not None and 0 <= target_slot < len(inputs):
            found.setdefault(sockets[slot]["name"], []).append((str(target), inputs[target_slot]["name"]))
    return found


def _path(path: tuple, node_id: Any) -> tuple:
    return (*path, str(node_id))


def _joined(node_id: Any, path: tuple) -> Any:
    return ":".join(node_id) if isinstance(node_id, tuple) else _name(path, node_id)


def _name(path: tuple, own_id: Any) -> Any:
    """An id at its level; those of the outermost stay as they are."""
    return ":".join((*path, str(own_id))) if path else own_id


def _renamed(sockets: Sequence[Mapping[str, Any]] | None, path: tuple) -> list[dict]:
    return [{**socket, "link": None if socket.get("link") is None else _name(path, socket["link"])} for socket in sockets or []]


def _reroute(path: tuple, link: Any) -> dict[str, Any]:
    return {"id": ":".join(path), "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": link}]}
