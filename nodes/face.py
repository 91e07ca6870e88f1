"""A face in a video or an image to tracks: landmarks, action units and pose."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from ..media_core import choices
from ..media_core.errors import TalkingHeadsError
from ..media_core.paths import contained
from . import bridge, face_words, saying, sockets, videos
from .automatic import AUTO, Automatic, Value, check

if TYPE_CHECKING:
    import numpy as np
    from comfy_api.input import VideoInput
    from torch import Tensor

    from ..media_core.face.landmarks.landmarks import FaceFrame
    from ..media_core.face.landmarks.raw_track import RawTrack
    from ..media_core.face.track import FaceTrack
    from ..media_core.motion import ExpressionTrack
    from ..media_core.progress import Report

# media_core.face.landmarks and au_files, spelled out so that registering the pack imports no model code
POLICIES, ORDERS, TRACKERS = list(choices.POLICIES), list(choices.ORDERS), list(choices.TRACKERS)
TOOLS = ["auto", "openface", "py-feat", "libreface", "pyafar"]

SMOOTHING_TIP = ("Width in frames of the zero-phase smoothing of the pose; jaw, nose and brows are steadied with it. 0 keeps all "
                 "as measured, with jitter. Lip-Sync Video draws onto the frames where the face was found, whatever this says.")
LANDMARKS_TIP = ("Core's MediaPipe Face Landmarker on the same frames, instead of the built-in tracker; its blendshapes give the "
                 "action units.")
TRACKER_TIP = ("Which networks find the face: people, for real people (default); rendered, for computer-rendered people such as "
               "this pack's demo subject.")
FOCAL = Automatic("focal", 1, 100_000, label="focal length (px)")
FRAMES = Automatic("frames", 1, 10_000_000, whole=True, label="length (frames)")
_SHOWN = 4  # images below a node


def face_inputs() -> list:
    """Which face, for every node that looks for one."""
    return [
        io.Int.Input("face_index", default=0, min=0, max=99, tooltip="Which face to use if there are several: 0 is the first."),
        io.Combo.Input("order", display_name="face order", options=ORDERS, default="largest",
                       tooltip="How several faces are ordered: largest first, or from the left of the image."),
    ]


def tracker_input(when: str = "") -> io.Input:
    """Which networks look for the face: the last widget of every node that has it. `when` it counts begins the tooltip."""
    tip = f"{when}{TRACKER_TIP[0].lower()}{TRACKER_TIP[1:]}" if when else TRACKER_TIP
    return io.Combo.Input("tracker", options=TRACKERS, default="people", optional=True, tooltip=tip)


def policy_input() -> io.Input:
    """What happens to frames without a face."""
    return io.Combo.Input("policy", display_name="frames without a face", options=POLICIES, default="error",
                          tooltip="What to do with frames without a face: stop and list them (error), keep the last face (hold), "
                                  "move straight from the previous face to the next (interpolate), or leave them out (skip).")


def mask_input() -> io.Input:
    return io.Mask.Input("mask", optional=True,
                         tooltip="Where to look for the face: white. One mask for all frames, or one per frame.")


class TrackFace(io.ComfyNode):
    """VIDEO or IMAGE batch to TH_FACE_TRACK and its parts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_TrackFace",
            display_name="Track Face",
            category="Talking Heads/Face",
            description="Tracks a face through a video: 68 landmarks, the dense mesh, head pose and action units, with the "
                        "built-in tracker or from core's face landmarks. Action units that landmarks cannot show are marked "
                        "unreliable.",
            search_aliases=["face tracking", "head pose", "action units", "landmarks from video", "openface"],
            inputs=[
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.001, round=0.001,
                               tooltip="Frames per second of the tracks. A video is resampled to this rate, unless face "
                                       "landmarks are connected: then it keeps its own. Images are assumed to have this rate."),
                *face_inputs(),
                policy_input(),
                FOCAL.input("Focal length of the camera in pixels of the frames.", "a typical one, 2.2 times the width",
                            advanced=True),
                io.Int.Input("smoothing", display_name="pose smoothing (frames)", default=13, min=0, max=101, advanced=True,
                             tooltip=SMOOTHING_TIP),
                io.Video.Input("video", optional=True, tooltip="The video; any frame rate and length, read frame by frame."),
                io.Image.Input("images", optional=True, tooltip="Frames instead of a video."),
                sockets.FaceLandmarks.Input("face_landmarks", optional=True, tooltip=LANDMARKS_TIP),
                mask_input(),
                tracker_input(),
            ],
            outputs=track_outputs(),
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, focal: Value = AUTO) -> bool | str:
        return check((FOCAL,), focal)

    @classmethod
    def execute(cls, fps: float, face_index: int, order: str, policy: str, focal: Value, smoothing: int,
                video: VideoInput | None = None, images: Tensor | None = None, face_landmarks: dict | None = None,
                mask: Tensor | None = None, tracker: str = "people") -> io.NodeOutput:
        import torch

        from ..media_core.face.landmarks.landmarks import fill_missing
        from ..media_core.face.track import filled, measure

        raw, shapes = _followed(video, images, face_landmarks, mask, fps=fps, face_index=face_index, order=order,
                                tracker=tracker)
        whole, kept, lost = fill_missing(raw, policy)
        gaps = {at for at in range(1, len(kept)) if kept[at] - kept[at - 1] > 1}  # where frames were left out
        whole = replace(whole, cuts=tuple(sorted({*whole.cuts, *gaps})))
        found, whole = whole.points, whole.smoothed() if smoothing else whole  # as a capture does
        expression = _expression_from(shapes, kept, whole.fps)
        track = measure(whole, focal=FOCAL.read(focal), smoothing=smoothing, expression=expression)
        if smoothing:
            track = replace(track, measured=torch.from_numpy(filled(found, whole.cuts)).float())
        about = face_words.about_track(track, raw, len(kept), int(lost.sum()))
        return io.NodeOutput(track, track.landmarks, track.expression, track.pose, about, ui=saying.said(about))


