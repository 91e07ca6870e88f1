"""The image and its truth agree with each other."""
from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.subject import PARAMS, Subject, layout, portrait, triangulate
from talking_heads.media_core.subject.articulation import CONSONANTS, CURVES, VOWELS
from talking_heads.media_core.subject.rig import solved

SIZE = 256
FACE, NECK, TORSO, MOUTH, HAIR = range(1, 6)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(SIZE)


def face(shape=None, **more) -> np.ndarray:
    params = np.zeros(len(PARAMS))
    for name, value in {**{c: (shape or {}).get(c, 0) for c in CURVES}, **more}.items():
        params[PARAMS.index(name)] = value
    return params


def inside(polygon: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return triangulate.inside(polygon, np.stack([x.ravel(), y.ravel()], 1).astype(float)).reshape(SIZE, SIZE)


def test_shapes_types_and_ranges(subject):
    frame = subject.render(face(VOWELS["A:"]), subject.pose((0.1, 0, 0)), (0.5, 0.2))
    assert frame.rgb.shape == (SIZE, SIZE, 3) and frame.rgb.dtype == np.uint8
    assert frame.classes.shape == (SIZE, SIZE) and set(np.unique(frame.classes)) == set(range(6))
    assert frame.teeth.dtype == bool and frame.teeth.any()
    assert frame.landmarks2d.shape == (68, 2) and frame.landmarks3d.shape == (68, 3)
    assert frame.torso.shape == (SIZE, SIZE, 4) and frame.background.shape == (SIZE, SIZE, 3)
    assert np.array_equal(frame.rgb[:20, :20], frame.background[:20, :20]), "far from the person there is only the backdrop"


def test_masks_and_landmarks_agree(subject):
    frame = subject.render(face(VOWELS["A:"]), subject.pose((-0.12, 0.05, 0.03)))
    x, y = np.round(frame.landmarks2d).astype(int).T
    assert np.isin(frame.classes[y[27:36], x[27:36]], [FACE]).all(), "the nose lies on the face"
    lips = inside(frame.landmarks2d[60:68])
    mouth = frame.classes == MOUTH
    assert (mouth & lips).sum() / (mouth | lips).sum() > 0.75
    assert not (frame.teeth & ~mouth).any()
    chin = frame.landmarks2d[8]
    x, y = int(chin[0]), int(chin[1])
    assert frame.classes[y + 6, x] in (NECK, TORSO) and frame.classes[y - 6, x] == FACE


def test_lips_shut_on_bilabials_and_open_on_vowels(subject):
    pose = subject.pose((0, 0, 0))
    shut, open_ = (subject.render(face(shape), pose) for shape in (CONSONANTS["b"], VOWELS["A:"]))

    def gap(frame):
        return frame.landmarks2d[66, 1] - frame.landmarks2d[62, 1]
    assert (shut.classes == MOUTH).sum() == 0 and gap(shut) < 0.5
    assert (open_.classes == MOUTH).sum() > 80 and gap(open_) > 5


def test_blinking_shuts_the_eyes_only(subject):
    pose = subject.pose((0, 0, 0))
    (open_, _), (shut, _) = subject.landmarks(face(), pose), subject.landmarks(face(blink=1), pose)

    def eye(points):
        return (points[[40, 41, 46, 47], 1] - points[[38, 37, 44, 43], 1]).mean()
    assert eye(open_) > 4 and eye(shut) < 0.25 * eye(open_)
    assert np.abs(open_[48:] - shut[48:]).max() < 0.3


def test_landmarks_without_drawing_are_those_of_the_picture(subject):
    params, pose = face(VOWELS["i:"], smile=.4, browin=.5), subject.pose((0.2, -0.05, 0.05), (1.0, -1.0, 3.0))
    flat, solid = subject.landmarks(params, pose)
    frame = subject.render(params, pose)
    assert np.array_equal(flat, frame.landmarks2d) and np.array_equal(solid, frame.landmarks3d)
    r, t = subject.world_to_camera(pose)
    camera = solid @ r.T + t
    seen = camera @ subject.intrinsics.T
    assert np.abs(seen[:, :2] / seen[:, 2:] - flat).max() < 1e-9
    assert np.allclose(r @ r.T, np.eye(3)) and np.isclose(np.linalg.det(r), 1)
    assert 0.05 < np.linalg.norm(solid[36] - solid[45]) < 0.12, "metres: outer eye corners about 9 cm apart"


def test_head_turns_the_way_it_says(subject):
    nose = [subject.landmarks(face(), subject.pose((yaw, 0, 0)))[0][30, 0] for yaw in (-0.2, 0, 0.2)]
    assert nose[0] != nose[1] != nose[2] and (nose[1] - nose[0]) * (nose[2] - nose[1]) > 0


def test_torso_layer_is_what_stands_behind_the_head(subject):
    frame = subject.render(face(), subject.pose((0, 0, 0)))
    sure = (frame.classes == TORSO) & (frame.torso[..., 3] == 255)
    difference = np.abs(frame.rgb[sure].astype(int) - frame.torso[..., :3][sure])
    assert sure.sum() > 3000 and np.percentile(difference, 95) <= 2
    hidden = (frame.classes == FACE) & (frame.torso[..., 3] > 200)
    assert hidden.sum() > 300, "the neck goes on behind the face"


def test_another_identity_is_another_person_and_none_is_the_portrait(subject):
    pose = subject.pose((0, 0, 0))
    person, portrait_itself = subject.render(face(), pose).rgb.astype(int), Subject(SIZE, None).render(face(), pose)
    assert np.abs(person - portrait_itself.rgb).mean() > 5 and (portrait_itself.classes == HAIR).any()


@pytest.mark.parametrize("arguments", [{"size": 16}, {"size": 4096}, {"identity": -1}])
def test_impossible_subjects_are_explained(arguments):
    with pytest.raises(TalkingHeadsError):
        Subject(**arguments)


def test_wrong_parameters_are_explained(subject):
    for params in (np.zeros(5), np.full(22, np.nan)):
        with pytest.raises(TalkingHeadsError):
            subject.render(params, subject.pose((0, 0, 0)))


def test_triangles_make_one_sheet_with_three_holes():
    triangles = triangulate.face_triangles(portrait.load().points[:layout.SKIN])
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert set(uses) == {1, 2} and (uses == 1).sum() == len(layout.OVAL) + 20 + 16 + 16
    assert len(np.unique(triangles)) == layout.SKIN


def test_every_identity_can_be_built():
    from talking_heads.media_core.subject import assets, identity, rig
    plain = portrait.load()
    for seed in range(12):
        bent, _ = identity.invent(plain, seed)
        layers = assets.Layers(points=bent.points, plain_points=plain.points, hair_outline=bent.hair, **{
            name: np.zeros((1, 1)) for name in ("head", "head_alpha", "hair_mask", "torso", "torso_alpha", "neck", "neck_alpha",
                                                "background", "eyes", "teeth")})
        shell = rig._shell(layers)
        assert shell[3] > 100 and len(shell[2]) > 200, seed


def test_elimination_solves():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, 20))
    a = a @ a.T + np.eye(20)
    b = rng.normal(size=(20, 3))
    assert np.allclose(solved(a, b), np.linalg.solve(a, b))


_HASH = """
import sys, hashlib, cv2
cv2.setNumThreads(int(sys.argv[1]))
from talking_heads.media_core.subject import Subject, perform
performance, subject, digest = perform(2.0, 7), Subject(192), hashlib.sha256()
digest.update(performance.sound.waveform.tobytes() + repr(performance.phonemes).encode() + performance.params.tobytes())
for i in (0, 12, 25, 40):
    pose = subject.pose(performance.euler[i], performance.translation[i])
    frame = subject.render(performance.params[i], pose, performance.sway[i])
    for array in (frame.rgb, frame.classes, frame.teeth, frame.landmarks2d, frame.landmarks3d, frame.torso, frame.background):
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_fresh_processes_and_thread_counts_give_the_same_bits():
    running = []
    for threads in ("1", "4"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        command = [sys.executable, "-c", _HASH, threads]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
    hashes = [process.communicate(timeout=300)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(hashes[0]) == len(hashlib.sha256().hexdigest()) and hashes[0] == hashes[1]
