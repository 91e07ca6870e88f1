"""The mouth: measures, the same face with it closed, and the gate that closes it where nobody speaks."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.metrics import lip_aperture as relative_aperture
from talking_heads.media_core.mouth import closed_mouth, jaw_drop, laid_over, lip_aperture, region_weights, resting_face
from talking_heads.media_core.mouth_gate import gate_mouth, gate_weights, gated
from talking_heads.media_core.subject import PARAMS
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.subject.portrait import load
from talking_heads.media_core.subject.render import AXES, METRES
from talking_heads.media_core.subject.rig import Rig

REST = torch.from_numpy(mean_face())
UPPER_FACE = slice(17, 48)  # brows, nose, eyes
LIPS = slice(48, 68)


def opened(amount: float) -> torch.Tensor:  # dm -> [68, 3]
    """The mean face with its jaw dropped: not the rule by which `closed_mouth` closes."""
    face = REST.clone().double()
    for point in range(17):
        face[point, 1] -= amount * min(1.0, min(point, 16 - point) / 5)
    face[[48, 54, 60, 64], 1] -= 0.3 * amount
    for point, share in ((55, .8), (56, .9), (57, 1), (58, .9), (59, .8), (65, .9), (66, 1), (67, .9)):
        face[point, 1] -= share * amount
        face[point, 2] -= 0.1 * amount
    face[[51, 62], 1] += 0.1 * amount
    return face.float()


def speech(frames: int = 60, seed: int = 0) -> torch.Tensor:  # [T, 68, 3]
    rng = np.random.default_rng(seed)
    amount = 0.08 + 0.07 * np.sin(np.arange(frames) * 1.1 + rng.uniform(0, 6))
    return torch.stack([opened(a) for a in amount]) + torch.from_numpy(rng.normal(0, 1e-3, (frames, 68, 3))).float()


def in_pixels(points: torch.Tensor, yaw: float = 0.0, scale: float = 120.0) -> torch.Tensor:
    """The video's view: x right, y down, z away, in px."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=torch.float32)
    return (points @ turn.T) * torch.tensor([1.0, -1, -1]) * scale + torch.tensor([130.0, 120, 0])


def test_measures():
    face = REST.clone()
    face[[65, 66, 67]] = face[[63, 62, 61]] + torch.tensor([0.0, -0.3, 0.4])
    assert lip_aperture(face) == pytest.approx(0.5)
    assert lip_aperture(face[..., :2].numpy()) == pytest.approx(0.3)
    span = (face[36] - face[45]).norm()
    assert lip_aperture(face) / span == pytest.approx(float(relative_aperture(face)[0]), rel=1e-5)
    assert lip_aperture(torch.stack([face, REST])[None]).shape == (1, 2)
    lower = REST.clone()
    lower[8] += (lower[8] - lower[33]) / (lower[8] - lower[33]).norm() * 0.2
    assert jaw_drop(lower) - jaw_drop(REST) == pytest.approx(0.2, abs=1e-6)


def test_regions_share_the_face():
    mouth, upper = region_weights("mouth"), region_weights("upper")
    assert torch.equal(mouth + upper, region_weights("all")) and (mouth[LIPS] == 1).all() and (upper[UPPER_FACE] == 1).all()
    assert mouth[8] == 1 and mouth[0] == mouth[16] == 0 and (mouth[:9].diff() >= 0).all() and mouth[:17].diff().abs().max() < 0.4
    with pytest.raises(TalkingHeadsError, match="'lips'"):
        region_weights("lips")


@pytest.mark.parametrize("amount", [0.0, 0.02, 0.1, 0.2])
def test_an_open_mouth_is_closed_as_at_rest(amount):
    face = opened(amount)
    shut = closed_mouth(face)
    off = (shut - REST).abs().amax(1)
    assert off[LIPS].max() < 0.2 * amount + 1e-5 and off.max() < 0.4 * amount + 1e-5, "near the face opened by another rule"
    assert lip_aperture(shut) == pytest.approx(float(lip_aperture(REST)), rel=1e-3)
    assert torch.equal(shut[UPPER_FACE], face[UPPER_FACE]) and torch.equal(shut[[0, 16]], face[[0, 16]])
    assert shut.dtype == face.dtype
    again = float((closed_mouth(shut) - shut).abs().max())
    assert again < 1e-6, "once is enough"


def test_a_person_closes_as_it_would():
    """The synthetic subject with the jaw and the lips open, against the same face with both shut."""
    portrait = load()
    rig = Rig(SimpleNamespace(points=portrait.points, plain_points=portrait.points, hair_outline=portrait.hair))
    for sound in ({}, {"smile": 0.6}, {"stretch": 0.7}, {"prot": 0.5}):
        faces = np.zeros((2, len(PARAMS)))
        for name, value in ({"la": 11, "jaw": 10} | sound).items():
            faces[:, PARAMS.index(name)] = value, sound.get(name, 0)
        open_, shut = (torch.from_numpy(to_68(rig.mesh(face)) * AXES * METRES * 10) for face in faces)
        off = (closed_mouth(open_) - shut).norm(dim=1)
        assert off.max() < 0.25 * (open_ - shut).norm(dim=1).max() and off[LIPS].max() < 0.025, sound


