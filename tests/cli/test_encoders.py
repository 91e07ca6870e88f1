"""`--encoder` and `--layer`: names before folders, where a name needs no weights."""
from __future__ import annotations

from argparse import Namespace

import pytest
from talking_heads.cli.encoders import chosen_encoder
from talking_heads.host.workflow import WorkflowError
from talking_heads.media_core.errors import TalkingHeadsError


def test_a_folder_called_like_an_encoder_without_weights_is_not_opened(tmp_path, monkeypatch):
    for name in ("mel", "hubert"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    opened = chosen_encoder(Namespace(encoder="mel", layer=None))
    assert opened is not None and opened.facts.id == "mel"
    with pytest.raises(WorkflowError, match="--layer needs a model folder.*mel"):
        chosen_encoder(Namespace(encoder="mel", layer="3"))
    with pytest.raises(TalkingHeadsError, match="config.json"):
        chosen_encoder(Namespace(encoder="hubert", layer=None, device="cpu"))
    assert chosen_encoder(Namespace(encoder=None, layer=None)) is None
