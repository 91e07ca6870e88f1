"""Action units edited, saved and loaded: the controls of an avatar's face."""
from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import bridge, saying, sockets
from .motion_files import ENDING, located, numbered_file

if TYPE_CHECKING:
    from ..media_core.motion import ExpressionTrack

_CATEGORY = "Talking Heads/Motion"
_UNITS_TIP = ("Which action units: names or numbers such as \"AU12, 25\", or groups: all, upper, lower, brows (1, 2, 4), lids "
              "(5, 7, 45), blink (45), smile (6, 12), opening (25, 26).")


def _expression(name: str = "expression", tooltip: str = "Action units, from Track Face, Drive Avatar or a file.") -> io.Input:
    return sockets.Expression.Input(name, tooltip=tooltip)


def _units(default: str) -> io.Input:
    return io.String.Input("units", display_name="action units", default=default, tooltip=_UNITS_TIP)


def _output(tooltip: str) -> io.Output:
    return sockets.Expression.Output("edited", display_name="expression", tooltip=tooltip)


class ScaleActionUnits(io.ComfyNode):
    """TH_EXPRESSION to TH_EXPRESSION with some units stronger or weaker."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_ScaleActionUnits",
            display_name="Scale Action Units",
            category=_CATEGORY,
            description="Makes some action units stronger or weaker: more smile, calmer brows. The others stay as they are.",
            search_aliases=["exaggerate expression", "expression strength", "AU gain"],
            inputs=[_expression(), _units("upper"),
                    io.Float.Input("factor", display_name="scale factor", default=1.5, min=0.0, max=10.0, step=0.05,
                                   tooltip="Multiplies the intensity, which stays within 0 to 5: 0 is neutral, 1 changes "
                                           "nothing.")],
            outputs=[_output("The scaled action units.")],
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, units: str, factor: float) -> io.NodeOutput:
        from ..media_core.expression_editing import scaled_units

        return io.NodeOutput(scaled_units(expression, factor, units))


class SmoothActionUnits(io.ComfyNode):
    """TH_EXPRESSION to steadier TH_EXPRESSION."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SmoothActionUnits",
            display_name="Smooth Action Units",
            category=_CATEGORY,
            description="Removes jitter from action units with a zero-phase low-pass filter: nothing is delayed.",
            search_aliases=["low-pass", "jitter", "filter expression"],
            inputs=[_expression(), _units("all"),
                    io.Float.Input("cutoff", display_name="cutoff (Hz)", default=5.0, min=0.0, max=60.0, step=0.5,
                                   tooltip="Cutoff in Hz: slower movement is kept, faster movement is removed. Blinks need about "
                                           "5; 0 changes nothing.")],
            outputs=[_output("The smoothed action units.")],
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, units: str, cutoff: float) -> io.NodeOutput:
        from ..media_core.expression_editing import smoothed_units

        return io.NodeOutput(smoothed_units(expression, cutoff, units))


class SetActionUnits(io.ComfyNode):
    """TH_EXPRESSION to TH_EXPRESSION with some units held."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SetActionUnits",
            display_name="Set Action Units",
            category=_CATEGORY,
            description="Holds some action units at one intensity in every frame: a constant smile, raised brows, no blinks.",
            search_aliases=["constant expression", "hold expression", "neutral face"],
            inputs=[_expression(), _units("smile"),
                    io.Float.Input("intensity", default=2.0, min=0.0, max=5.0, step=0.05,
                                   tooltip="0: not at all; 5: as strong as can be.")],
            outputs=[_output("The action units with these at that intensity.")],
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, units: str, intensity: float) -> io.NodeOutput:
        from ..media_core.expression_editing import set_units

        return io.NodeOutput(set_units(expression, intensity, units))


class BlendActionUnits(io.ComfyNode):
    """Two TH_EXPRESSION to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_BlendActionUnits",
            display_name="Blend Action Units",
            category=_CATEGORY,
            description="Blends some action units of one expression into another, or replaces them (weight 1): the brows of one "
                        "take with the mouth of another. Both need the same length and frame rate (Retime Action Units).",
            search_aliases=["mix expression", "replace action units", "expression transfer", "combine expressions"],
            inputs=[_expression("a", "Action units that are kept where the weight is 0, and all that are not named."),
                    _expression("b", "Action units that are blended in: same number of frames, same frame rate."),
                    _units("upper"),
                    io.Float.Input("weight", default=1.0, min=0.0, max=1.0, step=0.05,
                                   tooltip="Weight of b: 0 is a, 1 replaces these units of a by those of b.")],
            outputs=[_output("The blended action units.")],
        )

    @classmethod
    def execute(cls, a: ExpressionTrack, b: ExpressionTrack, units: str, weight: float) -> io.NodeOutput:
        from ..media_core.expression_editing import blended_units

        return io.NodeOutput(blended_units(a, b, weight, units))


