"""The list of faces that shipped weights may learn from, and the command that collects them."""
from __future__ import annotations

import json

import pytest
import skimage
from talking_heads.weights.base_faces import LIST, base_faces, found


def test_every_face_names_its_source_and_licence():
    sources = json.loads(LIST.read_text(encoding="utf-8"))["sources"]
    faces = base_faces()
    assert len({face.name for face in faces}) == len({face.sha256 for face in faces}) == len(faces) > 180
    assert {face.source for face in faces} == set(sources)
    assert all(len(face.sha256) == 64 and face.shows for face in faces)
    assert all({"kind", "version", "licence", "why"} == set(source) for source in sources.values())
    assert 0 < sum(face.held_out for face in faces) < len(faces) / 4


def test_files_are_found_by_what_they_hold(tmp_path):
    from pathlib import Path

    portrait = Path(skimage.__file__).parent / "data" / "astronaut.png"
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "another name.PNG").write_bytes(portrait.read_bytes())
    (tmp_path / "deeper" / "twice.png").write_bytes(portrait.read_bytes())
    (tmp_path / "astronaut.png").write_bytes(b"something else")
    pairs = list(found(base_faces(), [tmp_path]))
    assert [(face.name, path.name) for face, path in pairs] == [("eileen-collins", "another name.PNG")]


def test_missing_faces_are_named(tmp_path, monkeypatch, capsys):
    from talking_heads.weights import base_faces as command

    monkeypatch.setattr("sys.argv", ["base_faces", str(tmp_path / "faces")])
    with pytest.raises(SystemExit, match="Not found in the folders given: grace-hopper, female-00"):
        command.main()
    assert [path.name for path in (tmp_path / "faces").iterdir()] == ["eileen-collins.png"]
    assert "1 of 165 faces" in capsys.readouterr().out
