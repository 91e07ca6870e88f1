"""`talking-heads video` as it is by default: the image's own pixels move, and no MToV is needed."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from atom_files import save_tiny_atom
from pack import ROOT
from PIL import Image
from talking_heads.cli.main import FAILED, OK, main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.face.trackers import still_landmarks
from talking_heads.media_core.video import probe, read_frames
from talking_heads.moditalker_core.pipeline import portrait_motion

SIZE, FRAMES = 192, 8


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A face, the same on a transparent background, its motion of 8 frames whose mouth opens, 0.4 s of audio, a tiny AToM."""
    folder = tmp_path_factory.mktemp("given")
    face = Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((SIZE, SIZE))
    face.save(folder / "me.png")
    clear = face.copy()
    y, x = np.mgrid[:SIZE, :SIZE]
    clear.putalpha(Image.fromarray((255 * (np.hypot(y - 96, x - 96) < 90)).astype(np.uint8)))
    clear.save(folder / "clear.png")
    still = portrait_motion(np.asarray(face))
    points = still.points.repeat(FRAMES, 1, 1)
    points[FRAMES // 2:, [57, 66], 1] -= 0.12
    points[FRAMES // 2:, 8, 1] -= 0.12
    still.with_data(points).save(folder / "motion.safetensors")
    save_wav(folder / "speech.wav", Sound(0.1 * np.random.default_rng(0).standard_normal((1, 6400)).astype(np.float32), 16000))
    save_tiny_atom(folder / "atom.safetensors")
    return folder


@pytest.fixture
def files(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def run(files: Path, *more: str, face: str = "me.png", out: str = "out.mp4") -> int:
    motion = () if "--atom" in more else ("--motion", str(files / "motion.safetensors"))
    return main(["video", str(files / "speech.wav"), str(files / face), str(files / out), "--device", "cpu", *motion, *more])


def frames(path: Path) -> np.ndarray:
    return np.stack(list(read_frames(path))).astype(int)


def test_the_images_own_pixels_move(files, capsys):
    """At its own size, without an MToV; without life only the mouth moves."""
    assert run(files, "--life", "0") == OK
    told, facts = capsys.readouterr(), probe(files / "out.mp4")
    assert (facts.frames, facts.width, facts.height, facts.fps, facts.has_sound) == (FRAMES, SIZE, SIZE, 25, True)
    assert told.err.split("\n")[0] == "Video" and "8 frames" in told.out
    made, whole = frames(files / "out.mp4"), np.asarray(Image.open(files / "me.png"), int)
    assert np.abs(made[0] - whole).mean() < 4
    points = still_landmarks("people", np.asarray(Image.open(files / "me.png"))).points
    eyes, mouth = int(points[36:48, 1].max()), points[48:68].mean(0).astype(int)
    change = np.abs(made[-1] - made[0]).mean(-1)
    assert change[:eyes].mean() < 1.5 and change[mouth[1] - 2:mouth[1] + 10, mouth[0] - 7:mouth[0] + 7].mean() > 10


def test_life_and_seed(files):
    """Life moves more than the mouth, and the seed decides how."""
    for name, more in (("still", ("--life", "0")), ("one", ()), ("same", ()), ("other", ("--seed", "7"))):
        assert run(files, "--atom", str(files / "atom.safetensors"), "--motion-steps", "1", *more, out=f"{name}.mp4") == OK
    still, one, same, other = (frames(files / f"{name}.mp4") for name in ("still", "one", "same", "other"))
    assert len(still) == 10 and np.array_equal(one, same)
    assert np.abs(one - still).mean() > 0.1 and np.abs(one - other).mean() > 0.1


@pytest.mark.parametrize("out", ["out.webm", "out.mov"])
@pytest.mark.parametrize("carrier", ["picture", "redraw"])
def test_a_transparent_background_stays(files, out, carrier):
    import av
    from mtov_files import save_tiny_mtov

    save_tiny_mtov(files / "mtov.safetensors", margin=1.6)
    more = ("--mtov", str(files / "mtov.safetensors"), "--steps", "1") if carrier == "redraw" else ("--life", "0")
    assert run(files, "--carrier", carrier, *more, face="clear.png", out=out) == OK
    with av.open(str(files / out)) as film:
        stream = film.streams.video[0]
        if out == "out.webm":
            assert stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1"
            return
        assert stream.codec_context.pix_fmt.startswith("yuva444p")
        alpha = next(film.decode(stream)).to_ndarray(format="rgba")[..., 3]
    assert (alpha[:4, :4] < 8).all() and (alpha[90:100, 90:100] > 247).all()


def test_mp4_shows_black_and_says_so(files, caplog):
    assert run(files, face="clear.png") == OK
    assert ".mp4 cannot be transparent" in caplog.text and ".webm or .mov" in caplog.text
    assert frames(files / "out.mp4")[:, :4, :4].mean() < 8


def test_a_films_person_says_something_else(files, tiny_film, capsys):
    shutil.copy(tiny_film, files / "me.mp4")
    assert run(files, "--tracker", "rendered", face="me.mp4") == OK
    assert capsys.readouterr().err.split("\n")[:2] == ["Tracking the face", "Video"]
    before, after = frames(files / "me.mp4")[:FRAMES], frames(files / "out.mp4")
    assert after.shape == before.shape and np.abs(after - before)[:, :60].mean() < 3


def test_one_of_several_faces(files):
    """The largest first."""
    whole = Image.new("RGB", (2 * SIZE, SIZE))
    face = Image.open(files / "me.png")
    whole.paste(face, (0, 0))
    whole.paste(face.resize((150, 150)), (SIZE + 20, 20))
    whole.save(files / "two.png")
    first, second = [], []
    for number, found in (("0", first), ("1", second)):
        assert run(files, "--life", "0", "--face-index", number, face="two.png", out=f"{number}.mp4") == OK
        made = frames(files / f"{number}.mp4")
        change = np.abs(made[-1] - made[0]).mean(-1)
        found += [float(change[:, :SIZE].max()), float(change[:, SIZE:].max())]
    assert first[0] > 20 > first[1] and second[1] > 20 > second[0]


@pytest.mark.parametrize("carrier", ["picture", "redraw"])
def test_speech_through_a_folder_of_hubert(files, capsys, carrier):
    from hubert_folder import save_hubert
    from mtov_files import save_tiny_mtov
    from talking_heads.moditalker_core.atom.config import SpeechInput

    save_hubert(files / "ears")
    save_tiny_mtov(files / "mtov.safetensors", margin=1.6)
    atom = str(save_tiny_atom(files / "hears.safetensors", speech=SpeechInput("ears", "1", 50.0, 32)))
    more = ("--atom", atom, "--carrier", carrier, "--mtov", str(files / "mtov.safetensors"), "--steps", "1",
            "--motion-steps", "1")
    assert run(files, *more, "--encoder", str(files / "ears")) == OK and probe(files / "out.mp4").frames == 10
    capsys.readouterr()
    assert run(files, *more, "--encoder", "mel") == FAILED and "'ears', layer 1" in capsys.readouterr().err


def test_how_the_motion_is_sampled(files, monkeypatch):
    """Every setting of AToM reaches it."""
    from talking_heads.moditalker_core import pipeline

    seen, real = [], pipeline.generate_motion
    monkeypatch.setattr(pipeline, "generate_motion", lambda *args: seen.append(args[3]) or real(*args))
    more = ("--motion-sampler", "unipc", "--motion-steps", "2", "--motion-eta", "0.5", "--motion-overlap", "3",
            "--guidance", "1.5", "--clip", "4", "--no-gate", "--seed", "5")
    assert run(files, "--atom", str(files / "atom.safetensors"), "--life", "0", *more) == OK
    (one,) = seen
    assert (one.sampler, one.steps, one.eta, one.overlap, one.guidance, one.clip, one.gate, one.seed) == (
        "unipc", 2, 0.5, 3, 1.5, 4.0, False, 5)


def test_how_a_redrawn_video_is_sampled(files, monkeypatch):
    """Every setting of MToV reaches it."""
    from mtov_files import save_tiny_mtov
    from talking_heads.moditalker_core import pipeline

    save_tiny_mtov(files / "mtov.safetensors", margin=1.6)
    seen, real = [], pipeline.talk
    monkeypatch.setattr(pipeline, "talk", lambda *args, **more: seen.append(args[3]) or real(*args, **more))
    more = ("--mtov", str(files / "mtov.safetensors"), "--sampler", "dpm++", "--steps", "2", "--strength", "0.125",
            "--eta", "0.5", "--overlap", "1", "--boundary-correction", "0.5", "--detail-residual", "on", "--noise", "own",
            "--resize", "bilinear")
    assert run(files, "--carrier", "redraw", *more) == OK
    (one,) = seen
    assert (one.sampler, one.calls, one.ratio, one.eta, one.overlap, one.settle, one.anchored, one.noise, one.resize) == (
        "dpm++", 2, 0.125, 0.5, 1, 0.5, True, "own", "bilinear")


def test_options_of_mtov_are_named_as_without_effect(files, caplog):
    assert run(files, "--steps", "4", "--noise", "own", "--mtov", "absent.safetensors") == OK
    assert "--mtov, --steps, --noise: without effect" in caplog.text


@pytest.mark.parametrize("more, words", [
    (("--life", "2"), ["life of a portrait", "2"]),
    (("--no-paste", "--carrier", "picture"), ["--no-paste", "--carrier picture", "--carrier redraw"]),
    (("--seed", "-1"), ["--seed", "-1"]),
    (("--face-index", "-1"), ["--face-index", "-1"]),
    (("--face-index", "1"), ["face"]),
    (("--carrier", "redraw", "--strength", "7"), ["7"]),
    (("--carrier", "redraw", "--boundary-correction", "2"), ["boundary correction", "2"]),
    (("--carrier", "redraw", "--overlap", "999"), ["share", "999"]),
    (("--carrier", "redraw", "--eta", "-2"), ["-2"])])
def test_what_is_wrong_is_told(files, capsys, more, words):
    before = {path.name for path in files.iterdir()}
    assert run(files, *more) == FAILED
    told = capsys.readouterr().err
    assert all(word in told for word in words) and "Got:" in told and "Error:" not in told
    assert {path.name for path in files.iterdir()} == before
