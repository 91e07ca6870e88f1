"""Between the cores and ComfyUI: progress with previews and cancelling, devices, folders.

The cores know none of this: they take a `Report`, a device and paths.
"""
from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import folder_paths

from ..media_core.errors import FileFormatError, TalkingHeadsError
from ..media_core.file_headers import is_ave, stored_kind
from ..media_core.paths import contained, is_temporary
from .sockets import Loaded, LoadedAToM, LoadedAvatar, LoadedMToV

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

    from ..hmtalker_core.avatar import Avatar
    from ..media_core.progress import Report
    from ..moditalker_core.atom.model import AToM
    from ..moditalker_core.mtov.model import MToV

Movable = TypeVar("Movable", "Avatar", "AToM", "MToV")

MODELS = "talking_heads"  # the model folder's name
ENCODERS = "audio_encoders"  # core's model folder of speech models
DATASETS = "talking_heads/datasets"  # below ComfyUI's output folder
PACK_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
log = logging.getLogger("talking_heads")
UNFINISHED = (".training.safetensors", ".latents.safetensors")  # what a training run keeps next to the file it will make

_PREVIEW_EVERY = 0.5  # s
_LOG_EVERY = 10.0  # s
_LONGEST = 1024  # px, of an image that stays on a node
_ENCODER_DEPTH = 3  # folders below models/audio_encoders that are looked into
_MODEL_DEPTH = 3  # the same below models/talking_heads


class NodeReport:
    """A core `Report` that drives the node's progress bar, shows a captioned preview with the time that is left, and stops when
    the user interrupts. It remembers what a node then says of its work."""

    def __init__(self) -> None:
        from ..media_core.remaining import Remaining

        self._figures: dict[str, Any] = {}  # the newest of each
        self.began = time.monotonic()  # s
        self.first: int | None = None  # the first step with figures: a resumed training begins behind others
        self.done = self.total = 0
        self._shown: tuple[np.ndarray, str] | None = None  # the newest preview, and what its parts are called
        self._bar: comfy.utils.ProgressBar | None = None
        self._remaining = Remaining()
        self.left: float | None = None  # s that the job still takes; None: not known
        self._previewed = self._logged = float("-inf")
        self._strip = 0  # px, the tallest caption so far: the preview does not jump

    def __call__(self, done: int, total: int, info: Mapping[str, Any], preview: np.ndarray | None = None) -> None:
        from ..media_core.captions import COMPILE, NOTE
        from ..media_core.remaining import left

        mm.throw_exception_if_processing_interrupted()
        bar = self._bar = self._bar or comfy.utils.ProgressBar(total)
        now, picture, waits = time.monotonic(), None, info.get("phase") == COMPILE
        self.total = total
        self._remember(done, info, preview)
        self.left = self._remaining.seconds(done, total, now)
        ahead = left(self.left)
        if waits or preview is not None and (now - self._previewed >= _PREVIEW_EVERY or done >= total):  # the last one stays
            self._previewed, picture = now, self._picture(preview, info, ahead)
        if info and (waits or now - self._logged >= _LOG_EVERY):
            self._logged, words = now, caption(info, ahead)
            log.info("%d/%d  %s", done, total, words, extra={NOTE: words})
        if waits:  # what comes next shows at once that the wait is over, and the wait says nothing of the speed
            self._previewed = self._logged = float("-inf")
            self._remaining.restart()
        bar.update_absolute(done, total, picture)

    def _remember(self, done: int, info: Mapping[str, Any], preview: np.ndarray | None) -> None:
        from ..media_core.captions import FIGURES, SHOWS

        self.done = done
        self._figures.update((name, value) for name, value in info.items() if name in FIGURES)
        if self.first is None and self._figures:  # before that the speech is encoded, or the rasteriser compiled
            self.first = done
        if preview is not None and (SHOWS in info or self._shown is None or not self._shown[1]):
            self._shown = preview, info.get(SHOWS, "")

    def _picture(self, preview: np.ndarray | None, info: Mapping[str, Any], ahead: str = "") -> tuple[str, Image.Image, int]:
        """As ComfyUI takes it. The longer side passed on is that of the whole sheet: the caption does not shrink the image."""
        from ..media_core.caption_image import enlarged, nothing
        from ..media_core.captions import SHOWS

        picture = nothing() if preview is None else enlarged(preview)
        sheet = captioned(picture, caption(info, ahead), info.get(SHOWS, ""), self._strip)
        self._strip = sheet.height - len(picture)
        return "JPEG", sheet, max(sheet.size)

    def figures(self) -> dict[str, Any]:
        """The newest of each: loss, psnr ..."""
        from ..media_core.captions import FIGURES

        return {name: self._figures[name] for name in FIGURES if name in self._figures}

    def leave(self, sheet: Image.Image) -> None:
        """Makes this the image that stays on the node. The page goes on showing the last preview, in Nodes 2.0 beside the images
        of the history, and takes those of a node with a VIDEO input for videos: so nodes with previews return none."""
        bar = self._bar = self._bar or comfy.utils.ProgressBar(1)
        bar.update_absolute(max(self.done, 1), max(self.total, 1), ("JPEG", sheet, min(_LONGEST, max(sheet.size))))

    def last_picture(self, *more: str) -> Image.Image | None:
        """The newest preview with its labels, the newest figures, and what else is to be said; None if there was none."""
        from ..media_core.caption_image import enlarged

        words = caption(self.figures(), *more)
        return None if self._shown is None else captioned(enlarged(self._shown[0]), words, self._shown[1])


