"""The pack where libraries are missing: every node registers without any optional one, and the first template runs without those
that ComfyUI no longer brings (torchaudio) or that only extras bring."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("gsplat", "triton", "transformers", "pocketsphinx", "accelerate", "tensorboard", "sounddevice", "torchaudio",
          "torchvision", "aiohttp", "playwright", "comfyui_frontend_package", "librosa", "espeakng_loader")
# Needed at work, not at the start.
DECLARED = ("cv2", "kornia", "diffusers", "skimage", "scipy", "numba", "llvmlite", "soxr", "einops")
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {names}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Blocked())
import talking_heads
from talking_heads.host.graph import Host
host = Host({base!r}, names={{{root!r}: 'pack'}})
"""
LIST = "import json; print(json.dumps(sorted(host.object_info(list(host.packs[0].nodes)))))"
RUN = """
prompt, workflow = host.load({workflow!r})
for node in prompt.values():
    if node['class_type'] == 'LoadAudio':
        node['inputs']['audio'] = 'talking_heads_demo_speech_short.wav'
result = host.run(prompt)
assert result.status == 'success', result.error
print(result.outputs)
"""


def without(names: tuple[str, ...], base: Path, code: str) -> str:
    """What a fresh interpreter prints in which these libraries cannot be imported."""
    blocked = BLOCKED.format(names=set(names), base=str(base), root=str(ROOT))
    done = subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_node_registers_without_any_library_that_comfyui_lacks(tmp_path):
    names = (*EXTRAS, *DECLARED)
    found = json.loads(without(names, tmp_path, LIST))
    assert found == sorted(json.loads((ROOT / "tests" / "nodes" / "object_info.json").read_text("utf8")))


@pytest.mark.slow
def test_the_first_template_runs_without_extras(tmp_path):
    workflow = str(ROOT / "workflows" / "1 Talking avatar.json")
    assert "avatar_00001_.mp4" in without(EXTRAS, tmp_path, RUN.format(workflow=workflow))
    assert (tmp_path / "output" / "talking_heads" / "avatar_00001_.mp4").stat().st_size > 10_000


def test_a_blocked_library_is_blocked(tmp_path):
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        without(("einops",), tmp_path, "import einops")
