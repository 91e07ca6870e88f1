"""`talking-heads avatar`, and `--encoder` from capture to video: an avatar that hears through a (tiny, random) HuBERT."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hubert_folder import save_hubert
from talking_heads.cli import main
from talking_heads.media_core.audio import Sound, save_wav


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A HuBERT folder and 0.4 s of noise."""
    folder = tmp_path_factory.mktemp("avatar job")
    save_hubert(folder / "ears")
    samples = np.random.default_rng(0).standard_normal((1, 6400)) * 0.1
    save_wav(folder / "speech.wav", Sound(samples.astype(np.float32), 16000))
    return folder


@pytest.fixture(scope="module")
def hubert_avatar(place, tiny_dataset) -> Path:
    """An avatar trained by the command line for a step of each phase, on layer 1 of that HuBERT."""
    out = place / "me.safetensors"
    assert main.main(["train", "avatar", str(tiny_dataset), str(out), "--steps", "0.001", "--device", "cpu", "--encoder",
                      str(place / "ears"), "--layer", "1"]) == 0
    return out


@pytest.fixture
def run(place, tmp_path, monkeypatch):
    """run(avatar, *options) -> exit code; the video is out.mp4 in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda avatar, *options: main.main(["avatar", str(avatar), str(place / "speech.wav"), "out.mp4", "--device", "cpu",
                                               *options])


def test_the_avatar_file_says_what_it_hears(hubert_avatar):
    from talking_heads.hmtalker_core.checkpoints import load_avatar

    avatar = load_avatar(hubert_avatar)
    assert (avatar.hears.encoder, avatar.hears.layer, avatar.hears.dim, avatar.hears.rate) == ("ears", "1", 32, 50.0)
    assert avatar.config["audio"] == {"audio_dim": 32, "audio_window": 2, "audio_kind": "conv"}
    assert avatar.hears.silence.shape == (32,) and not avatar.config["speech_prior"]


def test_it_speaks(run, hubert_avatar, place, capsys):
    from talking_heads.media_core.video import probe

    assert run(hubert_avatar, "--encoder", str(place / "ears"), "--background", "green") == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "10 frames" in told and probe("out.mp4").frames == 10 and probe("out.mp4").has_sound  # at the avatar's own layer


@pytest.mark.parametrize("options, words", [
    ([], ("'ears', layer 1", "--encoder DIR")), (["--encoder", "mel"], ("'ears', layer 1", "'mel', layer last")),
    (["--encoder", "ears", "--layer", "last"], ("'ears', layer 1", "'ears', layer last")),
    (["--encoder", "nobody"], ("must be one of mel", "'nobody'"))])
def test_speech_of_another_encoder_or_layer_is_refused(run, hubert_avatar, place, options, words, capsys):
    options = [str(place / "ears") if option == "ears" else option for option in options]
    assert run(hubert_avatar, *options) == 1
    told = capsys.readouterr().err
    assert all(word in told for word in words) and not Path("out.mp4").exists()
    assert "Encoding" not in told  # it is refused before that, which can take minutes


def test_an_avatar_of_before_is_driven_by_mel_without_being_told(run, place, root, capsys):
    assert run(root / "weights" / "demo_avatar.safetensors") == 0, capsys.readouterr().err
    assert run(root / "weights" / "demo_avatar.safetensors", "--encoder", str(place / "ears")) == 1
    assert "'mel', layer last" in capsys.readouterr().err


def test_face_head_and_background_are_given(run, hubert_avatar, place, tmp_path, capsys):
    import cv2
    import numpy as np
    import torch
    from talking_heads.media_core.motion import ExpressionTrack
    from talking_heads.media_core.video import probe, read_frames

    ExpressionTrack(torch.full((4, 17), 2.0), 30.0).save(tmp_path / "face.safetensors")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((30, 40, 3), (200, 20, 20), np.uint8))  # blue
    options = ["--encoder", str(place / "ears"), "--expression", "face.safetensors", "--head", "sway", "--head-amount", "2"]
    assert run(hubert_avatar, *options, "--background-image", "wall.png") == 0, capsys.readouterr().err
    shown = next(read_frames("out.mp4", 25.0))
    assert abs(shown[2, 2].astype(int) - (20, 20, 200)).max() < 12
    speech = str(place / "speech.wav")
    clear = ["avatar", str(hubert_avatar), speech, "out.webm", "--device", "cpu", "--background", "transparent"]
    assert main.main([*clear, *options]) == 0, capsys.readouterr().err
    assert probe("out.webm").frames == 10
    assert run(hubert_avatar, *options, "--background", "transparent") == 1
    assert ".webm" in capsys.readouterr().err


@pytest.mark.parametrize("size, wanted", [("96", (96, 96)), ("96x64", (96, 64))])
def test_any_size(run, hubert_avatar, place, size, wanted, capsys):
    from talking_heads.media_core.video import probe

    assert run(hubert_avatar, "--encoder", str(place / "ears"), "--size", size) == 0, capsys.readouterr().err
    assert (probe("out.mp4").width, probe("out.mp4").height) == wanted
    with pytest.raises(SystemExit):
        run(hubert_avatar, "--size", "wide")
    assert "640x480" in capsys.readouterr().err


def test_wrong_usage(run, hubert_avatar, capsys):
    assert run(hubert_avatar, "--layer", "9") == 2
    assert "--layer" in capsys.readouterr().err
    assert main.main(["avatar", str(hubert_avatar), "speech.wav", "out.avi"]) == 1
    assert ".mp4" in capsys.readouterr().err


def test_a_capture_writes_the_features_of_a_model(place, tmp_path, monkeypatch, capsys):
    from capture_video import Oracle, placed, talk, write_film
    from talking_heads.media_core.capture import pipeline
    from talking_heads.media_core.speech import Speech

    said = talk(1.4)
    frames, points = placed(said, 144, 144, 8, 8)
    film = write_film(tmp_path / "me.mp4", frames, sound=said.sound)
    monkeypatch.setattr(pipeline, "make_tracker", lambda kind, **options: Oracle(points))
    command = ["capture", str(film), str(tmp_path / "set"), "--size", "64", "--no-masks", "--encoder", str(place / "ears")]
    assert main.main(command) == 0, capsys.readouterr().err
    assert Speech.load(tmp_path / "set" / "speech_ears.safetensors").features.shape[1] == 32
    assert '"encoder": "ears"' in (tmp_path / "set" / "manifest.json").read_text("utf8")
