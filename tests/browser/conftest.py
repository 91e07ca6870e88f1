"""A real ComfyUI and a headless Chromium, once for all browser tests; skipped, visibly, where one of the three parts is missing.

COMFYUI_PATH: a ComfyUI checkout, its requirements in this Python. COMFYUI_FRONTEND: the `static` folder of a frontend package to
serve instead of the installed one. CHROMIUM_PATH: a browser. BROWSER_SCREENSHOTS: a folder for a picture of each test's end.
"""
from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from comfy_page import ComfyPage, chromium
from comfy_server import ComfyServer, chromium_path


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        pytest.skip("COMFYUI_PATH is not set: nothing was tried in a browser")
    server = ComfyServer(checkout, tmp_path_factory.mktemp("browser") / "base", frontend=os.environ.get("COMFYUI_FRONTEND"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser(server):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nothing was tried in a browser")
    if chromium_path() is None:
        pytest.skip("no Chromium found (CHROMIUM_PATH): nothing was tried in a browser")
    with chromium() as browser:
        yield browser


@pytest.fixture(params=[False, True], ids=["classic", "nodes2"])
def page(browser, server, request):
    """A window with ComfyUI open, and a check after the test that the console stayed clean."""
    window = ComfyPage(browser, server, nodes2=request.param)
    begun = time.monotonic()
    window.open()
    print(f"\npage ready after {time.monotonic() - begun:.1f} s")
    yield window
    folder = os.environ.get("BROWSER_SCREENSHOTS")
    if folder:
        window.screenshot(Path(folder) / f"{re.sub(r'[^A-Za-z0-9]+', '_', request.node.name).strip('_')}.png")
    errors = window.new_errors()
    window.close()
    assert not errors, f"errors on the console: {errors}"
