"""What a video is worth as training material, before hours are spent on it: figures, a rating of each, and what to record again.

The limits rank videos of people who talk to a camera; they come from the synthetic subject and from what published datasets look
like (docs/capture.md#quality), not from a study.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from ..blocks import blocks
from ..face.geometry import OUTER_CORNERS, quarter_turns
from ..face.track import FaceTrack
from ..metrics import eye_aperture, lip_aperture
from ..motion import AU_NAMES
from ..speech import Speech
from ..stored_sound import Audible
from .looks import FrameLooks, lasting
from .loudness import clipping, loudness
from .sync import SoundOffset, sound_offset

GOOD, FAIR, POOR, UNKNOWN = "good", "fair", "poor", "unknown"
_ORDER = (GOOD, UNKNOWN, FAIR, POOR)
_SHUT = 0.55          # of the open eyes' aperture: below it the lids count as shut
_LONGEST_BLINK = 1.0  # s; longer is sleep, or a look down
_DOUBTFUL = 0.5       # confidence below which a frame's landmarks are probably wrong
_AWAY = 40.0          # degrees from the front: farther away, half of the face is not seen
_SMALL = 45.0         # px between the outer eye corners, in the video
_MANY = 0.05          # fraction of the frames from which a fault is no longer an exception
_RUNS = 8             # runs of frames that a finding names


@dataclass(frozen=True)
class Evidence:
    """What the ratings are based on; T written frames."""

    track: FaceTrack                     # in written px
    sound: Audible                       # of the whole video or segment, from its first frame on
    speech: Speech                       # of that audio
    sound_frames: np.ndarray             # int64 [T] frame of the audio that belongs to each image
    scale: float                         # written px for one of the video's
    beyond: float                        # fraction of the square outside the image
    missing: tuple[int, ...] = ()        # frames of the video in which no face was found
    film_frames: int = 0                 # frames of the video, at the dataset's rate
    cuts: tuple[int, ...] = ()           # frames of the video that begin a new shot
    blur: float = float("nan")           # 0 sharp .. 1 nothing but blur, of the face
    light: tuple[float, float] = (float("nan"), 0.0)  # the face's mean grey 0..255, fraction of it black or white
    colours: str = ""                    # what was done to the video's colours; empty: nothing
    first: int = 0                       # frame of the video that the audio begins with
    looks: FrameLooks | None = None      # of every written frame; None: not looked at
    outside: np.ndarray | None = None    # bool [T] part of the face lies outside the image or its square; None: by the square

    @property
    def numbers(self) -> np.ndarray:  # int64 [T]
        """Each written frame's number in the video."""
        return self.first + self.sound_frames

    def when(self, told: np.ndarray) -> str:  # bool [T]
        """Those written frames by number and time."""
        return when(self.numbers[told], self.track.fps)

    @property
    def aperture(self) -> np.ndarray:  # [T]
        """Lip opening over the distance of the outer eye corners."""
        return self._of_points(lip_aperture)

    @property
    def eyes(self) -> np.ndarray:  # [T]
        return self._of_points(eye_aperture)

    def _of_points(self, measure: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:  # -> [T]
        """Some frames at a time: all points in double precision are the most that a long video's report would hold."""
        points = self.track.landmarks.points[..., :2]
        return np.concatenate([measure(points[block]).numpy() for block in blocks(len(points))])


@dataclass(frozen=True)
class Finding:
    """One figure and its rating."""

    name: str     # "lip opening"
    value: str    # "0.02 .. 0.21 of the eyes' distance"
    verdict: str  # GOOD, FAIR, POOR or UNKNOWN
    advice: str = ""  # what to do about it; empty when all is well


@dataclass(frozen=True)
class QualityReport:
    """All findings of one video."""

    findings: tuple[Finding, ...]
    offset: SoundOffset  # of the audio against the lips

    @property
    def verdict(self) -> str:
        """The worst of all; what could not be measured counts little."""
        worst = max((_ORDER.index(f.verdict) for f in self.findings), default=0)
        return GOOD if _ORDER[worst] == UNKNOWN else _ORDER[worst]

    @property
    def advice(self) -> tuple[str, ...]:
        """What to record again or to change, the most important first."""
        told = sorted((f for f in self.findings if f.advice), key=lambda f: -_ORDER.index(f.verdict))
        return tuple(f"{f.name}: {f.advice}" for f in told)

    def text(self) -> str:
        """For report.txt."""
        lines = [f"verdict: {self.verdict}", ""]
        lines += [f"{f.verdict:8s} {f.name:16s} {f.value}" for f in self.findings]
        lines += ["", "what to do:", *(f"- {line}" for line in self.advice)] if self.advice else ["", "nothing to record again."]
        return "\n".join(lines) + "\n"


def quality_report(evidence: Evidence) -> QualityReport:
    """Rates what was captured."""
    offset = sound_offset(_on_sound_frames(evidence.aperture, evidence), evidence.speech, evidence.track.fps)
    findings = [_length(evidence), _face_size(evidence), _framing(evidence), _sharpness(evidence), _light(evidence),
                *_colours(evidence), *_views(evidence), _blinks(evidence), _lips(evidence), _missing(evidence),
                _doubtful(evidence), *_before_and_beside(evidence), _cuts(evidence), _fit(evidence), _units(evidence),
                *_sound(evidence), _sync(offset, evidence)]
    return QualityReport(tuple(findings), offset)


def when(frames: ArrayLike, fps: float) -> str:
    """Frame numbers as runs with their times: "3 (0.1 s), 60-84 (2.4-3.4 s)"; long lists are cut short."""
    frames = np.asarray(frames)
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    words = [f"{g[0]} ({g[0] / fps:.1f} s)" if len(g) == 1 else f"{g[0]}-{g[-1]} ({g[0] / fps:.1f}-{(g[-1] + 1) / fps:.1f} s)"
             for g in groups]
    return ", ".join(words[:_RUNS]) + (f" and {len(words) - _RUNS} more runs" if len(words) > _RUNS else "")


def view_angles(track: FaceTrack) -> np.ndarray:  # -> degrees [T, 2]
    """From where the head is seen: to its left (positive) or right, from above (positive) or below."""
    place = track.pose.camera_to_head[:, :3, 3].double().numpy()
    x, y, z = (place / np.linalg.norm(place, axis=1, keepdims=True)).T
    return np.degrees(np.stack([np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))], axis=1))


