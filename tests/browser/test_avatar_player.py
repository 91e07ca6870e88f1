"""Preview Avatar in 3D on a real page: the picture turns with the pointer, the mouth moves with time, and a reload keeps it."""
from __future__ import annotations

import pytest
from comfy_page import ComfyPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME = "12 Avatar in 3D"
SAME, OTHER = 1.0, 2.0  # mean difference of two pictures, 0..255: frames may be drawn larger or smaller in between
# Colours of the player's picture, [256, 256, 4] flat; the last drawn frame stays in its buffer.
PIXELS = """() => {
  const canvas = document.querySelector('.thp canvas'), copy = new OffscreenCanvas(64, 64).getContext('2d')
  copy.drawImage(canvas, 0, 0, 64, 64)
  return Array.from(copy.getImageData(0, 0, 64, 64).data)
}"""
PLACES = "Object.fromEntries(app.graph.nodes.map(n => [n.id, [...n.pos]]))"  # their order is that in which they were touched


def pixels(page: ComfyPage) -> list[int]:
    return page.page.evaluate(PIXELS)


def difference(a: list[int], b: list[int]) -> float:
    """Mean over colours, 0..255."""
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


def drawn(page: ComfyPage) -> list[int]:
    """The picture, once it shows something and stays as it is."""
    seen: list[list[int]] = []

    def still() -> bool:
        seen.append(pixels(page))
        return len(seen) > 3 and max(seen[-1]) > 60 and seen[-1] == seen[-2] == seen[-3]

    page.page.locator(".thp canvas").wait_for()
    page.until(still, 60, "the player's picture stays the same")
    return seen[-1]


def drag(page: ComfyPage, right: int, down: int) -> None:
    box = page.page.locator(".thp canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.clicks += 1
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + right, y + down, steps=4)
    page.page.mouse.up()


def slide(page: ComfyPage, frame: int) -> None:
    page.page.locator(".thp input[type=range]").evaluate(
        "(slider, frame) => { slider.value = frame; slider.dispatchEvent(new Event('input')) }", frame)


def test_the_head_turns_speaks_and_stays(page):
    page.open_template(NAME)
    page.run()
    page.wait_done(900)
    front, places = drawn(page), page.page.evaluate(PLACES)
    drag(page, 60, 0)
    turned = drawn(page)
    assert difference(front, turned) > OTHER
    assert page.page.evaluate(PLACES) == places, "the node stays where it is"
    page.click(page.page.locator(".thp button", has_text="Front"))
    page.until(lambda: difference(front, pixels(page)) < SAME, 60, "the head is turned back")
    slide(page, 40)
    page.until(lambda: difference(front, pixels(page)) > OTHER, 60, "another frame is shown")
    slide(page, 0)
    page.until(lambda: difference(front, pixels(page)) < SAME, 60, "the first frame is shown again")
    page.click(page.page.locator(".thp button").first)
    at = "() => Number(document.querySelector('.thp input[type=range]').value)"
    page.until(lambda: page.page.evaluate(at) > 5, 60, "it plays")
    assert page.page.evaluate("document.querySelector('.thp').player.clock.context.state") == "running", "with sound"
    assert page.page.evaluate("() => document.querySelectorAll('.thp').length") == 1
    assert not page.notices()


def test_it_is_there_after_a_reload(page):
    page.open_template(NAME)
    page.run()
    page.wait_done(900)
    front = drawn(page)
    page.page.wait_for_timeout(2000)  # the page saves its workflow now and then
    page.page.reload()
    page.until(lambda: page.page.locator(".thp canvas").count() == 1, 120, "the player is there again")
    assert difference(front, drawn(page)) < SAME
    page.known |= {error for error in page.errors if "/view" not in error and "avatar" not in error}
