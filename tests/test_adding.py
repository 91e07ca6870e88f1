"""docs/adding.md is right: a stranger who copies its blocks adds an encoder and a back end, each with one file and one line."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "adding.md"
FOLDERS = ("cli", "host", "hmtalker_core", "media_core", "moditalker_core", "nodes", "training_core", "locales", "web", "demo")
BLOCK = re.compile(r"(?:`|\*\*)([\w/]+\.py)(?:`|\*\*):\n\n```(python|diff)\n(.*?)```", re.DOTALL)

USE_ENCODER = """
import numpy as np
from someones_copy.cli.main import parser
from someones_copy.media_core.audio import Sound
from someones_copy.media_core.speech import Speech, encode_speech, encoders, open_encoder
from someones_copy.nodes_menu import menu

sound = Sound(np.concatenate([np.zeros(8000), np.resize([0.1, -0.1], 8000)]).astype(np.float32)[None], 16000)
speech = open_encoder("loudness").encode(sound)
assert (speech.encoder, speech.rate, tuple(speech.features.shape)) == ("loudness", 100.0, (101, 1))
assert abs(float(speech.features[0]) + 10) < 1e-3 and abs(float(speech.features[80]) + 2) < 1e-3
assert speech.frame_windows().shape == (25, 1, 8) and float(speech.silence_row()) == -10
assert Speech.load(speech.save(r"{folder}/s.safetensors")).window == 8
assert list(encoders())[:5] == ["mel", "hubert-large-ls960-ft", "ave", "wav2vec2-base-960h", "loudness"]
assert open_encoder("mel+loudness").encode(sound).features.shape == (101, 81)
assert encode_speech(sound, "mel").encoder == "mel"
for node in ("TalkingHead_EncodeSpeech", "HMTalker_TrainAvatar", "TalkingHead_MotionDataset", "TalkingHead_LoadSpeechEncoder"):
    assert menu(node, "encoder") == ["mel", "hubert", "ave", "wav2vec2", "loudness"], node
for command in (["motion"], ["video"], ["avatar"], ["capture"], ["dataset", "motion"], ["train", "avatar"]):
    try:
        parser().parse_args([*command, "--help"])
    except SystemExit as ended:
        assert ended.code == 0
"""

USE_BACKEND = """
import torch
from someones_copy.cli.main import parser
from someones_copy.hmtalker_core.rasterizer import BACKENDS, choose_backend, drawing_device, must_compile, rasterization
from someones_copy.nodes_menu import menu

draw = torch.Generator().manual_seed(0)
scene = dict(means=torch.rand(9, 3, generator=draw) + torch.tensor([-0.5, -0.5, 3.0]), quats=torch.randn(9, 4, generator=draw),
             scales=torch.full((9, 3), 0.2), opacities=torch.full((9,), 0.7), colors=torch.rand(9, 3, generator=draw),
             viewmats=torch.eye(4)[None], Ks=torch.tensor([[[20.0, 0, 12], [0, 20, 8], [0, 0, 1]]]), width=24, height=16,
             backgrounds=torch.ones(1, 3))
image, alpha, meta = rasterization(**scene, backend="plain_torch")
exact, _, _ = rasterization(**scene, backend="reference")
assert meta["backend"] == "plain_torch" and float((image - exact).abs().max()) < 1e-4 and float(alpha.max()) > 0.5
assert BACKENDS[-1] == "plain_torch" and choose_backend("cpu")[0] == "cpu"
assert not must_compile("cpu", "plain_torch") and drawing_device(torch.device("cpu"), "plain_torch").type == "cpu"
for node in ("HMTalker_RenderAvatarVideo", "HMTalker_RenderAvatar"):
    assert menu(node, "backend") == ["auto", "cpu", "cuda_gsplat", "plain_torch", "reference", "triton"], node
assert parser().parse_args(["avatar", "a", "b", "c.mp4", "--backend", "plain_torch"]).backend == "plain_torch"
"""

MENU = """
import tempfile
from pathlib import Path

from .host.graph import Host

HOST = Host(tempfile.mkdtemp(), packs=(str(Path(__file__).resolve().parent),))


def menu(node, name):
    table = HOST.object_info([node])[node]["input"]
    return {**table["required"], **table.get("optional", {})}[name][1]["options"]
"""


def blocks(heading: str) -> list[tuple[str, str, str]]:
    """(file, kind, text) of the code blocks under a heading of the page."""
    section = PAGE.read_text("utf8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return BLOCK.findall(section)


def copied(folder: Path) -> Path:
    """The pack under another name."""
    copy = folder / "someones_copy"
    copy.mkdir()
    shutil.copy(ROOT / "__init__.py", copy)
    (copy / "nodes_menu.py").write_text(MENU)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def apply(block: tuple[str, str, str], copy: Path) -> None:
    """A block of Python is a new file; a block of a diff replaces one line of an old one."""
    path, kind, text = copy / block[0], *block[1:]
    if kind == "python":
        assert not path.exists()
        path.write_text(text, "utf8")
        return
    old, new = text.splitlines()
    source = path.read_text("utf8")
    assert source.count(old[1:]) == 1
    path.write_text(source.replace(old.removeprefix("-"), new.removeprefix("+")), "utf8")


@pytest.mark.slow
@pytest.mark.parametrize("heading, use", [("A speech encoder", USE_ENCODER), ("A rasteriser back end", USE_BACKEND)])
def test_one_file_and_one_line_are_enough(heading, use, tmp_path):
    steps = blocks(heading)
    assert [kind for _, kind, _ in steps] == ["python", "diff"]
    copy = copied(tmp_path)
    for step in steps:
        apply(step, copy)
    (tmp_path / "use.py").write_text(use.replace("{folder}", tmp_path.as_posix()), "utf8")
    done = subprocess.run([sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    if heading == "A speech encoder":
        offered = " ".join(done.stdout.split()).count("mel, hubert, ave, wav2vec2, loudness")
        assert offered == 6, "not every command that hears offers it"


def test_the_page_names_files_that_exist():
    for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|json|md))`", PAGE.read_text("utf8")):
        assert (ROOT / path).is_file(), path
