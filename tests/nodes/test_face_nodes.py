"""Capture's nodes run by the host on a second of film: what they find, what they hand on, what they say to bad input."""
from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pack import make_host
from PIL import Image
from prompts import changed, collector, failure, give, giver, keep, node, ok

FILM = node("LoadVideo", file="film.mp4")
PARTS = node("GetVideoComponents", video=["film", 0])
TRACK = node("TalkingHead_TrackFace", fps=25.0, face_index=0, order="largest", policy="error", focal=0.0, smoothing=13,
             video=["film", 0], tracker="rendered")
CROP = node("TalkingHead_FaceCrop", images=["parts", 0], size=96, margin=2.0, way="still", upright=False, feather=0.1,
            face_index=0, order="largest", tracker="rendered")
PASTE = node("TalkingHead_FacePasteBack", images=["parts", 0], crops=["crop", 0], face_crop=["crop", 1], feather=0.1)
PREPARE = node("TalkingHead_PrepareDataset", video=["film", 0], name="me", size=64, start=0.0, duration=0.0, face_index=0,
               order="largest", policy="error", focal=0.0, smoothing=13, steady=True, parsing="", tracker="rendered")
IMPORT = node("TalkingHead_ImportActionUnits", file="au.csv", tool="auto", fps=25.0, frames=0)


@pytest.fixture
def base(host, tmp_path, tiny_film) -> Path:
    """The host's folder, with the film in input/."""
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "film.mp4")
    return tmp_path / "base"


@pytest.fixture
def given(host):
    """A dictionary whose values the node Give hands out by name."""
    return giver(host)


@pytest.fixture
def truth(tiny_dataset) -> np.ndarray:  # [30, 68, 2] px of the film
    """Where the face is."""
    small = np.stack([np.loadtxt(tiny_dataset / "ori_imgs" / f"{i}.lms") for i in range(30)])
    return (small + 0.5) * 3 - 0.5 + [24, 0]


def off(points, truth) -> float:  # px
    return float(np.linalg.norm(np.asarray(points)[..., :2] - truth, axis=-1).mean())


# ---------------------------------------------------------------------------------------------------------------- tracking

def test_a_video_is_tracked(host, base, truth):
    kept = collector(host)
    nodes = {"film": FILM, "track": TRACK, **{f"k{i}": keep("track", i) for i in range(5)}}
    ok(host.run(nodes))
    track, landmarks, expression, pose, about = (next(v for v in kept if type(v).__name__ == name) for name in (
        "FaceTrack", "LandmarkTrack", "ExpressionTrack", "PoseTrack", "str"))
    assert len(track) == len(landmarks) == len(expression) == len(pose) == 30
    assert landmarks.space == "pixels" and landmarks.image_size == (192, 240) and off(landmarks.points, truth) < 2.5
    assert "tracker: rendered (built-in)" in about and "30 frames" in about
    assert expression.unreliable and f"unreliable: {', '.join(expression.unreliable)}" in about
    assert not host.run(nodes).executed, "all of it comes from the cache"


def test_smoothing_steadies_the_jaw_and_leaves_lips_and_lids(host, base):
    kept = collector(host)
    ok(host.run({"film": FILM, "track": TRACK, "raw": changed(TRACK, smoothing=0), "a": keep("track", 1), "b": keep("raw", 1)}))
    shaken, steady = sorted((track.points[..., :2].double() for track in kept), reverse=True,
                            key=lambda points: float(points[:, :17].diff(n=2, dim=0).abs().mean()))
    assert torch.equal(shaken[:, 36:], steady[:, 36:]) and not torch.equal(shaken[:, :17], steady[:, :17])


def test_a_steadied_track_still_knows_where_the_face_was_found(host, base):
    """Lip-Sync Video draws onto the frames: a smoothed jaw would lag behind the filmed one."""
    kept = collector(host)
    track = changed(TRACK, tracker="people")
    ok(host.run({"film": FILM, "track": track, "raw": changed(track, smoothing=0), "a": keep("track", 0), "b": keep("raw", 0)}))
    (steady,), (raw,) = ([one for one in kept if (one.measured is None) == bare] for bare in (False, True))
    assert raw.as_measured() is raw and not torch.equal(steady.landmarks.points[:, :17], raw.landmarks.points[:, :17])
    found = steady.as_measured()
    assert torch.allclose(found.landmarks.points[..., :2], raw.landmarks.points[..., :2], atol=1e-4)
    error, moved = ((track.landmarks.mesh - raw.landmarks.mesh).abs().max() for track in (found, steady))
    assert error < 0.1 * moved and found.measured is None, "the mesh moves back, the jaw's along a slightly other line"
    assert torch.equal(steady.slice(3, 9).as_measured().landmarks.points, found.landmarks.points[3:9])


