"""Each subgraph blueprint, dropped by the search into an empty graph with loaders around it: does it run?"""
from __future__ import annotations

import time

import pytest
from comfy_server import ROOT
from surround import surround

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = sorted(path.stem for path in (ROOT / "subgraphs").glob("*.json"))
SMALL = {"steps": 0.02}  # widgets of the blueprint that a test sets, where it offers them


def test_there_is_a_blueprint_to_try():
    assert NAMES or not (ROOT / "subgraphs").exists()


@pytest.mark.parametrize("name", NAMES, ids=[name.replace(" ", "_") for name in NAMES])
def test_blueprint_runs_in_an_empty_graph(page, name):
    page.close_templates()
    page.add_node(name)
    (block,) = page.nodes()
    surround(page)
    for widget, value in SMALL.items():
        page.page.evaluate("([name, value]) => (app.graph.nodes[0].widgets || [])"
                           ".filter(w => w.name === name).forEach(w => { w.value = value })", [widget, value])
    begun = time.monotonic()
    page.run()
    entry = page.wait_done(900)
    print(f"{name}: {time.monotonic() - begun:.1f} s; in {[i['type'] for i in block['inputs']]}, "
          f"out {[o['type'] for o in block['outputs']]}")
    if "VIDEO" in [output["type"] for output in block["outputs"]]:
        page.films_shown(entry)
    assert entry["outputs"], "something of it is shown"
    assert not page.notices()
