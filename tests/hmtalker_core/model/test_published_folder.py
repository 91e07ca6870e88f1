"""Folders as the published preprocessing of TalkingGaussian, ER-NeRF and their relatives writes them: opened as they are, or
refused with what is missing (docs/hmtalker.md#dataset-layout)."""
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from talking_heads.hmtalker_core.data.dataset import AvatarDataset
from talking_heads.hmtalker_core.training.batches import open_clip
from talking_heads.media_core.audio import Sound, load_sound, save_wav
from talking_heads.media_core.errors import FileFormatError
from talking_heads.media_core.motion import AU_NAMES
from talking_heads.media_core.progress import silent
from talking_heads.media_core.speech import encode_speech

COUNT, SIDE = 22, 32
OLD, NEW = ", ", ","  # OpenFace's separators: builds before and after its recorder was rewritten


def openface(separator: str, count: int = COUNT) -> str:
    """A whole FeatureExtraction table: what stands around the action units too."""
    start = ["frame", *(["face_id"] if separator == NEW else []), "timestamp", "confidence", "success"]
    gaze = [f"gaze_{i}_{axis}" for i in (0, 1) for axis in "xyz"] + ["pose_Tx", "pose_Ty", "pose_Tz"]
    marks = [f"x_{i}" for i in range(68)] + [f"y_{i}" for i in range(68)]
    present = [f"{name}_c" for name in (*AU_NAMES[:-1], "AU28", AU_NAMES[-1])]
    lines = [separator.join([*start, *gaze, *marks, *(f"{name}_r" for name in AU_NAMES), *present])]
    for i in range(count):
        head = [str(i + 1), *(["0"] if separator == NEW else []), f"{i / 25:.3f}", "0.98", "1"]
        cells = [*head, *["0.10"] * len(gaze), *["12.5"] * len(marks), *(f"{(i + k) % 5:.2f}" for k in range(17)), *["1.00"] * 18]
        lines.append(separator.join(cells))
    return "\r\n".join(lines) + "\r\n"


def published(folder, *, separator=OLD, teeth=True):
    for name in ("ori_imgs", "gt_imgs", "parsing", "torso_imgs", *(["teeth_mask"] if teeth else [])):
        (folder / name).mkdir(parents=True)
    labels = np.full((SIDE, SIDE, 3), 255, np.uint8)
    labels[4:10, 8:24], labels[10:22, 8:24], labels[22:26, 12:20], labels[26:] = (0, 0, 0), (0, 0, 255), (0, 255, 0), (255, 0, 0)
    labels[18:20, 13:19] = (100, 100, 100)
    for i in range(COUNT):
        picture = Image.fromarray(np.full((SIDE, SIDE, 3), 5 * i, np.uint8))
        picture.save(folder / f"ori_imgs/{i}.jpg", quality=95), picture.save(folder / f"gt_imgs/{i}.jpg", quality=95)
        Image.fromarray(labels).save(folder / f"parsing/{i}.png")
        Image.fromarray(np.full((SIDE, SIDE, 4), 80, np.uint8)).save(folder / f"torso_imgs/{i}.png")
        np.savetxt(folder / f"ori_imgs/{i}.lms", 8 + 16 * np.random.default_rng(i).random((68, 2)), "%f")
        if teeth:
            np.save(folder / f"teeth_mask/{i}.npy", np.zeros((SIDE, SIDE), bool))
    Image.fromarray(np.full((SIDE, SIDE, 3), 200, np.uint8)).save(folder / "bc.jpg")
    save_wav(folder / "aud.wav", Sound(np.full((1, COUNT * 640), 0.1, np.float32), 16000))
    for name, shape in (("aud_ds", (COUNT, 16, 29)), ("aud_eo", (COUNT, 16, 44)), ("aud_hu", (COUNT, 2, 1024))):
        np.save(folder / f"{name}.npy", np.zeros(shape, np.float32))
    (folder / "track_params.pt").write_bytes(b"a pickle that nobody opens")
    (folder / "au.csv").write_bytes(openface(separator).encode())
    frames = [{"img_id": i, "aud_id": i, "transform_matrix": np.eye(4).tolist()} for i in range(COUNT)]
    for name, part in (("train", frames[:20]), ("val", frames[20:])):
        (folder / f"transforms_{name}.json").write_text(json.dumps(
            {"focal_len": 70.0, "cx": SIDE / 2, "cy": SIDE / 2, "frames": part}))
    return folder


