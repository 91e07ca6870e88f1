"""The command that converts silero-vad's weights: records by number, and only of the file it knows."""
import io
import sys
import zipfile

import numpy as np
import pytest
import torch
from talking_heads.media_core.speech.voice_activity import load_voice_net
from talking_heads.weights import make_voice_activity as made


def archive(state) -> bytes:
    """A TorchScript archive as far as the command reads one."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as records:
        for number, name in enumerate(made.ORDER):
            records.writestr(made.RECORDS.format(made.FIRST + number), state[name].numpy().astype("<f4").tobytes())
        records.writestr("VADr_v6_10_25_noths_re/data.pkl", b"never read")
    return data.getvalue()


def test_records_find_their_names():
    state = load_voice_net().state_dict()
    found = made.tensors(archive(state))
    assert found.keys() == state.keys() and all(torch.equal(found[name], value) for name, value in state.items())
    state["out.bias"] = torch.zeros(2)
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        made.tensors(archive(state))


def test_another_file_is_refused(tmp_path, monkeypatch):
    wheel = tmp_path / "silero_vad-9.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(made.MODEL, archive(load_voice_net().state_dict()))
    monkeypatch.setattr(sys, "argv", ["make", str(wheel), "--out", str(tmp_path / "out.safetensors")])
    with pytest.raises(SystemExit, match=r"another one than that of silero-vad 6\.2\.3"):
        made.main()
    assert not (tmp_path / "out.safetensors").exists()


def test_the_known_file_gives_the_shipped_weights(tmp_path, monkeypatch):
    package = pytest.importorskip("silero_vad", reason="the package silero-vad is not installed")
    from pathlib import Path

    wheel = tmp_path / "silero_vad.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.write(Path(package.__file__).parent / "data" / "silero_vad.jit", made.MODEL)
    monkeypatch.setattr(sys, "argv", ["make", str(wheel), "--out", str(tmp_path / "out.safetensors")])
    made.main()
    assert (tmp_path / "out.safetensors").read_bytes() == made.SHIPPED.read_bytes()
    assert np.isfinite(load_voice_net(tmp_path / "out.safetensors").out.bias.numpy()).all()
