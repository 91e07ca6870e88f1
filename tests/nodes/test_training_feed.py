"""What a page hears of a training, what is left on disk, and "stop and keep" through the node."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from listening import Listener, listened
from pack import make_host
from prompts import node, ok, own
from safetensors.torch import load_file

TRAIN = node("HMTalker_TrainAvatar", dataset=["data", 0], preset="demo", steps=0.001, seed=0, name="me", resume=True)
DATA = node("TalkingHead_LoadDataset", place="input", folder="person")
RECORD = "output/talking_heads/logs/me/training.json"


class Page(Listener):
    """Hears the events of a host, and may ask a training to stop at some step."""

    def __init__(self, base: Path):
        super().__init__(base)
        self.told, self.videos, self.stop_at, self.interrupt_at = [], [], None, None

    def __call__(self, name: str, data) -> None:
        if name == "talking_heads.video":
            self.videos.append(dict(data))
        if name == "talking_heads.training":
            self.told.append(json.loads(json.dumps(data, allow_nan=False)))
        if name == "talking_heads.training" and self.stop_at and data["state"] == "running" and data["step"] >= self.stop_at:
            stop = self.base / "temp" / "talking_heads_stop" / f"{data['run']}.txt"  # as an upload leaves it
            stop.parent.mkdir(parents=True, exist_ok=True)
            stop.write_text("stop and keep")
        if name == "progress" and self.interrupt_at and data["value"] >= self.interrupt_at:
            self.host.interrupt()


@pytest.fixture
def page(tmp_path, tiny_dataset, monkeypatch):
    page = listened(Page(tmp_path / "base"), tiny_dataset)
    feed = own(page.host, "nodes.training_feed")
    monkeypatch.setattr(feed, "_EVERY", 0.0)
    monkeypatch.setattr(feed, "_ASK_EVERY", 0.0)
    return page


def run(page):
    return page.host.run({"data": DATA, "train": TRAIN})


def curve(record: dict, name: str) -> dict:
    return next(row for row in record["curves"] if row["name"] == name)


def test_a_page_hears_every_step_and_the_record_stays(page):
    result = ok(run(page))
    first, last = page.told[0], page.told[-1]
    assert {one["run"] for one in page.told} == {first["run"]} and len(first["run"]) == 16
    assert (first["node"], first["type"], first["state"]) == ("train", "HMTalker_TrainAvatar", "running")
    assert [one["step"] for one in page.told] == sorted(one["step"] for one in page.told) and last["state"] == "finished"
    assert last["step"] == last["steps"] == first["steps"] and len(curve(last, "loss")["steps"]) > 10
    assert {row["chart"] for row in last["curves"]} == {"loss", "image quality (dB)", "learning rate"}
    assert [words for _, words in last["phases"]] == ["Stage warm-up", "Stage face", "Stage mouth", "Stage fuse"]
    assert json.loads((page.base / RECORD).read_text("utf8")) == {name: last[name] for name in last if name != "prompt_id"}
    shown = result.outputs["train"]
    assert shown["training"] == [{"filename": "training.json", "subfolder": "talking_heads/logs/me", "type": "output"}]
    assert last["subfolder"] == "talking_heads/logs/me" and last["previews"]
    from PIL import Image

    for _, name in last["previews"]:
        assert Image.open((page.base / RECORD).parent / "previews" / name).width == 512


def test_stop_and_keep_succeeds_with_a_file_and_the_training_can_go_on(page):
    page.stop_at = 5
    result = ok(run(page))
    models, last = page.base / "models" / "talking_heads", page.told[-1]
    assert last["state"] == "kept" and last["step"] == 5 < last["steps"], "it ends before the next step"
    assert "stopped_at" in str(own(page.host, "hmtalker_core.checkpoints").load_avatar(models / "me.safetensors").config)
    (text,) = result.outputs["train"]["text"]
    assert f"Stopped at step {last['step']} of {last['steps']} and kept." in text and "mouth was not trained" in text
    assert not list((page.base / "temp" / "talking_heads_stop").iterdir()), "what asked for it is gone"
    assert run(page).outputs == result.outputs, "cached: nothing trains on by itself"
    early, again = load_file(models / "me.safetensors"), Page(page.base)
    again.host = make_host(page.base, on_event=again)
    ok(run(again))
    final = again.told[-1]
    assert final["state"] == "finished" and curve(final, "loss")["steps"][0] == 1, "the curve goes on"
    assert again.told[0]["step"] == last["step"] + 1 and not (models / "me.training.safetensors").exists()
    later = load_file(models / "me.safetensors")
    assert any(early[name].shape != later[name].shape or not early[name].equal(later[name]) for name in early)


def test_an_interruption_is_told_and_keeps_its_record(page):
    page.interrupt_at = 6
    assert run(page).status == "interrupted"
    assert page.told[-1]["state"] == "interrupted" and json.loads((page.base / RECORD).read_text("utf8"))["step"] >= 5


def test_a_stop_for_another_run_is_none(page):
    other = page.base / "temp" / "talking_heads_stop"
    other.mkdir(parents=True)
    (other / "0123456789abcdef.txt").touch()
    ok(run(page))
    assert page.told[-1]["state"] == "finished" and len(list(other.iterdir())) == 1


def test_a_record_that_cannot_be_written_does_not_end_the_training(page, caplog):
    logs = (page.base / RECORD).parent
    logs.mkdir(parents=True)
    (logs / "training.json").mkdir()
    (logs / "training.json" / "in the way").touch()
    ok(run(page))
    assert "record of the training is not kept up" in caplog.text and page.told[-1]["state"] == "finished"


def test_what_comes_before_the_steps_of_a_resumed_training_does_not_start_its_record_over(page, tmp_path):
    feed = own(page.host, "nodes.training_feed")
    with feed.TrainingReport("HMTalker_TrainAvatar", page.base / "output" / "log") as report:
        for step in (1, 2, 3):
            report(step, 9, {"phase": "face", "loss": float(step)})
    with feed.TrainingReport("HMTalker_TrainAvatar", page.base / "output" / "log") as report:
        report(0, 9, {"phase": "speech"})
        report(4, 9, {"phase": "face", "loss": 4.0})
    record = json.loads((page.base / "output" / "log" / "training.json").read_text("utf8"))
    assert curve(record, "loss")["steps"] == [1, 2, 3, 4] and record["phases"] == [[1, "Stage face"]]


def test_previews_are_thinned_evenly(page, tmp_path):
    from PIL import Image

    feed = own(page.host, "nodes.training_feed")
    record, sheet = feed._Record(tmp_path / "log", 1), Image.new("RGB", (8, 8))
    for step in range(1, 101):
        record.add_preview(step, sheet)
    steps = record.previews
    assert len(steps) == feed.MOST_PREVIEWS and (steps[0], steps[-1]) == (1, 100)
    assert {path.name for path in (tmp_path / "log" / "previews").iterdir()} == {f"step_{step:08}.jpg" for step in steps}
    assert max(after - before for before, after in zip(steps, steps[1:])) <= 32
    record.save({"curves": [], "phases": []})
    assert feed._Record(tmp_path / "log", 60).previews == [step for step in steps if step < 60]
    assert feed._Record(tmp_path / "log", 1).previews == [] and not list((tmp_path / "log" / "previews").iterdir())
