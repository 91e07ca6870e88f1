"""What the page stores: its settings, and the workflows a user saves. Everything stands below user/default of the base folder."""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ...media_core.errors import TalkingHeadsError
from ...media_core.files import atomic_path
from ...media_core.json_files import read_json_object
from ...media_core.paths import contained, is_temporary
from .answers import answer, body_of, dumped, object_of
from .context import Answer, Context
from .security import own_file, user_file

SETTINGS = "comfy.settings.json"
# What a new user starts with: the page would otherwise ask comfy.org for news, which this server's pages must not.
FIRST_SETTINGS = {"Comfy.Notification.ShowVersionUpdates": False}
FIRST_FILES = {SETTINGS: FIRST_SETTINGS, "comfy.templates.json": []}
FIRST_FOLDERS = ("workflows", "subgraphs")


def welcome(folder: Path) -> None:
    """Makes what the page reads at its start and would complain about; what is there stays.

    Raises:
        TalkingHeadsError: the folder cannot be written.
    """
    try:
        for name in FIRST_FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, content in FIRST_FILES.items():
            if not (folder / name).exists():
                with atomic_path(folder / name) as temporary:
                    temporary.write_text(dumped(content), "utf8")
    except OSError as error:
        raise TalkingHeadsError("The base folder must be writable", f"{folder}: {error.strerror or error}",
                                "Choose another --base-dir, or change its permissions") from error


