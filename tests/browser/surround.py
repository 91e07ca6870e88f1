"""What stands around a blueprint that was dropped into an empty graph: loaders before its inputs, players behind its outputs."""
from __future__ import annotations

from comfy_page import ComfyPage

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


def surround(page: ComfyPage) -> None:
    """Connects the only node of the graph."""
    page.page.evaluate(CONNECT, [SOURCES, SINKS])
