"""The training of MToV, stage by stage."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import file_stem
from ..moditalker_core import choices
from ..training_core.choices import CHECKPOINTING
from . import bridge, saying, sockets
from .atom import NONE
from .atom_training import PRESETS, logs_of
from .automatic import AUTO, Value, check
from .mtov import about, mtov_output
from .training_feed import TrainingReport
from .training_inputs import BATCH, MEMORY, batch_inputs, licence_input, memory_input, run_inputs

if TYPE_CHECKING:
    from ..moditalker_core.mtov.autoencoder import VideoAutoencoder
    from ..moditalker_core.mtov.model import MToV

# moditalker_core.mtov.train_config, spelled out so that registering the pack imports no model code
STAGES = list(choices.STAGES)
WHOLE = STAGES[-1]
NEEDED = {"rgb": (), "gan": ("rgb",), "landmarks": ("rgb",), "diffusion": ("rgb", "landmarks")}  # stage -> earlier parts it reads
MADE_BY = {"rgb": ("gan", "rgb"), "landmarks": ("landmarks",)}  # part -> the stages that make it, the better one first
PRECISIONS = ["preset's own", "fp32", "bf16", "fp16"]


class TrainMToV(io.ComfyNode):
    """TH_MOTION_DATASET to a part of an MToV, and at last to the whole."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_TrainMToV",
            display_name="Train MToV",
            category="Talking Heads/MoDiTalker",
            description="Trains MToV to make video from motion, in consecutive stages, and saves each in models/talking_heads. "
                        "Shows the loss, and generated frames next to the true ones. You can interrupt it at any time: the state "
                        "is kept, and running it again continues.",
            search_aliases=["train motion to video", "moditalker training", "video diffusion training", "video autoencoder"],
            inputs=[
                sockets.MotionDataset.Input("dataset", tooltip="A motion dataset with images (Motion Dataset or Load Motion "
                                                               "Dataset)."),
                io.Combo.Input("stage", options=STAGES, default=STAGES[0],
                               tooltip="What is trained, in this order: rgb, the image autoencoder; gan makes it sharper "
                                       "(optional); landmarks, the landmark autoencoder; diffusion, which completes the MToV."),
                io.Combo.Input("preset", options=PRESETS, default="demo",
                               tooltip="demo: small images, some hours on a CPU; standard: for a GPU; published: MoDiTalker's "
                                       "own configuration. Use the same preset for all stages."),
                *_settings(),
            ],
            outputs=[mtov_output(), io.String.Output("file", display_name="file",
                                                     tooltip="The stage's file in models/talking_heads, for later stages; Load "
                                                             "MToV lists that of the last stage."),
                     io.String.Output("about", display_name="about", tooltip="A short summary of what was trained and on which "
                                                                             "data.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, stage: str, name: str | None, rgb: str | None = "", landmarks: str | None = "",
                           mtov: str | None = "", **others: object) -> tuple[str, ...]:
        given = {"rgb": rgb, "landmarks": landmarks, "mtov": mtov}  # None: from another node
        known = [(part, file) for part in used(stage, given) if (file := given[part]) is not None]
        return () if name is None else tuple(part_stamp(file, name, part) for part, file in known)

    @classmethod
    def validate_inputs(cls, batch: Value = AUTO, memory_gb: Value = AUTO) -> bool | str:
        return check((BATCH, MEMORY), batch, memory_gb)

    @classmethod
    def execute(cls, dataset: sockets.MotionFolder, stage: str, name: str, rgb: str = "", landmarks: str = "", mtov: str = "",
                **settings: Any) -> io.NodeOutput:
        from ..moditalker_core.mtov.model import MToV

        path, given = stage_path(name, stage), {"rgb": rgb, "landmarks": landmarks, "mtov": mtov}
        parts = {part: part_path(given[part], name, part) for part in used(stage, given)}
        with TrainingReport("MoDiTalker_TrainMToV", logs_of(path)) as report:
            made = trained(stage, dataset.folder, path, parts, report, **settings)
        whole = bridge.wrapped_mtov(made, path.stem) if isinstance(made, MToV) else None
        text = about(made) if isinstance(made, MToV) else f"a part, for the stages after {stage}"
        return io.NodeOutput(whole, path.name, f"{path.name}\n{text}",
                             ui=saying.trained(path, logs_of(path), report, cls, text))


def _settings() -> list:
    return [
        *run_inputs("my_mtov", "clips",
                    name_tip="Name of the complete file in models/talking_heads; files of earlier stages have the stage "
                             "appended."),
        *batch_inputs("Clips", "same result (gan: almost, because its discriminators compare the clips of a micro-batch)"),
        io.Combo.Input("precision", options=PRECISIONS, default=PRECISIONS[0], advanced=True,
                       tooltip="Number format for computing; the weights are stored in 32 bits."),
        io.Combo.Input("perceptual", display_name="LPIPS weights", options=[NONE, *bridge.model_files("lpips")], default=NONE,
                       advanced=True,
                       tooltip="LPIPS weights (VGG or AlexNet, .safetensors) in models/talking_heads for the loss of the "
                               "autoencoders; none: compares edges and coarse colours instead, which needs no weights."),
        licence_input("Load MToV"),
        io.String.Input("rgb", display_name="rgb file", default="", optional=True,
                        tooltip="For later stages: the file of rgb or gan, from the output of that node; empty: found by name."),
        io.String.Input("landmarks", display_name="landmarks file", default="", optional=True,
                        tooltip="For diffusion: the file of the landmarks stage, likewise; empty: found by name."),
        io.String.Input("mtov", display_name="MToV file", default="", optional=True,
                        tooltip="For diffusion: the file of a complete MToV in models/talking_heads to continue from; its "
                                "autoencoders are used if rgb and landmarks are empty. Empty: train a new denoiser."),
        memory_input(),
        io.Combo.Input("checkpointing", display_name="activation checkpointing", options=list(CHECKPOINTING),
                       default=CHECKPOINTING[0], optional=True, advanced=True,
                       tooltip="Compute activations again for the gradient: much less memory, a third more time, same result. "
                               "auto: only if memory is short."),
    ]


def stage_path(name: str, stage: str) -> Path:
    """Where a stage's file is saved."""
    return bridge.new_model_path(file_stem(name) if stage == WHOLE else f"{file_stem(name)}_{stage}")


def used(stage: str, given: Mapping[str, str | None]) -> list[str]:
    """Names of the files that a stage reads."""
    named = [part for part, file in given.items() if file is None or file.strip()]  # None: known when another node has run
    whole = "mtov" in named
    return [part for part in NEEDED[stage] if not whole or part in named] + ["mtov"] * whole


def part_path(given: str, name: str, part: str) -> Path:
    """The file of an earlier stage: the one given, else the best one of that name."""
    if given.strip():
        return bridge.model_path(given.strip())
    found = [path for stage in MADE_BY[part] if (path := stage_path(name, stage)).is_file()]
    if not found:
        raise FileFormatError(f"This stage needs the file of the stage {part}", f"no {stage_path(name, part).name}",
                              "Train that stage first, with the same name, or connect its file")
    return found[0]


def part_stamp(given: str, name: str, part: str) -> str:
    """What changes when an earlier stage's file does."""
    try:
        return bridge.stamp(part_path(given, name, part))
    except TalkingHeadsError:  # reported when the node runs
        return "absent"


def trained(stage: str, folder: str, path: Path, parts: dict[str, Path], report: TrainingReport, preset: str, steps: float,
            seed: int, resume: bool, batch: Value, accumulation: int, precision: str, perceptual: str,
            licence: str, memory_gb: Value = AUTO, checkpointing: str = CHECKPOINTING[0]) -> VideoAutoencoder | MToV:
    """Trains a stage, saves it, and returns what it made."""
    import torch

    from ..moditalker_core.mtov.train_config import preset as named
    from ..moditalker_core.mtov.training import train_mtov

    config = named(preset, stage)
    config = replace(config, steps=max(1, round(config.steps * steps)), batch=BATCH.read_whole(batch) or config.batch,
                     accumulation=accumulation, **({} if precision == PRECISIONS[0] else {"precision": precision}))
    lpips = None if perceptual == NONE else bridge.model_path(perceptual)
    mm.unload_all_models()
    with torch.inference_mode(False), torch.enable_grad():
        return train_mtov(stage, folder, path, config, rgb=parts.get("rgb"), landmarks=parts.get("landmarks"),
                          mtov=parts.get("mtov"), seed=seed, device=mm.get_torch_device(), resume=resume,
                          report=report, enough=report.enough, log_folder=logs_of(path), licence=licence, lpips=lpips,
                          memory_gb=MEMORY.read(memory_gb), checkpointing=checkpointing)


NODES = (TrainMToV,)
