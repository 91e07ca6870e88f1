"""Files of the input, output and temp folders: shown to the page, and uploaded by it."""
from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ...media_core.errors import FileFormatError, TalkingHeadsError
from ...media_core.files import atomic_path
from ...media_core.json_files import parse_json_object
from ...media_core.paths import contained
from ..shim import folder_paths
from .answers import answer
from .context import Answer, Context
from .security import user_file

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST_HEADER = 1 << 20  # bytes of a safetensors header


def folder_of(kind: str | None, default: str) -> Path:
    """input, output or temp.

    Raises:
        web.HTTPBadRequest: another word.
    """
    folder = folder_paths.get_directory_by_type(kind or default)
    if folder is None:
        raise web.HTTPBadRequest(text="type must be input, output or temp")
    return Path(folder)


def named_file(query: Mapping[str, str]) -> Path:
    """The file that filename, subfolder and type name.

    Raises:
        web.HTTPNotFound: no name. TalkingHeadsError: it leads out of its folder.
    """
    name, marked = folder_paths.annotated_filepath(query.get("filename", ""))
    if not name:
        raise web.HTTPNotFound(text="filename is missing")
    folder = Path(marked) if marked else folder_of(query.get("type"), "output")
    return contained(contained(folder, query.get("subfolder", "")), name)


async def view(request: web.Request) -> web.StreamResponse:
    """GET /view: a file, part of one (ranges), or an image made smaller or without its transparency."""
    path = named_file(request.query)
    if not path.is_file():
        raise web.HTTPNotFound
    preview, channel = request.query.get("preview"), request.query.get("channel", "rgba")
    if preview is None and channel not in ("rgb", "a"):
        return user_file(path)
    from PIL import UnidentifiedImageError

    try:
        packed, kind = await asyncio.to_thread(_converted, path, preview, channel)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise web.HTTPBadRequest(text=f"{path.name} cannot be shown as an image ({error})") from error
    return web.Response(body=packed, content_type=f"image/{kind}")


def _converted(path: Path, preview: str | None, channel: str) -> tuple[bytes, str]:
    """(bytes, format). preview: "webp;90", format and quality. channel: rgb, a (opacity alone), rgba."""
    from PIL import Image

    kind, quality = "png", 90
    if preview is not None:
        parts = preview.split(";")
        kind = "jpeg" if parts[0] == "jpeg" and channel != "a" else "webp"
        quality = min(int(parts[-1]), 100) if parts[-1].isdigit() else quality
    with Image.open(path) as image:
        image = _only(image, channel).convert("RGB") if kind == "jpeg" else _only(image, channel)
        buffer = io.BytesIO()
        image.save(buffer, format=kind.upper(), **({} if kind == "png" else {"quality": quality}))
    return buffer.getvalue(), kind


def _only(image: Image, channel: str) -> Image:
    from PIL import Image as images

    if channel == "rgb":
        return image.convert("RGB")
    if channel != "a":
        return image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGBA")
    opacity = images.new("RGBA", image.size)
    opacity.putalpha(image.convert("RGBA").getchannel("A"))
    return opacity


async def view_metadata(request: web.Request) -> web.Response:
    """GET /view_metadata/{folder}: what a safetensors file says of itself."""
    name, folder = request.query.get("filename", ""), request.match_info["folder"]
    path = folder_paths.get_full_path(folder, name) if name.endswith(".safetensors") else None
    said = None if path is None else await asyncio.to_thread(_header, path)
    if said is None:
        raise web.HTTPNotFound
    return answer(said)