def blinks(eyes: np.ndarray, fps: float) -> list[int]:
    """First frames of the moments in which the lids are shut for less than a second."""
    shut = np.concatenate([[False], eyes < _SHUT * np.percentile(eyes, 90), [False]])
    first, after = np.flatnonzero(~shut[:-1] & shut[1:]), np.flatnonzero(shut[:-1] & ~shut[1:])
    return [int(a) for a, b in zip(first, after) if b - a <= _LONGEST_BLINK * fps]


def _on_sound_frames(curve: np.ndarray, evidence: Evidence) -> np.ndarray:  # [T] -> [frames of the audio], NaN where skipped
    out = np.full(max(evidence.film_frames, int(evidence.sound_frames.max()) + 1), np.nan)
    out[evidence.sound_frames] = curve
    return out


def _graded(value: float, fair: float, good: float) -> str:
    """Rising: below `fair` POOR, below `good` FAIR. With fair > good: falling."""
    sign = 1 if good >= fair else -1
    return GOOD if sign * value >= sign * good else FAIR if sign * value >= sign * fair else POOR


# ------------------------------------------------------------------------------------------------------------ the findings

def _length(e: Evidence) -> Finding:
    seconds = len(e.track) / e.track.fps
    verdict = _graded(seconds, 10, 30)
    return Finding("length", f"{seconds:.1f} s, {len(e.track)} frames", verdict,
                   "" if verdict == GOOD else "record half a minute or more; the papers use one to five minutes")


def _face_size(e: Evidence) -> Finding:
    left, right = (e.track.landmarks.points[:, k, :2].double() for k in OUTER_CORNERS)
    widths = (left - right).norm(dim=-1).numpy()
    width = float(np.median(widths))
    verdict = _graded(width / e.scale, _SMALL, 80)
    value = f"{width / e.scale:.0f} px between the outer eye corners in the video, {width:.0f} px in the frames"
    small = lasting((widths / e.scale < _SMALL) & ~_turned(e).any(axis=1))
    if small.any() and not small.all():
        value += f"; below {_SMALL:.0f} px in frame {e.when(small)}"
    return Finding("face size", value, verdict, "" if verdict == GOOD else "record from closer, or at a higher resolution")


def _framing(e: Evidence) -> Finding:
    points, (height, width) = e.track.landmarks.points[..., :2].numpy(), e.track.image_size
    outside = np.any((points < 0) | (points > (width - 1, height - 1)), axis=(1, 2)) if e.outside is None else e.outside
    share = float(outside.mean())
    verdict = POOR if share > 0.02 else FAIR if share > 0 or e.beyond > 0.02 else GOOD
    value = f"face outside the frame in {100 * share:.1f} %, {100 * e.beyond:.0f} % of the square beyond the image"
    if outside.any():
        value += f"; outside at frame {e.when(outside)}"
    turn = quarter_turns(np.median(points, axis=0))
    if turn:  # poses and masks are made for upright heads
        return Finding("framing", f"head {'upside down' if turn == 2 else 'on its side'}; {value}", POOR,
                       "turn the video upright, and capture it again")
    return Finding("framing", value, verdict, "" if verdict == GOOD else "leave room above the hair and around the head")


