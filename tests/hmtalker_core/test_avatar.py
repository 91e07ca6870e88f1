"""Driving, rendering, files: any length and chunking gives the same film; bad files and mismatches say what to do."""
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from talking_heads.hmtalker_core.avatar_motion import smooth_in_time
from talking_heads.hmtalker_core.checkpoints import load_avatar, save_avatar
from talking_heads.hmtalker_core.model.camera import film_cameras
from talking_heads.hmtalker_core.rasterizer import rasterization
from talking_heads.hmtalker_core.streaming import render_video
from talking_heads.media_core.audio import Sound, frame_count
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES, LOWER_INDEX, UPPER_INDEX, ExpressionTrack, PoseTrack
from talking_heads.media_core.speech import Speech, encode_speech
from talking_heads.media_core.video import probe, read_frames
from voices import voice

BLINK = AU_NAMES.index("AU45")
DEMO = Path(__file__).parents[2] / "weights" / "demo_avatar.safetensors"


def frames_of(avatar, motion, **options):
    return torch.cat([rgb for rgb, _ in avatar.render(motion, **options)])


@pytest.fixture
def motion(tiny_avatar):
    return tiny_avatar.drive(encode_speech(voice(1.0)))


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.99, 1.0, 2.37])
def test_frames_are_round_duration_times_fps(tiny_avatar, seconds):
    sound = voice(seconds)
    motion = tiny_avatar.drive(encode_speech(sound))
    assert len(motion) == frame_count(sound.duration, 25.0) == len(motion.poses) == len(motion.torso_index)


