"""The tracker for real people in nodes: what they say, what they hand on, and pictures that nobody would choose."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from prompts import collector, failure, give, giver, keep, node, ok
from skimage import data

TRACK = node("TalkingHead_TrackFace", fps=25.0, face_index=0, order="largest", policy="interpolate", focal=0.0, smoothing=13,
             images=["i", 0])
FIND = node("TalkingHead_PortraitLandmarks", image=["i", 0], face_index=0, order="largest")
CROP = node("TalkingHead_FaceCrop", images=["i", 0], size=64, margin=2.0, way="still", upright=False, feather=0.1, face_index=0,
            order="largest")
ASTRONAUT = data.astronaut()


def floats(*frames: np.ndarray) -> torch.Tensor:  # uint8 [H, W, 3] -> float32 [T, H, W, 3]
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 255)


def on_grey(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """In the upper right corner of a larger image."""
    out = np.full((height, width, 3), 120, np.uint8)
    out[:len(image), width - image.shape[1]:] = image
    return out


def people() -> list[np.ndarray]:
    """A film in which every frame shows another person."""
    from talking_heads.media_core.subject.parameters import PARAMS
    from talking_heads.media_core.subject.render import Subject

    subjects = [Subject(160, 1000 + i, oversampling=1) for i in range(3)]
    return [one.render(np.zeros(len(PARAMS)), one.pose((0.0, 0.0, 0.0))).rgb for one in subjects] + [ASTRONAUT[20:180, 140:300]]


def small(face: int) -> np.ndarray:
    import cv2

    scale = face / 100  # the astronaut's face is about 100 px wide
    return on_grey(cv2.resize(ASTRONAUT, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), 200, 260)


BAD = {
    "no face": lambda: [np.full((90, 120, 3), 128, np.uint8)] * 12,
    "half a face": lambda: [np.ascontiguousarray(ASTRONAUT[:300, 222:])] * 2,
    "20 px": lambda: [small(20)] * 2,
    "8000 px": lambda: [on_grey(ASTRONAUT[:300], 1200, 8000)],
    "one frame": lambda: [ASTRONAUT[:300, 60:400]],
    "another person each": people,
    "cat": lambda: [data.chelsea()] * 2,
    "one pixel": lambda: [np.zeros((1, 1, 3), np.uint8)],
    "thin": lambda: [np.zeros((4, 300, 3), np.uint8)],
    "noise": lambda: [np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)] * 2,
}
FOUND = ("8000 px", "one frame", "another person each")  # the others: a result or an error


def test_a_film_on_its_side_is_said_to_be(host):
    given, kept = giver(host), collector(host)
    given["i"] = floats(*[np.ascontiguousarray(np.rot90(ASTRONAUT[:300, 60:400]))] * 3)
    ok(host.run({"i": give("i"), "track": TRACK, "a": keep("track", 4)}))
    assert "on its side; turn the video by 90 degrees clockwise before you use it" in kept[0]


@pytest.mark.parametrize("kind", BAD)
def test_a_result_or_an_error_of_three_parts(host, kind):
    given, kept = giver(host), collector(host)
    given["i"] = floats(*BAD[kind]())
    for name, entry, socket in (("track", TRACK, 0), ("find", FIND, 1), ("crop", CROP, 1)):
        result = host.run({"i": give("i"), name: entry, "k": keep(name, socket)})
        if result.status == "error":
            assert kind not in FOUND
            assert result.error["exception_type"].rpartition(".")[2] in ("TalkingHeadsError", "FileFormatError")
            assert "\n\nGot: " in failure(result) or "Got: " in failure(result), failure(result)
    for value in kept:
        if type(value).__name__ == "FaceTrack":
            assert len(value) == len(given["i"]) and value.tracker == "people"
            assert torch.isfinite(value.landmarks.points).all() and ((value.confidence >= 0) & (value.confidence <= 1)).all()
    assert len(kept) == 3 or kind not in FOUND


def test_track_face_names_its_tracker_and_hands_on_the_mesh(host):
    given, kept = giver(host), collector(host)
    frames = [np.roll(ASTRONAUT[:300, 60:400], i, 1) for i in range(4)]
    given["i"] = floats(frames[0], np.zeros_like(frames[0]), *frames[1:])
    back = node("TalkingHead_LandmarksToFaceLandmarks", landmarks=["track", 1])
    again = node("TalkingHead_LandmarksFromFaceLandmarks", face_landmarks=["back", 0], fps=25.0, face_index=0, policy="error")
    ok(host.run({"i": give("i"), "track": TRACK, "back": back, "again": again,
                 **{f"k{i}": keep(*out) for i, out in enumerate((("track", 0), ("track", 4), ("back", 0), ("again", 0)))}}))
    track, about, socket, landmarks = kept
    assert "tracker: people (built-in)" in about and "1 without a face were filled in" in about
    mesh = track.landmarks.mesh.numpy()
    assert mesh.shape == (5, 478, 3) and np.isnan(mesh[1]).all() and np.isfinite(mesh[[0, 2, 3, 4]]).all()
    assert (track.confidence[[0, 2, 3, 4]] > 0.8).all() and track.confidence[1] == 0
    np.testing.assert_array_equal(socket["frames"][3][0]["landmarks_xy"], mesh[3, :, :2])
    np.testing.assert_array_equal(landmarks.mesh[3, 468:, :2], mesh[3, 468:, :2])


@pytest.mark.parametrize("picture, found", [(small(30), True), (np.full((200, 260, 3), 120, np.uint8), False)])
def test_a_single_image_is_looked_at_as_a_still(host, picture, found):
    given, kept = giver(host), collector(host)
    given["i"] = floats(picture)
    result = host.run({"i": give("i"), "track": TRACK, "find": FIND, "k": keep("track", 1), "l": keep("find", 1)})
    if found:
        ok(result)
        np.testing.assert_allclose(kept[0].points[..., :2], kept[1].points[..., :2], atol=1e-4)
    else:
        assert "The image must show a face" in failure(result)


def test_a_face_partly_outside_is_told(host):
    given, _ = giver(host), collector(host)
    given["i"] = floats(np.ascontiguousarray(ASTRONAUT[:300, 200:]))
    (text,) = ok(host.run({"i": give("i"), "find": FIND, "k": keep("find", 1)})).outputs["find"]["text"]
    assert "of the face lies outside the image; its points there are guesses" in text


@pytest.mark.parametrize("turns, words", [
    (0, ""), (1, "on its side; turn the image by 90 degrees clockwise"), (2, "upside down; turn the image by 180 degrees"),
    (3, "on its side; turn the image by 90 degrees counterclockwise")])
def test_a_turned_portrait_is_read_and_told(host, turns, words):
    given, kept = giver(host), collector(host)
    given["i"] = floats(np.ascontiguousarray(np.rot90(ASTRONAUT[:300, 60:400], turns)))
    result = ok(host.run({"i": give("i"), "find": FIND, "k": keep("find", 0), "l": keep("find", 1)}))
    (text,) = result.outputs["find"]["text"]
    assert "(tracker: people (built-in))" in text and ("Warning" in text) is bool(words) and words in text
    canonical, flat = kept
    upper, chin = canonical.points[0, 27, 1], canonical.points[0, 8, 1]
    assert upper > chin and flat.mesh.shape == (1, 478, 3)


def test_a_doubtful_portrait_is_told_and_not_refused(host, monkeypatch):
    from prompts import own

    given, kept = giver(host), collector(host)
    given["i"] = floats(ASTRONAUT[:300, 60:400])
    trackers = own(host, "media_core.face.trackers")
    real = trackers.still_landmarks

    def doubtful(*args, **which):
        from dataclasses import replace

        return replace(real(*args, **which), doubtful=True, confidence=0.2)

    monkeypatch.setattr(trackers, "still_landmarks", doubtful)
    result = ok(host.run({"i": give("i"), "find": FIND, "k": keep("find", 1)}))
    (text,) = result.outputs["find"]["text"]
    assert "Warning: two looks at the face disagree; check the points in the preview" in text and len(kept) == 1


@pytest.mark.parametrize("entry", [TRACK, FIND, CROP], ids=["track", "find", "crop"])
def test_both_trackers_can_be_chosen(host, entry):
    given, kept = giver(host), collector(host)
    given["i"] = floats(ASTRONAUT[:300, 60:400])
    chosen = {**entry, "inputs": {**entry["inputs"], "tracker": "rendered"}}
    socket = 0 if entry is TRACK else 1
    ok(host.run({"i": give("i"), "a": entry, "b": chosen, "k": keep("a", socket), "l": keep("b", socket)}))
    one, other = kept
    if entry is TRACK:
        assert {one.tracker, other.tracker} == {"people", "rendered"}
    if entry is FIND:
        assert {one.mesh is None, other.mesh is None} == {True, False}