def test_frames_and_other_rates(host, base, truth):
    kept = collector(host)
    frames = changed(TRACK, images=["parts", 0])
    del frames["inputs"]["video"]
    nodes = {"film": FILM, "parts": PARTS, "frames": frames, "slow": changed(TRACK, fps=10.0), "a": keep("frames", 1),
             "b": keep("slow", 1)}
    ok(host.run(nodes))
    by_length = {len(track): track for track in kept}
    assert set(by_length) == {12, 30} and by_length[12].fps == 10.0
    assert off(by_length[30].points, truth) < 2.5
    assert off(by_length[12].points, truth[np.clip(np.round((np.arange(12) + 0.5) * 2.5 - 0.5), 0, 29).astype(int)]) < 4


@pytest.mark.parametrize("both", [True, False])
def test_either_a_video_or_images(host, base, both):
    entry = changed(TRACK, images=["parts", 0])
    nodes = {"film": FILM, "parts": PARTS, "track": entry, "show": node("TalkingHead_PreviewCurves", units="all", width=640,
                                                                        strip=44, face_track=["track", 0]),
             "save": node("PreviewImage", images=["show", 0])}
    if not both:
        del entry["inputs"]["images"], entry["inputs"]["video"]
    assert "either a video or images" in failure(host.run(nodes))


def blank(film: torch.Tensor, *frames: int) -> torch.Tensor:
    """The film with nobody in some frames."""
    out = film.clone()
    out[list(frames)] = 0.5
    return out


@pytest.fixture
def frames(tiny_film) -> torch.Tensor:  # float32 [30, 192, 240, 3]
    from talking_heads.media_core.video import read_frames

    return torch.from_numpy(np.stack(list(read_frames(tiny_film)))).float() / 255


@pytest.mark.parametrize("policy, length", [("error", None), ("hold", 30), ("interpolate", 30), ("skip", 27)])
def test_frames_without_a_face(host, base, given, frames, policy, length):
    kept = collector(host)
    given["frames"] = blank(frames, 11, 12, 13)
    entry = changed(TRACK, images=["frames", 0], policy=policy)
    del entry["inputs"]["video"]
    result = host.run({"frames": give("frames"), "track": entry, "a": keep("track", 1), "b": keep("track", 4)})
    if length is None:
        assert "11-13" in failure(result) and "hold, interpolate or skip" in failure(result)
        return
    ok(result)
    track, about = sorted(kept, key=lambda value: isinstance(value, str))
    assert len(track) == length and "30 in the video" in about
    assert (f"{length} frames" in about) and f"{3 if length == 30 else 0} without a face were filled in" in about


def test_a_mask_says_where_to_look(host, base, given, frames):
    given |= {"frames": frames[:6], "nowhere": torch.zeros(1, 64, 64), "everywhere": torch.ones(1, 192, 240)}
    entry = changed(TRACK, images=["frames", 0], mask=["where", 0])
    del entry["inputs"]["video"]
    nodes = {"frames": give("frames"), "where": give("nowhere"), "track": entry, "k": keep("track", 1)}
    kept = collector(host)
    assert "face" in failure(host.run(nodes)) and not kept
    ok(host.run({**nodes, "where": give("everywhere")}))
    assert len(kept[0]) == 6


def mesh_socket(truth: np.ndarray, blendshapes: bool) -> dict:
    """Core's FACE_LANDMARKS with a mesh that stands where the face is."""
    from talking_heads.media_core.face.action_units.blendshapes import BLENDSHAPES
    from talking_heads.media_core.face.geometry import fit_similarity
    from talking_heads.media_core.subject.layout import to_68
    from talking_heads.media_core.subject.portrait import load

    mesh = load().points
    mesh = np.concatenate([mesh, np.repeat(mesh[-1:], max(0, 478 - len(mesh)), 0)])[:478]
    moves = [fit_similarity(to_68(mesh)[:, :2], points) for points in truth]
    faces = [{"landmarks_xy": move(mesh[:, :2]), "presence": 1.0,
              "blendshapes": dict.fromkeys(BLENDSHAPES, 0.01 * i) if blendshapes else None} for i, move in enumerate(moves)]
    return {"frames": [[face] for face in faces], "image_size": (192, 240), "connection_sets": {}}


