"""What controls an avatar beside its speech: action units, head pose, background; by the nodes on the small host."""
from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from prompts import collector, failure, give, giver, keep, node, ok
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.motion import AU_NAMES, ExpressionTrack

EDITS = [("ScaleActionUnits", {"units": "smile", "factor": 2.0}), ("SmoothActionUnits", {"units": "all", "cutoff": 4.0}),
         ("SetActionUnits", {"units": "brows", "intensity": 3.0}), ("RetimeActionUnits", {"fps": 50.0, "frames": 0}),
         ("AddBlinks", {"seed": 1, "per_minute": 30.0, "strength": 1.0, "keep": False})]


def track(frames: int = 40, seed: int = 0) -> ExpressionTrack:
    return ExpressionTrack(torch.rand(frames, 17, generator=torch.Generator().manual_seed(seed)) * 3, 25.0, "a test")


@pytest.fixture
def given(host_with_avatar):
    return giver(host_with_avatar)


def made(host, nodes: dict, source: str, socket: int = 0):
    kept = collector(host)
    ok(host.run({**nodes, "k": keep(source, socket)}))
    return kept[0]


@pytest.mark.parametrize("kind, inputs", EDITS)
def test_an_edit_changes_what_is_named(host_with_avatar, given, kind, inputs):
    given["track"] = track()
    edit = node(f"TalkingHead_{kind}", expression=["t", 0], **inputs)
    out = made(host_with_avatar, {"t": give("track"), "edit": edit}, "edit")
    if kind == "RetimeActionUnits":
        assert len(out) == 80 and out.fps == 50
        return
    named = {"smile": ("AU06", "AU12"), "brows": ("AU01", "AU02", "AU04"), "all": AU_NAMES}.get(inputs.get("units"), ("AU45",))
    moved = (out.au != track().au).any(dim=0)
    assert {name for name, changed in zip(AU_NAMES, moved.tolist()) if changed} == set(named)


def test_two_takes_become_one(host_with_avatar, given):
    given |= {"a": track(), "b": track(seed=1)}
    blend = node("TalkingHead_BlendActionUnits", a=["a", 0], b=["b", 0], units="AU12", weight=1.0)
    out = made(host_with_avatar, {"a": give("a"), "b": give("b"), "blend": blend}, "blend")
    assert torch.equal(out.column("AU12"), track(seed=1).column("AU12"))
    assert torch.equal(out.column("AU45"), track().column("AU45"))


def test_no_such_unit_is_told_on_the_node(host_with_avatar, given):
    given["track"] = track()
    collector(host_with_avatar)
    edit = node("TalkingHead_SetActionUnits", expression=["t", 0], units="nose", intensity=1.0)
    told = failure(host_with_avatar.run({"t": give("track"), "edit": edit, "show": keep("edit")}))
    assert "'nose'" in told and "AU12" in told


@pytest.mark.parametrize("format", ["safetensors", "csv"])
def test_a_file_comes_back(host_with_avatar, given, tmp_path, format):
    given["track"] = track()
    save = node("TalkingHead_SaveActionUnits", expression=["t", 0], filename_prefix="takes/me", format=format)
    ok(host_with_avatar.run({"t": give("track"), "save": save}))
    file = tmp_path / "base" / "output" / "takes" / f"me_00001_.{format}"
    assert file.is_file()
    if format == "safetensors":
        load = node("TalkingHead_LoadActionUnits", place="output", file="takes/me_00001_.safetensors")
    else:
        (tmp_path / "base" / "input" / "me.csv").write_bytes(file.read_bytes())
        load = node("TalkingHead_ImportActionUnits", file="me.csv", tool="auto", fps=25.0, frames="auto")
    back = made(host_with_avatar, {"load": load}, "load")
    assert np.allclose(back.au, track().au, atol=6e-4) and back.fps == 25


def rendered(host, base: Path, kind: str, background: str = "plate", pose: dict | None = None, **inputs) -> dict:
    """Half a second of speech through the tiny avatar; the nodes."""
    wave = np.random.default_rng(0).normal(0, 0.1, (1, 8000)).astype(np.float32)
    save_wav(base / "input" / "speech.wav", Sound(wave, 16000))
    drive = node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="track", smoothing=0.0, lip_gain=1.0,
                 seed=0)
    nodes = {"sound": node("LoadAudio", audio="speech.wav"), "motion": drive,
             "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
             "speech": node("TalkingHead_EncodeSpeech", audio=["sound", 0], encoder="mel")}
    if pose is not None:
        nodes["pose"] = node("TalkingHead_HeadPose", **({"amount": 1.0, "seed": 0, "seconds": 1.0} | pose))
        drive["inputs"]["pose"] = ["pose", 0]
    more = {"crf": 18} if kind == "RenderAvatarVideo" else {"start_frame": 0, "frame_count": 0}
    nodes["render"] = node(f"HMTalker_{kind}", avatar=["avatar", 0], motion=["motion", 0], background=background, backend="cpu",
                           **more, **inputs)
    return nodes