def _header(path: str) -> dict[str, object] | None:
    with open(path, "rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < size <= _LONGEST_HEADER:
            return None
        try:
            return parse_json_object(file.read(size), os.path.basename(path)).get("__metadata__")
        except FileFormatError:
            return None


# ------------------------------------------------------------------------------------------------------------------- uploads
async def upload(request: web.Request) -> web.Response:
    """POST /upload/image: any file into a folder, under its name or one with a number."""
    return await _taken(await _form(request), masked=False)


async def upload_mask(request: web.Request) -> web.Response:
    """POST /upload/mask: the opacity of an image the page has painted on, over the image it was."""
    return await _taken(await _form(request), masked=True)


async def _form(request: web.Request) -> Mapping[str, object]:
    """
    Raises:
        web.HTTPBadRequest: the request carries no form.
    """
    try:
        return await request.post()
    except (ValueError, HttpProcessingError) as error:
        raise web.HTTPBadRequest(text=f"The request must carry a form ({type(error).__name__})") from error


async def _taken(post: Mapping[str, object], masked: bool) -> web.Response:
    given = post.get("image")
    if not isinstance(given, web.FileField) or not given.filename:
        raise web.HTTPBadRequest(text="image must be a file with a name")
    kind, subfolder = (str(post.get(name, default) or default) for name, default in (("type", "input"), ("subfolder", "")))
    folder = contained(folder_of(kind, "input"), subfolder)
    target = contained(folder, given.filename)
    if target == folder or target.is_dir():
        raise web.HTTPBadRequest(text="image must have the name of a file")
    overwrite = str(post.get("overwrite", "")) in ("true", "1")
    original = _original(str(post.get("original_ref", ""))) if masked else None
    try:
        name = await asyncio.to_thread(_store, given.file, target, overwrite, original)
    except OSError as error:
        came = f"saving {target.name} failed ({error.strerror or error})"
        raise TalkingHeadsError("The folder must have room and be writable", came, "Free some space, or rename it") from error
    return answer({"name": name.relative_to(folder).as_posix(), "subfolder": subfolder, "type": kind})


def _original(reference: str) -> Path:
    """The image that a mask belongs to.

    Raises:
        FileFormatError: no reference. TalkingHeadsError: it leads out of its folder.
    """
    named = parse_json_object(reference, "original_ref", do="Send filename, subfolder and type")
    return named_file({key: str(value) for key, value in named.items()})


def _store(file: IO[bytes], target: Path, overwrite: bool, original: Path | None) -> Path:
    """Whole or absent. Returns where: a file of that name with other content stays, the new one gets a number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    wanted, number = target, 1
    while not overwrite and target.exists():
        if original is None and _digest(file) == _digest(target.open("rb"), close=True):
            return target
        target = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        number += 1
    with atomic_path(target) as temporary:
        if original is not None and original.is_file():
            _paint(file, original, temporary)
        elif original is None:
            with open(temporary, "wb") as output:
                shutil.copyfileobj(file, output, 1 << 20)
        else:
            raise web.HTTPNotFound
    return target


def _digest(file: IO[bytes], close: bool = False) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    for part in iter(lambda: file.read(1 << 20), b""):
        digest.update(part)
    file.seek(0)
    if close:
        file.close()
    return digest.hexdigest()


def _paint(mask: IO[bytes], original: Path, target: Path) -> None:
    """The original's colours and texts with the mask's opacity, as PNG."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    with Image.open(original) as image, Image.open(mask) as painted:
        texts = PngInfo()
        for key, text in getattr(image, "text", {}).items():
            texts.add_text(key, text)
        colours = image.convert("RGBA")
        colours.putalpha(painted.convert("RGBA").getchannel("A").resize(colours.size))
        colours.save(target, format="PNG", compress_level=4, pnginfo=texts)


async def files(request: web.Request) -> web.Response:
    """GET /internal/files/{kind}: names, the newest first."""
    folder = folder_of(request.match_info["kind"], "input")
    found = sorted((entry for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")),
                   key=lambda entry: -entry.stat().st_mtime)
    return answer([f"{entry.name} [{request.match_info['kind']}]" for entry in found])


def media_routes(context: Context) -> dict[tuple[str, str], Answer]:
    return {("GET", "/view"): view, ("GET", "/view_metadata/{folder}"): view_metadata, ("POST", "/upload/image"): upload,
            ("POST", "/upload/mask"): upload_mask, ("GET", "/internal/files/{kind}"): files}
