"""The panels on nodes in a browser, with a stand-in for ComfyUI: curves, previews, stop, text, colours, a video that grows."""
from __future__ import annotations

import math

import numpy as np
import pytest
from comfy_page import chromium
from comfy_server import chromium_path
from panel_page import jpeg, panel_server

pytestmark = pytest.mark.browser

STEPS = [17 * i for i in range(1, 240)]
RECORD = {
    "version": 1, "run": "0123456789abcdef", "node": "7", "type": "HMTalker_TrainAvatar", "state": "running", "step": 4200,
    "steps": 10600, "left": 260, "caption": "loss 0.031 · PSNR 27.9 dB", "subfolder": "talking_heads/logs/me", "curves": [
        {"name": "loss", "label": "loss", "chart": "loss", "steps": STEPS, "values": [math.exp(-i / 40) for i in range(239)]},
        {"name": "psnr", "label": "PSNR", "chart": "image quality (dB)", "steps": STEPS, "values": list(range(239))},
        {"name": "lr", "label": "learning rate", "chart": "learning rate", "steps": [1], "values": [5e-4]}],
    "phases": [[1, "Stage warm-up"], [800, "Stage face"]], "previews": [[400, "step_1.jpg"], [800, "step_2.jpg"]]}
VIDEO = """() => { const v = document.querySelector('.talking-heads-player video'); return {time: v.currentTime,
  length: v.duration, end: v.buffered.length ? v.buffered.end(v.buffered.length - 1) : 0, audio: v.webkitAudioDecodedByteCount,
  width: v.videoWidth, source: v.currentSrc, words: document.querySelector('.talking-heads-player').textContent} }"""


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nothing was tried in a browser")
    if chromium_path() is None:
        pytest.skip("no Chromium found (CHROMIUM_PATH): nothing was tried in a browser")
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    with panel_server() as server:
        page, errors = browser.new_page(viewport={"width": 1100, "height": 900}), []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        page.wait_for_function("window.ready")
        page.server = server
        yield page
        page.close()
    assert not errors


def test_the_monitor_shows_a_training_and_asks_it_to_stop(page):
    page.server.files = {"step_1.jpg": jpeg(), "step_2.jpg": jpeg()}
    page.evaluate("record => { make(7, 'HMTalker_TrainAvatar'); tell('talking_heads.training', record) }", RECORD)
    box = page.locator(".talking-heads-monitor")
    assert "step 4,200 of 10,600 · Stage face · about 4 min left" in box.text_content()
    assert box.locator(".talking-heads-chart").count() == 3 and "27.9 dB" in box.text_content()
    small = box.bounding_box()["height"]
    box.locator("img").nth(1).click()
    page.wait_for_function("size => document.querySelector('.talking-heads-monitor').clientHeight > size + 200", arg=small)
    box.get_by_role("button").click()
    assert page.evaluate("api.calls") == [["/upload/image", [
        ["image", "0123456789abcdef.txt"], ["type", "temp"], ["subfolder", "talking_heads_stop"], ["overwrite", "true"]]]]
    assert box.get_by_role("button").is_disabled()
    page.evaluate("record => tell('talking_heads.training', record)", {**RECORD, "state": "kept"})
    assert box.text_content().startswith("Stopped and kept") and box.get_by_role("button").inner_text() == "Train on"
    box.get_by_role("button").click()
    page.wait_for_function("app.queued.length === 1")
    assert page.evaluate("api.calls.at(-1)") == ["/free", {"free_memory": True}], "what ComfyUI keeps of it would be handed out"
    assert box.get_by_role("button").is_disabled()
    page.evaluate("record => tell('talking_heads.training', record)", {**RECORD, "state": "finished"})
    assert not box.get_by_role("button").is_visible()
    assert page.evaluate("app.graph.nodes[7].properties.talking_heads_training") == {"subfolder": "talking_heads/logs/me"}


def test_a_training_of_another_node_is_not_shown(page):
    page.evaluate("record => { make(7, 'MoDiTalker_TrainAToM'); tell('talking_heads.training', record) }", RECORD)
    page.evaluate("record => tell('talking_heads.training', record)", {**RECORD, "node": "8"})
    assert page.locator(".talking-heads-monitor").count() == 0


def test_a_panel_is_in_neither_prompt_nor_values(page):
    page.evaluate("record => { make(7, 'HMTalker_TrainAvatar'); tell('talking_heads.training', record) }",
                  {**RECORD, "previews": []})
    assert page.evaluate("app.graph.nodes[7].widgets.map(w => [w.serialize, w.options.serialize])") == [[False, False]]


def test_text_stands_on_the_node_and_is_kept_in_the_workflow(page):
    page.evaluate("""() => { make(1, 'TalkingHead_Metrics'); make(2, 'SaveImage')
      for (const id of [1, 2]) app.graph.nodes[id].onExecuted?.({text: ['PSNR 30 dB\\nLSE-C 6']}) }""")
    assert page.locator(".talking-heads-text").all_text_contents() == ["PSNR 30 dB\nLSE-C 6"]
    kept = page.evaluate("app.graph.nodes[1].properties")
    page.evaluate("kept => make(3, 'TalkingHead_Metrics', kept)", kept)
    assert page.locator(".talking-heads-text").all_text_contents() == 2 * ["PSNR 30 dB\nLSE-C 6"]


