"""Where nodes stand on the page, also while they run and show what they make."""
from __future__ import annotations

import ast
import json

import make_workflows
import pytest
from pack import ROOT

NAMES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
TITLE, SOCKET, WIDGET = 30, 20, 24  # px, of the page's classic nodes
LEAST = 220  # px that the page gives a preview at least, however low the node
WITHOUT = {"TalkingHead_EncodeSpeech", "TalkingHead_FacePasteBack"}  # tell how far they are, and show nothing


def grown(node: dict) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a node with its title, once it shows a preview that is as wide as it is."""
    sockets = [socket for socket in node["inputs"] if "widget" not in socket]
    taken = SOCKET * max(len(sockets), len(node["outputs"])) + WIDGET * len(node["widgets_values"])
    share = make_workflows.PREVIEWS.get(node["type"])
    preview = 0 if share is None else max(LEAST, share * node["size"][0] * 1.15)
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y + max(height, taken + preview)


@pytest.mark.parametrize("name", NAMES)
def test_no_node_covers_another_while_it_runs(name):
    nodes = json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf8"))["nodes"]
    boxes = {f"{node['type']} ({node['id']})": grown(node) for node in nodes}
    assert any(node["type"] in make_workflows.PREVIEWS for node in nodes)
    covering = [(a, b) for a, (left, top, right, bottom) in boxes.items() for b, (x, y, x_end, y_end) in boxes.items()
                if a < b and left < x_end and x < right and top < y_end and y < bottom]
    assert not covering


def test_every_node_that_previews_has_its_room_planned():
    """A node previews when it, or a function of nodes/ that it calls, makes a NodeReport."""
    trees = [ast.parse(path.read_text("utf8")) for path in (ROOT / "nodes").glob("*.py")]
    bodies = [node for tree in trees for node in tree.body]
    uses = {node.name: {getattr(part, "attr", getattr(part, "id", None)) for part in ast.walk(node)} for node in bodies
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    telling, before = {"NodeReport"}, set()
    while telling != before:
        before = set(telling)
        telling |= {node.name for node in bodies if isinstance(node, ast.FunctionDef) and uses[node.name] & before}
    ids = {part.value.value for node in bodies if isinstance(node, ast.ClassDef) and uses[node.name] & telling
           for part in ast.walk(node) if isinstance(part, ast.keyword) and part.arg == "node_id"}
    assert len(ids) > 15 and ids - WITHOUT == set(make_workflows.PREVIEWS)
