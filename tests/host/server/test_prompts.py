"""POST /prompt and what follows: the queue, the messages, the history, the jobs, stopping."""
from __future__ import annotations

import uuid

import pytest


def test_a_run_is_told_as_comfyui_tells_it(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        status, answer = await page.send(shown("ToyNumber", value=7, mode="double", seed=0), extra_data={
            "extra_pnginfo": {"workflow": {"id": "w"}}, "auth_token_comfy_org": "secret"})
        assert status == 200
        assert answer["node_errors"] == {}
        await page.ended()
        history = await (await client.get(f"/history/{answer['prompt_id']}")).json()
        return answer["prompt_id"], page, history

    prompt_id, page, history = served.run(scenario)
    events = page.events()
    assert events[:2] == ["feature_flags", "execution_start"]
    kept = [event for event in events if event not in ("progress_state", "feature_flags")]
    assert kept == ["execution_start", "execution_cached", "executing", "executing", "executed", "execution_success", "executing"]
    states = [data["nodes"] for event, data in page.heard if event == "progress_state"]
    assert states[0]["1"]["state"] == "running"
    assert {name: state["state"] for name, state in states[-1].items()} == {"1": "finished", "2": "finished"}
    entry = history[prompt_id]
    assert entry["outputs"]["2"]["text"] == ["14"]
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    assert [name for name, _ in entry["status"]["messages"]] == ["execution_start", "execution_cached", "execution_success"]
    assert all("timestamp" in data for _, data in entry["status"]["messages"])
    number, named, prompt, extra, targets = entry["prompt"]
    assert (number, named, targets) == (0, prompt_id, ["2"])
    assert prompt["1"]["class_type"] == "ToyNumber"
    assert "auth_token_comfy_org" not in extra
    assert extra["client_id"] == "page"
    assert entry["meta"]["2"]["node_id"] == "2"


def test_a_second_run_is_cached(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        for _ in range(2):
            await page.send(shown("ToyNumber", value=3, mode="plain", seed=0))
            await page.ended()
        return page

    page = served.run(scenario)
    cached = [data["nodes"] for event, data in page.heard if event == "execution_cached"]
    assert cached == [[], ["1", "2"]]
    assert served.toys.RUNS == ["number 3", "show 3"]


@pytest.mark.parametrize("body, kind", [
    ({"prompt": {"1": {"class_type": "Nowhere", "inputs": {}}}}, "missing_node_type"),
    ({"prompt": {"1": {"inputs": {}}}}, "missing_node_type"),
    ({"prompt": {"1": {"class_type": "ToyNumber", "inputs": {"value": 1}}}}, "prompt_no_outputs"),
    ({"prompt": {}}, "prompt_no_outputs"), ({}, "no_prompt"), ({"prompt": []}, "invalid_prompt"),
    ({"prompt": {"1": 5}}, "invalid_prompt"), ({"prompt": {"1": {"class_type": "ToyShow", "inputs": []}}}, "invalid_prompt"),
    ({"prompt": {"1": {"class_type": ["ToyShow"], "inputs": {}}}}, "missing_node_type"),
    ({"prompt": {}, "prompt_id": "no uuid"}, "invalid_prompt_id"), ({"prompt": {}, "prompt_id": 7}, "invalid_prompt_id"),
    ({"prompt": {str(i): {"class_type": "ToyShow", "inputs": {}} for i in range(10_001)}}, "invalid_prompt"),
])
def test_a_bad_prompt_is_refused_with_a_reason(served, body, kind):
    async def scenario(client):
        answer = await client.post("/prompt", json=body)
        return answer.status, await answer.json()

    status, said = served.run(scenario)
    assert status == 400
    assert said["error"]["type"] == kind
    assert said["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff\xfe\x00", b'{"prompt": NaN}', b"[" * 100_000,
                                  b'{"number": 1e999, "prompt": {}}'])
def test_what_is_no_request_is_refused(served, body):
    async def scenario(client):
        statuses = [(await client.post(path, data=body)).status for path in ("/prompt", "/queue", "/history", "/free")]
        assert (await client.get("/queue")).status == 200
        return statuses

    assert served.run(scenario) == [400] * 4


def test_a_value_out_of_range_marks_its_node(served, open_page):
    prompt = {"1": {"class_type": "ToyNumber", "inputs": {"value": 99, "mode": "none", "seed": 0}},
              "2": {"class_type": "ToyShow", "inputs": {"value": ["1", 0]}}}

    async def scenario(client):
        page = await open_page(client)
        bad = await page.send(prompt)
        mixed = await page.send({**prompt, "3": {"class_type": "ToySplit", "inputs": {"count": 1}},
                                 "4": {"class_type": "ToyShow", "inputs": {"value": ["3", 0]}}})
        await page.ended()
        return bad, mixed

    (status, said), (mixed_status, mixed) = served.run(scenario)
    assert status == 400
    assert said["error"]["type"] == "prompt_outputs_failed_validation"
    kinds = [error["type"] for error in said["node_errors"]["1"]["errors"]]
    assert kinds == ["value_bigger_than_max", "value_not_in_list"]
    assert said["node_errors"]["1"]["dependent_outputs"] == ["2"]
    assert mixed_status == 200
    assert set(mixed["node_errors"]) == {"1"}


def test_the_sentence_of_a_failing_node_reaches_the_page_and_the_queue_goes_on(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        await page.send(shown("ToyFail", value=3))
        failed = await page.until("execution_error")
        await page.ended()
        _, good = await page.send(shown("ToyNumber", value=1, mode="plain", seed=0))
        await page.ended()
        jobs = await (await client.get("/api/jobs")).json()
        history = await (await client.get("/history")).json()
        return failed, good["prompt_id"], jobs, history

    failed, good, jobs, history = served.run(scenario)
    assert failed["exception_message"].strip() == "The value must be kind. Got: 3. Be kind."
    assert (failed["node_id"], failed["node_type"]) == ("1", "ToyFail")
    assert {job["status"] for job in jobs["jobs"]} == {"completed", "failed"}
    assert [entry["status"]["status_str"] for entry in history.values()] == ["error", "success"]
    assert next(job for job in jobs["jobs"] if job["id"] == good)["preview_output"]["content"] == "1"


def test_stop_takes_hold_within_a_step_and_hits_nothing_else(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        _, long = await page.send(shown("ToySteps", steps=1000))
        await page.until("progress")
        await client.post("/interrupt", json={"prompt_id": str(uuid.uuid4())})  # of another prompt
        await page.until("progress")
        await client.post("/api/interrupt", json={"prompt_id": long["prompt_id"]})
        await page.until("execution_interrupted")
        await page.ended()
        _, next_one = await page.send(shown("ToyNumber", value=2, mode="plain", seed=0))
        await page.ended()
        await client.post("/interrupt")  # nothing runs: the next prompt must not be stopped
        await page.send(shown("ToyNumber", value=4, mode="plain", seed=0))
        await page.ended()
        return long["prompt_id"], await (await client.get("/history")).json(), await (await client.get("/api/jobs")).json()

    long, history, jobs = served.run(scenario)
    assert [entry["status"]["status_str"] for entry in history.values()] == ["error", "success", "success"]
    assert next(job for job in jobs["jobs"] if job["id"] == long)["status"] == "cancelled"
    assert sum(run.startswith("step") for run in served.toys.RUNS) < 1000


def test_prompts_wait_in_their_order_and_can_be_taken_back(served, open_page, shown):
    def number(value):
        return shown("ToyNumber", value=value, mode="plain", seed=0)

    async def scenario(client):
        page = await open_page(client)
        _, long = await page.send(shown("ToySteps", steps=1000))
        await page.until("progress")
        _, second = await page.send(number(2))
        _, gone = await page.send(number(3))
        _, cancelled = await page.send(number(4))
        _, first = await page.send(number(1), front=True)
        queue = await (await client.get("/queue")).json()
        assert [row[1] for row in queue["queue_running"]] == [long["prompt_id"]]
        assert [row[1] for row in queue["queue_pending"]] == [
            item["prompt_id"] for item in (first, second, gone, cancelled)]
        assert (await (await client.get("/prompt")).json())["exec_info"]["queue_remaining"] == 5
        listed = await (await client.get("/api/jobs?status=pending,in_progress&sort_order=asc&limit=2")).json()
        assert listed["pagination"] == {"offset": 0, "limit": 2, "total": 5, "has_more": True}
        await client.post("/queue", json={"delete": [gone["prompt_id"], 7, None]})
        answer = await client.post(f"/api/jobs/{cancelled['prompt_id']}/cancel")
        assert await answer.json() == {"cancelled": True}
        answer = await client.post("/api/jobs/cancel", json={"job_ids": [long["prompt_id"]]})
        assert await answer.json() == {"cancelled": True}
        for _ in range(3):
            await page.ended()
        await page.send(shown("ToySteps", steps=999))
        await page.until("progress")
        await page.send(number(5))
        await client.post("/queue", json={"clear": True})
        await client.post("/interrupt", data=b"")
        await page.ended()
        return await (await client.get("/history?max_items=2")).json()

    last = served.run(scenario)
    assert [run for run in served.toys.RUNS if run.startswith("number")] == ["number 1", "number 2"]
    assert [entry["status"]["status_str"] for entry in last.values()] == ["success", "error"]


def test_a_stop_before_the_first_node_is_not_lost(served, shown):
    """Between taking a job and its first node, a run forgets earlier stops: not the one meant for it."""
    from talking_heads.host.server.queue import Job
    from talking_heads.host.server.running import Runner
    from talking_heads.host.server.sockets import Sockets

    runner = Runner(served.host(), Sockets(dict, {}))
    finished = runner.run(Job(number=0, id="x", prompt=shown("ToySteps", steps=5), extra={}, targets=["2"], stopped=True))
    assert not finished.success
    assert finished.messages[-1][0] == "execution_interrupted"


def test_only_the_branch_asked_for_runs(served, open_page, shown):
    prompt = {**shown("ToyNumber", value=1, mode="plain", seed=0), "3": {"class_type": "ToySplit", "inputs": {"count": 2}},
              "4": {"class_type": "ToyShow", "inputs": {"value": ["3", 0]}}}

    async def scenario(client):
        page = await open_page(client)
        await page.send(prompt, partial_execution_targets=["4"])
        await page.ended()
        return await (await client.get("/history")).json()

    (entry,) = served.run(scenario).values()
    assert set(entry["outputs"]) == {"4"}


def test_history_is_forgotten_one_by_one_or_whole(served, open_page, shown):
    async def scenario(client):
        page = await open_page(client)
        ids = []
        for value in (1, 2, 3):
            ids.append((await page.send(shown("ToyNumber", value=value, mode="plain", seed=0)))[1]["prompt_id"])
            await page.ended()
        assert list(await (await client.get("/history?max_items=1&offset=1")).json()) == [ids[1]]
        assert (await client.get("/history?max_items=x")).status == 400
        await client.post("/history", json={"delete": [ids[0]]})
        left = list(await (await client.get("/history")).json())
        one = await client.get(f"/api/jobs/{ids[1]}")
        assert (await one.json())["workflow"]["prompt"]["1"]["inputs"]["value"] == 2
        assert (await client.get(f"/api/jobs/{ids[0]}")).status == 404
        await client.post("/history", json={"clear": True})
        return ids, left, await (await client.get("/history")).json()

    ids, left, empty = served.run(scenario)
    assert left == ids[1:]
    assert empty == {}


def test_free_forgets_results_and_moves_models_away(served, open_page, shown):
    async def scenario(client):
        import torch
        from talking_heads.host.shim import model_management, model_patcher

        page = await open_page(client)
        prompt = shown("ToyNumber", value=6, mode="plain", seed=0)
        await page.send(prompt)
        await page.ended()
        patcher = model_patcher.ModelPatcher(torch.nn.Linear(2, 2), torch.device("meta"), torch.device("meta"))
        model_management.load_models_gpu([patcher])
        assert patcher in model_management._loaded
        await client.post("/free", json={"unload_models": True, "free_memory": True})
        await page.send(prompt)
        await page.ended()
        assert patcher not in model_management._loaded

    served.run(scenario)
    assert served.toys.RUNS.count("number 6") == 2
