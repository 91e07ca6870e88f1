"""A video of a person to a training dataset, and the segment of it that is best to train on."""
from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
from comfy_api.latest import io

from ..media_core.paths import contained, file_stem
from . import bridge, face, saying, sockets, subject, videos
from .automatic import AUTO, Value, check

if TYPE_CHECKING:
    import numpy as np
    from comfy_api.input import VideoInput
    from torch import Tensor

    from ..media_core.capture import CaptureSettings
    from ..media_core.face.landmarks.raw_track import RawTrack
    from ..media_core.motion import ExpressionTrack
    from ..media_core.video_reading import VideoInfo


class PickSegment(io.ComfyNode):
    """VIDEO to the part of it to train on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_PickSegment",
            display_name="Pick Segment",
            category="Talking Heads/Dataset",
            description="Finds the part of a long video that is best for training an avatar: varied speech, lips that open wide, "
                        "a head that moves, a face in every frame. Samples the video 5 times per second with the built-in "
                        "tracker.",
            search_aliases=["best part of video", "trim video", "training segment"],
            inputs=[
                io.Video.Input("video", tooltip="A long video of one person speaking."),
                io.Float.Input("seconds", display_name="length (s)", default=30.0, min=2.0, max=600.0, step=0.5,
                               tooltip="Length of the segment; 10 to 60 s are usual. A shorter video is used whole."),
                *face.face_inputs(),
                face.tracker_input(),
            ],
            outputs=[
                io.Float.Output("start", display_name="start", tooltip="Start of the segment in seconds, for Prepare Avatar "
                                                                       "Dataset."),
                io.Float.Output("duration", display_name="duration", tooltip="Length of the segment in seconds."),
                io.Video.Output("video", display_name="video", tooltip="That segment of the video."),
                io.String.Output("about", display_name="about", tooltip="Why this segment was chosen: its scores, 0 to 1."),
            ],
            has_intermediate_output=True,
        )

    @classmethod
    def execute(cls, video: VideoInput, seconds: float, face_index: int, order: str, tracker: str = "people") -> io.NodeOutput:
        from ..media_core.capture import pick_segment
        from ..media_core.face.trackers import make_tracker

        film = videos.film(video)
        path = film.path if film.whole else videos.saved(video).path
        start, stop, scores = pick_segment(path, seconds, report=bridge.NodeReport(),
                                           tracker=make_tracker(tracker, face_index=face_index, order=order))
        about = "\n".join([f"{start:.2f} to {stop:.2f} s", *(f"{name}: {value:.2f}" for name, value in scores.items())])
        return io.NodeOutput(start, stop - start, videos.video(path, start, stop - start), about, ui=saying.said(about))


class PrepareDataset(io.ComfyNode):
    """VIDEO to TH_DATASET."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_PrepareDataset",
            display_name="Prepare Avatar Dataset",
            category="Talking Heads/Dataset",
            description="Turns a video of a person into a training dataset in output/talking_heads/datasets: frames, masks, "
                        "landmarks, action units, poses, audio. A report tells how good the video is and what to record "
                        "again. Film people only with their consent.",
            search_aliases=["video to dataset", "preprocess avatar video", "talkinggaussian preprocessing", "openface"],
            inputs=_inputs(),
            outputs=_outputs(),
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, parsing: str | None, focal: Value = AUTO) -> bool | str:
        there = bridge.found(lambda: (folder := _parsing(parsing)) is None or folder.is_dir(),
                             "The folder", parsing)
        return check((face.FOCAL,), focal) if there is True else there

    @classmethod
    def fingerprint_inputs(cls, parsing: str = "", **others: object) -> tuple[str, ...]:
        folder = _parsing(parsing)
        return () if folder is None or not folder.is_dir() else tuple(map(bridge.stamp, sorted(folder.glob("*.png"))))

    @classmethod
    def execute(cls, video: VideoInput, name: str, start: float, duration: float, **options: Any) -> io.NodeOutput:
        film = videos.film(video)
        report = bridge.NodeReport()
        folder = _captured(film.cut(start, duration), file_stem(name), options | {"landmarks_from": film.start}, report)
        dataset, _, sound, expression, pose = subject.opened(folder)
        picture, text = folder / "report.png", (folder / "report.txt").read_text("utf8")
        said = saying.dataset(folder, text, files=saying.output_files(picture, picture.with_suffix(".txt")))
        preview = _picture(picture)
        saying.leave(preview, report)
        return io.NodeOutput(dataset, preview, sound, expression, pose, text, ui=said)


