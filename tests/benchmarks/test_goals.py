"""The benchmark of goals: the baseline's rows, and what is missing has a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_goal_env

import joule
from benchmarks.learning import goal_baseline, goals, hierarchy
from joule.goals.nearness import Nearness


def test_figures_have_the_baseline_beside_joule_and_reasons_for_what_is_missing() -> None:
    shares = {"reach": ("plan", 0.9), "reach_her": ("policy", 0.4), "maze": ("plan", 0.5)}
    rows = [
        {"subject": name, "seed": seed, "acts": acts, "success": share + seed / 100, "median_ms": 7.0}
        for name, (acts, share) in shares.items()
        for seed in (1, 3)
    ]
    found = goals.figures(rows)
    assert (found["reach"], found["reach_her"], found["reach_her_equal_cpu"]) == (92.0, 42.0, None)
    assert found["reasons"]["reach_her_equal_cpu"] == found["reasons"]["maze_her"] == "not measured yet"
    assert found["reasons"]["reach_pixels_her"] == "sac_her takes no pictures"
    with pytest.raises(SystemExit, match="measure that first"):
        goals.measure_baseline("push", 1, [])


def test_two_time_scales_are_compared_with_the_better_flat_search_by_the_newest_rows() -> None:
    def row(way: str, success: float, acts: str = "plan", seed: int = 1) -> dict[str, Any]:
        return {"seed": seed, "way": way, "acts": acts, "success": str(success)}

    rows = [row("hierarchy", 0.1), row("flat", 0.2), row("flat_longer", 0.3), row("flat", 0.9, "policy")]
    assert hierarchy.ratio(rows[:2]) == (None, "not measured yet")
    assert hierarchy.ratio([*rows, row("hierarchy", 0.8)]) == (2.67, "")
    assert hierarchy.ratio([*rows, row("flat_longer", 0.0), row("flat", 0.0)])[0] is None


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
