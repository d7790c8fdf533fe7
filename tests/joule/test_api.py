"""`import joule`: what it offers, that it is instant, and that it does what the commands do."""

from __future__ import annotations

import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import imageio.v3 as iio
import numpy as np
import pytest
import tiny_env
import torch
from commands import ROOT, run_python
from drawn_env import ID as DRAWN

import joule
from agent.agent import WorldModelAgent
from agent.errors import ConfigError
from envs.faults.errors import EnvError
from envs.vector import SafeEnvs
from joule.baselines.trivial import RandomAgent
from joule.storage.errors import RunError
from joule_errors import Refused
from planners import Plan, PlanError

pytestmark = pytest.mark.usefixtures("unchecked")

SMALL: dict[str, Any] = {
    "model.latent_dim": 16, "model.hidden_dim": 16, "model.head_width": 16, "learning.batch_size": 16,
    "explore.warmup_decisions": 30, "learning.pretrain_updates": 2, "planner.samples": 16,
    "planner.elites": 4, "planner.iterations": 1, "actor.proposals": 4, "learning.precision": "float32",
}  # fmt: skip
BRIEF: dict[str, Any] = {"eval_episodes": 1, "video": False}
NAMES = ["Callback", "Config", "Constraint", "Goal", "Task", "WandbTracker", "compare", "evaluate",
         "evaluate_goals", "explain", "export", "load", "make", "make_env", "pull", "push", "render",
         "train"]  # fmt: skip


def test_the_import_is_instant_and_brings_neither_torch_nor_mujoco() -> None:
    program = (
        "import sys, joule\nprint(*dir(joule))\nassert not {'torch', 'mujoco', 'numpy'} & sys.modules.keys()"
    )
    done = run_python(["-c", program], ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == NAMES


def test_every_name_is_there_and_documented() -> None:
    assert dir(joule) == NAMES == joule.__all__
    for name in NAMES:
        assert inspect.getdoc(getattr(joule, name)), name
    for function in (
        joule.make,
        joule.train,
        joule.evaluate,
        joule.evaluate_goals,
        joule.render,
        joule.explain,
        joule.compare,
        joule.export,
        joule.push,
        joule.pull,
    ):
        text = inspect.getdoc(function) or ""
        assert "Args:" in text
        assert "Raises:" in text
    with pytest.raises(AttributeError, match="module 'joule' has no attribute 'fly'"):
        joule.fly  # type: ignore[attr-defined]  # noqa: B018


def test_an_agent_is_made_learns_is_saved_and_loaded(tmp_path: Path) -> None:
    agent = joule.make("joule", env=tiny_env.ID, seed=3, settings=SMALL)
    assert isinstance(agent, WorldModelAgent)
    assert (agent.config.seed, agent.config.model.latent_dim) == (3, 16)
    assert agent.learn(60) is agent
    agent.save(tmp_path / "point")
    loaded = joule.load(tmp_path / "point", settings={"planner.kind": "icem", "perturb": "noise=0.1"})
    assert (loaded.frames, loaded.config.planner.kind, loaded.config.perturb) == (60, "icem", ("noise=0.1",))
    obs = np.array([0.3, 0.0, -0.4], np.float32)
    expected = joule.load(tmp_path / "point").predict(obs)[0]
    np.testing.assert_array_equal(agent.predict(obs)[0], expected)


def test_an_agent_is_loaded_with_settings_as_keywords(trained_run: Path) -> None:
    assert joule.load(trained_run, settings={"planner.kind": "icem"}, steps=70).config.steps == 70
    with pytest.raises(ConfigError, match=r"unknown setting planner; did you mean planner\.kind"):
        joule.load(trained_run, planner="icem")
    with pytest.raises(ConfigError, match="setings: is neither a setting nor an argument"):
        joule.load(trained_run, setings={})


def test_stable_baselines_evaluates_a_loaded_agent(trained_run: Path) -> None:
    from stable_baselines3.common.evaluation import evaluate_policy

    agent: Any = joule.load(trained_run)
    returns, lengths = evaluate_policy(
        agent, joule.make_env(agent.config), n_eval_episodes=2, warn=False, return_episode_rewards=True
    )
    assert lengths == [25, 25]
    assert np.isfinite(returns).all()


def test_an_environment_may_be_made_first_and_its_settings_are_saved(tmp_path: Path) -> None:
    env = joule.make_env(tiny_env.ID, max_episode_frames=10, perturb=["noise=0.1"])
    agent = joule.make("random", env=env)
    assert isinstance(agent, RandomAgent)
    agent.learn(20)
    assert agent.episodes == 2
    agent.save(tmp_path / "run")
    config = joule.load(tmp_path / "run").config
    assert (config.max_episode_frames, config.perturb) == (10, ("noise=0.1",))
    with pytest.raises(ConfigError, match="perturb: the environment is made already"):
        joule.make("random", env=env, perturb="noise=1")
    with pytest.raises(ConfigError, match="env: found int; give an id"):
        joule.make("random", env=3)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="seed: is no setting of an environment"):
        joule.make_env(tiny_env.ID, seed=3)
    with pytest.raises(ConfigError, match="obs_size: this setting is of --obs pixels"):
        joule.make_env(tiny_env.ID, obs_size=32)
    with pytest.raises(ConfigError, match="unknown setting stps; did you mean steps"):
        joule.make("random", env=tiny_env.ID, stps=5)


