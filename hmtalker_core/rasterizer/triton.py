"""Triton on a GPU of NVIDIA or AMD: kernels that Triton compiles in seconds, without nvcc (docs/rasterizer.md#triton).

torch for Linux brings Triton, for Windows there is the package triton-windows. On Linux Triton also compiles a small piece of C
at its first use. So a tiny scene is really rendered first, as for gsplat, and whatever goes wrong is the reason why Triton is not
used, never an error of the caller's.

Never run on a GPU (none was at hand): what stands here and in the other modules named triton_* ran in Triton's
interpreter, and every kernel was compiled for five kinds of GPU.
"""
from __future__ import annotations

import functools
import logging
import platform
from importlib.util import find_spec

import torch

from ...media_core.errors import Cancelled, out_of_memory
from . import trial
from .arguments import Scene
from .backend import Backend, Rendered
from .frames import on_background

DEVICE_TYPE = "cuda"       # torch's name for AMD's GPUs too
PACKAGES = {"Windows": "triton-windows", "Linux": "triton"}

log = logging.getLogger(__name__)


def render(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> Rendered:
    """What `rasterization` returns, without the background."""
    from .triton_blend import blend
    from .triton_project import project

    lead, n = (*scene.batch, scene.cameras), scene.points
    with torch.cuda.device_of(scene.means):  # Triton launches on the current one
        splats, colors = project(scene, near_plane, far_plane, eps2d)
    means2d, depths = splats.means2d.reshape(*lead, n, 2), splats.depths.reshape(*lead, n)
    splats = splats._replace(means2d=means2d.reshape(scene.frames, n, 2), depths=depths.reshape(scene.frames, n))
    if scene.sh_degree is not None:
        colors = colors.reshape(*lead, n, 3)
    if scene.with_depth:
        colors = torch.cat([colors.expand(*lead, *colors.shape[-2:]), depths[..., None]], -1)
    with torch.cuda.device_of(depths):
        image, alpha = blend(splats, colors, scene.opacities.unsqueeze(-2), lead, scene.width, scene.height)
    image, alpha = (value.reshape(*lead, *value.shape[1:]) for value in (image, alpha))
    return image, alpha, {"means2d": means2d, "radii": splats.radii.reshape(*lead, n, 2), "depths": depths, "backend": "triton"}


def why_not(device: torch.device) -> str | None:
    """None where Triton works on `device`, otherwise the reason why it does not, as a clause."""
    if device.type != DEVICE_TYPE:
        return f"the tensors are on {device.type}, not on a GPU of NVIDIA or AMD"
    return trial.verdict(verdicts(), device, _probe, "Triton")


@functools.lru_cache(maxsize=1)
def verdicts() -> dict[torch.device, str | None]:
    """Of the GPUs tried so far in this process: None where Triton works, else why it does not."""
    return {}


def is_pending(device: torch.device) -> bool:
    """Whether `why_not` would now compile and render to find out. Tries nothing itself."""
    return device.type == DEVICE_TYPE and device not in verdicts() and _missing() is None


def _missing() -> str | None:
    """What is not there at all: a GPU or Triton."""
    if not torch.cuda.is_available():
        return "torch finds no GPU of NVIDIA or AMD"
    if find_spec("triton") is None:
        return f"Triton is not installed{_about_package()}"
    return None


def _about_package() -> str:
    package = PACKAGES.get(platform.system())
    return f" (pip install {package})" if package else ""


def _probe(device: torch.device) -> str | None:
    """Import, compile, render, compare: None or why not.

    Raises:
        Cancelled, and what tells of memory that was short: they are no verdict on Triton.
    """
    missing = _missing()
    if missing is not None:
        return missing
    log.info("Trying Triton on %s; at its first use it compiles its kernels, which takes some seconds", device)
    try:
        return trial.compare(device, render, "Triton")
    except ImportError as reason:
        return f"Triton cannot be imported ({reason}){_about_package()}"
    except Exception as reason:  # a GPU too old, a compiler that is missing: all of them only say that it does not work here
        if isinstance(reason, Cancelled) or out_of_memory(reason):
            raise
        log.debug("Triton's test render failed", exc_info=True)
        return f"Triton's test render failed ({type(reason).__name__}: {reason}){_about_compiler(str(reason))}"


def _about_compiler(reason: str) -> str:
    """A hint where Triton could not compile its small piece of C."""
    if "C compiler" in reason or "gcc" in reason or "Python.h" in reason:
        return "; it needs a C compiler and Python's headers once (on Debian and Ubuntu: apt install gcc python3-dev)"
    return ""


class Triton(Backend):
    """Triton, on the devices where its test render succeeded."""

    name, needs, works = "triton", "a GPU of NVIDIA or AMD and a working Triton", "a test render with Triton succeeded"
    remedy = "install Triton (Linux: pip install triton; Windows: pip install triton-windows)"

    def render(self, scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> Rendered:
        """See `Backend.render`."""
        image, alpha, meta = render(scene, near_plane, far_plane, eps2d)
        return on_background(image, alpha, scene), alpha, meta

    def why_not(self, device: torch.device) -> str | None:
        """What the test render said; it is made at the first question."""
        return why_not(device)

    def is_pending(self, device: torch.device) -> bool:
        """Whether that test render is still to come."""
        return is_pending(device)


BACKEND = Triton()
