"""Running prompts: order, cache, lists, lazy inputs, stopping, previews, errors (docs/comfyui.md#execution)."""
from __future__ import annotations

import pytest


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def chain(**number) -> dict:
    """Number -> Add -> Show."""
    return {"1": node("ToyNumber", **{"value": 3, "mode": "double", "seed": 0, **number}), "2": node("ToyAdd", a=["1", 0], b=1),
            "3": node("ToyShow", value=["2", 0])}


def test_a_chain_runs_in_order_and_shows_its_result(small):
    result = small.run(chain())
    assert (result.status, result.executed) == ("success", ["1", "2", "3"])
    assert small.runs == ["number 3", "add", "show 7"]
    assert result.outputs == {"3": {"text": ["7"], "id": ["3"], "prompt": [3]}}  # hidden unique_id and prompt arrived


def test_a_second_run_is_cached_and_a_changed_widget_runs_only_what_lies_below(small):
    small.run(chain())
    second = small.run(chain())
    assert (second.executed, second.cached, small.runs) == ([], ["1", "2", "3"], [])
    assert second.outputs["3"]["text"] == ["7"]
    assert [name for name, _ in small.events] == ["execution_start", "execution_cached", "executed", "execution_success"]
    changed = chain()
    changed["2"]["inputs"]["b"] = 5
    third = small.run(changed)
    assert (third.executed, third.cached) == (["2", "3"], ["1"])
    assert third.outputs["3"]["text"] == ["11"]


def test_equal_nodes_share_a_result_but_not_with_a_unique_id(small):
    prompt = {**chain(), "4": node("ToyNumber", value=3, mode="double", seed=0), "5": node("ToyShow", value=["4", 0]),
              "6": node("ToyShow", value=["1", 0])}
    small.run(prompt)
    runs = small.runs
    assert runs.count("number 3") == 1  # 4 is 1 again
    assert runs.count("show 6") == 2  # ToyShow asks for its id


def test_fingerprint_decides_whether_a_node_runs_again(small):
    prompt = {"1": node("ToyFingerprint", file="x"), "2": node("ToyShow", value=["1", 0])}
    small.run(prompt)
    assert small.run(prompt).executed == []
    small.toys.FINGERPRINT["value"] = 2
    assert small.run(prompt).executed == ["1", "2"]
    for _ in range(2):
        small.toys.FINGERPRINT["value"] = float("nan")
        assert small.run(prompt).executed == ["1", "2"]  # NaN never equals itself


def test_only_the_chosen_lazy_branch_runs(small):
    prompt = {"1": node("ToyNumber", value=1, mode="plain", seed=0), "2": node("ToyNumber", value=2, mode="plain", seed=0),
              "3": node("ToyLazy", first=False, a=["1", 0], b=["2", 0]), "4": node("ToyShow", value=["3", 0])}
    result = small.run(prompt)
    assert small.runs == ["number 2", "show 2"]
    assert result.executed == ["2", "3", "4"]


def test_lists_are_mapped_item_by_item_and_joined_by_list_nodes(small):
    prompt = {"1": node("ToySplit", count=3), "2": node("ToyAdd", a=["1", 0], b=10), "3": node("ToyShow", value=["2", 0]),
              "4": node("ToyJoin", items=["2", 0], comma="+"), "5": node("ToyShow", value=["4", 0])}
    result = small.run(prompt)
    assert result.outputs["3"]["text"] == ["10", "11", "12"]
    assert result.outputs["5"]["text"] == ["10+11+12"]
    assert small.runs.count("add") == 3


def test_outputs_only(small):
    prompt = {**chain(), "9": node("ToyNumber", value=9, mode="plain", seed=0)}
    small.run(prompt)
    assert "number 9" not in small.runs
    prompt["10"] = node("ToyShow", value=["9", 0])
    assert small.run(prompt, only=["10"]).executed == ["9", "10"]


def test_stop_ends_the_node_within_one_step_and_the_next_run_is_clean(small):
    prompt = {"1": node("ToySteps", steps=50), "2": node("ToyShow", value=["1", 0])}
    result = small.run(prompt, stop_at="1")
    assert (result.status, result.error) == ("interrupted", {"node_id": "1", "node_type": "ToySteps", "executed": []})
    assert small.runs == ["step 0", "step 1"]  # told at the first update, stopped at the second
    assert small.run(prompt).status == "success"


def test_a_stop_pressed_while_nothing_runs_is_forgotten(small):
    small.host.interrupt()
    assert small.run(chain()).status == "success"


def test_every_preview_arrives_with_its_node(small):
    small.run({"1": node("ToySteps", steps=4), "2": node("ToyShow", value=["1", 0])})
    previews = [data for name, data in small.events if name == "preview"]
    assert len(previews) == 4
    assert {data["node"] for data in previews} == {"1"}
    assert (previews[0]["format"], previews[0]["size"], previews[0]["image"].size) == ("JPEG", 64, (8, 8))
    assert [(data["value"], data["max"]) for name, data in small.events if name == "progress"] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_plain_progress_is_throttled_but_first_and_last_are_sent(small):
    from talking_heads.host.shim import context, utils

    sent = []
    context.set_progress_hook(lambda value, *_: sent.append(value))
    bar = utils.ProgressBar(1000)
    for _ in range(1000):
        bar.update(1)
    context.set_progress_hook(None)
    assert sent[0] == 1 and sent[-1] == 1000 and len(sent) < 100


