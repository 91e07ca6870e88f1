"""Subgraph blueprints: parts of the shipped workflows as one node each, to drop into another graph."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pack import label

from .layout import Box, Plan, place
from .page_form import in_order, link, page_node, registry_id, reroutes, widget_row
from .sizes import SLOT, TITLE, WIDGET, WIDGET_2, least_height, specs

_INPUTS, _OUTPUTS = -10, -20  # ids that the page gives a subgraph's own sockets
CATEGORY = "Talking Heads"


@dataclass(frozen=True)
class Socket:
    """An input of the subgraph, or one of its outputs: its name and the sockets inside that it stands for."""

    name: str
    inside: Sequence[tuple[str, str]]  # (node id, input); of an output: (node id, output)


@dataclass(frozen=True)
class Blueprint:
    """A part of a workflow as one node."""

    title: str
    workflow: str  # whose nodes it takes
    description: str
    aliases: Sequence[str]
    plan: Plan
    inputs: Sequence[Socket]
    outputs: Sequence[Socket]


BLUEPRINTS = (
    Blueprint("Speech to avatar video", "avatar_speech_to_video",
              "An avatar speaks: audio in, video with that audio out. Choose the avatar on the node.",
              ["talking head", "lip sync", "talking avatar", "audio to video", "HM-Talker"],
              Plan([["3", "2"], ["4"], ["5"]], {}),
              [Socket("audio", [("2", "audio"), ("5", "audio")]), Socket("avatar_name", [("3", "avatar_name")]),
               Socket("lip_gain", [("4", "lip_gain")]), Socket("blinks", [("4", "blinks")]), Socket("seed", [("4", "seed")])],
              [Socket("video", [("5", "video")])]),
    Blueprint("Portrait to video", "portrait_to_talking_video",
              "A portrait speaks: an image and audio in, video with that audio out.",
              ["talking head", "lip sync", "talking portrait", "image and audio to video", "MoDiTalker"],
              Plan([["6", "7", "3"], ["8"], ["10"]], {}),
              [Socket("image", [("6", "image"), ("10", "portrait")]), Socket("audio", [("7", "audio"), ("10", "audio")]),
               Socket("atom_name", [("3", "atom_name")]), Socket("motion_seed", [("8", "seed")]),
               Socket("life", [("10", "life")]), Socket("video_seed", [("10", "seed")])],
              [Socket("video", [("10", "video")]), Socket("landmarks", [("8", "motion")])]),
    Blueprint("Video to avatar", "video_to_avatar",
              "A video of one person talking becomes an avatar, which is saved under the name. Look at the report.",
              ["train avatar", "talking head", "personal avatar", "HM-Talker", "dataset"],
              Plan([["2"], ["4"]], {}),
              [Socket("video", [("2", "video")]), Socket("name", [("2", "name"), ("4", "name")]), Socket("size", [("2", "size")]),
               Socket("preset", [("4", "preset")]), Socket("steps", [("4", "steps")])],
              [Socket("avatar", [("4", "avatar")]), Socket("report", [("2", "preview")])]),
    Blueprint("Edit motion", "portrait_edited_motion_to_video",
              "Smooths a motion and opens the mouth more or less: landmarks in, landmarks out.",
              ["smooth landmarks", "scale mouth", "lip gain", "landmarks"],
              Plan([["9"], ["10"]], {}),
              [Socket("landmarks", [("9", "landmarks")]), Socket("rest", [("10", "rest")]), Socket("cutoff", [("9", "cutoff")]),
               Socket("factor", [("10", "factor")])],
              [Socket("landmarks", [("10", "landmarks")])]),
)


def blueprint_file(one: Blueprint, prompt: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """The blueprint as a workflow of version 0.4 with the subgraph's node alone in it."""
    definition = _definition(one, prompt, info)
    widgets = [socket for socket in one.inputs if _is_widget(socket, definition)]
    inputs = [{"name": item["name"], "type": item["type"], **({"label": item["label"]} if "label" in item else {}),
               **({"widget": {"name": item["name"]}} if socket in widgets else {}), "link": None}
              for item, socket in zip(definition["inputs"], one.inputs)]
    rows = max(len(one.inputs) - len(widgets), len(one.outputs))
    height = SLOT * rows + WIDGET_2 * len(widgets) + 40
    node = {"id": 1, "type": definition["id"], "pos": [0, 0], "size": [300, height], "flags": {}, "order": 0, "mode": 0,
            "inputs": inputs,
            "outputs": [{"name": item["name"], "type": item["type"], "links": []} for item in definition["outputs"]],
            "title": one.title,
            "properties": {"proxyWidgets": [list(socket.inside[0]) for socket in widgets], "cnr_id": registry_id()},
            "widgets_values": []}
    return {"revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "groups": [],
            "definitions": {"subgraphs": [definition]}, "config": {},
            "extra": {"BlueprintDescription": one.description, "BlueprintSearchAliases": list(one.aliases)}, "version": 0.4}


