"""`talking-heads video` with tiny networks: what it writes, how it stops, and what it says of wrong files."""
from __future__ import annotations

import shutil
import signal
import struct
import warnings
import weakref
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from atom_files import save_tiny_atom
from mtov_files import SIZE, save_tiny_mtov
from pack import ROOT
from PIL import Image
from talking_heads.cli.main import FAILED, INTERRUPTED, OK, USAGE, main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.face.crop import FaceCrop
from talking_heads.media_core.video import VideoWriter, probe, read_frames
from talking_heads.moditalker_core.mtov import generation, scenes
from talking_heads.moditalker_core.pipeline import portrait_motion

PORTRAIT = ROOT / "demo" / "demo_portrait.jpg"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """0.6 s of noise, a face of 256 px, its motion of 9 frames, tiny weights, and what is none of these."""
    folder = tmp_path_factory.mktemp("given")
    save_wav(folder / "speech.wav", Sound(0.1 * np.random.default_rng(0).standard_normal((1, 9600)).astype(np.float32), 16000))
    face = Image.open(PORTRAIT).convert("RGB").resize((256, 256))
    face.save(folder / "me.png")
    still = portrait_motion(np.array(face))
    still.with_data(still.points.repeat(9, 1, 1)).save(folder / "motion.safetensors")
    Image.new("RGB", (64, 64)).save(folder / "empty.png")
    (folder / "words.txt").write_text("hello")
    head = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    (folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4, "big") + b"\0\0\0\0IDAT")
    save_tiny_atom(folder / "atom.safetensors")
    save_tiny_mtov(folder / "mtov.safetensors", margin=1.6)
    with VideoWriter(folder / "dark.mp4", 64, 64, 25) as film:
        film.write(np.zeros((5, 64, 64, 3), np.uint8))
    return folder


@pytest.fixture
def files(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def run(files: Path, *more: str, face: str = "me.png", out: str = "out.mp4", sound: str = "speech.wav") -> int:
    motion = () if "--motion" in more else ("--atom", str(files / "atom.safetensors"))
    return main(["video", str(files / sound), str(files / face), str(files / out), "--carrier", "redraw",
                 "--mtov", str(files / "mtov.safetensors"), "--device", "cpu", "--steps", "1", *motion, *more])


def frames(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path)))


def names(files: Path) -> set[str]:
    return {path.name for path in files.iterdir()}


def test_a_picture_says_a_sentence(files, capsys):
    """No warning on the way either: Pillow's pictures cannot be written to."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(files) == OK
    film, told = probe(files / "out.mp4"), capsys.readouterr()
    assert (film.frames, film.fps, film.width, film.height, film.has_sound) == (15, 25, 256, 256, True)
    assert told.out.startswith(f"{files / 'out.mp4'}\n15 frames, 0.60 s at 25 fps")
    assert told.err.split("\n")[:2] == ["Motion", "Video"]
    whole = np.asarray(Image.open(files / "me.png"), np.int16)
    off = np.abs(frames(files / "out.mp4") - whole)
    assert off[:, :2].mean() < 4 < off[:, 100:200, 80:180].mean()  # the networks know nothing, and paint the square only


def test_a_saved_motion_decides_instead_of_the_sound(files, capsys):
    """As long as the motion; the sound is cut. The seed decides the noise, the batch does not decide the film."""
    motion = ("--motion", str(files / "motion.safetensors"), "--no-paste")
    assert run(files, *motion) == OK and "9 frames" in capsys.readouterr().out
    film = probe(files / "out.mp4")
    assert (film.frames, film.width, film.height, film.has_sound) == (9, SIZE, SIZE, True)
    assert run(files, *motion, "--sampler", "dpm++", "--batch", "2", out="same.mp4") == OK
    assert run(files, *motion, "--sampler", "dpm++", "--batch", "1", out="again.mp4") == OK
    assert run(files, *motion, "--sampler", "dpm++", "--seed", "5", out="other.mp4") == OK
    same, again, other = (frames(files / f"{name}.mp4").astype(int) for name in ("same", "again", "other"))
    assert np.abs(same - again).mean() < 1 < np.abs(same - other).mean()


def test_a_film_gets_another_mouth(files, tiny_film, capsys):
    """What lies outside the square is the film's, in its order."""
    shutil.copy(tiny_film, files / "me.mp4")
    assert run(files, face="me.mp4") == OK
    assert capsys.readouterr().err.split("\n")[:3] == ["Tracking the face", "Motion", "Video"]
    before, after = frames(tiny_film)[:15].astype(int), frames(files / "out.mp4")
    assert after.shape == before.shape
    assert np.abs(after - before)[:, :, :8].mean() < 3 < np.abs(after - before).mean()


def test_a_moving_image_may_be_called_a_video(files, tiny_film, capsys):
    """A GIF is an image, unless told otherwise."""
    pictures = [Image.fromarray(frame) for frame in frames(tiny_film)[:12]]
    pictures[0].save(files / "me.gif", save_all=True, append_images=pictures[1:], duration=40)
    motion = ("--motion", str(files / "motion.safetensors"))
    assert run(files, *motion, face="me.gif") == OK and "Tracking" not in capsys.readouterr().err
    assert run(files, *motion, "--video", face="me.gif") == OK and "Tracking" in capsys.readouterr().err


