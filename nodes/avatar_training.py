"""A dataset to an avatar."""
from __future__ import annotations

from typing import Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.paths import file_stem
from ..training_core import choices
from . import bridge, saying, sockets, speech
from .atom_training import logs_of
from .training_inputs import run_inputs

PRESETS = list(choices.PRESETS)
FORMERLY = ["preview", "paper"]  # demo and published, in saved workflows


class TrainAvatar(io.ComfyNode):
    """TH_DATASET to a saved avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_TrainAvatar",
            display_name="Train Avatar",
            category="Talking Heads/HM-Talker",
            description="Trains an avatar of the dataset's person and saves it in models/talking_heads. Shows loss, PSNR and a "
                        "preview. You can interrupt it at any time: the state is kept, and running it again continues.",
            search_aliases=["train talking head", "gaussian avatar training", "hm-talker training"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset to train on (Prepare Avatar Dataset, Synthetic Subject or "
                                                         "Load Dataset)."),
                io.Combo.Input("preset", options=PRESETS + FORMERLY, default="demo",
                               tooltip="demo: a small avatar in minutes, even on a CPU; standard: for a GPU; published: the full "
                                       "schedule of the papers, with its final phases. preview and paper are earlier names of "
                                       "demo and published."),
                *run_inputs("my_avatar", "frames", least=0.001),
                io.Combo.Input("encoder", options=speech.ENCODERS, default="mel", optional=True,
                               tooltip="How the avatar hears: it can be driven only by speech of the encoder it is trained with. "
                                       "The others need a model."),
                *speech.hubert_inputs(),
                speech.encoder_input(),
            ],
            outputs=[
                sockets.Avatar.Output("avatar", display_name="avatar", tooltip="The trained avatar, ready to be driven."),
                io.String.Output("file", display_name="file", tooltip="Name of the file, as Load Avatar lists it."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, encoder: str = "mel", model_folder: str = speech.NO_FOLDER, **others: Any) -> tuple[str, ...]:
        return speech.folder_stamps(encoder, model_folder)

    @classmethod
    def execute(cls, dataset: sockets.DatasetFolder, preset: str, steps: float, seed: int, name: str, resume: bool,
                encoder: str = "mel", **model: Any) -> io.NodeOutput:
        import torch

        from ..hmtalker_core.training.train_avatar import train_avatar

        path, report = bridge.new_model_path(file_stem(name)), bridge.NodeReport()
        logs = logs_of(path)
        mm.unload_all_models()
        with torch.inference_mode(False), torch.enable_grad():
            avatar = train_avatar(dataset.folder, path, preset=preset, steps=steps, seed=seed, device=mm.get_torch_device(),
                                  report=report, resume=resume, log_folder=logs,
                                  encoder=speech.chosen_encoder(encoder, **model))
        return io.NodeOutput(bridge.wrapped(avatar, path.stem), path.name, ui=saying.trained(path, logs, report, cls))


NODES = (TrainAvatar,)
