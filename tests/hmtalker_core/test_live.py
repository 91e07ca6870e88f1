"""A live avatar: the frames of the finished recording to the bit, however the audio comes, within the promised wait."""
from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.avatar import Avatar
from talking_heads.hmtalker_core.checkpoints import load_avatar
from talking_heads.hmtalker_core.live import AvatarStream
from talking_heads.hmtalker_core.live_driving import LiveSettings
from talking_heads.hmtalker_core.training.branches import field_from
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.head_pose import swaying_pose
from talking_heads.media_core.motion import AU_NAMES, BlinkStream, ExpressionTrack, generated_blinks
from talking_heads.media_core.speech import encode_speech

ROOT = Path(__file__).parents[2]
SIZE = (32, 32)
RATE = 16000


@cache
def demo() -> Avatar:
    """The demo avatar with every sixteenth of its Gaussians: small work."""
    whole = load_avatar(ROOT / "weights" / "demo_avatar.safetensors")
    face, mouth = (field_from({name: rows[::16].clone() for name, rows in field.state_dict().items()}, field.active_sh_degree)
                   for field in (whole.face, whole.mouth))
    return Avatar(face, mouth, whole.face_net, whole.mouth_net, poses=whole.poses, upper_au=whole.upper_au, torso=whole.torso,
                  background=whole.background, config=whole.config)


@cache
def causal() -> Avatar:
    """The demo avatar as if its audio nets were causal ones: what they say is nonsense, when they say it is not."""
    return demo().with_config(window="causal")


@cache
def spoken() -> np.ndarray:
    """1.3 s of speech, with 0.3 s of silence before it."""
    mono = load_sound(ROOT / "demo" / "demo_speech_short.wav").mono(RATE)
    return np.concatenate([np.zeros(4800, np.float32), mono[:20793]])


def pieces(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[at:at + size] for at in range(0, len(samples), size)]


def streamed(avatar: Avatar, samples: np.ndarray, piece: int, settings: LiveSettings | None = None, **look) -> np.ndarray:
    stream = AvatarStream(avatar, settings, **{"size": SIZE} | look)
    return np.concatenate([*(stream.feed(part) for part in pieces(samples, piece)), stream.flush()])


def finished(avatar: Avatar, samples: np.ndarray, settings: LiveSettings | None = None, **look) -> np.ndarray:
    """The video of the same recording, by `Avatar.drive` and what videos are written from."""
    motion = AvatarStream(avatar, settings).recorded(samples)
    return avatar.render_bytes(motion, 0, len(motion), avatar.picture(**{"size": SIZE} | look))


def test_frames_are_those_of_the_finished_recording_to_the_bit():
    wanted = finished(demo(), spoken())
    for piece in (97, 512, 640, 16000, 10 ** 6):
        assert np.array_equal(streamed(demo(), spoken(), piece), wanted)


def test_sample_by_sample():
    samples = spoken()[4000:12000]
    assert np.array_equal(streamed(demo(), samples, 1), finished(demo(), samples))


@pytest.mark.parametrize("samples", [1, 199, 320, 640, 5000])
def test_any_length(samples):
    heard = spoken()[6000:6000 + samples]
    frames = streamed(demo(), heard, 333)
    assert len(frames) == encode_frames(samples) and np.array_equal(frames, finished(demo(), heard))


def encode_frames(samples: int) -> int:
    return max(1, int(samples / RATE * 25 + 0.5))


def settings() -> dict[str, LiveSettings]:
    lower = torch.full((7, 17), torch.nan)
    lower[3:, AU_NAMES.index("AU12")] = 2.0
    lower[:, AU_NAMES.index("AU02")] = 1.0
    return {"smooth": LiveSettings(smoothing=1.2, lip_gain=1.4), "blinks": LiveSettings(blinks="generated", seed=3, start=40),
            "ungated": LiveSettings(silence_gate=False, blinks="none", gain_db=4.0),
            "expression": LiveSettings(expression=ExpressionTrack(lower), smoothing=0.7),
            "sway": LiveSettings(pose=swaying_pose(demo().poses, 20, 1))}


