"""A page and headless Chromium, once for all browser tests; skipped, visibly, where a part is missing.

The page is served by the small host (`talking-heads serve`: extra `browser` and a Chromium), or, where COMFYUI_PATH names a
checkout whose requirements this Python has, by a real ComfyUI. Without COMFYUI_PATH and without `-m browser`, only the tests
marked `short` run: the others take minutes each.

COMFYUI_FRONTEND: the `static` folder of a frontend package to serve instead of the installed one. CHROMIUM_PATH: a browser.
BROWSER_SCREENSHOTS: a folder for a picture of each test's end.
"""
from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from comfy_page import ComfyPage, chromium
from comfy_server import ComfyServer, SmallServer, chromium_path, missing_part

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(config, items):
    if "browser" in config.option.markexpr or os.environ.get("COMFYUI_PATH"):
        return
    later = pytest.mark.skip(reason="takes minutes: pytest -m browser tests/browser")
    for item in items:
        if HERE in Path(item.path).parents and item.get_closest_marker("browser") and not item.get_closest_marker("short"):
            item.add_marker(later)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    checkout, frontend = os.environ.get("COMFYUI_PATH"), os.environ.get("COMFYUI_FRONTEND")
    missing = None if checkout else missing_part()
    if missing:
        pytest.skip(f"{missing}: nothing was tried in a browser")
    base = tmp_path_factory.mktemp("browser") / "base"
    server = ComfyServer(checkout, base, frontend=frontend) if checkout else SmallServer(base, frontend=frontend)
    yield server
    server.close()


@pytest.fixture(scope="module")  # closed behind its module: Playwright's event loop would refuse every later test that has one
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
