"""The training monitor in the page: curves grow, "Stop and keep" ends with success and a file, a reload shows it again."""
from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEMPLATE, TRAINER = "6 Train an avatar", "HMTalker_TrainAvatar"
LENGTH = "0.15"  # of the preset: its warm-up, which draws nothing, is soon over, but not the training before the test stops it
SEEN = """() => {
  const box = document.querySelector('.talking-heads-monitor')
  return box && {
    headline: box.querySelector('.talking-heads-headline').textContent,
    charts: [...box.querySelectorAll('.talking-heads-chart')].map(chart => ({
      name: chart.dataset.chart,
      points: [...chart.querySelectorAll('path')].map(path => path.getAttribute('d').split('L').length)})),
    previews: [...box.querySelectorAll('img')].filter(image => image.naturalWidth > 1).length,
    button: box.querySelector('button').style.display !== 'none' && box.querySelector('button').textContent,
    width: box.clientWidth, height: box.clientHeight}
}"""


def seen(page):
    return page.page.evaluate(SEEN)


def points(page, chart: str = "loss") -> int:
    found = seen(page)
    return max((max(one["points"]) for one in (found or {"charts": []})["charts"] if one["name"] == chart), default=0)


def test_curves_grow_and_stop_and_keep_saves_the_avatar(page, server):
    server.post("/free", {"free_memory": True})  # the run of the other kind of nodes is not handed out again
    page.open_template(TEMPLATE)
    page.type_into(TRAINER, "steps", LENGTH)
    page.run()
    page.until(lambda: points(page) > 5, 600, "the loss has a curve")
    before = points(page)
    page.until(lambda: points(page) > before + 5, 300, "the curve grows")
    page.until(lambda: seen(page)["previews"] > 0, 300, "an earlier preview is in the strip")
    found = seen(page)
    assert "step " in found["headline"] and found["button"] == "Stop and keep" and found["width"] > 150 and found["height"] > 150
    assert {chart["name"] for chart in found["charts"]} >= {"loss", "learning rate"}
    button = page.page.locator(".talking-heads-monitor button")
    button.scroll_into_view_if_needed()
    page.click(button, force=True)
    entry = page.wait_done(600)
    (said,) = [output for output in entry["outputs"].values() if "training" in output]
    assert "and kept" in said["text"][0] and said["models"]
    name = said["models"][0].removeprefix("models/talking_heads/")
    assert (server.base / "models" / "talking_heads" / name).is_file()
    page.until(lambda: seen(page)["headline"].startswith("Stopped and kept"), 30, "the monitor says that it was kept")
    assert seen(page)["button"] == "Train on" and not list((server.base / "temp").glob("talking_heads_stop/*"))
    assert any("and kept" in text for text in page.page.locator(".talking-heads-text").all_text_contents())
    page.reload()
    page.until(lambda: seen(page) and seen(page)["headline"].startswith("Stopped and kept"), 60, "a reload shows it again")
    page.until(lambda: seen(page)["previews"] > 0 and points(page) > before, 30, "with its curves and previews")
    assert page.page.locator(".talking-heads-text").count() >= 1
    kept = step(page)
    page.click(page.page.locator(".talking-heads-monitor button"), force=True)
    page.until(lambda: seen(page)["headline"].startswith("Training") and step(page) > kept, 600, "it goes on where it stopped")
    page.page.evaluate("fetch('/interrupt', { method: 'POST' })")
    page.until(lambda: not server.busy(), 120, "the training is interrupted")


def step(page) -> int:
    """The step that the headline names."""
    return int(re.search(r"step ([\d,]+)", seen(page)["headline"])[1].replace(",", ""))
