"""Motion to Video, its file form and Lip-Sync Video with the carrier picture: the image's own pixels, no MToV, transparency."""
from __future__ import annotations

import shutil
from functools import lru_cache

import numpy as np
import pytest
import torch
from mtov_files import SIZE, save_tiny_mtov
from pack import ROOT, make_host
from PIL import Image
from prompts import changed, collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.video import probe, read_frames

HEIGHT, WIDTH, FRAMES = 200, 160, 6
DRAW = {"seed": 3, "steps": "auto", "sampler": "weights' own", "denoise": "auto", "eta": "auto", "overlap": "auto"}
VIDEO = node("MoDiTalker_MotionToVideo", motion=["motion", 0], portrait=["portrait", 0], **DRAW, start_frame=0, frame_count=0,
             life=0.0)
FILM = node("MoDiTalker_MotionToVideoFile", motion=["motion", 0], portrait=["portrait", 0], **DRAW, crf=4, life=0.0)
DUB = node("MoDiTalker_MotionToFilm", motion=["motion", 0], film=["film", 0], follow=False, **DRAW, feather=0.1, crf=1,
           tracker="rendered")


@lru_cache(maxsize=1)
def face() -> np.ndarray:  # uint8 [H, W, 3], not square
    portrait = Image.open(ROOT / "demo" / "demo_portrait.jpg").convert("RGB").resize((HEIGHT, HEIGHT))
    return np.asarray(portrait)[:, 20:20 + WIDTH].copy()


@lru_cache(maxsize=1)
def still():
    from talking_heads.moditalker_core.pipeline import portrait_motion

    return portrait_motion(face())


@pytest.fixture
def given(host):
    """What the node Give hands out: the portrait and motion of it, canonical, whose mouth opens."""
    values = giver(host)
    points = still().points.repeat(FRAMES, 1, 1)
    points[3:, [57, 66], 1] -= 0.12
    points[3:, 8, 1] -= 0.12
    values |= {"portrait": torch.from_numpy(face()).float()[None] / 255,
               "motion": own(host, "media_core.motion").LandmarkTrack(points)}
    return values


def prompt(**nodes) -> dict:
    return {**{name: give(name) for name in ("portrait", "motion")}, **nodes}


def images(kept) -> torch.Tensor:
    return next(value for value in kept if isinstance(value, torch.Tensor) and value.ndim == 4)


def test_the_images_own_pixels_move_without_an_mtov(host, given):
    """At the image's size, beginning with the image itself; one black mask."""
    kept = collector(host)
    ok(host.run(prompt(video=VIDEO, **{f"k{i}": keep("video", i) for i in range(3)})))
    made = images(kept)
    (mask,) = (value for value in kept if isinstance(value, torch.Tensor) and value.ndim == 3)
    assert made.shape == (FRAMES, HEIGHT, WIDTH, 3) and mask.shape == (1, HEIGHT, WIDTH) and not mask.any()
    assert [value for value in kept if isinstance(value, float)] == [25.0]
    assert torch.equal(made[0], given["portrait"][0])
    assert float((made[-1] - made[0]).abs().max()) > 0.2


def test_life_and_its_seed(host, given):
    kept = collector(host)
    for inputs in ({"life": 0.0}, {"life": 1.0}, {"life": 1.0, "seed": 2**64 - 1}):
        ok(host.run(prompt(video=changed(VIDEO, **inputs), k=keep("video"))))
    none, some, other = kept
    assert not torch.equal(some, other) and not torch.equal(some, none)


def test_frames_are_shown_and_a_stop_leaves_nothing(tmp_path):
    """The node's preview, and no part of a file."""
    told, stop = [], []

    def event(name: str, data: dict) -> None:
        told.append(name)
        if stop and name == "progress" and data["node"] == "film":
            host.interrupt()

    host = make_host(tmp_path / "base", on_event=event)
    track = own(host, "media_core.motion").LandmarkTrack
    giver(host).update(portrait=torch.from_numpy(face()).float()[None] / 255, motion=track(still().points.repeat(FRAMES, 1, 1)))
    collector(host)
    ok(host.run(prompt(video=VIDEO, k=keep("video"))))
    assert "preview" in told
    stop.append(True)
    assert host.run(prompt(film=FILM, k=keep("film"))).status == "interrupted"
    assert not list((tmp_path / "base" / "temp").rglob("*.mp4")) and not list(tmp_path.rglob("*.part*"))


def test_a_part_is_what_the_whole_has_there(host, given):
    kept = collector(host)
    ok(host.run(prompt(video=changed(VIDEO, life=1.0), k=keep("video"))))
    ok(host.run(prompt(video=changed(VIDEO, life=1.0, start_frame=2, frame_count=3), k=keep("video"))))
    assert torch.equal(kept[0][2:5], kept[1])


