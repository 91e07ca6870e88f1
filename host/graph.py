"""The small host: a folder, packs, and prompts to run. Start reading here.

What ComfyUI does and this does not: V1 nodes (of packs), node expansion, Autogrow inputs, RAM-pressure cache, sharing of device
memory. The page, its routes and a queue are a server's job: `server`.
"""
from __future__ import annotations

import asyncio
import copy
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from . import shim
from .execute import Executor, OnEvent, RunResult
from .load import Pack, core_nodes, load_pack
from .nodecall import Prompt
from .replacements import replaced
from .shim.context import interrupt_current_processing
from .shim.io_schema import ComfyNode
from .shim.server import PromptServer
from .validate import Validation, validate_prompt
from .workflow import WorkflowError, load_workflow

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class InvalidPrompt(WorkflowError):
    """A prompt was refused; `validation` is what ComfyUI would have answered with status 400."""

    def __init__(self, validation: Validation):
        self.validation = validation
        super().__init__(describe(validation))

    def _arguments(self) -> tuple:
        return (self.validation,)


def describe(validation: Validation) -> str:
    """A refusal as text: the reason, then each node's errors."""
    error = validation.error or {}
    lines = [error.get("message", "")] if validation.error else []
    if not validation.node_errors and error.get("details"):
        lines.append(f"  {error['details']}")
    for node_id, entry in validation.node_errors.items():
        lines += [f"  {entry['class_type']} ({node_id}): {item['message']}: {item['details']}" for item in entry["errors"]]
    return "\n".join(lines)


class Host:
    """Runs workflows in a base folder with models/, input/, output/, temp/."""

    def __init__(self, base_dir: str, packs: Sequence[str] = (REPOSITORY,), *, input_dir: str | None = None,
                 output_dir: str | None = None, temp_dir: str | None = None, on_event: OnEvent | None = None,
                 names: Mapping[str, str] | None = None):
        """Installs the shim, loads core nodes and packs.

        Args:
            packs: root folders, each with an __init__.py. names: what packs are called, by their folder, if not as their folder.
            input_dir, output_dir, temp_dir: instead of the base folder's own.
        """
        shim.install(base_dir, input_dir=input_dir, output_dir=output_dir, temp_dir=temp_dir)
        self.classes: dict[str, type[ComfyNode]] = core_nodes()
        self.packs: list[Pack] = []
        for root in packs:
            pack = load_pack(root, (names or {}).get(root))
            self.packs.append(pack)
            self.classes.update(pack.nodes)
        self.executor = Executor(self.classes, on_event)

    def object_info(self, node_ids: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """The answer to GET /object_info, of all nodes or of these."""
        return {node_id: self.classes[node_id].GET_NODE_INFO_V1() for node_id in (node_ids or self.classes)}

    def load(self, path: str) -> tuple[Prompt, dict | None]:
        """A workflow file of either form as (prompt, the page's workflow or None)."""
        return load_workflow(path, self.object_info())

    def current(self, prompt: Prompt) -> Prompt:
        """A prompt with the successors of nodes that are gone."""
        return replaced(prompt, self.classes, PromptServer.instance.node_replace_manager.found)

    def validate(self, prompt: Prompt, only: list[str] | None = None) -> Validation:
        """Checks a prompt and converts its widget values in place."""
        return asyncio.run(validate_prompt(prompt, self.classes, only=only))

    def run(self, prompt: Prompt, *, workflow: Mapping[str, Any] | None = None, only: list[str] | None = None) -> RunResult:
        """Validates and runs; outputs that are in order run even beside ones that are not, as in ComfyUI.

        Raises:
            InvalidPrompt: when nothing can run.
        """
        prompt = self.current(copy.deepcopy(prompt))
        validation = self.validate(prompt, only)
        if not validation.valid:
            raise InvalidPrompt(validation)
        extra = {"extra_pnginfo": {"workflow": workflow}} if workflow is not None else {}
        result = self.executor.run(prompt, validation.outputs, str(uuid.uuid4()), extra)
        result.node_errors = validation.node_errors
        return result

    @staticmethod
    def interrupt() -> None:
        """Stops the running graph at its next progress update; safe from a signal handler."""
        interrupt_current_processing(True)