def test_driving_does_not_depend_on_chunks(tiny_avatar):
    speech = encode_speech(voice(1.5))
    whole = tiny_avatar.drive(speech)
    for chunk in (7, 1):
        parts = tiny_avatar.drive(speech, chunk=chunk)
        torch.testing.assert_close(parts.codes, whole.codes, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(parts.au, whole.au, atol=1e-5, rtol=1e-5)


def test_driving_a_part_is_driving_the_whole_to_the_bit(tiny_avatar):
    """A frame's codes depend on the sound around it alone, not on the length of the film nor on where its chunk ends."""
    whole = encode_speech(voice(2.0))
    part = replace(whole, duration=1.5)  # the same sound goes on behind the end
    long, short = tiny_avatar.drive(whole), tiny_avatar.drive(part)
    assert len(short) == 38 and torch.equal(long.codes[:38], short.codes)
    assert torch.equal(long.mouth_codes[:38], short.mouth_codes)
    assert torch.equal(long.au[:38, list(LOWER_INDEX)], short.au[:, list(LOWER_INDEX)])


def test_in_silence_the_mouth_rests_from_the_first_frame_to_the_last():
    """The demo avatar in 3 s of digital silence: no lower unit and no code moves, at the ends of the film neither."""
    avatar = load_avatar(DEMO)
    speech = encode_speech(Sound(np.zeros((1, 48000), np.float32), 16000))
    motion = avatar.drive(speech)
    jaw = motion.au[:, AU_NAMES.index("AU26")]
    assert len(motion) == 75 and float(jaw.max() - jaw.min()) < 0.02
    for codes, rest in zip((motion.codes, motion.mouth_codes), avatar.calm(speech.silence_row())):
        assert float((codes - rest).abs().max()) < 1e-4


NOISE = (0.03 * np.random.default_rng(0).standard_normal((1, 64000))).astype(np.float32)  # -30 dB, 4 s


def around(first: float, stop: float) -> Sound:
    """4 s of noise in which somebody speaks between these seconds."""
    wave = NOISE.copy()
    wave[:, round(first * 16000):round(stop * 16000)] += voice(stop - first).waveform
    return Sound(wave, 16000)


@pytest.mark.parametrize("first, stop", [(0.0, 0.0), (1.5, 2.5), (0.0, 1.5), (2.5, 4.0)])
@pytest.mark.parametrize("options", [{}, {"smoothing": 3.0}, {"lip_gain": 2.0}])
def test_where_nobody_speaks_the_lower_face_rests_in_every_frame(first, stop, options):
    """In noise before, after and between speech; the first frame, the last one and those beside speech included."""
    avatar, speech = load_avatar(DEMO), encode_speech(around(first, stop))
    motion, free = (avatar.drive(speech, silence_gate=gate, **options) for gate in (True, False))
    quiet, time = speech.silent_frames(25.0), torch.arange(100) / 25
    assert bool(quiet[(time < first - 0.3) | (time >= stop + 0.6)].all())
    speaks = (time >= first) & (time < stop - 0.04)
    for codes, loose, rest in zip((motion.codes, motion.mouth_codes), (free.codes, free.mouth_codes),
                                  avatar.calm(speech.silence_row())):
        assert float((codes[quiet] - rest).abs().max()) < 1e-4 < float((loose[quiet] - rest).abs().max())
        assert float((codes[speaks] - loose[speaks]).abs().sum()) <= 0.05 * float((loose[speaks] - rest).abs().sum())
    lower = motion.au[:, list(LOWER_INDEX)][quiet]
    assert float((lower - lower[:1]).abs().max()) < 1e-4
    step = lambda codes: float(codes.diff(dim=0).norm(dim=1).max())
    largest = options.get("lip_gain", 1.0) * step(avatar.drive(speech, silence_gate=False).codes)
    assert step(motion.codes) <= 1.001 * largest, "the gate makes no jump"


def test_what_is_asked_of_the_lower_face_acts_in_silence_too(tiny_avatar):
    speech = encode_speech(Sound(np.zeros((1, 16000), np.float32), 16000))
    au = torch.full((25, 17), torch.nan)
    au[:, AU_NAMES.index("AU12")] = torch.linspace(0, 4, 25)
    as_heard = tiny_avatar.with_config(rest=None)  # as files of before: what nobody asks for is predicted
    smiles = as_heard.drive(speech, expression=ExpressionTrack(au, 25.0, "test"))
    assert torch.equal(smiles.au[:, AU_NAMES.index("AU12")], au[:, AU_NAMES.index("AU12")])
    assert float((smiles.codes[-1] - smiles.codes[0]).abs().max()) > 1e-3
    free = as_heard.drive(speech, expression=ExpressionTrack(au, 25.0, "test"), silence_gate=False)
    torch.testing.assert_close(smiles.codes, free.codes, atol=1e-5, rtol=1e-4)


def test_where_nobody_speaks_lips_are_as_shut_as_the_persons(tiny_avatar):
    """The audio nets of a video without a pause know nothing of silence: avatars of real people held their mouths open in it."""
    speech, parted, smiling = encode_speech(Sound(np.zeros((1, 16000), np.float32), 16000)), AU_NAMES.index("AU25"), 2
    rest = [0.0, 0.0, 1.5, 0.0, 0.0, 0.7, 0.0, 0.0, 0.0, 0.3]
    avatar = tiny_avatar.with_config(rest=rest, au_known=[True] * 17, lip_gain=1.0)
    shut = avatar.drive(speech)
    expected = torch.tensor(rest).expand(25, -1)
    assert torch.equal(shut.au[:, list(LOWER_INDEX)], expected)
    au = torch.full((25, 17), torch.nan)
    au[:, list(LOWER_INDEX)] = expected
    told = avatar.with_config(rest=None).drive(speech, expression=ExpressionTrack(au, 25.0, "test"))
    torch.testing.assert_close(shut.codes, told.codes, atol=1e-6, rtol=1e-5)
    au[:] = torch.nan
    au[:, parted] = 2.0
    open_ = avatar.drive(speech, expression=ExpressionTrack(au, 25.0, "test"))  # what is asked for wins, the rest stays
    assert float(open_.au[0, parted]) == 2.0 and float(open_.au[0, list(LOWER_INDEX)][smiling]) == 1.5
    assert float((open_.codes - shut.codes).abs().max()) > 1e-4
    free, loose = (one.drive(speech, silence_gate=False).codes for one in (avatar, avatar.with_config(rest=None)))
    assert torch.equal(free, loose), "only where nobody speaks"


def test_lips_open_as_wide_as_the_avatars_own_gain_says(tiny_avatar):
    """What speech predicts is carried away from rest; what is asked for is not, and a gain of 1 changes no bit."""
    plain, wide = (tiny_avatar.with_config(lip_gain=gain, au_known=[True] * 17) for gain in (1.0, 1.25))
    speech, told = encode_speech(voice(2.0)), torch.full((50, 17), torch.nan)
    told[30:, AU_NAMES.index("AU12")] = 2.0
    asked = ExpressionTrack(told, 25.0, "test")
    (before, after), rest = ((one.drive(speech, expression=asked, silence_gate=False) for one in (plain, wide)),
                             plain.calm(speech.silence_row()))
    torch.testing.assert_close(after.codes[:30], rest[0] + 1.25 * (before.codes[:30] - rest[0]))
    lower = list(LOWER_INDEX)
    expected = (rest[2] + 1.25 * (before.au[:30, lower] - rest[2])).clamp(0, 5)
    torch.testing.assert_close(after.au[:30, lower], expected, atol=1e-5, rtol=1e-5)
    assert float((after.codes[:30] - before.codes[:30]).abs().max()) > 1e-3
    assert torch.equal(after.codes[30:], before.codes[30:]) and torch.equal(after.mouth_codes, before.mouth_codes)
    old = plain.with_config()
    del old.config["lip_gain"]  # a file of before
    assert torch.equal(old.drive(speech).codes, plain.drive(speech).codes)
    both = wide.drive(speech, lip_gain=2.0, silence_gate=False).codes  # the user's on top
    torch.testing.assert_close(both[:30], rest[0] + 2 * (after.codes[:30] - rest[0]), atol=1e-5, rtol=1e-4)


def test_a_speech_file_of_before_is_gated_within_its_own_room(tiny_avatar, tmp_path):
    """Its silence begins 0.16 s after speech and ends 0.06 s before: nothing that is spoken is held back."""
    made = encode_speech(voice(3.0, quiet=(1.0, 2.0)))
    flags = torch.zeros(len(made.silence), dtype=torch.bool)
    flags[round(1.16 * 80):round(1.94 * 80)] = True
    old = replace(made, silence=flags, room=(0.06, 0.16))
    on, off = (tiny_avatar.drive(old, silence_gate=gate).codes for gate in (True, False))
    assert torch.equal(on[:25], off[:25]) and torch.equal(on[50:], off[50:])
    assert float((on[30:48] - on[35]).abs().max()) < 1e-6


@pytest.mark.parametrize("encoder", ["whisper-large-v3", "hubert", "somebody's own"])
def test_lip_gain_stretches_away_from_the_speechs_own_silence(tiny_avatar, encoder):
    """Encoders without a number for silence: what they made of it, or the silent rows of the speech."""
    made = encode_speech(voice(1.0))
    known = torch.linspace(-1, 1, 80)
    for row in (known, None):
        speech = Speech(made.features, made.rate, encoder, made.duration, made.silence, silence_features=row)
        heard = tiny_avatar.config["audio"] | {"audio_window": speech.window}
        avatar = tiny_avatar.with_config(encoder=encoder, speech={}, audio=heard)
        still = avatar.drive(speech, lip_gain=0.0)
        rest = avatar.calm(speech.silence_row())
        for codes, resting in ((still.codes, rest[0]), (still.mouth_codes, rest[1])):  # one product and many: rounding
            assert float((codes - resting).abs().max()) < 1e-5
        assert not torch.equal(avatar.drive(speech, lip_gain=2.0).codes, avatar.drive(speech).codes)
    assert torch.equal(Speech(made.features, 50.0, encoder, 1.0, made.silence, silence_features=known).silence_row(), known)


def test_rendering_does_not_depend_on_chunks(tiny_avatar, motion):
    one, many = frames_of(tiny_avatar, motion, chunk=1), frames_of(tiny_avatar, motion, chunk=9)
    assert one.shape == (25, 64, 64, 3) and torch.equal(one, many)


def test_cached_motion_equals_the_plain_forward(tiny_avatar):
    speech = encode_speech(voice(1.0))
    tiny_avatar = tiny_avatar.with_config(lip_gain=1.0)
    motion = tiny_avatar.drive(speech)
    (d_xyz, d_rot, d_scale), mouth = tiny_avatar.offsets(motion, 4, 7)  # whose windows lie inside the speech
    from talking_heads.hmtalker_core.model.audio_net import audio_windows

    windows = audio_windows(speech.frame_windows(25.0), torch.arange(4, 7))
    out = tiny_avatar.face_net(tiny_avatar.face.xyz, windows, motion.au[4:7][:, list(UPPER_INDEX)])
    for cached, plain in ((d_xyz, out.d_xyz), (d_rot, out.d_rot), (d_scale, out.d_scale)):
        torch.testing.assert_close(cached, plain, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(mouth, tiny_avatar.mouth_net(tiny_avatar.mouth.xyz, windows), atol=1e-7, rtol=1e-4)


def test_rendering_agrees_with_the_float64_reference(tiny_avatar, motion):
    fast, slow = (frames_of(tiny_avatar, motion, stop=2, backend=b) for b in ("cpu", "reference"))
    assert float((fast - slow).abs().mean()) < 1e-4


def test_tracks_loop_forth_and_back(tiny_avatar):
    motion = tiny_avatar.drive(encode_speech(voice(2.0)))
    poses, count = motion.poses.camera_to_head, len(tiny_avatar.poses)
    assert count == 12 and torch.equal(poses[count], poses[count - 2]) and torch.equal(poses[0], poses[2 * count - 2])
    assert torch.equal(motion.au[:count, 0], tiny_avatar.upper_au[:, 0])
    step = (poses[1:] - poses[:-1]).abs().amax(dim=(1, 2))
    track = tiny_avatar.poses.camera_to_head
    assert float(step.max()) <= float((track[1:] - track[:-1]).abs().max()) + 1e-6


def test_blinks_continue_or_stop(tiny_avatar):
    speech = encode_speech(voice(12.0))
    kinds = ("generated", "generated", "none")
    generated, again, none = (tiny_avatar.drive(speech, blinks=b, seed=4).au[:, BLINK] for b in kinds)
    assert torch.equal(generated, again) and float(generated[150:].max()) > 1 and not none.any()
    assert not torch.equal(generated, tiny_avatar.drive(speech, blinks="generated", seed=5).au[:, BLINK])


def test_expression_overrides_what_it_knows(tiny_avatar):
    speech = encode_speech(voice(1.0))
    plain = tiny_avatar.drive(speech)
    au = torch.full((25, 17), torch.nan)
    au[:, 0] = 3.0
    upper = tiny_avatar.drive(speech, expression=ExpressionTrack(au, 25.0, "test"))
    assert torch.all(upper.au[:, 0] == 3) and torch.equal(upper.codes, plain.codes)
    au[:, AU_NAMES.index("AU26")] = 4.0
    lower = tiny_avatar.drive(speech, expression=ExpressionTrack(au, 25.0, "test"))
    assert torch.all(lower.au[:, AU_NAMES.index("AU26")] == 4) and not torch.equal(lower.codes, plain.codes)
    assert torch.isfinite(lower.au[:, list(LOWER_INDEX)]).all()
    given_back = tiny_avatar.drive(speech, expression=plain.expression)
    assert given_back.expression.au.shape == (25, 17)


def test_mismatches_say_both_sides(tiny_avatar):
    speech = encode_speech(voice(0.5))
    other = Speech(speech.features, speech.rate, "hubert", speech.duration, speech.silence)
    with pytest.raises(TalkingHeadsError, match="'mel'.*'hubert'"):
        tiny_avatar.drive(other)
    with pytest.raises(TalkingHeadsError, match="25.*30"):
        tiny_avatar.drive(speech, expression=ExpressionTrack(torch.zeros(5, 17), 30.0, "x"))
    with pytest.raises(TalkingHeadsError, match="blinks.*'often'"):
        tiny_avatar.drive(speech, blinks="often")


def test_foreign_poses_take_the_nearest_torso(tiny_avatar):
    track = tiny_avatar.poses
    backwards = PoseTrack(track.camera_to_head.flip(0), track.focal, track.image_size, track.fps)
    motion = tiny_avatar.drive(encode_speech(voice(0.4)), pose=backwards)
    assert motion.torso_index.tolist() == list(range(11, 1, -1))


def test_gain_and_smoothing(tiny_avatar):
    speech = encode_speech(voice(1.0))
    plain, still, soft = (tiny_avatar.drive(speech, **o).codes for o in ({}, {"lip_gain": 0.0}, {"smoothing": 2.0}))
    assert float((still - still[:1]).abs().max()) < 1e-6 < float((plain - plain[:1]).abs().max())
    assert float(soft.diff(dim=0).abs().sum()) < float(plain.diff(dim=0).abs().sum())
    impulse = torch.zeros(21, 1)
    impulse[10] = 1
    out = smooth_in_time(impulse, 2.0)
    torch.testing.assert_close(out, out.flip(0))
    assert int(out.argmax()) == 10 and abs(float(out.sum()) - 1) < 1e-5


def test_film_has_the_right_length_and_sound(tiny_avatar, motion, tmp_path):
    seen = []
    path = tmp_path / "film.mp4"
    summary = render_video(tiny_avatar, motion, path, voice(1.0), report=lambda *a: seen.append(a))
    info = probe(path)
    assert summary.frames == info.frames == 25 and info.has_sound and abs(float(info.duration) - 1.0) <= 0.02
    assert seen[-1][:2] == (25, 25) and any(a[3] is not None for a in seen)
    film = np.stack(list(read_frames(path))).astype(np.float32) / 255
    assert np.abs(film - frames_of(tiny_avatar, motion).numpy()).mean() < 0.03


def test_the_compiler_is_announced_before_the_film(tiny_avatar, motion, tmp_path, monkeypatch):
    """And only where it will run: the same film again says nothing of it."""
    from talking_heads.hmtalker_core import avatar_rendering, streaming

    for module in (avatar_rendering, streaming):
        monkeypatch.setattr(module, "must_compile", lambda device, backend: backend == "auto")

    def told(**which):
        seen = []
        render_video(tiny_avatar, motion, tmp_path / "film.mp4", report=lambda *a: seen.append(a), **which)
        return [(done, info["phase"]) for done, _, info, _ in seen]

    assert told()[:2] == [(0, "compile"), (4, "render")] and told(backend="cpu")[0] == (4, "render")
    frames = tiny_avatar.render(motion, 2, 6, report=lambda *a: first.append(a[:3]))
    first = []
    next(frames)
    assert first == [(0, 4, {"phase": "compile"})]


def test_cancelling_leaves_no_film(tiny_avatar, motion, tmp_path):
    def stop(done, total, info, preview):
        if done >= 16:
            raise Cancelled

    with pytest.raises(Cancelled):
        render_video(tiny_avatar, motion, tmp_path / "film.mp4", voice(1.0), report=stop)
    assert not list(tmp_path.iterdir())


def test_other_size_background_and_no_body(tiny_avatar, motion):
    rgb, alpha = next(tiny_avatar.render(motion, stop=1, size=(96, 96), background=(0.0, 1.0, 0.0), torso=False))
    assert rgb.shape == (1, 96, 96, 3) and alpha.shape == (1, 96, 96)
    corner = rgb[0, :8, :8]
    assert torch.allclose(corner, torch.tensor([0.0, 1.0, 0.0]).expand_as(corner), atol=0.02)
    assert float(alpha[0, :8, :8].max()) < 0.02
    with_body = next(tiny_avatar.render(motion, stop=1))[1]
    assert float(with_body[0, -6:, 20:44].min()) > 0.5, "the body stands at the bottom"


def test_splat_shows_the_same_face(tiny_avatar, motion):
    """The SPLAT, drawn by the rasteriser from its own frame of reference, is the face over the mouth."""
    splat = tiny_avatar.splat(motion, 4)
    count = len(tiny_avatar.face) + len(tiny_avatar.mouth)
    assert splat["positions"].shape == (1, count, 3) and splat["sh"].shape == (1, count, 9, 3) and int(splat["counts"]) == count
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    camera = film_cameras(motion.poses, 4, 5, (64, 64), tiny_avatar.size, tiny_avatar.device)
    rgb, alpha, _ = rasterization(
        splat["positions"], splat["rotations"], splat["scales"], splat["opacities"][..., 0], splat["sh"][:, :, :1],
        camera["viewmats"] @ turn, camera["Ks"], 64, 64, sh_degree=0)
    (d_xyz, d_rot, d_scale), _ = tiny_avatar.offsets(motion, 4, 5)
    face = tiny_avatar.face.deformed(d_xyz, d_rot, d_scale) | {"colors": tiny_avatar.face.sh[:, :1]}
    _, wanted, _ = rasterization(**face, **camera, sh_degree=0)
    assert float((alpha[0, 0] - wanted[0, 0]).clamp_max(0).abs().mean()) < 0.01, "nothing of the face is missing or turned"
    with pytest.raises(TalkingHeadsError, match="0..24"):
        tiny_avatar.splat(motion, 25)


def test_avatar_file_round_trip_and_bad_files(tiny_avatar, motion, tmp_path):
    path = save_avatar(tiny_avatar, tmp_path / "b.safetensors")
    assert torch.equal(frames_of(load_avatar(path), motion, stop=2), frames_of(tiny_avatar, motion, stop=2))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FileFormatError, match="truncated"):
        load_avatar(path)


def test_an_avatar_file_that_lacks_a_part(tiny_avatar_path, tmp_path):
    from talking_heads.media_core.files import load_tensors, save_tensors

    tensors, config = load_tensors(tiny_avatar_path, kind="avatar", version=1)
    tensors.pop("face.xyz")
    save_tensors(tmp_path / "c.safetensors", tensors, kind="avatar", version=1, config=config)
    with pytest.raises(FileFormatError, match="lacks"):
        load_avatar(tmp_path / "c.safetensors")


def test_an_avatar_file_with_a_poor_header(tiny_avatar_path, tmp_path):
    from talking_heads.media_core.files import load_tensors, save_tensors

    tensors, config = load_tensors(tiny_avatar_path, kind="avatar", version=1)
    for key, value in (("encoder", None), ("sh_degrees", [0]), ("fps", "fast")):
        other = {k: v for k, v in config.items() if k != key} | ({key: value} if value else {})
        save_tensors(tmp_path / "d.safetensors", tensors, kind="avatar", version=1, config=other)
        with pytest.raises(FileFormatError):
            load_avatar(tmp_path / "d.safetensors")


def test_a_full_card_is_not_the_files_fault(tiny_avatar_path, monkeypatch):
    def full(avatar, device):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr("talking_heads.hmtalker_core.avatar.Avatar.to", full)
    with pytest.raises(torch.OutOfMemoryError):
        load_avatar(tiny_avatar_path, device="cuda")


def test_odd_sounds_drive_it(tiny_avatar):
    for sound in (voice(0.1, 8000, 2), voice(0.3, 44100), Sound(np.zeros((1, 8000), np.float32), 16000)):
        motion = tiny_avatar.drive(encode_speech(sound))
        assert torch.isfinite(motion.codes).all()


def test_any_number_of_workers_makes_the_same_film(tiny_avatar, motion):
    from talking_heads.hmtalker_core.streaming import streamed

    before = torch.get_num_threads()
    ways = ((4, 1), (4, 3), (25, 2), (1, 2))  # chunk, workers
    films = [np.concatenate(list(streamed(tiny_avatar, motion, *way))) for way in ways]
    assert films[0].shape == (25, 64, 64, 3) and all(np.array_equal(films[0], film) for film in films[1:])
    assert torch.get_num_threads() == before, "the caller's threads are left alone"
    stream = streamed(tiny_avatar, motion, 2, 2)
    next(stream)
    stream.close()  # stops in the middle without hanging


@pytest.mark.parametrize("option", [{"smoothing": 1e6}, {"smoothing": -1.0}, {"smoothing": float("nan")}, {"start": -3},
                                    {"start": 1.5}, {"start": 10 ** 30}, {"seed": -1}, {"seed": 0.5},
                                    {"lip_gain": float("nan")}])
def test_driving_refuses_impossible_numbers(tiny_avatar, option):
    with pytest.raises(TalkingHeadsError, match=str(next(iter(option.values()))).replace("+", r"\+")):
        tiny_avatar.drive(encode_speech(voice(0.2)), blinks="generated", **option)


def test_the_strongest_smoothing_that_is_taken_is_nearly_still(tiny_avatar):
    codes = tiny_avatar.drive(encode_speech(voice(0.4)), smoothing=1000.0).codes
    assert float((codes - codes[:1]).abs().max()) < 0.02 * float(codes.abs().max())


@pytest.mark.parametrize("option", [{"chunk": 0}, {"chunk": -1}, {"chunk": 1.5}, {"start": -3}, {"start": 0.5}, {"stop": -1},
                                    {"size": (0, 64)}, {"size": 64}, {"size": (64,)}, {"background": "green"},
                                    {"background": (0, 1)}, {"background": (0, 0, 2)}])
def test_rendering_refuses_impossible_requests(tiny_avatar, motion, option, tmp_path):
    with pytest.raises(TalkingHeadsError):
        next(tiny_avatar.render(motion, **option))
    if not {"start", "stop"} & set(option):
        with pytest.raises(TalkingHeadsError):
            render_video(tiny_avatar, motion, tmp_path / "film.mp4", **option)
    assert not list(tmp_path.iterdir())


def test_a_film_needs_workers_and_a_splat_one_frame(tiny_avatar, motion, tmp_path):
    with pytest.raises(TalkingHeadsError, match="workers"):
        render_video(tiny_avatar, motion, tmp_path / "film.mp4", workers=-1)
    for frame in (-1, len(motion), 0.5):
        with pytest.raises(TalkingHeadsError, match="frame"):
            tiny_avatar.splat(motion, frame)
