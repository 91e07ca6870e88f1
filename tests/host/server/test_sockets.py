"""The WebSocket: hello, features, previews in both forms, text on nodes, pages that leave, come back, or talk nonsense."""
from __future__ import annotations

import io
import json

from PIL import Image


def test_the_first_words(served, open_page):
    async def scenario(client):
        page = await open_page(client, "me")
        return await page.until("status"), await page.until("feature_flags")

    status, features = served.run(scenario)
    assert status == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
    assert features["supports_preview_metadata"] is True
    assert features["assets"] is False


def test_previews_come_in_the_form_a_page_knows(served, open_page, shown):
    async def scenario(client):
        new, old = await open_page(client, "new"), await open_page(client, "old", features=False)
        for page in (new, old):
            await page.send(shown("ToySteps", steps=2))
            await page.ended()
            await client.post("/free", json={"free_memory": True})
        return new, old

    new, old = served.run(scenario)
    (packed, *_) = [data for event, data in new.heard if event == 4]
    size = int.from_bytes(packed[:4], "big")
    about = json.loads(packed[4:4 + size])
    assert about["node_id"] == about["display_node_id"] == "1"
    assert about["image_type"] == "image/jpeg"
    assert about["prompt_id"]
    assert Image.open(io.BytesIO(packed[4 + size:])).size == (64, 64)
    (plain, *_) = [data for event, data in old.heard if event == 1]
    assert int.from_bytes(plain[:4], "big") == 1
    assert Image.open(io.BytesIO(plain[4:])).format == "JPEG"
    assert not [event for event, _ in old.heard if event == 4]


def test_text_on_a_node(served, open_page):
    from talking_heads.host.server.app import SOCKETS
    from talking_heads.host.server.sockets import TEXT

    async def scenario(client):
        page = await open_page(client)
        await page.until("feature_flags")
        client.server.app[SOCKETS].send_text("12:3", "half done", "page")
        return await page.until(TEXT)

    told = served.run(scenario)
    size = int.from_bytes(told[:4], "big")
    assert told[4:4 + size] == b"12:3"
    assert told[4 + size:] == b"half done"


def test_a_page_that_comes_back_learns_which_node_runs(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        await page.send(shown("ToySteps", steps=1000))
        await page.until("progress")
        back, other = await open_page(client), await open_page(client, "other")
        found = await back.until("executing")
        await page.socket.close()  # the old window: must not take the new one's place in the list
        await client.post("/interrupt")
        await back.ended()
        await other.until("feature_flags")
        return found, other.events()

    found, other = served.run(scenario)
    assert found["node"] == "1"
    assert other == ["feature_flags"]


def test_nonsense_from_a_page_changes_nothing(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client, features=False)
        for text in ("{", "[]", '{"type": 5}', '{"type": "feature_flags", "data": 7}', "[" * 90_000):
            await page.socket.send_str(text)
        await page.socket.send_bytes(b"\0" * 100)
        await page.send(shown("ToyNumber", value=1, mode="plain", seed=0))
        await page.ended()
        return page.events()

    assert "executed" in served.run(scenario)


def test_the_log_goes_to_those_who_asked(served, open_page):
    import logging

    async def scenario(client):
        page = await open_page(client)
        await page.until("feature_flags")
        await client.patch("/internal/logs/subscribe", json={"clientId": "page", "enabled": True})
        logging.getLogger("talking_heads").warning("a line for the terminal")
        line = (await page.until("logs"))["entries"][0]
        return line, await (await client.get("/internal/logs/raw")).json()

    line, raw = served.run(scenario)
    assert line["m"] == "a line for the terminal\n"
    assert raw["entries"].count(line) == 1


def test_a_slow_page_misses_previews_but_no_event():
    import asyncio
    from types import SimpleNamespace

    from talking_heads.host.server.sockets import PREVIEW, Client, Sockets

    async def scenario():
        sockets = Sockets(dict, {})
        sockets.open()
        client = sockets.clients["slow"] = Client(SimpleNamespace())
        for _ in range(1000):
            sockets.send(PREVIEW, b"picture")
        sockets.send("executed", {"node": "1"})
        await asyncio.sleep(0)
        return client.line

    line = asyncio.run(scenario())
    assert 100 < line.qsize() < 1000
    messages = [line.get_nowait() for _ in range(line.qsize())]
    assert json.loads(messages[-1])["type"] == "executed"
