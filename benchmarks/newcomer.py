"""A newcomer's walk in ComfyUI's page: to the first talking video, with a photo of their own, with a video of their own.

    COMFYUI_PATH=/path/to/ComfyUI python benchmarks/newcomer.py [--photo FILE] [--speech FILE] [--film FILE] [--nodes2]
        [--screenshots DIR]

A fresh ComfyUI (or, without COMFYUI_PATH, `talking-heads serve`), headless Chromium, every step a click or a file chosen.
The person's own time is not measured but reckoned from the steps, by the Keystroke-Level Model (Card, Moran and Newell, 1980): a
click is thinking, pointing and pressing, 1.35 + 1.1 + 0.2 s; a file chosen in the system's dialog three clicks. The machine's
time is measured: what the page takes to open, and from Run until the video is shown. Installing is not in it. Without --photo
and --film the demo's own are uploaded under another name. Writes benchmarks/results/newcomer.md.
"""
from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from common import ROOT, results_folder

sys.path.insert(0, str(ROOT / "tests" / "browser"))
from comfy_page import ComfyPage, chromium  # noqa: E402
from comfy_server import ComfyServer, Server, SmallServer  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CLICK, FILE = 1.35 + 1.1 + 0.2, 3 * (1.35 + 1.1 + 0.2)  # s
LIMIT = 3600.0  # s for one run
BUTTON = """([type, text]) => {
  const node = app.graph.nodes.find(n => n.type === type)
  const widget = node.widgets.find(w => w.type === 'button' || w.name === 'upload')
  const at = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.last_y + 10])
  const box = app.canvas.canvas.getBoundingClientRect()
  return [at[0] + box.x, at[1] + box.y]
}"""


@dataclass
class Walk:
    """What one walk took. `steps`: what a person does, in words."""
    title: str
    wanted: str
    steps: list[str] = field(default_factory=list)
    files: int = 0
    clicks: int = 0
    waited: float = 0.0  # s until the page can be used, and after Run
    seen: str = ""

    @property
    def own(self) -> float:
        """Reckoned s of the person."""
        return CLICK * self.clicks + FILE * self.files


class Newcomer:
    """One person who has never been here. `pictures`: a folder for a screenshot of each walk's end."""

    def __init__(self, browser: Browser, server: Server, nodes2: bool, pictures: Path | None):
        self.browser, self.server, self.nodes2, self.pictures = browser, server, nodes2, pictures

    def walk(self, title: str, wanted: str, template: str, files: dict[str, Path]) -> Walk:
        """files: the node that a file of the person's goes to -> the file."""
        walk = Walk(title, wanted)
        page = ComfyPage(self.browser, self.server, nodes2=self.nodes2)
        self.server.post("/free", {"unload_models": True, "free_memory": True})  # nothing comes from the walk before
        try:
            begun = time.monotonic()
            page.open()
            page.browse_templates()
            page.open_template(template)
            walk.waited += time.monotonic() - begun
            walk.steps += ["ComfyUI-TalkingHeads", template]
            for node, path in files.items():
                self.upload(page, node, path)
                walk.files += 1
                walk.steps.append(f"choose file to upload: {path.name}")
            begun = time.monotonic()
            page.run()
            walk.steps.append("Run")
            walk.seen = ", ".join(page.films_shown(page.wait_done(LIMIT)))
            walk.waited += time.monotonic() - begun
            walk.clicks = page.clicks
            self.picture(page, title)
        finally:
            page.close()
        print(walk, flush=True)
        return walk

    def upload(self, page: ComfyPage, node: str, path: Path) -> None:
        """By the node's own button and the system's dialog."""
        with page.page.expect_file_chooser() as chosen:
            page.clicks += 1
            if self.nodes2:
                found = page.page.evaluate("type => app.graph.nodes.find(n => n.type === type).id", node)
                box = page.page.locator(f'[data-node-id="{found}"]')
                box.get_by_role("button", name=re.compile("upload", re.I)).first.click()
            else:
                page.page.evaluate(BUTTON, [node, "upload"])
                page.page.wait_for_timeout(500)
                page.page.mouse.click(*page.page.evaluate(BUTTON, [node, "upload"]))
        chosen.value.set_files(str(path))
        has = "([type, name]) => app.graph.nodes.find(n => n.type === type).widgets.some(w => `${w.value}`.includes(name))"
        page.until(lambda: page.page.evaluate(has, [node, path.stem]), 60, f"{node} has {path.name}")

    def picture(self, page: ComfyPage, name: str) -> None:
        if self.pictures is not None:
            page.page.wait_for_timeout(2000)  # the player fades in
            page.screenshot(self.pictures / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.png")


def table(walks: list[Walk]) -> str:
    rows = ["| walk | clicks | files chosen | own time, s | machine's time, s | together, min | wanted |",
            "|---|---|---|---|---|---|---|"]
    for walk in walks:
        figures = (f"{walk.own:.0f}", f"{walk.waited:.0f}", f"{(walk.own + walk.waited) / 60:.1f}")
        rows.append(" | ".join([f"| {walk.title}", str(walk.clicks), str(walk.files), *figures, walk.wanted]) + " |")
    steps = [f"- **{walk.title}**: {' > '.join(walk.steps)}. Shown: {walk.seen}." for walk in walks]
    return "\n".join([*rows, "", "From an empty page (a later visit begins with a click on Templates):", "", *steps, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, default=ROOT / "demo" / "demo_portrait.jpg")
    parser.add_argument("--speech", type=Path, default=ROOT / "demo" / "demo_speech_short.wav")
    parser.add_argument("--film", type=Path, default=ROOT / "demo" / "demo_video.mp4")
    parser.add_argument("--nodes2", action="store_true", help="Nodes 2.0 instead of the classic canvas")
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("--about", default="", help="a sentence on the files given, for the result")
    args = parser.parse_args()
    checkout = os.environ.get("COMFYUI_PATH")
    with tempfile.TemporaryDirectory() as folder:
        own = {name: Path(shutil.copy(path, Path(folder) / f"my_{name}{path.suffix}"))
               for name, path in (("photo", args.photo), ("speech", args.speech), ("film", args.film))}
        server = ComfyServer(checkout, Path(folder) / "base") if checkout else SmallServer(Path(folder) / "base")
        try:
            with chromium() as browser:
                person = Newcomer(browser, server, args.nodes2, args.screenshots)
                walks = [person.walk("The first talking video", "<= 6 clicks, <= 3 min of own time", "1 Talking avatar", {}),
                         person.walk("Own photo and voice", "<= 5 min", "2 Talking portrait",
                                     {"LoadImage": own["photo"], "LoadAudio": own["speech"]}),
                         person.walk("Own video to an avatar", "", "3 Video to avatar", {"LoadVideo": own["film"]})]
            versions = ", ".join(f"{name} {version}" for name, version in server.versions().items())
        finally:
            server.close()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    where = f"{versions}{'' if checkout else ' (the small host)'}, {'Nodes 2.0' if args.nodes2 else 'classic nodes'}"
    command = f"python benchmarks/newcomer.py{' --nodes2' * args.nodes2}"
    text = (f"# A newcomer's walk\n\n{date.today()}, {machine}, {where}; `{command}`. {args.about}\n\n"
            f"Own time is reckoned from the steps ({CLICK:.2f} s a click, {FILE:.2f} s a file chosen), the machine's is "
            f"measured; installing is not in it.\n\n{table(walks)}")
    (results_folder() / "newcomer.md").write_text(text, "utf8")
    print(text)


if __name__ == "__main__":
    main()
