"""How large the page draws a node: measured with frontend 1.49.6 and 1.58.1, in classic and in Nodes 2.0.

All lengths are in px of the graph. A node's place is the corner below its title.
"""
from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from talking_heads.host.workflow import extra_slots, has_widget

TITLE, BADGE = 30, 20  # above a node's place: its title; above that, in classic, the name of its pack
SLOT, WIDGET = 20, 24  # a row of sockets, a widget of a classic node
WIDGET_2 = 28  # a widget in Nodes 2.0
LEAST_PREVIEW = 220  # a preview is at least this high, however narrow the node
PLAYER = {"SaveVideo", "LoadVideo"}  # as wide as the node, and square in the shipped workflows
# What a node shows while it runs, height over width: the page lets it grow downwards over its neighbours.
PREVIEWS = {
    "HMTalker_TrainAvatar": 0.5, "HMTalker_PreviewAvatar": 1.2, "HMTalker_RenderAvatarVideo": 1.0, "HMTalker_RenderAvatar": 0.5,
    "MoDiTalker_GenerateMotion": 1.0, "MoDiTalker_MotionToVideo": 1.0, "MoDiTalker_MotionToVideoFile": 1.0,
    "MoDiTalker_MotionToFilm": 1.0, "MoDiTalker_TrainAToM": 1.0, "MoDiTalker_TrainMToV": 1.0,
    "TalkingHead_FaceCrop": 1.0, "TalkingHead_Metrics": 0.3, "TalkingHead_MotionDataset": 1.0, "TalkingHead_PickSegment": 0.75,
    "TalkingHead_PortraitLandmarks": 1.0, "TalkingHead_PrepareDataset": 1.0, "TalkingHead_PreviewLandmarks": 1.0,
    "TalkingHead_SyntheticSubject": 1.0, "TalkingHead_TrackFace": 0.75,
}
TEXT, LONG_TEXT = 60, 94  # of some lines; the most that the page keeps for one that scrolls
# Widgets that the pack's JavaScript adds below a node's own, and hides those that they stand for: (height, hidden widgets).
EDITORS = {"MoDiTalker_EditMotion": (580, 1), "HMTalker_EditAvatarMotion": (680, 1)}
# Nodes that say, on themselves, what they loaded or made.
SAYS = {
    "HMTalker_ImportTalkingGaussian", "HMTalker_LoadAvatar", "HMTalker_SavePLY", "HMTalker_TrainAvatar",
    "MoDiTalker_ImportAToM", "MoDiTalker_ImportMToV", "MoDiTalker_LoadAToM",
    "MoDiTalker_LoadMToV", "MoDiTalker_TrainAToM", "MoDiTalker_TrainMToV", "TalkingHead_FaceCrop",
    "TalkingHead_ImportActionUnits", "TalkingHead_ImportAVE", "TalkingHead_JoinChunks", "TalkingHead_LoadAudioBatch",
    "TalkingHead_LoadDataset",
    "TalkingHead_LoadActionUnits", "TalkingHead_LoadLandmarks", "TalkingHead_SaveActionUnits",
    "TalkingHead_LoadMotionDataset", "TalkingHead_Metrics",
    "TalkingHead_MotionDataset", "TalkingHead_PickSegment", "TalkingHead_PortraitLandmarks", "TalkingHead_PrepareDataset",
    "TalkingHead_SaveLandmarks", "TalkingHead_SyntheticSubject", "TalkingHead_TrackFace",
}
# Those whose text is long.
SAYS_MUCH = {"HMTalker_LoadAvatar", "TalkingHead_PrepareDataset", "TalkingHead_TrackFace"}
# Core's own: with the image, the player or the text that the page adds to them.
CORE = {"LoadAudio": 165, "LoadImage": 352, "LoadVideo": 85, "PreviewImage": 260, "SaveVideo": 130, "CreateVideo": 112,
        "PreviewAny": 180, "PreviewAudio": 100, "SaveAudio": 130}
GROWS = {"MarkdownNote": 0.7, "LoadImage": 1.0, "LoadVideo": 1.0, "PreviewImage": 1.0, "PreviewAny": 1.0,
         **dict.fromkeys([*PREVIEWS, *EDITORS], 1.0)}  # who shares a column's free height, and how


def specs(info: Mapping[str, Any]) -> dict[str, list]:
    """The inputs of a node: name -> [type, options]."""
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def sockets(info: Mapping[str, Any]) -> list[str]:
    """Inputs without a widget."""
    return [name for name, spec in specs(info).items() if not has_widget(spec[0], spec[1])]


def widgets(info: Mapping[str, Any]) -> list[str]:
    """Inputs with a widget, in order; control_after_generate is a row of its own and bears its seed's name."""
    found: list[str] = []
    for name, spec in specs(info).items():
        if has_widget(spec[0], spec[1]) and not spec[1].get("hidden"):
            found += [name] * (1 + extra_slots(name, spec[0], spec[1]))
    return found


def least_height(kind: str, info: Mapping[str, Any]) -> int:
    """What a node needs with all its widgets, its preview and its text."""
    if kind in CORE:
        return CORE[kind]
    rows = max(len(sockets(info)), len(info["output"]))
    names, options = widgets(info), {name: spec[1] for name, spec in specs(info).items()}
    tall = sum(70 for name in set(names) if options[name].get("multiline"))
    classic = SLOT * rows + WIDGET * len(names) + 14 + tall
    shown = [name for name in set(names) if not options[name].get("advanced")]
    vue = SLOT * rows + WIDGET_2 * len(shown) + 38 + tall + (24 if len(shown) < len(set(names)) else 0)
    editor, hidden = EDITORS.get(kind, (0, 0))
    return max(classic, vue) + preview_room(kind) + text_room(kind) + editor - hidden * WIDGET


def note_height(text: str, width: float) -> int:
    """What a note needs in Nodes 2.0, which draws it larger than classic and lets it grow over its neighbours."""
    height = 30.0
    for block in re.split(r"\n(?=- |\d\. )|\n\n", text):
        plain, indented = " ".join(block.replace("*", "").split()), bool(re.match(r"- |\d\. ", block))
        heading = plain.startswith("## ")
        chars = (width - 24 - 26 * indented) / (9 if heading else 5.9)
        height += (22 if heading else 16) * len(textwrap.wrap(plain, int(chars))) + 12
    return round(0.86 * height)


def preview_room(kind: str) -> int:
    """What a node keeps free for its preview."""
    return LEAST_PREVIEW if kind in PREVIEWS else 0


def text_room(kind: str) -> int:
    """What a node keeps free for what it says."""
    return LONG_TEXT if kind in SAYS_MUCH else TEXT if kind in SAYS else 0


def input_height(name: str, info: Mapping[str, Any]) -> float:
    """How far below a node's place the socket of an input lies, in classic."""
    free = sockets(info)
    if name in free:
        return SLOT * (free.index(name) + 0.7)
    rows = max(len(free), len(info["output"]))
    return SLOT * rows + 6 + WIDGET * (widgets(info).index(name) + 0.4)
