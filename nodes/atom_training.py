"""The dataset for AToM and MToV, and the training of AToM."""
from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import folder_paths
from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained, file_stem
from ..moditalker_core import choices
from ..training_core import choices as training_choices
from . import bridge, face, saying, sockets, speech
from .atom import about, atom_output
from .automatic import AUTO, Value, check
from .training_feed import TrainingReport
from .training_inputs import BATCH, MEMORY, batch_inputs, licence_input, memory_input, run_inputs

if TYPE_CHECKING:
    from ..moditalker_core.atom.model import AToM
    from ..moditalker_core.data.images import PictureSettings

# moditalker_core.atom, spelled out so that registering the pack imports no model code
PRESETS = list(training_choices.PRESETS)
ATOM_PRESETS = [*PRESETS, choices.FINE_TUNING]
SUBJECT, VIDEOS = SOURCES = ["synthetic subject", "videos"]
CROPS, MARGIN = list(choices.CROPS), 1.6
INDEX, FIRST_IDENTITY = "index.json", 1000
LOGS = "talking_heads/logs"  # below ComfyUI's output folder


class MotionDataset(io.ComfyNode):
    """Synthetic people, or a folder of videos, to TH_MOTION_DATASET."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_MotionDataset",
            display_name="Motion Dataset",
            category="Talking Heads/MoDiTalker",
            description="Builds the dataset that AToM and MToV are trained on, in output/talking_heads/datasets: speech "
                        "features, landmarks, head poses and, for MToV, images of many people talking, either synthetic people "
                        "or the people in your videos. You can interrupt it at any time; running it again continues. Film people "
                        "only with their consent.",
            search_aliases=["audio to motion dataset", "landmark dataset", "atom training data", "preprocess videos"],
            inputs=_dataset_inputs(),
            outputs=dataset_outputs(),
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, videos: str | None) -> bool | str:
        return bridge.found(lambda: not videos or not videos.strip() or _videos_folder(videos).exists(),
                            "The folder or video", videos)

    @classmethod
    def fingerprint_inputs(cls, source: str, videos: str = "", **others: Any) -> tuple[str, ...]:
        there = source == VIDEOS and (videos or "").strip() and _videos_folder(videos).exists()
        root = _videos_folder(videos) if there else None
        films = () if root is None else sorted(path for path in (root, *root.rglob("*")) if path.is_file())
        return (*map(bridge.stamp, films), *speech.EncodeSpeech.fingerprint_inputs(**others))

    @classmethod
    def execute(cls, source: str, name: str, encoder: str, people: int, seconds: float, captured: bool, seed: int, videos: str,
                face_index: int, order: str, pictures: int = 0, margin: float = MARGIN, crop: str = CROPS[0],
                tracker: str = "people", speech_encoder: sockets.LoadedEncoder | None = None, **hubert: Any) -> io.NodeOutput:
        from ..media_core.speech import full_name

        chosen = speech.chosen_encoder(encoder, **hubert, speech_encoder=speech_encoder)
        shown = {"pictures": pictures, "margin": margin, "crop": crop} if pictures else {}
        heard = {"encoder": encoder, **(hubert if speech.needs_folder(encoder) else {})}
        asked = {**(heard if speech_encoder is None else {"encoder": full_name(chosen)}), **shown}
        if source == SUBJECT:
            folder = _of_subject(file_stem(name), asked, chosen, people=people, seconds=seconds, captured=captured, seed=seed)
        else:
            folder = _of_videos(file_stem(name), asked, chosen, videos=videos, face_index=face_index, order=order,
                                tracker=tracker)
        dataset, text = opened(folder)
        return io.NodeOutput(dataset, text, ui=saying.dataset(folder, text, files=saying.output_files(folder / INDEX)))


class LoadMotionDataset(io.ComfyNode):
    """A motion dataset below ComfyUI's input or output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadMotionDataset",
            display_name="Load Motion Dataset",
            category="Talking Heads/MoDiTalker",
            description="Opens a motion dataset built earlier by Motion Dataset or on the command line (talking-heads dataset "
                        "motion).",
            search_aliases=["audio to motion dataset", "atom training data", "landmark dataset"],
            inputs=[
                io.Combo.Input("place", display_name="location", options=["input", "output"], default="output",
                               tooltip="Which of ComfyUI's folders the dataset is in."),
                io.String.Input("folder", default="",
                                tooltip="The dataset's folder, relative to that location, such as "
                                        "talking_heads/datasets/motion."),
            ],
            outputs=dataset_outputs(),
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, place: str, folder: str) -> str:
        index = _located(place, folder) / INDEX
        return bridge.stamp(index) if index.is_file() else "absent"

    @classmethod
    def execute(cls, place: str, folder: str) -> io.NodeOutput:
        dataset, text = opened(found := _located(place, folder))
        return io.NodeOutput(dataset, text, ui=saying.dataset(found, text))


