"""Clicks and seconds from an empty ComfyUI page to the first talking video; from Run to the video for every template and app.

    COMFYUI_PATH=/path/to/ComfyUI python benchmarks/first_minute.py [--frontend DIR] [--nodes2] [--names TEXT ...]
        [--screenshots DIR]

Runs with a Python that has ComfyUI's requirements and `playwright`; Chromium is found in its usual places or by CHROMIUM_PATH.
A fresh ComfyUI (nothing copied, nothing remembered) is started on the CPU; its start does not count. Every row is a new user's:
ComfyUI opens its template browser by itself. A later visit takes one click more, on Templates. --frontend: the folder
`comfyui_frontend_package/static` of another version. --names: only templates and apps whose name holds one of these texts.
--screenshots: pictures of every step as JPEG, for docs/img. Writes benchmarks/results/first_minute.md; a section for each
combination of frontend and nodes, the others are kept.
"""
from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from comfy_page import ComfyPage, chromium  # noqa: E402
from comfy_server import ComfyServer  # noqa: E402
from surround import surround  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RESULT = ROOT / "benchmarks" / "results" / "first_minute.md"
WANTED = 6  # clicks at most
BLUEPRINT = "Speech to avatar video"  # for its picture
LIMIT = 3600.0  # s for one run
QUALITY = 80  # of the screenshots
HEAD = """# The first minute in ComfyUI

From an empty page of a fresh ComfyUI (nothing copied) to a video on the page, in headless Chromium, 1600 x 1000, every step a
click. The server's start does not count; "until open" is from loading the page to the template being ready to run. The rows are
in the order of the runs: the first compiles. Clicks: the pack's entry in the template browser, the template, Run; before the
first app ComfyUI has a tour to skip; a later visit begins with a click on Templates.
"""


@dataclass(frozen=True)
class Row:
    """One template or app: clicks a person made, s until it could be run, s from Run to the video, zoom of the canvas."""
    name: str
    clicks: int
    opened: float
    ran: float
    zoom: float
    first: bool


class FirstMinute:
    """Everything that one frontend and one kind of nodes are asked. `pictures`: where screenshots go, or None."""

    def __init__(self, browser: Browser, server: ComfyServer, *, nodes2: bool, pictures: Path | None):
        self.browser, self.server, self.nodes2, self.pictures = browser, server, nodes2, pictures

    def measure(self, name: str, first: bool) -> Row:
        page = ComfyPage(self.browser, self.server, nodes2=self.nodes2)
        self.server.post("/free", {"unload_models": True, "free_memory": True})  # nothing comes from the run before
        try:
            begun = time.monotonic()
            page.open()
            page.browse_templates()
            page.until(lambda: page.has_thumbnail(name), 20, "the thumbnail is there")
            self.picture(page, "templates")
            page.open_template(name)
            opened, zoom = time.monotonic() - begun, page.scale()
            refused = page.notices(within=1)
            assert not refused, f"{name}: the page complains: {refused}"
            self.picture(page, name)
            page.run()
            started = time.monotonic()
            page.films_shown(page.wait_done(LIMIT))
            row = Row(name, page.clicks, opened, time.monotonic() - started, zoom, first)
            page.page.wait_for_timeout(2000)  # the player fades in
            self.picture(page, f"{name} video")
        finally:
            page.close()
        print(row, flush=True)
        return row

    def blueprint(self) -> None:
        """Only a picture: the blueprint between a loader and Save Video, run."""
        page = ComfyPage(self.browser, self.server, nodes2=self.nodes2)
        try:
            page.open()
            page.close_templates()
            page.add_node(BLUEPRINT)
            surround(page)
            page.run()
            page.films_shown(page.wait_done(LIMIT))
            page.page.wait_for_timeout(1000)
            self.picture(page, f"blueprint {BLUEPRINT}")
        finally:
            page.close()

    def picture(self, page: ComfyPage, name: str) -> None:
        if self.pictures is None:
            return
        kind = "_nodes2" if self.nodes2 else ""
        path = self.pictures / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}{kind}.jpg"
        if not (name == "templates" and path.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            page.page.screenshot(path=path, type="jpeg", quality=QUALITY)


def names() -> list[str]:
    """Templates and apps; talking avatar and its app first: they are the first minute."""
    every = sorted(path.name.removesuffix(".json") for path in (ROOT / "workflows").glob("*.json"))
    return sorted(every, key=lambda name: not name.startswith("1 "))


def section(title: str, head: str, rows: list[Row]) -> str:
    lines = [f"## {title}", "", head, "",
             "| template or app | clicks | s until open | zoom | s from Run to video |", "|---|---|---|---|---|"]
    for row in rows:
        verdict = f" (wanted <= {WANTED}: {'met' if row.clicks <= WANTED else '**NOT met**'})" if row.first else ""
        zoom = "form" if row.name.endswith(".app") else f"{100 * row.zoom:.0f} %"
        lines.append(f"| {row.name} | {row.clicks}{verdict} | {row.opened:.1f} | {zoom} | {row.ran:.1f} |")
    return "\n".join(lines) + "\n"


def write(title: str, text: str) -> None:
    """Puts the section into the result file in place of the one with that title."""
    old = RESULT.read_text("utf8") if RESULT.exists() else ""
    sections = {part.splitlines()[0]: f"## {part.rstrip()}\n" for part in old.split("\n## ")[1:]}
    sections[title] = text
    RESULT.write_text("\n".join([HEAD, *(sections[key] for key in sorted(sections))]), "utf8")


def frontend_version(folder: str | None) -> str:
    """Of the package that is served."""
    if folder is None:
        return importlib.metadata.version("comfyui-frontend-package")
    found = sorted(Path(folder).resolve().parents[1].glob("comfyui_frontend_package-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").rpartition("-")[2] if found else "of another folder"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frontend")
    parser.add_argument("--nodes2", action="store_true", help="Nodes 2.0 instead of the classic canvas")
    parser.add_argument("--names", nargs="*", default=[""])
    parser.add_argument("--screenshots", type=Path)
    args = parser.parse_args()
    checkout = os.environ.get("COMFYUI_PATH")
    if not checkout:
        parser.error("COMFYUI_PATH must name a ComfyUI checkout")
    chosen = [name for name in names() if any(word in name for word in args.names)]
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(checkout, Path(folder) / "base", frontend=args.frontend)
        try:
            with chromium() as browser:
                minute = FirstMinute(browser, server, nodes2=args.nodes2, pictures=args.screenshots)
                rows = [minute.measure(name, name.startswith("1 ")) for name in chosen]
                if args.screenshots is not None:
                    minute.blueprint()
            versions = ", ".join(f"{name} {version}" for name, version in server.versions().items())
        finally:
            server.close()
    title = f"Frontend {frontend_version(args.frontend)}, {'Nodes 2.0' if args.nodes2 else 'classic nodes'}"
    only = "".join(f' "{word}"' for word in args.names if word)
    command = (f"python benchmarks/first_minute.py{' --nodes2' * args.nodes2}{' --frontend DIR' if args.frontend else ''}"
               f"{' --names' + only if only else ''}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    write(title, section(title, f"{date.today().isoformat()}, {machine}, {versions}; `{command}`.", rows))


if __name__ == "__main__":
    main()