@pytest.mark.parametrize("kind", ["mask", "rgba"])
def test_a_transparent_background_moves_along(host, given, tmp_path, kind):
    gone = torch.zeros(1, HEIGHT, WIDTH)
    gone[:, :40] = 1
    if kind == "rgba":
        given["portrait"] = torch.cat([given["portrait"], 1 - gone[..., None]], -1)
    given["gone"] = gone
    inputs = {"portrait_mask": ["gone", 0]} if kind == "mask" else {}
    kept = collector(host)
    nodes = prompt(gone=give("gone"), video=changed(VIDEO, **inputs), k=keep("video"), m=keep("video", 2))
    nodes |= {name: changed(FILM, **inputs, format=name) for name in ("webm", "mov")}
    nodes |= {f"save_{name}": node("TalkingHead_SaveVideoFile", video=[name, 0], filename_prefix=f"clear/{name}")
              for name in ("webm", "mov")}
    result = ok(host.run(nodes))
    (mask,) = (value for value in kept if isinstance(value, torch.Tensor) and value.ndim == 3)
    assert mask.shape == (FRAMES, HEIGHT, WIDTH) and float(mask[:, :30].min()) > 0.9 and float(mask[:, 60:].max()) < 0.1
    assert images(kept).shape == (FRAMES, HEIGHT, WIDTH, 3)
    saved = sorted((tmp_path / "base" / "output" / "clear").iterdir())
    assert [path.suffix for path in saved] == [".mov", ".webm"] and result.outputs["save_mov"]
    assert [probe(path).frames for path in saved] == [FRAMES, FRAMES]


@pytest.mark.parametrize("carrier", ["picture", "redraw"])
def test_a_mask_must_be_of_the_portrait(host, given, carrier):
    """Not of the image that a face was cropped from; Load Image's empty mask of an opaque image has a size of its own."""
    given["gone"] = torch.ones(1, HEIGHT * 2, WIDTH * 2)
    collector(host)
    for entry in (VIDEO, FILM):
        made = changed(entry, portrait_mask=["gone", 0], carrier=carrier)
        message = failure(host.run(prompt(gone=give("gone"), made=made, k=keep("made"))))
        assert "mask must be as large" in message and "320 x 400 px for an image of 160 x 200" in message
    given["small"] = torch.zeros(1, 64, 64)
    if carrier == "picture":
        ok(host.run(prompt(small=give("small"), made=changed(VIDEO, portrait_mask=["small", 0]), k=keep("made"))))


def test_an_mp4_shows_black_where_nothing_is(host, given):
    given["portrait"] = torch.cat([given["portrait"], torch.ones(1, HEIGHT, WIDTH, 1)], -1)
    given["portrait"][:, :40, :, 3] = 0
    kept = collector(host)
    ok(host.run(prompt(film=FILM, k=keep("film"))))
    frames = np.stack(list(read_frames(kept[0].get_stream_source())))
    assert frames.shape == (FRAMES, HEIGHT, WIDTH, 3) and frames[:, :30].max() < 12 < frames[:, 60:].mean()


def test_with_a_face_crop_the_whole_image_moves_at_its_own_resolution(host, given):
    """As in workflows saved before there was a choice: their small square is not enlarged."""
    crop = own(host, "media_core.face.crop").FaceCrop(np.array([[[0.5, 0, -5.25], [0, 0.5, -10.25]]]), 64, (HEIGHT, WIDTH))
    aligned = own(host, "moditalker_core.alignment").onto_portrait
    track = own(host, "media_core.motion").LandmarkTrack
    points = own(host, "media_core.face.trackers").still_landmarks("people", face()).points
    flat = torch.zeros(1, 68, 3)
    flat[0, :, :2] = torch.from_numpy(crop.to_crop(points)).float()
    small = track(flat, space="pixels", image_size=(64, 64))
    canonical = own(host, "media_core.motion").LandmarkTrack(still().points)
    given |= {"motion": aligned(given["motion"], small, canonical=canonical), "crop": crop, "face": small,
              "source": given["portrait"], "portrait": torch.rand(1, 64, 64, 3)}
    kept = collector(host)
    film = changed(FILM, source=["source", 0], face_crop=["crop", 0], pose_landmarks=["face", 0])
    ok(host.run(prompt(source=give("source"), crop=give("crop"), face=give("face"), film=film, k=keep("film"))))
    frames = np.stack(list(read_frames(kept[0].get_stream_source()))).astype(int)
    assert frames.shape == (FRAMES, HEIGHT, WIDTH, 3) and np.abs(frames[0] - face()).mean() < 3
    mouth = points[48:68].mean(0).astype(int)
    change = np.abs(frames[-1] - frames[0]).mean(-1)
    assert change[mouth[1] - 5:mouth[1] + 10, mouth[0] - 8:mouth[0] + 8].mean() > 8 and change[:int(points[27, 1])].mean() < 1.5


