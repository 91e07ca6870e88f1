"""How the workflows look in the page: measured, also while they run and show what they make."""
from __future__ import annotations

import ast
import json
import re

import make_workflows
import pytest
from pack import ROOT, temporary_host
from pages.apps import app_form
from pages.catalogue import BY_NAME, PAGES
from pages.layout import EDGE, ZOOM, Box, zoom_to_fit
from pages.page_form import ends, registry_id
from pages.routes import behind
from pages.sizes import BADGE, PLAYER, SAYS, TITLE, least_height, note_height, specs, widgets

INFO = temporary_host().object_info()
NAMES = sorted(path.stem for path in (ROOT / "workflows" / "api").glob("*.json"))
# They tell how far they are, and show nothing.
WITHOUT = {"HMTalker_ImportTalkingGaussian", "TalkingHead_EncodeSpeech", "TalkingHead_FacePasteBack",
           "TalkingHead_LoadAudioBatch"}
ROWS = 3


@pytest.fixture(params=NAMES)
def page(request) -> dict:
    return json.loads((ROOT / "workflows" / f"{BY_NAME[request.param].title}.json").read_text("utf8"))


def boxes(page: dict) -> dict[str, Box]:
    return {str(node["id"]): Box(*node["pos"], *node["size"]) for node in page["nodes"]}


def frames(page: dict) -> dict[str, Box]:
    """The groups, as boxes whose title is part of the box."""
    return {group["title"]: Box(x, y + TITLE, width, height - TITLE) for group in page["groups"]
            for x, y, width, height in [group["bounding"]]}


def test_it_opens_large_enough_to_be_read(page):
    assert zoom_to_fit(list(boxes(page).values())) >= ZOOM


def test_nodes_have_room_for_what_they_show_and_lie_apart(page):
    found = boxes(page)
    names = {str(node["id"]): f"{node['type']} ({node['id']})" for node in page["nodes"]}
    for node in page["nodes"]:
        box = found[str(node["id"])]
        if node["type"] == "MarkdownNote":
            needed = note_height(node["widgets_values"][0], box.width)
        else:
            needed = least_height(node["type"], INFO[node["type"]]) + box.width * (node["type"] in PLAYER)
        assert box.height >= needed, names[str(node["id"])]
    one_on_another = [(names[a], names[b]) for a in found for b in found if a < b and found[a].meets(found[b])]
    assert not one_on_another


def test_the_note_is_filled_and_on_no_badge(page):
    (note,) = [node for node in page["nodes"] if node["type"] == "MarkdownNote"]
    found = boxes(page)
    own = found.pop(str(note["id"]))
    assert note_height(note["widgets_values"][0], own.width) >= 0.55 * own.height, "less than half filled"
    badges = {node["type"]: Box(found[str(node["id"])].x, found[str(node["id"])].y - BADGE, found[str(node["id"])].width, 0)
              for node in page["nodes"] if node is not note}
    assert not [kind for kind, badge in badges.items() if own.meets(badge)]
    assert not [title for title, frame in frames(page).items() if own.meets(frame)]


def test_groups_stand_in_at_most_three_rows_and_hold_their_nodes(page):
    groups, found = frames(page), boxes(page)
    assert len(groups) >= 3 and all(re.fullmatch("[A-Z][a-z ]+", title) for title in groups)
    assert not [(a, b) for a in groups for b in groups if a < b and groups[a].meets(groups[b])]
    for node in page["nodes"]:
        box = found[str(node["id"])]
        holding = [title for title, frame in groups.items() if box.meets(frame)]
        assert len(holding) == (node["type"] != "MarkdownNote"), node["type"]
        for frame in (groups[title] for title in holding):
            assert frame.x + EDGE <= box.x and box.right <= frame.right - EDGE and box.bottom <= frame.bottom - EDGE
    for edge in {frame.x for frame in groups.values()}:
        assert len([1 for frame in groups.values() if frame.x <= edge < frame.right]) <= ROWS


def path_of(link: list, page: dict) -> list:
    """The points that a link is led through."""
    nodes = {str(node["id"]): node for node in page["nodes"]}
    start, end = ends(link, nodes, boxes(page), {key: INFO[node["type"]] for key, node in nodes.items() if node["type"] in INFO})
    bends = {bend["id"]: bend for bend in page["extra"].get("reroutes", [])}
    last = {item["id"]: item["parentId"] for item in page["extra"].get("linkExtensions", [])}.get(link[0])
    way: list = []
    while last:
        assert link[0] in bends[last]["linkIds"]
        way.insert(0, tuple(bends[last]["pos"]))
        last = bends[last].get("parentId")
    return [start, *way, end]