def _is_widget(socket: Socket, definition: Mapping[str, Any]) -> bool:
    node_id, name = socket.inside[0]
    node = next(node for node in definition["nodes"] if str(node["id"]) == node_id)
    return any(item["name"] == name and "widget" in item for item in node["inputs"])


def _definition(one: Blueprint, prompt: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    infos = {node_id: info[prompt[node_id]["class_type"]] for column in one.plan.columns for node_id in column}
    inner = {node_id: {"class_type": prompt[node_id]["class_type"], "inputs": deepcopy(prompt[node_id]["inputs"])}
             for node_id in infos}
    rows = {node_id: widget_row(node, specs(infos[node_id])) for node_id, node in inner.items()}
    for slot, socket in enumerate(one.inputs):
        for node_id, name in socket.inside:
            inner[node_id]["inputs"][name] = [str(_INPUTS), slot]
    nodes = {node_id: page_node(int(node_id), node, infos[node_id]) for node_id, node in inner.items()}
    outer = [_input(socket, infos) for socket in one.inputs]
    links = link(inner, {**nodes, str(_INPUTS): {"outputs": outer}})
    boxes = _put(one, nodes, rows, {node_id: node["class_type"] for node_id, node in inner.items()}, infos)
    between = [item for item in links if item[1] != _INPUTS]
    bends = reroutes(between, nodes, one.plan, boxes, infos)
    parents = {item["id"]: {"parentId": item["parentId"]} for item in bends.get("linkExtensions", [])}
    results = [_output(socket, slot, infos, nodes, links) for slot, socket in enumerate(one.outputs)]
    for order, node_id in enumerate(in_order({key: {"inputs": inner[key]["inputs"]} for key in inner})):
        nodes[node_id]["order"] = order
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{registry_id()}/{one.title}")), "version": 1, "revision": 0, "config": {},
        "state": {"lastGroupId": 0, "lastNodeId": max(map(int, nodes)), "lastLinkId": len(links),
                  "lastRerouteId": len(bends.get("reroutes", []))},
        "name": one.title, "inputNode": _ends(_INPUTS, boxes, outer), "outputNode": _ends(_OUTPUTS, boxes, results),
        "inputs": [_saved(item, "links") for item in outer], "outputs": results, "widgets": [], "nodes": list(nodes.values()),
        "groups": [], "links": [{**dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"), item)),
                                 **parents.get(item[0], {})} for item in links],
        "reroutes": bends.get("reroutes", []), "extra": {}, "category": CATEGORY, "description": one.description}


def _saved(item: Mapping[str, Any], links: str) -> dict[str, Any]:
    return {**{key: value for key, value in item.items() if key != links}, "linkIds": item[links]}


def _input(socket: Socket, infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    node_id, name = socket.inside[0]
    spec = specs(infos[node_id])[name]
    shown = label(name, spec) if socket.name == name else socket.name.replace("_", " ")
    return {"id": str(uuid5(NAMESPACE_URL, f"{registry_id()}/{node_id}/{socket.name}/in")), "name": socket.name, "type": spec[0],
            **({"label": shown} if shown != socket.name else {}), "links": []}


def _output(socket: Socket, slot: int, infos: Mapping[str, Mapping[str, Any]], nodes: Mapping[str, dict],
            links: list[list]) -> dict[str, Any]:
    ((node_id, name),) = socket.inside
    index = infos[node_id]["output_name"].index(name)
    kind = infos[node_id]["output"][index]
    links.append([len(links) + 1, int(node_id), index, _OUTPUTS, slot, kind])
    nodes[node_id]["outputs"][index]["links"].append(len(links))
    return {"id": str(uuid5(NAMESPACE_URL, f"{registry_id()}/{node_id}/{socket.name}/out")), "name": socket.name, "type": kind,
            "linkIds": [len(links)]}


def _put(one: Blueprint, nodes: dict[str, dict], rows: Mapping[str, list], kinds: Mapping[str, str],
         infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Box]:
    boxes = place(one.plan, kinds, {node_id: least_height(kinds[node_id], infos[node_id]) for node_id in nodes}, "")
    for node_id, box in boxes.items():
        nodes[node_id] |= {"pos": [round(box.x), round(box.y)], "size": [round(box.width), round(box.height)],
                           "widgets_values": rows[node_id]}
    return boxes


def _ends(which: int, boxes: Mapping[str, Box], sockets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The frame of a subgraph's own sockets, beside its nodes."""
    left = -220 if which == _INPUTS else max(box.right for box in boxes.values()) + 100
    return {"id": which, "bounding": [left, -TITLE, 120, SLOT * len(sockets) + WIDGET + 16]}
