"""Training datasets: made with the synthetic subject, or read from a folder."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from comfy_api.latest import io

from ..media_core.choices import VOICE_ENGINES
from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained, file_stem
from . import bridge, saying, sockets, videos

if TYPE_CHECKING:
    from torch import Tensor

    from ..media_core.motion import ExpressionTrack, PoseTrack
    from ..media_core.subject.performance import Heard
    from ..media_core.subject.portrait import Portrait

_OUTPUTS = {
    "dataset": "The dataset's folder, for Train Avatar.",
    "preview": "Up to four frames of the recording.",
    "sound": "The audio of the recording.",
    "expression": "The 17 action units of the recording, frame by frame.",
    "pose": "The head pose of the recording, frame by frame.",
}


def _outputs() -> list:
    kinds = {"dataset": sockets.Dataset, "preview": io.Image, "sound": io.Audio, "expression": sockets.Expression,
             "pose": sockets.Pose}
    return [kind.Output(name, display_name=name, tooltip=_OUTPUTS[name]) for name, kind in kinds.items()]


def _inputs() -> list:
    return [
        io.Float.Input("seconds", display_name="length (s)", default=20.0, min=1.0, max=600.0, step=0.5,
                       tooltip="Length of the recording in seconds; with a text, the length of the text."),
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF,
                     tooltip="Determines the sentences, head movement and blinks."),
        io.Int.Input("size", default=256, min=64, max=1024, step=32, tooltip="Width and height of the frames in pixels."),
        io.Int.Input("identity", default=3, min=1, max=9999,
                     tooltip="Which synthetic face. With a portrait: only if another person is invented from it."),
        io.Combo.Input("voice", options=list(VOICE_ENGINES), default="auto",
                       tooltip="The voice: espeak-ng if it is installed, the built-in formant voice, or auto for the "
                               "first that works."),
        io.String.Input("name", display_name="dataset name", default="subject",
                        tooltip="Name of the dataset's folder; a code for these settings is appended."),
        io.String.Input("text", default="", multiline=True, optional=True,
                        tooltip="What is said, in English, one sentence per line. Empty: invented sentences until the "
                                "length is reached."),
        io.Image.Input("portrait", optional=True,
                       tooltip="An image with a face seen from the front: that person speaks instead. Use images of "
                               "people only with their consent."),
        io.Audio.Input("audio", optional=True,
                       tooltip="What is said, instead of a text: as long as it lasts, the length at most."),
        io.Boolean.Input("invented", display_name="invent a person", default=False, optional=True,
                         tooltip="With a portrait: bend and recolour it into another person, numbered by identity. "
                                 "Without a portrait this changes nothing."),
    ]


class SyntheticSubject(io.ComfyNode):
    """A talking person who does not exist, or the person of a photo, written as a dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SyntheticSubject",
            display_name="Synthetic Subject",
            category="Talking Heads/Dataset",
            description="Renders a synthetic person speaking invented sentences, with exact ground truth, as a training dataset "
                        "in output/talking_heads/datasets. Made from a warped NASA portrait (public domain); the person shown "
                        "never said this. With a portrait: the person in it, rigged and speaking.",
            search_aliases=["test dataset", "talking head dataset", "fake speaker", "photo to avatar", "one photo", "rig"],
            inputs=_inputs(),
            outputs=_outputs(),
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, seconds: float, seed: int, size: int, identity: int, voice: str, name: str, text: str = "",
                portrait: Tensor | None = None, audio: dict | None = None, invented: bool = False) -> io.NodeOutput:
        from ..media_core.subject import export_dataset

        lines = [line.strip() for line in text.splitlines() if line.strip()] or None
        who = None if portrait is not None and not invented else identity
        length = None if lines else seconds
        settings = {"seconds": length, "seed": seed, "size": size, "identity": who, "engine": voice,
                    "text": lines}
        if audio is not None and lines:
            raise TalkingHeadsError("A person says a text or an audio file", "both", "Disconnect the audio, or empty the text")
        report = bridge.NodeReport()
        photo = None if portrait is None else _photo(portrait)
        heard = None if audio is None else _heard(audio, seed, report)
        code = hashlib.sha256(json.dumps(settings | _described(photo, heard), sort_keys=True).encode()).hexdigest()[:8]
        folder = contained(Path(folder_paths.get_output_directory()) / bridge.DATASETS, f"{file_stem(name)}_{code}")
        made = opened(export_dataset(folder, length, seed, size=size, identity=who, engine=voice, text=lines,
                                     portrait=photo, heard=heard, report=report))
        return io.NodeOutput(*made, ui=_said(made[0], made[1], previews=saying.previews(made[1], cls, report)))


