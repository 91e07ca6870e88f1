"""Film mode of the carrier, on the synthetic subject's video: what must not change does not, to the bit."""
from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.carrier.place import Place
from talking_heads.media_core.face.geometry import MIRROR
from talking_heads.media_core.face.landmarks.mesh_fill import MeshFill
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.pose.canonical import canonical_landmarks
from talking_heads.media_core.face.track import FaceTrack, measure
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import PARAMS, Subject, perform
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.tracks import ping_pong
from talking_heads.moditalker_core.alignment import onto_pose
from talking_heads.moditalker_core.carrier_films import CarriedFilm, carried_film, drawn_film, film_plan
from talking_heads.moditalker_core.film_drawing import lower_face
from talking_heads.moditalker_core.film_faces import Glimpses, filmed_face
from talking_heads.moditalker_core.film_motion import Asked, asked_of_face
from talking_heads.moditalker_core.film_shots import slow_expression

SIZE, FRAMES = 112, 12


class Film:
    """A video in memory that notes how many frames were read."""

    def __init__(self, frames: np.ndarray):
        self.frames, self.read = frames, 0

    def __call__(self, start: int) -> Iterator[np.ndarray]:
        for frame in self.frames[start:]:
            self.read += 1
            yield frame


@pytest.fixture(scope="module")
def filmed() -> tuple[np.ndarray, np.ndarray]:
    """Frames uint8 [T, S, S, 3] with head movement, and their exact 68 points in px."""
    spoken, subject = perform(2.0, 5, engine="formant"), Subject(SIZE, oversampling=1)
    frames, points = [], []
    for i in range(0, 3 * FRAMES, 3):
        params = spoken.params[i].copy()
        params[PARAMS.index("jaw")] = 8 * abs(np.sin(i / 5))
        pose = subject.pose(spoken.euler[i], spoken.translation[i])
        frames.append(subject.render(params, pose, spoken.sway[i]).rgb)
        points.append(subject.landmarks(params, pose)[0])
    return np.stack(frames), np.stack(points)


@pytest.fixture(scope="module")
def track(filmed) -> FaceTrack:
    return tracked(filmed[1], (SIZE, SIZE))


def tracked(points: np.ndarray, size: tuple[int, int], unseen: tuple[int, ...] = (), dense: bool = True) -> FaceTrack:
    fill = MeshFill()
    mesh = np.stack([fill(one) for one in points]).astype(np.float32)
    confidence = np.ones(len(points), np.float32)
    confidence[list(unseen)] = 0
    mesh[list(unseen)] = np.nan
    return measure(RawTrack(points.astype(np.float32), confidence, size, 25.0, tracker="people", mesh=mesh if dense else None))


def test_a_steadied_track_is_drawn_where_the_face_was_found(filmed, track):
    raw = RawTrack(track.landmarks.points[..., :2].numpy(), track.confidence.numpy(), (SIZE, SIZE), 25.0, tracker="people",
                   mesh=track.landmarks.mesh.numpy())
    steady = replace(measure(raw.smoothed()), measured=track.landmarks.points[..., :2])
    planned, bare, other = (film_plan(Film(filmed[0]), fps=25, track=one).face.mesh
                            for one in (steady, track, replace(steady, measured=None)))
    assert np.abs(planned - bare).max() < 0.1 * np.abs(other - bare).max()


@pytest.fixture(scope="module")
def motion(track) -> LandmarkTrack:
    """What the same person says in another order."""
    return canonical_landmarks(track).selected(torch.arange(FRAMES).flip(0))


def made(frames: np.ndarray, motion: LandmarkTrack, **more) -> np.ndarray:
    return np.stack(list(carried_film(Film(frames), motion, fps=25, **more)))


def test_above_the_nose_and_far_from_the_face_every_pixel_stays(filmed, track, motion):
    frames, points = filmed
    out = made(frames, motion, track=track)
    assert out.shape == frames.shape and out.dtype == np.uint8
    for source, one, face, mesh in zip(frames, out, points, track.landmarks.mesh.numpy().astype(float)):
        changed = (source != one).any(-1)
        nose = int(face[33, 1]) - 2
        assert not changed[:nose].any()
        box = lower_face(Place.of(mesh), mesh, (SIZE, SIZE))
        outside = np.ones_like(changed)
        outside[box.slices] = False
        assert not changed[outside].any()
    assert np.abs(out.astype(int) - frames).max() > 40  # and below it they do


def test_lips_come_where_the_motion_has_them(filmed, track, motion):
    plan = film_plan(Film(filmed[0]), fps=25, track=track)
    gap = lambda points: points[..., 66, 1] - points[..., 62, 1]
    wanted = gap(motion.points.numpy() * [1, -1, 1])
    asked = asked_of_face(motion, plan.portrait, track)
    target = [gap(to_68(target_of(plan, number, asked))) for number in range(FRAMES)]
    assert np.corrcoef(wanted, target)[0, 1] > .99
    assert abs(gap(to_68(target_of(plan, 3, replace(asked, rows=0 * asked.rows))))) < 1.5


