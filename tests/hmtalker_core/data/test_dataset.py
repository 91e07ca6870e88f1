"""The data set reader on a tiny hand-made folder: contents, resizing, the cache, an error for each thing that can be wrong."""
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from talking_heads.hmtalker_core.data import annotations
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import clean_action_units
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.motion import AU_NAMES

COUNT, HEIGHT, WIDTH = 12, 24, 32
FOCAL = 60.0


def landmarks(index):
    points = np.tile([16.0, 12.0], (68, 1))
    points[48:60] = [[13 + i % 6, 14 + i // 6 * 3] for i in range(12)]
    points[60:68] = [[14 + i % 4, 15 + (index % 3) * (i // 4)] for i in range(8)]
    return points


def parsing(index):
    """Hair above face above clothes; the mouth is open in odd frames."""
    labels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    labels[2:6, 8:24], labels[6:20, 8:24], labels[20:, 4:28] = (0, 0, 0), (0, 0, 255), (255, 0, 0)
    if index % 2:
        labels[14:17, 13:19] = (100, 100, 100)
    return labels


def build(folder, *, lossless=True):
    """Writes a whole folder; the picture of frame i is filled with the value 20 i."""
    for name in ("ori_imgs", "parsing", "torso_imgs", "teeth_mask"):
        (folder / name).mkdir(parents=True)
    picture = "png" if lossless else "jpg"
    for i in range(COUNT):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 20 * i, np.uint8)).save(folder / f"ori_imgs/{i}.{picture}")
        Image.fromarray(parsing(i)).save(folder / f"parsing/{i}.png")
        torso = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        torso[20:] = (10, 20, 30, 255)
        Image.fromarray(torso).save(folder / f"torso_imgs/{i}.png")
        teeth = np.zeros((HEIGHT, WIDTH), bool)
        teeth[14 - i % 2, 15:17] = i % 2 == 1  # one row above the open mouth's label: part of the blue face
        np.save(folder / f"teeth_mask/{i}.npy", teeth)
        np.savetxt(folder / f"ori_imgs/{i}.lms", landmarks(i))
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 99, np.uint8)).save(folder / "bc.png")
    (folder / "aud.wav").write_bytes(b"RIFF")
    write_csv(folder, range(COUNT))
    for name, numbers in (("train", range(11)), ("val", range(11, COUNT))):
        write_transforms(folder, name, numbers)
    return folder


def write_transforms(folder, name, numbers, **changes):
    frames = [{"img_id": i, "aud_id": i, "transform_matrix": matrix(i)} for i in numbers]
    table = {"focal_len": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2, "frames": frames, **changes}
    (folder / f"transforms_{name}.json").write_text(json.dumps(table))


def matrix(index):
    c2w = np.eye(4)
    c2w[:3, 3] = 0.01 * index, 0, 0.7
    return c2w.tolist()


def write_csv(folder, rows, header=None, cell=None):
    """OpenFace's table, with blanks after commas; unit k of frame i is i + k / 100."""
    header = header or ["frame", "timestamp", "success"] + [f"{name}_r" for name in AU_NAMES]
    lines = [", ".join(header)]
    for i in rows:
        known = {"frame": i + 1, "timestamp": f"{i / 25:.3f}", "success": 1}
        known |= {f"{name}_r": i + k / 100 for k, name in enumerate(AU_NAMES)}
        lines.append(", ".join(str(cell(i, name) if cell and cell(i, name) is not None else known[name]) for name in header))
    (folder / "au.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "person")


def test_what_is_read(folder):
    data = AvatarDataset.open(folder)
    assert len(data) == COUNT and data.size == (HEIGHT, WIDTH) and data.fps == 25.0 and data.focal == FOCAL
    assert data.train_index.tolist() == list(range(11)) and data.val_index.tolist() == [11]
    assert data.poses.dtype == np.float32 and data.poses[3, 0, 3] == pytest.approx(0.03)
    assert data.extent == pytest.approx(1.1 * 0.05, abs=1e-4)
    assert data.au.shape == (COUNT, 17) and data.au[4].tolist() == pytest.approx([4 + k / 100 for k in range(17)])
    assert data.openings.tolist() == [i % 3 for i in range(COUNT)]
    assert data.sound_path == data.audio_path == folder / "aud.wav"


def test_a_frame(folder):
    frame = AvatarDataset.open(folder).frame(5)
    assert (frame.image == 100).all() and frame.image.dtype == np.uint8 and (frame.background == 99).all()
    assert frame.torso[21, 0].tolist() == [10, 20, 30, 255] and not frame.torso[0, 0, 3]
    assert frame.hair_mask.sum() == 4 * 16 and frame.mouth_mask.sum() == 3 * 6 + 2 and frame.has_mouth
    assert not (frame.face_mask & frame.mouth_mask).any() and frame.face_mask.sum() == 14 * 16 - 3 * 6 - 2
    assert frame.lips_rect.tolist() == [13, 17, 13, 17] and frame.landmarks.shape == (68, 2)


def test_a_shut_mouth_is_legal(folder):
    frame = AvatarDataset.open(folder).frame(4)
    assert not frame.has_mouth and not frame.mouth_mask.any() and frame.lips_rect is not None


def test_lips_outside_the_picture_are_flagged_not_an_error(folder):
    np.savetxt(folder / "ori_imgs/2.lms", landmarks(2) + 500)
    data = AvatarDataset.open(folder)
    assert data.frame(2).lips_rect is None and data.frame(1).lips_rect is not None


def test_without_teeth_and_validation(folder):
    for path in (folder / "teeth_mask").iterdir():
        path.unlink()
    (folder / "teeth_mask").rmdir()
    (folder / "transforms_val.json").unlink()
    write_transforms(folder, "train", range(COUNT))
    data = AvatarDataset.open(folder)
    assert data.val_index.tolist() == [] and data.frame(5).mouth_mask.sum() == 18


def test_replaced_backgrounds_are_preferred_and_jpegs_read(tmp_path):
    folder = build(tmp_path / "p", lossless=False)
    assert abs(int(AvatarDataset.open(folder).frame(3).image[0, 0, 0]) - 60) < 4
    (folder / "gt_imgs").mkdir()
    for i in range(COUNT):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 7, np.uint8)).save(folder / f"gt_imgs/{i}.png")
    assert (AvatarDataset.open(folder).frame(3).image == 7).all()


