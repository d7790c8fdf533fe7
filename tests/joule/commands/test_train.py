"""train.py as a user types it: help at once, one sentence for a mistake, a whole run in a folder."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.configurator.settings import PRESETS, Config
from agent.configurator.validation import flatten
from agent.errors import ConfigError
from joule.commands import train
from joule.storage.run_folder import EVALUATION_COLUMNS

ROOT = Path(__file__).parents[3]
POINT = "tiny_env:joule-tests/Point-v0"
SMALL = ["--env", POINT, "--preset", "smoke", "--no-video", "--learning.precision", "float32"]


@pytest.fixture
def user(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a user whose body stands on the import path."""
    paths = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "XDG_STATE_HOME": str(tmp_path / "state")}


def typed(user: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=user, capture_output=True, text=True, timeout=300)


def test_help_is_there_at_once_and_names_every_setting(tmp_path: Path, user: Mapping[str, str]) -> None:
    before = os.times()
    done = typed(user, tmp_path, "--help")
    after = os.times()
    assert done.returncode == 0
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 0.5
    for name in (*flatten(Config()), "preset", "out", "resume", "override"):
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_sentence_with_what_was_meant(tmp_path: Path, user: Mapping[str, str]) -> None:
    for arguments, sentence in (
        (["--stps", "100"], "error: unknown option --stps; did you mean --steps?\n"),
        (["--env", "HalfCheeta-v5", "--out", "run"], "did you mean HalfCheetah-v5"),
        (["--resume", "nowhere"], "error: nowhere: does not exist\n"),
        (["--out", "a/b"], "error: a/b: its parent folder a does not exist; make it first\n"),
        (["--resume", "run", "--out", "b"], "--out: a resumed run goes on in its own folder; copy run to b"),
        (["--resume", "run", "--preset", "default"], "--preset: a resumed run keeps its settings; "),
    ):
        done = typed(user, tmp_path, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed_as", "named"),
    [
        *(
            (["--steps", text], "steps")
            for text in ("0", "-100", "1.5", "nan", "inf", "", "x", "1e400", "1e-3")
        ),
        *((["--seed", text], "seed") for text in ("-1", str(2**40), "1.5", "a")),
        *((["--learning.batch_size", text], "learning.batch_size") for text in ("0", "-1", "7", "8.5")),
        *((["--learning.replay-capacity-transitions", text], "learning.replay-capacity-transitions") for text in ("0", "-1", "1")),
        *((["--explore.warmup-decisions", text], "explore.warmup-decisions") for text in ("-5", "0.5")),
        *((["--learning.tau", text], "target") for text in ("-1", "1.5", "nan")),
        *((["--learning.learning-rate", text], "learning") for text in ("0", "-0.1", "2", "fast", "inf")),
        *((["--learning.n-step", text], "n") for text in ("0", "33")),
        *((["--planner.horizon-decisions", text], "planner.horizon-decisions") for text in ("0", "-1", "1.5", "201")),
        *((["--planner.samples", text], "planner.samples") for text in ("0", "-3", "many")),
        *((["--planner.iterations", text], "planner.iterations") for text in ("0", "-3")),
        (["--planner.kind", "mpc"], "planner.kind"),
        (["--planner.samples", "8", "--planner.elites", "9"], "planner.elites"),
        (["--planner.horizon-decisions", "100", "--max-episode-frames", "50"], "planner.horizon-decisions"),
        (["--learning.batch_size", "300", "--learning.replay-capacity-transitions", "299"], "learning.batch_size"),
        (["--learning.batch_size", "8", "--learning.replay-capacity-transitions", "7"], "learning.replay-capacity-transitions"),
        (["--override"], "--override"),
        (["--trust-module", "strange"], "--trust-module"),
        (["--model.latent-dim", "12"], "model.latent-dim"),
        (["--model.ensemble_size", "1"], "model.ensemble_size"),
        (["--eval-every-frames", "0"], "eval_every_frames"),
        (["--eval-episodes", "0"], "eval_episodes"),
        (["--checkpoint-every-frames", "0"], "checkpoint_every_frames"),
        (["--threads", "0"], "threads"),
        (["--action-repeat", "0"], "action_repeat"),
        (["--max-episode-frames", "1"], "max_episode_frames"),
        (["--agent", "sacc"], "agent"),
        (["--agent", "sac", "--learning.batch_size", "64"], "learning.batch_size: sac"),
        (["--agent", "zero", "--planner.kind", "icem"], "planner.kind: zero"),
        (["--agent", "ppo", "--regularizer.kind", "vicreg"], "regularizer: ppo"),
        (["--regularizer.kind", "batchnorm"], "regularizer"),
        (["--env", ""], "env"),
        (["--env-kwargs", "[1]"], "env-kwargs"),
        (["--env-kwargs", "{"], "env-kwargs"),
        (["--device", "gpu"], "device"),
        (["--preset", "fast"], "--preset"),
        (["--steps"], "steps"),
        (["--steps", "5", "HalfCheetah-v5"], "HalfCheetah-v5"),
        (["--step", "5"], "--steps"),
    ],
    ids=" ".join,
)
def test_a_bad_value_is_refused_by_name_before_anything_is_written(
    typed_as: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        train.main([*typed_as, "--out", "run"])
    assert named.replace("_", "-") in str(caught.value).replace("_", "-")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("text", "value"), [("2000", 2000), ("1e3", 1000), ("1_000", 1000), ("2.5e3", 2500)])