def show_sentence(text: str) -> None:
    """A text as the preview of the node that runs."""
    from ..media_core.caption_image import sentence

    sheet = sentence(text)
    comfy.utils.ProgressBar(1).update_absolute(0, 1, ("JPEG", sheet, max(sheet.size)))


def caption(info: Mapping[str, Any], *more: str) -> str:
    """See `media_core.captions`; with what else is to be said."""
    from ..media_core import captions

    return captions.PARTS.join(part for part in (captions.caption(info), *more) if part)


def captioned(image: np.ndarray, text: str, shows: str = "", least: int = 0) -> Image.Image:
    """See `media_core.caption_image`."""
    from ..media_core import caption_image

    return caption_image.captioned(image, text, shows, least)


def one_pass(report: Report, number: int, passes: int) -> Report:
    """`report` for pass `number` (from 0) of several over the same frames: the bar rises once over all of them."""
    return lambda done, total, info, preview=None: report(number * total + done, passes * total, info, preview)


def patched(*networks: torch.nn.Module) -> comfy.model_patcher.ModelPatcher:
    """A model patcher around torch modules, so that ComfyUI can move their weights between devices under memory pressure."""
    from torch.nn import ModuleList

    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    # A list, because ComfyUI writes attributes of its own (device) on what it patches, and not every module lets it.
    return kind(ModuleList(networks), load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device())


def wrapped(avatar: Avatar, name: str) -> LoadedAvatar:
    """The avatar with a model patcher around its networks and fields."""
    avatar = avatar.to("cpu")
    return Loaded(avatar, patched(*avatar.modules), name)


def wrapped_atom(atom: AToM, name: str) -> LoadedAToM:
    """The AToM with a model patcher around its network."""
    return Loaded(atom, patched(atom.denoiser), name, atom.config.licence)


def wrapped_mtov(mtov: MToV, name: str) -> LoadedMToV:
    """The MToV with a model patcher around its three networks."""
    return Loaded(mtov, patched(*mtov.networks.values()), name, mtov.config.licence)


def on_device(loaded: Loaded[Movable]) -> Movable:
    """The model ready for work: its networks where ComfyUI put them, the small rest (torso, plate, caches) made next to them."""
    mm.load_models_gpu([loaded.patcher])
    return loaded.model.to(mm.get_torch_device())


def ready_to_draw(loaded: LoadedAvatar, backend: str, report: Report, frames: int) -> Avatar:
    """The avatar on the device that draws it: if that must be the CPU, the GPU is left to other models.

    Args:
        backend: of the rasteriser.
        report: called before and while gsplat or Triton is tried (and perhaps compiled) to find that out.
        frames: how many are to be drawn, for the report.
    """
    from ..hmtalker_core.rasterizer import drawing_device, probe_pending, wait_for_trial

    device = mm.get_torch_device()
    if probe_pending(device, backend):
        wait_for_trial(device, backend, report, frames)
    place = drawing_device(device, backend)
    return on_device(loaded) if place == device else loaded.model.copied(place)


def number_format(choice: str) -> torch.dtype:
    """The torch dtype of a choice "auto", "fp32", "bf16" or "fp16"."""
    import torch

    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    fast = not mm.is_device_cpu(mm.get_torch_device()) and mm.should_use_bf16(mm.get_torch_device())
    return known.get(choice, torch.bfloat16 if fast else torch.float32)


def register_model_folder() -> None:
    """Makes `models/talking_heads` (and the pack's own `weights`) a model folder of ComfyUI. A folder that extra_model_paths.yaml
    names for it stands before them, and new models are saved there."""
    own = os.path.join(folder_paths.models_dir, MODELS)
    for folder in (own, str(PACK_WEIGHTS)):
        folder_paths.add_model_folder_path(MODELS, folder)
    folder_paths.folder_names_and_paths[MODELS][1].add(".safetensors")
    if os.path.isdir(folder_paths.models_dir) and not os.path.isdir(own):
        try:
            os.mkdir(own)
        except OSError as error:
            log.warning("The model folder could not be made (%s): to add avatars of your own, make %s yourself.",
                        error.strerror or error, own)


def model_files(kind: str) -> list[str]:
    """The files of a kind ("avatar", "atom", "mtov") to choose from: the user's, then those shipped with the pack. What says
    nothing of itself is offered too, so that loading can report what is wrong with it."""
    offered = []
    for name in folder_paths.get_filename_list(MODELS):
        path = None if name.endswith(UNFINISHED) or is_temporary(Path(name).name) else folder_paths.get_full_path(MODELS, name)
        if path and stored_kind(path) in (kind, None):
            offered.append(name)
    return offered