class Settings:
    """The page's settings in one file."""

    def __init__(self, folder: Path):
        self.path = folder / SETTINGS

    def read(self) -> dict[str, Any]:
        """
        Raises:
            FileFormatError: the file is broken.
        """
        return read_json_object(self.path, absent={}, do="Mend the file, or delete it: the page then has its own settings")

    def add(self, values: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = self.read()
        with atomic_path(self.path) as temporary:
            temporary.write_text(dumped({**known, **values}), "utf8")


def file_info(path: Path, base: Path) -> dict[str, Any]:
    """A file as the page lists it; times in ms."""
    about = path.stat()
    return {"path": path.relative_to(base).as_posix(), "size": about.st_size, "modified": int(about.st_mtime * 1000),
            "created": int(about.st_ctime * 1000)}


def files_in(folder: Path, deep: bool) -> list[Path]:
    """Files, without the temporary ones of a save under way."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(place, name) for name in sorted(names)
                  if not is_temporary(name) and Path(place, name).is_file()]
        if not deep:
            break
    return found


class _Files:
    """The routes of /userdata."""

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, request: web.Request, part: str = "file", there: bool = False) -> Path:
        """
        Raises:
            web.HTTPForbidden: it leads out of the user's folder, or is that folder. web.HTTPNotFound: it should be `there`.
        """
        path = self.inside(request.match_info[part])
        if path == self.folder.resolve():
            raise web.HTTPForbidden
        if there and not path.is_file():
            raise web.HTTPNotFound
        return path

    def inside(self, name: str) -> Path:
        try:
            return contained(self.folder, name)
        except TalkingHeadsError as error:
            raise web.HTTPForbidden(text=str(error)) from error

    async def listed(self, request: web.Request) -> web.Response:
        """GET /userdata?dir=workflows&recurse=true&split=false&full_info=true"""
        query = request.query
        if not query.get("dir"):
            raise web.HTTPBadRequest(text="Directory not provided")
        folder = self.inside(query["dir"])
        if not folder.is_dir():
            raise web.HTTPNotFound(text="Directory not found")
        deep, full, split = (query.get(name, "").lower() == "true" for name in ("recurse", "full_info", "split"))

        def told(path: Path) -> Any:
            name = path.relative_to(folder).as_posix()
            return file_info(path, folder) if full else [name, *name.split("/")] if split else name

        return answer([told(path) for path in files_in(folder, deep)])

    async def listed_v2(self, request: web.Request) -> web.Response:
        """GET /v2/userdata?path=workflows: files and folders, folders first."""
        folder, base = self.inside(request.query.get("path", "")), self.folder.resolve()
        if not folder.exists() and folder == base:
            return answer([])
        if not folder.exists():
            raise web.HTTPNotFound(text="Requested path not found")
        if not folder.is_dir():
            raise web.HTTPBadRequest(text="Requested path is not a directory")
        found = [{"name": path.name, "path": path.relative_to(base).as_posix(), "type": "directory"}
                 for path in folder.rglob("*") if path.is_dir()]
        found += [{"name": path.name, "path": path.relative_to(base).as_posix(), "type": "file", "size": path.stat().st_size,
                   "modified": path.stat().st_mtime} for path in files_in(folder, True)]
        return answer(sorted(found, key=lambda entry: (entry["type"] != "directory", entry["name"].lower())))

    async def read(self, request: web.Request) -> web.StreamResponse:
        return user_file(self.path(request, there=True), inline=False)

    async def write(self, request: web.Request) -> web.Response:
        path = self.path(request)
        _refuse_overwriting(request, path)
        content = await request.read()
        await asyncio.to_thread(_saved, path, lambda temporary: temporary.write_bytes(content))
        return self._told(request, path)

    async def move(self, request: web.Request) -> web.Response:
        source, target = self.path(request, there=True), self.path(request, "dest")
        _refuse_overwriting(request, target)
        if target.is_dir():
            raise web.HTTPConflict(text="File already exists")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        return self._told(request, target)

    async def delete(self, request: web.Request) -> web.Response:
        self.path(request, there=True).unlink()
        return web.Response(status=204)

    def _told(self, request: web.Request, path: Path) -> web.Response:
        base = self.folder.resolve()
        full = request.query.get("full_info", "").lower() == "true"
        return answer(file_info(path, base) if full else path.relative_to(base).as_posix())


def _refuse_overwriting(request: web.Request, path: Path) -> None:
    """
    Raises:
        web.HTTPConflict: there is such a file, and it must stay.
    """
    if request.query.get("overwrite", "true") == "false" and path.exists():
        raise web.HTTPConflict(text="File already exists")


def _saved(path: Path, write: Callable[[Path], object]) -> None:
    """
    Raises:
        web.HTTPBadRequest: the system refuses the name.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            write(temporary)
    except OSError as error:
        raise web.HTTPBadRequest(text=f"{path.name} cannot be saved ({error.strerror}). Choose another name.") from error


def user_routes(context: Context) -> dict[tuple[str, str], Answer]:
    settings, files = Settings(context.user), _Files(context.user)

    async def all_settings(request: web.Request) -> web.Response:
        return answer(settings.read())

    async def setting(request: web.Request) -> web.Response:
        return answer(settings.read().get(request.match_info["id"]))

    async def style(request: web.Request) -> web.StreamResponse:
        """The user's own style sheet, empty where there is none."""
        there = (context.user / "user.css").is_file()
        return own_file(context.user, "user.css") if there else web.Response(content_type="text/css")

    async def add_settings(request: web.Request) -> web.Response:
        settings.add(await object_of(request))
        return web.Response()

    async def set_one(request: web.Request) -> web.Response:
        settings.add({request.match_info["id"]: await body_of(request)})
        return web.Response()

    async def users(request: web.Request) -> web.Response:
        return answer({"storage": "server", "migrated": context.user.is_dir()})

    return {("GET", "/settings"): all_settings, ("GET", "/settings/{id}"): setting, ("POST", "/settings"): add_settings,
            ("POST", "/settings/{id}"): set_one, ("GET", "/users"): users, ("GET", "/userdata"): files.listed,
            ("GET", "/user.css"): style, ("GET", "/userdata/user.css"): style,
            ("GET", "/v2/userdata"): files.listed_v2, ("GET", "/userdata/{file}"): files.read,
            ("POST", "/userdata/{file}"): files.write, ("DELETE", "/userdata/{file}"): files.delete,
            ("POST", "/userdata/{file}/move/{dest}"): files.move}