def _inputs() -> list:
    return [
        io.Video.Input("video", tooltip="A video of one person speaking, with audio; any frame rate, any size."),
        io.String.Input("name", display_name="dataset name", default="me",
                        tooltip="Name of the dataset's folder; a code for the video and the settings is appended."),
        io.Int.Input("size", default=512, min=64, max=1024, step=32,
                     tooltip="Width and height of the frames in pixels; the head is cropped and scaled to this size."),
        io.Float.Input("start", display_name="start (s)", default=0.0, min=0.0, max=100000.0, step=0.001, round=0.001,
                       tooltip="Start of the segment to use, in seconds (see Pick Segment)."),
        io.Float.Input("duration", display_name="length (s, 0 = all)", default=0.0, min=0.0, max=100000.0, step=0.001,
                       round=0.001, tooltip="Length of the segment in seconds; 0 for everything that follows."),
        *face.face_inputs(),
        face.policy_input(),
        face.FOCAL.input("Focal length of the camera in pixels of the dataset's frames.", "2.2 times their side", advanced=True),
        io.Int.Input("smoothing", display_name="pose smoothing (frames)", default=13, min=0, max=101, advanced=True,
                     tooltip="Width in frames of the zero-phase smoothing of the pose; 0 keeps it as measured."),
        io.Boolean.Input("steady", display_name="stabilise pose", default=True, advanced=True,
                         tooltip="More stable poses: corners in skin and hair are tracked from frame to frame in addition to the "
                                 "landmarks. Turn it off if long loose hair or a hat moves on its own."),
        io.String.Input("parsing", display_name="parsing folder", default="", advanced=True,
                        tooltip="Face-parsing PNGs to use instead of the built-in masks: a folder inside ComfyUI's input folder, "
                                "one file per dataset frame. Empty: none."),
        sockets.FaceLandmarks.Input("face_landmarks", optional=True, tooltip=face.LANDMARKS_TIP),
        sockets.Expression.Input("expression", optional=True,
                                 tooltip="Action units measured elsewhere (Import Action Units) for the whole video. Without "
                                         "them the built-in ones are used, with unreliable units marked."),
        io.Mask.Input("mask", optional=True, tooltip="Where to look for the face: white, in pixels of the video."),
        io.Mask.Input("person", display_name="person mask", optional=True,
                      tooltip="Where the person is (head and body): white, in pixels of the video; one for all frames, or one "
                              "per frame at 25 frames per second. Replaces the built-in masks."),
        sockets.Dataset.Input("like", display_name="match dataset", optional=True,
                              tooltip="A dataset of the same person, camera and tracker whose crop and head shape are reused."),
        face.tracker_input(),
        io.Int.Input("audio_shift", display_name="audio shift (ms)", default=0, min=-2000, max=2000, step=10, optional=True,
                     advanced=True,
                     tooltip="Moves the audio later by so many milliseconds, or earlier where negative. The quality report says "
                             "how far, where the audio is off."),
    ]


def _outputs() -> list:
    rows = {
        "dataset": (sockets.Dataset, "The dataset's folder, for Train Avatar."),
        "preview": (io.Image, "The quality report as an image."),
        "sound": (io.Audio, "The audio of the video, in sync with the frames."),
        "expression": (sockets.Expression, "17 action units per frame, and how reliable each is."),
        "pose": (sockets.Pose, "The head's pose, frame by frame."),
        "report": (io.String, "The quality report as text: what is good, and what to record again."),
    }
    return [kind.Output(name, display_name=name, tooltip=tip) for name, (kind, tip) in rows.items()]


