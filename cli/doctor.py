"""`talking-heads doctor`: what this machine has, what is missing, and what that means."""
from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from ..media_core.paths import is_temporary

_NEEDED = ("torch", "numpy", "av", "safetensors", "numba", "llvmlite", "soxr", "scipy", "scikit-image",
           "opencv-python-headless", "diffusers", "einops", "kornia", "pillow")
_OPTIONAL = {"gsplat": "rendering and training on an NVIDIA GPU with a CUDA compiler",
             "triton": "rendering and training on a GPU without one (torch for Linux brings it; on Windows triton-windows)",
             "espeakng-loader": "the synthetic subject's voice",
             "transformers": "the HuBERT and wav2vec 2.0 speech encoders", "accelerate": "training in several processes"}
_OTHER_NAMES = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python"),  # under which the same is installed
                "triton": ("triton-windows", "triton-rocm", "pytorch-triton-rocm", "pytorch-triton")}
_SPACE = 1 << 30  # bytes; less free space than this is worth a note


class Finding(NamedTuple):
    """One line of the report."""

    state: str  # "ok", "note" (works without) or "FAIL"
    text: str


def examine(base_dir: str, output_dir: str) -> list[Finding]:
    """Everything worth knowing, in order."""
    parts: tuple[Callable[[], Iterable[Finding]], ...] = (
        _python, _packages, _devices, _backends, _kernels, _pack, lambda: _folders(base_dir, output_dir), _voice, _activity,
        lambda: _models(base_dir), lambda: _encoders(base_dir))
    return [finding for part in parts for finding in part()]


def doctor(base_dir: str, output_dir: str) -> int:
    """Prints the report. Exit code 0, or 1 where something needed is missing."""
    findings = examine(base_dir, output_dir)
    for finding in findings:
        print(f"{finding.state:5} {finding.text}")
    return 1 if any(finding.state == "FAIL" for finding in findings) else 0


def _python() -> Iterable[Finding]:
    version = platform.python_version()
    fine = sys.version_info >= (3, 10)
    yield Finding("ok" if fine else "FAIL", f"Python {version} on {platform.system()} {platform.machine()}"
                  + ("" if fine else ": 3.10 or newer is needed"))


def _version(name: str) -> str | None:
    for one in (name, *_OTHER_NAMES.get(name, ())):
        try:
            return metadata.version(one)
        except metadata.PackageNotFoundError:
            continue
    return None


def _packages() -> Iterable[Finding]:
    for name in _NEEDED:
        version = _version(name)
        yield Finding("ok", f"{name} {version}") if version else Finding("FAIL", f"{name} is not installed: pip install {name}")
    for name, use in _OPTIONAL.items():
        version = _version(name)
        yield Finding("ok", f"{name} {version}") if version else Finding("note", f"{name} is not installed; needed for {use}")


def _devices() -> Iterable[Finding]:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        yield Finding("FAIL", f"torch does not import: {error}")
        return
    found = torch.accelerator.current_accelerator(check_available=True) if hasattr(torch, "accelerator") else None
    count = torch.accelerator.device_count() if found is not None else 0
    cpu = f"device: CPU, {os.cpu_count()} cores, torch sees no accelerator"
    yield Finding("ok", f"device: {count} x {found.type}" if found is not None and count else cpu)


def _backends() -> Iterable[Finding]:
    try:
        from ..hmtalker_core import rasterizer
        from ..host.shim.model_management import get_torch_device

        device = get_torch_device()
        name, why = rasterizer.choose_backend(device, "auto")  # imports the back ends that it asks
    except ImportError as error:
        yield Finding("FAIL", f"the rasteriser does not import: {error}")
        return
    yield Finding("ok", f"rasteriser on {device}: {name} ({why})")
    for other in rasterizer.BACKENDS:
        if other == name:
            continue
        try:
            yield Finding("ok", f"rasteriser {other}: usable ({rasterizer.choose_backend(device, other)[1]})")
        except ValueError as error:  # a TalkingHeadsError: the back end says why not
            yield Finding("note", f"rasteriser {other}: {error}")


def _kernels() -> Iterable[Finding]:
    """Where numba keeps the compiled kernels."""
    try:
        from numba.core.dispatcher import Dispatcher

        from ..hmtalker_core.rasterizer.kernels import add_slots
    except ImportError as error:
        yield Finding("FAIL", f"the rasteriser's kernels do not import: {error}")
        return
    folder = add_slots.stats.cache_path if isinstance(add_slots, Dispatcher) else None
    if folder is not None and os.access(folder, os.W_OK):
        yield Finding("ok", f"compiled kernels are stored in {folder}")
    else:
        yield Finding("note", "compiled kernels cannot be stored on disk (neither the pack's folder nor the user's cache is "
                      "writable): every start compiles them again, which takes seconds; set NUMBA_CACHE_DIR to another "
                      "folder")


