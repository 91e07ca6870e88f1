"""`folder_paths`: where models, uploads and results live, and the refusal of names that lead outside.

Behaves as ComfyUI 0.33's module for what a pack calls; `set_base` is ours (ComfyUI reads its command line instead).
"""
from __future__ import annotations

import mimetypes
import os
import time

from ...media_core.errors import TalkingHeadsError

supported_pt_extensions = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}
_MODEL_FOLDERS = ("checkpoints", "vae", "audio_encoders", "detection", "diffusion_models", "clip_vision", "loras")  # of core
_EXTRA_TYPES = {"webp": "image", "fbx": "model"}  # endings ComfyUI adds to the mimetypes table

base_path = ""  # set by set_base
models_dir = ""
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}  # folder name -> (folders, endings; no endings = every file)
_places = {"input": "", "output": "", "temp": "", "user": ""}


def set_base(base: str, *, input_dir: str | None = None, output_dir: str | None = None, temp_dir: str | None = None) -> None:
    """Puts every folder below `base`, or where it is given; forgets model folders added before. Makes output/ and temp/, and the
    input/ below `base`.

    Raises:
        TalkingHeadsError: `input_dir` is no folder: what is read is never made.
    """
    if input_dir is not None and not os.path.isdir(input_dir):
        raise TalkingHeadsError("The input folder must be there", f"no folder at {input_dir}", "Check its name")
    global base_path, models_dir
    base_path = os.path.abspath(base)
    models_dir = os.path.join(base_path, "models")
    for kind, given in (("input", input_dir), ("output", output_dir), ("temp", temp_dir), ("user", None)):
        _places[kind] = os.path.abspath(given or os.path.join(base_path, kind))
    for kind in ("input", "output", "temp"):
        os.makedirs(_places[kind], exist_ok=True)
    folder_names_and_paths.clear()
    for name in _MODEL_FOLDERS:
        folder_names_and_paths[name] = ([os.path.join(models_dir, name)], supported_pt_extensions)
    folder_names_and_paths["custom_nodes"] = ([os.path.join(base_path, "custom_nodes")], set())


def get_input_directory() -> str:
    return _places["input"]


def set_input_directory(input_dir: str) -> None:
    _places["input"] = input_dir


def get_output_directory() -> str:
    return _places["output"]


def get_temp_directory() -> str:
    return _places["temp"]


def get_user_directory() -> str:
    return _places["user"]


def get_directory_by_type(type_name: str) -> str | None:
    return _places[type_name] if type_name in ("input", "output", "temp") else None


def is_within_directory(directory: str, target: str) -> bool:
    """Whether `target`, links resolved, lies in `directory`; False for names no file can have."""
    if "\0" in target:
        return False
    root, place = os.path.realpath(directory), os.path.realpath(target)
    if os.path.splitdrive(root)[0] != os.path.splitdrive(place)[0]:
        return False
    return os.path.commonpath((root, place)) == root


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """"x.wav [output]" -> ("x.wav", the output folder); without a mark the folder is None."""
    for kind in ("output", "input", "temp"):
        mark = f"[{kind}]"
        if name.endswith(mark):
            return name[: -len(mark) - 1], _places[kind]
    return name, None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The file a widget names, in input/ unless marked otherwise.

    Raises:
        ValueError: when the name leads outside its folder.
    """
    name, folder = annotated_filepath(name)
    folder = folder or default_dir or get_input_directory()
    path = os.path.abspath(os.path.join(folder, name))
    if not is_within_directory(folder, path):
        raise ValueError(f"Invalid file path: {name!r}")
    return path


def exists_annotated_filepath(name: str) -> bool:
    """Whether a widget's file is there; a name that leads outside is not."""
    name, folder = annotated_filepath(name)
    folder = folder or get_input_directory()
    path = os.path.abspath(os.path.join(folder, name))
    return is_within_directory(folder, path) and os.path.exists(path)


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Adds a folder to search (first if is_default). A new folder name starts without endings: set them yourself."""
    folders = folder_names_and_paths.setdefault(folder_name, ([], set()))[0]
    if full_folder_path in folders:
        if is_default:
            folders.remove(full_folder_path)
            folders.insert(0, full_folder_path)
        return
    folders.insert(0 if is_default else len(folders), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    return list(folder_names_and_paths[folder_name][0])


def get_filename_list(folder_name: str) -> list[str]:
    """Every model file of a folder name, relative, sorted."""
    folders, endings = folder_names_and_paths[folder_name]
    found = set()
    for folder in folders:
        for place, below, files in os.walk(folder, followlinks=True):
            below[:] = [name for name in below if name != ".git"]
            found.update(os.path.relpath(os.path.join(place, name), folder) for name in files
                         if not endings or os.path.splitext(name)[1].lower() in endings)
    return sorted(found)


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The first file of that name in the folders, None if there is none; ".." cannot climb out."""
    relative = os.path.relpath(os.path.join("/", filename), "/")
    for folder in folder_names_and_paths.get(folder_name, ([], set()))[0]:
        path = os.path.join(folder, relative)
        if os.path.isfile(path):
            return path
    return None


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """get_full_path, or FileNotFoundError."""
    path = get_full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"Model in folder '{folder_name}' with filename '{filename}' not found.")
    return path


def filter_files_content_types(files: list[str], content_types: list[str]) -> list[str]:
    """Files whose ending is an image, a video, an audio or a model."""
    def kind(name: str) -> str:
        ending = name.rsplit(".", 1)[-1]
        return _EXTRA_TYPES.get(ending) or (mimetypes.guess_type(name, strict=False)[0] or "").split("/")[0]

    return [name for name in files if kind(name) in content_types]


def filter_files_extensions(files: list[str], extensions: set[str]) -> list[str]:
    return sorted(name for name in files if not extensions or os.path.splitext(name)[1].lower() in extensions)


def get_save_image_path(filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0) -> tuple:
    """Where the next file of a prefix goes: (folder, name, counter, subfolder, prefix); for f"{name}_{counter:05}_.png".

    Raises:
        Exception: when the prefix leads outside `output_dir`.
    """
    now = time.localtime()
    figures = {"width": image_width, "height": image_height, "year": now.tm_year, "month": f"{now.tm_mon:02}",
               "day": f"{now.tm_mday:02}", "hour": f"{now.tm_hour:02}", "minute": f"{now.tm_min:02}",
               "second": f"{now.tm_sec:02}"}
    for word, figure in figures.items():
        filename_prefix = filename_prefix.replace(f"%{word}%", str(figure))
    subfolder, name = os.path.split(os.path.normpath(filename_prefix))
    folder = os.path.join(output_dir, subfolder)
    if not is_within_directory(output_dir, folder):
        raise Exception("**** ERROR: Saving image outside the output folder is not allowed."
                        f"\n full_output_folder: {os.path.abspath(folder)}\n         output_dir: {output_dir}")
    os.makedirs(folder, exist_ok=True)
    taken = [_counter(file, name) for file in os.listdir(folder)]
    return folder, name, max(taken, default=0) + 1, subfolder, filename_prefix


def _counter(file: str, name: str) -> int:
    """5 for "name_00005_.png", 0 for another file."""
    if os.path.normcase(file[: len(name) + 1]) != os.path.normcase(name + "_"):
        return 0
    digits = file[len(name) + 1:].split(".")[0].split("_")[0]
    return int(digits) if digits.isdigit() else 0
