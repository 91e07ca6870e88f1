"""The command that made the landmark networks runs, learns, and goes on where it stopped."""
import numpy as np
import pytest
import torch
from talking_heads.media_core.face.landmarks.landmark_net import LandmarkNets, load_nets
from talking_heads.weights import landmark_renders, landmark_samples, make_face_landmarks, make_face_presence


@pytest.fixture(scope="module")
def renders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("renders")
    for identity in (1000, 1001):
        np.savez(folder / f"{identity}.npz", **landmark_renders.person(identity, 3))
    return folder


def test_samples_keep_points_on_the_face(renders):
    data = landmark_samples.Renders(renders)
    template = make_face_landmarks.template_of(data.points.astype(float))
    assert np.linalg.norm(template[36] - template[45]) == pytest.approx(1) and abs(template[[36, 45]].mean(0)).max() < 1e-9
    views = landmark_samples.Sampler(data, template)(np.random.default_rng(3))
    assert len(views) == 2
    for view in views:
        assert view["face"].shape == (96, 96, 3) and view["mouth"].shape == (64, 64, 3) and view["eye"].shape == (2, 48, 48, 3)
        assert .2 < view["mouth_points"].mean() < .8 and .2 < view["eye_points"].mean() < .8
        assert (view["eye_points"][1, 3, 0] - view["eye_points"][1, 0, 0]) > 0  # mirrored: corners keep their order


def test_training_learns_and_goes_on(renders, tmp_path, capsys):
    out = tmp_path / "nets.safetensors"
    common = [str(renders), "--out", str(out), "--held-out", "1", "--batch", "4", "--workers", "0", "--rate", "1e-3"]
    make_face_landmarks.main([*common, "--steps", "3"])
    first = load_nets(out)
    make_face_landmarks.main([*common, "--steps", "5"])
    again = load_nets(out)
    said = capsys.readouterr().out
    assert "3 of 3" in said and "5 of 5" in said and "NME" in said
    changed = [not torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters())]
    assert all(changed) and len(changed) == len(list(LandmarkNets().parameters()))
    (renders / "state.pt").unlink()


def test_the_rate_rises_and_falls():
    rates = [make_face_landmarks.rate_at(step, 100, 3e-3) for step in range(100)]
    assert max(rates) == pytest.approx(3e-3, rel=.01) and rates[0] < 1e-4 > rates[-1] and np.argmax(rates) == 20


def test_presence_is_refitted_and_no_point_moves(renders, tmp_path, capsys):
    import shutil

    out = tmp_path / "nets.safetensors"
    shutil.copy(make_face_landmarks.OUT, out)
    make_face_presence.main([str(renders), "--weights", str(out), "--samples", "60", "--held-out", "1"])
    before, after = load_nets(make_face_landmarks.OUT).state_dict(), load_nets(out).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"face.head.weight", "face.head.bias"}
    for name in changed:
        assert torch.equal(before[name][:136], after[name][:136])
    assert "after, learnt: faces found 1.0" in capsys.readouterr().out


def test_the_logistic_fit_separates():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn(400, 6, generator=rng) * torch.tensor([1, 2, .1, 5, 1, 1]) + 3
    present = (features[:, 0] + features[:, 2] * 3 > 6.5).float()
    weight, bias = make_face_presence.fitted(features, present)
    assert ((features @ weight + bias > 0) == (present > .5)).float().mean() > .95