def _sharpness(e: Evidence) -> Finding:
    verdict = UNKNOWN if np.isnan(e.blur) else _graded(e.blur, 0.65, 0.55)
    value, blurred = f"blur {e.blur:.2f} (0 sharp, 1 fully blurred)", None if e.looks is None else e.looks.blurred & _seen(e)
    if blurred is not None and blurred.any():
        value += f"; out of focus or blurred by movement at frame {e.when(blurred)}"
        verdict = POOR if verdict == POOR or blurred.mean() > _MANY else FAIR
    return Finding("sharpness", value, verdict,
                   "" if verdict in (GOOD, UNKNOWN) else "clean the lens, lock the focus on the face, use more light")


def _light(e: Evidence) -> Finding:
    grey, clipped = e.light
    if np.isnan(grey):
        return Finding("light", "not measured", UNKNOWN)
    verdict = POOR if grey < 35 or clipped > 0.2 else FAIR if grey < 60 or grey > 215 or clipped > 0.05 else GOOD
    return Finding("light", f"mean grey of the face {grey:.0f} of 255, {100 * clipped:.0f} % black or white", verdict,
                   "" if verdict == GOOD else "use soft light from the front; lock the exposure")


def _colours(e: Evidence) -> tuple[Finding, ...]:
    """Only for a video whose colours had to be changed."""
    advice = "switch HDR off in the camera's settings: only then the colours are those it shows"
    return (Finding("colours", e.colours, FAIR, advice),) if e.colours else ()


def _views(e: Evidence) -> tuple[Finding, Finding]:
    angles = view_angles(e.track)
    low, high = np.percentile(angles, (5, 95), axis=0)
    found, away = [], _turned(e)
    for axis, (name, a, b, fair) in enumerate((("turning", low[0], high[0], 4.0), ("nodding", low[1], high[1], 3.0))):
        wide = max(abs(a), abs(b))
        verdict = POOR if wide > 45 else FAIR if b - a < fair or wide > 30 else GOOD
        advice = "" if verdict == GOOD else "look at the camera: the face is seen too much from the side" if wide > 30 else \
            "move the head a little while talking, to both sides and up and down"
        value = f"{a:+.0f} .. {b:+.0f} degrees"
        if away[:, axis].any():
            value += f"; more than {_AWAY:.0f} degrees away at frame {e.when(away[:, axis])}"
            verdict, advice = (FAIR, "look at the camera: the face is seen too much from the side") if verdict == GOOD else \
                (verdict, advice)
        found.append(Finding(f"head {name}", value, verdict, advice))
    return found[0], found[1]


def _turned(e: Evidence) -> np.ndarray:  # bool [T, 2]
    """Frames in which the head is turned far to a side, or up or down."""
    return (np.abs(view_angles(e.track)) > _AWAY) & _seen(e)[:, None]


def _seen(e: Evidence) -> np.ndarray:  # bool [T]
    return e.track.confidence.numpy() > 0


def _blinks(e: Evidence) -> Finding:
    count, minutes = len(blinks(e.eyes, e.track.fps)), len(e.track) / e.track.fps / 60
    verdict = GOOD if count >= max(2, 4 * minutes) else FAIR
    return Finding("blinks", f"{count}, {count / minutes:.0f} a minute", verdict,
                   "" if verdict == GOOD else "blink now and then: an avatar cannot close eyes it never saw closed")


def _lips(e: Evidence) -> Finding:
    shut, wide = np.percentile(e.aperture, (5, 97))
    verdict = _graded(wide - shut, 0.05, 0.09)
    return Finding("lip opening", f"{max(shut, 0):.2f} .. {wide:.2f} of the eyes' distance", verdict,
                   "" if verdict == GOOD else "speak clearly, with some wide vowels and with pauses in which the lips are closed")


def _missing(e: Evidence) -> Finding:
    share = len(e.missing) / max(e.film_frames, 1)
    verdict = GOOD if not e.missing else FAIR if share <= 0.05 else POOR
    value = f"{len(e.missing)} of {e.film_frames}" + (f": {when(e.missing, e.track.fps)}" if e.missing else "")
    return Finding("missing frames", value, verdict,
                   "" if verdict == GOOD else "keep hands and objects away from the face, and the face inside the frame")


