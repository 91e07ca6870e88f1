"""The test render that decides whether a back end works on a GPU: a scene of an avatar's kind, compared with the reference."""
from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor

from ...media_core.captions import COMPILE
from ...media_core.errors import TalkingHeadsError, out_of_memory
from ...media_core.progress import Report
from .arguments import Scene, checked
from .backend import Rendered, chosen, pending

TOLERANCE = 1e-3           # largest difference of the image, and of the gradients' size, from the reference
NEAR_OPAQUE = 0.1          # the same where a Gaussian is nearly opaque: gsplat 1.6.0 stops at an alpha of .99, 1.5.3 at .999
REPORT_EVERY = 3.0         # s
_ONE_AT_A_TIME = threading.RLock()  # a verdict that a cancelled job left to a thread is waited for, not sought again

Render = Callable[[Scene, float, float, float], Rendered]  # as `Backend.render`


def verdict(known: dict[torch.device, str | None], device: torch.device, probe: Callable[[torch.device], str | None],
            name: str) -> str | None:
    """None where the back end works on `device`, otherwise why not: from `known`, or of `probe`, which is then kept there.

    Lack of memory decides nothing: it is tried again at the next question.
    """
    if device in known:
        return known[device]
    with _ONE_AT_A_TIME:
        try:
            return known.setdefault(device, known[device] if device in known else probe(device))
        except Exception as reason:
            if not out_of_memory(reason):
                raise
            return f"there was no room for {name}'s test render this time ({reason})"


def compare(device: torch.device, render: Render, name: str) -> str | None:
    """Two frames of twelve Gaussians on 24 x 16 pixels by `render` on `device` and by the reference; None if images and gradients
    agree, otherwise which do not."""
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
            own = {key: value.to(where, copy=True).requires_grad_() for key, value in leaves.items()}
            image, alpha = _tried(own, {key: value.to(where) for key, value in cameras.items()}, back_end)
            (image.square().sum() + alpha.square().sum()).backward()
            results.append([torch.cat([image, alpha], -1).detach().cpu(), *(_gradient(value) for value in own.values())])
    (image, *gradients), (other, *others) = results
    for frame, (which, tolerance) in enumerate((("", TOLERANCE), (" of a nearly opaque Gaussian", NEAR_OPAQUE))):
        if not float((image[frame] - other[frame]).abs().max()) <= tolerance * float(image[frame].abs().max()):
            return f"{name}'s test image{which} differs from the reference"
        if not _apart(gradients[0][frame], others[0][frame]) <= tolerance:  # of the means: the frames' own
            return f"{name}'s test gradient{which} differs from the reference"
    wrong = [key for key, a, b in zip(leaves, gradients, others) if not _apart(a, b) <= NEAR_OPAQUE]
    return f"{name}'s test gradient of {', '.join(wrong)} differs from the reference" if wrong else None


def _tried(leaves: dict[str, Tensor], cameras: dict[str, Tensor], back_end: Render | None) -> tuple[Tensor, Tensor]:
    """RGB and depth [2, 1, 16, 24, 4], alpha [2, 1, 16, 24, 1] by a back end's `render`; None is the reference."""
    from .reference import BACKEND

    scene = checked({**leaves, **cameras, "backgrounds": None}, 24, 16, 0.01, 1e10, 2, "RGB+D")
    image, alpha, meta = (back_end or BACKEND.render)(scene, 0.01, 1e10, 0.3)
    meta["means2d"].retain_grad()  # training asks for it
    return image, alpha


def _gradient(leaf: Tensor) -> Tensor:
    """On the CPU."""
    if leaf.grad is None:
        raise RuntimeError("no gradient has reached one of the Gaussians' tensors")
    return leaf.grad.cpu()


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / a.norm())


@functools.lru_cache(maxsize=1)
def under_way() -> dict[tuple[torch.device, str], threading.Thread]:
    """The trials under way, by device and wanted back end: a cancelled job leaves its own running, the next one joins it."""
    return {}


def wait_for_trial(device: torch.device | str, wanted: str, report: Report, total: int) -> None:
    """Tells that the rasteriser is compiled, and where a back end must be tried first, does that in a thread and goes on telling
    for how long, so that the job can be cancelled meanwhile (compilers at work then finish by themselves).

    Args:
        wanted: "auto" or a back end's name. total: steps of the job, of which none is done.
    Raises:
        What `report` raises, and TalkingHeadsError as `choose_backend`.
    """
    report(0, total, {"phase": COMPILE}, None)
    device, began = torch.device(device), time.monotonic()
    trial = under_way().get((device, wanted))
    if trial is None and pending(device, wanted):
        trial = _started(device, wanted)
    if trial is None:
        return
    while True:
        trial.join(REPORT_EVERY)
        if not trial.is_alive():
            break
        report(0, total, {"phase": COMPILE, "waited": time.monotonic() - began}, None)
    chosen(device, wanted)  # known by now: its error, if it is one, belongs to the caller


def _started(device: torch.device, wanted: str) -> threading.Thread:
    """`chosen` in a thread that does not keep Python from ending."""
    def run() -> None:
        try:
            with suppress(TalkingHeadsError):  # kept as a verdict
                chosen(device, wanted)
        finally:
            under_way().pop((device, wanted), None)

    trial = under_way()[device, wanted] = threading.Thread(target=run, name="rasteriser trial", daemon=True)
    trial.start()
    return trial
