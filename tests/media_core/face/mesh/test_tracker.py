"""The mesh as a tracker of 68 points."""
import numpy as np
import pytest
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.face.geometry import inter_ocular
from talking_heads.media_core.face.landmarks.landmarks import track_frames
from talking_heads.media_core.face.mesh.finder import MeshFace, part_within
from talking_heads.media_core.face.mesh.layout import points_68
from talking_heads.media_core.face.mesh.squares import Square
from talking_heads.media_core.face.mesh.tracker import MeshTracker, mesh_portrait


@pytest.fixture(scope="module")
def swaying(astronaut):
    return [np.roll(astronaut[:300, 60:400], round(6 * np.sin(i / 2)), 1) for i in range(8)]


def test_it_tracks_as_the_other_tracker_does(nets, swaying):
    track = track_frames(swaying, 25.0, tracker=MeshTracker(nets))
    assert track.seen.all() and track.confidence.min() > 0.8 and track.points.shape == (8, 68, 2)
    first = mesh_portrait(swaying[0], nets=nets)
    unit = inter_ocular(first.points[None])[0]
    assert np.linalg.norm(track.points[0] - first.points, axis=1).mean() < 0.01 * unit
    for points, i in zip(track.points, range(8)):
        x = round(6 * np.sin(i / 2))
        assert np.linalg.norm(points - [x, 0] - track.points[0], axis=1).mean() < 0.02 * unit


def test_the_same_track_from_any_frame_on(nets, swaying):
    def rest(tracker, start):
        tracker.reset()
        tracker.state = known
        return np.stack([tracker(frame).points for frame in swaying[start:]])

    tracker = MeshTracker(nets)
    known = [tracker(frame).points for frame in swaying[:4]][-1]
    np.testing.assert_array_equal(tracker.state, known)
    assert tracker.face.points.shape == (478, 3)
    np.testing.assert_array_equal(rest(tracker, 4), rest(MeshTracker(nets), 4))
    tracker.reset()
    assert tracker.face is None and tracker(np.zeros((64, 64, 3), np.uint8)) is None and tracker.state is None


def test_the_second_face(nets, couple):
    assert MeshTracker(nets, face_index=1)(couple).points[:, 0].min() > 480
    assert MeshTracker(nets, face_index=2)(couple) is None


def test_a_video_without_a_face_is_refused_soon(nets):
    empty = [np.zeros((64, 80, 3), np.uint8)] * 30
    with pytest.raises(FileFormatError, match="no face in its first 10 frames"):
        track_frames(empty, 25.0, tracker=MeshTracker(nets), total=30, again=lambda start: empty[start:])


def test_trust_falls_with_disagreement_and_never_to_nothing():
    def trust(confidence, disagreement):
        return MeshFace(np.zeros((478, 3), np.float32), confidence, disagreement, Square(0, 0, 1)).trust

    assert trust(1.0, 0.0) == 1 and trust(1.0, 0.01) > 0.95 > trust(1.0, 0.03) > 0.7 > trust(1.0, 0.06) > 0.3
    assert trust(1.0, 5.0) == pytest.approx(1e-3)


def test_trust_falls_with_what_lies_outside_the_image(nets, astronaut):
    """The mesh makes up what it does not see, and is sure of it."""
    whole, cut = (MeshTracker(nets)(np.ascontiguousarray(image)) for image in (astronaut, astronaut[:, 224:]))
    assert whole.confidence > 0.9 and (cut is None or cut.confidence < 0.5)
    half = MeshFace(np.repeat([[5, 5, 0], [-5, 5, 0]], 239, 0).astype(np.float32), 1.0, 0.0, Square(0, 0, 1), within=0.5)
    assert half.trust == pytest.approx(0.25)
    assert part_within(half.points, (10, 10)) == 0.5 and part_within(half.points[None], (5, 10)).tolist() == [0]


def test_points_of_a_portrait(nets, astronaut, finder):
    face = mesh_portrait(astronaut, nets=nets)
    np.testing.assert_array_equal(face.points, points_68(finder.face(astronaut).points))