@pytest.fixture
def base(tmp_path) -> Path:
    return tmp_path / "base"


def test_an_image_stands_behind_the_head(host_with_avatar, given, base):
    given["image"] = torch.cat([torch.full((1, 40, 90, 3), 0.25), torch.full((1, 40, 90, 3), 0.75)])
    nodes = rendered(host_with_avatar, base, "RenderAvatar", background_image=["image", 0]) | {"image": give("image")}
    frames, black = (made(host_with_avatar, made_of, "render") for made_of in
                     (nodes, rendered(host_with_avatar, base, "RenderAvatar", "black")))
    masks = made(host_with_avatar, nodes, "render", 1)
    clear = 1 - masks[..., None]
    for i, level in ((0, 0.25), (1, 0.75), (2, 0.25)):  # two images, ping-pong
        assert torch.allclose(frames[i], black[i] + clear[i] * level, atol=2e-3)
    assert bool((masks.amin(dim=(1, 2)) < 0.01).all()), "the background shows"


@pytest.mark.parametrize("asked, size", [({"width": 96}, (96, 96)), ({"height": 48}, (48, 48)),
                                         ({"width": 40, "height": 96}, (96, 40))])
def test_frames_of_any_size(host_with_avatar, given, base, asked, size):
    """Height and width; one alone keeps the proportions."""
    frames = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatar", **asked), "render")
    assert tuple(frames.shape[1:3]) == size
    video = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatarVideo", **asked), "render")
    assert video.get_dimensions() == size[::-1]


def test_a_transparent_video_has_the_head_alone(host_with_avatar, given, base):
    nodes = rendered(host_with_avatar, base, "RenderAvatarVideo", "transparent", format="mov")
    video = made(host_with_avatar, nodes, "render")
    with av.open(video.get_stream_source()) as opened:
        assert opened.streams.video[0].codec_context.pix_fmt.startswith("yuva")
        shown = next(opened.decode(video=0)).to_ndarray(format="rgba")
    masks = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatar"), "render", 1)
    assert abs(shown[..., 3].astype(float) - masks[0].numpy() * 255).mean() < 4
    straight = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatar", "transparent"), "render")
    black = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatar", "black"), "render")
    assert torch.allclose(straight * masks[..., None], black, atol=3e-3)


def test_an_mp4_cannot_be_transparent(host_with_avatar, given, base):
    nodes = rendered(host_with_avatar, base, "RenderAvatarVideo", "transparent", format="mp4")
    save = node("SaveVideo", video=["render", 0], filename_prefix="x", format="auto", codec="auto")
    told = failure(host_with_avatar.run({**nodes, "show": save}))
    assert ".webm" in told and ".mov" in told
    assert not list((base / "temp").rglob("*.mp4"))


def still(frames: torch.Tensor) -> float:
    """How much the image changes from frame to frame, above the mouth."""
    return float(frames[:, :24].diff(dim=0).abs().mean())


def test_the_head_moves_as_asked(host_with_avatar, given, base):
    def frames(**pose) -> torch.Tensor:
        nodes = rendered(host_with_avatar, base, "RenderAvatar", "black", pose={"avatar": ["avatar", 0], **pose})
        return made(host_with_avatar, nodes, "render")

    recorded = made(host_with_avatar, rendered(host_with_avatar, base, "RenderAvatar", "black"), "render")
    assert torch.equal(frames(movement="recorded"), recorded)
    assert still(frames(movement="still")) < 0.3 * still(frames(movement="sway", amount=2.0, speech=["speech", 0]))
    camera = {"position": {"x": 0.2, "y": 0, "z": 0.8}, "target": {"x": 0, "y": 0, "z": 0}, "fov": 30}
    given["camera"] = camera
    pose = {"avatar": ["avatar", 0], "movement": "camera", "camera_info": ["camera", 0]}
    nodes = rendered(host_with_avatar, base, "RenderAvatar", "black", pose=pose)
    assert float(made(host_with_avatar, nodes | {"camera": give("camera")}, "render").max()) > 0.2


def test_a_pose_needs_somebody(host_with_avatar):
    collector(host_with_avatar)
    lonely = node("TalkingHead_HeadPose", movement="sway", amount=1.0, seed=0, seconds=1.0)
    assert "avatar or a pose" in failure(host_with_avatar.run({"p": lonely, "k": keep("p")}))
    camera = node("TalkingHead_HeadPose", movement="camera", amount=1.0, seed=0, seconds=1.0, avatar=["a", 0])
    load = node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors")
    assert "3D camera" in failure(host_with_avatar.run({"a": load, "p": camera, "k": keep("p")}))
