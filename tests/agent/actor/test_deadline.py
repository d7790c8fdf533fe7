"""What fits before a deadline, by a clock that a test moves."""

from itertools import groupby

import numpy as np
import pytest

from agent.actor.deadline import ALLOWANCE, LONGEST_PAUSE_DECISIONS, Pace
from agent.actor.decision_timing import DecisionTiming, TimingStatistics


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def after(self, milliseconds: float) -> None:
        self.seconds += milliseconds / 1e3


class Robot:
    """Decides with parts of given durations, in milliseconds."""

    def __init__(self, first: float, further: float, rest: float, most: int = 10) -> None:
        self.first, self.further, self.rest, self.most = first, further, rest, most
        self.perception = 0.5
        self.clock = Clock()
        self.pace = Pace(self.clock)

    def decide(self, milliseconds: float) -> DecisionTiming:
        deadline = self.pace.deadline(milliseconds)
        self.clock.after(self.perception)
        if deadline.search_fits():
            self.clock.after(self.first)
            for _ in range(self.most - 1):
                if not deadline.proceed():
                    break
                self.clock.after(self.further)
            deadline.search_ended()
            self.clock.after(self.rest)
        return deadline.finish()

    def decisions(self, count: int, milliseconds: float) -> list[DecisionTiming]:
        return [self.decide(milliseconds) for _ in range(count)]


def test_a_search_ends_where_another_iteration_would_not_fit() -> None:
    robot = Robot(first=3.0, further=2.0, rest=1.0, most=100)
    for timing in robot.decisions(50, 20.0)[1:]:
        # 0.5 + 3 + 2 (n - 1) + 1.25 (2 + 1) <= 20 for the last iteration that is begun after n others.
        assert timing.iterations == 8
        assert timing.latency_ms == pytest.approx(0.5 + 3.0 + 7 * 2.0 + 1.0)
        assert not timing.missed
        assert not timing.fell_back


def test_a_search_that_fits_is_made_as_a_whole() -> None:
    robot = Robot(first=3.0, further=2.0, rest=1.0, most=4)
    for timing in robot.decisions(10, 20.0):
        assert (timing.iterations, timing.missed, timing.fell_back) == (4, False, False)
        assert timing.latency_ms == pytest.approx(10.5)


def test_the_allowance_keeps_room_for_a_slower_iteration() -> None:
    robot = Robot(first=4.0, further=4.0, rest=0.0, most=100)
    robot.decisions(5, 40.0)
    robot.further *= ALLOWANCE
    assert not robot.decide(40.0).missed


def test_the_policy_acts_where_not_even_one_iteration_fits() -> None:
    robot = Robot(first=30.0, further=30.0, rest=1.0)
    first, *others = robot.decisions(500, 20.0)
    assert (first.iterations, first.missed, first.fell_back) == (1, True, False), "nothing was known"
    # It is tried again after 1, 2, 4, … decisions of the policy, and each trial misses.
    for timing in others:
        assert timing.missed == (timing.iterations > 0) == (not timing.fell_back)
        assert timing.latency_ms == pytest.approx(0.5 if timing.fell_back else 31.5)
    pauses = [len(list(run)) for fell_back, run in groupby(others, lambda t: t.fell_back) if fell_back]
    assert pauses[:-1] == [1, 2, 4, 8, 16, 32, 64, 128]


def test_what_follows_the_search_has_to_fit_too() -> None:
    robot = Robot(first=8.0, further=1.0, rest=12.0)
    assert robot.decide(20.0).missed, "nothing was known"
    assert robot.decide(20.0).fell_back


def test_the_pause_between_trials_has_a_limit() -> None:
    robot = Robot(first=30.0, further=30.0, rest=1.0)
    timings = robot.decisions(10 * LONGEST_PAUSE_DECISIONS, 20.0)
    trials = [number for number, timing in enumerate(timings) if timing.iterations]
    assert max(np.diff(trials)) == LONGEST_PAUSE_DECISIONS + 1
    assert sum(timing.missed for timing in timings[2_000:]) / len(timings[2_000:]) < 0.0015


def test_planning_comes_back_after_a_slow_first_decision() -> None:
    robot = Robot(first=80.0, further=60.0, rest=10.0, most=4)
    assert robot.decide(20.0).missed
    robot.first, robot.further, robot.rest = 3.0, 2.0, 1.0
    iterations = [timing.iterations for timing in robot.decisions(6, 20.0)]
    assert iterations[0] == 0
    assert iterations[-3:] == [4, 4, 4]
    assert not any(timing.missed for timing in robot.decisions(100, 20.0))


def test_further_iterations_come_back_after_they_were_slow() -> None:
    robot = Robot(first=3.0, further=2.0, rest=1.0, most=4)
    robot.decisions(40, 20.0)
    robot.further = 30.0
    slow = robot.decisions(200, 20.0)
    assert [timing.iterations for timing in slow[-20:]] == [1] * 20, "one iteration fits, a second does not"
    assert sum(timing.missed for timing in slow) <= 4 + 8, "until it is known, and in the trials"
    robot.further = 2.0
    assert [timing.iterations for timing in robot.decisions(300, 20.0)[-5:]] == [4] * 5


def test_one_decision_that_was_held_up_changes_nothing() -> None:
    robot = Robot(first=3.0, further=2.0, rest=1.0, most=4)
    robot.decisions(40, 20.0)
    robot.first = 500.0
    assert robot.decide(20.0).missed
    robot.first = 3.0
    assert [timing.iterations for timing in robot.decisions(40, 20.0)] == [4] * 40


def test_nothing_is_tried_after_the_deadline() -> None:
    robot = Robot(first=3.0, further=2.0, rest=1.0)
    robot.perception = 25.0
    for timing in robot.decisions(10, 20.0):
        assert (timing.iterations, timing.fell_back, timing.missed) == (0, True, True)


def test_statistics_count_and_rank_the_decisions() -> None:
    statistics = TimingStatistics()
    assert statistics.summary()["decisions"] == 0
    assert np.isnan(statistics.summary()["p99_ms"])
    for latency in range(1, 101):
        statistics.add(DecisionTiming(float(latency), 98.0, iterations=latency % 2, fell_back=latency > 90))
    summary = statistics.summary()
    assert summary == {
        "decisions": 100,
        "median_ms": pytest.approx(50.5),
        "p99_ms": pytest.approx(99.01),
        "longest_ms": 100.0,
        "missed_share": pytest.approx(0.02),
        "fell_back_share": pytest.approx(0.1),
        "iterations": pytest.approx(0.5),
    }
    statistics.clear()
    assert statistics.summary()["decisions"] == 0
