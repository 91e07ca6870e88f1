"""Two hosts behind one face: the small one always, a real ComfyUI when COMFYUI_PATH names a checkout."""
from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
TOYS = HERE / "pack"


class Record(dict):
    """What one prompt led to, in a form both hosts can give."""


def plain(value: Any) -> Any:
    """As JSON would carry it."""
    return json.loads(json.dumps(value))


class SmallHost:
    """talking_heads.host with the toy pack."""

    def __init__(self, base: Path, packs: tuple[Path, ...] = (TOYS,)):
        from talking_heads.host.graph import Host

        self.base, self.events, self.on_event = base, [], None
        self.host = Host(str(base), [str(pack) for pack in packs], on_event=self._event)
        toys = [sys.modules[name] for name in sys.modules if name.endswith("pack.toys")]
        self.toys = toys[0] if toys else None

    def _event(self, name: str, data: dict) -> None:
        self.events.append((name, data))
        if self.on_event is not None:
            self.on_event(name, data)

    @property
    def runs(self) -> list[str]:
        """What the toys did, emptied by reading."""
        done = list(self.toys.RUNS)
        self.toys.RUNS.clear()
        return done

    def run(self, prompt: dict, stop_at: str | None = None, **more: Any) -> Any:
        """RunResult of a prompt; stop_at: press stop at this node's first progress."""
        self.events.clear()
        self.toys.RUNS.clear()
        self.on_event = (lambda name, data: self.host.interrupt() if name == "progress" and data["node"] == stop_at else None)
        return self.host.run(prompt, **more)

    def validate(self, prompt: dict) -> Any:
        return self.host.validate(copy.deepcopy(prompt))

    def record(self, prompt: dict, stop_at: str | None = None) -> Record:
        """A prompt's whole story, comparable with RealHost's."""
        answer = self.validate(prompt)
        told = Record(valid=answer.valid, error=plain(answer.error), node_errors=plain(answer.node_errors))
        if answer.valid:
            result = self.run(prompt, stop_at)
            told.update(status=result.status, outputs=plain(result.outputs), cached=sorted(result.cached))
            told["events"] = plain(self.events_told())
        return told

    def events_told(self) -> list[list]:
        return told_events(self.events)

    def object_info(self) -> dict:
        return plain(self.host.object_info())


def told_events(events: list[tuple[str, dict]]) -> list[list]:
    """Events reduced to what must agree between hosts."""
    told: list[list] = []
    for name, data in events:
        if name in ("executing", "executed") and data.get("node") is not None:
            told.append([name, data["node"]])
        elif name == "progress":
            told.append([name, data["node"], data["value"], data["max"]])
        elif name == "execution_error":
            told.append([name, data["node_id"], data["node_type"], data["exception_type"], data["exception_message"],
                         data["current_inputs"] if data["exception_type"] != "ExecutionBlocked" else None])
        elif name == "execution_interrupted":
            told.append([name, data["node_id"], data["node_type"]])
        elif name in ("execution_start", "execution_success", "preview"):
            told.append([name])
    return told


@pytest.fixture
def small(tmp_path: Path) -> SmallHost:
    host = SmallHost(tmp_path)
    host.toys.FINGERPRINT["value"] = 1
    return host


@pytest.fixture(scope="session")
def comfyui_path() -> str:
    """The checkout to test against; skips where there is none."""
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: the small host was not compared with a real ComfyUI")
    return path
