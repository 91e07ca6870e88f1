"""Who may ask."""
from __future__ import annotations

import pytest

PROMPT = {"prompt": {}}


@pytest.mark.parametrize("headers, status", [
    ({}, 400), ({"Origin": "http://127.0.0.1:{port}"}, 400), ({"Host": "localhost:{port}"}, 400),
    ({"Host": "localhost:{port}", "Origin": "http://localhost:{port}"}, 400), ({"Sec-Fetch-Site": "same-origin"}, 400),
    ({"Origin": "https://evil.example"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403), ({"Origin": "null"}, 403),
    ({"Host": "evil.example:{port}"}, 403), ({"Host": "evil.example:{port}", "Origin": "http://evil.example:{port}"}, 403),
    ({"Host": "10.0.0.1"}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Host": "127.0.0.1.evil.example"}, 403),
])
def test_another_sites_page_is_refused(served, headers, status):
    async def scenario(client):
        filled = {key: value.replace("{port}", str(client.port)) for key, value in headers.items()}
        posted = await client.post("/prompt", json=PROMPT, headers=filled)
        socket = await client.get("/ws", headers={**filled, "Connection": "Upgrade", "Upgrade": "websocket",
                                                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="})
        return posted.status, socket.status, (await client.get("/view?filename=x", headers=filled)).status

    posted, socket, seen = served.run(scenario)
    assert posted == status
    assert (socket == 403, seen == 403) == (status == 403,) * 2


def test_on_a_network_only_foreign_origins_of_the_own_name_are_refused(served):
    async def scenario(client):
        own = {"Host": "studio.example:8188", "Origin": "http://studio.example:8188"}
        return [(await client.post("/prompt", json=PROMPT, headers=headers)).status
                for headers in (own, {**own, "Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"})]

    assert served.run(scenario, listen="0.0.0.0") == [400, 403, 403]


def test_pages_may_talk_to_nobody_else(served):
    async def scenario(client):
        return (await client.get("/")).headers

    headers = served.run(scenario)
    assert "connect-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
