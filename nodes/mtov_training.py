"""The training of MToV, stage by stage."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
from comfy_api.latest import io

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.paths import contained, file_stem
from . import bridge, sockets
from .atom import NONE
from .atom_training import LOGS, PRESETS
from .mtov import about, mtov_output

# moditalker_core.mtov.train_config, spelled out so that registering the pack imports no model code
STAGES = ["rgb", "gan", "landmarks", "diffusion"]
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
            description="Learns to make video of motion, in stages that follow one another, and saves each under "
                        "models/talking_heads. Shows the loss and pictures beside the true ones. Interrupt at any time: what "
                        "was learnt is kept, and running it again continues.",
            search_aliases=["train motion to video", "moditalker training", "video diffusion training", "video autoencoder"],
            inputs=[
                sockets.MotionDataset.Input("dataset", tooltip="A motion data set with pictures (Motion Dataset or Load Motion "
                                                               "Dataset)."),
                io.Combo.Input("stage", options=STAGES, default=STAGES[0],
                               tooltip="What is trained, in this order: rgb, the autoencoder of pictures; gan sharpens it (may "
                                       "be left out); landmarks, that of landmarks; diffusion, which makes the MToV whole."),
                io.Combo.Input("preset", options=PRESETS, default="demo",
                               tooltip="demo: small pictures, some hours on a CPU; standard: for a graphics card; published: "
                                       "MoDiTalker's own size. The same for all stages."),
                *_settings(),
            ],
            outputs=[mtov_output(), io.String.Output("file", display_name="file",
                                                     tooltip="The stage's file in models/talking_heads, for later stages; Load "
                                                             "MToV lists that of the last."),
                     io.String.Output("about", display_name="about", tooltip="What was trained on what, in a few lines.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, stage: str, name: str | None, rgb: str | None = "", landmarks: str | None = "",
                           mtov: str | None = "", **others: Any) -> tuple[str, ...]:
        given = {"rgb": rgb, "landmarks": landmarks, "mtov": mtov}  # None: from another node
        known = [part for part in used(stage, given) if given[part] is not None and name is not None]
        return tuple(part_stamp(given[part], name, part) for part in known)

    @classmethod
    def execute(cls, dataset: sockets.MotionFolder, stage: str, name: str, rgb: str = "", landmarks: str = "", mtov: str = "",
                **settings: Any) -> io.NodeOutput:
        path, given = stage_path(name, stage), {"rgb": rgb, "landmarks": landmarks, "mtov": mtov}
        parts = {part: part_path(given[part], name, part) for part in used(stage, given)}
        made = trained(stage, dataset.folder, path, parts, **settings)
        if stage != WHOLE:
            return io.NodeOutput(None, path.name, f"{path.name}\na part, for the stages that follow {stage}")
        return io.NodeOutput(bridge.wrapped_mtov(made, path.stem), path.name, f"{path.name}\n{about(made)}")


def _settings() -> list:
    return [
        io.Float.Input("steps", default=1.0, min=0.0001, max=10.0, step=0.1, round=0.0001,
                       tooltip="Times the preset's number of training steps: 0.1 for a quick look, 2 for longer."),
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, tooltip="Decides the first weights and the order of the clips."),
        io.String.Input("name", default="my_mtov",
                        tooltip="The whole file's name in models/talking_heads; the stage stands behind it in the files before. "
                                "A finished file of that name is replaced when training ends."),
        io.Boolean.Input("resume", default=True,
                         tooltip="Continue an interrupted training of that name with the same settings; off: begin anew."),
        io.Int.Input("batch", default=0, min=0, max=4096, advanced=True, tooltip="Clips a step; 0 for the preset's number."),
        io.Int.Input("accumulation", default=1, min=1, max=256, advanced=True,
                     tooltip="Compute a step in so many pieces: less memory, the same result (gan: nearly, as its "
                             "judges compare the clips of a piece)."),
        io.Combo.Input("precision", options=PRECISIONS, default=PRECISIONS[0], advanced=True,
                       tooltip="Number format of the arithmetic; the weights are kept in 32 bits."),
        io.Combo.Input("perceptual", options=[NONE, *bridge.model_files("lpips")], default=NONE, advanced=True,
                       tooltip="LPIPS weights (VGG or AlexNet, .safetensors) in models/talking_heads for the autoencoders' loss; "
                               "none: edges and coarse colours instead, which need no weights."),
        io.String.Input("licence", default="", advanced=True,
                        tooltip="What may be done with the weights: written into the file, and shown by Load MToV."),
        io.String.Input("rgb", default="", optional=True,
                        tooltip="For later stages: the file of rgb or gan, from the output of that node; empty: found by name."),
        io.String.Input("landmarks", default="", optional=True,
                        tooltip="For diffusion: the file of the stage landmarks, likewise; empty: found by name."),
        io.String.Input("mtov", default="", optional=True,
                        tooltip="For diffusion: a whole MToV's file in models/talking_heads to go on from, with its autoencoders "
                                "where rgb and landmarks are empty; empty: a denoiser from the beginning."),
    ]


def stage_path(name: str, stage: str) -> Path:
    """Where a stage's file is saved."""
    return bridge.new_model_path(file_stem(name) if stage == WHOLE else f"{file_stem(name)}_{stage}")


def used(stage: str, given: dict[str, str | None]) -> list[str]:
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
    except TalkingHeadsError:  # told when the node runs
        return "absent"


def trained(stage: str, folder: str, path: Path, parts: dict[str, Path], preset: str, steps: float, seed: int, resume: bool,
            batch: int, accumulation: int, precision: str, perceptual: str, licence: str) -> Any:
    """Trains a stage, saves it, and returns what it made."""
    import torch

    from ..moditalker_core.mtov.train_config import preset as named
    from ..moditalker_core.mtov.training import train_mtov

    config = named(preset, stage)
    config = replace(config, steps=max(1, round(config.steps * steps)), batch=batch or config.batch, accumulation=accumulation,
                     **({} if precision == PRECISIONS[0] else {"precision": precision}))
    logs = contained(folder_paths.get_output_directory(), f"{LOGS}/{path.stem}")
    lpips = None if perceptual == NONE else bridge.model_path(perceptual)
    mm.unload_all_models()
    with torch.inference_mode(False), torch.enable_grad():
        return train_mtov(stage, folder, path, config, **parts, seed=seed, device=mm.get_torch_device(), resume=resume,
                          report=bridge.NodeReport(), log_folder=logs, licence=licence, lpips=lpips)


NODES = (TrainMToV,)
