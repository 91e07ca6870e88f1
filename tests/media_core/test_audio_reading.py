"""Sound out of files as they come: damaged, cut off, wrongly tagged, of several tracks."""
from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.audio import Sound, load_sound, save_wav
from talking_heads.media_core.errors import FileFormatError

RATE = 16000


def speech(seconds: float = 2.0, seed: int = 0) -> Sound:
    """Noise that is loud in the second half alone."""
    samples = 0.2 * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE)))
    samples[:, : samples.shape[1] // 2] *= 0.1
    return Sound(samples.astype(np.float32), RATE)


def encoded(path: Path, codec: str, *sounds: Sound, marked: int | None = None) -> Path:
    """The sounds as tracks of one file; `marked`: which is the default one."""
    import av

    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=sound.sample_rate, layout="mono") for sound in sounds]
        for number, stream in enumerate(streams):
            if marked is not None:
                stream.disposition = av.stream.Disposition(int(number == marked))
        for stream, sound in zip(streams, sounds):
            for begin in range(0, sound.samples, 1152):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.waveform[:, begin:begin + 1152]), "flt", "mono")
                frame.sample_rate, frame.pts = sound.sample_rate, begin
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def damaged(path: Path, begin: float, count: int) -> Path:
    """The file with `count` bytes from that part of it on overwritten."""
    content = bytearray(path.read_bytes())
    place = round(begin * len(content))
    content[place:place + count] = np.random.default_rng(1).integers(0, 255, count, dtype=np.uint8).tobytes()
    path.write_bytes(content)
    return path


def step(sound: Sound) -> float:
    """Where the loud half begins, s."""
    level = np.abs(sound.waveform[0, : sound.samples // 80 * 80]).reshape(-1, 80).mean(axis=1)
    return float(np.argmax(level > 0.08)) * 80 / RATE


@pytest.mark.parametrize("name, codec", [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.mka", "flac"), ("a.m4a", "aac")])
def test_overwritten_bytes_cost_no_more_than_themselves(tmp_path, name, codec):
    whole = step(load_sound(encoded(tmp_path / name, codec, speech())))
    holed = load_sound(damaged(tmp_path / name, 0.2, 60))
    assert abs(holed.duration - 2.0) < 0.08
    assert abs(step(holed) - whole) < 0.08


def spoilt(source: Path, target: Path, numbers: range) -> Path:
    """A Matroska file of the same packets, those of these numbers blank."""
    import av

    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = container.streams.audio[0]
        twin = output.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in container.demux(stream) if packet.dts is not None):
            copy = av.Packet(bytes(packet.size) if number in numbers else bytes(packet))
            copy.pts, copy.dts, copy.duration, copy.time_base, copy.stream = (
                packet.pts, packet.dts, packet.duration, packet.time_base, twin)
            output.mux(copy)
    return target


def test_spoilt_packets_become_silence_and_all_else_stays(tmp_path, caplog):
    source = encoded(tmp_path / "a.mka", "flac", speech())
    whole, blank = load_sound(source), range(1152 * 5, 1152 * 7)
    assert not caplog.records
    holed = load_sound(spoilt(source, tmp_path / "b.mka", range(5, 7)))
    assert "2 of 28 parts were left out" in caplog.text
    clock = RATE // 1000  # Matroska counts milliseconds
    assert abs(holed.samples - whole.samples) <= clock
    assert np.array_equal(holed.waveform[:, : blank.start], whole.waveform[:, : blank.start])
    assert not holed.waveform[:, blank.start:blank.stop - clock].any()
    late = holed.samples - whole.samples
    assert np.array_equal(holed.waveform[:, blank.stop + late:], whole.waveform[:, blank.stop:])


@pytest.mark.parametrize("numbers", [range(40), range(12, 40)])
def test_sound_of_which_most_is_spoilt_is_refused(tmp_path, numbers):
    source = encoded(tmp_path / "a.mka", "flac", speech())
    with pytest.raises(FileFormatError, match="cannot be decoded"):
        load_sound(spoilt(source, tmp_path / "b.mka", numbers))


def test_a_flac_cut_off_gives_its_beginning(tmp_path):
    path = encoded(tmp_path / "a.flac", "flac", speech())
    whole = load_sound(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part = load_sound(path)
    assert 0.5 < part.duration < 1.8
    assert np.array_equal(part.waveform, whole.waveform[:, : part.samples])


@pytest.mark.parametrize("marked, wanted", [(None, 0), (0, 0), (1, 1)])
def test_the_track_that_the_file_marks_is_heard(tmp_path, marked, wanted):
    sounds = Sound(np.full((1, RATE), 0.1, np.float32), RATE), Sound(np.full((1, RATE), 0.4, np.float32), RATE)
    heard = load_sound(encoded(tmp_path / "a.mka", "pcm_s16le", *sounds, marked=marked))
    assert np.allclose(heard.waveform, sounds[wanted].waveform, atol=1e-3)


def tagged(path: Path, sound: Sound, title: bytes) -> Path:
    """A WAV with a title as Windows programs write it: LIST/INFO, no encoding told."""
    save_wav(path, sound)
    text = title + b"\0" * (1 + (len(title) + 1) % 2)
    part = b"INFO" + b"INAM" + struct.pack("<I", len(text)) + text
    content = path.read_bytes() + b"LIST" + struct.pack("<I", len(part)) + part
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    return path


@pytest.mark.parametrize("title", ["Grüße".encode("latin-1"), "発話".encode("shift_jis"), b"\xff\xfe\x00"])
def test_a_title_in_another_encoding_does_not_matter(tmp_path, title):
    sound = speech(0.1)
    assert np.array_equal(load_sound(tagged(tmp_path / "a.wav", sound, title)).waveform, sound.waveform)


@pytest.mark.parametrize("channels", [0, 65535])
def test_an_impossible_number_of_channels_is_told(tmp_path, channels):
    path = save_wav(tmp_path / "a.wav", speech(0.1))
    content = bytearray(path.read_bytes())
    content[22:24] = struct.pack("<H", channels)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.wav"):
        load_sound(path)


def test_a_track_that_appears_on_the_way_does_not_matter(tmp_path):
    """PyAV's demux breaks off with an IndexError there; the rest is still read."""
    import av
    from talking_heads.media_core.audio_reading import decoded

    class Breaking:
        def __init__(self, container, after: int):
            self.container, self.after = container, after
            self.start_time, self.format = container.start_time, container.format

        def demux(self, stream):
            for packet in self.container.demux(stream):
                yield packet
                self.after -= 1
                if self.after == 0:
                    raise IndexError("list index out of range")

    path = encoded(tmp_path / "a.flac", "flac", speech())
    with av.open(str(path)) as container:
        waveform, rate = decoded(Breaking(container, 10), container.streams.audio[0])
    whole = load_sound(path)
    assert rate == RATE and np.array_equal(waveform, whole.waveform)


def test_a_newer_pyav_is_opened_without_the_option_it_no_longer_has(monkeypatch, tmp_path):
    """Version 19 took it away: there tags never fail."""
    import av
    from talking_heads.media_core.av_files import open_media

    calls = []
    for version in ("18.1.0", "19.0.2"):
        monkeypatch.setattr(av, "__version__", version)
        monkeypatch.setattr(av, "open", lambda *given, **options: calls.append(options))
        open_media(tmp_path / "a.wav")
    assert calls == [{"mode": "r", "metadata_errors": "replace"}, {"mode": "r"}]
