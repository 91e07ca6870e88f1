"""Published files, as torch.save writes them, to the files that evaluate reads; from the command line too."""
from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from talking_heads.cli.main import FAILED, OK, main
from talking_heads.media_core.errors import FileFormatError, TalkingHeadsError
from talking_heads.media_core.metrics.identity import ArcFace
from talking_heads.media_core.metrics.weights import Weights
from talking_heads.moditalker_core.metric_import import import_metric


@pytest.fixture
def backbone(tmp_path):
    path = tmp_path / "backbone.pth"
    torch.save(ArcFace((1, 1, 1, 1)).state_dict(), path)
    return path


def test_a_published_file_is_imported(backbone, tmp_path, capsys):
    out = tmp_path / "models" / "talking_heads" / "metrics" / "arcface.safetensors"
    assert main(["import", "metric", "arcface", str(backbone), str(out), "--licence", "mine"]) == OK
    assert str(out) in capsys.readouterr().out
    assert load_file(out).keys() == torch.load(backbone, weights_only=True).keys()
    assert Weights.found([tmp_path / "models" / "talking_heads"]).arcface()(torch.zeros(1, 3, 112, 112)).shape == (1, 512)


def test_other_files_are_refused(backbone, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    with pytest.raises(FileFormatError, match="SyncNet"):
        import_metric("syncnet", [backbone], out)
    with pytest.raises(TalkingHeadsError, match="alexnet-owt-7be5be79.pth and alex.pth"):
        import_metric("lpips", [backbone], out)
    with pytest.raises(TalkingHeadsError, match="'vgg'"):
        import_metric("vgg", [backbone], out)
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(FileFormatError, match="insightface, arcface_torch's backbone.pth"):
        import_metric("arcface", [tmp_path / "text.pth"], out)
    assert main(["import", "metric", "arcface", str(tmp_path / "none.pth"), str(out)]) == FAILED and not out.exists()
    assert "no file at" in capsys.readouterr().err
