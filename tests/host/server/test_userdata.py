"""Settings and saved workflows: kept over a restart, whole or absent."""
from __future__ import annotations

import pytest


def test_settings_and_workflows_outlive_the_server(served):
    async def save(client):
        first = await (await client.get("/api/settings")).json()
        await client.post("/api/settings", json={"Comfy.VueNodes.Enabled": True, "b": 1})
        await client.post("/api/settings/b", json={"deep": [1, None]})
        await client.post("/api/userdata/workflows%2Fmine%20%C3%A9.json?overwrite=false&full_info=true", json={"nodes": []})
        return first

    async def look(client):
        settings = await (await client.get("/settings")).json()
        one = [await (await client.get(f"/settings/{name}")).json() for name in ("b", "absent")]
        listed = await (await client.get("/userdata?dir=workflows&recurse=true&split=false&full_info=true")).json()
        workflow = await client.get("/userdata/workflows%2Fmine%20%C3%A9.json")
        return settings, one, listed, await workflow.json(content_type=None), workflow.headers

    first = served.run(save)
    settings, one, listed, workflow, headers = served.run(look)
    assert first == {"Comfy.Notification.ShowVersionUpdates": False}
    assert settings == {**first, "Comfy.VueNodes.Enabled": True, "b": {"deep": [1, None]}}
    assert one == [{"deep": [1, None]}, None]
    assert [(entry["path"], set(entry)) for entry in listed] == [("mine é.json", {"path", "size", "modified", "created"})]
    assert workflow == {"nodes": []}
    assert headers["Content-Disposition"].startswith("attachment")


def test_files_are_listed_moved_and_deleted(served):
    async def scenario(client):
        for name in ("a.json", "deep%2Fb.json"):
            assert await (await client.post(f"/userdata/workflows%2F{name}", data=b"{}")).json()
        plain = await (await client.get("/userdata?dir=workflows")).json()
        split = await (await client.get("/userdata?dir=workflows&recurse=true&split=true")).json()
        taken = await client.post("/userdata/workflows%2Fa.json/move/workflows%2Fdeep%2Fb.json?overwrite=false")
        again = await client.post("/userdata/workflows%2Fa.json?overwrite=false", data=b"other")
        moved = await client.post("/userdata/workflows%2Fa.json/move/workflows%2Fc.json?overwrite=false&full_info=true")
        tree = await (await client.get("/v2/userdata?path=workflows")).json()
        gone = [(await client.delete("/userdata/workflows%2Fc.json")).status for _ in range(2)]
        return plain, split, taken.status, again.status, (await moved.json())["path"], tree, gone

    plain, split, taken, again, moved, tree, gone = served.run(scenario)
    assert plain == ["a.json"]
    assert split == [["a.json", "a.json"], ["deep/b.json", "deep", "b.json"]]
    assert (taken, again, moved, gone) == (409, 409, "workflows/c.json", [204, 404])
    assert [(entry["path"], entry["type"]) for entry in tree] == [
        ("workflows/deep", "directory"), ("workflows/deep/b.json", "file"), ("workflows/c.json", "file")]


def test_a_page_finds_what_it_asks_for_at_its_start(served):
    """Anything else is an error on the browser's console."""
    async def scenario(client):
        return {path: (await client.get(path)).status for path in (
            "/", "/user.css", "/api/userdata/user.css", "/api/userdata/comfy.templates.json", "/api/userdata?dir=workflows",
            "/api/userdata?dir=subgraphs", "/templates/index.json", "/templates/index.zh.json", "/templates/index_logo.json",
            "/api/users", "/api/features", "/api/system_stats", "/api/settings", "/api/extensions", "/api/object_info",
            "/api/i18n",
            "/api/global_subgraphs", "/api/workflow_templates", "/api/node_replacements", "/api/experiment/models", "/api/queue",
            "/api/history", "/api/jobs", "/api/prompt", "/api/embeddings", "/api/models", "/internal/logs", "/internal/logs/raw",
            "/internal/folder_paths", "/internal/files/output")}

    assert {path: status for path, status in served.run(scenario).items() if status != 200} == {}


def test_broken_settings_are_said_to_be_broken_and_stay(served):
    path = served.base / "user" / "default" / "comfy.settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{broken")

    async def scenario(client):
        read, written = await client.get("/settings"), await client.post("/settings", json={"a": 1})
        return read.status, await read.text(), written.status

    read, text, written = served.run(scenario)
    assert (read, written) == (400, 400)
    assert "Mend the file" in text
    assert path.read_text() == "{broken"


@pytest.mark.parametrize("query, status", [("", 400), ("?dir=", 400), ("?dir=nowhere", 404)])
def test_a_list_needs_a_folder(served, query, status):
    async def scenario(client):
        return (await client.get(f"/userdata{query}")).status

    assert served.run(scenario) == status
