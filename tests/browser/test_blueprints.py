"""Each subgraph blueprint, dropped by the search into an empty graph with loaders around it: does it run?"""
from __future__ import annotations

import time

import pytest
from comfy_server import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAMES = sorted(path.stem for path in (ROOT / "subgraphs").glob("*.json"))
SOURCES = {  # socket type -> node, its widgets, its output: what stands before the blueprint
    "AUDIO": ("LoadAudio", {"audio": "talking_heads_demo_speech_short.wav"}, 0),
    "IMAGE": ("LoadImage", {"image": "talking_heads_demo_portrait.jpg"}, 0),
    "VIDEO": ("LoadVideo", {"file": "talking_heads_demo_video.mp4"}, 0),
    "TH_AVATAR": ("HMTalker_LoadAvatar", {}, 0),
    "MODEL_ATOM": ("MoDiTalker_LoadAToM", {}, 0),
}
SINKS = {"VIDEO": "SaveVideo", "IMAGE": "PreviewImage", "AUDIO": "PreviewAudio", "STRING": "PreviewAny"}
CONNECT = """([sources, sinks]) => {
  const graph = app.graph, block = graph.nodes[0]
  const add = (type, x, y) => { const n = LiteGraph.createNode(type); n.pos = [x, y]; graph.add(n); return n }
  block.inputs.forEach((input, i) => {
    if (input.widget || input.link != null) return
    const source = sources[input.type]
    if (!source) return
    const node = add(source[0], block.pos[0] - 420, block.pos[1] + 420 * i - 200)
    for (const [name, value] of Object.entries(source[1])) node.widgets.find(w => w.name === name).value = value
    node.connect(source[2], block, i)
  })
  block.outputs.forEach((output, i) => {
    if (sinks[output.type]) block.connect(i, add(sinks[output.type], block.pos[0] + 480, block.pos[1] + 420 * i - 200), 0)
  })
}"""
SMALL = {"steps": 0.02}  # widgets of the blueprint that a test sets, where it offers them


def test_there_is_a_blueprint_to_try():
    assert NAMES or not (ROOT / "subgraphs").exists()


@pytest.mark.parametrize("name", NAMES, ids=[name.replace(" ", "_") for name in NAMES])
def test_blueprint_runs_in_an_empty_graph(page, name):
    page.close_templates()
    page.add_node(name)
    (block,) = page.nodes()
    page.page.evaluate(CONNECT, [SOURCES, SINKS])
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
    assert not page.notices()
