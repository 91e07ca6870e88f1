"""Motion edited: smoothed, its mouth scaled, moved, two blended, at another rate."""
from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import sockets

REGIONS = ["all", "mouth", "upper"]  # media_core.mouth.REGIONS, spelled out so that registering the pack imports no model code


def landmarks_output(tooltip: str) -> Any:
    return sockets.Landmarks.Output("landmarks", display_name="landmarks", tooltip=tooltip)


class SmoothLandmarks(io.ComfyNode):
    """TH_LANDMARKS to steadier TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SmoothLandmarks",
            display_name="Smooth Landmarks",
            category="Talking Heads/Motion",
            description="Takes the trembling out of landmarks by a low-pass without delay: lips stay in step with the sound.",
            search_aliases=["low-pass", "jitter", "stabilise landmarks", "filter motion"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("cutoff", default=8.0, min=0.0, max=60.0, step=0.5,
                               tooltip="In Hz: slower movement stays, faster goes. 8 leaves speech as it is, 3 mumbles; 0 "
                                       "changes nothing."),
            ],
            outputs=[landmarks_output("The smoothed landmarks.")],
        )

    @classmethod
    def execute(cls, landmarks: Any, cutoff: float) -> io.NodeOutput:
        return io.NodeOutput(landmarks.smoothed(cutoff))


class ScaleMouth(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS whose mouth moves more or less."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_ScaleMouth",
            display_name="Scale Mouth",
            category="Talking Heads/Motion",
            description="Makes mouth and jaw move more or less. Brows, nose and eyes stay as they are, and lips never cross.",
            search_aliases=["lip gain", "exaggerate lips", "mouth amplitude", "jaw"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("factor", default=1.2, min=0.0, max=10.0, step=0.05,
                               tooltip="Times the mouth's own movement: 0 keeps it shut, 1 changes nothing, 2 doubles it."),
                sockets.Landmarks.Input("rest", optional=True,
                                        tooltip="The person's resting face (a portrait's landmarks). Without it the track's own "
                                                "rest is found."),
            ],
            outputs=[landmarks_output("Landmarks with the scaled mouth.")],
        )

    @classmethod
    def execute(cls, landmarks: Any, factor: float, rest: Any = None) -> io.NodeOutput:
        from ..media_core.motion_editing import scale_mouth

        return io.NodeOutput(scale_mouth(landmarks, factor, None if rest is None else rest.points[0]))


class OffsetLandmarks(io.ComfyNode):
    """TH_LANDMARKS to TH_LANDMARKS elsewhere."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def distance(name: str, way: str) -> Any:
            return io.Float.Input(name, default=0.0, min=-100000.0, max=100000.0, step=0.01, round=0.0001, tooltip=way)

        return io.Schema(
            node_id="TalkingHead_OffsetLandmarks",
            display_name="Offset Landmarks",
            category="Talking Heads/Motion",
            description="Moves a whole face. The unit is that of the landmarks: decimetres for canonical ones, pixels for those "
                        "of a picture.",
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
    def execute(cls, landmarks: Any, x: float, y: float, z: float) -> io.NodeOutput:
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
            description="Mixes two motions, of the whole face or of a part: the mouth of one take with the brows of another, for "
                        "instance. They must be equally long; Retime Landmarks gives both the same rate.",
            search_aliases=["mix motion", "combine landmarks", "interpolate landmarks"],
            inputs=[
                sockets.Landmarks.Input("a", tooltip="Landmarks that stay where the weight is 0, and outside the region."),
                sockets.Landmarks.Input("b", tooltip="Landmarks that come in: as many frames, the same rate, and the same kind."),
                io.Float.Input("weight", default=0.5, min=0.0, max=1.0, step=0.05, tooltip="Share of b: 0 is a, 1 is b."),
                io.Combo.Input("region", options=REGIONS, default="all",
                               tooltip="all of the face; mouth: lips and jaw, fading out towards the ears; upper: what remains."),
            ],
            outputs=[landmarks_output("The mixed landmarks.")],
        )

    @classmethod
    def execute(cls, a: Any, b: Any, weight: float, region: str) -> io.NodeOutput:
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
            description="The same motion at another number of frames a second: its length in seconds stays, and with it the step "
                        "with the sound.",
            search_aliases=["fps", "resample motion", "frame rate", "interpolate frames"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.Float.Input("fps", default=30.0, min=1.0, max=240.0, step=1.0, round=0.001,
                               tooltip="Frames a second of the result."),
            ],
            outputs=[landmarks_output("The landmarks at that rate.")],
        )

    @classmethod
    def execute(cls, landmarks: Any, fps: float) -> io.NodeOutput:
        return io.NodeOutput(landmarks.resampled(fps))


NODES = (SmoothLandmarks, ScaleMouth, OffsetLandmarks, BlendLandmarks, RetimeLandmarks)
