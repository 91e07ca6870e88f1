"""Video of any length: ways to drive it, borders, tails, parts, memory, bad input. The networks are tiny and know nothing."""
from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from mtov_files import FRAMES, SIZE, tiny_mtov
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.moditalker_core.mtov.clips import boundary_corrected, clip_plan
from talking_heads.moditalker_core.mtov.conditions import clip_of, portrait_picture, pose_picture, raster_clip
from talking_heads.moditalker_core.mtov.detail_residual import trust
from talking_heads.moditalker_core.mtov.diffusion import make_scheduler, noised_start, sample
from talking_heads.moditalker_core.mtov.generation import VideoSettings, _groups, latent_noise, talk, to_uint8
from talking_heads.moditalker_core.mtov.model import MToV, RasterSettings

S, T = SIZE, FRAMES


def tiny(**changes) -> MToV:
    """Clips of 8 frames of 32 px, three calls; every layer does something."""
    return tiny_mtov(**{"calls": 3, "ratio": 0.25, "raster": RasterSettings(S, 4, 4)} | changes)


def face(frames: int, size: tuple[int, int] = (48, 48), fps: float = 25.0) -> LandmarkTrack:
    """A face of points whose mouth opens and shuts, in the middle of a picture."""
    place = np.random.default_rng(0).uniform(0.3, 0.7, (68, 2))
    place[33], place[48:] = (0.5, 0.55), place[48:] * [1, 0.2] + [0, 0.55]
    points = np.zeros((frames, 68, 3), np.float32)
    side = min(size)
    corner = [(size[1] - side) / 2, (size[0] - side) / 2]
    points[..., :2] = place * side + corner
    points[:, 57, 1] += 0.08 * side * np.sin(np.arange(frames) * 0.7)
    return LandmarkTrack(torch.from_numpy(points), fps, "pixels", size)


def picture(size: tuple[int, int] = (48, 48), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def film(count: int, size: tuple[int, int] = (48, 48)):
    for i in range(count):
        yield picture(size, seed=i + 1)


def made(*args, **options) -> np.ndarray:
    return np.stack(list(talk(*args, **options)))


@pytest.fixture(scope="module")
def mtov() -> MToV:
    return tiny()


# -------------------------------------------------------------------------------------------------------- any length

@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 14, 15, 23])
def test_a_frame_for_every_frame_of_the_motion(mtov, frames):
    out = made(mtov, face(frames), picture())
    assert out.shape == (frames, S, S, 3) and out.dtype == np.uint8