def test_the_frame_rate_comes_from_the_manifest(folder):
    (folder / "manifest.json").write_text('{"fps": 30}')
    assert AvatarDataset.open(folder).fps == 30
    (folder / "manifest.json").write_text('{"fps": "often"}')
    with pytest.raises(FileFormatError, match="fps"):
        AvatarDataset.open(folder)


def test_reduced_frames(folder):
    half, whole = AvatarDataset.open(folder, size=16), AvatarDataset.open(folder, size=4000)
    assert half.size == (12, 16) and half.focal == FOCAL / 2 and whole.size == (HEIGHT, WIDTH)
    small, big = half.frame(5), whole.frame(5)
    assert small.image.flags.writeable and small.background.flags.writeable  # torch warns of others
    assert small.image.shape == (12, 16, 3) and small.torso.shape == (12, 16, 4) and small.background.shape == (12, 16, 3)
    assert small.torso[11, 4].tolist() == [10, 20, 30, 255] and (small.image == 100).all()
    assert abs(int(small.hair_mask.sum()) * 4 - int(big.hair_mask.sum())) <= 16
    np.testing.assert_allclose(small.landmarks, big.landmarks / 2)
    assert (small.lips_rect <= big.lips_rect // 2 + 1).all() and (small.lips_rect >= big.lips_rect // 2 - 1).all()


def test_the_cache_stays_within_its_budget_and_returns_the_same(folder):
    data = AvatarDataset.open(folder)
    one = data.frame(0).nbytes
    small = AvatarDataset.open(folder, cache_bytes=3 * one)
    for i in (0, 1, 2, 3, 4, 0, 4):
        frame = small.frame(i)
        assert (frame.image == 20 * i).all() and frame.index == i
        assert len(small._store) <= 3 and small._store.nbytes == sum(f.nbytes for f in small._store._values.values())
    assert small.frame(4) is small.frame(4)
    tiny = AvatarDataset.open(folder, cache_bytes=0)
    assert (tiny.frame(3).image == 60).all() and len(tiny._store) == 1


@pytest.mark.parametrize("index", [-1, COUNT])
def test_no_such_frame(folder, index):
    with pytest.raises(IndexError):
        AvatarDataset.open(folder).frame(index)


# ------------------------------------------------------------------------------------------------------------ action units

def test_columns_may_be_missing_and_rows_failed(folder):
    header = ["frame", "success", "AU45_r", "AU25_r"]
    write_csv(folder, range(COUNT), header, lambda i, name: 0 if name == "success" and i == 3 else None)
    au = AvatarDataset.open(folder).au
    assert np.isfinite(au[5]).sum() == 2 and au[5, AU_NAMES.index("AU45")] == pytest.approx(5.16)
    assert np.isnan(au[3]).all() and np.isnan(au[:, 0]).all()


@pytest.mark.parametrize("header", [["frame", "AU45_r"], ["timestamp", "AU45_r"]])
def test_rows_are_put_in_order(folder, header):
    write_csv(folder, reversed(range(COUNT)), header)
    assert AvatarDataset.open(folder).au[:, -1].tolist() == pytest.approx([i + 0.16 for i in range(COUNT)])


def test_frames_counted_from_zero(folder):
    write_csv(folder, range(COUNT), ["frame", "AU45_r"], lambda i, name: i if name == "frame" else None)
    assert AvatarDataset.open(folder).au[0, -1] == pytest.approx(0.16)


@pytest.mark.parametrize("rows, header, cell, match", [
    (range(COUNT - 2), None, None, "12 frames.*10 rows"),
    (range(COUNT + 1), None, None, "12 frames.*13 rows"),
    ([], None, None, "12 frames.*0 rows"),
    (range(COUNT), ["frame", "gaze"], lambda i, name: 0, "AU01_r"),
    (range(COUNT), ["frame", "AU45_r"], lambda i, name: "x" if i == 6 else None, "line 8"),
    (range(COUNT), ["frame", "AU45_r"], lambda i, name: 5 if name == "frame" else None, "each frame once"),
    (range(COUNT), ["timestamp", "AU45_r"], lambda i, name: i / 60 if name == "timestamp" else None, "each frame once"),
])
def test_wrong_tables(folder, rows, header, cell, match):
    write_csv(folder, rows, header, cell)
    with pytest.raises(FileFormatError, match=match):
        AvatarDataset.open(folder)


def test_an_empty_table(folder):
    (folder / "au.csv").write_text("")
    with pytest.raises(FileFormatError, match="AU01_r"):
        AvatarDataset.open(folder)


# ---------------------------------------------------------------------------------------------------------------- errors

def test_missing_frames_are_named_up_to_ten(folder):
    (folder / "parsing/3.png").unlink()
    with pytest.raises(FileFormatError, match="parsing/.*12 frames.*frame 3"):
        AvatarDataset.open(folder)
    for i in range(11):
        (folder / f"parsing/{i}.png").unlink(missing_ok=True)
    with pytest.raises(FileFormatError, match=r"0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1 more"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("name", ["ori_imgs/5.png", "ori_imgs/5.lms", "torso_imgs/5.png", "teeth_mask/5.npy"])
def test_every_kind_of_frame_file_is_checked_on_opening(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileFormatError, match="frame 5"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("name", ["au.csv", "aud.wav", "bc.png", "transforms_train.json"])
def test_missing_files_are_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileFormatError, match=name.split(".")[0]):
        AvatarDataset.open(folder)


def test_no_folder(tmp_path):
    with pytest.raises(FileFormatError, match="no folder"):
        AvatarDataset.open(tmp_path / "nobody")


def test_gaps_and_repeats_in_the_poses(folder):
    write_transforms(folder, "train", [0, 1, 4, 5, 6, 7, 8, 9, 10])
    with pytest.raises(FileFormatError, match="no pose for frame 2, 3"):
        AvatarDataset.open(folder)
    write_transforms(folder, "train", [*range(11), 6])
    with pytest.raises(FileFormatError, match="several for frame 6"):
        AvatarDataset.open(folder)
    write_transforms(folder, "train", [])
    (folder / "transforms_val.json").unlink()
    with pytest.raises(FileFormatError, match="no frame at all"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"frames": []}', '{"focal_len": 0, "frames": []}',
                                  '{"focal_len": 5, "frames": [{"img_id": 0, "transform_matrix": [[1, 2], [3, 4]]}]}',
                                  '{"focal_len": 5, "frames": [{"img_id": 0}]}'])
