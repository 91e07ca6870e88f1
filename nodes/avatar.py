"""A trained avatar: load it, and drive it with speech."""
from __future__ import annotations

from typing import Any, Literal, TypeAlias

from comfy_api.latest import io

from . import bridge, saying, sockets

Blinks: TypeAlias = Literal["track", "generated", "none"]


class LoadAvatar(io.ComfyNode):
    """An avatar file to TH_AVATAR."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_LoadAvatar",
            display_name="Load Avatar",
            category="Talking Heads/HM-Talker",
            description="Loads a trained avatar from models/talking_heads, or the demo avatar that comes with the pack.",
            search_aliases=["talking head model", "gaussian avatar", "hm-talker"],
            inputs=[
                io.Combo.Input("avatar_name", display_name="avatar file", options=bridge.model_files("avatar"),
                               tooltip="An avatar file (.safetensors) in models/talking_heads, or the one that comes with the "
                                       "pack."),
            ],
            outputs=[
                sockets.Avatar.Output("avatar", display_name="avatar", tooltip="The avatar, ready to be driven and rendered."),
                io.String.Output("about", display_name="about",
                                 tooltip="What the file says about itself: size, frame rate, speech encoder, licence of the "
                                         "likeness."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, avatar_name: str) -> str:
        return bridge.stamp(bridge.model_path(avatar_name))

    @classmethod
    def execute(cls, avatar_name: str) -> io.NodeOutput:
        from ..hmtalker_core.checkpoints import load_avatar

        path = bridge.model_path(avatar_name)
        avatar = load_avatar(path)
        height, width = avatar.size
        about = (f"{path.name}\n{width} x {height} pixels, {avatar.fps:g} fps, "
                 f"speech encoder {avatar.encoder}, layer {avatar.hears.layer}\n"
                 + (f"linear basis of {len(avatar.basis.scales)} components, {avatar.basis.psnr:.1f} dB to exact deformation\n"
                    if avatar.basis else "") + f"{avatar.licence}")
        return io.NodeOutput(bridge.wrapped(avatar, path.stem), about, ui=saying.said(about))


class DriveAvatar(io.ComfyNode):
    """Speech, and if wanted expression and pose, to TH_AVATAR_MOTION."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_DriveAvatar",
            display_name="Drive Avatar",
            category="Talking Heads/HM-Talker",
            description="Drives an avatar with speech. Head pose and upper face come from the avatar's own recording, repeated "
                        "ping-pong for as long as the speech lasts, unless you connect your own.",
            search_aliases=["lip sync", "audio to motion", "talking head drive"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar to drive (Load Avatar or Train Avatar)."),
                sockets.Speech.Input("speech",
                                     tooltip="Encoded speech; its encoder must be the one the avatar was trained with."),
                io.Combo.Input("blinks", options=["track", "generated", "none"], default="track",
                               tooltip="track: from the connected expression or the avatar's recording; generated: new blinks "
                                       "from the seed; none: no blinks."),
                io.Float.Input("smoothing", display_name="lip smoothing (frames)", default=0.0, min=0.0, max=10.0, step=0.05,
                               tooltip="Width in frames of a zero-phase smoothing of the lip motion: 0 follows the speech "
                                       "exactly, 3 mumbles."),
                io.Float.Input("lip_gain", default=1.0, min=0.0, max=2.0, step=0.05,
                               tooltip="How far the lips move: 1 as trained, 0 not at all, above 1 exaggerated."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                             tooltip="Determines the generated blinks; the lips do not depend on it."),
                sockets.Expression.Input("expression", optional=True,
                                         tooltip="Your own action units: brows, eyes and blinks are used as given, lower-face "
                                                 "units together with the speech. Unknown (NaN) values keep the avatar's own."),
                sockets.Pose.Input("pose", optional=True,
                                   tooltip="Your own head pose, frame by frame; repeated ping-pong if too short."),
                io.Boolean.Input("silence_gate", default=True, optional=True,
                                 tooltip="Let the mouth rest where nobody speaks: in silence, noise and music without a voice, "
                                         "and in pauses of 0.6 s or longer."),
            ],
            outputs=[
                sockets.AvatarMotion.Output("motion", display_name="motion",
                                            tooltip="Motion for this avatar, frame by frame."),
                sockets.Expression.Output("used_expression", display_name="expression",
                                          tooltip="The 17 action units of that motion: the lips as driven, and the upper face as "
                                                  "used."),
            ],
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, speech: Any, blinks: Blinks, smoothing: float, lip_gain: float, seed: int,
                expression: Any = None, pose: Any = None, silence_gate: bool = True) -> io.NodeOutput:
        motion = bridge.on_device(avatar).drive(speech, expression=expression, pose=pose, blinks=blinks, smoothing=smoothing,
                                                lip_gain=lip_gain, seed=seed, silence_gate=silence_gate)
        return io.NodeOutput(motion, motion.expression)


NODES = (LoadAvatar, DriveAvatar)
