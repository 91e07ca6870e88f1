"""The figures of lips against speech: offset, closures at P, B and M, openness, and whether the mouth is shut in pauses."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..audio import Sound
from ..errors import TalkingHeadsError
from ..speech import Speech, encode_speech
from .closures import closures
from .lags import speech_offset
from .openness import follows, phone_openness
from .phones import Phones, find_phones
from .silence import quiet_frames, shut_fraction
from .table import Row, absent

_NOISE_DB, _FLOOR_DB = -45.0, -60.0  # re the loud level (95th percentile) and full scale: noise is louder than both
_BEFORE, _AFTER = 0.1, 0.2  # s around what the gate calls speech (which has its own ramps): the lips are on their way
_LEAST_R = 0.3  # of lips and phones, below which their best lag means nothing
_LEAST_SPOKEN = 2.0  # s of video for an offset by phones
_LEAST_SECONDS = 10.0  # of video for the regression: on shorter ones it errs by several frames
_FREE = "phones recognised freely: give the transcript for firm ones"
_ROWS = (("av_offset", "audio-video offset", "frames", "zero"),
         ("closures", "closed at P, B, M", "", "higher"), ("open_vowels", "open at open vowels", "", "higher"),
         ("openness", "openness r", "", "higher"), ("openness_shifted", "openness r, shifted 1-2 s", "", "zero"),
         ("shut_silence", "shut in silence", "", "higher"), ("shut_noise", "shut in noise", "", "higher"))


@dataclass(frozen=True)
class Heard:
    """A recording and what was found in it."""

    sound: Sound
    speech: Speech
    phones: Phones | None
    why: str  # phones are missing


def listened(sound: Sound, transcript: str | None = None) -> Heard:
    """Finds speech and English phones in a recording; without pocketsphinx, phones are missing.

    Raises:
        TalkingHeadsError: the transcript does not fit.
    """
    from importlib.util import find_spec

    speech = encode_speech(sound)
    if find_spec("pocketsphinx") is None:
        return Heard(sound, speech, None, "needs phones: pip install pocketsphinx (extra 'metrics')")
    return Heard(sound, speech, find_phones(sound, transcript), "")


def speech_rows(lips: np.ndarray, true_lips: np.ndarray | None, heard: Heard | None, fps: float) -> list[Row]:
    """All of them.

    Args:
        lips: [T] opening in parts of the eyes' distance, NaN without a face; true_lips: the truth's, with the same audio.
        heard: None: no audio.
    """
    why = "needs audio" if heard is None else "" if np.isfinite(lips).any() else "no face was found in the made video"
    if heard is None or why:
        return [absent(key, name, why, unit, better) for key, name, unit, better in _ROWS]
    others = true_lips is not None and np.isfinite(true_lips).any()
    made = _figures(lips, heard, fps)
    truth = _figures(true_lips, heard, fps) if true_lips is not None and others else {}
    rows = []
    for key, name, unit, better in _ROWS:
        value, frames, note = made[key]
        rows.append(absent(key, name, note, unit, better) if math.isnan(value)
                    else Row(key, name, value, unit, better, frames, note, truth[key][0] if key in truth else None))
    return rows


def _figures(lips: np.ndarray, heard: Heard, fps: float) -> dict[str, tuple[float, int, str]]:
    """key -> (value, frames, note)."""
    return {"av_offset": _offset(lips, heard, fps), **_phone_figures(lips, heard, fps), **_shut_figures(lips, heard, fps)}


def _offset(lips: np.ndarray, heard: Heard, fps: float) -> tuple[float, int, str]:
    """By phones where the lips follow them, else by the proxy that needs no phones (`capture.sync`)."""
    from ..capture.sync import REACH, sound_offset

    frames, phones = int(np.isfinite(lips).sum()), heard.phones
    if phones is not None and phones.spoken and len(lips) >= _LEAST_SPOKEN * fps:
        found = speech_offset(lips, phone_openness(phones, len(lips), fps), min(REACH, len(lips) // 3))
        if math.isfinite(found.frames) and found.r >= _LEAST_R:
            return found.frames, frames, f"by phones, r {found.r:.2f}; positive: the lips are late"
    if frames < _LEAST_SECONDS * fps:
        return math.nan, 0, (f"undecided: it takes {_LEAST_SPOKEN:g} s of lips that follow phones, without phones "
                             f"{_LEAST_SECONDS:g} s of video")
    guess = sound_offset(lips, heard.speech, fps)
    if not guess.decided:
        return math.nan, 0, f"undecided: the lips follow the audio too little (r {guess.score:.2f})"
    return float(-guess.frames), frames, f"by a regression, r {guess.score:.2f}; positive: the lips are late"


def _phone_figures(lips: np.ndarray, heard: Heard, fps: float) -> dict[str, tuple[float, int, str]]:
    keys = ("closures", "open_vowels", "openness", "openness_shifted")
    phones, frames = heard.phones, int(np.isfinite(lips).sum())
    if phones is None or not phones.spoken:
        return dict.fromkeys(keys, (math.nan, 0, heard.why or "no phones were heard"))
    free = "" if phones.aligned else _FREE
    found, following = closures(lips, phones, fps), follows(lips, phone_openness(phones, len(lips), fps), fps)
    return {"closures": _counted(found.closed_fraction, found.closed, found.bilabials, "P, B, M", free),
            "open_vowels": _counted(found.open_fraction, found.opened, found.vowels, "open vowels", free),
            "openness": _known(following.r, frames, free, "lips that do not move"),
            "openness_shifted": _known(following.shifted, frames, "chance", "the video is too short")}


def _known(value: float, frames: int, note: str, why: str) -> tuple[float, int, str]:
    return value, frames, note if math.isfinite(value) else why


def _counted(fraction: float, found: int, of: int, what: str, free: str) -> tuple[float, int, str]:
    note = f"{found} of {of}" if of else f"no {what} were heard"
    return fraction, of, f"{note}; {free}" if of and free else note


def _shut_figures(lips: np.ndarray, heard: Heard, fps: float) -> dict[str, tuple[float, int, str]]:
    nobody = quiet(heard, len(lips), fps)
    level = _level(heard.sound, len(lips), fps)
    noisy = nobody & (level > max(_FLOOR_DB, float(np.percentile(level, 95)) + _NOISE_DB))
    out = {}
    for key, part, what in (("shut_silence", nobody & ~noisy, "silent"), ("shut_noise", noisy, "noisy")):
        frames = int((part & np.isfinite(lips)).sum())
        out[key] = shut_fraction(lips, part), frames, "" if frames else f"no {what} frames in which nobody speaks"
    return out


def _level(sound: Sound, frames: int, fps: float) -> np.ndarray:  # -> [frames] dB re full scale, -120 for nothing
    """Of every frame's own time."""
    mono = sound.mono(16000)
    edges = np.clip(np.rint(np.arange(frames + 1) / fps * 16000).astype(int), 0, len(mono))
    energy = np.concatenate([[0.0], np.cumsum(np.square(mono, dtype=np.float64))])
    power = (energy[edges[1:]] - energy[edges[:-1]]) / np.maximum(edges[1:] - edges[:-1], 1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def quiet(heard: Heard, frames: int, fps: float) -> np.ndarray:  # -> bool [frames]
    """Frames in which nobody speaks, nor is about to, nor has just done so: by aligned phones, else by the silence gate."""
    if heard.phones is not None and heard.phones.aligned:
        return quiet_frames(heard.phones, frames, fps)
    silent = np.ones(frames, bool)
    known = heard.speech.silent_frames(fps).numpy()[:frames]
    silent[:len(known)] = known
    speaking = np.flatnonzero(~silent)
    for frame in speaking:
        silent[max(0, frame - math.ceil(_BEFORE * fps)):frame + math.ceil(_AFTER * fps) + 1] = False
    return silent


def check_transcript(transcript: str | None, heard: Heard | None) -> None:
    """Raises:
        TalkingHeadsError: there is a transcript, but no audio or no pocketsphinx to align it.
    """
    if transcript is not None and (heard is None or heard.phones is None):
        raise TalkingHeadsError("A transcript needs audio and the package pocketsphinx",
                                "no audio" if heard is None else heard.why, "Give the audio, or leave the transcript out")
