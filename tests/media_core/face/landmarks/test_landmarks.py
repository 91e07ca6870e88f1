"""The built-in landmark tracker on people it never saw, and what happens around missing faces."""
import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.geometry import MIRROR, fit_similarity, inter_ocular, mirrored, similarity
from talking_heads.media_core.face.landmarks import landmarks
from talking_heads.media_core.face.landmarks.detector import find_faces
from talking_heads.media_core.face.landmarks.inference import cut
from talking_heads.media_core.face.landmarks.landmarks import (
    CutFinder,
    FaceFrame,
    FaceTracker,
    faces,
    portrait_landmarks,
    track_frames,
)
from talking_heads.media_core.face.landmarks.raw_track import RawTrack, fill_missing, listed, runs, smooth_points
from talking_heads.media_core.metrics import correlation, eye_aperture, lip_aperture
from talking_heads.media_core.subject import Subject, perform

PERSON = 42  # below 1000: never in training


@pytest.fixture(scope="module")
def film():
    """24 frames of a person talking, every third of the video: images and exact points."""
    subject, spoken = Subject(256, PERSON, oversampling=1), perform(5.0, 4, engine="formant")
    made = [subject.render(spoken.params[i], subject.pose(spoken.euler[i], spoken.translation[i])) for i in range(10, 82, 3)]
    return [m.rgb for m in made], np.stack([m.landmarks2d for m in made])


@pytest.fixture(scope="module")
def track(film):
    return track_frames(film[0], 25.0, tracker=FaceTracker())


def nme(found, truth):
    return (np.linalg.norm(found - truth, axis=-1) / inter_ocular(truth)[..., None]).mean()


def test_points_of_an_unseen_person(film, track):
    truth = film[1]
    assert track.seen.all() and track.cuts == ()
    assert nme(track.points, truth) < 0.025
    mouth = np.linalg.norm(track.points - truth, axis=-1)[:, 48:] / inter_ocular(truth)[:, None]
    assert mouth.mean() < 0.022
    assert correlation(lip_aperture(track.points), lip_aperture(truth)) > 0.9
    assert correlation(eye_aperture(track.points), eye_aperture(truth)) > 0.8
    assert track.confidence.min() > 0.5


def test_the_same_track_from_any_frame_on(film, track):
    tracker = FaceTracker()
    tracker.state = track.points[9]
    again = np.stack([tracker(f).points for f in film[0][10:14]])
    np.testing.assert_array_equal(again, track.points[10:14])


def test_a_real_photograph_of_nobody_in_training():
    """The unwarped portrait: the mesh measured on it is the truth."""
    from skimage import data
    from talking_heads.media_core.subject.layout import to_68
    from talking_heads.media_core.subject.portrait import load

    truth = to_68(load().points)[:, :2]
    face = portrait_landmarks(data.astronaut())
    assert nme(face.points, truth) < 0.05 and face.confidence > 0.6


def test_pictures_without_a_face():
    from skimage import data

    assert faces(data.chelsea()) == [] and faces(np.zeros((90, 120, 3), np.uint8)) == []
    assert FaceTracker()(data.coffee()) is None
    with pytest.raises(TalkingHeadsError, match="none found"):
        portrait_landmarks(data.coffee())
    with pytest.raises(TalkingHeadsError, match="0 or more"):
        portrait_landmarks(data.coffee(), face_index=-1)


@pytest.mark.parametrize("height, width, said, unsaid", [
    (40, 40, "at least 64 x 64 px.*it is 40 x 40 px.*too small", "Crop"),
    (50, 300, "at least 64 x 64 px.*it is 300 x 50 px.*too small", "Crop"),
    (70, 300, "Got: none found. Crop closer", "larger"),
    (150, 200, "20 px or more.*it is 200 x 150 px.*larger", "Crop"),
])
def test_only_a_picture_large_enough_is_told_to_be_cropped(height, width, said, unsaid):
    """The search looks for faces of a tenth of the longer side, and 24 px at least: cropping a small image changes nothing."""
    blank = np.full((height, width, 3), 128, np.uint8)
    with pytest.raises(TalkingHeadsError, match=said) as error:
        portrait_landmarks(blank)
    assert unsaid not in str(error.value)


def test_a_usual_portrait_of_the_least_size_is_found():
    """What the message promises: 64 px, the face less than a third of them."""
    import cv2
    from skimage import data

    small = cv2.resize(data.astronaut()[:300, 70:370], (64, 64), interpolation=cv2.INTER_AREA)
    assert len(faces(small)) == 1