def _captured(film: videos.Film, stem: str, options: dict[str, Any], report: bridge.NodeReport) -> Path:
    """Runs or continues the capture; returns the dataset's folder."""
    from ..media_core.capture import CaptureSettings
    from ..media_core.capture import capture as captured
    from ..media_core.video import probe

    facts, like = probe(film.path), options.pop("like", None)
    raw, expression = _given(options.pop("face_landmarks", None), options.pop("expression", None), facts,
                             start=options.pop("landmarks_from"), face_index=options["face_index"])
    drawn = {key: _drawn(options.pop(name, None), (facts.height, facts.width))
             for name, key in (("mask", "face_region"), ("person", "person"))}
    settings = CaptureSettings(segment=None if film.whole else (film.start, film.end()),
                               focal=face.FOCAL.read(options.pop("focal")), parsing=_parsing(options.pop("parsing")),
                               like=None if like is None else Path(like.folder), expression=expression, **options)
    folder = _folder(stem, film, settings, [None if raw is None else raw.points, *drawn.values()])
    return captured(film.path, folder, settings, face_landmarks=raw, report=report,
                    face_region=drawn["face_region"], person=drawn["person"])


def _folder(stem: str, film: videos.Film, settings: CaptureSettings, arrays: list[np.ndarray | None]) -> Path:  # landmarks first
    """Where the dataset is written: every setting but the policy has a folder of its own, so that nothing is overwritten, and
    another policy goes on from the tracking that is done."""
    from ..media_core.capture.settings import film_fingerprint, fingerprint

    own = {name: str(value) for name, value in vars(settings).items() if name not in ("policy", "expression", "tracker")}
    used = settings.tracker != "rendered" and arrays[0] is None  # folders of before, and of connected landmarks, name none
    own |= {"tracker": settings.tracker} if used else {}
    code = [film_fingerprint(film.path), fingerprint(settings.expression), *map(fingerprint, arrays), own]
    digest = hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:8]
    return contained(Path(folder_paths.get_output_directory()) / bridge.DATASETS, f"{stem}_{digest}")


def _given(face_landmarks: dict | None, expression: ExpressionTrack | None, facts: VideoInfo, *, start: float,
           face_index: int) -> tuple[RawTrack | None, ExpressionTrack | None]:
    """What core's landmarker found, over the whole video and at its own frame rate (RawTrack, ExpressionTrack); its blendshapes
    are the expression where none is connected. The socket's frames begin `start` s into the video (a trimmed VIDEO)."""
    if face_landmarks is None:
        return None, expression
    import numpy as np

    from ..media_core.face.action_units.blendshapes import expression_from_blendshapes
    from ..media_core.face.landmarks.core_landmarks import from_face_landmarks

    fps = float(facts.fps)
    raw, shapes = from_face_landmarks(face_landmarks, fps, face_index)
    before = round(start * fps)
    around = before, max(0, round(facts.duration * fps) - before - len(raw))

    def padded(rows: np.ndarray, value: float) -> np.ndarray:
        return np.pad(rows, [around, *[(0, 0)] * (rows.ndim - 1)], constant_values=value)

    if expression is None and shapes is not None:
        expression = expression_from_blendshapes(padded(shapes, np.nan), fps)
    return replace(raw, points=padded(raw.points, np.nan), confidence=padded(raw.confidence, 0.0),
                   mesh=None if raw.mesh is None else padded(raw.mesh, np.nan),
                   cuts=tuple(cut + before for cut in raw.cuts)), expression


def _drawn(mask: Tensor | None, size: tuple[int, int]) -> np.ndarray | None:  # MASK -> bool [B, H, W]
    import numpy as np

    return None if mask is None else np.stack(videos.mask_frames(mask, size))


def _parsing(name: str | None) -> Path | None:
    """The folder of parsing images, inside ComfyUI's input folder."""
    return contained(folder_paths.get_input_directory(), name.strip()) if name and name.strip() else None


def _picture(path: Path) -> Tensor:  # float32 [1, H, W, 3]
    from ..media_core.image_reading import read_picture

    return videos.floats(read_picture(path, "The report"))[None]


NODES = (PickSegment, PrepareDataset)
