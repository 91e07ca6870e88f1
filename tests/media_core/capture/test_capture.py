"""A video to a folder: what stands in it, that avatars can be trained on it, and that runs go on, change and stop as told."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from capture_video import Oracle, placed, talk, write_film
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.media_core.audio import Sound, load_sound
from talking_heads.media_core.capture import CaptureSettings, capture
from talking_heads.media_core.dataset_folder import openface_table, verify_dataset
from talking_heads.media_core.errors import Cancelled, FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.landmarks.landmarks import RawTrack
from talking_heads.media_core.face.track import FaceTrack
from talking_heads.media_core.motion import ExpressionTrack
from talking_heads.media_core.progress import silent

SIZE, FRAMES = 96, 50
SETTINGS = CaptureSettings(size=SIZE)
PLAIN = replace(SETTINGS, masks=False)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """(path, points): 2 s, the person at the left of a wide image."""
    said = talk(2.0)
    frames, points = placed(said, 160, 240, 40, 16)
    return write_film(tmp_path_factory.mktemp("film") / "me.mp4", frames, sound=said.sound), points


@pytest.fixture(scope="module")
def folder(film, tmp_path_factory):
    path, points = film
    return capture(path, tmp_path_factory.mktemp("data") / "set", SETTINGS, tracker=Oracle(points))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def stop_at(stage: str, frame: int):
    def report(done, total, info, preview):
        if info["stage"] == stage and info["frame"] >= frame:
            raise Cancelled
    return report


def never(*_):
    raise AssertionError("tracked again")


never.kind = Oracle.kind


# --------------------------------------------------------------------------------------------------------- the folder

def test_the_folder_is_whole_and_opens(folder, film):
    manifest = verify_dataset(folder)
    assert manifest["frames"] == FRAMES and manifest["synthetic"] is False and manifest["masks"] is True
    assert not list(folder.rglob("*.part*")) and not list(folder.glob("*partial*"))
    data = AvatarDataset.open(folder)
    assert len(data) == FRAMES and data.size == (SIZE, SIZE) and data.fps == 25 and len(data.val_index) == 5
    assert data.sound_index.tolist() == list(range(FRAMES)) and len(data.au_reliability) == 17
    frame = data.frame(20)
    assert frame.face_mask.sum() > 200 and frame.hair_mask.sum() > 200 and frame.torso[..., 3].sum() > 255 * 200
    assert not (frame.face_mask & (frame.torso[..., 3] == 255) & frame.hair_mask).any()
    sound = load_sound(data.sound_path)
    assert sound.sample_rate == 16000 and sound.samples == FRAMES * 640


def test_landmarks_lie_on_the_face_and_poses_show_them(folder, film):
    crop = np.array(json.loads((folder / "manifest.json").read_text())["crop"]["matrices"][0])
    truth = film[1] @ crop[:, :2].T + crop[:, 2]
    data, track = AvatarDataset.open(folder), FaceTrack.load(folder / "track.safetensors")
    lips = np.abs(data.landmarks - truth)[:, 48:]
    assert lips.max() < 0.01 and np.abs(data.landmarks - truth).mean() < 0.2
    assert float(np.nanmean(track.reprojection)) < 0.5 and data.focal == pytest.approx(2.2 * SIZE)
    np.testing.assert_allclose(data.poses, track.pose.camera_to_head.numpy(), atol=1e-6)
    assert (data.poses[:, 2, 3] > 0.2).all(), "the camera stands in front of the face"


def test_an_avatar_can_be_trained_on_it(folder):
    clip = open_clip(AvatarDataset.open(folder, size=64), "mel", torch.device("cpu"), silent)
    assert clip.features.shape[0] == FRAMES and clip.windows(torch.tensor([0, 30])).shape[:2] == (2, 8)
    assert any(clip.au_known) and clip.view(20).face.sum() > 50


def test_the_report_says_what_to_film_again(folder):
    from PIL import Image

    text = (folder / "report.txt").read_text()
    assert text.startswith("verdict: poor") and "length: record half a minute" in text and "missing frames   0 of 50" in text
    assert Image.open(folder / "report.png").size[0] == 1280


def test_progress_rises_to_the_end_with_names_and_pictures(film, tmp_path):
    told, shown = [], []

    def report(done, total, info, preview):
        told.append((done, total, info["stage"]))
        if preview is not None:
            shown.append((info["stage"], preview.shape[2], preview.dtype))
    capture(film[0], tmp_path / "set", SETTINGS, tracker=Oracle(film[1]), report=report)
    done = [d for d, _, _ in told]
    assert done == sorted(done) and told[-1][0] == told[-1][1] == 1000 and len({total for _, total, _ in told}) == 1
    stages = list(dict.fromkeys(stage for _, _, stage in told))
    assert stages == ["finding the face", "writing frames", "looking for cuts", "measuring", "masks", "background", "layers",
                      "sound", "tables", "quality report", "checksums"]
    assert {stage for stage, _, _ in shown} == {"finding the face", "writing frames", "masks", "layers"}
    assert {(channels, kind) for _, channels, kind in shown} == {(3, np.dtype(np.uint8))}


# ------------------------------------------------------------------------------------------------- going on, changing

@pytest.mark.parametrize("stage, frame", [("finding the face", 30), ("writing frames", 20),
                                          ("looking for cuts", 5), ("measuring", 0), ("masks", 17),
                                          ("layers", 33), ("tables", 0), ("checksums", 60)])
def test_a_stopped_run_goes_on_to_the_same_bytes(folder, film, tmp_path, stage, frame, monkeypatch):
    from talking_heads.media_core.capture import tracking

    monkeypatch.setattr(tracking, "CHUNK", 20)
    whole = capture(film[0], tmp_path / "whole", SETTINGS, tracker=Oracle(film[1])) if stage == "finding the face" else folder
    target, first, second = tmp_path / "set", Oracle(film[1]), Oracle(film[1])
    with pytest.raises(Cancelled):
        capture(film[0], target, SETTINGS, tracker=first, report=stop_at(stage, frame))
    assert not (target / "manifest.json").exists()
    capture(film[0], target, SETTINGS, tracker=second)
    assert contents(target) == contents(whole)
    assert second.seen == (list(range(20, FRAMES)) if stage == "finding the face" else [])


def test_it_stops_within_a_frame(film, tmp_path):
    oracle = Oracle(film[1])
    with pytest.raises(Cancelled):
        capture(film[0], tmp_path / "set", PLAIN, tracker=oracle, report=stop_at("finding the face", 7))
    assert oracle.seen == list(range(7))


def test_the_same_request_is_answered_at_once(folder, film):
    before = contents(folder)
    assert capture(film[0], folder, SETTINGS, tracker=never, report=never) == folder
    assert contents(folder) == before


def test_a_copy_of_the_film_elsewhere_is_the_same_film(folder, film, tmp_path):
    (tmp_path / "copy.mp4").write_bytes(film[0].read_bytes())
    assert capture(tmp_path / "copy.mp4", folder, SETTINGS, tracker=never, report=never) == folder


def test_other_settings_redo_only_what_they_concern(film, tmp_path):
    target = tmp_path / "set"
    capture(film[0], target, PLAIN, tracker=Oracle(film[1]))
    picture = (target / "ori_imgs/3.jpg").stat().st_mtime_ns
    capture(film[0], target, replace(PLAIN, focal=300.0), tracker=never)
    assert (target / "ori_imgs/3.jpg").stat().st_mtime_ns == picture
    assert json.loads((target / "transforms_train.json").read_text())["focal_len"] == 300
    capture(film[0], target, replace(PLAIN, size=64), tracker=never)
    verify_dataset(target)
    import cv2

    assert cv2.imread(str(target / "ori_imgs/3.jpg")).shape == (64, 64, 3)
    assert json.loads((target / "transforms_train.json").read_text())["focal_len"] == pytest.approx(2.2 * 64)


def test_masks_can_be_added_and_left_out_again(folder, film, tmp_path):
    target = tmp_path / "set"
    capture(film[0], target, PLAIN, tracker=Oracle(film[1]))
    assert not (target / "bc.jpg").exists() and json.loads((target / "manifest.json").read_text())["masks"] is False
    with pytest.raises(FileFormatError, match="captured without.*with masks"):
        AvatarDataset.open(target)
    capture(film[0], target, SETTINGS, tracker=never)
    assert verify_dataset(target)["checksums"] == verify_dataset(folder)["checksums"]
    capture(film[0], target, PLAIN, tracker=never)
    assert not (target / "bc.jpg").exists() and not list(target.glob("parsing/*")) and not list(target.glob("gt_imgs/*"))


def test_a_folder_with_something_else_is_left_alone(folder, film, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(TalkingHeadsError, match="new, empty or one of this video.*other files"):
        capture(film[0], tmp_path, PLAIN, tracker=never)
    other = write_film(tmp_path / "other.mp4", placed(talk(2.0), 160, 240, 60, 16)[0], sound=talk(2.0).sound)
    before = contents(folder)
    with pytest.raises(TalkingHeadsError, match="another video"):
        capture(other, folder, PLAIN, tracker=never)
    assert contents(folder) == before
    (tmp_path / "subject").mkdir()
    (tmp_path / "subject/request.json").write_text('{"seed": 3}')
    with pytest.raises(TalkingHeadsError, match="other files"):
        capture(film[0], tmp_path / "subject", PLAIN, tracker=never)


def test_a_full_disk_is_told(film, tmp_path, monkeypatch):
    from talking_heads.media_core.capture import images

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))
    monkeypatch.setattr(images, "write_bytes", full)
    with pytest.raises(TalkingHeadsError, match="room.*No space left.*it continues"):
        capture(film[0], tmp_path / "set", PLAIN, tracker=Oracle(film[1]))


# --------------------------------------------------------------------------------------------- frames without a face

GONE = (10, 11, 12, 30)


def test_missing_faces_are_an_error_that_names_them(film, tmp_path):
    with pytest.raises(TalkingHeadsError, match="10.*30") as told:
        capture(film[0], tmp_path / "set", PLAIN, tracker=Oracle(film[1], GONE))
    assert "skip" in str(told.value)
    capture(film[0], tmp_path / "set", replace(PLAIN, policy="hold"), tracker=never)  # the track was kept


@pytest.mark.parametrize("shift", [200.0, -200.0])
def test_the_audio_is_shifted_and_nothing_else_is_done_again(film, folder, tmp_path, shift):
    target = shutil.copytree(folder, tmp_path / "set")
    capture(film[0], target, replace(SETTINGS, audio_shift=shift), tracker=never)
    moved, whole = (load_sound(one / "aud.wav").waveform[0] for one in (target, folder))
    by, middle = round(shift * 16), slice(8000, 24000)
    assert len(moved) == len(whole) and np.allclose(moved[middle], np.roll(whole, by)[middle], atol=1e-4)
    assert np.abs(moved[:by] if shift > 0 else moved[by // 3:]).max() < 1e-3  # nothing was recorded there
    assert contents(target)["au.csv"] == contents(folder)["au.csv"]
    capture(film[0], target, replace(SETTINGS, audio_shift=0.0), tracker=never)
    assert (target / "aud.wav").read_bytes() == (folder / "aud.wav").read_bytes()


def test_the_audio_is_not_shifted_by_minutes():
    with pytest.raises(TalkingHeadsError, match="-2000 to 2000 ms"):
        CaptureSettings(audio_shift=-60000)


def test_skipped_frames_leave_the_sound_in_step(film, folder, tmp_path):
    target = capture(film[0], tmp_path / "set", replace(SETTINGS, policy="skip"), tracker=Oracle(film[1], GONE))
    data, whole = AvatarDataset.open(target), AvatarDataset.open(folder)
    kept = [i for i in range(FRAMES) if i not in GONE]
    assert data.sound_index.tolist() == kept and len(data) == FRAMES - 4
    assert (target / "aud.wav").read_bytes() == (folder / "aud.wav").read_bytes()
    assert (target / "ori_imgs/10.jpg").read_bytes() == (folder / "ori_imgs/13.jpg").read_bytes()
    clips = [open_clip(d, "mel", torch.device("cpu"), silent) for d in (data, whole)]
    for new, old in ((10, 13), (27, 31), (45, 49)):
        assert torch.equal(clips[0].windows(torch.tensor([new])), clips[1].windows(torch.tensor([old])))
    assert "4 of 50: 10-12 (0.4-0.5 s), 30 (1.2 s)" in (target / "report.txt").read_text()


@pytest.mark.parametrize("policy", ["hold", "interpolate"])
def test_filled_frames_have_no_action_units(film, tmp_path, policy):
    target = capture(film[0], tmp_path / "set", replace(SETTINGS, policy=policy), tracker=Oracle(film[1], GONE))
    data = AvatarDataset.open(target)
    assert len(data) == FRAMES and np.isnan(data.au[list(GONE)]).all() and np.isfinite(data.au[[9, 13, 31]]).any(axis=1).all()
    assert json.loads((target / "manifest.json").read_text())["filled"] == list(GONE)
    row = (target / "au.csv").read_text().splitlines()[11].split(",")
    assert row[4] == " 0" and row[5] == ""
    step = np.abs(data.landmarks[12, 48:] - data.landmarks[9, 48:]).max()
    assert step < 0.02 if policy == "hold" else step > 0.02


def test_no_face_at_all(film, tmp_path):
    with pytest.raises(TalkingHeadsError, match="face"):
        capture(film[0], tmp_path / "set", replace(PLAIN, policy="skip"), tracker=Oracle(film[1], range(FRAMES)))
    assert not (tmp_path / "set").exists()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("x")
    with pytest.raises(TalkingHeadsError, match="holds other files"):
        capture(film[0], tmp_path / "set", PLAIN, tracker=Oracle(film[1], range(FRAMES)))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


# --------------------------------------------------------------------------------------------------- other inputs

def test_like_another_data_set(folder, film, tmp_path):
    target = capture(film[0], tmp_path / "set", replace(PLAIN, like=folder, size=64), tracker=Oracle(film[1] + 3))
    mine, other = (FaceTrack.load(f / "track.safetensors").shape for f in (target, folder))
    assert np.array_equal(mine.points, other.points) and mine.focal == pytest.approx(other.focal * 64 / SIZE)
    crops = [json.loads((f / "manifest.json").read_text())["crop"] for f in (target, folder)]
    np.testing.assert_allclose(np.array(crops[0]["matrices"])[0, :, :2] * SIZE / 64, np.array(crops[1]["matrices"])[0, :, :2])
    with pytest.raises(FileFormatError, match="finished capture of a video"):
        capture(film[0], tmp_path / "other", replace(PLAIN, like=tmp_path), tracker=never)


def test_like_needs_the_same_picture_size(folder, tmp_path):
    said = talk(2.0)
    frames, points = placed(said, 144, 144, 8, 8)
    path = write_film(tmp_path / "small.mp4", frames, sound=said.sound)
    with pytest.raises(TalkingHeadsError, match="240 x 160"):
        capture(path, tmp_path / "set", replace(PLAIN, like=folder), tracker=Oracle(points))


def test_action_units_from_elsewhere(film, tmp_path):
    au = np.random.default_rng(0).uniform(0, 5, (FRAMES, 17)).round(3)
    au[:, 3] = np.nan
    (tmp_path / "mine.csv").write_text(openface_table(au, 25.0))
    by_file = capture(film[0], tmp_path / "a", replace(PLAIN, expression=tmp_path / "mine.csv"), tracker=Oracle(film[1]))
    track = FaceTrack.load(by_file / "track.safetensors").expression
    np.testing.assert_allclose(track.au.numpy(), au, atol=2e-3)
    assert "OpenFace" in json.loads((by_file / "manifest.json").read_text())["au_source"]
    given = ExpressionTrack(torch.from_numpy(au.astype(np.float32)), 25.0, "mine", (0.5,) * 17)
    by_track = capture(film[0], tmp_path / "a", replace(PLAIN, expression=given), tracker=never)
    manifest = json.loads((by_track / "manifest.json").read_text())
    assert manifest["au_source"] == "mine" and manifest["au_reliability"] == [0.5] * 17
    short = ExpressionTrack(given.au[:20], 25.0)
    with pytest.raises(TalkingHeadsError, match="as long as the video, 50 frames.*20"):
        capture(film[0], tmp_path / "b", replace(PLAIN, expression=short), tracker=Oracle(film[1]))


def test_landmarks_from_elsewhere(film, tmp_path):
    every = np.repeat(film[1], 2, axis=0)
    raw = RawTrack(every, np.ones(len(every), np.float32), (160, 240), 50.0)
    target = capture(film[0], tmp_path / "set", PLAIN, face_landmarks=raw, tracker=never)
    np.testing.assert_allclose(RawTrack.load(target / "raw_track.safetensors").points, film[1])
    wrong = replace(raw, image_size=(80, 120))
    with pytest.raises(TalkingHeadsError, match="240 x 160"):
        capture(film[0], tmp_path / "other", PLAIN, face_landmarks=wrong)


def test_a_segment(film, folder, tmp_path):
    target = capture(film[0], tmp_path / "set", replace(PLAIN, segment=(0.4, 1.6)), tracker=Oracle(film[1]))
    manifest = json.loads((target / "manifest.json").read_text())
    assert manifest["frames"] == 30 and manifest["first_frame"] == 10
    part, whole = load_sound(target / "aud.wav"), load_sound(folder / "aud.wav")
    assert part.samples == 30 * 640
    difference = part.waveform[0, 500:-500] - whole.waveform[0, 6400 + 500:6400 + 30 * 640 - 500]
    assert np.abs(difference).max() < 0.01
    with pytest.raises(TalkingHeadsError, match="at least 10 frames"):
        capture(film[0], tmp_path / "late", replace(PLAIN, segment=(1.9, 5.0)), tracker=Oracle(film[1]))


def test_the_best_segment_is_found_and_kept(film, tmp_path):
    settings = replace(PLAIN, segment=2.0)
    target = capture(film[0], tmp_path / "set", settings, tracker=Oracle(film[1]))
    assert json.loads((target / "manifest.json").read_text())["frames"] == FRAMES


def test_a_drawn_person_and_given_parsings(film, folder, tmp_path):
    person = np.zeros((1, 160, 240), bool)
    person[:, 20:150, 60:150] = True
    drawn = capture(film[0], tmp_path / "a", SETTINGS, person=person, tracker=Oracle(film[1]))
    data = AvatarDataset.open(drawn)
    assert not data.frame(5).hair_mask[:, -3:].any() and data.frame(5).face_mask.any()
    given = capture(film[0], tmp_path / "b", replace(SETTINGS, parsing=folder / "parsing"), tracker=Oracle(film[1]))
    for name in ("parsing/7.png", "torso_imgs/7.png", "bc.jpg"):
        assert (given / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("wrong", [{"size": 63}, {"size": 97}, {"fps": 0}, {"policy": "guess"}, {"face_index": -1},
                                   {"focal": 0}, {"smoothing": -1}, {"segment": (5, 2)}, {"segment": 0}, {"order": "up"},
                                   {"like": "nowhere"}, {"expression": "nowhere.csv"}, {"parsing": "nowhere"}])
def test_wrong_settings(wrong):
    with pytest.raises(TalkingHeadsError):
        CaptureSettings(**wrong)


def test_stereo_sound_reaches_the_report_unmixed(film, tmp_path):
    """Clipping is judged on the video's own samples."""
    said = talk(2.0)
    loud = np.clip(said.sound.waveform * 40, -1, 1).astype(np.float32)
    path = write_film(tmp_path / "loud.mp4", placed(said, 160, 240, 40, 16)[0], sound=Sound(loud, said.sound.sample_rate))
    target = capture(path, tmp_path / "set", PLAIN, tracker=Oracle(film[1]))
    line = next(line for line in (target / "report.txt").read_text().splitlines() if "audio clipping" in line)
    assert line.startswith("poor")


