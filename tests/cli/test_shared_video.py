"""One video by several workers: any number makes the same file, and the frames of the video made in one piece."""
from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from atom_files import save_tiny_atom
from mtov_files import save_tiny_mtov
from pack import ROOT
from PIL import Image
from ray_workers import one_is_killed
from talking_heads.cli import shared_video
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.chunks import read_chunk
from talking_heads.media_core.video import VideoWriter, load_film_sound, probe, read_frames

FRAMES = 20  # of the speech


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """0.8 s of noise, a face of 192 px, one with a transparent background, tiny weights."""
    folder = tmp_path_factory.mktemp("given")
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 12800))
    save_wav(folder / "speech.wav", Sound(noise.astype(np.float32), 16000))
    face = Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((192, 192))
    face.save(folder / "me.png")
    clear = face.convert("RGBA")
    clear.putalpha(Image.fromarray(np.linspace(0, 255, 192).round().astype(np.uint8)[:, None].repeat(192, 1)))
    clear.save(folder / "clear.png")
    save_tiny_atom(folder / "atom.safetensors")
    save_tiny_mtov(folder / "mtov.safetensors", margin=1.6)
    return folder


@pytest.fixture
def place(given, tiny_avatar, tmp_path, monkeypatch) -> Path:
    """Those files in a folder of its own, which is the current one; chunks of seven frames."""
    here = Path(shutil.copytree(given, tmp_path / "here"))
    shutil.copy(tiny_avatar, here / "avatar.safetensors")
    monkeypatch.chdir(here)
    monkeypatch.setattr(shared_video, "FRAMES", 7)
    return here


def avatar(out: str, *more: str) -> int:
    return main(["avatar", "avatar.safetensors", "speech.wav", out, "--device", "cpu", "--blinks", "generated", *more])


def video(out: str, face: str, *more: str) -> int:
    return main(["video", "speech.wav", face, out, "--atom", "atom.safetensors", "--device", "cpu", *more])


def pixels(name: str) -> np.ndarray:
    return np.stack(list(read_frames(name)))


def test_an_avatars_chunks_are_the_whole(place, capsys):
    """Frames that are encoded without loss, and the audio, encoded once."""
    assert avatar("whole.mp4", "--crf", "0") == OK and avatar("parts.mp4", "--crf", "0", "--workers", "1") == OK
    assert "parts.mp4\n20 frames, 0.80 s at 25 fps" in capsys.readouterr().out
    assert len(pixels("whole.mp4")) == FRAMES and (pixels("whole.mp4") == pixels("parts.mp4")).all()
    assert (load_film_sound("whole.mp4").waveform == load_film_sound("parts.mp4").waveform).all()
    assert not list(place.glob("*.parts")) and read_chunk(Path("parts.mp4")) is None


@pytest.mark.parametrize("face, more", [("me.png", ()), ("me.png", ("--carrier", "redraw")), ("film.mp4", ()),
                                        ("film.mp4", ("--carrier", "redraw", "--overlap", "3"))])
def test_a_portraits_and_a_videos_chunks_are_the_whole(place, tiny_film, face, more):
    """In ProRes, which encodes every frame by itself. Clips of MToV reach over the seams."""
    with VideoWriter("film.mp4", 256, 192, 25) as film:  # at 240 px FFmpeg's ProRes encoder itself varies from run to run
        film.write(np.pad(pixels(str(tiny_film)), ((0, 0), (0, 0), (8, 8), (0, 0)), mode="edge"))
    more = (*more, "--mtov", "mtov.safetensors", "--steps", "1") if more else more
    assert video("whole.mov", face, *more) == OK and video("parts.mov", face, *more, "--workers", "1") == OK
    assert len(pixels("whole.mov")) == FRAMES and (pixels("whole.mov") == pixels("parts.mov")).all()
    assert (load_film_sound("whole.mov").waveform == load_film_sound("parts.mov").waveform).all()


