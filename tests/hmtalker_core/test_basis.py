"""The linear basis of an avatar: fitted, stored, rendered, refused."""
import numpy as np
import pytest
import torch
from talking_heads.cli import main
from talking_heads.hmtalker_core import basis_fit
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.drawing import drawn
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.media_core.speech import encode_speech


def voice(seconds):
    at = np.arange(int(seconds * 16000)) / 16000
    wave = 0.3 * np.sin(2 * np.pi * 150 * at) * (1 + np.sin(2 * np.pi * 3 * at))
    return Sound(wave[None].astype(np.float32), 16000)


@pytest.fixture(scope="module")
def speech():
    return [encode_speech(voice(seconds)) for seconds in (1.0, 0.7)]


@pytest.fixture
def fitted(tiny_avatar, speech, monkeypatch):
    monkeypatch.setattr(basis_fit, "FRAMES", 60)
    return tiny_avatar.with_basis(basis_fit.fit_basis(tiny_avatar, 6, speech))


def test_the_basis_follows_the_nets_and_says_how_closely(fitted, speech):
    motion, basis = fitted.drive(speech[1]), fitted.basis
    exact, fast = fitted.offsets(motion, 2, 6), fitted.offsets(motion, 2, 6, "basis")
    for wanted, got in zip((*exact[0], exact[1]), (*fast[0], fast[1])):
        assert got.shape == wanted.shape
        assert float((got - wanted).square().mean().sqrt()) <= 0.5 * float((wanted - wanted.mean()).square().mean().sqrt()) + 1e-6
    assert basis.components.dtype == torch.int8 and len(basis.scales) == 6 and basis.psnr > 30


def test_kernels_draw_the_basis_as_torch_does_in_any_chunk(fitted, speech):
    motion, picture = fitted.drive(speech[1]), fitted.picture(deformation="basis")
    with torch.inference_mode():
        wanted, _ = drawn(fitted, motion, 2, 6, picture)
    rgb = torch.cat([part for part, _ in fitted.render(motion, 2, 6, deformation="basis", chunk=3)])
    single = torch.cat([part for part, _ in fitted.render(motion, 2, 6, deformation="basis", chunk=1)])
    assert float((rgb - wanted).abs().max()) < 0.5 / 255 and torch.equal(rgb, single)


def test_the_file_carries_it_and_files_without_it_are_as_before(fitted, tiny_avatar, speech, tmp_path):
    path = save_avatar(fitted, tmp_path / "a.safetensors")
    again, motion = load_avatar(path), fitted.drive(speech[1])
    assert again.basis is not None and again.basis.psnr == pytest.approx(fitted.basis.psnr, abs=0.01)
    frames = [next(avatar.render(motion, 1, 3, deformation="basis"))[0] for avatar in (again, fitted)]
    assert torch.equal(*frames)
    assert torch.equal(next(again.render(motion, 1, 3))[0], next(tiny_avatar.render(motion, 1, 3))[0])
    assert load_avatar(save_avatar(tiny_avatar, tmp_path / "b.safetensors")).basis is None
    tensors, config = load_tensors(path, kind="avatar", version=1)
    for name, value in (("basis.mean", tensors["basis.mean"][:-1]), ("basis.points", tensors["basis.points"] + 10 ** 6)):
        save_tensors(tmp_path / "c.safetensors", tensors | {name: value}, kind="avatar", version=1, config=config)
        with pytest.raises(TalkingHeadsError):
            load_avatar(tmp_path / "c.safetensors")


def test_what_cannot_be_fitted_is_refused(tiny_avatar, speech, tmp_path):
    motion = tiny_avatar.drive(speech[1])
    with pytest.raises(TalkingHeadsError, match="two recordings"):
        basis_fit.fit_basis(tiny_avatar, 6, speech[:1])
    with pytest.raises(TalkingHeadsError, match="components"):
        basis_fit.fit_basis(tiny_avatar, 0)
    with pytest.raises(TalkingHeadsError, match="deformation"):
        next(tiny_avatar.render(motion, deformation="quick"))
    with pytest.raises(TalkingHeadsError, match="hubert"):
        basis_fit.fit_basis(tiny_avatar.with_config(encoder="hubert"))


def test_the_command_stores_it(tiny_avatar_path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(basis_fit, "FRAMES", 40)
    out = tmp_path / "out.safetensors"
    assert main.main(["basis", str(tiny_avatar_path), "--components", "4", "--out", str(out)]) == 0, capsys.readouterr().err
    assert "4 components" in capsys.readouterr().out and len(load_avatar(out).basis.scales) == 4
