"""One choice of networks for videos and stills."""
import numpy as np
import pytest
from talking_heads.media_core.choices import TRACKERS
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import FaceTracker
from talking_heads.media_core.face.mesh.tracker import MeshTracker
from talking_heads.media_core.face.trackers import make_tracker, still_landmarks


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
