"""Files of tracks, speech and anchors: a description or tensors that no such file has end in a clear error, never another."""
import json

import numpy as np
import pytest
import torch
from fuzz import seeds
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.face.landmarks.raw_track import RawTrack
from talking_heads.media_core.face.pose.steady import Anchors
from talking_heads.media_core.face.track import FaceTrack
from talking_heads.media_core.motion import ExpressionTrack, LandmarkTrack, PoseTrack
from talking_heads.media_core.speech import Speech

KINDS = {"landmarks": LandmarkTrack, "expression": ExpressionTrack, "pose": PoseTrack, "raw": RawTrack, "face": FaceTrack,
         "anchors": Anchors, "speech": Speech}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracks")
    seeds.tracks(folder, None)
    return folder


def rewritten(source, target, change, tensors=lambda held: None):
    with safe_open(source, "pt") as file:
        header = file.metadata()
    config, held = json.loads(header["talking_heads.config"]), load_file(source)
    config = {name: value for name, value in {**config, **change}.items() if value is not ...}
    tensors(held)
    save_file(held, target, metadata={**header, "talking_heads.config": json.dumps(config)})
    return target


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_read(whole, name):
    KINDS[name].load(whole / f"{name}.safetensors")


@pytest.mark.parametrize("name, change, told", [
    ("landmarks", {"x": 1}, "one with x"), ("landmarks", {"fps": "25"}, "'fps'"), ("landmarks", {"fps": 1e-9}, "1..1000"),
    ("landmarks", {"fps": float("nan")}, "'fps'"), ("landmarks", {"image_size": "ab"}, "'image_size'"),
    ("landmarks", {"image_size": [64, 1e300]}, "image_size"), ("landmarks", {"space": ["pixels"]}, "'space'"),
    ("expression", {"reliability": [0.5] * 16}, "a list of 17"), ("expression", {"reliability": {}}, "a list of 17"),
    ("expression", {"source": 3}, "'source'"), ("pose", {"focal": None}, "'focal'"), ("pose", {"focal": ...}, "without focal"),
    ("pose", {"image_size": [0, 5]}, "image_size"), ("raw", {"cuts": 5}, "'cuts'"), ("raw", {"cuts": [1.5]}, r"'cuts\[0\]'"),
    ("raw", {"fps": ...}, "without fps"), ("face", {"shape": {}}, "without focal"), ("face", {"landmarks": []}, "'landmarks'"),
    ("face", {"pose": ...}, "without pose"), ("anchors", {"frames": [0]}, "'landmarks'"), ("anchors", {"frames": 7}, "'frames'"),
    ("speech", {"rate": 0}, "'rate'"), ("speech", {"duration": 1e6}, "0.09 s of rows for audio of 1000000.00 s"),
    ("speech", {"encoder": ...}, "without encoder"), ("speech", {"layer": 3}, "'layer'")])
def test_descriptions_that_no_such_file_has(whole, tmp_path, name, change, told):
    path = rewritten(whole / f"{name}.safetensors", tmp_path / "odd.safetensors", change)
    with pytest.raises(FileFormatError, match=told) as error:
        KINDS[name].load(path)
    assert "odd.safetensors" in str(error.value)


@pytest.mark.parametrize("name, tensor, value, told", [
    ("landmarks", "points", None, "lacks it"), ("landmarks", "points", torch.zeros(3, 68), r"\[T, 68, 3\]"),
    ("landmarks", "points", torch.zeros(3, 68, 3, dtype=torch.float64), "float64"),
    ("pose", "camera_to_head", torch.zeros(()), "float32"),
    ("raw", "confidence", torch.zeros(2), r"\[3\]"), ("raw", "points", torch.full((3, 68, 2), torch.inf), "inf"),
    ("face", "reprojection", torch.zeros(4), r"\[3\]"), ("face", "shape", torch.full((68, 3), torch.nan), "'shape'"),
    ("anchors", "reference", torch.tensor([0, 0, 2]), "one of the 2 reference frames"),
    ("anchors", "xy", torch.zeros(2, 2), "'xy'"),
    ("speech", "silence", torch.zeros(7), "bool"), ("speech", "features", torch.full((7, 80), torch.nan), "finite")])
def test_tensors_that_no_such_file_has(whole, tmp_path, name, tensor, value, told):
    def change(held):
        held.pop(tensor) if value is None else held.update({tensor: value})

    path = rewritten(whole / f"{name}.safetensors", tmp_path / "odd.safetensors", {}, change)
    with pytest.raises(FileFormatError, match=told):
        KINDS[name].load(path)


def test_rates_that_would_ask_for_endless_memory_are_no_rates():
    for fps in (1e-9, 0.0, 1e9, float("nan"), float("inf")):
        with pytest.raises(TalkingHeadsError, match="frame rate .* in 1..1000"):
            ExpressionTrack(torch.zeros(2, 17), fps)


def test_points_of_a_raw_track_may_be_unknown(tmp_path):
    points = np.full((3, 68, 2), np.nan, np.float32)
    RawTrack(points, np.zeros(3, np.float32), (8, 8), 25.0).save(tmp_path / "a.safetensors")
    assert not RawTrack.load(tmp_path / "a.safetensors").seen.any()
