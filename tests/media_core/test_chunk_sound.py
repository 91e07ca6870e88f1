"""The audio of joined chunks: no click at the seams, at any rate, in any kind of file, of chunks however short."""
from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from talking_heads.media_core import chunk_sound
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.chunks import Chunk, complete, join, read_chunk
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.video import VideoWriter, film_samples, load_film_sound, probe

FPS, FRAMES = 25, 50
AROUND = 0.06  # s of a seam


def tone(rate: int, channels: int = 1) -> Sound:
    """440 Hz, the second channel upside down."""
    wave = 0.4 * np.sin(2 * np.pi * 440 / rate * np.arange(FRAMES * rate // FPS))
    return Sound(np.stack([wave, -wave][:channels]).astype(np.float32), rate)


def parts(folder, sound: Sound, count: int, ending: str) -> list:
    """The chunks' files, of black frames."""
    files = []
    for chunk in (Chunk(index, count, FRAMES) for index in range(count)):
        heard = chunk.sound(sound, FPS, ending)
        path = folder / f"{chunk.index}{ending}"
        with VideoWriter(path, 16, 16, FPS, heard, metadata=chunk.tags({}, heard, ending)) as film:
            film.write(np.zeros((chunk.stop - chunk.start, 16, 16, 3), np.uint8))
        files.append(read_chunk(path))
    return complete(files)


def leaps(wave: np.ndarray, rate: int, seams: list[float]) -> tuple[float, float]:
    """The largest step of the curvature, beside the seams and inside: a click is a leap that a tone has nowhere."""
    bend = np.abs(np.diff(wave, 2))
    near = np.zeros(len(bend), bool)
    for seam in seams:
        near[int((seam - AROUND) * rate):int((seam + AROUND) * rate)] = True
    inside = ~near
    inside[:int(AROUND * rate)] = inside[-int(AROUND * rate):] = False  # the video's own ends
    return float(bend[near].max()), float(bend[inside].max())


@pytest.mark.parametrize("ending, rate, channels, count", [
    (".mp4", 22050, 1, 3), (".mp4", 48000, 2, 2), (".mp4", 16000, 1, FRAMES), (".webm", 22050, 1, 3), (".webm", 16000, 2, 3),
    (".mov", 44100, 1, 3)])
def test_a_tone_has_no_click_at_the_seams(tmp_path, ending, rate, channels, count):
    files = parts(tmp_path, tone(rate, channels), count, ending)
    told = load_film_sound(join(files, tmp_path / f"joined{ending}"))
    seams = [one.chunk.start / FPS for one in files[1:]]
    assert told.channels == channels and abs(told.duration - FRAMES / FPS) < 0.5 / FPS
    wanted = 0.4 * np.sin(2 * np.pi * 440 * np.arange(told.samples) / told.sample_rate)
    for wave, sign in zip(told.waveform, (1, -1)):
        near, inside = leaps(wave, told.sample_rate, seams[24:25] if count == FRAMES else seams)
        assert near <= 1.1 * inside + 1e-4, "a click"
        off = np.abs(wave - sign * wanted)[told.sample_rate // 10:-told.sample_rate // 10]
        assert off.max() < 0.02, "as the whole tone, at its place"


def test_without_what_the_chunks_know_of_their_ends_there_are_clicks(tmp_path):
    """What the test above measures is there to be found."""
    files = [replace(one, edges="") for one in parts(tmp_path, tone(22050), 3, ".mp4")]
    told = load_film_sound(join(files, tmp_path / "joined.mp4"))
    near, inside = leaps(told.waveform[0], told.sample_rate, [one.chunk.start / FPS for one in files[1:]])
    assert near > 1.5 * inside


def test_the_samples_at_a_seam_are_those_of_the_whole(tmp_path):
    """To half a step of 16 bits, before the join encodes them."""
    files, sound = parts(tmp_path, tone(22050), 2, ".mp4"), tone(22050)
    decoded = [load_film_sound(one.path) for one in files]
    ends = [film_samples(one.chunk.stop, Fraction(FPS), 22050) for one in files]
    known = [piece for one in files for piece in chunk_sound.pieces(one.edges, "x", (one.chunk.start, one.chunk.stop),
                                                                  Fraction(FPS))]
    made = chunk_sound.joined(decoded, ends, known)
    reach, seam = chunk_sound.KEPT - chunk_sound.FADE, ends[0]
    around = slice(seam - reach, seam + reach)
    assert np.abs(made.waveform - sound.waveform)[0, around].max() <= 0.51 / 32767
    untouched = slice(0, seam - chunk_sound.KEPT)
    assert (made.waveform[0, untouched] == decoded[0].waveform[0, untouched]).all()


def test_audio_of_another_rate_is_joined_as_it_is(tmp_path):
    """Chunks that somebody has encoded again since."""
    files = parts(tmp_path, tone(22050), 2, ".mp4")
    note = json.dumps({**json.loads(files[1].edges), "rate": 16000})
    odd = [files[0], replace(files[1], edges=note)]
    assert probe(join(odd, tmp_path / "joined.mp4")).frames == FRAMES


@pytest.mark.parametrize("wrong", ["{", "{}", '{"rate": 0, "channels": 1, "peak": 1, "head": "", "tail": ""}',
                                   '{"rate": 8000, "channels": 1, "peak": 1, "head": "!", "tail": ""}',
                                   '{"rate": 8000, "channels": 2, "peak": 1, "head": "AAA=", "tail": ""}',
                                   '{"rate": 10, "channels": 1, "peak": 1, "head": "AAAAAA==", "tail": "AAAAAA=="}'])
def test_damaged_ends(wrong):
    with pytest.raises(FileFormatError):
        chunk_sound.pieces(wrong, "a.mp4", (0, 5), Fraction(FPS))
