"""Motion to videos on disk: a speaking portrait, or an existing video with new lip movement."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from ..moditalker_core import choices
from . import bridge, carrying, chunks, sockets, temporary_videos
from . import videos as films
from .automatic import AUTO, Value, check
from .face import POLICIES, tracker_input
from .live_video import LiveVideo, shown
from .mtov import (
    CARRIER,
    DRAWING,
    motion_inputs,
    mtov_input,
    official_inputs,
    pose_inputs,
    resize_input,
    sampling_inputs,
    talking,
    video_settings,
    whole,
)

if TYPE_CHECKING:
    import numpy as np
    from comfy_api.input import VideoInput
    from torch import Tensor

    from ..media_core.chunks import Chunk
    from ..media_core.face.crop import FaceCrop
    from ..media_core.face.track import FaceTrack
    from ..media_core.motion import LandmarkTrack
    from ..media_core.progress import Report
    from ..moditalker_core.mtov.model import MToVConfig
    from ..moditalker_core.mtov.scenes import Scene


class MotionToVideoFile(io.ComfyNode):
    """Like MotionToVideo, to a file-backed VIDEO, frame by frame: memory does not grow with its length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_MotionToVideoFile",
            display_name="Motion to Video (file)",
            category="Talking Heads/MoDiTalker",
            description="Animates a portrait with landmarks and writes the result straight to a video file with your audio, of "
                        "any length. Moves the image's own pixels, or redraws the face with MToV. Save it with Save Video; "
                        "with a transparent background, as webm or mov, with Save Video File.",
            search_aliases=["landmarks to video", "mtov", "animate portrait", "talking portrait", "talking head video",
                            "talking photo", "transparent video"],
            inputs=[
                *motion_inputs(),
                crf_input(),
                *pose_inputs(),
                audio_input(),
                *crop_inputs(),
                *official_inputs(),
                *(resize_input(), carrying.carrier_input(), carrying.life_input(), carrying.mask_input()),
                *carrying.redraw_inputs(),
                temporary_videos.format_input(),
                temporary_videos.label_input(),
                *chunks.chunk_inputs(),
            ],
            outputs=[video_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, steps: Value = AUTO, denoise: Value = AUTO, eta: Value = AUTO, overlap: Value = AUTO) -> bool | str:
        return check(DRAWING, steps, denoise, eta, overlap)

    @classmethod
    def execute(cls, motion: LandmarkTrack, portrait: Tensor, crf: int, mtov: sockets.LoadedMToV | None = None,
                pose_images: Tensor | None = None, pose_landmarks: LandmarkTrack | None = None, audio: dict | None = None,
                source: Tensor | None = None, face_crop: FaceCrop | None = None, carrier: str = CARRIER,
                life: float = choices.LIFE, portrait_mask: Tensor | None = None, format: str = temporary_videos.FORMATS[0],
                label: str = "", chunk_index: int = 0, chunk_count: int = 1, seed: int = 0, **sampling: Any) -> io.NodeOutput:
        chunk = chunks.chunk_of(chunk_index, chunk_count, len(motion))
        part = chunk.start, chunk.stop
        whole_pictures = islice(pictures(source, face_crop, len(motion)), chunk.start, None)
        carrying.check_mask(portrait_mask, portrait if source is None else source)
        if carrier == carrying.REDRAW:
            frames = talking(mtov, motion, portrait, pose_images, pose_landmarks, part, seed=seed, **sampling)
            frames = frames if face_crop is None else face_crop.pasted(whole_pictures, frames, chunk.start)
            frames = carrying.with_mask(frames, portrait_mask)
        else:
            subject = carrying.Subject(portrait, portrait_mask, pose_landmarks, pose_images)
            if source is not None and face_crop is not None:
                subject, motion = carrying.whole_subject(source, face_crop, motion, pose_landmarks, portrait_mask)
            frames = subject.drawn(motion, part, seed, life, bridge.NodeReport())
        settings = chunks.settings_of(cls.__name__, crf=crf, carrier=carrier, life=life, format=format, label=label, seed=seed,
                                      fps=motion.fps, **sampling)
        return written("MoDiTalker_MotionToVideoFile", frames, motion.fps, audio, crf, format, label=label, chunk=chunk,
                       settings=settings, seconds=(chunk.stop - chunk.start) / motion.fps)


