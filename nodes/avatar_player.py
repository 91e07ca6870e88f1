"""An avatar's motion on the node itself, in 3D: the page draws the Gaussians (web/js/avatar_player.js)."""
from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import bridge, sockets, temporary_videos

ENDING = ".thplayer"


class PreviewAvatar(io.ComfyNode):
    """TH_AVATAR and TH_AVATAR_MOTION to a player on the node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HMTalker_PreviewAvatar",
            display_name="Preview Avatar in 3D",
            category="Talking Heads/HM-Talker",
            description="Plays the avatar on the node: turn the head by dragging, with audio in step. The browser draws it, so "
                        "nothing is rendered first.",
            search_aliases=["avatar player", "3d avatar", "orbit avatar", "gaussian avatar player", "play talking head"],
            inputs=[
                sockets.Avatar.Input("avatar", tooltip="The avatar the motion was made for."),
                sockets.AvatarMotion.Input("motion", tooltip="Motion from Drive Avatar."),
                io.Audio.Input("audio", optional=True,
                               tooltip="What is heard, normally the speech itself. Without it the player is silent."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, avatar: sockets.LoadedAvatar, motion: Any, audio: dict | None = None) -> io.NodeOutput:
        from ..hmtalker_core.player_file import player_file
        from ..media_core.audio import Sound
        from ..media_core.files import atomic_path

        sound = None if audio is None else Sound.from_comfy(audio)
        content = player_file(avatar.model, motion, sound, title=avatar.name, report=bridge.NodeReport())
        path = temporary_videos.new_path(ENDING)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return io.NodeOutput(ui={"avatar_player": [{"filename": path.name, "subfolder": "", "type": "temp"}]})


NODES = (PreviewAvatar,)
