"""Motion of any length: chunks, borders, silence, noise, bad input."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.mouth import closed_mouth, lip_aperture, resting_face
from talking_heads.media_core.speech import Speech, encode_speech
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.atom.config import AToMConfig, DenoiserConfig, SpeechInput
from talking_heads.moditalker_core.atom.denoiser import AToMDenoiser
from talking_heads.moditalker_core.atom.generation import SamplingSettings, generate_motion, motion_frames
from talking_heads.moditalker_core.atom.model import AToM
from talking_heads.moditalker_core.blending import blended_windows, window_plan
from talking_heads.moditalker_core.noise import BLOCK, frame_noise
from voices import voice

T = 24


def tiny_atom(**changes) -> AToM:
    denoiser = DenoiserConfig(seq_len=T, latent_dim=16, ff_size=16, num_layers=1, num_heads=2, cond_feature_dim=80)
    config = AToMConfig(denoiser, SpeechInput("mel", "last", 80.0, 80, 1), **{"clip": 2.0, "guidance": 1.5, "steps": 3,
                                                                             "reference": "any"} | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AToM(AToMDenoiser(denoiser), config, mean_face())


def spoken(seconds: float, quiet: tuple[float, float] | None = None) -> Speech:
    return encode_speech(voice(seconds, quiet=quiet))


def portrait(points=None) -> LandmarkTrack:
    return LandmarkTrack(torch.as_tensor(mean_face() if points is None else points)[None])


@pytest.mark.parametrize("seconds", [0.04, 0.5, 0.96, 1.0, 2.31, 4.0])
def test_every_frame_of_the_sound_gets_a_face(seconds):
    speech = spoken(seconds)
    motion = generate_motion(tiny_atom(), speech, portrait(), SamplingSettings(steps=1))
    assert len(motion) == speech.frame_count(25.0) and motion.fps == 25.0 and motion.space == "canonical"


@pytest.mark.parametrize("sampler", ["ddim", "ddim0", "dpm++", "unipc"])
def test_any_range_of_frames_equals_the_same_frames_of_the_whole(sampler):
    atom, speech, settings = tiny_atom(), spoken(3.0, (1.2, 1.8)), SamplingSettings(sampler=sampler, seed=5)
    whole = generate_motion(atom, speech, portrait(), settings).points
    for start, stop in ((0, 1), (0, 75), (7, 40), (16, 17), (23, 60), (40, 75), (74, 75)):
        piece = torch.cat(list(motion_frames(atom, speech, portrait(), settings, start, stop)))
        assert torch.equal(piece, whole[start:stop]), (start, stop)


def test_windows_at_once_change_rounding_only():
    atom, speech = tiny_atom(), spoken(3.0)
    one, four = (generate_motion(atom, speech, portrait(), SamplingSettings(batch=n)).points for n in (1, 4))
    assert (one - four).abs().max() < 1e-5


def test_the_seed_decides_and_nothing_else():
    atom, speech = tiny_atom(), spoken(1.0)
    a, b, c = (generate_motion(atom, speech, portrait(), SamplingSettings(seed=s)).points for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c)
    torch.manual_seed(123)
    assert torch.equal(a, generate_motion(atom, speech, portrait(), SamplingSettings(seed=1)).points)


def test_noise_belongs_to_frames():
    whole = frame_noise(7, 3, 0, 5 * BLOCK, 6)
    assert torch.equal(frame_noise(7, 3, 40, 101, 6), whole[40:101])
    assert abs(float(whole.mean())) < 0.1 and abs(float(whole.std()) - 1) < 0.1
    assert not torch.equal(frame_noise(7, 4, 0, 9, 6), whole[:9]) and not torch.equal(frame_noise(8, 3, 0, 9, 6), whole[:9])


@pytest.mark.parametrize("returns", [False, True])
def test_blending_constant_windows_steps_smoothly(returns):
    plan = window_plan(100, T, 8, returns)
    assert plan[-1].stop >= 100 and all(b.start == a.stop - 8 for a, b in zip(plan, plan[1:]))
    rows = [torch.full((T, 1), float(i)) for i in range(len(plan))]
    out = torch.cat(list(blended_windows(plan, rows, 0, 100)))[:, 0]
    assert len(out) == 100 and bool((out.diff() >= 0).all()) and float(out.diff().max()) < 0.5
    if returns:  # a window that begins at the initial face is not seen at its very beginning
        assert all(float(out[w.start]) == i for i, w in enumerate(plan[1:]))


def test_equal_windows_blend_to_themselves():
    line = torch.sin(torch.arange(200) / 7.0)[:, None]
    plan = window_plan(130, T, 8, False)
    out = torch.cat(list(blended_windows(plan, [line[w.start:w.stop] for w in plan], 0, 130)))
    assert torch.allclose(out, line[:130], atol=1e-6)


def test_mouth_is_closed_in_silence_and_free_elsewhere():
    atom, speech = tiny_atom(), spoken(3.0, (1.0, 2.0))
    face = portrait()
    on, off = (generate_motion(atom, speech, face, SamplingSettings(gate=gate)).points for gate in (True, False))
    quiet = speech.silent_frames(25.0)
    assert quiet.sum() >= 0.3 * 25
    closed = lip_aperture(closed_mouth(face.points[0]))
    assert bool((lip_aperture(on[quiet]) <= 1.1 * closed + 1e-6).all())
    assert torch.equal(on[5:15], off[5:15]) and torch.equal(on[:, 17:48], off[:, 17:48])


@pytest.mark.parametrize("level", [0.0, 0.002, 0.03])
def test_silence_and_noise_keep_the_mouth_shut(level):
    noise = level * np.random.default_rng(0).standard_normal((1, 32000))
    speech = encode_speech(Sound(noise.astype(np.float32), 16000))
    motion = generate_motion(tiny_atom(), speech, portrait())
    closed = lip_aperture(closed_mouth(portrait().points[0]))
    assert len(motion) == 50 and bool((lip_aperture(motion.points) <= 1.1 * closed).all())


def test_cancelling_stops_within_one_step():
    calls = []

    def report(done, total, info, preview):
        calls.append((done, total))
        assert preview.shape == (256, 256, 3) and preview.any()
        if len(calls) == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        generate_motion(tiny_atom(), spoken(3.0), portrait(), report=report)
    assert len(calls) == 4 and calls[-1][0] == 4


def test_report_counts_every_step():
    calls, atom, speech = [], tiny_atom(), spoken(3.0)
    generate_motion(atom, speech, portrait(), SamplingSettings(batch=2), report=lambda *a: calls.append(a[:2]))
    length, overlap = atom.config.denoiser.seq_len, SamplingSettings().resolved(atom.config).overlap
    total = len(window_plan(75, length, overlap, atom.config.reference == "first")) * 3
    assert calls[-1] == (total, total) and [c[0] for c in calls] == sorted({c[0] for c in calls})


def test_wrong_speech_names_both_encoders():
    speech = spoken(0.5)
    other = Speech(torch.zeros(25, 1024), 50.0, "hubert-large-ls960-ft", 0.5, torch.zeros(25, dtype=torch.bool))
    with pytest.raises(TalkingHeadsError, match="mel.*hubert-large"):
        generate_motion(tiny_atom(), other, portrait())
    broken = Speech(torch.full_like(speech.features, torch.nan), speech.rate, "mel", speech.duration, speech.silence)
    with pytest.raises(TalkingHeadsError, match="finite"):
        generate_motion(tiny_atom(), broken, portrait())


@pytest.mark.parametrize("points", [np.zeros((68, 3), np.float32), mean_face() * 10, mean_face() * 0.01])
def test_landmarks_that_are_no_face_are_refused(points):
    with pytest.raises(TalkingHeadsError, match="size of a face"):
        generate_motion(tiny_atom(), spoken(0.2), portrait(points))


def test_pixels_are_refused():
    track = LandmarkTrack(torch.rand(1, 68, 3) * 200, space="pixels", image_size=(256, 256))
    with pytest.raises(TalkingHeadsError, match="canonical"):
        generate_motion(tiny_atom(), spoken(0.2), track)


@pytest.mark.parametrize("change", [{"steps": 0x10000}, {"sampler": "euler"}, {"eta": 2.0}, {"clip": -1.0}, {"batch": 0},
                                    {"seed": -1}, {"overlap": T}, {"seed": 1 << 64}, {"seed": 0.5}, {"steps": 2.5},
                                    {"overlap": 1.5}, {"guidance": float("nan")}, {"clip": float("nan")}])
def test_settings_out_of_range(change):
    with pytest.raises(TalkingHeadsError, match="Sampling needs|Windows of|with 1 to 1000 steps"):
        generate_motion(tiny_atom(), spoken(0.2), portrait(), SamplingSettings(**change))


def test_motion_that_is_not_finite_is_blamed_on_the_weights():
    atom = tiny_atom(clip=None)
    torch.nn.init.constant_(atom.denoiser.out.bias, torch.inf)
    with pytest.raises(TalkingHeadsError, match="AToM's motion must be finite"):
        generate_motion(atom, spoken(0.2), portrait())


def test_every_seed_up_to_64_bits_has_noise_of_its_own():
    noises = [frame_noise(seed, 0, 0, 2, 4) for seed in (0, 1 << 63, (1 << 63) + 1, (1 << 64) - 1)]
    assert not any(torch.equal(a, b) for i, a in enumerate(noises) for b in noises[:i])


def test_predictions_are_clipped():
    atom = tiny_atom(clip=0.05, guidance=30.0)
    moved = generate_motion(atom, spoken(1.0), portrait(), SamplingSettings(gate=False)).points - portrait().points
    assert float(moved.abs().max()) <= 0.005 + 1e-6
    free = generate_motion(atom, spoken(1.0), portrait(), SamplingSettings(gate=False, clip=0.0)).points - portrait().points
    assert float(free.abs().max()) > 0.01


def test_weights_of_another_mean_face_are_met_in_its_frame():
    """A checkpoint measured from a mean face that is larger, turned and shifted gives the same motion in our frame."""
    ours, settings = tiny_atom(clip=0.02), SamplingSettings(gate=False)
    angle = 0.2
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    bfm = AToM(ours.denoiser, ours.config, (1.3 * mean_face() @ turn + [0.1, -0.3, 0.2]).astype(np.float32))
    speech, face = spoken(0.5), portrait()
    there = generate_motion(bfm, speech, face, settings).points
    assert (there - face.points).abs().max() < 0.004 and not torch.equal(there[0], face.points[0])
    back = torch.as_tensor(1.3 * there.double().numpy() @ turn + [0.1, -0.3, 0.2])
    moved = 10 * (back - bfm.key_mean_shape)
    assert float(moved.abs().max()) <= 0.02 + 1e-4  # the clip holds in the checkpoint's own centimetres


def test_a_network_shown_its_mean_face_moves_every_portrait_alike():
    """Whatever the portrait, the motion is that of the mean face, added to the portrait with its mouth closed."""
    atom, speech, settings = tiny_atom(shown="mean"), spoken(0.5), SamplingSettings(gate=False)
    mean = torch.as_tensor(mean_face())
    usual = generate_motion(atom, speech, portrait(), settings).points - mean
    shown = generate_motion(tiny_atom(), speech, portrait(), settings).points - mean
    torch.testing.assert_close(usual, shown, rtol=0, atol=1e-6)
    other = mean.numpy() * [1.2, 0.9, 1.0]
    other[55:60, 1] -= 0.1
    other[65:68, 1] -= 0.1  # 1 cm open
    other = other.astype(np.float32)
    assert resting_face(torch.as_tensor(other)).ne(torch.as_tensor(other)).any()
    moved = generate_motion(atom, speech, portrait(other), settings).points - resting_face(torch.as_tensor(other))
    assert torch.allclose(moved, usual, atol=1e-6)


@pytest.mark.parametrize("opening, shut", [(0.01, False), (0.2, True)])  # dm; the eyes are 0.9 apart
def test_an_open_mouth_is_shut_before_any_network_sees_it(opening, shut):
    speech, settings = spoken(0.5), SamplingSettings(gate=False)
    face = mean_face()
    face[[*range(55, 60), 65, 66, 67], 1] -= opening
    closed = resting_face(torch.as_tensor(face)).numpy()
    given, asked = (generate_motion(tiny_atom(), speech, portrait(one), settings).points for one in (face, closed))
    assert torch.equal(given, asked) == (shut or np.array_equal(face, closed))


def test_lips_of_a_stranger_do_not_cross_with_the_demo_weights():
    """A face unlike all it learnt from: the mouth low and forward. Shown that face, the network took the mouth for an open one
    and closed it further than it closes."""
    stranger = mean_face()
    stranger[48:68] += [0, -0.15, 0.04]  # dm
    stranger[31:36, 1] -= 0.02
    noise = (0.2 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    atom, speech, settings = load_atom(), encode_speech(Sound(noise[None], 16000)), SamplingSettings(gate=False)

    def smallest_gap() -> float:  # dm; below 0 the inner lips have crossed
        points = generate_motion(atom, speech, portrait(stranger), settings).points
        return float((points[:, [61, 62, 63], 1] - points[:, [67, 66, 65], 1]).mean(1).min())

    assert smallest_gap() > -0.005  # as far as the lips of those it learnt from do
    atom = atom.with_lips(None)  # whose lips never cross
    assert smallest_gap() > -0.005
    atom.config = replace(atom.config, shown="portrait")
    assert smallest_gap() < -0.01
