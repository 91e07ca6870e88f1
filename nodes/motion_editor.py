"""Motion edited by hand: the curves that are drawn on the node, kept in its `edits`, are applied to what comes in."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from . import bridge, sockets

if TYPE_CHECKING:
    from ..hmtalker_core.avatar_motion import AvatarMotion
    from ..media_core.motion import LandmarkTrack
    from ..media_core.speech import Speech

_CATEGORY = "Talking Heads/Motion"


def _edits(what: str) -> io.Input:
    return io.String.Input("edits", default="", tooltip=f"The curves drawn in the editor on this node, as text: {what}. Empty: "
                                                        "nothing is changed.")


def _heard() -> list[io.Input]:
    return [
        io.Audio.Input("audio", optional=True, tooltip="The audio the motion belongs to: the editor draws and plays it. It does "
                                                       "not change the motion."),
        io.String.Input("transcript", default="", optional=True,
                        tooltip="What is said in the audio, in English: the editor then shows its phones exactly where they "
                                "are spoken. Empty: they are recognised. Needs the package pocketsphinx."),
    ]


class EditMotion(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS with curves drawn by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_EditMotion",
            display_name="Edit Motion",
            category=_CATEGORY,
            description="Draw the motion of a face over its audio: lips, jaw, brows, blinks and where the head looks. Run once, "
                        "draw on the curves, play to see the points move, and run again.",
            search_aliases=["motion editor", "keyframes", "curve editor", "animation curves", "draw motion", "timeline"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                _edits("lanes lips, jaw, brows, blink, yaw and pitch"),
                sockets.Speech.Input("speech", optional=True, tooltip="The encoded speech: the editor marks where nobody speaks. "
                                                                      "It does not change the motion."),
                *_heard(),
            ],
            outputs=[sockets.Landmarks.Output("edited", display_name="landmarks", tooltip="The landmarks with your edits.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, edits: str, speech: Speech | None = None, audio: dict | None = None,
                transcript: str = "") -> io.NodeOutput:
        from ..media_core.edit_curves import parsed_edits
        from ..media_core.motion_edits import LANES, apply_edits
        from ..media_core.motion_view import landmarks_view

        edited = apply_edits(landmarks, parsed_edits(edits, LANES))
        sound = _sound(audio)
        return io.NodeOutput(edited, ui=_shown(landmarks_view(landmarks, sound, speech, transcript), sound))


class EditAvatarMotion(io.ComfyNode):
    """TH_AVATAR_MOTION to TH_AVATAR_MOTION with curves drawn by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_EditAvatarMotion",
            display_name="Edit Avatar Motion",
            category=_CATEGORY,
            description="Draw an avatar's motion over its audio: the 17 action units and where the head looks. Run once, draw on "
                        "the curves, play to see a sketch of the face move, and run again.",
            search_aliases=["motion editor", "action unit editor", "keyframes", "curve editor", "draw expression", "timeline"],
            inputs=[
                sockets.AvatarMotion.Input("motion", tooltip="An avatar's motion (Drive Avatar)."),
                _edits("lanes AU01 to AU45, yaw and pitch"),
                sockets.Avatar.Input("avatar", optional=True, tooltip="The avatar that was driven: needed to edit the lower "
                                                                      "face."),
                sockets.Speech.Input("speech", optional=True, tooltip="The speech that drove it: needed to edit the lower face. "
                                                                      "The editor marks where nobody speaks."),
                *_heard(),
            ],
            outputs=[
                sockets.AvatarMotion.Output("edited", display_name="motion", tooltip="The motion with your edits, for the "
                                                                                     "rendering nodes."),
                sockets.Expression.Output("used_expression", display_name="expression",
                                          tooltip="The 17 action units of that motion."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, motion: AvatarMotion, edits: str, avatar: sockets.LoadedAvatar | None = None,
                speech: Speech | None = None, audio: dict | None = None, transcript: str = "") -> io.NodeOutput:
        from ..hmtalker_core.edited_motion import edit_motion
        from ..media_core.edit_curves import parsed_edits
        from ..media_core.expression_edits import LANES
        from ..media_core.motion_view import avatar_view

        curves, sound = parsed_edits(edits, LANES), _sound(audio)
        model = bridge.on_device(avatar) if avatar is not None and curves else None
        edited = edit_motion(motion, curves, model, speech)
        view = avatar_view(motion.expression, motion.poses, sound, speech, transcript)
        return io.NodeOutput(edited, edited.expression, ui=_shown(view, sound))


def _sound(audio: dict | None) -> Any:
    from ..media_core.audio import Sound

    return None if audio is None else Sound.from_comfy(audio)


def _shown(view: bytes, sound: Any) -> dict[str, list]:
    """What the page fetches by /view; nothing where the temp folder cannot be written: the motion must not be lost for that."""
    from ..media_core.motion_view import save_audio, save_view

    folder = Path(folder_paths.get_temp_directory())
    try:
        files = [save_view(folder, view), *([] if sound is None else [save_audio(folder, sound)])]
    except OSError as error:
        bridge.log.warning("The motion cannot be shown for editing (%s): free some space in ComfyUI's temp folder, or make it "
                           "writable.", error.strerror or error)
        files = []
    return {"motion_editor": [{"filename": path.name, "subfolder": "", "type": "temp"} for path in files]}


NODES = (EditMotion, EditAvatarMotion)
