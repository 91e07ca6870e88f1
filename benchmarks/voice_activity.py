"""Where nobody speaks: the level alone (before) against level and voice (now), and audio as people have it.

    pip install pocketsphinx==5.1.1; apt-get install pocketsphinx-testdata
    python benchmarks/voice_activity.py [READINGS] [--noise FILE]

READINGS: a folder of 16 kHz recordings with their words in a file `transcription`, a line `<s> words </s> (NAME)` each, by
default the LibriVox readings of Debian's pocketsphinx-testdata (public domain). Their phones are found by forced alignment.
Missed: of the frames of phones, those in which the mouth is held shut. Open: of the frames at least 0.3 s before or 0.45 s after
speech, those in which it may move. Writes benchmarks/results/voice_activity.md.
"""
from __future__ import annotations

import argparse
import platform
import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from common import results_folder, talking_heads  # noqa: F401  (talking_heads: makes the package importable)
from scipy.signal import butter, fftconvolve, sosfilt
from talking_heads.media_core.audio import Sound, load_sound, silence_gate
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import lip_aperture
from talking_heads.media_core.speech import Speech, encode_speech, get_encoder
from talking_heads.media_core.speech.hearing import heard
from talking_heads.media_core.speech.mel import mel_spectrogram
from talking_heads.media_core.speech.silence import active_level, silent_rows, speaking
from talking_heads.media_core.speech.voice_activity import voice_probability
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion

READINGS = Path("/usr/share/pocketsphinx/test/data/librivox")
NOISE = Path("/usr/share/sounds/alsa/Noise.wav")
RATE, SR = 50, 16000  # frames of the table and samples, per second
PAUSE = 2.0  # s between readings
Gate = Callable[[np.ndarray], np.ndarray]  # float32 [N] -> bool [frames]: the mouth may move
Case = tuple[str, np.ndarray, list[tuple[float, float]]]  # name, wave, phones as (start, end) in s


