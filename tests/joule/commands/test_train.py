"""train.py as a user types it: instant help, one sentence for a mistake, a whole run in a folder."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from commands import ROOT, run_forked, run_python

import joule
from agent.configurator.dotted_names import flatten
from agent.configurator.settings import Config
from agent.errors import ConfigError
from joule.commands import evaluate, train
from joule.datasets.source import with_settings_of_data
from joule.storage.log_files import EVALUATION_COLUMNS
from joule.storage.shipped import SHIPPED
from joule_errors import Refused

POINT = "tiny_env:joule-tests/Point-v0"
SMALL = ["--env", POINT, "--preset", "smoke", "--no-video", "--learning.precision", "float32"]


@pytest.fixture
def user(tmp_path: Path) -> Mapping[str, str]:
    """Environment variables of a user whose environment is on the import path."""
    paths = os.pathsep.join([str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": paths, "XDG_STATE_HOME": str(tmp_path / "state")}


def typed(user: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python([str(ROOT / "train.py"), *arguments], folder, user)


def test_help_is_instant_and_names_every_setting(tmp_path: Path, user: Mapping[str, str]) -> None:
    before = os.times()
    done = typed(user, tmp_path, "--help")
    after = os.times()
    assert done.returncode == 0
    assert after.children_user + after.children_system - before.children_user - before.children_system < 0.5
    for name in (*flatten(Config()), "preset", "out", "resume", "override"):
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_one_sentence_with_what_was_meant(tmp_path: Path, user: Mapping[str, str]) -> None:
    for position, (arguments, sentence) in enumerate((
        (["--stps", "100"], "error: unknown option --stps; did you mean --steps?\n"),
        (["--env", "HalfCheeta-v5", "--out", "run"], "did you mean HalfCheetah-v5"),
        (["--resume", "nowhere"], "error: nowhere: does not exist; joule train --out nowhere makes one\n"),
        (["--out", "a/b"], "error: a/b: its parent folder a does not exist; make it first\n"),
        (["--resume", "run", "--out", "b"], "--out: a resumed run stays in its own folder; copy run to b"),
        (["--resume", "run", "--preset", "default"], "--preset: a resumed run keeps its settings; "),
    )):  # fmt: skip
        # The first two in a process from its first line on, the others in a fork of this one.
        done = typed(user, tmp_path, *arguments) if position < 2 else run_forked("train", arguments, tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_run_is_refused_with_what_goes_on_with_it(trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        Refused, match=r"is not empty; choose another folder, or go on with: .*train.* --resume "
    ):
        joule.train(out=trained_run)
    (tmp_path / "config.json").write_text("{}")  # of something else
    for other in (tmp_path, SHIPPED / "reach"):
        with pytest.raises(Refused, match=r"is not empty; choose another folder$"):
            joule.train(out=other)


def test_a_resume_takes_the_id_without_its_version(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    before = json.loads((run / "config.json").read_text())
    assert before["env"] == POINT
    assert train.main(["--resume", str(run), "--env", POINT.removesuffix("-v0")]) == 0
    assert json.loads((run / "config.json").read_text()) == before
    given = with_settings_of_data({"data": str(run), "env": POINT.removesuffix("-v0")}, {})
    assert given["action_repeat"] == before["action_repeat"], (
        "the settings of the recorded environment are kept"
    )


def test_a_robot_is_a_file_and_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ROOT / "envs" / "bodies" / "reach.xml"
    shutil.copy(model, tmp_path / "arm.xml")
    monkeypatch.chdir(tmp_path)
    small = ["--env", "arm.xml", "--preset", "smoke", "--no-video", "--max-episode-frames", "40"]
    assert train.main([*small, "--task", "still", "--steps", "200"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("arm-joule-seed1")
    monkeypatch.chdir("/")
    assert evaluate.main([str(run), "--episodes", "1"]) == 0
    assert "for still" in capsys.readouterr().out
    further = ["--resume", str(run), "--env", str(tmp_path / "arm.xml"), "--steps", "210"]
    assert train.main(further) == 0
    with pytest.raises(ConfigError, match="says nothing of what the robot is to do; give --task"):
        train.main(["--env", str(model), "--steps", "200"])


@pytest.mark.parametrize("env", ["Bogus-v0", "walker-walk", "no_such_module:Env-v0", "my_arm.xml"])
def test_an_id_is_refused_before_torch_is_imported(env: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("joule.training.experienced", "joule.training.session"):
        monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    with pytest.raises(Refused, match=env):
        train.main(["--env", env])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *(
            (["--steps", text], "steps")
            for text in ("0", "-100", "1.5", "nan", "inf", "", "x", "1e400", "1e-3")
        ),
        *((["--seed", text], "seed") for text in ("-1", str(2**40), "1.5", "a")),
        *((["--learning.batch-size", text], "learning.batch-size") for text in ("0", "-1", "7", "8.5")),
        *((["--learning.replay-capacity-transitions", text], "capacity") for text in ("0", "-1", "1")),
        *((["--explore.warmup-decisions", text], "explore.warmup-decisions") for text in ("-5", "0.5")),
        *((["--learning.tau", text], "learning.tau") for text in ("-1", "1.5", "nan")),
        *(
            (["--learning.learning-rate", text], "learning-rate")
            for text in ("0", "-0.1", "2", "fast", "inf")
        ),
        *((["--learning.n-step", text], "learning.n-step") for text in ("0", "33")),
        *((["--planner.horizon-decisions", text], "horizon") for text in ("0", "-1", "1.5", "201")),
        *((["--planner.samples", text], "planner.samples") for text in ("0", "-3", "many")),
        *((["--planner.iterations", text], "planner.iterations") for text in ("0", "-3")),
        (["--planner.kind", "mpc"], "planner.kind"),
        (["--planner.colour", "1"], "planner.colour: planner mppi has no such setting; icem has it"),
        (["--planner.samples", "8", "--planner.elites", "9"], "planner.elites"),
        (["--planner.horizon-decisions", "100", "--max-episode-frames", "50"], "planner.horizon-decisions"),
        (["--learning.batch-size", "300", "--learning.replay-capacity-transitions", "299"], "batch-size"),
        (["--learning.batch-size", "8", "--learning.replay-capacity-transitions", "7"], "capacity"),
        (["--override"], "--override"),
        (["--trust-module", "unknown"], "--trust-module"),
        (["--model.latent-dim", "12"], "model.latent-dim"),
        (["--model.ensemble-size", "1"], "model.ensemble-size"),
        (["--eval-every-frames", "0"], "eval-every-frames"),
        (["--eval-episodes", "0"], "eval-episodes"),
        (["--checkpoint-every-frames", "0"], "checkpoint-every-frames"),
        (["--threads", "0"], "threads"),
        (["--num-envs", "0"], "num-envs"),
        (["--action-repeat", "0"], "action-repeat"),
        (["--max-episode-frames", "1"], "max-episode-frames"),
        (["--agent", "sacc"], "agent"),
        (["--agent", "sac", "--learning.batch-size", "64"], "learning.batch-size: sac"),
        (["--agent", "sac", "--cost.action", "1"], "cost.action: sac"),
        (["--agent", "zero", "--planner.kind", "icem"], "planner.kind: zero"),
        (["--agent", "ppo", "--regularizer.kind", "vicreg"], "regularizer.kind: ppo"),
        (["--regularizer.kind", "batchnorm"], "regularizer"),
        (["--env", ""], "env"),
        (["--env-kwargs", "[1]"], "env-kwargs"),
        (["--env-kwargs", "{"], "env-kwargs"),
        (["--device", "gpu"], "device"),
        (["--preset", "fast"], "--preset"),
        (["--steps"], "steps"),
        (["--steps", "5", "HalfCheetah-v5"], "unexpected argument HalfCheetah-v5"),
        (["--step", "5"], "--steps"),
    ],
    ids=" ".join,
)
def test_a_bad_value_is_refused_by_name_before_anything_is_written(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        train.main([*arguments, "--out", "run"])
    assert named.replace("_", "-") in str(caught.value).replace("_", "-")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_is_interrupted_continues_and_ends_as_documented(
    tmp_path: Path, user: Mapping[str, str]
) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, "--steps", "400", "--out", "a run"]
    command += ["--eval-every-frames", "200", "--checkpoint-every-frames", "150"]
    environment = {**os.environ, **user}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not (tmp_path / "a run/checkpoints/step-150").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert not (tmp_path / "a run/summary.json").exists()

    # The printed command works in the folder where it was printed.
    again = shlex.split(out.rpartition("continue with: ")[2])
    done = subprocess.run(again, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    printed = {line.partition(":")[0]: line.partition(":")[2] for line in done.stdout.splitlines()}
    assert "render" not in printed  # nothing can be drawn here
    for name in ("explain", "evaluate", "compare", "resume"):
        words = shlex.split(printed[name])
        script = "train" if name == "resume" else name
        assert words[:2] == [sys.executable, str(ROOT / f"{script}.py")]
        assert "a run" in words

    run = tmp_path / "a run"
    found = {path.name for path in run.iterdir()}
    assert found >= {
        "config.json", "command.txt", "versions.json", "run.json", "metrics.csv", "evaluations.csv",
        "forecasts.csv", "tensorboard", "checkpoints", "replay", "curve.png", "summary.json",
    }  # fmt: skip
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "config.json").read_text())["env"] == POINT
    with (run / "evaluations.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == tuple(EVALUATION_COLUMNS)
    assert [row["frames"] for row in table] == ["200", "400"]
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["frames"], summary["decisions"], summary["episodes"]) == (400, 400, 16)
    assert f"{summary['return_mean']:.4f}" == f"{float(table[-1]['return_mean']):.4f}"
    assert summary["counters"]["updates_skipped"] == 0
    names = {path.name for path in tmp_path.iterdir()} - {"state", "a run"}
    assert names == set(), "a run leaves nothing beside its folder"


@pytest.mark.slow
def test_a_film_without_a_display_warns_no_more_than_gymnasium_does(tmp_path: Path) -> None:
    """Gymnasium tries GLFW before EGL, which warns twice where there is no display; a frame adds nothing to it."""
    unset = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    command = [sys.executable, "train.py", "--preset", "smoke", "--out", str(tmp_path / "run")]
    told = subprocess.run(command, cwd=ROOT, env=unset, capture_output=True, text=True, check=True)
    assert (tmp_path / "run" / "videos" / "step-500.mp4").is_file()
    assert told.stderr.count("(message, GLFWError)") <= 2
