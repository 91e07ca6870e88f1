"""Edit Motion and Edit Avatar Motion on the small host."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from edit_faces import pictured, speaking
from prompts import collector, failure, give, giver, keep, node, ok
from talking_heads.media_core import expression_edits, motion_edits
from talking_heads.media_core.edit_curves import parsed_edits
from voices import voice

DRIVE = {"speech": node("TalkingHead_EncodeSpeech", audio=["audio", 0], encoder="mel"),
         "avatar": node("HMTalker_LoadAvatar", avatar_name="demo_avatar.safetensors"),
         "drive": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="none", smoothing=0.0,
                       lip_gain=1.0, seed=0)}


def text(**lanes) -> str:
    return json.dumps({"version": 1, "lanes": {name: {"curves": [{"points": points}]} for name, points in lanes.items()}})


@pytest.fixture
def given(host):
    values = giver(host)
    values["audio"] = voice(2.0).to_comfy()
    return values


def edited(host, given, track, edits, **inputs):
    given["track"] = track
    kept = collector(host)
    edit = node("MoDiTalker_EditMotion", landmarks=["track", 0], edits=edits, **inputs)
    result = ok(host.run({"track": give("track"), "audio": give("audio"), "edit": edit, "k": keep("edit")}))
    return kept[0], result.outputs["edit"]["motion_editor"]


@pytest.mark.parametrize("make", [speaking, lambda: pictured(speaking())])
def test_curves_are_applied_without_a_page(host, given, make):
    track, edits = make(), text(brows=[[0.5, 4], [1.0, 4]], yaw=[[1.0, 15]])
    out, _ = edited(host, given, track, edits)
    assert torch.equal(out.points, motion_edits.apply_edits(track, parsed_edits(edits, motion_edits.LANES)).points)
    assert not torch.equal(out.points, track.points)


def test_no_edits_change_no_bit(host, given):
    track = speaking()
    assert torch.equal(edited(host, given, track, "")[0].points, track.points)


def test_the_page_gets_the_motion_as_it_came_and_the_audio(host, given, tmp_path):
    """Other edits name the same files: the page need not fetch them again."""
    _, files = edited(host, given, speaking(), "", audio=["audio", 0])
    _, again = edited(host, given, speaking(), text(lips=[[0.5, 4]]), audio=["audio", 0])
    assert files == again and [Path(file["filename"]).suffix for file in files] == [".bin", ".wav"]
    folder = tmp_path / "base" / "temp"
    assert all(file["type"] == "temp" and (folder / file["filename"]).is_file() for file in files)
    _, silent = edited(host, given, speaking(), "")
    assert len(silent) == 1 and silent[0] != files[0]


def test_wrong_edits_name_their_lane_on_the_node(host, given):
    given["track"] = speaking()
    edit = node("MoDiTalker_EditMotion", landmarks=["track", 0], edits=text(AU12=[[0, 1]]))
    assert "'AU12'" in failure(host.run({"track": give("track"), "edit": edit}))


def test_an_avatars_motion_is_edited(host, given):
    kept = collector(host)
    edits = text(AU12=[[0.5, 3], [1.5, 3]], pitch=[[1.0, 8]])
    edit = node("HMTalker_EditAvatarMotion", motion=["drive", 0], edits=edits, avatar=["avatar", 0], speech=["speech", 0],
                audio=["audio", 0], transcript="")
    prompt = {"audio": give("audio"), **DRIVE, "edit": edit, "k": keep("edit"), "e": keep("edit", 1), "own": keep("drive")}
    result = ok(host.run(prompt))
    own, new = sorted((value for value in kept if hasattr(value, "codes")), key=lambda motion: float(motion.au.sum()))
    (units,) = [value for value in kept if not hasattr(value, "codes")]
    curves = parsed_edits(edits, expression_edits.LANES)
    assert torch.equal(new.au, expression_edits.edited_units(own.expression, curves).au) and torch.equal(units.au, new.au)
    assert (new.codes[25] != own.codes[25]).any() and torch.equal(new.codes[:4], own.codes[:4])
    assert len(result.outputs["edit"]["motion_editor"]) == 2


def test_the_lower_face_asks_for_the_avatar(host, given):
    edit = node("HMTalker_EditAvatarMotion", motion=["drive", 0], edits=text(AU26=[[0.5, 3]]))
    assert "Connect the avatar" in failure(host.run({"audio": give("audio"), **DRIVE, "edit": edit}))
