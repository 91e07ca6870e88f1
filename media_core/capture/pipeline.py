"""From a video of a person to a dataset folder that avatars are trained on: one call, in stages, each resumed where it stopped.

Stages: (segment ->) track -> frames -> shots -> measure -> (masks -> background -> layers ->) sound -> tables -> report ->
manifest.
Per frame only the face's points stay in memory (the mesh of 6 kB goes from file to file) and, while measuring, up to 480 followed
corners; besides them, the audio.
The method: docs/capture.md; what is written: docs/hmtalker.md#dataset-layout.
"""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ..claims import claimed
from ..dataset_folder import MANIFEST, read_json, writing
from ..errors import FileFormatError, TalkingHeadsError
from ..face.crop import FaceCrop
from ..face.landmarks.landmarks import RawTrack, fill_missing
from ..face.pose.steady import WINDOW, Anchors, steady
from ..face.presence import Tracker
from ..face.track import FaceTrack, expressed, measure
from ..face.trackers import check_alike, make_tracker, manifest_tracker
from ..memory import give_back
from ..progress import Report, silent
from ..speech import SpeechEncoder, full_name, of_recording
from ..video import VideoInfo, probe
from . import images, tables
from .cutting import Cutting, write_background, write_layers
from .framing import Likeness, frame_face, like_dataset
from .looks import Looking
from .manifest import write_manifest
from .mesh_rows import MeshRows
from .record import Record
from .report import Shown, write_report
from .segment import RATE, pick_segment
from .settings import CaptureSettings, film_fingerprint, fingerprint
from .shots import unnoticed_cuts
from .stages import Progress, Step
from .tracking import RAW, given_track, track_film

log = logging.getLogger(__name__)
VERSION = 1
ALWAYS = ("track", "frames", "shots", "measure", "sound", "tables", "report", "checksums")
MASKED = ("masks", "background", "layers")  # between "measure" and "sound"


@dataclass(frozen=True)
class Inputs:
    """Optional inputs besides the video; video px, frames at the dataset's rate."""

    landmarks: RawTrack | None = None      # instead of the built-in tracker's
    region: np.ndarray | None = None       # bool [1 or frames, H, W]: the face is looked for in it
    person: np.ndarray | None = None       # bool [1 or frames, H, W]: where the person is, instead of found masks
    tracker: Tracker | None = None        # finds a face in a frame; None: as the settings say

    def origin(self, settings: CaptureSettings) -> str:
        """What measures the points, of `MEASURED_BY`."""
        if self.landmarks is not None:
            return self.landmarks.tracker
        return settings.tracker if self.tracker is None else self.tracker.kind


@claimed("folder")
def capture(video: str | os.PathLike, folder: str | os.PathLike, settings: CaptureSettings | None = None, *,
            face_landmarks: RawTrack | None = None, face_region: np.ndarray | None = None, person: np.ndarray | None = None,
            tracker: Tracker | None = None, report: Report = silent) -> Path:
    """Writes the dataset and returns its folder; a finished one of the same video and settings is returned as it is.

    Args:
        video: a video of one person talking, with audio.
        folder: where to write; made when absent. A folder that this video was captured into before is continued or, where
            settings differ, made again from the first stage they concern.
        settings: see `CaptureSettings`.
        face_landmarks: points found by something else (`from_face_landmarks`), in the video's pixels, over the whole video.
        face_region: bool [1 or T, H, W] in video px, T frames at the dataset's rate: the face is looked for in it.
        person: bool of the same shape: where the person is; instead of masks that are found.
        tracker: called with (frame uint8 [H, W, 3], region or None), gives a FaceFrame or None; for tests.
        report: called once a frame with a stage's title in `info`, and a preview now and then; what it raises stops the capture
            within a frame, and the same call later continues it.
    Raises:
        FileFormatError: the video is absent, empty, no video, or has no audio.
        TalkingHeadsError: no face in it (frames are named), or the folder holds something else, is full or cannot be written.
    """
    settings, film, folder = settings or CaptureSettings(), Path(video), Path(folder)
    inputs = Inputs(face_landmarks, face_region, person, tracker)
    print_of_film = film_fingerprint(film)
    info = probe(film)
    if not info.has_sound:
        raise FileFormatError("The video must have audio: an avatar learns its lips from it", f"{film.name} has none",
                              "Record again with the microphone on, or add the audio to the video first")
    if info.remark:
        log.warning("%s: %s", film.name, info.remark)
    _check_inputs(settings, folder, inputs, info)
    request = _request(settings, inputs, print_of_film)
    if _like_now(read_json(folder / MANIFEST)) == request:
        return folder
    with writing(folder):
        record = Record.open(folder, print_of_film, film.name)
        try:
            _Job(film=film, folder=folder, settings=settings, inputs=inputs, info=info, record=record,
                 progress=Progress(report, _stages(settings)), request=request).run()
        except TalkingHeadsError:
            record.remove_bare()
            raise
    return folder


