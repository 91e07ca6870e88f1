"""The Triton back end: in the interpreter (`triton_interpreter.py`), compiled for five kinds of GPU, and when it is chosen."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from raster_pairs import check_on_a_gpu
from talking_heads.hmtalker_core import rasterizer
from talking_heads.hmtalker_core.rasterizer import choose_backend, cuda_gsplat, rasterization, trial, triton, wait_for_trial
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
NEEDS_TRITON = pytest.mark.skipif(find_spec("triton") is None, reason="needs the package triton (Linux)")
TARGETS = {"sm_86": ("cuda", 86, 32), "sm_90": ("cuda", 90, 32), "sm_120": ("cuda", 120, 32), "gfx942": ("hip", "gfx942", 64),
           "gfx1100": ("hip", "gfx1100", 32)}
POINTERS = {**{f"{name}_ROW": "*i32" for name in ("MEAN", "QUAT", "SCALE", "OPACITY", "COLOR", "VIEW", "K", "SH")},
            **dict.fromkeys(("IDS", "LAST", "RADII", "COUNT"), "*i32"),
            **dict.fromkeys(("STARTS", "PLACE", "START", "KEYS"), "*i64")}
SIZES = ("N", "M", "W", "H", "TILES_X", "TILES", "SPLATS", "STRIDE")


@NEEDS_TRITON
@pytest.mark.slow
def test_in_the_interpreter():
    """Images and gradients against the reference; one process for all, since importing torch takes longer than a test."""
    script = Path(__file__).with_name("triton_interpreter.py")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", str(script)],
                          env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
                          cwd=Path(__file__).resolve().parents[3], timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


def compiled(kernel, target, number="*fp32", **constants):
    """A kernel compiled for a GPU that need not be here."""
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kinds = {name: "constexpr" if name in constants else "i32" if name in SIZES else POINTERS.get(name, number)
             for name in kernel.arg_names}
    return compile(ASTSource(kernel, kinds, constants), target=GPUTarget(*TARGETS[target]), options={"num_warps": 1})


@NEEDS_TRITON
@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_compiles(target, monkeypatch, tmp_path):
    """For NVIDIA's and AMD's GPUs. A program is one warp: nothing goes through shared memory or waits for others, and nothing is
    added by atomics."""
    from talking_heads.hmtalker_core.rasterizer import triton_kernels as kernels
    from talking_heads.hmtalker_core.rasterizer import triton_project_kernels as projection

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    made = {"blend": [compiled(kernels.blend, target, D=3, TILE=8, AT_ONCE=8)],
            "backward": [compiled(kernels.blend_backward, target, D=4, TILE=8, GEOMETRY=6)],
            "lists": [compiled(kernels.list_tiles, target, TILE=8, BLOCK=32, WRITE=write) for write in (False, True)],
            "sums": [compiled(kernels.add_slots, target, WIDTH=10, ROWS=8, COLUMNS=16)],
            "splats": [compiled(projection.project, target, BLOCK=32), compiled(projection.project_backward, target, BLOCK=32)],
            "colours": [compiled(kernel, target, TERMS=9, BLOCK=32) for kernel in (projection.harmonics,
                                                                                   projection.harmonics_backward)]}
    if target == "sm_90":  # other numbers of channels, and float64
        made["more"] = [compiled(kernels.blend, target, D=8, TILE=8, AT_ONCE=8),
                        compiled(kernels.blend_backward, target, D=1, TILE=8, GEOMETRY=6),
                        compiled(kernels.blend_backward, target, D=8, TILE=8, GEOMETRY=6, number="*fp64")]
    for each in (one for group in made.values() for one in group):
        code = each.asm.get("ptx") or each.asm["amdgcn"]
        assert "atom" not in code
        if target.startswith("sm_"):
            assert "bar.sync" not in code and each.metadata.shared == 0


class Elsewhere:
    """A driver of a GPU that is not here."""

    def get_current_device(self):
        return 99

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget(*TARGETS["sm_90"])


@NEEDS_TRITON
def test_every_launch_compiles_with_the_arguments_it_is_given(scene, monkeypatch, tmp_path):
    """The back end runs, forward and backward, but its kernels are not launched: they are compiled for their real arguments."""
    import triton as package

    launch, seen = package.runtime.JITFunction.run, []

    def compile_only(self, *given, grid, warmup, **options):
        assert len(grid) == 1 and grid[0] > 0
        seen.append(self.fn.__name__)
        assert launch(self, *given, grid=grid, warmup=True, **options) is not None

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(package.runtime.driver, "_active", Elsewhere())
    monkeypatch.setattr(package.runtime.JITFunction, "run", compile_only)
    monkeypatch.setattr(torch, "empty", torch.ones)  # nothing is computed: one entry for each Gaussian
    monkeypatch.setattr(triton.BACKEND, "why_not", lambda device: None)
    s = {k: v.float().requires_grad_(k == "means") if isinstance(v, torch.Tensor) else v
         for k, v in scene(9, 20, 15, cameras=2, degree=2).items()}
    image, alpha, meta = rasterization(**s, render_mode="RGB+D", backend="triton")
    assert image.shape == (2, 15, 20, 4) and meta["backend"] == "triton"
    (image.sum() + alpha.sum()).backward()
    assert seen == ["project", "harmonics", "list_tiles", "list_tiles", "blend", "blend_backward", "add_slots",
                    "harmonics_backward", "project_backward"]


@pytest.fixture
def untried(monkeypatch):
    """A GPU of which nothing is known yet, without gsplat."""
    known = {}
    monkeypatch.setattr(triton, "verdicts", lambda: known)
    monkeypatch.setattr(cuda_gsplat, "verdicts", lambda: {CARD: "gsplat cannot be imported"})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(triton, "find_spec", lambda name: name == "triton")
    return known


def raising(error):
    def fails(*args):
        raise error
    return fails


def test_chosen_after_gsplat_and_before_the_cpu(untried, monkeypatch):
    monkeypatch.setattr(trial, "compare", lambda *given: None)
    assert rasterizer.probe_pending(CARD) and rasterizer.must_compile(CARD, "triton")
    name, why = choose_backend(CARD)
    assert name == "triton" and "cuda_gsplat is not used: gsplat cannot be imported" in why
    assert not rasterizer.probe_pending(CARD) and rasterizer.drawing_device(CARD) == CARD
    monkeypatch.setattr(cuda_gsplat, "verdicts", lambda: {CARD: None})
    assert choose_backend(CARD)[0] == "cuda_gsplat" and choose_backend(CARD, "triton") == ("triton", "asked for by name")


@pytest.mark.parametrize("reason, hint", [
    (RuntimeError("Failed to find C compiler. Please specify"), "python3-dev"), (ImportError("no module"), "imported"),
    (RuntimeError("PTX was compiled with an unsupported version"), "test render failed"),
    (AssertionError("x"), "AssertionError")])
def test_whatever_fails_is_the_reason(untried, monkeypatch, reason, hint):
    monkeypatch.setattr(trial, "compare", raising(reason))
    name, why = choose_backend(CARD)
    assert name == "cpu" and str(reason) in why and hint in why
    with pytest.raises(TalkingHeadsError, match="pip install triton-windows"):
        choose_backend(CARD, "triton")


def test_a_full_gpu_is_no_verdict(untried, monkeypatch):
    monkeypatch.setattr(trial, "compare", raising(MemoryError()))
    assert choose_backend(CARD)[0] == "cpu" and not untried and rasterizer.probe_pending(CARD)
    monkeypatch.setattr(trial, "compare", lambda *given: "Triton's test image differs from the reference")
    assert "differs" in choose_backend(CARD)[1] and not rasterizer.probe_pending(CARD)


@pytest.mark.parametrize("system, package", [("Windows", "triton-windows"), ("Linux", "pip install triton)"), ("Darwin", "")])
def test_where_triton_is_to_be_had(untried, monkeypatch, system, package):
    monkeypatch.setattr(triton, "find_spec", lambda name: None)
    monkeypatch.setattr(triton.platform, "system", lambda: system)
    assert not rasterizer.probe_pending(CARD)
    why = triton.why_not(CARD)
    assert why is not None and why.startswith("Triton is not installed") and package in why


def test_not_without_a_gpu(scene):
    assert "on cpu" in str(triton.why_not(CPU))
    with pytest.raises(TalkingHeadsError, match="triton needs a GPU"):
        rasterization(**scene(6), backend="triton")


def test_a_trial_tells_how_long_it_takes(untried, monkeypatch):
    """Reports come while it compiles; without one to be made there is one report alone."""
    go_on, told = threading.Event(), []
    monkeypatch.setattr(trial, "REPORT_EVERY", 0.02)
    monkeypatch.setattr(trial, "compare", lambda *given: None if go_on.wait(20) else "never")

    def report(done, total, info, preview=None):
        told.append((done, total, info.get("phase"), "waited" in info))
        if len(told) == 3:
            go_on.set()
    wait_for_trial(CARD, "auto", report, 9)
    assert told[:2] == [(0, 9, "compile", False), (0, 9, "compile", True)] and len(told) >= 3
    assert untried == {CARD: None} and not trial.under_way()
    told.clear()
    wait_for_trial(CARD, "auto", report, 9)
    assert told == [(0, 9, "compile", False)]


def test_a_cancelled_trial_goes_on_and_the_next_job_joins_it(untried, monkeypatch):
    go_on, count, told = threading.Event(), [], []
    monkeypatch.setattr(trial, "REPORT_EVERY", 0.02)
    monkeypatch.setattr(trial, "compare", lambda *given: count.append(1) if go_on.wait(20) else "never")

    def cancels(done, total, info, preview=None):
        if "waited" in info:
            raise Cancelled
    with pytest.raises(Cancelled):
        wait_for_trial(CARD, "auto", cancels, 9)
    assert len(trial.under_way()) == 1 and not untried
    go_on.set()
    wait_for_trial(CARD, "auto", lambda *report: told.append(report), 9)
    assert choose_backend(CARD)[0] == "triton" and count == [1] and told


def test_a_trial_that_must_not_fail_says_so(untried, monkeypatch):
    monkeypatch.setattr(trial, "compare", lambda *given: "it differs")
    with pytest.raises(TalkingHeadsError, match="it differs"):
        wait_for_trial(CARD, "triton", lambda *report: None, 9)


@pytest.mark.skipif(triton.why_not(CARD) is not None, reason="needs a GPU of NVIDIA or AMD and Triton")
def test_on_a_gpu(scene):
    check_on_a_gpu(scene, "triton", backend="triton")
