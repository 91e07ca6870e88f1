"""The lip network: trained beside the denoiser, kept in the file, and followed without harm to silence, chunks or other files."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from motion_data import TINY, make_motion_dataset
from safetensors.torch import load_file
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.files import load_tensors, save_tensors
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import INNER_PAIRS, closed_mouth, lip_aperture, resting_face
from talking_heads.media_core.speech import Speech, encode_speech
from talking_heads.moditalker_core.atom.checkpoints import load_atom, save_atom
from talking_heads.moditalker_core.atom.config import LipConfig, SpeechInput
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion, motion_frames
from talking_heads.moditalker_core.atom.lip_training import unfinished_lips
from talking_heads.moditalker_core.atom.lips import (
    JAW,
    MOST_GAIN,
    STRANGE,
    WIDER,
    LipCurves,
    LipNetwork,
    certain,
    lip_curves,
    lips_shut,
    opening_of,
    spread_gain,
    uncrossed,
)
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.atom.training import train_atom, unfinished_path
from voices import voice

from .test_generation import tiny_atom

WITH_LIPS = replace(TINY, lips=1.0)
MEL = SpeechInput("mel", "last", 80.0, 80, 1)


def random_lips() -> LipNetwork:
    """A network that moves the lips wildly."""
    config, generator = LipConfig(width=8, layers=2, spread=0.4), torch.Generator().manual_seed(0)
    network = LipNetwork(config, MEL)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / max(1, parameter[0].numel()) ** 0.5
    network.scale.fill_(3)
    network.reach.fill_(2)
    mouth = torch.zeros(68, 3)
    mouth[[*range(4, 13), *range(48, 68)]] = 1
    shapes = torch.randn(config.shapes, 204, generator=generator) * mouth.flatten()
    network.shapes.copy_(torch.linalg.qr(shapes.T)[0].T)
    return network.eval()


def with_lips(**changes) -> AToM:
    return tiny_atom(**changes).with_lips(random_lips())


def face() -> LandmarkTrack:
    return LandmarkTrack(torch.as_tensor(mean_face())[None])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_motion_dataset(tmp_path_factory.mktemp("motion") / "data")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("atom") / "a.safetensors"
    train_atom(data, path, WITH_LIPS)
    return path


# -------------------------------------------------------------------------------------------------------------- training

def test_training_adds_a_lip_network_and_leaves_the_denoiser_as_it_was(data, trained, tmp_path):
    train_atom(data, tmp_path / "plain.safetensors", TINY)
    plain, both = load_file(tmp_path / "plain.safetensors"), load_file(trained)
    assert all(torch.equal(value, both[name]) for name, value in plain.items())
    names = LipNetwork(LipConfig(), MEL).state_dict()
    assert {name for name in both if name not in plain} == {f"lips.{name}" for name in names}
    atom = load_atom(trained)
    assert atom.lips is not None and atom.config.lips == atom.lips.config and atom.lips.config.spread > 0
    shapes = atom.lips.shapes
    assert torch.allclose(shapes @ shapes.T, torch.eye(len(shapes)), atol=1e-5)
    assert not shapes.unflatten(-1, (68, 3))[:, 17:48].any()
    assert not unfinished_path(trained).exists() and not unfinished_lips(trained).exists()


def test_it_goes_on_where_it_was_stopped_to_the_same_weights(data, trained, tmp_path):
    path = tmp_path / "a.safetensors"

    def stop(done, total, info, preview):
        assert total == 12
        if done == 9:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_atom(data, path, WITH_LIPS, report=stop)
    assert unfinished_lips(path).exists()
    steps = []
    train_atom(data, path, WITH_LIPS, report=lambda done, *_: steps.append(done))
    assert steps == [10, 11, 12] and not unfinished_lips(path).exists()
    again, whole = load_file(path), load_file(trained)
    assert again.keys() == whole.keys() and all(torch.equal(again[name], whole[name]) for name in whole)


def test_fine_tuning_continues_it_or_keeps_it(data, trained, tmp_path):
    start = load_file(trained)
    for name, config, kept in (("kept", TINY, True), ("moved", WITH_LIPS, False)):
        train_atom(data, tmp_path / f"{name}.safetensors", config, start_from=trained)
        found = load_file(tmp_path / f"{name}.safetensors")
        lips = [key for key in found if key.startswith("lips.") and key.endswith(".weight")]
        assert lips and all(torch.equal(found[key], start[key]) == kept for key in lips)
        assert torch.equal(found["lips.shapes"], start["lips.shapes"])


def test_no_negative_number_of_steps():
    with pytest.raises(TalkingHeadsError, match="lips"):
        replace(TINY, lips=-1.0)


# -------------------------------------------------------------------------------------------------------------- file

def test_the_file_keeps_it_in_half_precision_and_an_atom_without_is_as_before(tmp_path):
    atom, plain = with_lips(), tiny_atom()
    whole, half = save_atom(atom, tmp_path / "a.safetensors"), save_atom(atom, tmp_path / "h.safetensors", half=True)
    assert load_atom(whole).config == atom.config
    for path, read in ((whole, lambda value: value), (half, lambda value: value.half().float())):
        lips, state = load_atom(path, dtype=torch.bfloat16).lips, atom.lips.state_dict()
        assert lips is not None and all(torch.equal(value, read(state[name])) for name, value in lips.state_dict().items())
    old = load_atom(save_atom(plain, tmp_path / "old.safetensors"))
    assert old.lips is None and not any(name.startswith("lips.") for name in load_file(tmp_path / "old.safetensors"))
    speech = encode_speech(voice(1.0))
    assert torch.equal(generate_motion(old, speech, face()).points, generate_motion(plain, speech, face()).points)


def test_a_header_of_before_has_no_lips(tmp_path):
    path = save_atom(tiny_atom(), tmp_path / "a.safetensors")
    tensors, header = load_tensors(path, kind="atom", version=1)
    assert header.pop("lips") is None
    save_tensors(path, tensors, kind="atom", version=1, config=header)
    assert load_atom(path).lips is None


def test_a_file_that_lacks_a_part_of_it_is_refused(tmp_path):
    path = save_atom(with_lips(), tmp_path / "a.safetensors")
    tensors, header = load_tensors(path, kind="atom", version=1)
    tensors.pop("lips.leave.bias")
    save_tensors(path, tensors, kind="atom", version=1, config=header)
    with pytest.raises(FileFormatError, match="leave.bias"):
        load_atom(path)
    with pytest.raises(TalkingHeadsError, match="kernel odd"):
        LipConfig(kernel=4)
    with pytest.raises(TalkingHeadsError, match="lip network"):
        AToM(tiny_atom().denoiser, tiny_atom().config, mean_face(), random_lips())


# -------------------------------------------------------------------------------------------------------------- generation

def test_any_range_of_frames_equals_the_same_frames_of_the_whole():
    atom, speech = with_lips(), encode_speech(voice(3.0, quiet=(1.2, 1.8)))
    whole = generate_motion(atom, speech, face()).points
    for start, stop in ((0, 1), (7, 40), (23, 60), (40, 75)):
        piece = torch.cat(list(motion_frames(atom, speech, face(), SamplingSettings(), start, stop)))
        assert torch.equal(piece, whole[start:stop]), (start, stop)


def test_in_silence_the_face_is_at_rest():
    speech = encode_speech(voice(3.0, quiet=(1.0, 2.0)))
    points = generate_motion(with_lips(), speech, face()).points
    quiet = speech.silent_frames(25.0)
    assert quiet.sum() > 7
    lower = [*range(4, 13), *range(48, 68)]
    assert (points[quiet] - resting_face(face().points[0]))[:, lower].abs().max() < 1e-4


def test_only_the_mouth_moves_and_the_lips_never_cross():
    speech, rest = encode_speech(voice(2.0)), resting_face(face().points[0])
    settings = SamplingSettings(gate=False)
    plain, moved = (generate_motion(atom, speech, face(), settings).points for atom in (tiny_atom(), with_lips()))
    assert torch.allclose(plain[:, 17:48], moved[:, 17:48], atol=1e-6) and not torch.allclose(plain, moved, atol=1e-2)
    for upper, lower in INNER_PAIRS:
        gap = moved[:, upper, 1] - moved[:, lower, 1]
        assert bool((gap >= rest[upper, 1] - rest[lower, 1] - 1e-5).all())


def test_less_guidance_follows_it_less():
    speech = encode_speech(voice(1.0))
    none = SamplingSettings(guidance=0.0, gate=False)
    plain, atom = tiny_atom(), with_lips()
    expected = uncrossed(generate_motion(plain, speech, face(), none).points, resting_face(face().points[0]))
    assert torch.allclose(generate_motion(atom, speech, face(), none).points, expected, atol=1e-5)


def test_curves_are_one_whatever_the_blocks(monkeypatch):
    network, speech = random_lips(), encode_speech(voice(2.0))
    whole = lip_curves(network, MEL, speech, 25.0)
    monkeypatch.setattr("talking_heads.moditalker_core.atom.lips.BLOCK", 13)
    parts = lip_curves(network, MEL, speech, 25.0)
    assert torch.allclose(whole.coefficients, parts.coefficients, atol=1e-4)
    assert torch.allclose(whole.closing, parts.closing, atol=1e-4) and whole.gain == pytest.approx(parts.gain, abs=1e-4)


def test_a_motion_is_replaced_in_the_shapes_and_nowhere_else():
    shapes = random_lips().shapes
    curves = LipCurves(shapes, torch.ones(9, 4), torch.zeros(9), torch.zeros(4), gain=2.0, weight=1.0)
    motion = torch.randn(5, 204, generator=torch.Generator().manual_seed(1))
    moved = curves.moved(motion, 2)
    assert torch.allclose(moved @ shapes.T, torch.full((5, 4), 2.0), atol=1e-5)
    assert torch.allclose(moved - moved @ shapes.T @ shapes, motion - motion @ shapes.T @ shapes, atol=1e-5)


def test_a_strange_voice_is_widened_and_a_known_one_is_not():
    wave = torch.sin(torch.arange(500.0))  # deviation .71
    assert spread_gain(wave, 0.5) == 1 and spread_gain(wave, 1.0) == pytest.approx((1 / .707) ** WIDER, rel=0.03)
    assert spread_gain(0 * wave, 1.0) == MOST_GAIN and spread_gain(wave[:0], 1.0) == spread_gain(wave, 0.0) == 1
    assert 1 < spread_gain(wave, .75) < 1.15


def test_a_voice_that_has_hardly_spoken_counts_as_strange():
    wave = torch.sin(torch.arange(500.0))
    known = spread_gain(wave, .707), spread_gain(wave[:3], .707)
    unsure = spread_gain(wave / 2.5, .707), spread_gain(wave[:3] / 2.5, .707)
    assert known[0] < 1.05 < known[1] < STRANGE ** WIDER + .1 and unsure[1] < unsure[0]


def test_p_b_and_m_shut_the_lips_and_take_half_the_jaw_along():
    points = face().points[:1].repeat(3, 1, 1)
    points[:, list(range(56, 59)) + list(range(65, 68)), 1] -= 0.05
    points[:, 4:13, 1] -= 0.03
    shut, closed = lips_shut(points, torch.tensor([0.0, 1.0, 1.0])), closed_mouth(points)
    assert torch.equal(shut[0], points[0])
    assert torch.allclose(shut[1:, 48:], closed[1:, 48:], atol=1e-6)
    assert torch.allclose(shut[1:, 6:11] - points[1:, 6:11], JAW * (closed - points)[1:, 6:11], atol=1e-6)


def test_the_surest_closures_shut_the_lips_and_noise_does_not():
    doubtful, sure = torch.zeros(200), torch.zeros(200)
    doubtful[::20], sure[::20] = 0.5, 0.98
    assert certain(doubtful)[0] == certain(sure)[0] == 1 and not certain(torch.full((200,), 0.05)).any()
    assert certain(torch.full((200,), 0.1)).max() < 0.3, "a voice of which nothing is certain still opens its mouth"
    assert certain(doubtful)[1] == 0
    doubtful[1] = sure[1] = 0.15
    assert certain(doubtful)[1] > 0.8 and certain(sure)[1] == 0, "a network that is sure is asked for more"


def test_a_network_that_gives_nan_is_refused():
    atom = with_lips()
    assert atom.lips is not None
    atom.lips.scale.zero_()
    with pytest.raises(TalkingHeadsError, match="lip network"):
        generate_motion(atom, encode_speech(voice(0.5)), face())


def test_silent_audio_and_one_frame_are_no_trouble():
    rows = torch.full((8, 80), -4.0)
    speech = Speech(rows, 80.0, "mel", 0.1, torch.ones(8, dtype=torch.bool))
    points = generate_motion(with_lips(), speech, face()).points
    assert torch.isfinite(points).all()
    assert lip_aperture(points).max() <= lip_aperture(resting_face(face().points[0])) + 1e-5


def test_opening_is_what_parts_the_lips():
    moved = torch.zeros(68, 3)
    moved[[61, 62, 63], 1] = 0.25
    moved[[67, 66, 65], 1] = -0.75
    assert float(opening_of(moved.flatten())) == pytest.approx(1)