def before(wave: np.ndarray) -> np.ndarray:
    return ~silence_gate(wave, SR, RATE, len(wave) * RATE // SR)


def now(wave: np.ndarray) -> np.ndarray:
    mono = heard(Sound(wave[None], SR), get_encoder("mel"))
    return ~silent_rows(mono, RATE, len(wave) * RATE // SR)


def aligned(decoder, mono: np.ndarray, words: str) -> list[tuple[float, float]]:
    """The phones of a reading, without silence, by pocketsphinx."""
    pcm = (np.clip(mono, -1, 1) * 32767).astype("<i2").tobytes()
    decoder.set_align_text(words)
    for second in (False, True):
        if second:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
    return [(phone.start / 100, (phone.start + phone.duration) / 100) for word in decoder.get_alignment() for phone in word
            if phone.name != "SIL"]


def reading(folder: Path) -> Case:
    """All readings with pauses between, at a peak of 0.5."""
    from pocketsphinx import Decoder

    decoder = Decoder(lm=None, loglevel="FATAL")
    waves, phones, at = [np.zeros(SR, np.float32)], [], 1.0
    for line in (folder / "transcription").read_text("utf8").splitlines():
        match = re.match(r"(.*)\((\S+)\)\s*$", line.strip())
        path = folder / f"{match[2]}.wav" if match else None
        if match is None or path is None or not path.is_file():
            continue
        mono = load_sound(path).mono(SR)
        words = " ".join(re.sub(r"</?s>|[^a-z' ]", " ", match[1].lower()).split())
        phones += [(a + at, b + at) for a, b in aligned(decoder, mono, words)]
        waves += [mono / np.abs(mono).max() * np.float32(0.5), np.zeros(round(PAUSE * SR), np.float32)]
        at += len(mono) / SR + PAUSE
    return "reader", np.concatenate(waves), phones


def rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) + 1e-12


def hum(count: int, random: np.random.Generator) -> np.ndarray:
    time = np.arange(count) / SR
    return np.sum([random.random() / k * np.sin(2 * np.pi * (k * 50 * time + random.random())) for k in range(1, 7)], axis=0)


def music(count: int, random: np.random.Generator) -> np.ndarray:
    """Chords with attack and decay, and a drum."""
    out, at, root = np.zeros(count), 0, 110 * 2 ** (random.integers(0, 12) / 12)
    beat = round(SR * random.uniform(0.2, 0.8))
    while at < count:
        size = min(int(beat * random.choice([1, 1, 2, 4])), count - at)
        t = np.arange(size) / SR
        swell = np.exp(-t * random.uniform(0.3, 5)) * np.minimum(1, t / random.uniform(0.004, 0.08))
        for note in random.choice([0, 2, 4, 5, 7, 9, 11, 12], 3, replace=False):
            tone = root * 2 ** (note / 12 + random.integers(0, 3))
            tones = [np.sin(2 * np.pi * tone * k * t) / k for k in range(1, 7) if tone * k < 7500]
            out[at:at + size] += swell * np.sum(tones, axis=0)
        if random.random() < 0.4:
            drum = min(1600, size)
            out[at:at + drum] += random.standard_normal(drum) * np.exp(-np.arange(drum) / 300) * 2
        at += size
    return out


def breath(count: int, random: np.random.Generator) -> np.ndarray:
    """Swells of filtered noise."""
    out = np.zeros(count)
    for _ in range(max(1, count // SR // 3)):
        size, low = round(SR * random.uniform(0.2, 0.6)), random.uniform(300, 1500)
        at = int(random.integers(0, max(1, count - size)))
        band = butter(2, [low, min(7800, low * random.uniform(2, 6))], "band", fs=SR, output="sos")
        size = min(size, count - at)
        out[at:at + size] += sosfilt(band, random.standard_normal(size)) * np.sin(np.pi * np.arange(size) / size) ** 2
    return out


def clicks(count: int, random: np.random.Generator) -> np.ndarray:
    out = np.zeros(count)
    for at in random.integers(0, count - 160, count // SR * 5):
        out[at:at + 160] += random.standard_normal(160) * np.exp(-np.arange(160) / 30) * 0.2
    return out


def reverberated(wave: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = round(0.5 * SR)
    room = random.standard_normal(size) * np.exp(-6.9 * np.arange(size) / size)
    room *= 0.4 / np.sqrt(np.sum(room ** 2))
    room[0] = 1
    return fftconvolve(wave, room)[:len(wave)]


def cases(folder: Path, noise: Path) -> list[Case]:
    random, (name, wave, phones) = np.random.default_rng(11), reading(folder)
    spoken, count, out = 10 ** ((active_level(wave, speaking(wave)) or 0) / 20), len(wave), []
    for kind, other in (("clean", wave), ("-25 dB", 0.056 * wave), ("reverberated", reverberated(wave, random))):
        out.append((f"{name}, {kind}", other, phones))
    kinds = {"white noise": random.standard_normal(count), "hum": hum(count, random), "music": music(count, random)}
    for kind, other in kinds.items():
        scale = spoken / rms(other)
        out += [(f"{name}, {kind} at {snr} dB", wave + other * scale / 10 ** (snr / 20), phones) for snr in (30, 15, 5)]
    swells = breath(count, random)
    out.append((f"{name}, breaths at -25 dB", wave + swells / np.abs(swells).max() * spoken * 0.25, phones))
    ten = 10 * SR
    alone = {"silence": np.zeros(ten), "white -55 dB": 10 ** (-55 / 20) * random.standard_normal(ten),
             "white -30 dB": 10 ** (-30 / 20) * random.standard_normal(ten)}
    alone |= {kind: 0.1 * made / rms(made) for kind, made in (("hum", hum(ten, random)), ("breath", breath(ten, random)))}
    alone["clicks"] = clicks(ten, random)
    for seed in range(4):
        made = music(ten, np.random.default_rng(seed))
        alone[f"music {seed + 1}"] = 0.1 * made / rms(made)
    if noise.is_file():
        alone["Noise.wav"] = load_sound(noise).mono(SR)
    return out + [(f"nobody: {kind}", made, []) for kind, made in alone.items()]


def score(opened: np.ndarray, phones: list[tuple[float, float]]) -> tuple[float, float]:
    """(of the frames of speech those shut, of the others those open) in percent; NaN where there are none."""
    spoken, near = np.zeros(len(opened), bool), np.zeros(len(opened), bool)
    for start, end in phones:
        spoken[int(start * RATE):int(np.ceil(end * RATE))] = True
        near[max(0, int((start - 0.3) * RATE)):int(np.ceil((end + 0.45) * RATE))] = True
    missed = 100 * float((~opened[spoken]).mean()) if spoken.any() else np.nan
    return missed, 100 * float(opened[~near].mean()) if (~near).any() else np.nan


def gate_table(found: list[Case]) -> list[str]:
    lines = ["| audio | missed before | missed now | open before | open now |", "|---|---|---|---|---|"]
    rows = []
    for name, wave, phones in found:
        wave = np.ascontiguousarray(wave, np.float32)
        (missed0, open0), (missed1, open1) = (score(gate(wave), phones) for gate in (before, now))
        rows.append((missed0, missed1, open0, open1, bool(phones)))
        lines.append(f"| {name} | " + " | ".join("" if np.isnan(x) else f"{x:.1f} %" for x in rows[-1][:4]) + " |")
        print(lines[-1], flush=True)
    for title, speech in (("**mean with speech**", True), ("**mean where nobody speaks**", False)):
        means = [np.mean([row[k] for row in rows if row[4] == speech]) for k in range(4)]
        lines.append(f"| {title} | " + " | ".join("" if np.isnan(x) else f"**{x:.1f} %**" for x in means) + " |")
    return lines


def as_people_have_it(wave: np.ndarray) -> dict[str, Sound]:
    """The same 5 s, damaged as recordings are."""
    from soxr import resample

    random, zero = np.random.default_rng(3), np.zeros_like(wave)
    tune = [0.2 * part / rms(part) for part in (music(len(wave), random) for _ in range(7))]
    whole = lambda *parts: Sound(np.stack(parts).astype(np.float32), SR)
    return {"inverted channel": whole(wave, -wave), "one of eight, others silent": whole(*[zero] * 5, wave, zero, zero),
            "one of eight beside loud music": whole(*tune[:5], wave, *tune[5:]),
            "20 s of silence before": whole(np.concatenate([np.zeros(20 * SR), wave])),
            "clipped": whole(np.clip(12 * wave, -1, 1)),
            "telephone, 8 kHz": Sound(resample(wave, SR, 8000)[None].astype(np.float32), 8000),
            "offset of 0.2": whole(wave + 0.2), "-45 dB": whole(wave * 10 ** (-25 / 20))}


def lips(speech: Speech) -> np.ndarray:  # [F]
    """What the demo AToM's lips do, the gate off."""
    face = LandmarkTrack(torch.as_tensor(mean_face())[None])
    settings = SamplingSettings(sampler="dpm++", steps=15, gate=False)
    return lip_aperture(generate_motion(load_atom(), speech, face, settings).points).numpy()


def unheard(sound: Sound) -> Speech:
    """As before: the mean of the audible channels at its own loudness, and the level alone."""
    mono = sound.mono(SR)
    rows = torch.from_numpy(mel_spectrogram(mono))
    return Speech(rows, 80.0, "mel", sound.duration, torch.from_numpy(silence_gate(mono, SR, 80, len(rows))))


def loudness_table(wave: np.ndarray) -> list[str]:
    truth = lips(encode_speech(Sound(wave[None], SR)))
    lines = ["| audio | speech level before | now | lips r before | now | opening before | now |", "|---" * 7 + "|"]
    for name, sound in as_people_have_it(wave).items():
        cells = []
        for mono, speech in ((sound.mono(SR), unheard(sound)), (heard(sound, get_encoder("mel")), encode_speech(sound))):
            level, made = active_level(mono, speaking(mono)), lips(speech)[-len(truth):]
            cells.append(("none" if level is None else f"{level:.0f} dB", f"{np.corrcoef(made, truth)[0, 1]:.2f}",
                          f"{made.std() / truth.std():.2f}"))
        lines.append(f"| {name} | " + " | ".join(f"{a} | {b}" for a, b in zip(*cells)) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readings", nargs="?", type=Path, default=READINGS)
    parser.add_argument("--noise", type=Path, default=NOISE, help="a recorded noise; left out if absent")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = cases(args.readings, args.noise)
    table, wave = gate_table(found), np.ascontiguousarray(found[0][1][SR:6 * SR])
    start = time.process_time()
    voice_probability(found[0][1])
    cost = 1000 * (time.process_time() - start) / (len(found[0][1]) / SR)
    text = [f"# Voice activity and loudness\n\n{date.today()}, {platform.processor() or platform.machine()}, one thread: "
            f"`python benchmarks/voice_activity.py`. The network takes {cost:.1f} ms of CPU time for a second of audio.",
            "## Where nobody speaks\n\nLibriVox readings (forced alignment) with pauses of 2 s; 10 s each where nobody speaks. "
            "Before: the level alone, 0.06 and 0.16 s of room around speech. Now: level and voice, 0.2 and 0.35 s. Missed: "
            "frames of phones in which the mouth is held shut; open: frames at least 0.3 s before or 0.45 s after speech in "
            "which it may move.", "\n".join(table),
            "## Audio as people have it\n\nFive seconds of a reader; lips of the demo AToM against those of the clean recording "
            "(r, and the size of their movement), silence gate off. Before: the mean of the audible channels as loud as it is.",
            "\n".join(loudness_table(wave))]
    path = results_folder() / "voice_activity.md"
    path.write_text("\n\n".join(text) + "\n", "utf8")
    print(path)


if __name__ == "__main__":
    main()
