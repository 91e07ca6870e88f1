"""Files are whole or absent, and say what they are."""
import os
import resource
import signal

import pytest
import torch
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.files import Stored, atomic_path, load_tensors, save_tensors, stored_rows


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.safetensors"
    return save_tensors(path, {"x": torch.arange(5.0)}, kind="avatar", version=2, config={"n": [1, 2]})


def test_round_trip(saved):
    tensors, config = load_tensors(saved, kind="avatar", version=2)
    assert torch.equal(tensors["x"], torch.arange(5.0)) and config == {"n": [1, 2]}
    load_tensors(saved, kind="avatar", version=3)  # an older file is read


def test_what_is_read_lies_in_memory_as_what_was_made(tmp_path):
    """A file maps its tensors wherever they happen to stand in it; there the same kernels round otherwise."""
    made = {name: torch.rand(n) for name, n in (("a", 3), ("b", 7), ("c", 31))}
    path = save_tensors(tmp_path / "a.safetensors", made, kind="avatar", version=1, config={})
    tensors, _ = load_tensors(path, kind="avatar", version=1)
    assert all(value.data_ptr() % 64 == torch.empty(64).data_ptr() % 64 == 0 for value in tensors.values())
    save_tensors(path, {"a": torch.zeros(3)}, kind="avatar", version=1, config={})  # nor does what was read follow the file
    assert tensors["a"].any()


@pytest.mark.parametrize("damage, word", [(lambda b: b[:40], "whole"), (lambda b: b"", "whole"),
                                          (lambda b: b"GIF89a" * 30, "whole")])
def test_damaged_files_say_so(saved, damage, word):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(FileFormatError, match=word):
        load_tensors(saved, kind="avatar", version=2)


def test_foreign_kind_newer_and_absent(saved, tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(FileFormatError, match="kind 'avatar'"):
        load_tensors(saved, kind="speech", version=2)
    with pytest.raises(FileFormatError, match="Update Talking Heads"):
        load_tensors(saved, kind="avatar", version=1)
    with pytest.raises(FileFormatError, match="must exist"):
        load_tensors(tmp_path / "none.safetensors", kind="avatar", version=2)
    save_file({"x": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(FileFormatError, match="no Talking Heads header"):
        load_tensors(tmp_path / "plain.safetensors", kind="avatar", version=2)


def test_interrupted_writing_leaves_the_old_file(saved, tmp_path):
    before = saved.read_bytes()
    with pytest.raises(KeyboardInterrupt), atomic_path(saved) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert saved.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [saved.name]


def test_full_disk_keeps_the_old_file(saved, tmp_path):
    """A real limit of the operating system: no file of this process may grow past 64 KiB."""
    before, limits = saved.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
    try:
        with pytest.raises(TalkingHeadsError, match="Free some space"):
            save_tensors(saved, {"x": torch.zeros(100000)}, kind="avatar", version=2, config={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert saved.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [saved.name]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_files_are_as_readable_as_any_other_of_the_user(tmp_path):
    with atomic_path(tmp_path / "ours") as temporary:
        temporary.write_text("x")
    (tmp_path / "any").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_tensor_files_are_as_readable_as_any(tmp_path):
    path = save_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2)}, kind="x", version=1, config={})
    (tmp_path / "any").write_text("x")
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode


def test_equal_content_gives_equal_bytes(tmp_path):
    tensors = {"b": torch.arange(5), "a": torch.rand(3, 4)}
    for i in range(6):
        save_tensors(tmp_path / f"{i}.safetensors", tensors, kind="x", version=1, config={"ä\n\"": "ü\u2028", "n": 1.5})
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(6)}) == 1
    assert load_tensors(tmp_path / "0.safetensors", kind="x", version=1)[1]["n"] == 1.5


def test_tensors_that_are_files_are_copied_in(tmp_path):
    """Odd lengths and every width of numbers: what is wide still begins where its kind may."""
    blob = tmp_path / "blob"
    blob.write_bytes(bytes(range(251)))
    tensors = {"c.flag": torch.tensor([True, False, True]), "b.half": torch.randn(3, 1).half(), "empty": torch.zeros(0, 4),
               "ends": torch.tensor([0, 251]), "long": torch.randn(5, dtype=torch.float64), "single": torch.randn(2, 3).T}
    path = save_tensors(tmp_path / "a.safetensors", {"a.blob": blob, **tensors}, kind="shard", version=1, config={"n": 1})
    read, config = load_tensors(path, kind="shard", version=1)
    assert read.pop("a.blob").tolist() == list(range(251)) and config == {"n": 1}
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in tensors.items())
    turned = {"a.blob": blob, **dict(reversed(tensors.items()))}
    again = save_tensors(tmp_path / "b.safetensors", turned, kind="shard", version=1, config={"n": 1})
    assert again.read_bytes() == path.read_bytes()


def test_a_file_that_is_gone_leaves_none(tmp_path):
    with pytest.raises(TalkingHeadsError, match="shard file must fit"):
        save_tensors(tmp_path / "a.safetensors", {"blob": tmp_path / "none"}, kind="shard", version=1, config={})
    assert not list(tmp_path.iterdir())


def test_tensors_that_share_memory_are_written_each(tmp_path):
    """As state dicts of others may hold them: safetensors refuses those."""
    whole = torch.arange(6.0)
    path = save_tensors(tmp_path / "a.safetensors", {"a": whole, "b": whole, "c": whole[2:4], "d": torch.zeros(0)}, kind="avatar",
                        version=1, config={})
    tensors, _ = load_tensors(path, kind="avatar", version=1)
    assert tensors["b"].tolist() == whole.tolist() and tensors["c"].tolist() == [2, 3] and tensors["d"].numel() == 0


def test_a_tensor_stored_in_a_file_gives_the_same_file(tmp_path):
    mesh, points = torch.randn(9, 4, 3), torch.randn(9, 2)
    (tmp_path / "rows").write_bytes(mesh.numpy().tobytes())
    plain = save_tensors(tmp_path / "plain", {"points": points, "mesh": mesh}, kind="k", version=1, config={"a": "ü"})
    stored = save_tensors(tmp_path / "stored", {"points": points, "mesh": Stored(tmp_path / "rows", torch.float32, (9, 4, 3))},
                          kind="k", version=1, config={"a": "ü"})
    assert plain.read_bytes() == stored.read_bytes()
    assert torch.equal(stored_rows(stored, "mesh", slice(2, 5)), mesh[2:5]) and stored_rows(stored, "other", slice(1)) is None
    (tmp_path / "short").write_bytes(stored.read_bytes()[:-5])
    with pytest.raises(FileFormatError, match="short cannot be read"):
        stored_rows(tmp_path / "short", "mesh", slice(2))
