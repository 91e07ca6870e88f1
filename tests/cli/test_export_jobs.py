"""`talking-heads export`: a page that speaks, a .glb of a frame, a .ply for each frame; the .ply of a branch stays as it was."""
from __future__ import annotations

import base64
import re
import shutil

import numpy as np
import pytest
from talking_heads.cli import main
from talking_heads.hmtalker_core.player_file import read_player_file
from talking_heads.hmtalker_core.ply import load_ply
from talking_heads.media_core.audio import Sound, save_wav


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_avatar):
    """An avatar with a basis and 0.4 s of a voice-like buzz."""
    from talking_heads.hmtalker_core import basis_fit

    folder, frames = tmp_path_factory.mktemp("export"), basis_fit.FRAMES
    at = np.arange(6400) / 16000
    save_wav(folder / "speech.wav", Sound((0.3 * np.sign(np.sin(2 * np.pi * 120 * at)))[None].astype(np.float32), 16000))
    basis_fit.FRAMES = 40
    try:
        assert main.main(["basis", str(tiny_avatar), "--components", "4", "--out", str(folder / "me.safetensors")]) == 0
    finally:
        basis_fit.FRAMES = frames
    return folder


@pytest.fixture
def run(place, tmp_path, monkeypatch):
    """run(*arguments) -> exit code, in a folder of its own that holds avatar and speech."""
    for name in ("me.safetensors", "speech.wav"):
        shutil.copy(place / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main.main(["export", "me.safetensors", *arguments])


def test_a_page_and_frames_at_once(run, tmp_path, capsys):
    assert run("page.html", "--audio", "speech.wav", "--frames", "frames", "--frame", "2", "--count", "3", "--head", "still",
               "--branch", "mouth") == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "10 frames" in told and "3 .ply files" in told
    film = re.search(r'id="film">([^<]+)<', (tmp_path / "page.html").read_text("utf8")).group(1)
    header, sections = read_player_file(base64.b64decode(film))
    assert (header["title"], header["frames"], len(header["weight_steps"])) == ("me", 10, 4) and sections["sound"]
    assert np.ptp(sections["cameras"], axis=0).max() == 0, "the head stands still"
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"frame_{i:06d}.ply" for i in (2, 3, 4)]
    assert len(load_ply("frames/frame_000002.ply")) < 160, "the mouth alone"


def test_a_glb_of_a_frame_or_at_rest(run, tmp_path, capsys):
    assert run("a.glb") == 0 and "at rest" in capsys.readouterr().out
    assert run("b.glb", "--audio", "speech.wav", "--frame", "3") == 0 and "in frame 3" in capsys.readouterr().out
    a, b = ((tmp_path / name).read_bytes() for name in ("a.glb", "b.glb"))
    assert a[:4] == b[:4] == b"glTF" and len(a) == len(b) and a != b


def test_a_branch_at_rest_as_before(run, capsys):
    assert run("face.ply") == 0 and "Gaussians of the face" in capsys.readouterr().out
    assert run("mouth.ply", "--branch", "mouth", "--scales", "softplus") == 0
    assert "Gaussians of the mouth" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, told", [
    (["a.obj"], "NAME.html"), ([], "--frames FOLDER"), (["a.html"], "--audio"), (["--frames", "x"], "--audio"),
    (["a.glb", "--frame", "1"], "--audio"), (["a.glb", "--audio", "speech.wav", "--frame", "10"], "0..9"),
    (["a.html", "--audio", "none.wav"], "none.wav"), (["--audio", "speech.wav", "--frames", "x", "--count", "0"], "1 or above")])
def test_what_cannot_be_is_told_and_leaves_nothing(run, tmp_path, capsys, arguments, told):
    before = sorted(tmp_path.iterdir())
    assert run(*arguments) == 1
    assert told in capsys.readouterr().err and sorted(tmp_path.iterdir()) == before