def test_a_budget_may_be_written_as_people_write_it(text: str, value: int) -> None:
    from joule.cli.options import config_from, given_settings

    assert config_from("default", given_settings(train.parser().parse(["--steps", text]))).steps == value


def test_options_overlay_the_preset_which_overlays_the_defaults() -> None:
    from joule.cli.options import config_from, given_settings

    given = given_settings(train.parser().parse(["--learning.batch_size", "9", "--perturb", "a", "--perturb", "b"]))
    config = config_from("smoke", given)
    assert config.learning.batch == 9
    assert config.steps == PRESETS["smoke"]["steps"]
    assert config.planner.horizon == Config().planner.horizon
    assert config.perturb == ("a", "b")


def test_a_run_that_is_interrupted_goes_on_and_ends_as_documented(
    tmp_path: Path, user: Mapping[str, str]
) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, "--steps", "400", "--out", "a run"]
    command += ["--eval-every-frames", "200", "--checkpoint-every-frames", "150"]
    process = subprocess.Popen(command, cwd=tmp_path, env=user, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not (tmp_path / "a run/checkpoints/step-150").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume 'a run'" in out
    assert not (tmp_path / "a run/summary.json").exists()

    done = typed(user, tmp_path, "--resume", "a run")
    assert (done.returncode, done.stderr) == (0, "")
    for run_script in ("render.py", "explain.py", "evaluate.py", "compare.py", "train.py --resume"):
        assert f"python {run_script} 'a run'" in done.stdout
    run = tmp_path / "a run"
    found = {path.name for path in run.iterdir()}
    assert found >= {
        "config.json", "command.txt", "versions.json", "run.json", "metrics.csv", "evaluations.csv",
        "forecasts.csv",
        "tensorboard", "checkpoints", "replay", "curve.png", "summary.json",
    }  # fmt: skip
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "config.json").read_text())["env"] == POINT
    with (run / "evaluations.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == EVALUATION_COLUMNS
    assert [row["frames"] for row in table] == ["200", "400"]
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["frames"], summary["decisions"], summary["episodes"]) == (400, 400, 16)
    assert f"{summary['return_mean']:.4f}" == f"{float(table[-1]['return_mean']):.4f}"
    assert summary["counters"]["updates_skipped"] == 0
    names = {path.name for path in tmp_path.iterdir()} - {"state", "a run"}
    assert names == set(), "a run leaves nothing beside its folder"
