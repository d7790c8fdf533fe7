"""The command `sweep` as a user types it: instant help, and one sentence for a mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, assert_help_is_instant, assert_refused

from agent.errors import ConfigError
from joule.commands import sweep
from joule_errors import Refused

VARIED = ["--search", "3", "--grid", "learning.batch_size=8,16"]


def test_help_is_instant_and_names_every_setting() -> None:
    assert_help_is_instant("sweep", "--learning.batch-size")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--agnts", "sac"], "unknown option --agnts; did you mean --agents?"),
        (["--out", "runs"], "unknown option --out; did you mean --storage?"),
        (["--seed", "1"], "unknown option --seed; did you mean --seeds?"),
        (["--seeds", "3..1"], "3..1 is no range of seeds such as 1..5"),
        (["--seeds", "1..2000000000"], "1..2000000000 has 2,000,000,000 seeds; a range has 10,000 at most"),
        (["--envs", "HalfCheetah-v6"], "HalfCheetah exists in versions v2, v3, v4, v5"),
        (["--agents", "joule,sacc"], "--agents: 'sacc' is none of joule, sac"),
        (["--agents", "sacc"], "--agents: 'sacc' is none of joule, sac"),
        (["--grid"], "--grid: expected at least one argument"),
        (["--grid", "learning.batch_size="], "learning.batch_size has no values"),
        (["--grid", "learning.batchsize=64"], "did you mean learning.batch_size?"),
        (["--seeds", "1", "1"], "--seeds: 1 comes twice"),
        (["--steps", "0"], "steps: 0 is outside 1 to 10,000,000,000"),
        (["--agents", "sac", "--grid", "cost.action=0,1"], "cost.action: sac has its library's published"),
        (["--workers", "0"], "--workers: 0 is less than 1"),
        (["--ray", "a:1", "--slurm"], "give one of the two"),
        (["--search", "3"], "there is nothing to vary"),
        ([*VARIED, "--reward", "none"], "--search: reward none records no return"),
        (
            [*VARIED, "--grid", "perturb=,gravity=0.5"],
            "--search: perturb changes the task, and returns of",
        ),
        ([*VARIED, "--grid", "reward=env,none"], "--search: reward none records no return"),
        (
            [*VARIED, "--data", "episodes", "--envs", "none"],
            "--search: learning from data without an environment records no return",
        ),
        (["--file", "nowhere.json"], "--file: nowhere.json does not exist"),
        (["--storage", "{file}"], "is a file; give a folder"),
        (["--storage", "/proc/x"], "--storage: /proc/x cannot be written"),
    ],
)
def test_input_that_cannot_be_used_is_refused_before_anything_is_written(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Refused) as refused:
        sweep.main([argument.format(file=file) for argument in arguments])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [file]


def test_a_refusal_is_one_line_and_exit_code_2() -> None:
    assert_refused("sweep", ["--seeds", "1", "1"], "error: --seeds: 1 comes twice")


def test_options_replace_the_entries_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.json"
    entries = {"agents": ["sac"], "seeds": [1, 2], "steps": 10, "grid": {"num_envs": [1, 2]}}
    path.write_text(json.dumps(entries))
    words = ["--file", str(path), "--seeds", "3", "--steps", "20", "--grid", "num_envs=1,4"]
    plan = sweep.plan_of(sweep.parser().parse(words))
    assert (plan.agents, plan.seeds, plan.grid) == (("sac",), (3,), {"num_envs": (1, 4)})
    assert plan.settings == {"video": False, "steps": 20}
    with pytest.raises(ConfigError, match="num_envs: is given once for all trials and in the grid"):
        sweep.plan_of(sweep.parser().parse(["--file", str(path), "--num-envs", "1"]))


def test_films_may_be_made_by_some_trials_alone() -> None:
    plan = sweep.plan_of(sweep.parser().parse(["--grid", "video=true,false"]))
    assert (plan.settings, plan.grid) == ({}, {"video": (True, False)})


def test_a_sweep_imports_nothing_that_learns() -> None:
    code = (
        "import sys, joule.commands.sweep, joule.sweeping.session, joule.sweeping.candidates\n"
        "import joule.sweeping.ray_backend, joule.sweeping.slurm_backend, joule.sweeping.optuna_search\n"
        "heavy = {'torch', 'gymnasium', 'mujoco', 'ray', 'submitit', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
