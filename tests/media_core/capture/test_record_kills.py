"""A kill at any moment while a capture is begun costs nothing but time."""
from __future__ import annotations

import pytest
from crash import check_kills
from talking_heads.media_core.capture.record import Record
from talking_heads.media_core.dataset_folder import write_bytes, write_json
from talking_heads.media_core.errors import TalkingHeadsError


def captured(folder, name="me.mp4", size=96):
    """The frame of a capture: two stages that write a file each, and the manifest."""
    record = Record.open(folder, "fingerprint", name)
    if record.pending("track", {"size": size}):
        write_bytes(folder / "raw_track.safetensors", b"%d" % size)
        record.finish("track")
    if record.pending("frames", {}, "track", frames=2):
        for i in range(2):
            (folder / "ori_imgs").mkdir(exist_ok=True)
            write_bytes(folder / f"ori_imgs/{i}.jpg", b"%d" % i)
        record.finish("frames", 2)
    write_json(folder / "manifest.json", {"size": size})


def test_a_capture_that_was_killed_goes_on_to_an_equal_end(tmp_path, monkeypatch):
    check_kills(captured, tmp_path / "kills", monkeypatch, first=12, further=6)


def test_one_of_other_settings_that_was_killed_goes_on_too(tmp_path, monkeypatch):
    def twice(folder):
        if not folder.exists():
            captured(folder, size=64)
        captured(folder)
    check_kills(twice, tmp_path / "kills", monkeypatch, first=2, further=10)


def test_files_of_others_are_left_alone(tmp_path):
    for name in ("letter.txt", "pictures/x.jpg"):
        folder = tmp_path / name.partition(".")[0].partition("/")[0]
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"")
        with pytest.raises(TalkingHeadsError, match="other files"):
            captured(folder)
