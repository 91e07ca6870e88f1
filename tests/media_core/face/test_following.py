"""A video followed by trackers that take frames one by one, and by those that take several."""
import numpy as np
import pytest
from talking_heads.media_core.face.following import Upcoming, follow, upcoming
from talking_heads.media_core.face.landmarks.landmarks import FaceFrame
from talking_heads.media_core.face.mesh.nets import shipped_nets
from talking_heads.media_core.face.mesh.tracker import MeshTracker


class Counting:
    """Says how many frames it has seen since it was reset, and from where."""

    def __init__(self):
        self.state, self.seen = None, 0

    def reset(self):
        self.state, self.seen = None, 0

    def __call__(self, frame, mask=None):
        came = self.state
        self.seen += 1
        self.state = np.full((68, 2), frame[0, 0, 0], np.float32)
        return FaceFrame(self.state if came is None else came, self.seen)


def frames(count):
    return [np.full((4, 4, 3), i, np.uint8) for i in range(count)]


def test_a_tracker_is_called_with_each_frame_and_forgets_at_cuts():
    cuts = iter([False, False, True, False])
    found = list(follow(Counting(), upcoming(frames(4), cut=lambda frame: next(cuts))))
    assert [item.number for item, _ in found] == [0, 1, 2, 3] and [item.cut for item, _ in found] == [False, False, True, False]
    assert [face.confidence for _, face in found] == [1, 2, 1, 2]


def test_at_a_border_only_the_place_is_known():
    items = [Upcoming(frame, number=i, border=i == 2) for i, frame in enumerate(frames(4))]
    found = [face for _, face in follow(Counting(), items)]
    assert [face.confidence for face in found] == [1, 2, 1, 2]
    assert found[2].points[0, 0] == 1  # where the face was in the frame before


@pytest.fixture(scope="module")
def swaying(astronaut_image):
    return [np.roll(astronaut_image[:300, 60:400], round(9 * np.sin(i / 2)), 1) for i in range(14)]


@pytest.fixture(scope="module")
def astronaut_image():
    from skimage import data

    return data.astronaut()


@pytest.mark.parametrize("border", [3, 5, 8])
def test_the_mesh_resumed_at_a_border_gives_the_same_to_the_bit(swaying, border):
    """However many frames are read at once."""
    items = [Upcoming(frame, number=i, border=i == border) for i, frame in enumerate(swaying)]
    through = [face.points for _, face in follow(MeshTracker(shipped_nets("cpu")), items)]
    resumed = MeshTracker(shipped_nets("cpu"))
    resumed.state = through[border - 1].copy()
    again = [face.points for _, face in follow(resumed, items[border:])]
    np.testing.assert_array_equal(np.stack(again), np.stack(through[border:]))


def test_the_number_of_cores_does_not_matter_to_the_bit(swaying, monkeypatch):
    import os

    from talking_heads.media_core.torch_threads import one_torch_thread

    found = []
    with one_torch_thread():
        for cores in (1, 2, 4):
            monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
            found.append(np.stack([face.points for _, face in follow(MeshTracker(shipped_nets("cpu")), upcoming(swaying))]))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_the_mesh_follows_as_it_does_one_by_one(swaying):
    single, several = MeshTracker(shipped_nets("cpu")), MeshTracker(shipped_nets("cpu"))
    for frame, (item, face) in zip(swaying, follow(several, upcoming(swaying))):
        assert item.frame is frame and several.face is not None
        np.testing.assert_allclose(single(frame).points, face.points, atol=5e-2)  # px; why not nearer: mesh/test_follower.py


def test_a_tracker_that_is_reset_on_the_way_finds_the_face_anew(swaying):
    tracker, found = MeshTracker(shipped_nets("cpu")), []
    for item, face in follow(tracker, upcoming(swaying[:6])):
        found.append(face)
        if item.number == 2:
            tracker.reset()
    assert all(face is not None for face in found)


def test_masks_end_with_the_frames():
    masks = [np.ones((4, 4), bool)] * 3
    assert [item.mask is masks[0] for item in upcoming(frames(3), masks)] == [True] * 3
    assert list(upcoming([])) == []
