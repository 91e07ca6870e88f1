"""`talking-heads motion` on a tiny network."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from hubert_folder import save_hubert
from PIL import Image
from talking_heads.cli.main import main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.claims import claim
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.video import probe
from talking_heads.moditalker_core.atom.checkpoints import save_atom
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.model import AToM


@pytest.fixture
def files(tmp_path):
    denoiser = DenoiserConfig(seq_len=16, latent_dim=16, ff_size=16, num_layers=1, num_heads=2, cond_feature_dim=80)
    config = AToMConfig(denoiser, SpeechInput("mel", "last", 80.0, 80, 1), steps=2, reference="any")
    save_atom(AToM(AToMDenoiser(denoiser), config, mean_face()), tmp_path / "tiny.safetensors")
    save_wav(tmp_path / "speech.wav", Sound(0.1 * np.random.default_rng(0).standard_normal((1, 12000)).astype(np.float32), 16000))
    LandmarkTrack(torch.from_numpy(mean_face())[None]).save(tmp_path / "face.safetensors")
    return tmp_path


def run(files, portrait, out, *more):
    return main(["motion", str(files / "speech.wav"), str(files / portrait), str(files / out), "--weights",
                 str(files / "tiny.safetensors"), "--device", "cpu", *more])


def test_sound_and_landmarks_become_a_film_and_a_track(files, capsys):
    assert run(files, "face.safetensors", "out.mp4", "--steps", "1") == 0
    film, motion = probe(files / "out.mp4"), LandmarkTrack.load(files / "out.safetensors")
    assert film.frames == len(motion) == 19 and film.has_sound and "19 frames" in capsys.readouterr().out


def test_auto_is_an_option_left_out(files, capsys):
    for out, more in (("out.safetensors", ()), ("auto.safetensors", ("--steps", "auto", "--guidance", "Auto"))):
        assert run(files, "face.safetensors", out, *more) == 0
    tracks = [LandmarkTrack.load(files / name).points for name in ("out.safetensors", "auto.safetensors")]
    assert torch.equal(*tracks)
    with pytest.raises(SystemExit):
        run(files, "face.safetensors", "out.mp4", "--steps", "some")
    assert "invalid int value: 'some'" in capsys.readouterr().err


@pytest.mark.parametrize("out, held", [("out.mp4", "out.safetensors"), ("out.mp4", "out.mp4"),
                                       ("out.safetensors", "out.safetensors")])
def test_another_run_that_writes_one_of_the_files_comes_first(files, capsys, out, held):
    with ThreadPoolExecutor(1) as other, ExitStack() as work:
        other.submit(work.enter_context, claim(files / held)).result()
        try:
            assert run(files, "nobody.png", out) == 1
        finally:
            other.submit(work.close).result()
    assert f"Only one run at a time can write {held}" in capsys.readouterr().err


def test_a_picture_without_a_face_leaves_nothing(files, capsys):
    Image.new("RGB", (64, 64)).save(files / "empty.png")
    assert run(files, "empty.png", "out.safetensors") == 1
    assert "face" in capsys.readouterr().err and not (files / "out.safetensors").exists()


@pytest.mark.parametrize("portrait, out, word", [("nobody.png", "out.mp4", "image"), ("face.safetensors", "out.avi", ".mp4"),
                                                 ("tiny.safetensors", "out.mp4", "landmarks")])
def test_wrong_files_are_told(files, capsys, portrait, out, word):
    assert run(files, portrait, out) == 1 and word in capsys.readouterr().err
    assert not (files / out).exists()


def test_a_picture_is_turned_as_its_camera_was_held(tmp_path):
    """A phone writes the sensor's rows and notes the turn."""
    from talking_heads.cli.motion_jobs import _portrait

    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20] = 255
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    exif = turned.getexif()
    exif[0x112] = 6  # to be shown a quarter turn clockwise
    turned.save(tmp_path / "phone.png", exif=exif)
    np.testing.assert_array_equal(_portrait(str(tmp_path / "phone.png")), upright)


@pytest.mark.parametrize("ending", ["tiff", "gif"])
def test_any_picture_is_a_portrait(tmp_path, ending):
    from talking_heads.cli.motion_jobs import _portrait

    Image.new("RGB", (30, 20), (255, 255, 255)).save(tmp_path / f"face.{ending}")
    assert _portrait(str(tmp_path / f"face.{ending}")).shape == (20, 30, 3)


@pytest.mark.parametrize("portrait, out", [("face.safetensors", "face.safetensors"), ("face.safetensors", "face.mp4"),
                                           ("face.safetensors", "tiny.mp4")])
def test_what_is_read_is_never_replaced(files, capsys, portrait, out):
    """Also not by the motion that a film gets beside it."""
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert run(files, portrait, out, "--steps", "1") == 1
    assert "replace" in capsys.readouterr().err and {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_not_there(files, capsys, device):
    assert run(files, "face.safetensors", "out.mp4", "--device", device) == 1
    told = capsys.readouterr().err
    assert "device" in told and device in told and "Got:" in told and "Error:" not in told


def test_the_model_folder_is_heard_at_the_layer_of_the_weights(files, capsys):
    save_hubert(files / "ears")
    denoiser = DenoiserConfig(seq_len=16, latent_dim=16, ff_size=16, num_layers=1, num_heads=2, cond_feature_dim=32)
    config = AToMConfig(denoiser, SpeechInput("ears", "1", 50.0, 32, 1), steps=2, reference="any")
    save_atom(AToM(AToMDenoiser(denoiser), config, mean_face()), files / "tiny.safetensors")
    encoder = ("--encoder", str(files / "ears"))
    done = run(files, "face.safetensors", "out.safetensors", *encoder)
    assert "Motion" in capsys.readouterr().err and done == 0
    assert run(files, "face.safetensors", "other.safetensors", *encoder, "--layer", "last") == 1
    told = capsys.readouterr().err
    assert "ears, layer 1" in told and "Motion" not in told  # refused before the audio is encoded, which can take minutes
