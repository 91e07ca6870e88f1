"""Images and videos without a usable face, made from pictures that come with scikit-image: what the trackers say of each."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import common
import numpy as np
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame, RawTrack, track_frames
from talking_heads.media_core.face.trackers import make_tracker, still_landmarks


def show(kinds: Sequence[str]) -> None:
    for kind in kinds:
        print(f"\nBAD INPUT, {kind}")
        for name, image in images().items():
            begin = time.perf_counter()
            told = said(lambda image=image: one_face(still_landmarks(kind, image)))
            print(f"  {name:32} {image.shape[1]:5} x {image.shape[0]:<5} {told} ({time.perf_counter() - begin:.1f} s)")
        for name, frames in films().items():
            print(f"  {name:32} {len(frames):5} frames   "
                  f"{said(lambda frames=frames: track_of(track_frames(frames, 25.0, tracker=make_tracker(kind))))}")
    print(f"  peak memory {common.peak_mib():.0f} MiB")


def said(work: Callable[[], str]) -> str:
    """The result, or the error's three parts; what else may be raised is a fault and ends the run."""
    try:
        return work()
    except TalkingHeadsError as error:
        return f"error: {' | '.join(str(error).splitlines())}"


def one_face(face: FaceFrame) -> str:
    low, high = face.points.min(0), face.points.max(0)
    return f"face at {low.round().astype(int).tolist()} to {high.round().astype(int).tolist()}, confidence {face.confidence:.2f}"


def track_of(track: RawTrack) -> str:
    seen = track.confidence > 0
    return (f"a face in {int(seen.sum())}, cuts {list(track.cuts)}, confidence "
            f"{', '.join(f'{value:.2f}' for value in track.confidence[:12])}")


def images() -> dict[str, np.ndarray]:
    import cv2
    from skimage import data

    person, cat, cup = data.astronaut(), data.chelsea(), data.coffee()
    small = person.copy()
    small[:] = cv2.resize(cup, (512, 512))
    tiny = cv2.resize(person, None, fx=20 / 90, fy=20 / 90, interpolation=cv2.INTER_AREA)  # her face is about 90 px wide
    small[380:380 + len(tiny), 40:40 + tiny.shape[1]] = tiny
    edges = cv2.Canny(cv2.GaussianBlur(person, (5, 5), 0), 60, 120)
    return {
        "no face: a cup": cup,
        "no face: one colour": np.full((256, 256, 3), 90, np.uint8),
        "no face: noise": np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "half a face at the right border": np.ascontiguousarray(person[:, :225]),
        "half a face at the lower border": np.ascontiguousarray(person[:125]),
        "a face of 20 px": small,
        "the same, a strip": tiny,
        "8000 px": cv2.resize(person, (8000, 8000), interpolation=cv2.INTER_LINEAR),
        "8000 px, the face 40 of them": _in_large(tiny),
        "an animal": cat,
        "a line drawing": np.repeat(255 - edges[..., None], 3, 2),
        "a drawing in flat colours": cv2.stylization(person, sigma_s=60, sigma_r=0.6) // 48 * 48,
        "upside down": np.ascontiguousarray(person[::-1, ::-1]),
        "on its side": np.ascontiguousarray(np.rot90(person)),
        "very dark": (person // 24).astype(np.uint8),
        "1 px": np.zeros((1, 1, 3), np.uint8),
        "1 px high": np.zeros((1, 500, 3), np.uint8),
    }


def _in_large(tiny: np.ndarray) -> np.ndarray:
    import cv2

    out = np.full((8000, 8000, 3), 120, np.uint8)
    twice = cv2.resize(tiny, None, fx=2, fy=2)
    out[5000:5000 + len(twice), 3000:3000 + twice.shape[1]] = twice
    return out


def films() -> dict[str, list[np.ndarray]]:
    import cv2
    from skimage import data

    person, cat = data.astronaut(), cv2.resize(data.chelsea(), (512, 512))
    other = cv2.resize(_portrait(), (512, 512))
    people = [person, other, np.ascontiguousarray(person[:, ::-1]), np.roll(other, 90, 1), np.roll(person, 120, 0)]
    return {"1 frame": [person], "2 frames, no face": [cat // 8] * 2, "every frame another person": people * 2,
            "an animal": [cat] * 3, "leaves and comes back": [person] * 3 + [np.zeros_like(person)] * 3 + [person] * 3,
            "walks out at the border": [np.roll(person, 40 * k, 1) * (np.arange(512) >= 40 * k)[None, :, None].astype(np.uint8)
                                        for k in range(10)]}


def _portrait() -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(next((common.ROOT / "demo").glob("*.jpg"))).convert("RGB"))
