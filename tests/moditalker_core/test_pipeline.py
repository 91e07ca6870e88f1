"""From a portrait or a film to a talking one: scenes, and the whole way to an mp4. MToV's networks are tiny and know nothing."""
from __future__ import annotations

import weakref
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch
from mtov_files import SIZE, tiny_mtov
from PIL import Image
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import portrait_landmarks
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.video import probe, read_frames
from talking_heads.moditalker_core.atom.checkpoints import load_atom
from talking_heads.moditalker_core.mtov import conditions, scenes
from talking_heads.moditalker_core.mtov.generation import VideoSettings
from talking_heads.moditalker_core.mtov.scenes import film_scene, portrait_scene
from talking_heads.moditalker_core.pipeline import speak, speak_video, video

S, FAST = SIZE, VideoSettings(calls=1)


def tiny(**changes):
    return tiny_mtov(**changes)


@lru_cache(maxsize=1)
def portrait() -> np.ndarray:
    from pack import ROOT

    return np.asarray(Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB"))


@lru_cache(maxsize=1)
def shown():
    mtov = tiny(margin=1.6)
    return mtov, portrait_scene(portrait(), mtov.config, tracker="rendered")


def motion(scene, frames: int, fps: float = 25.0) -> LandmarkTrack:
    """The person at rest, whose chin goes down a little."""
    points = scene.canonical.points.repeat(frames, 1, 1)
    points[:, 8, 1] -= 0.05 * torch.sin(torch.arange(frames) * 0.6)
    return LandmarkTrack(points, fps)


@pytest.fixture(scope="module")
def driven(tiny_film):
    """A scene in a film of 30 frames."""
    mtov = tiny(margin=1.6)
    return mtov, film_scene(lambda start: read_frames(tiny_film, 25.0, start), mtov.config, total=30, tracker="rendered")


# -------------------------------------------------------------------------------------------------------------- portraits

def test_a_portraits_own_face_lies_on_its_crop():
    mtov, scene = shown()
    at_rest = scene.placed(motion(scene, 3))
    assert at_rest.image_size == (S, S) and len(at_rest) == 3
    assert float((at_rest.points[0, :, :2] - scene.landmarks.points[0, :, :2]).abs().max()) < 0.01
    found = portrait_landmarks(scene.crop.crop(portrait()).repeat(8, 0).repeat(8, 1)).points / 8
    assert np.abs(found - scene.landmarks.points[0, :, :2].numpy()).mean() < 1.5
    assert scene.identity.shape == (S, S, 3) and scene.pose_crops(2) is None and len(scene.pose_landmarks(2)) == 1


def test_a_square_of_the_weights_margin():
    _, scene = shown()
    extent = np.ptp(scene.source.points[0, :, :2].numpy(), axis=0).max()
    assert abs(scene.crop.side() / extent - 1.6) < 0.02


@pytest.mark.parametrize("kind", ["grey", "alpha", "float", "large"])
def test_portraits_of_every_kind(kind):
    mtov, plain = shown()
    rgb = portrait()
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    large = np.asarray(Image.fromarray(rgb).resize((4000, 4000 * rgb.shape[0] // rgb.shape[1])))
    given = {"grey": grey, "alpha": np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]),
             "float": rgb.astype(np.float32) / 255, "large": large}[kind]
    scene = portrait_scene(given, mtov.config, tracker="rendered")
    frames = list(video(mtov, motion(scene, 2), scene, FAST))
    assert max(scene.picture.shape) <= scenes.LARGEST and frames[0].shape == scene.picture.shape
    assert np.abs(scene.landmarks.points - plain.landmarks.points)[..., :2].mean() < 0.5


def test_a_picture_without_a_face():
    with pytest.raises(TalkingHeadsError, match="face.*none found"):
        portrait_scene(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8), tiny().config)


@pytest.mark.parametrize("points", [np.zeros((67, 2)), np.full((68, 2), np.nan), np.zeros(68)])
def test_points_that_are_no_face(points):
    with pytest.raises(TalkingHeadsError, match="68 finite points"):
        portrait_scene(portrait(), tiny().config, points=points)


def test_known_points_need_no_tracker():
    mtov, plain = shown()
    scene = portrait_scene(portrait(), mtov.config, points=plain.source.points[0].numpy())
    assert np.array_equal(scene.identity, plain.identity)
    twice = np.asarray(Image.fromarray(portrait()).resize([4 * side for side in portrait().shape[1::-1]]))
    larger = portrait_scene(twice, mtov.config, points=(plain.source.points[0].numpy() + 0.5) * 4 - 0.5)
    assert float((larger.landmarks.points - plain.landmarks.points)[..., :2].abs().max()) < 0.5


def test_outside_the_square_the_picture_stays_to_the_bit():
    mtov, scene = shown()
    frames = list(video(mtov, motion(scene, 3), scene, FAST))
    corner = np.rint(scene.crop.to_source(np.array([[-0.5, -0.5], [S - 0.5, S - 0.5]])) + 0.5).astype(int)
    (left, top), (right, bottom) = corner
    for frame in frames:
        assert not np.array_equal(frame, scene.picture)
        changed = (frame != scene.picture).any(-1)
        changed[top:bottom, left:right] = False
        assert not changed.any()


def test_motion_of_another_rate_is_resampled():
    mtov, scene = shown()
    assert len(list(video(mtov, motion(scene, 12, fps=30.0), scene, FAST, paste=False))) == 10


def test_motion_in_pixels_of_the_picture_or_of_the_crop():
    mtov, scene = shown()
    canonical = motion(scene, 2)
    in_crop = scene.placed(canonical)
    points = in_crop.points.clone()
    points[..., :2] = torch.from_numpy(scene.crop.to_source(in_crop.points[..., :2].double().numpy())).float()
    whole = LandmarkTrack(points, 25.0, "pixels", tuple(scene.picture.shape[:2]))
    for given in (in_crop, whole):
        assert float((scene.placed(given).points - in_crop.points)[..., :2].abs().max()) < 1e-2
    with pytest.raises(TalkingHeadsError, match="whole image.*or of the crop.*77 x 99"):
        scene.placed(LandmarkTrack(points, 25.0, "pixels", (99, 77)))


@pytest.mark.parametrize("paste", [False, True])
def test_a_part_is_that_part_of_the_whole(driven, paste):
    """Of an image, and of a video that is played ping-pong."""
    for mtov, scene, frames in ((*shown(), 9), (*driven, 40)):
        whole = list(video(mtov, motion(scene, frames), scene, FAST, paste=paste))
        part = list(video(mtov, motion(scene, frames), scene, VideoSettings(calls=1, start=4, stop=frames - 1), paste=paste))
        assert np.array_equal(part, whole[4:-1])


# ------------------------------------------------------------------------------------------------------------------ films

def test_a_films_own_motion_comes_back_to_its_crop(driven):
    from talking_heads.media_core.face.pose.canonical import canonical_landmarks

    _, scene = driven
    placed = scene.placed(canonical_landmarks(scene.track))
    assert float((placed.points - scene.landmarks.points)[..., :2].abs().max()) < 0.05
    assert len(scene.landmarks) == len(list(scene.pose_crops(30))) == 30


@pytest.mark.parametrize("follow", [False, True])
def test_a_film_is_driven_beyond_its_end(tiny_film, driven, follow):
    """To and fro: the frames outside the square are the film's own, bit for bit, forwards and then backwards."""
    mtov, first = driven
    scene = film_scene(first.opened, mtov.config, track=first.track, follow=follow)
    out = list(video(mtov, motion(scene, 40), scene, FAST))
    film = list(read_frames(tiny_film, 25.0))
    assert len(out) == 40 and scene.crop.moves == follow
    for i, frame in enumerate(out):
        source = film[i if i < 30 else 58 - i]
        assert np.array_equal(frame[:2], source[:2]) and np.array_equal(frame[:, :2], source[:, :2])
        assert not np.array_equal(frame, source)


def test_a_film_that_is_too_short_is_not_held_in_memory(driven, monkeypatch):
    alive, most, real = set(), [0], conditions.pose_picture

    def counted(*args):
        picture = real(*args)
        alive.add(id(picture))
        weakref.finalize(picture, alive.discard, id(picture))
        most[0] = max(most[0], len(alive))
        return picture

    monkeypatch.setattr(conditions, "pose_picture", counted)
    mtov, scene = driven
    assert len(list(video(mtov, motion(scene, 70), scene, FAST, paste=False))) == 70
    assert mtov.config.frames <= most[0] <= 2 * mtov.config.frames < 30, "of the film's 30"


def test_another_portrait_gives_a_film_its_looks(driven):
    mtov, first = driven
    scene = film_scene(first.opened, mtov.config, track=first.track, portrait=portrait(), tracker="rendered")
    assert np.array_equal(scene.identity, shown()[1].identity) and not np.array_equal(scene.identity, first.identity)
    one, two = (list(video(mtov, motion(first, 2), each, FAST, paste=False)) for each in (first, scene))
    assert not np.array_equal(one, two)


def test_a_track_of_another_rate(driven):
    mtov, first = driven
    with pytest.raises(TalkingHeadsError, match="weights' rate, 30 frames per second.*25"):
        film_scene(first.opened, tiny(fps=30.0).config, track=first.track)


def with_gap(scene, frames):
    """The film's track with frames in which nobody was seen."""
    confidence = scene.track.confidence.clone()
    confidence[frames] = 0
    return replace(scene.track, confidence=confidence)


def test_frames_without_a_face_stay_as_filmed(tiny_film, driven, caplog):
    """To the bit, in both directions, and they are named."""
    mtov, first = driven
    scene = film_scene(first.opened, mtov.config, track=with_gap(first, [0, 9, 10, 11, 12, 28]))
    assert "no face in 6 of 30 frames: 0, 9-12, 28" in caplog.text
    assert scene.faceless_frames() == [0, 9, 10, 11, 12, 28] and scene.faceless_frames(12) == [0, 9, 10, 11]
    film, numbers = list(read_frames(tiny_film, 25.0)), [i if i < 30 else 58 - i for i in range(40)]
    for number, frame in zip(numbers, video(mtov, motion(scene, 40), scene, FAST), strict=True):
        assert np.array_equal(frame, film[number]) == (number in scene.faceless_frames())
    squares = video(mtov, motion(scene, 14), scene, VideoSettings(calls=1, start=8), paste=False)
    for number, square in zip(range(8, 14), squares, strict=True):
        assert np.array_equal(square, scene.crop.crop(film[number])) == (number in scene.faceless_frames())


def test_frames_without_a_face_as_one_wishes(driven, caplog):
    mtov, first = driven
    track = with_gap(first, [3, 4])
    for policy in ("hold", "interpolate"):
        scene = film_scene(first.opened, mtov.config, track=track, policy=policy)
        assert scene.faceless_frames() == [] and not caplog.records
        for frame, filmed in zip(video(mtov, motion(scene, 5), scene, FAST), first.opened(0)):
            assert not np.array_equal(frame, filmed)
    with pytest.raises(TalkingHeadsError, match="no face in 2 of 30 frames: 3-4"):
        film_scene(first.opened, mtov.config, track=track, policy="error")
    with pytest.raises(TalkingHeadsError, match="error, hold, interpolate, skip.*'guess'"):
        film_scene(first.opened, mtov.config, track=track, policy="guess")


def test_a_track_that_left_frames_out_is_told(driven, caplog):
    """Rows would then belong to other frames; a film's stated length is not exact, so it is no error."""
    mtov, first = driven
    film_scene(first.opened, mtov.config, track=first.track, total=40)
    assert not caplog.records
    film_scene(first.opened, mtov.config, track=first.track, total=60)
    assert "track has 30 frames, the video about 60" in caplog.text


@pytest.mark.parametrize("policy", ["skip", "interpolate", "error"])
def test_frames_without_a_face_are_found_while_a_film_is_tracked(driven, monkeypatch, policy):
    mtov, first = driven
    points = first.track.landmarks.points[..., :2].numpy().copy()
    points[5:8] = np.nan
    raw = RawTrack(points, np.isfinite(points).all((1, 2)).astype(np.float32), tuple(first.track.image_size), 25.0)
    monkeypatch.setattr("talking_heads.media_core.face.landmarks.landmarks.track_frames", lambda frames, fps, **named: raw)
    if policy == "error":
        with pytest.raises(TalkingHeadsError, match="5-7"):
            film_scene(first.opened, mtov.config, policy=policy)
    else:
        scene = film_scene(first.opened, mtov.config, policy=policy)
        assert scene.faceless_frames() == ([5, 6, 7] if policy == "skip" else []) and bool(scene.source.points.isfinite().all())


# ------------------------------------------------------------------------------------------------------------- to the end

def test_a_portrait_says_a_sentence(tmp_path):
    mtov, scene = shown()
    atom, told = load_atom(), []
    sound = Sound((0.2 * np.random.default_rng(0).standard_normal((1, 9600))).astype(np.float32), 16000)
    path = speak_video(atom, mtov, sound, portrait(), tmp_path / "talks.mp4", settings=FAST, carrier="redraw",
                       report=lambda *call: told.append(call))
    info = probe(path)
    height, width = scene.picture.shape[:2]
    assert (info.frames, info.fps, info.has_sound) == (15, 25, True)
    assert (info.width, info.height) == (width + width % 2, height + height % 2)
    assert {"window"} <= set(told[0][2]) and told[-1][2]["phase"] == "done" and told[-1][0] == told[-1][1]
    assert len(speak(atom, sound, scene.canonical)) == 15


def test_a_cancelled_film_leaves_nothing(tmp_path):
    mtov, scene = shown()

    def report(done, total, info, preview):
        if info.get("phase") == "decode" and info["clip"] == 2:
            raise Cancelled("enough")

    sound = Sound(np.zeros((1, 16000), np.float32), 16000)
    with pytest.raises(Cancelled):
        speak_video(load_atom(), mtov, sound, scene, tmp_path / "talks.mp4", settings=FAST, carrier="redraw", report=report)
    assert not list(tmp_path.iterdir())
