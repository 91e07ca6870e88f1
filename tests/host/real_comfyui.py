"""A real ComfyUI as a subprocess, driven over HTTP and websocket (docs/comfyui.md#http-api). Its requirements must be
installed: in this Python, or in the one that COMFYUI_PYTHON names.
"""
from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

START_LIMIT = 300.0  # s for ComfyUI to answer
RUN_LIMIT = 300.0  # s for one prompt


def text_on_node(message: bytes) -> tuple[str, dict] | None:
    """A binary message of kind 3, as the small host tells it; None for another kind."""
    if int.from_bytes(message[:4], "big") != 3:
        return None
    length = int.from_bytes(message[4:8], "big")
    return "progress_text", {"node": message[8:8 + length].decode(), "text": message[8 + length:].decode()}


class RealHost:
    """Starts `main.py --cpu` with packs linked into custom_nodes, stops it in close()."""

    def __init__(self, checkout: str, base: Path, packs: tuple[Path, ...], port: int):
        nodes = base / "custom_nodes"
        nodes.mkdir(parents=True)
        for pack in packs:
            (nodes / pack.name).symlink_to(pack)
        pages = base / "pages"
        pages.mkdir()
        self.base, self.url, self.client = base, f"127.0.0.1:{port}", uuid.uuid4().hex
        self.log = open(base / "log.txt", "w")
        self.process = subprocess.Popen(
            [os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--port", str(port), "--base-directory",
             str(base),
             "--front-end-root", str(pages), "--database-url", "sqlite:///:memory:", "--disable-api-nodes"],
            cwd=checkout, stdout=self.log, stderr=subprocess.STDOUT)
        self._await_start()

    def _await_start(self) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < START_LIMIT:
            if self.process.poll() is not None:
                raise RuntimeError("ComfyUI did not start:\n" + (self.base / "log.txt").read_text()[-3000:])
            try:
                self.get("/queue")
                return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError("ComfyUI did not answer in time")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.url}{path}", timeout=60) as answer:
            return json.load(answer)

    def object_info(self) -> dict:
        return self.get("/object_info")

    def run(self, prompt: dict, stop_at: str | None = None) -> tuple[int, dict, list[tuple[str, dict]], dict]:
        """(HTTP status, answer, events, history entry or {})."""
        return asyncio.run(asyncio.wait_for(self._run(prompt, stop_at), RUN_LIMIT))

    async def _run(self, prompt: dict, stop_at: str | None) -> tuple[int, dict, list[tuple[str, dict]], dict]:
        import aiohttp

        async with (aiohttp.ClientSession(f"http://{self.url}") as session,
                    session.ws_connect(f"/ws?clientId={self.client}") as socket):
            await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
            async with session.post("/prompt", json={"prompt": prompt, "client_id": self.client}) as response:
                status, answer = response.status, await response.json()
            if status != 200:
                return status, answer, [], {}
            events = await self._listen(session, socket, answer["prompt_id"], stop_at)
            for _ in range(100):  # the history is written after the last event
                async with session.get(f"/history/{answer['prompt_id']}") as response:
                    history = await response.json()
                if history:
                    break
                await asyncio.sleep(0.05)
            return status, answer, events, history.get(answer["prompt_id"], {})

    async def _listen(self, session: Any, socket: Any, prompt_id: str, stop_at: str | None) -> list[tuple[str, dict]]:
        events: list[tuple[str, dict]] = []
        async for message in socket:
            if isinstance(message.data, bytes):
                events.append(text_on_node(message.data) or ("preview", {}))
                continue
            event = json.loads(message.data)
            data = event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            events.append((event["type"], data))
            if stop_at is not None and event["type"] == "progress" and data["node"] == stop_at:
                stop_at = None
                await session.post("/interrupt", json={"prompt_id": prompt_id})
            ended = event["type"] in ("execution_success", "execution_interrupted")
            failed = event["type"] == "execution_error" and data["exception_type"] != "ExecutionBlocked"
            if ended or failed:
                return events
        return events