@pytest.mark.parametrize("name", ["smooth", "blinks", "ungated", "expression", "sway"])
def test_every_setting_streams(name):
    chosen = settings()[name]
    assert np.array_equal(streamed(demo(), spoken(), 1111, chosen), finished(demo(), spoken(), chosen))


def test_an_avatar_that_opens_its_lips_wider_streams():
    wide = demo().with_config(lip_gain=1.3)
    made = streamed(wide, spoken(), 1111)
    assert np.array_equal(made, finished(wide, spoken())) and not np.array_equal(made, finished(demo(), spoken()))


def test_causal_and_looks():
    images = torch.rand(3, 20, 30, 3, generator=torch.Generator().manual_seed(0))
    look = {"size": (40, 30), "background": images, "torso": False}
    assert np.array_equal(streamed(causal(), spoken(), 700, **look), finished(causal(), spoken(), **look))
    clear = streamed(demo(), spoken()[:3000], 700, background="transparent")
    assert clear.shape[1:] == (*SIZE, 4)


@pytest.mark.parametrize("avatar, wait", [(demo, 4120), (causal, 2200)])
def test_a_frame_waits_for_no_more_than_is_promised(avatar, wait):
    """Counted in samples from the frame's first one; and no frame comes a sample too late."""
    stream, came = AvatarStream(avatar(), size=(8, 8)), []
    assert stream.wait == wait <= (0.26 if avatar is demo else 0.14) * RATE
    for at, piece in enumerate(pieces(spoken()[:9000], 10)):
        came += [10 * (at + 1)] * len(stream.feed(piece))
    late = [samples - 640 * frame for frame, samples in enumerate(came)]
    assert len(came) > 5 and max(late) <= wait and max(late) > wait - 200
    assert [stream.timing.due(frame) for frame in range(len(came))] == came  # every one is a multiple of 10


def test_smoothing_waits_longer_and_says_so():
    stream, frames, fed = AvatarStream(demo(), LiveSettings(smoothing=1.0), size=(8, 8)), 0, 0
    while not frames:
        frames, fed = len(stream.feed(np.zeros(10, np.float32))), fed + 10
    assert stream.wait == 4120 + 3 * 640 and stream.wait - 200 < fed <= stream.wait


def test_two_streams_of_one_avatar_do_not_disturb_each_other():
    one, other = spoken()[:9600], spoken()[6000:15600]
    streams = [AvatarStream(demo(), size=SIZE), AvatarStream(demo(), LiveSettings(start=9), size=SIZE)]
    out: list[list[np.ndarray]] = [[], []]
    for a, b in zip(pieces(one, 800), pieces(other, 800)):
        out[0].append(streams[0].feed(a))
        out[1].append(streams[1].feed(b))
    for stream, frames in zip(streams, out):
        frames.append(stream.flush())
    assert np.array_equal(np.concatenate(out[0]), finished(demo(), one))
    assert np.array_equal(np.concatenate(out[1]), finished(demo(), other, LiveSettings(start=9)))


def test_in_silence_the_lips_rest_and_the_rest_goes_on():
    stream = AvatarStream(demo(), LiveSettings(blinks="generated", seed=1))
    driver = stream._driver
    motion = driver.feed(np.zeros(RATE * 3, np.float32))
    assert motion is not None and torch.equal(motion.codes, motion.codes[:1].expand_as(motion.codes))
    assert torch.equal(motion.mouth_codes, motion.mouth_codes[:1].expand_as(motion.mouth_codes))
    assert motion.au[:, AU_NAMES.index("AU45")].max() > 1 and not torch.equal(motion.poses.camera_to_head[0],
                                                                             motion.poses.camera_to_head[40])


def test_interrupting_eases_to_rest_and_begins_anew():
    stream = AvatarStream(demo(), LiveSettings(gain_db=0.0))
    driver = stream._driver
    before = driver.feed(spoken()[:16000])
    after = driver.interrupt()
    assert before is not None and after is not None
    assert len(before) + len(after) == 25 == stream.frames  # all that the audio fills
    rest = driver._calm.face
    away = (after.codes - rest).norm(dim=1)
    assert (before.codes[-1] - rest).norm() > 0.1 and (away[1:] <= away[:-1]).all() and away[4] == 0
    assert (after.codes[0] - before.codes[-1]).norm() < 0.2 * (before.codes[-1] - rest).norm()  # no jump
    again = [driver.feed(spoken()[4000:12000]), driver.finish()]
    alone = AvatarStream(demo(), LiveSettings(gain_db=0.0, start=25)).recorded(spoken()[4000:12000])
    assert torch.equal(torch.cat([m.codes for m in again if m]), alone.codes)
    assert torch.equal(torch.cat([m.poses.camera_to_head for m in again if m]), alone.poses.camera_to_head)