def test_whatever_a_node_sends_to_the_page_arrives(small, monkeypatch):
    """Other packs send events of their own, with any keys."""
    from talking_heads.host.shim.server import PromptServer

    kind = small.host.classes["ToyNumber"]
    whole = kind.execute.__func__

    def execute(cls, **given):
        PromptServer.instance.send_sync("other.pack", {"event": 1, "self": 2})
        PromptServer.instance.send_sync("other.text", "words")
        return whole(cls, **given)

    monkeypatch.setattr(kind, "execute", classmethod(execute))
    result = small.run({"1": node("ToyNumber", value=3, mode="plain", seed=0), "2": node("ToyShow", value=["1", 0])})
    assert result.status == "success", result.error
    told = {name: data for name, data in small.events if name.startswith("other")}
    run = {"prompt_id": result.prompt_id}
    assert told == {"other.pack": {"event": 1, "self": 2, **run}, "other.text": {"data": "words", **run}}


def test_an_exception_is_reported_with_node_inputs_and_its_own_words(small):
    result = small.run({"1": node("ToyNumber", value=3, mode="plain", seed=0), "2": node("ToyFail", value=["1", 0]),
                        "3": node("ToyShow", value=["2", 0])})
    error = result.error
    assert (result.status, error["node_id"], error["node_type"], error["executed"]) == ("error", "2", "ToyFail", ["1"])
    assert error["exception_message"].strip() == "The value must be kind. Got: 3. Be kind."
    assert (error["exception_type"], error["current_inputs"]) == ("ValueError", {"value": [3]})
    assert any("toys.py" in line for line in error["traceback"])
    assert small.run(chain()).status == "success"


def test_a_node_cannot_keep_state_on_its_class(small):
    result = small.run({"1": node("ToyStubborn"), "2": node("ToyShow", value=["1", 0])})
    assert result.error["exception_message"].strip() == "Cannot modify class attribute 'cache' on locked class 'ToyStubbornClone'"


def test_a_block_with_values_stops_what_is_below_and_the_run_succeeds(small):
    result = small.run({"1": node("ToyBlock", values=True), "2": node("ToyAdd", a=["1", 0], b=1),
                        "3": node("ToyShow", value=["2", 0])})
    assert (result.status, small.runs, result.outputs) == ("success", [], {})
    told = [data for name, data in small.events if name == "execution_error"]
    assert [data["exception_message"] for data in told] == ["Execution Blocked: closed"]


def test_a_block_without_values_fails_as_in_core(small):
    result = small.run({"1": node("ToyBlock", values=False), "2": node("ToyShow", value=["1", 0])})
    assert (result.status, result.error["exception_type"]) == ("error", "IndexError")


def test_dynamic_inputs_arrive_nested(small):
    prompt = {"1": node("ToyDynamic", **{"size": "custom", "size.width": 96, "size.height": 32, "scale": 0.5}),
              "2": node("ToyShow", value=["1", 0])}
    assert small.run(prompt).outputs["2"]["text"] == ["[('height', 32), ('size', 'custom'), ('width', 96)] 0.5"]
    prompt["1"] = node("ToyDynamic", size="small", scale=1)
    assert small.run(prompt).outputs["2"]["text"] == ["[('size', 'small')] 1.0"]


def test_async_nodes_overlap_and_keep_their_order_of_need(small):
    prompt = {"1": node("ToyAsync", name="a"), "2": node("ToyAsync", name="b"), "3": node("ToyAdd", a=1, b=2),
              "4": node("ToyShow", value=["1", 0]), "5": node("ToyShow", value=["2", 0])}
    result = small.run(prompt)
    runs = small.runs
    assert result.status == "success"
    assert set(runs[:2]) == {"begin a", "begin b"} and runs.index("show a") > runs.index("end a")


def test_nodes_run_without_gradients(small):
    result = small.run({"1": node("ToyPicture", frames=1), "2": node("ToyShow", value=["1", 2])})
    assert result.outputs["2"]["text"] == ["True"]


def test_a_bad_output_beside_a_good_one_is_left_out_and_told(small):
    prompt = {**chain(), "8": node("ToyNumber", value=99, mode="plain", seed=0), "9": node("ToyShow", value=["8", 0])}
    result = small.run(prompt)
    assert result.executed == ["1", "2", "3"]
    assert list(result.node_errors) == ["8"] and result.node_errors["8"]["dependent_outputs"] == ["9"]


def test_a_prompt_is_not_changed_by_running_it(small):
    prompt = chain(value="4")
    small.run(prompt)
    assert prompt["1"]["inputs"]["value"] == "4"


@pytest.mark.parametrize("rule", ["NODE_CLASS_MAPPINGS", "entry point", "extension"])
def test_loading_refuses_what_comfyui_would_pass_over_in_silence(small, tmp_path, rule):
    from talking_heads.host.load import PackError, load_pack

    pack = tmp_path / f"pack.{rule.replace(' ', '_')}"
    pack.mkdir()
    entry = "def comfy_entrypoint():\n    return 1\n"
    text = {"NODE_CLASS_MAPPINGS": "NODE_CLASS_MAPPINGS = {}\n" + entry, "entry point": "", "extension": entry}[rule]
    (pack / "__init__.py").write_text(text)
    with pytest.raises(PackError, match="NODE_CLASS_MAPPINGS|comfy_entrypoint"):
        load_pack(str(pack))
