"""The index and the shards of a motion data set are checked before they are used."""
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from talking_heads.media_core.errors import FileFormatError
from talking_heads.moditalker_core.data.dataset import MotionDataset
from talking_heads.moditalker_core.data.dataset_writer import ShardWriter
from video_data import make_video_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_video_dataset(tmp_path_factory.mktemp("motion") / "data", (6, 5), val=1)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")


def clip(**changes):
    def change(index):
        index["clips"][0] |= changes
    return change


def entry(name, value):
    def change(index):
        index[name] = value
    return change


@pytest.mark.parametrize("change, told", [
    (clip(shard="../s0.safetensors"), "without folders"), (clip(shard=3), "shard"), (clip(frames="6"), "frames"),
    (clip(frames=0), "frames"), (clip(frames=10**12), "frames"), (clip(seconds=None), "seconds"), (clip(seconds=1e9), "seconds"),
    (clip(seconds=60.0), "0.24 s of rows for audio of 60.00 s"), (clip(split="test"), "one of train, val"),
    (clip(more=1), "one with more"),
    (clip(camera=[1]), "camera"), (clip(camera={"focal": "a", "size": [1, 1]}), "focal"),
    (clip(camera={"focal": 1.0, "size": 5}), "size"), (clip(camera={"size": [8, 8]}), "focal"),
    (clip(facts=None), "facts"), (clip(facts={"pictures": {"size": "32"}}), "size"), (clip(facts={"pictures": 32}), "pictures"),
    (clip(name={}), "name"), (clip(identity=[]), "identity"), (clip(name="c1"), "name of its own"), (entry("fps", "25"), "fps"),
    (entry("fps", 1e-9), "fps"), (entry("speech", {"encoder": "mel"}), "speech"), (entry("clips", {}), "clips"),
    (entry("speech", {"encoder": "mel", "layer": "last", "rate": 80.0, "dim": 10**9}), "dim"),
    (entry("checksums", []), "checksums"),
    (entry("checksums", {"../x": "a"}), "without folders"), (entry("skipped", 7), "skipped")])
def test_indices_that_are_garbled(folder, change, told):
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(FileFormatError, match="index.json lacks or garbles") as error:
        MotionDataset.open(folder)
    assert told in str(error.value) and "Delete it and build" in str(error.value)


def read_all(folder):
    data = MotionDataset.open(folder)
    data.speech(0), data.landmarks(0), data.poses(0), data.pixels(0), data.frames_of(0), data.masks(0)


@pytest.mark.parametrize("part, change", [
    ("speech", lambda x: x[:, :7]), ("speech", lambda x: x.long()), ("speech", lambda x: torch.zeros(())),
    ("silence", lambda x: x.float()),
    ("landmarks", lambda x: x[..., :2]), ("landmarks", lambda x: x.double()), ("poses", lambda x: x.flatten(1)),
    ("pixels", lambda x: x[0]),
    ("frame_offsets", lambda x: x.flip(0)), ("frame_offsets", lambda x: x + 10**9), ("frame_offsets", lambda x: -x),
    ("frame_offsets", lambda x: x.float()),
    ("mask_offsets", lambda x: x[:, None]), ("frames", lambda x: x[:-1]), ("masks", lambda x: x.to(torch.int8)),
    ("frames", lambda x: x * 0)])
def test_shards_that_are_garbled(folder, part, change):
    path = folder / "shards" / "s0.safetensors"
    tensors = load_file(path)
    tensors[f"c0.{part}"] = change(tensors[f"c0.{part}"]).contiguous()
    save_file(tensors, path)
    with pytest.raises(FileFormatError, match="motion dataset"):
        read_all(folder)


def test_whole_ones_are_read_and_kept(folder):
    read_all(folder)
    writer = ShardWriter(folder, {"kind": "other", "lengths": [6, 5], "seed": 0} | {"kind": "test"})
    assert writer.finished and not (folder / "shards" / "x").exists()


def test_a_shard_with_another_description_is_made_again(folder):
    from safetensors import safe_open

    (folder / "index.json").unlink()
    writer, made = ShardWriter(folder, {"kind": "test"}), {"seed": 0, "number": 0}
    assert writer.keeps("s0.safetensors", made)
    path = folder / "shards" / "s0.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    config = json.loads(header["talking_heads.config"]) | {"clips": [{"name": 3}]}
    save_file(load_file(path), path, metadata={**header, "talking_heads.config": json.dumps(config)})
    assert not ShardWriter(folder, {"kind": "test"}).keeps("s0.safetensors", made)
