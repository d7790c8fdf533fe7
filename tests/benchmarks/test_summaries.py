"""The committed summaries follow from the committed rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import raw_rows
from benchmarks.comprehension import (
    adaptation_summary,
    change_detection_summary,
    collapse,
    constraints,
    constraints_summary,
    intuition,
    pixel_intuition,
    sensor_episodes,
    sensor_summary,
    tasks,
    tasks_summary,
)
from benchmarks.training import RESULTS

Rows = list[dict[str, Any]]
MEASURED = ("cpu_ms", "versions")
"""Keys of sensors.json that do not come from the rows."""
SUMMARIES: dict[str, tuple[str, Callable[[Rows], dict[str, Any]]]] = {
    "adapt.json": ("adaptation.csv", adaptation_summary.summary),
    "change_detection.json": ("change_detection.csv", change_detection_summary.summary),
    "guardrail.json": ("constraints.csv", lambda rows: constraints_summary.summary(rows, horizon=3)),
    "intuition.json": ("intuition.csv", intuition.summary),
    "retask.json": ("tasks.csv", tasks_summary.summary),
    "sensors.json": ("sensors.csv", lambda rows: sensor_summary.summary(rows, {})),
}
COLUMNS = {
    "adaptation.csv": adaptation_summary.COLUMNS,
    "change_detection.csv": change_detection_summary.COLUMNS,
    "collapse.csv": collapse.COLUMNS,
    "constraints.csv": constraints.COLUMNS,
    "intuition.csv": intuition.COLUMNS,
    "intuition_pixels.csv": pixel_intuition.COLUMNS,
    "tasks.csv": tasks.COLUMNS,
    "sensors.csv": sensor_episodes.COLUMNS,
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_follows_from_its_rows(name: str) -> None:
    table, summary = SUMMARIES[name]
    committed = json.loads((RESULTS / name).read_text())
    found = json.loads(json.dumps(summary(raw_rows.read(RESULTS / table))))
    for key in MEASURED:
        committed.pop(key, None)
        found.pop(key, None)
    assert found == committed


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_has_the_columns_that_its_benchmark_writes(name: str) -> None:
    rows = raw_rows.read(RESULTS / name)
    assert tuple(rows[0]) == COLUMNS[name]


def task_row(task: str, costs: str, method: str, score: float, **more: str) -> dict[str, Any]:
    known = {"env": "A", "task": task, "costs": costs, "method": method, "return_mean": str(score)}
    return known | {"return_std": "0", "decisions": "250", "episodes": "3"} | more


def test_scores_of_a_task_are_compared_where_costs_and_lengths_are_the_same() -> None:
    def rows(costs: str, plan: float, **more: str) -> list[dict[str, Any]]:
        scores = (("random", 0.0), ("sac", 10.0), ("plan", plan))
        return [task_row("back", costs, method, score, **more) for method, score in scores]

    same = rows("less:velocity", 5.0)
    longer = task_row("back", "less:velocity", "sac", 1_000.0, decisions="500")
    other = task_row("back", "less:x", "sac", 1_000.0)
    assert tasks_summary.summary([*same, longer, other])["of_sac"]["plan"]["mean"] == 0.5
    shares = tasks_summary.summary([*same, *rows("less:x", 7.0)])["of_sac"]["plan"]
    assert shares["mean"] == pytest.approx(0.6)
    assert shares["A: back (less:x, 250, 3)"] == 0.7
    assert "| A: back, `less:velocity`, 500 decisions |" in tasks_summary.table([*same, longer])


def test_the_one_episode_of_the_oracle_is_compared_with_the_first_of_the_others() -> None:
    rows = [
        task_row("back", "less:x", "random", 0.0, return_first="0"),
        task_row("back", "less:x", "plan", 8.0, return_first="6"),
        task_row("back", "less:x", "oracle", 12.0, return_first="12", episodes="1"),
    ]
    assert tasks_summary.summary(rows)["of_oracle"]["plan"]["mean"] == 0.5
    old = [row | {"return_first": ""} for row in rows]
    assert tasks_summary.summary(old)["of_oracle"]["plan"]["mean"] == pytest.approx(8 / 12)


def test_tasks_with_the_own_reward_are_summarised_apart_from_new_ones() -> None:
    rows = [
        task_row(task, costs, method, score)
        for task, costs, learned in (("back", "less:velocity", 4.0), ("past a zone", "2*own+control", 12.0))
        for method, score in (("random", 0.0), ("sac", 10.0), ("learn_task", learned))
    ]
    found = tasks_summary.summary(rows)
    assert (found["fraction_of_sac_new_tasks"], found["fraction_of_sac_own_reward"]) == (0.4, 1.2)
    assert tasks_summary.summary([])["fraction_of_sac_new_tasks"] is None


def test_a_task_on_which_the_other_fails_counts_no_more_than_one_in_the_capped_mean() -> None:
    learned_scores = (("A", "back", 4.0), ("A", "stand", 30.0), ("B", "back", 8.0))
    rows = [
        task_row(task, "less:velocity", method, score) | {"env": env}
        for env, task, learned in learned_scores
        for method, score in (("random", 0.0), ("sac", 10.0), ("learn_task", learned))
    ]
    found = tasks_summary.summary(rows)
    assert found["fraction_of_sac_new_tasks"] == pytest.approx(1.4)
    assert found["fraction_of_sac_new_tasks_capped"] == pytest.approx((0.4 + 1.0 + 0.8) / 3)
    by_env = found["of_sac"]["learn_task"]["new_tasks_capped_by_env"]
    assert by_env == pytest.approx({"A": 0.7, "B": 0.8})


def test_what_a_constraint_costs_is_measured_against_who_learned_with_it_from_scratch() -> None:
    def row(kept: str, total: float, violations: float) -> dict[str, Any]:
        found = {
            "env": "A",
            "seed": "1",
            "run_frames": "9",
            "horizon": "3",
            "kept": kept,
            "constraint": "speed<2",
        }
        return found | {"return_mean": str(total), "violations_per_1000": str(violations)}

    rows = [row("no", 200.0, 300.0), row("yes", 150.0, 30.0), row("learned", 90.0, 3.0)]
    found = constraints_summary.summary(rows, 3)
    assert (found["violations_ratio"], found["return_lost"]) == (0.01, None)
    under_another = [row("no", 1_000.0, 5.0) | {"constraint": "speed<9"}]
    earlier = [row("no", 1.0, 500.0) | {"run_frames": "5"}]
    assert constraints_summary.summary([*rows, *under_another, *earlier], 3) == found
    ceiling = row("from scratch", 100.0, 6.0) | {"run_frames": "7"}  # another run
    found = constraints_summary.summary([*rows, ceiling], 3)
    assert (found["return_lost"], found["return_lost_of_free"]) == (0.1, 0.55)
    assert found["planning_only"]["return_lost"] == -0.5
    assert found["environments"]["A"]["violations_ratio_from_scratch"] == 0.02


def adapting_row(phase: str, decisions: int, **more: int | str) -> dict[str, str]:
    known = {"env": "A", "perturbation": "gravity=2", "method": "joule adapts", "seed": "1"}
    blank = dict.fromkeys(("changed_at", "detected_after"), "") | {"run_frames": "9", "episode": phase}
    found = {"phase": phase, "decisions": str(decisions), "return": "1.0", "false_alarms": "0"}
    return {**known, **blank, **found, **{name: str(value) for name, value in more.items()}}


def test_a_change_is_noticed_also_in_a_later_episode() -> None:
    row = adapting_row
    rows = [row("known", 500), row("change", 310, changed_at=300), row("changed", 90, detected_after=70)]
    found = adaptation_summary.figures_of(rows)
    assert (found["changes_detected"], found["detected_within_decisions"]) == (1, 70.0)
    assert found["home_decisions"] == 800
    missed = adaptation_summary.combined([found, adaptation_summary.figures_of(rows[:2])], rows)
    assert (missed["noticed_share"], missed["detected_within_decisions"]) == (0.5, None)
    fell = [row("known", 500), row("change", 200, changed_at=300), row("changed", 90, detected_after=70)]
    assert adaptation_summary.figures_of(fell)["changes"] == 0


def test_what_is_achievable_is_the_mean_of_what_each_agent_achieves() -> None:
    def after(method: str, seed: str, value: float) -> dict[str, str]:
        return adapting_row("after", 500, method=method, seed=seed) | {"return": str(value)}

    rows = [after("joule adapts", seed, 1.0) for seed in "12"]
    assert adaptation_summary.achievable_return(rows) is None
    rows += [after("joule taught", "1", 440.0), after("joule taught", "2", 0.0)]
    rows += [after("joule frozen", "1", 200.0), after("joule frozen", "2", 280.0)]
    assert adaptation_summary.achievable_return(rows) == 360.0
    # An agent without a ceiling of its own has that of the others.
    others = [row for row in rows if (row["method"], row["seed"]) != ("joule taught", "2")]
    assert adaptation_summary.achievable_return(others) == 440.0


def test_a_change_before_which_every_episode_ended_is_not_tested() -> None:
    rows = [adapting_row("change", 310, changed_at=300, detected_after=8)]
    rows += [adapting_row("change", 200, changed_at=300, perturbation="gain=0")]
    found = adaptation_summary.summary(rows)
    assert (found["perturbations_tested"], found["detected_within_decisions"]) == (1, 8.0)
    assert "| `gain=0` | not tested |" in adaptation_summary.tables(rows)


def test_an_episode_without_a_change_counts_once_however_many_changes_follow() -> None:
    rows = [
        adapting_row(phase, decisions, perturbation=change, false_alarms=1, **more)
        for change in ("gravity=2", "gain=0")
        for phase, decisions, more in (("known", 500, {}), ("change", 400, {"changed_at": 300}))
    ]
    assert adaptation_summary.at_home(rows) == (800, 2)
    other = adapting_row("known", 500, perturbation="mass=2", episode_seed=22_000)
    assert adaptation_summary.at_home([*rows, other]) == (1_300, 2)

    def sequence(world: str, first_seed: str, changed_at: int) -> dict[str, str]:
        known = {"world": world, "sequence": "0", "first_seed": first_seed, "changed_at": str(changed_at)}
        return known | {"detected_after": "", "episode_of_change": "", "signal": "", "false_alarms": "0"}

    early = [sequence("gravity=2", "7", 60), sequence("gain=0", "7", 80), sequence("mass=2", "8", 60)]
    assert change_detection_summary.figures_of(early)["home_decisions"] == 80 + 60


def test_the_worst_robot_of_change_detection_stands_beside_the_mean() -> None:
    def row(env: str, world: str, after: str, within: str, alarms: int = 0) -> dict[str, str]:
        known = {
            "sequence": world,
            "env": env,
            "seed": "1",
            "run_frames": "1000",
            "acts": "policy",
            "world": world,
        }
        seen = {"detected_after": after, "signal": "errors", "episode_of_change": within}
        return known | seen | {"decisions": "500", "changed_at": "100", "false_alarms": str(alarms)}

    rows = [row("A", "home", "", "", 1), row("A", "gravity=2", "8", "1"), row("A", "gain=0.5", "30", "1")]
    rows += [row("B", "gravity=2", "90", "0"), row("B", "gain=0.5", "", "")]
    found = change_detection_summary.summary(rows)
    assert (found["within_20_share"], found["within_episode_share"]) == (0.25, 0.5)
    assert found["within_episode_share_worst"] == {"robot": "B", "value": 0.0}
    assert found["by_robot"]["A"]["false_alarms_per_50k"] == round(50_000 / 700, 2)
