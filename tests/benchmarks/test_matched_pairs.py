"""Matched pairs: balanced in raw change, made from snapshots of one repeated episode, and scored as such."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import envs
from benchmarks.comprehension import intuition
from benchmarks.comprehension.clip_pairs import AFTER, ONSET, Edit, Pair, edited_pairs
from benchmarks.comprehension.matched_pairs import Candidate, RawChange, balanced, matched_pairs
from benchmarks.comprehension.mixed_episodes import Episode, actions, record
from benchmarks.comprehension.surprise_detectors import Clip
from joule_errors import Refused

Recorded = Callable[[str], tuple[envs.SafeEnv, list[Episode]]]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    """Two real episodes of an environment."""

    @functools.cache
    def of(name: str) -> tuple[envs.SafeEnv, list[Episode]]:
        env = envs.make(name)
        size = env.env_spec.action_size
        return env, [record(env, actions("held", {}, size, seed), seed) for seed in (1, 2)]

    return of


@pytest.mark.parametrize("name", ["HalfCheetah-v5", pytest.param("dmc:finger-spin", marks=pytest.mark.slow)])
def test_edits_of_one_episode_are_those_of_an_episode_of_their_own(recorded: Recorded, name: str) -> None:
    env, episodes = recorded(name)
    edits = [Edit(episodes[0], at, kind, 0.5) for at in (60, 40) for kind in ("teleport", "limb", "reverse")]
    together = edited_pairs(env, edits)
    for edit, pair in zip(edits, together, strict=True):
        (alone,) = edited_pairs(env, [edit])
        np.testing.assert_array_equal(pair.edited.obs, alone.edited.obs)
        np.testing.assert_array_equal(pair.edited.obs[: ONSET + 1], pair.real.obs[: ONSET + 1])
        assert not np.array_equal(pair.edited.obs, pair.real.obs)
        assert len(pair.edited.action) == ONSET + AFTER == len(pair.real.action)


def test_no_violation_at_strength_zero(recorded: Recorded) -> None:
    env, episodes = recorded("HalfCheetah-v5")
    (pair,) = edited_pairs(env, [Edit(episodes[1], 50, "alone", 0.0)])
    np.testing.assert_allclose(pair.edited.obs, pair.real.obs, atol=1e-5)


@pytest.mark.slow
def test_matched_pairs_are_as_often_above_their_real_clip_as_below(
    recorded: Recorded,
) -> None:
    env, episodes = recorded("HalfCheetah-v5")
    raw = RawChange(episodes)
    pairs = matched_pairs(env, episodes, "swap", 6, 1, raw)
    assert pairs
    above = [raw.of(pair.edited) > raw.of(pair.real) for pair in pairs]
    assert sum(above) == len(pairs) / 2
    assert all(raw.effect(pair) > 0.5 for pair in pairs)


def test_the_strongest_candidates_are_taken_from_both_sides_in_equal_numbers() -> None:
    clip = Clip(*np.zeros((4, 1, 1), np.float32))
    pair = Pair(Episode(1, clip, []), 0, clip, clip)

    def place(*edited: float) -> list[Candidate]:
        return [Candidate(pair, 1.0, value, abs(value - 1.0)) for value in edited]

    found = balanced([place(1.1, 1.2, 1.3), place(0.8), place(1.05, 5.0), place(0.9, 0.85)], 9, largest=2.0)
    assert [c.edited for c in found] == [0.8, 0.85, 1.2, 1.05]  # 1.3 and 5.0 are conspicuous
    assert len(balanced([place(1.1), place(1.2), place(0.9)], 9, largest=2.0)) == 2
    assert not balanced([place(1.1), place(0.9)], 9, largest=0.5)  # beyond ordinary clips


def rows(env: str, trained: float, untrained: float) -> list[dict[str, str]]:
    def row(detector: str, violation: str, value: float) -> dict[str, str]:
        columns = {
            "pairwise_accuracy": value,
            "auroc": value,
            "false_alarms_per_1000": 1.0,
            "latency_median": 1.0,
        }
        text = {name: str(number) for name, number in columns.items()}
        return {"env": env, "detector": detector, "term": "all terms", "violation": violation} | text

    return [
        row("world model", "all gross", 0.9), row("world model", "all matched", trained),
        row("untrained world model", "all matched", untrained), row("constant velocity", "all matched", 0.5),
    ]  # fmt: skip


def test_the_summary_has_means_over_robots_and_the_worst() -> None:
    found = intuition.summary([*rows("A", 0.8, 0.5), *rows("B", 0.6, 0.6)])
    assert found["robots"] == 2
    assert found["matched_trained"] == pytest.approx(0.7)
    assert found["matched_trained_worst"] == {"robot": "B", "value": 0.6}
    assert found["matched_untrained_worst"]["robot"] == "B"
    assert found["matched_trained_minus_untrained"] == pytest.approx(0.15)
    assert found["by_robot"]["A"]["matched_constant_velocity"] == 0.5


def test_robots_without_physics_and_kinds_that_do_not_apply_are_refused() -> None:
    env = envs.make("dmc:finger-spin")
    env.reset(seed=1)
    options = intuition.parser().parse_args(["RUN", "--violations", "swap"])
    with pytest.raises(Refused, match="violation 'swap' makes no sense in dmc:finger-spin"):
        intuition.kinds_for(env, intuition.stage_of(env), options)
    with pytest.raises(
        Refused, match="MountainCarContinuous-v0 has no MuJoCo physics that could be violated"
    ):
        intuition.stage_of(envs.make("MountainCarContinuous-v0"))
