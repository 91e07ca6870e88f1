"""AToM's nodes on the small host: load, import, generate, align; what they say to bad input."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from atom_files import save_tiny_atom, save_tiny_checkpoint
from pack import make_host
from prompts import changed, collector, failure, give, giver, keep, node, ok, own
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.face.pose.canonical import mean_face

SOUND = node("LoadAudio", audio="speech.wav")
SPEECH = node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel")
ATOM = node("MoDiTalker_LoadAToM", atom_name="tiny.safetensors", precision="auto")
MOTION = node("MoDiTalker_GenerateMotion", atom=["atom", 0], speech=["speech", 0], portrait=["face", 0], seed=3, steps=0,
              sampler="weights' own", guidance=-1.0, silence_gate=True, clip=-1.0, eta=-1.0, overlap=-1)
IMPORT = node("MoDiTalker_ImportAToM", checkpoint="atom.pt", weights="raw", mean_face="built-in", heads=8, name="mine",
              half=False)
ALIGN = node("MoDiTalker_AlignMotion", motion=["motion", 0], start_frame=0)


def buzz(seconds: float) -> Sound:
    time = np.arange(round(seconds * 16000)) / 16000
    wave = 0.3 * np.sign(np.sin(2 * np.pi * 120 * time)) * (np.sin(2 * np.pi * 3 * time) > 0)
    return Sound(wave[None].astype(np.float32), 16000)


@pytest.fixture
def base(tmp_path) -> Path:
    """The host's folder: 1.5 s of sound in input/, tiny.safetensors in models/."""
    folder = tmp_path / "base"
    save_tiny_atom(folder / "models" / "talking_heads" / "tiny.safetensors")
    save_wav(folder / "input" / "speech.wav", buzz(1.5))
    return folder


@pytest.fixture
def given(host):
    """A dictionary whose values the node Give hands out by name."""
    return giver(host)


@pytest.fixture
def face():
    """A portrait's landmarks by the kind, from the front."""
    from talking_heads.media_core.motion import LandmarkTrack

    solid = torch.from_numpy(mean_face())[None] * 1.05
    flat = solid * torch.tensor([150.0, -150.0, 0.0]) + torch.tensor([128.0, 120.0, 0.0])
    return {"canonical": LandmarkTrack(solid), "pixels": LandmarkTrack(flat, space="pixels", image_size=(256, 256))}


def prompt(**nodes) -> dict:
    return {"sound": SOUND, "speech": SPEECH, "atom": ATOM, "face": give("canonical"), "motion": MOTION, **nodes}


# ---------------------------------------------------------------------------------------------------------------- loading

def test_an_atom_says_what_it_is(host, base):
    kept = collector(host)
    ok(host.run({"atom": ATOM, "a": keep("atom"), "b": keep("atom", 1)}))
    loaded, about = sorted(kept, key=lambda value: isinstance(value, str))
    assert (loaded.name, loaded.licence, loaded.model.dtype) == ("tiny", "for tests", torch.float32)
    moved, computing = (next(module.parameters()) for module in (loaded.patcher.model, loaded.model.denoiser))
    assert moved is computing, "what ComfyUI moves is the network"
    for part in ("tiny.safetensors", "mel", "20 frames", "ddim, 5 steps", "licence: for tests", "note knows nothing"):
        assert part in about


@pytest.mark.parametrize("choice, dtype", [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)])
def test_the_number_format_is_chosen(host, base, given, face, choice, dtype):
    given |= face
    kept = collector(host)
    ok(host.run(prompt(atom=changed(ATOM, precision=choice), a=keep("atom"), b=keep("motion"))))
    assert next(value for value in kept if hasattr(value, "model")).model.dtype == dtype
    motion = next(value for value in kept if hasattr(value, "points"))
    assert motion.points.dtype == torch.float32 and len(motion) == 38


def test_files_are_offered_by_what_they_are(host, base, tiny_avatar):
    folder = base / "models" / "talking_heads"
    shutil.copy(tiny_avatar, folder / "someone.safetensors")
    (folder / "text.safetensors").write_text("hello")
    for node_id, name, wanted, other in (("MoDiTalker_LoadAToM", "atom_name", "tiny", "someone"),
                                         ("HMTalker_LoadAvatar", "avatar_name", "someone", "tiny")):
        offered = host.object_info([node_id])[node_id]["input"]["required"][name][1]["options"]
        assert f"{wanted}.safetensors" in offered and f"{other}.safetensors" not in offered
        assert "text.safetensors" in offered, "loading tells what is wrong with it"
        assert not {"face_mesh.safetensors", "face_landmarks.safetensors"} & {*offered}, "the pack's own networks are no models"
    collector(host)
    message = failure(host.run({"atom": changed(ATOM, atom_name="text.safetensors"), "k": keep("atom")}))
    assert "text.safetensors" in message and "Got:" in message


