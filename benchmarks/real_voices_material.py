"""What `real_voices.py` listens to: human readers, sounds without a voice, and videos of real people with their lips tracked.

Readers: Debian's `pocketsphinx-testdata` (public-domain readings with their transcripts), prompts: `asterisk-core-sounds-*`
(CC BY-SA; only listened to here). What is not installed is left out.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import talking_heads  # noqa: F401  (makes the package importable)
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.trackers import make_tracker
from talking_heads.media_core.metrics import lip_aperture
from talking_heads.media_core.metrics.phones import Phones, find_phones
from talking_heads.media_core.video import load_film_sound, read_frames

RATE, FPS = 16000, 25.0
READINGS = Path("/usr/share/pocketsphinx/test/data")
PROMPTS = Path("/usr/share/asterisk/sounds")
ALSA_NOISE = Path("/usr/share/sounds/alsa/Noise.wav")
NOISE_SECONDS = 4.0
VIDEOS = (".mp4", ".mpg", ".mov", ".mkv", ".webm", ".avi")
GRID = {"b": "bin", "l": "lay", "p": "place", "s": "set"}, {"b": "blue", "g": "green", "r": "red", "w": "white"}, \
    {"a": "at", "b": "by", "i": "in", "w": "with"}
DIGITS = dict(zip("z123456789", "zero one two three four five six seven eight nine".split()))
ADVERBS = {"a": "again", "n": "now", "p": "please", "s": "soon"}


@dataclass(frozen=True)
class Reading:
    """One sentence of a human reader, its words known."""

    name: str
    sound: Sound
    phones: Phones


@dataclass(frozen=True)
class Film:
    """A video of a real person: its audio, its lips as the tracker `people` sees them, its phones."""

    name: str
    lab: bool  # read under laboratory conditions; else found on the web
    sound: Sound
    lips: np.ndarray  # float64 [T] opening over the distance of the outer eye corners, NaN without a face
    phones: Phones


def readings() -> list[Reading]:
    """Every sentence whose words are known."""
    said = {}
    for table, folder in (("librivox/transcription", "librivox"), ("cards/cards.transcription", "cards")):
        if (READINGS / table).exists():
            rows = re.findall(r"<s>(.*?)</s>\s*\((\S+)\)", (READINGS / table).read_text("utf8"))
            said |= {READINGS / folder / f"{name}.wav": text for text, name in rows}
    return [Reading(path.stem, sound, find_phones(sound, text))
            for path, text in said.items() if path.exists() for sound in [load_sound(path)]]


def prompts(each: int = 12) -> dict[str, list[Sound]]:
    """Telephone prompts by language, of 1.5 to 6 s."""
    found = {}
    for folder in sorted(PROMPTS.glob("*_*")):
        paths = [p for p in sorted(folder.rglob("*.g722")) if 1.5 <= p.stat().st_size / 8000 <= 6]
        found[folder.name[:2]] = [load_sound(p) for p in paths[:: max(1, len(paths) // each)][:each]]
    return {language: sounds for language, sounds in found.items() if sounds}


# ------------------------------------------------------------------------------------------------------- sounds without a voice

def noises() -> dict[str, Sound]:
    """Four seconds of each, always the same."""
    rng, count = np.random.default_rng(77), int(RATE * NOISE_SECONDS)
    t = np.arange(count) / RATE
    waves = {"silence": np.zeros(count), "white -55 dB": rng.standard_normal(count) * _db(-55),
             "white -30 dB": rng.standard_normal(count) * _db(-30),
             "hum": sum(_db(-22 - 6 * k) * np.sin(2 * np.pi * 50 * k * t + k) for k in (1, 2, 3, 5)),
             "breath": _levelled(_breath(count, rng), -40), "clicks": _clicks(count, rng),
             "music": _levelled(_music(count, rng), -22)}
    if ALSA_NOISE.exists():
        waves["alsa noise"] = np.resize(load_sound(ALSA_NOISE).mono(RATE), count)
    return {name: as_sound(wave) for name, wave in waves.items()}


def paused(readers: list[Reading], snr: float | None = 20.0) -> tuple[Sound, Phones]:
    """Two sentences with 2 s pauses around them, in white noise `snr` dB below speech; with their phones."""
    rng, gap, parts, phones, now = np.random.default_rng(5), np.zeros(2 * RATE), [], [], 2.0
    parts.append(gap)
    for reader in readers[1:3]:
        mono = reader.sound.mono(RATE)
        phones += [p._replace(start=p.start + now, end=p.end + now) for p in reader.phones.phones]
        parts += [mono, gap]
        now += len(mono) / RATE + 2.0
    clean = np.concatenate(parts)
    levels = np.sqrt(np.mean(clean[:len(clean) // 640 * 640].reshape(-1, 640) ** 2, axis=1))
    noise = 0.0 if snr is None else rng.standard_normal(len(clean)) * np.percentile(levels, 85) * _db(-snr)
    return as_sound(clean + noise), Phones(tuple(phones), aligned=True)


def as_sound(wave: np.ndarray) -> Sound:  # [N] at 16 kHz
    return Sound(np.ascontiguousarray(wave, np.float32)[None], RATE)


def _db(level: float) -> float:
    return 10 ** (level / 20)


def _levelled(wave: np.ndarray, level: float) -> np.ndarray:
    return wave * (_db(level) / np.sqrt(np.mean(wave ** 2)))


def _breath(count: int, rng: np.random.Generator) -> np.ndarray:
    """Swells of band-passed noise, one in about 1.3 s."""
    from scipy.signal import butter, sosfilt

    wave = np.zeros(count)
    for at in range(RATE // 4, count - RATE, int(1.3 * RATE)):
        length, low = int(RATE * rng.uniform(.3, .7)), rng.uniform(300, 1500)
        band = butter(2, [low, min(7800, low * rng.uniform(2, 6))], "band", fs=RATE, output="sos")
        wave[at:at + length] += sosfilt(band, rng.standard_normal(length)) * np.sin(np.pi * np.arange(length) / length) ** 2
    return wave


def _clicks(count: int, rng: np.random.Generator) -> np.ndarray:
    wave, fade = np.zeros(count), np.exp(-np.arange(160) / 30) * .2
    for at in rng.integers(0, count - 200, 20):
        wave[at:at + 160] += rng.standard_normal(160) * fade
    return wave


def _music(count: int, rng: np.random.Generator) -> np.ndarray:
    """Chords with attack and decay over a bass, some percussion."""
    wave, at, beat = np.zeros(count), 0, int(.4 * RATE)
    while at < count:
        length = min(beat * int(rng.choice([1, 1, 2])), count - at)
        t = np.arange(length) / RATE
        envelope = np.exp(-2 * t) * np.minimum(1, t / .02)
        for note in (*rng.choice([0, 2, 4, 5, 7, 9, 11, 12], 3, replace=False), -12):
            pitch = 220 * 2 ** (note / 12)
            wave[at:at + length] += envelope * sum(np.sin(2 * np.pi * pitch * k * t) / k ** 1.3 for k in range(1, 7))
        if rng.random() < .4:
            hit = min(1600, length)
            wave[at:at + hit] += rng.standard_normal(hit) * np.exp(-np.arange(hit) / 300) * 2
        at += length
    return wave


# ------------------------------------------------------------------------------------------------------------------------ videos

def films(folder: Path, seconds: float) -> list[Film]:
    """The videos with audio below a folder, each cut to its first seconds; lips are tracked once and kept beside (.lips.npz).

    A video is a lab clip when "grid" is in its name or folder. Words: GRID's code in its name, or NAME.txt beside; else its
    phones are recognised freely.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS):
        try:
            sound = load_film_sound(path)
        except FileFormatError as error:
            print(f"left out: {error}")
            continue
        lips = tracked_lips(path, seconds)
        sound = sound.cut(0, len(lips) / FPS)
        if np.isfinite(lips).mean() < .5 or len(lips) < 25:
            print(f"left out: {path.name} shows a face in {np.isfinite(lips).sum()} of {len(lips)} frames")
            continue
        found.append(Film(name=path.stem, lab="grid" in str(path.relative_to(folder)).lower() or "grid" in folder.name.lower(),
                          sound=sound, lips=lips, phones=_film_phones(path, sound)))
    return found


