"""A person at ComfyUI's page: opens a template, presses Run, looks at the video. Every step is a click, counted in `clicks`."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from comfy_server import FOLDER, ROOT, ComfyServer, chromium_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

WINDOW = {"width": 1600, "height": 1000}
LIMIT = 120.0  # s for the page to answer a click: many programs share this machine
NOTICES = ", ".join(("[data-testid^=missing-]", "[data-testid=error-overlay]", "[data-testid=linear-validation-warning]",
                     ".p-toast-message-error"))
# Videos in the window whose frame is drawn, not black: [file name, width px, height px as shown, seconds].
VIDEOS = """() => [...document.querySelectorAll('video')].filter(v => v.readyState > 1 && v.videoWidth > 0).filter(v => {
  const r = v.getBoundingClientRect()
  return r.width > 20 && r.height > 20 && r.x < innerWidth && r.y < innerHeight && r.right > 0 && r.bottom > 0
}).filter(v => {
  const canvas = new OffscreenCanvas(64, 64), pen = canvas.getContext('2d')
  pen.drawImage(v, 0, 0, 64, 64)
  return pen.getImageData(0, 0, 64, 64).data.some((value, i) => i % 4 < 3 && value > 60)
}).map(v => [new URL(v.currentSrc).searchParams.get('filename'), v.clientWidth, v.clientHeight, v.duration])"""
NODES = """() => app.graph.nodes.map(n => ({id: n.id, type: n.type, title: n.title,
  inputs: (n.inputs || []).map(i => (
    {name: i.name, type: `${i.type}`, widget: !!i.widget, linked: i.link != null, optional: i.shape === 7})),
  outputs: (n.outputs || []).map(o => ({name: o.name, type: `${o.type}`}))}))"""

# Pairs of nodes of which one lies on the other: [type, type, px of height and width that they share].
OVERLAPS = """() => {
  const boxes = app.graph.nodes.map(n => {
    const [x, y, w, h] = n.getBounding()
    return {type: n.type, x, y, right: x + w, bottom: y + h}
  })
  return boxes.flatMap((a, i) => boxes.slice(i + 1).map(b => [a.type, b.type,
    Math.round(Math.min(a.bottom, b.bottom) - Math.max(a.y, b.y)), Math.round(Math.min(a.right, b.right) - Math.max(a.x, b.x))]))
    .filter(pair => pair[2] > 0 && pair[3] > 0)
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium that draws without a GPU."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(),
                                             args=["--no-sandbox", "--disable-gpu", "--use-gl=swiftshader"])
        try:
            yield browser
        finally:
            browser.close()


