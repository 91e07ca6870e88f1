"""`comfy_api.latest.ui`: files for the page, saved with the workflow inside, and the small dictionaries that name them."""
from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import folder_paths
from .audio_file import write_sound
from .cli_args import args
from .files import numbered_file
from .io_base import FolderType

if TYPE_CHECKING:
    import torch

    from .io_schema import ComfyNode

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class SavedResult(dict):
    """One file: {"filename", "subfolder", "type"}."""

    def __init__(self, filename: str, subfolder: str, type: FolderType):
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)

    @property
    def filename(self) -> str:
        return self["filename"]

    @property
    def subfolder(self) -> str:
        return self["subfolder"]

    @property
    def type(self) -> FolderType:
        return FolderType(self["type"])


class UIOutput:
    """What NodeOutput(ui=...) takes; a plain dict of lists does as well."""

    def as_dict(self) -> dict[str, Any]:
        raise NotImplementedError


class SavedImages(UIOutput):
    def __init__(self, results: list[SavedResult], is_animated: bool = False):
        self.results, self.is_animated = results, is_animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.results, **({"animated": (True,)} if self.is_animated else {})}


class SavedAudios(UIOutput):
    def __init__(self, results: list[SavedResult]):
        self.results = results

    def as_dict(self) -> dict[str, Any]:
        return {"audio": self.results}


def workflow_tags(cls: type[ComfyNode] | None) -> dict[str, str]:
    """The prompt and the page's workflow as JSON texts, {} if the node has none."""
    hidden = None if args.disable_metadata else getattr(cls, "hidden", None)
    tags = {} if hidden is None or hidden.prompt is None else {"prompt": json.dumps(hidden.prompt)}
    extra = (hidden.extra_pnginfo if hidden is not None else None) or {}
    return {**tags, **{key: json.dumps(value) for key, value in extra.items()}}


class ImageSaveHelper:
    """Saves IMAGE batches."""

    @staticmethod
    def save_images(images: torch.Tensor, filename_prefix: str, folder_type: FolderType, cls: type[ComfyNode] | None,
                    compress_level: int = 4) -> list[SavedResult]:
        """images [B, H, W, C] 0..1 as one PNG each, numbered after those that are there."""
        import numpy as np
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, _folder(folder_type), images[0].shape[1], images[0].shape[0])
        info = PngInfo()
        for key, text in workflow_tags(cls).items():
            info.add_text(key, text)
        results = []
        for index, image in enumerate(images):
            pixels = Image.fromarray(np.clip(255.0 * image.cpu().numpy(), 0, 255).astype(np.uint8))
            file, counter = numbered_file(
                folder, _numbered(name, index, "_.png"), counter,
                lambda path, pixels=pixels: pixels.save(path, pnginfo=info, compress_level=compress_level),
                tidy=index == 0)
            results.append(SavedResult(file, subfolder, folder_type))
            counter += 1
        return results

    @staticmethod
    def get_save_images_ui(images: torch.Tensor, filename_prefix: str, cls: type[ComfyNode],
                           compress_level: int = 4) -> SavedImages:
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level))


class AudioSaveHelper:
    """Saves AUDIO batches as FLAC or MP3 (Opus is ComfyUI's alone: it resamples)."""

    @staticmethod
    def save_audio(audio: dict, filename_prefix: str, folder_type: FolderType, cls: type[ComfyNode] | None, format: str = "flac",
                   quality: str = "128k") -> list[SavedResult]:
        """audio {"waveform" [B, C, N], "sample_rate"} as one file per batch item.

        Raises:
            ValueError: for a format other than flac and mp3.
        """
        if format not in ("flac", "mp3"):
            raise ValueError(f"Unsupported audio format: {format!r}")
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, _folder(folder_type))
        results = []
        for index in range(len(audio["waveform"])):
            item = {**audio, "waveform": audio["waveform"][index:index + 1]}
            file, counter = numbered_file(
                folder, _numbered(name, index, f".{format}"), counter,
                lambda path, item=item: write_sound(path, item, format, quality, workflow_tags(cls)),
                tidy=index == 0)
            results.append(SavedResult(file, subfolder, folder_type))
            counter += 1
        return results

    @staticmethod
    def get_save_audio_ui(audio: dict, filename_prefix: str, cls: type[ComfyNode], format: str = "flac",
                          quality: str = "128k") -> SavedAudios:
        return SavedAudios(AudioSaveHelper.save_audio(audio, filename_prefix, FolderType.output, cls, format, quality))


def _folder(kind: FolderType) -> str:
    place = folder_paths.get_directory_by_type(kind.value)
    assert place is not None  # every FolderType has one
    return place


def _numbered(name: str, index: int, ending: str) -> Callable[[int], str]:
    """The file of a number, for the item `index` of a batch."""
    stem = name.replace("%batch_num%", str(index))
    return lambda number: f"{stem}_{number:05}{ending}"


def _temp_prefix() -> str:
    return "ComfyUI_temp_" + "".join(random.choice(_LETTERS) for _ in range(5))


class PreviewImage(UIOutput):
    """Images for the page only, in temp/."""

    def __init__(self, image: torch.Tensor, animated: bool = False, cls: type[ComfyNode] | None = None, **_: Any):
        self.values = ImageSaveHelper.save_images(image, _temp_prefix(), FolderType.temp, cls, compress_level=1)
        self.animated = animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """A mask [B, H, W] shown in grey."""

    def __init__(self, mask: torch.Tensor, animated: bool = False, cls: type[ComfyNode] | None = None, **_: Any):
        grey = mask.reshape((-1, mask.shape[-2], mask.shape[-1], 1)).expand(-1, -1, -1, 3)
        super().__init__(grey, animated, cls)


class PreviewAudio(UIOutput):
    """Audio for the page only, in temp/."""

    def __init__(self, audio: dict, cls: type[ComfyNode] | None = None, **_: Any):
        self.values = AudioSaveHelper.save_audio(audio, _temp_prefix(), FolderType.temp, cls)

    def as_dict(self) -> dict[str, Any]:
        return {"audio": self.values}


class PreviewVideo(UIOutput):
    """Videos already saved."""

    def __init__(self, values: list[SavedResult], **_: Any):
        self.values = values

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class PreviewText(UIOutput):
    """A line of text under the node."""

    def __init__(self, value: str, **_: Any):
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}