def _doubtful(e: Evidence) -> Finding:
    doubtful = _seen(e) & (e.track.confidence.numpy() < _DOUBTFUL)
    return _faulty("doubtful frames", doubtful, e, "what was measured there is probably wrong: leave these frames out")


def _before_and_beside(e: Evidence) -> tuple[Finding, ...]:
    if e.looks is None:
        return ()
    return (_faulty("face covered", e.looks.covered & _seen(e), e,
                    "keep hands, hair and the microphone away from the face, or leave these frames out"),
            _faulty("other people", e.looks.others, e, "record one person alone, or leave these frames out"))


def _faulty(name: str, told: np.ndarray, e: Evidence, advice: str) -> Finding:  # bool [T]
    """A fault of single frames, which are named."""
    share = float(told.mean())
    value = f"{told.sum()} of {len(told)}: {e.when(told)}" if told.any() else "none"
    return Finding(name, value, POOR if share > _MANY else FAIR if share > 0 else GOOD, advice if share > 0 else "")


def _cuts(e: Evidence) -> Finding:
    value = "none" if not e.cuts else f"{len(e.cuts)}, at frame {when(e.cuts, e.track.fps)}"
    return Finding("cuts", value, POOR if e.cuts else GOOD,
                   "choose a segment without a cut: light, place and background must stay the same" if e.cuts else "")


def _fit(e: Evidence) -> Finding:
    off = e.track.reprojection.double().numpy() * (512 / e.track.image_size[1])
    off = off[np.isfinite(off)]
    if not off.size:
        return Finding("pose fit", "not measured", UNKNOWN)
    verdict = _graded(float(np.median(off)), 3.0, 1.5)
    value = f"{np.median(off):.2f} px off, {np.percentile(off, 95):.2f} px in the worst 5 % (at 512 px)"
    return Finding("pose fit", value, verdict, "" if verdict == GOOD else
                   "the face does not fit a rigid head well: give the camera's focal length, or other landmarks")


def _units(e: Evidence) -> Finding:
    """Which action units training will not use. This is not a fault of the video, so it does not lower its rating."""
    expression = e.track.expression
    known: dict[str, bool] = dict(zip(AU_NAMES, np.any(np.isfinite(expression.au.numpy()), axis=0)))
    lots = {"unreliable": [n for n in expression.unreliable if known[n]], "not measured": [n for n in AU_NAMES if not known[n]]}
    left = len(AU_NAMES) - sum(map(len, lots.values()))
    notes = [f"{word}: {' '.join(name[2:] for name in names)}" for word, names in lots.items() if names]
    value = "; ".join([f"{left} of {len(AU_NAMES)} to be trained on, by {expression.source}", *notes])
    return Finding("action units", value, UNKNOWN if notes else GOOD, "training leaves these out; where they matter, measure "
                   "them with OpenFace or a similar tool and capture again with its table" if notes else "")


def _sound(e: Evidence) -> tuple[Finding, Finding]:
    clipped, level = clipping(e.sound), loudness(e.sound)
    loud, noise = np.percentile(level, (95, 5))
    spoken = 1 - float(e.speech.silence.double().mean())
    silent = loud < -60 or spoken == 0
    bad, weak = loud - noise < 12 or loud < -45, loud - noise < 25 or loud < -35 or spoken < 0.4
    verdict = POOR if silent or bad else FAIR if weak else GOOD
    advice = "" if verdict == GOOD else "nobody is heard: switch the microphone on" if silent else \
        "record nearer to the mouth, in a quiet room, and speak most of the time"
    value = "silence" if silent else f"speech {loud:.0f} dB, background {noise:.0f} dB, spoken {100 * spoken:.0f} % of the time"
    clip = _graded(clipped, 0.002, 0.0001)
    return (Finding("audio level", value, verdict, advice),
            Finding("audio clipping", f"{100 * clipped:.3f} % of the samples", clip,
                    "" if clip == GOOD else "lower the recording level, or step back from the microphone"))


def _sync(offset: SoundOffset, e: Evidence) -> Finding:
    if not offset.decided:
        why = f"best correlation {offset.score:.2f}" if any(offset.scores) else "too little speech, or too few frames"
        return Finding("audio offset", f"undecided: {why}", UNKNOWN)
    milliseconds = round(1000 * offset.frames / e.track.fps)
    verdict = _graded(abs(offset.frames), 4, 2)
    side = "after" if offset.frames > 0 else "before"
    value = f"{abs(milliseconds)} ms {side} the lips (correlation {offset.score:.2f})" if offset.frames else \
        f"none (correlation {offset.score:.2f})"
    return Finding("audio offset", value, verdict,
                   "" if verdict == GOOD else f"capture again with audio shift {-milliseconds} ms, or export the video again")
