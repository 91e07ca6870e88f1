"""report.txt and report.png of a captured dataset: the verdicts, images of the video, and its curves."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from ..audio import load_sound
from ..dataset_folder import encoded, write_bytes
from ..face.crop import FaceCrop
from ..face.draw import Curve, draw_curves, draw_landmarks
from ..face.geometry import FEATURES
from ..face.landmarks.landmarks import RawTrack
from ..face.track import FaceTrack
from ..memory import give_back
from ..speech import Speech, encode_speech
from .framing import beyond
from .images import FRAME, read_picture
from .looks import WAITING, FrameLooks, frame_looks
from .loudness import loudness_of
from .quality import FAIR, GOOD, POOR, UNKNOWN, Evidence, QualityReport, quality_report, view_angles
from .settings import CaptureSettings
from .stages import Step
from .sync import in_bands
from .tables import film_part

LOOKED_AT = 40      # frames whose blur is measured
SHOWN = 8           # frames drawn
WIDTH, THUMB, LINE = 1280, 160, 18  # px
_COLOURS = {GOOD: (40, 140, 60), FAIR: (205, 140, 20), POOR: (190, 45, 40), UNKNOWN: (140, 140, 148)}
_INK, _PAPER, _PALE = (20, 20, 24), (255, 255, 255), (110, 110, 118)
_VIEW = 30.0        # degrees to either side that the views' curves show


@dataclass(frozen=True)
class Shown:
    """What earlier stages found, for the report and the manifest; T written frames."""

    track: FaceTrack
    kept: np.ndarray     # int64 [T] frame of the tracked part that each written one is
    crop: FaceCrop
    raw: RawTrack        # of the whole tracked part, video px
    first: int           # frame of the video the tracked part begins with
    cuts: tuple[int, ...] = ()  # frames of the video that begin a new shot
    remark: str = ""     # on the video's colours

    @property
    def missing(self) -> list[int]:
        """Frames of the video in which no face was found."""
        return (self.first + np.flatnonzero(~np.isfinite(self.raw.points).all(axis=(1, 2)))).tolist()


def write_report(folder: Path, film: Path, shown: Shown, settings: CaptureSettings, step: Step) -> dict[str, Any]:
    """Writes both files; returns what the manifest keeps: the verdict, and each finding."""
    frames = len(shown.raw.points)
    points = shown.track.landmarks.points[..., :2].numpy()
    looks = frame_looks(folder, points, lambda done, total: step(done, total + LOOKED_AT + 2))
    blur = _blur(folder, points, lambda done, total: step(len(points) + done, len(points) + total + 2))
    give_back()
    heard = settings.heard_by.facts  # audio and lips are compared by the spectrum, whatever the encoder
    speech = Speech.load(folder / f"speech_{heard.id}.safetensors") if heard.spectral else \
        encode_speech(load_sound(folder / "aud.wav"))
    speech = in_bands(speech)
    outside = _outside(shown.raw.points[shown.kept], shown.raw.image_size) | _outside(points, shown.track.image_size)
    with film_part(folder, film, shown.first, frames, settings.fps) as sound:
        evidence = Evidence(track=shown.track, sound=sound, speech=speech, sound_frames=shown.kept,
                            scale=shown.crop.size / shown.crop.side(), beyond=beyond(shown.crop), missing=tuple(shown.missing),
                            film_frames=frames, cuts=shown.cuts, blur=blur, light=_light(looks), colours=shown.remark,
                            first=shown.first, looks=looks, outside=outside)
        report = quality_report(evidence)
        step(1, 2)
        write_bytes(folder / "report.txt", report.text().encode())
        write_bytes(folder / "report.png", encoded(".png", _sheet(folder, film.name, evidence, report)))
    (folder / WAITING).unlink(missing_ok=True)
    return {"verdict": report.verdict, "sound_offset": report.offset.frames if report.offset.decided else None,
            "findings": [[f.name, f.value, f.verdict, f.advice] for f in report.findings]}


def _outside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:  # [T, 68, 2], (H, W) -> bool [T]
    """Frames with a point outside the image."""
    height, width = size
    return np.any((points < 0) | (points > (width - 1, height - 1)), axis=(1, 2))


def _light(looks: FrameLooks) -> tuple[float, float]:
    """(mean grey, fraction of black or white) of the face: medians over the video."""
    known = looks.light[np.isfinite(looks.light).all(axis=1)]
    return (float(np.median(known[:, 0])), float(np.median(known[:, 1]))) if len(known) else (float("nan"), 0.0)


def _blur(folder: Path, points: np.ndarray, tell: Callable[[int, int], None]) -> float:  # [T, 68, 2]
    """Blur 0..1 of the face: the median over frames spread over the video."""
    import cv2
    from skimage.measure import blur_effect

    numbers = np.unique(np.linspace(0, len(points) - 1, LOOKED_AT).round().astype(int))
    blur = []
    for done, i in enumerate(numbers):
        picture, own = read_picture(folder / FRAME.format(i)), points[i, FEATURES]
        (left, top), (right, bottom) = np.floor(own.min(axis=0)).astype(int), np.ceil(own.max(axis=0)).astype(int)
        face = picture[max(top, 0):max(bottom, 0), max(left, 0):max(right, 0)]
        tell(done, len(numbers))
        if min(face.shape[:2]) >= 16:
            blur.append(float(np.asarray(blur_effect(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)))))
    return float(np.median(blur)) if blur else float("nan")


# --------------------------------------------------------------------------------------------------------------- the sheet

def _sheet(folder: Path, name: str, evidence: Evidence, report: QualityReport) -> np.ndarray:  # uint8 [H, WIDTH, 3]
    curves = draw_curves(_curves(evidence), evidence.track.fps, WIDTH)
    return np.concatenate([_title(name, report), _thumbnails(folder, evidence.track), curves, _verdicts(report)])


def _title(name: str, report: QualityReport) -> np.ndarray:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, 2 * LINE), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([8, 8, 26, 26], fill=_COLOURS[report.verdict])
    draw.text((36, 10), f"{report.verdict.upper()} for training   {_plain(name)}", fill=_INK)
    return np.asarray(picture)


def _thumbnails(folder: Path, track: FaceTrack) -> np.ndarray:  # uint8 [THUMB, WIDTH, 3]
    import cv2

    row = np.full((THUMB, WIDTH, 3), 255, np.uint8)
    for k, i in enumerate(np.linspace(0, len(track) - 1, SHOWN).round().astype(int)):
        drawn = draw_landmarks(read_picture(folder / FRAME.format(i)), track.landmarks.points[i, :, :2].numpy(), dots=False)
        row[:, k * THUMB:(k + 1) * THUMB] = cv2.resize(drawn, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return row


def _curves(evidence: Evidence) -> list[Curve]:
    """All over the whole tracked part: written frames stand where they were in the video."""
    def spread(values: np.ndarray) -> np.ndarray:
        out = np.full(max(evidence.film_frames, int(evidence.sound_frames[-1]) + 1), np.nan)
        out[evidence.sound_frames] = values
        return out

    aperture, eyes, views = evidence.aperture, evidence.eyes, view_angles(evidence.track)
    total = len(spread(aperture))
    return [Curve("lip opening", spread(aperture), max(0.1, float(aperture.max()) * 1.1)),
            Curve("audio level, dB + 80", loudness_of(evidence.sound, total) + 80, 80.0),
            Curve("eye opening", spread(eyes), max(0.3, float(eyes.max()) * 1.1)),
            Curve("turning + 30 degrees", spread(views[:, 0] + _VIEW), 2 * _VIEW),
            Curve("nodding + 30 degrees", spread(views[:, 1] + _VIEW), 2 * _VIEW)]


def _verdicts(report: QualityReport) -> np.ndarray:
    from PIL import Image, ImageDraw

    lines = [(f.verdict, f.name, *row) for f in report.findings for row in _rows(f.value, f.advice)]
    picture = Image.new("RGB", (WIDTH, LINE * (len(lines) + 1)), _PAPER)
    draw = ImageDraw.Draw(picture)
    told = ""
    for k, (verdict, name, value, note) in enumerate(lines):
        y = LINE * k + LINE // 2
        if name != told:
            draw.rectangle([8, y + 1, 18, y + 11], fill=_COLOURS[verdict])
            draw.text((28, y), name, fill=_INK)
        draw.text((150, y), value, fill=_INK)
        draw.text((700, y), note, fill=_PALE)
        told = name
    return np.asarray(picture)


def _rows(value: str, advice: str) -> list[tuple[str, str]]:
    """A finding's lines: value on the left, advice on the right."""
    left, right = wrap(_plain(value), 88) or [""], wrap(_plain(advice), 92)
    count = max(len(left), len(right))
    return list(zip(left + [""] * (count - len(left)), right + [""] * (count - len(right))))


def _plain(text: str) -> str:
    """What Pillow's built-in font can draw."""
    return text.encode("latin-1", "replace").decode("latin-1")
