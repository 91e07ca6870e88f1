"""What the pack registers with ComfyUI: the model folder, the demo files and the list of nodes."""
from __future__ import annotations

import folder_paths
from comfy_api.latest import ComfyAPI, ComfyExtension, io

from . import (
    action_units,
    atom,
    atom_training,
    audio_batch,
    avatar,
    avatar_files,
    avatar_player,
    avatar_training,
    bridge,
    capture,
    chunks,
    demo_files,
    face,
    face_crop,
    head_pose,
    metrics,
    motion,
    motion_editor,
    motion_files,
    mtov,
    mtov_training,
    mtov_videos,
    preview,
    render,
    save_video,
    saying,
    speech,
    speech_encoders,
    subject,
)

NODES: tuple[type[io.ComfyNode], ...] = tuple(map(saying.explained, (
    *speech.NODES,
    *audio_batch.NODES,
    *subject.NODES,
    *capture.NODES,
    *face.NODES,
    *face_crop.NODES,
    *preview.NODES,
    *metrics.NODES,
    *avatar_training.NODES,
    *avatar.NODES,
    *avatar_files.NODES,
    *render.NODES,
    *avatar_player.NODES,
    *atom.NODES,
    *atom_training.NODES,
    *mtov.NODES,
    *mtov_videos.NODES,
    *save_video.NODES,
    *mtov_training.NODES,
    *motion.NODES,
    *motion_files.NODES,
    *motion_editor.NODES,
    *action_units.NODES,
    *head_pose.NODES,
    *speech_encoders.NODES,
    *chunks.NODES,
)))

# io.NodeReplace(...) of every node that was renamed or removed, so that old workflows load. Ids are forever: normally empty.
REPLACEMENTS: tuple = ()


class TalkingHeadsExtension(ComfyExtension):
    """The pack as ComfyUI sees it."""

    async def on_load(self) -> None:
        bridge.register_model_folder()
        demo_files.offer(folder_paths.get_input_directory())
        for replacement in REPLACEMENTS:
            await ComfyAPI().node_replacement.register(replacement)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