class TrainAToM(io.ComfyNode):
    """TH_MOTION_DATASET to a saved AToM."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_TrainAToM",
            display_name="Train AToM",
            category="Talking Heads/MoDiTalker",
            description="Trains AToM to generate motion from speech and saves the weights in models/talking_heads. Shows the "
                        "loss and, for held-out clips, the lip curves next to the true ones. You can interrupt it at any time: "
                        "the state is kept, and running it again continues.",
            search_aliases=["train audio to motion", "moditalker training", "landmark diffusion training"],
            inputs=[
                sockets.MotionDataset.Input("dataset", tooltip="The dataset to train on (Motion Dataset or Load Motion "
                                                               "Dataset)."),
                io.Combo.Input("preset", options=ATOM_PRESETS, default="demo",
                               tooltip="demo: small, an hour or two on a CPU with mel features; standard: for a GPU; published: "
                                       "MoDiTalker's own configuration, on HuBERT features; finetune: minutes on a CPU, adapts "
                                       "good weights to a few minutes of your own videos."),
                *run_inputs("my_atom", "clips"),
                *batch_inputs("Motion windows"),
                licence_input("Load AToM"),
                memory_input(),
                *_fine_tuning_inputs(),
            ],
            outputs=[atom_output(), io.String.Output("file", display_name="file",
                                                     tooltip="Name of the file, as Load AToM lists it."),
                     io.String.Output("about", display_name="about", tooltip="A short summary of what was trained and on which "
                                                                             "data.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, start_from: str | None = "", **others: object) -> str:
        if not start_from or not start_from.strip():
            return ""
        try:
            return bridge.stamp(bridge.model_path(start_from.strip()))
        except TalkingHeadsError:  # reported when the node runs
            return "absent"

    @classmethod
    def validate_inputs(cls, batch: Value = AUTO, memory_gb: Value = AUTO) -> bool | str:
        return check((BATCH, MEMORY), batch, memory_gb)

    @classmethod
    def execute(cls, dataset: sockets.MotionFolder, name: str, **settings: Any) -> io.NodeOutput:
        path = bridge.new_model_path(file_stem(name))
        with TrainingReport("MoDiTalker_TrainAToM", logs_of(path)) as report:
            atom = trained(dataset.folder, path, report, **settings)
        return io.NodeOutput(bridge.wrapped_atom(atom, path.stem), path.name, f"{path.name}\n{about(atom)}",
                             ui=saying.trained(path, logs_of(path), report, cls, about(atom)))


def _dataset_inputs() -> list:
    return [
        io.Combo.Input("source", options=SOURCES, default=SUBJECT,
                       tooltip="synthetic subject: synthetic people who speak invented sentences, with exact landmarks; videos: "
                               "a folder of videos in which faces are tracked."),
        io.String.Input("name", display_name="dataset name", default="motion",
                        tooltip="Name of the dataset's folder; a code for these settings is appended."),
        io.Combo.Input("encoder", options=speech.ENCODERS, default="mel",
                       tooltip="How the audio is encoded; weights trained on this dataset work with this encoder only. The "
                               "others need a model."),
        io.Int.Input("people", display_name="number of people", default=24, min=1, max=9000,
                     tooltip="Synthetic subject: number of people, one clip each."),
        io.Float.Input("seconds", display_name="seconds per person", default=75.0, min=2.0, max=3600.0, step=0.5,
                       tooltip="Synthetic subject: how long each person speaks, in seconds."),
        io.Boolean.Input("captured", display_name="track rendered video", default=False, advanced=True,
                         tooltip="Synthetic subject: render the people and track the rendered videos, as for real people, "
                                 "instead of using exact landmarks. Takes much longer."),
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, tooltip="Synthetic subject: determines what is said and how."),
        io.String.Input("videos", display_name="videos folder", default="",
                        tooltip="Videos: a folder inside ComfyUI's input folder, subfolders included, normally one per person; "
                                "or one video there."),
        *face.face_inputs(),
        *speech.hubert_inputs(),
        io.Int.Input("pictures", display_name="image size (0 = none)", default=0, min=0, max=1024, step=32, optional=True,
                     tooltip="Size of the face images in pixels, for Train MToV: 128 for demo, 256 for the other presets; 0: no "
                             "images, which is enough for Train AToM."),
        io.Float.Input("margin", display_name="margin (face heights)", default=MARGIN, min=1.0, max=10.0, step=0.1,
                       optional=True, advanced=True, tooltip="Face images: side of the square in face heights."),
        io.Combo.Input("crop", options=CROPS, default=CROPS[0], optional=True, advanced=True,
                       tooltip="Face images: one square for a whole clip (still), or one that slowly follows the head "
                               "(following)."),
        face.tracker_input("Videos: "),
        speech.encoder_input(),
    ]


def _fine_tuning_inputs() -> list:
    return [
        io.String.Input("start_from", display_name="start from", default="", optional=True,
                        tooltip="Fine-tuning: file of an AToM in models/talking_heads to continue from, for example on "
                                "your own videos; its size, sampling and speech encoder stay, and the learning rate is a "
                                "fifth of the preset's (finetune has its own). Empty: train a new one; with finetune, "
                                "continue from the demo weights."),
        sockets.MotionDataset.Input("mix", display_name="second dataset", optional=True,
                                    tooltip="A dataset to learn from as well, of the same speech encoder and frame rate: "
                                            "synthetic people, for example, next to your own videos, so that what the "
                                            "weights know already is kept. Held-out clips come from the first dataset "
                                            "only."),
        io.Float.Input("mix_fraction", display_name="fraction of the second dataset", default=0.5, min=0.01, max=0.99,
                       step=0.01, optional=True, advanced=True,
                       tooltip="Fraction of the training windows that come from the second dataset, if there is one."),
    ]


def dataset_outputs() -> list:
    return [
        sockets.MotionDataset.Output("dataset", display_name="dataset",
                                     tooltip="The dataset's folder, for Train AToM and Train MToV."),
        io.String.Output("about", display_name="about",
                         tooltip="What is in it: clips, minutes, people, speech encoder, and what was left out and why."),
    ]


def _of_subject(stem: str, asked: dict, encoder: Any, *, people: int, seconds: float, captured: bool, seed: int) -> Path:
    """Builds the dataset of synthetic people, or finds it."""
    from ..moditalker_core.data.from_subject import SubjectPlan, build_from_subject

    identities = tuple(range(FIRST_IDENTITY, FIRST_IDENTITY + people))
    plan = SubjectPlan(identities, seconds=seconds, seed=seed, captured=captured, val=min(2, people - 1), pictures=_shown(asked))
    folder = _folder(stem, {**asked, "people": people, "seconds": seconds, "captured": captured, "seed": seed})
    return build_from_subject(folder, plan, encoder=encoder, report=bridge.NodeReport())


def _of_videos(stem: str, asked: dict, encoder: Any, *, videos: str, face_index: int, order: str,
               tracker: str) -> Path:
    """Builds the dataset of a folder of videos, or finds it."""
    from ..moditalker_core.data.from_videos import FilmPlan, build_from_videos

    if not videos.strip():
        raise TalkingHeadsError("The folder of videos must be named", "an empty name",
                                "Give its path relative to ComfyUI's input folder")
    plan = FilmPlan(face_index=face_index, order=order, pictures=_shown(asked), tracker=tracker)
    by = {"tracker": tracker} if tracker != "rendered" else {}  # folders of before do not name that one
    folder = _folder(stem, {**asked, "videos": videos.strip(), "face_index": face_index, "order": order, **by})
    return build_from_videos(_videos_folder(videos), folder, plan, encoder=encoder, report=bridge.NodeReport())


def _shown(asked: dict) -> PictureSettings | None:
    """Which face images are stored; None: none."""
    from ..moditalker_core.data.images import PictureSettings

    return PictureSettings(asked["pictures"], asked["margin"], asked["crop"]) if "pictures" in asked else None


def _folder(stem: str, settings: dict[str, Any]) -> Path:
    code = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return contained(Path(folder_paths.get_output_directory()) / bridge.DATASETS, f"{stem}_{code}")


def _videos_folder(videos: str) -> Path:
    """The folder of videos, or the one video, inside ComfyUI's input folder."""
    return contained(folder_paths.get_input_directory(), videos.strip())


