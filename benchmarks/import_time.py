"""How long ComfyUI waits for the pack when it starts: import and registration of every node.

    python benchmarks/import_time.py [--runs 5]
    COMFYUI_PATH=/path/to/ComfyUI python benchmarks/import_time.py         # with ComfyUI's own figure, from its log, as well

Each run is a process of its own. What ComfyUI itself has imported by then (torch, numpy, PyAV, Pillow, aiohttp) is imported first
and timed beside it. "All optional blocked": every library of the extras and every one that is declared but not ComfyUI's own
raises ModuleNotFoundError. Files are in the system's cache after the first run; that run stands in the column "first". Writes
benchmarks/results/import_time.md.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import torch
from common import ROOT, results_folder, talking_heads  # noqa: F401

sys.path[:0] = [str(ROOT / "tests" / "nodes"), str(ROOT / "tests" / "browser")]
from comfy_server import FOLDER, ComfyServer  # noqa: E402
from test_optional_libraries import DECLARED, EXTRAS  # noqa: E402

WANTED = 1.0  # s
CHILD = """
import json, sys, time
begun = time.perf_counter()
import torch, numpy, av, PIL.Image, aiohttp
base = time.perf_counter() - begun
blocked = set(json.loads(sys.argv[2]))
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in blocked:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocked())
import talking_heads
from talking_heads.host.graph import Host
pack = Host(sys.argv[1]).packs[0]
print(json.dumps([pack.seconds, base, len(pack.nodes)]))
"""


def once(blocked: tuple[str, ...]) -> tuple[float, float, int]:
    """Seconds for the pack, seconds for what ComfyUI has imported before, nodes; of a fresh process."""
    with tempfile.TemporaryDirectory() as base:
        done = subprocess.run([sys.executable, "-c", CHILD, base, json.dumps(blocked)], capture_output=True, text=True,
                              check=True, stdin=subprocess.DEVNULL)
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def in_comfyui(checkout: str) -> float:
    """The seconds that ComfyUI's log gives for the pack."""
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(checkout, Path(folder) / "base")
        server.close()
        found = re.search(rf"([0-9.]+) seconds: .*{re.escape(FOLDER)}", (server.base / "log.txt").read_text())
    if found is None:
        raise RuntimeError(f"ComfyUI's log does not say how long {FOLDER} took to import.")
    return float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for words, blocked in (("as installed", ()), ("all optional blocked", (*sorted({*EXTRAS, *DECLARED} - {"aiohttp"}),))):
        found = [once(blocked) for _ in range(options.runs + 1)]
        times, base = [row[0] for row in found], statistics.median(row[1] for row in found)
        figures = (times[0], statistics.median(times[1:]), max(times[1:]), base)
        rows.append(" | ".join([f"| {words}", str(found[0][2]), *(f"{seconds:.2f}" for seconds in figures)]) + " |")
    checkout = os.environ.get("COMFYUI_PATH")
    core = [in_comfyui(checkout) for _ in range(3)] if checkout else []
    met = "met" if statistics.median(times) < WANTED else "missed"
    said = f"\nComfyUI's own log says, in three starts: {', '.join(f'{seconds:.1f}' for seconds in core)} s.\n" if core else ""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    (results_folder() / "import_time.md").write_text(f"""# Import of the pack

{date.today()}, {machine}, {versions}; `python benchmarks/import_time.py --runs {options.runs}`.

Less than {WANTED:.0f} s are wanted: {met}.

| libraries | nodes | first, s | median, s | worst, s | torch and the rest of ComfyUI's own before it, s |
|---|---|---|---|---|---|
{chr(10).join(rows)}
{said}""", "utf8")
    print((results_folder() / "import_time.md").read_text("utf8"))


if __name__ == "__main__":
    main()