def _check_inputs(settings: CaptureSettings, folder: Path, inputs: Inputs, info: VideoInfo) -> None:
    """Checks that need nothing written."""
    if settings.like is not None and settings.like.resolve() == folder.resolve():
        raise TalkingHeadsError("The dataset given as `like` must be another one than the one being written", f"{folder} is both",
                                "Write into a new folder, or leave `like` out")
    for name, mask in (("region", inputs.region), ("person", inputs.person)):
        if mask is not None and (np.ndim(mask) != 3 or len(mask) == 0 or np.shape(mask)[1:] != (info.height, info.width)):
            raise TalkingHeadsError(f"The mask of the {name} must be as large as the video, [1 or frames, {info.height}, "
                                    f"{info.width}]", f"{list(np.shape(mask))}", "Draw it over the video's own frames, unscaled")
    like = {} if settings.like is None else read_json(settings.like / MANIFEST)
    if "crop" in like:  # else it is no finished capture, which `like_dataset` says
        check_alike("The dataset given as `like`", inputs.origin(settings), manifest_tracker(like),
                    "Choose that tracker, leave `like` out, or capture the older video again")


def _stages(settings: CaptureSettings) -> tuple[str, ...]:
    first = ("segment",) if isinstance(settings.segment, (int, float)) else ()
    return (*first, *ALWAYS[:4], *(MASKED if settings.masks else ()), *ALWAYS[4:])


def _request(settings: CaptureSettings, inputs: Inputs, film: str) -> dict[str, Any]:
    """All that the folder's content depends on, as JSON holds it."""
    own = {name: value for name, value in vars(settings).items() if name not in ("like", "expression", "parsing")}
    own["segment"] = list(settings.segment) if isinstance(settings.segment, (tuple, list)) else settings.segment
    own["encoder"], own["tracker"] = full_name(settings.heard_by), inputs.origin(settings)
    landmarks = inputs.landmarks
    return {**own, "version": VERSION, "film": film, "expression": fingerprint(settings.expression),
            "parsing": fingerprint(settings.parsing) if settings.masks else None,
            "like": None if settings.like is None else like_dataset(settings.like).fingerprint,
            "landmarks": None if landmarks is None else fingerprint(landmarks.points), "region": fingerprint(inputs.region),
            "person": fingerprint(inputs.person) if settings.masks else None}


