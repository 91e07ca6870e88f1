"""68 points written as ComfyUI core's face landmarks: read back they are the same, and what is filled in is a face."""
from __future__ import annotations

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES
from talking_heads.media_core.face.landmarks.core_landmarks import from_face_landmarks, to_face_landmarks
from talking_heads.media_core.face.landmarks.mesh_fill import MeshFill, connection_sets
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack
from talking_heads.media_core.subject import PARAMS
from talking_heads.media_core.subject.layout import EYES, JAW_LINE, LIPS, OVAL, SKIN, to_68
from talking_heads.media_core.subject.portrait import load
from talking_heads.media_core.subject.rig import Rig
from talking_heads.media_core.subject.triangulate import face_triangles

SIZE = (240, 320)
LOWER = np.isin(np.arange(68), [6, 7, 8, 9, 10, *range(55, 60), 65, 66, 67])  # what an open mouth takes down
TURNS = ((0, 0), (0.5, 0.1), (-0.7, -0.15), (0.2, 0.4), (-0.1, -0.3))  # yaw, pitch


@pytest.fixture(scope="module")
def fill():
    return MeshFill()


def turned(points: np.ndarray, yaw: float, pitch: float, scale: float = 90.0) -> np.ndarray:
    """Canonical points (dm) as a camera a metre away sees them, px."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    solid = points @ (np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])).T
    return solid * (10 / (10 - solid[..., 2:])) * [scale, -scale, -scale] + [160, 110, 0]


def film(noise: float = 0.0) -> LandmarkTrack:
    rng = np.random.default_rng(3)
    faces = [mean_face() + [[0, -0.12, -0.02]] * LOWER[:, None] * (k % 2) for k in range(len(TURNS))]
    points = np.array([turned(face, *turn) for face, turn in zip(faces, TURNS)])
    return LandmarkTrack(torch.from_numpy((points + rng.normal(0, noise, points.shape)).astype(np.float32)), 30.0, "pixels", SIZE)


@pytest.mark.parametrize("noise", [0.0, 1.0, 6.0], ids=lambda n: f"noise{n:g}")
def test_read_back_the_points_are_the_same(noise):
    track = film(noise)
    value = to_face_landmarks(track)
    raw, shapes = from_face_landmarks(value, track.fps)
    flat = track.points[..., :2].numpy()
    assert np.array_equal(raw.points[:, 17:], flat[:, 17:]) and np.abs(raw.points - flat).max() < 0.01
    assert raw.image_size == SIZE and (raw.confidence == 1).all() and shapes is None, "no blendshapes are made up"


def test_the_sockets_layout():
    face = to_face_landmarks(film())["frames"][1][0]
    assert {k: (v.shape, v.dtype) for k, v in face.items() if isinstance(v, np.ndarray)} == {
        "bbox_xyxy": ((4,), np.float32), "landmarks_xy": ((478, 2), np.float32), "landmarks_3d": ((478, 3), np.float32),
        "transformation_matrix": ((4, 4), np.float32)}
    assert face["presence"] == face["score"] == 1.0 and face["blendshapes"] == {}
    low, high = face["landmarks_xy"].min(0), face["landmarks_xy"].max(0)
    assert np.array_equal(face["bbox_xyxy"], [*low, *high])
    assert face["landmarks_3d"][:, :2].min() > 0 and face["landmarks_3d"][:, :2].max() < 192
    assert face["landmarks_3d"][4, 2] < face["landmarks_3d"][[234, 454], 2].min() - 20, "the nose is nearer than the ears"


def test_blendshapes_travel():
    shapes = np.random.default_rng(0).uniform(0, 1, (len(TURNS), 52))
    shapes[2] = np.nan
    value = to_face_landmarks(film(), shapes)
    assert list(value["frames"][0][0]["blendshapes"]) == list(BLENDSHAPES) and value["frames"][2][0]["blendshapes"] == {}
    assert np.array_equal(from_face_landmarks(value, 30.0)[1], shapes, equal_nan=True)


def test_filled_points_are_near_the_true_mesh(fill):
    """Another person's mesh, from its 68 points alone: a wider face with a longer chin."""
    portrait = load()
    points = portrait.points * [1.1, 1, 1.05]
    points[:, 1] += 0.12 * (points[:, 1] - points[4, 1]).clip(0)
    rig = Rig(SimpleNamespace(points=points, plain_points=portrait.points, hair_outline=portrait.hair * [1.1, 1]))
    for params in ({}, {"la": 11, "jaw": 10}, {"prot": 0.8, "la": 3}, {"blink": 1.0}):
        face = np.zeros(len(PARAMS))
        for name, value in params.items():
            face[PARAMS.index(name)] = value
        mesh = rig.mesh(face)[:SKIN]  # x right, y down, z away
        guess = fill(to_68(mesh)[:, :2])[:SKIN]
        off = np.linalg.norm((guess - mesh)[:, :2], axis=1) / np.linalg.norm(mesh[263] - mesh[33])
        assert off.mean() < 0.015 and off[LIPS].max() < 0.05 and off.max() < 0.12, params
        deep = (guess - guess[4])[JAW_LINE, 2] - (mesh - mesh[4])[JAW_LINE, 2]
        assert np.abs(deep).max() < 0.35 * np.linalg.norm(mesh[263] - mesh[33]), "the jaw's depth, from the nose's tip"