def loose_files(endings: tuple[str, ...]) -> list[str]:
    """Files in models/talking_heads that only an importer reads."""
    found = set()
    for base in folder_paths.get_folder_paths(MODELS):
        for place, below, files in os.walk(base, followlinks=True):
            below[:] = [name for name in below if not name.startswith(".")] if _depth(base, place) < _MODEL_DEPTH else []
            found |= {os.path.relpath(os.path.join(place, name), base).replace(os.sep, "/") for name in files
                      if name.lower().endswith(endings) and not is_temporary(name)}
    return sorted(found)


def model_path(name: str) -> Path:
    """The file of a chosen model, in the first model folder that has it."""
    for folder in folder_paths.get_folder_paths(MODELS):
        path = contained(folder, name, links_may_leave=True)
        if path.is_file():
            return path
    raise FileFormatError("The model must be a file in models/talking_heads", repr(name), "Choose another, or press R to read "
                                                                                          "the folder again")


def new_model_path(stem: str) -> Path:
    """Where a model called `stem` is saved: the user's model folder."""
    return contained(folder_paths.get_folder_paths(MODELS)[0], f"{stem}.safetensors")


def encoder_folders() -> list[str]:
    """The speech models below models/audio_encoders that this pack reads: folders with config.json beside the weights, and files
    of the audio-visual encoder, as relative names."""
    found = set()
    for base in folder_paths.get_folder_paths(ENCODERS):
        for place, below, files in os.walk(base, followlinks=True):
            below[:] = [name for name in below if not is_temporary(name)] if _depth(base, place) < _ENCODER_DEPTH else []
            if "config.json" in files and place != base:
                found.add(_relative(base, place))
            found |= {_relative(base, place, name) for name in files if _is_ave(os.path.join(place, name))}
    return sorted(found)


def encoder_folder(name: str) -> Path:
    """The folder (or file) of a chosen speech model, in the first model folder that has it."""
    for base in folder_paths.get_folder_paths(ENCODERS):
        path = contained(base, name, links_may_leave=True)
        if (path / "config.json").is_file() or path.is_file():
            return path
    raise FileFormatError("The speech model must be a folder with config.json, or a file of AVE, in models/audio_encoders",
                          repr(name), "Choose another, or press R to read the folder again")


def encoder_checkpoints() -> list[str]:
    """Files in models/audio_encoders that only an importer reads."""
    return sorted({_relative(base, place, name) for base in folder_paths.get_folder_paths(ENCODERS)
                   for place, _, files in os.walk(base, followlinks=True) if _depth(base, place) < _ENCODER_DEPTH
                   for name in files if name.lower().endswith((".pth", ".pt")) and not is_temporary(name)})


def _is_ave(path: str) -> bool:
    return path.lower().endswith(".safetensors") and not is_temporary(os.path.basename(path)) and is_ave(path)


def _relative(base: str, *path: str) -> str:
    return os.path.relpath(os.path.join(*path), base).replace(os.sep, "/")


def _depth(base: str, place: str) -> int:
    return len(Path(place).relative_to(base).parts)


def empty_images(count: int, height: int, width: int, channels: tuple[int, ...], do: str) -> list[torch.Tensor]:
    """Room for frames on ComfyUI's device between nodes: a float32 tensor [count, height, width] or [..., C] for each of
    `channels` (0: without that axis).

    Raises:
        TalkingHeadsError: they would take more than two thirds of the free memory; `do` says what to do.
    """
    import torch

    device = mm.intermediate_device()
    need, free = count * height * width * sum(max(1, c) for c in channels) * 4, mm.get_free_memory(device)
    if need > free * 2 / 3:
        raise TalkingHeadsError("The frames must fit into memory",
                                f"{count} frames need {need / 2**30:.1f} GB of {free / 2**30:.1f} GB free", do)
    return [torch.empty(count, height, width, *((c,) if c else ()), device=device) for c in channels]


def checked_stop(total: int, start: int, count: int) -> int:
    """The frame to stop before; refuses a start behind the end."""
    if start >= total:
        raise TalkingHeadsError(f"The frame must be one of the track's {total} (0 to {total - 1})", str(start),
                                "Choose an earlier frame")
    return total if count == 0 else min(total, start + count)


def found(there: Callable[[], bool], what: str, name: str | None) -> bool | str:
    """The answer of a validate_inputs: True, or what is wrong with the path `name` that `there` looks for in input/."""
    try:
        return there() or str(TalkingHeadsError(f"{what} must be in ComfyUI's input folder", f"{name!r}, which is not there",
                                                "Copy it there, or correct the name"))
    except TalkingHeadsError as error:
        return str(error)


def stamp(path: Path) -> str:
    """What changes when the file does: modification time and size."""
    status = path.stat()
    return f"{status.st_mtime_ns}-{status.st_size}"
