"""A finished video measured against its truth and its speech."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import comfy.model_management as mm
import folder_paths
from comfy_api.latest import io

from ..media_core.errors import TalkingHeadsError
from . import bridge, face, saying, videos

if TYPE_CHECKING:
    import numpy as np
    from comfy_api.input import VideoInput
    from torch import Tensor

    from ..media_core.audio import Sound
    from ..media_core.metrics.pair import Clip


class TalkingHeadMetrics(io.ComfyNode):
    """VIDEO or IMAGE, with or without a truth, to figures and their plot."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TalkingHead_Metrics",
            display_name="Talking Head Metrics",
            category="Talking Heads/Face",
            description="Measures a finished video: images, landmarks and action units against the true video, and lips against "
                        "the speech. Figures that need a network use weight files of your own in "
                        "models/talking_heads/metrics; for each one that is missing, the table names the file.",
            search_aliases=["psnr", "ssim", "lpips", "fid", "fvd", "syncnet", "lmd", "evaluate", "lip sync score", "quality"],
            inputs=_inputs(),
            outputs=[
                io.String.Output("table", display_name="table",
                                 tooltip="The figures as a text table, and why others are missing."),
                io.String.Output("json", display_name="json", tooltip="The same for programs."),
                io.Image.Output("plot", display_name="plot",
                                tooltip="Lip opening over the waveform, made and true, with the phones that are spoken."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> tuple[str, ...]:
        """Weight files that are added or replaced count as a change."""
        return tuple(f"{kind} {bridge.stamp(path)}" for kind, path in _weights().items())

    @classmethod
    def execute(cls, fps: float, transcript: str, plot_width: int, video: VideoInput | None = None,
                images: Tensor | None = None, truth: VideoInput | None = None, truth_images: Tensor | None = None,
                audio: Mapping[str, Any] | None = None, tracker: str = "people") -> io.NodeOutput:
        from ..media_core.audio import Sound
        from ..media_core.metrics.evaluation import evaluate
        from ..media_core.metrics.plot import draw_evaluation
        from ..media_core.metrics.weights import Weights

        report = bridge.NodeReport()
        made = _clip("made video", video, images, fps)
        if made is None:
            raise TalkingHeadsError("Talking Head Metrics needs a video to measure", "none", "Connect a video or images")
        found = evaluate(made, _clip("truth", truth, truth_images, fps), sound=None if audio is None else Sound.from_comfy(audio),
                         transcript=transcript.strip() or None, tracker=tracker, report=report,
                         weights=Weights(_weights(), mm.get_torch_device()))
        plot = videos.floats(draw_evaluation(found.curves, plot_width))[None]
        text = found.table.text()
        return io.NodeOutput(text, found.table.json(), plot, ui=saying.said(text, previews=saying.previews(plot, cls, report)))


def _inputs() -> list:
    return [
        io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.001, round=0.001,
                       tooltip="Frames per second of connected images; videos have their own."),
        io.String.Input("transcript", default="", multiline=True,
                        tooltip="The English words that are spoken, numbers as words: phones are then aligned instead of "
                                "guessed. Empty: guessed."),
        face.tracker_input(),
        io.Int.Input("plot_width", display_name="plot width", default=1200, min=320, max=8192, step=16, advanced=True,
                     tooltip="Width of the plot in pixels."),
        io.Video.Input("video", optional=True, tooltip="The video to measure."),
        io.Image.Input("images", optional=True, tooltip="Frames to measure, instead of a video."),
        io.Video.Input("truth", optional=True,
                       tooltip="The true video: read at the frame rate and in the size of the other, from the beginning on."),
        io.Image.Input("truth_images", display_name="truth images", optional=True, tooltip="True frames, instead of a video."),
        io.Audio.Input("audio", optional=True, tooltip="The speech. Without it, the audio of the video, else that of the truth."),
    ]


def _weights() -> dict[str, Any]:
    """The user's weight files of networks."""
    from ..media_core.metrics.weights import Weights

    return dict(Weights.found(folder_paths.get_folder_paths(bridge.MODELS)).files)


def _clip(name: str, video: VideoInput | None, images: Tensor | None, fps: float) -> Clip | None:
    """What is connected; None: nothing."""
    from ..media_core.metrics.pair import Clip

    if video is not None and images is not None:
        raise TalkingHeadsError(f"The {name} must be a video or images", "both", "Disconnect one of them")
    if video is not None:
        return _of_film(videos.film(video))
    if images is None:
        return None

    def read(rate: float) -> Iterator[np.ndarray]:
        count = max(1, round(len(images) * rate / fps))
        return videos.pixels(images[min(len(images) - 1, int((i + 0.5) * fps / rate))] for i in range(count))

    return Clip(name, read, fps, len(images), videos.size_of(images))


def _of_film(film: videos.Film) -> Clip:
    from ..media_core.metrics.pair import Clip
    from ..media_core.video import probe

    facts = probe(film.path)
    rate = float(facts.fps)
    return Clip(film.path.name, film.frames, rate, film.frame_count(rate), film.size(), _sound(film) if facts.has_sound else None)


def _sound(film: videos.Film) -> Sound:
    """The audio of the part that is meant."""
    from ..media_core.video import load_film_sound

    sound = load_film_sound(film.path)
    return sound if film.whole else sound.cut(film.start, film.end())


NODES = (TalkingHeadMetrics,)
