"""TalkingGaussian's checkpoints become avatars that compute what its own nets do."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from official_avatar import capture, save_branches, save_fuse, state_of, with_features
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.importing import import_avatar, rows_earlier, with_fields
from talking_heads.hmtalker_core.model.published import build_motion_net
from talking_heads.hmtalker_core.official import read_branch, read_fuse
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES, UPPER_INDEX, ExpressionTrack
from talking_heads.media_core.speech import encode_speech, open_encoder

TG_UNITS = (0, 2, 3, 4, 5, 6)  # of the seven upper ones: 1, 4, 5, 6, 7, 45


@pytest.fixture(scope="module")
def dataset(tiny_dataset, tmp_path_factory):
    return with_features(tiny_dataset, tmp_path_factory.mktemp("official") / "person")


@pytest.fixture(scope="module")
def avatar_file(dataset):
    return import_avatar(dataset, dataset.parent / "imported.safetensors", fuse=save_fuse(dataset.parent / "fuse.pth"))


@pytest.fixture(scope="module")
def driven(dataset, avatar_file):
    """(avatar, motion of the dataset's own audio)."""
    avatar = load_avatar(avatar_file)
    speech = encode_speech(load_sound(dataset / "aud.wav"), open_encoder(dataset / "aud_ds.npy"))
    return avatar, avatar.drive(speech, silence_gate=False)


def test_it_moves_as_the_official_nets_do_on_the_windows_they_learnt_from(dataset, driven):
    avatar, motion = driven
    windows = np.load(dataset / "aud_ds.npy")
    at = 12  # its eight frames lie inside the clip, where real silence and the official zeros do not differ
    heard = torch.from_numpy(windows[at - 4:at + 4]).transpose(1, 2)[None]
    theirs, mouth = (build_motion_net(state_of(name), window=16) for name in ("motion_net_face", "motion_net_mouth"))
    units = motion.au[at][list(UPPER_INDEX)][list(TG_UNITS)][None]
    with torch.no_grad():
        wanted, inside = theirs(avatar.face.xyz, heard, units), mouth(avatar.mouth.xyz, heard)
        (d_xyz, d_rot, d_scale), d_mouth = avatar.offsets(motion, at, at + 1)
    for ours, official in ((d_xyz, wanted.d_xyz), (d_rot, wanted.d_rot), (d_scale, wanted.d_scale), (d_mouth, inside)):
        torch.testing.assert_close(ours, official, rtol=1e-4, atol=1e-6)
    assert float(d_xyz.abs().max()) > 0 and float(d_mouth.abs().max()) > 0


def test_windows_that_overlap_begin_a_row_before_ours():
    assert rows_earlier(16, 50, 25) == 1 and rows_earlier(2, 50, 25) == 0 and rows_earlier(1, 25, 25) == 0


def test_the_rest_comes_from_the_dataset(dataset, driven):
    avatar, motion = driven
    assert avatar.encoder == "deepspeech" and avatar.hears.earlier == 1
    assert [name for name, known in zip(AU_NAMES, avatar.au_known) if known] == ["AU01", "AU04", "AU05", "AU06", "AU07", "AU45"]
    assert avatar.config["training"] == {"imported from": "TalkingGaussian", "files": ["fuse.pth"]}
    assert "no licence" in avatar.licence and avatar.face_net.fusion == "implicit"
    rgb, alpha = next(avatar.render(motion, 5, 7))
    assert rgb.shape == (2, 64, 64, 3) and torch.isfinite(rgb).all() and float(alpha.max()) > 0.5


def test_both_branches_alone_give_the_same(dataset, avatar_file):
    face, mouth = save_branches(dataset.parent)
    again = load_avatar(import_avatar(dataset, dataset.parent / "branches.safetensors", face=face, mouth=mouth))
    first = load_avatar(avatar_file)
    for name in ("face", "mouth", "face_net", "mouth_net"):
        one, other = getattr(first, name).state_dict(), getattr(again, name).state_dict()
        assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_lower_units_that_it_never_learnt_do_nothing(dataset, driven):
    avatar, motion = driven
    speech = encode_speech(load_sound(dataset / "aud.wav"), open_encoder(dataset / "aud_ds.npy"))
    asked = ExpressionTrack(torch.where(torch.arange(17) < 6, torch.nan, 3.0).repeat(len(motion), 1), 25.0, "test")
    moved = avatar.drive(speech, expression=asked, silence_gate=False)
    assert torch.equal(moved.codes, motion.codes) and not torch.equal(moved.au, motion.au), "but for the lids"


def test_other_features_than_the_nets_are_refused(tiny_dataset, tmp_path):
    dataset = with_features(tiny_dataset, tmp_path / "person")
    with pytest.raises((FileFormatError, TalkingHeadsError)) as error:
        import_avatar(dataset, tmp_path / "a.safetensors", fuse=save_fuse(tmp_path / "f.pth", face="motion_net_face_ave"))
    assert not (tmp_path / "a.safetensors").exists() and "features" in str(error.value)


def test_what_is_no_checkpoint_is_refused(dataset, tmp_path):
    out = tmp_path / "a.safetensors"
    face, mouth = save_branches(tmp_path)
    fuse = save_fuse(tmp_path / "fuse.pth")
    for given in ({}, {"fuse": fuse, "face": face}, {"face": face}):
        with pytest.raises(TalkingHeadsError, match="chkpnt_fuse"):
            import_avatar(dataset, out, **given)
    for given in ({"fuse": face}, {"face": mouth, "mouth": face}, {"fuse": tmp_path / "none.pth"}):
        with pytest.raises(FileFormatError):
            import_avatar(dataset, out, **given)
    bad = {"short": capture(300, 1)[:12], "nan": _spoilt(1, torch.nan), "shape": _spoilt(6, 0.0, (5, 4)), "none": "text"}
    for name, captured in bad.items():
        torch.save((captured, state_of("motion_net_face"), {}, 1), tmp_path / f"{name}.pth")
        with pytest.raises(FileFormatError):
            read_branch(tmp_path / f"{name}.pth")
    (tmp_path / "half.pth").write_bytes(fuse.read_bytes()[:2000])
    with pytest.raises(FileFormatError, match="breaks off|cannot be read"):
        read_fuse(tmp_path / "half.pth")
    assert not out.exists()


def _spoilt(part: int, value: float, shape: tuple[int, ...] | None = None) -> tuple:
    held = list(capture(300, 1))
    held[part] = torch.full(shape or tuple(held[part].shape), value)
    return tuple(held)


def test_a_dataset_without_features_is_refused(tiny_dataset, tmp_path):
    with pytest.raises(TalkingHeadsError, match="aud_ds"):
        import_avatar(tiny_dataset, tmp_path / "a.safetensors", fuse=save_fuse(tmp_path / "f.pth"))


def test_an_avatar_takes_other_gaussians(driven):
    avatar, motion = driven
    fewer = type(avatar.face)(*(value[:100].clone() for value in (
        avatar.face.xyz, avatar.face.features_dc, avatar.face.features_rest, avatar.face.scaling, avatar.face.rotation,
        avatar.face.opacity)), active_sh_degree=2)
    other = with_fields(avatar, face=fewer)
    assert len(other.face) == 100 and other.fingerprint == avatar.fingerprint and len(avatar.face) == 300
    (d_xyz, *_), _ = other.offsets(motion, 3, 4)
    torch.testing.assert_close(d_xyz, avatar.offsets(motion, 3, 4)[0][0][:, :100], rtol=1e-5, atol=1e-7)