def target_of(plan: CarriedFilm, number: int, asked: Asked) -> np.ndarray:
    place, shot = plan.place(number), plan.shot(number)
    assert place is not None and shot is not None
    return place.own + shot.move(number, place.own, asked.at(number, place, shot))


def test_the_same_again_and_in_any_rate(filmed, track, motion):
    once = made(filmed[0], motion, track=track)
    assert (once == made(filmed[0], motion, track=track)).all()
    assert len(made(filmed[0], motion.resampled(50.0), track=track)) == FRAMES
    with pytest.raises(TalkingHeadsError, match="must have its rate, 30"):
        carried_film(Film(filmed[0]), motion, fps=30, track=track)


def test_a_shorter_video_is_played_ping_pong(filmed, track, motion):
    longer = motion.selected([*range(FRAMES), *range(FRAMES), 3, 4])
    out = made(filmed[0], longer, track=track)
    order = ping_pong(FRAMES, len(longer)).numpy()
    assert len(out) == 2 * FRAMES + 2 and order[FRAMES] == FRAMES - 2
    assert (out[:, :SIZE // 4] == filmed[0][order][:, :SIZE // 4]).all()
    assert (out[:FRAMES] == made(filmed[0], motion, track=track)).all()


def test_frames_are_drawn_as_they_are_asked_for(filmed, track, motion):
    film = Film(filmed[0])
    plan = film_plan(film, fps=25, track=track)
    film.read = 0
    drawn = drawn_film(plan, film, motion)
    for _ in range(2):
        next(drawn)
    assert film.read <= 3


def test_progress_of_both_passes(filmed, track, motion):
    seen = []
    made(filmed[0], motion, track=track, report=lambda done, total, info, preview: seen.append((done, total, dict(info))))
    first = [one for one in seen if one[2].get("stage")]
    second = [one for one in seen if one[2].get("phase") == "render"]
    assert first[-1][:2] == second[-1][:2] == (FRAMES, FRAMES) and len(first) == len(second) == FRAMES


@pytest.mark.parametrize("policy", ["skip", "hold", "interpolate"])
def test_frames_without_a_face(filmed, motion, policy, caplog):
    frames, points = filmed
    unseen = (0, 6, 7)
    with caplog.at_level(logging.WARNING):
        out = made(frames, motion, track=tracked(points, (SIZE, SIZE), unseen), policy=policy)
    for number in unseen:
        assert (out[number] == frames[number]).all() == (policy == "skip")
    assert (out[3] != frames[3]).any() and ("0, 6-7" in caplog.text) == (policy == "skip")


def test_frames_without_a_face_are_refused_on_demand(filmed, motion):
    with pytest.raises(TalkingHeadsError, match="no face in 1 of 12 frames: 5"):
        made(filmed[0], motion, track=tracked(filmed[1], (SIZE, SIZE), (5,)), policy="error")
    with pytest.raises(TalkingHeadsError, match="need one of"):
        made(filmed[0], motion, track=tracked(filmed[1], (SIZE, SIZE)), policy="maybe")


def test_a_face_that_is_hardly_trusted_stays_as_filmed(filmed, track, motion, caplog):
    trust = track.confidence.clone()
    trust[7:11] = .1
    with caplog.at_level(logging.WARNING):
        out = made(filmed[0], motion, track=replace(track, confidence=trust))
    assert (out[9] == filmed[0][9]).all() and (out[2] != filmed[0][2]).any()
    assert "partly hidden" in caplog.text


def test_each_shot_has_its_own_rest(filmed):
    frames, points = filmed
    take = np.concatenate([frames, frames[::-1], frames])
    other = points[:, list(MIRROR)] * [-1, 1] + [SIZE - 1, 0]
    both = np.concatenate([take, take[:, :, ::-1] // 3])  # another take: dark, mirrored
    track = tracked(np.concatenate([points, points[::-1], points, other, other[::-1], other]), (SIZE, SIZE))
    plan = film_plan(Film(both), fps=25, track=track)
    assert plan.face.cuts == (3 * FRAMES,) and [shot.first for shot in plan.shots] == [0, 3 * FRAMES]
    assert np.abs(plan.shots[0].rest - plan.shots[1].rest).max() > .5
    assert plan.shots[1].mouth.tone.mean() < .6 * plan.shots[0].mouth.tone.mean()


def test_motion_in_pixels_of_the_video(filmed, track, motion):
    canonical = made(filmed[0], motion, track=track)
    pixels = onto_pose(motion, track)
    pixels.points[:, 17:48, 0] += .3  # brows, nose and eyes a little astray, as tracked ones are
    assert np.abs(made(filmed[0], pixels, track=track).astype(int) - canonical).mean() < .25
    with pytest.raises(TalkingHeadsError, match="must be of this video"):
        made(filmed[0], replace(pixels, image_size=(99, 99)), track=track)


def test_landmarks_of_the_very_frames_are_taken_as_they_are(filmed, track):
    out = made(filmed[0], track.landmarks, track=track)
    assert np.abs(out.astype(int) - filmed[0]).mean() < .3
    plan = film_plan(Film(filmed[0]), fps=25, track=track)
    assert asked_of_face(track.landmarks, plan.portrait, track).kind == "absolute"


def test_motion_of_another_face_counts_from_its_own_rest(filmed, track, motion):
    wide = motion.points * torch.tensor([1.1, 1.0, 1.0])
    plan = film_plan(Film(filmed[0]), fps=25, track=track)
    rows = asked_of_face(motion.with_data(wide), plan.portrait, track).rows
    assert np.abs(np.median(rows[:, [0, 8, 16], 0], axis=0)).max() < .02  # dm: no wider face, which would be .07


def test_a_track_without_a_mesh_is_measured_again(filmed, motion, caplog):
    large = np.repeat(np.repeat(filmed[0][:4], 2, 1), 2, 2)
    points = (filmed[1][:4] + .5) * 2 - .5
    with caplog.at_level(logging.WARNING):
        plan = film_plan(Film(large), fps=25, track=tracked(points, (2 * SIZE, 2 * SIZE), dense=False))
    assert "has no mesh" in caplog.text and plan.face.seen.all()
    assert np.abs(to_68(plan.face.mesh[2].astype(float))[17:, :2] - points[2, 17:]).max() < .05


def test_a_track_of_another_length_is_not_believed(filmed, track, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(TalkingHeadsError):
        film_plan(Film(np.zeros((30, 64, 64, 3), np.uint8)), fps=25, track=track)
    assert "followed again" in caplog.text


def test_slow_expression_keeps_a_smile_and_no_speech():
    rest = np.zeros((4, 20, 3))
    lips = np.zeros((100, 4, 20, 3), np.float32)
    lips[:, :, 1:10, 1] = 5 + 5 * np.sin(np.arange(100))[:, None, None]  # the lower lip speaks
    lips[:, :, [0, 10], 1] -= 3                                            # the corners smile
    slow = slow_expression(lips, rest, 25.0)
    assert np.allclose(slow[:, :, 5] - slow[:, :, 15], 0, atol=1e-5)  # lips are not opened
    assert slow[:, :, 0, 1].max() < -2 and np.abs(np.diff(slow, axis=0)).max() < .2


def test_glimpses_tell_cuts():
    noise = np.random.default_rng(0).integers(0, 99, (2, 48, 64, 3), dtype=np.uint8)
    glimpses = Glimpses()
    for number in range(30):
        glimpses.add(np.full((48, 64, 3), 200, np.uint8) if number < 12 else noise[0] + number % 2, None)
    assert glimpses.cuts() == (12,)


def test_an_offset_motion_leaves_the_mouth_in_the_face(filmed, track, motion):
    plan = film_plan(Film(filmed[0]), fps=25, track=track)
    plain = asked_of_face(motion, plan.portrait, track).rows
    moved = motion.with_data(motion.points + torch.tensor([.01, 0, 0]))
    still = np.repeat(plan.portrait[None], FRAMES, axis=0)
    same = motion.with_data(torch.from_numpy((still + [.01, 0, 0]).astype(np.float32)))
    assert np.abs(asked_of_face(same, plan.portrait, track).rows).max() < 1e-5
    assert np.ptp(asked_of_face(moved, plan.portrait, track).rows - plain) < .015


def test_one_of_several_faces(filmed, motion):
    """The one that is pointed at, or that a track followed which left frames out."""
    small = filmed[0][:, 10:90, 20:100]
    frames = np.concatenate([filmed[0], np.pad(small, [(0, 0), (16, 16), (16, 16), (0, 0)], mode="edge")], axis=2)
    right = np.float32(filmed[1] + [SIZE - 4, 6])
    for chosen in (filmed[1], right):
        found = filmed_face(Film(frames), 25.0, tracker="rendered", near=chosen[0]).track.landmarks.points[0, :, :2].numpy()
        assert np.abs(found.mean(0) - chosen[0].mean(0)).max() < 12
    short = tracked(right[:6], (SIZE, 2 * SIZE))
    again = filmed_face(Film(frames), 25.0, track=short, tracker="rendered").track.landmarks.points[0, :, :2].numpy()
    assert np.abs(again.mean(0) - right[0].mean(0)).max() < 12