# ------------------------------------------------------------------------------------------------ what goes wrong around it

def test_deleted_parts_are_made_again(film, folder, tmp_path):
    """As `verify_dataset` advises: without the manifest and the damaged part, the next run makes that part again."""
    target = capture(film[0], tmp_path / "set", SETTINGS, tracker=Oracle(film[1]))
    for name in ("manifest.json", "ori_imgs/7.jpg", "ori_imgs/3.lms", "parsing/5.png", "gt_imgs/9.jpg", "au.csv", "aud.wav",
                 "track.safetensors", "report.txt"):
        (target / name).unlink()
    capture(film[0], target, SETTINGS, tracker=never)
    assert contents(target) == contents(folder)


def test_a_temporary_file_of_a_killed_run_is_no_other_file(film, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/.request.0123456789ab.part.json").write_text("{")
    assert capture(film[0], tmp_path / "set", PLAIN, tracker=Oracle(film[1])).is_dir()


def test_masks_of_another_size_are_told_at_once(film, tmp_path):
    for wrong in ({"person": np.ones((1, 80, 120), bool)}, {"face_region": np.ones((160, 240), bool)}):
        with pytest.raises(TalkingHeadsError, match="as large as the video.*160.*240"):
            capture(film[0], tmp_path / "set", SETTINGS, tracker=never, **wrong)
    assert not (tmp_path / "set").exists()


def test_frame_numbers_are_those_of_the_film(film, tmp_path):
    settings = replace(PLAIN, segment=(0.4, 2.0))
    with pytest.raises(TalkingHeadsError, match=": 30-31"):
        capture(film[0], tmp_path / "set", settings, tracker=Oracle(film[1], (30, 31)))


def test_pictures_are_opened_by_python(folder, monkeypatch):
    """OpenCV itself opens no file on Windows whose name has letters beyond the code page."""
    import cv2
    from talking_heads.media_core.capture.images import grey, read_picture

    monkeypatch.setattr(cv2, "imread", lambda *_: None)
    assert grey(folder, 3).shape == (SIZE, SIZE)
    mean = read_picture(folder / "ori_imgs/3.jpg").astype(float) @ [.299, .587, .114]
    assert np.abs(grey(folder, 3) - mean).mean() < 2


def test_a_folder_of_parsings_may_be_named_by_text(film, folder, tmp_path):
    settings = replace(SETTINGS, parsing=str(folder / "parsing"), like=str(folder))
    target = capture(film[0], tmp_path / "set", settings, tracker=Oracle(film[1]))
    assert (target / "parsing/7.png").read_bytes() == (folder / "parsing/7.png").read_bytes()


def test_the_best_segment_is_that_of_the_chosen_face(film, tmp_path, monkeypatch):
    """Index, order and region count, and landmarks from elsewhere spare the search."""
    from talking_heads.media_core.capture import pipeline, segment

    made, regions = [], []
    monkeypatch.setattr(pipeline, "make_tracker", lambda kind, **which: made.append((kind, which)) or Oracle(film[1]))
    looked = segment._of_film

    def seen(path, tracker, masks, report):
        kept = list(zip(range(10), masks))
        regions.extend(int(mask[0, 0]) for _, mask in kept)
        return looked(path, Oracle(film[1]), None, report)
    monkeypatch.setattr(segment, "_of_film", seen)
    region = np.ones((FRAMES, 160, 240), bool)
    region[:, 0, 0] = np.arange(FRAMES) >= 25
    capture(film[0], tmp_path / "a", replace(PLAIN, segment=2.0, face_index=1, order="left"), face_region=region)
    assert made == [("people", {"face_index": 1, "order": "left"})] * 2 and regions == [0] * 5 + [1] * 5
    raw = RawTrack(film[1], np.ones(FRAMES, np.float32), (160, 240), 25.0)
    monkeypatch.setattr(segment, "_of_film", never)
    capture(film[0], tmp_path / "b", replace(PLAIN, segment=2.0), face_landmarks=raw)


def test_corners_that_cannot_be_found_again_are_replaced(film, folder, tmp_path, monkeypatch):
    """A video made like another one, in another light, is steadied by its own corners."""
    from talking_heads.media_core.capture import images, pipeline

    calls = []
    monkeypatch.setattr(images, "known_anchors", lambda *_: ("another video's", []))

    def steady(track, picture, known=None, **_):
        calls.append(known)
        return track, None
    monkeypatch.setattr(pipeline, "steady", steady)
    capture(film[0], tmp_path / "set", replace(PLAIN, like=folder), tracker=Oracle(film[1]))
    assert calls == [("another video's", []), None]


def test_a_set_that_is_measured_otherwise_is_another_one_to_be_like(folder, tmp_path):
    from talking_heads.media_core.capture.framing import like_dataset

    for name in ("manifest.json", "track.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before, manifest = like_dataset(tmp_path).fingerprint, json.loads((tmp_path / "manifest.json").read_text())
    manifest["checksums"]["anchors.safetensors"] = "other corners"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert like_dataset(tmp_path).fingerprint != before


def test_an_unknown_encoder_is_told_before_hours_of_work():
    with pytest.raises(TalkingHeadsError, match="speech encoder"):
        CaptureSettings(encoder="nobody")


def test_nothing_is_measured_of_a_face_outside(folder):
    from talking_heads.media_core.capture.looks import frame_looks
    from talking_heads.media_core.capture.report import _blur, _light

    points = FaceTrack.load(folder / "track.safetensors").landmarks.points[..., :2].numpy()
    points[..., 1] -= 1.2 * SIZE  # as in a video made like one in which the person sat elsewhere
    looks = frame_looks(folder, points, lambda *_: None)
    assert np.isnan(_blur(folder, points, lambda *_: None)) and np.isnan(_light(looks)[0])
    assert not looks.blurred.any() and not looks.covered.any()


def test_a_set_cannot_be_like_itself(folder, film):
    before = contents(folder)
    with pytest.raises(TalkingHeadsError, match="must be another one"):
        capture(film[0], folder, replace(SETTINGS, like=folder), tracker=never)
    assert contents(folder) == before
