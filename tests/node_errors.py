"""One mistake at every node of the pack, as a user makes it, and what the node's sentence must name.

`MISTAKES[node id]` = (inputs that are wrong, words of the message). Inputs not named have the schema's defaults; sockets are
linked to what `UPSTREAM` makes of the demo files. Nodes that only take sockets, which cannot be wrong, are in `SOCKETS_ONLY`: run
alone, they are refused before anything runs.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any

Link = list  # [key of UPSTREAM, number of the output]
PHOTO, SPEECH, FILM = (f"talking_heads_demo_{name}" for name in ("portrait.jpg", "speech_short.wav", "video.mp4"))

UPSTREAM: dict[str, tuple[str, dict[str, Any]]] = {
    "photo": ("LoadImage", {"image": PHOTO}),
    "blank": ("LoadImage", {"image": "blank.png"}),
    "blank_video": ("CreateVideo", {"images": ["blank", 0], "fps": 25.0}),
    "blank_speech": ("CreateVideo", {"images": ["blank", 0], "fps": 25.0, "audio": ["audio", 0]}),
    "film": ("LoadVideo", {"file": FILM}),
    "audio": ("LoadAudio", {"audio": SPEECH}),
    "speech": ("TalkingHead_EncodeSpeech", {"audio": ["audio", 0]}),
    "avatar": ("HMTalker_LoadAvatar", {"avatar_name": "demo_avatar.safetensors"}),
    "motion": ("HMTalker_DriveAvatar", {"avatar": ["avatar", 0], "speech": ["speech", 0]}),
    "faster": ("TalkingHead_RetimeActionUnits", {"expression": ["motion", 1], "fps": 50.0}),
    "points": ("TalkingHead_PortraitLandmarks", {"image": ["photo", 0]}),
    "atom": ("MoDiTalker_LoadAToM", {"atom_name": "demo_atom.safetensors"}),
    "said": (
        "MoDiTalker_GenerateMotion", {"atom": ["atom", 0], "speech": ["speech", 0], "portrait": ["points", 0], "steps": "2"}),
    "dataset": ("TalkingHead_SyntheticSubject", {"seconds": 1.0, "size": 64, "voice": "formant", "name": "person"}),
    "clips": ("TalkingHead_MotionDataset", {"source": "synthetic subject", "name": "clips", "people": 2, "seconds": 8.0}),
    "crop": ("TalkingHead_FaceCrop", {"images": ["photo", 0]}),
}

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "HMTalker_AvatarFrameToSplat": ({"avatar": ["avatar", 0], "motion": ["motion", 0], "frame": 99999}, "frame"),
    "HMTalker_DriveAvatar": ({"avatar": ["avatar", 0], "speech": ["speech", 0], "expression": ["faster", 0]}, "per second"),
    "HMTalker_EditAvatarMotion": ({"motion": ["motion", 0], "edits": "{"}, "edits"),
    "HMTalker_ImportTalkingGaussian": ({"dataset": ["dataset", 0]}, "checkpoint"),
    "HMTalker_LoadAvatar": ({"avatar_name": "broken.safetensors"}, "broken.safetensors"),
    "HMTalker_RenderAvatar": ({"avatar": ["avatar", 0], "motion": ["motion", 0], "start_frame": 99999}, "frame"),
    "HMTalker_RenderAvatarVideo": (
        {"avatar": ["avatar", 0], "motion": ["motion", 0], "background": "transparent"}, "transparent"),
    "HMTalker_ReplacePLY": ({"avatar": ["avatar", 0], "file": "none.ply"}, "none.ply"),
    "HMTalker_SavePLY": ({"avatar": ["avatar", 0], "filename_prefix": "../up"}, "../up"),
    "HMTalker_TrainAvatar": ({"dataset": ["dataset", 0], "name": "../up"}, "name"),
    "MoDiTalker_AlignMotion": ({"motion": ["said", 0]}, "face track"),
    "MoDiTalker_EditMotion": ({"landmarks": ["said", 0], "edits": "{"}, "edits"),
    "MoDiTalker_GenerateMotion": (
        {"atom": ["atom", 0], "speech": ["speech", 0], "portrait": ["points", 0], "steps": "many"}, "steps"),
    "MoDiTalker_ImportAToM": ({}, "checkpoint"),
    "MoDiTalker_ImportMToV": ({}, "autoencoder"),
    "MoDiTalker_LoadAToM": ({"atom_name": "broken.safetensors"}, "broken.safetensors"),
    "MoDiTalker_LoadMToV": ({"mtov_name": "broken.safetensors"}, "broken.safetensors"),
    "MoDiTalker_MotionToFilm": ({"motion": ["said", 0], "film": ["blank_video", 0]}, "face"),
    "MoDiTalker_MotionToVideo": ({"motion": ["said", 0], "portrait": ["blank", 0]}, "face"),
    "MoDiTalker_MotionToVideoFile": ({"motion": ["said", 0], "portrait": ["blank", 0]}, "face"),
    "MoDiTalker_TrainAToM": ({"dataset": ["clips", 0], "name": "../up"}, "name"),
    "MoDiTalker_TrainMToV": ({"dataset": ["clips", 0], "name": "../up"}, "name"),
    "TalkingHead_BlendActionUnits": ({"a": ["motion", 1], "b": ["motion", 1], "units": "AU99"}, "AU99"),
    "TalkingHead_EncodeSpeech": ({"audio": ["audio", 0], "encoder": "hubert"}, "model"),
    "TalkingHead_FaceCrop": ({"images": ["blank", 0]}, "face"),
    "TalkingHead_HeadPose": ({"movement": "recorded"}, "avatar"),
    "TalkingHead_ImportAVE": ({}, "checkpoint"),
    "TalkingHead_ImportActionUnits": ({"file": "none.csv"}, "none.csv"),
    "TalkingHead_JoinChunks": ({"filename_prefix": "none/video"}, "'none'"),
    "TalkingHead_LoadActionUnits": ({"file": "none.safetensors"}, "none.safetensors"),
    "TalkingHead_LoadAudioBatch": ({"pattern": "*.nothing"}, "*.nothing"),
    "TalkingHead_LoadDataset": ({"folder": "none"}, "none"),
    "TalkingHead_LoadLandmarks": ({"file": "none.safetensors"}, "none.safetensors"),
    "TalkingHead_LoadMotionDataset": ({"folder": "none"}, "none"),
    "TalkingHead_LoadSpeechEncoder": ({"encoder": "hubert"}, "model"),
    "TalkingHead_LoadSpeechFeatures": ({"path": "none.npy", "name": "mine"}, "none.npy"),
    "TalkingHead_Metrics": ({}, "video"),
    "TalkingHead_MotionDataset": ({"source": "videos", "videos": "none"}, "none"),
    "TalkingHead_PickSegment": ({"video": ["blank_video", 0]}, "audio"),
    "TalkingHead_PortraitLandmarks": ({"image": ["blank", 0]}, "face"),
    "TalkingHead_PrepareDataset": ({"video": ["blank_speech", 0], "name": "new"}, "10 frames"),
    "TalkingHead_PreviewCurves": ({}, "Connect"),
    "TalkingHead_PreviewLandmarks": ({}, "Connect"),
    "TalkingHead_SaveActionUnits": ({"expression": ["motion", 1], "filename_prefix": "../up"}, "../up"),
    "TalkingHead_SaveLandmarks": ({"landmarks": ["points", 0], "filename_prefix": "../up"}, "../up"),
    "TalkingHead_SaveVideoFile": ({"video": ["blank_video", 0], "filename_prefix": "../up"}, "../up"),
    "TalkingHead_ScaleActionUnits": ({"expression": ["motion", 1], "units": "AU99"}, "AU99"),
    "TalkingHead_SetActionUnits": ({"expression": ["motion", 1], "units": "AU99"}, "AU99"),
    "TalkingHead_SmoothActionUnits": ({"expression": ["motion", 1], "units": "AU99"}, "AU99"),
    "TalkingHead_SyntheticSubject": ({"name": "../up"}, "name"),
    "TalkingHead_TrackFace": ({"images": ["blank", 0]}, "face"),
}
# What these are given has been checked by the node that made it; their numbers are bounded by the page.
SOCKETS_ONLY = {
    "HMTalker_PreviewAvatar", "TalkingHead_AddBlinks", "TalkingHead_BlendLandmarks", "TalkingHead_FacePasteBack",
    "TalkingHead_JoinSpeechEncoders",
    "TalkingHead_LandmarksFromFaceLandmarks", "TalkingHead_LandmarksToFaceLandmarks", "TalkingHead_OffsetLandmarks",
    "TalkingHead_RetimeActionUnits", "TalkingHead_RetimeLandmarks", "TalkingHead_ScaleMouth", "TalkingHead_SmoothLandmarks",
    "TalkingHead_SpeechEncoderFromAudioEncoder", "TalkingHead_SpeechFromAudioEncoder"}


def write_bad_files(base: Path) -> None:
    """Below a ComfyUI's base folder: an image without a face, a file that is no model."""
    from PIL import Image

    (base / "models" / "talking_heads").mkdir(parents=True, exist_ok=True)
    (base / "models" / "talking_heads" / "broken.safetensors").write_bytes(b"no model at all")
    Image.new("RGB", (256, 256), (90, 120, 150)).save(base / "input" / "blank.png")


def prompt(node_id: str, infos: dict[str, Any]) -> dict[str, Any]:
    """The node with its mistake, as "wrong", what it is linked to, and something that shows its first output."""
    nodes: dict[str, Any] = {}

    def add(key: str, class_type: str, given: dict[str, Any]) -> None:
        required = infos[class_type]["input"].get("required", {}) if class_type in infos else {}
        nodes[key] = {"class_type": class_type, "inputs": {**_defaults(required), **given}}
        for value in given.values():
            if isinstance(value, list) and value[0] not in nodes:
                add(value[0], *UPSTREAM[value[0]])

    add("wrong", node_id, MISTAKES[node_id][0])
    if not infos[node_id].get("output_node"):
        nodes["show"] = {"class_type": "PreviewAny", "inputs": {"source": ["wrong", 0]}}
    return nodes


def _defaults(required: dict[str, Any]) -> dict[str, Any]:
    """Of widgets: sockets have neither a default nor choices."""
    found: dict[str, Any] = {}
    for name, spec in required.items():
        options = spec[1] if len(spec) > 1 else {}
        choices = spec[0] if isinstance(spec[0], list) else options.get("options")
        if "default" in options:
            found[name] = options["default"]
        elif choices:
            found[name] = choices[0]
    return found
