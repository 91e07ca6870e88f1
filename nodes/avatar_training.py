"""A dataset to an avatar."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
from comfy_api.latest import io

from ..media_core.paths import file_stem
from ..training_core import choices
from ..training_core.choices import CUES, DENSIFY, FUSIONS, PRIORS, WINDOWS
from . import bridge, saying, sockets, speech
from .atom_training import logs_of
from .automatic import AUTO, Automatic, Value, check
from .training_feed import TrainingReport
from .training_inputs import run_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from ..hmtalker_core.avatar import Avatar
    from ..hmtalker_core.training.config import TrainConfig

NONE = "none"
ENDINGS: dict[str, bool | None] = {"auto": None, "on": True, "off": False}
CAP = Automatic("cap", 100, 10_000_000, whole=True, label="most Gaussians")
PRESETS = list(choices.PRESETS)
FORMERLY = ["preview", "paper"]  # demo and published, in saved workflows
_UNTRAINED = {"warmup": "Only the audio networks were trained so far: there is no face yet.",
              "face": "The inside of the mouth was not trained yet."}  # by the phase in which a training was ended


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
                _encoder_input(),
                *speech.hubert_inputs(),
                speech.encoder_input(),
                *_model_inputs(),
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
    def validate_inputs(cls, cap: Value = AUTO) -> bool | str:
        return check((CAP,), cap)

    @classmethod
    def execute(cls, dataset: sockets.DatasetFolder, preset: str, steps: float, seed: int, name: str, resume: bool,
                encoder: str = "mel", perceptual: str = NONE, start_from: sockets.LoadedAvatar | None = None,
                prior: str = PRIORS[0], **model: Any) -> io.NodeOutput:
        import torch

        from ..hmtalker_core.training.train_avatar import train_avatar

        path = bridge.new_model_path(file_stem(name))
        logs, config = logs_of(path), _config(preset, model)
        lpips = None if perceptual == NONE else bridge.model_path(perceptual)
        mm.unload_all_models()
        with torch.inference_mode(False), torch.enable_grad(), TrainingReport("HMTalker_TrainAvatar", logs) as report:
            avatar = train_avatar(dataset.folder, path, preset=config, steps=steps, seed=seed, device=mm.get_torch_device(),
                                  report=report, enough=report.enough, resume=resume, log_folder=logs, lpips_weights=lpips,
                                  start_from=_start(start_from, prior),
                                  encoder=speech.chosen_encoder(encoder, **model))
        missing = _UNTRAINED.get(report.trained_phase, "") if report.kept else ""
        return io.NodeOutput(bridge.wrapped(avatar, path.stem), path.name, ui=saying.trained(path, logs, report, cls, missing))


def _start(avatar: sockets.LoadedAvatar | None, prior: str) -> Avatar | Path | str | None:
    """What the motion networks begin with, if not with the speech prior alone."""
    from ..hmtalker_core.training import start

    if avatar is not None:
        return avatar.model.copied("cpu")
    return start.named(prior)


def _encoder_input() -> io.Input:
    """How the avatar hears."""
    return io.Combo.Input("encoder", options=speech.ENCODERS, default="mel", optional=True,
                   tooltip="How the avatar hears: it can be driven only by speech of the encoder it is trained with. "
                           "The others need a model.")


def _model_inputs() -> list:
    """What the avatar is, beside how long it is trained; the defaults are every preset's."""
    return [
        io.Combo.Input("fusion", options=list(FUSIONS), default=FUSIONS[0], optional=True, advanced=True,
                       tooltip="How the code of speech and the explicit code become one. gate: a learned proportion per channel "
                               "(the paper's); concat: a small network over both; fixed: half of each; implicit: speech alone; "
                               "explicit: the explicit code alone."),
        io.Combo.Input("cue", display_name="explicit cue", options=list(CUES), default=CUES[0], optional=True, advanced=True,
                       tooltip="What the explicit code is made of. au: lower-face action units; blendshapes: those of the "
                               "dataset's blendshapes.npy or face mesh; vector: any numbers per frame, from its vector.npy. Only "
                               "with au can edited action units move the lower face."),
        io.String.Input("path_ratio", display_name="path ratio", default="4:4:2", optional=True, advanced=True,
                        tooltip="How often training takes each path, as audio:masked:vanilla. audio: the explicit code predicted "
                                "from speech; masked and vanilla: the measured one, with and without part of the speech "
                                "code dropped."),
        io.Float.Input("mask_low", display_name="mask from", default=0.1, min=0.0, max=1.0, step=0.01, round=0.01, optional=True,
                       advanced=True, tooltip="Smallest fraction of the speech code that the masked path drops."),
        io.Float.Input("mask_high", display_name="mask to", default=0.3, min=0.0, max=1.0, step=0.01, round=0.01, optional=True,
                       advanced=True, tooltip="Largest fraction of the speech code that the masked path drops."),
        io.Combo.Input("densify", display_name="densification", options=list(DENSIFY), default=DENSIFY[0], optional=True,
                       advanced=True,
                       tooltip="How Gaussians multiply. grow: clones, splits and pruning by gradient and opacity; mcmc: "
                               "transparent ones move to visible ones, and 5 % are added at a time up to the cap."),
        CAP.input("Gaussians of the face at most; those of the mouth in proportion.", "the preset's number", optional=True,
                  advanced=True),
        io.Boolean.Input("pose_residuals", display_name="pose residuals", default=False, optional=True, advanced=True,
                         tooltip="Learn small corrections of the head poses while the face is trained, and save them in the "
                                 "avatar: sharper where the tracking is slightly off."),
        io.Combo.Input("window", display_name="speech window", options=list(WINDOWS), default=WINDOWS[0], optional=True,
                       advanced=True,
                       tooltip="Which frames of speech each frame hears. centred: four before and three after it; causal: seven "
                               "before it, for live use with less delay, at some cost to the lips."),
        io.Combo.Input("endings", display_name="official endings", options=list(ENDINGS), default="auto", optional=True,
                       advanced=True,
                       tooltip="Whether the last percents of each stage are as in the papers' code. auto: as the preset "
                               "has it."),
        io.Combo.Input("perceptual", display_name="LPIPS weights", options=[NONE, *bridge.model_files("lpips")], default=NONE,
                       optional=True, advanced=True,
                       tooltip="LPIPS weights (AlexNet, .safetensors) in models/talking_heads for the perceptual terms at the "
                               "end of each stage; none: without them."),
        sockets.Avatar.Input("start_from", optional=True,
                             tooltip="An avatar of somebody else, whose motion networks this one begins with: seconds of video "
                                     "are then enough for lips that follow."),
        io.Combo.Input("prior", options=list(PRIORS), default=PRIORS[0], optional=True, advanced=True,
                       tooltip="What the motion networks begin with, where start_from is not connected. speech: how mouths "
                               "answer speech; avatar: also how faces move, from eight synthetic people, so that lips follow "
                               "the voice after a tenth of the steps (it knows mel speech and the default fusion, cue and "
                               "window only); auto: avatar where it can, or else speech."),
    ]


def _config(preset: str, inputs: dict[str, Any]) -> TrainConfig:
    """The preset with what the inputs of `_model_inputs` say, which are taken out of `inputs`."""
    from dataclasses import replace

    from ..hmtalker_core.training.config import numbers_of
    from ..hmtalker_core.training.config import preset as find_preset

    taken = {name: inputs.pop(name) for name in ("fusion", "cue", "densify", "pose_residuals", "window") if name in inputs}
    ratio, low, high = inputs.pop("path_ratio", "4:4:2"), inputs.pop("mask_low", 0.1), inputs.pop("mask_high", 0.3)
    ending, cap = ENDINGS[inputs.pop("endings", "auto")], CAP.read_whole(inputs.pop("cap", AUTO))
    taken |= {} if ending is None else {"published_endings": ending}
    config = replace(find_preset(preset), **taken, path_weights=numbers_of(ratio, "The path ratio", 3), mask_ratio=(low, high))
    return config if cap is None else config.with_cap(cap)


NODES = (TrainAvatar,)
