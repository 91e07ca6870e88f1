"""Each template, opened from the template browser of a real ComfyUI and run once: is what it makes shown?"""
from __future__ import annotations

import json
import time

import pytest
from comfy_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json") if not path.stem.endswith(".app"))
LEAST_ZOOM = 0.7  # below, text of the classic canvas is too small to read
# Shorter than a person would train: widgets and what is typed into them.
SHORTER = {"HMTalker_TrainAvatar": {"steps": "0.02"}, "MoDiTalker_TrainMToV": {"steps": "0.01", "batch": "1"}}
LONGEST = {"9 Train MoDiTalker": {"TalkingHead_MotionDataset": {"people": "2", "seconds": "4"},
                                  "MoDiTalker_TrainAToM": {"steps": "0.01"}}}
ADVANCED = {"batch"}  # Nodes 2.0 folds such widgets away


def test_there_are_templates():
    assert len(NAMES) >= 6


@pytest.mark.parametrize("name", NAMES, ids=[name.replace(" ", "_") for name in NAMES])
def test_template_runs_as_it_opens(page, name):
    page.open_template(name)
    assert not page.notices(within=3)
    assert page.scale() >= LEAST_ZOOM - 0.005
    shorten(page, name)
    begun = time.monotonic()
    page.run()
    entry = page.wait_done(900)
    shown = page.films_shown(entry) if "SaveVideo" in types_of(name) else page.text_shown("Saved models/")
    print(f"{name}: {time.monotonic() - begun:.1f} s from Run to {shown}; {page.clicks} clicks")
    assert not page.notices()
    page.until(lambda: not page.overlaps(), 10, f"no nodes lie on one another after the run: {page.overlaps()}")
    assert {node["type"] for node in page.nodes()} == types_of(name), "the page kept every node"


def test_a_later_visit_starts_at_the_side_bar(page):
    """ComfyUI opens a workflow of its own then, whose models are not there: the console tells of them."""
    page.open(first_visit=False)
    page.open_template(NAMES[0])
    assert page.clicks == 3  # Templates, the pack, the card
    assert page.scale() >= LEAST_ZOOM - 0.005
    page.errors.clear()


def test_the_template_browser_shows_every_thumbnail(page):
    every = [path.name.removesuffix(".json") for path in (ROOT / "workflows").glob("*.json")]
    page.browse_templates()
    for name in every:
        page.card(name).scroll_into_view_if_needed()  # thumbnails are fetched when they come into view
        page.until(lambda: page.has_thumbnail(name), 20, f"{name!r} shows its thumbnail")


def shorten(page, name: str) -> None:
    shorter = SHORTER | LONGEST.get(name, {})
    for node in page.nodes():
        for widget, value in shorter.get(node["type"], {}).items():
            if not (page.nodes2 and widget in ADVANCED):
                page.type_into(node["id"], widget, value)


def types_of(name: str) -> set[str]:
    return {node["type"] for node in json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf8"))["nodes"]}


def test_a_missing_file_is_noticed(page, server):
    """The check on `notices` above can fail: without the speech the page complains."""
    name = next(name for name in NAMES if "LoadAudio" in types_of(name))
    nodes = json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf8"))["nodes"]
    file = next(node["widgets_values"][0] for node in nodes if node["type"] == "LoadAudio")
    (server.base / "input" / file).rename(server.base / "elsewhere")
    try:
        page.open()  # again: the page asks for the list of files once
        page.open_template(name)
        assert any(file in notice or "edia" in notice for notice in page.notices(within=20))
    finally:
        (server.base / "elsewhere").rename(server.base / "input" / file)
        page.errors.clear()