class MotionToFilm(io.ComfyNode):
    """TH_MTOV, TH_LANDMARKS and a VIDEO of a person to a file-backed VIDEO of the same person saying something else."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MoDiTalker_MotionToFilm",
            display_name="Lip-Sync Video",
            category="Talking Heads/MoDiTalker",
            description="Makes the person in a video move their lips as the landmarks say; head, hair and background stay as "
                        "recorded. Written frame by frame, for any length: a shorter video is repeated ping-pong. Save it with "
                        "Save Video. Film people only with their consent.",
            search_aliases=["dub video", "lip sync video", "mtov", "pose video", "visual dubbing"],
            inputs=film_inputs(),
            outputs=[video_output()],
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, steps: Value = AUTO, denoise: Value = AUTO, eta: Value = AUTO, overlap: Value = AUTO) -> bool | str:
        return check(DRAWING, steps, denoise, eta, overlap)

    @classmethod
    def execute(cls, motion: LandmarkTrack, film: VideoInput, follow: bool, feather: float, crf: int,
                mtov: sockets.LoadedMToV | None = None, face_track: FaceTrack | None = None, portrait: Tensor | None = None,
                audio: dict | None = None, policy: str = "skip", tracker: str = "people", carrier: str = CARRIER,
                label: str = "", **sampling: Any) -> io.NodeOutput:
        from ..moditalker_core.pipeline import video

        if carrier != carrying.REDRAW:
            fps = motion.fps if face_track is None else face_track.fps
            frames = carried_film(films.film(film), motion, fps, face_track, policy, tracker)
            return written("MoDiTalker_MotionToFilm", frames, fps, audio, crf, label=label, seconds=len(motion) / motion.fps)
        loaded, bar = whole(mtov), bridge.NodeReport()
        config = loaded.model.config
        looking, drawing = (bridge.one_pass(bar, i, 2) for i in range(2)) if face_track is None else (bar, bar)
        scene = film_scene(films.film(film), config, track=face_track, portrait=portrait, follow=follow, policy=policy,
                           tracker=tracker, report=looking)
        settings = video_settings((0, None), **sampling)
        out = video(bridge.on_device(loaded), motion, scene, settings, feather=feather, report=drawing)
        return written("MoDiTalker_MotionToFilm", out, config.fps, audio, crf, label=label, seconds=len(motion) / motion.fps)


def crop_inputs() -> list:
    """What puts a crop's frames back into the whole image."""
    return [
        io.Image.Input("source", optional=True,
                       tooltip="With a face crop: the whole image that Face Crop cropped, or one per frame."),
        sockets.FaceCrop.Input("face_crop", optional=True,
                               tooltip="The transform from Face Crop: the video then shows the whole image."),
    ]


def film_inputs() -> list:
    """Of Lip-Sync Video."""
    return [
        mtov_input(),
        sockets.Landmarks.Input("motion", tooltip="Canonical landmarks (Generate Motion) from anybody's speech; or "
                                                  "landmarks in pixels of the video."),
        io.Video.Input("film", display_name="video",
                       tooltip="The video; any frame rate and length, read frame by frame."),
        io.Boolean.Input("follow", display_name="follow head", default=False,
                         tooltip="For redraw: let the square around the face follow the head, for videos in which it "
                                 "moves a lot."),
        *sampling_inputs(),
        io.Float.Input("feather", default=0.1, min=0.0, max=0.5, step=0.01,
                       tooltip="For redraw: how far the new face fades out inwards from the edge of the square, as a "
                               "fraction of its side."),
        crf_input(),
        sockets.FaceTrack.Input("face_track", optional=True,
                                tooltip="The result of Track Face for this video; its frame rate becomes that of the "
                                        "result, for redraw it must be that of the weights. Without it the built-in tracker "
                                        "is used."),
        io.Image.Input("portrait", optional=True,
                       tooltip="For redraw: another image of the person to take the appearance from; otherwise the "
                               "first frame of the video is used."),
        audio_input(),
        io.Combo.Input("policy", display_name="frames without a face", options=POLICIES, default="skip", optional=True,
                       tooltip="What to do with frames without a face: leave them as recorded (skip), stop and list them "
                               "(error), or draw a mouth where the face was last (hold) or on the way to the next one "
                               "(interpolate)."),
        *official_inputs(),
        tracker_input(),
        carrying.carrier_input(),
        *carrying.redraw_inputs(),
        temporary_videos.label_input(),
    ]


