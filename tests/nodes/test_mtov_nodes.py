"""MToV's nodes on the small host: load, frames, films, pictures pasted back; what they say to bad input."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mtov_files import FRAMES, HEADS, SIZE, save_published, save_tiny_mtov
from pack import make_host
from prompts import changed, collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.video import probe, read_frames

WIDE = 96  # px of the portrait
MTOV = node("MoDiTalker_LoadMToV", mtov_name="tiny.safetensors", precision="auto")
DRAW = {"seed": 3, "steps": 0, "sampler": "weights' own", "denoise": -1.0, "eta": -1.0, "overlap": -1, "carrier": "redraw"}
VIDEO = node("MoDiTalker_MotionToVideo", mtov=["mtov", 0], motion=["motion", 0], portrait=["portrait", 0], **DRAW, start_frame=0,
             frame_count=0, pose_landmarks=["face", 0])
FILM = node("MoDiTalker_MotionToVideoFile", mtov=["mtov", 0], motion=["motion", 0], portrait=["portrait", 0], **DRAW, crf=10,
            pose_landmarks=["face", 0])


def without(entry: dict, name: str) -> dict:
    return {**entry, "inputs": {key: value for key, value in entry["inputs"].items() if key != name}}


@pytest.fixture
def base(tmp_path) -> Path:
    """The host's folder, tiny.safetensors in models/."""
    save_tiny_mtov(tmp_path / "base" / "models" / "talking_heads" / "tiny.safetensors")
    return tmp_path / "base"


@pytest.fixture
def given(host):
    """What the node Give hands out: a portrait, its landmarks, and two clips of a mouth that opens."""
    values = giver(host)
    values.update(things())
    return values


def things(frames: int = 2 * FRAMES, size: int = WIDE) -> dict:
    from talking_heads.media_core.motion import LandmarkTrack

    flat = torch.from_numpy(mean_face()).float() * torch.tensor([0.5 * size, -0.5 * size, 0.0])
    flat = flat + torch.tensor([0.5 * size, 0.5 * size, 0.0])
    moving = flat.repeat(frames, 1, 1)
    moving[:, 55:60, 1] += torch.linspace(0, 0.1 * size, frames)[:, None]
    picture = torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (1, size, size, 3)).astype(np.float32))
    track = {"space": "pixels", "image_size": (size, size)}
    return {"portrait": picture, "face": LandmarkTrack(flat[None], **track), "motion": LandmarkTrack(moving, **track)}


def prompt(**nodes) -> dict:
    return {"mtov": MTOV, **{name: give(name) for name in ("portrait", "face", "motion")}, **nodes}


def video(**changes) -> dict:
    return prompt(video=changed(VIDEO, **changes), k=keep("video"))


# ---------------------------------------------------------------------------------------------------------------- loading

def test_an_mtov_says_what_it_is(host, base):
    kept = collector(host)
    ok(host.run({"mtov": MTOV, **{f"k{i}": keep("mtov", i) for i in range(4)}}))
    loaded = next(value for value in kept if hasattr(value, "model"))
    about = next(value for value in kept if isinstance(value, str))
    assert (loaded.name, loaded.licence, loaded.model.dtype) == ("tiny", "for tests", torch.float32)
    assert SIZE in kept and 1.6 in kept, "for Face Crop"
    for network in loaded.model.networks.values():
        moved = {id(p) for p in loaded.patcher.model.parameters()}
        assert {id(p) for p in network.parameters()} <= moved, "what ComfyUI moves are the networks"
    for part in ("tiny.safetensors", f"{FRAMES} frames of {SIZE} px", "ddim, 2 steps at strength 0.125", "licence: for tests",
                 "margin 1.6", "note knows nothing"):
        assert part in about


@pytest.mark.parametrize("asked, wanted", [({}, (None, "filtered", None)), ({"schedule_steps": 0, "resize": "filtered"},
                                                                             (None, "filtered", None)),
                                           ({"schedule_steps": 16, "resize": "bilinear"}, (16, "bilinear", None)),
                                           ({"schedule_steps": 16, "steps": 3}, (16, "filtered", 3))])
def test_how_the_published_program_counts_and_shrinks(host, base, given, monkeypatch, asked, wanted):
    """Both may be absent, as in workflows that were saved before they were there."""
    generation, seen = own(host, "moditalker_core.mtov.generation"), []
    real = generation.talk
    monkeypatch.setattr(generation, "talk", lambda *args, **more: seen.append(args[3]) or real(*args, **more))
    kept = collector(host)
    ok(host.run(video(**asked)))
    (settings,) = seen
    assert (settings.schedule, settings.resize, settings.calls) == wanted and settings.sampler is None
    assert len(next(value for value in kept if isinstance(value, torch.Tensor))) == 2 * FRAMES