def test_make_env_takes_an_environment_that_is_made() -> None:
    raw = gymnasium.make(tiny_env.ID)
    env = joule.make_env(raw, action_repeat=2, perturb=["noise=0.1"])
    assert env.unwrapped is raw.unwrapped
    assert (env.env_spec.action_repeat, env.made_from.env) == (2, f"tiny_env:{tiny_env.ID}")
    assert joule.make_env(env) is env
    assert joule.make("zero", env=env).config.perturb == ("noise=0.1",)
    for made, late, maker in (
        (raw, {"max_episode_frames": 3, "render_mode": "rgb_array"}, "render_mode: .* gymnasium.make"),
        (raw, {"env_kwargs": {}}, "env_kwargs: .* gymnasium.make"),
        (env, {"perturb": ["noise=0.2"]}, "perturb: .* joule.make_env"),
        (raw, {"seed": 3}, "seed: is no setting of an environment"),
        (raw, {"obs_size": 32}, "obs_size: this setting is of --obs pixels"),
    ):
        with pytest.raises(ConfigError, match=maker):
            joule.make_env(made, **late)
    with pytest.raises(EnvError, match="Point has no id; register it"):
        joule.make_env(tiny_env.Point())


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.slow)])
def test_environments_side_by_side_may_be_made_first_and_their_settings_are_saved(
    mode: Any, tmp_path: Path
) -> None:
    made: Any = {
        "action_repeat": 2,
        "perturb": "noise=0.1",
        "task": "less:position",
        "max_episode_frames": 10,
    }
    env = f"tiny_env:{tiny_env.ID}"  # a process of its own imports the module
    several = SafeEnvs([partial(joule.make_env, env, **made)] * 2, mode)
    with pytest.raises(ConfigError, match="num_envs: 3 is not that of the environment that was handed in"):
        joule.make("joule", env=several, num_envs=3)
    agent = joule.make("joule", env=several, settings={**SMALL, "explore.warmup_decisions": 1_000})
    agent.learn(24).save(tmp_path / "run")
    several.close()
    config = joule.load(tmp_path / "run").config
    assert (config.num_envs, config.vector_mode) == (2, mode)
    assert (config.action_repeat, config.perturb, config.task) == (2, ("noise=0.1",), "less:position")
    assert (config.max_episode_frames, agent.episodes) == (10, 2)


def test_environments_of_different_settings_are_refused() -> None:
    several = SafeEnvs([partial(joule.make_env, tiny_env.ID, perturb=f"noise={std}") for std in (0.1, 0.2)])
    why = r"perturb: environment 0 has \('noise=0.1',\) and environment 1 has \('noise=0.2',\)"
    with pytest.raises(ConfigError, match=why):
        joule.make("joule", env=several)


@pytest.mark.slow
def test_a_run_is_trained_resumed_evaluated_explained_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = joule.train(env=tiny_env.ID, steps=60, seed=2, out="run", settings=SMALL, **BRIEF)
    assert run.folder == Path("run")
    assert (run.agent.frames, run.stopped_by) == (60, None)
    assert set(run.evaluation) == {"return_mean", "return_std"}
    assert (
        json.loads((run.folder / "summary.json").read_text())["return_mean"] == run.evaluation["return_mean"]
    )
    command = (run.folder / "command.txt").read_text()
    assert " -m joule train " in command
    assert "--seed=2" in command
    assert "--no-video" in command
    longer = joule.train(resume=run, steps=90, settings={})
    assert longer.agent.frames == 90
    assert "evaluate: " in capsys.readouterr().out

    result = joule.evaluate(run, episodes=2)
    assert result.paths == (Path("run/evaluation.json"),)
    assert dict(result) == json.loads(Path("run/evaluation.json").read_text())
    assert f"mean {result['mean']:,.2f}" in str(result)
    noisy = joule.evaluate("run", episodes=2, perturb="noise=1.0", settings={"planner.kind": "icem"})
    assert noisy.paths == (Path("run/evaluation-noise-1.0-kind-icem.json"),)
    assert noisy["returns"] != result["returns"]

    why = joule.explain(run, step=3)
    assert [path.suffix for path in why.paths] == [".png", ".json"]
    assert dict(why) == json.loads(why.paths[1].read_text())
    assert "decision 3 of the episode" in str(why)

    (row,) = joule.compare([run])
    assert (row.task, row.label, row.seeds) == (tiny_env.RECORDED, "joule", 1)
    assert not Path("comparison").exists(), "Python gets rows; files are asked for"
    joule.compare([run], out="table")
    assert (Path("table") / "compare.html").exists()


