"""Motion edited, kept and exchanged, by the nodes on the small host."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from prompts import collector, failure, give, giver, keep, node, ok
from talking_heads.host.graph import InvalidPrompt
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.media_core.motion import LandmarkTrack

LOAD = node("TalkingHead_LoadLandmarks", place="output", file="talking_heads/take_00001_.safetensors")
SAVE = node("TalkingHead_SaveLandmarks", landmarks=["track", 0], filename_prefix="talking_heads/take")


def speaking(frames: int = 50, fps: float = 25.0) -> LandmarkTrack:
    """The mean face, its lower lip and chin going up and down twice a second."""
    points = torch.from_numpy(mean_face()).repeat(frames, 1, 1)
    swing = 0.05 * (1 - torch.cos(2 * torch.pi * 2 * (torch.arange(frames) + 0.5) / fps))
    points[:, [8, 55, 56, 57, 58, 59, 65, 66, 67], 1] -= swing[:, None]
    return LandmarkTrack(points, fps)


def pictured(track: LandmarkTrack) -> LandmarkTrack:
    flat = track.points * torch.tensor([150.0, -150.0, 0.0]) + torch.tensor([128.0, 120.0, 0.0])
    return LandmarkTrack(flat, track.fps, "pixels", (256, 256))


def opening(track) -> torch.Tensor:  # [T]
    return (track.points[:, 62, 1] - track.points[:, 66, 1]).abs()


@pytest.fixture
def given(host):
    """A dictionary whose values the node Give hands out by name."""
    return giver(host)


def edited(host, given, kind: str, track, **inputs):
    """What an editing node makes of a track."""
    given["track"] = track
    kept = collector(host)
    ok(host.run({"track": give("track"), "edit": node(kind, landmarks=["track", 0], **inputs), "k": keep("edit")}))
    return kept[0]


@pytest.mark.parametrize("space", ["canonical", "pixels"])
def test_trembling_goes_and_speech_stays_in_step(host, given, space):
    clean = speaking() if space == "canonical" else pictured(speaking())
    noise = torch.randn(clean.points.shape, generator=torch.Generator().manual_seed(0)) * clean.points.std() * 0.01
    steady = edited(host, given, "TalkingHead_SmoothLandmarks", clean.with_data(clean.points + noise), cutoff=4.0)
    before, after = (points[:, 17:48].diff(dim=0).abs().mean() for points in (clean.points + noise, steady.points))
    assert after < 0.5 * before, "brows, nose and eyes, which keep still"
    delays = [float(np.corrcoef(opening(steady)[2:-2], opening(clean)[2 + lag:len(clean) - 2 + lag])[0, 1]) for lag in (-1, 0, 1)]
    assert delays[1] > max(delays[0], delays[2])


def test_no_cutoff_changes_nothing(host, given):
    track = speaking()
    assert torch.equal(edited(host, given, "TalkingHead_SmoothLandmarks", track, cutoff=0.0).points, track.points)


@pytest.mark.parametrize("factor, low, high", [(0.0, 0.0, 0.1), (1.0, 1.0, 1.0), (2.0, 1.8, 2.2)])
def test_the_mouth_moves_more_or_less(host, given, factor, low, high):
    track = speaking()
    out = edited(host, given, "TalkingHead_ScaleMouth", track, factor=factor)
    assert low <= float(np.ptp(opening(out)) / np.ptp(opening(track))) <= high
    assert torch.equal(out.points[:, 17:48], track.points[:, 17:48]), "brows, nose and eyes stay"


def test_the_portrait_tells_the_rest(host, given):
    given |= {"track": speaking(), "rest": speaking(1)}
    kept = collector(host)
    scale = node("TalkingHead_ScaleMouth", landmarks=["track", 0], factor=0.0, rest=["rest", 0])
    ok(host.run({"track": give("track"), "rest": give("rest"), "scale": scale, "k": keep("scale")}))
    assert float(np.ptp(opening(kept[0]))) < 0.005


def test_a_face_is_moved(host, given):
    track = speaking()
    out = edited(host, given, "TalkingHead_OffsetLandmarks", track, x=0.1, y=-0.2, z=0.3)
    assert torch.allclose(out.points - track.points, torch.tensor([0.1, -0.2, 0.3]), atol=1e-6)


def test_another_rate_keeps_the_seconds(host, given):
    out = edited(host, given, "TalkingHead_RetimeLandmarks", speaking(50, 25.0), fps=60.0)
    assert (len(out), out.fps) == (120, 60.0)


@pytest.mark.parametrize("region, mouth, eyes", [("all", 1.0, 1.0), ("mouth", 1.0, 0.0), ("upper", 0.0, 1.0)])
def test_a_part_of_the_other_comes_in(host, given, region, mouth, eyes):
    a = speaking()
    b = a.with_data(a.points + 0.1)
    given |= {"a": a, "b": b}
    kept = collector(host)
    blend = node("TalkingHead_BlendLandmarks", a=["a", 0], b=["b", 0], weight=1.0, region=region)
    ok(host.run({"a": give("a"), "b": give("b"), "blend": blend, "k": keep("blend")}))
    moved = (kept[0].points - a.points).mean(dim=(0, 2)) / 0.1
    assert moved[48:].mean() == pytest.approx(mouth, abs=1e-3) and moved[36:48].mean() == pytest.approx(eyes, abs=1e-3)


@pytest.mark.parametrize("other, word", [(lambda: speaking(50, 30.0), "rate"), (lambda: speaking(40), "length"),
                                             (lambda: pictured(speaking()), "space")])
def test_what_does_not_fit_is_not_blended(host, given, other, word):
    given |= {"a": speaking(), "b": other()}
    collector(host)
    blend = node("TalkingHead_BlendLandmarks", a=["a", 0], b=["b", 0], weight=0.5, region="all")
    message = failure(host.run({"a": give("a"), "b": give("b"), "blend": blend, "k": keep("blend")}))
    assert f"different {word}" in message or f", {word}" in message


# ------------------------------------------------------------------------------------------------------------------- files

@pytest.mark.parametrize("space", ["canonical", "pixels"])
def test_saved_and_loaded(host, given, tmp_path, space):
    track = given["track"] = speaking() if space == "canonical" else pictured(speaking())
    kept = collector(host)
    ok(host.run({"track": give("track"), "save": SAVE, "k": keep("save")}))
    assert kept == ["talking_heads/take_00001_.safetensors"] and (tmp_path / "base" / "output" / kept[0]).is_file()
    ok(host.run({"load": LOAD, "a": keep("load"), "b": keep("load", 1)}))
    again, about = sorted(kept[1:], key=lambda value: isinstance(value, str))
    assert torch.equal(again.points, track.points) and (again.fps, again.space, again.image_size) == (
        track.fps, track.space, track.image_size)
    assert "50 frames at 25" in about and space in about


def test_a_second_take_replaces_nothing_and_a_changed_file_is_read_again(host, given, tmp_path):
    kept = collector(host)
    given |= {"one": speaking(10), "two": speaking(20)}
    for name in ("one", "two"):
        save = node("TalkingHead_SaveLandmarks", landmarks=[name, 0], filename_prefix="talking_heads/take")
        ok(host.run({name: give(name), "save": save, "k": keep("save")}))
    assert kept == ["talking_heads/take_00001_.safetensors", "talking_heads/take_00002_.safetensors"]
    nodes = {"load": LOAD, "k": keep("load")}
    ok(host.run(nodes))
    assert not host.run(nodes).executed
    folder = tmp_path / "base" / "output" / "talking_heads"
    (folder / "take_00002_.safetensors").replace(folder / "take_00001_.safetensors")
    ok(host.run(nodes))
    assert [len(track) for track in kept[2:]] == [10, 20]


@pytest.mark.parametrize("file", ["", "../take.safetensors", "/etc/passwd", "absent.safetensors", "text.safetensors"])
def test_files_that_cannot_be_read(host, tmp_path, file):
    (tmp_path / "base" / "output" / "text.safetensors").write_text("no landmarks")
    speaking().save(tmp_path / "base" / "take.safetensors")
    collector(host)
    load = node("TalkingHead_LoadLandmarks", place="output", file=file)
    assert "Got:" in failure(host.run({"load": load, "k": keep("load")}))


@pytest.mark.parametrize("prefix", ["../outside/take", "/outside"])
def test_nothing_is_saved_outside(host, given, tmp_path, prefix):
    given["track"] = speaking(3)
    save = node("TalkingHead_SaveLandmarks", landmarks=["track", 0], filename_prefix=prefix)
    assert "outside" in failure(host.run({"track": give("track"), "save": save})).lower()
    assert not list(Path(tmp_path).rglob("*.safetensors"))


# --------------------------------------------------------------------------------------------------- core's face landmarks

def test_to_cores_face_landmarks_and_back(host, given):
    track = given["track"] = pictured(speaking(4))
    kept = collector(host)
    back = node("TalkingHead_LandmarksFromFaceLandmarks", face_landmarks=["there", 0], fps=25.0, face_index=0, policy="error")
    there = node("TalkingHead_LandmarksToFaceLandmarks", landmarks=["track", 0])
    ok(host.run({"track": give("track"), "there": there, "back": back, "a": keep("there"), "b": keep("back")}))
    mesh, again = sorted(kept, key=lambda value: not isinstance(value, dict))
    assert mesh["image_size"] == (256, 256) and len(mesh["frames"]) == 4
    assert mesh["frames"][0][0]["landmarks_xy"].shape == (478, 2)
    assert (again.space, again.fps, again.image_size) == ("pixels", 25.0, (256, 256))
    assert float((again.points - track.points)[..., :2].norm(dim=-1).max()) < 0.05


def test_canonical_landmarks_have_no_picture_for_core(host, given):
    given["track"] = speaking(2)
    collector(host)
    there = node("TalkingHead_LandmarksToFaceLandmarks", landmarks=["track", 0])
    assert "Align" in failure(host.run({"track": give("track"), "there": there, "k": keep("there")}))


@pytest.mark.parametrize("policy, length", [("error", None), ("hold", 4), ("skip", 3)])
def test_frames_without_a_face_from_core(host, given, policy, length):
    from talking_heads.media_core.face.landmarks.core_landmarks import to_face_landmarks

    mesh = to_face_landmarks(pictured(speaking(4)))
    mesh["frames"][2] = []
    given["mesh"] = mesh
    kept = collector(host)
    back = node("TalkingHead_LandmarksFromFaceLandmarks", face_landmarks=["mesh", 0], fps=30.0, face_index=0, policy=policy)
    result = host.run({"mesh": give("mesh"), "back": back, "k": keep("back")})
    if length is None:
        assert "2" in failure(result) and "hold" in failure(result)
        return
    ok(result)
    assert len(kept[0]) == length and kept[0].fps == 30.0


@pytest.mark.parametrize("name", ["x" * 300, "folder/" + "结" * 100, "half \ud83d a character", "x" * 240 + "/" + "y" * 260])
def test_names_that_no_file_can_have(host, given, tmp_path, name):
    given["track"] = speaking(3)
    collector(host)
    before = {path.name for path in Path(tmp_path).rglob("*")}
    for prompt in ({"load": node("TalkingHead_LoadLandmarks", place="output", file=name)},
                   {"load": node("TalkingHead_SaveLandmarks", landmarks=["track", 0], filename_prefix=name),
                    "track": give("track")},
                   {"load": node("TalkingHead_LoadDataset", place="input", folder=name)}):
        outputs = prompt["load"]["class_type"].startswith("TalkingHead_Save")
        told = failure(host.run({**prompt, **({} if outputs else {"k": keep("load")})}))
        assert "Got:" in told and ("shorter" in told or "whole characters" in told)
    load = node("TalkingHead_ImportActionUnits", file=name, tool="auto", fps=25.0, frames=0)
    with pytest.raises(InvalidPrompt, match="Got:.*(shorter|damaged)"):  # refused before anything runs
        host.run({"load": load, "k": keep("load")})
    assert {path.name for path in Path(tmp_path).rglob("*")} == before
