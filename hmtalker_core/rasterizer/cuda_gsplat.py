"""gsplat (1.5.3, and the coming 1.6.0) on an NVIDIA GPU, behind the same function.

gsplat's wheel holds CUDA sources that it compiles at first use (nvcc and a host compiler; minutes), and importing it succeeds
where rendering cannot. So a tiny scene is really rendered, as an avatar is (frames, harmonics, depth, gradients), and compared
with `reference.py` first. Whatever goes wrong there is the reason why gsplat is not used, never an error of the caller's.

Harmonics are turned into colours here (`projection.sh_colors`): 1.5.3 wants them with the frames' leading dimensions, 1.6.0
without, and both take colours of each camera.

Never run on a GPU: `_call`, `render`, `_render_and_compare`, and `_probe` after its first two questions (none was at hand when
this was written). The tests run them on the CPU with a stand-in for gsplat that has its signature and its demands on shapes
(read in gsplat 1.5.3's source); `test_on_a_card` runs the real thing where there is a GPU.
"""
from __future__ import annotations

import functools
import logging
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ...media_core.errors import Cancelled, out_of_memory
from .arguments import Scene, checked
from .backend import Backend, Rendered
from .frames import on_background
from .projection import sh_colors

DEVICE_TYPE = "cuda"
TOLERANCE = 1e-3           # of the probe: largest difference of the image, and of the gradients' size, from the reference
NEAR_OPAQUE = 0.1          # the same where a Gaussian is nearly opaque: 1.6.0 stops at an alpha of .99, 1.5.3 at .999

log = logging.getLogger(__name__)


def why_not(device: torch.device) -> str | None:
    """None where gsplat works on `device`, otherwise the reason why it does not, as a clause."""
    if device.type != DEVICE_TYPE:
        return f"the tensors are on {device.type}, not on an NVIDIA GPU"
    known = verdicts()
    if device not in known:
        try:
            known[device] = _probe(device)
        except Exception as reason:
            if not out_of_memory(reason):
                raise
            return f"there was no room for gsplat's test render this time ({reason})"  # no verdict: it is tried again
    return known[device]


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
    log.info("Trying gsplat on %s; at its first use it compiles its kernels, which takes minutes and, where MAX_JOBS is not set, "
             "the memory of ten compilers", device)
    try:
        return _render_and_compare(device)
    except ImportError as reason:
        return f"gsplat cannot be imported ({reason})"
    except Exception as reason:  # asserts, missing kernels, compilers: all of them only say that it does not work here
        if isinstance(reason, Cancelled) or out_of_memory(reason):
            raise
        log.debug("gsplat's test render failed", exc_info=True)
        return f"gsplat's test render failed ({type(reason).__name__}: {reason}){_about_ninja()}"


def _about_ninja() -> str:
    """A hint where gsplat could not have compiled anything: `venv/bin/python main.py` does not put venv/bin on PATH."""
    if shutil.which("ninja") is not None:
        return ""
    beside = shutil.which("ninja", path=str(Path(sys.executable).parent))
    return ("; ninja, which it compiles with, is not on PATH: " + (f"it lies beside Python ({beside}), so start ComfyUI from its "
            "activated environment" if beside else "install it"))


def _render_and_compare(device: torch.device) -> str | None:
    """Two frames of twelve Gaussians on 24 x 16 pixels with gsplat and with the reference; None if images and gradients agree."""
    import gsplat

    del gsplat
    draw = torch.Generator().manual_seed(0)
    opacities = torch.full((2, 12), 0.6)
    opacities[1, 0] = 0.999
    leaves = {"means": torch.rand(2, 12, 3, generator=draw) - 0.5 + torch.tensor([0.0, 0.0, 3.0]), "opacities": opacities,
              "quats": torch.randn(12, 4, generator=draw), "scales": torch.tensor([0.1, 0.2, 0.3]).repeat(12, 1),
              "colors": 0.4 * torch.randn(12, 9, 3, generator=draw)}
    cameras = {"viewmats": torch.eye(4)[None], "Ks": torch.tensor([[[20.0, 0.0, 12.0], [0.0, 20.0, 8.0], [0.0, 0.0, 1.0]]])}
    results = []
    with torch.inference_mode(False), torch.enable_grad():
        for where, back_end in ((torch.device("cpu"), None), (device, render)):
            own = {name: value.to(where, copy=True).requires_grad_() for name, value in leaves.items()}
            image, alpha = _tried(own, {name: value.to(where) for name, value in cameras.items()}, back_end)
            (image.square().sum() + alpha.square().sum()).backward()
            results.append([torch.cat([image, alpha], -1).detach().cpu(), *(_gradient(value) for value in own.values())])
    (image, *gradients), (other, *others) = results
    for frame, (name, tolerance) in enumerate((("", TOLERANCE), (" of a nearly opaque Gaussian", NEAR_OPAQUE))):
        if not float((image[frame] - other[frame]).abs().max()) <= tolerance * float(image[frame].abs().max()):
            return f"gsplat's test image{name} differs from the reference"
        if not _apart(gradients[0][frame], others[0][frame]) <= tolerance:  # of the means: the frames' own
            return f"gsplat's test gradient{name} differs from the reference"
    wrong = [name for name, a, b in zip(leaves, gradients, others) if not _apart(a, b) <= NEAR_OPAQUE]
    return f"gsplat's test gradient of {', '.join(wrong)} differs from the reference" if wrong else None


def _tried(leaves: dict[str, Tensor], cameras: dict[str, Tensor], back_end: Callable | None) -> tuple[Tensor, Tensor]:
    """RGB and depth [2, 1, 16, 24, 4], alpha [2, 1, 16, 24, 1] by a back end's `render`; None is the reference."""
    from . import rasterization
    if back_end is None:
        image, alpha, _ = rasterization(
            means=leaves["means"], quats=leaves["quats"], scales=leaves["scales"], opacities=leaves["opacities"],
            colors=leaves["colors"], viewmats=cameras["viewmats"], Ks=cameras["Ks"], width=24, height=16, sh_degree=2,
            render_mode="RGB+D", backend="reference")
        return image, alpha
    scene = checked({**leaves, **cameras, "backgrounds": None}, 24, 16, 0.01, 1e10, 2, "RGB+D")
    image, alpha, meta = back_end(scene, 0.01, 1e10, 0.3)
    meta["means2d"].retain_grad()  # training asks for it
    return image, alpha


def _gradient(leaf: Tensor) -> Tensor:
    """On the CPU."""
    if leaf.grad is None:
        raise RuntimeError("no gradient has reached one of the Gaussians' tensors")
    return leaf.grad.cpu()


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / a.norm())


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
