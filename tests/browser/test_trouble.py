"""What a user reads when something goes wrong: the node's own sentence, in the page, and the queue goes on."""
from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST = "1 Talking avatar"
CHOOSE = """([type, name, value]) => {
  app.graph.nodes.find(n => n.type === type).widgets.find(w => w.name === name).value = value
}"""
READ = "document.body.innerText"


def sentence_of(page, server) -> str:
    """What the failed run's node said."""
    def failed():
        return [data for entry in server.get("/history").values() if entry["prompt"][1] not in page._before
                for name, data in entry["status"]["messages"] if name == "execution_error"]

    return page.until(failed, 300, "the run has failed")[0]["exception_message"].strip()


def test_the_page_shows_what_must_hold_what_came_and_what_to_do(page, server):
    page.open_template(FIRST)
    page.page.evaluate(CHOOSE, ["TalkingHead_EncodeSpeech", "encoder", "hubert"])  # whose weights are not there
    page.run()
    sentence = sentence_of(page, server)
    assert "Got: " in sentence
    shown = page.until(lambda: page.notices(), 60, "the page says that something is wrong")
    read = " ".join([*shown, page.page.evaluate(READ)])
    assert " ".join(sentence.split()) in " ".join(read.split()), f"{sentence!r} is not in the page, which says {shown}"
    page.errors.clear()  # the page reports the failure on its console too
    assert not server.busy()


def test_a_refused_value_is_marked_before_anything_runs(page, server):
    page.open_template(FIRST)
    page.page.evaluate(CHOOSE, ["HMTalker_RenderAvatarVideo", "backend", "no such back end"])
    before = set(server.get("/history"))
    page.run()
    shown = page.until(lambda: page.notices(), 60, "the page says that something is wrong")
    assert shown
    assert set(server.get("/history")) == before
    page.errors.clear()  # the refusal is status 400
