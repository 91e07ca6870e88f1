"""Videos: frames, lengths, sound and colour survive a round trip; whatever goes wrong leaves nothing behind."""
from __future__ import annotations

import gc
import json
import os
import struct
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
from talking_heads.media_core.audio import Sound, frame_count, load_sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.video import (
    AAC_RATES,
    VideoWriter,
    encodable,
    exact_fps,
    film_samples,
    film_sound,
    probe,
    read_frames,
)

H, W = 36, 64


def frames(count: int, height: int = H, width: int = W) -> np.ndarray:  # frame i is a grey of its own
    grey = (20 + 9 * np.arange(count) % 200).astype(np.uint8)
    return np.broadcast_to(grey[:, None, None, None], (count, height, width, 3))


def noise(seconds: float, rate: int = 16000, channels: int = 1) -> Sound:
    samples = np.random.default_rng(0).standard_normal((channels, max(1, round(seconds * rate)))) * 0.1
    return Sound(samples.astype(np.float32), rate)


def film(path, count: int = 5, **options):
    with VideoWriter(path, W, H, preset="ultrafast", **options) as writer:
        writer.write(frames(count))
    return path


def lengths(path) -> tuple[float, float, int]:  # image s, sound s, packets of the image
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert picture.start_time == 0 and sound.start_time == 0
        ends = float(picture.duration * picture.time_base), float(sound.duration * sound.time_base)
        return *ends, sum(1 for packet in container.demux(picture) if packet.size)


def test_frames_come_back_in_order(tmp_path):
    path = film(tmp_path / "a.mp4", 30)
    back = np.stack(list(read_frames(path)))
    assert back.shape == (30, H, W, 3) and back.dtype == np.uint8
    assert np.abs(back.astype(int) - frames(30)).max() <= 3
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames, info.duration, info.has_sound) == (W, H, 25, 30, 1.2, False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_picture_is_whole_at_high_quality_and_colours_are_kept(tmp_path):
    y, x = np.mgrid[:64, :64]
    smooth = np.stack([y * 4, 255 - x * 4, (x + y) * 2], axis=-1).clip(0, 255).astype(np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 64, 64, crf=8) as writer:
        writer.write(smooth)
    back = next(read_frames(tmp_path / "a.mp4"))
    assert np.abs(back[2:-2, 2:-2].astype(int) - smooth[2:-2, 2:-2]).mean() < 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.colorspace, context.color_range) == ("yuv420p", 1, 1)  # BT.709, limited range


@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.0599, 0.06, 0.1, 0.333, 0.98, 1.0, 1.019, 1.02, 2.5, 5.0617, 12.3])
def test_streams_differ_by_less_than_half_a_frame(tmp_path, seconds):
    rate = {0: 8000, 1: 44100, 2: 48000}[round(seconds * 1000) % 3]
    sound = noise(seconds, rate, 1 + round(seconds * 100) % 2)
    count = frame_count(sound.duration)
    picture, voice, packets = lengths(film(tmp_path / "a.mp4", count, sound=sound))
    assert packets == count == probe(tmp_path / "a.mp4").frames
    assert abs(picture - count / 25) < 1e-6 and abs(voice - picture) < 0.02
    assert abs(picture - sound.duration) <= 0.02 + 1e-9 or count == 1
    assert abs(load_sound(tmp_path / "a.mp4").duration - picture) < 0.02


@pytest.mark.parametrize("heard, shown", [(0.2, 25), (3.0, 10)])
def test_sound_is_padded_or_cut_to_the_film(tmp_path, heard, shown):
    picture, voice, _ = lengths(film(tmp_path / "a.mp4", shown, sound=noise(heard, 44100, 2)))
    assert abs(voice - shown / 25) < 0.02 and abs(picture - shown / 25) < 1e-6


@pytest.mark.parametrize("fps", [24, 29.97, 30000 / 1001, 60])
def test_other_rates(tmp_path, fps):
    sound = noise(2.0, 48000)
    picture, voice, packets = lengths(film(tmp_path / "a.mp4", frame_count(2.0, fps), sound=sound, fps=fps))
    assert packets == round(2 * fps) and abs(picture - voice) < 0.5 / fps
    assert abs(float(probe(tmp_path / "a.mp4").fps) - fps) < 1e-3


@pytest.mark.parametrize("seconds, shown", [(1.0, 25), (0.3, 25), (2.0, 25)])
def test_the_codec_is_fed_the_given_samples_bit_for_bit(tmp_path, monkeypatch, seconds, shown):
    sound, fed = noise(seconds, 44100, 2), []
    sound.waveform[:, 7] = 1.75  # beyond full scale: not ours to clip
    original = VideoWriter._encode_sound
    monkeypatch.setattr(VideoWriter, "_encode_sound", lambda self, x: (fed.append(x.copy()), original(self, x)))
    film(tmp_path / "a.mp4", shown, sound=sound)
    whole = np.concatenate(fed, axis=1)
    length = film_samples(shown, exact_fps(25), 44100)
    expected = np.zeros((2, length), np.float32)
    expected[:, :sound.samples] = sound.waveform[:, :length]
    assert whole.tobytes() == expected.tobytes() == film_sound(sound, shown).waveform.tobytes()
    assert {x.shape[1] for x in fed[:-1]} == {1024}