@pytest.mark.parametrize("separator", [OLD, NEW])
@pytest.mark.parametrize("teeth", [True, False])
def test_it_is_ready_for_training_as_it_is(tmp_path, separator, teeth):
    data = AvatarDataset.open(published(tmp_path / "may", separator=separator, teeth=teeth))
    assert (len(data), data.fps, data.focal) == (COUNT, 25, 70) and data.val_index.tolist() == [20, 21]
    assert data.au[3].tolist() == [(3 + k) % 5 for k in range(17)] and data.au_reliability is None
    frame = data.frame(7)
    assert frame.face_mask.sum() == 12 * 16 - 12 and frame.mouth_mask.sum() == 12 and frame.hair_mask.sum() == 6 * 16
    clip = open_clip(data, "mel", torch.device("cpu"), silent)
    assert all(clip.au_known) and clip.features.shape[0] == COUNT


def test_a_frame_that_lost_its_landmarks_is_named(tmp_path):
    """The published tracker leaves such frames out and numbers the rest anew: later poses then belong to other pictures."""
    folder = published(tmp_path / "may")
    (folder / "ori_imgs/9.lms").unlink()
    with pytest.raises(FileFormatError, match=r"ori_imgs.*frame 9"):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("break_it, word", [
    (lambda f: (f / "au.csv").write_bytes(openface(OLD, COUNT - 4).encode()), "22 frames.*18 rows"),
    (lambda f: (f / "au.csv").unlink(), "lacks au.csv"),
    (lambda f: (f / "aud.wav").rename(f / "aud.mp3"), "lacks aud.wav"),
    (lambda f: shutil.rmtree(f / "parsing"), "lacks parsing"),
    (lambda f: shutil.rmtree(f / "torso_imgs"), "lacks torso_imgs"),
    (lambda f: (f / "bc.jpg").unlink(), "lacks bc.jpg"),
    (lambda f: (f / "transforms_train.json").unlink(), "lacks transforms_train.json"),
    (lambda f: (f / "transforms_val.json").write_text((f / "transforms_train.json").read_text()), "several for frame 0"),
    (lambda f: (f / "teeth_mask/4.npy").unlink(), "teeth_mask.*frame 4"),
])
def test_what_is_missing_is_named(tmp_path, break_it, word):
    folder = published(tmp_path / "may")
    break_it(folder)
    with pytest.raises(FileFormatError, match=word):
        AvatarDataset.open(folder)


@pytest.mark.parametrize("sound_frames, good", [([*range(10), *range(14, 26)], True), ([*range(10), *range(9, 21)], False)])
def test_frames_left_out_of_the_picture_but_not_of_the_sound(tmp_path, sound_frames, good):
    folder = published(tmp_path / "may")
    for name in ("train", "val"):
        table = json.loads((folder / f"transforms_{name}.json").read_text())
        for frame in table["frames"]:
            frame["aud_id"] = sound_frames[frame["img_id"]]
        (folder / f"transforms_{name}.json").write_text(json.dumps(table))
    if not good:
        with pytest.raises(FileFormatError, match="aud_id.*frame 10"):
            AvatarDataset.open(folder)
        return
    wave = np.linspace(-0.5, 0.5, 26 * 640, dtype=np.float32) * np.sin(np.arange(26 * 640) / 3).astype(np.float32)
    save_wav(folder / "aud.wav", Sound(wave[None], 16000))
    data = AvatarDataset.open(folder)
    clip = open_clip(data, "mel", torch.device("cpu"), silent)
    assert data.sound_index.tolist() == sound_frames and clip.features.shape[0] == 26
    assert torch.equal(clip.windows(torch.tensor([10, 21])), torch.stack([clip.features[10:18], heard_behind(data, 21)]))
    save_wav(folder / "aud.wav", Sound(wave[None, :8 * 640], 16000))
    with pytest.raises(ValueError, match="as long as its 26 frames"):
        open_clip(AvatarDataset.open(folder), "mel", torch.device("cpu"), silent)


def heard_behind(data, first):
    """Eight frames of a sound that ends before: what is heard there is real silence, which mel writes as -4."""
    rows = encode_speech(load_sound(data.sound_path), "mel").frame_windows(25.0, first, first + 8)
    assert (rows[-1, :, 2:] == -4).all(), "but for the first rows, which still hear the end"
    return rows