@pytest.mark.parametrize("yaw", [0.0, 0.5, -0.5])
def test_closing_works_in_every_space(yaw):
    """A turned head in px closes as the same head does from the front."""
    face = opened(0.15)
    wanted = in_pixels(closed_mouth(face), yaw)
    assert float((closed_mouth(in_pixels(face, yaw)) - wanted).abs().max()) < 0.05, "px"
    flat = closed_mouth(in_pixels(face, yaw)[:, :2])
    assert flat.shape == (68, 2) and float((flat - wanted[:, :2]).abs().max()) < 1.0
    without_depth = in_pixels(face, yaw) * torch.tensor([1.0, 1, 0])
    assert float((closed_mouth(without_depth)[:, :2] - flat).abs().max()) < 1e-3 and not closed_mouth(without_depth)[:, 2].any()


def test_closing_needs_no_neighbours():
    film = speech(7)
    assert float((closed_mouth(film) - torch.stack([closed_mouth(f) for f in film])).abs().max()) < 1e-6
    assert closed_mouth(film[None]).shape == (1, 7, 68, 3)


def test_a_resting_face():
    assert torch.equal(resting_face(REST), REST), "a closed mouth stays as it is"
    assert lip_aperture(resting_face(opened(0.1))) == pytest.approx(float(lip_aperture(REST)), rel=1e-3)
    film = torch.cat([speech(57), REST.expand(3, 68, 3)])
    assert float((resting_face(film) - REST).abs().max()) < 1e-6, "the quietest 5 %"


def test_laid_over_takes_the_pose():
    target = in_pixels(torch.stack([REST, REST * 1.1]), 0.4)
    assert float((laid_over(REST, target) - target).abs().max()) < 1e-3
    assert laid_over(REST[:, :2], target).shape == (2, 68, 3)


def silence(*stretches, frames=60):
    flags = torch.zeros(frames, dtype=torch.bool)
    for start, stop in stretches:
        flags[start:stop] = True
    return flags


def test_lips_stay_closed_in_silence():
    """The guarantee of the docstring, to the frame."""
    film, flags = speech(), silence((20, 36))
    out = gate_mouth(film, flags, 25.0, closed=REST)
    rest = float(lip_aperture(REST))
    held = slice(23, 34)  # 0.12 s after 20: middles from 23.5; 0.08 s before 36: middles up to 33.5
    assert torch.equal(out[held, LIPS], REST[LIPS].expand(11, 20, 3)) and (lip_aperture(out[held]) - rest).abs().max() < 1e-6
    assert (lip_aperture(out[[22, 34]]) != rest).all(), "not earlier, not longer"
    assert torch.equal(out[~flags], film[~flags]) and torch.equal(out[:, UPPER_FACE], film[:, UPPER_FACE])
    assert not torch.equal(out[20:23], film[20:23]) and lip_aperture(film[held]).max() > 5 * rest
    assert torch.equal(out[:, [0, 16]], film[:, [0, 16]])


def test_with_ramps_outside_the_whole_silence_is_closed():
    film, flags = speech(), silence((20, 28), (40, 60))
    out = gate_mouth(film, flags, 25.0, closed=REST, inside=False)
    assert torch.equal(out[flags][:, LIPS], REST[LIPS].expand(28, 20, 3))
    beside = torch.tensor([17, 18, 19, 28, 29, 37, 38, 39])
    assert torch.equal(gate_weights(flags, 25.0, inside=False).nonzero().flatten(),
                       torch.cat([beside[:3], torch.arange(20, 28), beside[3:5], beside[5:], torch.arange(40, 60)]))


@pytest.mark.parametrize("fps", [12.0, 25.0, 30.0, 60.0])
@pytest.mark.parametrize("inside", [True, False])
def test_ramps_are_smooth(fps, inside):
    flags = silence((10, 30), (37, 60), frames=90)
    weights = gate_weights(flags, fps, inside=inside)
    assert weights.min() == 0 and weights.max() == 1
    assert weights.diff(n=2).abs().max() <= (1 if inside or fps < 60 else 3) * 6 / (0.08 * fps) ** 2
    if fps == 60 and inside:
        assert (weights[10:18].diff() >= 0).all() and (weights[24:30].diff() <= 0).all() and weights.diff().abs().max() < 0.35


def test_ramps_have_no_corner():
    weights = gate_weights(silence((100, 300), frames=400), 240.0)
    assert weights.diff(n=2).abs().max() <= 6 / (0.08 * 240) ** 2, "a straight ramp has three times as much"