def test_two_faces_have_a_stated_order(film):
    small = film[0][0][::2, ::2]
    both = np.zeros((256, 400, 3), np.uint8)
    both[60:188, :128], both[:, 144:] = small, film[0][5]
    found = faces(both)
    assert len(found) == 2 and found[0].points[:, 0].min() > 144 > found[1].points[:, 0].max()
    assert faces(both, order="left")[0].points[:, 0].max() < 144
    mask = np.zeros((256, 400), bool)
    mask[:, :140] = True
    assert faces(both, mask=mask)[0].points[:, 0].max() < 144
    assert FaceTracker(face_index=1)(both).points[:, 0].max() < 144
    assert FaceTracker(face_index=2)(both) is None
    with pytest.raises(TalkingHeadsError, match="mask"):
        find_faces(both, mask=mask[:100])


def test_a_face_that_goes_and_comes_back(film):
    blank = np.full((256, 256, 3), 90, np.uint8)
    frames = [*film[0][:3], blank, blank, *film[0][3:6]]
    track = track_frames(frames, 25.0, tracker=FaceTracker())
    assert track.seen.tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert 3 in track.cuts and 5 in track.cuts
    assert nme(track.points[5:], film[1][3:6]) < 0.03


def test_a_covered_face_is_no_face(film):
    import cv2

    covered = film[0][2].copy()
    middle = tuple(int(v) for v in film[1][2][17:].mean(0))
    cv2.ellipse(covered, middle, (60, 70), 20, 0, 360, (190, 140, 120), -1)
    track = track_frames([*film[0][:3], covered, *film[0][3:5]], 25.0, tracker=FaceTracker())
    assert track.seen.tolist() == [True] * 3 + [False] + [True] * 2


def test_a_face_that_comes_back_larger_is_found_again(film):
    """While it is gone it is looked for at about its old size, which is quick; after a second at every size."""
    import cv2

    blank, small = np.full((256, 256, 3), 90, np.uint8), np.full((256, 256, 3), 90, np.uint8)
    small[60:188, 60:188] = cv2.resize(film[0][0], (128, 128), interpolation=cv2.INTER_AREA)
    tracker = FaceTracker()
    assert tracker(small) is not None
    for _ in range(30):
        assert tracker(blank) is None
    assert nme(tracker(film[0][0]).points, film[1][0]) < 0.04


