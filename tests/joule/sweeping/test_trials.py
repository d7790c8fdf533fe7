"""The trials of a plan: which there are, what their folders are called, and the command that trains them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError
from joule.cli.options import given_settings
from joule.commands import train
from joule.commands.sweep import local_workers
from joule.settings import config_from, resumed_config
from joule.sweeping.candidates import draws, tasks_of
from joule.sweeping.grid import Grid, Range
from joule.sweeping.plan import Plan
from joule.sweeping.trials import StoredTrial, env_folder, grid_trials

PLAN = Plan(
    ("joule", "sac"), ("HalfCheetah-v5", "dmc:walker-walk"), (1, 2, 3), "default",
    {"video": False, "steps": 100_000}, {"learning.batch_size": (64, 256)},
)  # fmt: skip


def trials_of(plan: Plan, storage: Path = Path("/s")) -> list[StoredTrial]:
    return grid_trials(plan, storage)[0]


def test_a_setting_that_an_agent_does_not_use_makes_no_second_trial_of_it() -> None:
    trials, notes = grid_trials(PLAN, Path("/s"))
    assert len(trials) == 2 * 3 * (2 + 1)
    assert [trial.title for trial in trials[:3]] == [
        "joule HalfCheetah-v5 batch_size=64 seed 1",
        "joule HalfCheetah-v5 batch_size=256 seed 1",
        "sac HalfCheetah-v5 seed 1",
    ]
    assert notes == ["learning.batch_size: not used by sac, whose trials go without it"]
    with pytest.raises(ConfigError, match="only joule uses this setting"):
        trials_of(Plan(agents=("sac", "td3"), grid={"cost.action": (0.0, 1.0)}))


def test_the_name_of_a_trial_depends_on_its_settings_alone() -> None:
    names = [trial.name for trial in trials_of(PLAN)]
    assert len(set(names)) == len(names)
    assert names == [trial.name for trial in trials_of(PLAN, Path("/other"))]
    with_film = Plan(**{**vars(PLAN), "settings": {**PLAN.settings, "video": True}})
    assert names == [trial.name for trial in trials_of(with_film)], "a film changes no result"
    longer = Plan(**{**vars(PLAN), "settings": {**PLAN.settings, "steps": 200_000}})
    assert not set(names) & {trial.name for trial in trials_of(longer)}


def test_a_grid_that_grows_keeps_the_folders_of_its_trials(tmp_path: Path) -> None:
    plan = Plan(agents=("joule",), envs=("HalfCheetah-v5",), seeds=(1,), grid={"cost.action": (0.5,)})
    (first,) = trials_of(plan, tmp_path)
    first.folder.mkdir(parents=True)
    first.result.parent.mkdir(parents=True)
    (tmp_path / "runs" / f"a-copy-of-{first.name}").mkdir()
    grown = trials_of(Plan(**{**vars(plan), "grid": {"cost.action": (0.5, 1.0)}}), tmp_path)
    assert (grown[0].folder, grown[0].result) == (first.folder, first.result)
    assert grown[1].name.startswith("joule-HalfCheetah-v5-action=1-seed1-")


def test_trials_that_differ_in_what_changes_no_result_stay_apart_when_a_sweep_goes_on(tmp_path: Path) -> None:
    plan = Plan(agents=("random",), envs=("A-v0",), seeds=(1,), grid={"video": (True, False)})
    first, second = trials_of(plan, tmp_path)
    first.folder.mkdir(parents=True)
    first.result.parent.mkdir(parents=True)
    again = trials_of(plan, tmp_path)
    assert [trial.folder for trial in again] == [first.folder, second.folder]
    assert again[1].result != first.result


def test_results_of_other_settings_have_another_file() -> None:
    files = [trial.result for trial in trials_of(PLAN)]
    assert len(set(files)) == len(files)
    assert files[0].relative_to("/s/results").parts[1:] == ("joule", "HalfCheetah-v5", "seed1.csv")


def test_results_of_other_environments_have_another_file() -> None:
    envs = (
        "pkg:Ärm-v0",
        "pkg:Örm-v0",
        "a/b:Arm-v0",
        "a-b:Arm-v0",
        "pkg/Arm-v0",
        "pkg:Arm-v0",
        "dmc:cup",
        "joule/Cup-v0",
    )
    names = [env_folder(env) for env in envs]
    assert len(set(names)) == len(envs)
    assert names[-2:] == ["dmc-cup", "joule-Cup-v0"]
    longest = [env_folder("a" * 300 + end) for end in "bc"]
    assert longest[0] != longest[1]
    assert max(map(len, longest)) < 100


def test_the_command_of_a_trial_has_its_settings_also_when_it_is_resumed() -> None:
    settings = {
        "video": False, "steps": 500, "perturb": ("mass=2", "gravity=0.5"), "env_kwargs": {"a": -1},
        "learning.learning_rate": 1.2345678901234567e-05, "task": "less:velocity", "planner.kind": "icem",
    }  # fmt: skip
    (trial,) = trials_of(Plan(envs=("my_pkg:Arm-v0",), preset="smoke", settings=settings))
    job = trial.job()
    options = train.parser().parse(job.new)
    assert config_from(options.preset, given_settings(options)) == trial.config
    resumed = train.parser().parse(job.resumed)
    assert trial.config is not None
    assert resumed_config(trial.config, given_settings(resumed), override=False) == trial.config
    assert (resumed.trust_module, resumed.trust_env_kwargs) == (["my_pkg"], True)
    assert type(job).from_json(job.to_json()) == job


@pytest.mark.parametrize(
    ("settings", "cores"),
    [
        ({}, 1),
        ({"threads": 2, "eval_process": True}, 3),
        ({"actors": 4}, 5),
        ({"num_envs": 4, "vector_mode": "async"}, 5),
        ({"num_envs": 4}, 1),
        ({"num_envs": 1, "vector_mode": "async"}, 1),
    ],
)
def test_a_trial_has_a_core_for_each_of_its_processes(settings: dict[str, Any], cores: int) -> None:
    (trial,) = trials_of(Plan(settings=settings))
    assert trial.job().cores == cores
    (baseline,) = trials_of(Plan(agents=("sac",), settings={"steps": 100}, grid={"threads": (3,)}))
    assert baseline.job().cores == 3


def test_a_search_reserves_cores_for_its_largest_candidate() -> None:
    grid: Grid = {"actors": Range(1, 6, whole=True, log=False), "eval_process": (False, True)}
    (task,) = tasks_of(Plan(grid=grid, search=2), Path("/s"))
    assert task.cores == 8


def test_as_many_trials_run_here_by_default_as_there_are_cores_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert [local_workers(cores) for cores in (1, 5, 16, 17)] == [16, 3, 1, 1]


def test_a_combination_that_cannot_be_used_fails_alone_and_only_such_ones_are_refused() -> None:
    grid = {"planner.samples": (8, 64), "planner.elites": (4, 16)}
    trials = trials_of(Plan(grid=grid))
    assert [bool(trial.error) for trial in trials] == [False, True, False, False]
    assert trials[1].error == "planner.elites: 16 exceeds planner.samples 8"
    with pytest.raises(ConfigError, match=r"learning.batch_size: 4 is outside 8 to 65,536"):
        trials_of(Plan(grid={"learning.batch_size": (4,)}))


def test_random_draws_differ_and_a_larger_number_adds_some() -> None:
    ranges: Grid = {
        "learning.batch_size": Range(8, 4_096, whole=True, log=True),
        "learning.learning_rate": Range(1e-4, 1e-3, whole=False, log=True),
        "cost.action": Range(0.0, 0.5, whole=False, log=False),
    }
    (few,) = tasks_of(Plan(grid=ranges, search=20), Path("/s"))
    (many,) = tasks_of(Plan(grid=ranges, search=300), Path("/s"))
    drawn = draws(many, 1)
    assert draws(few, 1) == drawn[:20]
    for name, bounds in ranges.items():
        values = [one[name] for one in drawn]
        assert isinstance(bounds, Range)
        assert bounds.low <= min(values) < max(values) <= bounds.high
    sizes = [one["learning.batch_size"] for one in drawn]
    assert {type(size) for size in sizes} == {int}
    assert 100 < sum(size < 181 for size in sizes) < 200, "half of them are below the geometric mean"

    lists: Grid = {
        "planner.kind": ("mppi", "icem"),
        "learning.batch_size": Range(8, 9, whole=True, log=False),
    }
    (task,) = tasks_of(Plan(grid=lists, search=50), Path("/s"))
    found = [task.decoded(one) for one in draws(task, 1)]
    assert len(found) == 4, "two candidates with the same settings would train in the same run folders"
    assert {one["learning.batch_size"] for one in found} == {8, 9}