@pytest.mark.parametrize("ending", ["webm", "mov"])
def test_a_transparent_background_stays(place, ending):
    import av

    def alpha(name: str) -> np.ndarray:
        with av.open(name) as film:
            decoder = av.CodecContext.create("libvpx-vp9", "r") if ending == "webm" else film.streams.video[0].codec_context
            return np.stack([frame.to_ndarray(format="rgba")[..., 3] for packet in film.demux(video=0)
                             for frame in (decoder.decode(packet) if ending == "webm" else packet.decode())])

    assert video(f"whole.{ending}", "clear.png") == OK and video(f"parts.{ending}", "clear.png", "--workers", "1") == OK
    whole, parts = alpha(f"whole.{ending}").astype(int), alpha(f"parts.{ending}").astype(int)
    assert whole.shape == parts.shape == (FRAMES, 192, 192) and whole.min() < 20 and whole.max() > 235
    assert np.abs(whole - parts).max() <= (0 if ending == "mov" else 12)


def test_what_is_made_stays_for_the_next_run(place, monkeypatch, capsys):
    """After Ctrl-C; a chunk of other settings is made again."""
    assert avatar("want.mp4", "--workers", "1") == OK
    made, stop = [], [2]
    real = shared_video.ChunkWorker.__call__

    def counted(self, unit, report):
        if len(made) == stop[0]:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            made.append(unit["index"])
        return real(self, unit, report)

    monkeypatch.setattr(shared_video.ChunkWorker, "__call__", counted)
    assert avatar("out.mp4", "--workers", "1") == INTERRUPTED and "The same command continues" in capsys.readouterr().err
    assert made == [0, 1] and not Path("out.mp4").exists() and len(list(place.glob("out.mp4.parts/*.mp4"))) == 2
    shutil.copy("out.mp4.parts/00001.mp4", "out.mp4.parts/00000.mp4")  # another chunk in its place
    stop[0] = 9
    assert avatar("out.mp4", "--workers", "1") == OK and made == [0, 1, 0, 2]
    assert Path("out.mp4").read_bytes() == Path("want.mp4").read_bytes()
    stop[0] = 5
    assert avatar("out.mp4", "--workers", "1", "--seed", "1") == INTERRUPTED and made == [0, 1, 0, 2, 0]
    stop[0] = 99
    assert avatar("out.mp4", "--workers", "1") == OK and made[5:] == [0, 1, 2]
    assert Path("out.mp4").read_bytes() == Path("want.mp4").read_bytes()


def test_a_short_video_is_one_chunk(place, monkeypatch):
    monkeypatch.setattr(shared_video, "FRAMES", 250)
    assert avatar("whole.mp4") == OK and avatar("out.mp4", "--workers", "1") == OK
    assert Path("whole.mp4").read_bytes() == Path("out.mp4").read_bytes() and not list(place.glob("*.parts"))


def test_errors_keep_their_three_parts(place, ray, capsys):
    Path("none.wav").write_bytes(b"nothing")
    assert main(["avatar", "avatar.safetensors", "none.wav", "out.mp4", "--workers", "2"]) == FAILED
    assert "none.wav" in capsys.readouterr().err
    Image.new("RGB", (64, 64)).save("empty.png")
    assert video("out.mp4", "empty.png", "--workers", "2") == FAILED
    told = capsys.readouterr().err
    assert "must show a face" in told and "Got:" in told and not Path("out.mp4").exists()
    assert not list(place.glob("*.parts"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_two_workers_make_the_same_file_though_one_is_killed(place, ray):
    assert avatar("one.mp4", "--workers", "1") == OK
    assert avatar("two.mp4", "--workers", "2") == OK
    with one_is_killed(lambda: list(place.glob("three.mp4.parts/[0-9]*.mp4"))) as killed:
        assert avatar("three.mp4", "--workers", "2") == OK
    assert killed and probe("one.mp4").frames == FRAMES
    assert Path("one.mp4").read_bytes() == Path("two.mp4").read_bytes() == Path("three.mp4").read_bytes()