@pytest.mark.usefixtures("bf16_attention")
@pytest.mark.parametrize("choice, dtype", [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_the_number_format_is_chosen(host, base, given, choice, dtype):
    kept = collector(host)
    ok(host.run({**video(), "mtov": changed(MTOV, precision=choice), "l": keep("mtov")}))
    assert next(value for value in kept if hasattr(value, "model")).model.dtype == dtype
    images = next(value for value in kept if isinstance(value, torch.Tensor))
    assert images.dtype == torch.float32 and torch.isfinite(images).all()


def test_files_are_offered_by_what_they_are(host, base):
    from talking_heads.media_core.files import save_tensors

    folder = base / "models" / "talking_heads"
    save_tensors(folder / "part.safetensors", {"x": torch.zeros(1)}, kind="mtov_autoencoder", version=1, config={})
    for node_id, name, there in (("MoDiTalker_LoadMToV", "mtov_name", True), ("MoDiTalker_LoadAToM", "atom_name", False)):
        offered = host.object_info([node_id])[node_id]["input"]["required"][name][1]["options"]
        assert ("tiny.safetensors" in offered) == there and "part.safetensors" not in offered


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_mtov_is_named(host, base, content):
    folder = base / "models" / "talking_heads"
    whole = (folder / "tiny.safetensors").read_bytes()
    (folder / "bad.safetensors").write_bytes(whole[:len(whole) // 2] if content is None else content)
    collector(host)
    message = failure(host.run({"mtov": changed(MTOV, mtov_name="bad.safetensors"), "k": keep("mtov")}))
    assert "bad.safetensors" in message and "Got:" in message


# --------------------------------------------------------------------------------------------------------------- importing

def importing(files: list[str], **changes) -> dict:
    return node("MoDiTalker_ImportMToV", **dict(zip(("autoencoder", "landmark_autoencoder", "denoiser"), files)),
                **{"heads": HEADS, "name": "mine", "half": False, **changes})


def test_published_checkpoints_are_imported_once_and_listed(host, base):
    kept = collector(host)
    nodes = {"import": importing(save_published(base / "models" / "talking_heads")), "a": keep("import"), "b": keep("import", 1)}
    ok(host.run(nodes))
    loaded, name = sorted(kept, key=lambda value: isinstance(value, str))
    assert name == "mine.safetensors" and "they carry none" in loaded.licence
    assert loaded.model.config.denoiser.num_heads == HEADS and loaded.model.config.sampler == "ddim"
    offered = host.object_info(["MoDiTalker_LoadMToV"])["MoDiTalker_LoadMToV"]["input"]["required"]["mtov_name"][1]["options"]
    assert name in offered and not host.run(nodes).executed


@pytest.mark.parametrize("absent, content, word", [("diffusion_model.pth", None, "diffusion_model.pth"),
                                                         ("autoencoder_rgb.pth", b"no pickle", "torch.save")])
def test_what_is_no_checkpoint_is_told_and_nothing_is_written(host, base, absent, content, word):
    collector(host)
    folder = base / "models" / "talking_heads"
    files = save_published(folder)
    if content is None:
        files[files.index(absent)] = "none"
    else:
        (folder / absent).write_bytes(content)
    message = failure(host.run({"import": importing(files), "k": keep("import")}))
    assert word in message and "Got:" in message
    assert not (folder / "mine.safetensors").exists()


# ----------------------------------------------------------------------------------------------------------------- frames

def test_a_portrait_moves(host, base, given):
    kept = collector(host)
    nodes = {**video(), "f": keep("video", 1)}
    ok(host.run(nodes))
    images, fps = (next(v for v in kept if isinstance(v, kind)) for kind in (torch.Tensor, float))
    assert images.shape == (2 * FRAMES, SIZE, SIZE, 3) and fps == 25.0
    assert float(images.min()) >= 0 and float(images.max()) <= 1
    kept.clear()
    ok(host.run(video(seed=4)))
    assert not torch.equal(kept[0], images), "another seed, other noise"
    kept.clear()
    ok(host.run(video(sampler="unipc", steps=1)))
    assert kept[0].shape == images.shape


def test_a_part_is_what_the_whole_has_there(host, base, given):
    kept = collector(host)
    ok(host.run(video()))
    ok(host.run(video(start_frame=5, frame_count=4)))
    whole, part = kept
    assert len(part) == 4 and float((part - whole[5:9]).abs().max()) <= 1 / 255 + 1e-6


def test_the_picture_is_shown_and_a_stop_ends_it_within_a_clip(base):
    told = []

    def event(name: str, data: dict) -> None:
        told.append(name)
        if name == "progress" and data["node"] in ("video", "film") and stop:
            host.interrupt()

    host, stop = make_host(base, on_event=event), True
    giver(host).update(things())
    collector(host)
    assert host.run(video()).status == "interrupted" and told.count("progress") <= 2
    told.clear()
    assert host.run(prompt(film=FILM, k=keep("film"))).status == "interrupted" and told.count("progress") <= 2
    assert not [path for path in base.rglob("*.mp4") if base / "input" not in path.parents] and not list(base.rglob("*.part*"))
    stop = False
    ok(host.run(video()))
    assert "preview" in told


def test_a_films_poses(host, base, given):
    """Other pictures for the pose make other frames; they may be fewer than the motion's."""
    given["poses"] = torch.rand(5, WIDE, WIDE, 3, generator=torch.Generator().manual_seed(1))
    given["tracked"] = own(host, "media_core.motion").LandmarkTrack(given["face"].points.repeat(5, 1, 1), space="pixels",
                                                                    image_size=(WIDE, WIDE))
    kept = collector(host)
    ok(host.run(video()))
    ok(host.run({**video(pose_images=["poses", 0], pose_landmarks=["tracked", 0]), "poses": give("poses"),
                 "tracked": give("tracked")}))
    still, posed = kept
    assert posed.shape == still.shape and not torch.equal(posed, still)


# ------------------------------------------------------------------------------------------------------------------ films

def test_a_film_of_any_length_has_the_same_frames_and_the_sound(host, base, given):
    given["sound"] = {"waveform": torch.rand(1, 1, 16000) * 0.1, "sample_rate": 16000}
    kept = collector(host)
    ok(host.run(prompt(sound=give("sound"), video=VIDEO, film=changed(FILM, audio=["sound", 0], crf=0), a=keep("video"),
                       b=keep("film"))))
    images = next(value for value in kept if isinstance(value, torch.Tensor))
    path = next(value for value in kept if not isinstance(value, torch.Tensor)).get_stream_source()
    facts = probe(path)
    assert (facts.width, facts.height, facts.frames, facts.has_sound) == (SIZE, SIZE, 2 * FRAMES, True)
    filmed = torch.from_numpy(np.stack(list(read_frames(path)))).float() / 255
    assert float((filmed.mean((1, 2)) - images.mean((1, 2))).abs().max()) < 0.02


def test_the_film_shows_the_whole_picture(host, base, given):
    """With Face Crop's way back; what lies beyond the square stays the picture's own."""
    big = torch.full((1, 200, 301, 3), 0.5)
    big[:, 50:50 + WIDE, 60:60 + WIDE] = given["portrait"]
    crop = own(host, "media_core.face.crop").FaceCrop(np.array([[[1, 0, -60], [0, 1, -50]]], float), WIDE, (200, 301))
    given |= {"big": big, "crop": crop}
    kept = collector(host)
    film = changed(FILM, source=["big", 0], face_crop=["crop", 0])
    nodes = prompt(big=give("big"), crop=give("crop"), film=film, k=keep("film"))
    ok(host.run(nodes))
    shutil.rmtree(base / "temp")
    frames = np.stack(list(read_frames(kept[0].get_stream_source())))
    assert frames.shape == (2 * FRAMES, 200, 302, 3)
    outside = np.ones((200, 302), bool)
    outside[40:160, 50:170] = False
    assert np.abs(frames[:, outside].astype(int) - 128).max() <= 4
    assert np.abs(np.diff(frames[:, 60:130, 70:140].astype(int), axis=0)).max() > 20, "inside it moves"


DUB = node("MoDiTalker_MotionToFilm", mtov=["mtov", 0], motion=["motion", 0], film=["film", 0], follow=False, **DRAW, feather=0.1,
           crf=1)


@pytest.fixture
def filmed(host, given, base, tiny_film):
    """A film of 30 frames of 240 x 192 px, and motion from the front that is longer."""
    shutil.copy(tiny_film, base / "input" / "me.mp4")
    solid = torch.from_numpy(mean_face()).float().repeat(36, 1, 1)
    solid[:, 55:60, 1] -= torch.linspace(0, 0.1, 36)[:, None]
    given["motion"] = own(host, "media_core.motion").LandmarkTrack(solid)
    return {"mtov": MTOV, "motion": give("motion"), "film": node("LoadVideo", file="me.mp4")}


@pytest.mark.parametrize("follow", [False, True])
def test_a_films_person_says_something_else(host, base, given, filmed, follow):
    """Its frames come to and fro, and beyond the face they stay."""
    kept = collector(host)
    ok(host.run({**filmed, "dub": changed(DUB, follow=follow), "k": keep("dub")}))
    made = np.stack(list(read_frames(kept[0].get_stream_source()))).astype(int)
    was = np.stack(list(read_frames(base / "input" / "me.mp4"))).astype(int)
    order = [*range(30), *range(28, 22, -1)]
    assert made.shape == (36, 192, 240, 3)
    shutil.rmtree(base / "temp")
    assert kept[0].get_frame_count() == 36, "the film outlives the folder"
    off = np.abs(made - was[order]).mean(-1)
    assert off[:, :, :10].max() < 12 and off[:, :, -10:].max() < 12
    assert off[:, 80:150, 90:150].mean() > 10, "a network that knows nothing draws another face"


def test_a_film_without_a_face(host, base, given, filmed):
    from talking_heads.media_core.video import VideoWriter

    with VideoWriter(base / "input" / "me.mp4", 64, 64, 25) as film:
        film.write(np.zeros((10, 64, 64, 3), np.uint8))
    collector(host)
    message = failure(host.run({**filmed, "dub": DUB, "k": keep("dub")}))
    assert "face" in message and "Got:" in message
    assert not list((base / "temp").rglob("*.mp4"))


# -------------------------------------------------------------------------------------------------------------- bad input

@pytest.mark.parametrize("inputs, words", [
    ({"source": ["portrait", 0]}, ("source", "face crop")),
    ({"face_crop": ["crop", 0]}, ("source", "face crop")),
    ({"source": ["three", 0], "face_crop": ["crop", 0]}, ("3 images", f"{2 * FRAMES} frames")),
])
def test_a_way_back_and_its_pictures_belong_together(host, base, given, inputs, words):
    given["crop"] = own(host, "media_core.face.crop").FaceCrop(np.eye(2, 3)[None], WIDE, (WIDE, WIDE))
    given["three"] = given["portrait"].repeat(3, 1, 1, 1)
    collector(host)
    nodes = prompt(crop=give("crop"), three=give("three"), film=changed(FILM, **inputs), k=keep("film"))
    message = failure(host.run(nodes))
    assert all(word in message for word in (*words, "Got:"))
    assert not list((base / "temp").rglob("*.mp4"))


@pytest.mark.parametrize("spoilt, words", [
    (lambda track, points: track(points / 50), ("pixels", "canonical")),
    (lambda track, points: track(points, 30.0, "pixels", (WIDE, WIDE)), ("25 frames per second", "30")),
    (lambda track, points: track(points + 500, 25.0, "pixels", (WIDE, WIDE)), (f"middle {WIDE} x {WIDE} px", "frames")),
    (lambda track, points: track(points, 25.0, "pixels", (120, 120)), (f"{WIDE} x {WIDE} px", "120 x 120")),
], ids=["canonical", "another rate", "outside the picture", "of another picture"])
def test_motion_that_does_not_fit(host, base, given, spoilt, words):
    given["motion"] = spoilt(own(host, "media_core.motion").LandmarkTrack, given["motion"].points)
    collector(host)
    message = failure(host.run(video()))
    assert all(word in message for word in (*words, "Got:"))


def test_a_start_behind_the_end(host, base, given):
    collector(host)
    assert "0 to 15" in failure(host.run(video(start_frame=16)))


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_pictures_and_those_with_alpha(host, base, given, channels):
    given["portrait"] = given["portrait"][..., :1].repeat(1, 1, 1, channels)
    kept = collector(host)
    ok(host.run(video()))
    assert kept[0].shape[-1] == 3


def test_a_single_frame(host, base, given):
    given.update(things(frames=1))
    kept = collector(host)
    ok(host.run({**video(), "film": FILM, "b": keep("film")}))
    assert sorted(len(value) for value in kept if isinstance(value, torch.Tensor)) == [1]
    film = next(value for value in kept if not isinstance(value, torch.Tensor))
    assert probe(film.get_stream_source()).frames == 1


def test_more_frames_than_memory_holds(host, base, given, monkeypatch):
    import sys

    memory = sys.modules["comfy.model_management"]
    monkeypatch.setattr(memory, "get_free_memory", lambda *a, **k: 1000)
    collector(host)
    message = failure(host.run(video()))
    assert "Motion to Video (file)" in message


def test_a_stages_part_is_no_mtov(host, base, given):
    given["part"] = None
    collector(host)
    for entry in (VIDEO, FILM):
        message = failure(host.run(prompt(part=give("part"), video=changed(entry, mtov=["part", 0]), k=keep("video"))))
        assert "diffusion stage" in message


def test_the_demo_weights_are_offered_first_hand(host, root):
    if not (root / "weights" / "demo_mtov.safetensors").is_file():
        pytest.skip("the demo weights are not there yet")
    kept = collector(host)
    ok(host.run({"mtov": changed(MTOV, mtov_name="demo_mtov.safetensors"), "k": keep("mtov", 3)}))
    assert "128 px" in kept[0] and "not stated" not in kept[0], "training and licence are stated"
