"""One choice of networks for videos and stills."""
import numpy as np
import pytest
from talking_heads.media_core.choices import TRACKERS
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.geometry import quarter_turns
from talking_heads.media_core.face.landmarks.landmarks import FaceTracker
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.face.pose.canonical import canonical_portrait
from talking_heads.media_core.face.trackers import check_alike, make_tracker, manifest_tracker, measured_alike, still_landmarks


def test_the_choice():
    assert isinstance(make_tracker("people"), MeshTracker) and isinstance(make_tracker("rendered"), FaceTracker)
    with pytest.raises(TalkingHeadsError, match="one of people, rendered"):
        still_landmarks("nobody", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(TalkingHeadsError, match="one of people, rendered"):
        make_tracker("")


def test_both_find_the_portrait():
    from skimage import data

    image = data.astronaut()
    found = {kind: still_landmarks(kind, image) for kind in TRACKERS}
    apart = np.linalg.norm(found["people"].points - found["rendered"].points, axis=1).mean()
    assert apart < 0.06 * np.linalg.norm(found["people"].points[36] - found["people"].points[45])
    assert all(face.confidence > 0.6 for face in found.values())


@pytest.mark.parametrize("kind", TRACKERS)
def test_both_refuse_alike(kind):
    image = np.zeros((300, 300, 3), np.uint8)
    with pytest.raises(TalkingHeadsError, match="must show"):
        still_landmarks(kind, image)
    with pytest.raises(TalkingHeadsError):
        make_tracker(kind, face_index=-1)
    with pytest.raises(TalkingHeadsError):
        make_tracker(kind, order="best")(image)


@pytest.mark.parametrize("one, other, alike", [
    ("people", "landmarks", True), ("rendered", "exact", True), ("people", "people", True), ("people", "rendered", False),
    ("landmarks", "exact", False)])
def test_what_may_meet(one, other, alike):
    assert measured_alike(one, other) is measured_alike(other, one) is alike
    if alike:
        check_alike("The dataset", one, other, "Choose")
        return
    with pytest.raises(TalkingHeadsError, match=f"The dataset must be measured by the tracker '{one}'.*'{other}'. Choose"):
        check_alike("The dataset", one, other, "Choose")


@pytest.mark.parametrize("manifest, origin", [
    ({"tracker": "people"}, "people"), ({}, "rendered"), ({"request": {"landmarks": "ab12"}}, "landmarks"),
    ({"request": {"landmarks": None}}, "rendered"), ({"tracker": 7, "request": 3}, "rendered"), ({"tracker": "exact"}, "exact")])
def test_what_manifests_say(manifest, origin):
    assert manifest_tracker(manifest) == origin


def test_what_they_find_says_which_they_are():
    from skimage import data

    assert make_tracker("people").kind == "people" and make_tracker("rendered").kind == "rendered"
    image = data.astronaut()
    face = still_landmarks("people", image)
    assert face.mesh.shape == (478, 3) and not face.doubtful and still_landmarks("rendered", image).mesh is None
    for turns in range(4):
        turned = still_landmarks("people", np.ascontiguousarray(np.rot90(image, -turns)))
        assert quarter_turns(turned.points) == turns
        straight = canonical_portrait(turned.points, image.shape[:2]).points
        np.testing.assert_allclose(straight, canonical_portrait(face.points, image.shape[:2]).points, atol=2e-3)