def _photo(portrait: Tensor) -> Portrait:  # [B, H, W, C] 0..1
    """The first image's person."""
    from ..media_core.subject.photo import photographed, source_of_pixels

    picture = next(videos.pixels(portrait))
    return photographed(picture, source_of_pixels(picture))


def _heard(audio: dict, seed: int, report: bridge.NodeReport) -> Heard:
    """The mouth that the shipped AToM gives the audio."""
    from ..media_core.audio import Sound
    from ..moditalker_core.atom.checkpoints import SHIPPED_ATOM, load_atom
    from ..moditalker_core.heard import heard_audio

    return heard_audio(load_atom(SHIPPED_ATOM), Sound.from_comfy(audio), seed=seed, report=report)


def _described(photo: Portrait | None, heard: Heard | None) -> dict[str, str]:
    """What the folder's code also stands for; nothing without a portrait and audio."""
    said = {} if heard is None else {"heard": heard.sha256}
    return said if photo is None or photo.source is None else said | {"portrait": photo.source.sha256}


class LoadDataset(io.ComfyNode):
    """A dataset folder below ComfyUI's input or output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadDataset",
            display_name="Load Dataset",
            category="Talking Heads/Dataset",
            description="Opens a training dataset (TalkingGaussian layout: transforms_train.json, au.csv, ori_imgs, parsing, "
                        "...) from a folder.",
            search_aliases=["talking head dataset", "talkinggaussian dataset"],
            inputs=[
                io.Combo.Input("place", display_name="location", options=["input", "output"], default="input",
                               tooltip="Which of ComfyUI's folders the dataset is in."),
                io.String.Input("folder", default="",
                                tooltip="The dataset's folder, relative to that location, such as "
                                        "talking_heads/datasets/subject."),
            ],
            outputs=_outputs(),
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, place: str, folder: str) -> str:
        index = _located(place, folder) / "transforms_train.json"
        return bridge.stamp(index) if index.is_file() else "absent"

    @classmethod
    def execute(cls, place: str, folder: str) -> io.NodeOutput:
        made = opened(_located(place, folder))
        return io.NodeOutput(*made, ui=_said(made[0], made[1], images=saying.pictures(made[1], cls)))


def _located(place: str, folder: str) -> Path:
    """The folder, inside ComfyUI's input or output."""
    if not folder.strip():
        raise TalkingHeadsError("The dataset's folder must be named", "an empty name", f"Give its path relative to ComfyUI's "
                                                                                       f"{place} folder")
    base = folder_paths.get_input_directory() if place == "input" else folder_paths.get_output_directory()
    return contained(base, folder.strip())


def opened(folder: Path) -> tuple[sockets.DatasetFolder, Tensor, dict, ExpressionTrack, PoseTrack]:
    """The five outputs of a dataset: folder, preview, audio, expression, pose."""
    import torch

    from ..hmtalker_core.data.dataset import AvatarDataset
    from ..media_core.audio import load_sound
    from ..media_core.motion import ExpressionTrack, PoseTrack

    data = AvatarDataset.open(folder)
    count = len(data)
    shown = sorted({round(i * (count - 1) / 3) for i in range(4)})
    preview = torch.stack([torch.as_tensor(data.frame(i).image, dtype=torch.float32) / 255.0 for i in shown])
    expression = ExpressionTrack(torch.as_tensor(data.au, dtype=torch.float32), data.fps, source="dataset",
                                 reliability=getattr(data, "au_reliability", None))
    pose = PoseTrack(torch.as_tensor(data.poses, dtype=torch.float32), data.focal, (data.size[0], data.size[1]), data.fps)
    dataset = sockets.DatasetFolder(str(folder), count, data.fps)
    return dataset, preview, load_sound(data.audio_path).to_comfy(), expression, pose


def _said(dataset: sockets.DatasetFolder, preview: Tensor, **lists: list) -> dict[str, list]:
    """What a dataset is."""
    height, width = preview.shape[1:3]
    text = f"{dataset.frames:,} frames of {width} x {height} px at {dataset.fps:g} fps, {dataset.frames / dataset.fps:.1f} s"
    return saying.dataset(Path(dataset.folder), text, **lists)


NODES = (SyntheticSubject, LoadDataset)
