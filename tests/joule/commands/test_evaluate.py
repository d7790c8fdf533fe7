"""The command evaluate: it writes the results of an evaluation, and changes nothing else of a run."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_env
from commands import assert_help_is_instant, assert_refused

import joule
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from envs.faults.errors import EnvError
from joule import command_record
from joule.command_record import Unwritten
from joule.commands import evaluate, train
from joule.environment import make_env
from joule.report import evaluation_text
from joule.training.evaluation import evaluate as play
from joule_errors import Advice

BRIEF = ["--steps", "60", "--eval-episodes", "1", "--no-video", "--threads", "1"]
SMALL = [
    *("--model.latent-dim", "16", "--model.hidden-dim", "16", "--model.head-width", "16"),
    *("--learning.batch-size", "16", "--explore.warmup-decisions", "30", "--learning.pretrain-updates", "2"),
    *("--planner.samples", "16", "--planner.elites", "4", "--actor.proposals", "4"),
    *("--planner.iterations", "1", "--learning.precision", "float32"),
    *BRIEF,
]


def trained(folder: Path, kind: str) -> Path:
    """A run folder of an agent that was trained for 60 steps on a line."""
    settings = SMALL if kind == "joule" else BRIEF
    assert train.main(["--env", tiny_env.ID, "--agent", kind, "--out", str(folder), *settings]) == 0
    return folder


@pytest.fixture(scope="module")
def joule_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "joule", "joule")


@pytest.fixture(scope="module")
def zero_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "zero", "zero")


def evaluated(run: Path, *options: str, name: str = "evaluation") -> dict[str, Any]:
    assert evaluate.main([str(run), *options]) == 0
    result: dict[str, Any] = json.loads((run / f"{name}.json").read_text())
    return result


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_and_prints_the_results(joule_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(joule_run)
    result = evaluated(joule_run, "--episodes", "5", "--seed", "20000", name="evaluation-seed-20000")
    agent = joule.load(joule_run)
    expected = play(agent, lambda: make_env(agent.config), 5, 20_000)
    assert result["returns"] == expected.returns.tolist()
    assert result["lengths"] == [25] * 5
    assert result["seeds"] == [20_000, 20_001, 20_002, 20_003, 20_004]
    assert result["mean"] == pytest.approx(expected.mean)
    assert result["std"] == pytest.approx(expected.std)
    assert result["iqm"] == pytest.approx(np.sort(expected.returns)[1:4].mean())
    assert result["surprise"] == pytest.approx(expected.surprise)
    assert set(result["forecast"]) == {"returns", "costs"}
    assert result["frames"] == 60
    assert 0 < result["planning_ms"] < 10_000
    printed = capsys.readouterr().out
    assert f"20004{expected.returns[4]:>14,.2f}" in printed
    assert f"IQM {result['iqm']:,.2f}" in printed
    after = contents(joule_run)
    assert after.pop(joule_run / "evaluation-seed-20000.json")
    assert after == before


def test_stdout_holds_the_table_as_it_is_returned_and_nothing_else(
    zero_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(zero_run, "--episodes", "3")
    printed, progress = capsys.readouterr()
    lines = printed.splitlines()
    text = str(joule.evaluate(zero_run, 3))
    # The last line before the path measures time.
    assert (lines[:-2], lines[-1]) == (text.splitlines()[:-1], str(zero_run / "evaluation.json"))
    assert progress == ""
    assert capsys.readouterr() == ("", ""), "a Python program is told nothing on its own stdout"


def test_planner_and_environment_can_be_changed(joule_run: Path) -> None:
    plain = evaluated(joule_run, "--episodes", "2")
    before = (joule_run / "evaluation.json").read_bytes()
    policy = ("--planner.kind", "policy")
    by_policy = evaluated(joule_run, "--episodes", "2", *policy, name="evaluation-kind-policy")
    noisy = evaluated(joule_run, "--episodes", "2", "--perturb", "noise=1.0", name="evaluation-noise-1.0")
    assert (joule_run / "evaluation.json").read_bytes() == before, "other changes have another file"
    assert [r["planner"]["kind"] for r in (plain, by_policy, noisy)] == ["mppi", "policy", "mppi"]
    assert noisy["perturb"] == ["noise=1.0"]
    assert len({tuple(r["returns"]) for r in (plain, by_policy, noisy)}) == 3


def test_a_perturbation_that_does_not_fit_is_refused_before_the_first_line(
    joule_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EnvError, match="there is no sensor 'pitch'"):
        evaluate.main(
            [str(joule_run), "--perturb", "dead_sensor.pitch", "--task", "control", "--learn-task", "3"]
        )
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_another_task_is_planned_for_or_learned(joule_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ("--episodes", "2", "--task", "more:position")
    planned = evaluated(joule_run, *task, name="evaluation-task-more-position")
    assert (planned["task"], planned["learn_task"]) == ("more:position", None)
    assert planned["planner"]["horizon_decisions"] == 15
    assert "for more:position" in capsys.readouterr().out
    name = "evaluation-task-more-position-learn-task-3"
    learned = evaluated(joule_run, *task, "--learn-task", "3", name=name)
    assert (learned["learn_task"], learned["planner"]["horizon_decisions"]) == (3, 3)


def test_episodes_can_have_another_limit(zero_run: Path) -> None:
    name = "evaluation-max-episode-frames-12"
    assert evaluated(zero_run, "--max-episode-frames", "12", name=name)["lengths"] == [12] * 10


def test_plans_for_another_task_fit_shorter_episodes(joule_run: Path) -> None:
    found = joule.evaluate(joule_run, 1, task="more:position", max_episode_frames=4)
    assert found["planner"]["horizon_decisions"] == 4


def test_an_agent_in_memory_says_what_it_plans_for(joule_run: Path) -> None:
    agent = joule.load(joule_run)
    assert isinstance(agent, WorldModelAgent)
    record = joule.evaluate(agent.plan_for("control"), episodes=1)
    assert (record["task"], record["planned_for"]) == ("", "control")
    assert "planning for control, with the environment's own reward" in evaluation_text.shown(record)
    learned = {**record, "task": "own"}
    assert "planning for control, with the reward of own" in evaluation_text.shown(learned)


@pytest.mark.slow
def test_one_checkpoint_of_a_run_can_be_evaluated(joule_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "of-a-checkpoint.json"
    checkpoint = joule_run / "checkpoints" / "step-60"
    assert evaluate.main([str(checkpoint), "--episodes", "2", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["returns"] == evaluated(joule_run, "--episodes", "2")["returns"]


def test_an_agent_without_a_planner_is_evaluated_and_gets_none(zero_run: Path) -> None:
    result = evaluated(zero_run, "--episodes", "2")
    assert (result["planner"], result["surprise"], result["forecast"]) == (None, None, None)
    with pytest.raises(ConfigError, match=r"--planner.kind: zero does not plan"):
        evaluate.main([str(zero_run), "--planner.kind", "icem"])
    with pytest.raises(ConfigError, match=r"cost.action: zero learns nothing; only joule uses this setting"):
        evaluate.main([str(zero_run), "--cost.action", "1"])
    with pytest.raises(ConfigError, match=r"learning.batch_size: zero learns nothing"):
        joule.load(zero_run, settings={"learning.batch_size": 32})
    with pytest.raises(ConfigError, match="--adapt: zero has no world model"):
        evaluate.main([str(zero_run), "--adapt"])


def test_adaptation_to_a_task_that_is_only_planned_for_is_refused_before_the_calibration(
    joule_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"--adapt: .* teaches no critic; add --learn-task 4000, which"):
        evaluate.main([str(joule_run), "--task", "more:position", "--adapt"])
    assert "calibrated first" not in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_refused_before_the_episodes(zero_run: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "missing" / "a.json", tmp_path):
        with pytest.raises(ConfigError, match="cannot be written"):
            evaluate.main([str(zero_run), "--out", str(out)])


def test_on_a_full_disk_the_results_are_shown_and_kept(
    zero_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(command_record, "replace_file", full)
    with pytest.raises(Unwritten, match=r"evaluation\.json cannot be written: No space left"):
        evaluate.main([str(zero_run), "--episodes", "2"])
    printed = capsys.readouterr().out
    with pytest.raises(Unwritten) as caught:
        joule.evaluate(zero_run, 2)
    record = caught.value.record
    assert (len(record["returns"]), record.paths, caught.value.exit_code) == (2, (), 1)
    assert f"mean {record['mean']:,.2f}" in printed
    assert str(caught.value).startswith(str(zero_run)), "nobody has given --out"
    assert repr(record) == record.text


def test_violations_of_several_constraints_have_a_line_each(
    trained_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "within.json"
    limits = ["position>9", "cost<1"]
    words = [word for limit in limits for word in ("--constraint", limit)]
    assert evaluate.main([str(trained_run), "--episodes", "1", "--out", str(out), *words]) == 0
    record, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert list(record["violations"]) == limits
    assert record["violations"]["cost<1"] == {"per_1000": 0.0, "worst": 0.0}
    assert record["violations"]["position>9"]["worst"] == record["worst_violation"]
    assert "position>9: 1000.0 violations in 1,000 decisions, the worst by" in printed
    assert "cost<1: 0.0 violations in 1,000 decisions, the worst by 0" in printed


@pytest.mark.slow
def test_violations_of_a_constraint_are_counted(joule_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = joule_run / "within.json"

    def within(limit: str) -> dict[str, Any]:
        options = ["--episodes", "2", "--constraint", limit, "--out", str(out)]
        assert evaluate.main([str(joule_run), *options]) == 0
        result: dict[str, Any] = json.loads(out.read_text())
        return result

    always = within("position>9")
    assert always["violations_per_1000"] == 1000.0
    assert 7.5 <= always["worst_violation"] <= 10.5
    assert set(always["margin"]) == {"position>9"}
    printed = capsys.readouterr().out
    assert "1000.0 violations in 1,000 decisions, the worst by" in printed
    assert "from position>9" in printed
    assert within("position<9")["violations_per_1000"] == 0.0
    assert within("cost>1")["violations_per_1000"] == 1000.0, "the reward is never negative"
    assert within("cost<1")["violations_per_1000"] == 0.0


@pytest.mark.slow
def test_decisions_by_a_deadline_are_timed(joule_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = evaluated(joule_run, "--episodes", "2")
    assert plain["deadline"] is None
    capsys.readouterr()
    options = ("--episodes", "2", "--deadline-ms", "6e4")
    timed = evaluated(joule_run, *options, name="evaluation-deadline-60000ms")
    deadline = timed["deadline"]
    assert (deadline["ms"], deadline["decisions"], deadline["iterations"]) == (60_000, 50, 1.0)
    assert (deadline["missed_share"], deadline["fell_back_share"]) == (0.0, 0.0)
    assert 0.0 < deadline["median_ms"] <= deadline["p99_ms"] <= deadline["longest_ms"]
    # Episodes are played one after the other, with the same plans.
    np.testing.assert_allclose(timed["returns"], plain["returns"], rtol=1e-3)
    assert (
        "0.00% missed the deadline of 60000 ms, 0.00% were made without a search" in capsys.readouterr().out
    )
    with pytest.warns(Advice, match="leave no time for a plan here, and 100% of the decisions"):
        hasty = evaluated(
            joule_run, "--episodes", "1", "--deadline-ms", "1e-3", name="evaluation-deadline-0.001ms"
        )
    assert (hasty["deadline"]["missed_share"], hasty["deadline"]["fell_back_share"]) == (1.0, 1.0)
    assert hasty["forecast"] is None, "the policy predicts nothing"


def test_a_deadline_that_nothing_could_keep_is_refused(joule_run: Path, zero_run: Path) -> None:
    with pytest.raises(ConfigError, match="--deadline-ms: zero has no search that a deadline could end"):
        evaluate.main([str(zero_run), "--deadline-ms", "20"])
    with pytest.raises(ConfigError, match="--deadline-ms: an agent that adapts learns between decisions"):
        evaluate.main([str(joule_run), "--deadline-ms", "20", "--adapt"])
    for refused in ("0", "-5"):
        with pytest.raises(ConfigError, match=r"--deadline-ms: .* is not a finite number above 0"):
            evaluate.main([str(joule_run), f"--deadline-ms={refused}"])


def test_help_is_instant() -> None:
    assert_help_is_instant("evaluate", "--planner.kind")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["."], "run.json"),
        (["no-such-run"], "does not exist"),
        ([".", "--episodes", "0"], "--episodes: 0"),
        ([".", "--episode", "3"], "did you mean --episodes?"),
        ([".", "--learn-task", "5"], "--learn-task: needs a --task or a --constraint"),
        ([".", "--task", "fly"], "task"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], sentence: str) -> None:
    assert_refused("evaluate", arguments, sentence)
