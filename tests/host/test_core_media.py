"""Stand-ins of core nodes for sound and films: they take what the pack's readers take; results are whole, each in its place."""
from __future__ import annotations

import errno
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound, load_sound, save_wav
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.video import VideoWriter, probe


def tone(rate: int, channels: int, seconds: float = 0.4, speaking: int = 0) -> Sound:
    """A tone on one of the channels."""
    waveform = np.zeros((channels, round(rate * seconds)), np.float32)
    waveform[speaking] = 0.4 * np.sin(2 * np.pi * 440 * np.arange(waveform.shape[1]) / rate)
    return Sound(waveform, rate)


def picture(height: int, width: int, frames: int = 10) -> torch.Tensor:
    """Columns of their own brightness, the last one white."""
    image = torch.linspace(0, 0.5, width).repeat(height, 1)
    image[:, -1] = 1
    return image[None, ..., None].expand(frames, -1, -1, 3)


def written(path: Path, images: torch.Tensor, sound: Sound | None) -> Path:
    from talking_heads.host.shim.video import VideoComponents, VideoFromComponents

    audio = None if sound is None else sound.to_comfy()
    VideoFromComponents(VideoComponents(images, Fraction(25), audio)).save_to(str(path))
    return path


@pytest.mark.parametrize("rate, channels", [
    (192000, 1), (18900, 2), (16000, 4), (48000, 8), (5000, 3), (44100, 2), (48000, 6)])
def test_a_film_carries_sound_of_any_rate_and_channels(tmp_path, rate, channels):
    film = written(tmp_path / "a.mp4", picture(32, 48), tone(rate, channels))
    heard = load_sound(film)
    assert abs(heard.duration - 0.4) < 0.06
    assert abs(np.abs(heard.mono(16000)[800:4800]).max() - 0.4) < 0.12
    if rate in (44100, 48000) and channels in (2, 6):
        assert (heard.sample_rate, heard.channels) == (rate, channels)


@pytest.mark.parametrize("height, width", [(33, 48), (32, 49), (33, 49)])
def test_a_film_of_odd_sides_repeats_its_edge(tmp_path, height, width):
    from talking_heads.host.shim.video import VideoFromFile

    film = VideoFromFile(str(written(tmp_path / "a.mp4", picture(height, width), None)))
    assert film.get_dimensions() == (width + width % 2, height + height % 2)
    back = film.get_components().images[0, ..., 0]
    if width % 2:
        assert back[:, -2:].mean() > 0.8 and back[:, -4].mean() < 0.7
    assert float((back[: height, 4: width - 4] - picture(height, width)[0, :, 4:-4, 0]).abs().mean()) < 0.03


@pytest.mark.parametrize("channels", [1, 2, 6, 8, 9, 12])
def test_sound_of_many_channels_is_loaded(small, channels):
    from talking_heads.host.shim import core_audio

    sound = tone(16000, channels, speaking=channels - 1)
    save_wav(small.base / "input" / "many.wav", sound)
    (audio,) = core_audio.LoadAudio.execute("many.wav").args
    assert audio["sample_rate"] == 16000 and np.array_equal(audio["waveform"][0].numpy(), sound.waveform)


def test_the_sound_of_a_film_is_that_of_its_reader(tmp_path):
    """A film with eight channels: Get Video Components hears what the pack's own reader hears."""
    import av
    from talking_heads.host.shim.video import VideoFromFile

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        film, voice = container.add_stream("libx264", rate=25), container.add_stream("pcm_s16le", rate=16000, layout="7.1")
        film.width, film.height, film.pix_fmt = 48, 32, "yuv420p"
        for image in picture(32, 48):
            container.mux(film.encode(av.VideoFrame.from_ndarray((image * 255).byte().numpy(), format="rgb24")))
        container.mux(film.encode(None))
        samples = (tone(16000, 8, speaking=2).waveform.T * 32767).astype(np.int16).reshape(1, -1)
        block = av.AudioFrame.from_ndarray(samples, format="s16", layout="7.1")
        block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
        container.mux(voice.encode(block))
        container.mux(voice.encode(None))
    audio = VideoFromFile(str(tmp_path / "a.mkv")).get_components().audio
    assert np.array_equal(audio["waveform"][0].numpy(), load_sound(tmp_path / "a.mkv").waveform)
    assert audio["waveform"].shape == (1, 8, 6400) and float(audio["waveform"][0, 2].max()) > 0.39


@pytest.mark.parametrize("content", [b"this is no sound at all" * 40, b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_what_is_no_sound_is_told(small, content):
    from talking_heads.host.shim import core_audio
    from talking_heads.host.shim.video import VideoFromFile

    (small.base / "input" / "odd.wav").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"odd\.wav"):
        core_audio.LoadAudio.execute("odd.wav")
    with pytest.raises(FileFormatError, match=r"odd\.wav"):
        VideoFromFile(str(small.base / "input" / "odd.wav")).get_dimensions()


# Display matrices (a b u; c d v; x y w) in 16.16: x' = a x + c y, y' = b x + d y.
ONE = 65536
TURNED = {"quarter": (0, ONE, -ONE, 0), "half": (-ONE, 0, 0, -ONE), "three": (0, -ONE, ONE, 0), "mirror": (-ONE, 0, 0, ONE)}
PUT_RIGHT = {"quarter": lambda p: np.rot90(p, -1), "half": lambda p: np.rot90(p, 2), "three": lambda p: np.rot90(p, 1),
             "mirror": lambda p: p[:, ::-1]}


@pytest.mark.parametrize("name", TURNED)
def test_a_telephones_film_is_shown_upright(tmp_path, name):
    from talking_heads.host.shim.video import VideoFromFile

    stored = np.zeros((32, 48, 3), np.uint8)
    stored[:12, :20], stored[20:, 30:] = 240, 120
    with VideoWriter(tmp_path / "a.mp4", 48, 32, crf=1) as writer:
        writer.write(stored)
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    a, b, c, d = TURNED[name]
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "a.mp4").write_bytes(content)
    film, wanted = VideoFromFile(str(tmp_path / "a.mp4")), PUT_RIGHT[name](stored)
    shown = film.get_components().images[0].numpy()
    assert shown.shape == wanted.shape and film.get_dimensions() == (wanted.shape[1], wanted.shape[0])
    assert np.abs(shown * 255 - wanted).mean() < 4


