"""Closes the mouth where nobody speaks (`speech/silence.py` finds the silence; that is the input here).

Two steps, so that a video can be made in pieces of any size: `gate_weights` needs the silence of the whole video, which is
known before the first frame is made; `gated` works one frame at a time.
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from .errors import TalkingHeadsError
from .metrics import Array
from .mouth import checked, closed_mouth, laid_over, region_weights, resting_face, smooth_step

if TYPE_CHECKING:
    from .speech import Speech

ATTACK = 0.08  # s in which the mouth is freed before speech
RELEASE = 0.12  # s in which it closes after speech
LEAST = 0.3  # s, the shortest silence in which it closes
FREED, CLOSING = 0.2, 0.3  # s, the ramps of `speech_gate`, if the speech's room is as wide
SHORTEST_PAUSE = 0.55  # s between words, the shortest that `speech_gate` closes the mouth in
_ROUNDING = 1e-6  # frames


def speech_gate(speech: Speech, fps: float) -> torch.Tensor:  # -> float64 [F] 0..1
    """How far the mouth is at rest in each video frame of a speech: 1 in every frame of a silence; 0 where somebody speaks.

    The ramps between lie in the room that the silence leaves around speech (`Speech.room`): soft and long where it is wide, as in
    what is encoded now, within 0.06 and 0.16 s in files of before. A pause is closed from 0.55 s between words on.
    """
    before, after = speech.room
    least = max(1 / fps, SHORTEST_PAUSE - before - after)
    return gate_weights(speech.silent_frames(fps), fps, attack=min(FREED, before), release=min(CLOSING, after), least=least,
                        inside=False)


def gate_mouth(points: Array, silent: Array, fps: float, attack: float = ATTACK, release: float = RELEASE,
               least: float = LEAST, *, closed: Array | None = None, space: str = "canonical",
               inside: bool = True) -> torch.Tensor:  # [T, 68, D] -> the same
    """The track with its mouth closed in every silence of at least `least` seconds.

    Guaranteed, for a silence of frames s to e (exclusive) with (e - s) / fps >= least, speech before and behind it:

    - inside=True: frames outside are bit for bit as they were. The mouth closes over the first `release` seconds and is freed
      over the last `attack`; frames whose middle lies between have exactly the mouth of `closed` (well within 10 % of its lip
      aperture). With 0.3 s, the default ramps and 10 frames per second or more there is always such a frame.
    - inside=False: every frame of the silence has exactly the mouth of `closed`; the ramps lie in the frames beside it, `release`
      seconds before and `attack` behind. `Speech.silent_frames` leaves that room: the audio gate calls 0.16 s after and 0.06 s
      before speech "not silent".
    - no ramp stands where the video begins or ends with silence: the mouth is closed from its first, to its last frame;
    - the weight of the closed mouth follows smooth steps: its second difference is at most 6 / (shorter ramp * fps)^2 (under
      three times that where outside ramps of two silences meet over a short word);
    - only lips and jaw move (the jaw fading out towards the ears); brows, nose and eyes stay bit for bit.

    Args:
        points: [T, 68, 2 or 3].
        silent: bool [T], as from `Speech.silent_frames(fps)`.
        fps: frames per second.
        attack, release: s, 0 or more. least: s.
        closed: [68, 3 (2)] the person's face, its mouth closed or not (see `resting_face`): the portrait's landmarks. None: in
            space "canonical" the track's own resting face (needs the whole track); in "pixels" each frame's own mouth closed.
        space: of the points. "canonical": the head's pose is off and `closed` stands in the same frame; "pixels": `closed`
            (canonical or pixels) is laid over each frame by an affine map of the rigid points.
        inside: where the ramps are.
    Raises:
        TalkingHeadsError: shapes, lengths, times or numbers that cannot be.
    """
    points = _film(points)
    weights = gate_weights(silent, fps, attack, release, least, inside=inside)
    if len(weights) != len(points):
        raise TalkingHeadsError("There must be one silence flag for each frame",
                                f"{len(weights)} flags, {len(points)} frames", "Make both at the track's own frame rate")
    return gated(points, weights, resting_face(points) if closed is None and space == "canonical" else closed, space)


def gate_weights(silent: Array, fps: float, attack: float = ATTACK, release: float = RELEASE, least: float = LEAST, *,
                 inside: bool = True) -> torch.Tensor:  # bool [T] -> float64 [T] 0..1
    """How far the mouth is closed in each frame: 0 speech, 1 shut. See `gate_mouth`.

    Raises:
        TalkingHeadsError: flags that are not bool [T], a rate of 0, negative times, ramps that do not fit into `least`.
    """
    flags = torch.as_tensor(silent) if isinstance(silent, (torch.Tensor, np.ndarray, list, tuple)) else None
    if flags is None or flags.dtype != torch.bool or flags.ndim != 1 or not len(flags):
        came = f"{flags.dtype} {list(flags.shape)}" if flags is not None else type(silent).__name__
        raise TalkingHeadsError("Silence must be bool [T] with at least one frame", came, "Give Speech.silent_frames")
    _check_times(fps, attack, release, least, inside)
    total = len(flags)
    middle = torch.arange(total, dtype=torch.float64) + 0.5  # frames
    free = torch.ones(total, dtype=torch.float64)
    for start, stop in _stretches(flags.tolist()):
        if stop - start < least * fps - _ROUNDING:
            continue
        since, until = ((middle - start) / fps, (stop - middle) / fps)  # s inside, from either end; negative outside
        closing = _ramp(since, release, inside) if start > 0 else torch.ones(total, dtype=torch.float64)
        opening = _ramp(until, attack, inside) if stop < total else torch.ones(total, dtype=torch.float64)
        free = free * (1 - torch.minimum(closing, opening))
    return 1 - free


def gated(points: Array, weights: torch.Tensor, closed: Array | None = None, space: str = "canonical") -> torch.Tensor:
    """Frames with the mouth closed as far as `weights` say; any piece of a video gives the same as the whole.

    Args:
        points: [T, 68, 2 or 3].
        weights: [T] 0..1, the same piece of `gate_weights`.
        closed, space: see `gate_mouth`; `closed` None closes each frame's own mouth.
    Returns:
        [T, 68, 2 or 3]; frames of weight 0 bit for bit.
    Raises:
        TalkingHeadsError: shapes or numbers that cannot be.
    """
    points = _film(points)
    target = closed_target(points, closed, space)
    weight = weights.double().reshape(-1, 1, 1) * region_weights("mouth").double()[:, None]  # [T, 68, 1]
    return torch.where(weight == 0, points, torch.lerp(points.double(), target, weight).to(points.dtype))


def closed_target(points: torch.Tensor, closed: Array | None, space: str) -> torch.Tensor:  # [T, 68, D] -> float64 [T, 68, D]
    """What each frame looks like with its mouth closed (see `gate_mouth`).

    Raises:
        TalkingHeadsError: no such space, or a closed face of other dimensions than a canonical track.
    """
    if space not in ("canonical", "pixels"):
        raise TalkingHeadsError("Landmarks must be in space 'canonical' or 'pixels'", f"'{space}'", "Choose one of those")
    if closed is None:
        return closed_mouth(points.double())
    face = checked(closed, "The closed face")
    if face.ndim == 3 and len(face) == 1:  # a track of one frame
        face = face[0]
    if face.ndim != 2 or (space == "canonical" and face.shape != points.shape[1:]):
        raise TalkingHeadsError("The closed face must be one face of the track's own dimensions",
                                f"{list(face.shape)} for {list(points.shape)}", "Give the portrait's landmarks")
    face = resting_face(face)
    return face.double().expand(points.shape) if space == "canonical" else laid_over(face, points)


def _film(points: Array) -> torch.Tensor:
    points = checked(points, "The track")
    if points.ndim != 3:
        raise TalkingHeadsError("A track must be [T, 68, 2 or 3]", f"{list(points.shape)}", "Give one face per frame")
    return points


def _stretches(flags: list[bool]) -> list[tuple[int, int]]:
    """First frame and end (exclusive) of each silence."""
    edges = [i for i in range(len(flags) + 1) if (i < len(flags) and flags[i]) != (i > 0 and flags[i - 1])]
    return list(zip(edges[::2], edges[1::2]))


def _ramp(seconds: torch.Tensor, length: float, inside: bool) -> torch.Tensor:  # [T] s inside the silence -> [T] 0..1
    if length == 0:
        return (seconds > 0).double()
    return smooth_step(seconds / length + (0 if inside else 1))


def _check_times(fps: float, attack: float, release: float, least: float, inside: bool) -> None:
    numbers = (fps, attack, release, least)
    if not all(math.isfinite(x) for x in numbers) or not fps > 0 or min(attack, release) < 0 or not least > 0:
        raise TalkingHeadsError("The mouth gate needs a frame rate and shortest silence above 0, attack and release of 0 or more",
                                f"{fps} frames per second, least {least} s, attack {attack} s, release {release} s",
                                "Choose other numbers")
    if inside and attack + release > least + 1e-9:
        raise TalkingHeadsError("Attack and release must fit into the shortest silence",
                                f"{attack:g} + {release:g} s in {least:g} s", "Shorten them, or place them outside the silence")