class PortraitLandmarks(io.ComfyNode):
    """IMAGE to TH_LANDMARKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_PortraitLandmarks",
            display_name="Portrait Landmarks",
            category="Talking Heads/Face",
            description="Finds the 68 landmarks of a portrait with the built-in tracker and turns them to face forward in 3D: "
                        "the starting point of audio-to-motion. Tells when the face is on its side or upside down, or probably "
                        "misread.",
            search_aliases=["face landmarks", "68 points", "canonical landmarks", "portrait face"],
            inputs=[
                io.Image.Input("image", tooltip="A portrait; each image of a batch is processed on its own."),
                *face_inputs(),
                mask_input(),
                tracker_input(),
            ],
            outputs=[
                sockets.Landmarks.Output("canonical", display_name="canonical",
                                         tooltip="The face turned forward, in 3D (decimetres); depth is estimated from a mean "
                                                 "face."),
                sockets.Landmarks.Output("pixels", display_name="pixels", tooltip="The points at their place in the image."),
                io.Image.Output("preview", display_name="preview", tooltip="The image with the points drawn over it."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, image: Tensor, face_index: int, order: str, mask: Tensor | None = None,
                tracker: str = "people") -> io.NodeOutput:
        import torch

        from ..media_core.face.draw import draw_landmarks
        from ..media_core.face.landmarks.landmarks import as_track
        from ..media_core.face.pose.canonical import canonical_portrait
        from ..media_core.motion import LandmarkTrack, concatenated

        size = videos.size_of(image)
        masks = None if mask is None else videos.mask_frames(mask, size)
        report = bridge.NodeReport()
        faces = portraits(videos.pixels(image), len(image), masks, report, tracker=tracker, face_index=face_index, order=order)
        solid = concatenated([canonical_portrait(face.points, size) for face in faces])
        seen = as_track(faces, size, solid.fps, (), tracker)
        flat = torch.nn.functional.pad(torch.from_numpy(seen.points), (0, 1))
        pixels = LandmarkTrack(flat, solid.fps, "pixels", size, None if seen.mesh is None else torch.from_numpy(seen.mesh))
        preview = torch.stack([videos.floats(draw_landmarks(frame, face.points))
                               for frame, face in zip(videos.pixels(image), faces)])
        text = face_words.about_portraits(faces, size, tracker)
        said = saying.said(text, previews=saying.previews(preview[:_SHOWN], cls, report))
        return io.NodeOutput(solid, pixels, preview, ui=said)


class ImportActionUnits(io.ComfyNode):
    """A table of another program to TH_EXPRESSION."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_ImportActionUnits",
            display_name="Import Action Units",
            category="Talking Heads/Face",
            description="Reads action units from a CSV file of OpenFace, py-feat, LibreFace or PyAFAR and aligns them with the "
                        "video's frames by time. What the table does not contain stays unknown.",
            search_aliases=["openface csv", "au.csv", "facial action units", "libreface", "py-feat"],
            inputs=[
                io.String.Input("file", display_name="CSV file", default="au.csv",
                                tooltip="The CSV file, relative to ComfyUI's input folder."),
                io.Combo.Input("tool", display_name="program", options=TOOLS, default="auto",
                               tooltip="Which program wrote the file; auto decides by the column names."),
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.001, round=0.001,
                               tooltip="Frames per second of the track, unless a face track or dataset is connected."),
                FRAMES.input("Length of the track in frames, unless a face track or dataset is connected.",
                             "the length of the table"),
                sockets.FaceTrack.Input("face_track", optional=True, tooltip="Frame rate and length are taken from this track."),
                sockets.Dataset.Input("dataset", optional=True, tooltip="Frame rate and length are taken from this dataset."),
            ],
            outputs=[
                sockets.Expression.Output("expression", display_name="expression",
                                          tooltip="The 17 action units, 0..5; unknown where the table has no value."),
                io.String.Output("about", display_name="about", tooltip="What was read: program, frames, units without values."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, file: str | None, frames: Value = AUTO) -> bool | str:
        there = bridge.found(lambda: file is None or _table(file).is_file(), "The table", file)
        return check((FRAMES,), frames) if there is True else there

    @classmethod
    def fingerprint_inputs(cls, file: str | None, **others: object) -> str:
        return bridge.stamp(_table(file)) if file and _table(file).is_file() else "absent"

    @classmethod
    def execute(cls, file: str, tool: str, fps: float, frames: Value, face_track: FaceTrack | None = None,
                dataset: sockets.DatasetFolder | None = None) -> io.NodeOutput:
        from ..media_core.face.action_units.au_files import read_action_units_file

        length = FRAMES.read_whole(frames)
        if face_track is not None:
            fps, length = face_track.landmarks.fps, len(face_track.landmarks) or None
        elif dataset is not None:
            fps, length = dataset.fps, dataset.frames or None
        expression = read_action_units_file(_table(file), fps, length, tool)
        about = face_words.about_units(expression)
        return io.NodeOutput(expression, about, ui=saying.said(about))


def track_outputs() -> list:
    """A face track and its parts."""
    return [
        sockets.FaceTrack.Output("face_track", display_name="face track", tooltip="Everything that was tracked, for Face Crop "
                                                                                  "and previews."),
        sockets.Landmarks.Output("landmarks", display_name="landmarks", tooltip="68 points per frame, in pixels."),
        sockets.Expression.Output("expression", display_name="expression",
                                  tooltip="17 action units, 0..5, and how reliable each is."),
        sockets.Pose.Output("pose", display_name="pose", tooltip="The head's pose, frame by frame, smoothed."),
        io.String.Output("about", display_name="about",
                         tooltip="What was measured: frames with a face, cuts, reprojection error, unreliable units."),
    ]


def followed(again: Callable[[int], Iterator[np.ndarray]], fps: float, total: int, masks: list[np.ndarray] | None, report: Report,
             *, tracker: str, dense: bool = True, **which: Any) -> RawTrack:
    """The built-in tracker on video frames, `again(start)` from that frame on, within their masks; `dense`: with the mesh."""
    from itertools import chain, repeat

    from ..media_core.face.landmarks.landmarks import track_frames
    from ..media_core.face.trackers import make_tracker

    regions = None if masks is None else chain(masks, repeat(masks[-1]))
    return track_frames(again(0), fps, tracker=make_tracker(tracker, **which), total=total, masks=regions, again=again,
                        report=report, dense=dense)


def portraits(frames: Iterable[np.ndarray], total: int, masks: list[np.ndarray] | None, report: Report, *, tracker: str,
              **which: Any) -> list[FaceFrame]:
    """The built-in tracker on unrelated images."""
    from ..media_core.face.trackers import still_landmarks

    faces = []
    for i, frame in enumerate(frames):
        where = None if masks is None else masks[min(i, len(masks) - 1)]
        faces.append(still_landmarks(tracker, frame, mask=where, **which))
        report(i + 1, total, {"stage": "face", "frame": i + 1, "frames": total}, frame)
    return faces


def _followed(video: VideoInput | None, images: Tensor | None, face_landmarks: dict | None, mask: Tensor | None, *, fps: float,
              face_index: int, order: str, tracker: str) -> tuple[RawTrack, np.ndarray | None]:  # ..., blendshapes [T, 52]
    """The face through the frames, by whichever way is connected."""
    if face_landmarks is not None:
        from ..media_core.face.landmarks.core_landmarks import from_face_landmarks

        return from_face_landmarks(face_landmarks, fps if video is None else float(video.get_frame_rate()), face_index)
    if video is not None and images is None:
        film = videos.film(video)
        again, total, size = (lambda start: film.frames(fps, start)), film.frame_count(fps), film.size()
    elif images is not None and video is None:
        again, total, size = (lambda start: videos.pixels(images[start:])), len(images), videos.size_of(images)
    else:
        raise TalkingHeadsError("Track Face needs either a video or images", "both" if images is not None else "neither",
                                "Connect one of them, or face landmarks")
    masks = None if mask is None else videos.mask_frames(mask, size)
    report = bridge.NodeReport()
    if images is not None and total == 1 and tracker == "people":  # a still: smaller faces are found than while following
        from ..media_core.face.landmarks.landmarks import as_track

        seen = portraits(videos.pixels(images), 1, masks, report, tracker=tracker, face_index=face_index, order=order)
        return as_track(seen, size, fps, (), tracker), None
    return followed(again, fps, total, masks, report, tracker=tracker, face_index=face_index, order=order), None


def _expression_from(shapes: np.ndarray | None, kept: np.ndarray, fps: float) -> ExpressionTrack | None:
    """Action units of the socket's blendshapes, for the frames that were kept; None without."""
    if shapes is None:
        return None
    from ..media_core.face.action_units.blendshapes import expression_from_blendshapes

    return expression_from_blendshapes(shapes[kept], fps)


def _table(file: str) -> Path:
    """The CSV file, inside ComfyUI's input folder."""
    return contained(folder_paths.get_input_directory(), file.strip())


NODES = (TrackFace, PortraitLandmarks, ImportActionUnits)
