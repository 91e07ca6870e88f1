"""`talking-heads motion` on a tiny network."""
import numpy as np
import pytest
import torch
from PIL import Image
from talking_heads.host.cli import main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.face.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.video import probe
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.checkpoints import save_atom


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


def test_a_picture_without_a_face_leaves_nothing(files, capsys):
    Image.new("RGB", (64, 64)).save(files / "empty.png")
    assert run(files, "empty.png", "out.safetensors") == 1
    assert "face" in capsys.readouterr().err and not (files / "out.safetensors").exists()


@pytest.mark.parametrize("portrait, out, word", [("nobody.png", "out.mp4", "picture"), ("face.safetensors", "out.avi", ".mp4"),
                                                 ("tiny.safetensors", "out.mp4", "landmarks")])
def test_wrong_files_are_told(files, capsys, portrait, out, word):
    assert run(files, portrait, out) == 1 and word in capsys.readouterr().err
    assert not (files / out).exists()