@pytest.mark.parametrize("given, policy", [((), "skip"), (("--policy", "error"), "error")])
def test_frames_without_a_face_are_named_at_the_end(files, capsys, monkeypatch, given, policy):
    """Where the policy leaves them alone; here a film's scene is the portrait's, and said to lack a face now and then."""
    asked = []

    def film_scene(opened, config, **named):
        asked.append((named["policy"], next(opened(0)).shape))
        still = scenes.portrait_scene(np.array(Image.open(PORTRAIT).convert("RGB")), config)
        source = still.source.with_data(still.source.points.repeat(12, 1, 1))
        return replace(still, source=source, faceless=np.arange(12) % 11 == 3)

    monkeypatch.setattr(scenes, "film_scene", film_scene)
    assert run(files, "--motion", str(files / "motion.safetensors"), *given, face="dark.mp4") == OK
    assert "no face in the video's frames 3: left unchanged" in capsys.readouterr().out and asked == [(policy, (64, 64, 3))]


def test_ctrl_c_leaves_the_folder_as_it_was(files, capsys, monkeypatch):
    """Also the film that is there under this name."""
    (files / "out.mp4").write_bytes(b"older")
    before, real, clips = names(files), generation._Job._sampled, []

    def sampled(job, *given):
        clips.append(names(files) - before)
        if len(clips) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(job, *given)

    monkeypatch.setattr(generation._Job, "_sampled", sampled)
    assert run(files) == INTERRUPTED and "Interrupted." in capsys.readouterr().err
    assert len(clips) == 2 and clips[1], "it was stopped while the film was being written"
    assert names(files) == before and (files / "out.mp4").read_bytes() == b"older"


def test_frames_are_gone_once_they_are_written(files, monkeypatch):
    """So memory does not grow with the film's length."""
    born, alive, real_paste, real_write = [], [], FaceCrop.paste_back, VideoWriter.write

    def paste_back(crop, *given, **how):
        frame = real_paste(crop, *given, **how)
        born.append(weakref.ref(frame))
        return frame

    def write(film, frame):
        alive.append(sum(one() is not None for one in born))
        real_write(film, frame)

    monkeypatch.setattr(FaceCrop, "paste_back", paste_back)
    monkeypatch.setattr(VideoWriter, "write", write)
    assert run(files, "--motion", str(files / "motion.safetensors")) == OK
    assert len(born) == len(alive) == 9 and max(alive) <= 2


@pytest.mark.parametrize("given, more, words", [
    ({"face": "nobody.png"}, (), ["image or a video", "nobody.png"]),
    ({"face": "words.txt"}, (), ["image or a video", "words.txt", "the video must"]),
    ({"face": "words.txt"}, ("--film",), ["must be a video", "words.txt"]),
    ({"face": "."}, (), ["image or a video"]),
    ({"face": "empty.png"}, (), ["must show a face", "none found"]),
    ({"face": "empty.png"}, ("--tracker", "rendered"), ["upright, frontal face"]),
    ({"face": "dark.mp4"}, (), ["face"]),
    ({"sound": "words.txt"}, (), ["audio", "words.txt"]),
    ({"sound": "absent.wav"}, (), ["audio", "absent.wav"]),
    ({"out": "out.avi"}, (), [".mp4", "out.avi"]),
    ({}, ("--mtov", "atom.safetensors"), ["mtov", "atom"]),
    ({}, ("--mtov", "absent.safetensors"), ["absent.safetensors"]),
    ({}, ("--motion", "atom.safetensors"), ["landmarks", "atom"]),
    ({}, ("--calls", "0"), ["strength steps", " 0 steps"]),
    ({}, ("--schedule-steps", "0"), ["schedule"]),
    ({}, ("--batch", "0"), ["--batch must be", "Got: 0."]),
    ({}, ("--seed", "-1"), ["seed must be", "Got: -1."]),
    ({"face": "huge.png"}, (), ["100 megapixels", "huge.png"]),
    ({}, ("--device", "banana"), ["device", "banana"])])
def test_what_is_wrong_is_told(files, capsys, monkeypatch, given, more, words):
    """In three parts, before any motion is made, and nothing is left."""
    monkeypatch.chdir(files)
    before = names(files)
    assert run(files, *more, **given) == FAILED
    told = capsys.readouterr().err
    assert all(word in told for word in words) and "Got:" in told and "Error:" not in told and "Motion" not in told
    assert names(files) == before


@pytest.mark.parametrize("given, more", [({"sound": "film.mp4", "out": "film.mp4"}, ()), ({"face": "a.mp4", "out": "a.mp4"}, ()),
                                         ({"out": "m.mp4"}, ("--motion", "m.mp4"))])
def test_what_is_read_is_never_replaced(files, capsys, monkeypatch, given, more):
    monkeypatch.chdir(files)
    assert run(files, *more, **given) == FAILED and "replace" in capsys.readouterr().err


def test_atom_or_a_motion(files):
    with pytest.raises(SystemExit) as stopped:
        run(files, "--motion", "a", "--atom", "b")
    assert stopped.value.code == USAGE
