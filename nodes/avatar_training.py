"""A dataset to an avatar."""
from __future__ import annotations

import comfy.model_management as mm
import folder_paths
from comfy_api.latest import io

from ..media_core.paths import contained, file_stem
from . import bridge, sockets
from .atom_training import LOGS

# hmtalker_core.training.presets(), spelled out so that registering the pack imports no model code
PRESETS = ["demo", "standard", "published"]
FORMERLY = ["preview", "paper"]  # demo and published, in saved workflows


class TrainAvatar(io.ComfyNode):
    """TH_DATASET to a saved avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_TrainAvatar",
            display_name="Train Avatar",
            category="Talking Heads/HM-Talker",
            description="Trains an avatar of the dataset's person and saves it under models/talking_heads. Shows loss, PSNR "
                        "and a preview as it goes. "
                        "Interrupt at any time: what was learnt is kept, and running it again continues.",
            search_aliases=["train talking head", "gaussian avatar training", "hm-talker training"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="What to learn from (Prepare Avatar Dataset, Synthetic Subject or Load "
                                                     "Dataset)."),
                io.Combo.Input("preset", options=PRESETS + FORMERLY, default="demo",
                               tooltip="demo: a small avatar in minutes, on a CPU too; standard: for a GPU; published: the "
                                       "papers' full schedule with its endings. preview and paper are earlier names of demo and "
                                       "published."),
                io.Float.Input("steps", default=1.0, min=0.001, max=10.0, step=0.1, round=0.001,
                               tooltip="Times the preset's number of training steps: 0.1 for a quick look, 2 for longer."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF,
                             tooltip="Decides the order of frames and the first weights."),
                io.String.Input("name", default="my_avatar",
                                tooltip="The file's name in models/talking_heads. A finished file of that name is replaced "
                                        "when training ends."),
                io.Boolean.Input("resume", default=True,
                                 tooltip="Continue an interrupted training of that name with the same settings; off: start "
                                         "over."),
            ],
            outputs=[
                sockets.Avatar.Output("avatar", display_name="avatar", tooltip="The trained avatar, ready to be driven."),
                io.String.Output("file", display_name="file", tooltip="The file's name, as Load Avatar lists it."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, dataset: sockets.DatasetFolder, preset: str, steps: float, seed: int, name: str,
                resume: bool) -> io.NodeOutput:
        import torch

        from ..hmtalker_core.training.train_avatar import train_avatar

        path = bridge.new_model_path(file_stem(name))
        logs = contained(folder_paths.get_output_directory(), f"{LOGS}/{path.stem}")
        mm.unload_all_models()
        with torch.inference_mode(False), torch.enable_grad():
            avatar = train_avatar(dataset.folder, path, preset=preset, steps=steps, seed=seed, device=mm.get_torch_device(),
                                  report=bridge.NodeReport(), resume=resume, log_folder=logs)
        return io.NodeOutput(bridge.wrapped(avatar, path.stem), path.name)


NODES = (TrainAvatar,)
