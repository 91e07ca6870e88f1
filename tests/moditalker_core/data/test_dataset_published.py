"""The layouts of others: GeneFace's binaries of LRS3 and MoDiTalker's frames of HDTF become motion datasets."""
from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from talking_heads.cli.main import FAILED, OK, USAGE, main
from talking_heads.media_core.audio import Sound, save_wav
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.pose.canonical import mean_face
from talking_heads.moditalker_core.atom.config import SpeechInput
from talking_heads.moditalker_core.atom.windows import Clips
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.from_geneface import START, Items, build_from_geneface, poses_of
from talking_heads.moditalker_core.data.from_hdtf import build_from_hdtf, rigid
from talking_heads.moditalker_core.mtov.dataset import VideoWindows, WindowSettings
from talking_heads.moditalker_core.mtov.model import RasterSettings

SIDE = 64


def item(number: int, frames: int = 9) -> dict:
    random = np.random.default_rng(number)
    coefficients = np.zeros((frames, 257), np.float32)
    coefficients[:, 224:227], coefficients[:, 254:257] = 0.1 * random.standard_normal((frames, 3)), [0.1, -0.2, 0.3]
    return {"item_id": f"spk{number}_1", "spk_id": f"spk{number}",
            "hubert": random.standard_normal((2 * frames, 1024), np.float32),
            "idexp_lm3d": 0.1 * random.standard_normal((frames, 68, 3), np.float32), "coeff": coefficients,
            "mel": np.zeros((2 * frames, 80), np.float32), "f0": np.zeros(2 * frames)}


def write_binary(path: Path, items: list, packed: bool = False, beside: bool = False, meta: dict | None = None) -> None:
    blobs = [pickle.dumps(one) for one in items]
    blobs = [gzip.compress(blob, 1) for blob in blobs] if packed else blobs
    start = 0 if beside else START
    offsets = np.cumsum([start, *map(len, blobs)]).tolist()
    meta = meta or {"chunk_begin": [0], "gzip": packed}
    index = {"offsets": offsets, "id2pos": {i: i for i in range(len(items))}, "meta": meta}
    with path.open("wb") as file:
        if beside:
            np.save(path.with_suffix(".idx"), np.array(index, dtype=object), allow_pickle=True)
            path.with_suffix(".idx.npy").rename(path.with_suffix(".idx"))
        else:
            told = pickle.dumps(index)
            file.write(len(told).to_bytes(32, "little") + told)
        file.seek(start)
        file.write(b"".join(blobs))


@pytest.mark.parametrize("packed, beside", [(False, False), (True, False), (False, True)])
def test_geneface_binaries(tmp_path, packed, beside):
    (tmp_path / "lrs3").mkdir()
    write_binary(tmp_path / "lrs3" / "train.data", [item(0), item(1, 12), {"item_id": "bad"}], packed, beside)
    write_binary(tmp_path / "lrs3" / "val.data", [item(2)], packed, beside)
    data = MotionDataset.open(build_from_geneface(tmp_path / "lrs3", tmp_path / "d"))
    data.verify()
    assert [(clip.frames, clip.identity, clip.split) for clip in data.clips] == [(9, "spk0", "train"), (12, "spk1", "train"),
                                                                                 (9, "spk2", "val")]
    assert (data.format.encoder, data.format.rate, data.format.dim, data.fps) == ("hubert-large-ls960-ft", 50, 1024, 25)
    assert [left["source"] for left in data.skipped] == ["train.data:2"] and "hubert" in data.skipped[0]["reason"]
    truth, clips = item(1, 12), Clips(data, "train", SpeechInput(), 12, torch.from_numpy(mean_face()))
    assert np.allclose(clips[1].motion.numpy(), truth["idexp_lm3d"].reshape(12, -1), atol=1e-4), "AToM gets them as they are"
    assert np.allclose(data.speech(1).features.numpy(), truth["hubert"], atol=2e-3)


def test_a_3dmms_pose_shows_points_where_it_puts_them():
    angles, shift, points = np.array([[0.2, -0.3, 0.1]]), np.array([[0.4, -0.1, 0.6]]), mean_face().astype(np.float64)
    c, s = np.cos(angles[0]), np.sin(angles[0])
    x = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    posed = points @ (z @ y @ x).T + shift
    wanted = 112 + 1015 * posed[:, :2] / (10 - posed[:, 2:])
    track = poses_of(angles, shift)
    to_camera = np.linalg.inv(track.camera_to_head[0].double().numpy())
    seen = (points / 10) @ to_camera[:3, :3].T + to_camera[:3, 3]
    assert np.allclose(112 + track.focal * seen[:, :2] / -seen[:, 2:], wanted, atol=1e-3)
    turns, shifts = rigid(points[None].astype(np.float32), posed[None].astype(np.float32))
    assert np.allclose(points @ turns[0] + shifts[0], posed, atol=1e-5)