def test_wrong_inputs():
    with pytest.raises(TalkingHeadsError, match="uint8 RGB"):
        FaceTracker()(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(TalkingHeadsError, match="largest, left"):
        FaceTracker(order="best")
    with pytest.raises(TalkingHeadsError, match="have frames"):
        track_frames([], 25.0, tracker=FaceTracker())


def test_cancelled_within_a_frame(film):
    seen = []

    def report(done, total, info, preview):
        seen.append(done)
        if done == 2:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        track_frames(iter(film[0]), 25.0, tracker=FaceTracker(), report=report)
    assert seen == [1, 2]


# ------------------------------------------------------------------------------------------------------ missing frames

@pytest.fixture
def gappy():
    points = np.tile(np.arange(10, dtype=np.float32)[:, None, None], (1, 68, 2))
    points[[0, 4, 5, 9]] = np.nan
    return RawTrack(points, np.where(np.isnan(points[:, 0, 0]), 0, .9).astype(np.float32), (20, 20), 25.0, (5,))


def test_missing_faces_are_named(gappy):
    with pytest.raises(TalkingHeadsError, match="4 of 10 frames: 0, 4-5, 9"):
        fill_missing(gappy, "error")
    with pytest.raises(TalkingHeadsError, match="4 of 10 frames: 250, 254-255, 259"):
        fill_missing(gappy, "error", 250)
    with pytest.raises(TalkingHeadsError, match="error, hold, interpolate, skip"):
        fill_missing(gappy, "guess")


def test_hold_interpolate_skip(gappy):
    held, kept, filled = fill_missing(gappy, "hold")
    assert held.points[:, 0, 0].tolist() == [1, 1, 2, 3, 3, 3, 6, 7, 8, 8] and filled.sum() == 4
    assert kept.tolist() == list(range(10)) and held.confidence[[0, 4]].tolist() == [0, 0]
    between, _, _ = fill_missing(gappy, "interpolate")
    assert between.points[:, 0, 0].tolist() == [1, 1, 2, 3, 3, 6, 6, 7, 8, 8]  # frame 5 begins another shot
    skipped, kept, filled = fill_missing(gappy, "skip")
    assert kept.tolist() == [1, 2, 3, 6, 7, 8] and not filled.any() and skipped.cuts == (3,)


def test_a_film_without_any_face(gappy):
    from dataclasses import replace

    empty = replace(gappy, points=np.full_like(gappy.points, np.nan))
    for policy in ("error", "hold", "interpolate", "skip"):
        with pytest.raises(TalkingHeadsError, match="none in 10 frames"):
            fill_missing(empty, policy)
    with pytest.raises(TalkingHeadsError, match="video must be at least 64 x 64 px.*none in 10 frames; it is 48 x 36 px"):
        fill_missing(replace(empty, image_size=(36, 48)), "hold")
    one = replace(empty, points=empty.points[:1], confidence=empty.confidence[:1], cuts=(), image_size=(480, 640))
    for tracker, wanted in (("people", "a face"), ("rendered", "an upright, frontal face")):  # the first one turns images itself
        with pytest.raises(TalkingHeadsError, match=f"must show {wanted}. Got: none found. Choose another"):
            fill_missing(replace(one, tracker=tracker), "hold")


def test_tracks_travel(gappy, tmp_path):
    again = RawTrack.load(gappy.save(tmp_path / "t.safetensors"))
    np.testing.assert_array_equal(again.points, gappy.points)
    assert (again.image_size, again.fps, again.cuts) == (gappy.image_size, gappy.fps, gappy.cuts)


def test_smoothing_leaves_lips_and_lids(track, film):
    shaken = film[1] + np.random.default_rng(0).normal(0, 1, film[1].shape)
    smooth = smooth_points(shaken, 25.0)
    np.testing.assert_array_equal(smooth[:, 36:], shaken[:, 36:])
    still = np.repeat(film[1][:1], 30, 0) + np.random.default_rng(0).normal(0, 1, (30, 68, 2))
    assert np.diff(smooth_points(still, 25.0)[:, :17], axis=0).std() < 0.6 * np.diff(still[:, :17], axis=0).std()
    broken = still.copy()
    broken[15] = np.nan
    assert np.isnan(smooth_points(broken, 25.0)[15]).all() and np.isfinite(smooth_points(broken, 25.0)[14]).all()


def test_runs_and_lists():
    assert runs(np.array([1, 1, 0, 1, 1, 1], bool), (1, 4)) == [(0, 1), (1, 2), (3, 4), (4, 6)]
    assert listed([3, 7, 8, 9, 14]) == "3, 7-9, 14" and listed(range(0, 60, 2)).endswith("and 18 more runs")


# ------------------------------------------------------------------------------------------------------------ geometry

def test_similarities():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(68, 2))
    place = similarity(.4, 2.5, (1, 2), (30, -4))
    np.testing.assert_allclose(place(np.array([1.0, 2.0])), [30, -4])
    np.testing.assert_allclose(place.inverse()(place(points)), points, atol=1e-12)
    fitted = fit_similarity(points, place(points))
    np.testing.assert_allclose(fitted.affine, place.affine, atol=1e-9)
    assert fitted.scale == pytest.approx(2.5)
    np.testing.assert_allclose(place.then(fitted)(points), fitted(place(points)))


def test_the_mirror_is_its_own_inverse(film):
    assert (MIRROR[MIRROR] == np.arange(68)).all()
    points = film[1][0]
    np.testing.assert_allclose(mirrored(mirrored(points, 256), 256), points)
    flipped = portrait_landmarks(np.ascontiguousarray(film[0][0][:, ::-1]))
    assert nme(flipped.points, mirrored(points, 256)) < 0.03


@pytest.mark.parametrize("scale", [0.11, 0.3, 0.45, 0.8, 1.7])
def test_crops_are_where_they_should_be(scale):
    """A soft dot lands where the crop's own geometry says, also through the averaging of large images."""
    y, x = np.mgrid[:500, :600]
    dot = np.exp(-((x - 311.3) ** 2 + (y - 207.8) ** 2) / (2 * (6 / scale ** .5) ** 2))
    image = np.repeat((dot * 255).astype(np.uint8)[..., None], 3, 2)
    place = similarity(.3, scale, (300, 200), (47.5, 47.5))
    crop = cut(image, place, 96)[..., 0].astype(float)
    v, u = np.mgrid[:96, :96]
    middle = np.array([(crop * u).sum(), (crop * v).sum()]) / crop.sum()
    np.testing.assert_allclose(middle, place(np.array([311.3, 207.8])), atol=0.12)


def test_cuts_are_found_and_motion_is_not_a_cut(film):
    finder = CutFinder()
    assert not any(finder(f) for f in film[0])
    assert finder(255 - film[0][0])


def test_weights_are_small_and_say_what_they_are():
    from talking_heads.media_core.files import load_tensors

    assert landmarks.WEIGHTS.stat().st_size < 3_000_000
    _, config = load_tensors(landmarks.WEIGHTS, kind="face_landmarks", version=1)
    assert config["data"] == "synthetic renders only" and config["made_by"] == "weights/make_face_landmarks.py"
    assert FaceFrame(np.zeros((68, 2)), 1.0).confidence == 1.0
