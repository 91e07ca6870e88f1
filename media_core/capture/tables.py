"""The tables of a dataset: poses, action units, landmarks, audio and its features (docs/hmtalker.md#dataset-layout)."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from ..audio import Sound, fitted, save_wav
from ..dataset_folder import landmark_lines, openface_table, write_bytes, write_transforms
from ..errors import TalkingHeadsError
from ..face.pose.canonical import canonical_landmarks
from ..face.pose.steady import Anchors
from ..face.track import FaceTrack
from ..motion import ExpressionTrack
from ..speech import SAMPLE_RATE, SpeechEncoder
from ..stored_sound import StoredSound, stored_film_sound
from .images import ANCHORS
from .mesh_rows import MeshRows
from .settings import CaptureSettings
from .stages import Step

TRACK, CANONICAL = "track.safetensors", "landmarks_canonical.safetensors"
SOUND_PARTIAL = "sound.partial.raw"
TELL_EVERY = 50  # frames


def given_expression(given: Path | ExpressionTrack | None, fps: float, film_frames: int,
                     source: np.ndarray) -> ExpressionTrack | None:
    """Action units measured elsewhere, one row for each written frame; None when there are none.

    Args:
        given: a table of the whole video, or a track of the whole video.
        fps: of the dataset.
        film_frames: of the whole video at that rate.
        source: int64 [T] video frame of each written one.
    Raises:
        TalkingHeadsError: what was measured is not as long as the video.
    """
    if given is None:
        return None
    if isinstance(given, ExpressionTrack):
        track = given.resampled(fps)
    else:
        from ..face.action_units.au_files import read_action_units_file

        track = read_action_units_file(given, fps, film_frames)
    if abs(len(track) - film_frames) > max(fps / 2, film_frames / 20):
        raise TalkingHeadsError(f"The action units must be as long as the video, {film_frames} frames at {fps:g} per second",
                                f"{len(track)} frames", "Measure them on the whole of this video")
    rows = torch.from_numpy(source)
    au = track.au[rows.clamp(max=len(track) - 1)].clone()
    au[rows >= len(track)] = torch.nan
    return track.with_data(au)


def save_measured(folder: Path, track: FaceTrack, anchors: Anchors | None, mesh: MeshRows) -> None:
    """track.safetensors (with the mesh), landmarks_canonical.safetensors and, when there are any, anchors.safetensors."""
    (folder / ANCHORS).unlink(missing_ok=True)
    if anchors is not None:
        anchors.save(folder / ANCHORS)
    canonical_landmarks(track).save(folder / CANONICAL)
    with mesh.stored(folder, track.landmarks.points.numpy()) as stored:
        track.save(folder / TRACK, stored)


@contextmanager
def film_part(folder: Path, film: Path, first: float, frames: int, fps: float) -> Iterator[StoredSound]:
    """The video's own audio under `frames` frames from frame `first` on, at its rate; silence behind its end. In a file of
    `folder` during the block.

    Raises:
        FileFormatError: the video has no audio there.
    """
    with stored_film_sound(film, folder / SOUND_PARTIAL) as sound:
        begin, samples = round(first / fps * sound.sample_rate), round(frames / fps * sound.sample_rate)
        if begin >= sound.samples:
            came = f"that of {film.name} lasts {sound.duration:.1f} s, the segment starts at {first / fps:.1f} s"
            raise TalkingHeadsError("The segment must have audio", came, "Choose an earlier segment")
        yield sound.lasting(begin, samples)


def write_sound(folder: Path, film: Path, first: int, frames: int, settings: CaptureSettings, encoder: SpeechEncoder,
                step: Step) -> None:
    """aud.wav: 16 kHz, mono, as long as `frames` frames to the nearest sample, with its shift; speech_<encoder>.safetensors."""
    fps, begin = settings.fps, first - settings.audio_shift / 1000 * settings.fps
    lead = round(max(0.0, -begin) / fps * SAMPLE_RATE)
    with film_part(folder, film, max(0.0, begin), frames, fps) as sound:
        mono = fitted(np.pad(sound.mono(SAMPLE_RATE), (lead, 0)), round(frames / fps * SAMPLE_RATE))
    sixteen = Sound(np.ascontiguousarray(mono[None]), SAMPLE_RATE)
    speech = encoder.encode(sixteen, lambda done, total, info, preview: step(done, total))
    speech.save(folder / f"speech_{encoder.facts.id}.safetensors")
    save_wav(folder / "aud.wav", sixteen)


def write_tables(folder: Path, track: FaceTrack, filled: np.ndarray, sound_frames: Sequence[int] | np.ndarray,
                 step: Step) -> None:
    """Landmark files, au.csv and the transforms.

    Args:
        track: of the written frames.
        filled: bool [T] frames in which no face was seen: their action units stay unknown, their row says failed.
        sound_frames: [T] frame of the audio that belongs to each image.
    """
    for i, points in enumerate(track.landmarks.points[..., :2].numpy()):
        path = folder / f"ori_imgs/{i}.lms"
        if not path.is_file():
            write_bytes(path, landmark_lines(points))
        if i % TELL_EVERY == 0:
            step(i, len(track))
    au = track.expression.au.numpy().copy()
    au[filled] = np.nan
    confidence = np.where(filled, 0.0, track.confidence.numpy())
    write_bytes(folder / "au.csv", openface_table(au, track.fps, confidence, ~filled).encode())
    height, width = track.image_size
    write_transforms(folder, track.pose.camera_to_head.numpy(), track.pose.focal, (width / 2, height / 2), sound_frames)
