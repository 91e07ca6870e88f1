"""Mistakes as a user makes them: the page shows the node's own sentence, on the right node, and the console stays clean."""
from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import node_errors
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOAD = "prompt => app.loadApiJson(prompt, 'mistake')"
RED = """() => app.graph.nodes.filter(n => n.has_errors || n.inputs?.some(i => i.hasErrors)
  || (app.lastExecutionError && `${app.lastExecutionError.node_id}` === `${n.id}`)
  || Object.keys(app.lastNodeErrors || {}).includes(`${n.id}`)).map(n => n.type)"""
ERRORS = "[app.lastExecutionError?.exception_message, JSON.stringify(app.lastNodeErrors || {})].join(' ')"
# What these need takes time.
SLOW = {"HMTalker_ImportTalkingGaussian", "HMTalker_TrainAvatar", "MoDiTalker_TrainAToM", "MoDiTalker_TrainMToV"}


def numbered(prompt: dict, counter: Iterator[int]) -> dict:
    """With numbers as ids, which the page wants; none used before: of two API prompts loaded one after the other, frontend 1.49
    gives a node's widget the value that one of the same id and name had."""
    ids = {name: str(next(counter)) for name in prompt}
    return {ids[name]: {**node, "inputs": {key: [ids[value[0]], value[1]] if isinstance(value, list) else value
                                          for key, value in node["inputs"].items()}} for name, node in prompt.items()}


@pytest.mark.parametrize("page", [False], ids=["classic"], indirect=True)
def test_every_node_says_what_is_wrong(page, server):
    node_errors.write_bad_files(server.base)
    infos = server.get("/object_info")
    wrong: list[str] = []
    counter = itertools.count(1)
    for node_id in sorted(set(node_errors.MISTAKES) - SLOW):
        page.page.evaluate(LOAD, numbered(node_errors.prompt(node_id, infos), counter))
        said = run_and_read(page, server)
        name = infos[node_id]["display_name"]
        words = node_errors.MISTAKES[node_id][1]
        if words not in said or "Got:" not in said:
            wrong.append(f"{node_id} ({name}): {said[:300]!r}")
        elif node_id not in page.page.evaluate(RED):
            wrong.append(f"{node_id}: not the red node: {page.page.evaluate(RED)}")
    assert not wrong, "\n".join(wrong)
    # The refused prompts: ComfyUI's page tells of each on the console, as of every prompt that cannot run.
    page.known |= {error for error in page.errors if "400 (" in error or error.startswith("PromptExecutionError")}


def run_and_read(page, server) -> str:
    """Everything the page shows of a failed run, with what its details hold."""
    before = set(server.get("/history"))
    page.page.evaluate("app.queuePrompt(0)")

    def ended() -> str:
        if server.busy():
            return ""
        new = [entry for key, entry in server.get("/history").items() if key not in before]
        shown = " ".join(page.notices())
        errors = page.page.evaluate(ERRORS)
        return f"{shown} {json.loads(json.dumps(errors))}" if shown and (new or "Got:" in errors) else ""

    return page.until(ended, 300, "the page shows what is wrong")
