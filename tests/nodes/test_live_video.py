"""Videos on the nodes that make them: what a page hears meanwhile, what the history names, and what is left behind."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from listening import Listener, listened
from prompts import node, ok, own

DATA = node("TalkingHead_LoadDataset", place="input", folder="person")
FILM = {
    "data": DATA,
    "speech": node("TalkingHead_EncodeSpeech", audio=["data", 2], encoder="mel"),
    "avatar": node("HMTalker_LoadAvatar", avatar_name="tiny.safetensors"),
    "motion": node("HMTalker_DriveAvatar", avatar=["avatar", 0], speech=["speech", 0], blinks="generated", smoothing=1.0,
                   lip_gain=1.0, seed=5),
    "video": node("HMTalker_RenderAvatarVideo", avatar=["avatar", 0], motion=["motion", 0], background="green", backend="cpu",
                  crf=30, audio=["data", 2]),
    "save": node("SaveVideo", video=["video", 0], filename_prefix="film", format="auto", codec="auto"),
}


class Page(Listener):
    """Hears the events of a host; notes whether the copy is there when it is told of."""

    def __init__(self, base: Path):
        super().__init__(base)
        self.told, self.there, self.interrupts = [], [], False

    def __call__(self, name: str, data) -> None:
        if name == "talking_heads.video":
            self.told.append(dict(data))
            if data["state"] == "growing":
                self.there.append((self.base / "temp" / data["filename"]).stat().st_size)
                if self.interrupts:
                    self.host.interrupt()


@pytest.fixture
def page(tmp_path, tiny_dataset, tiny_avatar):
    base = tmp_path / "base"
    page = listened(Page(base), tiny_dataset)
    (base / "models" / "talking_heads").mkdir(parents=True, exist_ok=True)
    shutil.copy(tiny_avatar, base / "models" / "talking_heads" / "tiny.safetensors")
    return page


def copies(page: Page) -> list[Path]:
    return list((page.base / "temp").glob("talking_heads_live_*"))


def test_a_page_hears_of_the_video_while_it_is_made_and_the_history_names_it(page):
    result = ok(page.host.run(FILM))
    growing, ended = page.told[:-1], page.told[-1]
    assert growing and all(size > 100 for size in page.there), "there is something to play when the page hears of it"
    first = growing[0]
    assert (first["node"], first["node_type"], first["state"]) == ("video", "HMTalker_RenderAvatarVideo", "growing")
    assert first["mime"].startswith('video/mp4; codecs="avc1.') and first["mime"].endswith('mp4a.40.2"')
    assert first["type"] == "temp" and 0 <= first["seconds"] <= first["total"] and ended["state"] == "ended"
    (shown,) = result.outputs["video"]["player"]
    assert (page.base / "temp" / shown["filename"]).is_file() and not copies(page)
    assert page.host.run(FILM).outputs["video"]["player"] == [shown], "sent again when it comes from the cache"


def test_a_page_that_listens_may_finish_reading(page, monkeypatch):
    feed = own(page.host, "nodes.live_video")
    waiting = []
    monkeypatch.setattr(feed.threading, "Timer", lambda seconds, work: waiting.append(work) or feed.threading.Thread())
    monkeypatch.setattr(feed.PromptServer.instance, "client_id", "somebody")
    ok(page.host.run(FILM))
    assert len(copies(page)) == 1 and len(waiting) == 1
    waiting[0]()
    assert not copies(page)


def test_a_cancelled_video_leaves_no_copy(page):
    page.interrupts = True
    page.host.run(FILM)
    assert page.told[-1]["state"] == "ended" and not copies(page)


def test_a_video_that_browsers_do_not_play_is_made_all_the_same(page):
    film = {**FILM, "video": {**FILM["video"], "inputs": {**FILM["video"]["inputs"], "format": "mov"}},
            "save": node("TalkingHead_SaveVideoFile", video=["video", 0], filename_prefix="film")}
    result = ok(page.host.run(film))
    assert [one["state"] for one in page.told] == ["ended"] and result.outputs["video"]["player"][0]["filename"].endswith(".mov")
