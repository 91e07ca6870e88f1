"""The loop that every training runs in, around a training that only counts: when it saves, validates, logs and stops."""
from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from talking_heads.media_core.errors import Cancelled, TalkingHeadsError
from talking_heads.training_core.logs import TrainingLog
from talking_heads.training_core.process_group import SingleProcess
from talking_heads.training_core.trainer import (
    EvalResult,
    Shown,
    Trainer,
    TrainState,
    ended_early,
    finished,
    log_folder,
    same_run,
    unfinished_path,
)


@dataclass(frozen=True)
class Every:
    save_every: int = 3
    val_every: int = 4
    log_every: int = 2


class Counting(TrainState):
    """Its loss is its step; `saved` says when it was saved."""

    def __init__(self, steps=10, refuse=None, whole=True, group=None):
        super().__init__(Every(), steps, group or SingleProcess())
        self.saved, self.refuse, self.stays_whole = [], refuse, whole

    def train_step(self):
        if self.step == self.refuse:
            self.whole = self.stays_whole
            raise TalkingHeadsError("The loss of a training must stay finite", "nan", "Lower the learning rate")
        self.step += 1
        return {"loss": float(self.step)}

    def save(self, path, identity):
        self.saved.append(self.step)

    def notice(self):
        return {"phase": "compile"} if self.step == 5 else None


def trainer(folder: Path, state: Counting, report=lambda *told: None, validate=None, columns=("loss", "score")) -> Trainer:
    return Trainer(state, validate, path=folder / "a", identity={}, report=report, folder=folder, columns=columns)


def score(watch):
    watch()
    return EvalResult({"score": 7.0, "other": 1.0}, ("score",), np.zeros((2, 2, 3), np.uint8), name="zeros", caption="zeros")


def test_it_saves_at_the_start_now_and_then_and_at_the_end(tmp_path):
    state = Counting()
    trainer(tmp_path, state).run()
    assert state.saved == [0, 3, 6, 9, 10]


def test_every_step_is_reported_and_validation_in_between(tmp_path):
    told = []
    report = lambda done, total, info, image: told.append((done, dict(info), image is not None))
    trainer(tmp_path, Counting(), report, score).run()
    steps = [(done, info.get("score")) for done, info, _ in told if "loss" in info]
    assert steps == [(1, None), (2, None), (3, None), *((step, 7.0) for step in range(4, 11))]
    assert [done for done, info, _ in told if not info] == [4], "it may be stopped while it validates"
    assert [done for done, info, shown in told if shown] == [4, 8, 10]
    assert (5, {"phase": "compile"}, False) in told and told[-1][1]["shows"] == "zeros"
    with (tmp_path / "log.csv").open(newline="") as file:
        lines = [(line["step"], line["loss"], line["score"]) for line in csv.DictReader(file)]
    assert lines == [("2", "1.5", ""), ("4", "3.5", ""), ("4", "", "7"), ("6", "5.5", ""), ("8", "7.5", ""), ("8", "", "7"),
                     ("10", "9.5", ""), ("10", "", "7")]


@pytest.mark.parametrize("stop, saved", [(1, [0, 1]), (3, [0, 3]), (4, [0, 3, 4])])
def test_whatever_stops_it_is_passed_on_and_the_state_saved_once(tmp_path, stop, saved):
    def report(done, total, info, image):
        if done == stop:
            raise Cancelled

    state = Counting()
    with pytest.raises(Cancelled):
        trainer(tmp_path, state, report, score).run()
    assert state.saved == saved


@pytest.mark.parametrize("whole, saved", [(True, [0, 3, 5]), (False, [0, 3])])
def test_a_refused_step_keeps_what_was_learnt_where_it_is_whole(tmp_path, caplog, whole, saved):
    state = Counting(refuse=5, whole=whole)
    with caplog.at_level("WARNING"), pytest.raises(TalkingHeadsError, match="must stay finite"):
        trainer(tmp_path, state).run()
    assert state.saved == saved and ("in the middle of a step" in caplog.text) is not whole


def test_another_process_that_stops_stops_this_one_too(tmp_path):
    class Pair(SingleProcess):
        size, asked = 2, 0

        def any(self, said):
            self.asked += 1
            return said or self.asked == 4

    told, state = [], Counting(group=Pair())
    with pytest.raises(Cancelled, match="another process"):
        trainer(tmp_path, state, lambda done, total, info, image: told.append(info)).run()
    assert state.saved == [0, 3, 4] and {"phase": "compile"} not in told


def test_a_process_beside_the_main_one_writes_nothing(tmp_path):
    class Second(SingleProcess):
        rank, size = 1, 2

    state = Counting(group=Second())
    trainer(tmp_path / "log", state, validate=score).run()
    assert state.saved == [] and not (tmp_path / "log").exists()