def test_cores_face_landmarks_take_the_trackers_place(host, base, given, truth):
    kept = collector(host)
    given |= {"mesh": mesh_socket(truth, False), "shapes": mesh_socket(truth, True)}
    for name in given:
        ok(host.run({"film": FILM, "mesh": give(name), "track": changed(TRACK, face_landmarks=["mesh", 0], fps=10.0),
                     "a": keep("track", 0), "b": keep("track", 4)}))
    (plain, shapes), abouts = [v for v in kept if not isinstance(v, str)], [v for v in kept if isinstance(v, str)]
    assert all("tracker: face landmarks" in about for about in abouts)
    assert len(plain) == 30 and plain.fps == 25.0, "with a video connected, its own rate counts"
    assert "blendshapes" in shapes.expression.source and "blendshapes" not in plain.expression.source


# ---------------------------------------------------------------------------------------------------------------- pictures

def test_a_portrait(host, base, given, frames, truth):
    kept = collector(host)
    given["portrait"] = torch.cat([frames[:2], torch.ones(2, 192, 240, 1)], -1)  # with an alpha channel
    entry = node("TalkingHead_PortraitLandmarks", image=["portrait", 0], face_index=0, order="largest")
    ok(host.run({"portrait": give("portrait"), "find": entry, **{f"k{i}": keep("find", i) for i in range(3)}}))
    canonical, flat, picture = kept
    assert (canonical.space, flat.space, flat.image_size) == ("canonical", "pixels", (192, 240))
    assert len(canonical) == len(flat) == 2 and off(flat.points, truth[:2]) < 2.5
    corners = canonical.points[:, 45] - canonical.points[:, 36]
    assert torch.allclose(corners.norm(dim=-1), torch.tensor(0.9), atol=0.03), "decimetres, outer eye corners 9 cm apart"
    assert picture.shape == (2, 192, 240, 3) and (picture != frames[:2]).any()


def test_a_portrait_without_a_face(host, base, given):
    given["portrait"] = torch.full((1, 200, 200, 3), 0.4)
    entry = node("TalkingHead_PortraitLandmarks", image=["portrait", 0], face_index=0, order="largest")
    assert "face" in failure(host.run({"portrait": give("portrait"), "find": entry, "show": node("PreviewImage",
                                                                                              images=["find", 2])}))


def test_previews(host, base):
    kept = collector(host)
    look = node("TalkingHead_PreviewLandmarks", size=120, start_frame=0, frame_count=0, dots=True, face_track=["track", 0])
    nodes = {"film": FILM, "parts": PARTS, "track": TRACK, "black": look,
             "over": changed(look, images=["parts", 0], frame_count=2),
             "plot": node("TalkingHead_PreviewCurves", units="all", width=640, strip=40, face_track=["track", 0]),
             "few": node("TalkingHead_PreviewCurves", units="reliable", width=640, strip=40, face_track=["track", 0]),
             **{f"k{name}": keep(name) for name in ("black", "over", "plot", "few")}}
    ok(host.run(nodes))
    shapes = {tuple(value.shape) for value in kept}
    assert {(30, 96, 120, 3), (2, 192, 240, 3)} <= shapes, "on black at the wanted size, over images at theirs"
    heights = sorted(shape[1] for shape in shapes if shape[2] == 640)
    assert heights[1] == 18 * 40 + 44 and heights[0] < heights[1], "lips and 17 units; the reliable are fewer"
    black = next(value for value in kept if value.shape[1] == 96)
    assert black.max() > 0.9 and (black == 0).float().mean() > 0.8
    late = changed(look, start_frame=30)
    assert "0 to 29" in failure(host.run({"film": FILM, "track": TRACK, "black": late, "k": keep("black")}))


