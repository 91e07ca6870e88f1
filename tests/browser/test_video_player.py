"""The player on the node that makes a video: it shows the part that is there, then the whole, with sound, also after a reload."""
from __future__ import annotations

import wave
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEMPLATE, MAKER = "1 Talking avatar", "HMTalker_RenderAvatarVideo"
SPEECH, LONG, TIMES = "talking_heads_demo_speech.wav", "long.wav", 4
SEEN = """() => {
  const box = document.querySelector('.talking-heads-player'), video = box?.querySelector('video')
  return video && {words: box.textContent, time: video.currentTime, length: video.duration, width: video.videoWidth,
    audio: video.webkitAudioDecodedByteCount, frames: video.webkitDecodedFrameCount, source: video.currentSrc,
    ready: video.readyState, muted: video.muted, error: video.error?.message ?? '',
    shown: [video.clientWidth, video.clientHeight],
    buffered: video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0}
}"""


def repeated(source: Path, path: Path) -> None:
    """The speech several times: long enough to be watched while it is rendered."""
    with wave.open(str(source)) as given, wave.open(str(path), "wb") as made:
        made.setparams(given.getparams())
        made.writeframes(TIMES * given.readframes(given.getnframes()))


def seen(page):
    return page.page.evaluate(SEEN)


def plays_with_sound(page) -> dict:
    """Presses play, as a person does, until time has passed and sound was decoded."""
    video = page.page.locator(".talking-heads-player video")
    video.evaluate("video => { video.muted = false; video.play() }")
    page.until(lambda: seen(page)["time"] > 0.3 and seen(page)["audio"] > 0, 60, f"the video plays with sound: {seen(page)}")
    return seen(page)


def test_the_part_that_is_there_plays_then_the_whole(page, server):
    server.post("/free", {"free_memory": True})  # the run of the other kind of nodes is not handed out again
    repeated(server.base / "input" / SPEECH, server.base / "input" / LONG)
    page.open()  # again: the page asks for the list of files once
    page.open_template(TEMPLATE)
    page.page.evaluate("name => { app.graph.nodes.find(n => n.type === 'LoadAudio').widgets[0].value = name }", LONG)
    page.run()
    page.until(lambda: (found := seen(page)) and "Being made" in found["words"] and found["ready"] >= 1, 600,
               "a part of the video is there before the rest is made")
    early = plays_with_sound(page)
    assert "talking_heads_live_" in early["source"] or early["source"].startswith("blob:"), "by the page's policy"
    assert early["width"] > 0
    entry = page.wait_done(600)
    page.until(lambda: "/view?" in seen(page)["source"] and seen(page)["ready"] >= 2, 60, "the whole video is shown")
    late = plays_with_sound(page)
    assert late["length"] > 1 and not late["muted"] and not late["error"] and late["shown"][0] > 150, late
    (made,) = [output["player"][0] for output in entry["outputs"].values() if "player" in output]
    assert made["filename"] in late["source"] and late["frames"] > 0
    page.reload()
    page.until(lambda: (found := seen(page)) and found["ready"] >= 1, 60, "a reload shows it again")
    assert made["filename"] in seen(page)["source"]
    plays_with_sound(page)
