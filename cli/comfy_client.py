"""A running ComfyUI, over HTTP: prompts, uploads, results (docs/comfyui.md#http-api). Standard library only."""
from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ..media_core.errors import TalkingHeadsError
from ..media_core.json_files import parse_json

PATIENCE = 60.0  # s for an answer
LONGEST = 1 << 28  # bytes of one


class SaidByServer(TalkingHeadsError):
    """What a node on the server says: a whole sentence already."""

    def __init__(self, said: str):
        self.said = said
        super().__init__("The server must be able to do the job", said, "See the server's log")

    def __str__(self) -> str:
        return self.said

    def _arguments(self) -> tuple:
        return (self.said,)


class ComfyClient:
    """The queue of one server.

    Args:
        url: such as http://127.0.0.1:8188.
    Raises:
        TalkingHeadsError: no such address; from every method also: the server does not answer, or refuses.
    """

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise TalkingHeadsError("--server must be the address of a running ComfyUI", repr(url),
                                    "Write it as http://127.0.0.1:8188")
        self.url, self._client = url.rstrip("/"), uuid.uuid4().hex

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        with self._opened(path) as answer:
            return parse_json(answer.read(LONGEST), f"The answer of {self.url}{path}", finite=False, longest=LONGEST)

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Posts JSON; the answer."""
        with self._opened(path, json.dumps(body).encode(), "application/json") as answer:
            return answer.read(LONGEST)

    def choices(self, node: str, name: str) -> list[str] | None:
        """What an input of a node can be on this server; None: it has no such node."""
        info = self.get(f"/object_info/{node}").get(node)
        if info is None:
            return None
        kind, *options = {**info["input"].get("required", {}), **info["input"].get("optional", {})}[name]
        return list(kind) if isinstance(kind, list) else list(options[0].get("options", []))

    def upload(self, path: Path, name: str, folder: str) -> str:
        """Puts a file into `folder` below the server's input folder; its name as Load nodes take it."""
        mark = uuid.uuid4().hex
        fields = {"type": "input", "subfolder": folder, "overwrite": "true"}
        parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()]
        parts.append(f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
                     "Content-Type: application/octet-stream\r\n\r\n")
        body = "".join(parts).encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        with self._opened("/upload/image", body, f"multipart/form-data; boundary={mark}") as answer:
            told = parse_json(answer.read(LONGEST), "The answer to an upload")
        return "/".join(part for part in (told.get("subfolder"), told["name"]) if part)

    def submit(self, prompt: Mapping[str, Any]) -> str:
        """Puts a prompt into the queue: its id."""
        told = parse_json(self.post("/prompt", {"prompt": prompt, "client_id": self._client}), "The answer to a prompt")
        if told.get("node_errors"):
            raise SaidByServer(_complaint(told))
        return told["prompt_id"]

    def waiting(self) -> tuple[list[str], list[str]]:
        """(ids of the prompts that run, of those that wait, the next one first)."""
        queue = self.get("/queue")
        running, pending = queue["queue_running"], sorted(queue["queue_pending"], key=lambda item: item[0])
        return [item[1] for item in running], [item[1] for item in pending]

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The results of a prompt, by node; None: it has not ended.

        Raises:
            SaidByServer: it failed.
        """
        entry = self.get(f"/history/{prompt_id}").get(prompt_id)
        if entry is None:
            return None
        status = entry.get("status") or {}
        if status.get("status_str") == "error":
            told = [data for kind, data in status.get("messages", []) if kind in ("execution_error", "execution_interrupted")]
            raise SaidByServer((told[-1].get("exception_message") or "it was interrupted on the server").strip() if told else
                               "the server says no more than that it failed")
        return entry.get("outputs", {})

    def download(self, file: Mapping[str, str], target: Path) -> None:
        """Writes a result to `target`. `file`: as the node's results name it."""
        query = urllib.parse.urlencode({key: file.get(key, "") for key in ("filename", "subfolder", "type")})
        with self._opened(f"/view?{query}") as answer, target.open("wb") as out:
            shutil.copyfileobj(answer, out)

    def cancel(self, prompt_ids: Sequence[str]) -> None:
        """Takes prompts out of the queue, and stops those that run."""
        running, _ = self.waiting()
        self.post("/queue", {"delete": list(prompt_ids)})
        for prompt_id in set(running) & set(prompt_ids):
            self.post("/interrupt", {"prompt_id": prompt_id})

    @contextmanager
    def _opened(self, path: str, body: bytes | None = None, kind: str | None = None) -> Iterator[Any]:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind} if kind else {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            told = error.read(LONGEST)
            if path == "/prompt" and error.code == 400:
                raise SaidByServer(_complaint(parse_json(told, "The answer to a prompt"))) from error
            raise TalkingHeadsError(f"ComfyUI at {self.url} must answer", f"{error.code} {error.reason} for {path}",
                                    "Check the address, and the server's log") from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise TalkingHeadsError(f"ComfyUI at {self.url} must answer", f"{getattr(error, 'reason', error)}",
                                    "Start it, or check the address") from error


def _complaint(answer: Mapping[str, Any]) -> str:
    """What a server says of a prompt that it refuses."""
    nodes = answer.get("node_errors") or {}
    said = [f"{entry.get('class_type')}: {error.get('message')}: {error.get('details')}" for entry in nodes.values()
            for error in entry.get("errors", [])]
    return "; ".join(said) or str((answer.get("error") or {}).get("message") or "the server refuses the prompt")