def _located(place: str, folder: str) -> Path:
    """The dataset's folder, inside ComfyUI's input or output."""
    if not folder.strip():
        raise TalkingHeadsError("The dataset's folder must be named", "an empty name",
                                f"Give its path relative to ComfyUI's {place} folder")
    return contained(folder_paths.get_directory_by_type(place), folder.strip())


def opened(folder: Path) -> tuple[sockets.MotionFolder, str]:
    """The two outputs of a motion dataset."""
    from ..moditalker_core.data.dataset import MotionDataset as Clips

    data = Clips.open(folder)
    held, people = len(data.indices("val")), len({clip.identity for clip in data.clips})
    lines = [f"{folder.name}: {len(data)} clips ({held} to validate on), {data.seconds / 60:.1f} minutes, people: {people}",
             f"{data.fps:g} fps, speech of {data.format}"]
    if size := min((clip.picture_size for clip in data.clips), default=0):
        lines.append(f"face images of {size} px, for MToV too")
    lines += [f"left out: {left.get('source')}: {left.get('reason')}" for left in data.skipped]
    return sockets.MotionFolder(folder=str(folder), clips=len(data), seconds=data.seconds, fps=data.fps,
                                encoder=data.format.encoder), "\n".join(lines)


def logs_of(path: Path) -> Path:
    """Where the log of a training of that file is."""
    return contained(folder_paths.get_output_directory(), f"{LOGS}/{path.stem}")


