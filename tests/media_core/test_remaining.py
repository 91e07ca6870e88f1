"""How long a job takes yet."""
from __future__ import annotations

import pytest
from talking_heads.media_core.remaining import Remaining, duration, left


def test_the_time_left_follows_from_the_speed():
    clock = Remaining()
    told = [clock.seconds(step, 100, 0.5 * step) for step in range(1, 11)]
    assert told[:6] == [None] * 6, "three seconds are measured first"
    assert told[6:] == [pytest.approx(0.5 * (100 - step)) for step in range(7, 11)]


def test_only_the_last_half_minute_counts():
    """A training whose stages differ in speed."""
    clock = Remaining()
    for step in range(100):  # 10 s in all, then a step a second
        clock.seconds(step, 1000, 0.1 * step)
    for step in range(100, 150):
        seconds = clock.seconds(step, 1000, 10 + (step - 100))
    assert seconds == pytest.approx(1000 - 149, rel=0.05)


def test_steps_that_take_longer_than_that_are_measured_too():
    clock = Remaining()
    assert [clock.seconds(step, 10, 60.0 * step) for step in (0, 1, 2, 3)] == [None, 540, 480, 420]


def test_a_resumed_job_counts_what_it_does_itself():
    clock = Remaining()
    clock.seconds(900, 1000, 0)
    assert clock.seconds(910, 1000, 10) == 90


def test_what_comes_before_the_first_step_is_not_measured():
    """The speech is encoded for two minutes."""
    clock = Remaining()
    told = [clock.seconds(done, 100, now) for done, now in ((0, 0), (0, 60), (0, 119), (0, 120), (1, 122), (2, 124))]
    assert told == [None] * 5 + [196]


def test_a_second_pass_and_a_pause_begin_anew():
    clock = Remaining()
    clock.seconds(0, 100, 0), clock.seconds(50, 100, 10)
    assert clock.seconds(1, 100, 11) is None
    clock.seconds(5, 100, 15)
    clock.restart()
    assert clock.seconds(6, 100, 100) is None


@pytest.mark.parametrize("seconds, words", [(0.4, "0 s"), (8.2, "8 s"), (12.4, "10 s"), (43, "45 s"), (57.6, "1 min"),
                                            (89, "1 min"), (240, "4 min"), (3569, "59 min"), (3600, "1 h"), (7790, "2 h 10 min"),
                                            (86_400, "24 h")])
def test_a_time_is_said_roughly(seconds, words):
    assert duration(seconds) == words


def test_hardly_any_time_and_an_unknown_one_are_not_said():
    assert left(None) == left(9.9) == "" and left(241) == "about 4 min left"