def _pack() -> Iterable[Finding]:
    from ..host.graph import Host

    with tempfile.TemporaryDirectory() as base:
        try:
            pack = Host(base).packs[0]
        except Exception as error:  # whatever keeps the pack from loading is the finding
            yield Finding("FAIL", f"the node pack does not load: {type(error).__name__}: {error}")
            return
    yield Finding("ok", f"node pack: {len(pack.nodes)} nodes, imported in {pack.seconds:.2f} s")


def _folders(base_dir: str, output_dir: str) -> Iterable[Finding]:
    places = {"output": output_dir, "models": os.path.join(base_dir, "models"), "temporary": tempfile.gettempdir()}
    for what, folder in places.items():
        place = Path(folder).resolve()
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        writable = there.is_dir() and os.access(there, os.W_OK)
        free = shutil.disk_usage(there).free
        state = f"writable, {free / 2**30:.1f} GB free" if writable else f"cannot be written ({there})"
        text = f"{what} folder {place}: {state}"
        yield Finding("FAIL" if not writable and what != "models" else "note" if not writable or free < _SPACE else "ok", text)


def _voice() -> Iterable[Finding]:
    from ..media_core.subject import espeak

    found = espeak.find_library()
    if found and not espeak.usable():
        yield Finding("note", f"espeak-ng: {found[0]} cannot be loaded from the temporary folder (is it mounted noexec?): the "
                      "synthetic subject hums with the built-in formant voice")
        return
    yield (Finding("ok", f"espeak-ng: {found[0]}") if found
           else Finding("note", "espeak-ng not found: the synthetic subject hums with the built-in formant voice"))


def _activity() -> Iterable[Finding]:
    """Whether silence is found by a network or by the level alone."""
    try:
        from ..media_core.speech.voice_activity import SHIPPED, shipped_voice_net

        found = shipped_voice_net() is not None
    except ImportError as error:
        yield Finding("FAIL", f"voice activity does not import: {error}")
    except ValueError as error:  # a FileFormatError: weights that cannot be read
        yield Finding("FAIL", f"voice activity: {error}")
    else:
        yield (Finding("ok", "voice activity: silero-vad, the pack's own weights") if found
               else Finding("note", f"voice activity: {SHIPPED.name} is absent: loudness alone decides where somebody speaks, so "
                            "the mouth moves in noise and music; install the pack again"))


def _models(base_dir: str) -> Iterable[Finding]:
    root = Path(__file__).resolve().parents[1]
    for what, folder in (("shipped", root / "weights"), ("your", Path(base_dir, "models", "talking_heads"))):
        names = sorted(file.name for file in folder.glob("**/*.safetensors")) if folder.is_dir() else []
        names = [name for name in names if not name.endswith((".training.safetensors", ".latents.safetensors",
                                                              "speech_prior.safetensors", "voice_activity.safetensors"))
                 and not is_temporary(name)]
        yield Finding("ok" if names else "note", f"{what} weights: {', '.join(names) or 'none'} ({folder})")


def _encoders(base_dir: str) -> Iterable[Finding]:
    """Speech encoders: those without weights, and the models in ComfyUI's folder, each with what it is or why it is none."""
    from ..media_core.encoder_registry import ENCODERS
    from ..media_core.speech import needs_folder

    plain = ", ".join(name for name in ENCODERS if not needs_folder(name))
    yield Finding("ok", f"speech encoders without weights: {plain}")
    base = Path(base_dir, "models", "audio_encoders")
    places = sorted(base.glob("**/*")) if base.is_dir() else []
    lines = [line for line in (_encoder(base, place) for place in places if not is_temporary(place.name)) if line is not None]
    yield from lines or [Finding("note", f"speech encoders with weights: none ({base})")]


def _encoder(base: Path, place: Path) -> Finding | None:
    """What a folder or file of models/audio_encoders is; None: nothing of its own."""
    from ..media_core.errors import FileFormatError
    from ..media_core.speech import folder_kind

    name = place.relative_to(base).as_posix()
    if place.is_dir():
        if not (place / "config.json").is_file():
            return None
        try:
            kind = folder_kind(place)
        except FileFormatError as error:
            return Finding("note", f"speech encoder {name}: {error}")
        return (Finding("ok", f"speech encoder {name}: {kind.model_type}, by --encoder {place}") if kind
                else Finding("note", f"speech encoder {name}: a model of another kind than this pack reads"))
    if (place.parent / "config.json").is_file() or place.suffix.lower() not in (".safetensors", ".pth", ".pt"):
        return None
    kind = folder_kind(place)
    if kind is not None:
        return Finding("ok", f"speech encoder {name}: {kind.model_type}, by --encoder {place}")
    if place.name == "audio_visual_encoder.pth":
        return Finding("note", f"speech encoder {name}: to be imported once (talking-heads import ave)")
    return Finding("note", f"speech encoder {name}: for ComfyUI's Load Audio Encoder, not for --encoder")
