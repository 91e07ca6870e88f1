"""Writes workflows/*.json, the form the page opens, from workflows/api/*.json: `python tests/make_workflows.py`.

Widget values stand by position in the order of the nodes' definitions, nodes in columns by their distance from the start.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pack import ROOT, temporary_host
from talking_heads.host.workflow import extra_slots, has_widget

NOTES = {
    "avatar_speech_to_video": """\
## Speech to talking avatar

1. Copy `demo/demo_speech.wav` of this pack into ComfyUI's `input` folder, or choose your own speech.
2. Choose an avatar. `demo_avatar` comes with the pack; your own lie in `models/talking_heads`.
3. Run. Save Video writes the video to `output/talking_heads`.

The demo face is synthetic: a warped NASA portrait (Eileen Collins, public domain). She never said these words.""",
    "speech_to_motion": """\
## From speech and a portrait to motion

1. Copy `demo/demo_portrait.jpg` and `demo/demo_speech.wav` of this pack into ComfyUI's `input` folder, or choose your own.
2. Run. *Generate Motion* shows the moving face while sampling; Save Video writes the video to `output/talking_heads`.

`demo_atom` comes with the pack and was trained on synthetic people only. The portrait shows one that it was not trained on: a
warped NASA portrait (Eileen Collins, public domain). She never said these words.

For more or less mouth movement use *Scale Mouth*; for a moving head give *Align Motion to Pose* the face track of a video
instead of the portrait.""",
    "portrait_to_talking_video": """\
## From a portrait and speech to a talking video

1. Copy `demo/demo_portrait.jpg` and `demo/demo_speech_short.wav` of this pack into ComfyUI's `input` folder, or choose your own.
2. Run. The nodes show the moving face, then the frames; Save Video writes the video to `output/talking_heads`.

`demo_atom` and `demo_mtov` come with the pack. They are small and were trained on synthetic people only: expect a soft face, and
poor results for a real person. The portrait shows a synthetic person that they were not trained on: a warped NASA portrait
(Eileen Collins, public domain). She never said these words. Use images of people only with their consent.

The video is written frame by frame: speech may be of any length.""",
    "portrait_edited_motion_to_video": """\
## Edit the motion, then make the video

Motion consists of landmarks that can be edited before they become video: here they are smoothed, and the mouth moves 1.5
times as much. Other editing nodes: *Blend*, *Offset*, *Retime Landmarks*; *Save* and *Load Landmarks* keep a take.

1. Copy `demo/demo_portrait.jpg` and `demo/demo_speech_short.wav` of this pack into ComfyUI's `input` folder, or choose your own.
2. Run. Save Video writes the video to `output/talking_heads`.

*Motion to Video* gives images, so that other nodes can work on the face before *Face Paste Back* pastes it into the whole
image. They are held in memory: for many minutes of speech use *Motion to Video (file)*.

The demo weights were trained on synthetic people only. The portrait is a warped NASA portrait (Eileen Collins, public
domain); she never said these words.""",
    "train_avatar": """\
## Train an avatar

Renders the synthetic subject (a person who does not exist), trains an avatar of it, and drives it with sentences it was not
trained on. Replace the first node with *Load Dataset* to use a recording of your own.

Training shows its progress on the node. You can interrupt it at any time: running it again continues.""",
    "video_to_avatar": """\
## From a video of you to your avatar

1. Choose a video: one person talking to the camera for half a minute to a few minutes, with audio, fixed camera, even light.
   Film people only with their consent.
2. Copy `demo/demo_speech.wav` of this pack into ComfyUI's `input` folder, or choose other speech.
3. Run. The first result is the dataset with its **quality report**: read it, and record again what it criticises. Then the
   avatar is trained (`preview`: minutes; `standard` needs a GPU) and speaks.