def test_interrupting_at_odd_times_keeps_the_clock():
    stream = AvatarStream(demo(), LiveSettings(smoothing=1.0), size=(8, 8))
    count = fed = 0
    for size in (123, 7777, 0, 1500, 4001, 2):
        count += len(stream.feed(spoken()[:size])) + len(stream.interrupt())
        fed += size
        assert abs(count - fed / 640) <= 0.5
    assert len(stream.flush()) <= 1


def test_flush_ends_the_stream():
    stream = AvatarStream(demo(), size=(8, 8))
    assert len(stream.feed(np.zeros(0, np.float32))) == 0 and len(stream.flush()) == 1
    assert len(stream.flush()) == 0 and len(stream.interrupt()) == 0
    with pytest.raises(TalkingHeadsError, match="until the stream is flushed"):
        stream.feed(np.zeros(100, np.float32))


BAD = {"whole numbers": np.zeros(99, np.int16), r"float32 \[2, 99\]": np.zeros((2, 99), np.float32),
       "NaN": np.array([0, np.nan], np.float32), "infinity": np.array([np.inf], np.float32), "list": [0.0, 1.0],
       r"complex128 \[3\]": np.zeros(3, complex)}


@pytest.mark.parametrize("said", BAD)
def test_other_audio_is_refused(said):
    stream = AvatarStream(demo(), size=(8, 8))
    with pytest.raises(TalkingHeadsError, match=said):
        stream.feed(BAD[said])
    with pytest.raises(TalkingHeadsError, match="44100 Hz"):
        stream.feed(np.zeros(9, np.float32), 44100)
    assert len(stream.feed(np.zeros(6000, np.float64))) > 0  # nothing of it was taken in


def test_encoders_that_need_the_whole_recording_are_refused():
    with pytest.raises(TalkingHeadsError, match="'hubert-large', layer last, which hears the whole recording"):
        AvatarStream(demo().with_config(encoder="hubert-large"))


@pytest.mark.parametrize("wrong, said", [({"smoothing": 11.0}, "at most 10 frames"), ({"blinks": "often"}, "`blinks` must be"),
                                         ({"gain_db": 100.0}, "in dB"), ({"start": -1}, "begin with"),
                                         ({"expression": ExpressionTrack(torch.zeros(3, 17), 30.0)}, "25 frames per second")])
def test_settings_out_of_range_are_refused(wrong, said):
    with pytest.raises(TalkingHeadsError, match=said):
        AvatarStream(demo(), replace(LiveSettings(), **wrong))


def test_live_speech_of_normal_loudness_is_nearly_the_offline_one():
    """What differs from an offline video are the last bits of the features, and where the gate opens."""
    motion = AvatarStream(demo(), LiveSettings(silence_gate=False)).recorded(spoken())
    offline = demo().drive(encode_speech_of(spoken()), silence_gate=False)
    torch.testing.assert_close(motion.codes, offline.codes, atol=1e-3, rtol=1e-3)
    gated, usual = AvatarStream(demo()).recorded(spoken()), demo().drive(encode_speech_of(spoken()))
    same = torch.isclose(gated.codes, usual.codes, atol=1e-3).all(1)
    assert same[18:].all()  # in the midst of the speech


def encode_speech_of(mono: np.ndarray):
    from talking_heads.media_core.audio import Sound

    return encode_speech(Sound(mono[None], RATE))


def test_blinks_do_not_depend_on_pieces():
    stream = BlinkStream(25.0, 4)
    parts = torch.cat([stream.take(n) for n in (1, 0, 100, 7, 3, 1, 1, 388)])
    assert torch.equal(parts, generated_blinks(501, 25.0, 4))