def tracked_lips(path: Path, seconds: float) -> np.ndarray:  # -> float64 [T]
    """Opening of the inner lips over the distance of the outer eye corners at 25 frames per second."""
    cache = path.with_name(path.name + ".lips.npz")
    most = round(seconds * FPS)
    if cache.exists():
        with np.load(cache) as stored:
            if stored["seconds"] >= seconds:
                return stored["lips"][:most]
    tracker, lips = make_tracker("people"), []
    for number, frame in enumerate(read_frames(path, FPS)):
        if number == most:
            break
        face = tracker(frame)
        lips.append(np.nan if face is None else float(lip_aperture(face.points[None])[0]))
    np.savez(cache, lips=np.array(lips), seconds=seconds)
    return np.array(lips)


def grid_words(name: str) -> str | None:
    """The sentence of a GRID clip by the code that ends its name; None: no such code."""
    code = name.split("_")[-1]
    tables = (*GRID, None, DIGITS, ADVERBS)
    if len(code) != 6 or any(table is not None and letter not in table for letter, table in zip(code, tables)):
        return None
    return " ".join(letter if table is None else table[letter] for letter, table in zip(code, tables))


def _film_phones(path: Path, sound: Sound) -> Phones:
    beside = path.with_suffix(".txt")
    text = beside.read_text("utf8") if beside.exists() else grid_words(path.stem)
    if text is None:
        return find_phones(sound)
    try:
        return find_phones(sound, text)
    except TalkingHeadsError as error:
        print(f"{path.name}: {error} Its phones are recognised freely.")
        return find_phones(sound)
