"""Head movement for avatars: recorded, still, generated, or from ComfyUI's 3D camera."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from . import sockets

if TYPE_CHECKING:
    from ..media_core.motion import PoseTrack
    from ..media_core.speech import Speech

MOVEMENTS = ["recorded", "still", "sway", "camera"]


class HeadPose(io.ComfyNode):
    """TH_POSE for Drive Avatar."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_HeadPose",
            display_name="Head Pose",
            category="Talking Heads/Motion",
            description="Head movement for Drive Avatar: that of a recording, stronger or calmer, a still head, a generated "
                        "sway, or the view of ComfyUI's 3D camera. Avatars look right from the directions their video has shown.",
            search_aliases=["head movement", "head sway", "camera pose", "orbit avatar", "still head"],
            inputs=[
                io.Combo.Input("movement", options=MOVEMENTS, default="sway",
                               tooltip="recorded: as in the pose or the avatar's video; still: its middle; sway: generated from "
                                       "the seed; camera: the view of the connected 3D camera, one frame."),
                io.Float.Input("amount", default=1.0, min=0.0, max=3.0, step=0.05,
                               tooltip="How far the head moves, for recorded and sway: 1 as usual, 0 not at all."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                             tooltip="Determines the generated sway."),
                io.Float.Input("seconds", default=20.0, min=0.04, max=36000.0, step=0.04,
                               tooltip="Length of the generated sway, if no speech is connected. Shorter movement is repeated "
                                       "ping-pong."),
                sockets.Avatar.Input("avatar", optional=True, tooltip="The avatar the pose is for: gives its frame rate and its "
                                                                      "own recorded movement."),
                sockets.Pose.Input("pose", optional=True, tooltip="A recorded head pose, such as Track Face's, instead of the "
                                                                  "avatar's own. With an avatar, its camera and distance "
                                                                  "stay."),
                sockets.Speech.Input("speech", optional=True, tooltip="The speech whose length the generated sway has."),
                sockets.Camera.Input("camera_info", display_name="camera", optional=True,
                                     tooltip="The camera of a 3D node, for the movement \"camera\"."),
            ],
            outputs=[sockets.Pose.Output("head_pose", display_name="pose", tooltip="The head pose, for Drive Avatar.")],
        )

    @classmethod
    def execute(cls, movement: str, amount: float, seed: int, seconds: float, avatar: sockets.LoadedAvatar | None = None,
                pose: PoseTrack | None = None, speech: Speech | None = None,
                camera_info: dict[str, Any] | None = None) -> io.NodeOutput:
        from ..media_core.head_pose import camera_pose, moved_pose, sway_frames

        base = _base(avatar, pose)
        if movement == "camera":
            if camera_info is None:
                raise TalkingHeadsError("The movement \"camera\" needs a 3D camera", "none",
                                        "Connect the camera output of a 3D node, or choose another movement")
            return io.NodeOutput(camera_pose(camera_info, base.image_size, base.fps))
        length = sway_frames(seconds, base.fps) if speech is None else speech.frame_count(base.fps)
        return io.NodeOutput(moved_pose(movement, base, length, seed, amount))


def _base(avatar: sockets.LoadedAvatar | None, pose: PoseTrack | None) -> PoseTrack:
    """The recorded movement, in front of the avatar's camera and at its rate."""
    from ..media_core.head_pose import transferred_pose

    if pose is None and avatar is None:
        raise TalkingHeadsError("Head Pose needs an avatar or a pose", "neither", "Connect Load Avatar, or Track Face's pose")
    if pose is None:
        assert avatar is not None
        return avatar.model.poses
    return pose if avatar is None else transferred_pose(pose, avatar.model.poses).resampled(avatar.model.fps)


NODES = (HeadPose,)