@pytest.mark.slow
def test_an_agent_in_memory_is_evaluated_explained_and_filmed(tmp_path: Path) -> None:
    agent: Any = joule.make("joule", env=tiny_env.ID, settings=SMALL)
    agent.learn(60)
    agent.constrain(joule.Constraint("left", lambda r: r["position"]))
    result = joule.evaluate(agent, 2, max_episode_frames=10)
    assert (result["run"], result.paths, result["lengths"]) == (None, (), [10, 10])
    assert set(result["margin"]) == {"python:left"}
    why = joule.explain(agent, 2)
    assert (why["run"], why.paths) == (None, ())
    with pytest.raises(ConfigError, match="an agent in memory keeps its settings"):
        joule.evaluate(agent, settings={"planner.kind": "icem"})
    filmed = joule.make("zero", env=DRAWN)
    with pytest.raises(ConfigError, match="give the video file"):
        joule.render(filmed)
    film = joule.render(filmed, out=tmp_path / "film.mp4")
    assert len(iio.imread(film)) == 26


def test_bad_input_is_one_refusal(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        joule.load(tmp_path / "none")
    with pytest.raises(ConfigError, match="--episodes: 0"):
        joule.evaluate(tmp_path, 0)
    with pytest.raises(Refused, match="is not a run"):
        joule.compare([tmp_path])
    with pytest.raises(ConfigError, match="--override"):
        joule.train(env=tiny_env.ID, override=True)


@pytest.mark.parametrize("kind", ["package", "folder", "file"])
def test_a_package_of_the_users_that_hides_one_of_joule_is_named(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        (tmp_path / "agent.py").write_text("")
    else:
        (tmp_path / "agent").mkdir()
        (tmp_path / "agent" / ("__init__.py" if kind == "package" else "mine.py")).write_text("")
    (tmp_path / "program.py").write_text("import joule\njoule.Config\n")
    done = run_python(["program.py"], tmp_path, {"PYTHONPATH": str(ROOT)})
    if kind == "folder":  # a folder without __init__.py comes after every real package
        assert done.returncode == 0
        return
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: joule: ")
    assert "hides Joule's own package 'agent'; rename it" in last


def test_settings_of_training_are_refused_for_a_trained_agent(trained_run: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"eval_episodes: is a setting of training, .* episodes=10 says how many"
    ):
        joule.evaluate(trained_run, eval_episodes=3)
    with pytest.raises(ConfigError, match=r"steps: is a setting of training, .* leave it out$"):
        joule.evaluate(trained_run, steps=5)
    with pytest.raises(ConfigError, match=r"episods: is neither .*; did you mean episodes\?"):
        joule.evaluate(trained_run, episods=3)
    joule.load(trained_run, settings={"learning.precision": "bfloat16"})


def test_what_another_planner_keeps_of_the_run_is_said(
    trained_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    joule.load(trained_run, settings={"planner.kind": "icem", "planner.elites": 3})
    assert (
        "kept from the run, because the new kind has them too: planner.samples 16, planner.iterations 2"
        in caplog.text
    )
    assert "planner.elites" not in caplog.text.partition("kept")[2]


def test_learning_forgets_a_planned_task_and_ends_where_a_stop_is_requested() -> None:
    agent: Any = joule.make("joule", env=tiny_env.ID, settings={**SMALL, "explore.plan_from_decisions": 0})
    agent.learn(40)
    agent.plan_for("track:position=-1")
    agent.learn(1)
    assert agent.modules.task_cost is None
    agent.stop_requested = True
    assert agent.learn(10).frames == 42
    assert agent.learn(10).frames == 52


def test_a_planner_that_leaves_the_box_is_refused(trained_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent: Any = joule.load(trained_run)
    planner = agent.modules.actor.planner(1)
    monkeypatch.setattr(planner, "plan", lambda energy, **_: Plan(torch.full((1, 3, 1), 1.5), torch.zeros(1)))
    with pytest.raises(PlanError, match=r"plan gave actions that are not in \[-1, 1\]"):
        agent.predict(np.zeros(3, np.float32))
    for shape in ((1, 3, 2), (2, 3, 1), (1, 2, 1)):
        monkeypatch.setattr(
            planner, "plan", lambda energy, s=shape, **_: Plan(torch.zeros(s), torch.zeros(s[0]))
        )
        with pytest.raises(PlanError, match=r"gave actions \[., ., .\] and .*; a plan here has \[1, 3, 1\]"):
            agent.predict(np.zeros(3, np.float32))