@pytest.mark.parametrize("rate, channels", [(8000, 1), (22050, 2), (48000, 6)])
def test_rate_and_channels_are_kept_and_in_time(tmp_path, rate, channels):
    sound = Sound(np.zeros((channels, rate), np.float32), rate)
    sound.waveform[:, rate // 2:rate // 2 + rate // 20] = 0.5 * np.sin(np.arange(rate // 20) * 0.5)
    back = load_sound(film(tmp_path / "a.mp4", 25, sound=sound))
    assert (back.sample_rate, back.channels, back.samples) == (rate, channels, rate)
    given, heard = sound.waveform[0], back.waveform[0]
    shifts = range(-40, 41)
    scores = [float(np.dot(given[100:-100], heard[100 + s:len(heard) - 100 + s])) for s in shifts]
    assert shifts[int(np.argmax(scores))] == 0


def test_sound_that_aac_lacks_is_converted_and_no_other():
    for rate in AAC_RATES:
        for channels in (1, 2, 6):
            sound = noise(0.1, rate, channels)
            assert encodable(sound) is sound
    assert encodable(noise(1.0, 5000)).sample_rate == 7350 and abs(encodable(noise(1.0, 5000)).duration - 1) < 1e-3
    assert encodable(noise(0.1, 192000)).sample_rate == 96000
    three = noise(0.1, 16000, 3)
    assert np.allclose(encodable(three).waveform[0], three.waveform.mean(axis=0))


def test_sound_is_written_while_frames_are(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", W, H, sound=noise(4.0, 16000)) as writer:
        for i in range(100):
            writer.write(frames(1)[0])
            assert 0 <= (i + 1) * 640 - writer.samples_written < 1024 and writer.frames_written == i + 1
    assert writer.samples_written == 64000


def test_written_frames_are_let_go(tmp_path):
    alive = []
    with VideoWriter(tmp_path / "a.mp4", W, H) as writer:
        for _ in range(60):
            frame = np.zeros((H, W, 3), np.uint8)
            alive.append(weakref.ref(frame))
            writer.write(frame)
        del frame
        gc.collect()
        assert sum(ref() is not None for ref in alive) == 0


@pytest.mark.parametrize("width, height", [(63, 36), (64, 35), (63, 35)])
def test_odd_sizes_repeat_their_edge(tmp_path, width, height):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[-3:] = frame[:, -3:] = 200
    with VideoWriter(tmp_path / "a.mp4", width, height, crf=4) as writer:
        writer.write(frame)
    back = next(read_frames(tmp_path / "a.mp4"))
    assert back.shape == (height + height % 2, width + width % 2, 3)
    assert back[-1].min() > 180 and back[:, -1].min() > 180 and back[5, 5].max() < 20


def test_metadata_is_read_back_and_the_index_stands_in_front(tmp_path):
    graph = {"1": {"class_type": "X", "inputs": {"text": "Ünïcode \"q\""}}}
    path = film(tmp_path / "a.mp4", metadata={"title": "A talk", "comment": "c", "workflow": graph})
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "A talk" and json.loads(container.metadata["workflow"]) == graph
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("error", [Cancelled, ValueError, KeyboardInterrupt])
def test_nothing_is_left_when_the_block_fails(tmp_path, error):
    with pytest.raises(error), VideoWriter(tmp_path / "a.mp4", W, H, sound=noise(2.0)) as writer:
        writer.write(frames(40))
        raise error("stop")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_a_failed_film_is_closed(tmp_path):
    def opened() -> list[str]:
        folder = "/proc/self/fd"
        names = [os.path.join(folder, name) for name in os.listdir(folder)]
        return [target for name in names if os.path.lexists(name) and str(tmp_path) in (target := os.readlink(name))]

    writer = VideoWriter(tmp_path / "a.mp4", W, H)
    with pytest.raises(Cancelled), writer:
        writer.write(frames(60))
        assert sorted(os.path.splitext(name)[1] for name in opened()) == [".lock", ".mp4"]
        raise Cancelled
    assert opened() == []


def test_an_older_film_survives_a_failure(tmp_path):
    path = film(tmp_path / "a.mp4")
    before = path.read_bytes()
    with pytest.raises(Cancelled), VideoWriter(path, W, H) as writer:
        writer.write(frames(3))
        raise Cancelled
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_full_disk_is_told_and_leaves_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    noisy = np.random.default_rng(0).integers(0, 255, (40, 128, 128, 3), dtype=np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(TalkingHeadsError, match="a.mp4") as caught:
            with VideoWriter(tmp_path / "a.mp4", 128, 128, sound=noise(2.0)) as writer:
                for frame in noisy:
                    writer.write(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError) and "room" in caught.value.must
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_frames_is_refused(tmp_path):
    with pytest.raises(TalkingHeadsError, match="at least one frame"):
        with VideoWriter(tmp_path / "a.mp4", W, H, sound=noise(1.0)):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.zeros((H, W, 3), np.float32), np.zeros((W, H, 3), np.uint8), np.zeros((H, W, 4), np.uint8),
                                 np.zeros((H, W), np.uint8), np.zeros((1, 1, H, W, 3), np.uint8)])
def test_frames_of_another_kind_are_refused(tmp_path, bad):
    with pytest.raises(TalkingHeadsError, match="uint8"), VideoWriter(tmp_path / "a.mp4", W, H) as writer:
        writer.write(frames(1))
        writer.write(bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [(0, 36, 25), (64, 1, 25), (64, 20000, 25), (64, 36, 0), (64, 36, float("nan"))])
def test_impossible_sizes_and_rates_are_refused(tmp_path, arguments):
    with pytest.raises(TalkingHeadsError):
        VideoWriter(tmp_path / "a.mp4", *arguments)


def test_what_is_no_film(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    for name in ("absent.mp4", "empty.mp4", "text.mp4"):
        for reader in (probe, lambda path: next(read_frames(path))):
            with pytest.raises(FileFormatError) as caught:
                reader(tmp_path / name)
            assert name in caught.value.came
    with VideoWriter(tmp_path / "cut.mp4", W, H) as writer:
        writer.write(frames(5))
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes()[:400])
    with pytest.raises(FileFormatError):
        probe(tmp_path / "cut.mp4")


def test_a_film_without_a_picture_and_one_without_sound(tmp_path):
    film(tmp_path / "mute.mp4")
    with pytest.raises(FileFormatError, match="mute.mp4 has none"):
        load_sound(tmp_path / "mute.mp4")
    with av.open(str(tmp_path / "voice.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.sample_rate = 16000
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    with pytest.raises(FileFormatError, match="voice.mp4 has none"):
        probe(tmp_path / "voice.mp4")


def test_sound_that_starts_late_gets_silence_in_front(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        picture, voice = container.add_stream("libx264", rate=25), container.add_stream("pcm_s16le", rate=8000, layout="mono")
        picture.width, picture.height, picture.pix_fmt = W, H, "yuv420p"
        for _ in range(25):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frames(1)[0], format="rgb24")))
        container.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(np.full((1, 4000), 16384, np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 8000, 4000, Fraction(1, 8000)
        container.mux(voice.encode(block))
        container.mux(voice.encode(None))
    sound = load_sound(tmp_path / "a.mkv")
    assert sound.samples == 8000 and not sound.waveform[:, :4000].any() and (sound.waveform[:, 4000:] == 0.5).all()


def test_rotation_is_honoured(tmp_path):
    """A phone's video: the frames lie, the track header says by how much to turn them."""
    frame = np.zeros((H, W, 3), np.uint8)
    frame[:, :8] = 250  # bright on the left as stored
    with VideoWriter(tmp_path / "a.mp4", W, H) as writer:
        writer.write(frame)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    assert struct.unpack_from(">9i", data, at) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # a quarter turn clockwise
    (tmp_path / "a.mp4").write_bytes(data)
    back, info = next(read_frames(tmp_path / "a.mp4")), probe(tmp_path / "a.mp4")
    assert back.shape == (W, H, 3) and (info.width, info.height) == (H, W)
    assert back[:4].min() > 200 and back[-4:].max() < 40  # left became top


@pytest.mark.parametrize("stored, wanted", [(50, 25), (30, 25), (10, 25)])
def test_frames_at_another_rate_are_the_ones_on_screen(tmp_path, stored, wanted):
    film(tmp_path / "a.mp4", 20, fps=stored)
    back = [int(frame.mean()) for frame in read_frames(tmp_path / "a.mp4", fps=wanted)]
    shown = [int((i + 0.5) * stored / wanted) for i in range(round(20 / stored * wanted))]
    assert len(back) == len(shown)
    assert np.abs(np.array(back) - frames(20)[shown, 0, 0, 0]).max() <= 3


def test_exact_rates():
    assert exact_fps(25) == 25 and exact_fps(29.97) == Fraction(2997, 100) and exact_fps(30000 / 1001) == Fraction(30000, 1001)
    for count in (1, 7, 1001, 100_000):
        assert abs(film_samples(count, exact_fps(25), 44100) / 44100 - count / 25) <= 0.5 / 44100


def test_a_track_that_appears_on_the_way_does_not_matter(tmp_path):
    """PyAV's demux breaks off with an IndexError there; the images behind it are still read."""
    import av
    from talking_heads.media_core.av_files import pictures

    class Breaking:
        def __init__(self, container):
            self.container, self.broken = container, False

        def decode(self, stream):
            for packet in self.container.demux(stream):
                yield from packet.decode()
                if packet.pts is not None and packet.pts > 0 and not self.broken:
                    self.broken = True
                    raise IndexError("list index out of range")

    path = film(tmp_path / "a.mp4")
    with av.open(str(path)) as container, av.open(str(path)) as again:
        whole = [frame.pts for frame in container.decode(container.streams.video[0])]
        assert [frame.pts for frame in pictures(Breaking(again), again.streams.video[0])] == whole and len(whole) > 3