def test_the_mesh_is_not_folded(fill):
    """Seen from the front hardly a triangle turns over, lips open or shut."""
    triangles = face_triangles(fill.photo[:SKIN])

    def areas(points: np.ndarray) -> np.ndarray:  # px^2, signed
        a, b, c = points[triangles].transpose(1, 0, 2)[..., :2]
        return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2

    way = np.sign(areas(fill.mesh))
    wide = mean_face() + [[0, -0.15, -0.02]] * LOWER[:, None]
    for face in (mean_face(), wide):
        assert (areas(fill(turned(face, 0, 0)[:, :2])) * way < -0.5).mean() < 0.02


def test_lines_join_what_they_say(fill):
    sets = connection_sets(fill)
    assert {"face_oval", "lips", "left_eye", "right_eye", "left_eyebrow", "right_eyebrow", "irises", "nose", "tesselation",
            "contours", "all"} <= set(sets)

    def points(name: str) -> set[int]:
        return {point for pair in sets[name] for point in pair}

    assert points("face_oval") == set(OVAL) and points("lips") == set(LIPS[0]) | set(LIPS[3]) and set(JAW_LINE[1:-1]) <= set(OVAL)
    assert points("right_eye") == set(EYES[0]) and points("tesselation") <= set(range(SKIN)) and len(sets["tesselation"]) > 2000
    for name in ("face_oval", "lips", "left_eye", "right_eye", "irises"):  # closed rings, as a mask needs them
        ends = [point for pair in sets[name] for point in pair]
        assert all(ends.count(point) == 2 for point in ends), name
    mesh = fill(turned(mean_face(), 0, 0)[:, :2])
    for eye, iris in (("right", 468), ("left", 473)):
        around = mesh[sorted(points(f"{eye}_eye")), :2]
        assert (around.min(0) < mesh[iris, :2]).all() and (mesh[iris, :2] < around.max(0)).all()


@pytest.mark.parametrize("turn", TURNS)
def test_the_head_matrix_turns_with_the_head(fill, turn):
    yaw, pitch = turn
    matrix = fill.head_matrix(turned(mean_face(), yaw, pitch)[:, :2], SIZE)
    front = fill.head_matrix(turned(mean_face(), 0, 0)[:, :2], SIZE)
    rotation = matrix[:3, :3] @ front[:3, :3].T
    wanted = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]) @ np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    assert np.degrees(np.arccos(np.clip((np.trace(rotation @ wanted.T) - 1) / 2, -1, 1))) < 8
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-5) and np.linalg.det(matrix[:3, :3]) > 0
    middle = matrix[:3, :3] @ [0, 2.66, 3.17] + matrix[:3, 3]  # between the outer eye corners, cm
    seen = middle[:2] / -middle[2] * [1, -1] * (SIZE[0] / 2 / np.tan(np.radians(31.5))) + [160, 120]
    assert np.abs(seen - turned(mean_face(), yaw, pitch)[[36, 45], :2].mean(0)).max() < 15, "px, without perspective"
    assert -matrix[2, 3] == pytest.approx(8.89 * SIZE[0] / 2 / np.tan(np.radians(31.5)) / 84, rel=0.15), "cm to the camera"