def _like_now(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A finished folder's request as it would be written today: older ones name neither the tracker nor the audio's shift."""
    request = manifest.get("request")
    return {"tracker": manifest_tracker(manifest), "audio_shift": 0.0, **request} if isinstance(request, Mapping) else None


@dataclass(frozen=True)
class _Job:
    """One run over one folder."""

    film: Path
    folder: Path
    settings: CaptureSettings
    inputs: Inputs
    info: VideoInfo           # of the video
    record: Record
    progress: Progress
    request: dict[str, Any]

    def run(self) -> None:
        settings, likeness = self.settings, None if self.settings.like is None else like_dataset(self.settings.like)
        first, stop = self._segment()
        raw = self._track(first, stop)
        known, kept, filled = fill_missing(raw, settings.policy, first)
        crop = frame_face(known.points, self._size, settings.size) if likeness is None else \
            likeness.crop_for(self._size, settings.size)
        cuts = _joints(raw.cuts, kept)
        placed = replace(known.placed(crop.to_crop, crop.size / crop.side(), (settings.size, settings.size)), cuts=cuts)
        del known
        source, frames = first + kept, len(kept)
        self._stage("frames", ("policy", "size", "like"), ("track",), partial(
            images.write_frames, self.folder, self.film, settings.fps, source, crop, placed.points), frames)
        self._stage("shots", (), ("frames",), lambda step: unnoticed_cuts(self.folder, frames, cuts, step))
        cuts = tuple(sorted({*cuts, *self.record.result("shots")}))
        squared = replace(placed, cuts=cuts).smoothed()
        mesh = MeshRows(raw=self.folder / RAW, kept=kept, crop=crop, tracked=placed.points, placed=squared.points)
        track = self._measure(squared, likeness, source, mesh)
        del placed, mesh
        if settings.masks:
            self._masks(source, crop, squared.points, track)
        else:
            for stage in MASKED:
                self.record.drop(stage)
        del squared
        self._stage("sound", ("encoder", "fps", "audio_shift"), ("track",), lambda step: tables.write_sound(
            self.folder, self.film, first, len(raw.points), settings, self._listener(first / settings.fps), step))
        self._stage("tables", (), ("measure",), lambda step: tables.write_tables(self.folder, track, filled, kept, step), frames)
        every = {*(first + cut for cut in raw.cuts), *(int(source[cut]) for cut in self.record.result("shots"))}
        shown = Shown(track=track, kept=kept, crop=crop, raw=raw, first=first, cuts=tuple(sorted(every)),
                      remark=self.info.remark)
        self._stage("report", (), ("sound", "tables", *(MASKED[-1:] if settings.masks else ())),
                    lambda step: write_report(self.folder, self.film, shown, settings, step))
        write_manifest(self.folder, self._facts(shown, filled), self.request, len(track), settings,
                       lambda done, total: self.progress("checksums", done, total))

    def _listener(self, start: float) -> SpeechEncoder:
        """The encoder, for the audio from `start` s of the video on, with its shift."""
        settings, begin = self.settings, start - self.settings.audio_shift / 1000
        heard = of_recording(settings.heard_by, self.film, self.info.duration, max(0.0, begin))
        if begin < 0 and heard is not settings.heard_by:
            raise TalkingHeadsError("Features that exist already can be moved later only by what lies before the segment",
                                    f"{settings.audio_shift:g} ms, from {start:g} s on", "Make them from the shifted audio")
        return heard

    @property
    def _size(self) -> tuple[int, int]:
        return self.info.height, self.info.width

    def _stage(self, name: str, own: tuple[str, ...], after: tuple[str, ...], make: Callable[[Step], object],
               frames: int = 0) -> None:
        """Runs `make(step)` unless the stage is done for the same settings; what it returns is kept in the record.

        `frames` is how many of each file there must be that is written once a frame.
        """
        def step(done: int, total: int, info: Mapping[str, Any] | None = None, preview: np.ndarray | None = None) -> None:
            self.progress(name, done, total, info, preview)

        if self.record.pending(name, self._asked(own), *after, frames=frames):
            step(0, 1)
            self.record.finish(name, make(step))
            give_back()
        step(1, 1)

    def _asked(self, own: tuple[str, ...]) -> dict[str, Any]:
        # older folders do not name the tracker: none of them was measured by the one for real people; nor the shift
        formerly = {"tracker": "rendered", "audio_shift": 0.0}
        return {key: self.request[key] for key in own if key not in formerly or self.request[key] != formerly[key]}

    def _segment(self) -> tuple[int, int | None]:
        """First frame, and the one behind the last (None: the video's end), at the dataset's rate."""
        segment, fps = self.settings.segment, self.settings.fps
        if segment is None:
            return 0, None
        if isinstance(segment, (int, float)):
            wanted = float(segment)

            def pick(step: Step) -> list[float]:
                def tell(done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None) -> None:
                    step(done, total, None, preview)
                found = pick_segment(self.film, wanted, tracker=self._tracker(), masks=self._regions(RATE),
                                     landmarks=self.inputs.landmarks, report=tell)
                return [found.start, found.stop]
            self._stage("segment", ("segment", "face_index", "order", "landmarks", "region", "tracker"), (), pick)
            segment = self.record.result("segment")
        return round(segment[0] * fps), round(segment[1] * fps)

    def _tracker(self) -> Tracker:
        settings = self.settings
        return self.inputs.tracker or make_tracker(settings.tracker, face_index=settings.face_index, order=settings.order)

    def _regions(self, rate: float) -> Iterator[np.ndarray] | None:
        """Where the face is looked for in each frame of the video at `rate`; None: everywhere."""
        region, fps = self.inputs.region, self.settings.fps
        return None if region is None else (region[min(int((i + 0.5) / rate * fps), len(region) - 1)] for i in count())

    def _track(self, first: int, stop: int | None) -> RawTrack:
        settings = self.settings

        def make(step: Step) -> None:
            if self.inputs.landmarks is not None:
                given_track(self.inputs.landmarks, self._size, settings.fps, first, stop).save(self.folder / RAW)
                return
            total = max(1, (round(self.info.duration * settings.fps) if stop is None else stop) - first)
            track_film(self.folder, self.film, settings, first, stop, total, self.inputs.region, self._tracker(), step)

        own = ("film", "version", "fps", "face_index", "order", "segment", "landmarks", "region", "tracker")
        self._stage("track", own, (), make)
        return RawTrack.load(self.folder / RAW, dense=False)

    def _measure(self, squared: RawTrack, likeness: Likeness | None, source: np.ndarray, mesh: MeshRows) -> FaceTrack:
        """What was measured; its mesh stays in the file."""
        self._stage("measure", ("focal", "smoothing", "steady", "expression", "like"), ("shots",),
                    lambda step: tables.save_measured(self.folder, *self._measured(squared, likeness, source, step), mesh))
        return FaceTrack.load(self.folder / tables.TRACK, dense=False)

    def _measured(self, squared: RawTrack, likeness: Likeness | None, source: np.ndarray,
                  step: Step) -> tuple[FaceTrack, Anchors | None]:
        settings = self.settings
        frames = max(int(source[-1]) + 1, round(self.info.duration * settings.fps))
        expression = tables.given_expression(settings.expression, settings.fps, frames, source)
        shape = None if likeness is None else likeness.shape.at(squared.image_size, settings.focal)
        track = measure(squared, focal=settings.focal, shape=shape, smoothing=settings.smoothing, expression=expression)
        if not settings.steady:
            return track, None
        steadied = partial(steady, track, lambda i: images.grey(self.folder, i), cuts=squared.cuts,
                           window=min(WINDOW, settings.smoothing), step=step)
        known = None if settings.like is None else images.known_anchors(Path(settings.like), track.image_size)
        found, anchors = steadied(known=known) if known is not None else (track, None)
        shared = anchors is not None
        if not shared:  # also where the other video's corners cannot be found again
            found, anchors = steadied()
        found = found if expression is not None or anchors is None else expressed(found, track)
        return found, None if shared else anchors

    def _masks(self, source: np.ndarray, crop: FaceCrop, points: np.ndarray, track: FaceTrack) -> None:  # [T], -, [T, 68, 2] px
        """The first stage makes the others' files too, while each frame is in memory: so these are cleared before it, where they
        are of other settings."""
        frames, own = len(source), ("person", "parsing", "tracker")
        looking = Looking(self.folder, track.landmarks.points[..., :2].numpy())
        cutting = Cutting(folder=self.folder, points=points, size=self.settings.size, person=self.inputs.person, crop=crop,
                          source=source, parsing=self.settings.parsing, looking=looking)
        for stage, settings, after in (("masks", own, "shots"), ("background", (), "masks"), ("layers", (), "background")):
            self.record.pending(stage, self._asked(settings), after, frames=frames)
        self._stage("masks", own, ("shots",), cutting.write, frames)
        self._stage("background", (), ("masks",), lambda step: write_background(self.folder, frames, self.settings.size, step))
        self._stage("layers", (), ("background",), lambda step: write_layers(self.folder, frames, step), frames)

    def _facts(self, shown: Shown, filled: np.ndarray) -> dict[str, Any]:
        """What the manifest says besides the request and the checksums."""
        info, track = self.info, shown.track
        reliability = track.expression.reliability
        return {"film": {"name": self.film.name, "width": info.width, "height": info.height, "fps": float(info.fps),
                         "seconds": info.duration, "hdr": info.hdr},
                "tracker": self.request["tracker"],
                "first_frame": shown.first, "crop": shown.crop.to_dict(), "focal": track.pose.focal,
                "au_reliability": None if reliability is None else list(reliability), "au_source": track.expression.source,
                "missing": shown.missing, "filled": np.flatnonzero(filled).tolist(),
                "cuts": list(shown.cuts),
                "sound_frames": len(shown.raw.points), "quality": self.record.result("report")}


def _joints(cuts: tuple[int, ...], kept: np.ndarray) -> tuple[int, ...]:
    """Written frames before which time is not continuous: the video's cuts, and where frames were left out."""
    at = {int(i) for i in np.searchsorted(kept, np.asarray(cuts, int))} | {int(i) + 1 for i in np.flatnonzero(np.diff(kept) > 1)}
    return tuple(sorted(i for i in at if 0 < i < len(kept)))
