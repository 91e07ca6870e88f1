"""The pack's sockets and links on a real ComfyUI's page: each type has its colour, in the classic canvas and in Nodes 2.0."""
from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEMPLATE = "1 Talking avatar"
CLASSIC = """() => Object.fromEntries([...new Set(app.graph.nodes.flatMap(n => n.outputs ?? []).map(o => o.type))]
  .filter(type => type.startsWith('TH_'))
  .map(type => [type, [app.canvas.default_connection_color_byType[type], app.canvas.constructor.link_type_colors[type]]]))"""
NODES2 = """() => Object.fromEntries([...new Set(app.graph.nodes.flatMap(n => n.outputs ?? []).map(o => o.type))]
  .filter(type => type.startsWith('TH_'))
  .map(type => {
    const dot = document.createElement('i')
    dot.style.color = `var(--color-datatype-${type}, #AAA)`
    document.body.append(dot)
    const found = getComputedStyle(dot).color
    dot.remove()
    return [type, found]
  }))"""


def test_types_have_their_colours_also_after_the_palette_was_changed(page, server):
    page.open_template(TEMPLATE)
    before, dots = page.page.evaluate(CLASSIC), page.page.evaluate(NODES2)
    assert before.keys() == {"TH_SPEECH", "TH_AVATAR", "TH_AVATAR_MOTION", "TH_EXPRESSION"}
    assert len({sockets for sockets, _ in before.values()}) == len(before)
    assert all(len(set(pair)) == 1 for pair in before.values()), "a link has the colour of its sockets"
    assert len(set(dots.values())) == len(dots) and "rgb(170, 170, 170)" not in dots.values(), "ComfyUI's own grey is for no type"
    page.page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'light')")
    try:
        page.until(lambda: page.page.evaluate("document.body.classList.contains('dark-theme')") is False
                   or page.page.evaluate("app.canvas.clear_background_color") != "#222", 30, "the light palette is there")
        assert page.page.evaluate(CLASSIC) == before and page.page.evaluate(NODES2) == dots
    finally:
        page.page.evaluate("app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