class RetimeActionUnits(io.ComfyNode):
    """TH_EXPRESSION to TH_EXPRESSION at another rate, slower or faster."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_RetimeActionUnits",
            display_name="Retime Action Units",
            category=_CATEGORY,
            description="The same expression at another frame rate, and if wanted for another number of frames: an avatar needs "
                        "its own frame rate.",
            search_aliases=["fps", "resample expression", "stretch expression", "frame rate"],
            inputs=[_expression(),
                    io.Float.Input("fps", default=25.0, min=1.0, max=240.0, step=0.001, round=0.001,
                                   tooltip="Frames per second of the result."),
                    io.Int.Input("frames", display_name="frames (0 = same duration)", default=0, min=0, max=10_000_000,
                                 tooltip="0 keeps the duration in seconds. Otherwise the expression is stretched or squeezed to "
                                         "this many frames.")],
            outputs=[_output("The action units at that frame rate.")],
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, fps: float, frames: int) -> io.NodeOutput:
        from ..media_core.expression_editing import retimed

        return io.NodeOutput(retimed(expression, fps, frames))


class AddBlinks(io.ComfyNode):
    """TH_EXPRESSION to TH_EXPRESSION that blinks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_AddBlinks",
            display_name="Add Blinks",
            category=_CATEGORY,
            description="Generates blinks (action unit 45), as often and as strong as you like, in place of those of the "
                        "recording or beside them.",
            search_aliases=["blink generator", "eye blink", "AU45"],
            inputs=[_expression(),
                    io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                                 tooltip="Determines when the eyes blink."),
                    io.Float.Input("per_minute", display_name="blinks per minute", default=14.0, min=0.0, max=40.0, step=0.5,
                                   tooltip="On average; people who talk blink 10 to 25 times. 0: none."),
                    io.Float.Input("strength", default=1.0, min=0.0, max=2.5, step=0.05,
                                   tooltip="1 shuts the lids; below, they close only partly."),
                    io.Boolean.Input("keep", display_name="keep own blinks", default=False,
                                     tooltip="Keep the blinks that are there and add these; otherwise these replace them.")],
            outputs=[_output("The action units with these blinks.")],
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, seed: int, per_minute: float, strength: float, keep: bool) -> io.NodeOutput:
        from ..media_core.expression_editing import with_blinks

        return io.NodeOutput(with_blinks(expression, seed, per_minute, strength, keep))


class SaveActionUnits(io.ComfyNode):
    """TH_EXPRESSION to a file of ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SaveActionUnits",
            display_name="Save Action Units",
            category=_CATEGORY,
            description="Writes action units to a file in ComfyUI's output folder: safetensors, exact, or an OpenFace table "
                        "(.csv) for other programs. Files are numbered, so nothing is overwritten.",
            search_aliases=["export expression", "expression to file", "openface csv"],
            inputs=[_expression(),
                    io.String.Input("filename_prefix", default="talking_heads/expression",
                                    tooltip="Start of the file name; it may include subfolders of the output folder."),
                    io.Combo.Input("format", options=["safetensors", "csv"], default="safetensors",
                                   tooltip="safetensors: everything, for Load Action Units. csv: OpenFace's columns, for other "
                                           "programs and Import Action Units.")],
            outputs=[io.String.Output("file", display_name="file", tooltip="The file, relative to the output folder.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, expression: ExpressionTrack, filename_prefix: str, format: str) -> io.NodeOutput:
        from ..media_core.face.action_units.au_files import write_action_units_file

        path = numbered_file(filename_prefix, f".{format}", lambda to: write_action_units_file(expression, to))
        return io.NodeOutput(saying.below_output(path), ui=saying.file_saved(path, about(expression)))


class LoadActionUnits(io.ComfyNode):
    """A file of Save Action Units to TH_EXPRESSION."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadActionUnits",
            display_name="Load Action Units",
            category=_CATEGORY,
            description="Reads action units from a safetensors file written by Save Action Units or Python. For tables of other "
                        "programs use Import Action Units.",
            search_aliases=["import expression", "expression from file"],
            inputs=[io.Combo.Input("place", display_name="location", options=["input", "output"], default="output",
                                   tooltip="Which of ComfyUI's folders the file is in."),
                    io.String.Input("file", default=f"talking_heads/expression_00001_{ENDING}",
                                    tooltip="The file, relative to that location.")],
            outputs=[sockets.Expression.Output("expression", display_name="expression", tooltip="The action units in the file."),
                     io.String.Output("about", display_name="about", tooltip="Number of frames, frame rate and source.")],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, place: str, file: str) -> str:
        path = located(place, file, "action-unit")
        return bridge.stamp(path) if path.is_file() else "absent"

    @classmethod
    def execute(cls, place: str, file: str) -> io.NodeOutput:
        from ..media_core.motion import ExpressionTrack

        track = ExpressionTrack.load(located(place, file, "action-unit"))
        return io.NodeOutput(track, about(track), ui=saying.said(about(track)))


def about(track: ExpressionTrack) -> str:
    """A track in a line."""
    frames = "1 frame" if len(track) == 1 else f"{len(track)} frames"
    doubtful = f"; unreliable: {', '.join(track.unreliable)}" if track.unreliable else ""
    return f"{frames} at {track.fps:g} fps ({track.duration:.2f} s), {track.source}{doubtful}"


NODES = (ScaleActionUnits, SmoothActionUnits, SetActionUnits, BlendActionUnits, RetimeActionUnits, AddBlinks, SaveActionUnits,
         LoadActionUnits)
