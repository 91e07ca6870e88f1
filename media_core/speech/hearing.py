"""The voice in audio as people have it, before any encoder: `heard` finds its channel and brings it to a normal loudness.

1. Of several channels those count in which somebody speaks, however loud the others are.
2. An offset (DC) and what lies below hearing are filtered out where they are large.
3. Speech is brought to `TARGET_DB` where it is much louder or softer; a recording of normal loudness stays as it is, to the bit.

One line of the log says what was done. Nothing of it changes `Sound` or the audio of a video. The whole recording decides, so
none of it works on audio that has yet to come.
"""
from __future__ import annotations

import logging

import numpy as np

from .. import downmix
from ..audio import Sound, levels
from ..blocks import blocks
from .facts import SAMPLE_RATE, EncoderFacts
from .silence import RATE, active_level, speaking

TARGET_DB = -20.0  # RMS of what is spoken, dB re full scale: that of the voices the shipped weights have heard
SOFTEST_DB, LOUDEST_DB = -26.0, -12.0  # speech between them stays as it is: lips differ by 1 % (docs/speech.md#loudness)
MOST_GAIN_DB = 45.0
QUIET_DB = -35.0  # audio whose loudest 40 ms are below this is raised before voices are looked for ...
RAISED_DB = -12.0  # ... so that those lie here
_VOICED = 0.5  # of the time that the most talkative channel speaks: channels that speak so much count
_LEAST = 0.3  # s that a channel must speak to be chosen
_BLOCK = 0.05  # s, the means of which show an offset
_OFFSET = 0.2  # of the RMS: offsets beyond this are filtered out ...
_OFFSET_FLOOR = 3e-4  # ... unless they are smaller than this
_LOW_CUT = 30.0  # Hz
_CLIPPED = 0.002  # of the samples at the peak: so many make a clipped recording
_PIECE = 1 << 18  # samples that are looked at together: a long recording's are many
_TELEPHONE = 8000  # Hz, a sample rate up to which there are no high consonants

log = logging.getLogger(__name__)


def heard(sound: Sound, facts: EncoderFacts) -> np.ndarray:  # -> float32 [N]
    """The voice of a recording in one channel at 16 kHz, at a normal loudness. Logs what was done, in one line."""
    chosen, done = _voice_channels(sound)
    mono = facts.mono(chosen)
    if sound.sample_rate <= _TELEPHONE:
        done.append(f"telephone band ({sound.sample_rate} Hz), no high consonants in it")
    if _at_peak(chosen.waveform) > _CLIPPED:
        done.append("clipped when it was recorded")
    if _offset(mono):
        mono = _without_offset(mono)
        done.append("an offset was filtered out")
    gain, said = _gain(mono)
    done += said
    if done:
        log.info("Speech audio: %s", "; ".join(done))
    return mono if gain == 1 else mono * np.float32(gain)


def _at_peak(waveform: np.ndarray) -> float:  # [C, N]
    """The fraction of the samples that are as loud as the loudest; 0 in silence."""
    peak, count = np.maximum(waveform.max(), -waveform.min()), 0
    for piece in blocks(waveform.shape[1], _PIECE):
        count += np.count_nonzero(np.abs(waveform[:, piece]) >= 0.999 * peak)
    return count / waveform.size if peak > 0 else 0.0


def normal_gain(level: float | None) -> float:
    """The factor that brings speech of this level (dB re full scale) to a normal one; 1 where it is normal, or nobody speaks."""
    if level is None or SOFTEST_DB <= level <= LOUDEST_DB:
        return 1.0
    return float(10 ** (min(TARGET_DB - level, MOST_GAIN_DB) / 20))


def _gain(mono: np.ndarray) -> tuple[float, list[str]]:  # [N] at 16 kHz
    """(factor, what to say of it)."""
    factor = _raise(mono)
    level = active_level(mono, speaking(mono if factor == 1 else mono * np.float32(factor)))
    if level is None:
        return 1.0, ["nobody speaks, the mouth rests"]
    gain = normal_gain(level)
    change = 20 * np.log10(gain)
    return gain, [] if gain == 1 else [f"speech of {level:.0f} dB {'raised' if gain > 1 else 'lowered'} by {abs(change):.0f} dB"]