def test_one_clip_is_the_networks_own():
    """The pieces by hand, without anything of generation.py but its noise."""
    mtov, motion, shown = tiny(), face(T, (S, S)), picture((S, S))
    config, chosen = mtov.config, VideoSettings(seed=3).resolved(mtov.config, T)
    with torch.inference_mode():
        identity = mtov.rgb.encode(clip_of([portrait_picture(shown)] * T)[None])
        row = int(motion.points[0, 33, 1])
        pose = mtov.rgb.encode(clip_of([pose_picture(shown, row, S)] * T)[None])
        marks = mtov.landmarks.encode(raster_clip(motion.points, (S, S), config.raster)[None])
        noises = [latent_noise(chosen, k, 0, config)[None] for k in range(3)]
        found = sample(lambda x, t: mtov.denoiser(x, t[None], marks, pose, identity), noised_start(identity, 0.25, noises[0]),
                       noises.__getitem__, make_scheduler("ddim", 3, 0.25))
        wanted = to_uint8(mtov.rgb.decode(found)[0].transpose(0, 1))
    got = made(mtov, motion, shown, VideoSettings(seed=3))
    assert np.abs(got.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("poses", [False, True])
def test_any_part_equals_the_same_frames_of_the_whole(mtov, poses):
    motion = face(27)
    options = lambda: {"pose_frames": film(27), "pose_landmarks": motion} if poses else {}
    for batch in (1, 2):
        whole = made(mtov, motion, picture(), VideoSettings(batch=batch, seed=5), **options())
        for start, stop in ((0, 1), (5, 20), (6, 8), (13, 27), (26, 27)):
            part = made(mtov, motion, picture(), VideoSettings(batch=batch, seed=5, start=start, stop=stop), **options())
            # several clips at once may be multiplied in other blocks than one: then the last bit is another
            assert np.abs(part.astype(int) - whole[start:stop]).max() <= batch - 1, (start, stop, batch)


@pytest.mark.parametrize("sampler", ["ddim", "ddim0", "dpm++", "unipc"])
def test_clips_at_once_change_rounding_only(mtov, sampler):
    one, three = (made(mtov, face(30), picture(), VideoSettings(sampler=sampler, calls=3, batch=n)) for n in (1, 3))
    assert np.abs(one.astype(int) - three).max() <= 1


def test_the_seed_decides_and_nothing_else(mtov):
    a, b, c = (made(mtov, face(9), picture(), VideoSettings(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    torch.manual_seed(123)
    assert np.array_equal(a, made(mtov, face(9), picture(), VideoSettings(seed=1)))


def test_constant_motion_keeps_its_colour(mtov):
    """Issue's measure: the mean colour of clip k differs from clip 0 by at most 1/255; clips of equal noise are even equal."""
    motion = face(1).selected([0] * 50)
    out = made(mtov, motion, picture(), VideoSettings(overlap=0)).astype(float)
    clips = [out[at:at + T] for at in range(0, 48, T)]
    assert all(np.abs(clip.mean((0, 1, 2)) - clips[0].mean((0, 1, 2))).max() <= 1 for clip in clips)
    assert all(np.array_equal(clip, clips[0]) for clip in clips)
    own = made(mtov, motion, picture(), VideoSettings(overlap=0, noise="own"))
    assert not np.array_equal(own[:T], own[T:2 * T])


@pytest.mark.parametrize("overlap, step", [(0, 204), (2, 68), (4, 41)])
def test_overlap_spreads_the_jump_of_a_border_evenly(overlap, step):
    """Clips that are black and white in turn: no step between frames is larger than jump / (overlap + 1)."""
    mtov, made_so_far = tiny(), []

    def decode(latents):
        made_so_far.append(1)
        return torch.full((len(latents), 3, T, S, S), 0.8 * (-1) ** len(made_so_far))

    mtov.rgb.decode = decode
    out = made(mtov, face(1).selected([0] * 40), picture(), VideoSettings(overlap=overlap, settle=0.0)).astype(int)
    assert abs(np.abs(np.diff(out, axis=0)).max() - step) <= 1 and out.min() <= 26 and out.max() >= 180


def test_a_clip_settles_from_the_one_before():
    """What clips differ by is given up over the whole clip: with all of it the largest step is that of an even way."""
    mtov, values = tiny(), iter([-0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5])
    mtov.rgb.decode = lambda latents: torch.full((len(latents), 3, T, S, S), next(values))
    out = made(mtov, face(1).selected([0] * 40), picture(), VideoSettings(overlap=2, settle=1.0)).astype(int)
    assert np.abs(np.diff(out, axis=0)).max() <= 127.5 / (T - 2 + 1) + 1
    assert out.min() == 64 and out.max() >= 170
    rows, before = torch.rand(T, 5), torch.rand(2, 5)
    half = boundary_corrected(rows, before, 0.5)
    assert torch.equal(half[-2:], rows[-2:]) and torch.equal(boundary_corrected(rows, rows[:2], 1.0), rows)
    assert bool(((before.mean(0) - half[:2].mean(0)).abs() < (before.mean(0) - rows[:2].mean(0)).abs() + 1e-6).all())


def test_clips_cover_every_frame_once_or_fade():
    for frames in range(1, 60):
        for overlap in (0, 2, 4):
            plan = clip_plan(frames, T, overlap)
            assert plan[0].start == 0 and plan[-1].stop >= frames and plan[-1].start < frames
            assert all(b.start == a.stop - overlap for a, b in zip(plan, plan[1:]))
            steps = torch.cat([torch.zeros(1), plan[-1].weight(torch.arange(plan[-1].start, plan[-1].stop))]).diff()
            assert len(plan) == 1 or float(steps.max()) <= 1 / (overlap + 1) + 1e-6
    parts = {(0, 27): 5, (7, 8): 2, (13, 14): 3, (8, 9): 2}  # with the clip before, from which the first one settles
    assert all(clips_made(27, VideoSettings(start=a, stop=b)) == n for (a, b), n in parts.items())
    assert clips_made(27, VideoSettings(start=8, stop=9, settle=0.0)) == 1


def clips_made(frames: int, settings: VideoSettings) -> int:
    config = tiny().config
    return sum(map(len, _groups(frames, config, settings.resolved(config, frames))))


def test_memory_does_not_grow_with_length(mtov):
    """Frames of a film that no later clip needs are let go, while the video goes on."""
    alive, given = [], []

    def watched():
        for i in range(200):
            frame = picture(seed=i)
            alive.append(weakref.ref(frame))
            given.append(i)
            yield frame

    motion = face(200)
    video = talk(mtov, motion, picture(), VideoSettings(calls=1), pose_frames=watched(), pose_landmarks=motion)
    most = 0
    for count, _ in zip(range(150), video):
        most = max(most, sum(one() is not None for one in alive))
        assert len(given) <= count + 2 * T  # nothing is read long before it is needed
    assert most <= 2


# ------------------------------------------------------------------------------------------------------- ways to drive

def test_portrait_mode_hides_the_portraits_own_mouth(mtov):
    """What lies below the nose's base reaches the video only as identity, never as pose."""
    motion, shown = face(8), picture()
    seen = []
    plain = mtov.rgb.encode_still
    mtov.rgb.encode_still = lambda clips: seen.append(clips) or plain(clips)
    try:
        made(mtov, motion, shown)
    finally:
        del mtov.rgb.encode_still
    identity, pose = seen
    row = int(int(motion.points[0, 33, 1]) * S / 48)
    assert bool((pose[..., row + 1:, :] == -1).all()) and bool((identity[..., row + 1:, :] > -1).any())
    assert torch.equal(pose[..., :row - 1, :], identity[..., :row - 1, :].mul(127.5).add(127.5).round().div(127.5).sub(1))


def test_landmarks_of_the_portrait_say_where_it_is_hidden(mtov):
    motion = face(4)
    points = motion.points[:1].clone()
    points[:, 33, 1] -= 9
    higher = LandmarkTrack(points, 25.0, "pixels", (48, 48))
    assert not np.array_equal(made(mtov, motion, picture()), made(mtov, motion, picture(), pose_landmarks=higher))


def test_a_pose_film_of_one_picture_is_portrait_mode(mtov):
    shown, motion = picture(), face(1).selected([0] * 12)
    stills = made(mtov, motion, shown, pose_frames=iter([shown] * 12), pose_landmarks=motion)
    assert np.abs(stills.astype(int) - made(mtov, motion, shown)).max() <= 1


def test_a_short_pose_film_is_walked_to_and_fro(mtov):
    motion, frames = face(30), list(film(12))
    track = face(30).slice(0, 12)
    order = ([*range(12), *range(10, -1, -1), *range(1, 12)])[:30]
    short = made(mtov, motion, picture(), pose_frames=iter(frames), pose_landmarks=track)
    long = made(mtov, motion, picture(), pose_frames=(frames[i] for i in order), pose_landmarks=track.selected(order))
    assert np.array_equal(short, long)


def test_lips_move_the_video(mtov):
    motion = face(12)
    points = motion.points.clone()
    points[:, 57, 1] = motion.points[0, 57, 1]
    assert not np.array_equal(made(mtov, motion, picture()), made(mtov, motion.with_data(points), picture()))


@pytest.mark.parametrize("size", [(48, 48), (100, 60), (60, 100), (700, 700)])
def test_pictures_of_any_size(mtov, size):
    assert made(mtov, face(2, size), picture(size)).shape == (2, S, S, 3)


@pytest.mark.parametrize("noise", ["shared", "own"])
def test_an_anchored_video_of_the_portraits_own_landmarks_is_the_portrait(mtov, noise):
    """Whatever the networks draw; other landmarks change it by what they change in the networks' own picture."""
    shown, own = picture((S, S)), face(1, (S, S))
    still = made(mtov, own.selected([0] * T), shown, VideoSettings(anchored=True, noise=noise), pose_landmarks=own)
    assert np.array_equal(still, np.repeat(shown[None], T, 0))
    motion = face(13, (S, S))
    held = made(mtov, own.selected([0] * T), shown, VideoSettings(noise=noise), pose_landmarks=own).astype(int)
    for batch in (1, 2):
        settings = VideoSettings(anchored=True, batch=batch, noise=noise)
        whole = made(mtov, motion, shown, settings, pose_landmarks=own)
        plain = made(mtov, motion, shown, replace(settings, anchored=False), pose_landmarks=own)
        assert np.array_equal(whole[5:9], made(mtov, motion, shown, replace(settings, start=5, stop=9), pose_landmarks=own))
        share = trust(motion.points[:T - 4], own.points, (S, S), S).movedim(1, -1).numpy()
        wanted = (plain[:T - 4] + share * (shown - held[:T - 4])).clip(0, 255)
        assert np.abs(whole[:T - 4] - wanted).max() <= 2 and share.min() < 0.9


def test_a_portraits_detail_is_trusted_where_nothing_moved():
    """However large the picture is, and wherever in it the face."""
    own = face(1, (128, 128)).points
    assert bool((trust(own, own, (128, 128), 64) == 1).all())
    points = own.clone()
    points[:, 48:, 1] += 6
    share, (x, y) = trust(points, own, (128, 128), 64)[0, 0], (own[0, 57, :2] / 2).round().int().tolist()
    assert share.shape == (64, 64) and float(share[y, x]) < 0.3 and float(share[0, 0]) > 0.999
    assert torch.allclose(trust(points * 2 + 0.5, own * 2 + 0.5, (256, 256), 64)[0, 0], share, atol=1e-4)
    for size, aside in (((128, 256), (64, 0, 0)), ((256, 128), (0, 64, 0))):  # the networks see the middle square
        aside = own.new_tensor(aside)
        assert torch.allclose(trust(points + aside, own + aside, size, 64)[0, 0], share, atol=1e-5)


def test_an_anchor_needs_the_portraits_landmarks_and_leaves_pose_films_alone(mtov):
    with pytest.raises(TalkingHeadsError, match="anchored.*own landmarks.*pose_landmarks"):
        talk(mtov, face(3), picture(), VideoSettings(anchored=True))
    options = lambda: {"pose_frames": film(9), "pose_landmarks": face(9)}
    plain, anchored = (made(mtov, face(9), picture(), VideoSettings(anchored=flag), **options()) for flag in (False, True))
    assert np.array_equal(plain, anchored)


# ---------------------------------------------------------------------------------------------- progress and cancelling

def test_report_counts_every_call_and_shows_pictures(mtov):
    told = []
    made(mtov, face(20), picture(), VideoSettings(calls=4, previews=2), report=lambda *call: told.append(call))
    done, totals = [call[0] for call in told], {call[1] for call in told}
    assert totals == {12} or totals == {16}
    assert done == sorted(done) and done[-1] == totals.pop()
    shown = [call[3] for call in told if call[2]["phase"] == "sample" and call[3] is not None]
    assert len(shown) == 2 * told[-1][2]["clips"] and all(each.shape == (S, S, 3) and each.dtype == np.uint8 for each in shown)
    assert {call[2]["phase"] for call in told} == {"encode", "sample", "decode", "done"}


def test_previews_change_nothing(mtov):
    seen = made(mtov, face(9), picture(), report=lambda *call: None)
    assert np.array_equal(seen, made(mtov, face(9), picture()))


def test_the_last_preview_resembles_its_frame():
    mtov, told = tiny(), []
    frames = made(mtov, face(T), picture(), VideoSettings(previews=3), report=lambda *call: told.append(call))
    last = [call[3] for call in told if call[2]["phase"] == "sample"][-1]
    assert np.abs(last.astype(int) - frames[T // 2]).mean() < 0.4 * frames[T // 2].std()
    assert np.corrcoef(last.ravel(), frames[T // 2].ravel())[0, 1] > 0.9


def test_cancelling_stops_within_a_clip(mtov):
    calls = []

    def report(done, total, info, preview):
        calls.append(info["phase"])
        if len(calls) == 9:
            raise Cancelled("enough")

    video = talk(mtov, face(40), picture(), VideoSettings(calls=4), report=report)
    got = []
    with pytest.raises(Cancelled):
        for frame in video:
            got.append(frame)
    assert len(calls) == 9 and calls[-1] == "sample" and len(got) == T - 2


def test_a_cancelled_film_is_absent(mtov, tmp_path):
    from talking_heads.media_core.video import VideoWriter

    def report(done, total, info, preview):
        if info["clip"] == 2 and info["phase"] == "sample":
            raise Cancelled("enough")

    with pytest.raises(Cancelled), VideoWriter(tmp_path / "film.mp4", S, S) as writer:
        for frame in talk(mtov, face(40), picture(), report=report):
            writer.write(frame)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------------ bad input

@pytest.mark.parametrize("part, index", [("rgb", 0), ("landmarks", 0), ("denoiser", 0)])
def test_nan_in_the_networks_is_told(part, index):
    mtov = tiny()
    next(mtov.networks[part].parameters()).data[index] = torch.nan
    with pytest.raises(TalkingHeadsError, match="finite.*NaN.*fp32"):
        made(mtov, face(3), picture())


def test_another_rate_is_refused(mtov):
    with pytest.raises(TalkingHeadsError, match="25 frames per second.*30.*Resample"):
        talk(mtov, face(3, fps=30.0), picture())
    assert len(made(mtov, face(6, fps=30.0).resampled(25.0), picture())) == 5


def test_landmarks_outside_the_frame(mtov):
    motion = face(5)
    lower = motion.points + torch.tensor([0.0, 45.0, 0.0])  # as the released preparation had them
    with pytest.raises(TalkingHeadsError, match="half of the face.*frames 0, 1, 2, 3, 4"):
        talk(mtov, motion.with_data(lower), picture())
    some = motion.points.clone()
    some[:, :20] -= 500
    some[:, 20:25] += 1e9
    assert len(made(mtov, motion.with_data(some), picture())) == 5


def test_landmarks_of_another_picture_or_space(mtov):
    canonical = LandmarkTrack(torch.rand(3, 68, 3))
    with pytest.raises(TalkingHeadsError, match="space 'canonical'.*Align"):
        talk(mtov, canonical, picture())
    with pytest.raises(TalkingHeadsError, match="pixels of the portrait, 48 x 64 px.*48 x 48"):
        talk(mtov, face(3), picture((64, 48)))
    with pytest.raises(TalkingHeadsError, match="portrait.*Align"):
        talk(mtov, face(3), picture(), pose_landmarks=canonical)
    with pytest.raises(TalkingHeadsError, match="pixels of the pose video, 64 x 64 px.*48 x 48"):
        talk(mtov, face(3), picture(), pose_frames=film(3, (64, 64)), pose_landmarks=face(3, (64, 64)))
    with pytest.raises(TalkingHeadsError, match="one rate.*25 and 30"):
        talk(mtov, face(3), picture(), pose_frames=film(3), pose_landmarks=face(3, fps=30.0))


def test_pose_films_that_do_not_fit(mtov):
    with pytest.raises(TalkingHeadsError, match="48 x 48 px.*frame 0 of 64 x 64"):
        made(mtov, face(3), picture(), pose_frames=film(3, (64, 64)), pose_landmarks=face(3))
    with pytest.raises(TalkingHeadsError, match="2 frames for 3 rows"):
        made(mtov, face(3), picture(), pose_frames=film(2), pose_landmarks=face(3))
    with pytest.raises(TalkingHeadsError, match="3 rows for more frames, and a motion of 9"):
        made(mtov, face(9), picture(), pose_frames=film(5), pose_landmarks=face(3))


@pytest.mark.parametrize("change", [{"sampler": "euler"}, {"calls": 0}, {"calls": 300}, {"ratio": 0.0}, {"ratio": 1.5},
                                    {"eta": 2.0}, {"seed": -1}, {"seed": 1 << 64}, {"seed": 0.5}, {"overlap": 5},
                                    {"overlap": -1}, {"batch": 0}, {"noise": "pink"}, {"start": 3}, {"stop": 4}, {"start": -1},
                                    {"stop": 0}, {"previews": -1}, {"overlap": 1.5}, {"settle": 1.1},
                                    {"settle": float("nan")}, {"resize": "nearest"}, {"ratio": float("nan")}, {"schedule": 0},
                                    {"schedule": 1001}, {"schedule": -12}, {"schedule": 2.5}])
def test_settings_out_of_range(mtov, change):
    with pytest.raises(TalkingHeadsError):
        talk(mtov, face(3), picture(), VideoSettings(**change))


def test_another_sampler_brings_its_usual_calls():
    config = tiny(calls=3, sampler="dpm++").config
    calls = lambda **changes: VideoSettings(**changes).resolved(config, 5).calls
    assert (calls(), calls(sampler="ddim"), calls(sampler="unipc"), calls(sampler="unipc", ratio=0.005)) == (3, 25, 8, 5)


def test_a_schedule_runs_the_published_times(mtov):
    """12 steps at ratio 0.4: five calls, the first above the start; pairs that come out even are what `calls` always were."""
    told = []
    made(mtov, face(T), picture(), VideoSettings(schedule=12, ratio=0.4, calls=3), report=lambda *call: told.append(call))
    assert [call[2]["phase"] for call in told].count("sample") == 5
    chosen = VideoSettings(schedule=12, ratio=0.4, seed=2, sampler="ddim")
    with torch.inference_mode():
        at = []
        hook = mtov.denoiser.register_forward_pre_hook(lambda module, given: at.append(int(given[1][0])))
        made(mtov, face(T), picture(), chosen)
        hook.remove()
    assert at == [415, 332, 249, 165, 82]
    even = [made(mtov, face(T), picture(), VideoSettings(ratio=0.25, **how)) for how in ({"schedule": 20}, {"calls": 5})]
    assert np.array_equal(*even)


def test_a_schedule_may_not_begin_above_what_the_weights_learnt():
    config = tiny(times=(0, 400), ratio=0.4).config
    assert VideoSettings(schedule=10).resolved(config, 3).calls == 4
    with pytest.raises(TalkingHeadsError, match="0.4 at most.*0.416"):
        VideoSettings(schedule=12).resolved(config, 3)


def test_pictures_shrink_as_asked(mtov):
    """The published way of resizing is another picture, of portrait and of pose, and the same where nothing shrinks."""
    large, small = picture((3 * S, 3 * S)), picture((S, S))
    of = lambda shown, size, **how: made(mtov, face(2, size), shown, VideoSettings(calls=1, **how))
    assert np.array_equal(of(small, (S, S)), of(small, (S, S), resize="bilinear"))
    assert not np.array_equal(of(large, (3 * S, 3 * S)), of(large, (3 * S, 3 * S), resize="bilinear"))
    assert np.array_equal(of(large, (3 * S, 3 * S)), of(large, (3 * S, 3 * S), resize="filtered"))
    thirds = np.ascontiguousarray(large[1::3, 1::3])  # without a filter, of three pixels the middle one counts
    assert np.abs(of(large, (3 * S, 3 * S), resize="bilinear").astype(int) - of(thirds, (S, S))).max() <= 3


@pytest.mark.usefixtures("bf16_attention")
def test_half_the_numbers():
    mtov = tiny().to(dtype=torch.bfloat16)
    half, full = (made(each, face(10), picture()).astype(float) for each in (mtov, tiny()))
    assert np.abs(half - full).mean() < 6