def trained(folder: str, path: Path, report: TrainingReport, preset: str, steps: float, seed: int, resume: bool, batch: Value,
            accumulation: int, licence: str, memory_gb: Value = AUTO, start_from: str = "",
            mix: sockets.MotionFolder | None = None, mix_fraction: float = 0.5) -> AToM:
    """Trains, saves, and returns the AToM."""
    import torch

    from ..moditalker_core.atom.mix import Share
    from ..moditalker_core.atom.start import chosen
    from ..moditalker_core.atom.training import train_atom

    config, weights = chosen(preset, bridge.model_path(start_from.strip()) if start_from.strip() else None)
    config = replace(config, steps=max(1, round(config.steps * steps)), batch=BATCH.read_whole(batch) or config.batch,
                     accumulation=accumulation)
    mm.unload_all_models()
    with torch.inference_mode(False), torch.enable_grad():
        return train_atom(folder, path, config, seed=seed, device=mm.get_torch_device(), resume=resume,
                          report=report, enough=report.enough, log_folder=logs_of(path), licence=licence,
                          memory_gb=MEMORY.read(memory_gb), start_from=weights,
                          mix=() if mix is None else (Share(mix.folder, mix_fraction),))


NODES = (MotionDataset, LoadMotionDataset, TrainAToM)
