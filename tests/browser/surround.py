"""What stands around a blueprint that was dropped into an empty graph: loaders before its inputs, players behind its outputs."""
from __future__ import annotations

from comfy_page import ComfyPage

SOURCES = {  # socket type -> node, its widgets, its output; what a source itself must be given is found here too
    "AUDIO": ("LoadAudio", {"audio": "talking_heads_demo_speech_short.wav"}, 0),
    "IMAGE": ("LoadImage", {"image": "talking_heads_demo_portrait.jpg"}, 0),
    "VIDEO": ("LoadVideo", {"file": "talking_heads_demo_video.mp4"}, 0),
    "TH_AVATAR": ("HMTalker_LoadAvatar", {}, 0),
    "TH_ATOM": ("MoDiTalker_LoadAToM", {}, 0),
    "TH_MTOV": ("MoDiTalker_LoadMToV", {}, 0),
    "TH_LANDMARKS": ("TalkingHead_PortraitLandmarks", {}, 0),
}
SINKS = {"VIDEO": "SaveVideo", "IMAGE": "PreviewImage", "AUDIO": "PreviewAudio", "STRING": "PreviewAny",
         "TH_LANDMARKS": "TalkingHead_PreviewLandmarks"}
CONNECT = """([sources, sinks]) => {
  const block = app.graph.nodes[0]
  let lines = 0
  const add = (type, side) => {
    const node = LiteGraph.createNode(type)
    node.pos = [block.pos[0] + side, block.pos[1] + 380 * Math.floor(lines++ / 2) - 150]
    return app.graph.add(node), node
  }
  const feed = (node, x) => node.inputs.forEach((input, slot) => {
    const source = sources[input.type]
    if (input.widget || input.link != null || input.shape === 7 || !source) return
    const loader = add(source[0], x)
    for (const [name, value] of Object.entries(source[1])) loader.widgets.find(w => w.name === name).value = value
    loader.connect(source[2], node, slot)
    feed(loader, x - 400)
  })
  const show = (node, x) => node.outputs.forEach((output, slot) => {
    if (!sinks[output.type]) return
    const player = add(sinks[output.type], x)
    node.connect(slot, player, player.inputs.findIndex(input => !input.widget))
    if (output.type.startsWith('TH_')) show(player, x + 400)
  })
  feed(block, -420)
  lines = 0
  show(block, 480)
}"""


def surround(page: ComfyPage) -> None:
    """Connects the only node of the graph."""
    page.page.evaluate(CONNECT, [SOURCES, SINKS])