def test_a_films_person_says_something_else(host, given, tmp_path, tiny_film):
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "me.mp4")
    kept = collector(host)
    nodes = {"motion": give("motion"), "film": node("LoadVideo", file="me.mp4"), "dub": DUB, "k": keep("dub")}
    ok(host.run(nodes))
    made = np.stack(list(read_frames(kept[0].get_stream_source()))).astype(int)
    was = np.stack(list(read_frames(tiny_film))).astype(int)[:FRAMES]
    assert made.shape == was.shape and np.abs(made - was)[:, :60].mean() < 3


def test_frames_of_a_video_take_the_portraits_place(host, given, tiny_film):
    given["poses"] = torch.from_numpy(np.stack(list(read_frames(tiny_film))[:FRAMES])).float() / 255
    kept = collector(host)
    ok(host.run(prompt(poses=give("poses"), video=changed(VIDEO, pose_images=["poses", 0]), k=keep("video"))))
    assert images(kept).shape == given["poses"].shape and torch.equal(images(kept)[:, :40], given["poses"][:, :40])


@pytest.mark.parametrize("entry", [VIDEO, FILM, DUB], ids=["images", "file", "video"])
def test_redraw_needs_an_mtov(host, given, tmp_path, tiny_film, entry):
    shutil.copy(tiny_film, tmp_path / "base" / "input" / "me.mp4")
    collector(host)
    nodes = prompt(film=node("LoadVideo", file="me.mp4"), made=changed(entry, carrier="redraw"), k=keep("made"))
    message = failure(host.run(nodes))
    assert "complete MToV" in message and "Load MToV" in message and "carrier picture" in message and "Got:" in message


def test_what_mtov_is_told(host, given, tmp_path, monkeypatch):
    save_tiny_mtov(tmp_path / "base" / "models" / "talking_heads" / "tiny.safetensors")
    generation, seen = own(host, "moditalker_core.mtov.generation"), []
    monkeypatch.setattr(generation, "talk", lambda *args, **more: seen.append(args[3]) or
                        iter([np.zeros((SIZE, SIZE, 3), np.uint8)] * FRAMES))
    collector(host)
    told = {"detail_residual": "on", "boundary_correction": 0.25, "noise": "own"}
    mtov = node("MoDiTalker_LoadMToV", mtov_name="tiny.safetensors", precision="auto")
    for inputs in ({}, told):
        ok(host.run(prompt(mtov=mtov, video=changed(VIDEO, carrier="redraw", mtov=["mtov", 0], **inputs), k=keep("video"))))
    assert [(one.anchored, one.settle, one.noise) for one in seen] == [(None, 1.0, "shared"), (True, 0.25, "own")]


@pytest.mark.parametrize("spoil, words", [
    (lambda values, track: values.update(portrait=torch.zeros(1, 64, 64, 3)), ["face"]),
    (lambda values, track: values.update(motion=track(values["motion"].points * 50, space="pixels", image_size=(90, 90))),
     ["this image", "90 x 90"])], ids=["no face", "motion of another image"])
def test_what_cannot_be_carried(host, given, spoil, words):
    spoil(given, own(host, "media_core.motion").LandmarkTrack)
    collector(host)
    message = failure(host.run(prompt(film=FILM, k=keep("film"))))
    assert all(word in message for word in words) and "Got:" in message


def test_landmarks_say_which_face_of_the_frames_speaks(host, monkeypatch):
    """In pixels of the frames, or of the crop that was cut from them; others say nothing."""
    carrying, track = own(host, "nodes.carrying"), own(host, "media_core.motion").LandmarkTrack
    crop = own(host, "media_core.face.crop").FaceCrop(np.array([[[0.5, 0, -5.25], [0, 0.5, -10.25]]]), 64, (HEIGHT, WIDTH))
    seen, frames = [], torch.zeros(2, HEIGHT, WIDTH, 3)

    class Face:
        def frames(self, motion, drawing, report):
            return iter(())

    monkeypatch.setattr(own(host, "moditalker_core.carried_faces"), "video_face",
                        lambda opened, fps, **told: seen.append(told["near"]) or Face())
    points = torch.rand(2, 68, 3) * 60
    motion = track(still().points.repeat(2, 1, 1))
    for size in ((HEIGHT, WIDTH), (64, 64), (90, 90)):
        landmarks = track(points, space="pixels", image_size=size)
        carrying.Subject(frames[:1], None, landmarks, frames).drawn(motion, (0, None), 0, 0.0, lambda *call: None)
        subject, _ = carrying.whole_subject(frames, crop, motion, landmarks, None)
        subject.drawn(motion, (0, None), 0, 0.0, lambda *call: None)
    whole, large, _, cropped, *none = seen
    assert np.array_equal(whole, points[0, :, :2]) and none == [None, None]
    assert np.array_equal(large, whole) and np.allclose(cropped, crop.to_source(points[0, :, :2].double().numpy(), 0), atol=1e-3)
