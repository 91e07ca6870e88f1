"""The first minute, in every run of the suite: the first template opens, runs and plays, in both kinds of nodes."""
from __future__ import annotations

import time

import pytest
from comfy_server import SmallServer

pytestmark = [pytest.mark.browser, pytest.mark.short, pytest.mark.slow]

FIRST, SHORT_SPEECH = "1 Talking avatar", "talking_heads_demo_speech_short.wav"
CHOOSE = """([type, name, value]) => {
  app.graph.nodes.find(n => n.type === type).widgets.find(w => w.name === name).value = value
}"""
PLAY = """async name => {
  const video = [...document.querySelectorAll('video')].find(v => v.currentSrc.includes(name))
  video.muted = true
  await video.play()
  return true
}"""
PLAYED = "name => [...document.querySelectorAll('video')].find(v => v.currentSrc.includes(name)).currentTime"


def test_the_first_template_opens_runs_and_plays(page, server):
    if isinstance(server, SmallServer):
        assert page.known == set(), "the page of the small host starts without a complaint"
    page.open_template(FIRST)
    assert not page.notices(within=1)
    page.page.evaluate(CHOOSE, ["LoadAudio", "audio", SHORT_SPEECH])
    begun = time.monotonic()
    page.run()
    entry = page.wait_done(300)
    (film, *_) = page.films_shown(entry)
    page.page.evaluate(PLAY, film)
    page.until(lambda: page.page.evaluate(PLAYED, film) > 0.2, 30, "the video plays")
    print(f"{time.monotonic() - begun:.1f} s from Run to a playing {film}")
    assert not page.notices()
