"""gsplat (1.5.3, and the coming 1.6.0) on an NVIDIA GPU, behind the same function.

gsplat's wheel holds CUDA sources that it compiles at first use (nvcc and a host compiler; minutes), and importing it succeeds
where rendering cannot. So a tiny scene is really rendered, as an avatar is (frames, harmonics, depth, gradients), and compared
with `reference.py` first. Whatever goes wrong there is the reason why gsplat is not used, never an error of the caller's.

Harmonics are turned into colours here (`projection.sh_colors`): 1.5.3 wants them with the frames' leading dimensions, 1.6.0
without, and both take colours of each camera.

Never run on a GPU: `_call`, `render`, `_render_and_compare`, `_probe` after its first two questions, and gsplat's compile (none
was at hand when this was written). The tests run them on the CPU with a stand-in for gsplat that has its signature and demands on
shapes (read in gsplat 1.5.3's source); `test_on_a_card` runs the real thing where there is a GPU.
"""
from __future__ import annotations

import functools
import logging
import shutil
import sys
from importlib.util import find_spec

import torch
from torch import Tensor

from ...media_core.errors import Cancelled, out_of_memory
from . import trial
from .arguments import Scene
from .backend import Backend, Rendered
from .frames import on_background
from .gsplat_build import helped_build, ninja_beside_python
from .projection import sh_colors

DEVICE_TYPE = "cuda"

log = logging.getLogger(__name__)


def why_not(device: torch.device) -> str | None:
    """None where gsplat works on `device`, otherwise the reason why it does not, as a clause."""
    if device.type != DEVICE_TYPE:
        return f"the tensors are on {device.type}, not on an NVIDIA GPU"
    return trial.verdict(verdicts(), device, _probe, "gsplat")


@functools.lru_cache(maxsize=1)
def verdicts() -> dict[torch.device, str | None]:
    """Of the GPUs tried so far in this process: None where gsplat works, else why it does not."""
    return {}


def is_pending(device: torch.device) -> bool:
    """Whether `why_not` would now render with gsplat to find out, and compile it perhaps. Tries nothing itself."""
    return (device.type == DEVICE_TYPE and device not in verdicts() and _no_gpu() is None
            and ("gsplat" in sys.modules or find_spec("gsplat") is not None))


def _no_gpu() -> str | None:
    """Why no GPU here could be used, whatever gsplat does."""
    if not torch.cuda.is_available():
        return "torch finds no NVIDIA GPU"
    return "gsplat 1.5.3 has no kernels for AMD GPUs" if getattr(torch.version, "hip", None) else None


def _probe(device: torch.device) -> str | None:
    """Import, compile, render, compare: None or why not.

    Raises:
        Cancelled, and what tells of memory that was short: they are no verdict on gsplat.
    """
    missing = _no_gpu()
    if missing is not None:
        return missing
    log.info("Trying gsplat on %s; at its first use it compiles its kernels, which takes minutes", device)
    try:
        with helped_build():
            return _render_and_compare(device)
    except ImportError as reason:
        return f"gsplat cannot be imported ({reason})"
    except Exception as reason:  # asserts, missing kernels, compilers: all of them only say that it does not work here
        if isinstance(reason, Cancelled) or out_of_memory(reason):
            raise
        log.debug("gsplat's test render failed", exc_info=True)
        return f"gsplat's test render failed ({type(reason).__name__}: {reason}){_about_ninja()}"


def _about_ninja() -> str:
    """A hint where gsplat could not have compiled anything."""
    if shutil.which("ninja") is not None or ninja_beside_python() is not None:
        return ""
    return "; ninja, which it compiles with, is neither on PATH nor beside Python: install it"


def _render_and_compare(device: torch.device) -> str | None:
    """None if gsplat draws and differentiates the test scene as the reference does."""
    import gsplat

    del gsplat
    return trial.compare(device, render, "gsplat")


def _call(**arguments) -> tuple[Tensor, Tensor, dict]:
    """`gsplat.rasterization` with the settings of this project: nothing packed, so that meta has one row for each Gaussian."""
    from gsplat import rasterization
    return rasterization(**arguments, packed=False, absgrad=False, sparse_grad=False, rasterize_mode="classic",
                         camera_model="pinhole")


def render(scene: Scene, near_plane: float, far_plane: float, eps2d: float) -> tuple[Tensor, Tensor, dict]:
    """What `rasterization` returns, without the background. gsplat wants equal leading dimensions, so shared tensors are expanded
    (views), and float32."""
    tails = {"means": 2, "quats": 2, "scales": 2, "opacities": 1, "colors": 2, "viewmats": 3, "intrinsics": 3}
    whole = {name: getattr(scene, name).float() for name in tails}
    if scene.sh_degree is not None:  # [..., N, K, 3] -> [..., C, N, 3]
        whole["colors"] = sh_colors(whole["colors"].unsqueeze(-4), whole["means"].unsqueeze(-3),
                                    whole["viewmats"][..., None, :, :], scene.sh_degree)
        tails["colors"] = 3
    whole = {name: value.expand(*scene.batch, *value.shape[value.dim() - tails[name]:]) for name, value in whole.items()}
    image, alpha, meta = _call(Ks=whole.pop("intrinsics").detach(), **whole, width=scene.width, height=scene.height,
                               near_plane=near_plane, far_plane=far_plane, eps2d=eps2d,
                               render_mode="RGB+D" if scene.with_depth else "RGB")
    kept = {name: meta[name] for name in ("means2d", "radii", "depths")}
    return image.to(scene.means.dtype), alpha.to(scene.means.dtype), {**kept, "backend": "cuda_gsplat"}


class CudaGsplat(Backend):
    """gsplat, on the devices where its test render succeeded."""

    name, needs, remedy = "cuda_gsplat", "an NVIDIA GPU and a working gsplat", "install gsplat with a CUDA compiler"
    works = "a test render with gsplat succeeded"

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


BACKEND = CudaGsplat()