def _raise(mono: np.ndarray) -> float:  # [N] at 16 kHz
    """The factor with which very quiet audio is heard."""
    loudest = float(levels(mono, SAMPLE_RATE, RATE, len(mono) * RATE // SAMPLE_RATE + 1).max())
    return 1.0 if loudest >= QUIET_DB else 10 ** (min(RAISED_DB - loudest, MOST_GAIN_DB) / 20)


def _voice_channels(sound: Sound) -> tuple[Sound, list[str]]:
    """The audio with the channels in which somebody speaks; itself where those are all that sound."""
    audible = downmix.speaking(sound.waveform, sound.sample_rate)
    voiced = audible if sound.channels == 1 or _alike(sound.waveform[audible]) else _speaking_channels(sound)
    if not set(audible) <= set(voiced):
        numbers = ", ".join(str(k + 1) for k in voiced)
        chosen = Sound(np.ascontiguousarray(sound.waveform[voiced]), sound.sample_rate)
        return chosen, [f"the voice is in channel {numbers} of {sound.channels}", *_turned(chosen.waveform)]
    return sound, _turned(sound.waveform[audible])


def _turned(waveform: np.ndarray) -> list[str]:  # [C, N]
    count = int(downmix.inverted(waveform).sum()) if len(waveform) > 1 else 0
    return [f"{min(count, len(waveform) - count)} of {len(waveform)} channels was inverted and is turned over"] if count else []


def _alike(waveform: np.ndarray) -> bool:  # [C, N]
    """Whether all channels are one, but for their loudness and sign."""
    power = np.array([float(np.vdot(channel, channel)) for channel in waveform])
    loudest = waveform[power.argmax()]
    shared = np.array([float(np.vdot(channel, loudest)) for channel in waveform])
    return bool((shared ** 2 >= 0.98 * power * power.max()).all())


def _speaking_channels(sound: Sound) -> np.ndarray:  # int [K], 1 <= K
    """The channels that speak at least half as long as the most talkative; those that are audible where nobody speaks."""
    spoken = np.array([_spoken(Sound(sound.waveform[k:k + 1], sound.sample_rate)) for k in range(sound.channels)])
    if spoken.max() < _LEAST:
        return downmix.speaking(sound.waveform, sound.sample_rate)
    return np.flatnonzero(spoken >= _VOICED * spoken.max())


def _spoken(channel: Sound) -> float:
    """Seconds in which somebody speaks in one channel, however soft."""
    mono = channel.mono(SAMPLE_RATE)
    mono = _without_offset(mono) if _offset(mono) else mono
    return float(speaking(mono * np.float32(_raise(mono))).sum()) / RATE


def _offset(mono: np.ndarray) -> bool:  # [N] at 16 kHz
    """Whether an offset, or slow changes of one, are a large part of the audio."""
    size = max(1, min(len(mono), round(_BLOCK * SAMPLE_RATE)))
    rows = mono[:len(mono) // size * size].reshape(-1, size)
    slow = float(np.sqrt(np.square(rows.mean(axis=1, dtype=np.float64)).mean()))
    power = sum(float(np.square(mono[piece], dtype=np.float64).sum()) for piece in blocks(len(mono), _PIECE)) / len(mono)
    return slow > max(_OFFSET_FLOOR, _OFFSET * float(np.sqrt(power)))


def _without_offset(mono: np.ndarray) -> np.ndarray:  # [N] at 16 kHz -> [N]
    """Without what lies below 30 Hz; nothing is shifted in time."""
    from scipy.signal import butter, sosfiltfilt

    low = butter(2, _LOW_CUT, "highpass", fs=SAMPLE_RATE, output="sos")
    return sosfiltfilt(low, mono, padlen=min(len(mono) - 1, SAMPLE_RATE // 10)).astype(np.float32)