def test_a_preview_fits_into_a_film(host, base, given):
    """A camera's picture is shrunk on request, an odd one made even: the points with it."""
    from talking_heads.media_core.motion import LandmarkTrack

    points = torch.tensor([[50.0, 50.0, 0.0]]) + 10 * torch.randn(68, 3, generator=torch.Generator().manual_seed(0))
    given["points"] = LandmarkTrack(points[None], 25.0, "pixels", (203, 101))
    given["photo"] = torch.zeros(1, 203, 101, 3)
    kept = collector(host)
    look = node("TalkingHead_PreviewLandmarks", size=64, start_frame=0, frame_count=0, dots=False, landmarks=["points", 0])
    over = changed(look, images=["photo", 0])
    shrunk = changed(over, longest=96)
    ok(host.run({"points": give("points"), "photo": give("photo"), "black": look, "own": over, "shrunk": shrunk,
                 "even": changed(over, longest=1024), **{f"k{name}": keep(name) for name in ("black", "own", "shrunk", "even")}}))
    shapes = {tuple(value.shape[1:3]): value for value in kept}
    assert set(shapes) == {(64, 30), (203, 101), (96, 46), (202, 100)}
    row = [float(picture[0].amax(-1).nonzero().float().mean(0)[0] / size[0]) for size, picture in shapes.items()]
    assert max(row) - min(row) < 0.03, "drawn at the same place of the picture"


def test_a_preview_needs_something_to_show(host, base):
    for kind, more in (("TalkingHead_PreviewLandmarks", {"size": 64, "start_frame": 0, "frame_count": 0, "dots": True}),
                       ("TalkingHead_PreviewCurves", {"units": "all", "width": 640, "strip": 44})):
        assert "must be" in failure(host.run({"look": node(kind, **more), "show": node("PreviewImage", images=["look", 0])}))


# ------------------------------------------------------------------------------------------------------------------- crops

@pytest.mark.parametrize("way", ["still", "follow", "each"])
def test_out_and_back(host, base, given, frames, way):
    """An edit (the crop in negative) changes the face and not one bit beyond the square; the source stays whole."""
    kept = collector(host)
    given |= {"frames": frames[:8], "edit": None}
    before = frames[:8].clone()
    crop = changed(CROP, images=["frames", 0], way=way)
    ok(host.run({"frames": give("frames"), "crop": crop, **{f"k{i}": keep("crop", i) for i in range(3)}}))
    crops, square, feathered = sorted(kept, key=lambda v: getattr(v, "ndim", 3.5), reverse=True)
    assert crops.shape == (8, 96, 96, 3) and feathered.shape == (1, 96, 96) and square.source_size == (192, 240)
    assert square.moves == (way != "still")
    kept.clear()
    given |= {"edit": 1 - crops, "square": square}
    ok(host.run({"frames": give("frames"), "edit": give("edit"), "square": give("square"), "k": keep("paste"),
                 "paste": changed(PASTE, images=["frames", 0], crops=["edit", 0], face_crop=["square", 0])}))
    (out,) = kept
    y, x = np.mgrid[:192, :240]
    for i in range(8):
        u, v = np.moveaxis(square.to_crop(np.stack([x, y], -1), i), -1, 0)
        outside = torch.from_numpy((np.minimum(u, v) < -0.5) | (np.maximum(u, v) > 95.5))
        assert torch.equal(out[i][outside], frames[i][outside]) and outside.any()
        assert (out[i][~outside] - frames[i][~outside]).abs().mean() > 0.05
    assert torch.equal(frames[:8], before)


@pytest.mark.parametrize("way, count", [("still", 6), ("each", 3), ("still", 1)])
def test_progress_rises_to_its_end(tmp_path, tiny_film, frames, way, count):
    told = {}
    host = make_host(tmp_path / "base", on_event=lambda name, data: told.setdefault(data["node"], []).append(
        data["value"] / data["max"]) if name == "progress" else None)
    Image.fromarray((frames[0].numpy() * 255).astype(np.uint8)).save(tmp_path / "base" / "input" / "one.png")
    nodes = {"frames": node("LoadImage", image="one.png"), "crop": changed(CROP, images=["batch", 0], way=way),
             "paste": changed(PASTE, images=["batch", 0]), "show": node("PreviewImage", images=["paste", 0]),
             "batch": node("Repeat", image=["frames", 0], count=count)}
    host.classes["Repeat"] = repeater()
    ok(host.run(nodes))
    for name in ("crop", "paste"):
        assert told[name] == sorted(told[name]) and told[name][-1] == 1, name


def repeater():
    """A node that gives a picture several times."""
    from talking_heads.host.shim import io

    class Repeat(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Repeat", inputs=[io.Image.Input("image"), io.Int.Input("count")],
                             outputs=[io.Image.Output("images")])

        @classmethod
        def execute(cls, image, count):
            return io.NodeOutput(image.repeat(count, 1, 1, 1))

    return Repeat


