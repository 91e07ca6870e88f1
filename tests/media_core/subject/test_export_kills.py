"""A kill at any moment costs an export nothing but time. Its frames are stand-ins here: what is written when is what counts."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from crash import check_kills
from talking_heads.media_core.audio import Sound
from talking_heads.media_core.dataset_folder import verify_dataset
from talking_heads.media_core.subject import export
from talking_heads.media_core.subject.export import export_dataset
from talking_heads.media_core.subject.parameters import AU_NAMES, PARAMS
from talking_heads.media_core.subject.performance import Performance

FRAMES = 3


@pytest.fixture
def quick(monkeypatch):
    """Exports whose frames cost nothing."""
    black = np.zeros((8, 8, 4), np.uint8)
    frame = SimpleNamespace(rgb=black[..., :3], background=black[..., :3], torso=black, classes=black[..., 0],
                            teeth=black[..., 0])
    zeros = np.zeros((FRAMES, 3))
    said = Performance(Sound(np.zeros((1, 1920), np.float32), 16000), (("_", 0.0, 0.12),), ("Nothing",),
                       np.zeros((FRAMES, len(PARAMS))), np.zeros((FRAMES, len(AU_NAMES))), zeros, zeros, zeros[:, :2], 25.0,
                       "formant")
    subject = SimpleNamespace(render=lambda *_: frame, pose=lambda *_: None, intrinsics=np.eye(3))
    truth = export._Truth(np.zeros((FRAMES, 68, 2)), np.zeros((FRAMES, 68, 3)), np.stack([np.eye(3)] * FRAMES), zeros)
    for name, value in (("perform", said), ("Subject", subject), ("_truth", truth)):
        monkeypatch.setattr(export, name, lambda *_, value=value, **__: value)


def test_an_export_that_was_killed_goes_on_to_an_equal_end(quick, tmp_path, monkeypatch):
    check_kills(lambda folder: export_dataset(folder, 0.12, 3, size=64), tmp_path / "kills", monkeypatch, first=12, further=6)
    assert verify_dataset(tmp_path / "kills" / "6" / "set")["frames"] == FRAMES


def test_an_export_of_other_settings_that_was_killed_goes_on_too(quick, tmp_path, monkeypatch):
    """The folder then holds another export, whose parts are on their way out."""
    def make(folder):
        if not (folder / "request.json").exists():
            export_dataset(folder, 0.12, 1, size=96)
        export_dataset(folder, 0.12, 3, size=64)
    check_kills(make, tmp_path / "kills", monkeypatch, first=2, further=8)
