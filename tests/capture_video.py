"""Small films of the synthetic subject with known landmarks, and a tracker that knows them: for tests of the capture.

Each frame carries its number as a row of black and white squares below the face, so that the tracker gives the right points
whatever rate, order or size the film is read in.
"""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

BITS, SQUARE = 10, 8  # of the number, px


@dataclass(frozen=True)
class Talk:
    """T frames of a person and what is heard."""
    frames: np.ndarray   # uint8 [T, S, S, 3]
    points: np.ndarray   # float32 [T, 68, 2] px
    poses: np.ndarray    # [T, 4, 4] camera to head
    sound: object        # Sound
    fps: float

    def __len__(self):
        return len(self.frames)


@lru_cache(maxsize=4)
def talk(seconds: float = 3.0, size: int = 128, identity: int = 5, seed: int = 7, fps: float = 25.0) -> Talk:
    from talking_heads.media_core.subject import Subject, perform
    from talking_heads.media_core.subject.export import camera_to_world

    subject, said = Subject(size, identity, oversampling=1), perform(seconds, seed, engine="formant", fps=fps)
    frames, points, poses = [], [], []
    for params, euler, shift, sway in zip(said.params, said.euler, said.translation, said.sway):
        pose = subject.pose(euler, shift)
        frame = subject.render(params, pose, sway)
        frames.append(frame.rgb), points.append(frame.landmarks2d), poses.append(camera_to_world(*subject.world_to_camera(pose)))
    return Talk(np.array(frames), np.array(points, np.float32), np.array(poses), said.sound, fps)


def numbered(frame: np.ndarray, number: int) -> np.ndarray:
    """The frame with its number in the lower left corner."""
    out = frame.copy()
    for bit in range(BITS):
        out[-SQUARE:, bit * SQUARE:(bit + 1) * SQUARE] = 255 if number >> bit & 1 else 0
    return out


def number_of(frame: np.ndarray) -> int:
    middle = SQUARE // 2
    return sum((int(frame[-middle, bit * SQUARE + middle].mean() > 127)) << bit for bit in range(BITS))


class Oracle:
    """A tracker that reads the frame's number and knows the points."""
    kind = "exact"

    def __init__(self, points: np.ndarray, missing=()):
        self.points, self.missing, self.state, self.seen = points, set(missing), None, []

    def reset(self):
        self.state = None

    def __call__(self, frame, mask=None):
        from talking_heads.media_core.face.landmarks.landmarks import FaceFrame

        number = number_of(frame)
        self.seen.append(number)
        return None if number in self.missing else FaceFrame(self.points[number], 0.9)


def placed(talk: Talk, height: int, width: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """The talk's frames in a larger picture, numbered, and its points there."""
    size = talk.frames.shape[1]
    grey = (40 + np.add.outer(np.arange(height), np.arange(width)) % 97).astype(np.uint8)
    canvas = np.repeat(np.repeat(grey[None, ..., None], 3, axis=3), len(talk), axis=0)
    canvas[:, y:y + size, x:x + size] = talk.frames
    return np.stack([numbered(frame, i) for i, frame in enumerate(canvas)]), talk.points + np.float32([x, y])


def write_film(path: Path, frames, times=None, fps=25.0, sound=None, codec="libx264", sound_from=0.0, picture_from=0.0,
               **options) -> Path:
    """A film by PyAV: frame i at times[i] s (default: constant rate); picture and sound may begin late."""
    import av

    times = [i / fps for i in range(len(frames))] if times is None else times
    base = Fraction(1, 90000)
    with av.open(str(path), "w") as container:
        picture = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        picture.width, picture.height, picture.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        picture.options = {"crf": "10", "preset": "ultrafast", **({"x265-params": "log-level=none"} if "265" in codec else {})}
        picture.codec_context.time_base = base
        layout = "stereo" if sound is not None and sound.channels == 2 else "mono"
        voice = None if sound is None else container.add_stream("aac", rate=sound.sample_rate, layout=layout)
        for frame, time in zip(frames, times):
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            shown.pts, shown.time_base = round((time + picture_from) / base), base
            container.mux(picture.encode(shown))
        container.mux(picture.encode(None))
        if voice is not None:
            for start in range(0, sound.samples, 1024):
                block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.waveform[:, start:start + 1024]), format="fltp",
                                                   layout=layout)
                block.sample_rate, block.time_base = sound.sample_rate, Fraction(1, sound.sample_rate)
                block.pts = start + round(sound_from * sound.sample_rate)
                container.mux(voice.encode(block))
            container.mux(voice.encode(None))
    return path
