"""Motion saved as a file, and exchanged with core's FACE_LANDMARKS."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import check_length, contained
from . import bridge, face, saying, sockets
from .motion import landmarks_output

if TYPE_CHECKING:
    from ..media_core.motion import LandmarkTrack

ENDING = ".safetensors"


class SaveLandmarks(io.ComfyNode):
    """TH_LANDMARKS to a file of ComfyUI's output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_SaveLandmarks",
            display_name="Save Landmarks",
            category="Talking Heads/Motion",
            description="Writes landmarks to a safetensors file in ComfyUI's output folder. Files are numbered, so nothing is "
                        "overwritten. Load Landmarks and Python can read it.",
            search_aliases=["export motion", "save motion", "landmarks to file"],
            inputs=[
                sockets.Landmarks.Input("landmarks", tooltip="Landmarks, canonical or in pixels."),
                io.String.Input("filename_prefix", default="talking_heads/landmarks",
                                tooltip="Start of the file name; it may include subfolders of the output folder."),
            ],
            outputs=[io.String.Output("file", display_name="file", tooltip="The file, relative to the output folder.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack, filename_prefix: str) -> io.NodeOutput:
        path = numbered_file(filename_prefix, ENDING, landmarks.save)
        return io.NodeOutput(saying.below_output(path), ui=saying.file_saved(path, about(landmarks)))


class LoadLandmarks(io.ComfyNode):
    """A file of Save Landmarks to TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LoadLandmarks",
            display_name="Load Landmarks",
            category="Talking Heads/Motion",
            description="Reads landmarks from a safetensors file written by Save Landmarks or Python.",
            search_aliases=["import motion", "load motion", "landmarks from file"],
            inputs=[
                io.Combo.Input("place", display_name="location", options=["input", "output"], default="output",
                               tooltip="Which of ComfyUI's folders the file is in."),
                io.String.Input("file", default="talking_heads/landmarks_00001_.safetensors",
                                tooltip="The file, relative to that location."),
            ],
            outputs=[landmarks_output("The landmarks in the file."),
                     io.String.Output("about", display_name="about", tooltip="Number of frames, frame rate and kind of the "
                                                                             "landmarks.")],
            has_intermediate_output=True,
        )

    @classmethod
    def fingerprint_inputs(cls, place: str, file: str) -> str:
        path = located(place, file)
        return bridge.stamp(path) if path.is_file() else "absent"

    @classmethod
    def execute(cls, place: str, file: str) -> io.NodeOutput:
        from ..media_core.motion import LandmarkTrack

        track = LandmarkTrack.load(located(place, file))
        return io.NodeOutput(track, about(track), ui=saying.said(about(track)))


class LandmarksToFaceLandmarks(io.ComfyNode):
    """TH_LANDMARKS in pixels to core's FACE_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LandmarksToFaceLandmarks",
            display_name="Landmarks to Face Landmarks",
            category="Talking Heads/Motion",
            description="Passes landmarks to ComfyUI's own face nodes (0.23 and later), which draw them or turn them into masks. "
                        "The 68 points keep their place; the other points of the mesh are interpolated.",
            search_aliases=["mediapipe", "face mesh", "478 points", "face landmarks"],
            inputs=[sockets.Landmarks.Input("landmarks", tooltip="Landmarks in pixels; canonical ones go through Align Motion to "
                                                                 "Pose first.")],
            outputs=[sockets.FaceLandmarks.Output("face_landmarks", display_name="face landmarks",
                                                  tooltip="One face per frame, for core's face nodes.")],
        )

    @classmethod
    def execute(cls, landmarks: LandmarkTrack) -> io.NodeOutput:
        from ..media_core.face.landmarks.core_landmarks import to_face_landmarks

        return io.NodeOutput(to_face_landmarks(landmarks))


class LandmarksFromFaceLandmarks(io.ComfyNode):
    """Core's FACE_LANDMARKS to TH_LANDMARKS in pixels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_LandmarksFromFaceLandmarks",
            display_name="Landmarks from Face Landmarks",
            category="Talking Heads/Motion",
            description="Takes the 68 points from the mesh that ComfyUI's MediaPipe Face Landmarker finds (0.23 and later), and "
                        "keeps the mesh with them. Use Track Face if you also need pose and action units.",
            search_aliases=["mediapipe", "face mesh", "478 points", "68 points"],
            inputs=[
                sockets.FaceLandmarks.Input("face_landmarks", tooltip="The output of MediaPipe Face Landmarker."),
                io.Float.Input("fps", default=25.0, min=1.0, max=240.0, step=0.001, round=0.001,
                               tooltip="Frames per second of the video, which the socket does not carry."),
                io.Int.Input("face_index", default=0, min=0, max=99,
                             tooltip="Which face to use if there are several: 0 is the first."),
                face.policy_input(),
            ],
            outputs=[landmarks_output("The 68 points, in pixels.")],
        )

    @classmethod
    def execute(cls, face_landmarks: dict, fps: float, face_index: int, policy: str) -> io.NodeOutput:
        import torch

        from ..media_core.face.landmarks.core_landmarks import from_face_landmarks
        from ..media_core.face.landmarks.landmarks import fill_missing
        from ..media_core.motion import LandmarkTrack

        raw, _, _ = fill_missing(from_face_landmarks(face_landmarks, fps, face_index)[0], policy)
        points = torch.nn.functional.pad(torch.from_numpy(raw.points).float(), (0, 1))
        mesh = None if raw.mesh is None else torch.from_numpy(raw.mesh)
        return io.NodeOutput(LandmarkTrack(points, raw.fps, "pixels", raw.image_size, mesh))


def about(track: LandmarkTrack) -> str:
    """A track in a line."""
    picture = f" of {track.image_size[1]} x {track.image_size[0]}" if track.image_size else ""
    frames = "1 frame" if len(track) == 1 else f"{len(track)} frames"
    return f"{frames} at {track.fps:g} fps ({track.duration:.2f} s), {track.space}{picture}"


def numbered_file(prefix: str, ending: str, write: Callable[[Path], object]) -> Path:
    """What `write` writes, in a numbered file of ComfyUI's output folder."""
    from ..media_core.numbered import save_numbered

    output = folder_paths.get_output_directory()
    check_length(output, f"{prefix}_00000_{ending}")  # core looks only where the prefix leads
    contained(output, prefix)  # and its own refusal says nothing to do
    _, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, output)
    stem = f"{subfolder}/{name}" if subfolder else name
    return save_numbered(lambda number: contained(output, f"{stem}_{number:05}_{ending}"), counter, write)[0]


def located(place: str, file: str, what: str = "landmarks") -> Path:
    """The file, inside ComfyUI's input or output folder; `what` is in it, for messages."""
    if not file.strip():
        raise TalkingHeadsError(f"The {what} file must be named", "an empty name", f"Give its path relative to ComfyUI's "
                                                                                      f"{place} folder")
    return contained(folder_paths.get_directory_by_type(place), file.strip())


NODES = (SaveLandmarks, LoadLandmarks, LandmarksToFaceLandmarks, LandmarksFromFaceLandmarks)
