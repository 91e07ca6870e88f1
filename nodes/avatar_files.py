"""Avatars from TalkingGaussian's checkpoints, and their Gaussians to PLY files and back."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import file_stem
from . import bridge, saying, sockets, speech
from .motion_files import located, numbered_file

if TYPE_CHECKING:
    from ..hmtalker_core.avatar import Avatar

NONE = "(none)"
CHECKPOINTS = (".pth", ".pt")
PARTS = {"fuse": "chkpnt_fuse_latest.pth", "face": "chkpnt_face_latest.pth", "mouth": "chkpnt_mouth_latest.pth"}
BRANCHES = ["face", "mouth"]
ENDING = ".ply"


def branch_input() -> io.Input:
    """Which of an avatar's two sets of Gaussians."""
    return io.Combo.Input("branch", options=BRANCHES, default="face", tooltip="The face with head and hair, or the inside of the "
                                                                              "mouth: each has its own Gaussians.")


class ImportTalkingGaussian(io.ComfyNode):
    """Official checkpoints and their dataset to a saved avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_ImportTalkingGaussian",
            display_name="Import TalkingGaussian",
            category="Talking Heads/HM-Talker",
            description="Converts checkpoints of TalkingGaussian (files in models/talking_heads) and the dataset they were "
                        "trained on to an avatar that Load Avatar lists. Needed only once. TalkingGaussian has no licence: use "
                        "what is yours.",
            search_aliases=["talkinggaussian checkpoint", "chkpnt_fuse_latest.pth", "published weights"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The folder the checkpoint was trained on (Load Dataset): poses, action "
                                                         "units, body, background and aud_ds.npy or other speech features."),
                *(io.Combo.Input(name, options=[NONE, *bridge.loose_files(CHECKPOINTS)], default=NONE,
                                 tooltip=f"Officially named {file}: a .pt or .pth file in models/talking_heads. Choose fuse "
                                         "alone, or face and mouth; press R after adding one.") for name, file in PARTS.items()),
                io.String.Input("name", display_name="file name", default="talkinggaussian",
                                tooltip="Name of the new file in models/talking_heads. An existing file of that name is "
                                        "replaced."),
                sockets.SpeechEncoder.Input("speech_encoder", optional=True,
                                            tooltip="The speech features it was trained with, if the dataset has no file of "
                                                    "them: from Load Speech Features, for instance."),
            ],
            outputs=[sockets.Avatar.Output("avatar", display_name="avatar", tooltip="The avatar, ready to be driven."),
                     io.String.Output("file", display_name="file", tooltip="Name of the file, as Load Avatar lists it.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **values: str) -> tuple[str, ...]:
        return tuple(bridge.stamp(bridge.model_path(values[name])) for name in PARTS if values.get(name, NONE) != NONE)

    @classmethod
    def execute(cls, dataset: sockets.DatasetFolder, fuse: str, face: str, mouth: str, name: str,
                speech_encoder: sockets.LoadedEncoder | None = None) -> io.NodeOutput:
        from ..hmtalker_core.checkpoints import load_avatar
        from ..hmtalker_core.importing import import_avatar

        files = [None if file == NONE else bridge.model_path(file) for file in (fuse, face, mouth)]
        path = import_avatar(dataset.folder, bridge.new_model_path(file_stem(name)), fuse=files[0], face=files[1], mouth=files[2],
                             encoder=None if speech_encoder is None else speech.on_device(speech_encoder),
                             report=bridge.NodeReport())
        avatar = load_avatar(path)
        return io.NodeOutput(bridge.wrapped(avatar, path.stem), path.name, ui=saying.model_saved(path, about(avatar)))


class SavePLY(io.ComfyNode):
    """The Gaussians of an avatar's branch to a PLY file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_SavePLY",
            display_name="Save Avatar PLY",
            category="Talking Heads/HM-Talker",
            description="Writes the Gaussians of an avatar, at rest, to a PLY file in ComfyUI's output folder, to look at or "
                        "clean in another program. Replace Avatar PLY puts them back. Files are numbered, so nothing is "
                        "overwritten.",
            search_aliases=["export gaussians", "3dgs ply", "avatar to ply", "supersplat"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar."),
                branch_input(),
                io.String.Input("filename_prefix", default="talking_heads/gaussians",
                                tooltip="Start of the file name; it may include subfolders of the output folder."),
            ],
            outputs=[io.String.Output("file", display_name="file", tooltip="The file, relative to the output folder.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, branch: str, filename_prefix: str) -> io.NodeOutput:
        from ..hmtalker_core.ply import save_ply

        field = getattr(avatar.model, branch)
        path = numbered_file(filename_prefix, ENDING, lambda to: save_ply(field, to))
        return io.NodeOutput(saying.below_output(path), ui=saying.file_saved(path, f"{len(field)} Gaussians of the {branch}"))


class ReplacePLY(io.ComfyNode):
    """A PLY file in place of the Gaussians of an avatar's branch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_ReplacePLY",
            display_name="Replace Avatar PLY",
            category="Talking Heads/HM-Talker",
            description="Gives an avatar the Gaussians of a PLY file, cleaned in another program for instance. Its motion "
                        "networks move whatever stands in a place, so do not shift or scale them there.",
            search_aliases=["import gaussians", "3dgs ply", "ply to avatar", "supersplat"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar."),
                branch_input(),
                io.Combo.Input("place", display_name="location", options=["input", "output"], default="output",
                               tooltip="Which of ComfyUI's folders the file is in."),
                io.String.Input("file", default="talking_heads/gaussians_00001_.ply",
                                tooltip="The file, relative to that location."),
            ],
            outputs=[sockets.Avatar.Output("avatar", display_name="avatar", tooltip="The avatar with the other Gaussians.")],
        )

    @classmethod
    def fingerprint_inputs(cls, place: str, file: str, **others: object) -> str:
        path = located(place, file, "PLY")
        return bridge.stamp(path) if path.is_file() else "absent"

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, branch: str, place: str, file: str) -> io.NodeOutput:
        from ..hmtalker_core.importing import with_fields
        from ..hmtalker_core.ply import load_ply

        whole = avatar.model.copied("cpu")  # its weights stay where ComfyUI has them
        path = located(place, file, "PLY")
        if path.suffix.lower() != ENDING:
            raise TalkingHeadsError("Gaussians are read from a .ply file", path.name, "Choose one that Save Avatar PLY wrote")
        field = load_ply(path, active=getattr(whole, branch).active_sh_degree)
        return io.NodeOutput(bridge.wrapped(with_fields(whole, **{branch: field}), Path(file).stem))


def about(avatar: Avatar) -> str:
    """An imported avatar in a line."""
    height, width = avatar.size
    return (f"{len(avatar.face)} + {len(avatar.mouth)} Gaussians, {width} x {height} px, {len(avatar.poses)} poses\n"
            f"understands {avatar.hears}")


NODES = (ImportTalkingGaussian, SavePLY, ReplacePLY)
