"""The motion editor in a real ComfyUI's page: run, draw, run again; the video moves as drawn, and nothing is lost."""
from __future__ import annotations

import json

import numpy as np
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NODE = "app.graph.nodes.find(n => n.type === 'MoDiTalker_EditMotion')"
LANES = ["lips", "jaw", "brows", "blink", "yaw", "pitch"]
HEARD, ROW, TALL, GUTTER = 68, 26, 132, 116  # px, as web/js/editor/draw.js has them
FEW = {"MoDiTalker_GenerateMotion": {"steps": 4}, "MoDiTalker_MotionToVideo": {"frame_count": 36, "life": 0.0}}


def test_a_drawn_curve_moves_the_video_and_outlives_a_reload(page, server):
    page.open_template("4 Edit the motion")
    assert "Run the workflow once" in editor(page).inner_text()
    shorten(page)
    before = film(page, server)
    page.until(lambda: lanes(page).is_visible(), 30, "the lanes are shown")
    closer(page)
    draw(page, "yaw", [(0.5, 0.5), (0.62, 0.95), (0.95, 0.95)], long=1.44)
    text = edits(page)
    assert list(json.loads(text)["lanes"]) == ["yaw"]
    after = film(page, server)
    change = np.abs(after.astype(float) - before).mean((1, 2, 3))
    assert change[26:34].min() > 5 * change[:8].max(), f"only the drawn part moves: {change.round(2)}"
    faces_play(page)
    copied_nodes_keep_their_edits(page, text)
    page.page.reload()
    page.page.get_by_test_id("side-toolbar").wait_for()
    page.until(lambda: page.page.evaluate(f"!!(window.app && app.graph && {NODE})"), 60, "the workflow is open again")
    assert edits(page) == text
    page.until(lambda: lanes(page).is_visible(), 30, "the lanes are shown again")


def test_undo_mute_and_delete(page):
    page.open_template("4 Edit the motion")
    shorten(page)
    page.page.evaluate("app.graph.nodes.filter(n => n.type === 'SaveVideo').forEach(n => { n.mode = 2 })")  # the motion alone
    page.run()
    page.wait_done(300)
    page.until(lambda: lanes(page).is_visible(), 30, "the lanes are shown")
    closer(page)
    draw(page, "brows", [(0.3, 0.5), (0.5, 0.9), (0.7, 0.5)])
    drawn = edits(page)
    press(page, "mute")
    assert json.loads(edits(page))["lanes"]["brows"]["muted"]
    press(page, "undo")
    assert edits(page) == drawn
    press(page, "remove")
    assert edits(page) == ""
    press(page, "undo")
    press(page, "undo")
    assert edits(page) == ""
    press(page, "redo")
    assert edits(page) == drawn
    press(page, "clear")
    assert edits(page) == ""


def editor(page):
    return page.page.locator(".talking-heads-motion-editor").first


def lanes(page):
    return editor(page).locator("canvas[data-name=lanes]")


def edits(page) -> str:
    return page.page.evaluate(f"{NODE}.widgets.find(w => w.name === 'edits').value")


def press(page, name: str) -> None:
    page.click(editor(page).locator(f"button[data-name={name}]"))


def shorten(page) -> None:
    """Fewer steps and frames than a person would take."""
    page.page.evaluate("""few => app.graph.nodes.forEach(node => Object.entries(few[node.type] || {}).forEach(
      ([name, value]) => { node.widgets.find(w => w.name === name).value = value }))""", FEW)


def film(page, server) -> np.ndarray:
    """Runs, and reads the saved video, [T, H, W, 3]."""
    import av

    page.run()
    entry = page.wait_done(600)
    (name,) = page.films_shown(entry, 120)
    with av.open(str(server.base / "output" / "talking_heads" / name)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def closer(page) -> None:
    """The editor fills the window, as large as it is."""
    page.page.evaluate(f"""() => {{
      const node = {NODE}
      app.canvas.ds.scale = 1
      app.canvas.ds.offset = [120 - node.pos[0], 80 - node.pos[1]]
      app.canvas.setDirty(true, true)
    }}""")
    page.page.wait_for_timeout(1000)


def draw(page, lane: str, way: list[tuple[float, float]], long: float | None = None) -> None:
    """Drags over a lane. way: of the plot, across from 0 to 1 and up from 0 to 1; long: s that `across` 1 means, None: all."""
    mouse, number = page.page.mouse, LANES.index(lane)
    box = lanes(page).bounding_box()
    mouse.click(box["x"] + 20, box["y"] + HEARD + ROW / 2 + (TALL if number else 0) + max(0, number - 1) * ROW)
    page.page.wait_for_timeout(300)
    whole = float(editor(page).inner_text().partition(" / ")[2].split(" s")[0])
    across = (box["width"] - GUTTER) * (long or whole) / whole
    top = box["y"] + HEARD + number * ROW
    places = [(box["x"] + GUTTER + x * across, top + TALL * (1 - y)) for x, y in way]
    mouse.move(*places[0])
    mouse.down()
    for place in places[1:]:
        mouse.move(*place, steps=12)
    mouse.up()
    page.until(lambda: edits(page), 20, "the curve is in the edits")


def faces_play(page) -> None:
    """Play moves the face and asks the server for nothing but the audio."""
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    shot = "() => document.querySelector('.talking-heads-motion-editor canvas[data-name=face]').toDataURL()"
    press(page, "play")
    seen = {page.page.evaluate(shot)}
    page.until(lambda: seen.add(page.page.evaluate(shot)) or len(seen) > 3, 30, "the face moves")
    press(page, "play")
    # /assets/: the page's own, as the turning icon of its tab, which ComfyUI draws until a moment after a run
    others = [url for url in asked if not (("/view?" in url and ".wav" in url) or url.startswith("data:") or "/assets/" in url)]
    assert not others, others


def copied_nodes_keep_their_edits(page, text: str) -> None:
    page.page.evaluate(f"() => {{ app.canvas.copyToClipboard([{NODE}]); app.canvas.pasteFromClipboard() }}")
    copies = "app.graph.nodes.filter(n => n.type === 'MoDiTalker_EditMotion')"
    assert page.page.evaluate(f"{copies}.map(n => n.widgets.find(w => w.name === 'edits').value)") == [text, text]
    page.until(lambda: page.page.locator(".talking-heads-motion-editor").count() == 2, 20, "the copy has an editor of its own")
    page.page.evaluate(f"() => app.graph.remove({copies}.at(-1))")
    page.until(lambda: page.page.locator(".talking-heads-motion-editor").count() == 1, 20, "its editor goes with it")
