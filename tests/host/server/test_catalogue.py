"""What the page is told there is, and the files of packs."""
from __future__ import annotations

import pytest


def test_a_packs_scripts_templates_labels_blueprints_and_help(served):
    async def scenario(client):
        async def get(path):
            return await (await client.get(path)).json()

        blocks = await get("/api/global_subgraphs")
        (name,) = blocks
        pages = {path: await client.get(path) for path in (
            "/extensions/Every%20Thing/js/a.js", "/api/workflow_templates/Every%20Thing/1%20First.json",
            "/api/workflow_templates/Every%20Thing/1%20First.jpg", "/extensions/Every%20Thing/docs/ToyNumber/fr.md",
            "/docs/SaveVideo/en.md", "/assets/x-1a2b.js", "/extensions/core/c.js")}
        texts = {path: await answer.text() for path, answer in pages.items()}
        absent = [(await client.get(path)).status for path in (
            "/extensions/Every%20Thing/nowhere.js", "/extensions/Nobody/a.js", "/api/workflow_templates/Nobody/a.json",
            "/extensions/Every%20Thing/docs/Nobody/en.md", "/docs/Nobody/en.md", "/extensions/Every%20Thing/__init__.py",
            "/api/global_subgraphs/", "/nowhere")]
        return (await get("/extensions"), await get("/workflow_templates"), await get("/i18n"), blocks,
                await get(f"/global_subgraphs/{name}"), await get("/global_subgraphs/nothing"), pages, texts, absent)

    scripts, templates, labels, blocks, block, nothing, pages, texts, absent = served.run(scenario)
    assert scripts == ["/extensions/core/c.js", "/extensions/Every%20Thing/js/a.js", "/extensions/Every%20Thing/js/lib/b.js"]
    assert templates == {"Every Thing": ["1 First"]}
    assert labels == {"en": {"x": {"a": 1}, "nodeDefs": {"Toy": {"name": "toy"}}}}
    assert list(blocks.values()) == [{"source": "custom_node", "name": "Block",
                                      "info": {"node_pack": "custom_nodes.Every Thing"}}]
    assert block["data"] == '{"nodes": []}'
    assert nothing is None
    assert [answer.status for answer in pages.values()] == [200] * 7
    assert pages["/extensions/Every%20Thing/js/a.js"].headers["Content-Type"].startswith("text/javascript")
    assert pages["/extensions/Every%20Thing/js/a.js"].headers["Cache-Control"] == "no-store"
    assert "immutable" in pages["/assets/x-1a2b.js"].headers["Cache-Control"]
    assert texts["/extensions/Every%20Thing/docs/ToyNumber/fr.md"] == "# help"
    assert "# Save Video" in texts["/docs/SaveVideo/en.md"]
    assert absent == [404] * 8


def test_nodes_one_and_all(served):
    async def scenario(client):
        every = await (await client.get("/api/object_info")).json()
        one = await (await client.get("/object_info/ToyNumber")).json()
        return every, one, await (await client.get("/object_info/Nobody")).json()

    every, one, nobody = served.run(scenario)
    assert {"ToyNumber", "LoadAudio", "SaveVideo", "PreviewAny"} <= set(every)
    assert one == {"ToyNumber": every["ToyNumber"]}
    assert nobody == {}


def test_every_shipped_workflow_finds_its_nodes(tmp_path):
    """Of the page's own nodes, notes and subgraphs are none."""
    import json

    from pack import ROOT, make_host

    known = set(make_host(tmp_path).classes) | {"MarkdownNote", "Note", "Reroute", "PrimitiveNode"}
    files = [*ROOT.glob("workflows/*.json"), *ROOT.glob("subgraphs/*.json")]
    assert len(files) > 15
    for path in files:
        graph = json.loads(path.read_text("utf8"))
        blocks = graph.get("definitions", {}).get("subgraphs", [])
        nodes = [*graph["nodes"], *(node for block in blocks for node in block["nodes"])]
        assert {node["type"] for node in nodes} - known - {block["id"] for block in blocks} == set(), path.name


@pytest.mark.parametrize("value, text", [(float("nan"), "null"), ({"a": [float("inf"), 1.5]}, '{"a": [null, 1.5]}'),
                                         ({"a": {1, }}, '{"a": "{1}"}'), ((1, "é"), '[1, "\\u00e9"]')])
def test_every_answer_is_json(value, text):
    from talking_heads.host.server.answers import dumped

    assert dumped(value) == text
