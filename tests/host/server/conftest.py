"""The server around the toy pack and a pack that has everything a pack can show; nothing is mocked but the page's files."""
from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp", reason="aiohttp is not installed: the server was not tried")

TOYS = Path(__file__).resolve().parents[1] / "pack"
PACK = {
    "__init__.py": """WEB_DIRECTORY = "./web"
async def comfy_entrypoint():
    from comfy_api.latest import ComfyExtension
    class Empty(ComfyExtension):
        async def get_node_list(self):
            return []
    return Empty()
""",
    "web/js/a.js": "export {}", "web/js/lib/b.js": "export {}", "web/docs/ToyNumber.md": "# help", "workflows/1 First.json": "{}",
    "workflows/1 First.jpg": "jpg", "workflows/api/deep.json": "{}", "subgraphs/Block.json": '{"nodes": []}',
    "locales/en/main.json": '{"x": {"a": 1}}', "locales/en/nodeDefs.json": '{"Toy": {"name": "toy"}}', "secret.txt": "hidden",
}


def write_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf8")
    return root


@pytest.fixture(scope="session")
def every_thing():
    """Writes the pack with everything into a folder."""
    return lambda folder: write_tree(folder / "packs" / "Every Thing", PACK)


class Served:
    """A server in `base`; `run(scenario)` starts it, awaits scenario(client), and ends it."""

    def __init__(self, base: Path):
        self.base = base
        self.pack = write_tree(base / "packs" / "Every Thing", PACK)
        self.pages = write_tree(base / "pages", {"index.html": "<html>page</html>", "assets/x-1a2b.js": "1",
                                                 "extensions/core/c.js": "export {}"})
        self.toys = SimpleNamespace(RUNS=[])

    def host(self):
        from talking_heads.host.graph import Host

        return Host(str(self.base), [str(TOYS), str(self.pack)])

    def app(self, **options):
        from talking_heads.host.server.app import make_app

        host = self.host()
        self.toys = next(module for name, module in sys.modules.items() if name.endswith("pack.toys"))
        self.toys.RUNS.clear()
        return make_app(host, user=self.base / "user" / "default", pages=self.pages, **options)

    def run(self, scenario, **options):
        from aiohttp.test_utils import TestClient, TestServer

        app = self.app(**options)

        async def whole():
            async with TestClient(TestServer(app)) as client:
                return await asyncio.wait_for(scenario(client), 60)

        return asyncio.run(whole())


@pytest.fixture
def served(tmp_path):
    return Served(tmp_path)


class Page:
    """What a page does: listens, sends prompts, waits."""

    def __init__(self, client, socket, name):
        self.client, self.socket, self.name = client, socket, name
        self.heard: list = []  # (event, data), binary messages as (type, bytes)

    @classmethod
    async def open(cls, client, name="page", features=True):
        page = cls(client, await client.ws_connect(f"/ws?clientId={name}"), name)
        if features:
            await page.socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        return page

    async def send(self, prompt, **more):
        answer = await self.client.post("/api/prompt", json={"prompt": prompt, "client_id": self.name, **more})
        return answer.status, await answer.json()

    async def until(self, *events, most=20.0):
        """Listens until one of these events; returns its data."""
        while True:
            message = await asyncio.wait_for(self.socket.receive(), most)
            if isinstance(message.data, bytes):
                event, data = int.from_bytes(message.data[:4], "big"), message.data[4:]
            else:
                said = json.loads(message.data)
                event, data = said["type"], said["data"]
            self.heard.append((event, data))
            if event in events:
                return data

    async def ended(self):
        """Until the run is in the history."""
        while (await self.until("executing"))["node"] is not None:
            pass

    def events(self):
        return [event for event, _ in self.heard if event != "status"]


@pytest.fixture
def open_page():
    return Page.open


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture
def shown():
    """A prompt that shows what a node gives."""
    return lambda kind, **inputs: {"1": node(kind, **inputs), "2": node("ToyShow", value=["1", 0])}