def test_faces_of_no_size_stay_finite():
    track = LandmarkTrack(torch.full((1, 68, 3), 7.0), 25.0, "pixels", SIZE)
    face = to_face_landmarks(track)["frames"][0][0]
    assert all(np.isfinite(face[name]).all() for name in ("landmarks_xy", "landmarks_3d", "transformation_matrix"))


def test_what_cannot_be_is_refused():
    with pytest.raises(TalkingHeadsError, match="canonical"):
        to_face_landmarks(LandmarkTrack(torch.from_numpy(mean_face())[None]))
    with pytest.raises(TalkingHeadsError, match="4, 52"):
        to_face_landmarks(film(), np.zeros((4, 52)))


CORE = """
import pickle, sys
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import numpy as np
from comfy_extras import nodes_mediapipe as core
with open({value!r}, "rb") as file:
    value = pickle.load(file)
out = {{}}
for region in ("face_oval", "lips", "left_eye", "irises"):
    out[region] = core.MediaPipeFaceMask.execute(value, {{"regions": "custom", region: True}}).args[0].numpy()
out["all"] = core.MediaPipeFaceMask.execute(value, {{"regions": "all"}}).args[0].numpy()
for kind in ("all", "fill"):
    shown = core.MediaPipeFaceMeshVisualize.execute(value, {{"connections": kind}}, "#00ff00", 1, 2)
    out["drawn " + kind] = shown.args[0].numpy()
wires = {{"connections": "custom", "tesselation": True}}
out["drawn wires"] = core.MediaPipeFaceMeshVisualize.execute(value, wires, "#00ff00", 1, 0).args[0].numpy()
frames = [value["frames"][0], [], value["frames"][2]]
core._fill_missing_frames(frames, "interpolate")
out["between"] = frames[1][0]["landmarks_xy"]
np.savez({out!r}, **out)
"""


@pytest.mark.comfyui
@pytest.mark.slow
def test_comfyuis_own_nodes_take_it(tmp_path):
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: core's nodes were not tried")
    track = film()
    value = to_face_landmarks(track)
    with open(tmp_path / "value.pickle", "wb") as file:
        pickle.dump(value, file)
    code = CORE.format(value=str(tmp_path / "value.pickle"), out=str(tmp_path / "out.npz"))
    done = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    out = np.load(tmp_path / "out.npz")
    assert np.array_equal(out["all"], np.maximum(out["face_oval"], out["all"])) and out["all"].shape == (5, *SIZE)
    for i, face in enumerate(track.points[..., :2].numpy()):
        x, y = np.rint(face[30]).astype(int)
        if i in (0, 3, 4):  # the nose's tip is inside the outline of a face seen from the front
            assert out["face_oval"][i, y, x] == 1
        assert out["face_oval"][i, :20, :40].max() == 0 and 0.05 < out["face_oval"][i].mean() < 0.4
    x, y = np.rint(track.points[1, [62, 66], :2].mean(0).numpy()).astype(int)
    centre = np.rint(track.points[0, 36:42, :2].mean(0).numpy()).astype(int)
    assert out["lips"][0].sum() > 100 and out["left_eye"][0].any() and not out["left_eye"][0, centre[1], centre[0]]
    assert out["irises"][0, centre[1], centre[0]] == 1
    assert (out["drawn all"][..., 1] > 0).any((1, 2)).all() and (out["drawn wires"][0, ..., 1] > 0).mean() > 0.05
    assert out["drawn fill"][0, y, x, 1] == 1 and out["between"].shape == (478, 2)
