"""ComfyUI core's face landmarks: the 68 points of the same mesh, one person through the video, and errors for anything else."""
from __future__ import annotations

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES
from talking_heads.media_core.face.landmarks.core_landmarks import from_face_landmarks
from talking_heads.media_core.face.landmarks.landmarks import RawTrack
from talking_heads.media_core.subject import Subject
from talking_heads.media_core.subject.layout import to_68
from talking_heads.media_core.subject.rig import product

SIZE = 256


@pytest.fixture(scope="module")
def seen():
    """(478 points in px, the same with depth in px, the true 68 points) of a turned head."""
    subject = Subject(SIZE, 12, oversampling=1)
    pose = subject.pose((0.35, 0.1, 0.05))
    rest = subject._rig.mesh(np.zeros(22))[:468]
    camera = product(np.vstack([rest, rest[:10]]), pose[0].T) + pose[1]
    flat = camera[:, :2] * (subject.focal / camera[:, 2:]) + SIZE / 2
    depth = (camera[:, 2] - camera[:, 2].mean()) * subject.focal / camera[:, 2].mean()
    return flat, np.column_stack([flat, depth]), subject.landmarks(np.zeros(22), pose)[0]


def face(seen, shift=(0.0, 0.0), **changes):
    """What the socket carries for one face: px, and the mesh in units of a turned 192 px crop."""
    flat, solid, _ = seen
    angle = 0.2
    turned = solid[:, :2] @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * 0.8 + 20
    out = {"landmarks_xy": (flat + shift).astype(np.float32), "presence": 0.9, "score": 0.8,
           "landmarks_3d": np.column_stack([turned, solid[:, 2] * 0.8]).astype(np.float32),
           "blendshapes": dict.fromkeys(BLENDSHAPES, 0.25)}
    return {**out, **changes}


def socket(*frames):
    return {"frames": [list(faces) for faces in frames], "image_size": (SIZE, SIZE), "connection_sets": {}}


def test_a_turned_face_has_its_true_points(seen):
    track, shapes = from_face_landmarks(socket([face(seen)]), 30.0)
    assert isinstance(track, RawTrack) and track.image_size == (SIZE, SIZE) and track.fps == 30.0
    assert track.points.shape == (1, 68, 2) and track.points.dtype == np.float32
    off, flat_off = (np.abs(points - seen[2]).max(1) for points in (track.points[0], to_68(seen[0])))
    assert off[17:].max() < 1e-3 and off[:17].max() < 1.6 and off[:17].mean() < 0.6 * flat_off[:17].mean(), "px"
    assert track.confidence[0] == pytest.approx(0.9) and shapes.shape == (1, 52) and (shapes == 0.25).all()


@pytest.mark.parametrize("solid", [None, np.zeros((3, 3)), np.full((478, 3), np.nan), "noise"])
def test_without_a_usable_depth_the_picture_decides(seen, solid):
    if isinstance(solid, str):
        solid = np.random.default_rng(0).normal(0, 50, (478, 3))
    track, _ = from_face_landmarks(socket([face(seen, landmarks_3d=solid)]), 25.0)
    assert np.abs(track.points[0] - to_68(seen[0])).max() < 1e-3
    assert np.abs(track.points[0, 17:] - seen[2][17:]).max() < 1e-3, "only the jaw depends on depth"


def test_empty_frames_are_unknown(seen):
    track, shapes = from_face_landmarks(socket([face(seen)], [], [face(seen, (3, 0))]), 25.0)
    assert np.isnan(track.points[1]).all() and np.isfinite(track.points[[0, 2]]).all()
    assert track.confidence[1] == 0 and np.isnan(shapes[1]).all() and np.isfinite(shapes[[0, 2]]).all()


def test_one_person_among_others_whatever_their_order(seen):
    near, far = face(seen), face(seen, (900, 0))
    value = socket([near], [near, far], [far, near], [], [far], [near, far])
    track, _ = from_face_landmarks(value, 25.0, 1)
    right = track.points[:, 30, 0] > 500
    assert right[[1, 2, 4, 5]].all() and np.isnan(track.points[[0, 3]]).all(), "nobody else stands in for him"


def test_the_only_face_may_jump(seen):
    """Behind a cut."""
    track, _ = from_face_landmarks(socket([face(seen)], [face(seen, (900, 0))]), 25.0)
    assert np.isfinite(track.points).all()


def test_no_blendshapes(seen):
    assert from_face_landmarks(socket([face(seen, blendshapes=None)]), 25.0)[1] is None


@pytest.mark.parametrize("value, word", [
    (None, "NoneType"), ([], "list"), ({"faces": []}, "dict with faces"),
    ({"frames": [3], "image_size": (4, 4)}, "list of faces"),
    ({"frames": [[]]}, "height and width"), ({"frames": [[]], "image_size": (4,)}, "height and width"),
    ({"frames": [], "image_size": (4, 4)}, "at least one frame"), (socket([], []), "no face in 2 frames"),
    (socket([{"bbox_xyxy": 1}]), "landmarks_xy"), (socket([{"landmarks_xy": np.zeros((68, 2))}]), "68, 2"),
    (socket([{"landmarks_xy": np.full((478, 2), np.nan)}]), "finite")])
def test_something_else_is_refused(value, word):
    with pytest.raises(TalkingHeadsError, match=word):
        from_face_landmarks(value, 25.0)


def test_no_such_face(seen):
    with pytest.raises(TalkingHeadsError, match="one of the 1 found.*face 2"):
        from_face_landmarks(socket([face(seen)]), 25.0, 2)