The face is tracked by the built-in tracker, which is approximate. You can interrupt at any time: running it again continues.""",
}
WIDTH, GAP, ROW = 340, 80, 30
TITLE, BADGE = 30, 25  # px above a node's place: its title, and the badge above that
NOTE = (2 * WIDTH + GAP, 220)
# What a node shows while it runs, height over width: the page lets it grow downwards over its neighbours.
PREVIEWS = {
    "HMTalker_TrainAvatar": 0.5, "HMTalker_RenderAvatarVideo": 1.0, "HMTalker_RenderAvatar": 0.5,
    "MoDiTalker_GenerateMotion": 1.0, "MoDiTalker_MotionToVideo": 1.0, "MoDiTalker_MotionToVideoFile": 1.0,
    "MoDiTalker_MotionToFilm": 1.0, "MoDiTalker_TrainAToM": 1.0, "MoDiTalker_TrainMToV": 1.0,
    "TalkingHead_FaceCrop": 1.0, "TalkingHead_MotionDataset": 1.0, "TalkingHead_PickSegment": 0.75,
    "TalkingHead_PortraitLandmarks": 1.0, "TalkingHead_PrepareDataset": 1.0, "TalkingHead_PreviewLandmarks": 1.0,
    "TalkingHead_SyntheticSubject": 1.0, "TalkingHead_TrackFace": 0.75,
}
CAPTION = 80  # px below it, for three lines
# player and upload button: only the page knows of them
PAGE_WIDGETS = {"LoadAudio": [None, None], "LoadVideo": ["image"], "LoadImage": ["image"]}


def page_form(prompt: Mapping[str, Any], info: Mapping[str, Any], note: str) -> dict[str, Any]:
    """An API-form prompt as a workflow of version 0.4."""
    nodes = {int(node_id): _node(int(node_id), node, info[node["class_type"]]) for node_id, node in prompt.items()}
    links = _link(prompt, nodes, info)
    _place(prompt, nodes)
    last = max(nodes)
    marked = {"id": last + 1, "type": "MarkdownNote", "pos": [0, -(NOTE[1] + TITLE + 2 * BADGE)], "size": [*NOTE], "flags": {},
              "order": 0, "mode": 0, "inputs": [], "outputs": [], "title": "How to", "properties": {}, "widgets_values": [note]}
    return {"last_node_id": last + 1, "last_link_id": len(links), "nodes": [*nodes.values(), marked], "links": links,
            "groups": [], "config": {}, "extra": {}, "version": 0.4}


def _specs(info: Mapping[str, Any]) -> dict[str, list]:
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def _node(node_id: int, node: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """A node without place or links: sockets first, then the widgets' own sockets, as the page saves them."""
    specs = _specs(info)
    optional = info["input"].get("optional", {})
    sockets = [{"name": name, "type": spec[0], "link": None, **({"shape": 7} if name in optional else {})}
               for name, spec in specs.items() if not has_widget(spec[0], spec[1])]
    sockets += [{"name": name, "type": specs[name][0], "widget": {"name": name}, "link": None}  # a widget that a link sets
                for name, value in node["inputs"].items() if isinstance(value, list) and has_widget(*specs[name][:2])]
    core = info["category"].partition("/")[0] != "Talking Heads"
    return {
        "id": node_id, "type": node["class_type"], "pos": [0, 0], "size": [WIDTH, 0], "flags": {}, "order": 0, "mode": 0,
        "inputs": sockets,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in zip(info["output_name"], info["output"])],
        "title": node["_meta"]["title"],
        "properties": {"Node name for S&R": node["class_type"], **({"cnr_id": "comfy-core"} if core else {})},
        "widgets_values": _widgets(node, specs),
    }


def _widgets(node: Mapping[str, Any], specs: Mapping[str, list]) -> list[Any]:
    """The widgets' values by position."""
    values: list[Any] = []
    for name, spec in specs.items():
        if has_widget(spec[0], spec[1]) and not spec[1].get("hidden"):
            value = node["inputs"].get(name, spec[1].get("default"))  # inputs added since may be left out: they are optional
            values.append(spec[1].get("default") if isinstance(value, list) else value)
            if spec[0] == "COMFY_DYNAMICCOMBO_V3":  # its own inputs follow; core's Save Video has one
                values.append(node["inputs"]["codec"])
            values += ["fixed"] * extra_slots(name, spec[0], spec[1])
    return values + PAGE_WIDGETS.get(node["class_type"], [])


def _link(prompt: Mapping[str, Any], nodes: Mapping[int, dict], info: Mapping[str, Any]) -> list[list]:
    links: list[list] = []
    for node_id, node in prompt.items():
        for slot, socket in enumerate(nodes[int(node_id)]["inputs"]):
            value = node["inputs"].get(socket["name"])
            if not isinstance(value, list):
                continue
            output = nodes[int(value[0])]["outputs"][value[1]]
            socket["link"] = len(links) + 1
            output["links"].append(socket["link"])
            links.append([socket["link"], int(value[0]), value[1], int(node_id), slot, output["type"]])
    return links


def _place(prompt: Mapping[str, Any], nodes: Mapping[int, dict]) -> None:
    """Columns by depth; `order` is the order of execution."""
    depth: dict[int, int] = {}
    for node_id, node in sorted(prompt.items(), key=lambda item: int(item[0])):  # the files number sources before their readers
        depth[int(node_id)] = 1 + max((depth[int(v[0])] for v in node["inputs"].values() if isinstance(v, list)), default=-1)
    below: dict[int, int] = {}
    for order, node_id in enumerate(sorted(nodes, key=lambda n: (depth[n], n))):
        node = nodes[node_id]
        rows = len(node["inputs"]) + len(node["outputs"]) + len(node["widgets_values"])
        tall = {"PreviewImage": 300, "SaveVideo": 380, "LoadAudio": 100, "LoadVideo": 260, "LoadImage": 300,
                "TalkingHead_SyntheticSubject": 90}.get(node["type"], 0)
        node["size"][1] = 40 + ROW * rows + tall + preview_room(node["type"])
        node["pos"] = [depth[node_id] * (WIDTH + GAP), below.get(depth[node_id], 0)]
        below[depth[node_id]] = node["pos"][1] + node["size"][1] + 60
        node["order"] = order


def preview_room(kind: str) -> int:
    """px that a node keeps free for its preview at its full width, caption included."""
    return round(PREVIEWS[kind] * WIDTH) + CAPTION if kind in PREVIEWS else 0


def main() -> None:
    info = temporary_host().object_info()
    for path in sorted((ROOT / "workflows" / "api").glob("*.json")):
        page = page_form(json.loads(path.read_text("utf8")), info, NOTES[path.stem])
        (ROOT / "workflows" / path.name).write_text(json.dumps(page, indent=1, ensure_ascii=False) + "\n", "utf8")
        print(f"workflows/{path.name}")


if __name__ == "__main__":
    main()
