"""Importing the pack is cheap: ComfyUI prints what each pack costs at start."""
from __future__ import annotations

import subprocess
import sys

PROBE = """
import importlib.util, sys, time
started = time.perf_counter()
spec = importlib.util.spec_from_file_location("some_x_folder", {init!r}, submodule_search_locations=[{root!r}])
module = importlib.util.module_from_spec(spec)
sys.modules["some_x_folder"] = module
spec.loader.exec_module(module)
print(time.perf_counter() - started)
heavy = [m for m in ("torch", "numpy", "comfy_api", "librosa", "cv2", "scipy", "numba", "av") if m in sys.modules]
print(",".join(heavy))
print(module.WEB_DIRECTORY, callable(module.comfy_entrypoint), hasattr(module, "NODE_CLASS_MAPPINGS"))
"""

REGISTER = """
import asyncio, sys
from talking_heads.host import shim
shim.install({base!r})
import torch  # ComfyUI has it loaded long before any pack
before = set(sys.modules)
from talking_heads import comfy_entrypoint
async def register():
    extension = await comfy_entrypoint()
    await extension.on_load()
    return [node.GET_SCHEMA().node_id for node in await extension.get_node_list()]
print(len(asyncio.run(register())))
new = set(sys.modules) - before
light = ["talking_heads.media_core." + name for name in ("errors", "paths", "json_files", "choices", "encoder_registry",
                                                            "numbered", "temporary", "file_headers")]
cores = ("hmtalker_core.backend_registry", "moditalker_core.choices", "training_core.choices")
light += ["talking_heads." + name for name in cores]
print(",".join(sorted(m for m in new if "_core." in m and m not in light)))
heavy = ("librosa", "cv2", "scipy", "skimage", "numba", "gsplat", "diffusers")
print(",".join(sorted(m for m in new if m.partition(".")[0] in heavy)))
"""


def run(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_root_imports_nothing_heavy_and_works_without_comfyui(root):
    seconds, heavy, facts = run(PROBE.format(init=str(root / "__init__.py"), root=str(root)))
    assert float(seconds) < 1.0  # the contract's bound; it takes about a thousandth of it
    assert heavy == ""
    assert facts == "./web True False"


def test_registering_the_nodes_imports_no_model_code(tmp_path):
    count, cores, libraries = run(REGISTER.format(base=str(tmp_path)))
    assert int(count) >= 8
    assert cores == "" and libraries == ""
