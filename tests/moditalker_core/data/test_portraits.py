"""Photos as the faces of a motion dataset."""
from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from skimage import data
from talking_heads.cli import main
from talking_heads.media_core.errors import TalkingHeadsError
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.from_subject import SubjectPlan
from talking_heads.moditalker_core.data.portraits import usable_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("portraits")
    (base / "more").mkdir()
    Image.fromarray(data.astronaut()).save(base / "a.png")
    Image.fromarray(np.ascontiguousarray(data.astronaut()[:, ::-1])).save(base / "more" / "b.jpg", quality=95)
    Image.fromarray(data.coffee()[:, :400]).save(base / "coffee.png")
    (base / "broken.jpg").write_bytes(b"nothing")
    (base / "notes.txt").write_text("no image")
    return base


def test_unusable_images_are_named(folder):
    photos, refused = usable_photos(folder)
    assert [photo.path.name for photo in photos] == ["a.png", "b.jpg"]
    assert {one["source"] for one in refused} == {"broken.jpg", "coffee.png"} and all(one["reason"] for one in refused)


def test_people_of_photos_come_first_and_then_others_invented_from_them(folder):
    photos, _ = usable_photos(folder)
    plan = SubjectPlan(identities=(1000, 1001, 1002, 1003), portraits=photos)
    assert [plan.face(i) for i in range(5)] == [(None, photos[0]), (None, photos[1]), (1002, photos[0]), (1003, photos[1]),
                                                (None, photos[0])]
    assert plan.tracker == "exact" and plan.made_from(2)["portrait"] == photos[0].described


def test_the_last_people_may_be_warps_of_the_subjects_own_portrait(folder):
    photos, _ = usable_photos(folder)
    plan = SubjectPlan(identities=(1000, 1001, 1002, 1003, 1004), portraits=photos, warps=2)
    assert [plan.face(i) for i in range(6)] == [(None, photos[0]), (None, photos[1]), (1002, photos[0]), (1003, None),
                                                (1004, None), (None, photos[0])]
    assert "portrait" not in plan.made_from(3) and plan.made_from(2) == SubjectPlan(identities=plan.identities[:3],
                                                                                   portraits=photos).made_from(2)
    with pytest.raises(TalkingHeadsError, match="0 to all can be warps"):
        SubjectPlan(identities=(1000,), portraits=photos, warps=2)


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(TalkingHeadsError, match="must be there"):
        usable_photos(tmp_path / "absent")
    with pytest.raises(TalkingHeadsError, match="must hold images"):
        usable_photos(tmp_path)
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(TalkingHeadsError, match="x.png"):
        usable_photos(tmp_path)


def test_the_command_makes_a_dataset_and_names_what_is_left_out(folder, tmp_path, capsys):
    command = ["dataset", "motion", str(tmp_path / "set"), "--portraits", str(folder), "--people", "3", "--seconds", "1",
               "--frames", "32", "--size", "96", "--val", "1", "--engine", "formant"]
    assert main.main(command) == 0
    out = capsys.readouterr().out
    assert "3 clips (2 train, 1 val) of 3 people" in out and "left out: coffee.png" in out and "left out: broken.jpg" in out
    index = json.loads((tmp_path / "set" / "index.json").read_text("utf8"))
    assert index["tracker"] == "exact" and "consent" in index["credit"] and "a.png, b.jpg" in index["credit"]
    dataset = MotionDataset.open(tmp_path / "set")
    names = [clip.identity for clip in dataset.clips]
    assert names[0].startswith("a_") and names[1].startswith("b_") and names[2].startswith("a_") and names[2].endswith("_1002")
    assert main.main(command) == 0, "it is there already"


def test_options_of_another_source_are_refused(folder, tmp_path, capsys):
    assert main.main(["dataset", "motion", str(tmp_path / "set"), "--portraits", str(folder), "--order", "left"]) == main.USAGE
    assert "--order" in capsys.readouterr().err