def test_links_go_right_or_to_the_node_below_and_not_behind_others(page):
    found = boxes(page)
    kinds = {str(node["id"]): node["type"] for node in page["nodes"]}
    for link in page["links"]:
        source, target = str(link[1]), str(link[3])
        told = f"{kinds[source]} -> {kinds[target]}"
        same = found[source].x == found[target].x
        assert found[source].right < found[target].x or same and found[source].bottom < found[target].y, told
        crossed = behind(path_of(link, page), found, (source, target))
        assert not crossed, f"{told} behind {', '.join(kinds[node] for node in crossed)}"


def test_bad_layouts_are_seen(page):
    """Each measure notices what it is for."""
    two = boxes(page)
    first, second = sorted(two)[:2]
    two[first].x, two[first].y = two[second].x, two[second].y
    assert two[first].meets(two[second])
    two[first].x -= 3000
    assert zoom_to_fit(list(two.values())) < ZOOM
    wall = Box(100, -50, 50, 100)
    assert behind([(0.0, 0.0), (300.0, 0.0)], {"wall": wall}, ()) == {"wall"}
    assert not behind([(0.0, 0.0), (80.0, 90.0), (170.0, 90.0), (300.0, 0.0)], {"wall": wall}, ())


def test_what_is_stored_serves_every_language_and_tells_the_pack(page):
    for node in page["nodes"]:
        if node["type"] == "MarkdownNote":
            assert "`" not in node["widgets_values"][0], "code spans cannot be read in Nodes 2.0"
            continue
        assert node.get("title") != INFO[node["type"]]["display_name"]
        assert node["properties"]["cnr_id"] == ("comfy-core" if not node["type"].startswith(
            ("TalkingHead_", "HMTalker_", "MoDiTalker_")) else registry_id())


def test_titles_are_numbered_in_order():
    titles = [page.title for page in PAGES]
    assert [title.split()[0] for title in titles] == [str(i + 1) for i in range(len(titles))]


@pytest.mark.parametrize("name", [name for name in NAMES if BY_NAME[name].app])
def test_an_app_shows_widgets_and_results_that_exist(name):
    app = BY_NAME[name].app
    assert app is not None
    data = json.loads((ROOT / "workflows" / f"{BY_NAME[name].title}.app.json").read_text("utf8"))
    nodes = {str(node["id"]): node for node in data["nodes"]}
    assert data["extra"]["linearMode"] is True
    shown = data["extra"]["linearData"]
    assert 2 < len(shown["inputs"]) < 8
    labels = []
    for node_id, widget in shown["inputs"]:
        node = nodes[str(node_id)]
        assert widget in widgets(INFO[node["type"]])
        own = {item["name"]: item["label"] for item in node["inputs"] if "label" in item}
        labels.append(own.get(widget, specs(INFO[node["type"]])[widget][1].get("display_name", widget)))
    assert len(set(labels)) == len(labels), "two rows of the form bear the same name"
    assert shown["outputs"] and all(INFO[nodes[str(node_id)]["type"]]["output_node"] for node_id in shown["outputs"])
    plain = json.loads((ROOT / "workflows" / f"{BY_NAME[name].title}.json").read_text("utf8"))
    assert data == app_form(plain, app, INFO)


def using(names: set[str]) -> set[str]:
    """Ids of the nodes that use one of these names, or call a function of nodes/ that does."""
    trees = [ast.parse(path.read_text("utf8")) for path in (ROOT / "nodes").glob("*.py")]
    for argument in (part for tree in trees for part in ast.walk(tree) if isinstance(part, ast.arg)):
        argument.annotation = None  # who is given a NodeReport does not make one
    bodies = [node for tree in trees for node in tree.body]
    uses = {node.name: {getattr(part, "attr", getattr(part, "id", None)) for part in ast.walk(node)} for node in bodies
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    before: set[str] = set()
    while names != before:
        before = set(names)
        names = names | {node.name for node in bodies if isinstance(node, ast.FunctionDef) and uses[node.name] & before}
    return {str(part.value.value) for node in bodies if isinstance(node, ast.ClassDef) and uses[node.name] & names
            for part in ast.walk(node) if isinstance(part, ast.keyword) and part.arg == "node_id"
            and isinstance(part.value, ast.Constant)}


def test_every_node_that_previews_has_its_room_planned():
    """A node previews when it makes a NodeReport, or the one of trainings."""
    ids = using({"NodeReport", "TrainingReport"})
    assert len(ids) > 15 and ids - WITHOUT == set(make_workflows.PREVIEWS)


def test_every_node_that_says_something_has_its_room_planned():
    assert using({"saying"}) <= SAYS
