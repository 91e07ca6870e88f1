"""A server as a user has it, with a fresh base folder: a real ComfyUI with the pack in custom_nodes, or the small host
(`talking-heads serve`) with ComfyUI's page from PyPI. Used by tests and benchmarks."""
from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "ComfyUI-TalkingHeads"  # of the pack in custom_nodes; the template browser shows this name
START_LIMIT = 300.0  # s


class Server:
    """A process that serves the page. `command`: starts it, listening on the port of `url`."""

    def __init__(self, base: Path, url: str, command: list[str], *, cwd: str | Path):
        self.base, self.url = base, url
        self.log = open(base / "log.txt", "w")  # noqa: SIM115 - open while the server runs
        self.process = subprocess.Popen(command, cwd=cwd, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self._await_start()
        except BaseException:
            self.close()
            raise

    def _await_start(self) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < START_LIMIT:
            if self.process.poll() is not None:
                raise RuntimeError("The server did not start:\n" + (self.base / "log.txt").read_text()[-3000:])
            try:
                self.get("/queue")
                return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"The server did not answer within {START_LIMIT:.0f} s")

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def post(self, path: str, data: dict) -> None:
        request = urllib.request.Request(self.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()

    def settings(self, **values: Any) -> None:
        """Of the user, as the settings dialog stores them; `_` in a name stands for a dot."""
        self.post("/api/settings", {name.replace("_", "."): value for name, value in values.items()})

    def busy(self) -> bool:
        queue = self.get("/queue")
        return bool(queue["queue_running"] or queue["queue_pending"])

    def versions(self) -> dict[str, str]:
        """Of ComfyUI, Python and torch."""
        system = self.get("/api/system_stats")["system"]
        python = system["python_version"].split()[0]
        return {"ComfyUI": system["comfyui_version"], "Python": python, "torch": system["pytorch_version"]}


class ComfyServer(Server):
    """`checkout`: a ComfyUI whose requirements this Python has, or the one that COMFYUI_PYTHON names. `frontend`: the `static`
    folder of another frontend package.
    """

    def __init__(self, checkout: str, base: Path, *, frontend: str | None = None, port: int | None = None):
        nodes = base / "custom_nodes"
        nodes.mkdir(parents=True)
        (nodes / FOLDER).symlink_to(ROOT, target_is_directory=True)
        port = port or free_port()
        pages = ["--front-end-root", frontend] if frontend else []
        super().__init__(base, f"http://127.0.0.1:{port}", [
            os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--port", str(port), "--base-directory",
            str(base),
            "--database-url", "sqlite:///:memory:", "--disable-api-nodes", *pages], cwd=checkout)


class SmallServer(Server):
    """The small host; this Python has the pack and the extra `serve`."""

    def __init__(self, base: Path, *, frontend: str | None = None, port: int | None = None):
        base.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        pages = ["--frontend", frontend] if frontend else []
        super().__init__(base, f"http://127.0.0.1:{port}", [
            sys.executable, "-m", "talking_heads.cli", "serve", "--port", str(port), "--base-dir", str(base), *pages], cwd=base)


def missing_part() -> str | None:
    """What the small host lacks for a browser test, None if it has everything."""
    for module, package in (("aiohttp", "aiohttp"), ("comfyui_frontend_package", "comfyui-frontend-package"),
                            ("playwright", "playwright")):
        if importlib.util.find_spec(module) is None:
            return f"{package} is not installed"
    return None if chromium_path() else "there is no Chromium (CHROMIUM_PATH)"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def chromium_path() -> str | None:
    """CHROMIUM_PATH, or a browser where Linux keeps it; None: Playwright's own download is tried."""
    usual = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
    return os.environ.get("CHROMIUM_PATH") or next((path for path in usual if Path(path).exists()), None)