def test_lines_of_the_log_are_means_of_one_phase(tmp_path):
    lines = TrainingLog(tmp_path, 0, 9, 4, ("phase", "loss"))
    for step, phase in enumerate("aabbbbbab", 1):
        lines.step(step, {"phase": phase, "loss": float(step)})
    lines.close()
    with (tmp_path / "log.csv").open(newline="") as file:
        found = [tuple(line.values()) for line in csv.DictReader(file)]
    assert found == [("2", "a", "1.5"), ("4", "b", "3.5"), ("7", "b", "6"), ("8", "a", "8"), ("9", "b", "9")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_on_a_full_disk_stops_the_training_with_its_state_saved(tmp_path, caplog):
    (tmp_path / "log.csv").symlink_to("/dev/full")
    state = Counting()
    with pytest.raises(TalkingHeadsError, match="disk not full.*No space left"):
        trainer(tmp_path, state).run()
    assert state.saved == [0, 2] and "log of the training is incomplete" in caplog.text


def test_a_log_that_was_damaged_stops_nothing(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"step,loss\n1,5\n\xff\xfe,\x00\n2,4\n9,3\n2")
    TrainingLog(tmp_path, 2, 9, 4, ("loss",)).close()
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss", "1,5", "2,4", "2,"]


def test_what_differs_from_an_unfinished_training_is_named(tmp_path):
    mine = {"config": {"lr": 1e-3, "betas": (0.9, 0.99)}, "seed": 0, "dataset": 5}
    same_run(mine, {"config": {"lr": 1e-3, "betas": [0.9, 0.99], "more": 1}, "seed": 0, "dataset": 5}, tmp_path / "s")
    for other, named in (({"seed": 1}, "seed"), ({"config": {"lr": 2, "betas": [0.9, 0.99]}}, "lr"),
                         ({"config": None}, "lr, betas"), ({"dataset": None, "seed": 2}, "seed, dataset")):
        with pytest.raises(TalkingHeadsError, match=f"same dataset and settings.*another {named} in s.*start over"):
            same_run(mine, mine | {"config": {"lr": 1e-3, "betas": [0.9, 0.99]}} | other, tmp_path / "s")


def test_places_beside_the_file():
    assert unfinished_path("x/a.safetensors") == Path("x/a.training.safetensors")
    assert log_folder("x/a.safetensors", None) == Path("x/a_log") and log_folder("x/a.safetensors", "y") == Path("y")
    assert Shown({"loss": 1.0}) == Shown({"loss": 1.0}, None, "")


def test_enough_ends_it_after_a_step_with_its_state_and_its_log(tmp_path):
    asked = []

    def enough():
        asked.append(state.step)
        return state.step == 5

    state, ends = Counting(), Trainer(Counting(), None, path=tmp_path / "b", identity={}, report=lambda *told: None,
                                      folder=tmp_path / "b", columns=("loss",), enough=lambda: True)
    Trainer(state, None, path=tmp_path / "a", identity={}, report=lambda *told: None, folder=tmp_path, columns=("loss",),
            enough=enough).run()
    assert state.step == 5 and state.saved == [0, 3, 5] and asked == [1, 2, 3, 4, 5]
    with (tmp_path / "log.csv").open(newline="") as file:
        assert [(line["step"], line["loss"]) for line in csv.DictReader(file)] == [("2", "1.5"), ("4", "3.5"), ("5", "5")]
    ends.run()
    assert ends.state.step == 1, "what has learnt nothing is not worth keeping"


def test_every_process_ends_when_one_has_enough(tmp_path):
    class Other(SingleProcess):
        def any(self, said):
            return said or state.step == 4

    state = Counting(group=Other())
    Trainer(state, None, path=tmp_path / "a", identity={}, report=lambda *told: None, folder=tmp_path, columns=("loss",),
            enough=lambda: False)._is_enough()
    assert not Trainer(state, None, path=tmp_path / "a", identity={}, report=lambda *told: None, folder=tmp_path,
                       columns=("loss",))._is_enough(), "nobody asks a group that has no such question"
    state.step = 4
    assert Trainer(state, None, path=tmp_path / "a", identity={}, report=lambda *told: None, folder=tmp_path, columns=("loss",),
                   enough=lambda: False)._is_enough()


def test_the_state_of_what_ended_early_stays(tmp_path):
    path = tmp_path / "a.training.safetensors"
    path.touch()
    finished(5, 10, path)
    assert path.exists() and ended_early(5, 10) == {"stopped_at": 5}
    finished(10, 10, path, tmp_path / "absent")
    assert not path.exists() and ended_early(10, 10) == {}