def crf_input() -> io.Input:
    return io.Int.Input("crf", display_name="quality (CRF)", default=18, min=0, max=40, advanced=True,
                        tooltip="Quality of the video: 0 is lossless, 18 almost no visible loss, 40 small and poor.")


def audio_input() -> io.Input:
    return io.Audio.Input("audio", optional=True,
                          tooltip="The audio of the video, normally the speech itself. Without it the video is silent.")


def video_output() -> io.Output:
    return io.Video.Output("video", display_name="video", tooltip="The video, as a file in ComfyUI's temp folder.")


def pictures(source: Tensor | None, face_crop: FaceCrop | None, count: int) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
    """The whole images that frames are pasted into; one serves all frames."""
    if (source is None) != (face_crop is None):
        given, other = ("a face crop", "the source") if source is None else ("a source", "the face crop")
        raise TalkingHeadsError("A face crop and its source belong together", f"{given} without {other}",
                                "Connect both, or neither")
    if source is None:
        return iter(())
    if len(source) not in (1, count):
        raise TalkingHeadsError("There must be one source image, or as many as frames",
                                f"{len(source)} images for {count} frames", "Connect the images that went into Face Crop")
    return films.pixels(source) if len(source) > 1 else repeat(next(films.pixels(source)))


def film_scene(film: films.Film, config: MToVConfig, *, track: FaceTrack | None, portrait: Tensor | None, follow: bool,
               policy: str, tracker: str, report: Report) -> Scene:
    """The video whose person is lip-synced, as a scene."""
    from ..moditalker_core.mtov import scenes

    picture = None if portrait is None else next(films.pixels(portrait))
    return scenes.film_scene(lambda start: film.frames(config.fps, start), config, track=track, portrait=picture, follow=follow,
                             policy=policy, total=film.frame_count(config.fps), tracker=tracker, report=report)


def carried_film(film: films.Film, motion: LandmarkTrack, fps: float, track: FaceTrack | None, policy: str,
                 tracker: str) -> Iterator[np.ndarray]:  # uint8 [H, W, 3]
    """The video with new lips, its own pixels moved."""
    from ..moditalker_core.carried_faces import video_face

    bar = bridge.NodeReport()
    looking, drawing = (bridge.one_pass(bar, i, 2) for i in range(2))
    face = video_face(lambda start: film.frames(fps, start), fps, track=track, policy=policy, total=film.frame_count(fps),
                      tracker=tracker, report=looking)
    return face.frames(motion, report=drawing)


def written(node_type: str, frames: Iterator[np.ndarray], fps: float, audio: dict | None, crf: int,
            format: str = temporary_videos.FORMATS[0], *, label: str, seconds: float, chunk: Chunk | None = None,
            settings: Mapping[str, Any] | None = None) -> io.NodeOutput:
    """Frames as they come, written to a file with their audio, as VIDEO; the node of that type shows it meanwhile.

    Args:
        seconds: how long the video will be.
        chunk: which part of the whole the frames are.
        settings: what must be equal in all chunks.
    """
    from ..media_core.audio import Sound
    from ..moditalker_core.pipeline import save_frames

    sound = None if audio is None else Sound.from_comfy(audio)
    sound = sound if chunk is None else chunk.sound(sound, fps, f".{format}")
    tags = None if chunk is None else chunk.tags(settings or {}, sound, f".{format}")
    path = temporary_videos.new_path(f".{format}")
    with LiveVideo(node_type, format, seconds) as live:
        save_frames(frames, path, fps, sound, crf, label, tags, live.copy)
    return io.NodeOutput(temporary_videos.new_film(path), ui=shown(path))


NODES = (MotionToVideoFile, MotionToFilm)