@pytest.mark.parametrize("channels, rate, format", [
    (1, 16000, "flac"), (4, 44100, "flac"), (8, 48000, "flac"), (2, 192000, "flac"), (1, 70001, "flac"), (9, 16000, "flac"),
    (2, 44100, "mp3"), (4, 18900, "mp3"), (1, 192000, "mp3")])
def test_sound_of_any_kind_is_saved(tmp_path, channels, rate, format):
    from talking_heads.host.shim.audio_file import write_sound

    sound = tone(rate, channels)
    write_sound(str(tmp_path / f"a.{format}"), sound.to_comfy(), format, "128k", {})
    back = load_sound(tmp_path / f"a.{format}")
    assert abs(back.duration - 0.4) < 0.06 and abs(np.abs(back.mono(16000)[800:4800]).max() - 0.4) < 0.05
    if format == "flac" and channels <= 8 and rate != 70001:
        assert back.sample_rate == rate and np.abs(back.waveform - sound.waveform).max() < 1e-3


@pytest.fixture
def another_run(monkeypatch):
    """Another run takes the very number that this one has found free."""
    from talking_heads.host.shim import folder_paths

    look, taken = folder_paths.get_save_image_path, []

    def overtaken(*arguments):
        folder, name, counter, *rest = look(*arguments)
        for ending in ("_.mp4", "_.png", ".flac", "_.safetensors"):
            taken.append(Path(folder) / f"{name}_{counter:05}{ending}")
            taken[-1].write_bytes(b"theirs")
        return folder, name, counter, *rest

    monkeypatch.setattr(folder_paths, "get_save_image_path", overtaken)
    return taken


@pytest.mark.parametrize("saver, inputs, endings", [
    ("SaveVideo", {"video": ["2", 0], "format": "auto", "codec": "auto"}, ["_.mp4"]),
    ("SaveImage", {"images": ["1", 0]}, ["_.png"] * 3),
    ("SaveAudio", {"audio": ["1", 1]}, [".flac"])])
def test_another_runs_result_is_not_replaced(small, another_run, saver, inputs, endings):
    prompt = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 3}},
              "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "audio": ["1", 1], "fps": 25}},
              "3": {"class_type": saver, "inputs": {**inputs, "filename_prefix": "a"}}}
    told = small.run(prompt).outputs["3"]
    names = [file["filename"] for kind in ("images", "audio") for file in told.get(kind, [])]
    assert names == [f"a_{number:05}{ending}" for number, ending in enumerate(endings, start=2)]
    assert another_run and all(path.read_bytes() == b"theirs" for path in another_run)
    assert all((small.base / "output" / name).stat().st_size > 50 for name in names)
    if saver == "SaveVideo":
        assert probe(small.base / "output" / names[0]).frames == 3


@pytest.mark.parametrize("saver, inputs", [("SaveVideo", {"video": ["2", 0], "format": "auto", "codec": "auto"}),
                                           ("SaveImage", {"images": ["1", 0]}), ("SaveAudio", {"audio": ["1", 1]})])
def test_a_name_that_no_disk_takes_is_told_before_any_work(small, monkeypatch, saver, inputs):
    from talking_heads.media_core import numbered

    monkeypatch.setattr(numbered, "save_numbered", None)
    prompt = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 3}},
              "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "audio": ["1", 1], "fps": 25}},
              "3": {"class_type": saver, "inputs": {**inputs, "filename_prefix": "a" * 250}}}
    said = small.run(prompt).error["exception_message"]
    assert "at most 255 bytes" in said and "Choose shorter names" in said and not list((small.base / "output").iterdir())


def test_a_batch_looks_once_for_what_killed_runs_left(small, monkeypatch):
    from talking_heads.media_core import numbered

    looked, look = [], numbered.remove_leftovers
    monkeypatch.setattr(numbered, "remove_leftovers", lambda folder: looked.append(look(folder)))
    small.run({"1": {"class_type": "ToyPicture", "inputs": {"frames": 3}},
               "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}}})
    assert len(looked) == 1 and len(list((small.base / "output").iterdir())) == 3


def test_a_disk_that_takes_only_shorter_names_says_so(tmp_path):
    from talking_heads.host.shim.files import whole_file
    from talking_heads.media_core.errors import TalkingHeadsError

    with pytest.raises(TalkingHeadsError, match="Choose a shorter name"), whole_file(str(tmp_path / "a.txt")):
        raise OSError(errno.ENAMETOOLONG, "File name too long")


def test_a_film_that_fails_leaves_no_number_taken(small, monkeypatch):
    from talking_heads.host.shim.video import VideoFromComponents

    def fail(self, path, **_):
        Path(path).write_bytes(b"half")
        raise RuntimeError("broken")

    monkeypatch.setattr(VideoFromComponents, "save_to", fail)
    prompt = {"1": {"class_type": "ToyPicture", "inputs": {"frames": 3}},
              "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 25}},
              "3": {"class_type": "SaveVideo", "inputs": {"video": ["2", 0], "filename_prefix": "a", "format": "auto",
                                                          "codec": "auto"}}}
    assert small.run(prompt).status == "error"
    assert not list((small.base / "output").iterdir())
