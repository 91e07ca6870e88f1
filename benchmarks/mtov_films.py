"""Films for benchmarks/mtov.py: people never trained on say sentences never trained on, cut out as the training data were."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from talking_heads.media_core.audio import FPS, Sound
from talking_heads.media_core.face.pose.canonical import canonical_portrait
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import PARAMS, Performance, perform
from talking_heads.media_core.subject.export import subject_of
from talking_heads.media_core.subject.photo import read_photo
from talking_heads.moditalker_core.data.images import CLASSES, PictureSettings, class_crop
from talking_heads.moditalker_core.mtov.model import MToVConfig
from talking_heads.moditalker_core.mtov.scenes import Scene

SIZE = 256  # px of the rendered film, as `talking-heads dataset motion --frames 128` renders it
FACE = [CLASSES.index(name) for name in ("face", "mouth")]
# identities below 1000 are never trained on; nor are these voices (atom/from_subject.py: VOICES), nor seeds beyond 7000 .. 7129
PEOPLE = ((3, "en-us+f3", 880001), (7, "en-us+klatt3", 880002), (11, "en-us", 880003), (19, "en-us+klatt4", 880004))
# 8 px of 14: as wide as in one frame of twenty of speech
OPEN, SHUT = {"jaw": 8.0, "la": 8.0, "press": 0.0, "fv": 0.0}, {"jaw": 0.0, "la": 0.0, "press": 0.0, "fv": 0.0, "tongue": 0.0}


@dataclass(frozen=True)
class Film:
    """Crops of a performance with their exact landmarks."""

    name: str
    frames: np.ndarray    # uint8 [T, S, S, 3]
    face: np.ndarray      # bool [T, S, S]: skin, eyes and mouth
    motion: LandmarkTrack  # px of the crops
    sound: Sound
    scene: Scene          # of its first frame, with the head at rest there: for motion from AToM


def people_of(faces: Path | None, most: int) -> tuple[tuple[int | Path, str, int], ...]:
    """Who is shown: warps of the subject's portrait, or the first faces of a folder of images, with the same voices in turn."""
    if faces is None:
        return PEOPLE[:most]
    paths = sorted(path for path in faces.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:most]
    return tuple((path, PEOPLE[i % len(PEOPLE)][1], PEOPLE[i % len(PEOPLE)][2] + 100 * (i // len(PEOPLE)))
                 for i, path in enumerate(paths))


def called(identity: int | Path) -> str:
    return identity.stem if isinstance(identity, Path) else f"{identity}"


def filmed(config: MToVConfig, identity: int | Path, voice: str, seed: int, seconds: float, *, still: bool) -> Film:
    """A film; `still`: the head keeps the pose it begins with, the face does not."""
    spoken = perform(seconds, seed, voice=voice, engine="espeak")
    return drawn(config, identity, quiet(spoken) if still else spoken, f"{called(identity)}, {voice}")


def quiet(spoken: Performance) -> Performance:
    """The same with head and shoulders as they are in the first frame."""
    kept = {name: np.repeat(getattr(spoken, name)[:1], len(spoken), axis=0) for name in ("euler", "translation", "sway")}
    return replace(spoken, **kept)


def posed(spoken: Performance, values: dict[str, float]) -> Performance:
    """The same with some of the face's parameters held."""
    params = spoken.params.copy()
    params[:, [PARAMS.index(name) for name in values]] = list(values.values())
    return replace(spoken, params=params)


def drawn(config: MToVConfig, identity: int | Path, spoken: Performance, name: str, like: Film | None = None) -> Film:
    """Renders a performance and cuts the face out, by the square of its own landmarks or of another film (`like`)."""
    photo = read_photo(identity) if isinstance(identity, Path) else None
    subject = subject_of(SIZE, None if isinstance(identity, Path) else identity, photo, oversampling=1)
    rows = list(zip(spoken.params, spoken.euler, spoken.translation, spoken.sway))
    points = np.stack([subject.landmarks(params, subject.pose(euler, shift))[0] for params, euler, shift, _ in rows])
    crop = (PictureSettings(config.size, config.margin).square(points, (SIZE, SIZE), FPS) if like is None else like.scene.crop)
    frames, face, whole = [], [], None
    for i, (params, euler, shift, sway) in enumerate(rows):
        frame = subject.render(params, subject.pose(euler, shift), sway)
        whole = frame.rgb if whole is None else whole
        frames.append(crop.crop(frame.rgb, i))
        face.append(np.isin(class_crop(crop, frame.classes, i), FACE))
    motion = track(np.stack([crop.to_crop(one, i) for i, one in enumerate(points)]), config.size)
    scene = Scene(whole, frames[0], crop, track(points[:1], SIZE), canonical_portrait(points[0], (SIZE, SIZE)))
    return Film(name, np.stack(frames), np.stack(face), motion, spoken.sound, scene)


def track(points: np.ndarray, size: int) -> LandmarkTrack:  # [T, 68, 2] px
    """Landmarks in px of square pictures."""
    flat = torch.zeros(len(points), 68, 3)
    flat[..., :2] = torch.from_numpy(np.asarray(points, np.float32))
    return LandmarkTrack(flat, FPS, "pixels", (size, size))


def mouths(points: torch.Tensor, size: int, around: float = 1 / 32) -> np.ndarray:  # [T, 68, 2+] px -> bool [T, size, size]
    """A box around the lips of each frame, wider by a part of the picture on every side; a 32nd as in training."""
    lips, place = points[:, 48:, :2], torch.arange(size)
    low, high = (lips.amin(1) - around * size).floor(), (lips.amax(1) + around * size).floor()
    x, y = ((place >= low[:, axis, None]) & (place <= high[:, axis, None]) for axis in (0, 1))
    return (y[:, :, None] & x[:, None, :]).numpy()
