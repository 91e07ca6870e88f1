"""An API-form prompt as the page's form, version 0.4."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pack import ROOT
from talking_heads.host.workflow import extra_slots, has_widget

from .layout import NOTE, Box, Plan, frames, place
from .routes import Point, behind, routes
from .sizes import SLOT, input_height, least_height, sockets, specs

# player and upload button: only the page knows of them
PAGE_WIDGETS = {"LoadAudio": [None, None], "LoadVideo": ["image"], "LoadImage": ["image"]}
CORE_PACK = "comfy-core"


def registry_id() -> str:
    """The name under which the registry knows the pack."""
    lines = (ROOT / "pyproject.toml").read_text("utf8").partition("[project]")[2].splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("name = "))


def page_form(prompt: Mapping[str, Any], info: Mapping[str, Any], note: str, plan: Plan) -> dict[str, Any]:
    """A workflow of version 0.4.

    Args:
        info: /object_info.
        note: Markdown of the note; "" for none.
    """
    nodes = {node_id: page_node(int(node_id), node, info[node["class_type"]]) for node_id, node in prompt.items()}
    links = link(prompt, nodes)
    kinds = {node_id: node["class_type"] for node_id, node in prompt.items()}
    least = {node_id: least_height(kind, info.get(kind, {})) for node_id, kind in kinds.items()}
    boxes = place(plan, {**kinds, NOTE: "MarkdownNote"}, least, note)
    for order, node_id in enumerate(in_order(prompt)):
        nodes[node_id] |= {"pos": _ints(boxes[node_id].x, boxes[node_id].y), "order": order,
                           "size": _ints(boxes[node_id].width, boxes[node_id].height)}
    made = list(nodes.values())
    last = max(map(int, nodes))
    if note:
        made.append(_note(last + 1, boxes[NOTE], note))
    bends = reroutes(links, nodes, plan, boxes, {node_id: info[kind] for node_id, kind in kinds.items()})
    return {"last_node_id": last + bool(note), "last_link_id": len(links), "nodes": made, "links": links,
            "groups": frames(plan, boxes), "config": {}, "extra": bends, "version": 0.4}


def _ints(*values: float) -> list[int]:
    return [round(value) for value in values]


def _note(node_id: int, box: Box, text: str) -> dict[str, Any]:
    return {"id": node_id, "type": "MarkdownNote", "pos": _ints(box.x, box.y), "size": _ints(box.width, box.height), "flags": {},
            "order": 0, "mode": 0, "inputs": [], "outputs": [], "title": "How to", "properties": {}, "widgets_values": [text]}


def page_node(node_id: int, node: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """A node without place or links: sockets first, then the widgets' own sockets, as the page saves them."""
    known, optional = specs(info), info["input"].get("optional", {})
    slots = [{"name": name, "type": known[name][0], "link": None, **({"shape": 7} if name in optional else {})}
             for name in sockets(info)]
    slots += [{"name": name, "type": known[name][0], "widget": {"name": name}, "link": None}  # a widget that a link sets
              for name, value in node["inputs"].items() if isinstance(value, list) and has_widget(*known[name][:2])]
    core = info["category"].partition("/")[0] != "Talking Heads"
    title = node.get("_meta", {}).get("title")
    return {
        "id": node_id, "type": node["class_type"], "pos": [0, 0], "size": [0, 0], "flags": {}, "order": 0, "mode": 0,
        "inputs": slots,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in zip(info["output_name"], info["output"])],
        **({"title": title} if title and title != info["display_name"] else {}),  # the page knows the others' in every language
        "properties": {"Node name for S&R": node["class_type"], "cnr_id": CORE_PACK if core else registry_id()},
        "widgets_values": widget_row(node, known),
    }


def widget_row(node: Mapping[str, Any], known: Mapping[str, list]) -> list[Any]:
    """The widgets' values by position."""
    values: list[Any] = []
    for name, spec in known.items():
        if has_widget(spec[0], spec[1]) and not spec[1].get("hidden"):
            value = node["inputs"].get(name, spec[1].get("default"))  # inputs added since may be left out: they are optional
            values.append(spec[1].get("default") if isinstance(value, list) else value)
            if spec[0] == "COMFY_DYNAMICCOMBO_V3":  # its own inputs follow; core's Save Video has one
                values.append(node["inputs"]["codec"])
            values += ["fixed"] * extra_slots(name, spec[0], spec[1])
    return values + PAGE_WIDGETS.get(node["class_type"], [])


def link(prompt: Mapping[str, Any], nodes: Mapping[str, dict]) -> list[list]:
    """The links [id, source, its socket, target, its socket, type]; marks the sockets."""
    links: list[list] = []
    for node_id, node in prompt.items():
        for slot, socket in enumerate(nodes[node_id]["inputs"]):
            value = node["inputs"].get(socket["name"])
            if isinstance(value, list) and value[0] in nodes:
                output = nodes[value[0]]["outputs"][value[1]]
                socket["link"] = len(links) + 1
                output["links"].append(socket["link"])
                links.append([socket["link"], int(value[0]), value[1], int(node_id), slot, output["type"]])
    return links


def in_order(prompt: Mapping[str, Any]) -> list[str]:
    """Node ids, sources before their readers."""
    depth: dict[str, int] = {}

    def of(node_id: str) -> int:
        if node_id not in depth:
            sources = [value[0] for value in prompt[node_id]["inputs"].values() if isinstance(value, list) and value[0] in prompt]
            depth[node_id] = 1 + max(map(of, sources), default=-1)
        return depth[node_id]

    return sorted(prompt, key=lambda node_id: (of(node_id), int(node_id)))


def ends(one: Sequence[Any], nodes: Mapping[str, dict], boxes: Mapping[str, Box],
         infos: Mapping[str, Mapping[str, Any]]) -> tuple[Point, Point]:
    """Where a link starts and ends on the page."""
    _, source, output, target, slot, _ = one
    start, end = boxes[str(source)], boxes[str(target)]
    return ((start.right, start.y + SLOT * (output + 0.7)),
            (end.x, end.y + input_height(nodes[str(target)]["inputs"][slot]["name"], infos[str(target)])))


def reroutes(links: Sequence[Sequence[Any]], nodes: Mapping[str, dict], plan: Plan, boxes: Mapping[str, Box],
             infos: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Bends for the links that would run behind other nodes, as `extra` saves them; links of one output share theirs."""
    columns = [[boxes[node] for node in members] for members in plan.columns]
    at = {node: i for i, members in enumerate(plan.columns) for node in members}
    made: dict[tuple, dict] = {}
    ended: list[dict] = []
    lanes: dict[tuple, int] = {}
    for one in links:
        source, target = str(one[1]), str(one[3])
        start, end = ends(one, nodes, boxes, infos)
        if not behind([start, end], boxes, (source, target)):
            continue
        parent: int | None = None
        lane = lanes.setdefault((source, one[2]), len(lanes))
        ways = routes(start, end, columns[at[source]:at[target] + 1], lane)
        for bend in min(ways, key=lambda way: len(behind([start, *way, end], boxes, (source, target)))):
            key = (source, one[2], parent, bend)
            known = made.setdefault(key, {"id": len(made) + 1, **({"parentId": parent} if parent else {}), "pos": list(bend),
                                          "linkIds": []})
            known["linkIds"].append(one[0])
            parent = known["id"]
        ended.append({"id": one[0], "parentId": parent})
    return {"reroutes": list(made.values()), "linkExtensions": ended} if made else {}
