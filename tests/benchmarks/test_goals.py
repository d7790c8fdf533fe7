"""The benchmark of goals: the baseline's rows, and what is missing has a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_goal_env

import joule
from benchmarks import raw_rows
from benchmarks.learning import goal_baseline, goal_tables, goals, hierarchy, swm
from joule.goals.nearness import Nearness


def goal_row(subject: str, acts: str, success: float, seed: int = 1, version: str = "new") -> dict[str, Any]:
    figures = {"success": success, "median_ms": 7.0, "version": version}
    return {"subject": subject, "seed": seed, "acts": acts, **figures}


def test_figures_have_the_baseline_beside_joule_and_reasons_for_what_is_missing() -> None:
    shares = {"reach": ("plan", 0.9), "reach_her": ("policy", 0.4), "maze": ("plan", 0.5)}
    rows = [
        goal_row(name, acts, share + seed / 100, seed)
        for name, (acts, share) in shares.items()
        for seed in (1, 3)
    ]
    found = goals.figures(rows)
    assert (found["reach"], found["reach_her"], found["reach_her_equal_cpu"]) == (92.0, 42.0, None)
    assert found["reasons"]["reach_her_equal_cpu"] == found["reasons"]["maze_her"] == "not measured yet"
    assert found["reasons"]["reach_pixels_her"] == "sac_her takes no pictures"
    with pytest.raises(SystemExit, match="measure that first"):
        goals.measure_baseline("push", 1, [])


def test_figures_are_those_of_one_version_and_an_older_oracle_says_so() -> None:
    acts = ("plan", "policy", "random", "oracle")
    rows = [goal_row("maze", one, 0.1, version="old") for one in acts]
    rows += [goal_row("maze", one, 0.9) for one in ("plan", "random")]
    found = goals.figures(rows)
    assert (found["maze"], found["maze_beside"]) == (90.0, {"random": 90.0, "oracle": 10.0})
    assert found["versions"] == {"maze": "new", "maze_oracle": "old"}


def test_a_table_of_goals_has_the_mean_over_the_seeds_of_the_newest_version() -> None:
    rows = raw_rows.read(goals.RAW)
    maze = [row for row in rows if row["subject"] == "maze" and row["acts"] == "plan"]
    shares = {1: 0.31, 2: 0.33}
    again = [
        {**maze[-1], "seed": seed, "version": "newer", "success": share} for seed, share in shares.items()
    ]
    found = goal_tables.own_tasks([*rows, *again])
    (line,) = [line for line in found.splitlines() if line.startswith("| joule/Maze-v0 |")]
    assert line.split(" | ")[3].startswith("32 % (")


def test_rows_with_other_steps_than_the_subjects_own_stay_apart() -> None:
    own = swm.SUBJECTS["tworoom"]
    numbers = {name: str(getattr(own, name)) for name in swm.NUMBERS}
    row = {"subject": "tworoom", "seed": "1", "goals": "recording", "acts": "plan", **numbers}
    quick = {**row, "gradient_steps": "1000"}
    assert swm.published([row, quick, {**row, "goals": "environment"}]) == [row]
    assert raw_rows.replaced([row], quick, swm.KEY) == [row, quick]
    assert own.run("tworoom", 1).folder != replace(own, gradient_steps=1_000).run("tworoom", 1).folder


def test_committed_rows_of_every_subject_of_recordings_are_published() -> None:
    found = swm.published(raw_rows.read(swm.RAW))
    assert {row["subject"] for row in found} == swm.SUBJECTS.keys()


def test_two_time_scales_are_compared_with_the_better_flat_search_of_the_same_version() -> None:
    def row(
        way: str, success: float, acts: str = "plan", seed: int = 1, version: str = "a", pairs: int = 50
    ) -> dict[str, Any]:
        alike = {"version": version, "pairs": pairs, "goal_updates": 6_000}
        return {"seed": seed, "way": way, "acts": acts, "success": str(success), **alike}

    rows = [row("hierarchy", 0.1), row("flat", 0.2), row("flat_longer", 0.3), row("flat", 0.9, "policy")]
    assert hierarchy.ratio(rows[:2]) == (None, "not measured yet")
    assert hierarchy.ratio([*rows, row("hierarchy", 0.8)]) == (2.67, "")
    assert hierarchy.ratio([*rows, row("flat_longer", 0.0), row("flat", 0.0)])[0] is None
    rows.append(row("hierarchy", 0.6))
    assert hierarchy.shares([*rows, row("hierarchy", 0.98, version="b")]) == (0.6, 0.3)
    assert hierarchy.shares([*rows, row("flat", 0.5, seed=2), row("hierarchy", 0.9, pairs=5)]) == (0.6, 0.3)
    newer = [row(way, 0.4, seed=seed, version="b") for way in hierarchy.WAYS for seed in (1, 2)]
    assert hierarchy.shares([*rows, *newer, row("hierarchy", 0.8, seed=2, version="b")]) == pytest.approx(
        (0.6, 0.4)
    )


@pytest.mark.slow
def test_a_run_of_equal_cpu_time_ends_when_its_time_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goal_baseline, "RUNS", tmp_path)
    env = f"tiny_goal_env:{tiny_goal_env.ID}"
    folder = goal_baseline.equal_cpu(env, 1, 10_000, "tiny_her_equal_cpu", 2.0)
    agent: Any = joule.load(folder)
    assert 2.0 <= agent.clock.seconds()["cpu"] < 4.0
    frames = agent.frames
    assert 100 < frames < 200_000
    again: Any = joule.load(goal_baseline.equal_cpu(env, 1, 10_000, "tiny_her_equal_cpu", 2.0))
    assert again.frames == frames
    longer: Any = joule.load(goal_baseline.equal_cpu(env, 1, 10_000, "tiny_her_equal_cpu", 2.5))
    assert longer.frames > frames


def test_the_u_shaped_maze_says_what_it_is_to_be_at_its_goal() -> None:
    pytest.importorskip("gymnasium_robotics", reason="the extra `robotics`")
    env, other = (joule.make_env(goals.SUBJECTS["umaze"].env) for _ in range(2))
    for each in (env, other):
        each.reset(seed=1)
    found = env.at_goal()
    assert found is not None
    nearness = Nearness(env.env_spec, env.goal_within)
    assert nearness.excess(env.readouts(), found[1]) > 1.0
    assert nearness.excess(found[1], found[1]) == 0.0
    inner: Any = env.unwrapped
    np.testing.assert_allclose(found[1][:2], inner.goal)
    action = np.array([0.5, -0.5], np.float32)
    np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])