def test_a_truncated_atom_is_named(host, base):
    folder = base / "models" / "talking_heads"
    whole = (folder / "tiny.safetensors").read_bytes()
    (folder / "short.safetensors").write_bytes(whole[:len(whole) // 2])
    collector(host)
    message = failure(host.run({"atom": changed(ATOM, atom_name="short.safetensors"), "k": keep("atom")}))
    assert "short.safetensors" in message and "truncated" in message


# --------------------------------------------------------------------------------------------------------------- importing

def test_a_published_checkpoint_is_imported_once_and_listed(host, base):
    kept = collector(host)
    save_tiny_checkpoint(base / "models" / "talking_heads" / "atom.pt")
    nodes = {"import": IMPORT, "a": keep("import"), "b": keep("import", 1)}
    ok(host.run(nodes))
    loaded, name = sorted(kept, key=lambda value: isinstance(value, str))
    assert name == "mine.safetensors" and loaded.model.config.speech.encoder == "hubert-large-ls960-ft"
    offered = host.object_info(["MoDiTalker_LoadAToM"])["MoDiTalker_LoadAToM"]["input"]["required"]["atom_name"][1]["options"]
    assert name in offered and not host.run(nodes).executed
    ok(host.run({**nodes, "import": changed(IMPORT, weights="ema", name="averaged")}))
    averaged = next(value for value in kept if getattr(value, "name", "") == "averaged")
    ours, theirs = (next(each.model.denoiser.parameters()) for each in (loaded, averaged))
    assert torch.allclose(theirs, ours / 2) and not torch.allclose(theirs, ours)


def test_the_users_mean_face_is_kept(host, base):
    kept = collector(host)
    folder = base / "models" / "talking_heads"
    save_tiny_checkpoint(folder / "atom.pt")
    np.save(folder / "face.npy", mean_face() * 1.1)
    ok(host.run({"import": changed(IMPORT, mean_face="face.npy"), "a": keep("import")}))
    assert np.allclose(kept[0].model.key_mean_shape.numpy(), mean_face() * 1.1)


@pytest.mark.parametrize("content, word", [(None, "none is chosen"), (b"no pickle", "torch.save"), (b"", "torch.save")])
def test_what_is_no_checkpoint_is_told_and_nothing_is_written(host, base, content, word):
    collector(host)
    name = "none"
    if content is not None:
        name = "bad.pt"
        (base / "models" / "talking_heads" / name).write_bytes(content)
    message = failure(host.run({"import": changed(IMPORT, checkpoint=name), "k": keep("import")}))
    assert word in message and "Got:" in message
    assert not (base / "models" / "talking_heads" / "mine.safetensors").exists()


# -------------------------------------------------------------------------------------------------------------- generating

def test_speech_and_a_face_become_motion(host, base, given, face):
    given |= face
    kept = collector(host)
    nodes = prompt(k=keep("motion"))
    ok(host.run(nodes))
    ok(host.run({**nodes, "motion": changed(MOTION, seed=4)}))
    ok(host.run({**nodes, "motion": changed(MOTION, steps=2, sampler="unipc", guidance=1.0)}))
    first, other, fast = kept
    assert first.space == "canonical" and len(first) == len(fast) == 38 and first.fps == 25.0  # floor(1.5 s * 25 + 1/2)
    assert torch.isfinite(first.points).all() and not torch.equal(first.points, other.points)
    assert not host.run(nodes).executed or torch.equal(kept[-1].points, first.points), "the same seed, the same motion"


def test_auto_is_what_the_numbers_below_the_range_were(host, base, given, face):
    given |= face | {"number": 1.5}
    kept = collector(host)
    spelled = {"steps": "auto", "guidance": "", "clip": "auto", "eta": "-1", "overlap": "Auto"}
    for inputs in ({}, spelled, {"guidance": 1.5, "steps": 2}, {"guidance": ["number", 0], "steps": "2"}):
        ok(host.run(prompt(k=keep("motion"), motion=changed(MOTION, **inputs), number=give("number"))))
    old, auto, number, linked = [motion.points for motion in kept]
    assert torch.equal(auto, old) and torch.equal(linked, number) and not torch.equal(number, old)


def test_a_portrait_in_pixels_is_turned_to_the_front(host, base, given, face):
    given |= face
    kept = collector(host)
    ok(host.run(prompt(face=give("pixels"), k=keep("motion"))))
    points = kept[0].points
    assert kept[0].space == "canonical"
    assert float((points[..., 36, 0] - points[..., 45, 0]).abs().mean()) == pytest.approx(0.9, abs=0.1), "eyes 9 cm apart"


def test_the_face_is_shown_and_a_stop_ends_it_within_a_step(base, face):
    told = []

    def event(name: str, data: dict) -> None:
        told.append(name)
        if name == "progress" and data["node"] == "motion" and stop:
            host.interrupt()

    host, stop = make_host(base, on_event=event), True
    giver(host).update(face)
    collector(host)
    nodes = prompt(k=keep("motion"))
    assert host.run(nodes).status == "interrupted" and told.count("progress") <= 2
    stop = False
    ok(host.run(nodes))
    assert "preview" in told


@pytest.mark.parametrize("bad", ["wrong encoder", "no size", "nan"])
def test_bad_input_to_generation(host, base, given, face, bad):
    from talking_heads.media_core.motion import LandmarkTrack
    from talking_heads.media_core.speech import Speech

    given |= face
    collector(host)
    nodes = prompt(k=keep("motion"))
    if bad == "wrong encoder":
        rows = torch.zeros(50, 1024)
        given["other"] = Speech(rows, 50.0, "hubert-large-ls960-ft", 1.0, torch.zeros(50, dtype=torch.bool))
        nodes["speech"] = give("other")
        words = ("mel", "hubert-large-ls960-ft")
    elif bad == "no size":
        given["canonical"] = LandmarkTrack(torch.zeros(1, 68, 3))
        words = ("size of a face",)
    else:
        rows = torch.full((100, 80), float("nan"))
        given["other"] = Speech(rows, 80.0, "mel", 1.25, torch.zeros(100, dtype=torch.bool))
        nodes["speech"] = give("other")
        words = ("finite",)
    message = failure(host.run(nodes))
    assert all(word in message for word in (*words, "Got:"))


def test_a_portrait_of_no_size_in_pixels(host, base, given, face):
    from talking_heads.media_core.motion import LandmarkTrack

    given["pixels"] = LandmarkTrack(torch.full((1, 68, 3), 7.0), space="pixels", image_size=(64, 64))
    collector(host)
    message = failure(host.run(prompt(face=give("pixels"), k=keep("motion"))))
    assert "Got:" in message


# ---------------------------------------------------------------------------------------------------------------- aligning

def test_motion_lies_on_the_portrait(host, base, given, face):
    """With the portrait's canonical landmarks a frame equal to them lies on its points exactly."""
    given |= face
    kept = collector(host)
    align = changed(ALIGN, motion=["face", 0], portrait=["pixels", 0], canonical=["face", 0])
    ok(host.run({"face": give("canonical"), "pixels": give("pixels"), "align": align, "k": keep("align")}))
    assert kept[0].space == "pixels" and kept[0].image_size == (256, 256)
    assert torch.allclose(kept[0].points[..., :2], face["pixels"].points[..., :2], atol=1e-3)


def test_motion_takes_a_films_pose_at_its_own_rate(host, base, given, face):
    eye = torch.eye(4).repeat(40, 1, 1)
    eye[:, 2, 3], eye[:, 0, 3] = 1.0, torch.linspace(0, 0.1, 40)
    given |= {**face, "pose": poses(host, eye, 50.0)}
    kept = collector(host)
    ok(host.run(prompt(pose=give("pose"), align=changed(ALIGN, pose=["pose", 0]), k=keep("align"))))
    assert len(kept[0]) == 38 and kept[0].fps == 25.0 and kept[0].image_size == (200, 200)
    middles = kept[0].points[..., 0].mean(1)
    assert middles[0] - middles[19] > 30, "the head goes left when the camera goes right, for 0.8 s"
    assert middles[37] - middles[19] > 30, "and back"


def poses(host, camera_to_head: torch.Tensor, fps: float):
    return own(host, "media_core.motion").PoseTrack(camera_to_head, 500.0, (200, 200), fps)


@pytest.mark.parametrize("inputs", [{}, {"pose": ["pose", 0], "portrait": ["pixels", 0]}])
def test_one_place_for_the_head_not_none_nor_two(host, base, given, face, inputs):
    still = torch.eye(4)[None]
    still[0, 2, 3] = 1.0
    given |= {**face, "pose": poses(host, still, 25.0)}
    collector(host)
    nodes = {name: give(name) for name in ("pose", "pixels")}
    nodes |= {"face": give("canonical"), "align": changed(ALIGN, motion=["face", 0], **inputs), "k": keep("align")}
    message = failure(host.run(nodes))
    assert "needs one of" in message and ("pose and portrait" in message if inputs else "none" in message)


def test_pixels_cannot_be_aligned(host, base, given, face):
    given |= face
    collector(host)
    nodes = {"pixels": give("pixels"), "k": keep("align"),
             "align": changed(ALIGN, motion=["pixels", 0], portrait=["pixels", 0])}
    assert "canonical" in failure(host.run(nodes))


# ------------------------------------------------------------------------------------------------------------ looking at it

def test_a_film_on_black_knows_its_rate(host, base, given, face):
    given |= face
    kept = collector(host)
    preview = node("TalkingHead_PreviewLandmarks", size=64, start_frame=0, frame_count=0, dots=False, landmarks=["motion", 0])
    ok(host.run(prompt(show=preview, a=keep("show"), b=keep("show", 1))))
    images, fps = sorted(kept, key=lambda value: isinstance(value, float))
    assert fps == 25.0 and images.shape == (38, 64, 64, 3) and images.amax(dim=(1, 2, 3)).min() > 0.5


def test_the_demo_weights_are_offered_first_hand(host):
    kept = collector(host)
    ok(host.run({"atom": changed(ATOM, atom_name="demo_atom.safetensors"), "k": keep("atom", 1)}))
    assert "mel" in kept[0] and "not stated" not in kept[0], "training and licence are stated"