def test_broken_transforms(folder, text):
    (folder / "transforms_train.json").write_text(text)
    with pytest.raises(FileFormatError, match="transforms_train"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("name", ["ori_imgs/5.png", "parsing/5.png", "torso_imgs/5.png", "teeth_mask/5.npy"])
@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unreadable_pictures(folder, name, content):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    data = AvatarDataset.open(folder)
    assert (data.frame(4).image == 80).all()
    with pytest.raises(FileFormatError, match="readable"):
        _ = data.frame(5).torso


def test_an_unreadable_first_picture(folder):
    (folder / "ori_imgs/0.png").write_bytes(b"")
    with pytest.raises(FileFormatError, match="readable"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("name", ["ori_imgs/5.png", "parsing/5.png", "torso_imgs/5.png"])
def test_pictures_of_another_size(folder, name):
    Image.new("RGBA", (8, 8)).save(folder / name)
    with pytest.raises(FileFormatError, match="32 x 24"):
        _ = AvatarDataset.open(folder).frame(5).torso


def test_a_teeth_mask_of_another_size(folder):
    np.save(folder / "teeth_mask/5.npy", np.zeros((3, 3), bool))
    with pytest.raises(FileFormatError, match="24 x 32"):
        AvatarDataset.open(folder).frame(5)


@pytest.mark.parametrize("text", ["", "1 2 3", "nan " * 136, "a b"])
def test_broken_landmarks(folder, text):
    (folder / "ori_imgs/5.lms").write_text(text)
    with pytest.raises(FileFormatError, match="landmark"):
        AvatarDataset.open(folder)


def test_no_size_below_one(folder):
    with pytest.raises(TalkingHeadsError, match="at least 1"):
        AvatarDataset.open(folder, size=0)


# ------------------------------------------------------------------------------------------------------------ annotations

def test_published_masks_keep_teeth_in_both():
    labels, teeth = parsing(1), np.zeros((HEIGHT, WIDTH), bool)
    teeth[14, 15] = True   # inside the grey label
    ours, theirs = annotations.label_masks(labels, teeth), annotations.label_masks(labels, teeth, published=True)
    assert theirs.face[14, 15] and theirs.mouth[14, 15] and not ours.face[14, 15] and ours.mouth[14, 15]


def test_clamped_rectangles():
    assert annotations.clamp_rect(np.array([-3, 5, 28, 40]), HEIGHT, WIDTH).tolist() == [0, 5, 28, 32]
    assert annotations.clamp_rect(np.array([30, 40, 0, 5]), HEIGHT, WIDTH) is None


def test_backdrop_and_curves():
    torso = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    over = annotations.backdrop(torso, np.full((1, 3, 3), 50, np.uint8))
    assert over[0].tolist() == [[200, 100, 0], [50, 50, 50], [80, 60, 40]]
    assert annotations.blink(np.array([-1.0, 0.5, 4.0])).tolist() == [0, 0.25, 1]
    levels = annotations.lips_part_levels(np.arange(101.0))
    assert levels[100].tolist() == [95, 25, 50, 75, 95]


# ------------------------------------------------------------------------------------------------- reliability of the units

TRUST = [0.9 if name in ("AU12", "AU25", "AU26", "AU45") else 0.1 for name in AU_NAMES]


def test_the_manifest_says_how_far_units_can_be_trusted(folder):
    assert AvatarDataset.open(folder).au_reliability is None and AvatarDataset.open(folder).au_source == ""
    (folder / "manifest.json").write_text(json.dumps({"fps": 25, "au_reliability": TRUST, "au_source": "points"}))
    data = AvatarDataset.open(folder)
    assert data.au_reliability == tuple(TRUST) and data.au_source == "points"
    assert np.isfinite(data.au).all(), "the table is read as it is"


@pytest.mark.parametrize("trust", [[0.5], "good", [2.0] * 17])
def test_impossible_reliabilities(folder, trust):
    (folder / "manifest.json").write_text(json.dumps({"au_reliability": trust}))
    with pytest.raises(FileFormatError, match="reliability must be 17 numbers"):
        AvatarDataset.open(folder)


def test_training_takes_doubtful_units_for_unknown():
    au = torch.rand(12, 17, generator=torch.Generator().manual_seed(0))
    clean, known, _ = clean_action_units(au, np.arange(11), TRUST)
    assert [name for name, k in zip(AU_NAMES, known) if k] == ["AU12", "AU25", "AU26", "AU45"]
    assert not clean[:, [not k for k in known]].any() and torch.equal(clean[:, list(known)], au[:, list(known)])
    assert all(clean_action_units(au, np.arange(11))[1])
    with pytest.raises(TalkingHeadsError, match="none that can be trusted"):
        clean_action_units(au, np.arange(11), [0.39] * 17)


def test_frame_numbers_are_not_believed_beyond_the_frames(folder):
    """A number far out asks for no memory: only the first numbers that are missing are told."""
    write_transforms(folder, "train", [0, 1, 20_000_000])
    (folder / "transforms_val.json").unlink()
    with pytest.raises(FileFormatError, match=r"no pose for frame 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and \d more"):
        AvatarDataset.open(folder)
    write_transforms(folder, "train", [0, 10**12])
    with pytest.raises(FileFormatError, match="a whole number in 0..100000000"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("change", [{"focal_len": "300"}, {"focal_len": 1e400}, {"frames": {}}, {"frames": [3]},
                                    {"frames": [{"img_id": 0.5, "transform_matrix": [[0] * 4] * 4}]},
                                    {"frames": [{"img_id": 0, "transform_matrix": [[0] * 4] * 3}]},
                                    {"frames": [{"img_id": 0, "transform_matrix": [[0, 0, 0, None]] * 4}]}])
def test_transforms_of_another_shape(folder, change):
    path = folder / "transforms_train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FileFormatError, match="transforms_train.json must list"):
        AvatarDataset.open(folder)


def test_files_named_by_other_digits_are_no_frames(folder):
    """str.isdigit() is true of them, and int() refuses them."""
    (folder / "ori_imgs" / "\u00b2.jpg").write_bytes(b"")
    (folder / "ori_imgs" / ("9" * 100 + ".jpg")).write_bytes(b"")
    AvatarDataset.open(folder)


@pytest.mark.parametrize("text", ['{"fps": 1e400}', '{"fps": "25"}', '{"credit": 3}', '{"masks": "no"}', "[" * 5000, "[]"])
def test_manifests_of_another_shape(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(FileFormatError, match="manifest.json must be a JSON object"):
        AvatarDataset.open(folder)


def test_a_teeth_mask_is_not_believed(folder):
    path = folder / "teeth_mask" / "0.npy"
    content = path.read_bytes()
    for old, new in ((b"(", b"(9999999999, "), (b"'descr'", b"'''"), (b"|b1", b"|O8")):
        path.write_bytes(content.replace(old, new, 1))
        with pytest.raises(FileFormatError, match="readable .npy file"):
            AvatarDataset.open(folder).frame(0)