def test_socket_types_have_colours_in_both_renderers(page):
    found = page.evaluate("""() => [app.canvas.default_connection_color_byType.TH_AVATAR,
      app.canvas.constructor.link_type_colors.TH_AVATAR,
      getComputedStyle(document.documentElement).getPropertyValue('--color-datatype-TH_AVATAR').trim()]""")
    assert len(set(found)) == 1 and found[0].startswith("#")


def test_a_video_plays_with_sound_while_it_grows_and_goes_on_as_the_whole(page, tmp_path):
    from talking_heads.media_core.audio import Sound
    from talking_heads.media_core.live_copy import LiveCopy
    from talking_heads.media_core.video import VideoWriter

    sound = Sound((0.3 * np.sin(2 * np.pi * 440 * np.arange(8 * 24000) / 24000))[None].astype(np.float32), 24000)
    told, copy = [], LiveCopy(tmp_path / "live.mp4", lambda mime, seconds: None)
    with VideoWriter(tmp_path / "whole.mp4", 128, 96, 25, sound, copy=copy) as writer:
        for number in range(200):
            writer.write(np.full((96, 128, 3), number, np.uint8))
            told.append((tmp_path / "live.mp4").stat().st_size if (tmp_path / "live.mp4").exists() else 0)
    copy.close()
    live = (tmp_path / "live.mp4").read_bytes()
    event = {"node": "3", "node_type": "HMTalker_RenderAvatarVideo", "state": "growing", "filename": "live.mp4", "subfolder": "",
             "type": "temp", "mime": copy.mime, "seconds": 3.0, "total": 8.0}
    page.server.files = {"live.mp4": live[:told[140]], "whole.mp4": (tmp_path / "whole.mp4").read_bytes()}
    page.evaluate("event => { make(3, 'HMTalker_RenderAvatarVideo'); tell('talking_heads.video', event) }", event)
    page.wait_for_function(f"() => ({VIDEO})().end > 2")
    first = page.evaluate(VIDEO)
    assert first["end"] < 6 and "Being made: 0:03 of 0:08" in first["words"] and first["length"] == 8
    page.locator("video").click()  # a browser plays sound only after somebody has clicked
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function(f"() => ({VIDEO})().time > 0.5 && ({VIDEO})().audio > 0")
    page.server.files["live.mp4"] = live
    page.evaluate("event => tell('talking_heads.video', event)", {**event, "seconds": 8.0})
    page.wait_for_function(f"() => ({VIDEO})().end > 7.5")
    page.evaluate("event => tell('talking_heads.video', event)", {**event, "state": "ended"})
    at = page.evaluate(VIDEO)["time"]
    page.evaluate("app.graph.nodes[3].onExecuted({player: [{filename: 'whole.mp4', subfolder: '', type: 'temp'}]})")
    page.wait_for_function(f"at => ({VIDEO})().source.includes('whole.mp4') && ({VIDEO})().time > at", arg=at)
    assert [asked for name, asked in page.server.asked if name == "live.mp4"] == ["bytes=0-", f"bytes={told[140] - 1}-"]


def test_where_the_page_allows_no_blobs_the_growing_file_is_opened_itself(page):
    page.server.policy, page.server.files = "default-src 'self'", {"live.mp4": b"no video"}
    page.evaluate("""() => { make(3, 'HMTalker_RenderAvatarVideo'); tell('talking_heads.video', {node: '3', state: 'growing',
      node_type: 'HMTalker_RenderAvatarVideo', filename: 'live.mp4', type: 'temp', mime: 'video/mp4', seconds: 2, total: 8}) }""")
    page.wait_for_function("document.querySelector('.talking-heads-player video').src.includes('live.mp4')")


def test_a_video_may_be_whole_before_the_page_knows_how_to_show_its_beginning(page, tmp_path):
    page.server.policy, page.server.files = "default-src 'self'", {"live.mp4": b"no video", "whole.mp4": b"no video"}
    thrown = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.evaluate("""() => { make(3, 'HMTalker_RenderAvatarVideo'); tell('talking_heads.video', {node: '3', state: 'growing',
      node_type: 'HMTalker_RenderAvatarVideo', filename: 'live.mp4', type: 'temp', mime: 'video/mp4', seconds: 2, total: 8})
      app.graph.nodes[3].onExecuted({player: [{filename: 'whole.mp4', subfolder: '', type: 'temp'}]}) }""")
    page.wait_for_timeout(300)
    assert not thrown and "whole.mp4" in page.evaluate("document.querySelector('.talking-heads-player video').src")


def test_after_a_reload_only_videos_that_are_still_there_are_shown(page, tmp_path):
    page.evaluate("""() => { api.history = {a: {outputs: {9: {player: [{filename: 'there.mp4'}]}}}}
      make(1, 'HMTalker_RenderAvatarVideo', {talking_heads_player: [{filename: 'gone.mp4', subfolder: '', type: 'temp'}]}) }""")
    page.wait_for_timeout(300)
    assert page.locator(".talking-heads-player").count() == 0 and not page.server.asked
