"""What every benchmark needs: the package importable from a plain clone, a place for results, a progress line."""
from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _load():
    """The package `talking_heads`: installed, or this clone under that name."""
    if "talking_heads" not in sys.modules and importlib.util.find_spec("talking_heads") is None:
        spec = importlib.util.spec_from_file_location("talking_heads", ROOT / "__init__.py",
                                                      submodule_search_locations=[str(ROOT)])
        sys.modules["talking_heads"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return importlib.import_module("talking_heads")


talking_heads = _load()


def results_folder() -> Path:
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def progress_line(every: float = 2.0):
    """A report that prints one line now and then to stderr."""
    last = [0.0]

    def report(done, total, info, preview) -> None:
        now = time.monotonic()
        if now - last[0] >= every or done == total:
            last[0] = now
            figures = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in info.items())
            print(f"\r{done}/{total}  {figures}        ", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return report


def peak_mib() -> float:
    """The largest memory of this process, MiB. Linux: of this program alone (getrusage holds the parent's at the fork too)."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
