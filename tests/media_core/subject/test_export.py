"""The folder: layout, checksums, cameras, cancelling and continuing."""
from __future__ import annotations

import csv
import json
import os
import signal

import numpy as np
import pytest
from talking_heads.media_core.audio import load_sound
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.subject import AU_NAMES, CREDIT, export_dataset, verify_dataset

SECONDS, SIZE, FRAMES = 0.5, 96, 13
REQUEST = {"seconds": SECONDS, "seed": 3, "size": SIZE, "engine": "formant"}
PER_FRAME = ("ori_imgs/{}.jpg", "ori_imgs/{}.lms", "gt_imgs/{}.jpg", "torso_imgs/{}.png", "parsing/{}.png", "teeth_mask/{}.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_dataset(tmp_path_factory.mktemp("data") / "set", **REQUEST)


def stop_after(count):
    def report(done, total, info, preview):
        if done >= count:
            raise Cancelled
    return report


def test_layout_is_complete(folder):
    import cv2
    for pattern in PER_FRAME:
        present = {p.name for p in (folder / pattern).parent.glob("*" + pattern[-4:])}
        assert present == {pattern.split("/")[1].format(i) for i in range(FRAMES)}
    for name in ("bc.jpg", "aud.wav", "au.csv", "transforms_train.json", "transforms_val.json", "gt.npz", "manifest.json"):
        assert (folder / name).stat().st_size > 0
    assert not list(folder.rglob("*.part*"))
    image, torso = cv2.imread(str(folder / "gt_imgs/0.jpg")), cv2.imread(str(folder / "torso_imgs/0.png"), cv2.IMREAD_UNCHANGED)
    assert image.shape == (SIZE, SIZE, 3) and torso.shape == (SIZE, SIZE, 4)
    teeth = np.load(folder / "teeth_mask/5.npy")
    assert teeth.dtype == bool and teeth.shape == (SIZE, SIZE)
    colours = {tuple(c) for c in cv2.imread(str(folder / "parsing/4.png"))[..., ::-1].reshape(-1, 3).tolist()}
    assert {(0, 0, 255), (255, 0, 0), (0, 0, 0), (255, 255, 255)} <= colours
    assert colours <= {(0, 0, 255), (0, 255, 0), (255, 0, 0), (100, 100, 100), (0, 0, 0), (255, 255, 255)}


def test_sound_is_sixteen_kilohertz_mono_of_the_films_length(folder):
    sound = load_sound(folder / "aud.wav")
    assert sound.sample_rate == 16000 and sound.channels == 1 and abs(sound.duration - SECONDS) < 1e-3


def test_action_units_are_openfaces_table_with_blanks(folder):
    rows = list(csv.reader((folder / "au.csv").read_text().splitlines()))
    assert rows[0][0] == "frame" and " AU45_r" in rows[0] and " AU28_c" in rows[0]
    columns = [rows[0].index(f" {name}_r") for name in AU_NAMES]
    table = np.array([[float(row[c]) for c in columns] for row in rows[1:]])
    with np.load(folder / "gt.npz") as truth:
        assert table.shape == (FRAMES, 17) and np.abs(table - truth["au"]).max() < 1e-3


def test_landmarks_reproject_through_the_exported_cameras(folder):
    frames, common = [], None
    for name in ("train", "val"):
        common = json.loads((folder / f"transforms_{name}.json").read_text())
        frames += common["frames"]
    assert [f["img_id"] for f in frames] == list(range(FRAMES)) and (common["cx"], common["cy"]) == (SIZE / 2, SIZE / 2)
    with np.load(folder / "gt.npz") as truth:
        for frame, solid, flat in zip(frames, truth["landmarks3d"], truth["landmarks2d"]):
            c2w = np.array(frame["transform_matrix"])
            assert np.allclose(c2w[:3, :3].T @ c2w[:3, :3], np.eye(3))
            assert c2w[2, 3] > 0.3, "the camera stands in front of the face"
            c2w[:3, 1:3] *= -1                                    # OpenGL -> OpenCV
            camera = (np.linalg.inv(c2w) @ np.c_[solid, np.ones(68)].T).T
            seen = common["focal_len"] * camera[:, :2] / camera[:, 2:3] + SIZE / 2
            assert np.abs(seen - flat).max() < 1e-3
            written = np.loadtxt(folder / f"ori_imgs/{frame['img_id']}.lms")
            assert np.abs(written - flat).max() < 1e-3


def test_manifest_names_everything_and_checksums_hold(folder, tmp_path):
    import shutil
    manifest = verify_dataset(folder)
    assert manifest["kind"] == "dataset" and manifest["frames"] == FRAMES and manifest["fps"] == 25
    assert manifest["credit"] == CREDIT
    assert manifest["size"] == [SIZE, SIZE] and manifest["identity"] == 3 and manifest["seed"] == 3 and manifest["synthetic"]
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with open(copy / "parsing/7.png", "ab") as file:
        file.write(b"!")
    with pytest.raises(FileFormatError, match="parsing"):
        verify_dataset(copy)


def test_a_finished_folder_is_used_again(folder):
    calls = []
    before = (folder / "manifest.json").stat().st_mtime_ns
    assert export_dataset(folder, **REQUEST, report=lambda *a: calls.append(a)) == folder
    assert not [done for done, *_ in calls if done] and (folder / "manifest.json").stat().st_mtime_ns == before


def test_cancelling_leaves_no_manifest_and_the_next_call_continues(folder, tmp_path):
    target = tmp_path / "set"
    with pytest.raises(Cancelled):
        export_dataset(target, **REQUEST, report=stop_after(5))
    assert not (target / "manifest.json").exists() and not list(target.rglob("*.part*"))
    with pytest.raises(FileFormatError):
        verify_dataset(target)
    kept = (target / "gt_imgs/0.jpg").stat().st_mtime_ns
    previews = []
    export_dataset(target, **REQUEST, report=lambda done, total, info, preview: done and previews.append((done, total, preview)))
    assert [d for d, _, _ in previews] == list(range(1, FRAMES + 1)) and previews[0][2] is None
    assert any(p is not None and p.shape == (SIZE, SIZE, 3) for _, _, p in previews)
    assert (target / "gt_imgs/0.jpg").stat().st_mtime_ns == kept, "finished frames are kept"
    assert verify_dataset(target)["checksums"] == verify_dataset(folder)["checksums"], "as if it had never stopped"


def test_it_stops_before_the_first_frame_too(tmp_path):
    with pytest.raises(Cancelled):
        export_dataset(tmp_path / "set", **REQUEST, report=stop_after(0))
    assert not (tmp_path / "set").exists()


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX")
def test_a_full_disk_is_told_and_the_next_call_continues(folder, tmp_path):
    """A real limit of the operating system: no file may grow past 2 KiB, so that the first image does not fit."""
    import resource

    target, limits = tmp_path / "set", resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        with pytest.raises(TalkingHeadsError, match="room.*it continues"):
            export_dataset(target, **REQUEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (target / "manifest.json").exists() and not list(target.rglob("*.part*"))
    export_dataset(target, **REQUEST)
    assert verify_dataset(target)["checksums"] == verify_dataset(folder)["checksums"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TalkingHeadsError, match="writable"):
        export_dataset(tmp_path / "file" / "set", **REQUEST)


def test_another_request_replaces_the_folder_and_foreign_folders_are_left_alone(tmp_path):
    target = tmp_path / "set"
    with pytest.raises(Cancelled):
        export_dataset(target, **REQUEST, report=stop_after(8))
    export_dataset(target, **{**REQUEST, "seconds": 0.2})
    assert len(list((target / "gt_imgs").iterdir())) == 5 and verify_dataset(target)["frames"] == 5
    foreign = tmp_path / "holiday"
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"kind": "holiday"}')
    with pytest.raises(TalkingHeadsError, match="other files"):
        export_dataset(foreign, **REQUEST)
    assert [p.name for p in foreign.iterdir()] == ["manifest.json"]
