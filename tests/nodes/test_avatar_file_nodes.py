"""Avatars from TalkingGaussian's checkpoints; their Gaussians out and in."""
from __future__ import annotations

import pytest
from official_avatar import save_branches, save_fuse, with_features
from pack import make_host
from prompts import changed, collector, failure, keep, node, ok

DATA = node("TalkingHead_LoadDataset", place="input", folder="person")
IMPORT = node("HMTalker_ImportTalkingGaussian", dataset=["data", 0], fuse="fuse.pth", face="(none)", mouth="(none)", name="mine")
SAVE = node("HMTalker_SavePLY", avatar=["import", 0], branch="mouth", filename_prefix="talking_heads/points")
REPLACE = node("HMTalker_ReplacePLY", avatar=["import", 0], branch="face", place="output", file="talking_heads/points_00001_.ply")


@pytest.fixture
def base(tmp_path, tiny_dataset):
    with_features(tiny_dataset, tmp_path / "input" / "person")
    models = tmp_path / "models" / "talking_heads"
    models.mkdir(parents=True)
    save_fuse(models / "fuse.pth")
    save_branches(models)
    return tmp_path


@pytest.fixture
def host(base):
    return make_host(base)


def test_a_checkpoint_is_imported_saved_as_ply_and_replaced(host, base):
    kept = collector(host)
    nodes = {"data": DATA, "import": IMPORT, "a": keep("import", 0)}
    result = ok(host.run(nodes))
    assert (base / "models/talking_heads/mine.safetensors").is_file()
    assert "300 + 60 Gaussians" in result.outputs["import"]["text"][0]
    (avatar,) = (one.model for one in kept)
    assert len(avatar.face) == 300 and avatar.encoder == "deepspeech"
    saved = ok(host.run({"data": DATA, "import": IMPORT, "save": SAVE}))
    assert saved.outputs["save"]["files"] and (base / "output/talking_heads/points_00001_.ply").is_file()
    kept.clear()
    ok(host.run({"data": DATA, "import": IMPORT, "replace": REPLACE, "b": keep("replace", 0)}))
    assert len(kept[-1].model.face) == 60 and len(avatar.face) == 300
    assert kept[-1].model.fingerprint == avatar.fingerprint


def test_separate_branches(host, base):
    both = changed(IMPORT, fuse="(none)", face="chkpnt_face_latest.pth", mouth="chkpnt_mouth_latest.pth", name="two")
    ok(host.run({"data": DATA, "import": both}))
    assert (base / "models/talking_heads/two.safetensors").is_file()


@pytest.mark.parametrize("changes, told", [
    ({"fuse": "(none)"}, "chkpnt_fuse"), ({"face": "chkpnt_face_latest.pth"}, "chkpnt_fuse"),
    ({"fuse": "chkpnt_face_latest.pth"}, "both branches")])
def test_what_is_no_checkpoint_is_refused(host, base, changes, told):
    assert told in failure(host.run({"data": DATA, "import": changed(IMPORT, **changes)}))
    assert not (base / "models/talking_heads/mine.safetensors").exists()


def test_a_ply_that_is_none_is_refused(host, base):
    for file, told in (("person/au.csv", ".ply"), ("none.ply", "no file"), ("../x.ply", "folder")):
        nodes = {"data": DATA, "import": IMPORT, "replace": changed(REPLACE, place="input", file=file),
                 "save": changed(SAVE, avatar=["replace", 0])}
        assert told in failure(host.run(nodes))