def wanted_nodes(name: str) -> int:
    """How many nodes the pack's template has on its top level."""
    return len(json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf8"))["nodes"])


class ComfyPage:
    """One window. `nodes2`: Nodes 2.0 instead of the classic canvas. Close it with close()."""

    def __init__(self, browser: Browser, server: ComfyServer, *, nodes2: bool = False):
        self.server, self.nodes2 = server, nodes2
        self.context = browser.new_context(viewport=WINDOW, locale="en-US")  # a fresh profile: nothing is remembered
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(1000 * LIMIT)
        self.clicks, self.errors, self.known = 0, [], set()
        self.page.on("console", lambda message: self._note(message.text, message.location) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self._note(f"uncaught: {error}", {"url": ""}))

    def _note(self, text: str, location: dict) -> None:
        self.errors.append(f"{text} {location['url'].partition('?')[0]}")

    def close(self) -> None:
        self.context.close()

    # ------------------------------------------------------------------------------------------------ what a person does
    def open(self, *, first_visit: bool = True) -> None:
        """The page, ready to use. ComfyUI greets a new user with its templates, later with a workflow of its own."""
        self.server.settings(Comfy_TutorialCompleted=not first_visit, Comfy_VueNodes_Enabled=self.nodes2)
        self.page.goto(self.server.url)
        self.page.get_by_test_id("side-toolbar").wait_for()
        self._until("window.app && app.graph && app.canvas", "the page has a graph")
        if first_visit:
            self._templates().wait_for()
        else:
            self._until("app.graph.nodes.length > 0", "ComfyUI's own first workflow is open")
        self.known = set(self.errors)  # ComfyUI's own: no user.css, no saved workflows yet, models not downloaded
        self.errors.clear()

    def reload(self) -> None:
        """The same page again, with the workflow that was open."""
        count = self.page.evaluate("app.graph.nodes.length")
        self._settled("JSON.stringify(app.graph.serialize()).length")  # the page keeps a draft a moment after each change
        self.page.wait_for_timeout(1500)
        self.page.reload()
        self.page.get_by_test_id("side-toolbar").wait_for()
        self._until(f"window.app && app.graph && app.graph.nodes.length === {count}", "the workflow is open again")

    def click(self, target: Locator, *, force: bool = False) -> None:
        self.clicks += 1
        target.click(force=force)

    def _templates(self) -> Locator:
        """The pack's entry in the list of the template browser."""
        return self.page.get_by_role("dialog").get_by_text(FOLDER, exact=True).first

    def browse_templates(self) -> None:
        """The pack's cards. The dialog is already there on a first visit."""
        if not self._templates().is_visible():
            self.click(self.page.get_by_test_id("side-toolbar").get_by_text("Templates", exact=True))
        self.click(self._templates())

    def open_template(self, name: str) -> None:
        if not self.card(name).is_visible():
            self.browse_templates()
        self.click(self.card(name))
        self.page.get_by_test_id("template-workflows-content").wait_for(state="hidden")
        self._until(f"app.graph.nodes.length === {wanted_nodes(name)}", f"template {name!r} is open")
        self._settled("app.canvas.ds.scale")
        if name.endswith(".app"):
            self.page.get_by_test_id("linear-widgets").wait_for()
            self._skip_tour()

    def _skip_tour(self) -> None:
        """ComfyUI greets the first app of a user with a tour."""
        from playwright.sync_api import TimeoutError as TooLong

        if "appMode" in self.server.get("/api/settings").get("Comfy.OnboardingCoachmarks.Seen", []):
            return
        skip = self.page.get_by_role("button", name="Skip", exact=True)
        try:
            skip.wait_for(timeout=4000)
        except TooLong:
            return
        self.click(skip)

    def close_templates(self) -> None:
        """Leaves a new user before an empty graph."""
        self.page.keyboard.press("Escape")
        self._templates().wait_for(state="hidden")

    def add_node(self, words: str) -> None:
        """By the search that a double click on the canvas opens; the first result with that name."""
        self.clicks += 1
        results = self.page.get_by_test_id("result-item")

        def searching() -> bool:  # a page that has just opened misses a click now and then
            self.page.mouse.dblclick(WINDOW["width"] / 2, WINDOW["height"] / 2)
            self.page.wait_for_timeout(3000)
            return results.first.is_visible()

        self.until(searching, LIMIT, "the search is open")
        self.page.keyboard.type(words)
        self.click(results.filter(has_text=words).first)
        self.page.mouse.move(WINDOW["width"] / 2, 300)
        self.page.wait_for_timeout(300)  # the node follows the pointer, with what may lie on it
        self.clicks += 1
        self.page.mouse.click(WINDOW["width"] / 2, 300)  # lays it down
        self._until("app.graph.nodes.length > 0 && !app.graph.nodes.some(n => n.flags?.ghost)", f"{words!r} is in the graph")

    def run(self) -> None:
        """Run, of the graph or of the app's form."""
        self._before = set(self.server.get("/history"))
        app = self.page.get_by_test_id("linear-run-button")
        self.click(app.get_by_role("button").last if app.count() else self.page.get_by_test_id("queue-button"))

    def type_into(self, node: int | str, widget: str, value: str) -> None:
        """Types a number or text into a widget of a node, which is given by its id or, where it is the only one, by its type."""
        ids = {each["id"] for each in self.nodes()}  # numbers or, in older frontends, words
        node_id = node if node in ids else next(each["id"] for each in self.nodes() if each["type"] == node)
        field = self._field_of(node_id, widget)
        field.fill(value)
        self.page.keyboard.press("Enter")
        taken = "([id, name]) => app.graph.getNodeById(id).widgets.find(w => w.name === name).value"
        given = self.page.evaluate(taken, [node_id, widget])
        assert f"{given}" == value, f"{widget!r} of {node} took {given} where {value} was typed"

    def _field_of(self, node_id: int | str, widget: str) -> Locator:
        """Clicks on a widget: the field to type in, on the node or in the little dialog of the classic canvas."""
        if self.nodes2:
            node = self.page.locator(f'[data-node-id="{node_id}"]')
            field = node.locator(f'[aria-label="{widget}"] input, input[aria-label="{widget}"]')
            self.click(field, force=True)  # a thin layer for dragging lies over number fields
            return field
        x, y = self.page.evaluate("""([id, name]) => {
          const node = app.graph.getNodeById(id), widget = node.widgets.find(w => w.name === name)
          const at = app.canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.last_y + 10])
          const box = app.canvas.canvas.getBoundingClientRect()
          return [at[0] + box.x, at[1] + box.y]}""", [node_id, widget])
        self.clicks += 1
        self.page.mouse.click(x, y)
        return self.page.locator(".graphdialog input").first

    # --------------------------------------------------------------------------------------------- what a person then sees
    def wait_done(self, limit: float = 600.0) -> dict:
        """The history entry of the run that run() started; raises what the page says where it failed."""
        def done() -> dict | None:
            if not self.server.busy():
                new = [entry for key, entry in self.server.get("/history").items() if key not in self._before]
                if new:
                    return new[-1]
                refused = self.notices()
                assert not refused, f"ComfyUI did not start the run: {refused}"
            return None

        entry = self.until(done, limit, "the run has ended")
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
        return entry

    def films_shown(self, entry: dict, limit: float = 30.0) -> list[str]:
        """Names of the run's saved videos that the page shows, each with a frame drawn; waits for the first."""
        made = {file["filename"] for output in entry["outputs"].values() for file in output.get("images", [])}

        def shown() -> list[str]:
            return [video[0] for video in self.page.evaluate(VIDEOS) if video[0] in made and video[3] > 0]

        return self.until(shown, limit, f"one of {sorted(made)} is shown as a video; the page has {self.page.evaluate(VIDEOS)}")

    def text_shown(self, words: str, limit: float = 30.0) -> list[str]:
        """What nodes show, where it has these words; waits for the first."""
        look = "w => [...document.querySelectorAll('.talking-heads-text')].map(t => t.innerText).filter(t => t.includes(w))"
        return self.until(lambda: self.page.evaluate(look, words), limit, f"a node shows {words!r}")

    def overlaps(self) -> list[list]:
        """Nodes that lie on one another now: [type, type, px of height, px of width shared]."""
        return self.page.evaluate(OVERLAPS)

    def notices(self, within: float = 0.0) -> list[str]:
        """What the page complains about: missing media, nodes or models, refused prompts, errors. Waits `within` s for one."""
        end = time.monotonic() + within
        while True:
            found = [box.inner_text() for box in self.page.locator(NOTICES).all() if box.is_visible()]
            if found or time.monotonic() >= end:
                return found
            self.page.wait_for_timeout(100)

    def scale(self) -> float:
        """Zoom of the canvas: 1 is 100 %."""
        return self.page.evaluate("app.canvas.ds.scale")

    def nodes(self) -> list[dict]:
        return self.page.evaluate(NODES)

    def form_labels(self) -> list[str]:
        """Labels of the app's form, from top to bottom."""
        return self.page.get_by_test_id("builder-widget-label").all_inner_texts()

    def new_errors(self) -> list[str]:
        """Errors on the console since open(), without those that ComfyUI alone gives; of thumbnails, has_thumbnail() tells."""
        return [error for error in self.errors if error not in self.known and "/workflow_templates/" not in error]

    def card(self, name: str) -> Locator:
        """Of the template browser."""
        return self.page.get_by_test_id(f"template-workflow-{name}")

    def has_thumbnail(self, name: str) -> bool:
        """Its own, not the one that ComfyUI shows where there is none."""
        return self.card(name).evaluate("card => [...card.querySelectorAll('img')]"
                                        ".some(image => image.naturalWidth > 1 && !image.src.includes('default-template'))")

    def screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    # -------------------------------------------------------------------------------------------------------------- waiting
    def _until(self, condition: str, what: str) -> None:
        self.until(lambda: self.page.evaluate(f"!!({condition})"), LIMIT, what)

    def _settled(self, value: str) -> None:
        """Waits until a number of the page has been the same for half a second."""
        seen: list[float] = []

        def same() -> bool:
            seen.append(self.page.evaluate(value))
            return len(seen) > 5 and len(set(seen[-5:])) == 1

        self.until(same, LIMIT, f"{value} stays the same")

    def until(self, look: Callable, limit: float, what: str):
        """What `look` gives once it is true; the page's events are handled in between."""
        end = time.monotonic() + limit
        while not (found := look()):
            assert time.monotonic() < end, f"Not within {limit:.0f} s: {what}. The page says: {self.notices()}"
            self.page.wait_for_timeout(100)
        return found