@pytest.mark.parametrize("fps", [10.0, 24.0, 25.0, 29.97, 50.0])
def test_short_silences_are_left_and_long_ones_are_held(fps):
    for frames in range(1, int(0.5 * fps) + 2):
        weights = gate_weights(silence((5, 5 + frames), frames=40), fps)
        long = frames / fps >= 0.3 - 1e-9
        assert bool((weights == 1).any()) == long and bool(weights.any()) == long, f"{frames} frames"


def test_the_films_ends_have_no_ramps():
    flags = silence((0, 10), (50, 60))
    weights = gate_weights(flags, 25.0)
    assert (weights[:8] == 1).all() and 0 < weights[9] < 0.5 and (weights[53:] == 1).all() and 0 < weights[50] < 0.5
    assert (gate_weights(silence((0, 60)), 25.0) == 1).all() and not gate_weights(silence(), 25.0).any()


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [7, 20, 33]])
def test_pieces_equal_the_whole(sizes):
    film, flags = speech(), silence((0, 9), (20, 36), (51, 60))
    whole, weights = gate_mouth(film, flags, 25.0, closed=REST), gate_weights(flags, 25.0)
    pieces = [gated(p, w, REST) for p, w in zip(film.split(sizes), weights.split(sizes))]
    assert torch.equal(torch.cat(pieces), whole)
    px = in_pixels(film, 0.2)
    pieces = [gated(p, w, REST, "pixels") for p, w in zip(px.split(sizes), weights.split(sizes))]
    assert float((torch.cat(pieces) - gate_mouth(px, flags, 25.0, closed=REST, space="pixels")).abs().max()) < 1e-3


def test_pixels_with_a_turning_head():
    """The closed face may be canonical; without one each frame's own mouth is closed."""
    film, flags = speech(), silence((20, 36))
    px = torch.stack([in_pixels(face, yaw) for face, yaw in zip(film, np.linspace(-0.4, 0.4, 60).tolist())])
    for closed in (REST, None):
        out = gate_mouth(px, flags, 25.0, closed=closed, space="pixels")
        rest = float(lip_aperture(REST)) * 120
        assert (lip_aperture(out[23:34]) - rest).abs().max() < 0.1 * rest
        assert torch.equal(out[~flags], px[~flags]) and torch.equal(out[:, UPPER_FACE], px[:, UPPER_FACE])


def test_an_open_portrait_or_none_still_closes():
    film, flags = speech(), silence((20, 36))
    for closed in (opened(0.1), opened(0.1)[None], opened(0.1).numpy(), None):
        rest = float(lip_aperture(REST if closed is not None else resting_face(film)))
        out = gate_mouth(film, flags, 25.0, closed=closed)
        assert (lip_aperture(out[23:34]) - rest).abs().max() < 0.1 * rest and out.dtype == film.dtype


def test_numpy_and_plain_flags_do():
    film, flags = speech(), silence((20, 36))
    assert torch.equal(gate_mouth(film.numpy(), flags.tolist(), 25.0, closed=REST), gate_mouth(film, flags, 25.0, closed=REST))


def test_hard_edges_when_asked_for():
    weights = gate_weights(silence((20, 36)), 25.0, 0.0, 0.0, 0.04)
    assert torch.equal(weights.bool(), silence((20, 36))) and set(weights.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("changes, word", [
    ({"points": torch.zeros(60, 67, 3)}, "67, 3"), ({"points": torch.zeros(0, 68, 3)}, "0, 68, 3"), ({"points": "face"}, "str"),
    ({"points": REST}, r"\[T, 68"), ({"points": torch.full((60, 68, 3), torch.nan)}, "finite"),
    ({"points": torch.zeros(60, 68, 3, dtype=torch.int32)}, "int32"), ({"silent": silence(frames=59)}, "59 flags, 60 frames"),
    ({"silent": torch.zeros(60)}, "float32"), ({"silent": None}, "NoneType"), ({"silent": torch.zeros(0, dtype=torch.bool)}, "0"),
    ({"fps": 0.0}, "rate"), ({"fps": float("nan")}, "rate"), ({"attack": -0.1}, "attack"), ({"release": float("inf")}, "release"),
    ({"least": 0.0}, "least"), ({"least": 0.1}, "fit into"), ({"closed": REST[:, :2]}, "68, 2"),
    ({"closed": torch.zeros(2, 68, 3)}, "one face"), ({"closed": REST * torch.nan}, "closed face"),
    ({"space": "metres"}, "metres")])
def test_what_cannot_be_is_refused(changes, word):
    given = {"points": speech(), "silent": silence((20, 36)), "fps": 25.0, "closed": REST} | changes
    with pytest.raises(TalkingHeadsError, match=word):
        gate_mouth(**given)
