"""Motion edited: smoothed, its mouth scaled, moved, two blended, at another rate."""
from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..media_core import choices
from . import sockets

if TYPE_CHECKING:
    from ..media_core.motion import LandmarkTrack

REGIONS = list(choices.REGIONS)


def landmarks_output(tooltip: str) -> io.Output:
    return sockets.Landmarks.Output("landmarks", display_name="landmarks", tooltip=tooltip)


class SmoothLandmarks(io.ComfyNode):
    """TH_LANDMARKS to steadier TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SmoothLandmarks",
            display_name="Smooth Landmarks",
            category="Talking Heads/Motion",
            description="Removes jitter from landmarks with a zero-phase low-pass filter: lips stay in sync with the audio.",
            search_aliases=["low-pass", "jitter", "stabilise landmarks", "filter motion"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("cutoff", display_name="cutoff (Hz)", default=8.0, min=0.0, max=60.0, step=0.5,
                               tooltip="Cutoff in Hz: slower movement is kept, faster movement is removed. 8 leaves speech "
                                       "unchanged, 3 mumbles; 0 changes nothing."),
            ],
            outputs=[landmarks_output("The smoothed landmarks.")],
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, cutoff: float) -> io.NodeOutput:
        return io.NodeOutput(landmarks.smoothed(cutoff))


class ScaleMouth(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS whose mouth moves more or less."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_ScaleMouth",
            display_name="Scale Mouth",
            category="Talking Heads/Motion",
            description="Makes the mouth and jaw move more or less. Brows, nose and eyes stay as they are, and the lips never "
                        "cross.",
            search_aliases=["lip gain", "exaggerate lips", "mouth amplitude", "jaw"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("factor", display_name="scale factor", default=1.2, min=0.0, max=10.0, step=0.05,
                               tooltip="Multiplies the movement of the mouth: 0 keeps it shut, 1 changes nothing, 2 doubles it."),
                sockets.Landmarks.Input("rest", display_name="resting face", optional=True,
                                        tooltip="The person's face at rest (landmarks of a portrait). Without it the rest "
                                                "position is estimated from the track."),
            ],
            outputs=[landmarks_output("Landmarks with the scaled mouth movement.")],
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, factor: float, rest: LandmarkTrack | None = None) -> io.NodeOutput:
        from ..media_core.motion_editing import scale_mouth

        return io.NodeOutput(scale_mouth(landmarks, factor, None if rest is None else rest.points[0]))


class OffsetLandmarks(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS elsewhere."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def distance(name: str, way: str) -> io.Input:
            return io.Float.Input(name, default=0.0, min=-100000.0, max=100000.0, step=0.001, round=0.001, tooltip=way)

        return io.Schema(
            node_id="TalkingHead_OffsetLandmarks",
            display_name="Offset Landmarks",
            category="Talking Heads/Motion",
            description="Moves a whole face. The unit is that of the landmarks: decimetres for canonical ones, pixels for those "
                        "of an image.",
            search_aliases=["move landmarks", "shift face", "translate landmarks"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                distance("x", "To the right."),
                distance("y", "Canonical: up. Pixels: down."),
                distance("z", "Canonical: towards the viewer. Pixels: away from the viewer."),
            ],
            outputs=[landmarks_output("The moved landmarks.")],
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, x: float, y: float, z: float) -> io.NodeOutput:
        from ..media_core.motion_editing import offset

        return io.NodeOutput(offset(landmarks, x, y, z))


class BlendLandmarks(io.ComfyNode):
    """Two TH_LANDMARKS to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_BlendLandmarks",
            display_name="Blend Landmarks",
            category="Talking Heads/Motion",
            description="Blends two motions, over the whole face or part of it: the mouth of one take with the brows of another, "
                        "for example. They must have the same length; Retime Landmarks gives both the same frame rate.",
            search_aliases=["mix motion", "combine landmarks", "interpolate landmarks"],
            inputs=[
                sockets.Landmarks.Input("a", tooltip="Landmarks that are kept where the weight is 0, and outside the region."),
                sockets.Landmarks.Input("b", tooltip="Landmarks that are blended in: same number of frames, same frame rate, "
                                                     "same kind."),
                io.Float.Input("weight", default=0.5, min=0.0, max=1.0, step=0.05, tooltip="Weight of b: 0 is a, 1 is b."),
                io.Combo.Input("region", options=REGIONS, default="all",
                               tooltip="all: the whole face; mouth: lips and jaw, fading out towards the ears; upper: everything "
                                       "else."),
            ],
            outputs=[landmarks_output("The blended landmarks.")],
        )

    @classmethod
    def execute(cls, a: LandmarkTrack, b: LandmarkTrack, weight: float, region: str) -> io.NodeOutput:
        from ..media_core.motion_editing import blended

        return io.NodeOutput(blended(a, b, weight, region))


class RetimeLandmarks(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS at another rate."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_RetimeLandmarks",
            display_name="Retime Landmarks",
            category="Talking Heads/Motion",
            description="The same motion at another frame rate: its length in seconds does not change, so it stays in sync with "
                        "the audio.",
            search_aliases=["fps", "resample motion", "frame rate", "interpolate frames"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("fps", default=30.0, min=1.0, max=240.0, step=0.001, round=0.001,
                               tooltip="Frames per second of the result."),
            ],
            outputs=[landmarks_output("The landmarks at that frame rate.")],
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, fps: float) -> io.NodeOutput:
        return io.NodeOutput(landmarks.resampled(fps))


NODES = (SmoothLandmarks, ScaleMouth, OffsetLandmarks, BlendLandmarks, RetimeLandmarks)