def test_a_track_spares_the_search(host, base, given, truth):
    kept = collector(host)
    nodes = {"film": FILM, "parts": PARTS, "track": TRACK, "crop": changed(CROP, face_track=["track", 0]), "k": keep("crop", 1)}
    ok(host.run(nodes))
    middle = kept[0].to_source(np.array([47.5, 47.5]))
    assert np.abs(middle - np.median((truth.min(1) + truth.max(1)) / 2, axis=0)).max() < 12
    assert kept[0].faceless == ()
    nodes["k"] = keep("track")
    ok(host.run(nodes))
    confidence = kept[1].confidence.clone()
    confidence[3:5] = 0
    given["gap"] = replace(kept[1], confidence=confidence)
    nodes |= {"gap": give("gap"), "crop": changed(CROP, face_track=["gap", 0]), "k": keep("crop", 1)}
    ok(host.run(nodes))
    assert kept[2].faceless == (3, 4), "nothing is put back where the track saw nobody"
    nodes["crop"] = changed(CROP, face_track=["track", 0])
    nodes["half"] = node("TalkingHead_FaceCrop", **{**nodes["crop"]["inputs"], "images": ["picture", 0]})
    nodes["picture"] = node("LoadImage", image="one.png")
    nodes["k"] = keep("half", 1)
    Image.new("RGB", (240, 190)).save(base / "input" / "one.png")
    assert "exactly these images" in failure(host.run(nodes))


def test_other_numbers_of_crops_are_refused(host, base, given, frames):
    from talking_heads.media_core.face.crop import FaceCrop

    given |= {"frames": frames[:3], "crops": frames[:2, :96, :96], "square": FaceCrop(np.eye(3)[None, :2], 96, (192, 240))}
    entry = changed(PASTE, images=["frames", 0], crops=["crops", 0], face_crop=["square", 0])
    nodes = {"frames": give("frames"), "crops": give("crops"), "square": give("square"), "paste": entry, "k": keep("paste")}
    kept = collector(host)
    assert "2 crops for 3 images" in failure(host.run(nodes)) and not kept
    given["frames"] = frames[:1]
    ok(host.run({**nodes, "frames": node("Give", name="frames", again=1)}))
    assert kept[0].shape == (2, 192, 240, 3), "one picture takes every crop"


# ------------------------------------------------------------------------------------------------------------------ tables

OPENFACE = "frame, timestamp, confidence, success, AU01_r, AU12_r, AU45_r\n"


def table(path: Path, rows: int = 36, fps: float = 30.0, value: float = 1.0) -> None:
    lines = [f"{i + 1}, {i / fps:.3f}, 0.98, 1, {value:.2f}, {i / 10:.2f}, 0.00" for i in range(rows)]
    path.write_text(OPENFACE + "\n".join(lines) + "\n")


def test_a_table_is_put_on_the_films_frames(host, base, tiny_dataset):
    kept = collector(host)
    table(base / "input" / "au.csv")
    shutil.copytree(tiny_dataset, base / "input" / "person")
    nodes = {"data": node("TalkingHead_LoadDataset", place="input", folder="person"),
             "read": changed(IMPORT, dataset=["data", 0], fps=60.0), "a": keep("read"), "b": keep("read", 1)}
    ok(host.run(nodes))
    expression, about = sorted(kept, key=lambda value: isinstance(value, str))
    assert len(expression) == 30 and expression.fps == 25.0, "the dataset's length and rate"
    assert torch.isnan(expression.column("AU04")).all() and (expression.column("AU01") == 1).all()
    assert expression.column("AU12")[10] == pytest.approx(1.21, abs=0.06), "36 rows of 30 a second on 30 frames of 25"
    assert "OpenFace" in about and "AU04" in about.partition("unknown:")[2]
    assert not host.run(nodes).executed
    table(base / "input" / "au.csv", value=2.0)
    assert "read" in host.run(nodes).executed, "another file: read again"


@pytest.mark.parametrize("file, word", [("none.csv", "Got: 'none.csv'"), ("../au.csv", "inside the folder"),
                                            ("/etc/hosts", "inside the folder")])
def test_a_table_that_is_not_there_is_refused_before_anything_runs(host, base, file, word):
    from talking_heads.host.graph import InvalidPrompt

    with pytest.raises(InvalidPrompt) as refusal:
        host.run({"read": changed(IMPORT, file=file), "plot": node("TalkingHead_PreviewCurves", units="all", width=640, strip=44,
                                                                  expression=["read", 0]),
                  "show": node("PreviewImage", images=["plot", 0])})
    assert word in str(refusal.value)