@pytest.mark.parametrize("write, words", [
    (lambda path: path.write_bytes(b""), "length of its index"),
    (lambda path: path.write_bytes((50).to_bytes(32, "little") + b"x" * 90), "must be whole"),
    (lambda path: write_binary(path, [item(0)], meta={"chunk_begin": [0, 5]}), "in one file"),
    (lambda path: (write_binary(path, [item(0)]), path.write_bytes(path.read_bytes()[:-50])), "where its clips stand"),
])
def test_binaries_that_are_none(tmp_path, write, words):
    write(tmp_path / "train.data")
    with pytest.raises(FileFormatError, match=words):
        Items.open(tmp_path / "train.data")
    with pytest.raises(FileFormatError, match="train.data"):
        build_from_geneface(tmp_path / "absent", tmp_path / "d")


def write_hdtf(root: Path, name: str, frames: int = 6, low: float = 0.0, detected: bool = False, audio: bool = False) -> None:
    folder = root / "frames" / name
    folder.mkdir(parents=True)
    plain = np.repeat(mean_face()[None], frames, 0)
    plain[:, 60:68, 1] -= 0.02 * np.arange(frames)[:, None]
    turn = cv2.Rodrigues(np.array([0.0, 0.2, 0.0]))[0]
    posed = plain @ turn + [0, 0, 0.5]
    pixels = posed[..., :2] * [14, -14] + SIDE / 2
    parts = {"face-centric/unposed": plain, "face-centric/posed": posed, "non-face-centric/posed": pixels + [0, low]}
    parts |= {"fa": pixels} if detected else {}
    for i in range(frames):
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), np.full((SIDE, SIDE, 3), (30, 90, 200), np.uint8))
        for kind, values in parts.items():
            (root / "keypoints" / kind / name).mkdir(parents=True, exist_ok=True)
            np.save(root / "keypoints" / kind / name / f"{i:05d}.npy", values[i].astype(np.float32))
    if audio:
        (root / "audio").mkdir(exist_ok=True)
        wave = np.random.default_rng(0).standard_normal((1, 16000 * frames // 25)).astype(np.float32)
        save_wav(root / "audio" / f"{name}.wav", Sound(0.1 * wave, 16000))


def test_hdtfs_frames_and_keypoints(tmp_path):
    """A script that puts landmarks too low, a detector beside it, no such detector, and sound."""
    write_hdtf(tmp_path / "hdtf", "a")
    write_hdtf(tmp_path / "hdtf", "b", low=SIDE - 3, detected=True)
    write_hdtf(tmp_path / "hdtf", "c", low=SIDE - 3)
    write_hdtf(tmp_path / "hdtf", "d", frames=9, audio=True)
    data = MotionDataset.open(build_from_hdtf(tmp_path / "hdtf", tmp_path / "d", 32))
    data.verify()
    assert [(clip.identity, clip.frames, bool(clip.facts.get("mute"))) for clip in data.clips] == \
        [("a", 6, True), ("b", 6, True), ("d", 9, False)]
    assert [left["source"] for left in data.skipped] == ["c"] and "61 px too low" in data.skipped[0]["reason"]
    assert torch.allclose(data.pixels(0), data.pixels(1)) and data.frames_of(0).shape == (6, 32, 32, 3)
    assert np.abs(data.frames_of(0).mean((0, 1, 2)) - (200, 90, 30)).max() < 3, "red, green, blue"
    batch = VideoWindows(data, "train", WindowSettings(4, 32, RasterSettings(32, 1, 1))).batch(0, [0, 1])
    assert batch.frames.shape == (2, 3, 4, 32, 32)
    with pytest.raises(TalkingHeadsError, match="masks"):
        data.masks(0)
    with pytest.raises(TalkingHeadsError, match="none with speech in its split 'train'"):
        Clips(data, "train", SpeechInput("mel", "last", 80.0, 80), 4, torch.from_numpy(mean_face()))


def test_by_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_hdtf(tmp_path / "hdtf", "a")
    write_hdtf(tmp_path / "hdtf", "b")
    assert main(["dataset", "motion", "out", "--hdtf", "hdtf"]) == USAGE and "--frames 128" in capsys.readouterr().err
    assert main(["dataset", "motion", "out", "--hdtf", "hdtf", "--frames", "32"]) == OK
    assert "2 clips (1 train, 1 val)" in capsys.readouterr().out
    assert main(["dataset", "motion", "other", "--geneface", "hdtf"]) == FAILED and "train.data" in capsys.readouterr().err
    (tmp_path / "lrs3").mkdir()
    write_binary(tmp_path / "lrs3" / "train.data", [item(0)])
    assert main(["dataset", "motion", "lrs", "--geneface", "lrs3"]) == OK
    assert "hubert-large-ls960-ft" in capsys.readouterr().out
